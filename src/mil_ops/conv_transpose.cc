// Transposed convolution: x[n, C_in, *D] with weight[C_in, C_out / groups, *K] gives [n, C_out, *D_out]. Each input spreads
// over the window of outputs that a convolution with the same arguments would read it for.
#include "mil_ops/matrix.h"
#include "mil_ops/ops.h"
#include "mil_ops/window.h"

namespace cortland::mil_ops {
namespace {

using namespace mil;

struct TransposeShape {
  Windows windows;
  Shape out;
  Shape full;  // spatial sizes before padding is cut off
};

template <class Context>
Result<TransposeShape> transpose_shape(const Context& c, DimTable& dims) {
  TRY_DO(expect_rank(c, "x", 3, 5));
  const Shape x = shape_of_input(c, "x"), weight = shape_of_input(c, "weight");
  const size_t spatial = x.size() - 2;
  if (weight.size() != x.size())
    return c.error(fmt::format("'weight' has rank {}, 'x' has rank {}", weight.size(), x.size()));
  const int64_t groups = c.integer("groups");
  if (groups < 1) return c.error(fmt::format("groups is {}", groups));
  if (!compatible(dims, x[1], weight[0]) || (weight[0].is_constant() && weight[0].constant() % groups != 0))
    return c.error(
        fmt::format("x {} does not go with weight {} in {} groups", describe(dims, x), describe(dims, weight), groups));
  TransposeShape shape;
  TRY(shape.windows, read_windows(c, spatial));
  if (shape.windows.pad_type == PadType::SameLower) return c.error("pad_type is one of valid, same, custom");
  shape.out = {x[0], dims.mul(weight[1], groups)};
  if (c.has("bias") && !compatible(dims, shape_of_input(c, "bias"), {shape.out[1]}))
    return c.error(fmt::format("'bias' has shape {}, expected [{}]", describe(dims, shape_of_input(c, "bias")),
                               dims.str(shape.out[1])));
  for (size_t i = 0; i < spatial; ++i) {
    const Dim reach = dims.mul(dims.sub(x[i + 2], 1), shape.windows.strides[i]);
    shape.full.push_back(dims.add(reach, shape.windows.extent(dims, i, weight[i + 2])));
    const Dim cut = shape.windows.pad[2 * i] + shape.windows.pad[2 * i + 1];
    shape.out.push_back(shape.windows.pad_type == PadType::Same ? dims.mul(x[i + 2], shape.windows.strides[i])
                                                                : dims.sub(shape.full[i], cut));
  }
  if (c.has("output_shape")) {
    if (!is_known(c, "output_shape")) return c.error("'output_shape' must be a plain constant");
    const auto given = c.ints("output_shape");
    if (given.size() != x.size() || std::any_of(given.begin(), given.end(), [](int64_t d) { return d < 1; }) ||
        !compatible(dims, shape.out[0], given[0]) || !compatible(dims, shape.out[1], given[1]))
      return c.error(
          fmt::format("output_shape [{}] does not go with {}", fmt::join(given, ", "), describe(dims, shape.out)));
    shape.out = shape_of(given);
  }
  for (Dim d : shape.out)
    if (dims.range(d).high < 1) return c.error(fmt::format("the result {} would be empty", describe(dims, shape.out)));
  return shape;
}

Types infer_conv_transpose(InferContext& c) {
  TRY(const TransposeShape shape, transpose_shape(c, c.dims));
  return one({c.dtype("x"), shape.out});
}

// Adds the contributions of inputs [first, first + count) through one tap, given in `from`, to an output plane.
void spread(const WindowAxes& axes, std::array<int64_t, 3> k, int64_t first, int64_t count, const float* from, float* out) {
  const auto& [d, h, w] = axes;  // here `in` is the plane that is written, `out` the one that is read
  int64_t iw = first % w.out, ih = first / w.out % h.out, id = first / w.out / h.out;
  const int64_t inside = w.first(k[2]), outside = w.last(k[2]);
  while (count > 0) {
    const int64_t run = std::min(count, w.out - iw);
    const int64_t od = id * d.stride + k[0] * d.dilation - d.before, oh = ih * h.stride + k[1] * h.dilation - h.before;
    if (od >= 0 && od < d.in && oh >= 0 && oh < h.in) {
      float* row = out + (od * h.in + oh) * w.in + k[2] * w.dilation - w.before;
      const int64_t begin = std::clamp(inside, iw, iw + run), end = std::clamp(outside, begin, iw + run);
      for (int64_t i = begin; i < end; ++i) row[i * w.stride] += from[i - iw];
    }
    from += run;
    count -= run;
    iw = 0;
    if (++ih == h.out) ih = 0, ++id;
  }
}

constexpr int64_t kTile = 144;  // inputs spread at a time; not a power of two, which would share cache sets

void spread_group(const WindowAxes& axes, int64_t channels, int64_t filters, const float* x, const float* weight,
                  float* out) {
  const auto& [d, h, w] = axes;
  const int64_t in_plane = d.out * h.out * w.out, out_plane = d.in * h.in * w.in;
  const int64_t taps = filters * d.kernel * h.kernel * w.kernel;
  std::vector<float> tile(static_cast<size_t>(taps * kTile));
  for (int64_t first = 0; first < in_plane; first += kTile) {
    const int64_t count = std::min(kTile, in_plane - first);
    std::fill(tile.begin(), tile.end(), 0.0f);
    multiply_add(taps, count, channels, {weight, 1, taps}, x + first, in_plane, tile.data(), kTile);
    const float* from = tile.data();
    for (int64_t f = 0; f < filters; ++f)
      for (int64_t kd = 0; kd < d.kernel; ++kd)
        for (int64_t kh = 0; kh < h.kernel; ++kh)
          for (int64_t kw = 0; kw < w.kernel; ++kw, from += kTile)
            spread(axes, {kd, kh, kw}, first, count, from, out + f * out_plane);
  }
}

Status eval_conv_transpose(EvalContext& c) {
  DimTable dims;
  TRY(const TransposeShape shape, transpose_shape(c, dims));
  const Tensor x = c.tensor("x").cast(DType::F32), weight = c.tensor("weight").cast(DType::F32);
  Tensor out = Tensor::make(DType::F32, sizes(shape.out));
  const size_t spatial = shape.full.size();
  WindowAxes axes;
  for (size_t i = 0; i < spatial; ++i) {
    const Windows& w = shape.windows;
    int64_t before = w.pad[2 * i];
    if (w.pad_type == PadType::Same)
      before = std::max<int64_t>(0, shape.full[i].constant() - shape.out[i + 2].constant()) / 2;
    axes[3 - spatial + i] = {out.shape[i + 2], x.shape[i + 2], weight.shape[i + 2], w.strides[i], w.dilations[i], before, 0};
  }
  const int64_t groups = c.integer("groups"), channels = weight.dim(0) / groups, filters = weight.dim(1);
  const int64_t in_plane = product(x.shape, 2, x.shape.size()), out_plane = product(out.shape, 2, out.shape.size());
  const auto bias = c.has("bias") ? c.floats("bias") : std::vector<float>(static_cast<size_t>(out.dim(1)), 0.0f);
  for (int64_t plane = 0; plane < out.dim(0) * out.dim(1); ++plane)
    std::fill_n(out.mutable_data<float>() + plane * out_plane, out_plane, bias[static_cast<size_t>(plane % out.dim(1))]);
  for (int64_t block = 0; block < out.dim(0) * groups; ++block)
    spread_group(axes, channels, filters, x.data<float>() + block * channels * in_plane,
                 weight.data<float>() + block % groups * (weight.elements() / groups),
                 out.mutable_data<float>() + block * filters * out_plane);
  c.set_output(0, out.cast(c.tensor("x").dtype));
  return {};
}

constexpr Input kInputs[] = {
    value("x", kFloats),       constant("weight", kFloats, 'T'), option("bias", kFloats, {}, 'T'),
    option("pad", kInt32),     option("output_shape", kInt32),   option("pad_type", kStrings, "valid"),
    option("strides", kInt32), option("dilations", kInt32),      option("groups", kInt32, 1)};
constexpr Input kInputs17[] = {
    value("x", kFloats),       value("weight", kFloats, 'U'),  optional_value("bias", kFloats, 'U'),
    option("pad", kInt32),     option("output_shape", kInt32), option("pad_type", kStrings, "valid"),
    option("strides", kInt32), option("dilations", kInt32),    option("groups", kInt32, 1)};
constexpr Tolerance kTolerance{.f16 = 5e-3, .f32 = 1e-5};

}  // namespace

const MilOp conv_transpose{.name = "conv_transpose",
                           .inputs = kInputs,
                           .infer = infer_conv_transpose,
                           .eval = eval_conv_transpose,
                           .tol = kTolerance};
const MilOp conv_transpose_ios17{.name = "conv_transpose",
                                 .since = Target::iOS17,
                                 .inputs = kInputs17,
                                 .infer = infer_conv_transpose,
                                 .eval = eval_conv_transpose,
                                 .tol = kTolerance};

}  // namespace cortland::mil_ops
