#include "torch_passes/high_rank.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <unordered_map>
#include <utility>

#include "torch_passes/collapse.h"
#include "torch_passes/functionalize.h"
#include "torch_passes/views.h"

namespace cortland::torch_passes {
namespace {

using torch::Arg;
using torch::Graph;
using torch::NamedArg;
using torch::Node;
using torch::NodeId;
using torch::ValueId;

constexpr int kMostDims = 5;

enum class Kind { Reshape, Copy, Permute, Slice, Select, Split, Unbind, Unfold, Expand, Pointwise, Along };

std::optional<Kind> kind_of(std::string_view target) {
  static const std::unordered_map<std::string_view, Kind> kinds = {
      {"aten.view.default", Kind::Reshape},          {"aten.view_copy.default", Kind::Reshape},
      {"aten._unsafe_view.default", Kind::Reshape},  {"aten.reshape.default", Kind::Reshape},
      {"aten.reshape_as.default", Kind::Reshape},    {"aten.view_as.default", Kind::Reshape},
      {"aten.flatten.using_ints", Kind::Reshape},    {"aten.unflatten.int", Kind::Reshape},
      {"aten.squeeze.default", Kind::Reshape},       {"aten.squeeze.dim", Kind::Reshape},
      {"aten.squeeze.dims", Kind::Reshape},          {"aten.squeeze_copy.dims", Kind::Reshape},
      {"aten.unsqueeze.default", Kind::Reshape},     {"aten.unsqueeze_copy.default", Kind::Reshape},
      {"aten.clone.default", Kind::Copy},            {"aten.contiguous.default", Kind::Copy},
      {"aten.alias.default", Kind::Copy},            {"aten.detach.default", Kind::Copy},
      {"aten.permute.default", Kind::Permute},       {"aten.permute_copy.default", Kind::Permute},
      {"aten.transpose.int", Kind::Permute},         {"aten.transpose_copy.int", Kind::Permute},
      {"aten.swapaxes.default", Kind::Permute},      {"aten.swapdims.default", Kind::Permute},
      {"aten.movedim.int", Kind::Permute},           {"aten.movedim.intlist", Kind::Permute},
      {"aten.moveaxis.int", Kind::Permute},          {"aten.moveaxis.intlist", Kind::Permute},
      {"aten.slice.Tensor", Kind::Slice},            {"aten.slice_copy.Tensor", Kind::Slice},
      {"aten.select.int", Kind::Select},             {"aten.select_copy.int", Kind::Select},
      {"aten.split.Tensor", Kind::Split},            {"aten.split_with_sizes.default", Kind::Split},
      {"aten.split_with_sizes_copy.default", Kind::Split}, {"aten.chunk.default", Kind::Split},
      {"aten.unbind.int", Kind::Unbind},             {"aten.unbind_copy.int", Kind::Unbind},
      {"aten.unfold.default", Kind::Unfold},         {"aten.unfold_copy.default", Kind::Unfold},
      {"aten.expand.default", Kind::Expand},         {"aten.expand_copy.default", Kind::Expand},
      {"aten.expand_as.default", Kind::Expand},      {"aten.broadcast_to.default", Kind::Expand}};
  if (const auto it = kinds.find(target); it != kinds.end()) return it->second;
  if (is_pointwise(target)) return Kind::Pointwise;
  return is_reduction(target) || is_scan(target) ? std::optional(Kind::Along) : std::nullopt;
}

// An argument by name; the edge dialect leaves names out, there the position counts.
const Arg* argument(const Node& node, std::string_view name, size_t position) {
  if (const Arg* a = node.find(name)) return a;
  return position < node.args.size() && node.args[position].name.empty() ? &node.args[position].arg : nullptr;
}

std::vector<int64_t> integers(const Arg* a) {
  std::vector<int64_t> out;
  if (!a) return out;
  if (const auto* i = a->as<int64_t>()) out.push_back(*i);
  if (const auto* list = a->as<Arg::List>())
    for (const Arg& e : *list)
      if (const auto* i = e.as<int64_t>()) out.push_back(*i);
  return out;
}

// Which axis of the source each axis of the result is; empty when the arguments are not plain numbers.
std::vector<int64_t> permutation(const Node& node, int64_t rank) {
  const auto positive = [rank](std::vector<int64_t> dims) {
    for (int64_t& d : dims) d += d < 0 ? rank : 0;
    return dims;
  };
  const auto first = positive(integers(argument(node, node.target.find("swapaxes") != std::string::npos ? "axis0" : "dim0", 1)));
  const auto second = positive(integers(argument(node, node.target.find("swapaxes") != std::string::npos ? "axis1" : "dim1", 2)));
  std::vector<int64_t> perm(static_cast<size_t>(rank));
  std::iota(perm.begin(), perm.end(), 0);
  if (node.target.find("permute") != std::string::npos) {
    perm = positive(integers(argument(node, "dims", 1)));
  } else if (node.target.find("move") != std::string::npos) {
    const auto from = positive(integers(argument(node, "source", 1))), to = positive(integers(argument(node, "destination", 2)));
    if (from.size() != to.size()) return {};
    std::fill(perm.begin(), perm.end(), -1);
    for (size_t i = 0; i < from.size(); ++i) {
      if (to[i] < 0 || to[i] >= rank) return {};
      perm[static_cast<size_t>(to[i])] = from[i];
    }
    int64_t next = 0;
    for (int64_t& p : perm) {
      if (p >= 0) continue;
      while (std::find(from.begin(), from.end(), next) != from.end()) ++next;
      p = next++;
    }
  } else {
    if (first.size() != 1 || second.size() != 1) return {};
    if (std::min(first[0], second[0]) < 0 || std::max(first[0], second[0]) >= rank) return {};
    std::swap(perm[static_cast<size_t>(first[0])], perm[static_cast<size_t>(second[0])]);
  }
  auto sorted = perm;
  std::sort(sorted.begin(), sorted.end());
  for (int64_t i = 0; i < static_cast<int64_t>(sorted.size()); ++i)
    if (sorted[static_cast<size_t>(i)] != i) return {};
  return static_cast<int64_t>(perm.size()) == rank ? perm : std::vector<int64_t>{};
}

class Reducer {
 public:
  explicit Reducer(Graph& graph) : graph_(graph) {}

  void run() {
    for (NodeId id : std::exchange(graph_.order, {})) {
      const size_t before = graph_.order.size();
      if (!rewrite(id)) {
        graph_.order.resize(before);
        graph_.order.push_back(id);
      }
    }
    remove_dead_nodes(graph_);
  }

 private:
  int rank(ValueId v) const { return graph_.type(v).rank(); }
  bool high(ValueId v) const { return rank(v) > kMostDims; }

  // Nodes take the place of `id`. Results that are too high themselves become views of their elements, which are dead when nobody but
  // this pass reads them. False leaves the node alone.
  bool rewrite(NodeId id) {
    const Node node = graph_.nodes[id];
    const auto kind = kind_of(node.target);
    if (!kind) return false;
    bool involved = false;
    for (ValueId v : node.results) involved = involved || (v && high(v));
    const auto tensors = tensor_arguments(node, *kind);
    if (tensors.empty()) return false;
    for (ValueId v : tensors) {
      if (high(v) && !flat_.contains(v)) return false;
      involved = involved || high(v);
    }
    if (!involved) return false;
    bool keep = false;  // a view of the elements could not be told two sizes
    for (ValueId v : node.results) {
      if (!v || size_argument(graph_.type(v).shape)) continue;
      if (!high(v)) return false;
      keep = true;
    }
    source_ = node.source;
    std::vector<ValueId> results(node.results.size());
    if (!make(node, *kind, tensors, results)) return false;
    for (size_t i = 0; i < results.size(); ++i) {
      if (!node.results[i] || !results[i]) continue;
      if (high(node.results[i])) flat_[node.results[i]] = results[i];
      if (!keep) replace(node.results[i], results[i]);
    }
    if (keep) graph_.order.push_back(id);
    return true;
  }

  // What the node computes from: of what only moves elements, its first argument.
  std::vector<ValueId> tensor_arguments(const Node& node, Kind kind) const {
    std::vector<ValueId> tensors;
    for (const auto& a : node.args) {
      const auto* v = a.arg.as<ValueId>();
      if (v && graph_.values[*v].kind == torch::Value::Kind::Tensor) tensors.push_back(*v);
      if (kind != Kind::Pointwise) break;
    }
    return tensors;
  }

  ValueId elements_of(ValueId v) const {
    const auto it = flat_.find(v);
    return it == flat_.end() ? v : it->second;
  }

  // Elements of each result in order, in values of few dimensions.
  bool make(const Node& node, Kind kind, const std::vector<ValueId>& tensors, std::vector<ValueId>& results) {
    const ValueId x = tensors[0], from = elements_of(x);
    const Shape shape = graph_.type(x).shape;
    switch (kind) {
      case Kind::Pointwise: return pointwise(node, tensors, results);
      case Kind::Along: return along(node, from, shape, results);
      case Kind::Reshape:
      case Kind::Copy: results[0] = from; return true;
      case Kind::Permute: return permute(from, shape, permutation(node, rank(x)), results[0]);
      case Kind::Expand: return expand(from, shape, graph_.type(node.results[0]).shape, results[0]);
      default: break;
    }
    const char* const name_of_dim = kind == Kind::Unfold ? "dimension" : "dim";
    const size_t place_of_dim = kind == Kind::Split ? 2 : 1;
    const auto dims = integers(argument(node, name_of_dim, place_of_dim));
    const int64_t dim = dims.empty() ? 0 : dims[0] < 0 ? dims[0] + rank(x) : dims[0];
    if (dim < 0 || dim >= rank(x)) return false;
    const auto at = static_cast<size_t>(dim);
    const Dim before = product(shape, 0, at), after = product(shape, at + 1, shape.size());
    ValueId view;
    if (!reshape(from, {before, shape[at], after}, view)) return false;
    // The same operator on the middle of three dimensions.
    Node part = node;
    for (size_t i = 0; i < part.args.size(); ++i) {
      const std::string& name = part.args[i].name;
      if (i == 0) part.args[i].arg = view;
      if (name == name_of_dim || (name.empty() && i == place_of_dim)) part.args[i].arg = int64_t{1};
    }
    if (!argument(part, name_of_dim, place_of_dim)) part.args.push_back({name_of_dim, int64_t{1}});
    return add_like(std::move(part), [&](const TensorType& t) {
      if (kind == Kind::Unfold) return Shape{before, t.shape[at], after, t.shape.back()};  // windows go to the end
      if (kind == Kind::Select || kind == Kind::Unbind) return Shape{before, after};
      return Shape{before, t.shape[at], after};
    }, results);
  }

  bool pointwise(Node node, const std::vector<ValueId>& tensors, std::vector<ValueId>& results) {
    if (!node.results[0]) return false;
    const Shape result = graph_.type(node.results[0]).shape;
    std::vector<Shape> shapes;
    for (ValueId v : tensors) shapes.push_back(graph_.type(v).shape);
    const auto few = collapse(*graph_.dims, shapes, result);
    if (!few) return false;
    const Shape all = {product(result, 0, result.size())};
    const bool fits = few->result.size() <= kMostDims;
    size_t k = 0;
    for (auto& a : node.args) {
      const auto* v = a.arg.as<ValueId>();
      if (!v || graph_.values[*v].kind != torch::Value::Kind::Tensor) continue;
      const Shape& shape = shapes[k];
      ValueId operand = elements_of(*v);
      if (!shape.empty()) {  // a number stays one: what it meets decides the type
        if (fits ? !reshape(operand, few->operands[k], operand)
                 : !expand(operand, shape, result, operand) || !reshape(operand, all, operand))
          return false;
      }
      a.arg = operand;
      ++k;
    }
    return add_like(std::move(node), [&](const TensorType&) { return fits ? few->result : all; }, results);
  }

  // Along neighbouring axes: the middle one of three.
  bool along(Node node, ValueId from, const Shape& shape, std::vector<ValueId>& results) {
    const auto rank = static_cast<int64_t>(shape.size());
    auto dims = integers(argument(node, "dim", 1));
    for (int64_t& d : dims) d += d < 0 ? rank : 0;
    std::sort(dims.begin(), dims.end());
    if (dims.empty() || dims.front() < 0 || dims.back() >= rank) return false;
    const auto first = static_cast<size_t>(dims.front()), end = static_cast<size_t>(dims.back()) + 1;
    if (end - first != dims.size() || node.args[0].name.empty()) return false;
    const Dim before = product(shape, 0, first), middle = product(shape, first, end), after = product(shape, end, shape.size());
    ValueId x;
    if (!reshape(from, {before, middle, after}, x)) return false;
    for (auto& a : node.args) {
      if (a.arg.as<ValueId>()) a.arg = x;
      if (a.name == "dim") a.arg = a.arg.as<Arg::List>() ? Arg(Arg::List{int64_t{1}}) : Arg(int64_t{1});
      if (a.name == "keepdim") a.arg = false;
    }
    const Shape result = is_scan(node.target) ? Shape{before, middle, after} : Shape{before, after};
    return add_like(std::move(node), [&](const TensorType&) { return result; }, results);
  }

  template <class ShapeOf>
  bool add_like(Node node, const ShapeOf& shape_of, std::vector<ValueId>& results) {
    const NodeId id{graph_.nodes.size()};
    for (size_t i = 0; i < node.results.size(); ++i) {
      if (!node.results[i]) continue;
      torch::Value value;
      value.name = fmt::format("functional_{}", graph_.values.size());
      value.type = {graph_.type(node.results[i]).dtype, shape_of(graph_.type(node.results[i]))};
      value.producer = id;
      node.results[i] = graph_.add_value(std::move(value));
    }
    results = node.results;
    graph_.nodes.add(std::move(node));
    graph_.order.push_back(id);
    return true;
  }

  Dim product(const Shape& shape, size_t first, size_t last) {
    Dim total = 1;
    for (size_t i = first; i < last; ++i) total = graph_.dims->mul(total, shape[i]);
    return total;
  }

  // What `view` is told: at most one size can be inferred.
  std::optional<Arg::List> size_argument(const Shape& shape) const {
    Arg::List list;
    int unknown = 0;
    for (Dim d : shape) {
      list.push_back(d.is_constant() ? d.constant() : int64_t{-1});
      unknown += d.is_constant() ? 0 : 1;
    }
    return unknown > 1 ? std::nullopt : std::optional(std::move(list));
  }

  bool reshape(ValueId v, Shape shape, ValueId& out) {
    if (graph_.type(v).shape == shape) {
      out = v;
      return true;
    }
    auto list = size_argument(shape);
    if (!list) return false;
    out = add_node(graph_, "aten.view.default", {{"self", v}, {"size", std::move(*list)}}, {graph_.type(v).dtype, std::move(shape)}, source_,
                   graph_.order);
    return true;
  }

  ValueId transpose(ValueId v, const std::vector<int64_t>& perm) {
    Shape shape;
    Arg::List dims;
    for (int64_t p : perm) {
      shape.push_back(graph_.type(v).shape[static_cast<size_t>(p)]);
      dims.push_back(p);
    }
    return add_node(graph_, "aten.permute.default", {{"self", v}, {"dims", std::move(dims)}}, {graph_.type(v).dtype, std::move(shape)}, source_,
                    graph_.order);
  }

  bool permute(ValueId from, const Shape& shape, const std::vector<int64_t>& perm, ValueId& out) {
    if (perm.empty()) return false;
    // Axes that stay neighbours are one block; axes of one element may go anywhere.
    std::vector<std::vector<int64_t>> blocks;
    int64_t last = -2;
    for (int64_t p : perm) {
      if (shape[static_cast<size_t>(p)] == Dim(1)) continue;
      bool follows = last >= 0;
      for (int64_t k = last + 1; k < p; ++k) follows = follows && shape[static_cast<size_t>(k)] == Dim(1);
      if (follows && p > last) blocks.back().push_back(p);
      else blocks.push_back({p});
      last = p;
    }
    std::vector<std::vector<int64_t>> current = blocks;
    std::sort(current.begin(), current.end());
    out = from;
    if (current == blocks) return true;
    const auto extent = [&](auto first, auto end) {
      Dim total = 1;
      for (auto it = first; it != end; ++it)
        for (int64_t axis : *it) total = graph_.dims->mul(total, shape[static_cast<size_t>(axis)]);
      return total;
    };
    if (blocks.size() <= kMostDims) {
      Shape merged;
      std::vector<int64_t> order;
      for (auto it = current.begin(); it != current.end(); ++it) merged.push_back(extent(it, it + 1));
      for (const auto& b : blocks) order.push_back(std::find(current.begin(), current.end(), b) - current.begin());
      if (!reshape(out, merged, out)) return false;
      out = transpose(out, order);
      return true;
    }
    for (size_t i = 0; i < blocks.size(); ++i) {
      const auto begin = current.begin() + static_cast<std::ptrdiff_t>(i);
      const auto found = std::find(begin, current.end(), blocks[i]);
      if (found == begin) continue;
      auto end = found + 1;
      for (size_t k = i + 1; end != current.end() && k < blocks.size() && *end == blocks[k]; ++k) ++end;
      if (!reshape(out, {extent(current.begin(), begin), extent(begin, found), extent(found, end), extent(end, current.end())}, out)) return false;
      out = transpose(out, {0, 2, 1, 3});
      std::rotate(begin, found, end);
    }
    return true;
  }

  // One axis after the other.
  bool expand(ValueId from, Shape shape, const Shape& to, ValueId& out) {
    shape.insert(shape.begin(), to.size() - shape.size(), Dim(1));
    out = from;
    for (size_t i = 0; i < to.size(); ++i) {
      if (shape[i] == to[i]) continue;
      if (!to[i].is_constant()) return false;
      const Dim before = product(shape, 0, i), after = product(shape, i + 1, shape.size());
      if (!reshape(out, {before, 1, after}, out)) return false;
      const Arg::List size = {int64_t{-1}, to[i].constant(), int64_t{-1}};
      out = add_node(graph_, "aten.expand.default", {{"self", out}, {"size", size}}, {graph_.type(out).dtype, {before, to[i], after}}, source_,
                     graph_.order);
      shape[i] = to[i];
    }
    return true;
  }

  // Lets `v` be produced by a view of `elements`.
  void replace(ValueId v, ValueId elements) {
    const NodeId id{graph_.nodes.size()};
    Node node;
    node.target = "aten.view.default";
    node.name = graph_.values[v].name;
    node.args = {{"self", elements}, {"size", *size_argument(graph_.type(v).shape)}};
    node.results = {v};
    node.source = source_;
    graph_.nodes.add(std::move(node));
    graph_.values[v].producer = id;
    graph_.values[v].strides.clear();
    graph_.order.push_back(id);
  }

  Graph& graph_;
  torch::SourceLoc source_;
  std::unordered_map<ValueId, ValueId> flat_;  // elements of values of high rank, in order
};

}  // namespace

void reduce_high_ranks(Graph& graph) {
  bool any = false;
  for (const auto& value : graph.values) any = any || value.type.rank() > kMostDims;
  if (any) Reducer(graph).run();
}

}  // namespace cortland::torch_passes
