// Copies the nodes of one graph into another: a subgraph into the graph around it, once or several times.
#pragma once

#include <span>

#include "torch/graph.h"

namespace cortland::torch_passes {

// Appends the nodes of `body` to `order`, with new values in `graph`; `operands` stand for the body's inputs. Value names
// get `prefix` in front, since a subgraph has its own names. Gives what the body's outputs became. Subgraphs of the body
// move to `graph`; regions are copied.
Result<std::vector<torch::Arg>> copy_nodes(torch::Graph& graph, torch::Graph& body, std::span<const torch::Arg> operands,
                                           const std::string& prefix, std::vector<torch::NodeId>& order);

// Makes `result`, a value that others use, another name of `content`.
void add_alias(torch::Graph& graph, torch::ValueId result, torch::Arg content, const torch::SourceLoc& source,
               std::vector<torch::NodeId>& order);

}  // namespace cortland::torch_passes
