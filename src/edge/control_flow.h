// Branches and loops on the CPU: jumps between the instructions of the regions of a higher-order op.
#pragma once

#include <functional>

#include "edge/sizes.h"

namespace cortland::edge {

// cond and while_loop, whose subgraphs are regions.
bool is_control_flow(const torch::Node& node);

// Appends the instructions of such a node; `run` appends those of a node inside.
Status run_control_flow(PlanBuilder& plan, Sizes& sizes, torch::NodeId node,
                        const std::function<Status(torch::NodeId)>& run);

}  // namespace cortland::edge
