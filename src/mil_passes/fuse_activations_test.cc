#include "mil_passes/pass_test.h"

#include <cmath>

namespace cortland::mil_passes {
namespace {

TEST_F(PassTest, GeluByErf) {
  const Operand x = input({4});
  const Operand erf = op("erf", {{"x", op("real_div", {{"x", x}, {"y", number(std::sqrt(2.0f))}})}});
  output(op("mul", {{"x", op("mul", {{"x", x}, {"y", op("add", {{"x", erf}, {"y", number(1)}})}})}, {"y", number(0.5f)}}));
  run("common::fuse_gelu_exact");
  EXPECT_EQ(before, R"(
tensor<fp16, [4]> real_div_1 = real_div(x = x, y = fp16(1.4140625))
tensor<fp16, [4]> erf_2 = erf(x = real_div_1)
tensor<fp16, [4]> add_3 = add(x = erf_2, y = fp16(1))
tensor<fp16, [4]> mul_4 = mul(x = x, y = add_3)
tensor<fp16, [4]> y0 = mul(x = mul_4, y = fp16(0.5))
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [4]> y0 = gelu(x = x, mode = string("EXACT"))
)");
}

TEST_F(PassTest, GeluByTanh) {
  const Operand x = input({4});
  Operand t = op("mul", {{"x", op("pow", {{"x", x}, {"y", number(3)}})}, {"y", number(0.044715f)}});
  t = op("mul", {{"x", op("add", {{"x", x}, {"y", t}})}, {"y", number(0.7978846f)}});
  t = op("add", {{"x", op("tanh", {{"x", t}})}, {"y", number(1)}});
  output(op("mul", {{"x", op("mul", {{"x", x}, {"y", number(0.5f)}})}, {"y", t}}));
  run("common::fuse_gelu_tanh_approximation");
  EXPECT_EQ(before, R"(
tensor<fp16, [4]> pow_1 = pow(x = x, y = fp16(3))
tensor<fp16, [4]> mul_2 = mul(x = pow_1, y = fp16(0.044708252))
tensor<fp16, [4]> add_3 = add(x = x, y = mul_2)
tensor<fp16, [4]> mul_4 = mul(x = add_3, y = fp16(0.79785156))
tensor<fp16, [4]> tanh_5 = tanh(x = mul_4)
tensor<fp16, [4]> add_6 = add(x = tanh_5, y = fp16(1))
tensor<fp16, [4]> mul_7 = mul(x = x, y = fp16(0.5))
tensor<fp16, [4]> y0 = mul(x = mul_7, y = add_6)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [4]> y0 = gelu(x = x, mode = string("TANH_APPROXIMATION"))
)");
}

TEST_F(PassTest, WhatOthersReadIsNoPartOfAGelu) {
  const Operand x = input({4});
  const Operand erf = op("erf", {{"x", op("mul", {{"x", x}, {"y", number(0.70710678f)}})}});
  output(op("mul", {{"x", op("mul", {{"x", x}, {"y", op("add", {{"x", erf}, {"y", number(1)}})}})}, {"y", number(0.5f)}}));
  output(op("relu", {{"x", erf}}));
  run("common::fuse_gelu_exact");
  EXPECT_EQ(before, after);
}

TEST_F(PassTest, Silu) {
  const Operand x = input({4});
  output(op("mul", {{"x", op("sigmoid", {{"x", x}})}, {"y", x}}));
  run("mil_backend::fuse_activation_silu");
  EXPECT_EQ(before, R"(
tensor<fp16, [4]> sigmoid_1 = sigmoid(x = x)
tensor<fp16, [4]> y0 = mul(x = sigmoid_1, y = x)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [4]> y0 = silu(x = x)
)");
}

TEST_F(PassTest, Hardswish) {
  const Operand x = input({4});
  const Operand gate = op("relu6", {{"x", op("add", {{"x", x}, {"y", number(3)}})}});
  output(op("real_div", {{"x", op("mul", {{"x", x}, {"y", gate}})}, {"y", number(6)}}));
  run("common::fuse_hardswish");
  EXPECT_EQ(before, R"(
tensor<fp16, [4]> add_1 = add(x = x, y = fp16(3))
tensor<fp16, [4]> relu6_2 = relu6(x = add_1)
tensor<fp16, [4]> mul_3 = mul(x = x, y = relu6_2)
tensor<fp16, [4]> y0 = real_div(x = mul_3, y = fp16(6))
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [4]> sigmoid_hard_4 = sigmoid_hard(x = x, alpha = fp16(0.16662598), beta = fp16(0.5))
tensor<fp16, [4]> y0 = mul(x = x, y = sigmoid_hard_4)
)");
}

TEST_F(PassTest, LeakyRelu) {
  const Operand x = input({4});
  output(op("maximum", {{"x", op("mul", {{"x", x}, {"y", number(0.125f)}})}, {"y", x}}));
  run("common::fuse_leaky_relu");
  EXPECT_EQ(before, R"(
tensor<fp16, [4]> mul_1 = mul(x = x, y = fp16(0.125))
tensor<fp16, [4]> y0 = maximum(x = mul_1, y = x)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [4]> y0 = leaky_relu(x = x, alpha = fp16(0.125))
)");
}

TEST_F(PassTest, ReluAfterRelu) {
  output(op("relu", {{"x", op("relu6", {{"x", input({4})}})}}));
  run("common::merge_consecutive_relus");
  EXPECT_EQ(before, R"(
tensor<fp16, [4]> relu6_1 = relu6(x = x)
tensor<fp16, [4]> y0 = relu(x = relu6_1)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [4]> y0 = relu6(x = x)
)");
}

}  // namespace
}  // namespace cortland::mil_passes
