// Bounds of sizes that the data decides, from what the program asserts of them: `torch._check(h * w <= 256)` bounds h and w.
#pragma once

#include "torch/graph.h"

namespace cortland::torch {

// Narrows the ranges of the symbols in aten._assert_scalar nodes that compare a size with a number.
void bound_asserted_sizes(Graph& graph);

}  // namespace cortland::torch
