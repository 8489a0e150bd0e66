// Tensor subclasses (weights that torchao quantised) seen from outside are one tensor; the graph takes them apart with
// export.access_subclass_inner_tensor. Their parts are constants, so those nodes become graph inputs.
#pragma once

#include "torch/pt2_signature.h"

namespace cortland::torch {

// Afterwards no subclass is an input. An error if a node uses one as a whole.
Status resolve_subclass_inputs(Graph& graph, Subclasses subclasses, const Pt2Weights& weights);

}  // namespace cortland::torch
