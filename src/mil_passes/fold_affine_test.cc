#include "mil_passes/pass_test.h"

namespace cortland::mil_passes {
namespace {

class FoldTest : public PassTest {
 protected:
  Operand conv(Operand x, Operand weight, Operand bias = {}) {
    return op("conv", {{"x", x},
                       {"weight", weight},
                       {"bias", bias},
                       {"strides", ints({1, 1})},
                       {"pad_type", text("valid")},
                       {"pad", ints({0, 0, 0, 0})},
                       {"dilations", ints({1, 1})}});
  }
};

TEST_F(FoldTest, BatchNormFoldsIntoItsConvolution) {
  const Operand y = conv(input({1, 1, 4, 4}, DType::F32), floats({2, 1, 1, 1}, {2, 3}, DType::F32));
  const auto two = [&](float a, float b) { return floats({2}, {a, b}, DType::F32); };
  output(op("batch_norm", {{"x", y},
                           {"mean", two(1, 2)},
                           {"variance", two(3, 8)},
                           {"gamma", two(4, 5)},
                           {"beta", two(6, 7)},
                           {"epsilon", number(1, DType::F32)}}));
  run("common::fuse_conv_batchnorm");
  EXPECT_EQ(before, R"(
tensor<fp32, [1, 2, 4, 4]> conv_1 = conv(x = x, weight = tensor<fp32, [2, 1, 1, 1]>([[[[2]]], [[[3]]]]), strides = tensor<int32, [2]>([1, 1]), pad_type = string("valid"), pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1))
tensor<fp32, [1, 2, 4, 4]> y0 = batch_norm(x = conv_1, mean = tensor<fp32, [2]>([1, 2]), variance = tensor<fp32, [2]>([3, 8]), gamma = tensor<fp32, [2]>([4, 5]), beta = tensor<fp32, [2]>([6, 7]), epsilon = fp32(1))
)");
  EXPECT_EQ(after, R"(
tensor<fp32, [1, 2, 4, 4]> y0 = conv(x = x, weight = tensor<fp32, [2, 1, 1, 1]>([[[[4]]], [[[5]]]]), bias = tensor<fp32, [2]>([4, 3.6666667]), strides = tensor<int32, [2]>([1, 1]), pad_type = string("valid"), pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1))
)");
}

TEST_F(FoldTest, AConvolutionThatOthersReadKeepsItsBatchNorm) {
  const Operand y = conv(input({1, 1, 4, 4}), floats({1, 1, 1, 1}, {2}));
  output(
      op("batch_norm", {{"x", y}, {"mean", floats({1}, {1})}, {"variance", floats({1}, {1})}, {"epsilon", number(1e-3f)}}));
  output(op("relu", {{"x", y}}));
  run("common::fuse_conv_batchnorm");
  EXPECT_EQ(before, after);
}

TEST_F(PassTest, BatchNormFoldsIntoALinearBehindReshapes) {
  Operand y = op("linear", {{"x", input({1, 3, 2})}, {"weight", floats({2, 2}, {1, 2, 3, 4})}});
  y = op("reshape", {{"x", y}, {"shape", ints({3, 2})}});
  y = op("expand_dims", {{"x", y}, {"axes", ints({2})}});
  y = op("batch_norm", {{"x", y},
                        {"mean", floats({2}, {1, 2})},
                        {"variance", floats({2}, {3, 3})},
                        {"gamma", floats({2}, {2, 4})},
                        {"beta", floats({2}, {5, 6})},
                        {"epsilon", number(1)}});
  output(op("relu", {{"x", op("squeeze", {{"x", y}, {"axes", ints({2})}})}}));
  run("common::fuse_conv_batchnorm");
  EXPECT_EQ(before, R"(
tensor<fp16, [1, 3, 2]> linear_1 = linear(x = x, weight = tensor<fp16, [2, 2]>([[1, 2], [3, 4]]))
tensor<fp16, [3, 2]> reshape_2 = reshape(x = linear_1, shape = tensor<int32, [2]>([3, 2]))
tensor<fp16, [3, 2, 1]> expand_dims_3 = expand_dims(x = reshape_2, axes = tensor<int32, [1]>([2]))
tensor<fp16, [3, 2, 1]> batch_norm_4 = batch_norm(x = expand_dims_3, mean = tensor<fp16, [2]>([1, 2]), variance = tensor<fp16, [2]>([3, 3]), gamma = tensor<fp16, [2]>([2, 4]), beta = tensor<fp16, [2]>([5, 6]), epsilon = fp16(1))
tensor<fp16, [3, 2]> squeeze_5 = squeeze(x = batch_norm_4, axes = tensor<int32, [1]>([2]))
tensor<fp16, [3, 2]> y0 = relu(x = squeeze_5)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [1, 3, 2]> linear_1 = linear(x = x, weight = tensor<fp16, [2, 2]>([[1, 2], [6, 8]]), bias = tensor<fp16, [2]>([4, 2]))
tensor<fp16, [3, 2]> reshape_2 = reshape(x = linear_1, shape = tensor<int32, [2]>([3, 2]))
tensor<fp16, [3, 2, 1]> expand_dims_3 = expand_dims(x = reshape_2, axes = tensor<int32, [1]>([2]))
tensor<fp16, [3, 2]> squeeze_5 = squeeze(x = expand_dims_3, axes = tensor<int32, [1]>([2]))
tensor<fp16, [3, 2]> y0 = relu(x = squeeze_5)
)");
}

TEST_F(PassTest, AScaleOfTheScoresFoldsIntoTheQueries) {
  const Operand x = input({1, 2, 4});
  Operand q = op("linear",
                 {{"x", x}, {"weight", floats({4, 4}, std::vector<float>(16, 2.0f))}, {"bias", floats({4}, {1, 2, 3, 4})}});
  q = op("transpose", {{"x", op("reshape", {{"x", q}, {"shape", ints({1, 2, 2, 2})}})}, {"perm", ints({0, 2, 1, 3})}});
  const Operand k = op("reshape", {{"x", op("relu", {{"x", x}})}, {"shape", ints({1, 2, 2, 2})}});
  output(op("mul", {{"x", op("matmul", {{"x", q}, {"y", k}})}, {"y", number(0.5f)}}));
  run("common::fuse_conv_scale");
  EXPECT_EQ(before, R"(
tensor<fp16, [1, 2, 4]> linear_1 = linear(x = x, weight = tensor<fp16, [4, 4]>([[2, 2, 2, 2], [2, 2, 2, 2], [2, 2, 2, 2], [2, 2, 2, 2]]), bias = tensor<fp16, [4]>([1, 2, 3, 4]))
tensor<fp16, [1, 2, 2, 2]> reshape_2 = reshape(x = linear_1, shape = tensor<int32, [4]>([1, 2, 2, 2]))
tensor<fp16, [1, 2, 2, 2]> transpose_3 = transpose(x = reshape_2, perm = tensor<int32, [4]>([0, 2, 1, 3]))
tensor<fp16, [1, 2, 4]> relu_4 = relu(x = x)
tensor<fp16, [1, 2, 2, 2]> reshape_5 = reshape(x = relu_4, shape = tensor<int32, [4]>([1, 2, 2, 2]))
tensor<fp16, [1, 2, 2, 2]> matmul_6 = matmul(x = transpose_3, y = reshape_5, transpose_x = bool(false), transpose_y = bool(false))
tensor<fp16, [1, 2, 2, 2]> y0 = mul(x = matmul_6, y = fp16(0.5))
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [1, 2, 4]> linear_1 = linear(x = x, weight = tensor<fp16, [4, 4]>([[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]), bias = tensor<fp16, [4]>([0.5, 1, 1.5, 2]))
tensor<fp16, [1, 2, 2, 2]> reshape_2 = reshape(x = linear_1, shape = tensor<int32, [4]>([1, 2, 2, 2]))
tensor<fp16, [1, 2, 2, 2]> transpose_3 = transpose(x = reshape_2, perm = tensor<int32, [4]>([0, 2, 1, 3]))
tensor<fp16, [1, 2, 4]> relu_4 = relu(x = x)
tensor<fp16, [1, 2, 2, 2]> reshape_5 = reshape(x = relu_4, shape = tensor<int32, [4]>([1, 2, 2, 2]))
tensor<fp16, [1, 2, 2, 2]> y0 = matmul(x = transpose_3, y = reshape_5, transpose_x = bool(false), transpose_y = bool(false))
)");
}

TEST_F(PassTest, AScaleThatHasNoWeightsGoesBeforeTheProduct) {
  const Operand scores = op("matmul", {{"x", input({2, 4}, DType::F16, "q")}, {"y", input({4, 3}, DType::F16, "k")}});
  output(op("relu", {{"x", op("real_div", {{"x", scores}, {"y", number(4)}})}}));
  run("common::fuse_conv_scale");
  EXPECT_EQ(before, R"(
tensor<fp16, [2, 3]> matmul_1 = matmul(x = q, y = k, transpose_x = bool(false), transpose_y = bool(false))
tensor<fp16, [2, 3]> real_div_2 = real_div(x = matmul_1, y = fp16(4))
tensor<fp16, [2, 3]> y0 = relu(x = real_div_2)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [2, 4]> mul_3 = mul(x = q, y = fp16(0.25))
tensor<fp16, [2, 3]> matmul_1 = matmul(x = mul_3, y = k, transpose_x = bool(false), transpose_y = bool(false))
tensor<fp16, [2, 3]> y0 = relu(x = matmul_1)
)");
}

TEST_F(PassTest, AScaleOfOnePartOfASplitFoldsIntoItsRows) {
  Operand y = op("linear", {{"x", input({1, 2, 1})}, {"weight", floats({6, 1}, {1, 2, 3, 4, 5, 6})}});
  y = op("reshape", {{"x", y}, {"shape", ints({1, 2, 3, 2})}});
  const Operand q = op("split", {{"x", y}, {"num_splits", integer(3)}, {"axis", integer(2)}});
  const Operand k = result_of(q, 1), v = result_of(q, 2);
  output(op("mul", {{"x", op("squeeze", {{"x", q}, {"axes", ints({2})}})}, {"y", number(0.5f)}}));
  output(op("add", {{"x", k}, {"y", v}}));
  run("common::fuse_conv_scale");
  EXPECT_EQ(before, R"(
tensor<fp16, [1, 2, 6]> linear_1 = linear(x = x, weight = tensor<fp16, [6, 1]>([[1], [2], [3], [4], [5], [6]]))
tensor<fp16, [1, 2, 3, 2]> reshape_2 = reshape(x = linear_1, shape = tensor<int32, [4]>([1, 2, 3, 2]))
tensor<fp16, [1, 2, 1, 2]> split_3_0, tensor<fp16, [1, 2, 1, 2]> split_3_1, tensor<fp16, [1, 2, 1, 2]> split_3_2 = split(x = reshape_2, num_splits = int32(3), axis = int32(2))
tensor<fp16, [1, 2, 2]> squeeze_4 = squeeze(x = split_3_0, axes = tensor<int32, [1]>([2]))
tensor<fp16, [1, 2, 2]> y0 = mul(x = squeeze_4, y = fp16(0.5))
tensor<fp16, [1, 2, 1, 2]> y1 = add(x = split_3_1, y = split_3_2)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [1, 2, 6]> linear_1 = linear(x = x, weight = tensor<fp16, [6, 1]>([[0.5], [1], [3], [4], [5], [6]]))
tensor<fp16, [1, 2, 3, 2]> reshape_2 = reshape(x = linear_1, shape = tensor<int32, [4]>([1, 2, 3, 2]))
tensor<fp16, [1, 2, 1, 2]> split_3_0, tensor<fp16, [1, 2, 1, 2]> split_3_1, tensor<fp16, [1, 2, 1, 2]> split_3_2 = split(x = reshape_2, num_splits = int32(3), axis = int32(2))
tensor<fp16, [1, 2, 2]> y0 = squeeze(x = split_3_0, axes = tensor<int32, [1]>([2]))
tensor<fp16, [1, 2, 1, 2]> y1 = add(x = split_3_1, y = split_3_2)
)");
}

TEST_F(FoldTest, ALayerScaleFoldsIntoTheConvolution) {
  const Operand y = conv(input({1, 1, 4, 4}), floats({2, 1, 1, 1}, {2, 3}), floats({2}, {1, 1}));
  output(op("mul", {{"x", floats({2, 1, 1}, {0.5f, 2})}, {"y", y}}));
  run("common::fuse_conv_scale");
  EXPECT_EQ(before, R"(
tensor<fp16, [1, 2, 4, 4]> conv_1 = conv(x = x, weight = tensor<fp16, [2, 1, 1, 1]>([[[[2]]], [[[3]]]]), bias = tensor<fp16, [2]>([1, 1]), strides = tensor<int32, [2]>([1, 1]), pad_type = string("valid"), pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1))
tensor<fp16, [1, 2, 4, 4]> y0 = mul(x = tensor<fp16, [2, 1, 1]>([[[0.5]], [[2]]]), y = conv_1)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [1, 2, 4, 4]> y0 = conv(x = x, weight = tensor<fp16, [2, 1, 1, 1]>([[[[1]]], [[[6]]]]), bias = tensor<fp16, [2]>([0.5, 2]), strides = tensor<int32, [2]>([1, 1]), pad_type = string("valid"), pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1))
)");
}

TEST_F(FoldTest, AScaleThatFloat16WeightsCannotTakeStays) {
  output(op("mul", {{"x", conv(input({1, 1, 4, 4}), floats({1, 1, 1, 1}, {2}))}, {"y", number(1e-6f)}}));
  run("common::fuse_conv_scale");
  EXPECT_EQ(before, after);
}

TEST_F(FoldTest, ARowOfNumbersAlongAnotherAxisStays) {
  output(op("mul", {{"x", conv(input({1, 1, 4, 4}), floats({1, 1, 1, 1}, {2}))}, {"y", floats({4}, {1, 2, 3, 4})}}));
  run("common::fuse_conv_scale");
  EXPECT_EQ(before, after);
}

TEST_F(PassTest, ScalesMerge) {
  const Operand x = op("exp", {{"x", input({4})}});
  const Operand twice = op("real_div", {{"x", op("mul", {{"x", x}, {"y", number(0.5f)}})}, {"y", number(0.25f)}});
  const Operand same = op("real_div", {{"x", op("mul", {{"x", x}, {"y", number(4)}})}, {"y", number(4)}});
  output(op("add", {{"x", twice}, {"y", same}}));
  run("common::fuse_conv_scale");
  EXPECT_EQ(before, R"(
tensor<fp16, [4]> exp_1 = exp(x = x)
tensor<fp16, [4]> mul_2 = mul(x = exp_1, y = fp16(0.5))
tensor<fp16, [4]> real_div_3 = real_div(x = mul_2, y = fp16(0.25))
tensor<fp16, [4]> mul_4 = mul(x = exp_1, y = fp16(4))
tensor<fp16, [4]> real_div_5 = real_div(x = mul_4, y = fp16(4))
tensor<fp16, [4]> y0 = add(x = real_div_3, y = real_div_5)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [4]> exp_1 = exp(x = x)
tensor<fp16, [4]> mul_6 = mul(x = exp_1, y = fp16(2))
tensor<fp16, [4]> y0 = add(x = mul_6, y = exp_1)
)");
}

TEST_F(PassTest, ASubtractionBecomesABias) {
  output(op("sub", {{"x", floats({2}, {1, 2})},
                    {"y", op("linear", {{"x", input({3, 2})}, {"weight", floats({2, 2}, {1, 2, 3, 4})}})}}));
  run("common::fuse_conv_bias");
  EXPECT_EQ(before, R"(
tensor<fp16, [3, 2]> linear_1 = linear(x = x, weight = tensor<fp16, [2, 2]>([[1, 2], [3, 4]]))
tensor<fp16, [3, 2]> y0 = sub(x = tensor<fp16, [2]>([1, 2]), y = linear_1)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [3, 2]> y0 = linear(x = x, weight = tensor<fp16, [2, 2]>([[-1, -2], [-3, -4]]), bias = tensor<fp16, [2]>([1, 2]))
)");
}

TEST_F(PassTest, AScaleAndAShiftOfChannelsAreABatchNorm) {
  const Operand y = op("mul", {{"x", input({1, 2, 4, 4})}, {"y", floats({1, 2, 1, 1}, {2, 3})}});
  output(op("add", {{"x", floats({2, 1, 1}, {4, 5})}, {"y", y}}));
  run("common::fuse_elementwise_to_batchnorm");
  EXPECT_EQ(before, R"(
tensor<fp16, [1, 2, 4, 4]> mul_1 = mul(x = x, y = tensor<fp16, [1, 2, 1, 1]>([[[[2]], [[3]]]]))
tensor<fp16, [1, 2, 4, 4]> y0 = add(x = tensor<fp16, [2, 1, 1]>([[[4]], [[5]]]), y = mul_1)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [1, 2, 4, 4]> y0 = batch_norm(x = x, mean = tensor<fp16, [2]>([0, 0]), variance = tensor<fp16, [2]>([1, 1]), gamma = tensor<fp16, [2]>([2, 3]), beta = tensor<fp16, [2]>([4, 5]), epsilon = fp16(0))
)");
}

TEST_F(PassTest, PadsMerge) {
  Operand y =
      op("pad",
         {{"x", input({1, 1, 4, 4})}, {"pad", ints({1, 1, 0, 0})}, {"mode", text("constant")}, {"constant_val", number(0)}});
  output(op("pad", {{"x", y}, {"pad", ints({2, 3})}, {"mode", text("constant")}, {"constant_val", number(0)}}));
  run("common::merge_consecutive_paddings");
  EXPECT_EQ(before, R"(
tensor<fp16, [1, 1, 6, 4]> pad_1 = pad(x = x, pad = tensor<int32, [4]>([1, 1, 0, 0]), mode = string("constant"), constant_val = fp16(0))
tensor<fp16, [1, 1, 6, 9]> y0 = pad(x = pad_1, pad = tensor<int32, [2]>([2, 3]), mode = string("constant"), constant_val = fp16(0))
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [1, 1, 6, 9]> y0 = pad(x = x, pad = tensor<int32, [4]>([1, 1, 2, 3]), mode = string("constant"), constant_val = fp16(0))
)");
}

TEST_F(FoldTest, APadDisappearsInAConvolution) {
  const Operand y = op("pad", {{"x", input({1, 1, 4, 4})},
                               {"pad", ints({1, 1, 2, 3})},
                               {"mode", text("constant")},
                               {"constant_val", number(0)}});
  output(conv(y, floats({1, 1, 1, 1}, {2})));
  run("common::fuse_pad_conv");
  EXPECT_EQ(before, R"(
tensor<fp16, [1, 1, 6, 9]> pad_1 = pad(x = x, pad = tensor<int32, [4]>([1, 1, 2, 3]), mode = string("constant"), constant_val = fp16(0))
tensor<fp16, [1, 1, 6, 9]> y0 = conv(x = pad_1, weight = tensor<fp16, [1, 1, 1, 1]>([[[[2]]]]), strides = tensor<int32, [2]>([1, 1]), pad_type = string("valid"), pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1))
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [1, 1, 6, 9]> y0 = conv(x = x, weight = tensor<fp16, [1, 1, 1, 1]>([[[[2]]]]), strides = tensor<int32, [2]>([1, 1]), pad_type = string("custom"), pad = tensor<int32, [4]>([1, 1, 2, 3]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1))
)");
}

TEST_F(FoldTest, ReflectionsOfOneAxisDoNotMerge) {
  Operand y =
      op("pad", {{"x", input({1, 1, 4, 4})}, {"pad", ints({1, 1})}, {"mode", text("reflect")}, {"constant_val", number(0)}});
  output(op("pad", {{"x", y}, {"pad", ints({2, 0})}, {"mode", text("reflect")}, {"constant_val", number(0)}}));
  run("common::merge_consecutive_paddings");
  EXPECT_EQ(before, after);
}

}  // namespace
}  // namespace cortland::mil_passes
