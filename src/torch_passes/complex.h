// Complex values as two real ones: neither Core ML nor ExecuTorch has complex tensors.
#pragma once

#include "torch/graph.h"

namespace cortland::torch_passes {

// Rewrites a functional graph so that no complex value is left. An error names the operator, input or output that has no
// form in real numbers.
Status split_complex(torch::Graph& graph);

}  // namespace cortland::torch_passes
