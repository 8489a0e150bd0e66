// Building the Core ML program of one part of a graph.
#pragma once

#include "partition/partition.h"

namespace cortland::partition {

struct Part {
  std::vector<torch::NodeId> nodes;     // in execution order
  std::vector<torch::ValueId> outputs;  // values wanted outside
  std::vector<std::string> output_names;  // as many; chosen from the values' names when empty
};

// Lowers the nodes into a function `main`. Inputs are what the nodes read from outside, in order of first use, then those
// `required` (even if unused), then tensors needed only for their sizes.
Result<Delegate> build_delegate(const torch::Graph& graph, const Part& part, const std::vector<torch::ValueId>& required,
                                const PartitionOptions& options);

}  // namespace cortland::partition
