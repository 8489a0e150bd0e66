// Boxes of an image, resized. Up to iOS16 they come as roi[N, 1, 4 or 5, 1, 1] (5: with the image's index first) and the
// result has an axis for the images; from iOS17 on as boxes[N, 4] with an image each.
#include <algorithm>
#include <array>
#include <cmath>

#include "mil_ops/ops.h"
#include "mil_ops/sampling.h"

namespace cortland::mil_ops {
namespace {

using namespace mil;

constexpr std::string_view kBoxModes[] = {"CORNERS_HEIGHT_FIRST", "CORNERS_WIDTH_FIRST", "CENTER_SIZE_HEIGHT_FIRST",
                                          "CENTER_SIZE_WIDTH_FIRST"};

struct CropPlan {
  Sampling sampling = Sampling::Default;
  bool centers = false, width_first = false;
  bool indexed = false;  // roi holds the image's index
  Shape out;
};

template <class Context>
Status read_modes(const Context& c, CropPlan& plan) {
  TRY_DO(expect_rank(c, "x", 4, 4));
  TRY(plan.sampling, sampling_of(c));
  const std::string mode = c.str("box_coordinate_mode");
  const auto found = std::find(std::begin(kBoxModes), std::end(kBoxModes), mode);
  if (found == std::end(kBoxModes))
    return c.error(fmt::format("box_coordinate_mode '{}' is none of {}", mode, fmt::join(kBoxModes, ", ")));
  plan.centers = mode.starts_with("CENTER");
  plan.width_first = mode.ends_with("WIDTH_FIRST");
  for (std::string_view size : {"target_height", "target_width"})
    if (!is_known(c, size) || c.integer(size) < 1) return c.error(fmt::format("'{}' must be a positive constant", size));
  return {};
}

template <class Context>
Result<CropPlan> roi_plan(const Context& c, const DimTable& dims) {
  CropPlan plan;
  TRY_DO(read_modes(c, plan));
  const Shape x = shape_of_input(c, "x"), roi = shape_of_input(c, "roi");
  const bool fits =
      roi.size() == 5 && compatible(dims, roi[1], 1) && compatible(dims, roi[3], 1) && compatible(dims, roi[4], 1);
  if (!fits || (roi[2] != Dim(4) && roi[2] != Dim(5)))
    return c.error(fmt::format("'roi' has shape {}, expected [N, 1, 4 or 5, 1, 1]", describe(dims, roi)));
  plan.indexed = roi[2] == Dim(5);
  plan.out = {roi[0], plan.indexed ? Dim(1) : x[0], x[1], c.integer("target_height"), c.integer("target_width")};
  return plan;
}

template <class Context>
Result<CropPlan> boxes_plan(const Context& c, const DimTable& dims) {
  CropPlan plan;
  TRY_DO(read_modes(c, plan));
  const Shape x = shape_of_input(c, "x"), boxes = shape_of_input(c, "boxes");
  if (boxes.size() != 2 || !compatible(dims, boxes[1], 4))
    return c.error(fmt::format("'boxes' has shape {}, expected [N, 4]", describe(dims, boxes)));
  if (c.has("box_indices") && !compatible(dims, shape_of_input(c, "box_indices"), {boxes[0]}))
    return c.error(fmt::format("'box_indices' has shape {}, expected [{}]", describe(dims, shape_of_input(c, "box_indices")),
                               dims.str(boxes[0])));
  if (!c.has("box_indices") && boxes[0].is_constant() && x[0].is_constant() && boxes[0].constant() > x[0].constant())
    return c.error(fmt::format("{} boxes of {} images need 'box_indices'", boxes[0].constant(), x[0].constant()));
  plan.out = {boxes[0], x[1], c.integer("target_height"), c.integer("target_width")};
  return plan;
}

// One axis of a box: where its points lie. Points outside the image have low = -1.
std::vector<Tap> box_taps(const EvalContext& c, const CropPlan& plan, double first, double second, int64_t size,
                          int64_t out) {
  const double scale =
      c.number("spatial_scale") * (c.boolean("normalized_coordinates") ? static_cast<double>(size - 1) : 1.0);
  first *= scale;
  second *= scale;
  const double start = plan.centers ? first - second / 2 : first, end = plan.centers ? first + second / 2 : second;
  const double direction = end < start ? -1 : 1;  // a box given the other way round is read that way
  std::vector<Tap> points;
  for (double p : sampling_grid(plan.sampling, std::fabs(end - start) + 1, out)) {
    double at = start + direction * p;
    // Points on the border may have moved off it by rounding.
    const auto last = static_cast<double>(size - 1);
    if (at < 0 && at > -1e-4) at = 0;
    if (at > last && at < last + 1e-4) at = last;
    if (!(at >= 0 && at <= last))
      points.push_back({-1, -1, 0});
    else
      points.push_back(taps({at}, size)[0]);
  }
  return points;
}

// Crops one box out of all channels of an image.
void crop_image(const float* image, int64_t channels, int64_t height, int64_t width, const std::vector<Tap>& rows,
                const std::vector<Tap>& columns, float padding, float* out) {
  for (int64_t ch = 0; ch < channels; ++ch, image += height * width)
    for (const Tap& y : rows)
      for (const Tap& x : columns) {
        if (y.low < 0 || x.low < 0) {
          *out++ = padding;
          continue;
        }
        const float *top = image + y.low * width, *bottom = image + y.high * width;
        const float upper = (1 - x.fraction) * top[x.low] + x.fraction * top[x.high];
        const float lower = (1 - x.fraction) * bottom[x.low] + x.fraction * bottom[x.high];
        *out++ = (1 - y.fraction) * upper + y.fraction * lower;
      }
}

// Crops box `b` (four coordinates) of image `index` to `out`.
Status crop_box(const EvalContext& c, const CropPlan& plan, const Tensor& x, const float* b, double index, float* out) {
  if (!(index >= 0 && index < static_cast<double>(x.dim(0))))
    return c.error(fmt::format("image {} of {} is named", index, x.dim(0)));
  std::array<double, 4> box;
  std::copy_n(b, 4, box.begin());
  if (plan.width_first) std::swap(box[0], box[1]), std::swap(box[2], box[3]);
  const int64_t channels = x.dim(1), height = x.dim(2), width = x.dim(3);
  const auto rows = box_taps(c, plan, box[0], box[2], height, c.integer("target_height"));
  const auto columns = box_taps(c, plan, box[1], box[3], width, c.integer("target_width"));
  const auto padding = c.def.slot("pad_value") >= 0 ? static_cast<float>(c.number("pad_value")) : 0.0f;
  crop_image(x.data<float>() + static_cast<int64_t>(index) * channels * height * width, channels, height, width, rows,
             columns, padding, out);
  return {};
}

Types infer_roi(InferContext& c) {
  TRY(CropPlan plan, roi_plan(c, c.dims));
  return one({c.dtype("x"), std::move(plan.out)});
}

Status eval_roi(EvalContext& c) {
  TRY(const CropPlan plan, roi_plan(c, DimTable()));
  const Tensor x = c.tensor("x").cast(DType::F32);
  const auto roi = c.floats("roi");
  Tensor out = Tensor::make(DType::F32, sizes(plan.out));
  const int64_t each = product(out.shape, 2, 5), images = out.dim(1), fields = plan.indexed ? 5 : 4;
  for (int64_t n = 0; n < out.dim(0); ++n)
    for (int64_t i = 0; i < images; ++i) {
      const float* box = roi.data() + n * fields;
      TRY_DO(crop_box(c, plan, x, box + fields - 4, plan.indexed ? static_cast<double>(box[0]) : static_cast<double>(i),
                      out.mutable_data<float>() + (n * images + i) * each));
    }
  c.set_output(0, out.cast(c.tensor("x").dtype));
  return {};
}

Types infer_boxes(InferContext& c) {
  TRY(CropPlan plan, boxes_plan(c, c.dims));
  if (c.boolean("normalized_coordinates") && !is_float(c.dtype("boxes"))) return c.error("normalised boxes are floats");
  return one({c.dtype("x"), std::move(plan.out)});
}

Status eval_boxes(EvalContext& c) {
  TRY(const CropPlan plan, boxes_plan(c, DimTable()));
  const Tensor x = c.tensor("x").cast(DType::F32);
  const auto boxes = c.floats("boxes");
  const auto indices = c.has("box_indices") ? c.ints("box_indices") : std::vector<int64_t>();
  Tensor out = Tensor::make(DType::F32, sizes(plan.out));
  const int64_t each = product(out.shape, 1, 4);
  for (int64_t n = 0; n < out.dim(0); ++n)
    TRY_DO(crop_box(c, plan, x, boxes.data() + n * 4,
                    static_cast<double>(indices.empty() ? n : indices[static_cast<size_t>(n)]),
                    out.mutable_data<float>() + n * each));
  c.set_output(0, out.cast(c.tensor("x").dtype));
  return {};
}

constexpr Input kRoi[] = {value("x", kFloats),
                          value("roi", kFloats),
                          option("target_height", kInt32, 1),
                          option("target_width", kInt32, 1),
                          option("normalized_coordinates", kBools, false),
                          option("spatial_scale", kFp32, 1.0),
                          option("box_coordinate_mode", kStrings, "CORNERS_HEIGHT_FIRST"),
                          option("sampling_mode", kStrings, "DEFAULT"),
                          option("pad_value", kFloats, 0.0, 'T')};
constexpr Input kBoxes[] = {value("x", kFloats),
                            value("boxes", kFloats | one_of({DType::U16}), 'B'),
                            optional_value("box_indices", one_of({DType::U16, DType::I32}), 'I'),
                            option("target_height", kInt32, 1),
                            option("target_width", kInt32, 1),
                            option("normalized_coordinates", kBools, false),
                            option("spatial_scale", kFp32, 1.0),
                            option("box_coordinate_mode", kStrings, "CORNERS_HEIGHT_FIRST"),
                            option("sampling_mode", kStrings, "DEFAULT"),
                            option("pad_value", kFloats, 0.0, 'T')};

}  // namespace

const MilOp crop_resize{.name = "crop_resize", .inputs = std::span(kRoi).first(8), .infer = infer_roi, .eval = eval_roi};
const MilOp crop_resize_ios16{
    .name = "crop_resize", .since = Target::iOS16, .inputs = kRoi, .infer = infer_roi, .eval = eval_roi};
const MilOp crop_resize_ios17{
    .name = "crop_resize", .since = Target::iOS17, .inputs = kBoxes, .infer = infer_boxes, .eval = eval_boxes};

}  // namespace cortland::mil_ops
