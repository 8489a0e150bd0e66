#include <fmt/format.h>

#include <algorithm>

#include "device_rules/rules.h"
#include "torch/schema.h"
#include "torch_ops/lowering_state.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

Diagnostic at_node(Diagnostic d, const torch::Node& node) {
  d.op = node.target;
  d.node = node.name;
  d.source = node.source.str();
  return d;
}

bool is_empty(const TensorType& t) { return std::find(t.shape.begin(), t.shape.end(), Dim(0)) != t.shape.end(); }

// A size that the data decides may be 0 in one run and not in the next. Of one that the caller gives, a model takes 1 and more.
Status check_never_empty(const torch::Graph& graph, const TensorType& t, std::string_view what) {
  const auto size = std::find_if(t.shape.begin(), t.shape.end(), [&](Dim d) { return graph.dims->data_may_make_zero(d); });
  if (size == t.shape.end()) return {};
  return diag(DiagKind::UnsupportedShape, fmt::format("the data may leave {} empty, which Core ML cannot hold: {}", what, str(t, *graph.dims)),
              "where it never is, say so in the model: torch._check(n >= 1) of the size or the number n");
}

// Joining with nothing is common: caches start as tensors without elements.
bool takes_empty_tensors(std::string_view target) {
  return target == "aten.cat.default" || target == "aten.concat.default" || target == "aten.concatenate.default";
}

bool is_output(const torch::Graph& graph, torch::ValueId v) {
  return std::any_of(graph.outputs.begin(), graph.outputs.end(), [&](const torch::GraphOutput& o) {
    const auto* value = o.value.as<torch::ValueId>();
    return value && *value == v;
  });
}

// What no lowering can express, whatever the op. Core ML has no empty tensors, but constants may be empty until they are used.
Status check_types(LoweringState& state, const torch::Graph& graph, const torch::Node& node, bool constant) {
  auto check = [&](torch::ValueId v) -> Status {
    if (!v || graph.values[v].kind != torch::Value::Kind::Tensor) return {};
    const TensorType& t = graph.values[v].type;
    if (is_complex(t.dtype) || t.dtype == DType::Unknown || (t.dtype >= DType::F8E4M3FN && t.dtype <= DType::F8E8M0FNU))
      return diag(DiagKind::UnsupportedDtype, fmt::format("Core ML has no {} tensors", torch_name(t.dtype)));
    return {};
  };
  auto check_argument = [&](torch::ValueId v) -> Status {
    TRY_DO(check(v));
    if (v && !constant && is_empty(graph.values[v].type) && !takes_empty_tensors(node.target))
      return diag(DiagKind::UnsupportedShape, "an argument is empty, which Core ML cannot hold");
    if (v && graph.values[v].kind == torch::Value::Kind::Tensor) return check_never_empty(graph, graph.values[v].type, "an argument");
    return {};
  };
  Status status;
  auto visit = [&](torch::ValueId v) {
    if (status.ok()) status = check_argument(v);
  };
  for (const auto& a : node.args) for_each_value(a.arg, visit);
  for (torch::ValueId v : node.results)
    if (status.ok()) status = check(v);
  if (!status.ok()) return status;
  for (torch::ValueId v : node.results) {
    if (!v || graph.values[v].kind != torch::Value::Kind::Tensor) continue;
    if (!state.is_used(graph, v)) continue;  // batch norm in evaluation has empty ones
    const TensorType& t = graph.values[v].type;
    if (t.rank() > 5) return diag(DiagKind::UnsupportedRank, fmt::format("the result has rank {}, Core ML allows 5", t.rank()));
    TRY_DO(check_never_empty(graph, t, "the result"));
    if (is_empty(t) && (!constant || is_output(graph, v))) return diag(DiagKind::UnsupportedShape, "the result is empty, which Core ML cannot hold");
  }
  return {};
}

Status check_arguments(const torch::Graph& graph, const torch::Node& node, const torch::Schema& schema) {
  const auto is_tensor = [&](const torch::Arg& a) {
    const auto* v = a.as<torch::ValueId>();
    const bool number = a.as<int64_t>() || a.as<double>() || a.as<bool>();
    return number || (v && v->valid() && graph.values[*v].kind != torch::Value::Kind::Other);
  };
  for (size_t i = 0; i < schema.args.size(); ++i) {
    const torch::SchemaArg& formal = schema.args[i];
    if (formal.type != torch::SchemaArg::Type::Tensor) continue;
    const torch::Arg* given = node.find(formal.name);
    if (!given && i < node.args.size() && node.args[i].name.empty()) given = &node.args[i].arg;
    if (!given || given->is_none()) {
      if (formal.optional || formal.has_default) continue;
      return diag(DiagKind::BadProgram, fmt::format("argument '{}' is missing", formal.name));
    }
    const auto* list = given->as<torch::Arg::List>();
    bool fits = formal.list ? list != nullptr : is_tensor(*given);
    if (formal.list && list)
      for (const torch::Arg& a : *list) fits = fits && (formal.optional_items && a.is_none() ? true : is_tensor(a));
    if (!fits) return diag(DiagKind::BadProgram, fmt::format("argument '{}' is not what the schema says", formal.name));
  }
  bool listed = false;
  for (const auto& r : schema.returns) listed = listed || r.list;
  if (!listed && node.results.size() != schema.returns.size())
    return diag(DiagKind::BadProgram, fmt::format("has {} results, its schema {}", node.results.size(), schema.returns.size()));
  return {};
}

// A lowering must produce what torch recorded; sizes that MIL cannot name take torch's.
Status match_result(LoweringState& state, const torch::Value& value, Operand result) {
  if (value.kind != torch::Value::Kind::Tensor) return {};
  const mil::Type& got = state.program.type(result);
  const TensorType& want = value.type;
  auto mismatch = [&] {
    return diag(DiagKind::BadMil, fmt::format("lowers to {} where torch has {}", str(got, *state.program.dims), cortland::str(want, *state.program.dims)),
                "please report this operator: its lowering is wrong for these arguments");
  };
  const bool same_kind = is_float(want.dtype) ? is_float(got.dtype()) : is_integer(want.dtype) ? is_integer(got.dtype()) : got.dtype() == want.dtype;
  if (!same_kind || got.rank() != want.rank()) return mismatch();
  for (int i = 0; i < got.rank(); ++i) {
    const Dim g = got.shape()[static_cast<size_t>(i)], w = want.shape[static_cast<size_t>(i)];
    if (g != w && g.is_constant() && w.is_constant()) return mismatch();
  }
  if (result.is_value()) state.program.values[result.value()].type.tensor.shape = want.shape;
  return {};
}

// What the node made carries its name, so that a listing of the program can be read beside the model.
void name_result(LoweringState& state, const torch::Value& value, Operand result, int32_t node) {
  if (!result.is_value()) return;
  mil::Value& made = state.program.values[result.value()];
  if (!made.producer || state.program.ops[made.producer].origin != node) return;
  made.name = value.name;
  if (state.program.ops[made.producer].results.size() == 1) state.program.ops[made.producer].name = value.name;
}

Status try_lower(LoweringState& state, const torch::Graph& graph, torch::NodeId id, const TorchOp& op, DType compute) {
  const torch::Node& node = graph.nodes[id];
  Lowering lowering(state, graph, id, find_schema(node.target), compute);
  const int32_t first_op = state.program.ops.size();
  TRY(Results results, op.lower(lowering));
  if (results.operands.size() > node.results.size())
    return diag(DiagKind::BadMil, fmt::format("lowers to {} results where torch has {}", results.operands.size(), node.results.size()));
  for (size_t i = 0; i < node.results.size(); ++i) {
    const torch::ValueId v = node.results[i];
    if (!v || !state.is_used(graph, v)) continue;  // what nobody reads may have been left unfinished
    if (i < results.operands.size() && results.operands[i]) {
      TRY_DO(match_result(state, graph.values[v], results.operands[i]));
      name_result(state, graph.values[v], results.operands[i], id.index);
    } else {
      return diag(DiagKind::UnsupportedArgument, fmt::format("result {} has no Core ML form and is used", i));
    }
  }
  for (int32_t i = first_op; i < state.program.ops.size(); ++i) {
    const mil::Op& made = state.program.ops[mil::OpId{i}];
    if (!made.def) continue;
    if (const auto status = device_rules::check_op(state.program, made); !status.ok()) return at_node(status.error(), node);
  }
  for (size_t i = 0; i < results.operands.size(); ++i)
    if (node.results[i]) state.operands[node.results[i]] = results.operands[i];
  return {};
}

// Constants are computed in float32 whatever the model computes in, so that tables lose nothing before they are used.
bool reads_only_constants(const LoweringState& state, const torch::Graph& graph, const torch::Node& node) {
  bool constant = true;
  auto look = [&](torch::ValueId v) {
    const auto it = state.operands.find(v);
    const bool known = it != state.operands.end() && it->second.is_const();
    constant = constant && v && (known || graph.values[v].kind != torch::Value::Kind::Tensor);
  };
  for (const auto& a : node.args) for_each_value(a.arg, look);
  return constant;
}

// Whether constants came out; those that would be too large are left to be computed, as the rest of the model is.
bool is_folded(const LoweringState& state, const torch::Node& node) {
  return std::all_of(node.results.begin(), node.results.end(), [&](torch::ValueId v) {
    const auto it = state.operands.find(v);
    return it == state.operands.end() || !it->second.is_value();
  });
}

}  // namespace

Status check_signature(const torch::Graph& graph, torch::NodeId id) {
  const torch::Node& node = graph.nodes[id];
  const torch::Schema* schema = find_schema(node.target);
  if (!schema) return {};
  const Status status = check_arguments(graph, node, *schema);
  return status.ok() ? status : Status(at_node(status.error(), node));
}

Status lower_node(LoweringState& state, const torch::Graph& graph, torch::NodeId id) {
  const torch::Node& node = graph.nodes[id];
  const TorchOp* op = find_op(node.target);
  if (!op)
    return at_node(diag(DiagKind::UnknownOp, "Cortland does not know this operator", "it stays on the CPU if ExecuTorch has a kernel for it"), node);
  if (!op->lower) return at_node(diag(DiagKind::UnsupportedOp, "there is no Core ML form of this operator"), node);
  TRY_DO(check_signature(graph, id));
  const bool constant = reads_only_constants(state, graph, node);
  if (auto status = check_types(state, graph, node, constant); !status.ok()) return at_node(status.error(), node);
  DType compute = state.options.float_type;
  if (state.float32_nodes.count(id) || constant) compute = DType::F32;
  const auto mark = state.mark();
  state.float16_overflow = false;
  Status status = try_lower(state, graph, id, *op, compute);
  if (status.ok() && constant && !state.float32_nodes.count(id) && compute != state.options.float_type && !is_folded(state, node)) {
    state.roll_back(mark);
    compute = state.options.float_type;
    status = try_lower(state, graph, id, *op, compute);
  }
  if (status.ok() && state.float16_overflow && compute == DType::F16) {
    // A constant beyond 65504: this node computes in float32.
    state.roll_back(mark);
    status = try_lower(state, graph, id, *op, DType::F32);
    state.float16_overflow = false;
    state.float32_nodes.insert(id);
  }
  if (!status.ok()) {
    state.roll_back(mark);
    for (torch::ValueId v : node.results) state.operands.erase(v);
    return status.error().node.empty() ? at_node(status.error(), node) : status.error();
  }
  return {};
}

}  // namespace cortland::torch_ops
