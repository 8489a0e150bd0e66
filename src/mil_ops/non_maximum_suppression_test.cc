#include "mil_ops/op_test.h"

namespace cortland::mil_ops {
namespace {

using namespace test;
using Shape64 = std::vector<int64_t>;

// Boxes as centre, width, height: 0 and 1 overlap by IoU 1/3 (8 of 24), 2 is apart, 3 equals 2.
const Tensor kBoxes = f32({1, 4, 4}, {2, 2, 4, 4, 4, 2, 4, 4, 20, 20, 2, 2, 20, 20, 2, 2});

std::vector<Arg> arguments(const Tensor& scores, float iou, float score, bool per_class = false) {
  return {{"boxes", kBoxes},          {"scores", scores}, {"iou_threshold", iou},
          {"score_threshold", score}, {"max_boxes", 4},   {"per_class_suppression", per_class}};
}

TEST(NonMaximumSuppression, KeepsTheBestOfOverlappingBoxes) {
  const Tensor scores = f32({1, 4, 1}, {0.6f, 0.9f, 0.5f, 0.7f});
  const auto out = run_all(non_maximum_suppression, arguments(scores, 0.3f, 0));
  EXPECT_EQ(integers(out[2]), (std::vector<int64_t>{1, 3, -1, -1}));
  EXPECT_EQ(integers(out[3]), (std::vector<int64_t>{2}));
  EXPECT_EQ(floats(out[1]), (std::vector<float>{0.9f, 0.7f, 0, 0}));
  EXPECT_EQ(floats(out[0]), (std::vector<float>{4, 2, 4, 4, 20, 20, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(integers(run_all(non_maximum_suppression, arguments(scores, 0.4f, 0))[2]), (std::vector<int64_t>{1, 3, 0, -1}));
  EXPECT_EQ(integers(run_all(non_maximum_suppression, arguments(scores, 0.4f, 0.65f))[2]),
            (std::vector<int64_t>{1, 3, -1, -1}));
  // Nothing reaches the threshold: the best box is given all the same.
  EXPECT_EQ(integers(run_all(non_maximum_suppression, arguments(scores, 0.4f, 2))[2]),
            (std::vector<int64_t>{1, -1, -1, -1}));
}

TEST(NonMaximumSuppression, PerClass) {
  const Tensor scores = f32({1, 4, 2}, {0.6f, 0, 0, 0.9f, 0.5f, 0.1f, 0.7f, 0});
  EXPECT_EQ(integers(run_all(non_maximum_suppression, arguments(scores, 0.3f, 0, true))[2]),
            (std::vector<int64_t>{1, 3, 0, -1}));
  EXPECT_EQ(integers(run_all(non_maximum_suppression, arguments(scores, 0.3f, 0, false))[2]),
            (std::vector<int64_t>{1, 3, -1, -1}));
}

TEST(NonMaximumSuppression, BoxesComeLastSinceIos17) {
  const Tensor boxes = run(transpose, {{"x", kBoxes}, {"perm", ints({0, 2, 1})}});
  const auto out = run_all(
      non_maximum_suppression_ios17,
      {{"boxes", boxes}, {"scores", f32({1, 1, 4}, {0.6f, 0.9f, 0.5f, 0.7f})}, {"iou_threshold", 0.3f}, {"max_boxes", 3}});
  ASSERT_EQ(out.size(), 3u);
  EXPECT_EQ(out[0].shape, (Shape64{1, 4, 3}));
  EXPECT_EQ(floats(out[0]), (std::vector<float>{4, 20, 0, 2, 20, 0, 4, 2, 0, 4, 2, 0}));
  EXPECT_EQ(floats(out[1]), (std::vector<float>{0.9f, 0.7f, 0}));
  EXPECT_EQ(integers(out[2]), (std::vector<int64_t>{1, 3, -1}));
}

TEST(NonMaximumSuppression, RefusesShapesThatDoNotFit) {
  EXPECT_TRUE(refuses(non_maximum_suppression, arguments(f32({1, 3, 1}, {1, 2, 3}), 0.3f, 0)));
  EXPECT_TRUE(refuses(non_maximum_suppression, arguments(f32({4, 1}, {1, 2, 3, 4}), 0.3f, 0)));
}

}  // namespace
}  // namespace cortland::mil_ops
