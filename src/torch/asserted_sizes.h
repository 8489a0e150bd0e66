// Bounds of sizes that the data decides, from what the program asserts of them, `torch._check(h * w <= 256)`, and from how many
// elements there are to choose from.
#pragma once

#include "torch/graph.h"

namespace cortland::torch {

// Narrows the ranges of the symbols in aten._assert_scalar nodes that compare a size with a number.
void bound_asserted_sizes(Graph& graph);
// Narrows the ranges of the symbols that count what a mask keeps, or what is not 0: no more than there is, where that is bounded.
void bound_counted_sizes(Graph& graph);

}  // namespace cortland::torch
