// Matrix products that several families use. Each emits MIL through the Lowering it is given and keeps no state.
#pragma once

#include "torch_ops/lowering.h"

namespace cortland::torch_ops {

// x . y, or x . y^T, over the last two axes; both have rank 2 or more and one element type. A `bias` with one number a column is
// added. Constant matrices become `linear`, which takes ranks up to 3.
Result<Operand> matrix_product(Lowering& in, Operand x, Operand y, bool transpose_y = false, Operand bias = {});

// Replaces an axis of static size n by `out` sums of its elements, weighted by a constant matrix [out, n] in row-major order.
Result<Operand> combine_along(Lowering& in, Operand x, size_t axis, int64_t out, const std::vector<float>& weights);
// The same with a matrix [out, n] of x's element type that may be computed, where n or `out` is symbolic.
Result<Operand> combine_along(Lowering& in, Operand x, size_t axis, Dim out, Operand matrix);

// Sum of x * y over `axis`; the operands broadcast.
Result<Operand> sum_of_products(Lowering& in, Operand x, Operand y, int64_t axis);

}  // namespace cortland::torch_ops
