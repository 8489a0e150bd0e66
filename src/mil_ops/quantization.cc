// Affine quantisation at run time, with one scale for the tensor or one for each index of an axis.
#include <algorithm>
#include <cmath>

#include "mil_ops/arguments.h"
#include "mil_ops/ops.h"

namespace cortland::mil_ops {
namespace {

using namespace mil;

// Elements that share a scale lie in runs of `inner`; scale number (run % count) belongs to a run.
struct ScaleLayout {
  int64_t inner = 1, count = 1;
};

template <class Context>
Status check_scale(const Context& c, const DimTable& dims) {
  const Shape input = shape_of_input(c, "input"), scale = shape_of_input(c, "scale");
  if (scale.size() > 1) return c.error(fmt::format("'scale' has rank {}, expected 0 or 1", scale.size()));
  if (c.has("zero_point") && !compatible(dims, shape_of_input(c, "zero_point"), scale))
    return c.error(fmt::format("'zero_point' has shape {}, 'scale' has {}", describe(dims, shape_of_input(c, "zero_point")),
                               describe(dims, scale)));
  if (scale.empty()) return c.has("axis") ? Status(c.error("'axis' goes with a vector of scales only")) : Status();
  if (!c.has("axis")) return c.error("a vector of scales needs 'axis'");
  TRY(const size_t axis, axis_in(c, c.integer("axis"), static_cast<int>(input.size())));
  if (!compatible(dims, input[axis], scale[0]))
    return c.error(fmt::format("{} scales for axis {} of {}", dims.str(scale[0]), axis, describe(dims, input)));
  return {};
}

ScaleLayout scale_layout(const EvalContext& c) {
  const Tensor& input = c.tensor("input");
  if (c.tensor("scale").rank() == 0) return {std::max<int64_t>(1, input.elements()), 1};
  const int64_t axis = c.integer("axis"), at = axis < 0 ? axis + input.rank() : axis;
  return {std::max<int64_t>(1, product(input.shape, static_cast<size_t>(at) + 1, input.shape.size())),
          input.shape[static_cast<size_t>(at)]};
}

std::vector<float> zero_points(const EvalContext& c, size_t count) {
  return c.has("zero_point") ? c.floats("zero_point") : std::vector<float>(count, 0.0f);
}

template <class Context>
Result<DType> output_type(const Context& c) {
  const auto type = dtype_from_mil_name(c.str("output_dtype"));
  if (!type || (*type != DType::I8 && *type != DType::U8))
    return c.error(fmt::format("output_dtype '{}' is neither int8 nor uint8", c.str("output_dtype")));
  return *type;
}

Types infer_quantize(InferContext& c) {
  TRY(const DType type, output_type(c));
  if (c.has("zero_point") && c.dtype("zero_point") != type) return c.error("'zero_point' must have the type output_dtype");
  TRY_DO(check_scale(c, c.dims));
  return one({type, c.shape("input")});
}

// clip(round(x / scale) + zero_point); halves round to even.
Status eval_quantize(EvalContext& c) {
  TRY_DO(check_scale(c, DimTable()));
  TRY(const DType type, output_type(c));
  const Tensor x = c.tensor("input").cast(DType::F32);
  const ScaleLayout layout = scale_layout(c);
  const auto scale = c.floats("scale"), zero = zero_points(c, scale.size());
  if (std::find(scale.begin(), scale.end(), 0.0f) != scale.end()) return c.error("a scale is 0");
  Tensor out = Tensor::make(DType::F32, x.shape);
  for (int64_t first = 0, run = 0; first < x.elements(); first += layout.inner, ++run) {
    const float s = scale[static_cast<size_t>(run % layout.count)], z = zero[static_cast<size_t>(run % layout.count)];
    for (int64_t i = first; i < first + layout.inner; ++i)
      out.mutable_data<float>()[i] = std::nearbyint(x.data<float>()[i] / s) + z;
  }
  c.set_output(0, out.cast(type));  // which saturates
  return {};
}

Types infer_dequantize(InferContext& c) {
  TRY_DO(check_scale(c, c.dims));
  return one({c.dtype("scale"), c.shape("input")});
}

// scale * (q - zero_point)
Status eval_dequantize(EvalContext& c) {
  TRY_DO(check_scale(c, DimTable()));
  const Tensor q = c.tensor("input").cast(DType::F32);
  const ScaleLayout layout = scale_layout(c);
  const auto scale = c.floats("scale"), zero = zero_points(c, scale.size());
  Tensor out = Tensor::make(DType::F32, q.shape);
  for (int64_t first = 0, run = 0; first < q.elements(); first += layout.inner, ++run) {
    const float s = scale[static_cast<size_t>(run % layout.count)], z = zero[static_cast<size_t>(run % layout.count)];
    for (int64_t i = first; i < first + layout.inner; ++i) out.mutable_data<float>()[i] = s * (q.data<float>()[i] - z);
  }
  c.set_output(0, out.cast(c.tensor("scale").dtype));
  return {};
}

constexpr DTypes kBytes = one_of({DType::U8, DType::I8});
// Groups: S is the type of the float side, D that of the quantised side.
constexpr Input kQuantize[] = {value("input", kFloats, 'S'), option("zero_point", kBytes, {}, 'D'),
                               constant("scale", kFloats, 'S'), option("axis", kInt32), constant("output_dtype", kStrings)};
constexpr Input kDequantize[] = {value("input", kBytes, 'D'), option("zero_point", kBytes, {}, 'D'),
                                 constant("scale", kFloats, 'S'), option("axis", kInt32)};

}  // namespace

const MilOp dequantize{
    .name = "dequantize", .since = Target::iOS17, .inputs = kDequantize, .infer = infer_dequantize, .eval = eval_dequantize};
const MilOp quantize{
    .name = "quantize", .since = Target::iOS17, .inputs = kQuantize, .infer = infer_quantize, .eval = eval_quantize};

}  // namespace cortland::mil_ops
