// Takes tensors of rank above 5 out of a graph, which Core ML lacks. What moves elements is done in steps on few axes, what computes by
// element or along some axes needs only the axes that it tells apart, and other operators are taken apart into such ones.
#pragma once

#include "torch/graph.h"

namespace cortland::torch_passes {

// The graph must be functional. An operator that cannot be rewritten keeps its tensors and stays where it is.
void reduce_high_ranks(torch::Graph& graph);

}  // namespace cortland::torch_passes
