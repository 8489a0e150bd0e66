#include "torch_ops/decompose.h"

#include <fmt/format.h>

#include <algorithm>

#include "torch_ops/op.h"

namespace cortland::torch_ops {

using torch::Arg;
using torch::NodeId;
using torch::ValueId;

namespace {

const Arg kNone;

std::optional<int64_t> int_of(const torch::Graph& graph, const Arg& a) {
  if (const auto* i = a.as<int64_t>()) return *i;
  if (const auto* b = a.as<bool>()) return *b;
  if (const auto* v = a.as<ValueId>(); v && *v && graph.values[*v].has_sym && graph.values[*v].sym.is_constant()) return graph.values[*v].sym.constant();
  return std::nullopt;
}

}  // namespace

Decomposition::Decomposition(torch::Graph& graph, NodeId node, const torch::Schema& schema) : graph_(graph), node_(node), schema_(schema) {}

const Arg& Decomposition::arg(std::string_view name) const {
  if (const Arg* given = node().find(name)) return *given;
  for (size_t i = 0; i < schema_.args.size(); ++i) {
    if (schema_.args[i].name != name) continue;
    if (i < node().args.size() && node().args[i].name.empty()) return node().args[i].arg;
    return schema_.args[i].has_default ? schema_.args[i].fallback : kNone;
  }
  return kNone;
}

ValueId Decomposition::tensor(std::string_view name) const {
  const auto* v = arg(name).as<ValueId>();
  return v && graph_.values[*v].kind == torch::Value::Kind::Tensor ? *v : ValueId{};
}

std::optional<int64_t> Decomposition::integer(std::string_view name) const { return int_of(graph_, arg(name)); }

std::optional<std::vector<int64_t>> Decomposition::ints(std::string_view name) const {
  const Arg& a = arg(name);
  if (const auto one = int_of(graph_, a)) return std::vector<int64_t>{*one};
  const auto* list = a.as<Arg::List>();
  if (!list) return std::nullopt;
  std::vector<int64_t> out;
  for (const Arg& item : *list) {
    const auto i = int_of(graph_, item);
    if (!i) return std::nullopt;
    out.push_back(*i);
  }
  return out;
}

std::optional<double> Decomposition::number(std::string_view name) const {
  if (const auto* f = arg(name).as<double>()) return *f;
  if (const auto i = integer(name)) return static_cast<double>(*i);
  return std::nullopt;
}

bool Decomposition::boolean(std::string_view name) const {
  const auto* b = arg(name).as<bool>();
  return b && *b;
}

std::string Decomposition::str(std::string_view name) const {
  const auto* s = arg(name).as<std::string>();
  return s ? *s : std::string();
}

TensorType Decomposition::result_type(size_t i) const {
  return i < node().results.size() && node().results[i] ? graph_.type(node().results[i]) : TensorType{};
}

bool Decomposition::result_used(size_t i) const {
  const ValueId v = i < node().results.size() ? node().results[i] : ValueId{};
  bool used = false;
  auto look = [&](ValueId u) { used = used || (u && u == v); };
  for_each_node(graph_, graph_.order, [&](NodeId n) {
    for (const auto& a : graph_.nodes[n].args) for_each_value(a.arg, look);
  });
  for (const auto& region : graph_.regions)
    for (ValueId u : region.outputs) look(u);
  for (const auto& o : graph_.outputs) for_each_value(o.value, look);
  return used;
}

std::vector<ValueId> Decomposition::multi(std::string target, std::vector<torch::NamedArg> args, std::vector<TensorType> types) {
  const NodeId id{graph_.nodes.size()};
  torch::Node made;
  made.target = std::move(target);
  made.name = fmt::format("{}_{}", node().name, added.size());
  made.args = std::move(args);
  made.source = node().source;
  std::vector<ValueId> results;
  for (size_t i = 0; i < types.size(); ++i) {
    torch::Value value;
    value.name = types.size() == 1 ? made.name : fmt::format("{}_{}", made.name, i);
    value.type = std::move(types[i]);
    value.producer = id;
    results.push_back(graph_.add_value(std::move(value)));
  }
  made.results = results;
  graph_.nodes.add(std::move(made));
  added.push_back(id);
  return results;
}

ValueId Decomposition::op(std::string target, std::vector<torch::NamedArg> args, TensorType result) {
  return multi(std::move(target), std::move(args), {std::move(result)})[0];
}

ValueId Decomposition::constant(Weight data, std::string name) {
  torch::Value value;
  value.name = fmt::format("{}_{}", name, graph_.values.size());
  value.type = data.type();
  torch::GraphInput input;
  input.kind = torch::GraphInput::Kind::TensorConstant;
  input.name = input.target = value.name;
  input.data = std::move(data);
  input.value = graph_.add_value(std::move(value));
  graph_.inputs.push_back(input);
  return input.value;
}

void Decomposition::replace(size_t i, ValueId v) {
  const ValueId result = node().results[i];
  if (!result) return;
  const NodeId producer = graph_.values[v].producer;
  if (std::find(added.begin(), added.end(), producer) == added.end()) {
    v = op("aten.clone.default", {{"self", v}}, graph_.type(v));
  }
  for (NodeId n : added) {
    torch::Node& made = graph_.nodes[n];
    for (ValueId& r : made.results) {
      if (r != v) continue;
      r = result;
      graph_.values[result].producer = n;
    }
    for (auto& a : made.args)
      for_each_value(a.arg, [&](ValueId& u) {
        if (u == v) u = result;
      });
  }
}

Diagnostic Decomposition::reject(std::string why) const {
  Diagnostic d = diag(DiagKind::UnsupportedArgument, std::move(why));
  d.op = node().target;
  d.node = node().name;
  d.source = node().source.str();
  return d;
}

namespace {

// False when an argument that should be a tensor was none, as in a program that is not what it claims to be.
bool reads_only_values(const torch::Graph& graph, const std::vector<NodeId>& nodes) {
  bool all = true;
  for (const NodeId n : nodes)
    for (const auto& a : graph.nodes[n].args) for_each_value(a.arg, [&](ValueId v) { all = all && v.valid(); });
  return all;
}

// Another spelling becomes what it spells.
Status respell(Decomposition& d, std::string_view target) {
  std::vector<TensorType> types;
  for (size_t i = 0; i < d.node().results.size(); ++i) types.push_back(d.result_type(i));
  const std::vector<ValueId> results = d.multi(std::string(target), d.node().args, types);
  d.graph().nodes[d.added.back()].returns_list = d.node().returns_list;
  for (size_t i = 0; i < results.size(); ++i) d.replace(i, results[i]);
  return {};
}

}  // namespace

Result<std::vector<NodeId>> decompose_node(torch::Graph& graph, NodeId node, std::string* why) {
  const TorchOp* op = find_op(graph.nodes[node].target);
  if (!op || (!op->decompose && op->same_as.empty())) return std::vector<NodeId>{};
  Decomposition decomposition(graph, node, *find_schema(graph.nodes[node].target));
  // An operator that cannot be taken apart for these arguments simply is not.
  if (const Status status = op->decompose ? op->decompose(decomposition) : respell(decomposition, op->same_as); !status.ok()) {
    if (why) *why = status.error().what;
    return std::vector<NodeId>{};
  }
  if (!reads_only_values(graph, decomposition.added)) {
    if (why) *why = "a tensor it needs is missing";
    return std::vector<NodeId>{};
  }
  return std::move(decomposition.added);
}

torch::Arg size_argument(torch::Graph& graph, Dim dim, std::string name) {
  if (dim.is_constant()) return dim.constant();
  torch::Value value;
  value.kind = torch::Value::Kind::SymInt;
  value.name = std::move(name);
  value.sym = dim;
  value.has_sym = true;
  return graph.add_value(std::move(value));
}

}  // namespace cortland::torch_ops
