// Enumerated shapes: the finite list of shapes that inputs may take, given by the user beside the program.
#pragma once

#include "mil/program.h"
#include "partition/options.h"
#include "torch/graph.h"

namespace cortland::partition {

// Whether the lists can be used with this program and these options: every name is a user input with dynamic sizes, every
// dynamic input is named, the lists are equally long, each shape is one the export allows, several inputs need iOS18.
Status check_enumerated_shapes(const torch::Graph& graph, const PartitionOptions& options);

}  // namespace cortland::partition
