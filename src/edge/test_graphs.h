// Small partitioned graphs for the tests of this folder, written a node at a time. Owned by one test.
#pragma once

#include <gtest/gtest.h>

#include "edge/plan.h"

namespace cortland::edge {

class TestGraph {
 public:
  partition::PartitionedGraph g;

  torch::Graph& graph() { return g.graph; }
  Dim symbol(const std::string& name, DimRange range = {}) { return graph().dims->symbol(name, range); }

  torch::ValueId value(const std::string& name, TensorType type, torch::NodeId producer = {}) {
    torch::Value v;
    v.name = name;
    v.type = std::move(type);
    v.producer = producer;
    return graph().add_value(std::move(v));
  }

  torch::ValueId input(const std::string& name, TensorType type) {
    return add_input(torch::GraphInput::Kind::UserInput, value(name, std::move(type)), {});
  }
  torch::ValueId parameter(const std::string& name, Weight data) {
    return add_input(torch::GraphInput::Kind::Parameter, value(name, data.type()), data);
  }
  torch::ValueId buffer(const std::string& name, Weight data) {
    return add_input(torch::GraphInput::Kind::Buffer, value(name, data.type()), data);
  }

  // A node on the CPU.
  std::vector<torch::ValueId> nodes(const std::string& target, std::vector<torch::NamedArg> args, const std::vector<TensorType>& results) {
    const torch::NodeId id{graph().nodes.size()};
    torch::Node node;
    node.target = target;
    node.name = "node" + std::to_string(id.index);
    node.args = std::move(args);
    node.source = {"model.py", "forward", "return " + target, 7};
    for (size_t i = 0; i < results.size(); ++i) node.results.push_back(value(node.name + "_" + std::to_string(i), results[i], id));
    const auto made = node.results;
    graph().nodes.add(std::move(node));
    graph().order.push_back(id);
    g.steps.push_back({id});
    Diagnostic reason = diag(DiagKind::UnsupportedOp, "Core ML does not have it");
    g.cpu_ops.push_back({id, reason, {}});
    return made;
  }
  torch::ValueId node(const std::string& target, std::vector<torch::NamedArg> args, TensorType result) {
    return nodes(target, std::move(args), {std::move(result)})[0];
  }
  // A node that computes a symbolic number; `sym` when it is a size.
  torch::ValueId number(const std::string& target, std::vector<torch::NamedArg> args, torch::Value::Kind kind, std::optional<Dim> sym) {
    const torch::ValueId v = nodes(target, std::move(args), {TensorType{}})[0];
    torch::Value& value = graph().values[v];
    value.kind = kind;
    value.has_sym = sym.has_value();
    value.sym = sym.value_or(Dim());
    return v;
  }

  void output(torch::Arg value) { graph().outputs.push_back({torch::GraphOutput::Kind::UserOutput, std::move(value), {}}); }
  void mutation(torch::GraphOutput::Kind kind, torch::ValueId value, const std::string& target) { graph().outputs.push_back({kind, value, target}); }

  executorch::PteProgram plan() {
    auto program = plan_method(g, {}, "forward", &warnings);
    EXPECT_TRUE(program.ok()) << (program.ok() ? "" : program.error().what);
    return program.ok() ? *std::move(program) : executorch::PteProgram{{executorch::Plan{}}, {}, {}, {}, {}};
  }
  std::vector<Diagnostic> warnings;

 private:
  torch::ValueId add_input(torch::GraphInput::Kind kind, torch::ValueId v, Weight data) {
    torch::GraphInput in;
    in.kind = kind;
    in.value = v;
    in.name = in.target = graph().values[v].name;
    in.data = std::move(data);
    graph().inputs.push_back(in);
    return v;
  }
};

// What a plan says, in a form that tests can compare.
inline std::string text(const executorch::Plan& plan, executorch::ValueIndex index) {
  if (index < 0) return "none";
  const auto& value = plan.values.at(static_cast<size_t>(index));
  auto list = [&](const auto& items) {
    std::string s = "[";
    for (const auto item : items) s += (s.size() > 1 ? " " : "") + text(plan, static_cast<executorch::ValueIndex>(item));
    return s + "]";
  };
  if (const auto* v = std::get_if<executorch::Int>(&value)) return std::to_string(v->value);
  if (const auto* v = std::get_if<executorch::Bool>(&value)) return v->value ? "true" : "false";
  if (const auto* v = std::get_if<executorch::Double>(&value)) return std::to_string(v->value);
  if (const auto* v = std::get_if<executorch::String>(&value)) return "'" + v->value + "'";
  if (const auto* v = std::get_if<executorch::IntList>(&value)) return list(v->items);
  if (const auto* v = std::get_if<executorch::TensorList>(&value)) return list(v->items);
  if (const auto* v = std::get_if<executorch::OptionalTensorList>(&value)) return list(v->items);
  if (std::holds_alternative<executorch::TensorValue>(value)) return "t" + std::to_string(index);
  return std::holds_alternative<executorch::Null>(value) ? "null" : "?";
}

// "aten::add.out(t0 t1 1 t2 t2)"; slots that a kernel fills read as their number.
inline std::string text(const executorch::Plan& plan, const executorch::Instruction& instruction) {
  const auto* call = std::get_if<executorch::KernelCall>(&instruction);
  if (!call) return "other";
  const auto& op = plan.operators.at(static_cast<size_t>(call->op));
  std::string s = op.name + (op.overload.empty() ? "" : "." + op.overload) + "(";
  for (size_t i = 0; i < call->args.size(); ++i) s += (i > 0 ? " " : "") + text(plan, call->args[i]);
  return s + ")";
}

inline std::vector<std::string> text(const executorch::Plan& plan) {
  std::vector<std::string> lines;
  for (const auto& instruction : plan.instructions) lines.push_back(text(plan, instruction));
  return lines;
}

inline const executorch::TensorValue& tensor(const executorch::Plan& plan, executorch::ValueIndex index) {
  return std::get<executorch::TensorValue>(plan.values.at(static_cast<size_t>(index)));
}

}  // namespace cortland::edge
