// Sampling images [B, C, H, W] at arbitrary points: resample, affine and crop_resize.
#include <algorithm>
#include <array>
#include <cmath>

#include "mil_ops/ops.h"
#include "mil_ops/sampling.h"

namespace cortland::mil_ops {
namespace {

using namespace mil;

enum class Padding { Constant, Border, Reflection, Symmetric };

template <class Context, size_t N>
Result<size_t> choice(const Context& c, std::string_view input, const std::string_view (&names)[N]) {
  std::string given = c.str(input);
  std::transform(given.begin(), given.end(), given.begin(),
                 [](unsigned char ch) { return static_cast<char>(std::tolower(ch)); });
  for (size_t i = 0; i < N; ++i)
    if (names[i] == given) return i;
  return c.error(fmt::format("{} '{}' is none of {}", input, given, fmt::join(names, ", ")));
}

// How points are read from one image axis of `size` elements; -1 means the padding value.
struct PointReader {
  Padding padding = Padding::Constant;
  bool nearest = false;

  // Folds a point into [0, size - 1], unless padding is Constant.
  double fold(double p, int64_t size) const {
    const auto last = static_cast<double>(size - 1);
    if (padding == Padding::Reflection && last > 0) {
      p = std::fmod(std::fabs(p), 2 * last);
      if (p > last) p = 2 * last - p;
    } else if (padding == Padding::Symmetric) {  // mirrors at -0.5 and size - 0.5
      const double span = static_cast<double>(size);
      p = std::fmod(std::fabs(p + 0.5), 2 * span);
      if (p > span) p = 2 * span - p;
      p -= 0.5;
    }
    if (padding == Padding::Constant) return p;
    return p > 0 ? std::min(p, last) : 0;  // NaN too
  }
};

struct Corner {
  int64_t low = -1, high = -1;  // -1: outside
  float fraction = 0;
};

Corner corner(const PointReader& reader, double point, int64_t size) {
  double p = reader.fold(point, size);
  if (reader.nearest) p = std::nearbyint(p);
  if (!(p > -1) || !(p < static_cast<double>(size))) return {};
  const double floor = std::floor(p);
  const auto low = static_cast<int64_t>(floor);
  return {low, low + 1 < size ? low + 1 : -1, static_cast<float>(p - floor)};
}

// One point of every channel of an image; `out` steps by `out_plane` from channel to channel.
void sample(const float* image, int64_t channels, int64_t height, int64_t width, const Corner& y, const Corner& x,
            float padding, float* out, int64_t out_plane) {
  for (int64_t ch = 0; ch < channels; ++ch, image += height * width, out += out_plane) {
    const auto at = [&](int64_t r, int64_t k) { return r < 0 || k < 0 ? padding : image[r * width + k]; };
    // A neighbour with no weight is not read: it may be infinite, or outside.
    const auto row = [&](int64_t r) {
      return x.fraction == 0 ? at(r, x.low) : (1 - x.fraction) * at(r, x.low) + x.fraction * at(r, x.high);
    };
    *out = y.fraction == 0 ? row(y.low) : (1 - y.fraction) * row(y.low) + y.fraction * row(y.high);
  }
}

struct ResamplePlan {
  PointReader reader;
  size_t coordinates = 0;  // index into kCoordinates
  Shape out;
};

constexpr std::string_view kCoordinates[] = {"unnormalized", "normalized_minus_one_to_one", "normalized_zero_to_one"};
constexpr std::string_view kPaddings[] = {"constant", "border", "reflection", "symmetric"};
constexpr std::string_view kSamplings[] = {"bilinear", "nearest"};

template <class Context>
Result<ResamplePlan> resample_plan(const Context& c, const DimTable& dims) {
  TRY_DO(expect_rank(c, "x", 4, 4));
  TRY_DO(expect_rank(c, "coordinates", 4, 4));
  const Shape x = shape_of_input(c, "x"), points = shape_of_input(c, "coordinates");
  if (!compatible(dims, x[0], points[0]) || !compatible(dims, points[3], 2))
    return c.error(fmt::format("coordinates {} do not go with x {}", describe(dims, points), describe(dims, x)));
  ResamplePlan plan;
  TRY(const size_t padding, choice(c, "padding_mode", kPaddings));
  TRY(const size_t sampling, choice(c, "sampling_mode", kSamplings));
  TRY(plan.coordinates, choice(c, "coordinates_mode", kCoordinates));
  plan.reader = {static_cast<Padding>(padding), sampling == 1};
  plan.out = {x[0], x[1], points[1], points[2]};
  return plan;
}

// From the coordinate system of the op to pixels.
double to_pixels(size_t mode, bool align_corners, double v, int64_t size) {
  const auto n = static_cast<double>(size);
  if (mode == 0) return v;
  if (mode == 1) v = (v + 1) / 2;
  return align_corners ? v * (n - 1) : v * n - 0.5;
}

Types infer_resample(InferContext& c) {
  TRY(ResamplePlan plan, resample_plan(c, c.dims));
  return one({c.dtype("x"), std::move(plan.out)});
}

Status eval_resample(EvalContext& c) {
  TRY(const ResamplePlan plan, resample_plan(c, DimTable()));
  const Tensor x = c.tensor("x").cast(DType::F32), points = c.tensor("coordinates").cast(DType::F32);
  if (x.dim(2) == 0 || x.dim(3) == 0) return c.error("x is empty");
  const bool align = c.boolean("align_corners");
  const auto padding = static_cast<float>(c.number("padding_value"));
  Tensor out = Tensor::make(DType::F32, sizes(plan.out));
  const int64_t plane = out.dim(2) * out.dim(3), channels = x.dim(1), height = x.dim(2), width = x.dim(3);
  for (int64_t b = 0; b < x.dim(0); ++b)
    for (int64_t i = 0; i < plane; ++i) {
      const float* p = points.data<float>() + (b * plane + i) * 2;
      const Corner cx = corner(plan.reader, to_pixels(plan.coordinates, align, static_cast<double>(p[0]), width), width);
      const Corner cy = corner(plan.reader, to_pixels(plan.coordinates, align, static_cast<double>(p[1]), height), height);
      sample(x.data<float>() + b * channels * height * width, channels, height, width, cy, cx, padding,
             out.mutable_data<float>() + b * channels * plane + i, plane);
    }
  c.set_output(0, out.cast(c.tensor("x").dtype));
  return {};
}

template <class Context>
Result<Shape> affine_shape(const Context& c, const DimTable& dims) {
  TRY_DO(expect_rank(c, "x", 4, 4));
  TRY_DO(expect_rank(c, "transform_matrix", 2, 2));
  const Shape x = shape_of_input(c, "x"), matrix = shape_of_input(c, "transform_matrix");
  if (!compatible(dims, matrix[1], 6) || (!compatible(dims, matrix[0], 1) && !compatible(dims, matrix[0], x[0])))
    return c.error(fmt::format("transform_matrix {} does not go with x {}", describe(dims, matrix), describe(dims, x)));
  TRY(const size_t padding, choice(c, "padding_mode", kPaddings));
  TRY(const size_t sampling, choice(c, "sampling_mode", kSamplings));
  TRY(const size_t coordinates, choice(c, "coordinates_mode", kCoordinates));
  if (padding != 0 || sampling != 0 || coordinates != 1 || !c.boolean("align_corners") ||
      (is_known(c, "padding_value") && c.number("padding_value") != 0))
    return c.error("only bilinear sampling with padding by 0, coordinates from -1 to 1 and aligned corners is defined");
  for (std::string_view size : {"output_height", "output_width"})
    if (!is_known(c, size) || c.integer(size) < 1) return c.error(fmt::format("'{}' must be a positive constant", size));
  return Shape{x[0], x[1], c.integer("output_height"), c.integer("output_width")};
}

Types infer_affine(InferContext& c) {
  TRY(Shape shape, affine_shape(c, c.dims));
  return one({c.dtype("x"), std::move(shape)});
}

// Output point (x, y) in [-1, 1] reads the input at (a0 x + a1 y + a2, b0 x + b1 y + b2).
Status eval_affine(EvalContext& c) {
  TRY(const Shape shape, affine_shape(c, DimTable()));
  const Tensor x = c.tensor("x").cast(DType::F32), matrix = c.tensor("transform_matrix").cast(DType::F32);
  if (x.dim(2) == 0 || x.dim(3) == 0) return c.error("x is empty");
  Tensor out = Tensor::make(DType::F32, sizes(shape));
  const int64_t channels = x.dim(1), height = x.dim(2), width = x.dim(3), rows = out.dim(2), columns = out.dim(3);
  const auto grid = [](int64_t i, int64_t n) {
    return n > 1 ? 2 * static_cast<double>(i) / static_cast<double>(n - 1) - 1 : 0.0;
  };
  for (int64_t b = 0; b < x.dim(0); ++b) {
    const float* m = matrix.data<float>() + (matrix.dim(0) == 1 ? 0 : b * 6);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        const double gx = grid(j, columns), gy = grid(i, rows);
        const Corner cx = corner({}, to_pixels(1, true, double{m[0]} * gx + double{m[1]} * gy + double{m[2]}, width), width);
        const Corner cy =
            corner({}, to_pixels(1, true, double{m[3]} * gx + double{m[4]} * gy + double{m[5]}, height), height);
        sample(x.data<float>() + b * channels * height * width, channels, height, width, cy, cx, 0,
               out.mutable_data<float>() + (b * channels * rows + i) * columns + j, rows * columns);
      }
  }
  c.set_output(0, out.cast(c.tensor("x").dtype));
  return {};
}

constexpr DTypes kPoints = one_of({DType::I32, DType::F32});
constexpr DTypes kPoints16 = kPoints | one_of({DType::F16}), kPoints17 = kPoints16 | kSmallInts;

constexpr std::array<Input, 7> resample_inputs(DTypes coordinates) {
  return {value("x", kFloats),
          value("coordinates", coordinates, 'U'),
          constant("sampling_mode", kStrings),
          constant("padding_mode", kStrings),
          constant("padding_value", kFloats, 'T'),
          constant("coordinates_mode", kStrings),
          constant("align_corners", kBools)};
}
constexpr auto kResample = resample_inputs(kPoints), kResample16 = resample_inputs(kPoints16),
               kResample17 = resample_inputs(kPoints17);
constexpr Input kAffine[] = {value("x", kFloats),
                             value("transform_matrix", kFloats),
                             constant("output_height", kInt32),
                             constant("output_width", kInt32),
                             constant("sampling_mode", kStrings),
                             constant("padding_mode", kStrings),
                             constant("padding_value", kFloats, 'T'),
                             constant("coordinates_mode", kStrings),
                             constant("align_corners", kBools)};

}  // namespace

const MilOp affine{.name = "affine", .inputs = kAffine, .infer = infer_affine, .eval = eval_affine};
const MilOp resample{.name = "resample", .inputs = kResample, .infer = infer_resample, .eval = eval_resample};
const MilOp resample_ios16{
    .name = "resample", .since = Target::iOS16, .inputs = kResample16, .infer = infer_resample, .eval = eval_resample};
const MilOp resample_ios17{
    .name = "resample", .since = Target::iOS17, .inputs = kResample17, .infer = infer_resample, .eval = eval_resample};

}  // namespace cortland::mil_ops
