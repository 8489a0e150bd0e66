// Sums of integer products leave float16's range before their scale brings them back into it: 127 * 127 * 5 is beyond it.
#pragma once

#include "partition/options.h"
#include "torch/graph.h"

namespace cortland::partition {

// The options, with the nodes that scale the results of integer matrix products among those that compute in float32.
PartitionOptions with_wide_sums(const torch::Graph& graph, PartitionOptions options);

}  // namespace cortland::partition
