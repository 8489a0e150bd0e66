#include "torch_passes/share_weights.h"

namespace cortland::torch_passes {

void share_weights(torch::Graph& graph, WeightSet& weights) {
  for (torch::GraphInput& input : graph.inputs)
    if (input.data) input.data = weights[weights.add(input.data)];
}

}  // namespace cortland::torch_passes
