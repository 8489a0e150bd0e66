#include <limits>

#include "mil_ops/op_test.h"

namespace cortland::mil_ops {
namespace {

using namespace test;

constexpr float kInf = std::numeric_limits<float>::infinity();
const float kNan = std::nanf("");

Tensor samples() { return f32({5}, {-2.5f, -0.5f, 0, 0.5f, 2.5f}); }

TEST(Activation, FormsWithoutParametersMatchTorch) {
  const std::pair<const mil::MilOp*, std::vector<float>> cases[] = {
      {&relu, {0, 0, 0, 0.5f, 2.5f}},
      {&silu, {-0.18964545f, -0.18877034f, 0, 0.31122968f, 2.3103545f}},
      {&softplus, {0.078889735f, 0.47407699f, 0.69314718f, 0.97407699f, 2.5788898f}},
      {&softsign, {-0.71428573f, -0.33333334f, 0, 0.33333334f, 0.71428573f}},
      {&sigmoid, {0.075858176f, 0.37754068f, 0.5f, 0.62245935f, 0.92414182f}}};
  for (const auto& [op, expected] : cases) {
    SCOPED_TRACE(op->name);
    expect_near(run(*op, {{"x", samples()}}), expected);
  }
  expect_near(run(relu6, {{"x", f32({4}, {-1, 3, 8, kNan})}}), {0, 3, 6, kNan});
  expect_near(run(relu, {{"x", f16({2}, {kNan, kInf})}}), {kNan, kInf});
  expect_near(run(softplus, {{"x", f32({4}, {100, -100, kInf, kNan})}}), {100, 0, kInf, kNan});
  expect_near(run(sigmoid, {{"x", f32({2}, {-200, 200})}}), {0, 1});
}

TEST(Activation, GeluModes) {
  expect_near(run(gelu, {{"x", samples()}}), {-0.015524179f, -0.15426877f, 0, 0.34573123f, 2.4844759f});
  expect_near(run(gelu, {{"x", samples()}, {"mode", "TANH_APPROXIMATION"}}),
              {-0.015084296f, -0.154286f, 0, 0.345714f, 2.4849157f});
  expect_near(run(gelu, {{"x", samples()}, {"mode", "SIGMOID_APPROXIMATION"}}),
              {-0.034986161f, -0.14961156f, 0, 0.35038844f, 2.465014f});
  EXPECT_TRUE(refuses(gelu, {{"x", samples()}, {"mode", "FAST"}}));
}

TEST(Activation, FormsWithParameters) {
  expect_near(run(elu, {{"x", samples()}, {"alpha", 1.5f}}), {-1.3768725f, -0.590204f, 0, 0.5f, 2.5f});
  expect_near(run(leaky_relu, {{"x", samples()}, {"alpha", 0.1f}}), {-0.25f, -0.05f, 0, 0.5f, 2.5f});
  expect_near(run(thresholded_relu, {{"x", samples()}, {"alpha", 0.5f}}), {0, 0, 0, 0.5f, 2.5f});
  const auto both = [](const mil::MilOp& op, float alpha, float beta) {
    return run(op, {{"x", samples()}, {"alpha", alpha}, {"beta", beta}});
  };
  expect_near(both(clamped_relu, 0.5f, 1), {-1.25f, -0.25f, 0, 0.5f, 1});
  expect_near(both(linear_activation, 2, 1), {-4, 0, 1, 2, 6});
  expect_near(both(scaled_tanh, 2, 0.5f), {-1.6965673f, -0.48983734f, 0, 0.48983734f, 1.6965673f});
  expect_near(both(sigmoid_hard, 0.2f, 0.5f), {0, 0.4f, 0.5f, 0.6f, 1});
}

TEST(Activation, ParametersMayHaveTheirOwnTypeSinceIos17) {
  const Tensor x = f16({2}, {-1, 1});
  EXPECT_TRUE(refuses(leaky_relu, {{"x", x}, {"alpha", 0.1f}}));
  expect_near(run(leaky_relu_ios17, {{"x", x}, {"alpha", 0.1f}}), {-0.1f, 1}, 1e-3);
  EXPECT_TRUE(refuses(linear_activation_ios17, {{"x", x}, {"alpha", 0.1f}, {"beta", f16({}, {1})}}));
}

TEST(Activation, ChannelParameters) {
  const Tensor x = f32({1, 2, 3}, {-1, 2, -3, -1, 2, -3});
  expect_near(run(prelu, {{"x", x}, {"alpha", f32({2}, {0.5f, 2})}}), {-0.5f, 2, -1.5f, -2, 2, -6});
  EXPECT_TRUE(refuses(prelu, {{"x", x}, {"alpha", f32({3}, {1, 1, 1})}}));
  EXPECT_TRUE(refuses(prelu, {{"x", f32({2, 2}, {1, 2, 3, 4})}, {"alpha", f32({2}, {1, 1})}}));
  expect_near(run(softplus_parametric, {{"x", x}, {"alpha", f32({2}, {1, 2})}, {"beta", f32({2}, {1, 0})}}),
              {0.31326169f, 2.1269280f, 0.04858735f, 1.3862944f, 1.3862944f, 1.3862944f});
}

TEST(Activation, Softmax) {
  const Tensor x = f32({2, 3}, {1, 2, 3, 4, 0, -4});
  expect_near(run(softmax, {{"x", x}}), {0.090030573f, 0.24472848f, 0.66524094f, 0.98169035f, 0.017980287f, 0.00032932041f});
  expect_near(run(softmax, {{"x", x}, {"axis", 0}}),
              {0.047425874f, 0.88079703f, 0.999089f, 0.95257413f, 0.11920292f, 0.00091105123f});
  expect_near(run(softmax, {{"x", f32({2}, {1000, 1000})}}), {0.5f, 0.5f});
  expect_near(run(softmax, {{"x", f32({3}, {-kInf, 0, 0})}}), {0, 0.5f, 0.5f});
  expect_near(run(softmax, {{"x", f32({2}, {-kInf, -kInf})}}), {kNan, kNan});
  expect_near(run(softmax, {{"x", f32({2}, {kNan, 0})}}), {kNan, kNan});
  EXPECT_EQ(run(softmax, {{"x", f16({0, 2}, {})}}).dtype, DType::F16);
  EXPECT_TRUE(refuses(softmax, {{"x", x}, {"axis", 2}}));
}

}  // namespace
}  // namespace cortland::mil_ops
