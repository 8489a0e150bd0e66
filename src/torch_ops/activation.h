// Activation functions that other families build on. Each emits MIL through the Lowering it is given and keeps no state.
#pragma once

#include "torch_ops/lowering.h"

namespace cortland::torch_ops {

// log(1 + exp(x)), safe in float16.
Result<Operand> softplus(Lowering& in, Operand x);
// x - max - log(sum(exp(x - max))) along an axis.
Result<Operand> log_softmax(Lowering& in, Operand x, int64_t axis);

}  // namespace cortland::torch_ops
