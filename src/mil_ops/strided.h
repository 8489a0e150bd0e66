// Walking dense memory by strides: the loop behind broadcasting, transposes, slices, padding and reductions.
// Plain values, used within one kernel call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cortland::mil_ops {

using Sizes = std::vector<int64_t>;

Sizes dense_strides(const Sizes& shape);
// Strides that read a tensor of `shape` as if it had shape `out`: 0 where it is repeated. Aligned right.
Sizes broadcast_strides(const Sizes& shape, const Sizes& out);

// Visits `shape` row by row for several operands, each with its own strides (in elements, negative ones too). Axes that
// every operand steps through evenly are merged, so rows are as long as they can be.
class StridedWalk {
 public:
  StridedWalk(const Sizes& shape, const std::vector<Sizes>& strides);
  bool done() const { return done_; }
  void next();
  int64_t length() const { return shape_.back(); }                // elements in a row
  int64_t at(size_t operand) const { return offsets_[operand]; }  // where the row begins
  int64_t step(size_t operand) const { return strides_[operand].back(); }

 private:
  Sizes shape_, index_, offsets_;
  std::vector<Sizes> strides_;
  bool done_ = false;
};

// Where a tensor is read or written: an offset and strides, in elements.
struct View {
  int64_t offset = 0;
  Sizes strides;
};

// Copies `shape` elements of `element_bytes` (1, 2, 4 or 8) from one view to another.
void copy_strided(const Sizes& shape, int64_t element_bytes, const std::byte* from, const View& source, std::byte* to,
                  const View& target);

}  // namespace cortland::mil_ops
