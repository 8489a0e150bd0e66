// Ops whose result is made from sizes and scalars, or from where the elements are: fill, range_1d, one_hot, shape, non_zero.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "mil_ops/arguments.h"
#include "mil_ops/elementwise.h"
#include "mil_ops/ops.h"

namespace cortland::mil_ops {

using namespace mil;

namespace {

// A tensor of one repeated value.
Result<Tensor> repeated(const EvalContext& c, const Sizes& shape, const Tensor& scalar) {
  if (scalar.elements() != 1) return c.error("the value to repeat must be one number");
  TRY_DO(check_sizes(c, shape));
  Tensor out = Tensor::make(scalar.dtype, shape);
  copy_strided(shape, byte_size(scalar.dtype, 1), scalar.data(), {0, Sizes(shape.size(), 0)}, out.mutable_data(),
               {0, dense_strides(shape)});
  return out;
}

// --- fill, fill_like

DType filled_type(const InferContext& c) { return c.has("value") ? c.dtype("value") : DType::F32; }

Tensor fill_value(const EvalContext& c) {
  return c.has("value") ? c.tensor("value") : Tensor::from(DType::F32, {}, std::vector<float>{0});
}

Types infer_fill(InferContext& c) {
  if (!c.is_constant("shape")) {
    TRY(Shape shape, unknown_shape(c, "shape"));
    return one({filled_type(c), std::move(shape)});
  }
  Shape shape;
  for (int64_t d : c.ints("shape")) {
    if (d < 0) return c.error(fmt::format("size {} is negative", d));
    shape.push_back(d);
  }
  return one({filled_type(c), std::move(shape)});
}

Status eval_fill(EvalContext& c) {
  TRY(Tensor out, repeated(c, c.ints("shape"), fill_value(c)));
  c.set_output(0, std::move(out));
  return {};
}

Types infer_fill_like(InferContext& c) { return one({filled_type(c), c.shape("ref_tensor")}); }

Status eval_fill_like(EvalContext& c) {
  TRY(Tensor out, repeated(c, c.tensor("ref_tensor").shape, fill_value(c)));
  c.set_output(0, std::move(out));
  return {};
}

// --- one_hot

Types infer_one_hot(InferContext& c) {
  Shape shape = c.shape("indices");
  TRY(const size_t axis, axis_in(c, c.integer("axis"), c.rank("indices") + 1));
  Dim depth = c.dims.unknown();
  if (c.is_constant("one_hot_vector_size")) {
    if (c.integer("one_hot_vector_size") < 0) return c.error("one_hot_vector_size is negative");
    depth = c.integer("one_hot_vector_size");
  }
  shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(axis), depth);
  const DType dtype = c.has("on_value") ? c.dtype("on_value") : c.has("off_value") ? c.dtype("off_value") : DType::I32;
  return one({dtype, std::move(shape)});
}

// An index outside [0, depth) gives a vector without `on`.
Status eval_one_hot(EvalContext& c) {
  const Tensor indices = c.tensor("indices");
  TRY(const size_t axis, axis_in(c, c.integer("axis"), indices.rank() + 1));
  const int64_t depth = c.integer("one_hot_vector_size");
  Sizes shape = indices.shape;
  shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(axis), depth);
  const DType dtype = c.has("on_value")    ? c.tensor("on_value").dtype
                      : c.has("off_value") ? c.tensor("off_value").dtype
                                           : DType::I32;
  const auto scalar = [&](std::string_view input, int64_t fallback) {
    return c.has(input) ? c.tensor(input) : Tensor::from(dtype, {}, std::vector<int64_t>{fallback});
  };
  const Tensor on = scalar("on_value", 1);
  if (on.elements() != 1) return c.error("on_value must be one number");
  TRY(Tensor out, repeated(c, shape, scalar("off_value", 0)));
  const int64_t inner = product(indices.shape, axis, indices.shape.size());
  const std::vector<int64_t> at = indices.ints();
  for (size_t i = 0; i < at.size(); ++i) {
    if (at[i] < 0 || at[i] >= depth) continue;
    const auto n = static_cast<int64_t>(i);
    std::memcpy(element_at(out, (n / inner * depth + at[i]) * inner + n % inner), on.data(), on.bytes());
  }
  c.set_output(0, std::move(out));
  return {};
}

// --- range_1d

// Number of elements, in the arithmetic of the element type: exact for int32, float32 for floats.
template <class Context>
Result<int64_t> range_length(const Context& c, bool integers) {
  constexpr int64_t kLongest = INT32_MAX;
  if (integers) {
    const int64_t span = c.integer("end") - c.integer("start"), step = c.integer("step");
    if (step == 0) return c.error("step is 0");
    const int64_t length = (span > 0) == (step > 0) ? (span + step + (step > 0 ? -1 : 1)) / step : 0;
    if (length > kLongest) return c.error("the range is too long");
    return length;
  }
  const float start = static_cast<float>(c.number("start")), end = static_cast<float>(c.number("end")),
              step = static_cast<float>(c.number("step"));
  const float length = std::ceil((end - start) / step);
  if (!(length < static_cast<float>(kLongest))) return c.error("the range does not end");  // also NaN
  return std::max<int64_t>(0, static_cast<int64_t>(length));
}

Types infer_range(InferContext& c) {
  Dim length = c.dims.unknown();
  if (c.is_constant("end") && c.is_constant("start") && c.is_constant("step")) {
    TRY(length, range_length(c, c.dtype("start") == DType::I32));
  }
  return one({c.dtype("start"), {length}});
}

Status eval_range(EvalContext& c) {
  const DType dtype = c.tensor("start").dtype;
  TRY(const int64_t length, range_length(c, dtype == DType::I32));
  Tensor& out = c.output(0, {length}, dtype);
  if (dtype == DType::I32) {
    const int64_t start = c.integer("start"), step = c.integer("step");
    for (int64_t i = 0; i < length; ++i) out.mutable_data<int32_t>()[i] = static_cast<int32_t>(start + i * step);
    return {};
  }
  const double start = c.number("start"), step = c.number("step");
  std::vector<float> values(static_cast<size_t>(length));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(start + static_cast<double>(i) * step);
  convert_elements(DType::F32, reinterpret_cast<const std::byte*>(values.data()), dtype, out.mutable_data(), length);
  return {};
}

// --- shape, non_zero

Types infer_shape(InferContext& c) { return one({DType::I32, {c.rank("x")}}); }

Status eval_shape(EvalContext& c) {
  const Sizes shape = c.tensor("x").shape;
  c.set_output(0, Tensor::from(DType::I32, {static_cast<int64_t>(shape.size())}, shape));
  return {};
}

Types infer_non_zero(InferContext& c) {
  const Shape& x = c.shape("x");
  return one({DType::I32, {c.dims.unknown({0, c.dims.range(product(c.dims, x, 0, x.size())).high}), c.rank("x")}});
}

Status eval_non_zero(EvalContext& c) {
  const Tensor& x = c.tensor("x");
  const std::vector<float> values = x.floats();
  std::vector<int64_t> rows, index(x.shape.size(), 0);
  for (float v : values) {
    if (v != 0) rows.insert(rows.end(), index.begin(), index.end());
    for (size_t axis = index.size(); axis-- > 0;) {
      if (++index[axis] < x.shape[axis]) break;
      index[axis] = 0;
    }
  }
  const auto count = std::count_if(values.begin(), values.end(), [](float v) { return v != 0; });
  c.set_output(0, Tensor::from(DType::I32, {count, x.rank()}, rows));
  return {};
}

constexpr Input kFill[] = {value("shape", kInt32, 0), option("value", kNumbersBool, 0.0)};
constexpr Input kFillLike[] = {value("ref_tensor", kNumbersBool), option("value", kNumbersBool, 0.0)};
constexpr Input kX[] = {value("x", kNumbersBool)};
constexpr Input kOneHot[] = {value("indices", kInt32, 0), value("one_hot_vector_size", kInt32, 0),
                             option("axis", kInt32, -1), option("on_value", kNumbersBool, 1, 'T'),
                             option("off_value", kNumbersBool, 0, 'T')};
constexpr Input kRange[] = {value("end", kNumbers), value("start", kNumbers), value("step", kNumbers)};

}  // namespace

const MilOp fill{.name = "fill", .inputs = kFill, .infer = infer_fill, .eval = eval_fill};
const MilOp fill_like{
    .name = "fill_like", .since = Target::iOS16, .inputs = kFillLike, .infer = infer_fill_like, .eval = eval_fill_like};
const MilOp non_zero{.name = "non_zero", .inputs = kX, .infer = infer_non_zero, .eval = eval_non_zero};
const MilOp one_hot{.name = "one_hot", .inputs = kOneHot, .infer = infer_one_hot, .eval = eval_one_hot};
const MilOp range_1d{.name = "range_1d", .inputs = kRange, .infer = infer_range, .eval = eval_range};
const MilOp shape{.name = "shape", .inputs = kX, .infer = infer_shape, .eval = eval_shape};

}  // namespace cortland::mil_ops
