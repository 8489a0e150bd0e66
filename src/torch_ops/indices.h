// Index arguments as PyTorch's advanced indexing has them, made ready for MIL's gather and scatter ops.
#pragma once

#include "torch_ops/lowering.h"

namespace cortland::torch_ops {

// Indices with negative ones counted from the end: MIL leaves those undefined. Constants are checked against the size.
Result<Operand> wrap_indices(Lowering& in, Operand indices, Dim size);

// The shape of operands broadcast together.
Shape broadcast_shape(const Lowering& in, const std::vector<Operand>& operands);

// x[i, :, j]: the indexed axes of x as one axis, and one index into it.
struct FlatIndex {
  std::vector<int64_t> perm;  // brings the indexed axes of x side by side
  size_t axis = 0;            // where they stand then
  size_t count = 0;           // how many they are
  Operand index;              // int32, of shape `shape`
  Shape shape;
};
// Binds the list of optional index tensors of `name`. Boolean masks must be constant.
Result<FlatIndex> flat_index(Lowering& in, std::string_view name, const Shape& x);

// x with axes [axis, axis + count) merged into one.
Result<Operand> merge_axes(Lowering& in, Operand x, size_t axis, size_t count);
// What comes before and after those axes, with `middle` in between.
Shape with_axes(const Shape& x, size_t axis, size_t count, const Shape& middle);

// gather, for any rank of the indices and for bools.
Result<Operand> gather(Lowering& in, Operand x, int64_t axis, Operand indices);

}  // namespace cortland::torch_ops
