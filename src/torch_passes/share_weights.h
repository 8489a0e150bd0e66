// Programs exported one by one from the same module each bring its weights along; afterwards equal ones are one Weight, so
// that whatever is made of them later is recognised as equal too. Reads the weights that two programs may share.
#pragma once

#include "tensor/weight_set.h"
#include "torch/graph.h"

namespace cortland::torch_passes {

// Puts the parameters, buffers and constants of `graph` into `weights`, and takes those that are there already from it.
void share_weights(torch::Graph& graph, WeightSet& weights);

}  // namespace cortland::torch_passes
