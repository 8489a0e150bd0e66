// Takes tensors of rank above 5 out of a graph, which Core ML lacks: `view -> permute -> view` only moves elements, and every
// permutation is a sequence of swaps of neighbouring blocks, which need no more than four dimensions. What computes element by element,
// or along one axis, needs only the axes that it tells apart.
#pragma once

#include "torch/graph.h"

namespace cortland::torch_passes {

// The graph must be functional. Other operators on such tensors keep them and stay where they are.
void reduce_high_ranks(torch::Graph& graph);

}  // namespace cortland::torch_passes
