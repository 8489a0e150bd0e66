// Expected numbers are PyTorch's.
#include <gtest/gtest.h>

#include "mil_ops/op_test.h"

namespace cortland::mil_ops {
namespace {

using namespace test;

Tensor wave(std::vector<int64_t> shape, int shift = 0, DType dtype = DType::F32) {
  std::vector<float> v(static_cast<size_t>(Tensor{DType::F32, shape, nullptr}.elements()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>((static_cast<int>(i) * 37 + 11 + shift) % 23 - 11) / 8;
  return Tensor::from(dtype, std::move(shape), v);
}

TEST(Normalization, BatchNorm) {
  const std::vector<float> expected = {-0.5303288f, -1.723568f, 0.1325822f, -0.9999599f, -7.99982f, -3.49991f};
  expect_near(run(batch_norm, {{"x", wave({1, 2, 3})},
                               {"mean", f32({2}, {0.5f, -1})},
                               {"variance", f32({2}, {2, 0.25f})},
                               {"gamma", f32({2}, {1.5f, -2})},
                               {"beta", f32({2}, {0, 1})}}),
              expected);
  // Parameters keep their own type from iOS17 on.
  expect_near(run(batch_norm_ios17, {{"x", wave({1, 2, 3}, 0, DType::F16)},
                                     {"mean", f32({2}, {0.5f, -1})},
                                     {"variance", f32({2}, {2, 0.25f})},
                                     {"gamma", f32({2}, {1.5f, -2})},
                                     {"beta", f32({2}, {0, 1})}}),
              expected, 1e-3);
  EXPECT_TRUE(refuses(batch_norm, {{"x", wave({1, 2, 3})}, {"mean", f32({3}, {0, 0, 0})}, {"variance", f32({2}, {1, 1})}}));
  EXPECT_TRUE(refuses(batch_norm, {{"x", wave({1, 2})}, {"mean", f32({2}, {0, 0})}, {"variance", f32({2}, {1, 1})}}));
}

TEST(Normalization, InstanceNorm) {
  expect_near(run(instance_norm, {{"x", wave({2, 2, 3})}, {"gamma", f32({2}, {1.5f, -2})}, {"beta", f32({2}, {0, 1})}}),
              {0.3452579f, -1.985233f, 1.639975f, 3.186633f, -1.646977f, 1.460344f, -1.639975f, 1.985233f, -0.3452579f,
               -1.449475f, 1, 3.449475f});
}

TEST(Normalization, LayerNormOverTrailingAxes) {
  const std::vector<float> expected = {0.8338543f, 0.7272115f,  -0.5417986f, 0.375f, -2.508981f, 1.051432f,
                                       0.2802668f, -0.7810118f, -1.893874f,  0.375f, -1.050401f, 0.347614f};
  for (const auto& axes : {ints({1, 2}), ints({-1, -2})})
    expect_near(
        run(layer_norm, {{"x", wave({2, 3, 2})}, {"axes", axes}, {"gamma", wave({3, 2}, 4)}, {"beta", wave({3, 2}, 7)}}),
        expected);
}

TEST(Normalization, LayerNormOverOuterAxes) {
  expect_near(run(layer_norm, {{"x", wave({2, 3, 2})}, {"axes", ints({0, 2})}, {"gamma", f32({2, 2}, {1, 2, 3, 4})}}),
              {0.4479508f, -2.03614f, 0.4479508f, -2.03614f, 1.411761f, -0.1660895f, -2.565536f, 5.701192f, -2.565536f,
               5.701192f, 0.2491342f, -5.647043f});
}

TEST(Normalization, LayerNormOfLargeValues) {
  // float32 sums of these squares would lose the variance: the values are 1e4 +- 1.
  expect_near(run(layer_norm, {{"x", f32({4}, {9999, 10001, 9999, 10001})}}),
              {-0.999995f, 0.999995f, -0.999995f, 0.999995f});
  EXPECT_TRUE(refuses(layer_norm, {{"x", wave({2, 3})}, {"axes", ints({2})}}));
  EXPECT_TRUE(refuses(layer_norm, {{"x", wave({2, 3})}, {"axes", ints({1})}, {"gamma", f32({2}, {1, 1})}}));
}

TEST(Normalization, L2Norm) {
  expect_near(run(l2_norm, {{"x", wave({1, 2, 2, 3})}}),
              {0, -0.4000988f, 0.2222771f, -0.1778217f, 0.4445542f, 0.04445542f, -0.3556434f, 0.2667325f, -0.1333663f,
               0.4890096f, 0.08891084f, -0.3111879f});
  EXPECT_TRUE(refuses(l2_norm, {{"x", wave({2, 3})}}));
}

TEST(Normalization, LocalResponseNorm) {
  const auto with_size = [](int size) {
    return run(local_response_norm, {{"x", wave({1, 5, 2})}, {"size", size}, {"alpha", 0.5f}, {"beta", 0.75f}, {"k", 2.0f}});
  };
  expect_near(with_size(3), {0, -0.6118414f, 0.3318867f, -0.271694f, 0.6301943f, 0.07069702f, -0.5105711f, 0.3875712f,
                             -0.2082968f, 0.7111231f});
  expect_near(with_size(4), {0, -0.6250299f, 0.3408729f, -0.2776054f, 0.6545863f, 0.0677768f, -0.5207737f, 0.3964342f,
                             -0.1983413f, 0.7341623f});
  EXPECT_TRUE(refuses(local_response_norm, {{"x", wave({1, 5, 2})}, {"size", 0}}));
}

}  // namespace
}  // namespace cortland::mil_ops
