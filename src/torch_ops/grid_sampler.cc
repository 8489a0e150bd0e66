// Sampling of images at computed points, and the grids of such points.
#include <algorithm>
#include <string>

#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"
#include "torch_ops/interpolation.h"
#include "torch_ops/linear.h"

namespace cortland::torch_ops {
namespace {

using Ints = std::vector<int64_t>;

enum Interpolation : int64_t { kBilinear = 0, kNearest = 1, kBicubic = 2 };
enum Padding : int64_t { kZeros = 0, kBorder = 1, kReflection = 2 };

// Points are float32 [N, H, W, 2], each (x, y).
struct Sampling {
  Operand image, points;
  int64_t padding = kZeros;
  bool align_corners = false;
  Shape out;
};

Result<Operand> math(Lowering& in, const mil::MilOp& op, Operand x, Operand y) { return in.op(op, {{"x", x}, {"y", y}}); }
Result<Operand> math(Lowering& in, const mil::MilOp& op, Operand x, double y) { return in.op(op, {{"x", x}, {"y", y}}); }

// [width, height] of the image, in float32.
Result<Operand> image_size(Lowering& in, Operand image) {
  const Shape& s = in.shape_of(image);
  TRY(Operand size, in.sizes({s[3], s[2]}));
  return in.cast(size, DType::F32);
}

// From -1 .. 1 to elements.
Result<Operand> to_elements(Lowering& in, const Sampling& s) {
  TRY(Operand size, image_size(in, s.image));
  TRY(Operand shift, math(in, mil_ops::sub, size, 1));
  TRY(shift, math(in, mil_ops::mul, shift, 0.5));
  Operand scale = shift;
  if (!s.align_corners) {
    TRY(scale, math(in, mil_ops::mul, size, 0.5));
  }
  TRY(Operand p, math(in, mil_ops::mul, s.points, scale));
  return math(in, mil_ops::add, p, shift);
}

// Reflects points in elements at -1/2 and size - 1/2. (MIL's reflection is at the outer elements themselves.)
Result<Operand> reflected(Lowering& in, const Sampling& s, Operand points) {
  TRY(Operand size, image_size(in, s.image));
  TRY(Operand p, math(in, mil_ops::add, points, 0.5));
  TRY(p, in.op(mil_ops::abs, {{"x", p}}));
  TRY(Operand period, math(in, mil_ops::mul, size, 2));
  TRY(Operand turns, math(in, mil_ops::real_div, p, period));
  TRY(turns, in.op(mil_ops::floor, {{"x", turns}}));
  TRY(turns, math(in, mil_ops::mul, turns, period));
  TRY(p, math(in, mil_ops::sub, p, turns));
  TRY(p, math(in, mil_ops::sub, p, size));
  TRY(p, in.op(mil_ops::abs, {{"x", p}}));
  TRY(p, math(in, mil_ops::sub, size, p));
  return math(in, mil_ops::sub, p, 0.5);
}

Result<Operand> resample(Lowering& in, const Sampling& s, Operand points, bool nearest, bool normalized) {
  std::string padding = s.padding == kZeros ? "constant" : s.padding == kBorder ? "border" : "reflection";
  if (s.padding == kReflection && !s.align_corners) {
    if (normalized) {
      TRY(points, to_elements(in, s));
    }
    TRY(points, reflected(in, s, points));
    normalized = false;
    padding = "border";
  }
  TRY(Operand y, in.op(mil_ops::resample, {{"x", s.image},
                                           {"coordinates", points},
                                           {"sampling_mode", nearest ? "nearest" : "bilinear"},
                                           {"padding_mode", padding},
                                           {"padding_value", 0.0},
                                           {"coordinates_mode", normalized ? "normalized_minus_one_to_one" : "unnormalized"},
                                           {"align_corners", normalized ? s.align_corners : true}}));
  return in.with_shape(y, s.out);
}

// Sixteen neighbours of each point, weighted.
Result<Operand> bicubic(Lowering& in, const Sampling& s) {
  TRY(Operand points, to_elements(in, s));
  TRY(Operand base, in.op(mil_ops::floor, {{"x", points}}));
  TRY(Operand t, math(in, mil_ops::sub, points, base));
  const Shape weight_shape = {s.out[0], Dim(1), s.out[2], s.out[3]};
  Operand weights[2][4];
  for (int64_t axis = 0; axis < 2; ++axis) {
    TRY(Operand fraction, slice(in, t, 3, axis, axis + 1));
    TRY(fraction, in.reshape(fraction, weight_shape));
    for (int k = 0; k < 4; ++k) {
      TRY(Operand w, cubic_weight(in, fraction, k - 1));
      TRY(weights[axis][k], in.cast(w, in.dtype_of(s.image)));
    }
  }
  Operand sum;
  for (int row = 0; row < 4; ++row)
    for (int column = 0; column < 4; ++column) {
      const Operand offset = in.constant(Weight::floats({static_cast<float>(column - 1), static_cast<float>(row - 1)}));
      TRY(Operand at, math(in, mil_ops::add, base, offset));
      TRY(Operand part, resample(in, s, at, true, false));
      TRY(part, math(in, mil_ops::mul, part, weights[0][column]));
      TRY(part, math(in, mil_ops::mul, part, weights[1][row]));
      if (sum) {
        TRY(sum, math(in, mil_ops::add, sum, part));
      } else {
        sum = part;
      }
    }
  return sum;
}

Lowered lower_grid_sampler(Lowering& in) {
  Sampling s;
  TRY(s.image, in.tensor("input"));
  TRY(s.points, in.precise_tensor("grid"));
  TRY(s.points, in.cast(s.points, DType::F32));
  if (in.rank("input") != 4) return in.reject(DiagKind::UnsupportedRank, "Core ML samples images, not volumes", "sample slice by slice");
  TRY(const int64_t mode, in.integer("interpolation_mode"));
  TRY(s.padding, in.integer("padding_mode"));
  s.align_corners = in.boolean("align_corners");
  s.out = in.result_type().shape;
  return mode == kBicubic ? bicubic(in, s) : resample(in, s, s.points, mode == kNearest, true);
}

// --- grids

constexpr TorchOp kTable[] = {
    {.schema = "aten::affine_grid_generator(Tensor theta, SymInt[] size, bool align_corners) -> Tensor", .decompose = decompositions::affine_grid, .float32 = true,
     .samples = "F[n2,2,3] [n2,3,4,5] False -> F[n2,4,5,2]; F[2,2,3] [2,3,4,5] False -> F[2,4,5,2]; F[2,2,3] [2,3,4,5] True -> F[2,4,5,2]; "
                "F[2,3,4] [2,3,4,5,6] False -> F[2,4,5,6,3]"},
    {.schema = "aten::grid_sampler(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor",
     .lower = lower_grid_sampler, .decompose = decompositions::grid_sampler, .edge = "aten.grid_sampler_2d.default",
     .samples = "f32[1,2,5,6] f32[1,3,4,2]{-1..1} 0 0 False -> f32[1,2,3,4]; "
                "F[1,2,5,6] F[1,1,2,2]{-0.5,0.25,0.5,-0.25} 0 0 False -> F[1,2,1,2]; "
                "f32[1,2,5,6] f32[1,3,4,2]{-1..1} 1 1 True -> f32[1,2,3,4]; "
                "f32[1,2,4,5,6] f32[1,2,3,4,3]{-1.2..1.2} 0 0 True -> f32[1,2,2,3,4]; "
                "f32[n2,2,h5,w6] f32[n2,p3,q4,2]{-1..1} 0 0 False -> f32[n2,2,p3,q4]"},
    {.schema = "aten::grid_sampler_2d(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor",
     .lower = lower_grid_sampler,
     .samples = "f32[1,2,5,6] f32[1,3,4,2]{-1..1} 0 0 False -> f32[1,2,3,4]; "
                "F[1,2,5,6] F[1,1,2,2]{-0.5,0.25,0.5,-0.25} 0 0 False -> F[1,2,1,2]; "
                "f32[1,2,5,6] f32[1,3,4,2]{-1..1} 0 1 True -> f32[1,2,3,4]; "
                "f32[1,2,5,6] f32[1,3,4,2]{-1..1} 1 2 False -> f32[1,2,3,4]; "
                "f32[n2,2,h5,w6] f32[n2,p3,q4,2]{-1..1} 0 0 False -> f32[n2,2,p3,q4]"},
    {.schema = "aten::grid_sampler_3d(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor",
     .decompose = decompositions::grid_sampler_3d, .float32 = true,
     .samples = "f32[1,2,4,5,6] f32[1,2,3,4,3]{-1.2..1.2} 0 0 False -> f32[1,2,2,3,4]; "
                "f32[1,2,4,5,6] f32[1,2,3,4,3]{-1.2..1.2} 0 1 True -> f32[1,2,2,3,4]; "
                "f32[1,2,4,5,6] f32[1,2,3,4,3]{-2..2} 0 2 False -> f32[1,2,2,3,4]; "
                "f32[1,2,4,5,6] f32[1,2,3,4,3]{-2..2} 0 2 True -> f32[1,2,2,3,4]; "
                "f32[n2,2,4,5,6] f32[n2,2,3,4,3]{-1.1..1.1} 1 0 True -> f32[n2,2,2,3,4]"},
};

}  // namespace

extern const std::span<const TorchOp> kGridSamplerOps;
const std::span<const TorchOp> kGridSamplerOps = kTable;

}  // namespace cortland::torch_ops
