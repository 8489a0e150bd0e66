// Norms of vectors, for the families that measure lengths and distances.
#pragma once

#include "torch_ops/lowering.h"

namespace cortland::torch_ops {

// The least number that float16 can tell from 0 with some precision: what a smaller epsilon becomes there.
inline constexpr double kLeastFloat16 = 1.2e-7;

// (sum of |x|^order)^(1 / order) over `axes`; orders 0 (how many are not 0), infinity and -infinity too. x is a float tensor.
Result<Operand> vector_norm(Lowering& in, Operand x, double order, const std::vector<int64_t>& axes, bool keep);

}  // namespace cortland::torch_ops
