// Matrix products that several families use. Each emits MIL through the Lowering it is given and keeps no state.
#pragma once

#include "torch_ops/lowering.h"

namespace cortland::torch_ops {

// x . y, or x . y^T, over the last two axes; both have rank 2 or more and one element type. A `bias` with one number a column is
// added. Constant matrices become `linear`, which takes ranks up to 3.
Result<Operand> matrix_product(Lowering& in, Operand x, Operand y, bool transpose_y = false, Operand bias = {});

// Sum of x * y over `axis`; the operands broadcast.
Result<Operand> sum_of_products(Lowering& in, Operand x, Operand y, int64_t axis);

}  // namespace cortland::torch_ops
