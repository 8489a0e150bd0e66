// Decomposition: rewriting one node into simpler operators. The new nodes take the place of the old one, carry its source
// line, and stand for its results.
#pragma once

#include <initializer_list>
#include <optional>

#include "torch/graph.h"
#include "torch/schema.h"

namespace cortland::torch_ops {

class Decomposition {
 public:
  Decomposition(torch::Graph& graph, torch::NodeId node, const torch::Schema& schema);

  torch::Graph& graph() { return graph_; }
  DimTable& dims() { return *graph_.dims; }
  const torch::Node& node() const { return graph_.nodes[node_]; }

  // Arguments by schema name, defaults applied.
  const torch::Arg& arg(std::string_view name) const;
  bool has(std::string_view name) const { return !arg(name).is_none(); }
  torch::ValueId tensor(std::string_view name) const;  // invalid when it is a number or None
  std::optional<int64_t> integer(std::string_view name) const;
  std::optional<std::vector<int64_t>> ints(std::string_view name) const;
  std::optional<double> number(std::string_view name) const;
  bool boolean(std::string_view name) const;
  std::string str(std::string_view name) const;
  const TensorType& type(torch::ValueId v) const { return graph_.type(v); }
  TensorType result_type(size_t i = 0) const;
  bool result_used(size_t i) const;

  // Adds a node with one result of the given type: op("aten.mul.Tensor", {{"self", x}, {"other", 2.0}}, type).
  torch::ValueId op(std::string target, std::vector<torch::NamedArg> args, TensorType result);
  std::vector<torch::ValueId> multi(std::string target, std::vector<torch::NamedArg> args, std::vector<TensorType> results);
  // A tensor constant of the program.
  torch::ValueId constant(Weight data, std::string name);
  // Makes what `v` was stand for result i: the result keeps its id and is now produced where `v` was (through a clone when
  // `v` is not a value of a new node).
  void replace(size_t i, torch::ValueId v);
  Diagnostic reject(std::string why) const;

  std::vector<torch::NodeId> added;  // in execution order

 private:
  torch::Graph& graph_;
  torch::NodeId node_;
  const torch::Schema& schema_;
};

// Makes the nodes that replace `node`, in execution order; they produce its results. The caller puts them in its place in
// `order`. Empty when the operator has no decomposition, or none for these arguments: then `why` says so.
Result<std::vector<torch::NodeId>> decompose_node(torch::Graph& graph, torch::NodeId node, std::string* why = nullptr);

// A size as an argument: a number, or a value of that name that stands for the symbolic size.
torch::Arg size_argument(torch::Graph& graph, Dim dim, std::string name);

}  // namespace cortland::torch_ops
