#include "torch_ops/steps.h"

#include <algorithm>
#include <numeric>

namespace cortland::torch_ops {
namespace {

using V = Steps::V;
using Arg = Steps::Arg;

// 0 bool, 1 integer, 2 float: the larger kind wins, whatever the widths.
int kind(DType t) { return is_float(t) ? 2 : t == DType::Bool ? 0 : 1; }

DType wider(DType a, DType b) {
  if (a == b) return a;
  if (kind(a) != kind(b)) return kind(a) > kind(b) ? a : b;
  // float16 and bfloat16 meet in float32, uint8 and int8 in int16.
  if (bit_width(a) == bit_width(b)) return is_float(a) ? DType::F32 : bit_width(a) == 8 ? DType::I16 : DType::I64;
  return bit_width(a) > bit_width(b) ? a : b;
}

}  // namespace

bool Steps::is_tensor(const Arg& a) const {
  const auto* v = a.as<V>();
  return v && *v && d.graph().values[*v].kind == torch::Value::Kind::Tensor;
}

std::optional<int> Steps::axis(int64_t dim, int rank) const {
  const int64_t reach = std::max(rank, 1);
  if (dim < -reach || dim >= reach) return std::nullopt;
  return static_cast<int>(dim < 0 ? dim + reach : dim);
}

std::optional<std::vector<int64_t>> Steps::axes(std::string_view name, int rank) const {
  std::vector<int64_t> all(static_cast<size_t>(rank));
  std::iota(all.begin(), all.end(), 0);
  if (!d.has(name)) return all;
  const auto given = d.ints(name);
  if (!given) return std::nullopt;
  if (given->empty()) return all;
  std::vector<int64_t> dims;
  for (const int64_t dim : *given) {
    const auto a = axis(dim, rank);
    if (!a) return std::nullopt;
    if (rank > 0) dims.push_back(*a);
  }
  std::sort(dims.begin(), dims.end());
  return dims;
}

Arg Steps::size(Dim dim) { return size_argument(d.graph(), dim, d.node().name + "_size"); }

Arg::List Steps::sizes(const Shape& shape) {
  Arg::List list;
  for (const Dim dim : shape) list.push_back(size(dim));
  return list;
}

Dim Steps::product(const Shape& shape, size_t begin, size_t end) {
  Dim result = 1;
  for (size_t i = begin; i < end; ++i) result = d.dims().mul(result, shape[i]);
  return result;
}

Shape Steps::broadcast(const Shape& a, const Shape& b) const {
  const Shape &longer = a.size() >= b.size() ? a : b, &shorter = a.size() >= b.size() ? b : a;
  Shape result = longer;
  const size_t lead = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i)
    if (result[lead + i] == Dim(1)) result[lead + i] = shorter[i];
  return result;
}

DType Steps::promote(V a, const Arg& b) const {
  const DType own = dtype(a);
  if (!is_tensor(b)) {
    const bool real = b.as<double>() != nullptr;
    if (real && !is_float(own)) return DType::F32;
    return own == DType::Bool && !b.as<bool>() ? DType::I64 : own;
  }
  const V other = *b.as<V>();
  // A tensor of rank 0 gives way to others, as a number does.
  const bool outranked = rank(other) == 0 && rank(a) > 0, outranks = rank(a) == 0 && rank(other) > 0;
  if (outranked && kind(dtype(other)) <= kind(own)) return own;
  if (outranks && kind(own) <= kind(dtype(other))) return dtype(other);
  return wider(own, dtype(other));
}

V Steps::tensor(std::string_view name) {
  if (const V v = d.tensor(name)) return v;
  const Arg& arg = d.arg(name);
  if (const auto* i = arg.as<int64_t>()) return d.constant(Weight::of<int64_t>(DType::I64, {}, {*i}), d.node().name + "_number");
  if (const auto* f = arg.as<double>()) return number(*f, DType::F32);
  if (const auto* b = arg.as<bool>()) return number(*b, DType::Bool);
  return {};
}

bool Steps::expect(bool condition) {
  spoiled_ = spoiled_ || !condition;
  return condition;
}

Dim Steps::size_of(V v, int axis) {
  if (axis < 0) axis += rank(v);
  return expect(axis >= 0 && axis < rank(v)) ? shape(v)[static_cast<size_t>(axis)] : Dim(1);
}

int64_t Steps::number_of(V v, int axis) {
  const Dim size = size_of(v, axis);
  return expect(size.is_constant()) ? size.constant() : 1;
}

Status Steps::give(size_t i, V v) {
  if (!expect(static_cast<bool>(v)) || spoiled_) return d.reject("the shapes of its tensors do not fit together");
  if (i >= d.node().results.size() || !d.node().results[i]) return {};
  // One value may be several results: it is the first, the others are copies.
  for (const auto& [value, result] : given_)
    if (value == v) v = d.op("aten.clone.default", {{"self", result}}, type(result));
  const TensorType want = d.result_type(i);
  if (want.dtype != DType::Unknown) {
    v = cast(v, want.dtype);
    const Shape& have = shape(v);
    bool differs = have.size() != want.shape.size();
    for (size_t k = 0; !differs && k < have.size(); ++k)
      differs = have[k] != want.shape[k] && have[k].is_constant() && want.shape[k].is_constant();
    if (differs) v = view(v, want.shape);
  }
  if (spoiled_) return d.reject("the shapes of its tensors do not fit together");
  d.replace(i, v);
  given_.emplace_back(v, d.node().results[i]);
  return {};
}

// ---- element by element

V Steps::binary(const std::string& op, V a, Arg b) {
  DType result = promote(a, b);
  if (op == "div" && !is_float(result)) result = DType::F32;
  const Shape to = is_tensor(b) ? broadcast(shape(a), shape(*b.as<V>())) : shape(a);
  return d.op("aten." + op + ".Tensor", {{"self", a}, {"other", std::move(b)}}, {result, to});
}

V Steps::floor_div(V a, Arg b) {
  const DType result = promote(a, b);
  const Shape to = is_tensor(b) ? broadcast(shape(a), shape(*b.as<V>())) : shape(a);
  return d.op("aten.div.Tensor_mode", {{"self", a}, {"other", std::move(b)}, {"rounding_mode", std::string("floor")}}, {result, to});
}

V Steps::maximum(V a, V b) {
  return d.op("aten.maximum.default", {{"self", a}, {"other", b}}, {promote(a, b), broadcast(shape(a), shape(b))});
}

V Steps::minimum(V a, V b) {
  return d.op("aten.minimum.default", {{"self", a}, {"other", b}}, {promote(a, b), broadcast(shape(a), shape(b))});
}

V Steps::pow(V a, Arg exponent) {
  const DType result = promote(a, exponent);
  return d.op("aten.pow.Tensor_Scalar", {{"self", a}, {"exponent", std::move(exponent)}}, {result, shape(a)});
}

V Steps::polynomial(V x, std::span<const double> rising) {
  V sum = mul(x, rising.back());
  for (size_t i = rising.size() - 1; i-- > 0;) {
    sum = add(sum, rising[i]);
    if (i > 0) sum = mul(sum, x);
  }
  return sum;
}

V Steps::compare(const std::string& op, V a, Arg b) {
  const bool tensor = is_tensor(b);
  const Shape to = tensor ? broadcast(shape(a), shape(*b.as<V>())) : shape(a);
  return d.op("aten." + op + (tensor ? ".Tensor" : ".Scalar"), {{"self", a}, {"other", std::move(b)}}, {DType::Bool, to});
}

V Steps::logical(const std::string& op, V a, V b) {
  return d.op("aten." + op + ".default", {{"self", a}, {"other", b}}, {DType::Bool, broadcast(shape(a), shape(b))});
}

V Steps::where(V condition, Arg a, Arg b, DType result) {
  Shape to = shape(condition);
  for (Arg* arg : {&a, &b}) {
    if (is_tensor(*arg)) to = broadcast(to, shape(*arg->as<V>()));
    else if (const auto* i = arg->as<int64_t>()) *arg = number(static_cast<double>(*i), result);
    else if (const auto* f = arg->as<double>()) *arg = number(*f, result);
    else if (const auto* flag = arg->as<bool>()) *arg = number(*flag, result);
  }
  return d.op("aten.where.self", {{"condition", condition}, {"self", std::move(a)}, {"other", std::move(b)}}, {result, to});
}

V Steps::clamp(V a, Arg low, Arg high) {
  DType result = dtype(a);
  for (const Arg& bound : {low, high})
    if (!bound.is_none()) result = wider(result, promote(a, bound));
  return d.op("aten.clamp.default", {{"self", a}, {"min", std::move(low)}, {"max", std::move(high)}}, {result, shape(a)});
}

V Steps::cast(V a, DType to) {
  if (dtype(a) == to) return a;
  return d.op("aten._to_copy.default", {{"self", a}, {"dtype", to}}, {to, shape(a)});
}

// ---- shapes

V Steps::view(V a, const Shape& to) {
  if (shape(a) == to) return a;
  const auto have = type(a).elements(), want = TensorType{dtype(a), to}.elements();
  if (!expect(!have || !want || *have == *want)) return a;
  return d.op("aten.view.default", {{"self", a}, {"size", sizes(to)}}, {dtype(a), to});
}

V Steps::expand(V a, const Shape& to) {
  if (shape(a) == to || !expect(rank(a) <= static_cast<int>(to.size()))) return a;
  return d.op("aten.expand.default", {{"self", a}, {"size", sizes(to)}}, {dtype(a), to});
}

V Steps::permute(V a, const std::vector<int64_t>& order) {
  Shape to;
  std::vector<int64_t> seen = order;
  std::sort(seen.begin(), seen.end());
  for (size_t i = 0; i < seen.size(); ++i)
    if (!expect(seen[i] == static_cast<int64_t>(i))) return a;
  if (!expect(order.size() == shape(a).size()) || order == seen) return a;
  for (const int64_t i : order) to.push_back(shape(a)[static_cast<size_t>(i)]);
  return d.op("aten.permute.default", {{"self", a}, {"dims", list(order)}}, {dtype(a), to});
}

V Steps::transpose(V a, int first, int second) {
  if (!expect(first >= 0 && second >= 0 && first < rank(a) && second < rank(a))) return a;
  std::vector<int64_t> order(static_cast<size_t>(rank(a)));
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[static_cast<size_t>(first)], order[static_cast<size_t>(second)]);
  return permute(a, order);
}

V Steps::unsqueeze(V a, int dim) {
  if (!expect(dim >= 0 && dim <= rank(a))) return a;
  Shape to = shape(a);
  to.insert(to.begin() + dim, Dim(1));
  return d.op("aten.unsqueeze.default", {{"self", a}, {"dim", int64_t{dim}}}, {dtype(a), to});
}

V Steps::squeeze(V a, int dim) {
  if (!expect(dim >= 0 && dim < rank(a) && shape(a)[static_cast<size_t>(dim)] == Dim(1))) return a;
  Shape to = shape(a);
  to.erase(to.begin() + dim);
  return d.op("aten.squeeze.dims", {{"self", a}, {"dim", list(std::vector<int64_t>{dim})}}, {dtype(a), to});
}

V Steps::select(V a, int dim, int64_t index) {
  if (!expect(dim >= 0 && dim < rank(a) && index >= 0)) return a;
  Shape to = shape(a);
  if (!expect(!to[static_cast<size_t>(dim)].is_constant() || index < to[static_cast<size_t>(dim)].constant())) return a;
  to.erase(to.begin() + dim);
  return d.op("aten.select.int", {{"self", a}, {"dim", int64_t{dim}}, {"index", index}}, {dtype(a), to});
}

V Steps::slice(V a, int dim, int64_t begin, int64_t end, int64_t step) {
  constexpr int64_t kFar = int64_t{1} << 60;
  if (!expect(dim >= 0 && dim < rank(a) && begin >= 0 && begin <= end && end < kFar && step > 0 && step < kFar)) return a;
  Shape to = shape(a);
  Dim& size = to[static_cast<size_t>(dim)];
  if (!expect(!size.is_constant() || end <= size.constant())) return a;
  size = (end - begin + step - 1) / step;
  if (to == shape(a)) return a;
  return d.op("aten.slice.Tensor", {{"self", a}, {"dim", int64_t{dim}}, {"start", begin}, {"end", end}, {"step", step}}, {dtype(a), to});
}

V Steps::cat(const std::vector<V>& parts, int dim) {
  if (!expect(!parts.empty())) return {};
  Dim total = 0;
  for (const V part : parts) {
    if (!expect(rank(part) == rank(parts[0]) && dim >= 0 && dim < rank(part))) return parts[0];
    total = d.dims().add(total, shape(part)[static_cast<size_t>(dim)]);
  }
  if (parts.size() == 1) return parts[0];
  Shape to = shape(parts[0]);
  to[static_cast<size_t>(dim)] = total;
  return d.op("aten.cat.default", {{"tensors", list(parts)}, {"dim", int64_t{dim}}}, {dtype(parts[0]), to});
}

V Steps::flip(V a, int dim) {
  if (!expect(dim >= 0 && dim < rank(a))) return a;
  return d.op("aten.flip.default", {{"self", a}, {"dims", list(std::vector<int64_t>{dim})}}, type(a));
}

std::vector<V> Steps::unbind(V a, int dim) {
  std::vector<V> parts;
  constexpr int64_t kMaxParts = 1024;
  const int64_t count = number_of(a, dim);
  if (!expect(count <= kMaxParts)) return parts;
  for (int64_t i = 0; i < count; ++i) parts.push_back(select(a, dim, i));
  return parts;
}

std::vector<V> Steps::split(V a, const std::vector<int64_t>& parts, int dim) {
  std::vector<V> pieces;
  int64_t begin = 0;
  for (const int64_t size : parts) {
    pieces.push_back(slice(a, dim, begin, begin + size));
    begin += size;
  }
  return pieces;
}

V Steps::pad(V a, const std::vector<int64_t>& amounts, Arg value) {
  if (std::all_of(amounts.begin(), amounts.end(), [](int64_t n) { return n == 0; })) return a;
  constexpr int64_t kFar = int64_t{1} << 40;
  if (!expect(amounts.size() <= 2 * shape(a).size() && amounts.size() % 2 == 0)) return a;
  Shape to = shape(a);
  for (size_t i = 0; 2 * i + 1 < amounts.size(); ++i) {
    const int64_t low = amounts[2 * i], high = amounts[2 * i + 1];
    if (!expect(low >= 0 && high >= 0 && low < kFar && high < kFar)) return a;
    Dim& size = to[to.size() - 1 - i];
    size = d.dims().add(size, low + high);
  }
  return d.op("aten.constant_pad_nd.default", {{"self", a}, {"pad", list(amounts)}, {"value", std::move(value)}}, {dtype(a), to});
}

// ---- reductions

Shape Steps::reduced(V a, const std::vector<int64_t>& dims, bool keep) const {
  Shape to;
  for (int i = 0; i < rank(a); ++i) {
    const bool gone = std::find(dims.begin(), dims.end(), i) != dims.end();
    if (!gone) to.push_back(shape(a)[static_cast<size_t>(i)]);
    else if (keep) to.push_back(1);
  }
  return to;
}

V Steps::reduce(const std::string& op, V a, const std::vector<int64_t>& dims, bool keep) {
  const std::string target = op == "sum" ? "aten.sum.dim_IntList" : "aten." + op + ".dim";
  const DType result = op == "sum" && !is_float(dtype(a)) ? DType::I64 : dtype(a);
  return d.op(target, {{"self", a}, {"dim", list(dims)}, {"keepdim", keep}}, {result, reduced(a, dims, keep)});
}

V Steps::extreme(const std::string& op, V a, const std::vector<int64_t>& dims, bool keep) {
  return d.op("aten." + op + ".default", {{"self", a}, {"dim", list(dims)}, {"keepdim", keep}}, {dtype(a), reduced(a, dims, keep)});
}

V Steps::any(V a, const std::vector<int64_t>& dims, bool keep) {
  return d.op("aten.any.dims", {{"self", a}, {"dim", list(dims)}, {"keepdim", keep}}, {DType::Bool, reduced(a, dims, keep)});
}

// ---- matrices

V Steps::mm(V a, V b) {
  if (!expect(rank(a) == 2 && rank(b) == 2)) return a;
  return d.op("aten.mm.default", {{"self", a}, {"mat2", b}}, {dtype(a), {size_of(a, 0), size_of(b, 1)}});
}

V Steps::bmm(V a, V b) {
  if (!expect(rank(a) == 3 && rank(b) == 3)) return a;
  return d.op("aten.bmm.default", {{"self", a}, {"mat2", b}}, {dtype(a), {size_of(a, 0), size_of(a, 1), size_of(b, 2)}});
}

V Steps::linear(V a, V weight, V bias) {
  if (!expect(rank(a) > 0 && rank(weight) == 2)) return a;
  Shape to = shape(a);
  to.back() = size_of(weight, 0);
  std::vector<torch::NamedArg> args = {{"input", a}, {"weight", weight}};
  if (bias) args.push_back({"bias", bias});
  return d.op("aten.linear.default", std::move(args), {dtype(a), to});
}

// ---- new tensors

V Steps::full(const Shape& to, Arg value, DType dtype) {
  return d.op("aten.full.default", {{"size", sizes(to)}, {"fill_value", std::move(value)}, {"dtype", dtype}}, {dtype, to});
}

V Steps::number(double value, DType dtype) {
  return d.constant(Weight::of<double>(DType::F64, {}, {value}).cast(dtype), d.node().name + "_number");
}

V Steps::range(Dim count) {
  constexpr int64_t kMaxTable = int64_t{1} << 22;
  if (!count.is_constant() || count.constant() > kMaxTable)
    return d.op("aten.arange.start_step", {{"start", int64_t{0}}, {"end", size(count)}, {"step", int64_t{1}}, {"dtype", DType::I64}}, {DType::I64, {count}});
  std::vector<int64_t> values(static_cast<size_t>(count.constant()));
  std::iota(values.begin(), values.end(), 0);
  return ints({count.constant()}, values);
}

V Steps::floats(std::vector<int64_t> shape, const std::vector<float>& values, DType dtype) {
  return d.constant(Weight::of<float>(DType::F32, std::move(shape), values).cast(dtype), d.node().name + "_table");
}

V Steps::ints(std::vector<int64_t> shape, const std::vector<int64_t>& values) {
  return d.constant(Weight::of<int64_t>(DType::I64, std::move(shape), values), d.node().name + "_table");
}

}  // namespace cortland::torch_ops
