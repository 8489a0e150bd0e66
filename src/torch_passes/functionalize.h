// Makes a graph functional: in-place operators, writes through views, and buffer or input mutations that no signature lists
// become pure operators and explicit mutation outputs; no_grad wrappers are inlined; asserts are dropped; subgraphs become
// regions (control_flow.h), complex values pairs of real ones (complex.h).
#pragma once

#include "torch/graph.h"

namespace cortland::torch_passes {

Result<torch::Graph> functionalize(torch::Graph graph);
// Drops nodes whose results nobody uses (size arithmetic, unused outputs of composites).
void remove_dead_nodes(torch::Graph& graph);

}  // namespace cortland::torch_passes
