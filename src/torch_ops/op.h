// TorchOp: all that the product knows of one torch operator. Entries are constant tables, one file a family; support is not
// predicted but tried: an operator can be delegated exactly when its `lower` succeeds.
#pragma once

#include <span>
#include <string_view>

#include "torch/schema.h"
#include "torch_ops/lowering.h"

namespace cortland::torch_ops {

class Decomposition;

struct TorchOp {
  std::string_view schema;  // PyTorch's own, "aten::gelu(Tensor self, *, str approximate='none') -> Tensor"
  // Emits MIL for the node, or says why it cannot. Sees only its node, constants and options.
  Lowered (*lower)(Lowering&) = nullptr;
  // Rewrites the node into simpler operators, towards what ExecuTorch has CPU kernels for.
  Status (*decompose)(Decomposition&) = nullptr;
};

// Explicit tables, no registration at start-up: one line a family in registry.cc.
const TorchOp* find_op(std::string_view target);        // "aten.gelu.default"
const torch::Schema* find_schema(std::string_view target);  // parsed once
std::vector<const TorchOp*> all_ops();

}  // namespace cortland::torch_ops
