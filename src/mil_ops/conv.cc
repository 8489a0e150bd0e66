// Convolutions: x[n, C_in, *D] with weight[C_out, C_in / groups, *K] gives [n, C_out, *D_out].
#include <cstring>

#include "mil_ops/matrix.h"
#include "mil_ops/ops.h"
#include "mil_ops/window.h"

namespace cortland::mil_ops {
namespace {

using namespace mil;

struct ConvShape {
  Windows windows;
  Shape out;
};

template <class Context>
Result<ConvShape> conv_shape(const Context& c, DimTable& dims) {
  TRY_DO(expect_rank(c, "x", 3, 5));
  const Shape x = shape_of_input(c, "x"), weight = shape_of_input(c, "weight");
  if (weight.size() != x.size())
    return c.error(fmt::format("'weight' has rank {}, 'x' has rank {}", weight.size(), x.size()));
  const int64_t groups = c.integer("groups");
  if (groups < 1) return c.error(fmt::format("groups is {}", groups));
  if (!compatible(dims, x[1], dims.mul(weight[1], groups)))
    return c.error(fmt::format("x has {} channels, but weight {} in {} groups takes {}", dims.str(x[1]),
                               describe(dims, weight), groups, dims.str(dims.mul(weight[1], groups))));
  if (weight[0].is_constant() && weight[0].constant() % groups != 0)
    return c.error(fmt::format("{} output channels do not divide into {} groups", weight[0].constant(), groups));
  if (c.has("bias") && !compatible(dims, shape_of_input(c, "bias"), {weight[0]}))
    return c.error(
        fmt::format("'bias' has shape {}, expected [{}]", describe(dims, shape_of_input(c, "bias")), dims.str(weight[0])));
  ConvShape shape;
  TRY(shape.windows, read_windows(c, x.size() - 2));
  shape.out = {x[0], weight[0]};
  for (size_t i = 0; i + 2 < x.size(); ++i) {
    shape.out.push_back(shape.windows.out_size(dims, i, x[i + 2], weight[i + 2]));
    if (dims.range(shape.out.back()).high < 1)
      return c.error(fmt::format("the kernel does not fit into x along axis {} of size {}", i + 2, dims.str(x[i + 2])));
  }
  return shape;
}

// Whether a value is computed from constants only, so that a compiler can evaluate it.
bool follows_from_constants(const Program& program, Operand operand, int depth = 0) {
  if (!operand.is_value()) return true;
  const OpId producer = program.values[operand.value()].producer;
  if (!producer || depth > 32) return false;
  for (const Binding& b : program.ops[producer].operands)
    if (!follows_from_constants(program, b.operand, depth + 1)) return false;
  return true;
}

Types infer_conv(InferContext& c) {
  TRY(const ConvShape shape, conv_shape(c, c.dims));
  for (int64_t d : shape.windows.dilations)
    if (d != 1 && !follows_from_constants(c.program, c.operand("weight")))
      return c.error("a computed weight does not go with dilations");
  return one({c.dtype("x"), shape.out});
}

// Copies what output positions [first, first + count) of a channel group see through every tap: one row per input channel
// and tap, `stride` elements apart.
class Patches {
 public:
  Patches(const WindowAxes& axes, int64_t channels) : axes_(axes), channels_(channels) {}

  void gather(const float* x, int64_t first, int64_t count, float* rows, int64_t stride) const {
    const auto& [d, h, w] = axes_;
    const int64_t plane = d.in * h.in * w.in;
    for (int64_t channel = 0; channel < channels_; ++channel, x += plane)
      for (int64_t kd = 0; kd < d.kernel; ++kd)
        for (int64_t kh = 0; kh < h.kernel; ++kh)
          for (int64_t kw = 0; kw < w.kernel; ++kw, rows += stride) tap(x, {kd, kh, kw}, first, count, rows);
  }

 private:
  void tap(const float* x, std::array<int64_t, 3> k, int64_t first, int64_t count, float* to) const {
    const auto& [d, h, w] = axes_;
    int64_t ow = first % w.out, oh = first / w.out % h.out, od = first / w.out / h.out;
    const int64_t inside = w.first(k[2]), outside = w.last(k[2]);
    while (count > 0) {
      const int64_t run = std::min(count, w.out - ow);
      const int64_t id = od * d.stride + k[0] * d.dilation - d.before, ih = oh * h.stride + k[1] * h.dilation - h.before;
      if (id < 0 || id >= d.in || ih < 0 || ih >= h.in) {
        std::fill(to, to + run, 0.0f);
      } else {
        row(x + (id * h.in + ih) * w.in + k[2] * w.dilation - w.before, ow, ow + run, inside, outside, to);
      }
      to += run;
      count -= run;
      ow = 0;
      if (++oh == h.out) oh = 0, ++od;
    }
  }

  // Outputs [from, until) of one row; those outside [inside, outside) read padding.
  void row(const float* x, int64_t from, int64_t until, int64_t inside, int64_t outside, float* to) const {
    const int64_t stride = axes_[2].stride;
    const int64_t begin = std::clamp(inside, from, until), end = std::clamp(outside, begin, until);
    to = std::fill_n(to, begin - from, 0.0f);
    if (stride == 1) {
      if (end > begin) std::memcpy(to, x + begin, static_cast<size_t>(end - begin) * sizeof(float));
      to += end - begin;
    } else {
      for (int64_t o = begin; o < end; ++o) *to++ = x[o * stride];
    }
    std::fill_n(to, until - end, 0.0f);
  }

  WindowAxes axes_;
  int64_t channels_;
};

// Output positions computed at a time: the patches of one tile stay in cache. Not a power of two, or its rows would
// compete for the same cache sets.
constexpr int64_t kTile = 144;

int64_t size_in(const WindowAxes& axes) { return axes[0].in * axes[1].in * axes[2].in; }
int64_t size_out(const WindowAxes& axes) { return axes[0].out * axes[1].out * axes[2].out; }

// Whether an output reads the input at its own position only.
bool is_pointwise(const WindowAxes& axes) {
  return std::all_of(axes.begin(), axes.end(),
                     [](const WindowAxis& a) { return a.kernel == 1 && a.stride == 1 && a.before == 0 && a.out == a.in; });
}

// All filters of one group of channels; `out` holds the bias already.
void convolve_group(const WindowAxes& axes, int64_t channels, int64_t filters, const float* x, const float* weight,
                    float* out) {
  const int64_t taps = channels * axes[0].kernel * axes[1].kernel * axes[2].kernel, plane = size_out(axes);
  const bool pointwise = is_pointwise(axes);
  const Patches patches(axes, channels);
  std::vector<float> tile(static_cast<size_t>(taps * kTile)), sums(static_cast<size_t>(filters * kTile));
  for (int64_t first = 0; first < plane; first += kTile) {
    const int64_t count = std::min(kTile, plane - first), padded = (count + 15) / 16 * 16;
    const bool in_place = pointwise && count == padded;
    if (!in_place) patches.gather(x, first, count, tile.data(), kTile);
    for (int64_t f = 0; f < filters; ++f) std::copy_n(out + f * plane + first, count, sums.data() + f * kTile);
    multiply_add(filters, padded, taps, {weight, taps, 1}, in_place ? x + first : tile.data(), in_place ? plane : kTile,
                 sums.data(), kTile);
    for (int64_t f = 0; f < filters; ++f) std::copy_n(sums.data() + f * kTile, count, out + f * plane + first);
  }
}

// One filter over one channel, row by row: patches would cost more than the sums.
void convolve_plane(const WindowAxes& axes, const float* x, const float* weight, float* out) {
  const auto& [d, h, w] = axes;
  for (int64_t kd = 0; kd < d.kernel; ++kd)
    for (int64_t kh = 0; kh < h.kernel; ++kh)
      for (int64_t kw = 0; kw < w.kernel; ++kw) {
        const float factor = *weight++;
        const int64_t first = w.first(kw), last = w.last(kw), shift = kw * w.dilation - w.before;
        for (int64_t od = d.first(kd); od < d.last(kd); ++od)
          for (int64_t oh = h.first(kh); oh < h.last(kh); ++oh) {
            const int64_t row =
                (od * d.stride + kd * d.dilation - d.before) * h.in + oh * h.stride + kh * h.dilation - h.before;
            const float* from = x + row * w.in + shift;
            float* to = out + (od * h.out + oh) * w.out;
            if (w.stride == 1)
              for (int64_t i = first; i < last; ++i) to[i] += factor * from[i];
            else
              for (int64_t i = first; i < last; ++i) to[i] += factor * from[i * w.stride];
          }
      }
}

Tensor convolve(const Tensor& x, const Tensor& weight, const float* bias, const WindowAxes& axes, int64_t groups,
                std::vector<int64_t> shape) {
  Tensor out = Tensor::make(DType::F32, std::move(shape));
  const int64_t channels = weight.dim(1), filters = weight.dim(0) / groups, plane = size_out(axes);
  for (int64_t i = 0; i < out.dim(0) * out.dim(1); ++i)
    std::fill_n(out.mutable_data<float>() + i * plane, plane, bias ? bias[i % out.dim(1)] : 0.0f);
  for (int64_t block = 0; block < out.dim(0) * groups; ++block) {
    const float* from = x.data<float>() + block * channels * size_in(axes);
    const float* filter = weight.data<float>() + block % groups * (weight.elements() / groups);
    float* to = out.mutable_data<float>() + block * filters * plane;
    if (channels != 1) {
      convolve_group(axes, channels, filters, from, filter, to);
      continue;
    }
    for (int64_t f = 0; f < filters; ++f)
      convolve_plane(axes, from, filter + f * (weight.elements() / weight.dim(0)), to + f * plane);
  }
  return out;
}

Status run_conv(EvalContext& c, const Tensor& weight) {
  DimTable dims;
  TRY(const ConvShape shape, conv_shape(c, dims));
  const Tensor x = c.tensor("x").cast(DType::F32);
  const auto spatial = [](const std::vector<int64_t>& s) { return std::vector<int64_t>(s.begin() + 2, s.end()); };
  const auto out = sizes(shape.out);
  const auto bias = c.has("bias") ? c.floats("bias") : std::vector<float>();
  const WindowAxes axes = window_axes(shape.windows, spatial(x.shape), spatial(weight.shape), spatial(out));
  c.set_output(
      0,
      convolve(x, weight, bias.empty() ? nullptr : bias.data(), axes, c.integer("groups"), out).cast(c.tensor("x").dtype));
  return {};
}

Status eval_conv(EvalContext& c) { return run_conv(c, c.tensor("weight").cast(DType::F32)); }

// weight = quant_scale * stored + quant_bias, each a scalar or one number for an output channel.
Status eval_conv_quantized(EvalContext& c) {
  if (c.str("quantization_type") != "linear") return c.error("only quantization_type 'linear' says what the weight is");
  if (c.has("bias")) return c.error("a quantized bias has no defined scale");
  Tensor weight = c.tensor("weight").cast(DType::F32);
  const auto scale = c.floats("quant_scale"), offset = c.floats("quant_bias");
  const int64_t filters = weight.rank() ? weight.dim(0) : 0, each = filters ? weight.elements() / filters : 0;
  for (const auto& v : {scale, offset})
    if (v.size() != 1 && v.size() != static_cast<size_t>(filters))
      return c.error("quant_scale and quant_bias are scalars or one number a channel");
  for (int64_t f = 0; f < filters; ++f)
    for (float* w = weight.mutable_data<float>() + f * each; w < weight.mutable_data<float>() + (f + 1) * each; ++w)
      *w = *w * scale[scale.size() == 1 ? 0 : static_cast<size_t>(f)] +
           offset[offset.size() == 1 ? 0 : static_cast<size_t>(f)];
  return run_conv(c, weight);
}

constexpr DTypes kU8 = one_of({DType::U8});

constexpr Input kConvInputs[] = {value("x", kFloats),
                                 value("weight", kFloats),
                                 option("bias", kFloats, {}, 'T'),
                                 option("strides", kInt32),
                                 option("pad_type", kStrings, "valid"),
                                 option("pad", kInt32),
                                 option("dilations", kInt32),
                                 option("groups", kInt32, 1)};
constexpr Input kConvInputs17[] = {value("x", kFloats),
                                   value("weight", kFloats, 'U'),
                                   optional_value("bias", kFloats, 'U'),
                                   option("strides", kInt32),
                                   option("pad_type", kStrings, "valid"),
                                   option("pad", kInt32),
                                   option("dilations", kInt32),
                                   option("groups", kInt32, 1)};
constexpr Input kConvQuantizedInputs[] = {value("x", kFloats),
                                          value("weight", kU8, 'U'),
                                          option("bias", kU8, {}, 'U'),
                                          constant("quantization_type", kStrings),
                                          option("nbits", kInt32, 8),
                                          constant("quant_scale", kFloats, 'T'),
                                          constant("quant_bias", kFloats, 'T'),
                                          option("strides", kInt32),
                                          option("pad_type", kStrings, "valid"),
                                          option("pad", kInt32),
                                          option("dilations", kInt32),
                                          option("groups", kInt32, 1)};

}  // namespace

constexpr Tolerance kConvTolerance{.f16 = 5e-3, .f32 = 1e-5};

const MilOp conv{.name = "conv", .inputs = kConvInputs, .infer = infer_conv, .eval = eval_conv, .tol = kConvTolerance};
const MilOp conv_ios17{.name = "conv",
                       .since = Target::iOS17,
                       .inputs = kConvInputs17,
                       .infer = infer_conv,
                       .eval = eval_conv,
                       .tol = kConvTolerance};
const MilOp conv_quantized{.name = "conv_quantized",
                           .inputs = kConvQuantizedInputs,
                           .infer = infer_conv,
                           .eval = eval_conv_quantized,
                           .tol = kConvTolerance};

}  // namespace cortland::mil_ops
