#include "torch/asserted_sizes.h"

#include <algorithm>
#include <optional>

namespace cortland::torch {
namespace {

using Term = DimTable::Term;

constexpr int64_t kMost = int64_t{1} << 31;  // products of two are exact

// sum of terms <= limit
struct Inequality {
  std::vector<Term> terms;
  int64_t limit = 0;
};

const Arg* side(const Node& node, std::string_view name, size_t position) {
  if (const Arg* a = node.find(name)) return a;
  return position < node.args.size() && node.args[position].name.empty() ? &node.args[position].arg : nullptr;
}

// `a` <= `b` + slack, one of them a size and the other a number.
std::optional<Inequality> at_most(const Graph& graph, const Arg* a, const Arg* b, int64_t slack) {
  const auto size = [&](const Arg* arg) -> const Value* {
    const auto* v = arg ? arg->as<ValueId>() : nullptr;
    return v && *v && graph.values[*v].kind == Value::Kind::SymInt && graph.values[*v].has_sym ? &graph.values[*v] : nullptr;
  };
  const auto number = [](const Arg* arg) { return arg ? arg->as<int64_t>() : nullptr; };
  if (const Value* s = size(a); s && number(b)) return Inequality{graph.dims->terms(s->sym), *number(b) + slack};
  const Value* s = size(b);
  if (!s || !number(a)) return std::nullopt;
  Inequality turned{graph.dims->terms(s->sym), slack - *number(a)};
  for (Term& t : turned.terms) t.coefficient = -t.coefficient;
  return turned;
}

std::optional<Inequality> asserted(const Graph& graph, const Node& assertion) {
  const Arg* claim = side(assertion, "self", 0);
  const auto* v = claim ? claim->as<ValueId>() : nullptr;
  if (!v || !*v || !graph.values[*v].producer) return std::nullopt;
  const Node& node = graph.nodes[graph.values[*v].producer];
  const Arg *a = side(node, "a", 0), *b = side(node, "b", 1);
  if (node.target == "_operator.le") return at_most(graph, a, b, 0);
  if (node.target == "_operator.lt") return at_most(graph, a, b, -1);
  if (node.target == "_operator.ge") return at_most(graph, b, a, 0);
  if (node.target == "_operator.gt") return at_most(graph, b, a, -1);
  return std::nullopt;
}

bool exact(int64_t v) { return v > -kMost && v < kMost; }

// The product of the lowest, or the highest, values of a term's symbols but one.
std::optional<int64_t> product(const Graph& graph, const Term& term, bool highest, size_t without) {
  int64_t p = 1;
  for (size_t i = 0; i < term.atoms.size(); ++i) {
    if (i == without) continue;
    const auto& atom = graph.dims->atom(term.atoms[i]);
    if (atom.kind != DimTable::AtomKind::Symbol) return std::nullopt;
    const DimRange range = graph.dims->symbol_range(atom.name);
    const int64_t value = highest ? range.high : range.low;
    if (range.low < 0 || !exact(value) || !exact(p * value)) return std::nullopt;
    p *= value;
  }
  return p;
}

void narrow(Graph& graph, const Inequality& claim) {
  constexpr size_t kNone = SIZE_MAX;
  for (const Term& term : claim.terms) {
    if (term.coefficient <= 0 || !exact(term.coefficient) || term.atoms.empty() || !exact(claim.limit)) continue;
    int64_t rest = claim.limit;  // what is left for this term when the others are as small as they can be
    bool known = true;
    for (const Term& other : claim.terms) {
      if (other == term) continue;
      const auto least = product(graph, other, other.coefficient < 0, kNone);
      known = known && least && exact(other.coefficient) && exact(*least * other.coefficient);
      if (known) rest -= *least * other.coefficient;
      known = known && exact(rest);
    }
    for (size_t i = 0; known && i < term.atoms.size(); ++i) {
      const auto others = product(graph, term, false, i);
      const auto& atom = graph.dims->atom(term.atoms[i]);
      if (!others || *others < 1 || !exact(*others * term.coefficient) || atom.kind != DimTable::AtomKind::Symbol ||
          rest < 0)
        continue;
      const std::string name = atom.name;
      const int64_t most = rest / (*others * term.coefficient);
      const int64_t low = graph.dims->symbol_range(name).low;
      if (most >= low) graph.dims->symbol(name, {low, most});
    }
  }
}

// The tensor whose elements a node counts, and how many axes of the first argument lie before those it chooses from.
struct Counted {
  ValueId mask;
  size_t before = 0;
};

std::optional<Counted> counted(const Graph& graph, const Node& node) {
  const auto tensor = [&](std::string_view name, size_t position) -> std::optional<Counted> {
    const Arg* arg = side(node, name, position);
    const auto* v = arg ? arg->as<ValueId>() : nullptr;
    return v && *v && graph.values[*v].kind == Value::Kind::Tensor ? std::optional(Counted{*v}) : std::nullopt;
  };
  if (node.target == "aten.nonzero.default" || node.target == "aten.nonzero_numpy.default" || node.target == "aten.argwhere.default")
    return tensor("self", 0);
  if (node.target == "aten.where.default") return tensor("condition", 0);
  if (node.target != "aten.index.Tensor") return std::nullopt;
  const Arg* indices = side(node, "indices", 1);
  const auto* list = indices ? indices->as<Arg::List>() : nullptr;
  for (size_t i = 0; list && i < list->size(); ++i) {
    const auto* v = (*list)[i].as<ValueId>();
    if (v && *v && graph.type(*v).dtype == DType::Bool) return Counted{*v, i};
  }
  return std::nullopt;
}

// How many elements a mask has at most, which lies on the axes of `x` from `before` on; an unbounded number when nothing bounds them.
int64_t most_elements(const Graph& graph, const Shape& mask, const Shape& x, size_t before) {
  int64_t most = 1;
  for (size_t i = 0; i < mask.size(); ++i) {
    int64_t size = graph.dims->range(mask[i]).high;
    if (before + i < x.size()) size = std::min(size, graph.dims->range(x[before + i]).high);
    if (!exact(size) || !exact(most * size)) return DimRange::kUnbounded;
    most *= size;
  }
  return most;
}

// How many elements a mask keeps that the program holds and only counts: nothing can have written to it.
std::optional<int64_t> known_count(Graph& graph, ValueId mask) {
  constexpr int64_t kMostElements = int64_t{1} << 20;
  const auto input = std::find_if(graph.inputs.begin(), graph.inputs.end(), [&](const GraphInput& in) { return in.value == mask; });
  if (input == graph.inputs.end() || !input->data || input->data.elements() > kMostElements || is_float(input->data.dtype()))
    return std::nullopt;
  for (const NodeId n : graph.order) {
    bool reads = false;
    for (auto& arg : graph.nodes[n].args) for_each_value(arg.arg, [&](ValueId& v) { reads = reads || v == mask; });
    if (const auto what = reads ? counted(graph, graph.nodes[n]) : std::nullopt; reads && (!what || what->mask != mask)) return std::nullopt;
  }
  const auto values = input->data.to_ints();
  return std::count_if(values.begin(), values.end(), [](int64_t v) { return v != 0; });
}

}  // namespace

void bound_counted_sizes(Graph& graph) {
  for (const NodeId n : graph.order) {
    const Node& node = graph.nodes[n];
    const auto what = counted(graph, node);
    const Arg* self = what ? side(node, "self", 0) : nullptr;
    const auto* x = self ? self->as<ValueId>() : nullptr;
    if (!what) continue;
    const Shape& mask = graph.type(what->mask).shape;
    const Shape& from = x && *x ? graph.type(*x).shape : mask;
    const auto count = known_count(graph, what->mask);
    const int64_t least = count.value_or(0), most = count ? *count : most_elements(graph, mask, from, what->before);
    if (most == DimRange::kUnbounded) continue;
    for (const ValueId v : node.results) {
      if (!v || graph.values[v].kind != Value::Kind::Tensor) continue;
      for (const Dim d : graph.type(v).shape)
        if (graph.dims->is_symbol(d) && std::find(from.begin(), from.end(), d) == from.end() && graph.dims->range(d).low <= most)
          graph.dims->symbol(graph.dims->str(d), {least, most});
    }
  }
}

void bound_asserted_sizes(Graph& graph) {
  for (const NodeId n : graph.order) {
    if (graph.nodes[n].target != "aten._assert_scalar.default") continue;
    if (const auto claim = asserted(graph, graph.nodes[n])) narrow(graph, *claim);
  }
}

}  // namespace cortland::torch
