#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "mil_ops/arguments.h"
#include "mil_ops/elementwise.h"
#include "mil_ops/ops.h"

namespace cortland::mil_ops {

using namespace mil;

namespace {

// From iOS17 on the number of boxes comes last, and neither a score threshold nor a count is left.
bool boxes_last(const MilOp& def) { return def.since >= Target::iOS17; }

template <class Context>
Result<int64_t> box_limit(const Context& c) {
  const int64_t most = c.integer("max_boxes");
  if (most < 0 || most > 1 << 24) return c.error(fmt::format("max_boxes {} is out of bounds", most));
  return most;
}

Types infer_nms(InferContext& c) {
  TRY_DO(expect_rank(c, "boxes", 3, 3));
  TRY_DO(expect_rank(c, "scores", 3, 3));
  const Shape &boxes = c.shape("boxes"), &scores = c.shape("scores");
  const bool last = boxes_last(c.def);
  const size_t count = last ? 2 : 1, feature = last ? 1 : 2;
  if (!may_equal(boxes[0], scores[0]) || !may_equal(boxes[count], scores[count]) || !may_equal(boxes[feature], Dim(4)))
    return c.error(fmt::format("boxes {} and scores {} do not fit", describe(c.dims, boxes), describe(c.dims, scores)));
  TRY(const int64_t most, box_limit(c));
  Shape out_boxes = {scores[0], most, 4}, out_scores = {scores[0], most, scores[feature]};
  if (last) {
    std::swap(out_boxes[1], out_boxes[2]);
    std::swap(out_scores[1], out_scores[2]);
  }
  std::vector<Type> types = {
      {c.dtype("boxes"), out_boxes}, {c.dtype("scores"), out_scores}, {DType::I32, {scores[0], most}}};
  if (!last) types.push_back({DType::I32, {scores[0]}});
  return types;
}

struct Box {
  float left, top, right, bottom, score = 0;
  int64_t label = 0;  // class with the highest score
};

float overlap(const Box& a, const Box& b) {
  const float width = std::min(a.right, b.right) - std::max(a.left, b.left);
  const float height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  if (width <= 0 || height <= 0) return 0;
  const float common = width * height;
  return common / ((a.right - a.left) * (a.bottom - a.top) + (b.right - b.left) * (b.bottom - b.top) - common);
}

struct Rule {
  float iou, score;
  int64_t most;
  bool per_class;
};

// Indices of the boxes kept, best first. When every box is below the threshold, the best one is kept all the same.
std::vector<int64_t> keep(const std::vector<Box>& boxes, const Rule& rule) {
  std::vector<int64_t> order(boxes.size()), kept;
  std::iota(order.begin(), order.end(), 0);
  const auto box = [&](int64_t i) -> const Box& { return boxes[static_cast<size_t>(i)]; };
  const auto key = [](float score) { return score == score ? score : -std::numeric_limits<float>::infinity(); };
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return key(box(a).score) > key(box(b).score); });
  for (int64_t i : order) {
    if (static_cast<int64_t>(kept.size()) == rule.most) break;
    if (!(box(i).score >= rule.score)) continue;
    const bool covered = std::any_of(kept.begin(), kept.end(), [&](int64_t k) {
      return (!rule.per_class || box(k).label == box(i).label) && overlap(box(k), box(i)) > rule.iou;
    });
    if (!covered) kept.push_back(i);
  }
  if (kept.empty() && !order.empty() && rule.most > 0) kept.push_back(order[0]);
  return kept;
}

// A tensor [n, count, features] or [n, features, count], read and written alike.
struct Table {
  int64_t count, features;
  bool count_last;
  size_t at(int64_t batch, int64_t i, int64_t f) const {
    return static_cast<size_t>(batch * count * features + (count_last ? f * count + i : i * features + f));
  }
  Sizes shape(int64_t batches) const {
    return count_last ? Sizes{batches, features, count} : Sizes{batches, count, features};
  }
};

std::vector<Box> read_boxes(const std::vector<float>& boxes, const Table& b, const std::vector<float>& scores,
                            const Table& s, int64_t batch) {
  std::vector<Box> out;
  for (int64_t i = 0; i < b.count; ++i) {
    const auto part = [&](int64_t f) { return boxes[b.at(batch, i, f)]; };
    Box box{part(0) - part(2) / 2, part(1) - part(3) / 2, part(0) + part(2) / 2, part(1) + part(3) / 2};
    for (int64_t f = 0; f < s.features; ++f) {
      const float score = scores[s.at(batch, i, f)];
      if (f > 0 && !(score > box.score)) continue;
      box.score = score;
      box.label = f;
    }
    out.push_back(box);
  }
  return out;
}

Status eval_nms(EvalContext& c) {
  const Tensor &boxes = c.tensor("boxes"), &scores = c.tensor("scores");
  const bool last = boxes_last(c.def);
  const int64_t count_axis = last ? 2 : 1, feature_axis = last ? 1 : 2;
  if (boxes.rank() != 3 || scores.rank() != 3 || boxes.dim(feature_axis) != 4 || boxes.dim(0) != scores.dim(0) ||
      boxes.dim(count_axis) != scores.dim(count_axis))
    return c.error("boxes and scores do not fit");
  TRY(const int64_t most, box_limit(c));
  const int64_t batches = boxes.dim(0), classes = scores.dim(feature_axis);
  const Rule rule{static_cast<float>(c.number("iou_threshold")),
                  last ? -std::numeric_limits<float>::infinity() : static_cast<float>(c.number("score_threshold")), most,
                  c.boolean("per_class_suppression")};
  const Table in_box{boxes.dim(count_axis), 4, last}, in_score{in_box.count, classes, last}, out_box{most, 4, last},
      out_score{most, classes, last};
  TRY_DO(check_sizes(c, {batches, most, classes + 4}));
  const std::vector<float> box_values = boxes.floats(), score_values = scores.floats();
  std::vector<float> kept_boxes(static_cast<size_t>(batches * most * 4), 0),
      kept_scores(static_cast<size_t>(batches * most * classes), 0);
  std::vector<int64_t> indices(static_cast<size_t>(batches * most), -1), counts;
  for (int64_t n = 0; n < batches; ++n) {
    const std::vector<int64_t> kept = keep(read_boxes(box_values, in_box, score_values, in_score, n), rule);
    for (size_t k = 0; k < kept.size(); ++k) {
      const auto to = static_cast<int64_t>(k);
      indices[static_cast<size_t>(n * most + to)] = kept[k];
      for (int64_t f = 0; f < 4; ++f) kept_boxes[out_box.at(n, to, f)] = box_values[in_box.at(n, kept[k], f)];
      for (int64_t f = 0; f < classes; ++f) kept_scores[out_score.at(n, to, f)] = score_values[in_score.at(n, kept[k], f)];
    }
    counts.push_back(static_cast<int64_t>(kept.size()));
  }
  c.set_output(0, Tensor::from(boxes.dtype, out_box.shape(batches), kept_boxes));
  c.set_output(1, Tensor::from(scores.dtype, out_score.shape(batches), kept_scores));
  c.set_output(2, Tensor::from(DType::I32, {batches, most}, indices));
  if (!last) c.set_output(3, Tensor::from(DType::I32, {batches}, counts));
  return {};
}

constexpr Input kNms[] = {value("boxes", kFloats),
                          value("scores", kFloats),
                          constant("iou_threshold", kFloats, 'T'),
                          constant("score_threshold", kFloats, 'T'),
                          constant("max_boxes", kInt32),
                          option("per_class_suppression", kBools, false)};
constexpr Input kNmsIos17[] = {value("boxes", kFloats), value("scores", kFloats), constant("iou_threshold", kFloats, 'T'),
                               constant("max_boxes", kInt32), option("per_class_suppression", kBools, false)};

}  // namespace

const MilOp non_maximum_suppression{.name = "non_maximum_suppression", .inputs = kNms, .infer = infer_nms, .eval = eval_nms};
const MilOp non_maximum_suppression_ios17{
    .name = "non_maximum_suppression", .since = Target::iOS17, .inputs = kNmsIos17, .infer = infer_nms, .eval = eval_nms};

}  // namespace cortland::mil_ops
