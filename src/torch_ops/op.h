// TorchOp: all that the product knows of one torch operator. Entries are constant tables, one file a family; support is not
// predicted but tried: an operator can be delegated exactly when its `lower` succeeds.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

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
  // What it is taken apart into computes in float32 in a float16 model too: sums of large terms that cancel.
  bool float32 = false;
  // The operator this one is another spelling of, "aten.mul.Tensor": same arguments, same results. Lowers as that one does, and
  // becomes that one for the CPU.
  std::string_view same_as = {};
  // What ExecuTorch's edge dialect calls it, "aten.convolution.default"; empty when it has the same name there.
  std::string_view edge = {};
  // Calls of the operator, in the language of samples.h: what its support is found out from, and its tests.
  std::string_view samples = {};
};

// Explicit tables, no registration at start-up: one line a family in families.def. One operator is in one table.
const TorchOp* find_op(std::string_view target);        // "aten.gelu.default"
const torch::Schema* find_schema(std::string_view target);  // parsed once
std::vector<const TorchOp*> all_ops();
// The name an operator has in ExecuTorch's edge dialect; `target` itself when nothing else is known.
std::string edge_name(const std::string& target);

}  // namespace cortland::torch_ops
