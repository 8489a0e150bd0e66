#include "torch_passes/views.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace cortland::torch_passes {
namespace {

using torch::Arg;
using torch::Graph;
using torch::NamedArg;
using torch::Node;
using torch::NodeId;
using torch::ValueId;

enum class Kind {
  Alias,    // the same elements in the same shape
  Reshape,  // the same elements in the same order
  Permute,  // the same elements in another order
  Slice,    // slice, narrow, and each part of split or chunk
  Select,   // select, and each part of unbind
  Diagonal,
  Strided,  // as_strided
  Expand,   // an element may be seen many times: cannot be written
  Opaque,   // the same memory as other numbers, or as parts of them: cannot be written
};

std::optional<Kind> kind_of(const std::string& target) {
  static const std::map<std::string, Kind> kinds = {
      {"aten.alias.default", Kind::Alias},          {"aten.detach.default", Kind::Alias},
      {"aten.lift_fresh.default", Kind::Alias},     {"aten.contiguous.default", Kind::Alias},
      {"aten.dropout.default", Kind::Alias},        {"aten.positive.default", Kind::Alias},
      {"aten.feature_dropout.default", Kind::Alias}, {"aten.to.dtype", Kind::Alias},
      {"aten.to.dtype_layout", Kind::Alias},        {"aten.to.device", Kind::Alias},
      {"aten.to.other", Kind::Alias},               {"aten.type_as.default", Kind::Alias},
      {"aten.view.default", Kind::Reshape},         {"aten._unsafe_view.default", Kind::Reshape},
      {"aten.reshape.default", Kind::Reshape},      {"aten.flatten.using_ints", Kind::Reshape},
      {"aten.unflatten.int", Kind::Reshape},        {"aten.view_as.default", Kind::Reshape},
      {"aten.reshape_as.default", Kind::Reshape},   {"aten.squeeze.default", Kind::Reshape},
      {"aten.squeeze.dim", Kind::Reshape},          {"aten.squeeze.dims", Kind::Reshape},
      {"aten.unsqueeze.default", Kind::Reshape},    {"aten.permute.default", Kind::Permute},
      {"aten.transpose.int", Kind::Permute},        {"aten.t.default", Kind::Permute},
      {"aten.mT.default", Kind::Permute},           {"aten.numpy_T.default", Kind::Permute},
      {"aten.movedim.int", Kind::Permute},          {"aten.swapaxes.default", Kind::Permute},
      {"aten.moveaxis.int", Kind::Permute},         {"aten.swapdims.default", Kind::Permute},
      {"aten.mH.default", Kind::Permute},           {"aten.adjoint.default", Kind::Permute},
      {"aten.matrix_H.default", Kind::Permute},     {"aten.ravel.default", Kind::Reshape},
      {"aten.atleast_1d.default", Kind::Reshape},   {"aten.atleast_2d.default", Kind::Reshape},
      {"aten.slice.Tensor", Kind::Slice},           {"aten.narrow.default", Kind::Slice},
      {"aten.split.Tensor", Kind::Slice},           {"aten.split_with_sizes.default", Kind::Slice},
      {"aten.chunk.default", Kind::Slice},          {"aten.tensor_split.sections", Kind::Slice},
      {"aten.select.int", Kind::Select},            {"aten.unbind.int", Kind::Select},
      {"aten.diagonal.default", Kind::Diagonal},    {"aten.expand.default", Kind::Expand},
      {"aten.expand_as.default", Kind::Expand},     {"aten.broadcast_to.default", Kind::Expand},
      {"aten.unfold.default", Kind::Expand},        {"aten.as_strided.default", Kind::Strided},
      {"aten.tensor_split.indices", Kind::Slice},   {"aten.split.sizes", Kind::Slice},
      {"aten.hsplit.int", Kind::Slice},             {"aten.hsplit.array", Kind::Slice},
      {"aten.vsplit.int", Kind::Slice},             {"aten.vsplit.array", Kind::Slice},
      {"aten.dsplit.int", Kind::Slice},             {"aten.dsplit.array", Kind::Slice},
      {"aten.narrow.Tensor", Kind::Slice},          {"aten.tensor_split.tensor_indices_or_sections", Kind::Slice},
      {"aten.movedim.intlist", Kind::Permute},      {"aten.moveaxis.intlist", Kind::Permute},
      {"aten.atleast_3d.default", Kind::Reshape},   {"aten._reshape_alias.default", Kind::Reshape},
      {"aten.linalg_diagonal.default", Kind::Diagonal},
      {"aten.view.dtype", Kind::Opaque},            {"aten.real.default", Kind::Opaque},
      {"aten.imag.default", Kind::Opaque},          {"aten.conj.default", Kind::Opaque},
      {"aten.resolve_conj.default", Kind::Opaque},  {"aten.resolve_neg.default", Kind::Opaque},
      {"aten.view_as_real.default", Kind::Opaque},  {"aten.view_as_complex.default", Kind::Opaque},
  };
  const auto it = kinds.find(target);
  return it == kinds.end() ? std::nullopt : std::optional(it->second);
}

// Operators that return their argument's memory only when nothing has to change.
bool may_copy(const std::string& target) {
  return target.starts_with("aten.to.") || target == "aten.type_as.default" || target == "aten.contiguous.default" ||
         target == "aten.reshape.default" || target == "aten.flatten.using_ints" || target == "aten.reshape_as.default" ||
         target == "aten.ravel.default";
}

int64_t int_arg(const Node& node, std::string_view name, int64_t fallback) {
  const Arg* a = node.find(name);
  const auto* i = a ? a->as<int64_t>() : nullptr;
  return i ? *i : fallback;
}

int64_t axis_of(const Graph& graph, const Node& node, ValueId source) {
  const int64_t rank = graph.type(source).rank();
  if (node.target.starts_with("aten.hsplit.")) return rank == 1 ? 0 : 1;
  if (node.target.starts_with("aten.dsplit.")) return 2;
  const int64_t dim = int_arg(node, "dim", 0);
  return dim < 0 ? dim + rank : dim;
}

// movedim with lists: axis source[i] becomes axis destination[i], the others keep their order. Empty when the lists do not fit.
std::vector<int64_t> moved_axes(const Node& node, int64_t rank) {
  const Arg* sources = node.find("source");
  const Arg* destinations = node.find("destination");
  const auto* from = sources ? sources->as<Arg::List>() : nullptr;
  const auto* to = destinations ? destinations->as<Arg::List>() : nullptr;
  if (!from || !to || from->size() != to->size()) return {};
  std::vector<int64_t> perm(static_cast<size_t>(rank), -1);
  std::vector<bool> taken(perm.size());
  const auto place = [&](const Arg& a) {
    const auto* d = a.as<int64_t>();
    const int64_t axis = d ? (*d < 0 ? *d + rank : *d) : rank;
    return axis >= 0 && axis < rank ? std::optional(static_cast<size_t>(axis)) : std::nullopt;
  };
  for (size_t i = 0; i < from->size(); ++i) {
    const auto source = place((*from)[i]), destination = place((*to)[i]);
    if (!source || !destination || taken[*source] || perm[*destination] >= 0) return {};
    perm[*destination] = static_cast<int64_t>(*source);
    taken[*source] = true;
  }
  size_t next = 0;
  for (int64_t& p : perm) {
    if (p >= 0) continue;
    while (taken[next]) ++next;
    p = static_cast<int64_t>(next++);
  }
  return perm;
}

// Permutation that each Permute operator stands for.
std::vector<int64_t> permutation(const Graph& graph, const Node& node, ValueId source) {
  const int64_t rank = graph.type(source).rank();
  std::vector<int64_t> perm;
  for (int64_t i = 0; i < rank; ++i) perm.push_back(i);
  auto positive = [&](int64_t d) { return d < 0 ? d + rank : d; };
  if (node.target == "aten.permute.default") {
    if (const Arg* dims = node.find("dims"))
      if (const auto* list = dims->as<Arg::List>())
        for (size_t i = 0; i < list->size() && i < perm.size(); ++i)
          if (const auto* d = (*list)[i].as<int64_t>()) perm[i] = positive(*d);
  } else if (node.target == "aten.numpy_T.default") {
    for (int64_t i = 0; i < rank; ++i) perm[static_cast<size_t>(i)] = rank - 1 - i;
  } else if (node.target == "aten.movedim.intlist" || node.target == "aten.moveaxis.intlist") {
    perm = moved_axes(node, rank);
  } else if (node.target == "aten.movedim.int" || node.target == "aten.moveaxis.int") {
    const int64_t from = positive(int_arg(node, "source", 0)), to = positive(int_arg(node, "destination", 0));
    perm.erase(perm.begin() + from);
    perm.insert(perm.begin() + to, from);
  } else if (rank >= 2) {
    const bool named = node.target == "aten.transpose.int" || node.target == "aten.swapdims.default", axes = node.target == "aten.swapaxes.default";
    const int64_t a = positive(named ? int_arg(node, "dim0", 0) : axes ? int_arg(node, "axis0", 0) : -2);
    const int64_t b = positive(named ? int_arg(node, "dim1", 1) : axes ? int_arg(node, "axis1", 1) : -1);
    std::swap(perm[static_cast<size_t>(a)], perm[static_cast<size_t>(b)]);
  }
  return perm;
}

Arg ints(const std::vector<int64_t>& values) {
  Arg::List list;
  for (int64_t v : values) list.push_back(Arg(v));
  return Arg(list);
}

// `part` in the shape that `base` has: sizes as numbers where at most one is to be inferred.
ValueId reshape_like(Graph& graph, ValueId part, ValueId base, const TensorType& type, const torch::SourceLoc& source,
                     std::vector<NodeId>& order) {
  std::vector<int64_t> sizes;
  for (Dim d : type.shape) sizes.push_back(d.is_constant() ? d.constant() : -1);
  if (std::count(sizes.begin(), sizes.end(), -1) > 1)
    return add_node(graph, "aten.view_as.default", {{"self", part}, {"other", base}}, type, source, order);
  return add_node(graph, "aten.view.default", {{"self", part}, {"size", ints(sizes)}}, type, source, order);
}

struct SliceArgs {
  int64_t dim;
  Arg start, end, step;
};

Result<SliceArgs> slice_args(const Graph& graph, const View& view) {
  const Node& node = graph.nodes[view.node];
  SliceArgs s{axis_of(graph, node, view.source), int64_t{0}, INT64_MAX, int64_t{1}};
  auto symbolic = [&] {
    return diag(DiagKind::UnsupportedShape, "a write through a part whose place is dynamic", "slice with the bounds, or use index_copy");
  };
  if (node.target == "aten.slice.Tensor") {
    for (const auto& [name, to] : {std::pair{"start", &s.start}, {"end", &s.end}, {"step", &s.step}})
      if (const Arg* a = node.find(name); a && (a->as<ValueId>() || a->as<int64_t>())) *to = *a;
    return s;
  }
  int64_t start = 0, length = 0;
  if (node.target == "aten.narrow.default" || node.target == "aten.narrow.Tensor") {
    for (const char* name : {"start", "length"})
      if (const Arg* a = node.find(name); a && a->as<ValueId>()) return symbolic();
    start = int_arg(node, "start", 0);
    length = int_arg(node, "length", 0);
  } else {
    for (int i = 0; i <= view.index; ++i) {
      const Dim size = graph.type(node.results[static_cast<size_t>(i)]).shape[static_cast<size_t>(s.dim)];
      if (!size.is_constant()) return symbolic();
      start += length;
      length = size.constant();
    }
  }
  s.start = start;
  s.end = start + length;
  return s;
}

int64_t select_index(const Node& node, int result) { return node.target == "aten.unbind.int" ? result : int_arg(node, "index", 0); }

}  // namespace

ValueId add_node(Graph& graph, std::string target, std::vector<NamedArg> args, TensorType type, const torch::SourceLoc& source,
                 std::vector<NodeId>& order) {
  const NodeId id{graph.nodes.size()};
  torch::Value value;
  value.name = fmt::format("functional_{}", graph.values.size());
  value.type = std::move(type);
  value.producer = id;
  Node node;
  node.target = std::move(target);
  node.name = value.name;
  node.args = std::move(args);
  node.source = source;
  node.results = {graph.add_value(std::move(value))};
  const ValueId result = node.results[0];
  graph.nodes.add(std::move(node));
  order.push_back(id);
  return result;
}

bool is_contiguous(Graph& graph, const torch::Value& v) {
  if (v.strides.size() != v.type.shape.size()) return true;
  Dim expected(1);
  for (size_t i = v.strides.size(); i-- > 0;) {
    if (v.type.shape[i] != Dim(1) && v.strides[i] != expected) return false;
    expected = graph.dims->mul(expected, v.type.shape[i]);
  }
  return true;
}

bool is_view(const std::string& target) { return kind_of(target).has_value(); }

View view_of(const Graph& graph, ValueId v) {
  const NodeId producer = graph.values[v].producer;
  if (!producer) return {};
  const Node& node = graph.nodes[producer];
  const auto kind = kind_of(node.target);
  if (!kind || node.args.empty()) return {};
  const auto* source = node.args[0].arg.as<ValueId>();
  if (!source || graph.values[*source].kind != torch::Value::Kind::Tensor) return {};
  if (may_copy(node.target)) {
    const bool converts = graph.type(*source).dtype != graph.type(v).dtype;
    const bool forced = node.find("copy") && node.find("copy")->as<bool>() && *node.find("copy")->as<bool>();
    Graph& mutable_graph = const_cast<Graph&>(graph);  // only the table of sizes grows
    const bool moves = !node.target.starts_with("aten.to.") && !is_contiguous(mutable_graph, graph.values[*source]);
    if (converts || forced || moves) return {};
  }
  View view{producer, 0, *source};
  for (size_t i = 0; i < node.results.size(); ++i)
    if (node.results[i] == v) view.index = static_cast<int>(i);
  return view;
}

Result<ValueId> apply_view(Graph& graph, const View& view, ValueId base, std::vector<NodeId>& order) {
  const Node node = graph.nodes[view.node];
  const TensorType type = graph.type(node.results[static_cast<size_t>(view.index)]);
  switch (*kind_of(node.target)) {
    case Kind::Alias: return base;
    case Kind::Slice: {
      if (node.results.size() == 1 && !node.returns_list) break;
      TRY(const SliceArgs s, slice_args(graph, view));
      return add_node(graph, "aten.slice.Tensor", {{"self", base}, {"dim", s.dim}, {"start", s.start}, {"end", s.end}, {"step", s.step}}, type,
                      node.source, order);
    }
    case Kind::Select:
      return add_node(graph, "aten.select.int", {{"self", base}, {"dim", axis_of(graph, node, view.source)}, {"index", select_index(node, view.index)}},
                      type, node.source, order);
    default: break;
  }
  auto args = node.args;
  args[0].arg = base;
  return add_node(graph, node.target, std::move(args), type, node.source, order);
}

Result<ValueId> undo_view(Graph& graph, const View& view, ValueId base, ValueId part, std::vector<NodeId>& order) {
  const Node node = graph.nodes[view.node];
  const TensorType type = graph.type(view.source);
  switch (*kind_of(node.target)) {
    case Kind::Alias: return part;
    case Kind::Reshape: return reshape_like(graph, part, base, type, node.source, order);
    case Kind::Permute: {
      const auto perm = permutation(graph, node, view.source);
      std::vector<int64_t> inverse(perm.size());
      for (size_t i = 0; i < perm.size(); ++i) inverse[static_cast<size_t>(perm[i])] = static_cast<int64_t>(i);
      return add_node(graph, "aten.permute.default", {{"self", part}, {"dims", ints(inverse)}}, type, node.source, order);
    }
    case Kind::Slice: {
      TRY(const SliceArgs s, slice_args(graph, view));
      return add_node(graph, "aten.slice_scatter.default",
                      {{"self", base}, {"src", part}, {"dim", s.dim}, {"start", s.start}, {"end", s.end}, {"step", s.step}}, type, node.source, order);
    }
    case Kind::Select:
      return add_node(graph, "aten.select_scatter.default",
                      {{"self", base}, {"src", part}, {"dim", axis_of(graph, node, view.source)}, {"index", select_index(node, view.index)}}, type,
                      node.source, order);
    case Kind::Diagonal: {
      const bool last = node.target == "aten.linalg_diagonal.default";
      return add_node(graph, "aten.diagonal_scatter.default",
                      {{"self", base}, {"src", part}, {"offset", int_arg(node, "offset", 0)}, {"dim1", int_arg(node, "dim1", last ? -2 : 0)}, {"dim2", int_arg(node, "dim2", last ? -1 : 1)}},
                      type, node.source, order);
    }
    case Kind::Strided: {
      auto args = node.args;
      args[0].arg = base;
      args.insert(args.begin() + 1, {"src", part});
      return add_node(graph, "aten.as_strided_scatter.default", std::move(args), type, node.source, order);
    }
    case Kind::Expand:
      if (graph.type(part).shape == type.shape) return part;
      break;
    case Kind::Opaque:
      return diag(DiagKind::UnsupportedArgument, fmt::format("writes to what {} shows of another tensor", node.target), "clone it before writing");
  }
  return diag(DiagKind::UnsupportedArgument, "writes to an expanded tensor, whose elements share memory", "clone it before writing");
}

}  // namespace cortland::torch_passes
