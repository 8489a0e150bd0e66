// Copies runs of elements that lie apart. A free function; any thread.
#pragma once

#include <cstdint>
#include <span>

#include "base/file.h"

namespace cortland {

// Elements [first, first + count), in row-major order, of a tensor of `shape` whose elements of `width` bytes (1, 2, 4, 8 or
// 16) are found at `base` by `strides`, in elements.
void copy_strided(const std::byte* base, std::span<const int64_t> shape, std::span<const int64_t> strides, int64_t width,
                  int64_t first, int64_t count, std::byte* out);

}  // namespace cortland
