// Image data moved between channels and space: pixel and channel shuffles, patches as columns, unpooling.
#include <algorithm>

#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"

namespace cortland::torch_ops {
namespace {

using Ints = std::vector<int64_t>;

// [*, C f f, H, W] -> [*, C, H f, W f], in two steps of rank 5.
Lowered lower_pixel_shuffle(Lowering& in) {
  TRY(Operand x, in.precise_tensor("self"));
  TRY(const int64_t f, in.integer("upscale_factor"));
  const Shape s = in.shape("self"), &out = in.result_type().shape;
  const size_t n = s.size();
  DimTable& dims = in.dim_table();
  if (n == 4 && is_float(in.dtype_of(x))) return in.op(mil_ops::pixel_shuffle, {{"x", x}, {"upscale_factor", f}});
  const Dim images = dims.mul(product(in, s, 0, n - 3), out[n - 3]);
  TRY(x, in.reshape(x, {images, Dim(f), Dim(f), s[n - 2], s[n - 1]}));
  TRY(x, in.transpose(x, {0, 3, 1, 4, 2}));
  return in.reshape(x, out);
}

// [*, C, H f, W f] -> [*, C f f, H, W]
Lowered lower_pixel_unshuffle(Lowering& in) {
  TRY(Operand x, in.precise_tensor("self"));
  TRY(const int64_t f, in.integer("downscale_factor"));
  const Shape s = in.shape("self"), &out = in.result_type().shape;
  const size_t n = s.size();
  if (n == 4 && is_float(in.dtype_of(x)) && in.at_least(mil::Target::iOS16)) return in.op(mil_ops::pixel_unshuffle, {{"x", x}, {"downscale_factor", f}});
  TRY(x, in.reshape(x, {product(in, s, 0, n - 2), out[n - 2], Dim(f), out[n - 1], Dim(f)}));
  TRY(x, in.transpose(x, {0, 2, 4, 1, 3}));
  return in.reshape(x, out);
}

Lowered lower_channel_shuffle(Lowering& in) {
  TRY(Operand x, in.precise_tensor("self"));
  TRY(const int64_t groups, in.integer("groups"));
  const Shape s = in.shape("self");
  const Dim each = in.dim_table().floordiv(s[1], groups);
  TRY(x, in.reshape(x, {s[0], Dim(groups), each, product(in, s, 2, s.size())}));
  TRY(x, in.transpose(x, {0, 2, 1, 3}));
  return in.reshape(x, s);
}

// --- patches

struct Patches {
  Ints kernel, dilation, padding, stride;
  int64_t taps() const { return kernel[0] * kernel[1]; }
};

Result<Patches> read_patches(Lowering& in) {
  Patches p;
  TRY(p.kernel, in.ints("kernel_size", 2));
  TRY(p.dilation, in.ints("dilation", 2));
  TRY(p.padding, in.ints("padding", 2));
  TRY(p.stride, in.ints("stride", 2));
  return p;
}

// Weights [C taps, 1, kh, kw] with which a convolution by channels puts each tap into a channel of its own.
Operand tap_weights(Lowering& in, const Patches& p, int64_t channels, DType dtype) {
  const int64_t taps = p.taps();
  std::vector<float> w(static_cast<size_t>(channels * taps * taps), 0.0f);
  for (int64_t row = 0; row < channels * taps; ++row) w[static_cast<size_t>(row * taps + row % taps)] = 1;
  return in.constant(Weight::of<float>(DType::F32, {channels * taps, 1, p.kernel[0], p.kernel[1]}, w).cast(dtype));
}

Ints both_sides(const Ints& padding) { return {padding[0], padding[0], padding[1], padding[1]}; }

// Static sizes: the padded plane is read at constant positions.
Result<Operand> columns_by_gather(Lowering& in, Operand x, const Patches& p) {
  const Shape s = in.shape_of(x);
  Ints pads = {0, 0, 0, 0};
  for (int64_t v : both_sides(p.padding)) pads.push_back(v);
  if (p.padding[0] + p.padding[1] > 0) {
    TRY(x, in.op(mil_ops::pad, {{"x", x}, {"pad", pads}, {"mode", "constant"}, {"constant_val", 0.0}}));
  }
  const int64_t height = s[2].constant() + 2 * p.padding[0], width = s[3].constant() + 2 * p.padding[1];
  const auto outputs = [&](size_t i, int64_t size) { return (size - p.dilation[i] * (p.kernel[i] - 1) - 1) / p.stride[i] + 1; };
  Ints at;
  for (int64_t kh = 0; kh < p.kernel[0]; ++kh)
    for (int64_t kw = 0; kw < p.kernel[1]; ++kw)
      for (int64_t oh = 0; oh < outputs(0, height); ++oh)
        for (int64_t ow = 0; ow < outputs(1, width); ++ow)
          at.push_back((oh * p.stride[0] + kh * p.dilation[0]) * width + ow * p.stride[1] + kw * p.dilation[1]);
  TRY(x, in.reshape(x, {s[0], s[1], Dim(height * width)}));
  return in.op(mil_ops::gather, {{"x", x}, {"indices", in.constant(at)}, {"axis", 2}});
}

Lowered lower_im2col(Lowering& in) {
  TRY(Operand x, in.tensor("self"));
  TRY(const Patches p, read_patches(in));
  if (!is_float(in.dtype_of(x))) return in.reject(DiagKind::UnsupportedDtype, "patches of integers", "convert the input to float");
  const bool unbatched = in.rank("self") == 3;
  if (unbatched) {
    TRY(x, in.unsqueeze(x, {0}));
  }
  const Shape s = in.shape_of(x);
  if (s[2].is_constant() && s[3].is_constant()) {
    TRY(x, columns_by_gather(in, x, p));
  } else {
    if (!s[1].is_constant()) return in.reject(DiagKind::UnsupportedShape, "patches of a dynamic number of channels and size");
    const int64_t channels = s[1].constant();
    TRY(x, in.op(mil_ops::conv, {{"x", x}, {"weight", tap_weights(in, p, channels, in.dtype_of(x))}, {"strides", p.stride}, {"pad_type", "custom"}, {"pad", both_sides(p.padding)}, {"dilations", p.dilation}, {"groups", channels}}));
  }
  return in.reshape(x, in.result_type().shape);
}

// Overlapping patches are summed: a transposed convolution that puts each channel at its tap.
Lowered lower_col2im(Lowering& in) {
  TRY(Operand x, in.tensor("self"));
  TRY(const Patches p, read_patches(in));
  TRY(const Ints size, in.ints("output_size", 2));
  if (!is_float(in.dtype_of(x))) return in.reject(DiagKind::UnsupportedDtype, "patches of integers", "convert the input to float");
  const Shape& out = in.result_type().shape;
  const bool unbatched = in.rank("self") == 2;
  const Dim channels = out[out.size() - 3];
  if (!channels.is_constant()) return in.reject(DiagKind::UnsupportedShape, "patches of a dynamic number of channels");
  Ints grid, reach;
  for (size_t i = 0; i < 2; ++i) {
    grid.push_back((size[i] + 2 * p.padding[i] - p.dilation[i] * (p.kernel[i] - 1) - 1) / p.stride[i] + 1);
    reach.push_back((grid[i] - 1) * p.stride[i] + p.dilation[i] * (p.kernel[i] - 1) + 1);
  }
  const Dim batch = unbatched ? Dim(1) : in.shape("self")[0];
  TRY(x, in.reshape(x, {batch, in.dim_table().mul(channels, p.taps()), Dim(grid[0]), Dim(grid[1])}));
  const Operand weight = tap_weights(in, p, channels.constant(), in.dtype_of(x));
  TRY(x, in.op(mil_ops::conv_transpose, {{"x", x}, {"weight", weight}, {"strides", p.stride}, {"pad_type", "valid"}, {"pad", Ints(4, 0)}, {"dilations", p.dilation}, {"groups", channels.constant()}}));
  // The padding is cut off; what no patch reaches stays 0.
  Ints missing(8, 0);
  for (size_t i = 0; i < 2; ++i) {
    const int64_t end = std::min(reach[i], p.padding[i] + size[i]);
    missing[2 * (i + 2) + 1] = p.padding[i] + size[i] - end;
    TRY(x, slice(in, x, static_cast<int64_t>(i) + 2, p.padding[i], end));
  }
  if (missing[5] + missing[7] > 0) {
    TRY(x, in.op(mil_ops::pad, {{"x", x}, {"pad", missing}, {"mode", "constant"}, {"constant_val", 0.0}}));
  }
  return unbatched ? in.squeeze(x, {0}) : Result<Operand>(x);
}

// Each element goes back to where its maximum was found.
Lowered lower_max_unpool(Lowering& in) {
  TRY(Operand x, in.tensor("self"));
  TRY(Operand indices, in.tensor("indices"));
  const Shape s = in.shape("self"), &out = in.result_type().shape;
  const size_t first = s.size() - 2;
  const Dim rows = product(in, s, 0, first);
  TRY(x, in.reshape(x, {rows, product(in, s, first, s.size())}));
  TRY(indices, in.reshape(indices, {rows, product(in, s, first, s.size())}));
  TRY(Operand empty, filled(in, {rows, product(in, out, first, out.size())}, 0, in.dtype_of(x)));
  TRY(Operand y, in.op(mil_ops::scatter_along_axis, {{"data", empty}, {"indices", indices}, {"updates", x}, {"axis", 1}, {"mode", "update"}}));
  return in.reshape(y, out);
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::channel_shuffle(Tensor self, SymInt groups) -> Tensor", .lower = lower_channel_shuffle,
     .decompose = decompositions::channel_shuffle, .samples = "F[1,6,3,3] 2; F[1,6,n3,m3] 2"},
    {.schema = "aten::col2im(Tensor self, SymInt[2] output_size, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> "
               "Tensor",
     .lower = lower_col2im,
     .samples = "F[1,12,4] [4,4] [2,2] [1,1] [0,0] [2,2] -> F[1,3,4,4]; "
                "F[1,12,9] [4,4] [2,2] [1,1] [0,0] [1,1] -> F[1,3,4,4]; "
                "F[n2,12,4] [4,4] [2,2] [1,1] [0,0] [2,2] -> F[n2,3,4,4]"},
    {.schema = "aten::im2col(Tensor self, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor",
     .lower = lower_im2col, .decompose = decompositions::im2col,
     .samples = "F[1,3,4,5] [2,2] [1,1] [0,0] [1,1] -> F[1,12,12]; F[1,3,4,5] [2,3] [1,1] [1,1] [2,1] -> F[1,18,15]; "
                "F[1,3,m4,k5] [2,2] [1,1] [0,0] [1,1] -> F[1,12,k5*m4-k5-m4+1]"},
    {.schema = "aten::max_unpool2d(Tensor self, Tensor indices, SymInt[2] output_size) -> Tensor", .lower = lower_max_unpool,
     .samples = "f32[1,2,3,3] i64[1,2,3,3]{0,2,4,12,14,16,24,26,28,0,2,4,12,14,16,24,26,28} [6,6] -> f32[1,2,6,6]"},
    {.schema = "aten::native_channel_shuffle(Tensor self, SymInt groups) -> Tensor", .same_as = "aten.channel_shuffle.default",
     .samples = "F[1,6,3,3] 2"},
    {.schema = "aten::pixel_shuffle(Tensor self, int upscale_factor) -> Tensor", .lower = lower_pixel_shuffle,
     .samples = "F[1,8,3,4] 2 -> F[1,2,6,8]; F[1,18,3,4] 3 -> F[1,2,9,12]; F[b2,8,h3,w4] 2 -> F[b2,2,2*h3,2*w4]"},
    {.schema = "aten::pixel_unshuffle(Tensor self, int downscale_factor) -> Tensor", .lower = lower_pixel_unshuffle,
     .samples = "F[1,2,6,4] 2 -> F[1,8,3,2]; F[n2,2,6,4] 2 -> F[n2,8,3,2]"},
};

}  // namespace

extern const std::span<const TorchOp> kRearrangeOps;
const std::span<const TorchOp> kRearrangeOps = kTable;

}  // namespace cortland::torch_ops
