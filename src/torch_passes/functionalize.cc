#include "torch_passes/functionalize.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "torch_passes/collapse.h"
#include "torch_passes/complex.h"
#include "torch_passes/control_flow.h"
#include "torch_passes/empty_parts.h"
#include "torch_passes/high_rank.h"
#include "torch_passes/storages.h"
#include "torch_passes/subgraphs.h"
#include "torch_passes/views.h"

namespace cortland::torch_passes {
namespace {

using torch::Arg;
using torch::Graph;
using torch::GraphInput;
using torch::GraphOutput;
using torch::Node;
using torch::NodeId;
using torch::ValueId;

constexpr int kMostNesting = 32;  // of subgraphs

bool is_assert(const std::string& target) {
  return target.starts_with("aten._assert_") || target.starts_with("aten.sym_constrain_range") || target == "aten._assert_async.default";
}

// "aten.add_.Tensor" -> "aten.add.Tensor"; empty for operators that write nothing.
std::string functional_target(const std::string& target) {
  static const std::unordered_map<std::string, std::string> other_overloads = {
      {"aten.floor_divide_.Tensor", "aten.floor_divide.default"},
      {"aten.pow_.Scalar", "aten.pow.Tensor_Scalar"},
      {"aten.pow_.Tensor", "aten.pow.Tensor_Tensor"},
      {"aten.float_power_.Scalar", "aten.float_power.Tensor_Scalar"},
      {"aten.float_power_.Tensor", "aten.float_power.Tensor_Tensor"},
      {"aten.bernoulli_.float", "aten.bernoulli.p"}};
  if (const auto it = other_overloads.find(target); it != other_overloads.end()) return it->second;
  if (!target.starts_with("aten.")) return {};
  const size_t dot = target.find('.', 5);
  if (dot == std::string::npos || target[dot - 1] != '_' || target[dot - 2] == '_') return {};
  return target.substr(0, dot - 1) + target.substr(dot);
}

// Comparisons and logic give truth values, which a write in place stores as numbers of the tensor's type.
bool gives_truth(std::string_view target) {
  constexpr std::string_view kNames[] = {"logical_not", "logical_and", "logical_or", "logical_xor", "eq", "ne", "lt", "le", "gt", "ge",
                                         "greater", "greater_equal", "less", "less_equal", "not_equal"};
  return std::find(std::begin(kNames), std::end(kNames), base_name(target)) != std::end(kNames);
}

// Operators whose results share memory with several tensors, which no place of one storage can say.
bool shares_several(const std::string& target) {
  return target == "aten.broadcast_tensors.default" || base_name(target) == "meshgrid" ||
         (target.starts_with("aten.atleast_") && target.ends_with(".Sequence"));
}

class Functionalizer {
 public:
  explicit Functionalizer(Graph& graph) : graph_(graph) {}

  Status run() {
    const std::vector<NodeId> order = std::exchange(graph_.order, {});
    for (NodeId id : order) {
      if (is_assert(graph_.nodes[id].target)) continue;
      auto status = visit(id);
      if (status.ok()) continue;
      Diagnostic d = status.error();
      d.op = graph_.nodes[id].target;
      d.node = graph_.nodes[id].name;
      d.source = graph_.nodes[id].source.str();
      return d;
    }
    return finish();
  }

 private:
  // Tensors that share memory: a base, and what it holds after the writes so far.
  struct Storage {
    ValueId base, current;
    int version = 0;
    NodeId shared_by;  // whose results, or arguments, show this memory without a place in it
  };
  // A value's place in a storage: the views that lead from the base to it, and its content as of some version.
  struct Place {
    size_t storage = 0;
    std::vector<View> path;
    ValueId content;
    int version = 0;
  };

  Status visit(NodeId id) {
    const std::string functional = functional_target(graph_.nodes[id].target);
    for (size_t i = 0; i < graph_.nodes[id].args.size(); ++i) TRY_DO(read_all(graph_.nodes[id].args[i].arg));
    Node& node = graph_.nodes[id];
    // squeeze_, t_, detach_, and dropout_ in evaluation write nothing: they give the same memory another name.
    const bool renames = is_view(functional) && !node.args.empty();
    if (renames) {
      node.target = functional;
      node.args[0].name = functional.find("dropout") == std::string::npos ? "self" : "input";
    }
    if (functional.empty() || renames) {
      graph_.order.push_back(id);
      // Whose memory a result shows is settled now: later it would be taken to hold what was written since.
      for (size_t i = 0; i < graph_.nodes[id].results.size(); ++i)
        if (const ValueId v = graph_.nodes[id].results[i]; v && graph_.values[v].kind == torch::Value::Kind::Tensor) place_of(v);
      if (shares_several(functional.empty() ? node.target : functional)) mark_shared(id);
      return {};
    }
    return write(id, functional);
  }

  void mark_shared(NodeId id) {
    const auto mark = [&](ValueId v) {
      if (v && graph_.values[v].kind == torch::Value::Kind::Tensor) storages_[place_of(origin(v)).storage].shared_by = id;
    };
    for (size_t i = 0; i < graph_.nodes[id].args.size(); ++i) for_each_value(graph_.nodes[id].args[i].arg, [&](ValueId& v) { mark(v); });
    for (ValueId v : graph_.nodes[id].results) mark(v);
  }

  // Replaces every tensor an argument names by what it holds now.
  Status read_all(Arg& arg) {
    Status status;
    for_each_value(arg, [&](ValueId& v) {
      if (!status.ok() || !v || graph_.values[v].kind != torch::Value::Kind::Tensor) return;
      auto now = read(v);
      if (now.ok()) v = *now;
      else status = now.error();
    });
    return status;
  }

  Place& place_of(ValueId v) {
    if (const auto it = places_.find(v); it != places_.end()) return it->second;
    const View view = v && graph_.values[v].producer ? view_of(graph_, v) : View{};
    Place place;
    if (view.node) {
      // The node reads what the source held; the source itself may be a later name of the same memory.
      const Place source = place_of(origin(view.source));
      place = source;
      place.path.push_back(view);
      place.version = storages_[source.storage].version;
    } else {
      place.storage = storages_.size();
      storages_.push_back({.base = v, .current = v});
    }
    place.content = v;
    return places_.emplace(v, place).first->second;
  }

  // The value whose place `v`'s content was taken from (its own, unless a read was replaced).
  ValueId origin(ValueId v) const {
    const auto it = origins_.find(v);
    return it == origins_.end() ? v : it->second;
  }

  Result<ValueId> read(ValueId v) {
    const Place place = place_of(v);
    const Storage& storage = storages_[place.storage];
    if (place.version == storage.version) return place.content;
    ValueId content = storage.current;
    for (const View& view : place.path) {
      TRY(content, apply_view(graph_, view, content, graph_.order));
    }
    places_[v].content = content;
    places_[v].version = storages_[place.storage].version;
    origins_[content] = v;
    return content;
  }

  Status write(NodeId id, const std::string& functional) {
    const auto* self = graph_.nodes[id].args.empty() ? nullptr : graph_.nodes[id].args[0].arg.as<ValueId>();
    if (!self) return diag(DiagKind::UnsupportedOp, "writes in place to something that is not a tensor");
    const ValueId target = origin(*self);
    if (const NodeId by = storages_[place_of(target).storage].shared_by)
      return diag(DiagKind::UnsupportedOp, fmt::format("writes in place to memory that '{}' ({}) shares", graph_.nodes[by].name, graph_.nodes[by].target),
                  "clone the tensor before writing to it");
    Node& node = graph_.nodes[id];
    node.target = functional;
    if (node.results.empty()) return diag(DiagKind::UnsupportedOp, "writes in place and returns nothing");
    const ValueId result = node.results[0];
    if (graph_.type(result).shape != graph_.type(target).shape)
      return diag(DiagKind::UnsupportedOp, "changes the shape of a tensor in place", "use the operator that returns a new tensor");
    graph_.order.push_back(id);
    ValueId made = result;
    if (const DType stored = graph_.type(result).dtype; gives_truth(functional) && stored != DType::Bool) {
      torch::Value truth = graph_.values[result];
      truth.name += "_truth";
      truth.type.dtype = DType::Bool;
      node.results[0] = graph_.add_value(std::move(truth));
      made = add_node(graph_, "aten._to_copy.default", {{"self", node.results[0]}, {"dtype", stored}}, graph_.type(result), node.source, graph_.order);
    }
    const Place place = places_.at(target);
    // Write back through the views, innermost first; `before` holds what each of them showed.
    std::vector<ValueId> before = {storages_[place.storage].current};
    for (size_t i = 0; i + 1 < place.path.size(); ++i) {
      TRY(ValueId v, apply_view(graph_, place.path[i], before.back(), graph_.order));
      before.push_back(v);
    }
    ValueId content = made;
    for (size_t i = place.path.size(); i-- > 0;) {
      TRY(content, undo_view(graph_, place.path[i], before[i], content, graph_.order));
    }
    Storage& storage = storages_[place.storage];
    storage.current = content;
    ++storage.version;
    written_.push_back(place.storage);
    for (ValueId v : {target, result}) {
      places_[v] = place;
      places_[v].content = made;
      places_[v].version = storage.version;
    }
    return {};
  }

  // Outputs see the final contents; written inputs become mutation outputs, buffers first.
  Status finish() {
    for (auto& output : graph_.outputs) TRY_DO(read_all(output.value));
    std::vector<GraphOutput> mutations;
    std::sort(written_.begin(), written_.end());
    written_.erase(std::unique(written_.begin(), written_.end()), written_.end());
    for (const auto kind : {GraphInput::Kind::Parameter, GraphInput::Kind::Buffer, GraphInput::Kind::TensorConstant, GraphInput::Kind::UserInput}) {
      for (const GraphInput& input : graph_.inputs) {
        if (input.kind != kind || !input.value) continue;
        for (size_t s : written_) {
          if (storages_[s].base != input.value) continue;
          GraphOutput output;
          output.kind = kind == GraphInput::Kind::UserInput   ? GraphOutput::Kind::UserInputMutation
                        : kind == GraphInput::Kind::Parameter ? GraphOutput::Kind::ParameterMutation
                                                              : GraphOutput::Kind::BufferMutation;
          output.value = storages_[s].current;
          output.target = kind == GraphInput::Kind::UserInput ? graph_.values[input.value].name : input.target;
          mutations.push_back(std::move(output));
        }
      }
    }
    graph_.outputs.insert(graph_.outputs.begin(), mutations.begin(), mutations.end());
    graph_.functional = true;
    return {};
  }

  Graph& graph_;
  std::vector<Storage> storages_;
  std::vector<size_t> written_;
  std::unordered_map<ValueId, Place> places_;
  std::unordered_map<ValueId, ValueId> origins_;  // regenerated content -> the value it stands for
};

// wrap_with_autocast(device_type, dtype, enabled, cache_enabled, body, operands...) that turns autocast off: its body computes in
// the types it was recorded with.
bool is_autocast_off(const Node& node) {
  if (node.target != "higher_order.wrap_with_autocast" || node.args.size() < 3) return false;
  const auto* enabled = node.args[2].arg.as<bool>();
  return enabled && !*enabled;
}

Status inline_wrappers(Graph& graph) {
  for (bool again = true; again;) {
    again = false;
    std::vector<NodeId> order;
    for (NodeId id : graph.order) {
      const Node node = graph.nodes[id];
      if (node.target != "higher_order.wrap_with_set_grad_enabled" && !is_autocast_off(node)) {
        order.push_back(id);
        continue;
      }
      const auto body_at = std::find_if(node.args.begin(), node.args.end(), [](const auto& a) { return a.arg.template as<torch::GraphId>(); });
      if (body_at == node.args.end()) return diag(DiagKind::BadProgram, fmt::format("'{}' has no subgraph", node.name));
      const auto* body = body_at->arg.as<torch::GraphId>();
      std::vector<Arg> operands;
      for (auto i = static_cast<size_t>(body_at - node.args.begin()) + 1; i < node.args.size(); ++i) operands.push_back(node.args[i].arg);
      TRY(const auto contents, copy_nodes(graph, *graph.subgraphs[*body], operands, {}, order));
      for (size_t i = 0; i < node.results.size() && i < contents.size(); ++i)
        if (node.results[i]) add_alias(graph, node.results[i], contents[i], node.source, order);
      again = true;
    }
    graph.order = std::move(order);
  }
  return {};
}

// What torch.export leaves in a program that only run_decompositions() takes out.
Status refuse_wrappers(const Graph& graph) {
  for (const NodeId n : graph.order) {
    const Node& node = graph.nodes[n];
    const bool vmap = node.target.starts_with("torch._functorch.predispatch."),
               autocast = node.target == "higher_order.wrap_with_autocast" && !is_autocast_off(node);
    if (!vmap && !autocast) continue;
    Diagnostic d = diag(DiagKind::UnsupportedOp,
                        vmap ? "the program holds the traces of torch.vmap, or of associative_scan"
                             : "the program holds a region of torch.autocast",
                        "save exported_program.run_decompositions() instead");
    d.op = node.target;
    d.node = node.name;
    d.source = node.source.str();
    return d;
  }
  return {};
}

// A tensor without elements takes no computing, and not every kernel knows that there are such tensors.
void replace_empty_results(Graph& graph) {
  std::vector<NodeId> order;
  for (const NodeId id : graph.order) {
    const Node& node = graph.nodes[id];
    const auto is_empty = [&](ValueId v) {
      if (!v || graph.values[v].kind != torch::Value::Kind::Tensor) return false;
      const Shape& shape = graph.type(v).shape;
      return std::all_of(shape.begin(), shape.end(), [](Dim d) { return d.is_constant(); }) &&
             std::find(shape.begin(), shape.end(), Dim(0)) != shape.end();
    };
    if (node.results.empty() || !std::all_of(node.results.begin(), node.results.end(), is_empty)) {
      order.push_back(id);
      continue;
    }
    for (const ValueId v : std::vector(node.results)) {
      Arg::List sizes;
      for (const Dim d : graph.type(v).shape) sizes.push_back(d.constant());
      Node full;
      full.target = "aten.full.default";
      full.name = graph.values[v].name;
      full.args = {{"size", sizes}, {"fill_value", int64_t{0}}, {"dtype", graph.type(v).dtype}};
      full.source = node.source;
      full.results = {v};
      graph.values[v].producer = NodeId{graph.nodes.size()};
      order.push_back(graph.values[v].producer);
      graph.nodes.add(std::move(full));
    }
  }
  graph.order = std::move(order);
}

Result<Graph> functionalize(Graph graph, int nesting) {
  if (nesting > kMostNesting) return diag(DiagKind::BadProgram, "subgraphs are nested too deeply");
  TRY_DO(refuse_wrappers(graph));
  TRY_DO(inline_wrappers(graph));
  read_strided_from_owners(graph);
  TRY_DO(Functionalizer(graph).run());
  replace_empty_results(graph);
  drop_empty_parts(graph);
  remove_dead_nodes(graph);
  for (const NodeId n : graph.order) {
    for (const auto& a : graph.nodes[n].args) {
      const auto* id = a.arg.as<torch::GraphId>();
      if (!id) continue;
      auto& subgraph = graph.subgraphs[*id];
      TRY(*subgraph, functionalize(std::move(*subgraph), nesting + 1));
      reduce_high_ranks(*subgraph);
    }
  }
  TRY_DO(bring_in_subgraphs(graph));
  TRY_DO(split_complex(graph));
  return graph;
}

}  // namespace

Result<Graph> functionalize(Graph graph) { return functionalize(std::move(graph), 0); }

namespace {

// What the outputs need of a list of nodes, which are those of the graph or of a region.
template <class Outputs>
std::vector<NodeId> needed_nodes(const Graph& graph, const std::vector<NodeId>& order, const Outputs& mark_outputs) {
  std::vector<bool> used(static_cast<size_t>(graph.values.size()), false);
  auto mark = [&](ValueId v) {
    if (v) used[static_cast<size_t>(v.index)] = true;
  };
  mark_outputs(mark);
  std::vector<NodeId> kept;
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    const Node& node = graph.nodes[*it];
    bool needed = node.results.empty();  // only effects are left of such a node
    for (ValueId v : node.results) needed = needed || (v && used[static_cast<size_t>(v.index)]);
    if (!needed) continue;
    for (const auto& a : node.args) for_each_value(a.arg, mark);
    kept.push_back(*it);
  }
  std::reverse(kept.begin(), kept.end());
  return kept;
}

}  // namespace

void remove_dead_nodes(Graph& graph) {
  graph.order = needed_nodes(graph, graph.order, [&](const auto& mark) {
    for (const auto& o : graph.outputs) for_each_value(o.value, mark);
  });
  for (auto& region : graph.regions)
    region.order = needed_nodes(graph, region.order, [&](const auto& mark) {
      for (const ValueId v : region.outputs) mark(v);
    });
}

}  // namespace cortland::torch_passes
