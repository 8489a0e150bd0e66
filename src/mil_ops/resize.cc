// Resizing of the last axes to a size or by a factor, and cropping.
#include <algorithm>
#include <cmath>

#include "mil_ops/ops.h"
#include "mil_ops/resizing.h"

namespace cortland::mil_ops {
namespace {

using namespace mil;

template <class Context>
Status check_image(const Context& c) {
  TRY_DO(expect_rank(c, "x", 3, 5));
  return {};
}

// Sizes x height and width are resized to.
template <class Context>
Result<Shape> target_shape(const Context& c) {
  TRY_DO(check_image(c));
  Shape shape = shape_of_input(c, "x");
  for (const auto& [input, back] : {std::pair{"target_size_height", 2}, std::pair{"target_size_width", 1}}) {
    if (!is_known(c, input)) return c.error(fmt::format("'{}' must be a plain constant", input));
    if (c.integer(input) < 1) return c.error(fmt::format("{} is {}", input, c.integer(input)));
    shape[shape.size() - static_cast<size_t>(back)] = c.integer(input);
  }
  return shape;
}

// floor(size * factor), with the product rounded to float32 as coremltools has it.
template <class Context>
Result<Dim> scaled(const Context& c, DimTable& dims, Dim size, std::string_view input) {
  if (!is_known(c, input)) return c.error(fmt::format("'{}' must be a plain constant", input));
  const double factor = c.number(input);
  if (!(factor > 0) || factor > 1e6) return c.error(fmt::format("{} is {}", input, factor));
  if (factor == std::floor(factor)) return dims.mul(size, static_cast<int64_t>(factor));
  if (!size.is_constant()) return dims.unknown();
  const auto out = static_cast<int64_t>(std::floor(static_cast<float>(size.constant()) * static_cast<float>(factor)));
  if (out < 1) return c.error(fmt::format("{} {} leaves nothing of {} elements", input, factor, size.constant()));
  return Dim(out);
}

template <class Context>
Result<Shape> upsampled_shape(const Context& c, DimTable& dims) {
  TRY_DO(check_image(c));
  Shape shape = shape_of_input(c, "x");
  TRY(shape[shape.size() - 2], scaled(c, dims, shape[shape.size() - 2], "scale_factor_height"));
  TRY(shape[shape.size() - 1], scaled(c, dims, shape[shape.size() - 1], "scale_factor_width"));
  return shape;
}

// Axes of x from the last one back are resized to `shape`, with linear interpolation.
Result<Resizing> linear_resizing(const EvalContext& c, const Shape& shape, size_t axes, Sampling mode) {
  const std::vector<int64_t>& x = c.tensor("x").shape;
  if (product(x, 0, x.size()) == 0) return c.error("x is empty");
  Resizing r;
  for (size_t axis = x.size() - axes; axis < x.size(); ++axis)
    r.axes.push_back(taps(sampling_grid(mode, static_cast<double>(x[axis]), shape[axis].constant()), x[axis]));
  return r;
}

// point(i, in, out) says which element becomes element i.
template <class Point>
Result<Resizing> nearest_resizing(const EvalContext& c, const Shape& shape, size_t axes, Point point) {
  const std::vector<int64_t>& x = c.tensor("x").shape;
  if (product(x, 0, x.size()) == 0) return c.error("x is empty");
  Resizing r{.linear = false, .axes = {}};
  for (size_t axis = x.size() - axes; axis < x.size(); ++axis) {
    auto& taps = r.axes.emplace_back();
    for (int64_t p : point(x[axis], shape[axis].constant())) taps.push_back({p, p, 0});
  }
  return r;
}

// Element floor(i * in / out), in exact integers.
std::vector<int64_t> floors(int64_t in, int64_t out) {
  std::vector<int64_t> points(static_cast<size_t>(out));
  for (int64_t i = 0; i < out; ++i) points[static_cast<size_t>(i)] = i * in / out;
  return points;
}

template <auto Read>
Status eval_resizing(EvalContext& c) {
  TRY(const Resizing r, Read(c));
  Tensor y = c.tensor("x");
  const DType dtype = y.dtype;
  if (r.linear) y = y.cast(DType::F32);
  for (size_t i = r.axes.size(); i-- > 0;) {
    const size_t axis = y.shape.size() - r.axes.size() + i;
    y = r.linear ? interpolate(y, axis, r.axes[i]) : take(y, axis, r.axes[i]);
  }
  c.set_output(0, y.cast(dtype));
  return {};
}

Types infer_target(InferContext& c) {
  TRY(Shape shape, target_shape(c));
  return one({c.dtype("x"), std::move(shape)});
}

Types infer_resize_bilinear(InferContext& c) {
  TRY_DO(sampling_of(c));
  return infer_target(c);
}

Types infer_upsample_nearest(InferContext& c) {
  TRY(Shape shape, upsampled_shape(c, c.dims));
  return one({c.dtype("x"), std::move(shape)});
}

template <class Context>
Result<Sampling> upsample_sampling(const Context& c) {
  const bool align = c.boolean("align_corners");
  const bool half =
      c.def.slot("half_pixel_centers") >= 0 && c.has("half_pixel_centers") ? c.boolean("half_pixel_centers") : !align;
  if (align && half) return c.error("align_corners and half_pixel_centers exclude each other");
  return align ? Sampling::StrictAlignCorners : half ? Sampling::UnalignCorners : Sampling::Default;
}

Types infer_upsample_bilinear(InferContext& c) {
  TRY_DO(upsample_sampling(c));
  return infer_upsample_nearest(c);
}

struct ResizeShape {
  Shape out;
  size_t axes = 0;
  bool linear = true;
  Sampling mode = Sampling::Default;
};

template <class Context>
Result<ResizeShape> resize_shape(const Context& c, DimTable& dims) {
  ResizeShape r;
  r.out = shape_of_input(c, "x");
  TRY_DO(expect_rank(c, "shape", 1, 1));
  const Dim given = shape_of_input(c, "shape")[0];
  if (!given.is_constant()) return c.error("the length of 'shape' must be static");
  const int64_t length = given.constant(), axes = c.integer("resized_dims");
  if (length > static_cast<int64_t>(r.out.size()) || axes < 0 || axes > length)
    return c.error(fmt::format("{} resized axes, {} sizes and rank {} do not go together", axes, length, r.out.size()));
  r.axes = static_cast<size_t>(axes);
  const std::string mode = c.str("interpolation_mode");
  if (mode != "LINEAR" && mode != "NEAREST_NEIGHBOR")
    return c.error(fmt::format("interpolation_mode '{}' is neither LINEAR nor NEAREST_NEIGHBOR", mode));
  r.linear = mode == "LINEAR";
  TRY(r.mode, sampling_of(c));
  const bool known = is_known(c, "shape");
  const auto wanted = known ? c.ints("shape") : std::vector<int64_t>();
  for (size_t i = 0; i < r.axes; ++i) {
    Dim& size = r.out[r.out.size() - r.axes + i];
    if (!known) {
      size = dims.unknown();
    } else if (const int64_t v = wanted[wanted.size() - r.axes + i]; v != 0) {  // 0 keeps the size of x
      if (v < 0) return c.error(fmt::format("a size in 'shape' is {}", v));
      size = v;
    }
  }
  return r;
}

Types infer_resize(InferContext& c) {
  TRY(ResizeShape r, resize_shape(c, c.dims));
  return one({c.dtype("x"), std::move(r.out)});
}

}  // namespace

Result<Resizing> read_resize_nearest_neighbor(const EvalContext& c) {
  TRY(const Shape shape, target_shape(c));
  return nearest_resizing(c, shape, 2, floors);
}

Result<Resizing> read_upsample_nearest_neighbor(const EvalContext& c) {
  DimTable dims;
  TRY(const Shape shape, upsampled_shape(c, dims));
  return nearest_resizing(c, shape, 2, floors);
}

Result<Resizing> read_resize_bilinear(const EvalContext& c) {
  TRY(const Shape shape, target_shape(c));
  TRY(const Sampling mode, sampling_of(c));
  return linear_resizing(c, shape, 2, mode);
}

Result<Resizing> read_upsample_bilinear(const EvalContext& c) {
  DimTable dims;
  TRY(const Shape shape, upsampled_shape(c, dims));
  TRY(const Sampling mode, upsample_sampling(c));
  return linear_resizing(c, shape, 2, mode);
}

Result<Resizing> read_resize(const EvalContext& c) {
  DimTable dims;
  TRY(const ResizeShape r, resize_shape(c, dims));
  if (r.linear) return linear_resizing(c, r.out, r.axes, r.mode);
  // The element nearest to each point of the grid; of two, the one before it.
  return nearest_resizing(c, r.out, r.axes, [&](int64_t in, int64_t out) {
    std::vector<int64_t> points;
    for (double p : sampling_grid(r.mode, static_cast<double>(in), out)) points.push_back(static_cast<int64_t>(std::ceil(p - 0.5)));
    return points;
  });
}

namespace {

template <class Context>
Result<Shape> crop_shape(const Context& c, DimTable& dims) {
  TRY_DO(check_image(c));
  Shape shape = shape_of_input(c, "x");
  for (const auto& [input, back] : {std::pair{"crop_height", 2}, std::pair{"crop_width", 1}}) {
    if (!is_known(c, input)) return c.error(fmt::format("'{}' must be a plain constant", input));
    const auto cut = c.ints(input);
    if (cut.size() != 2 || cut[0] < 0 || cut[1] < 0)
      return c.error(fmt::format("'{}' is [{}], expected two sizes", input, fmt::join(cut, ", ")));
    Dim& size = shape[shape.size() - static_cast<size_t>(back)];
    size = dims.sub(size, cut[0] + cut[1]);
    if (dims.range(size).high < 1) return c.error(fmt::format("{} leaves nothing", input));
  }
  return shape;
}

Types infer_crop(InferContext& c) {
  TRY(Shape shape, crop_shape(c, c.dims));
  return one({c.dtype("x"), std::move(shape)});
}

Status eval_crop(EvalContext& c) {
  DimTable dims;
  TRY(const Shape shape, crop_shape(c, dims));
  const Tensor& x = c.tensor("x");
  Tensor& out = c.output(0, sizes(shape), x.dtype);
  const int64_t top = c.ints("crop_height")[0], left = c.ints("crop_width")[0], height = out.dim(-2), width = out.dim(-1);
  const auto bytes = static_cast<size_t>(byte_size(x.dtype, 1));
  for (int64_t row = 0; row < out.elements() / width; ++row) {
    const int64_t from = (row / height * x.dim(-2) + row % height + top) * x.dim(-1) + left;
    std::memcpy(out.mutable_data() + static_cast<size_t>(row * width) * bytes, x.data() + static_cast<size_t>(from) * bytes,
                static_cast<size_t>(width) * bytes);
  }
  return {};
}

constexpr DTypes kFactor = one_of({DType::I32, DType::F32});
constexpr DTypes kSizes = one_of({DType::I32, DType::I16, DType::U16, DType::U32});
constexpr Input kCrop[] = {value("x", kFloats), constant("crop_height", kInt32), constant("crop_width", kInt32)};
constexpr Input kResize[] = {value("x", kNumbers), value("shape", kSizes, 0), constant("resized_dims", one_of({DType::U32})),
                             option("interpolation_mode", kStrings, "LINEAR"), option("sampling_mode", kStrings, "DEFAULT")};
constexpr Input kResizeBilinear[] = {value("x", kFloats), option("target_size_height", kInt32, 1),
                                     option("target_size_width", kInt32, 1), option("sampling_mode", kStrings, "DEFAULT")};
constexpr Input kResizeNearest[] = {value("x", kFloats), constant("target_size_height", kInt32),
                                    constant("target_size_width", kInt32)};
constexpr Input kUpsample[] = {value("x", kFloats), option("scale_factor_height", kFactor, 1, 'U'),
                               option("scale_factor_width", kFactor, 1, 'U'), option("align_corners", kBools, true),
                               option("half_pixel_centers", kBools)};
constexpr auto kUpsampleBilinear = std::span(kUpsample).first(4), kUpsampleNearest = std::span(kUpsample).first(3);

}  // namespace

const MilOp crop{.name = "crop", .inputs = kCrop, .infer = infer_crop, .eval = eval_crop};
const MilOp resize{.name = "resize", .since = Target::iOS17, .inputs = kResize, .infer = infer_resize, .eval = eval_resizing<read_resize>};
const MilOp resize_bilinear{
    .name = "resize_bilinear", .inputs = kResizeBilinear, .infer = infer_resize_bilinear, .eval = eval_resizing<read_resize_bilinear>};
const MilOp resize_nearest_neighbor{
    .name = "resize_nearest_neighbor", .inputs = kResizeNearest, .infer = infer_target, .eval = eval_resizing<read_resize_nearest_neighbor>};
const MilOp upsample_bilinear{.name = "upsample_bilinear",
                              .inputs = kUpsampleBilinear,
                              .infer = infer_upsample_bilinear,
                              .eval = eval_resizing<read_upsample_bilinear>};
const MilOp upsample_bilinear_ios16{.name = "upsample_bilinear",
                                    .since = Target::iOS16,
                                    .inputs = kUpsample,
                                    .infer = infer_upsample_bilinear,
                                    .eval = eval_resizing<read_upsample_bilinear>};
const MilOp upsample_nearest_neighbor{.name = "upsample_nearest_neighbor",
                                      .inputs = kUpsampleNearest,
                                      .infer = infer_upsample_nearest,
                                      .eval = eval_resizing<read_upsample_nearest_neighbor>};

}  // namespace cortland::mil_ops
