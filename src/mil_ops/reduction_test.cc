#include <limits>

#include "mil_ops/op_test.h"

namespace cortland::mil_ops {
namespace {

using namespace test;
using Shape64 = std::vector<int64_t>;

constexpr float kInf = std::numeric_limits<float>::infinity();
const float kNan = std::nanf("");

Tensor reduce(const mil::MilOp& op, const Tensor& x, std::vector<int64_t> axes, bool keep_dims = false) {
  return run(op, {{"x", x}, {"axes", ints(axes)}, {"keep_dims", keep_dims}});
}

TEST(Reduction, AxesAndShapes) {
  const Tensor x = iota(DType::F32, {2, 3, 4});
  EXPECT_EQ(run(reduce_sum, {{"x", x}}).rank(), 0);
  expect_near(run(reduce_sum, {{"x", x}}), {276});
  EXPECT_EQ(run(reduce_sum, {{"x", x}, {"keep_dims", true}}).shape, (Shape64{1, 1, 1}));
  expect_near(reduce(reduce_sum, x, {0}), {12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34});
  expect_near(reduce(reduce_sum, x, {1}), {12, 15, 18, 21, 48, 51, 54, 57});
  const Tensor last = reduce(reduce_sum, x, {-1}, true);
  EXPECT_EQ(last.shape, (Shape64{2, 3, 1}));
  expect_near(last, {6, 22, 38, 54, 70, 86});
  expect_near(reduce(reduce_sum, x, {2, 0}), {60, 92, 124});
  expect_near(reduce(reduce_sum, x, {}), floats(x));  // no axes: nothing is reduced
  EXPECT_TRUE(refuses(reduce_sum, {{"x", x}, {"axes", ints({3})}}));
  EXPECT_TRUE(refuses(reduce_sum, {{"x", x}, {"axes", ints({0, -3})}}));
  EXPECT_EQ(run(reduce_max, {{"x", f32({}, {3})}}).rank(), 0);
}

TEST(Reduction, KindsMatchTorch) {
  const Tensor x = f32({2, 3}, {1, -2, 3, 0.5f, 4, -1});
  const std::pair<const mil::MilOp*, std::vector<float>> cases[] = {{&reduce_max, {3, 4}},
                                                                    {&reduce_min, {-2, -1}},
                                                                    {&reduce_mean, {0.6666667f, 1.1666666f}},
                                                                    {&reduce_prod, {-6, -2}},
                                                                    {&reduce_l1_norm, {6, 5.5f}},
                                                                    {&reduce_l2_norm, {3.7416575f, 4.1533117f}},
                                                                    {&reduce_log_sum, {0.6931472f, 1.252763f}},
                                                                    {&reduce_sum_square, {14, 17.25f}},
                                                                    {&reduce_log_sum_exp, {3.1328452f, 4.0362697f}}};
  for (const auto& [op, expected] : cases) {
    SCOPED_TRACE(op->name);
    expect_near(reduce(*op, x, {1}), expected);
  }
}

TEST(Reduction, SumsInDouble) {
  // A float sum would stop at 2^24, a half result rounds once at the end.
  std::vector<float> ones(1 << 20, 1);
  ones[0] = 16777216;
  expect_near(run(reduce_sum, {{"x", f32({1 << 20}, ones)}}), {17825792.0f}, 1e-7);
  EXPECT_EQ(floats(run(reduce_mean, {{"x", f16({4096}, std::vector<float>(4096, 3))}})), (std::vector<float>{3}));
  EXPECT_EQ(floats(run(reduce_sum, {{"x", f16({2}, {60000, 60000})}})), (std::vector<float>{kInf}));
}

TEST(Reduction, IntegersAreExact) {
  EXPECT_EQ(integers(run(reduce_sum, {{"x", ints({INT32_MAX, 1, 5})}})), (std::vector<int64_t>{INT32_MIN + 5}));
  EXPECT_EQ(integers(run(reduce_prod, {{"x", ints({65536, 65537, 1})}})), (std::vector<int64_t>{65536}));
  EXPECT_EQ(integers(run(reduce_mean, {{"x", ints({-1, -2})}})), (std::vector<int64_t>{-1}));
  EXPECT_EQ(integers(run(reduce_max, {{"x", ints({16777216, 16777217})}})), (std::vector<int64_t>{16777217}));
  EXPECT_EQ(integers(run(reduce_l2_norm, {{"x", ints({3, 4})}})), (std::vector<int64_t>{5}));
}

TEST(Reduction, SpecialValues) {
  expect_near(reduce(reduce_max, f32({2, 2}, {kNan, 1, 1, kNan}), {1}), {kNan, kNan});
  expect_near(reduce(reduce_min, f32({2, 2}, {kNan, 1, 1, kNan}), {0}), {kNan, kNan});
  expect_near(run(reduce_log_sum_exp, {{"x", f32({2}, {1000, 1000})}}), {1000.6931f});
  expect_near(run(reduce_log_sum_exp, {{"x", f32({2}, {-kInf, -kInf})}}), {-kInf});
  expect_near(run(reduce_log_sum_exp, {{"x", f32({2}, {kInf, 0})}}), {kInf});
  const Tensor none = f32({2, 0}, {});
  expect_near(reduce(reduce_sum, none, {1}), {0, 0});
  expect_near(reduce(reduce_prod, none, {1}), {1, 1});
  expect_near(reduce(reduce_mean, none, {1}), {kNan, kNan});
  EXPECT_EQ(reduce(reduce_sum, none, {0}).shape, (Shape64{0}));
}

TEST(Reduction, ArgmaxTakesTheFirst) {
  const Tensor x = f32({2, 3}, {1, 5, 5, -1, -7, -7});
  EXPECT_EQ(integers(run(reduce_argmax, {{"x", x}})), (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(integers(run(reduce_argmin, {{"x", x}})), (std::vector<int64_t>{0, 1}));
  const Tensor down = run(reduce_argmax, {{"x", x}, {"axis", 0}, {"keep_dims", true}});
  EXPECT_EQ(down.shape, (Shape64{1, 3}));
  EXPECT_EQ(integers(down), (std::vector<int64_t>{0, 0, 0}));
  EXPECT_EQ(integers(run(reduce_argmin, {{"x", f16({3}, {1, kNan, 0})}})), (std::vector<int64_t>{1}));  // as torch
  EXPECT_EQ(run(reduce_argmax_ios17, {{"x", x}, {"output_dtype", "uint16"}}).dtype, DType::U16);
  EXPECT_TRUE(refuses(reduce_argmax_ios17, {{"x", x}, {"output_dtype", "fp32"}}));
  EXPECT_TRUE(refuses(reduce_argmax, {{"x", f32({2, 0}, {})}}));
}

}  // namespace
}  // namespace cortland::mil_ops
