#include "tensor/strided_copy.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "base/result.h"

namespace cortland {
namespace {

// The element size is a template argument, so that copying an element is one move and not a call.
template <size_t kWidth>
void copy_run(const std::byte* from, int64_t step, int64_t count, std::byte* out) {
  if (step == 1) {
    std::memcpy(out, from, static_cast<size_t>(count) * kWidth);
    return;
  }
  for (int64_t i = 0; i < count; ++i) std::memcpy(out + i * int64_t{kWidth}, from + i * step * int64_t{kWidth}, kWidth);
}

// A square of kSide by kSide elements of a turned matrix: (r, c) is at from[c * step + r]. Turned in the first cache, so
// that both sides of the copy are whole cache lines: rows of a power of two elements would fall on few places of the cache.
constexpr int64_t kSide = 16;

template <size_t kWidth>
void turn_square(const std::byte* from, int64_t step, int64_t columns, std::byte* out) {
  constexpr int64_t kSize = kWidth;
  std::array<std::byte, kSide * kSide * kWidth> square;
  for (int64_t c = 0; c < kSide; ++c)
    for (int64_t r = 0; r < kSide; ++r)
      std::memcpy(&square[static_cast<size_t>((r * kSide + c) * kSize)], from + (c * step + r) * kSize, kWidth);
  for (int64_t r = 0; r < kSide; ++r)
    std::memcpy(out + r * columns * kSize, &square[static_cast<size_t>(r * kSide * kSize)], kSide * kWidth);
}

template <size_t kWidth>
void copy_turned(const std::byte* from, int64_t step, int64_t rows, int64_t columns, std::byte* out) {
  constexpr int64_t kSize = kWidth;
  for (int64_t r = 0; r < rows; r += kSide) {
    const int64_t height = std::min(kSide, rows - r);
    int64_t c = 0;
    for (; height == kSide && c + kSide <= columns; c += kSide)
      turn_square<kWidth>(from + (c * step + r) * kSize, step, columns, out + (r * columns + c) * kSize);
    for (int64_t i = r; i < r + height; ++i)
      copy_run<kWidth>(from + (c * step + i) * kSize, step, columns - c, out + (i * columns + c) * kSize);
  }
}

// Walks the elements in row-major order.
class Walk {
 public:
  Walk(std::span<const int64_t> shape, std::span<const int64_t> strides, int64_t first)
      : shape_(shape), strides_(strides), index_(shape.size()) {
    for (size_t i = shape.size(); i-- > 0;) {
      index_[i] = first % shape[i];
      first /= shape[i];
      source_ += index_[i] * strides[i];
    }
  }

  int64_t source() const { return source_; }
  int64_t left(size_t axis) const { return shape_[axis] - index_[axis]; }
  bool at_start(size_t axis) const { return index_[axis] == 0; }

  // Steps along `axis`, at most to its end; the axes behind it are at their starts.
  void advance(size_t axis, int64_t by) {
    index_[axis] += by;
    source_ += by * strides_[axis];
    for (; axis > 0 && index_[axis] == shape_[axis]; --axis) {
      source_ += strides_[axis - 1] - index_[axis] * strides_[axis];
      index_[axis] = 0;
      ++index_[axis - 1];
    }
  }

 private:
  std::span<const int64_t> shape_, strides_;
  std::vector<int64_t> index_;
  int64_t source_ = 0;  // the element's place
};

template <size_t kWidth>
void copy(const std::byte* base, std::span<const int64_t> shape, std::span<const int64_t> strides, int64_t first,
          int64_t count, std::byte* out) {
  constexpr int64_t kSize = kWidth;
  if (shape.empty()) return copy_run<kWidth>(base, 1, count, out);
  const size_t last = shape.size() - 1;
  const int64_t columns = shape[last], step = strides[last];
  const bool turned = last > 0 && strides[last - 1] == 1 && step != 1;
  Walk at(shape, strides, first);
  while (count > 0) {
    const std::byte* from = base + at.source() * kSize;
    const int64_t rows = turned && at.at_start(last) ? std::min(count / columns, at.left(last - 1)) : 0;
    const int64_t run = rows > 0 ? rows * columns : std::min(count, at.left(last));
    if (rows > 0) {
      copy_turned<kWidth>(from, step, rows, columns, out);
      at.advance(last - 1, rows);
    } else {
      copy_run<kWidth>(from, step, run, out);
      at.advance(last, run);
    }
    out += run * kSize;
    count -= run;
  }
}

}  // namespace

void copy_strided(const std::byte* base, std::span<const int64_t> shape, std::span<const int64_t> strides, int64_t width,
                  int64_t first, int64_t count, std::byte* out) {
  switch (width) {
    case 1:
      return copy<1>(base, shape, strides, first, count, out);
    case 2:
      return copy<2>(base, shape, strides, first, count, out);
    case 4:
      return copy<4>(base, shape, strides, first, count, out);
    case 8:
      return copy<8>(base, shape, strides, first, count, out);
    case 16:
      return copy<16>(base, shape, strides, first, count, out);
    default:
      CHECK(false, "elements of no known size");
  }
}

}  // namespace cortland
