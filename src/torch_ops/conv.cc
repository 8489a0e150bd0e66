// Convolutions and transposed convolutions over one to three spatial axes, with constant or computed weights.
#include <algorithm>

#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"

namespace cortland::torch_ops {
namespace {

using Ints = std::vector<int64_t>;

struct Convolution {
  Operand x, weight, bias;
  size_t axes = 0;  // spatial ones
  Ints stride, pad, dilation, extra;  // `extra`: a transposed convolution's output_padding
  int64_t groups = 1;
};

Result<Operand> add_bias(Lowering& in, Operand y, Operand bias) {
  if (!bias) return y;
  Shape channels(static_cast<size_t>(in.rank_of(y)), 1);
  channels[1] = in.shape_of(bias)[0];
  TRY(bias, in.reshape(bias, channels));
  return in.op(mil_ops::add, {{"x", y}, {"y", bias}});
}

// `zeros` zeros after each element along an axis, except behind the last one.
Result<Operand> spread(Lowering& in, Operand x, size_t axis, int64_t zeros) {
  const Shape shape = in.shape_of(x);
  if (zeros == 0) return x;
  Shape cells = {product(in, shape, 0, axis), shape[axis], Dim(1), product(in, shape, axis + 1, shape.size())};
  TRY(x, in.reshape(x, cells));
  TRY(x, in.op(mil_ops::pad, {{"x", x}, {"pad", Ints{0, 0, 0, 0, 0, zeros, 0, 0}}, {"mode", "constant"}, {"constant_val", 0.0}}));
  Shape spread_out = shape;
  spread_out[axis] = in.dim_table().mul(shape[axis], zeros + 1);
  TRY(x, in.reshape(x, spread_out));
  spread_out[axis] = in.dim_table().sub(spread_out[axis], zeros);
  TRY(x, slice(in, x, static_cast<int64_t>(axis), 0, spread_out[axis]));
  return in.with_shape(x, spread_out);
}

Result<Operand> convolve(Lowering& in, Convolution c) {
  const bool computed = !in.is_weight(c.weight);
  if (computed) {
    // A computed weight takes no dilations: they become zeros in it.
    for (size_t i = 0; i < c.axes; ++i) {
      TRY(c.weight, spread(in, c.weight, i + 2, c.dilation[i] - 1));
      c.dilation[i] = 1;
    }
  }
  Ints pads;
  for (int64_t p : c.pad) pads.insert(pads.end(), {p, p});
  if (c.pad.size() == 2 * c.axes) pads = c.pad;
  const bool padded = std::any_of(pads.begin(), pads.end(), [](int64_t p) { return p != 0; });
  const bool fused = c.bias && c.bias.is_const();
  TRY(Operand y, in.op(mil_ops::conv, {{"x", c.x},
                                       {"weight", c.weight},
                                       {"bias", fused ? c.bias : Operand()},
                                       {"strides", c.stride},
                                       {"pad_type", padded ? "custom" : "valid"},
                                       {"pad", pads},
                                       {"dilations", c.dilation},
                                       {"groups", c.groups}}));
  return fused ? Result<Operand>(y) : add_bias(in, y, c.bias);
}

// weight [C_in, C_out / groups, *K] of a transposed convolution as [C_out, C_in / groups, *K], mirrored: with it the
// transposed convolution is a convolution of the spread input.
Result<Operand> mirrored_weight(Lowering& in, const Convolution& c) {
  const Shape w = in.shape_of(c.weight);
  DimTable& dims = in.dim_table();
  const Dim taps = product(in, w, 2, w.size()), inputs = dims.floordiv(w[0], c.groups);
  TRY(Operand weight, in.reshape(c.weight, {Dim(c.groups), inputs, w[1], taps}));
  TRY(weight, in.transpose(weight, {0, 2, 1, 3}));
  TRY(weight, in.op(mil_ops::reverse, {{"x", weight}, {"axes", Ints{3}}}));
  Shape to = {dims.mul(w[1], c.groups), inputs};
  to.insert(to.end(), w.begin() + 2, w.end());
  return in.reshape(weight, to);
}

Result<Operand> convolve_spread(Lowering& in, const Convolution& c, const Shape& out) {
  Convolution plain{c.x, {}, c.bias, c.axes, Ints(c.axes, 1), {}, c.dilation, {}, c.groups};
  TRY(plain.weight, mirrored_weight(in, c));
  const Shape w = in.shape_of(c.weight);
  for (size_t i = 0; i < c.axes; ++i) {
    if (!w[i + 2].is_constant()) return in.reject(DiagKind::UnsupportedShape, "the kernel of a transposed convolution has a dynamic size");
    TRY(plain.x, spread(in, plain.x, i + 2, c.stride[i] - 1));
    const int64_t reach = c.dilation[i] * (w[i + 2].constant() - 1) - c.pad[i];
    if (reach < 0 || reach + c.extra[i] < 0)
      return in.reject(DiagKind::UnsupportedArgument, "a computed kernel is padded by more than its reach", "use a constant weight");
    plain.pad.insert(plain.pad.end(), {reach, reach + c.extra[i]});
  }
  TRY(Operand y, convolve(in, plain));
  return in.with_shape(y, out);
}

Result<Operand> convolve_transposed(Lowering& in, const Convolution& c, const Shape& out) {
  if (!in.is_weight(c.weight)) return convolve_spread(in, c, out);
  const bool symmetric = std::all_of(c.extra.begin(), c.extra.end(), [](int64_t e) { return e == 0; });
  const bool padded = std::any_of(c.pad.begin(), c.pad.end(), [](int64_t p) { return p != 0; });
  Ints pads;
  for (int64_t p : c.pad) pads.insert(pads.end(), {symmetric ? p : 0, symmetric ? p : 0});
  // What output_padding adds beyond the reach of the kernel holds only the bias, which then is added at the end.
  const bool beyond = !symmetric && [&] {
    for (size_t i = 0; i < c.axes; ++i)
      if (c.extra[i] > c.pad[i]) return true;
    return false;
  }();
  const bool fused = c.bias && c.bias.is_const() && !beyond;
  TRY(Operand y, in.op(mil_ops::conv_transpose, {{"x", c.x},
                                                 {"weight", c.weight},
                                                 {"bias", fused ? c.bias : Operand()},
                                                 {"strides", c.stride},
                                                 {"pad_type", symmetric && padded ? "custom" : "valid"},
                                                 {"pad", pads},
                                                 {"dilations", c.dilation},
                                                 {"groups", c.groups}}));
  if (!symmetric) {
    Ints missing(2 * out.size(), 0);
    for (size_t i = 0; i < c.axes; ++i) {
      const auto axis = static_cast<int64_t>(i) + 2;
      const int64_t short_of = std::max<int64_t>(c.extra[i] - c.pad[i], 0);
      missing[static_cast<size_t>(2 * axis + 1)] = short_of;
      const Dim end = in.dim_table().sub(in.dim_table().add(out[i + 2], c.pad[i]), short_of);
      TRY(y, slice(in, y, axis, c.pad[i], end));
    }
    if (beyond) {
      TRY(y, in.op(mil_ops::pad, {{"x", y}, {"pad", missing}, {"mode", "constant"}, {"constant_val", 0.0}}));
    }
    in.with_shape(y, out);
  }
  return fused ? Result<Operand>(y) : add_bias(in, y, c.bias);
}

// "same" keeps the size; what does not divide by two goes behind.
Result<Ints> padding_of(Lowering& in, const Convolution& c) {
  const std::string name = in.str("padding");
  if (name.empty()) return in.ints("padding", c.axes);
  if (name == "valid") return Ints(c.axes, 0);
  if (name != "same") return in.reject_argument("padding", name, "use 'same' or 'valid'");
  const Shape& w = in.shape("weight");
  Ints pads;
  for (size_t i = 0; i < c.axes; ++i) {
    if (!w[i + 2].is_constant()) return in.reject(DiagKind::UnsupportedShape, "padding 'same' needs a kernel of static size");
    const int64_t total = c.dilation[i] * (w[i + 2].constant() - 1);
    pads.insert(pads.end(), {total / 2, total - total / 2});
  }
  return pads;
}

Result<Operand> lower_any(Lowering& in, bool transposed) {
  Convolution c;
  TRY(c.x, in.tensor("input"));
  TRY(c.weight, in.tensor("weight"));
  if (in.has("bias")) {
    TRY(c.bias, in.tensor("bias"));
  }
  if (!is_float(in.dtype_of(c.x)))
    return in.reject(DiagKind::UnsupportedDtype, "Core ML convolves floats only", "convert the input and the weight to float");
  c.axes = static_cast<size_t>(in.rank("weight")) - 2;
  TRY(c.stride, in.ints("stride", c.axes));
  TRY(c.dilation, in.ints("dilation", c.axes));
  TRY(c.groups, in.integer("groups"));
  TRY(c.pad, padding_of(in, c));
  c.extra = Ints(c.axes, 0);
  if (transposed) {
    TRY(c.extra, in.ints("output_padding", c.axes));
  }
  const bool unbatched = in.rank("input") == in.rank("weight") - 1;
  if (unbatched) {
    TRY(c.x, in.unsqueeze(c.x, {0}));
  }
  Shape out = in.result_type().shape;
  if (unbatched) out.insert(out.begin(), 1);
  Operand y;
  if (transposed) {
    TRY(y, convolve_transposed(in, c, out));
  } else {
    TRY(y, convolve(in, c));
  }
  return unbatched ? in.squeeze(y, {0}) : y;
}

Lowered lower_conv(Lowering& in) { return lower_any(in, false); }
Lowered lower_conv_transpose(Lowering& in) { return lower_any(in, true); }
Lowered lower_convolution(Lowering& in) { return lower_any(in, in.boolean("transposed")); }

constexpr TorchOp kTable[] = {
    {.schema = "aten::_convolution(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] dilation, "
               "bool transposed, SymInt[] output_padding, SymInt groups, bool benchmark, bool deterministic, bool cudnn_enabled, bool "
               "allow_tf32) -> Tensor",
     .lower = lower_convolution,
     .samples = "F[1,4,8,8] const F[6,4,3,3] const F[6] [1,1] [1,1] [1,1] False [0,0] 1 False False True True -> F[1,6,8,8]; "
                "F[1,4,8,8] const F[4,6,3,3] None [2,2] [1,1] [1,1] True [1,1] 1 False False True True -> F[1,6,16,16]; "
                "F[1,4,n8,m8] const F[6,4,3,3] const F[6] [1,1] [1,1] [1,1] False [0,0] 1 False False True True -> F[1,6,n8,m8]"},
    {.schema = "aten::_convolution_mode(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, str padding, SymInt[] dilation, "
               "SymInt groups) -> Tensor",
     .lower = lower_conv, .edge = "aten.convolution.default",
     .samples = "F[1,4,8,8] const F[6,4,3,3] const F[6] [1,1] 'same' [1,1] 1 -> F[1,6,8,8]; "
                "F[1,4,n8,m8] const F[6,4,3,3] const F[6] [1,1] 'same' [1,1] 1 -> F[1,6,n8,m8]"},
    {.schema = "aten::conv1d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[1] stride=1, SymInt[1] padding=0, SymInt[1] "
               "dilation=1, SymInt groups=1) -> Tensor",
     .lower = lower_conv, .decompose = decompositions::conv, .edge = "aten.convolution.default",
     .samples = "F[2,4,9] const F[6,4,3] const F[6] -> F[2,6,7]; F[2,4,9] const F[6,2,3] None 2 1 1 2 -> F[2,6,5]; "
                "F[4,9] const F[6,4,3] -> F[6,7]; F[2,4,n9] const F[6,4,3] None 1 1 -> F[2,6,n9]; "
                "F[2,4,9] const F[6,4,3] const F[6] 1 2 2 -> F[2,6,9]"},
    {.schema = "aten::conv1d.padding(Tensor input, Tensor weight, Tensor? bias=None, SymInt[1] stride=1, str padding=\"valid\", "
               "SymInt[1] dilation=1, SymInt groups=1) -> Tensor",
     .lower = lower_conv, .decompose = decompositions::conv, .edge = "aten.convolution.default",
     .samples = "F[2,4,9] const F[6,4,3] const F[6] 1 'same' -> F[2,6,9]; "
                "F[2,4,9] const F[6,4,3] None 2 'valid' -> F[2,6,4]; "
                "F[2,4,n9] const F[6,4,3] const F[6] 1 'same' -> F[2,6,n9]"},
    {.schema = "aten::conv2d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=1, SymInt[2] padding=0, SymInt[2] "
               "dilation=1, SymInt groups=1) -> Tensor",
     .lower = lower_conv, .decompose = decompositions::conv, .edge = "aten.convolution.default",
     .samples = "F[1,4,8,8] const F[6,4,3,3] const F[6] -> F[1,6,6,6]; "
                "F[1,4,8,8] const F[4,1,3,3] None 2 1 1 4 -> F[1,4,4,4]; F[4,8,8] const F[6,4,3,3] -> F[6,6,6]; "
                "F[b2,4,h8,w8] const F[6,4,3,3] None 1 1 -> F[b2,6,h8,w8]; "
                "F[1,4,9,9] const F[6,4,3,3] const F[6] [2,1] [1,2] [2,2] -> F[1,6,4,9]; "
                "F[1,4,8,8] F[6,4,3,3] F[6] -> F[1,6,6,6]"},
    {.schema = "aten::conv2d.padding(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=1, str padding=\"valid\", "
               "SymInt[2] dilation=1, SymInt groups=1) -> Tensor",
     .lower = lower_conv, .decompose = decompositions::conv, .edge = "aten.convolution.default",
     .samples = "F[1,4,8,8] const F[6,4,3,3] const F[6] 1 'same' -> F[1,6,8,8]; "
                "F[1,4,8,8] const F[6,4,2,2] None 1 'same' -> F[1,6,8,8]; "
                "F[1,4,n8,m8] const F[6,4,3,3] const F[6] 1 'same' -> F[1,6,n8,m8]"},
    {.schema = "aten::conv3d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[3] stride=1, SymInt[3] padding=0, SymInt[3] "
               "dilation=1, SymInt groups=1) -> Tensor",
     .lower = lower_conv, .decompose = decompositions::conv, .edge = "aten.convolution.default",
     .samples = "F[1,4,5,6,7] const F[6,4,3,3,3] const F[6] -> F[1,6,3,4,5]; "
                "F[1,4,5,6,7] const F[6,2,3,3,3] None 2 1 1 2 -> F[1,6,3,3,4]; "
                "F[1,4,n5,m6,k7] const F[6,4,3,3,3] const F[6] -> F[1,6,n5-2,m6-2,k7-2]"},
    {.schema = "aten::conv3d.padding(Tensor input, Tensor weight, Tensor? bias=None, SymInt[3] stride=1, str padding=\"valid\", "
               "SymInt[3] dilation=1, SymInt groups=1) -> Tensor",
     .lower = lower_conv, .decompose = decompositions::conv, .edge = "aten.convolution.default",
     .samples = "F[1,4,5,6,7] const F[6,4,3,3,3] const F[6] 1 'same' -> F[1,6,5,6,7]; "
                "F[1,4,n5,m6,k7] const F[6,4,3,3,3] const F[6] 1 'same' -> F[1,6,n5,m6,k7]"},
    {.schema = "aten::conv_transpose1d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[1] stride=1, SymInt[1] padding=0, "
               "SymInt[1] output_padding=0, SymInt groups=1, SymInt[1] dilation=1) -> Tensor",
     .lower = lower_conv_transpose,
     .decompose = decompositions::conv_transpose, .edge = "aten.convolution.default",
     .samples = "F[2,4,9] const F[4,6,3] const F[6] -> F[2,6,11]; F[2,4,9] const F[4,3,3] None 2 1 1 2 -> F[2,6,18]; "
                "F[2,4,n9] const F[4,6,3] const F[6] -> F[2,6,n9+2]"},
    {.schema = "aten::conv_transpose2d.input(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=1, SymInt[2] padding=0, "
               "SymInt[2] output_padding=0, SymInt groups=1, SymInt[2] dilation=1) -> Tensor",
     .lower = lower_conv_transpose,
     .decompose = decompositions::conv_transpose, .edge = "aten.convolution.default",
     .samples = "F[1,4,5,5] const F[4,6,3,3] const F[6] -> F[1,6,7,7]; "
                "F[1,4,5,5] const F[4,3,3,3] None 2 1 1 2 -> F[1,6,10,10]; "
                "F[1,4,5,5] const F[4,6,3,3] None 2 0 0 1 2 -> F[1,6,13,13]; "
                "F[1,4,h5,w5] const F[4,6,3,3] -> F[1,6,h5+2,w5+2]"},
    {.schema = "aten::conv_transpose3d.input(Tensor input, Tensor weight, Tensor? bias=None, SymInt[3] stride=1, SymInt[3] padding=0, "
               "SymInt[3] output_padding=0, SymInt groups=1, SymInt[3] dilation=1) -> Tensor",
     .lower = lower_conv_transpose,
     .decompose = decompositions::conv_transpose, .edge = "aten.convolution.default",
     .samples = "F[1,4,3,4,5] const F[4,6,3,3,3] const F[6] -> F[1,6,5,6,7]; "
                "F[1,4,3,4,5] const F[4,6,3,3,3] None 2 1 1 -> F[1,6,6,8,10]; "
                "F[1,4,n3,m4,k5] const F[4,6,3,3,3] const F[6] -> F[1,6,n3+2,m4+2,k5+2]"},
    {.schema = "aten::convolution(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool "
               "transposed, SymInt[] output_padding, SymInt groups) -> Tensor",
     .lower = lower_convolution, .decompose = decompositions::convolution,
     .samples = "F[1,4,8,8] const F[6,4,3,3] const F[6] [1,1] [1,1] [1,1] False [0,0] 1 -> F[1,6,8,8]; "
                "F[1,4,8,8] const F[4,6,3,3] None [2,2] [1,1] [1,1] True [1,1] 1 -> F[1,6,16,16]; "
                "F[2,4,9] const F[6,4,3] const F[6] [1] [1] [1] False [0] 1 -> F[2,6,9]; "
                "F[b2,4,h8,w8] const F[6,4,3,3] None [1,1] [1,1] [1,1] False [0,0] 1 -> F[b2,6,h8,w8]"},
};

}  // namespace

extern const std::span<const TorchOp> kConvOps;
const std::span<const TorchOp> kConvOps = kTable;

}  // namespace cortland::torch_ops
