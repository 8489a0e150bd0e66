// Sums of integer products leave float16's range before their scale brings them back into it: 127 * 127 * 5 is beyond it.
#pragma once

#include <vector>

#include "torch/graph.h"

namespace cortland::partition {

// The nodes that scale the results of integer matrix products: they compute in float32, whatever the precision.
std::vector<torch::NodeId> scales_of_integer_products(const torch::Graph& graph);

}  // namespace cortland::partition
