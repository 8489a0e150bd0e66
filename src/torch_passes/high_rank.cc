#include "torch_passes/high_rank.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "torch_ops/decompose.h"
#include "torch_passes/axes.h"
#include "torch_passes/axis_kinds.h"
#include "torch_passes/collapse.h"
#include "torch_passes/few_axes.h"
#include "torch_passes/functionalize.h"

namespace cortland::torch_passes {
namespace {

using torch::Arg;
using torch::Graph;
using torch::Node;
using torch::NodeId;
using torch::ValueId;

using Values = std::vector<ValueId>;

constexpr int kDeepest = 8;  // of decompositions of decompositions

// Rewrites the nodes of one list: those of the graph, or of a region.
class Reducer {
 public:
  explicit Reducer(Graph& graph) : graph_(graph) {}

  std::vector<NodeId> run(const std::vector<NodeId>& order) {
    for (const NodeId id : order) rewrite_or_keep(id, 0);
    return std::move(order_);
  }

 private:
  int rank(ValueId v) const { return graph_.type(v).rank(); }
  const Shape& shape(ValueId v) const { return graph_.type(v).shape; }
  bool is_tensor(ValueId v) const { return v && graph_.values[v].kind == torch::Value::Kind::Tensor; }
  bool high(ValueId v) const { return is_tensor(v) && rank(v) > kMostAxes; }
  FewAxes few_axes(const Node& node) { return {graph_, order_, node.source}; }

  // Whether no tensor of high rank is left of the node, but for views of what it computes.
  bool rewrite_or_keep(NodeId id, int depth) {
    const Node node = graph_.nodes[id];
    bool involved = false;
    for (const auto& a : node.args) for_each_value(a.arg, [&](ValueId v) { involved = involved || high(v); });
    for (const ValueId v : node.results) involved = involved || high(v);
    if (!involved) {
      order_.push_back(id);
      return true;
    }
    const Mark before = {order_.size(), known_.size()};
    if (by_axes(node)) return true;
    roll_back(before);
    if (by_parts(id, depth)) return true;
    roll_back(before);
    order_.push_back(id);
    return false;
  }

  struct Mark {
    size_t nodes, known;
  };
  void roll_back(Mark mark) {
    order_.resize(mark.nodes);
    for (; known_.size() > mark.known; known_.pop_back()) flat_.erase(known_.back());
  }
  void remember(ValueId v, ValueId elements) {
    flat_[v] = elements;
    known_.push_back(v);
  }

  bool by_axes(const Node& node) {
    const auto kind = axis_kind(node.target);
    if (!kind || node.results.empty()) return false;
    const Values results = make(node, *kind);
    if (results.empty()) return false;
    for (size_t i = 0; i < results.size(); ++i) {
      if (!node.results[i] || !results[i]) continue;
      if (high(node.results[i])) remember(node.results[i], results[i]);
      replace(node, node.results[i], results[i]);
    }
    return true;
  }

  // Takes the node apart, all of it or nothing.
  bool by_parts(NodeId id, int depth) {
    if (depth == kDeepest) return false;
    const auto parts = torch_ops::decompose_node(graph_, id);
    if (!parts.ok() || parts->empty()) return false;
    if (std::all_of(parts->begin(), parts->end(), [&](NodeId part) { return rewrite_or_keep(part, depth + 1); }))
      return true;
    for (const ValueId v : graph_.nodes[id].results)
      if (v) graph_.values[v].producer = id;
    return false;
  }

  // The elements in order, in a value of few axes.
  ValueId elements_of(ValueId v, FewAxes& axes) {
    if (!high(v)) return v;
    if (!flat_.contains(v)) remember(v, axes.reshape(v, {axes.product(shape(v))}));
    return flat_[v];
  }

  // Elements of each result in order, in values of few axes. Empty when the arguments do not say how, or speak of too many
  // axes.
  Values make(const Node& node, AxisKind kind) {
    FewAxes axes = few_axes(node);
    switch (kind) {
      case AxisKind::Pointwise:
        return pointwise(node, axes);
      case AxisKind::Fill:
        return fill(node, axes);
      case AxisKind::Join:
        return join(node, axes);
      default:
        break;
    }
    const auto* first = node.args.empty() ? nullptr : node.args[0].arg.as<ValueId>();
    if (!first || !is_tensor(*first) || !node.results[0]) return {};
    const ValueId x = *first, from = elements_of(x, axes);
    switch (kind) {
      case AxisKind::Reshape:
        return {from};
      case AxisKind::Permute: {
        const auto perm = permutation(node, rank(x));
        if (perm.empty()) return {};
        return {axes.permute(from, shape(x), perm)};
      }
      case AxisKind::Expand:
        return {axes.expand(from, shape(x), shape(node.results[0]))};
      case AxisKind::Repeat: {
        const auto times = integers(argument(node, "repeats"));
        if (static_cast<int>(times.size()) != rank(node.results[0])) return {};
        return {axes.repeat(from, shape(x), times)};
      }
      case AxisKind::Reduce:
        return reduce(node, axes, x, from);
      case AxisKind::OneAxis:
        return along_one(node, axes, x, from);
      case AxisKind::EachAxis:
        return along_each(node, axes, x, from);
      default:
        return trailing(node, axes, x, from);
    }
  }

  Values pointwise(Node node, FewAxes& axes) {
    if (!node.results[0]) return {};
    const Shape result = shape(node.results[0]);
    std::vector<Arg*> operands;
    std::vector<Shape> shapes;
    for (auto& a : node.args) {
      const auto* v = a.arg.as<ValueId>();
      if (!v || !is_tensor(*v)) continue;
      operands.push_back(&a.arg);
      shapes.push_back(shape(*v));
    }
    const auto few = collapse(*graph_.dims, shapes, result);
    if (!few) return {};
    const bool fits = few->result.size() <= kMostAxes;
    const Shape all = {axes.product(result)};
    for (size_t k = 0; k < operands.size(); ++k) {
      if (shapes[k].empty()) continue;  // a number stays one: what it meets decides the type
      const ValueId v = elements_of(*operands[k]->as<ValueId>(), axes);
      *operands[k] = fits ? axes.reshape(v, few->operands[k]) : axes.reshape(axes.expand(v, shapes[k], result), all);
    }
    return add_like(std::move(node), [&](const TensorType&) { return fits ? few->result : all; });
  }

  Values fill(Node node, FewAxes& axes) {
    if (!node.results[0]) return {};
    const Shape all = {axes.product(shape(node.results[0]))};
    if (!all[0].is_constant()) return {};
    set_argument(node, "size", axes.sizes(all));
    return add_like(std::move(node), [&](const TensorType&) { return all; });
  }

  // [before, axis, after], for the operator's axis; of stacked tensors each is one long there.
  Values join(Node node, FewAxes& axes) {
    const bool stack = node.target.starts_with("aten.stack");
    const auto dims = integers(argument(node, "dim"));
    const Arg* given = argument(node, "tensors");
    const auto* list = given ? given->as<Arg::List>() : nullptr;
    if (!list || dims.size() != 1 || !node.results[0]) return {};
    const Shape result = shape(node.results[0]);
    const int64_t dim = dims[0] < 0 ? dims[0] + static_cast<int64_t>(result.size()) : dims[0];
    if (dim < 0 || dim >= static_cast<int64_t>(result.size())) return {};
    const auto at = static_cast<size_t>(dim);
    const Dim before = axes.product(result, 0, at), after = axes.product(result, at + 1, result.size());
    Arg::List parts;
    for (const Arg& a : *list) {
      const auto* v = a.as<ValueId>();
      if (!v || !is_tensor(*v) || shape(*v).size() + (stack ? 1 : 0) != result.size()) return {};
      const Dim length = stack ? Dim(1) : shape(*v)[at];
      parts.push_back(axes.reshape(elements_of(*v, axes), {before, length, after}));
    }
    node.target = "aten.cat.default";
    node.args = {{"tensors", std::move(parts)}, {"dim", int64_t{1}}};
    return add_like(std::move(node), [&](const TensorType&) { return Shape{before, result[at], after}; });
  }

  // The axes that are reduced become the middle one of three; where they do not stand together, they are brought to the end.
  Values reduce(Node node, FewAxes& axes, ValueId x, ValueId from) {
    const auto count = static_cast<int64_t>(rank(x));
    auto dims = integers(argument(node, "dim"));
    for (int64_t& d : dims) d += d < 0 ? count : 0;
    std::sort(dims.begin(), dims.end());
    if (dims.empty()) {
      node.args[0].arg = from;
      if (rank(node.results[0]) != 0) return {};
      return add_like(std::move(node), [](const TensorType&) { return Shape{}; });
    }
    if (dims.front() < 0 || dims.back() >= count) return {};
    Shape order = shape(x);
    auto first = static_cast<size_t>(dims.front());
    if (dims.back() - dims.front() + 1 != static_cast<int64_t>(dims.size())) {
      std::vector<int64_t> perm;
      for (int64_t d = 0; d < count; ++d)
        if (std::find(dims.begin(), dims.end(), d) == dims.end()) perm.push_back(d);
      first = perm.size();
      perm.insert(perm.end(), dims.begin(), dims.end());
      from = axes.permute(from, order, perm);
      for (size_t i = 0; i < perm.size(); ++i) order[i] = shape(x)[static_cast<size_t>(perm[i])];
    }
    const size_t end = first + dims.size();
    const Dim before = axes.product(order, 0, first), after = axes.product(order, end, order.size());
    node.args[0].arg = axes.reshape(from, {before, axes.product(order, first, end), after});
    const bool list = argument(node, "dim")->as<Arg::List>() != nullptr;
    set_argument(node, "dim", list ? Arg(Arg::List{int64_t{1}}) : Arg(int64_t{1}));
    set_argument(node, "keepdim", false);
    return add_like(std::move(node), [&](const TensorType&) { return Shape{before, after}; });
  }

  // The same operator on the middle of three axes. Tensors that are indices or sources have as many elements beside that
  // axis.
  Values along_one(Node node, FewAxes& axes, ValueId x, ValueId from) {
    const std::string_view name = argument(node, "dim") ? "dim" : argument(node, "dims") ? "dims" : "dimension";
    const auto dims = integers(argument(node, name));
    const int64_t dim = dims.empty() ? -1 : dims[0] < 0 ? dims[0] + rank(x) : dims[0];
    if (dim < 0 || dim >= rank(x)) return {};
    const auto at = static_cast<size_t>(dim);
    const Shape whole = shape(x);
    const Dim before = axes.product(whole, 0, at), after = axes.product(whole, at + 1, whole.size());
    for (size_t i = 1; i < node.args.size(); ++i) {
      const auto* v = node.args[i].arg.as<ValueId>();
      if (!v || !is_tensor(*v) || rank(*v) != rank(x)) continue;
      Shape beside = shape(*v);
      const Dim length = std::exchange(beside[at], whole[at]);
      if (beside != whole) return {};
      node.args[i].arg = axes.reshape(elements_of(*v, axes), {before, length, after});
    }
    node.args[0].arg = axes.reshape(from, {before, whole[at], after});
    const bool list = argument(node, name)->as<Arg::List>() != nullptr;
    set_argument(node, name, list ? Arg(Arg::List{int64_t{1}}) : Arg(int64_t{1}));
    return add_like(std::move(node), [&](const TensorType& t) {
      if (t.shape.size() < whole.size()) return Shape{before, after};
      Shape to = {before, t.shape[at], after};
      if (t.shape.size() > whole.size()) to.push_back(t.shape.back());  // windows go to the end
      return to;
    });
  }

  // Without axes the elements themselves are a line.
  Values along_each(Node node, FewAxes& axes, ValueId x, ValueId from) {
    const auto dims = integers(argument(node, "dims")), shifts = integers(argument(node, "shifts"));
    if (dims.empty()) {
      node.args[0].arg = axes.reshape(from, {axes.product(shape(x))});
      return add_like(std::move(node), [&](const TensorType&) { return Shape{axes.product(shape(x))}; });
    }
    for (size_t i = 0; i < dims.size(); ++i) {
      Node part = node;
      set_argument(part, "dims", Arg::List{dims[i]});
      if (!shifts.empty()) set_argument(part, "shifts", Arg::List{shifts[std::min(i, shifts.size() - 1)]});
      const Values results = along_one(std::move(part), axes, x, from);
      if (results.empty()) return {};
      from = results[0];
    }
    return {from};
  }

  // What stands before the axes that the operator computes on is one axis.
  Values trailing(Node node, FewAxes& axes, ValueId x, ValueId from) {
    const auto own = trailing_axes(node);
    const Shape whole = shape(x);
    if (!own || *own >= kMostAxes || *own > whole.size()) return {};
    const size_t leading = whole.size() - *own;
    const auto as_rows = [&](const Shape& s) {
      Shape rows = {axes.product(s, 0, leading)};
      rows.insert(rows.end(), s.begin() + static_cast<std::ptrdiff_t>(leading), s.end());
      return rows;
    };
    for (const ValueId v : node.results)
      if (v && shape(v).size() < leading) return {};
    node.args[0].arg = axes.reshape(from, as_rows(whole));
    return add_like(std::move(node), [&](const TensorType& t) { return as_rows(t.shape); });
  }

  // The node with other arguments, and results of the shapes that shape_of() gives for the old ones.
  template <class ShapeOf>
  Values add_like(Node node, const ShapeOf& shape_of) {
    bool few = true;
    for (const auto& a : node.args) for_each_value(a.arg, [&](ValueId v) { few = few && !high(v); });
    if (!few) return {};
    const NodeId id{graph_.nodes.size()};
    for (ValueId& v : node.results) {
      if (!v) continue;
      torch::Value value;
      value.name = fmt::format("functional_{}", graph_.values.size());
      value.type = {graph_.type(v).dtype, shape_of(graph_.type(v))};
      value.producer = id;
      v = graph_.add_value(std::move(value));
    }
    const NodeId made = graph_.nodes.add(std::move(node));
    order_.push_back(made);
    return graph_.nodes[made].results;
  }

  // Lets `v` be produced by a view of `elements`, which is dead when nobody but this pass reads it.
  void replace(const Node& old, ValueId v, ValueId elements) {
    const NodeId id{graph_.nodes.size()};
    Node node;
    node.target = "aten.view.default";
    node.name = graph_.values[v].name;
    node.args = {{"self", elements}, {"size", few_axes(old).sizes(shape(v))}};
    node.results = {v};
    node.source = old.source;
    graph_.nodes.add(std::move(node));
    graph_.values[v].producer = id;
    graph_.values[v].strides.clear();
    order_.push_back(id);
  }

  Graph& graph_;
  std::vector<NodeId> order_;                  // the list that is made
  std::unordered_map<ValueId, ValueId> flat_;  // elements of values of high rank, in order
  Values known_;                               // its keys, as they were added
};

}  // namespace

void reduce_high_ranks(Graph& graph) {
  bool any = false;
  for (const auto& value : graph.values) any = any || value.type.rank() > kMostAxes;
  if (!any) return;
  for (auto& region : graph.regions) region.order = Reducer(graph).run(region.order);
  graph.order = Reducer(graph).run(graph.order);
  remove_dead_nodes(graph);
}

}  // namespace cortland::torch_passes
