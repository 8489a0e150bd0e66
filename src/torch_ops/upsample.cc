// Resizing of the spatial axes: nearest element, linear, cubic, and antialiased.
#include <algorithm>
#include <cmath>

#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"
#include "torch_ops/interpolation.h"
#include "torch_ops/linear.h"

namespace cortland::torch_ops {
namespace {

using Ints = std::vector<int64_t>;

struct Resize {
  Operand x;  // [N, C, *spatial]
  std::vector<AxisMap> axes;

  size_t axis(size_t i) const { return i + 2; }
  bool is_static() const {
    return std::all_of(axes.begin(), axes.end(), [](const AxisMap& a) { return a.is_static(); });
  }
};

// ".vec" overloads give all factors in one list, the others one argument each.
Result<std::optional<double>> factor_of(Lowering& in, size_t i, size_t axes) {
  if (in.has("scale_factors")) {
    const auto* list = in.arg("scale_factors").as<torch::Arg::List>();
    if (!list || list->size() != axes) return std::optional<double>();
    if (const auto* f = (*list)[i].as<double>()) return std::optional(*f);
    if (const auto* whole = (*list)[i].as<int64_t>()) return std::optional(static_cast<double>(*whole));
    return in.reject(DiagKind::UnsupportedArgument, "a scale factor that only the data decides");
  }
  constexpr std::string_view kNames[] = {"scales_d", "scales_h", "scales_w"};
  const std::string_view name = axes == 1 ? "scales" : kNames[3 - axes + i];
  if (!in.has(name)) return std::optional<double>();
  TRY(const double factor, in.number(name));
  return std::optional(factor);
}

Result<Resize> read(Lowering& in, size_t axes, bool keeps) {
  Resize r;
  TRY(r.x, in.tensor(in.has("input") ? "input" : "self"));
  const Shape from = in.shape_of(r.x), to = in.result_type().shape;
  for (size_t i = 0; i < axes; ++i) {
    AxisMap map{from[i + 2], to[i + 2], {}, in.boolean("align_corners"), keeps};
    TRY(map.factor, factor_of(in, i, axes));
    r.axes.push_back(map);
  }
  return r;
}

// How many times larger the axis becomes, when that is a whole number whatever the size; else 0.
int64_t whole_factor(const Lowering& in, const AxisMap& map) {
  const auto ratio = [&]() -> int64_t {
    if (map.is_static()) return map.out.constant() % map.in.constant() == 0 ? map.out.constant() / map.in.constant() : 0;
    for (int64_t k = 1; k <= 64; ++k)
      if (in.dim_table().mul(map.in, k) == map.out) return k;
    return 0;
  }();
  return ratio > 0 && (!map.factor || (map.keeps && ratio == 1) || *map.factor == static_cast<double>(ratio)) ? ratio : 0;
}

// Image ops work on the last two axes of [N, C, H, W]: axes i and i + 1 of one, two or three spatial ones. `width` false: axis i
// alone, as the height of an image whose width is everything behind it.
Result<Operand> as_image(Lowering& in, Operand x, size_t height, bool width) {
  const Shape s = in.shape_of(x);
  const size_t after = height + (width ? 2 : 1);
  const Dim columns = width ? s[height + 1] : product(in, s, height + 1, s.size());
  if (width && after != s.size()) return x;
  return in.reshape(x, {s[0], product(in, s, 1, height), s[height], columns});
}

// --- nearest

Result<Operand> repeat(Lowering& in, Operand image, int64_t height, int64_t width) {
  return in.op(mil_ops::upsample_nearest_neighbor, {{"x", image}, {"scale_factor_height", height}, {"scale_factor_width", width}});
}

// Whole factors for floats: the op, the last two axes at once and a third one before.
Result<Operand> nearest_by_op(Lowering& in, const Resize& r, const Ints& factors) {
  Shape to = in.shape_of(r.x);
  const size_t axes = r.axes.size(), pair = axes >= 2 ? axes - 2 : 0;
  Operand x = r.x;
  if (axes == 1) {
    TRY(x, as_image(in, x, 2, false));
    TRY(x, repeat(in, x, factors[0], 1));
  } else {
    TRY(x, as_image(in, x, pair + 2, true));
    TRY(x, repeat(in, x, factors[pair], factors[pair + 1]));
  }
  for (size_t i = pair; i < axes; ++i) to[i + 2] = r.axes[i].out;
  TRY(x, in.reshape(x, to));
  if (axes < 3 || factors[0] == 1) return x;
  TRY(x, as_image(in, x, 2, false));
  TRY(x, repeat(in, x, factors[0], 1));
  to[2] = r.axes[0].out;
  return in.reshape(x, to);
}

Result<Operand> nearest(Lowering& in, size_t axes, bool centred) {
  TRY(Resize r, read(in, axes, !centred));
  Ints factors;
  for (const AxisMap& map : r.axes) factors.push_back(whole_factor(in, map));
  if (is_float(in.dtype_of(r.x)) && std::find(factors.begin(), factors.end(), 0) == factors.end()) return nearest_by_op(in, r, factors);
  Operand y = r.x;
  for (size_t i = 0; i < axes; ++i) {
    if (factors[i] == 1) continue;
    if (r.axes[i].is_static()) {
      TRY(y, take_along(in, y, r.axis(i), nearest_positions(r.axes[i], centred)));
    } else {
      TRY(y, nearest_at_run_time(in, y, r.axis(i), r.axes[i], centred));
    }
  }
  return y;
}

template <size_t axes, bool centred>
Lowered lower_nearest(Lowering& in) {
  return nearest(in, axes, centred);
}

// --- linear

// One image op for the last two axes (or the one axis), where the grid follows from the sizes.
Result<Operand> resize_image(Lowering& in, Operand image, const AxisMap& height, const AxisMap& width) {
  const std::string mode = height.align_corners ? "STRICT_ALIGN_CORNERS" : "UNALIGN_CORNERS";
  if (height.out.is_constant() && width.out.is_constant())
    return in.op(mil_ops::resize_bilinear, {{"x", image}, {"target_size_height", height.out.constant()}, {"target_size_width", width.out.constant()}, {"sampling_mode", mode}});
  if (in.at_least(mil::Target::iOS17)) {
    TRY(Operand size, in.sizes({height.out, width.out}));
    return in.op(mil_ops::resize, {{"x", image}, {"shape", size}, {"resized_dims", 2}, {"interpolation_mode", "LINEAR"}, {"sampling_mode", mode}});
  }
  return in.op(mil_ops::upsample_bilinear, {{"x", image},
                                            {"scale_factor_height", whole_factor(in, height)},
                                            {"scale_factor_width", whole_factor(in, width)},
                                            {"align_corners", height.align_corners}});
}

// Whether resize_image can do it: the sizes say everything, and before iOS17 dynamic sizes grow by whole factors.
bool fits_image(const Lowering& in, const AxisMap& a, const AxisMap& b) {
  if (!a.factor_agrees() || !b.factor_agrees()) return false;
  if (a.out.is_constant() && b.out.is_constant()) return true;
  return in.at_least(mil::Target::iOS17) || (whole_factor(in, a) > 0 && whole_factor(in, b) > 0);
}

Result<Operand> resize_axis(Lowering& in, Operand x, size_t axis, const AxisMap& map, Filter filter) {
  if (map.in == map.out && map.factor_agrees()) return x;
  if (!map.is_static()) return filter_at_run_time(in, x, axis, map, filter);
  return combine_along(in, x, axis, map.out.constant(), filter_weights(map, filter));
}

Result<Operand> linear(Lowering& in, size_t axes) {
  TRY(Resize r, read(in, axes, true));
  if (!is_float(in.dtype_of(r.x))) return in.reject(DiagKind::UnsupportedDtype, "Core ML interpolates floats only", "convert the input to float");
  Operand y = r.x;
  size_t left = axes;  // axes still to be resized
  const Dim one = 1;
  const AxisMap still{one, one, {}, r.axes[0].align_corners};
  if (axes == 1 && fits_image(in, still, r.axes[0])) {
    const Shape s = in.shape_of(y);
    TRY(y, in.unsqueeze(y, {2}));
    TRY(y, resize_image(in, y, still, r.axes[0]));
    TRY(y, in.squeeze(y, {2}));
    in.with_shape(y, {s[0], s[1], r.axes[0].out});
    left = 0;
  } else if (axes >= 2 && fits_image(in, r.axes[axes - 2], r.axes[axes - 1])) {
    Shape to = in.shape_of(y);
    TRY(y, as_image(in, y, axes, true));
    TRY(y, resize_image(in, y, r.axes[axes - 2], r.axes[axes - 1]));
    to[axes] = r.axes[axes - 2].out;
    to[axes + 1] = r.axes[axes - 1].out;
    TRY(y, in.reshape(y, to));
    left = axes - 2;
  }
  for (size_t i = 0; i < left; ++i) {
    TRY(y, resize_axis(in, y, r.axis(i), r.axes[i], Filter::Linear));
  }
  return y;
}

template <size_t axes>
Lowered lower_linear_resize(Lowering& in) {
  return linear(in, axes);
}

// --- filters as matrices

Lowered lower_bicubic(Lowering& in) {
  TRY(Resize r, read(in, 2, false));
  if (!is_float(in.dtype_of(r.x))) return in.reject(DiagKind::UnsupportedDtype, "Core ML interpolates floats only", "convert the input to float");
  Operand y = r.x;
  for (size_t i = 2; i-- > 0;) {
    TRY(y, resize_axis(in, y, r.axis(i), r.axes[i], Filter::Cubic));
  }
  return y;
}

template <Filter filter>
Lowered lower_antialiased(Lowering& in) {
  TRY(Resize r, read(in, 2, false));
  if (!is_float(in.dtype_of(r.x))) return in.reject(DiagKind::UnsupportedDtype, "Core ML interpolates floats only", "convert the input to float");
  Operand y = r.x;
  for (size_t i = 2; i-- > 0;) {
    const AxisMap& map = r.axes[i];
    if (map.is_static()) {
      TRY(y, combine_along(in, y, r.axis(i), map.out.constant(), antialias_weights(map, filter)));
    } else {
      TRY(Operand matrix, antialias_matrix_at_run_time(in, map, filter));
      TRY(matrix, in.cast(matrix, in.dtype_of(y)));
      TRY(y, combine_along(in, y, r.axis(i), map.out, matrix));
    }
  }
  return y;
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::_upsample_bicubic2d_aa(Tensor self, SymInt[2] output_size, bool align_corners, float? "
               "scales_h=None, float? scales_w=None) -> Tensor",
     .lower = lower_antialiased<Filter::Cubic>, .decompose = decompositions::smooth_bicubic2d,
     .samples = "f32[1,2,6,8] [4,5] False -> f32[1,2,4,5]; f32[b2,2,h6,w8] [4,9] False -> f32[b2,2,4,9]"},
    {.schema = "aten::_upsample_bicubic2d_aa.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? "
               "scale_factors) -> Tensor",
     .lower = lower_antialiased<Filter::Cubic>, .decompose = decompositions::smooth_bicubic2d,
     .edge = "aten._upsample_bicubic2d_aa.default",
     .samples = "f32[1,2,6,8] [4,5] False None -> f32[1,2,4,5]; f32[b2,2,h6,w8] None False [2.0,1.0] -> f32[b2,2,2*h6,w8]"},
    {.schema = "aten::_upsample_bilinear2d_aa(Tensor self, SymInt[2] output_size, bool align_corners, float? "
               "scales_h=None, float? scales_w=None) -> Tensor",
     .lower = lower_antialiased<Filter::Linear>,
     .samples = "f32[1,2,6,8] [4,5] False -> f32[1,2,4,5]; f32[b2,2,h6,w8] [4,9] False -> f32[b2,2,4,9]"},
    {.schema = "aten::_upsample_bilinear2d_aa.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? "
               "scale_factors) -> Tensor",
     .lower = lower_antialiased<Filter::Linear>, .decompose = decompositions::smooth_bilinear2d,
     .edge = "aten._upsample_bilinear2d_aa.default",
     .samples = "f32[1,2,6,8] [4,5] False None -> f32[1,2,4,5]; f32[b2,2,h6,w8] [4,9] True None -> f32[b2,2,4,9]"},
    {.schema = "aten::_upsample_nearest_exact1d(Tensor self, SymInt[1] output_size, float? scales=None) -> Tensor",
     .lower = lower_nearest<1, true>, .decompose = decompositions::exact1d,
     .samples = "F[1,2,6] [9] -> F[1,2,9]; F[1,n2,m6] [9] -> F[1,n2,9]"},
    {.schema = "aten::_upsample_nearest_exact1d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> "
               "Tensor",
     .lower = lower_nearest<1, true>, .decompose = decompositions::exact1d,
     .samples = "F[1,2,6] [9] None -> F[1,2,9]; F[1,2,6] None [2.0] -> F[1,2,12]; F[1,n2,m6] [9] None -> F[1,n2,9]"},
    {.schema = "aten::_upsample_nearest_exact2d(Tensor self, SymInt[2] output_size, float? scales_h=None, float? "
               "scales_w=None) -> Tensor",
     .lower = lower_nearest<2, true>, .decompose = decompositions::exact2d,
     .samples = "F[1,2,4,6] [8,9] -> F[1,2,8,9]; F[1,n2,m4,k6] [8,9] -> F[1,n2,8,9]"},
    {.schema = "aten::_upsample_nearest_exact2d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> "
               "Tensor",
     .lower = lower_nearest<2, true>, .decompose = decompositions::exact2d,
     .samples = "F[1,2,4,6] [8,9] None -> F[1,2,8,9]; F[1,2,4,6] None [2.0,1.5] -> F[1,2,8,9]; "
                "F[1,n2,m4,k6] [8,9] None -> F[1,n2,8,9]"},
    {.schema = "aten::_upsample_nearest_exact3d(Tensor self, SymInt[3] output_size, float? scales_d=None, float? "
               "scales_h=None, float? scales_w=None) -> Tensor",
     .lower = lower_nearest<3, true>, .decompose = decompositions::exact3d,
     .samples = "F[1,2,3,4,6] [6,8,9] -> F[1,2,6,8,9]; F[1,n2,m3,k4,p6] [6,8,9] -> F[1,n2,6,8,9]"},
    {.schema = "aten::_upsample_nearest_exact3d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> "
               "Tensor",
     .lower = lower_nearest<3, true>, .decompose = decompositions::exact3d,
     .samples = "F[1,2,3,4,6] [6,8,9] None -> F[1,2,6,8,9]; F[1,n2,m3,k4,p6] [6,8,9] None -> F[1,n2,6,8,9]"},
    {.schema = "aten::upsample_bicubic2d(Tensor self, SymInt[2] output_size, bool align_corners, float? "
               "scales_h=None, float? scales_w=None) -> Tensor",
     .lower = lower_bicubic, .decompose = decompositions::bicubic2d,
     .samples = "F[1,2,4,6] [8,9] False -> F[1,2,8,9]; F[1,2,4,6] [8,9] True -> F[1,2,8,9]; "
                "F[1,n2,m4,k6] [8,9] False -> F[1,n2,8,9]"},
    {.schema = "aten::upsample_bicubic2d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? "
               "scale_factors) -> Tensor",
     .lower = lower_bicubic, .decompose = decompositions::bicubic2d,
     .samples = "F[1,2,4,6] [8,9] False None -> F[1,2,8,9]; F[1,2,4,6] None True [2.0,1.5] -> F[1,2,8,9]; "
                "F[1,n2,m4,k6] [8,9] False None -> F[1,n2,8,9]"},
    {.schema = "aten::upsample_bilinear2d(Tensor self, SymInt[2] output_size, bool align_corners, float? "
               "scales_h=None, float? scales_w=None) -> Tensor",
     .lower = lower_linear_resize<2>, .decompose = decompositions::bilinear2d,
     .samples = "F[1,2,4,6] [8,9] False -> F[1,2,8,9]; F[1,2,4,6] [8,9] True -> F[1,2,8,9]; "
                "F[1,n2,m4,k6] [8,9] False -> F[1,n2,8,9]"},
    {.schema = "aten::upsample_bilinear2d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? "
               "scale_factors) -> Tensor",
     .lower = lower_linear_resize<2>,
     .samples = "F[1,2,4,6] [8,9] False None -> F[1,2,8,9]; F[1,2,4,6] None False [2.0,2.0] -> F[1,2,8,12]; "
                "F[1,2,4,6] [2,3] True None -> F[1,2,2,3]; F[1,2,h4,w6] None False [2.0,2.0] -> F[1,2,2*h4,2*w6]"},
    {.schema = "aten::upsample_linear1d(Tensor self, SymInt[1] output_size, bool align_corners, float? scales=None) "
               "-> Tensor",
     .lower = lower_linear_resize<1>, .decompose = decompositions::linear1d,
     .samples = "F[1,2,6] [9] False -> F[1,2,9]; F[1,n2,m6] [9] False -> F[1,n2,9]"},
    {.schema = "aten::upsample_linear1d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? "
               "scale_factors) -> Tensor",
     .lower = lower_linear_resize<1>, .decompose = decompositions::linear1d,
     .samples = "F[1,2,6] [9] True None -> F[1,2,9]; F[1,n2,m6] [9] True None -> F[1,n2,9]"},
    {.schema = "aten::upsample_nearest1d(Tensor self, SymInt[1] output_size, float? scales=None) -> Tensor",
     .lower = lower_nearest<1, false>, .decompose = decompositions::nearest1d,
     .samples = "F[1,2,6] [9] -> F[1,2,9]; F[1,n2,m6] [9] -> F[1,n2,9]"},
    {.schema = "aten::upsample_nearest1d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
     .lower = lower_nearest<1, false>, .decompose = decompositions::nearest1d,
     .samples = "F[1,2,6] [9] None -> F[1,2,9]; F[1,2,6] None [2.0] -> F[1,2,12]; F[1,n2,m6] [9] None -> F[1,n2,9]"},
    {.schema = "aten::upsample_nearest2d(Tensor self, SymInt[2] output_size, float? scales_h=None, float? "
               "scales_w=None) -> Tensor",
     .lower = lower_nearest<2, false>, .decompose = decompositions::nearest2d,
     .samples = "F[1,2,4,6] [8,9] -> F[1,2,8,9]; F[1,n2,m4,k6] [8,9] -> F[1,n2,8,9]"},
    {.schema = "aten::upsample_nearest2d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
     .lower = lower_nearest<2, false>,
     .samples = "F[1,2,4,6] [8,9] None -> F[1,2,8,9]; F[1,2,4,6] None [2.0,2.0] -> F[1,2,8,12]; "
                "F[1,2,h4,w6] None [2.0,2.0] -> F[1,2,2*h4,2*w6]"},
    {.schema = "aten::upsample_nearest3d(Tensor self, SymInt[3] output_size, float? scales_d=None, float? "
               "scales_h=None, float? scales_w=None) -> Tensor",
     .lower = lower_nearest<3, false>, .decompose = decompositions::nearest3d,
     .samples = "F[1,2,3,4,6] [6,8,9] -> F[1,2,6,8,9]; F[1,n2,m3,k4,p6] [6,8,9] -> F[1,n2,6,8,9]"},
    {.schema = "aten::upsample_nearest3d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
     .lower = lower_nearest<3, false>, .decompose = decompositions::nearest3d,
     .samples = "F[1,2,3,4,6] [6,8,9] None -> F[1,2,6,8,9]; F[1,n2,m3,k4,p6] [6,8,9] None -> F[1,n2,6,8,9]"},
    {.schema = "aten::upsample_trilinear3d(Tensor self, SymInt[3] output_size, bool align_corners, float? "
               "scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor",
     .lower = lower_linear_resize<3>, .decompose = decompositions::trilinear3d,
     .samples = "F[1,2,3,4,6] [6,8,9] False -> F[1,2,6,8,9]; F[1,n2,m3,k4,p6] [6,8,9] False -> F[1,n2,6,8,9]"},
    {.schema = "aten::upsample_trilinear3d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? "
               "scale_factors) -> Tensor",
     .lower = lower_linear_resize<3>, .decompose = decompositions::trilinear3d,
     .samples = "F[1,2,3,4,6] [6,8,9] True None -> F[1,2,6,8,9]; "
                "F[1,n2,m3,k4,p6] [6,8,9] True None -> F[1,n2,6,8,9]"},
};

}  // namespace

extern const std::span<const TorchOp> kUpsampleOps;
const std::span<const TorchOp> kUpsampleOps = kTable;

}  // namespace cortland::torch_ops
