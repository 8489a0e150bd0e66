// Operators that make tensors or pick elements of them, in terms of those with a CPU kernel. What depends on numbers only is
// computed here and becomes a constant.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "torch_ops/decompositions.h"
#include "torch_ops/steps.h"

namespace cortland::torch_ops::decompositions {

using V = Steps::V;
using torch::Arg;

constexpr int64_t kMaxTable = int64_t{1} << 22;  // elements of a constant made here

// ---- filled tensors

static Status filled(Decomposition& d, const char* size, Arg value) {
  Steps s(d);
  const TensorType type = d.result_type();
  const Arg to = *size ? d.arg(size) : Arg(s.sizes(type.shape));
  return s.give(d.op("aten.full.default", {{"size", to}, {"fill_value", std::move(value)}, {"dtype", type.dtype}}, type));
}

Status zeros_like(Decomposition& d) { return filled(d, "", int64_t{0}); }
Status ones_like(Decomposition& d) { return filled(d, "", int64_t{1}); }
Status new_zeros(Decomposition& d) { return filled(d, "size", int64_t{0}); }
Status new_ones(Decomposition& d) { return filled(d, "size", int64_t{1}); }
Status new_full(Decomposition& d) { return filled(d, "size", d.arg("fill_value")); }

static Status random(Decomposition& d, const char* target) {
  Steps s(d);
  const TensorType type = d.result_type();
  return s.give(d.op(target, {{"size", s.sizes(type.shape)}, {"dtype", type.dtype}}, type));
}

Status rand_like(Decomposition& d) { return random(d, "aten.rand.default"); }
Status randn_like(Decomposition& d) { return random(d, "aten.randn.default"); }

Status exponential(Decomposition& d) {
  Steps s(d);
  const auto rate = d.number("lambd");
  if (!rate || *rate <= 0) return d.reject("the rate must be a positive number");
  const TensorType type = d.result_type();
  const V unit = d.op("aten.rand.default", {{"size", s.sizes(type.shape)}, {"dtype", type.dtype}}, type);
  return s.give(s.mul(s.unary("log1p", s.mul(unit, -1.0)), -1 / *rate));
}

// Whole numbers from low to high - 1.
Status randint(Decomposition& d) {
  Steps s(d);
  const auto low = d.node().find("low") ? d.integer("low") : std::optional<int64_t>(0);
  const auto high = d.integer("high");
  constexpr int64_t kExact = int64_t{1} << 24;
  if (!low || !high || *high <= *low || *low < -kExact || *high > kExact || *high - *low > kExact) return d.reject("the bounds must be numbers, and close enough for float32");
  const TensorType type = d.result_type();
  const V unit = d.op("aten.rand.default", {{"size", s.sizes(type.shape)}, {"dtype", DType::F32}}, {DType::F32, type.shape});
  const V steps = s.cast(s.unary("floor", s.mul(unit, static_cast<double>(*high - *low))), DType::I64);
  return s.give(s.add(steps, *low));
}

// ---- tables

Status eye(Decomposition& d) {
  Steps s(d);
  const TensorType type = d.result_type();
  const auto elements = type.elements();
  if (!elements || *elements > kMaxTable || type.rank() != 2) return d.reject("the size must be a number");
  const int64_t rows = type.shape[0].constant(), columns = type.shape[1].constant();
  std::vector<float> values(static_cast<size_t>(*elements), 0);
  for (int64_t i = 0; i < std::min(rows, columns); ++i) values[static_cast<size_t>(i * columns + i)] = 1;
  return s.give(s.floats({rows, columns}, values, type.dtype));
}

Status linspace(Decomposition& d) {
  Steps s(d);
  const auto start = d.number("start"), end = d.number("end");
  const auto steps = d.integer("steps");
  if (!start || !end || !steps || *steps < 0 || *steps > kMaxTable) return d.reject("start, end and steps must be numbers");
  // From both ends to the middle, so that it is symmetric.
  const double step = *steps > 1 ? (*end - *start) / static_cast<double>(*steps - 1) : 0;
  std::vector<double> values;
  for (int64_t i = 0; i < *steps; ++i)
    values.push_back(i < *steps / 2 || *steps == 1 ? *start + step * static_cast<double>(i) : *end - step * static_cast<double>(*steps - 1 - i));
  return s.give(d.constant(Weight::of<double>(DType::F64, {*steps}, values).cast(d.result_type().dtype), "linspace"));
}

// Rows and columns of a matrix's triangle.
static Status triangle_indices(Decomposition& d, bool lower) {
  Steps s(d);
  const auto rows = d.integer("row"), columns = d.integer("col"), offset = d.integer("offset");
  if (!rows || !columns || !offset || *rows < 0 || *columns < 0 || *rows > kMaxTable / std::max<int64_t>(*columns, 1))
    return d.reject("the size must be a number");
  std::vector<int64_t> r, c;
  for (int64_t i = 0; i < *rows; ++i)
    for (int64_t j = 0; j < *columns; ++j)
      if (lower ? j - i <= *offset : j - i >= *offset) r.push_back(i), c.push_back(j);
  const auto count = static_cast<int64_t>(r.size());
  r.insert(r.end(), c.begin(), c.end());
  return s.give(s.ints({2, count}, r));
}

Status tril_indices(Decomposition& d) { return triangle_indices(d, true); }
Status triu_indices(Decomposition& d) { return triangle_indices(d, false); }

// column - row >= diagonal, for the last two dimensions.
static V upper_triangle(Steps& s, V x, int64_t diagonal) {
  const V rows = s.unsqueeze(s.range(s.size_of(x, -2)), 1), columns = s.unsqueeze(s.range(s.size_of(x, -1)), 0);
  return s.compare("ge", s.sub(columns, rows), diagonal);
}

Status triu(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto diagonal = d.integer("diagonal");
  if (!diagonal || s.rank(x) < 2) return d.reject("the diagonal must be a number");
  return s.give(s.where(upper_triangle(s, x, *diagonal), x, 0.0, s.dtype(x)));
}

// Writes `src` along a diagonal of two dimensions: each row takes the element that lies in it.
Status diagonal_scatter(Decomposition& d) {
  Steps s(d);
  V x = d.tensor("self");
  const V line = s.cast(d.tensor("src"), s.dtype(x));
  const int rank = s.rank(x);
  const auto first = s.axis(d.integer("dim1").value_or(INT64_MAX), rank), second = s.axis(d.integer("dim2").value_or(INT64_MAX), rank);
  const auto offset = d.integer("offset");
  if (rank < 2 || !first || !second || first == second || !offset || !line || s.rank(line) != rank - 1)
    return d.reject("a diagonal, an offset and two dimensions are expected");
  std::vector<int64_t> order, back(static_cast<size_t>(rank));
  for (int i = 0; i < rank; ++i)
    if (i != *first && i != *second) order.push_back(i);
  order.insert(order.end(), {*first, *second});
  for (int i = 0; i < rank; ++i) back[static_cast<size_t>(order[static_cast<size_t>(i)])] = i;
  x = s.permute(x, order);
  const V rows = s.range(s.size_of(x, -2)), columns = s.range(s.size_of(x, -1));
  const V mask = s.compare("eq", s.sub(s.unsqueeze(columns, 0), s.unsqueeze(rows, 1)), *offset);
  const V last = s.extreme("amax", s.range(s.size_of(line, -1)), {0}, false);
  const V places = s.minimum(s.clamp(s.add(rows, std::min<int64_t>(*offset, 0)), int64_t{0}, Arg()), last);
  TensorType type = s.type(line);
  type.shape.back() = s.size_of(x, -2);
  const V each = d.op("aten.index_select.default", {{"self", line}, {"dim", int64_t{rank - 2}}, {"index", places}}, type);
  return s.give(s.permute(s.where(mask, s.unsqueeze(each, rank - 1), x, s.dtype(x)), back));
}

// The last axis of x, along the diagonal of two new last axes.
static V on_diagonal(Steps& s, V x, int64_t offset) {
  if (!s.expect(s.rank(x) > 0 && std::abs(offset) <= kMaxTable)) return x;
  const V line = offset == 0 ? x : s.pad(x, offset > 0 ? std::vector<int64_t>{0, offset} : std::vector<int64_t>{0, -offset}, 0.0);
  const V places = s.range(s.size_of(line, -1));
  const V mask = s.compare("eq", s.sub(s.unsqueeze(places, 0), s.unsqueeze(places, 1)), offset);
  // Element i lies in row i above the middle, in column i below it.
  return s.where(mask, s.unsqueeze(line, offset >= 0 ? s.rank(line) : s.rank(line) - 1), 0.0, s.dtype(x));
}

Status diag_embed(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const int rank = s.rank(x) + 1;
  const auto first = s.axis(d.integer("dim1").value_or(INT64_MAX), rank), second = s.axis(d.integer("dim2").value_or(INT64_MAX), rank);
  const auto offset = d.integer("offset");
  if (!first || !second || first == second || !offset) return d.reject("the offset and two dimensions must be numbers");
  std::vector<int64_t> order;
  for (int i = 0, next = 0; i < rank; ++i) order.push_back(i == *first ? rank - 2 : i == *second ? rank - 1 : next++);
  return s.give(s.permute(on_diagonal(s, x, *offset), order));
}

Status diagflat(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto offset = d.integer("offset");
  if (!offset) return d.reject("the offset must be a number");
  return s.give(on_diagonal(s, s.view(x, {s.product(s.shape(x))}), *offset));
}

// A matrix with a vector as its diagonal, or the diagonal of a matrix.
Status diag(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto diagonal = d.integer("diagonal");
  if (!diagonal) return d.reject("the diagonal must be a number");
  if (s.rank(x) == 2) return s.give(d.op("aten.diagonal.default", {{"self", x}, {"offset", *diagonal}}, d.result_type()));
  if (s.rank(x) != 1) return d.reject("a vector or a matrix is expected");
  return s.give(on_diagonal(s, x, *diagonal));
}

Status one_hot(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto classes = d.integer("num_classes");
  if (!classes || *classes <= 0) return d.reject("the number of classes must be known");
  return s.give(s.cast(s.compare("eq", s.unsqueeze(x, s.rank(x)), s.range(*classes)), DType::I64));
}

// ---- picking and placing

Status take_along_dim(Decomposition& d) {
  Steps s(d);
  V x = d.tensor("self"), index = d.tensor("indices");
  if (!d.has("dim")) {
    x = s.view(x, {s.product(s.shape(x))});
    index = s.view(index, {s.product(s.shape(index))});
  }
  const auto dim = d.has("dim") ? s.axis(d.integer("dim").value_or(INT64_MAX), s.rank(x)) : std::optional(0);
  if (!dim || s.rank(x) != s.rank(index)) return d.reject("a dimension is out of range");
  // All other dimensions broadcast.
  Shape from = s.shape(x), to = s.shape(index);
  for (size_t i = 0; i < from.size(); ++i) {
    if (static_cast<int>(i) == *dim) continue;
    if (from[i] == Dim(1)) from[i] = to[i];
    else if (to[i] == Dim(1)) to[i] = from[i];
  }
  return s.give(d.op("aten.gather.default", {{"self", s.expand(x, from)}, {"dim", int64_t{*dim}}, {"index", s.expand(index, to)}}, d.result_type()));
}

Status take(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const V flat = s.view(x, {s.product(s.shape(x))});
  return s.give(d.op("aten.index.Tensor", {{"self", flat}, {"indices", Steps::list(std::vector<V>{d.tensor("index")})}}, d.result_type()));
}

// Where an input is not 0: a row of each place, or the places along each axis.
Status places(Decomposition& d) {
  Steps s(d);
  return s.give(d.op("aten.nonzero.default", {{"self", d.tensor("self")}}, d.result_type()));
}

Status places_by_axis(Decomposition& d) {
  Steps s(d);
  const V x = s.tensor(d.node().target == "aten.where.default" ? "condition" : "self");
  const auto rank = static_cast<size_t>(s.rank(x));
  if (rank == 0 || d.node().results.size() != rank || d.result_type().rank() != 1) return d.reject("places along each axis are expected");
  const V rows = d.op("aten.nonzero.default", {{"self", x}}, {DType::I64, {d.result_type().shape[0], s.rank(x)}});
  for (size_t i = 0; i < rank; ++i) TRY_DO(s.give(i, s.select(rows, 1, static_cast<int64_t>(i))));
  return {};
}

// Writes `values` to the slices that `index` names.
static Status put_slices(Decomposition& d, V values, bool accumulate) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto dim = s.axis(d.integer("dim").value_or(INT64_MAX), s.rank(x));
  if (!dim || s.rank(x) == 0 || !values) return d.reject("a dimension is out of range");
  Arg::List indices(static_cast<size_t>(*dim));
  V index = d.tensor("index");
  if (s.rank(index) == 0) index = s.view(index, {1});
  indices.push_back(index);
  return s.give(d.op("aten.index_put.default", {{"self", x}, {"indices", indices}, {"values", values}, {"accumulate", accumulate}}, d.result_type()));
}

Status index_copy(Decomposition& d) { return put_slices(d, d.tensor("source"), false); }

Status index_add(Decomposition& d) {
  Steps s(d);
  V source = d.tensor("source");
  const auto alpha = d.number("alpha");
  if (!alpha || *alpha != 1) source = s.mul(source, d.arg("alpha"));
  return put_slices(d, source, true);
}

Status index_fill(Decomposition& d) {
  Steps s(d);
  const auto value = d.number("value");
  if (!value) return d.reject("the value must be a number");
  return put_slices(d, s.number(*value, d.result_type().dtype), false);
}

Status scatter_sum(Decomposition& d) {
  Steps s(d);
  const std::string reduce = d.str("reduce");
  const bool included = !d.node().find("include_self") || d.boolean("include_self");
  if ((reduce != "sum" && reduce != "add") || !included) return d.reject("only sums onto the tensor itself have a kernel");
  return s.give(d.op("aten.scatter_add.default",
                     {{"self", d.arg("self")}, {"dim", d.arg("dim")}, {"index", d.arg("index")}, {"src", d.arg("src")}}, d.result_type()));
}

// The place of each value among sorted boundaries: how many are smaller (or not larger).
static Status places(Decomposition& d, V x, V boundaries) {
  Steps s(d);
  const bool right = d.boolean("right") || (d.node().find("side") && d.str("side") == "right");
  if (!x || !boundaries || s.rank(boundaries) != 1 || (d.node().find("sorter") && d.has("sorter"))) return d.reject("one row of boundaries is expected");
  const V before = s.compare(right ? "ge" : "gt", s.unsqueeze(x, s.rank(x)), boundaries);
  return s.give(s.reduce("sum", before, {s.rank(x)}, false));
}

Status bucketize(Decomposition& d) { return places(d, d.tensor("self"), d.tensor("boundaries")); }
Status searchsorted(Decomposition& d) { return places(d, d.tensor("self"), d.tensor("sorted_sequence")); }

}  // namespace cortland::torch_ops::decompositions
