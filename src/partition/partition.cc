#include "partition/partition.h"

#include <fmt/format.h>

#include <algorithm>
#include <queue>
#include <unordered_set>

#include "partition/build.h"
#include "partition/capability.h"
#include "partition/decide.h"
#include "partition/enumerated_shapes.h"

namespace cortland::partition {
namespace {

using torch::GraphInput;
using torch::GraphOutput;
using torch::NodeId;
using torch::ValueId;

// Size arithmetic that a CPU operator or an output needs; delegates compute sizes from their inputs. Sizes that a decomposition names
// have no node: the number in them has.
std::unordered_set<NodeId> live_symbolic_nodes(const torch::Graph& graph, const Decision& decision) {
  std::unordered_set<NodeId> live;
  std::vector<NodeId> pending;
  auto need = [&](ValueId v) {
    if (!v) return;
    const torch::Value& value = graph.values[v];
    if (value.producer && value.kind != torch::Value::Kind::Tensor && live.insert(value.producer).second) pending.push_back(value.producer);
  };
  for (const auto& o : graph.outputs) for_each_value(o.value, need);
  std::map<std::string, ValueId> read;
  for (NodeId n : graph.order)
    if (const auto number = number_read(graph, graph.nodes[n])) read.emplace(number->first, graph.nodes[n].results[0]);
  for (NodeId n : graph.order) {
    if (!decision.refused.count(n)) continue;
    for (const auto& a : graph.nodes[n].args) for_each_value(a.arg, need);
    for_each_number(graph, read, n, need);
  }
  while (!pending.empty()) {
    const NodeId n = pending.back();
    pending.pop_back();
    for (const auto& a : graph.nodes[n].args) for_each_value(a.arg, need);
  }
  return live;
}

// Nodes that no part computes: each takes what it needs of them from its inputs.
bool is_left_out(const torch::Graph& graph, const torch::Node& node) { return is_symbolic_node(graph, node) || number_read(graph, node); }

Result<Dag> make_dag(const torch::Graph& graph, const std::vector<NodeId>& order, const Decision& decision, const Numbers& numbers) {
  std::unordered_map<NodeId, int32_t> position;
  for (size_t i = 0; i < order.size(); ++i) position[order[i]] = static_cast<int32_t>(i);
  Dag dag{std::vector<std::vector<int32_t>>(order.size()), std::vector<bool>(order.size())};
  ValueId lost;
  for (size_t i = 0; i < order.size(); ++i) {
    const torch::Node& node = graph.nodes[order[i]];
    dag.supported[i] = !decision.refused.count(order[i]) && !is_left_out(graph, node);
    auto edge = [&](ValueId v) {
      if (!v || !graph.values[v].producer) return;
      if (dag.supported[i] && graph.values[v].kind != torch::Value::Kind::Tensor) return;
      const auto producer = position.find(graph.values[v].producer);
      if (producer == position.end()) {  // types that lie let a producer be folded or taken apart without this result
        lost = v;
        return;
      }
      auto& users = dag.users[static_cast<size_t>(producer->second)];
      if (users.empty() || users.back() != static_cast<int32_t>(i)) users.push_back(static_cast<int32_t>(i));
    };
    for (const auto& a : node.args) for_each_value(a.arg, edge);
    if (dag.supported[i]) for_each_number(graph, numbers, order[i], edge);
  }
  if (lost) return diag(DiagKind::BadProgram, fmt::format("'{}' is read but not computed", graph.values[lost].name));
  return dag;
}

Diagnostic needed_outside(const torch::Node& item) {
  Diagnostic d = diag(DiagKind::UnsupportedOp, "an operator on the CPU, or the caller, needs the number that it takes out of a tensor");
  d.op = item.target;
  d.node = item.name;
  d.source = item.source.str();
  return d;
}

// Values of the part that somebody outside reads, in execution order.
std::vector<ValueId> outputs_of(const torch::Graph& graph, const std::vector<NodeId>& part, const std::vector<NodeId>& order,
                                const Numbers& numbers) {
  const std::unordered_set<NodeId> inside(part.begin(), part.end());
  std::unordered_set<ValueId> wanted;
  auto want = [&](ValueId v) { wanted.insert(v); };
  for (NodeId n : order) {
    if (inside.count(n)) continue;
    for (const auto& a : graph.nodes[n].args) for_each_value(a.arg, want);
    for_each_number(graph, numbers, n, want);
  }
  for (const auto& o : graph.outputs) for_each_value(o.value, want);
  std::vector<ValueId> outputs;
  for (NodeId n : part)
    for (ValueId v : graph.nodes[n].results)
      if (v && wanted.count(v) && graph.values[v].kind == torch::Value::Kind::Tensor) outputs.push_back(v);
  return outputs;
}

// Delegates and CPU nodes in an order that respects every dependency, earliest node first.
std::vector<Step> schedule(const torch::Graph& graph, const std::vector<NodeId>& order, const std::vector<Delegate>& delegates) {
  const size_t parts = delegates.size();
  std::unordered_map<NodeId, size_t> group;
  for (size_t d = 0; d < parts; ++d)
    for (NodeId n : delegates[d].nodes) group[n] = d;
  std::vector<NodeId> alone;
  for (NodeId n : order)
    if (group.emplace(n, parts + alone.size()).second) alone.push_back(n);
  const size_t groups = parts + alone.size();
  std::vector<size_t> first(groups, order.size());
  for (size_t i = order.size(); i-- > 0;) first[group.at(order[i])] = i;
  std::vector<std::set<size_t>> next(groups);
  std::vector<size_t> waiting(groups, 0);
  auto depend = [&](size_t user, ValueId v) {
    if (!v || !graph.values[v].producer) return;
    const auto it = group.find(graph.values[v].producer);
    if (it != group.end() && it->second != user && next[it->second].insert(user).second) ++waiting[user];
  };
  for (size_t d = 0; d < parts; ++d)
    for (ValueId v : delegates[d].inputs) depend(d, v);
  for (size_t i = 0; i < alone.size(); ++i)
    for (const auto& a : graph.nodes[alone[i]].args) for_each_value(a.arg, [&](ValueId v) { depend(parts + i, v); });
  using Entry = std::pair<size_t, size_t>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> ready;
  for (size_t g = 0; g < groups; ++g)
    if (waiting[g] == 0) ready.push({first[g], g});
  std::vector<Step> steps;
  while (!ready.empty()) {
    const size_t g = ready.top().second;
    ready.pop();
    steps.push_back(g < parts ? Step{g} : Step{alone[g - parts]});
    for (size_t u : next[g])
      if (--waiting[u] == 0) ready.push({first[u], u});
  }
  CHECK(steps.size() == groups, "partitions form a cycle");
  return steps;
}

bool all_zero(const Weight& w) {
  const std::string bytes = w.bytes();
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; });
}

}  // namespace

std::string why_not_state(const torch::Graph& graph, const torch::GraphInput& buffer, const PartitionOptions& options) {
  const TensorType& type = graph.type(buffer.value);
  if (!is_float(type.dtype)) return fmt::format("it holds {}, and Core ML states are float16", torch_name(type.dtype));
  if (options.float_type == DType::F32) return "float32 precision was asked for, and Core ML states are float16";
  if (!type.is_static() || type.rank() == 0) return "Core ML states have a fixed shape of rank 1 or more";
  if (buffer.data && !all_zero(buffer.data)) return "it does not start at zero, and Core ML states do";
  // Last: a newer target would not help the others.
  if (options.target < mil::Target::iOS18) return "Core ML has states from iOS18 on; a deployment target of iOS18 would allow it";
  return {};
}

namespace {

// Mutable buffers that no part can hold as its state, by the reason; reasons in the order in which they came up.
using KeptBuffers = std::vector<std::pair<std::string, std::vector<std::string>>>;

void keep_buffer(KeptBuffers& kept, const std::string& why, const std::string& name) {
  auto same = std::ranges::find(kept, why, &KeptBuffers::value_type::first);
  if (same == kept.end()) same = kept.insert(kept.end(), {why, {}});
  same->second.push_back(name);
}

// One sentence for all buffers of one reason: a decoder has two a layer.
std::string describe(const std::string& why, const std::vector<std::string>& names) {
  constexpr size_t kMost = 8;
  std::string list;
  for (size_t i = 0; i < std::min(names.size(), kMost); ++i) list += fmt::format("{}'{}'", i ? ", " : "", names[i]);
  if (names.size() > kMost) list += fmt::format(" and {} more", names.size() - kMost);
  return names.size() == 1 ? fmt::format("the mutable buffer {} does not become Core ML state, it is passed in and out: {}", list, why)
                           : fmt::format("the mutable buffers {} do not become Core ML state, they are passed in and out: {}", list, why);
}

// Adds what was kept to `warnings`; with lower_full_graph it is an error.
Status report_kept(const KeptBuffers& kept, bool lower_full_graph, std::vector<Diagnostic>& warnings) {
  std::string all;
  for (const auto& [why, names] : kept) {
    const std::string what = describe(why, names);
    all += (all.empty() ? "" : "\n  ") + what;
    if (!lower_full_graph) warnings.push_back(diag(DiagKind::UnsupportedTarget, what, "set take_over_mutable_buffer to false to say that this is wanted"));
  }
  if (!lower_full_graph || kept.empty()) return {};
  return diag(DiagKind::UnsupportedTarget, all, "allow partial lowering, or change what the reasons say");
}

// Buffers that one part alone reads and writes become its states; the caller then never sees them.
KeptBuffers take_over_buffers(torch::Graph& graph, std::vector<Part>& parts, const PartitionOptions& options) {
  KeptBuffers kept;
  std::unordered_map<NodeId, size_t> part_of;
  for (size_t p = 0; p < parts.size(); ++p)
    for (NodeId n : parts[p].nodes) part_of[n] = p;
  std::unordered_map<ValueId, std::set<size_t>> readers;  // parts.size(): a CPU operator
  for (NodeId n : graph.order)
    for (const auto& a : graph.nodes[n].args)
      for_each_value(a.arg, [&](ValueId v) { readers[v].insert(part_of.count(n) ? part_of[n] : parts.size()); });
  std::vector<GraphOutput> outputs;
  std::set<ValueId> taken;
  for (const GraphOutput& output : graph.outputs) {
    const auto* after = output.value.as<ValueId>();
    const auto input = std::find_if(graph.inputs.begin(), graph.inputs.end(), [&](const GraphInput& i) {
      return i.kind == GraphInput::Kind::Buffer && i.target == output.target;
    });
    const bool mutation = output.kind == GraphOutput::Kind::BufferMutation && after && input != graph.inputs.end() && part_of.count(graph.values[*after].producer);
    if (!mutation) {
      outputs.push_back(output);
      continue;
    }
    std::string why = why_not_state(graph, *input, options);
    const size_t p = part_of.at(graph.values[*after].producer);
    auto& seen = readers[input->value];
    const bool returned = std::any_of(graph.outputs.begin(), graph.outputs.end(), [&](const GraphOutput& o) {
      return o.kind == GraphOutput::Kind::UserOutput && o.value.as<ValueId>() && *o.value.as<ValueId>() == input->value;
    });
    if (why.empty() && (seen.size() > 1 || (seen.size() == 1 && !seen.count(p)) || returned)) why = "more than one part of the program uses it";
    if (why.empty()) {
      parts[p].states.push_back({input->value, *after});
      taken.insert(input->value);
      continue;
    }
    keep_buffer(kept, why, output.target);
    outputs.push_back(output);
  }
  graph.outputs = std::move(outputs);
  std::erase_if(graph.inputs, [&](const GraphInput& i) { return taken.count(i.value); });
  return kept;
}

Diagnostic full_graph_error(const torch::Graph& graph, const Decision& decision) {
  std::string what = "these operators cannot be lowered to Core ML, and the whole graph was asked for:";
  for (NodeId n : graph.order) {
    const auto it = decision.refused.find(n);
    if (it == decision.refused.end()) continue;
    const Diagnostic& d = it->second;
    what += fmt::format("\n  {} ({}): {}{}{}", d.node, d.op, d.what, d.source.empty() ? "" : "; at ", d.source);
    what += fmt::format("\n    help: {}", d.remedy());
  }
  return diag(DiagKind::NotDelegated, what);
}

}  // namespace

bool is_symbolic_node(const torch::Graph& graph, const torch::Node& node) {
  if (node.results.empty()) return false;
  for (ValueId v : node.results)
    if (!v || graph.values[v].kind == torch::Value::Kind::Tensor) return false;
  return !is_item(node);  // which reads data: not arithmetic on sizes
}

Result<PartitionedGraph> partition_graph(torch::Graph graph, const PartitionOptions& options) {
  TRY(auto decision, decide(graph, options));
  return partition_graph(Decided{std::move(graph), std::move(decision)}, options);
}

Result<PartitionedGraph> partition_graph(Decided decided, const PartitionOptions& options) {
  torch::Graph& graph = decided.graph;
  Decision& decision = decided.decision;
  TRY_DO(check_enumerated_shapes(graph, options));
  PartitionedGraph result;
  const Numbers numbers = numbers_read(graph, decision.refused);
  const auto live = live_symbolic_nodes(graph, decision);
  for (NodeId n : live)
    if (number_read(graph, graph.nodes[n])) decision.refused.try_emplace(n, needed_outside(graph.nodes[n]));
  if (options.lower_full_graph && !decision.refused.empty()) return full_graph_error(graph, decision);
  std::erase_if(graph.order, [&](NodeId n) { return is_left_out(graph, graph.nodes[n]) && !live.count(n) && !decision.refused.count(n); });
  const std::vector<NodeId>& order = graph.order;
  std::vector<Part> parts;
  TRY(const Dag dag, make_dag(graph, order, decision, numbers));
  for (const auto& positions : capability_partitions(dag)) {
    Part part;
    for (int32_t i : positions) part.nodes.push_back(order[static_cast<size_t>(i)]);
    part.read_in_float16 = decision.read_in_float16;
    part.float16_range = decision.float16_range;
    part.float32_nodes = decision.float32_nodes;
    part.numbers = numbers;
    parts.push_back(std::move(part));
  }
  if (options.take_over_mutable_buffer)
    TRY_DO(report_kept(take_over_buffers(graph, parts, options), options.lower_full_graph, result.warnings));
  for (Part& part : parts) {
    part.outputs = outputs_of(graph, part.nodes, order, numbers);
    if (part.outputs.empty() && part.states.empty()) continue;
    TRY(Delegate delegate, build_delegate(graph, part, {}, options));
    delegate.name = fmt::format("lowered_module_{}", result.delegates.size());
    result.delegates.push_back(std::move(delegate));
  }
  std::unordered_set<NodeId> computed;
  for (const Delegate& d : result.delegates) computed.insert(d.nodes.begin(), d.nodes.end());
  // Parts nobody reads are gone.
  std::erase_if(graph.order, [&](NodeId n) {
    return !computed.count(n) && !decision.refused.count(n) && !is_symbolic_node(graph, graph.nodes[n]);
  });
  for_each_node(graph, graph.order, [&](NodeId n) {
    const auto it = decision.refused.find(n);
    if (it == decision.refused.end()) return;
    const auto kept = decision.kept_whole.find(n);
    result.cpu_ops.push_back({n, it->second, kept == decision.kept_whole.end() ? std::string() : kept->second});
  });
  result.steps = schedule(graph, graph.order, result.delegates);
  result.graph = std::move(graph);
  return result;
}

Result<Delegate> lower_whole(torch::Graph& graph, const Decision& decision, const PartitionOptions& options,
                             std::vector<Diagnostic>* kept_outside) {
  CHECK(options.lower_full_graph);
  TRY_DO(check_enumerated_shapes(graph, options));
  if (!decision.refused.empty()) return full_graph_error(graph, decision);
  std::vector<Part> parts(1);
  Part& part = parts[0];
  part.numbers = numbers_read(graph, decision.refused);
  std::erase_if(graph.order, [&](NodeId n) { return is_left_out(graph, graph.nodes[n]); });
  part.nodes = graph.order;
  part.read_in_float16 = decision.read_in_float16;
  part.float16_range = decision.float16_range;
  part.float32_nodes = decision.float32_nodes;
  std::vector<Diagnostic> none;
  if (options.take_over_mutable_buffer)
    TRY_DO(report_kept(take_over_buffers(graph, parts, options), !kept_outside, kept_outside ? *kept_outside : none));
  for (const auto& output : graph.outputs) {
    const auto* v = output.value.as<ValueId>();
    if (!v || graph.values[*v].kind != torch::Value::Kind::Tensor) continue;
    part.outputs.push_back(*v);
  }
  std::vector<ValueId> inputs;
  for (const auto& input : graph.inputs)
    if (input.kind == torch::GraphInput::Kind::UserInput && input.value) inputs.push_back(input.value);
  return build_delegate(graph, part, inputs, options);
}

Result<mil::Program> convert_graph(torch::Graph graph, const PartitionOptions& options, std::vector<Diagnostic>* warnings) {
  TRY(auto decision, decide(graph, options));
  return convert_graph(Decided{std::move(graph), std::move(decision)}, options, warnings);
}

Result<mil::Program> convert_graph(Decided decided, const PartitionOptions& given, std::vector<Diagnostic>* warnings) {
  PartitionOptions options = given;
  options.lower_full_graph = true;
  // Without a program around the model, buffers that stay outside are its inputs and outputs.
  TRY(Delegate delegate, lower_whole(decided.graph, decided.decision, options, warnings));
  return std::move(delegate.program);
}

}  // namespace cortland::partition
