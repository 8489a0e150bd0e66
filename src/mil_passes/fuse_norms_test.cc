#include "mil_passes/pass_test.h"

namespace cortland::mil_passes {
namespace {

TEST_F(PassTest, LayerNorm) {
  const Operand x = input({2, 3, 8});
  const Operand mean = op("reduce_mean", {{"x", x}, {"axes", ints({-1})}, {"keep_dims", flag(true)}});
  const Operand d = op("sub", {{"x", x}, {"y", mean}});
  const Operand v = op("reduce_mean", {{"x", op("square", {{"x", d}})}, {"axes", ints({-1})}, {"keep_dims", flag(true)}});
  const Operand s = op("sqrt", {{"x", op("add", {{"x", v}, {"y", number(1e-5f)}})}});
  output(op("real_div", {{"x", d}, {"y", s}}));
  run("common::fuse_layernorm_or_instancenorm");
  EXPECT_EQ(before, R"(
tensor<fp16, [2, 3, 1]> reduce_mean_1 = reduce_mean(x = x, axes = tensor<int32, [1]>([-1]), keep_dims = bool(true))
tensor<fp16, [2, 3, 8]> sub_2 = sub(x = x, y = reduce_mean_1)
tensor<fp16, [2, 3, 8]> square_3 = square(x = sub_2)
tensor<fp16, [2, 3, 1]> reduce_mean_4 = reduce_mean(x = square_3, axes = tensor<int32, [1]>([-1]), keep_dims = bool(true))
tensor<fp16, [2, 3, 1]> add_5 = add(x = reduce_mean_4, y = fp16(1.001358e-05))
tensor<fp16, [2, 3, 1]> sqrt_6 = sqrt(x = add_5)
tensor<fp16, [2, 3, 8]> y0 = real_div(x = sub_2, y = sqrt_6)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [2, 3, 8]> y0 = layer_norm(x = x, axes = tensor<int32, [1]>([2]), epsilon = fp16(1.001358e-05))
)");
}

TEST_F(PassTest, InstanceNorm) {
  const Operand x = input({1, 3, 4, 4});
  const Operand mean = op("reduce_mean", {{"x", x}, {"axes", ints({2, 3})}, {"keep_dims", flag(true)}});
  const Operand d = op("sub", {{"x", x}, {"y", mean}});
  const Operand v =
      op("reduce_mean", {{"x", op("mul", {{"x", d}, {"y", d}})}, {"axes", ints({2, 3})}, {"keep_dims", flag(true)}});
  output(op("mul", {{"x", op("rsqrt", {{"x", v}, {"epsilon", number(1e-3f)}})}, {"y", d}}));
  run("common::fuse_layernorm_or_instancenorm");
  EXPECT_EQ(before, R"(
tensor<fp16, [1, 3, 1, 1]> reduce_mean_1 = reduce_mean(x = x, axes = tensor<int32, [2]>([2, 3]), keep_dims = bool(true))
tensor<fp16, [1, 3, 4, 4]> sub_2 = sub(x = x, y = reduce_mean_1)
tensor<fp16, [1, 3, 4, 4]> mul_3 = mul(x = sub_2, y = sub_2)
tensor<fp16, [1, 3, 1, 1]> reduce_mean_4 = reduce_mean(x = mul_3, axes = tensor<int32, [2]>([2, 3]), keep_dims = bool(true))
tensor<fp16, [1, 3, 1, 1]> rsqrt_5 = rsqrt(x = reduce_mean_4, epsilon = fp16(0.0010004044))
tensor<fp16, [1, 3, 4, 4]> y0 = mul(x = rsqrt_5, y = sub_2)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [1, 3, 4, 4]> y0 = instance_norm(x = x, epsilon = fp16(0.0010004044))
)");
}

TEST_F(PassTest, RootMeanSquareNorm) {
  const Operand x = input({2, 4});
  const Operand m =
      op("reduce_mean", {{"x", op("pow", {{"x", x}, {"y", number(2)}})}, {"axes", ints({-1})}, {"keep_dims", flag(true)}});
  const Operand r = op("rsqrt", {{"x", op("add", {{"x", m}, {"y", number(1e-5f)}})}, {"epsilon", number(0)}});
  output(op("mul", {{"x", floats({4}, {1, 2, 3, 4})}, {"y", op("mul", {{"x", x}, {"y", r}})}}));
  run("common::fuse_rms_norm");
  EXPECT_EQ(before, R"(
tensor<fp16, [2, 4]> pow_1 = pow(x = x, y = fp16(2))
tensor<fp16, [2, 1]> reduce_mean_2 = reduce_mean(x = pow_1, axes = tensor<int32, [1]>([-1]), keep_dims = bool(true))
tensor<fp16, [2, 1]> add_3 = add(x = reduce_mean_2, y = fp16(1.001358e-05))
tensor<fp16, [2, 1]> rsqrt_4 = rsqrt(x = add_3, epsilon = fp16(0))
tensor<fp16, [2, 4]> mul_5 = mul(x = x, y = rsqrt_4)
tensor<fp16, [2, 4]> y0 = mul(x = tensor<fp16, [4]>([1, 2, 3, 4]), y = mul_5)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [2, 4]> mul_6 = mul(x = x, y = fp16(-1))
tensor<fp16, [2, 8]> concat_7 = concat(values = (x, mul_6), axis = int32(1), interleave = bool(false))
tensor<fp16, [2, 8]> layer_norm_8 = layer_norm(x = concat_7, axes = tensor<int32, [1]>([1]), gamma = tensor<fp16, [8]>([1, 2, 3, 4, 1, 2, 3, 4]), epsilon = fp16(1.001358e-05))
tensor<fp16, [2, 4]> y0 = slice_by_index(x = layer_norm_8, begin = tensor<int32, [2]>([0, 0]), end = tensor<int32, [2]>([0, 4]), stride = tensor<int32, [2]>([1, 1]), begin_mask = tensor<bool, [2]>([true, true]), end_mask = tensor<bool, [2]>([true, false]))
)");
}

TEST_F(PassTest, SumOverCountIsAMean) {
  const Operand s = op("reduce_sum", {{"x", input({2, 8})}, {"axes", ints({1})}, {"keep_dims", flag(false)}});
  output(op("real_div", {{"x", s}, {"y", number(8)}}));
  run("common::fuse_reduce_mean");
  EXPECT_EQ(before, R"(
tensor<fp16, [2]> reduce_sum_1 = reduce_sum(x = x, axes = tensor<int32, [1]>([1]), keep_dims = bool(false))
tensor<fp16, [2]> y0 = real_div(x = reduce_sum_1, y = fp16(8))
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [2]> y0 = reduce_mean(x = x, axes = tensor<int32, [1]>([1]), keep_dims = bool(false))
)");
}

TEST_F(PassTest, SumOverAnotherCountIsNoMean) {
  const Operand s = op("reduce_sum", {{"x", input({2, 8})}, {"axes", ints({1})}, {"keep_dims", flag(false)}});
  output(op("real_div", {{"x", s}, {"y", number(7)}}));
  run("common::fuse_reduce_mean");
  EXPECT_EQ(before, after);
}

TEST_F(PassTest, RootOfSquaresIsANorm) {
  const Operand x = input({2, 8});
  const Operand s =
      op("reduce_sum", {{"x", op("mul", {{"x", x}, {"y", x}})}, {"axes", ints({1})}, {"keep_dims", flag(true)}});
  output(op("sqrt", {{"x", s}}));
  run("common::fuse_l2_norm");
  EXPECT_EQ(before, R"(
tensor<fp16, [2, 8]> mul_1 = mul(x = x, y = x)
tensor<fp16, [2, 1]> reduce_sum_2 = reduce_sum(x = mul_1, axes = tensor<int32, [1]>([1]), keep_dims = bool(true))
tensor<fp16, [2, 1]> y0 = sqrt(x = reduce_sum_2)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [2, 1]> y0 = reduce_l2_norm(x = x, axes = tensor<int32, [1]>([1]), keep_dims = bool(true))
)");
}

TEST_F(PassTest, ExponentialsOverTheirSumAreASoftmax) {
  const Operand e = op("exp", {{"x", input({2, 8})}});
  output(op("real_div", {{"x", e}, {"y", op("reduce_sum", {{"x", e}, {"axes", ints({1})}, {"keep_dims", flag(true)}})}}));
  run("common::fuse_softmax");
  EXPECT_EQ(before, R"(
tensor<fp16, [2, 8]> exp_1 = exp(x = x)
tensor<fp16, [2, 1]> reduce_sum_2 = reduce_sum(x = exp_1, axes = tensor<int32, [1]>([1]), keep_dims = bool(true))
tensor<fp16, [2, 8]> y0 = real_div(x = exp_1, y = reduce_sum_2)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [2, 8]> y0 = softmax(x = x, axis = int32(1))
)");
}

TEST_F(PassTest, AttentionSpelledOut) {
  program.target = mil::Target::iOS18;
  const Operand q = input({1, 2, 5, 4}, DType::F16, "q"), k = input({1, 2, 6, 4}, DType::F16, "k"),
                v = input({1, 2, 6, 3}, DType::F16, "v");
  Operand y = op("mul", {{"x", op("matmul", {{"x", q}, {"y", k}, {"transpose_y", flag(true)}})}, {"y", number(0.25f)}});
  y = op("add", {{"x", y}, {"y", input({1, 1, 5, 6}, DType::F16, "mask")}});
  output(op("matmul", {{"x", op("softmax", {{"x", y}, {"axis", integer(-1)}})}, {"y", v}}));
  run("common::fuse_attention");
  EXPECT_EQ(before, R"(
tensor<fp16, [1, 2, 5, 6]> matmul_1 = matmul(x = q, y = k, transpose_x = bool(false), transpose_y = bool(true))
tensor<fp16, [1, 2, 5, 6]> mul_2 = mul(x = matmul_1, y = fp16(0.25))
tensor<fp16, [1, 2, 5, 6]> add_3 = add(x = mul_2, y = mask)
tensor<fp16, [1, 2, 5, 6]> softmax_4 = softmax(x = add_3, axis = int32(-1))
tensor<fp16, [1, 2, 5, 3]> y0 = matmul(x = softmax_4, y = v, transpose_x = bool(false), transpose_y = bool(false))
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [1, 2, 5, 4]> mul_5 = mul(x = q, y = fp16(0.5))
tensor<fp16, [1, 2, 5, 3]> y0 = scaled_dot_product_attention(query = mul_5, key = k, value = v, attn_mask = mask)
)");
}

}  // namespace
}  // namespace cortland::mil_passes
