// One node as a call of an ExecuTorch kernel: arguments in the kernel's order, defaults written out, results in tensors of
// the plan.
#pragma once

#include "edge/sizes.h"

namespace cortland::edge {

// Appends what computes the node. An error names what no kernel can do; the plan is then of no use any more.
Status call_kernel(PlanBuilder& plan, Sizes& sizes, torch::NodeId node);

// Appends a copy of `from`, a tensor of type `type`, with elements of type `to`; `name` is for messages.
Result<ValueIndex> copy_tensor(PlanBuilder& plan, ValueIndex from, const TensorType& type, DType to, const std::string& name);
// The same into a tensor that is there.
void copy_tensor_to(PlanBuilder& plan, ValueIndex from, const TensorType& type, ValueIndex to, DType to_dtype);

}  // namespace cortland::edge
