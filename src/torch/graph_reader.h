// Builds a Graph from the JSON of one: values, nodes, arguments, subgraphs. Each subgraph has a reader of its own, since its
// names are its own. Names are looked up by hash. Lives while one program is read; the JSON outlives it; not synchronised.
#pragma once

#include <string_view>
#include <unordered_map>

#include "archive/json.h"
#include "torch/graph.h"
#include "torch/pt2_types.h"

namespace cortland::torch {

// "torch.ops.aten.gelu.default" -> "aten.gelu.default", likewise for the edge dialect; others stay.
std::string_view normalised_target(std::string_view target);

class GraphReader {
 public:
  // `metas` is shared by all graphs of a program, as symbols are.
  GraphReader(Graph& graph, MetaReader& metas) : graph_(graph), metas_(metas) {}

  // All but inputs and outputs, in this order: index_values(), inputs, read_nodes(), outputs.
  Status index_values(const archive::Json& graph);
  Status read_nodes(const archive::Json& graph);
  // A graph input: a tensor, a symbolic number or a literal. As a user input; a signature may know better.
  Result<GraphInput> read_input(const archive::Json& argument);
  Result<Arg> read_arg(const archive::Json& argument);
  // A value defined earlier.
  Result<ValueId> lookup(const archive::Json& name) const;

  // A whole subgraph.
  Status read(const archive::Json& graph);

 private:
  using Table = std::unordered_map<std::string_view, archive::Json>;

  Status index_table(const archive::Json& graph, std::string_view field, Table& table);
  Result<ValueId> define(const archive::Json& name, Value::Kind kind, NodeId producer);
  Status describe(const archive::Json& name, Value& value);
  Result<ValueId> anonymous(Value::Kind kind, Dim constant, NodeId producer);
  Status read_node(const archive::Json& json);
  Status read_args(const archive::Json& inputs, Node& node);
  Status read_results(const archive::Json& outputs, NodeId id);
  Status read_result(const archive::Json& argument, NodeId id);
  Result<ValueId> read_sym_result(std::string_view tag, const archive::Json& value, NodeId id);

  // arguments (graph_reader_args.cc)
  Result<Arg> read_scalar(std::string_view tag, const archive::Json& value) const;
  Result<Arg> read_named(const archive::Json& value) const;
  Result<Arg> read_sym(const archive::Json& value) const;
  Result<Arg> read_optional_tensor(const archive::Json& value) const;
  Result<Arg> read_custom_object(const archive::Json& value) const;
  Result<Arg> read_list(std::string_view tag, const archive::Json& value);
  Result<Arg> read_item(std::string_view tag, const archive::Json& value);
  Result<Arg> read_dictionary(const archive::Json& value);
  Result<Arg> read_subgraph(const archive::Json& value);

  Graph& graph_;
  MetaReader& metas_;
  Table tensors_, sym_ints_, sym_floats_, sym_bools_;
  std::unordered_map<std::string_view, ValueId> values_;  // keys view the JSON
};

}  // namespace cortland::torch
