#include "partition/numbers.h"

#include <algorithm>

namespace cortland::partition {

using torch::NodeId;
using torch::ValueId;

bool is_item(const torch::Node& node) { return node.target == "aten.item.default" || node.target == "aten._local_scalar_dense.default"; }

std::optional<Numbers::value_type> number_read(const torch::Graph& graph, const torch::Node& node) {
  if (!is_item(node) || node.args.empty() || node.results.empty() || !node.results[0]) return std::nullopt;
  const auto* tensor = node.args[0].arg.as<ValueId>();
  const torch::Value& number = graph.values[node.results[0]];
  if (!tensor || number.kind != torch::Value::Kind::SymInt || !number.has_sym || !graph.dims->is_symbol(number.sym)) return std::nullopt;
  const TensorType& type = graph.type(*tensor);
  const bool integer = type.dtype == DType::I64 || type.dtype == DType::I32 || type.dtype == DType::I16 || type.dtype == DType::U8;
  if (!integer || type.rank() > 5 || !std::ranges::all_of(type.shape, [](Dim d) { return d == Dim(1); })) return std::nullopt;
  return Numbers::value_type{graph.dims->str(number.sym), *tensor};
}

Numbers numbers_read(const torch::Graph& graph, const std::unordered_map<NodeId, Diagnostic>& refused) {
  Numbers numbers;
  for (const NodeId n : graph.order)
    if (const auto number = number_read(graph, graph.nodes[n]); number && !refused.count(n)) numbers.insert(*number);
  return numbers;
}

std::set<std::string> symbols_of(const torch::Graph& graph, NodeId node) {
  std::set<std::string> symbols;
  const auto add = [&](Dim d) {
    if (d.is_constant()) return;
    for (const std::string& s : graph.dims->symbols(d)) symbols.insert(s);
  };
  for_each_node(graph, {node}, [&](NodeId n) {
    for (const ValueId v : graph.nodes[n].results)
      if (v) std::ranges::for_each(graph.type(v).shape, add);
    for (const auto& a : graph.nodes[n].args)
      for_each_value(a.arg, [&](ValueId v) {
        if (v && graph.values[v].has_sym) add(graph.values[v].sym);
      });
  });
  return symbols;
}

}  // namespace cortland::partition
