// Operators whose result shares memory with their first argument, and how to undo them: what functionalization needs to know.
#pragma once

#include "torch/graph.h"

namespace cortland::torch_passes {

// How result `index` of a node relates to the node's first tensor.
struct View {
  torch::NodeId node;
  int index = 0;
  torch::ValueId source;
};

// Whether the operator's result can share memory with its first argument: "aten.select.int".
bool is_view(const std::string& target);

// The view that makes `v`, or a view without node when its memory is its own. Operators that copy only sometimes (reshape,
// contiguous, to) are judged by the types and strides that torch recorded.
View view_of(const torch::Graph& graph, torch::ValueId v);

// Whether the value lies row by row without gaps; what this program made does.
bool is_contiguous(torch::Graph& graph, const torch::Value& v);

// Appends nodes to `order` that apply the view to `base`, or that write `part` back into the place the view shows of `base`.
Result<torch::ValueId> apply_view(torch::Graph& graph, const View& view, torch::ValueId base, std::vector<torch::NodeId>& order);
Result<torch::ValueId> undo_view(torch::Graph& graph, const View& view, torch::ValueId base, torch::ValueId part,
                                 std::vector<torch::NodeId>& order);

// Adds a node with one result to the graph and to `order`.
torch::ValueId add_node(torch::Graph& graph, std::string target, std::vector<torch::NamedArg> args, TensorType type,
                        const torch::SourceLoc& source, std::vector<torch::NodeId>& order);

}  // namespace cortland::torch_passes
