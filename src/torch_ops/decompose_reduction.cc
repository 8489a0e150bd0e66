// Reductions, norms, orders and losses, in terms of operators with a CPU kernel.
#include <cmath>
#include <limits>
#include <numeric>

#include "torch_ops/decompositions.h"
#include "torch_ops/steps.h"

namespace cortland::torch_ops::decompositions {

using V = Steps::V;
using Dims = std::vector<int64_t>;
using torch::Arg;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

static Dims all_dims(int rank) {
  Dims dims(static_cast<size_t>(rank));
  std::iota(dims.begin(), dims.end(), 0);
  return dims;
}

static bool keeps(Decomposition& d) { return d.boolean("keepdim"); }

static std::optional<DType> asked_dtype(Decomposition& d) {
  const auto* dtype = d.arg("dtype").as<DType>();
  return dtype ? std::optional(*dtype) : std::nullopt;
}

// ---- sums and means

Status sum_all(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  return s.give(d.op("aten.sum.dim_IntList", {{"self", x}, {"dim", Steps::list(Dims{})}, {"dtype", d.result_type().dtype}}, d.result_type()));
}

// Sums (or means) of what is not NaN.
static Status sum_without_nan(Decomposition& d, bool mean) {
  Steps s(d);
  V x = d.tensor("self");
  const auto dims = s.axes("dim", s.rank(x));
  if (!dims) return d.reject("dimensions must be numbers");
  x = s.cast(x, d.result_type().dtype);
  const V missing = s.unary("isnan", x, DType::Bool);
  const V sum = s.reduce("sum", s.where(missing, 0.0, x, s.dtype(x)), *dims, keeps(d));
  if (!mean) return s.give(sum);
  return s.give(s.div(sum, s.cast(s.reduce("sum", s.negate(missing), *dims, keeps(d)), s.dtype(x))));
}

Status nansum(Decomposition& d) { return sum_without_nan(d, false); }
Status nanmean(Decomposition& d) { return sum_without_nan(d, true); }

Status count_nonzero(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto dims = s.axes("dim", s.rank(x));
  if (!dims) return d.reject("dimensions must be numbers");
  return s.give(s.reduce("sum", s.compare("ne", x, int64_t{0}), *dims, false));
}

// ---- spread

namespace {
struct Spread {
  Dims dims;
  Arg correction;
};
}  // namespace

static std::optional<Spread> spread_of(Steps& s) {
  Decomposition& d = s.d;
  const auto dims = s.axes("dim", s.rank(d.tensor("self")));
  if (!dims) return std::nullopt;
  if (d.has("correction")) return Spread{*dims, d.arg("correction")};
  // The default of both spellings is one degree of freedom less than elements.
  return Spread{*dims, int64_t{d.has("unbiased") && !d.boolean("unbiased") ? 0 : 1}};
}

static V variance(Steps& s, const Spread& spread) {
  const V x = s.d.tensor("self");
  return s.d.op("aten.var.correction", {{"self", x}, {"dim", Steps::list(spread.dims)}, {"correction", spread.correction}, {"keepdim", keeps(s.d)}},
                {s.dtype(x), s.reduced(x, spread.dims, keeps(s.d))});
}

Status var(Decomposition& d) {
  Steps s(d);
  const auto spread = spread_of(s);
  return spread ? s.give(variance(s, *spread)) : Status(d.reject("dimensions must be numbers"));
}

Status std_deviation(Decomposition& d) {
  Steps s(d);
  const auto spread = spread_of(s);
  return spread ? s.give(s.unary("sqrt", variance(s, *spread))) : Status(d.reject("dimensions must be numbers"));
}

static Status with_mean(Decomposition& d, bool root) {
  Steps s(d);
  const auto spread = spread_of(s);
  if (!spread) return d.reject("dimensions must be numbers");
  const V v = variance(s, *spread);
  TRY_DO(s.give(0, root ? s.unary("sqrt", v) : v));
  return s.give(1, s.reduce("mean", d.tensor("self"), spread->dims, keeps(d)));
}

Status var_mean(Decomposition& d) { return with_mean(d, false); }
Status std_mean(Decomposition& d) { return with_mean(d, true); }

// ---- logic

Status all(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto dims = s.axes("dim", s.rank(x));
  if (!dims) return d.reject("dimensions must be numbers");
  return s.give(s.negate(s.any(s.negate(x), *dims, keeps(d))));
}

// ---- norms

// The p-norm over `dims`.
static V norm_of(Steps& s, V x, double p, const Dims& dims, bool keep) {
  const V size = s.unary("abs", x);
  if (p == kInfinity) return s.extreme("amax", size, dims, keep);
  if (p == -kInfinity) return s.extreme("amin", size, dims, keep);
  if (p == 0) return s.cast(s.reduce("sum", s.compare("ne", x, 0.0), dims, keep), s.dtype(x));
  if (p == 1) return s.reduce("sum", size, dims, keep);
  if (p == 2) return s.unary("sqrt", s.reduce("sum", s.mul(x, x), dims, keep));
  return s.pow(s.reduce("sum", s.pow(size, p), dims, keep), 1 / p);
}

static Status norm(Decomposition& d, const char* p_name) {
  Steps s(d);
  V x = d.tensor("self");
  const auto dims = s.axes("dim", s.rank(x));
  const bool given = *p_name && d.has(p_name);
  const auto p = given ? d.number(p_name) : std::optional(2.0);
  if (!dims || !p) return d.reject("the order and the dimensions must be numbers");
  x = s.cast(x, asked_dtype(d).value_or(d.result_type().dtype));
  return s.give(norm_of(s, x, *p, *dims, keeps(d)));
}

Status vector_norm(Decomposition& d) { return norm(d, "ord"); }
Status p_norm(Decomposition& d) { return norm(d, "p"); }
Status frobenius_norm(Decomposition& d) { return norm(d, ""); }

// linalg.norm without an order, or with one for vectors.
Status linalg_norm(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto dims = s.axes("dim", s.rank(x));
  if (d.has("ord") && (!dims || dims->size() != 1)) return d.reject("norms of matrices other than the default have no kernel");
  return norm(d, "ord");
}

Status matrix_norm(Decomposition& d) {
  if (d.str("ord") != "fro") return d.reject("norms of matrices other than 'fro' have no kernel");
  return norm(d, "");
}

Status cosine_similarity(Decomposition& d) {
  Steps s(d);
  const V a = d.tensor("x1"), b = d.tensor("x2");
  const auto eps = d.number("eps");
  const int rank = std::max(s.rank(a), s.rank(b));
  const auto dim = s.axis(d.integer("dim").value_or(INT64_MAX), rank);
  if (!eps || !dim) return d.reject("dim and eps must be numbers");
  const Shape to = s.broadcast(s.shape(a), s.shape(b));
  const V x = s.expand(a, to), y = s.expand(b, to);
  auto unit = [&](V v) { return s.div(v, s.clamp(norm_of(s, v, 2, {*dim}, true), *eps, Arg())); };
  return s.give(s.reduce("sum", s.mul(unit(x), unit(y)), {*dim}, false));
}

Status pairwise_distance(Decomposition& d) {
  Steps s(d);
  const auto p = d.number("p"), eps = d.number("eps");
  if (!p || !eps) return d.reject("p and eps must be numbers");
  const V gap = s.add(s.sub(d.tensor("x1"), d.tensor("x2")), *eps);
  if (s.rank(gap) == 0) return d.reject("vectors are expected");
  return s.give(norm_of(s, gap, *p, {s.rank(gap) - 1}, d.boolean("keepdim")));
}

Status cdist(Decomposition& d) {
  Steps s(d);
  return s.give(d.op("aten._cdist_forward.default", {{"x1", d.arg("x1")}, {"x2", d.arg("x2")}, {"p", d.arg("p")}}, d.result_type()));
}

// (a1 b2 - a2 b1, a2 b0 - a0 b2, a0 b1 - a1 b0): of both vectors, rolled by one and by two places.
Status cross(Decomposition& d) {
  Steps s(d);
  const V a = d.tensor("self"), b = d.tensor("other");
  const Shape& shape = d.result_type().shape;
  const int rank = static_cast<int>(shape.size());
  const auto dim = d.has("dim") ? d.integer("dim") : std::find(shape.begin(), shape.end(), Dim(3)) - shape.begin();
  const auto axis = dim ? s.axis(*dim, rank) : std::nullopt;
  if (!axis) return d.reject("the dimension must be one of the tensor's");
  const auto rolled = [&](V v, int64_t by) {
    const int64_t own = *axis - (rank - s.rank(v));
    return d.op("aten.roll.default", {{"self", v}, {"shifts", Steps::list(std::vector<int64_t>{-by})}, {"dims", Steps::list(std::vector<int64_t>{own})}},
                s.type(v));
  };
  return s.give(s.sub(s.mul(rolled(a, 1), rolled(b, 2)), s.mul(rolled(a, 2), rolled(b, 1))));
}

// ---- softmax and its relatives

static Status softmax(Decomposition& d, const char* target) {
  Steps s(d);
  const V x = s.cast(d.tensor("self"), d.result_type().dtype);
  return s.give(d.op(target, {{"self", x}, {"dim", d.arg("dim")}, {"half_to_float", false}}, d.result_type()));
}

Status softmax_int(Decomposition& d) { return softmax(d, "aten._softmax.default"); }
Status log_softmax_int(Decomposition& d) { return softmax(d, "aten._log_softmax.default"); }

// m + log(sum(exp(x - m))) with m the largest x, unless that is infinite.
Status logsumexp(Decomposition& d) {
  Steps s(d);
  const V x = s.cast(d.tensor("self"), d.result_type().dtype);
  const auto dims = s.axes("dim", s.rank(x));
  if (!dims) return d.reject("dimensions must be numbers");
  const V top = s.extreme("amax", x, *dims, true);
  const V base = s.where(s.unary("isinf", top, DType::Bool), 0.0, top, s.dtype(x));
  const V log = s.unary("log", s.reduce("sum", s.unary("exp", s.sub(x, base)), *dims, true));
  const V result = s.add(log, base);
  return s.give(keeps(d) ? result : s.view(result, s.reduced(x, *dims, false)));
}

// A number is its own sum and its only window. The kernels take no tensors of rank 0.
Status of_one_number(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const Shape to = d.result_type().shape;
  if (s.rank(x) != 0 || s.product(to) != Dim(1)) return d.reject("more than one number is expected");
  return s.give(s.view(s.cast(x, d.result_type().dtype), to));
}

// Products of everything so far, one step an element.
Status cumprod(Decomposition& d) {
  Steps s(d);
  constexpr int64_t kMaxSteps = 1024;
  V x = s.cast(d.tensor("self"), d.result_type().dtype);
  if (s.rank(x) == 0) return s.give(x);
  const auto dim = s.axis(d.integer("dim").value_or(INT64_MAX), s.rank(x));
  if (!dim || !s.size_of(x, *dim).is_constant()) return d.reject("the size along the dimension is not a number");
  const int64_t size = s.number_of(x, *dim);
  if (size < 1 || size > kMaxSteps) return d.reject("there are too many steps");
  std::vector<V> parts = {s.slice(x, *dim, 0, 1)};
  for (int64_t i = 1; i < size; ++i) parts.push_back(s.mul(parts.back(), s.slice(x, *dim, i, i + 1)));
  return s.give(s.cat(parts, *dim));
}

// ---- order

namespace {
struct Ordered {
  V values, places;
};
}  // namespace

// The first k in the given order, by the topk kernel.
static Ordered first_of(Steps& s, V x, Dim k, int dim, bool descending) {
  Shape to = s.shape(x);
  to[static_cast<size_t>(dim)] = k;
  const auto both = s.d.multi("aten.topk.default",
                              {{"self", x}, {"k", s.size(k)}, {"dim", int64_t{dim}}, {"largest", descending}, {"sorted", true}},
                              {{s.dtype(x), to}, {DType::I64, to}});
  return {both[0], both[1]};
}

static std::optional<Ordered> sorted(Steps& s) {
  Decomposition& d = s.d;
  const V x = d.tensor("self");
  const auto dim = s.axis(d.has("dim") ? d.integer("dim").value_or(INT64_MAX) : 0, s.rank(x));
  // The kernel keeps no order among equals.
  if (!dim || d.boolean("stable") || s.rank(x) == 0 || s.dtype(x) == DType::Bool) return std::nullopt;
  return first_of(s, x, s.size_of(x, *dim), *dim, d.boolean("descending"));
}

Status sort(Decomposition& d) {
  Steps s(d);
  const auto order = sorted(s);
  if (!order) return d.reject("no kernel keeps equal elements in order");
  TRY_DO(s.give(0, order->values));
  return s.give(1, order->places);
}

Status argsort(Decomposition& d) {
  Steps s(d);
  const auto order = sorted(s);
  return order ? s.give(order->places) : Status(d.reject("no kernel keeps equal elements in order"));
}

Status msort(Decomposition& d) {
  Steps s(d);
  const auto order = sorted(s);
  return order ? s.give(order->values) : Status(d.reject("a tensor of numbers is expected"));
}

// The element at a place along a dimension, which stays.
static V one_at(Steps& s, V x, int dim, Dim at) {
  Shape to = s.shape(x);
  to[static_cast<size_t>(dim)] = 1;
  return s.d.op("aten.slice.Tensor", {{"self", x}, {"dim", int64_t{dim}}, {"start", s.size(at)}, {"end", s.size(s.d.dims().add(at, 1))}},
                {s.dtype(x), to});
}

// The k-th smallest; NaN is larger than everything.
static Status smallest(Steps& s, V x, Dim k, int dim, bool keep) {
  const Ordered order = first_of(s, x, k, dim, false);
  const Dim last = s.d.dims().sub(k, 1);
  V value = one_at(s, order.values, dim, last), place = one_at(s, order.places, dim, last);
  if (!keep) value = s.squeeze(value, dim), place = s.squeeze(place, dim);
  TRY_DO(s.give(0, value));
  return s.d.node().results.size() > 1 ? s.give(1, place) : Status();
}

Status kthvalue(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto k = d.integer("k");
  const auto dim = s.axis(d.integer("dim").value_or(INT64_MAX), s.rank(x));
  if (!k || *k < 1 || !dim || s.rank(x) == 0) return d.reject("k and dim must be numbers");
  return smallest(s, x, *k, *dim, d.boolean("keepdim"));
}

// The lower one of the two in the middle. A NaN anywhere is the median, and is found last by the order.
Status median(Decomposition& d) {
  Steps s(d);
  V x = d.tensor("self");
  const bool flat = !d.has("dim");
  if (flat) x = s.view(x, {s.product(s.shape(x))});
  const auto dim = flat ? std::optional(0) : s.axis(d.integer("dim").value_or(INT64_MAX), s.rank(x));
  if (!dim || s.rank(x) == 0) return d.reject("the dimension must be a number");
  const Dim size = s.size_of(x, *dim);
  if (size.is_constant() && size.constant() < 1) return d.reject("there is nothing to choose from");
  DimTable& dims = d.dims();
  if (!is_float(s.dtype(x))) return smallest(s, x, dims.floordiv(dims.add(size, 1), 2), *dim, !flat && keeps(d));
  const Ordered order = first_of(s, x, size, *dim, false);
  const Dim last = dims.sub(size, 1), middle = dims.floordiv(last, 2);
  const V greatest = one_at(s, order.values, *dim, last), missing = s.unary("isnan", greatest, DType::Bool);
  V value = s.where(missing, greatest, one_at(s, order.values, *dim, middle), s.dtype(x));
  V place = s.where(missing, one_at(s, order.places, *dim, last), one_at(s, order.places, *dim, middle), DType::I64);
  if (flat || !keeps(d)) value = s.squeeze(value, *dim), place = s.squeeze(place, *dim);
  TRY_DO(s.give(0, value));
  return d.node().results.size() > 1 ? s.give(1, place) : Status();
}

Status aminmax(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto dims = s.axes("dim", s.rank(x));
  if (!dims) return d.reject("the dimension must be a number");
  TRY_DO(s.give(0, s.extreme("amin", x, *dims, keeps(d))));
  return s.give(1, s.extreme("amax", x, *dims, keeps(d)));
}

// ---- losses

static Status reduced_loss(Steps& s, V loss) {
  const auto reduction = s.d.integer("reduction");
  if (!reduction || *reduction < 0 || *reduction > 2) return s.d.reject("the reduction must be none, mean or sum");
  if (*reduction == 0) return s.give(loss);
  return s.give(s.reduce(*reduction == 1 ? "mean" : "sum", loss, all_dims(s.rank(loss)), false));
}

Status mse_loss(Decomposition& d) {
  Steps s(d);
  const V gap = s.sub(d.tensor("self"), d.tensor("target"));
  return reduced_loss(s, s.mul(gap, gap));
}

Status l1_loss(Decomposition& d) {
  Steps s(d);
  return reduced_loss(s, s.unary("abs", s.sub(d.tensor("self"), d.tensor("target"))));
}

// gap^2 / 2 near zero, linear beyond; `scale` divides (smooth L1) or multiplies (Huber).
static Status rounded_l1(Decomposition& d, const char* name, bool huber) {
  Steps s(d);
  const auto edge = d.number(name);
  if (!edge || *edge <= 0) return d.reject("the edge must be a positive number");
  const V gap = s.unary("abs", s.sub(d.tensor("self"), d.tensor("target")));
  const V round = s.mul(s.mul(gap, gap), huber ? 0.5 : 0.5 / *edge);
  const V line = huber ? s.mul(s.sub(gap, 0.5 * *edge), *edge) : s.sub(gap, 0.5 * *edge);
  return reduced_loss(s, s.where(s.compare("lt", gap, *edge), round, line, s.dtype(gap)));
}

Status smooth_l1_loss(Decomposition& d) { return rounded_l1(d, "beta", false); }
Status huber_loss(Decomposition& d) { return rounded_l1(d, "delta", true); }

}  // namespace cortland::torch_ops::decompositions
