// Copying a graph, to try something on it that may not be kept. Free function; any thread that may read the graph.
#pragma once

#include "torch/graph.h"

namespace cortland::torch {

// Shares nothing with `graph` but the bytes of its weights; ids mean the same in both.
Graph clone(const Graph& graph);

}  // namespace cortland::torch
