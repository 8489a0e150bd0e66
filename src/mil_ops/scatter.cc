// Writing updates into a copy of a tensor by index.
#include <algorithm>
#include <cmath>

#include "mil_ops/indexing.h"
#include "mil_ops/ops.h"

namespace cortland::mil_ops {
namespace {

using namespace mil;

enum class Mode { Update, Add, Sub, Mul, Div, Max, Min };

template <class Context>
Result<Mode> mode_of(const Context& c) {
  constexpr std::string_view kNames[] = {"update", "add", "sub", "mul", "div", "max", "min"};
  const std::string mode = c.str("mode");
  for (size_t i = 0; i < std::size(kNames); ++i)
    if (kNames[i] == mode) return static_cast<Mode>(i);
  return c.error(fmt::format("mode '{}' is none of {}", mode, fmt::join(kNames, ", ")));
}

float combine(Mode mode, float old, float update) {
  switch (mode) {
    case Mode::Add:
      return old + update;
    case Mode::Sub:
      return old - update;
    case Mode::Mul:
      return old * update;
    case Mode::Div:
      return old / update;
    case Mode::Max:
      return old != old || old > update ? old : update;  // NaN wins
    case Mode::Min:
      return old != old || old < update ? old : update;
    default:
      return update;
  }
}

int32_t combine(Mode mode, int32_t old, int32_t update) {
  const int64_t a = old, b = update;
  switch (mode) {
    case Mode::Add:
      return static_cast<int32_t>(a + b);
    case Mode::Sub:
      return static_cast<int32_t>(a - b);
    case Mode::Mul:
      return static_cast<int32_t>(a * b);
    case Mode::Div:
      return static_cast<int32_t>(b == 0 ? 0 : a / b);
    case Mode::Max:
      return std::max(old, update);
    case Mode::Min:
      return std::min(old, update);
    default:
      return update;
  }
}

// Block i of `updates` goes to block positions[i] of `data`.
template <class T>
void scatter_blocks(Mode mode, T* data, const std::vector<int64_t>& positions, const T* updates, int64_t block) {
  for (int64_t p : positions) {
    T* to = data + p * block;
    for (int64_t i = 0; i < block; ++i) to[i] = combine(mode, to[i], updates[i]);
    updates += block;
  }
}

// Sets result 0 to `data` with the updates put in; repeated indices act one after the other, in float32.
Status scatter_into(EvalContext& c, const std::vector<int64_t>& positions, int64_t block) {
  TRY(const Mode mode, mode_of(c));
  const Tensor& data = c.tensor("data");
  const DType type = data.dtype == DType::I32 ? DType::I32 : DType::F32;
  Tensor out = Tensor::make(type, data.shape);
  const Tensor from = data.cast(type), updates = c.tensor("updates").cast(type);
  std::memcpy(out.mutable_data(), from.data(), from.bytes());
  if (type == DType::I32)
    scatter_blocks(mode, out.mutable_data<int32_t>(), positions, updates.data<int32_t>(), block);
  else
    scatter_blocks(mode, out.mutable_data<float>(), positions, updates.data<float>(), block);
  c.set_output(0, out.cast(data.dtype));
  return {};
}

template <class Context>
Status check_updates(const Context& c, const DimTable& dims, const Shape& expected) {
  TRY_DO(mode_of(c));
  if (compatible(dims, shape_of_input(c, "updates"), expected)) return {};
  return c.error(fmt::format("'updates' has shape {}, expected {}", describe(dims, shape_of_input(c, "updates")),
                             describe(dims, expected)));
}

template <class Context>
Result<size_t> scatter_axis(const Context& c, const DimTable& dims) {
  Shape expected = shape_of_input(c, "data");
  TRY_DO(expect_rank(c, "indices", 1, 1));
  TRY(const size_t axis, axis_in(c, c.integer("axis"), static_cast<int>(expected.size())));
  expected[axis] = shape_of_input(c, "indices")[0];
  TRY_DO(check_updates(c, dims, expected));
  return axis;
}

Types infer_scatter(InferContext& c) {
  TRY_DO(scatter_axis(c, c.dims));
  return one(c.type("data"));
}

Status eval_scatter(EvalContext& c) {
  TRY(const size_t axis, scatter_axis(c, DimTable()));
  const auto& shape = c.tensor("data").shape;
  TRY(const auto indices, checked_indices(c, "indices", shape[axis]));
  const int64_t outer = product(shape, 0, axis), inner = product(shape, axis + 1, shape.size());
  std::vector<int64_t> positions;
  positions.reserve(static_cast<size_t>(outer) * indices.size());
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i : indices) positions.push_back(o * shape[axis] + i);
  return scatter_into(c, positions, inner);
}

template <class Context>
Result<size_t> scatter_along(const Context& c, const DimTable& dims) {
  const Shape data = shape_of_input(c, "data"), indices = shape_of_input(c, "indices");
  if (data.size() != indices.size())
    return c.error(fmt::format("data has rank {}, indices has rank {}", data.size(), indices.size()));
  TRY(const size_t axis, axis_in(c, c.integer("axis"), static_cast<int>(data.size())));
  for (size_t i = 0; i < data.size(); ++i)
    if (i != axis && !compatible(dims, data[i], indices[i]))
      return c.error(
          fmt::format("data {} and indices {} differ outside axis {}", describe(dims, data), describe(dims, indices), axis));
  TRY_DO(check_updates(c, dims, indices));
  return axis;
}

Types infer_scatter_along_axis(InferContext& c) {
  TRY_DO(scatter_along(c, c.dims));
  return one(c.type("data"));
}

Status eval_scatter_along_axis(EvalContext& c) {
  TRY(const size_t axis, scatter_along(c, DimTable()));
  const auto& shape = c.tensor("data").shape;
  const auto& index_shape = c.tensor("indices").shape;
  TRY(auto positions, checked_indices(c, "indices", shape[axis]));
  const int64_t outer = product(shape, 0, axis), inner = product(shape, axis + 1, shape.size());
  int64_t* p = positions.data();
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < index_shape[axis]; ++i)
      for (int64_t j = 0; j < inner; ++j, ++p) *p = (o * shape[axis] + *p) * inner + j;
  return scatter_into(c, positions, 1);
}

template <class Context>
Result<size_t> scatter_nd_depth(const Context& c, const DimTable& dims) {
  const Shape data = shape_of_input(c, "data"), indices = shape_of_input(c, "indices");
  TRY(const size_t depth, index_depth(c, data.size()));
  Shape expected(indices.begin(), indices.end() - 1);
  expected.insert(expected.end(), data.begin() + static_cast<std::ptrdiff_t>(depth), data.end());
  TRY_DO(check_updates(c, dims, expected));
  return depth;
}

Types infer_scatter_nd(InferContext& c) {
  TRY_DO(scatter_nd_depth(c, c.dims));
  return one(c.type("data"));
}

Status eval_scatter_nd(EvalContext& c) {
  TRY(const size_t depth, scatter_nd_depth(c, DimTable()));
  const auto& shape = c.tensor("data").shape;
  TRY(const auto positions, checked_positions(c, "indices", shape, 0, depth));
  return scatter_into(c, positions, product(shape, depth, shape.size()));
}

constexpr Input kScatter17[] = {value("data", kNumbers),         value("indices", kInt32, 'I'),
                                value("updates", kNumbers),      option("axis", kInt32, 0),
                                option("mode", kStrings, "add"), option("validate_indices", kBools, false)};
constexpr Input kScatterNd17[] = {value("data", kNumbers), value("indices", kInt32, 'I'), value("updates", kNumbers),
                                  option("mode", kStrings, "add"), option("validate_indices", kBools, false)};
constexpr auto kScatter = std::span(kScatter17).first(5);
constexpr auto kScatterNd = std::span(kScatterNd17).first(4);

}  // namespace

const MilOp scatter{.name = "scatter", .inputs = kScatter, .infer = infer_scatter, .eval = eval_scatter};
const MilOp scatter_ios17{
    .name = "scatter", .since = Target::iOS17, .inputs = kScatter17, .infer = infer_scatter, .eval = eval_scatter};

const MilOp scatter_along_axis{
    .name = "scatter_along_axis", .inputs = kScatter, .infer = infer_scatter_along_axis, .eval = eval_scatter_along_axis};
const MilOp scatter_along_axis_ios17{.name = "scatter_along_axis",
                                     .since = Target::iOS17,
                                     .inputs = kScatter17,
                                     .infer = infer_scatter_along_axis,
                                     .eval = eval_scatter_along_axis};

const MilOp scatter_nd{.name = "scatter_nd", .inputs = kScatterNd, .infer = infer_scatter_nd, .eval = eval_scatter_nd};
const MilOp scatter_nd_ios17{.name = "scatter_nd",
                             .since = Target::iOS17,
                             .inputs = kScatterNd17,
                             .infer = infer_scatter_nd,
                             .eval = eval_scatter_nd};

}  // namespace cortland::mil_ops
