#include "edge/stored_weights.h"

#include <algorithm>

namespace cortland::edge {
namespace {

Status write_weight(const Weight& weight, OutputFile& out, uint64_t at) {
  constexpr int64_t kTile = int64_t{1} << 18;
  std::string tile;
  for (int64_t done = 0; done < weight.elements(); done += kTile) {
    const int64_t count = std::min(kTile, weight.elements() - done);
    tile.resize(static_cast<size_t>(byte_size(weight.dtype(), count)));
    weight.read(done, count, reinterpret_cast<std::byte*>(tile.data()));
    TRY_DO(out.write_at(at + static_cast<uint64_t>(byte_size(weight.dtype(), done)), as_bytes(tile)));
  }
  return {};
}

}  // namespace

int32_t store_weight(const Weight& weight, std::vector<executorch::Data>& list) {
  const std::string key = weight.key();
  const auto known = std::ranges::find(list, key, &executorch::Data::key);
  if (known != list.end()) return static_cast<int32_t>(known - list.begin());
  auto write = [weight](OutputFile& out, uint64_t at) { return write_weight(weight, out, at); };
  list.push_back({key, executorch::streamed_bytes(weight.byte_size(), write)});
  return static_cast<int32_t>(list.size()) - 1;
}

}  // namespace cortland::edge
