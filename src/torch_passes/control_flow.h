// Brings the subgraphs of cond and while_loop into the graph as regions, and makes map and scan of them: short ones are
// unrolled, long ones become a while_loop that gathers a row and writes a row in each turn.
#pragma once

#include "torch/graph.h"

namespace cortland::torch_passes {

// The subgraphs must be functional and write to nothing outside.
Status bring_in_subgraphs(torch::Graph& graph);

}  // namespace cortland::torch_passes
