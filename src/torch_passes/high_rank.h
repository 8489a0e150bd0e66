// Takes tensors of rank above 5 out of chains of views: Core ML has none, but `view -> permute -> view` only moves elements,
// and every permutation is a sequence of swaps of neighbouring blocks, which need no more than four dimensions.
#pragma once

#include "torch/graph.h"

namespace cortland::torch_passes {

// The graph must be functional. Operators that compute on such tensors keep them and stay where they are.
void reduce_high_ranks(torch::Graph& graph);

}  // namespace cortland::torch_passes
