// as_strided reads the storage behind its tensor, which may be larger than the tensor: read from the tensor that owns the storage.
#pragma once

#include "torch/graph.h"

namespace cortland::torch_passes {

// Where the owner is contiguous, so that its elements are the storage. Others stay as they are.
void read_strided_from_owners(torch::Graph& graph);

}  // namespace cortland::torch_passes
