#include "torch/subclass_inputs.h"

#include <fmt/format.h>

#include <algorithm>

#include "archive/printable.h"

namespace cortland::torch {

using archive::printable;

namespace {

constexpr std::string_view kAccess = "export.access_subclass_inner_tensor.default";

class SubclassResolver {
 public:
  SubclassResolver(Graph& graph, Subclasses subclasses, const Pt2Weights& weights)
      : graph_(graph), subclasses_(std::move(subclasses)), weights_(weights) {
    for (const GraphInput& input : graph.inputs)
      if (subclasses_.contains(input.value)) names_.emplace(input.value, input.target);
  }

  Status run() {
    std::vector<NodeId> rest;
    for (const NodeId id : graph_.order) {
      if (graph_.nodes[id].target == kAccess && !graph_.nodes[id].args.empty()) {
        TRY(const bool resolved, resolve(graph_.nodes[id]));
        if (resolved) continue;
      }
      TRY_DO(check_node(graph_.nodes[id]));
      rest.push_back(id);
    }
    for (const GraphOutput& output : graph_.outputs) TRY_DO(check(output.value, nullptr));
    graph_.order = std::move(rest);
    std::erase_if(graph_.inputs,
                  [&](const GraphInput& input) { return input.value.valid() && subclasses_.contains(input.value); });
    // Before the user's inputs, as all constants are.
    const auto user = std::find_if(graph_.inputs.begin(), graph_.inputs.end(), [](const GraphInput& input) {
      return input.kind == GraphInput::Kind::UserInput || input.kind == GraphInput::Kind::ConstantInput;
    });
    graph_.inputs.insert(user, std::make_move_iterator(added_.begin()), std::make_move_iterator(added_.end()));
    return {};
  }

 private:
  // False when the node takes apart something that is no stored subclass.
  Result<bool> resolve(Node& node) {
    const auto* source = node.args[0].arg.as<ValueId>();
    const auto outer = source ? subclasses_.find(*source) : subclasses_.end();
    if (outer == subclasses_.end()) return false;
    const auto* attribute = node.args.size() == 2 ? node.args[1].arg.as<std::string>() : nullptr;
    if (!attribute || node.results.size() != 1 || !node.results[0].valid())
      return diag(DiagKind::BadProgram,
                  fmt::format("the node '{}' takes a tensor subclass apart in an unknown way", printable(node.name)));
    const ValueId result = node.results[0];
    const std::string name = fmt::format("{}.{}", names_.at(*source), *attribute);
    TRY(auto stored, weights_.inner(outer->second, names_.at(*source), *attribute));
    if (stored.subclass) {
      names_.emplace(result, name);
      subclasses_.emplace(result, std::move(stored));
      return true;
    }
    if (stored.data.type() != graph_.type(result))
      return diag(DiagKind::BadProgram,
                  fmt::format("the stored tensor '{}' is {}, but the graph expects {}", printable(name),
                              str(stored.data.type(), *graph_.dims), str(graph_.type(result), *graph_.dims)));
    GraphInput input;
    input.kind = GraphInput::Kind::TensorConstant;
    input.value = result;
    input.target = name;
    input.data = std::move(stored.data);
    input.name = graph_.values[result].name;
    graph_.values[result].producer = NodeId();
    added_.push_back(std::move(input));
    return true;
  }

  Status check_node(const Node& node) const {
    for (const NamedArg& named : node.args) TRY_DO(check(named.arg, &node));
    return {};
  }
  Status check(const Arg& arg, const Node* node) const {
    ValueId used;
    for_each_value(arg, [&](ValueId value) {
      if (subclasses_.contains(value)) used = value;
    });
    if (!used) return {};
    const StoredTensor& stored = subclasses_.at(used);
    Diagnostic error = diag(DiagKind::UnsupportedOp,
                            fmt::format("the weight '{}' is a {}, which is used as a whole", printable(names_.at(used)),
                                        printable(stored.save->class_name(*stored.subclass))),
                            "call run_decompositions() before saving, which takes tensor subclasses apart");
    if (node) {
      error.op = node->target;
      error.node = node->name;
      error.source = node->source.str();
    }
    return error;
  }

  Graph& graph_;
  Subclasses subclasses_;
  const Pt2Weights& weights_;
  std::unordered_map<ValueId, std::string> names_;
  std::vector<GraphInput> added_;
};

}  // namespace

Status resolve_subclass_inputs(Graph& graph, Subclasses subclasses, const Pt2Weights& weights) {
  if (subclasses.empty()) return {};
  return SubclassResolver(graph, std::move(subclasses), weights).run();
}

}  // namespace cortland::torch
