// Branches and loops whose subgraphs are regions of the graph. map and scan are loops by then (torch_passes/control_flow.h).
#include <fmt/format.h>

#include <algorithm>

#include "mil_ops/ops.h"
#include "torch_ops/lowering_state.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {

// ---- regions

Result<std::vector<Operand>> Lowering::stored_tensors(std::string_view name) {
  const auto* list = arg(name).as<torch::Arg::List>();
  if (!list) return reject(DiagKind::UnsupportedArgument, fmt::format("argument '{}' is not a list", name));
  std::vector<Operand> out;
  for (const torch::Arg& a : *list) {
    const auto* v = a.as<torch::ValueId>();
    const auto it = v ? state_.operands.find(*v) : state_.operands.end();
    if (it == state_.operands.end() && v && v->valid() && graph_.values[*v].kind == torch::Value::Kind::Tensor)
      return reject(DiagKind::UnsupportedArgument, fmt::format("'{}' has no Core ML value", graph_.values[*v].name));
    out.push_back(it == state_.operands.end() ? Operand() : it->second);
  }
  return out;
}

const torch::Region& Lowering::region(std::string_view name) const {
  static const torch::Region none;
  const auto* id = arg(name).as<torch::RegionId>();
  return id ? graph_.regions[*id] : none;
}

mil::ValueId Lowering::block_input(const std::string& name, mil::Type type) {
  return state_.program.add_value(name, std::move(type));
}

namespace {

bool makes_tensors(const torch::Graph& graph, const torch::Node& node) {
  return std::any_of(node.results.begin(), node.results.end(),
                     [&](torch::ValueId v) { return v && graph.values[v].kind == torch::Value::Kind::Tensor; });
}

}  // namespace

Result<std::vector<Operand>> Lowering::inlined(std::string_view name, const std::vector<Operand>& inputs) {
  const torch::Region& region = this->region(name);
  if (region.inputs.size() != inputs.size())
    return reject(DiagKind::BadProgram,
                  fmt::format("passes {} values to a subgraph with {} inputs", inputs.size(), region.inputs.size()));
  for (size_t i = 0; i < inputs.size(); ++i) state_.operands[region.inputs[i]] = inputs[i];
  for (const torch::NodeId n : region.order)
    if (makes_tensors(graph_, graph_.nodes[n])) TRY_DO(lower_node(state_, graph_, n));
  std::vector<Operand> outputs;
  for (const torch::ValueId v : region.outputs) {
    const auto it = state_.operands.find(v);
    if (it == state_.operands.end() || !it->second)
      return reject(DiagKind::UnsupportedOp, fmt::format("'{}' has no Core ML value", graph_.values[v].name));
    TRY(outputs.emplace_back(), cast(it->second, mil_dtype(graph_.type(v).dtype)));
  }
  return outputs;
}

Result<mil::BlockId> Lowering::block(std::string_view name, const std::vector<Operand>& inputs,
                                     const std::vector<mil::ValueId>& taken) {
  const LoweringState::Nested nested(state_);
  const mil::BlockId id = state_.block;
  state_.program.blocks[id].inputs = taken;
  TRY(const auto results, inlined(name, inputs));
  std::vector<Operand> outputs;
  for (Operand output : results) {
    const mil::OpId producer = output.is_value() ? state_.program.values[output.value()].producer : mil::OpId{};
    const bool own = producer && state_.program.ops[producer].parent == id;
    if (!own || std::find(outputs.begin(), outputs.end(), output) != outputs.end()) {
      TRY(output, op(mil_ops::identity, {{"x", output}}));
    }
    outputs.push_back(output);
  }
  state_.program.blocks[id].outputs = std::move(outputs);
  return id;
}

namespace {

// ---- cond

Lowered lower_cond(Lowering& in) {
  TRY(Operand condition, in.tensor("pred"));
  TRY(condition, in.cast(condition, DType::Bool));
  const auto &yes = in.region("true_fn").outputs, &no = in.region("false_fn").outputs;
  const torch::Graph& graph = in.graph();
  if (yes.size() != no.size() || yes.size() != in.node().results.size())
    return in.reject(DiagKind::BadProgram, "the branches do not return the same number of values");
  for (size_t i = 0; i < yes.size(); ++i) {
    const TensorType &a = graph.type(yes[i]), &b = graph.type(no[i]);
    if (a != b)
      return in.reject(DiagKind::UnsupportedShape,
                       fmt::format("output {} is {} in one branch and {} in the other, and Core ML wants one type", i,
                                   str(a, in.dim_table()), str(b, in.dim_table())),
                       "make the branches return tensors of the same shape, for example by padding");
  }
  if (yes.empty()) return in.reject(DiagKind::UnsupportedOp, "the branches return nothing");
  TRY(const auto inputs, in.stored_tensors("operands"));
  if (const auto known = in.const_ints(condition); known && known->size() == 1) {  // coremltools reads no constant condition
    TRY(auto results, in.inlined(known->front() ? "true_fn" : "false_fn", inputs));
    return Results{std::move(results)};
  }
  TRY(const mil::BlockId first, in.block("true_fn", inputs));
  TRY(const mil::BlockId second, in.block("false_fn", inputs));
  return in.multi(mil_ops::cond, {{"pred", condition}}, {first, second});
}

// ---- while_loop

Lowered lower_while_loop(Lowering& in) {
  TRY(const auto first, in.stored_tensors("carried_inputs"));
  TRY(const auto extra, in.stored_tensors("additional_inputs"));
  const auto& carried = *in.arg("carried_inputs").as<torch::Arg::List>();
  std::vector<Operand> start;
  std::vector<mil::Type> types;
  for (size_t i = 0; i < first.size(); ++i) {
    const auto* v = carried[i].as<torch::ValueId>();
    if (!v || !first[i]) return in.reject(DiagKind::UnsupportedArgument, "carries something that is not a tensor");
    TensorType type = in.graph().type(*v);
    type.dtype = in.mil_dtype(type.dtype);
    TRY(Operand value, in.cast(first[i], type.dtype));
    start.push_back(value);
    types.emplace_back(std::move(type));
  }
  std::vector<mil::BlockId> blocks;
  for (const char* part : {"cond_fn", "body_fn"}) {
    const torch::Region& region = in.region(part);
    if (region.inputs.size() != types.size() + extra.size()) return in.reject(DiagKind::BadProgram, "its subgraphs do not take what it carries");
    std::vector<mil::ValueId> taken;
    std::vector<Operand> inputs;
    for (size_t i = 0; i < types.size(); ++i) {
      taken.push_back(in.block_input(in.graph().values[region.inputs[i]].name, types[i]));
      inputs.emplace_back(taken.back());
    }
    inputs.insert(inputs.end(), extra.begin(), extra.end());
    TRY(blocks.emplace_back(), in.block(part, inputs, taken));
  }
  return in.multi(mil_ops::while_loop, {{"loop_vars", start}}, blocks);
}

constexpr TorchOp kOps[] = {
    {.schema = "higher_order::cond(Tensor pred, Graph true_fn, Graph false_fn, Tensor[] operands) -> Tensor[]",
     .lower = lower_cond},
    {.schema = "higher_order::while_loop(Graph cond_fn, Graph body_fn, Tensor[] carried_inputs, Tensor[] additional_inputs) "
               "-> Tensor[]",
     .lower = lower_while_loop},
};

}  // namespace

extern const std::span<const TorchOp> kControlFlowOps;
const std::span<const TorchOp> kControlFlowOps = kOps;

}  // namespace cortland::torch_ops
