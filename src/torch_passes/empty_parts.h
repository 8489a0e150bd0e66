// Joins do not need their parts without elements: the rest of a rotary embedding that covers the whole head, the cache
// before the first token. Core ML cannot be passed them.
#pragma once

#include "torch/graph.h"

namespace cortland::torch_passes {

void drop_empty_parts(torch::Graph& graph);

}  // namespace cortland::torch_passes
