// Reading a weight of any size from front to back, a tile at a time.
#pragma once

#include <algorithm>

#include "tensor/weight.h"

namespace cortland::compression {

inline constexpr int64_t kTileElements = int64_t{1} << 16;

// Calls f(first, count, values) for the elements [first, first + count) of a float weight, as float32 and in order. Memory
// that the file was mapped to for it is let go again.
template <class F>
void for_each_tile(const Weight& weight, int64_t first, int64_t count, const F& f) {
  const Weight source = weight.cast(DType::F32);
  std::vector<float> tile(static_cast<size_t>(std::min(count, kTileElements)));
  for (int64_t done = 0; done < count; done += kTileElements) {
    const int64_t at = first + done, m = std::min(kTileElements, count - done);
    source.read(at, m, reinterpret_cast<std::byte*>(tile.data()));
    source.forget(at, m);
    f(at, m, tile.data());
  }
}

}  // namespace cortland::compression
