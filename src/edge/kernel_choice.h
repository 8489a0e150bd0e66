// Which ExecuTorch kernel runs a node that Core ML does not take, and in which form. Pure functions; any thread.
#pragma once

#include "executorch/kernels.h"
#include "torch/graph.h"

namespace cortland::edge {

enum class Form : uint8_t {
  Call,    // the node's arguments, bound to the kernel's by name
  Copy,    // a copy of the first argument, converted to the result's type
  View,    // the first argument in the shape of the result
  Expand,  // the first argument broadcast to the shape of the result
  Number,  // a tensor of one element becomes a number
};

struct KernelChoice {
  const executorch::Kernel* kernel = nullptr;
  Form form = Form::Call;
};

// An error says why no kernel fits, for somebody who knows the model and not ExecuTorch.
Result<KernelChoice> choose_kernel(const torch::Graph& graph, const torch::Node& node);

// Kernels that compute in the result's type: operands of another type are converted first.
bool converts_operands(const executorch::Kernel& kernel);

}  // namespace cortland::edge
