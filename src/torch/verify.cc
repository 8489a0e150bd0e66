#include <fmt/format.h>

#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "torch/graph.h"

namespace cortland::torch {
namespace {

constexpr int kMaxNesting = 64;

class Verifier {
 public:
  explicit Verifier(const Graph& graph, int nesting)
      : graph_(graph), nesting_(nesting), defined_(static_cast<size_t>(graph.values.size())) {}

  Status run() {
    if (nesting_ > kMaxNesting) return diag(DiagKind::BadProgram, "subgraphs are nested too deeply");
    for (const GraphInput& input : graph_.inputs) TRY_DO(check_input(input));
    std::unordered_set<int32_t> seen;
    for (const NodeId id : graph_.order) {
      if (!graph_.nodes.contains(id)) return diag(DiagKind::BadProgram, "the order names a node that does not exist");
      if (!seen.insert(id.index).second) return bad(graph_.nodes[id], "is in the order twice");
      TRY_DO(check_node(id));
    }
    for (const GraphOutput& output : graph_.outputs) TRY_DO(check_output(output));
    return {};
  }

 private:
  static Diagnostic bad(const Node& node, std::string_view what) {
    Diagnostic d = diag(DiagKind::BadProgram, fmt::format("the node '{}' {}", node.name, what));
    d.op = node.target;
    d.node = node.name;
    d.source = node.source.str();
    return d;
  }
  static Diagnostic bad_input(const GraphInput& input, std::string_view what) {
    return diag(DiagKind::BadProgram, fmt::format("the graph input '{}' {}", input.name, what));
  }

  // False when the value exists already, or not at all.
  bool define(ValueId id) {
    if (!graph_.values.contains(id) || defined_[static_cast<size_t>(id.index)]) return false;
    defined_[static_cast<size_t>(id.index)] = true;
    return names_.insert(graph_.values[id].name).second;
  }
  bool is_defined(ValueId id) const { return graph_.values.contains(id) && defined_[static_cast<size_t>(id.index)]; }

  Status check_input(const GraphInput& input) {
    using Kind = GraphInput::Kind;
    if (input.kind == Kind::ConstantInput) {
      if (input.value) return bad_input(input, "is a literal and a value at once");
      return {};
    }
    if (!define(input.value)) return bad_input(input, "has no value of its own, or one with a name that is taken");
    const Value& value = graph_.values[input.value];
    if (value.producer) return bad_input(input, "is made by a node");
    const bool stored = input.kind == Kind::Parameter || input.kind == Kind::Buffer || input.kind == Kind::TensorConstant;
    if (stored && input.target.empty()) return bad_input(input, "has no fully qualified name");
    if (stored) targets_[input.kind].insert(input.target);
    if (input.data && input.data.type() != value.type)
      return bad_input(input, fmt::format("is {}, but its data is {}", str(value.type, *graph_.dims),
                                          str(input.data.type(), *graph_.dims)));
    return {};
  }

  Status check_arg(const Node& node, const Arg& arg) {
    if (const auto* value = arg.as<ValueId>()) {
      if (!graph_.values.contains(*value)) return bad(node, "uses a value that does not exist");
      if (!is_defined(*value)) return bad(node, fmt::format("uses '{}' before it is defined", graph_.values[*value].name));
    } else if (const auto* subgraph = arg.as<GraphId>()) {
      if (!graph_.subgraphs.contains(*subgraph) || !graph_.subgraphs[*subgraph])
        return bad(node, "names a subgraph that does not exist");
      TRY_DO(Verifier(*graph_.subgraphs[*subgraph], nesting_ + 1).run());
    } else if (const auto* region = arg.as<RegionId>()) {
      TRY_DO(check_region(node, *region));
    } else if (const auto* list = arg.as<Arg::List>()) {
      for (const Arg& item : *list) TRY_DO(check_arg(node, item));
    }
    return {};
  }

  Status check_region(const Node& node, RegionId id) {
    if (!graph_.regions.contains(id)) return bad(node, "names a region that does not exist");
    if (++nesting_ > kMaxNesting) return bad(node, "has regions that are nested too deeply");
    const Region& region = graph_.regions[id];
    for (const ValueId v : region.inputs)
      if (!define(v)) return bad(node, "has a region input that is defined before, or whose name is taken");
    for (const NodeId n : region.order) {
      if (!graph_.nodes.contains(n)) return bad(node, "has a region with a node that does not exist");
      TRY_DO(check_node(n));
    }
    for (const ValueId v : region.outputs)
      if (!is_defined(v)) return bad(node, "has a region output that is never defined");
    --nesting_;
    return {};
  }

  Status check_node(NodeId id) {
    const Node& node = graph_.nodes[id];
    if (node.target.empty()) return bad(node, "has no target");
    for (const NamedArg& named : node.args) TRY_DO(check_arg(node, named.arg));
    for (const ValueId result : node.results) {
      if (!result) continue;
      if (!define(result)) return bad(node, "has a result that is defined before, or whose name is taken");
      if (graph_.values[result].producer != id)
        return bad(node, fmt::format("makes '{}', which names another node", graph_.values[result].name));
    }
    return {};
  }

  Status check_output(const GraphOutput& output) {
    using Kind = GraphOutput::Kind;
    Status status;
    for_each_value(output.value, [&](ValueId value) {
      if (!is_defined(value)) status = diag(DiagKind::BadProgram, "a graph output is never defined");
    });
    TRY_DO(std::move(status));
    const auto known = [&](GraphInput::Kind kind) { return targets_[kind].contains(output.target); };
    const bool found = output.kind == Kind::BufferMutation      ? known(GraphInput::Kind::Buffer)
                       : output.kind == Kind::ParameterMutation ? known(GraphInput::Kind::Parameter)
                       : output.kind == Kind::UserInputMutation ? names_.contains(output.target)
                                                                : true;
    if (!found)
      return diag(DiagKind::BadProgram, fmt::format("a graph output changes '{}', which is no input", output.target));
    return {};
  }

  const Graph& graph_;
  int nesting_;
  std::vector<bool> defined_;
  std::unordered_set<std::string_view> names_;
  std::unordered_map<GraphInput::Kind, std::unordered_set<std::string_view>> targets_;
};

}  // namespace

Status verify(const Graph& graph) { return Verifier(graph, 0).run(); }

}  // namespace cortland::torch
