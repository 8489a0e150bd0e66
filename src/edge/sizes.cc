#include "edge/sizes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

namespace cortland::edge {
namespace {

using torch::Arg;
using torch::ValueId;

// Python's operators on symbolic numbers, and the prim operator that computes each.
constexpr std::pair<std::string_view, const char*> kPrims[] = {
    {"_operator.add", "add"},       {"_operator.sub", "sub"},         {"_operator.mul", "mul"},
    {"_operator.floordiv", "floordiv"}, {"_operator.truediv", "truediv"}, {"_operator.mod", "mod"},
    {"_operator.neg", "neg"},       {"_operator.eq", "eq"},           {"_operator.lt", "lt"},
    {"_operator.le", "le"},         {"_operator.gt", "gt"},           {"_operator.ge", "ge"},
    {"torch.sym_max", "sym_max"},   {"torch.sym_min", "sym_min"},     {"torch.sym_float", "sym_float"},
    {"torch.sym_int", "sym_int"},   {"torch.sym_not", "sym_not"},     {"torch.sym_ite", "sym_ite"},
    {"math.trunc", "trunc"},        {"math.ceil", "ceil"},            {"_operator.not_", "sym_not"},
};

// coefficient * symbol + offset.
struct Linear {
  std::string symbol;
  int64_t coefficient = 0, offset = 0;
};

std::optional<Linear> linear(const DimTable& dims, Dim dim) {
  Linear line;
  for (const auto& term : dims.terms(dim)) {
    if (term.atoms.empty()) {
      line.offset = term.coefficient;
    } else if (term.atoms.size() == 1 && line.symbol.empty() &&
               dims.atom(term.atoms[0]).kind == DimTable::AtomKind::Symbol) {
      line.symbol = dims.atom(term.atoms[0]).name;
      line.coefficient = term.coefficient;
    } else {
      return std::nullopt;
    }
  }
  if (line.symbol.empty() || line.coefficient == 0) return std::nullopt;
  return line;
}

// A number without symbols; a plain Dim cannot hold the negative ones.
std::optional<int64_t> constant(const DimTable& dims, Dim dim) {
  if (dim.is_constant()) return dim.constant();
  const auto terms = dims.terms(dim);
  if (terms.empty()) return 0;
  if (terms.size() == 1 && terms[0].atoms.empty()) return terms[0].coefficient;
  return std::nullopt;
}

}  // namespace

void Sizes::add_tensor(ValueId v) {
  if (!v || plan_.graph().values[v].kind != torch::Value::Kind::Tensor) return;
  const Shape& shape = plan_.graph().type(v).shape;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis].is_constant()) continue;
    const auto line = linear(plan_.dims(), shape[axis]);
    if (!line) continue;
    const Source source{v, static_cast<int>(axis), line->coefficient, line->offset};
    const auto [it, fresh] = known_.sources.emplace(line->symbol, source);
    const bool plain = source.coefficient == 1 && source.offset == 0;
    if (!fresh && plain && (it->second.coefficient != 1 || it->second.offset != 0)) it->second = source;
  }
}

void Sizes::define(ValueId v, ValueIndex slot) {
  known_.numbers[v] = slot;
  const torch::Value& value = plan_.graph().values[v];
  if (value.kind == torch::Value::Kind::SymInt && value.has_sym) known_.computed.emplace(value.sym.code, slot);
}

Status Sizes::add_node(torch::NodeId id) {
  const torch::Node& node = plan_.graph().nodes[id];
  const ValueId result = node.results.empty() ? ValueId{} : node.results[0];
  if (!result) return {};
  const torch::Value& value = plan_.graph().values[result];
  // What is written as a size waits until somebody asks for it.
  if (value.kind == torch::Value::Kind::SymInt && value.has_sym) return {};
  TRY(const ValueIndex slot, call_prim(node));
  define(result, slot);
  return {};
}

Result<ValueIndex> Sizes::call_prim(const torch::Node& node) {
  std::vector<ValueIndex> args;
  for (const auto& a : node.args) {
    TRY(args.emplace_back(), scalar(a.arg));
  }
  if (node.target == "_operator.pos" && args.size() == 1) return args[0];
  if (node.target == "_operator.ne" && args.size() == 2) return prim("sym_not", {prim("eq", args)});
  // a and b is a ? b : false.
  if (node.target == "_operator.and_" && args.size() == 2) return prim("sym_ite", {args[0], args[1], plan_.boolean(false)});
  if (node.target == "_operator.or_" && args.size() == 2) return prim("sym_ite", {args[0], plan_.boolean(true), args[1]});
  for (const auto& [target, name] : kPrims)
    if (target == node.target) return prim(name, args);
  Diagnostic d = diag(DiagKind::NoCpuKernel, "ExecuTorch has no operator for this arithmetic on sizes");
  d.op = node.target;
  d.node = node.name;
  d.source = node.source.str();
  return d;
}

ValueIndex Sizes::prim(const char* name, std::vector<ValueIndex> args) {
  const ValueIndex slot = plan_.add(executorch::Int{0});  // the kernel overwrites it, its type included
  args.push_back(slot);
  plan_.call(fmt::format("executorch_prim::{}", name), "Scalar", std::move(args));
  return slot;
}

Result<ValueIndex> Sizes::number(ValueId v) {
  if (const auto it = known_.numbers.find(v); it != known_.numbers.end()) return it->second;
  const torch::Value& value = plan_.graph().values[v];
  if (value.kind == torch::Value::Kind::SymInt && value.has_sym) return size(value.sym);
  return diag(DiagKind::UnsupportedArgument, fmt::format("the number '{}' is not known where it is used", value.name));
}

Result<ValueIndex> Sizes::scalar(const Arg& arg) {
  if (const auto* i = arg.as<int64_t>()) return plan_.integer(*i);
  if (const auto* f = arg.as<double>()) return plan_.real(*f);
  if (const auto* b = arg.as<bool>()) return plan_.boolean(*b);
  if (const auto* v = arg.as<ValueId>(); v && *v && plan_.graph().values[*v].kind != torch::Value::Kind::Tensor) return number(*v);
  return diag(DiagKind::UnsupportedArgument, "an argument is neither a number nor a symbolic size");
}

Result<ValueIndex> Sizes::symbol(const std::string& name) {
  const auto it = known_.sources.find(name);
  if (it == known_.sources.end())
    return diag(DiagKind::UnsupportedShape, fmt::format("the size {} is not a size of any tensor computed by then", name));
  const Source& source = it->second;
  TRY(const ValueIndex tensor, plan_.tensor(source.tensor));
  ValueIndex slot = plan_.add(executorch::Int{0});
  plan_.call_on_shapes("aten::sym_size", "int", {tensor, plan_.integer(source.axis), slot});
  if (source.offset != 0) slot = prim("sub", {slot, plan_.integer(source.offset)});
  if (source.coefficient != 1) slot = prim("floordiv", {slot, plan_.integer(source.coefficient)});
  return slot;
}

Result<ValueIndex> Sizes::atom(const DimTable::Atom& atom) {
  if (atom.kind == DimTable::AtomKind::Symbol) return size(plan_.dims().symbol(atom.name));
  TRY(const ValueIndex a, size(atom.a));
  TRY(const ValueIndex b, size(atom.b));
  const bool division = atom.kind == DimTable::AtomKind::FloorDiv;
  return prim(division ? "floordiv" : atom.kind == DimTable::AtomKind::Min ? "sym_min" : "sym_max", {a, b});
}

Result<ValueIndex> Sizes::size(Dim dim) {
  if (const auto value = constant(plan_.dims(), dim)) return plan_.integer(*value);
  if (const auto it = known_.computed.find(dim.code); it != known_.computed.end()) return it->second;
  ValueIndex sum = -1;
  if (plan_.dims().is_symbol(dim)) {
    TRY(sum, symbol(plan_.dims().symbols(dim)[0]));
    known_.computed[dim.code] = sum;
    return sum;
  }
  for (const auto& term : plan_.dims().terms(dim)) {
    ValueIndex product = -1;
    for (const int index : term.atoms) {
      // By value: the table may grow while the atom's parts are computed.
      const DimTable::Atom part = plan_.dims().atom(index);
      TRY(const ValueIndex factor, atom(part));
      product = product < 0 ? factor : prim("mul", {product, factor});
    }
    if (product < 0) product = plan_.integer(term.coefficient);
    else if (term.coefficient != 1) product = prim("mul", {product, plan_.integer(term.coefficient)});
    sum = sum < 0 ? product : prim("add", {sum, product});
  }
  known_.computed[dim.code] = sum;
  return sum;
}

}  // namespace cortland::edge
