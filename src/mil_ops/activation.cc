#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "mil_ops/elementwise.h"
#include "mil_ops/ops.h"
#include "mil_ops/shape_rules.h"

namespace cortland::mil_ops {

using namespace mil;

namespace {

float logistic(float x) { return 1 / (1 + std::exp(-x)); }
// ln(1 + e^x) without overflow.
float soft_plus(float x) { return std::max(x, 0.0f) + std::log1p(std::exp(-std::fabs(x))); }

constexpr auto kRelu = [](float x) { return x < 0 ? 0 : x; };  // comparisons are written so that NaN stays NaN
constexpr auto kRelu6 = [](float x) { return x < 0 ? 0 : x > 6 ? 6 : x; };
constexpr auto kSigmoid = [](float x) { return logistic(x); };
constexpr auto kSilu = [](float x) { return x * logistic(x); };
constexpr auto kSoftplus = [](float x) { return soft_plus(x); };
constexpr auto kSoftsign = [](float x) { return x / (1 + std::fabs(x)); };

// f(x, alpha, beta) with one-element parameters.
template <auto F>
Status alpha_beta_op(EvalContext& c) {
  const float alpha = static_cast<float>(c.number("alpha")), beta = static_cast<float>(c.number("beta"));
  return map_floats(c, [=](float x) { return F(x, alpha, beta); });
}

template <auto F>
Status alpha_op(EvalContext& c) {
  const float alpha = static_cast<float>(c.number("alpha"));
  return map_floats(c, [=](float x) { return F(x, alpha); });
}

constexpr auto kClampedRelu = [](float x, float a, float b) {
  const float y = x < 0 ? a * x : x;
  return y > b ? b : y;
};
constexpr auto kElu = [](float x, float a) { return x > 0 ? x : a * std::expm1(x); };
constexpr auto kLeakyRelu = [](float x, float a) { return x < 0 ? a * x : x; };
constexpr auto kLinear = [](float x, float a, float b) { return a * x + b; };
constexpr auto kScaledTanh = [](float x, float a, float b) { return a * std::tanh(b * x); };
constexpr auto kSigmoidHard = [](float x, float a, float b) {
  const float y = a * x + b;
  return y < 0 ? 0 : y > 1 ? 1 : y;
};
constexpr auto kThresholdedRelu = [](float x, float a) { return x < a ? 0 : x; };

Types infer_gelu(InferContext& c) {
  const std::string mode = c.str("mode");
  if (mode != "EXACT" && mode != "TANH_APPROXIMATION" && mode != "SIGMOID_APPROXIMATION")
    return c.error(fmt::format("there is no gelu mode '{}'", mode));
  return same_as_x(c);
}

Status eval_gelu(EvalContext& c) {
  constexpr float kRoot = std::numbers::sqrt2_v<float>;
  const std::string mode = c.str("mode");
  if (mode == "TANH_APPROXIMATION")
    return map_floats(c, [](float x) { return 0.5f * x * (1 + std::tanh(0.7978845608f * (x + 0.044715f * x * x * x))); });
  if (mode == "SIGMOID_APPROXIMATION") return map_floats(c, [](float x) { return x * logistic(1.702f * x); });
  return map_floats(c, [](float x) { return 0.5f * x * (1 + std::erf(x / kRoot)); });
}

// Parameters with one value for each channel (axis 1).
Status check_channels(InferContext& c, std::string_view parameter) {
  const Shape& shape = c.shape(parameter);
  if (shape.size() != 1 || !may_equal(shape[0], c.shape("x")[1]))
    return c.error(fmt::format("'{}' must be a vector with one value for each channel", parameter));
  return {};
}

Types infer_prelu(InferContext& c) {
  if (c.rank("x") < 3 || c.rank("x") > 5) return c.error("x must have rank 3, 4 or 5");
  TRY_DO(check_channels(c, "alpha"));
  return same_as_x(c);
}

Types infer_softplus_parametric(InferContext& c) {
  if (c.rank("x") < 3) return c.error("x must have rank 3 or more");
  TRY_DO(check_channels(c, "alpha"));
  TRY_DO(check_channels(c, "beta"));
  return same_as_x(c);
}

// f(x, channel) for x [n, channels, ...].
template <class F>
Status map_channels(EvalContext& c, F f) {
  const Tensor x = c.tensor("x");
  if (x.rank() < 2 || x.dim(1) != c.tensor("alpha").elements()) return c.error("one parameter for each channel is needed");
  Tensor& out = c.output(0, x.shape, x.dtype);
  const int64_t channels = x.dim(1), rows = x.dim(0) * channels;
  const int64_t inner = rows == 0 ? 0 : x.elements() / rows;
  for (int64_t row = 0; row < rows; ++row)
    map_run(x, out, row * inner, (row + 1) * inner,
            [&f, channel = static_cast<size_t>(row % channels)](float v) { return f(v, channel); });
  return {};
}

Status eval_prelu(EvalContext& c) {
  return map_channels(c, [alpha = c.floats("alpha")](float x, size_t channel) { return x < 0 ? alpha[channel] * x : x; });
}

Status eval_softplus_parametric(EvalContext& c) {
  const std::vector<float> alpha = c.floats("alpha"), beta = c.floats("beta");
  if (alpha.size() != beta.size()) return c.error("alpha and beta must have the same length");
  return map_channels(c, [&](float x, size_t channel) { return alpha[channel] * soft_plus(beta[channel] * x); });
}

Types infer_softmax(InferContext& c) {
  TRY_DO(axis_in(c, c.integer("axis"), c.rank("x")));
  return same_as_x(c);
}

void softmax_row(float* x, int64_t n) {
  const float high = *std::max_element(x, x + n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i] = std::exp(x[i] - high);
  const float scale = static_cast<float>(1 / sum);
  for (int64_t i = 0; i < n; ++i) x[i] *= scale;
}

// The same down the columns of x [n, inner], whose rows are contiguous.
void softmax_columns(float* x, int64_t n, int64_t inner) {
  std::vector<float> high(x, x + inner);
  std::vector<double> sum(static_cast<size_t>(inner), 0);
  for (int64_t i = 1; i < n; ++i)
    for (int64_t k = 0; k < inner; ++k)
      high[static_cast<size_t>(k)] = std::max(high[static_cast<size_t>(k)], x[i * inner + k]);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < inner; ++k) {
      float& v = x[i * inner + k];
      v = std::exp(v - high[static_cast<size_t>(k)]);
      sum[static_cast<size_t>(k)] += v;
    }
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < inner; ++k) x[i * inner + k] /= static_cast<float>(sum[static_cast<size_t>(k)]);
}

Status eval_softmax(EvalContext& c) {
  const Tensor& x = c.tensor("x");
  TRY(const size_t axis, axis_in(c, c.integer("axis"), x.rank()));
  Tensor out = Tensor::make(DType::F32, x.shape);
  convert_elements(x.dtype, x.data(), DType::F32, out.mutable_data(), x.elements());
  const int64_t n = x.shape[axis];
  int64_t outer = 1, inner = 1;
  for (size_t i = 0; i < axis; ++i) outer *= x.shape[i];
  for (size_t i = axis + 1; i < x.shape.size(); ++i) inner *= x.shape[i];
  if (x.elements() > 0)
    for (int64_t i = 0; i < outer; ++i) {
      float* block = out.mutable_data<float>() + i * n * inner;
      inner == 1 ? softmax_row(block, n) : softmax_columns(block, n, inner);
    }
  c.set_output(0, x.dtype == DType::F32 ? std::move(out) : out.cast(x.dtype));
  return {};
}

// Up to iOS16 the parameters have the type of x; from iOS17 on they share one of their own.
constexpr Input kX[] = {value("x", kFloats)};
constexpr Input kAlpha[] = {value("x", kFloats), constant("alpha", kFloats, 'T')};
constexpr Input kAlphaIos17[] = {value("x", kFloats), constant("alpha", kFloats, 'U')};
constexpr Input kAlphaBeta[] = {value("x", kFloats), constant("alpha", kFloats, 'T'), constant("beta", kFloats, 'T')};
constexpr Input kAlphaBetaIos17[] = {value("x", kFloats), constant("alpha", kFloats, 'U'), constant("beta", kFloats, 'U')};
constexpr Input kGelu[] = {value("x", kFloats), option("mode", kStrings, "EXACT")};
constexpr Input kSoftmax[] = {value("x", kFloats), option("axis", kInt32, -1)};

constexpr Target kIos17 = Target::iOS17;

}  // namespace

const MilOp clamped_relu{
    .name = "clamped_relu", .inputs = kAlphaBeta, .infer = same_as_x, .eval = alpha_beta_op<kClampedRelu>};
const MilOp clamped_relu_ios17{.name = "clamped_relu",
                               .since = kIos17,
                               .inputs = kAlphaBetaIos17,
                               .infer = same_as_x,
                               .eval = alpha_beta_op<kClampedRelu>};
const MilOp elu{.name = "elu", .inputs = kAlpha, .infer = same_as_x, .eval = alpha_op<kElu>};
const MilOp elu_ios17{.name = "elu", .since = kIos17, .inputs = kAlphaIos17, .infer = same_as_x, .eval = alpha_op<kElu>};
const MilOp gelu{.name = "gelu", .inputs = kGelu, .infer = infer_gelu, .eval = eval_gelu};
const MilOp leaky_relu{.name = "leaky_relu", .inputs = kAlpha, .infer = same_as_x, .eval = alpha_op<kLeakyRelu>};
const MilOp leaky_relu_ios17{
    .name = "leaky_relu", .since = kIos17, .inputs = kAlphaIos17, .infer = same_as_x, .eval = alpha_op<kLeakyRelu>};
const MilOp linear_activation{
    .name = "linear_activation", .inputs = kAlphaBeta, .infer = same_as_x, .eval = alpha_beta_op<kLinear>};
const MilOp linear_activation_ios17{.name = "linear_activation",
                                    .since = kIos17,
                                    .inputs = kAlphaBetaIos17,
                                    .infer = same_as_x,
                                    .eval = alpha_beta_op<kLinear>};
const MilOp prelu{.name = "prelu", .inputs = kAlpha, .infer = infer_prelu, .eval = eval_prelu};
const MilOp prelu_ios17{.name = "prelu", .since = kIos17, .inputs = kAlphaIos17, .infer = infer_prelu, .eval = eval_prelu};
const MilOp relu{.name = "relu", .inputs = kX, .infer = same_as_x, .eval = float_op<kRelu>};
const MilOp relu6{.name = "relu6", .inputs = kX, .infer = same_as_x, .eval = float_op<kRelu6>};
const MilOp scaled_tanh{.name = "scaled_tanh", .inputs = kAlphaBeta, .infer = same_as_x, .eval = alpha_beta_op<kScaledTanh>};
const MilOp scaled_tanh_ios17{.name = "scaled_tanh",
                              .since = kIos17,
                              .inputs = kAlphaBetaIos17,
                              .infer = same_as_x,
                              .eval = alpha_beta_op<kScaledTanh>};
const MilOp sigmoid{.name = "sigmoid", .inputs = kX, .infer = same_as_x, .eval = float_op<kSigmoid>};
const MilOp sigmoid_hard{
    .name = "sigmoid_hard", .inputs = kAlphaBeta, .infer = same_as_x, .eval = alpha_beta_op<kSigmoidHard>};
const MilOp sigmoid_hard_ios17{.name = "sigmoid_hard",
                               .since = kIos17,
                               .inputs = kAlphaBetaIos17,
                               .infer = same_as_x,
                               .eval = alpha_beta_op<kSigmoidHard>};
const MilOp silu{.name = "silu", .inputs = kX, .infer = same_as_x, .eval = float_op<kSilu>};
const MilOp softmax{.name = "softmax", .inputs = kSoftmax, .infer = infer_softmax, .eval = eval_softmax};
const MilOp softplus{.name = "softplus", .inputs = kX, .infer = same_as_x, .eval = float_op<kSoftplus>};
const MilOp softplus_parametric{.name = "softplus_parametric",
                                .inputs = kAlphaBeta,
                                .infer = infer_softplus_parametric,
                                .eval = eval_softplus_parametric};
const MilOp softplus_parametric_ios17{.name = "softplus_parametric",
                                      .since = kIos17,
                                      .inputs = kAlphaBetaIos17,
                                      .infer = infer_softplus_parametric,
                                      .eval = eval_softplus_parametric};
const MilOp softsign{.name = "softsign", .inputs = kX, .infer = same_as_x, .eval = float_op<kSoftsign>};
const MilOp thresholded_relu{
    .name = "thresholded_relu", .inputs = kAlpha, .infer = same_as_x, .eval = alpha_op<kThresholdedRelu>};
const MilOp thresholded_relu_ios17{.name = "thresholded_relu",
                                   .since = kIos17,
                                   .inputs = kAlphaIos17,
                                   .infer = same_as_x,
                                   .eval = alpha_op<kThresholdedRelu>};

}  // namespace cortland::mil_ops
