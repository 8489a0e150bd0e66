// Which system a program needs when its user does not say.
#pragma once

#include "partition/decide.h"

namespace cortland::partition {

// The lowest target at which no more operators stay on the CPU than at the newest, and compressed weights stay as small;
// options.target does not matter. Mutable buffers do not count: below iOS18 they stay outside the delegates, and the program
// computes the same.
struct LowestTarget {
  mil::Target target;
  Decided decided;  // the graph for that target
};
Result<LowestTarget> lowest_target(const torch::Graph& graph, const PartitionOptions& options,
                                   const std::shared_ptr<torch_ops::Float16Range>& range = std::make_shared<torch_ops::Float16Range>());

}  // namespace cortland::partition
