#include "torch_passes/subgraphs.h"

#include <fmt/format.h>

#include <unordered_map>

namespace cortland::torch_passes {
namespace {

using torch::Arg;
using torch::Graph;
using torch::GraphId;
using torch::Node;
using torch::NodeId;
using torch::Region;
using torch::RegionId;
using torch::ValueId;

class Copier {
 public:
  Copier(Graph& graph, Graph& body, const std::string& prefix) : graph_(graph), body_(body), prefix_(prefix) {}

  Result<std::vector<Arg>> run(std::span<const Arg> operands, std::vector<NodeId>& order) {
    if (operands.size() != body_.inputs.size())
      return diag(DiagKind::BadProgram,
                  fmt::format("{} operands are passed to a subgraph with {} inputs", operands.size(), body_.inputs.size()));
    for (size_t i = 0; i < operands.size(); ++i)
      if (body_.inputs[i].value) copies_[body_.inputs[i].value] = operands[i];
    for (const NodeId n : body_.order) {
      TRY(order.emplace_back(), node(n));
    }
    std::vector<Arg> outputs;
    for (const auto& output : body_.outputs) {
      // A list of results is those results.
      if (const auto* list = output.value.as<Arg::List>()) {
        for (const Arg& item : *list) {
          TRY(outputs.emplace_back(), argument(item));
        }
        continue;
      }
      TRY(outputs.emplace_back(), argument(output.value));
    }
    return outputs;
  }

 private:
  Result<NodeId> node(NodeId from) {
    Node copy = body_.nodes[from];
    for (auto& a : copy.args) {
      TRY(a.arg, argument(a.arg));
    }
    const NodeId id{graph_.nodes.size()};
    copy.name = prefix_ + copy.name;
    for (ValueId& v : copy.results)
      if (v) v = value(v, id);
    graph_.nodes.add(std::move(copy));
    return id;
  }

  ValueId value(ValueId from, NodeId producer) {
    torch::Value copy = body_.values[from];
    copy.name = prefix_ + copy.name;
    copy.producer = producer;
    const ValueId id = graph_.add_value(std::move(copy));
    copies_[from] = id;
    return id;
  }

  Result<Arg> argument(const Arg& arg) {
    if (const auto* v = arg.as<ValueId>()) {
      if (!*v) return arg;
      const auto it = copies_.find(*v);
      if (it == copies_.end()) return diag(DiagKind::BadProgram, "a subgraph uses a value before it is defined");
      return it->second;
    }
    if (const auto* list = arg.as<Arg::List>()) {
      Arg::List out;
      for (const Arg& a : *list) {
        TRY(out.emplace_back(), argument(a));
      }
      return Arg(std::move(out));
    }
    if (const auto* id = arg.as<GraphId>()) {
      Graph& nested = *body_.subgraphs[*id];
      if (nested.outputs.empty()) return diag(DiagKind::UnsupportedOp, "an operator with a subgraph cannot be repeated");
      auto moved = std::make_unique<Graph>(std::move(nested));
      nested = Graph();
      return Arg(graph_.subgraphs.add(std::move(moved)));
    }
    if (const auto* id = arg.as<RegionId>()) return region(*id);
    return arg;
  }

  Result<Arg> region(RegionId from) {
    const Region& source = body_.regions[from];
    Region copy;
    for (const ValueId v : source.inputs) copy.inputs.push_back(value(v, NodeId{}));
    for (const NodeId n : source.order) {
      TRY(copy.order.emplace_back(), node(n));
    }
    for (const ValueId v : source.outputs) {
      TRY(const Arg output, argument(v));
      const auto* known = output.as<ValueId>();
      if (!known) return diag(DiagKind::BadProgram, "a subgraph returns something that is not a tensor");
      copy.outputs.push_back(*known);
    }
    return Arg(graph_.regions.add(std::move(copy)));
  }

  Graph& graph_;
  Graph& body_;
  const std::string& prefix_;
  std::unordered_map<ValueId, Arg> copies_;
};

}  // namespace

Result<std::vector<Arg>> copy_nodes(Graph& graph, Graph& body, std::span<const Arg> operands, const std::string& prefix,
                                    std::vector<NodeId>& order) {
  return Copier(graph, body, prefix).run(operands, order);
}

void add_alias(Graph& graph, ValueId result, Arg content, const torch::SourceLoc& source, std::vector<NodeId>& order) {
  Node alias;
  alias.target = "aten.alias.default";
  alias.name = graph.values[result].name;
  alias.args = {{"self", std::move(content)}};
  alias.results = {result};
  alias.source = source;
  const NodeId id = graph.nodes.add(std::move(alias));
  graph.values[result].producer = id;
  order.push_back(id);
}

}  // namespace cortland::torch_passes
