// Normalisations. Statistics are computed in float64, results in float32.
#include <algorithm>
#include <cmath>

#include "mil_ops/arguments.h"
#include "mil_ops/ops.h"
#include "mil_ops/strided.h"

namespace cortland::mil_ops {
namespace {

using namespace mil;

// y = (x - mean) * scale + shift over one run of elements.
struct Affine {
  float mean, scale, shift;
  void apply(const float* x, float* y, int64_t count) const {
    for (int64_t i = 0; i < count; ++i) y[i] = (x[i] - mean) * scale + shift;
  }
};

// Reads an optional per-channel parameter.
std::vector<float> channel_values(const EvalContext& c, std::string_view input, int64_t channels, float absent) {
  return c.has(input) ? c.floats(input) : std::vector<float>(static_cast<size_t>(channels), absent);
}

template <class Context>
Status check_channels(const Context& c, const DimTable& dims, std::initializer_list<std::string_view> inputs) {
  for (std::string_view input : inputs)
    if (c.has(input) && !compatible(dims, shape_of_input(c, input), {shape_of_input(c, "x")[1]}))
      return c.error(fmt::format("'{}' has shape {}, x has {}", input, describe(dims, shape_of_input(c, input)),
                                 describe(dims, shape_of_input(c, "x"))));
  return {};
}

template <class Context>
Status check_batch_norm(const Context& c, const DimTable& dims) {
  TRY_DO(expect_rank(c, "x", 3, 5));
  return check_channels(c, dims, {"mean", "variance", "gamma", "beta"});
}

template <class Context>
Status check_instance_norm(const Context& c, const DimTable& dims) {
  TRY_DO(expect_rank(c, "x", 3, 4));
  return check_channels(c, dims, {"gamma", "beta"});
}

Types infer_batch_norm(InferContext& c) {
  TRY_DO(check_batch_norm(c, c.dims));
  return one(c.type("x"));
}

Status eval_batch_norm(EvalContext& c) {
  TRY_DO(check_batch_norm(c, DimTable()));
  const Tensor x = c.tensor("x").cast(DType::F32);
  const int64_t channels = x.dim(1), inner = product(x.shape, 2, x.shape.size());
  const auto mean = c.floats("mean"), variance = c.floats("variance");
  const auto gamma = channel_values(c, "gamma", channels, 1), beta = channel_values(c, "beta", channels, 0);
  const double epsilon = c.number("epsilon");
  Tensor out = Tensor::make(DType::F32, x.shape);
  for (int64_t plane = 0; plane < x.dim(0) * channels; ++plane) {
    const auto i = static_cast<size_t>(plane % channels);
    const auto scale =
        static_cast<float>(static_cast<double>(gamma[i]) / std::sqrt(static_cast<double>(variance[i]) + epsilon));
    Affine{mean[i], scale, beta[i]}.apply(x.data<float>() + plane * inner, out.mutable_data<float>() + plane * inner, inner);
  }
  c.set_output(0, out.cast(c.tensor("x").dtype));
  return {};
}

struct Moments {
  double mean = 0, variance = 0;
};

// Mean and biased variance of the elements x[offsets[i]], or x[i] when offsets is null.
Moments moments(const float* x, const int64_t* offsets, int64_t count) {
  Moments m;
  const auto at = [&](int64_t i) { return static_cast<double>(x[offsets ? offsets[i] : i]); };
  for (int64_t i = 0; i < count; ++i) m.mean += at(i);
  m.mean /= static_cast<double>(count);
  for (int64_t i = 0; i < count; ++i) m.variance += (at(i) - m.mean) * (at(i) - m.mean);
  m.variance /= static_cast<double>(count);
  return m;
}

Types infer_instance_norm(InferContext& c) {
  TRY_DO(check_instance_norm(c, c.dims));
  return one(c.type("x"));
}

Status eval_instance_norm(EvalContext& c) {
  TRY_DO(check_instance_norm(c, DimTable()));
  const Tensor x = c.tensor("x").cast(DType::F32);
  const int64_t channels = x.dim(1), inner = product(x.shape, 2, x.shape.size());
  const auto gamma = channel_values(c, "gamma", channels, 1), beta = channel_values(c, "beta", channels, 0);
  const double epsilon = c.number("epsilon");
  Tensor out = Tensor::make(DType::F32, x.shape);
  for (int64_t plane = 0; plane < x.dim(0) * channels; ++plane) {
    const auto i = static_cast<size_t>(plane % channels);
    const float* from = x.data<float>() + plane * inner;
    const Moments m = moments(from, nullptr, inner);
    const auto scale = static_cast<float>(static_cast<double>(gamma[i]) / std::sqrt(m.variance + epsilon));
    Affine{static_cast<float>(m.mean), scale, beta[i]}.apply(from, out.mutable_data<float>() + plane * inner, inner);
  }
  c.set_output(0, out.cast(c.tensor("x").dtype));
  return {};
}

// The normalised axes in ascending order; all of them when `axes` is absent.
template <class Context>
Result<std::vector<size_t>> normalised_axes(const Context& c, const DimTable& dims) {
  const Shape x = shape_of_input(c, "x");
  std::vector<size_t> axes;
  if (!c.has("axes")) {
    for (size_t i = 0; i < x.size(); ++i) axes.push_back(i);
  } else {
    if (!is_known(c, "axes")) return c.error("'axes' must be a plain constant");
    TRY(axes, axes_in(c, c.ints("axes"), static_cast<int>(x.size())));
    std::sort(axes.begin(), axes.end());
  }
  Shape expected;
  for (size_t a : axes) expected.push_back(x[a]);
  for (std::string_view input : {"gamma", "beta"})
    if (c.has(input) && !compatible(dims, shape_of_input(c, input), expected))
      return c.error(fmt::format("'{}' has shape {}, expected {}", input, describe(dims, shape_of_input(c, input)),
                                 describe(dims, expected)));
  return axes;
}

Types infer_layer_norm(InferContext& c) {
  TRY_DO(normalised_axes(c, c.dims));
  return one(c.type("x"));
}

// Offsets of every combination of indices along `axes`, row-major.
std::vector<int64_t> offsets_along(const std::vector<int64_t>& shape, const std::vector<size_t>& axes) {
  const Sizes strides = dense_strides(shape);
  std::vector<int64_t> offsets = {0};
  for (size_t a : axes) {
    std::vector<int64_t> next;
    next.reserve(offsets.size() * static_cast<size_t>(shape[a]));
    for (int64_t base : offsets)
      for (int64_t i = 0; i < shape[a]; ++i) next.push_back(base + i * strides[a]);
    offsets = std::move(next);
  }
  return offsets;
}

Status eval_layer_norm(EvalContext& c) {
  TRY(const std::vector<size_t> axes, normalised_axes(c, DimTable()));
  const Tensor x = c.tensor("x").cast(DType::F32);
  std::vector<size_t> others;
  for (size_t i = 0; i < x.shape.size(); ++i)
    if (!std::binary_search(axes.begin(), axes.end(), i)) others.push_back(i);
  const auto inner = offsets_along(x.shape, axes), outer = offsets_along(x.shape, others);
  const auto count = static_cast<int64_t>(inner.size());
  const auto gamma = channel_values(c, "gamma", count, 1), beta = channel_values(c, "beta", count, 0);
  const double epsilon = c.number("epsilon");
  const bool dense = axes.empty() || axes[0] + axes.size() == x.shape.size();
  Tensor out = Tensor::make(DType::F32, x.shape);
  for (int64_t base : outer) {
    const float* from = x.data<float>() + base;
    float* to = out.mutable_data<float>() + base;
    const Moments m = moments(from, dense ? nullptr : inner.data(), count);
    const auto mean = static_cast<float>(m.mean), scale = static_cast<float>(1 / std::sqrt(m.variance + epsilon));
    const auto normalise = [&](int64_t i, int64_t at) {
      to[at] = (from[at] - mean) * scale * gamma[static_cast<size_t>(i)] + beta[static_cast<size_t>(i)];
    };
    if (dense)
      for (int64_t i = 0; i < count; ++i) normalise(i, i);
    else
      for (int64_t i = 0; i < count; ++i) normalise(i, inner[static_cast<size_t>(i)]);
  }
  c.set_output(0, out.cast(c.tensor("x").dtype));
  return {};
}

Types infer_l2_norm(InferContext& c) {
  TRY_DO(expect_rank(c, "x", 3, 5));
  return one(c.type("x"));
}

// x / sqrt(sum of squares + epsilon) over the last three axes.
Status eval_l2_norm(EvalContext& c) {
  TRY_DO(expect_rank(c, "x", 3, 5));
  const Tensor x = c.tensor("x").cast(DType::F32);
  const int64_t inner = product(x.shape, x.shape.size() - 3, x.shape.size()),
                outer = product(x.shape, 0, x.shape.size() - 3);
  const double epsilon = c.number("epsilon");
  Tensor out = Tensor::make(DType::F32, x.shape);
  for (int64_t block = 0; block < outer; ++block) {
    const float* from = x.data<float>() + block * inner;
    double sum = epsilon;
    for (int64_t i = 0; i < inner; ++i) sum += static_cast<double>(from[i]) * from[i];
    Affine{0, static_cast<float>(1 / std::sqrt(sum)), 0}.apply(from, out.mutable_data<float>() + block * inner, inner);
  }
  c.set_output(0, out.cast(c.tensor("x").dtype));
  return {};
}

template <class Context>
Status check_local_response_norm(const Context& c) {
  TRY_DO(expect_rank(c, "x", 3, 4));
  if (is_known(c, "size") && c.integer("size") < 1) return c.error(fmt::format("size is {}", c.integer("size")));
  return {};
}

Types infer_local_response_norm(InferContext& c) {
  TRY_DO(check_local_response_norm(c));
  return one(c.type("x"));
}

// x / (k + alpha / size * sum of squares over `size` neighbouring channels) ^ beta
Status eval_local_response_norm(EvalContext& c) {
  TRY_DO(check_local_response_norm(c));
  const Tensor x = c.tensor("x").cast(DType::F32);
  const int64_t channels = x.dim(1), inner = product(x.shape, 2, x.shape.size()), size = c.integer("size");
  const double alpha = c.number("alpha"), beta = c.number("beta"), k = c.number("k");
  Tensor out = Tensor::make(DType::F32, x.shape);
  std::vector<double> sums(static_cast<size_t>(inner));
  for (int64_t plane = 0; plane < x.dim(0) * channels; ++plane) {
    const int64_t channel = plane % channels;
    std::fill(sums.begin(), sums.end(), 0.0);
    for (int64_t j = std::max<int64_t>(0, channel - size / 2); j <= std::min(channels - 1, channel + (size - 1) / 2); ++j) {
      const float* row = x.data<float>() + (plane - channel + j) * inner;
      for (int64_t i = 0; i < inner; ++i) sums[static_cast<size_t>(i)] += static_cast<double>(row[i]) * row[i];
    }
    for (int64_t i = 0; i < inner; ++i) {
      const double divisor = std::pow(k + alpha / static_cast<double>(size) * sums[static_cast<size_t>(i)], beta);
      out.mutable_data<float>()[plane * inner + i] = static_cast<float>(x.data<float>()[plane * inner + i] / divisor);
    }
  }
  c.set_output(0, out.cast(c.tensor("x").dtype));
  return {};
}

// From iOS17 on the parameters have an element type of their own.
constexpr Input kBatchNorm[] = {value("x", kFloats),
                                constant("mean", kFloats, 'T'),
                                constant("variance", kFloats, 'T'),
                                option("gamma", kFloats, {}, 'T'),
                                option("beta", kFloats, {}, 'T'),
                                option("epsilon", kFloats, 1e-5, 'T')};
constexpr Input kBatchNorm17[] = {value("x", kFloats),
                                  constant("mean", kFloats, 'U'),
                                  constant("variance", kFloats, 'U'),
                                  option("gamma", kFloats, {}, 'U'),
                                  option("beta", kFloats, {}, 'U'),
                                  option("epsilon", kFloats, 1e-5, 'U')};
constexpr Input kInstanceNorm[] = {value("x", kFloats), option("gamma", kFloats, {}, 'T'), option("beta", kFloats, {}, 'T'),
                                   option("epsilon", kFloats, 1e-5, 'T')};
constexpr Input kInstanceNorm17[] = {value("x", kFloats), option("gamma", kFloats, {}, 'U'),
                                     option("beta", kFloats, {}, 'U'), option("epsilon", kFloats, 1e-5, 'U')};
constexpr Input kL2Norm[] = {value("x", kFloats), option("epsilon", kFloats, 1e-6, 'T')};
constexpr Input kL2Norm17[] = {value("x", kFloats), option("epsilon", kFloats, 1e-6, 'U')};
constexpr Input kLayerNorm[] = {value("x", kFloats), option("axes", kInt32), option("gamma", kFloats, {}, 'T'),
                                option("beta", kFloats, {}, 'T'), option("epsilon", kFloats, 1e-5, 'T')};
constexpr Input kLayerNorm17[] = {value("x", kFloats), option("axes", kInt32), option("gamma", kFloats, {}, 'U'),
                                  option("beta", kFloats, {}, 'U'), option("epsilon", kFloats, 1e-5, 'U')};
constexpr Input kLocalResponseNorm[] = {value("x", kFloats), constant("size", kInt32), option("alpha", kFloats, 1e-4, 'T'),
                                        option("beta", kFloats, 0.75, 'T'), option("k", kFloats, 1.0, 'T')};
constexpr Input kLocalResponseNorm17[] = {value("x", kFloats), constant("size", kInt32), option("alpha", kFloats, 1e-4, 'U'),
                                          option("beta", kFloats, 0.75, 'U'), option("k", kFloats, 1.0, 'U')};
constexpr Tolerance kTolerance{.f16 = 4e-3, .f32 = 1e-5};

constexpr MilOp make(std::string_view name, Target since, std::span<const Input> inputs, Types (*infer)(InferContext&),
                     Status (*eval)(EvalContext&)) {
  return {.name = name, .since = since, .inputs = inputs, .infer = infer, .eval = eval, .tol = kTolerance};
}

}  // namespace

const MilOp batch_norm = make("batch_norm", Target::iOS15, kBatchNorm, infer_batch_norm, eval_batch_norm);
const MilOp batch_norm_ios17 = make("batch_norm", Target::iOS17, kBatchNorm17, infer_batch_norm, eval_batch_norm);
const MilOp instance_norm = make("instance_norm", Target::iOS15, kInstanceNorm, infer_instance_norm, eval_instance_norm);
const MilOp instance_norm_ios17 =
    make("instance_norm", Target::iOS17, kInstanceNorm17, infer_instance_norm, eval_instance_norm);
const MilOp l2_norm = make("l2_norm", Target::iOS15, kL2Norm, infer_l2_norm, eval_l2_norm);
const MilOp l2_norm_ios17 = make("l2_norm", Target::iOS17, kL2Norm17, infer_l2_norm, eval_l2_norm);
const MilOp layer_norm = make("layer_norm", Target::iOS15, kLayerNorm, infer_layer_norm, eval_layer_norm);
const MilOp layer_norm_ios17 = make("layer_norm", Target::iOS17, kLayerNorm17, infer_layer_norm, eval_layer_norm);
const MilOp local_response_norm =
    make("local_response_norm", Target::iOS15, kLocalResponseNorm, infer_local_response_norm, eval_local_response_norm);
const MilOp local_response_norm_ios17 =
    make("local_response_norm", Target::iOS17, kLocalResponseNorm17, infer_local_response_norm, eval_local_response_norm);

}  // namespace cortland::mil_ops
