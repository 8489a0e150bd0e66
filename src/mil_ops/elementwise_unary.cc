#include <fmt/format.h>

#include <cmath>

#include "mil_ops/elementwise.h"
#include "mil_ops/ops.h"
#include "mil_ops/shape_rules.h"

namespace cortland::mil_ops {

using namespace mil;

namespace {

constexpr Input kFloatX[] = {value("x", kFloats)};
constexpr Input kNumberX[] = {value("x", kNumbers)};
constexpr Input kBoolX[] = {value("x", kBools)};

constexpr auto kAbs = [](auto x) { return x < 0 ? -x : x + 0; };  // + 0 turns -0.0 into 0.0
constexpr auto kSign = [](auto x) { return static_cast<decltype(x)>((x > 0) - (x < 0)); };
constexpr auto kSquare = [](auto x) { return x * x; };

// inverse, log, rsqrt: x is shifted by epsilon, which is rounded to its own element type.
template <auto F>
Status shifted_op(EvalContext& c) {
  const DType dtype = c.has("epsilon") ? c.tensor("epsilon").dtype : c.tensor("x").dtype;
  float epsilon = static_cast<float>(c.number("epsilon"));
  if (dtype == DType::F16) epsilon = f16_to_f32(f32_to_f16(epsilon));
  return map_floats(c, [epsilon](float x) { return F(x + epsilon); });
}

Types infer_clip_ios17(InferContext& c) {
  if (!(c.number("alpha") < c.number("beta"))) return c.error("alpha must be less than beta");
  return same_as_x(c);
}

Status eval_clip(EvalContext& c) {
  const float low = static_cast<float>(c.number("alpha")), high = static_cast<float>(c.number("beta"));
  return map_floats(c, [=](float x) {
    const float y = x < low ? low : x;  // NaN stays NaN
    return y > high ? high : y;
  });
}

Status eval_threshold(EvalContext& c) {
  if (c.tensor("x").dtype == DType::I32) return map_ints(c, [a = c.integer("alpha")](int64_t x) { return std::max(x, a); });
  return map_floats(c, [a = static_cast<float>(c.number("alpha"))](float x) { return x < a ? a : x; });
}

Status eval_logical_not(EvalContext& c) {
  const Tensor x = c.tensor("x");
  uint8_t* out = c.output(0, x.shape, DType::Bool).mutable_data<uint8_t>();
  for (int64_t i = 0, n = x.elements(); i < n; ++i) out[i] = x.data<uint8_t>()[i] == 0;
  return {};
}

template <class Context>
Result<DType> cast_type(const Context& c) {
  const auto dtype = dtype_from_mil_name(c.str("dtype"));
  const DTypes allowed = c.def.since >= Target::iOS17 ? kMovable : kNumbersBool;
  if (!dtype || !allowed.has(*dtype)) return c.error(fmt::format("cannot cast to '{}'", c.str("dtype")));
  return *dtype;
}

Types infer_cast(InferContext& c) {
  TRY(const DType dtype, cast_type(c));
  return one({dtype, c.shape("x")});
}

Status eval_cast(EvalContext& c) {
  TRY(const DType dtype, cast_type(c));
  c.set_output(0, c.tensor("x").cast(dtype));
  return {};
}

constexpr Input kClip[] = {value("x", kFloats), constant("alpha", kFloats, 'T'), constant("beta", kFloats, 'T')};
constexpr Input kThreshold[] = {value("x", kNumbers), constant("alpha", kNumbers, 'T')};
constexpr Input kCast[] = {value("x", kNumbersBool), constant("dtype", kStrings)};
constexpr Input kCastIos17[] = {value("x", kMovable), constant("dtype", kStrings)};
constexpr Input kInverse[] = {value("x", kFloats), option("epsilon", kFloats, 1e-4, 'T')};
constexpr Input kInverseIos17[] = {value("x", kFloats), option("epsilon", kFloats, 1e-4)};
constexpr Input kLog[] = {value("x", kFloats), option("epsilon", kFloats, 1e-45, 'T')};
constexpr Input kLogIos17[] = {value("x", kFloats), option("epsilon", kFloats, 1e-45)};
constexpr Input kRsqrt[] = {value("x", kFloats), option("epsilon", kFloats, 1e-12, 'T')};
constexpr Input kRsqrtIos17[] = {value("x", kFloats), option("epsilon", kFloats, 1e-12)};

constexpr auto kInverseOf = [](float x) { return 1 / x; };
constexpr auto kLogOf = [](float x) { return std::log(x); };
constexpr auto kRsqrtOf = [](float x) { return 1 / std::sqrt(x); };

}  // namespace

const MilOp abs{.name = "abs", .inputs = kNumberX, .infer = same_as_x, .eval = number_op<kAbs>};
const MilOp acos{
    .name = "acos", .inputs = kFloatX, .infer = same_as_x, .eval = float_op<[](float x) { return std::acos(x); }>};
const MilOp asin{
    .name = "asin", .inputs = kFloatX, .infer = same_as_x, .eval = float_op<[](float x) { return std::asin(x); }>};
const MilOp atan{
    .name = "atan", .inputs = kFloatX, .infer = same_as_x, .eval = float_op<[](float x) { return std::atan(x); }>};
const MilOp atanh{
    .name = "atanh", .inputs = kFloatX, .infer = same_as_x, .eval = float_op<[](float x) { return std::atanh(x); }>};
const MilOp cast{.name = "cast", .inputs = kCast, .infer = infer_cast, .eval = eval_cast};
const MilOp cast_ios17{.name = "cast", .since = Target::iOS17, .inputs = kCastIos17, .infer = infer_cast, .eval = eval_cast};
const MilOp ceil{
    .name = "ceil", .inputs = kFloatX, .infer = same_as_x, .eval = float_op<[](float x) { return std::ceil(x); }>};
const MilOp clip{.name = "clip", .inputs = kClip, .infer = same_as_x, .eval = eval_clip};
const MilOp clip_ios17{
    .name = "clip", .since = Target::iOS17, .inputs = kClip, .infer = infer_clip_ios17, .eval = eval_clip};
const MilOp cos{.name = "cos", .inputs = kFloatX, .infer = same_as_x, .eval = float_op<[](float x) { return std::cos(x); }>};
const MilOp cosh{
    .name = "cosh", .inputs = kFloatX, .infer = same_as_x, .eval = float_op<[](float x) { return std::cosh(x); }>};
const MilOp erf{.name = "erf", .inputs = kFloatX, .infer = same_as_x, .eval = float_op<[](float x) { return std::erf(x); }>};
const MilOp exp{.name = "exp", .inputs = kFloatX, .infer = same_as_x, .eval = float_op<[](float x) { return std::exp(x); }>};
// Computed in float for int32 too: powers of two are exact there, and the result saturates.
const MilOp exp2{
    .name = "exp2", .inputs = kNumberX, .infer = same_as_x, .eval = float_op<[](float x) { return std::exp2(x); }>};
const MilOp floor{
    .name = "floor", .inputs = kFloatX, .infer = same_as_x, .eval = float_op<[](float x) { return std::floor(x); }>};
const MilOp inverse{.name = "inverse", .inputs = kInverse, .infer = same_as_x, .eval = shifted_op<kInverseOf>};
const MilOp inverse_ios17{
    .name = "inverse", .since = Target::iOS17, .inputs = kInverseIos17, .infer = same_as_x, .eval = shifted_op<kInverseOf>};
const MilOp log{.name = "log", .inputs = kLog, .infer = same_as_x, .eval = shifted_op<kLogOf>};
const MilOp log_ios17{
    .name = "log", .since = Target::iOS17, .inputs = kLogIos17, .infer = same_as_x, .eval = shifted_op<kLogOf>};
const MilOp logical_not{.name = "logical_not", .inputs = kBoolX, .infer = same_as_x, .eval = eval_logical_not};
const MilOp round{
    .name = "round", .inputs = kFloatX, .infer = same_as_x, .eval = float_op<[](float x) { return std::nearbyint(x); }>};
const MilOp rsqrt{.name = "rsqrt", .inputs = kRsqrt, .infer = same_as_x, .eval = shifted_op<kRsqrtOf>};
const MilOp rsqrt_ios17{
    .name = "rsqrt", .since = Target::iOS17, .inputs = kRsqrtIos17, .infer = same_as_x, .eval = shifted_op<kRsqrtOf>};
const MilOp sign{.name = "sign", .inputs = kNumberX, .infer = same_as_x, .eval = number_op<kSign>};
const MilOp sin{.name = "sin", .inputs = kFloatX, .infer = same_as_x, .eval = float_op<[](float x) { return std::sin(x); }>};
const MilOp sinh{
    .name = "sinh", .inputs = kFloatX, .infer = same_as_x, .eval = float_op<[](float x) { return std::sinh(x); }>};
const MilOp sqrt{
    .name = "sqrt", .inputs = kFloatX, .infer = same_as_x, .eval = float_op<[](float x) { return std::sqrt(x); }>};
const MilOp square{.name = "square", .inputs = kNumberX, .infer = same_as_x, .eval = number_op<kSquare>};
const MilOp tan{.name = "tan", .inputs = kFloatX, .infer = same_as_x, .eval = float_op<[](float x) { return std::tan(x); }>};
const MilOp tanh{
    .name = "tanh", .inputs = kFloatX, .infer = same_as_x, .eval = float_op<[](float x) { return std::tanh(x); }>};
const MilOp threshold{.name = "threshold", .inputs = kThreshold, .infer = same_as_x, .eval = eval_threshold};

}  // namespace cortland::mil_ops
