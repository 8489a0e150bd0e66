// Quantiles, numerical integrals, and products and powers of lists of numbers.
#include <cmath>
#include <optional>
#include <string>

#include "torch_ops/decompositions.h"
#include "torch_ops/steps.h"

namespace cortland::torch_ops::decompositions {

using V = Steps::V;
using torch::Arg;

namespace {

// Where the quantiles of a sorted line of `size` elements lie: between two neighbours, and how far from the lower one.
struct Places {
  V lower, upper, part;  // [count]
};

std::optional<Places> places(Steps& s, V q, int64_t size, const std::string& interpolation) {
  const V at = s.mul(q, static_cast<double>(size - 1));
  const V low = s.unary("floor", at), high = s.unary("ceil", at);
  const auto whole = [&](V v) { return s.cast(v, DType::I64); };
  if (interpolation == "lower") return Places{whole(low), whole(low), {}};
  if (interpolation == "higher") return Places{whole(high), whole(high), {}};
  if (interpolation == "nearest") return Places{whole(s.unary("round", at)), whole(s.unary("round", at)), {}};
  if (interpolation == "midpoint") return Places{whole(low), whole(high), s.number(0.5, s.dtype(q))};
  if (interpolation != "linear") return std::nullopt;
  return Places{whole(low), whole(high), s.sub(at, low)};
}

// Elements of the last dimension.
V picked(Steps& s, V x, V index) {
  Shape to = s.shape(x);
  to.back() = s.size_of(index, 0);
  return s.d.op("aten.index_select.default", {{"self", x}, {"dim", int64_t{s.rank(x) - 1}}, {"index", index}},
                {s.dtype(x), to});
}

// The areas between neighbours: the mean height times the distance.
std::optional<V> areas(Steps& s, int& axis) {
  Decomposition& d = s.d;
  const V y = s.cast(d.tensor("y"), d.result_type().dtype), x = d.tensor("x");
  const auto dim = s.axis(d.integer("dim").value_or(INT64_MAX), s.rank(y));
  if (!dim || s.rank(y) == 0) return std::nullopt;
  axis = *dim;
  const int64_t size = s.number_of(y, axis);
  if (!s.fits() || size < 2) return std::nullopt;
  V mean = s.mul(s.add(s.slice(y, axis, 1, size), s.slice(y, axis, 0, size - 1)), 0.5);
  if (!x) {
    const auto step = d.number("dx");
    if (!step) return std::nullopt;
    return *step == 1 ? mean : s.mul(mean, *step);
  }
  const int along = s.rank(x) == 1 ? 0 : axis;
  if (s.rank(x) != 1 && s.rank(x) != s.rank(y)) return std::nullopt;
  V distance = s.sub(s.slice(x, along, 1, size), s.slice(x, along, 0, size - 1));
  if (s.rank(x) == 1)
    for (int i = axis + 1; i < s.rank(y); ++i) distance = s.unsqueeze(distance, s.rank(distance));
  return s.mul(mean, distance);
}

}  // namespace

// A line with a NaN has no other quantiles.
Status quantile(Decomposition& d) {
  Steps s(d);
  V x = d.tensor("self");
  const V given = s.tensor("q");
  const bool flat = !d.has("dim");
  const int rank = s.rank(x);
  if (flat) x = s.view(x, {s.product(s.shape(x))});
  const auto dim = flat ? std::optional(0) : s.axis(d.integer("dim").value_or(INT64_MAX), s.rank(x));
  if (!dim || !given || s.rank(given) > 1 || s.rank(x) == 0 || !is_float(s.dtype(x)))
    return d.reject("a dimension and a list of quantiles are expected");
  if (!s.size_of(x, *dim).is_constant()) return d.reject("the number of elements must be known");
  const int64_t size = s.number_of(x, *dim);
  if (size < 1) return d.reject("there is nothing to choose from");
  const int last = s.rank(x) - 1;
  std::vector<int64_t> order;
  for (int64_t i = 0; i <= last; ++i)
    if (i != *dim) order.push_back(i);
  order.push_back(*dim);
  x = s.permute(x, order);
  const V q = s.rank(given) == 0 ? s.unsqueeze(given, 0) : given;
  const auto at = places(s, q, size, d.str("interpolation"));
  if (!at) return d.reject("an interpolation that torch has is expected");
  const V sorted =
      d.multi("aten.topk.default", {{"self", x}, {"k", size}, {"dim", int64_t{last}}, {"largest", false}, {"sorted", true}},
              {s.type(x), {DType::I64, s.shape(x)}})[0];
  V value = picked(s, sorted, at->lower);
  if (at->part) value = s.add(value, s.mul(s.sub(picked(s, sorted, at->upper), value), at->part));
  value = s.where(s.any(s.unary("isnan", x, DType::Bool), {last}, true), std::nan(""), value, s.dtype(x));
  // The quantiles come first; a kept dimension has one element.
  std::vector<int64_t> front = {last};
  for (int64_t i = 0; i < last; ++i) front.push_back(i);
  value = s.permute(value, front);
  if (d.boolean("keepdim")) {
    if (flat)
      for (int i = 0; i < rank; ++i) value = s.unsqueeze(value, 1);
    else
      value = s.unsqueeze(value, *dim + 1);
  }
  return s.give(s.rank(given) == 0 ? s.squeeze(value, 0) : value);
}

Status trapezoid(Decomposition& d) {
  Steps s(d);
  int axis = 0;
  const auto parts = areas(s, axis);
  return parts ? s.give(s.reduce("sum", *parts, {axis}, false)) : Status(d.reject("the number of points must be known"));
}

Status cumulative_trapezoid(Decomposition& d) {
  Steps s(d);
  int axis = 0;
  const auto parts = areas(s, axis);
  if (!parts) return d.reject("the number of points must be known");
  return s.give(d.op("aten.cumsum.default", {{"self", *parts}, {"dim", int64_t{axis}}}, s.type(*parts)));
}

// Slices along `dim` whose norm is above the limit are scaled down to it.
Status renorm(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto dim = s.axis(d.integer("dim").value_or(INT64_MAX), s.rank(x));
  const auto limit = d.number("maxnorm");
  if (!dim || !limit || s.rank(x) < 2) return d.reject("the dimension and the limit must be numbers");
  std::vector<int64_t> others;
  for (int i = 0; i < s.rank(x); ++i)
    if (i != *dim) others.push_back(i);
  const V norm = d.op("aten.linalg_vector_norm.default",
                      {{"self", x}, {"ord", d.arg("p")}, {"dim", Steps::list(others)}, {"keepdim", true}},
                      {s.dtype(x), s.reduced(x, others, true)});
  const V factor = s.mul(s.unary("reciprocal", s.add(norm, 1e-7)), *limit);
  return s.give(s.mul(x, s.where(s.compare("gt", norm, *limit), factor, 1.0, s.dtype(x))));
}

// Rows with one element of each list, the last list going round fastest.
Status cartesian_prod(Decomposition& d) {
  Steps s(d);
  const auto* list = d.arg("tensors").as<Arg::List>();
  if (!list || list->empty()) return d.reject("there are no lists");
  std::vector<V> lists;
  Shape grid;
  for (const Arg& item : *list) {
    const auto* v = item.as<V>();
    if (!v || s.rank(*v) != 1) return d.reject("lists have one dimension");
    lists.push_back(*v);
    grid.push_back(s.size_of(*v, 0));
  }
  if (lists.size() == 1) return s.give(lists[0]);
  std::vector<V> columns;
  for (size_t i = 0; i < lists.size(); ++i) {
    const Dim before = s.product(grid, 0, i), after = s.product(grid, i + 1, grid.size());
    const V spread = s.expand(s.view(lists[i], {1, grid[i], 1}), {before, grid[i], after});
    columns.push_back(s.view(spread, {s.product(grid), 1}));
  }
  return s.give(s.cat(columns, 1));
}

// Powers of the elements from 0 on, along a new last dimension; the other way round unless `increasing`.
static Status powers(Decomposition& d, bool increasing) {
  Steps s(d);
  constexpr int64_t kMost = 256;
  const V x = s.cast(d.tensor("x"), d.result_type().dtype);
  if (s.rank(x) < 1) return d.reject("a list of numbers is expected");
  const int64_t count = d.has("N") ? d.integer("N").value_or(0) : s.number_of(x, -1);
  if (!s.fits() || count < 1 || count > kMost) return d.reject("the number of powers must be known");
  std::vector<V> columns;
  V power = d.op("aten.ones_like.default", {{"self", x}}, s.type(x));
  for (int64_t i = 0; i < count; ++i) {
    if (i > 0) power = i == 1 ? x : s.mul(power, x);
    columns.insert(increasing ? columns.end() : columns.begin(), s.unsqueeze(power, s.rank(x)));
  }
  return s.give(s.cat(columns, s.rank(x)));
}

Status vander(Decomposition& d) { return powers(d, d.boolean("increasing")); }
Status linalg_vander(Decomposition& d) { return powers(d, true); }

}  // namespace cortland::torch_ops::decompositions
