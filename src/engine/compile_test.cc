// Compiled plans against the reference kernels on the program as it is, and which steps are left.
#include "engine/compile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "mil/parse.h"
#include "mil_ops/ops.h"

namespace cortland::engine {
namespace {

using mil::Program;
using mil::Tensor;
using testing::ElementsAre;

// MIL text; the ops' names, which it asks for, are added.
Program parsed(std::string text) {
  int names = 0;
  for (const std::string end : {");", ") {"})
    for (size_t at = text.find(end, text.find("x) {") + 4); at < text.rfind("} -> ("); at = text.find(end, at + end.size()))
      text.replace(at, 1, ")[name = string(\"op" + std::to_string(names++) + "\")]");
  auto program = mil::parse(text, mil_ops::find);
  EXPECT_TRUE(program.ok()) << (program.ok() ? "" : program.error().what);
  return std::move(program).value();
}

// A constant with small random values, written out.
std::string weights(const std::string& dtype, std::vector<int64_t> shape, int seed) {
  std::mt19937 random(static_cast<unsigned>(seed));
  std::uniform_int_distribution<int> values(-8, 8);
  std::string text;
  const std::function<void(size_t)> write = [&](size_t axis) {
    if (axis == shape.size()) return void(text += std::to_string(values(random) / 16.0));
    text += '[';
    for (int64_t i = 0; i < shape[axis]; ++i) text += i ? ", " : "", write(axis + 1);
    text += ']';
  };
  write(0);
  std::string sizes;
  for (int64_t d : shape) sizes += (sizes.empty() ? "" : ", ") + std::to_string(d);
  return "tensor<" + dtype + ", [" + sizes + "]>(" + text + ")";
}

struct Outcome {
  std::vector<Tensor> outputs;
  std::vector<std::string> steps;  // ops, in order
};

Outcome run(const Program& program, EngineOptions options) {
  Outcome outcome;
  auto engine = Engine::compile(program, "main", options);
  EXPECT_TRUE(engine.ok()) << (engine.ok() ? "" : engine.error().what);
  if (!engine.ok()) return outcome;
  std::vector<Tensor> inputs;
  std::mt19937 random(7);
  std::uniform_real_distribution<float> values(-2, 2);
  for (const Feature& input : engine->inputs()) {
    std::vector<float> v(static_cast<size_t>(Tensor{DType::F32, sizes(input.type.shape), nullptr}.elements()));
    for (float& f : v) f = values(random);
    inputs.push_back(Tensor::from(input.type.dtype, sizes(input.type.shape), v));
  }
  engine->set_hook([&](const StepTrace& step) { outcome.steps.emplace_back(step.name.starts_with("to_channels") ? step.name : step.op.name); });
  auto outputs = engine->run(inputs);
  EXPECT_TRUE(outputs.ok()) << (outputs.ok() ? "" : outputs.error().what);
  if (outputs.ok()) outcome.outputs = *outputs;
  return outcome;
}

// The largest difference, relative to the largest value.
double distance(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.dtype, b.dtype);
  EXPECT_EQ(a.shape, b.shape);
  const auto x = a.floats(), y = b.floats();
  double largest = 0, worst = 0;
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    largest = std::max(largest, std::fabs(double{y[i]}));
    worst = std::max(worst, std::fabs(double{x[i]} - double{y[i]}));
  }
  EXPECT_GT(largest, 0);
  return worst / largest;
}

std::vector<std::string> expect_agreement(const std::string& text, double tolerance, EngineOptions options = {}) {
  const Program program = parsed(text);
  const Outcome ours = run(program, options), reference = run(program, {.fast_kernels = false});
  EXPECT_EQ(ours.outputs.size(), reference.outputs.size());
  for (size_t i = 0; i < std::min(ours.outputs.size(), reference.outputs.size()); ++i)
    EXPECT_LE(distance(ours.outputs[i], reference.outputs[i]), tolerance) << "output " << i;
  return ours.steps;
}

std::string residual_block(const std::string& type) {
  return "program(1.0) { func main<ios17>(tensor<" + type + ", [2, 3, 5, 4]> x) {"
         "tensor<" + type + ", [2, 6, 5, 4]> a = conv(x = x, weight = " + weights(type, {6, 3, 3, 3}, 1) + ", pad_type = string(\"same\"));"
         "tensor<" + type + ", [2, 6, 5, 4]> b = relu(x = a);"
         "tensor<" + type + ", [2, 6, 5, 4]> c = conv(x = b, weight = " + weights(type, {6, 1, 3, 3}, 2) + ", bias = " + weights(type, {6}, 3) +
         ", pad_type = string(\"same\"), groups = int32(6));"
         "tensor<" + type + ", [2, 6, 5, 4]> d = add(x = b, y = c);"
         "tensor<" + type + ", [2, 6, 5, 4]> e = relu6(x = d);"
         "tensor<" + type + ", [2, 6, 1, 1]> mean = reduce_mean(x = e, axes = tensor<int32, [2]>([2, -1]), keep_dims = bool(true));"
         "tensor<" + type + ", [2, 6, 5, 4]> scaled = mul(x = e, y = mean);"
         "tensor<" + type + ", [2, 6, 5, 4]> shifted = add(x = " + weights(type, {6, 1, 1}, 4) + ", y = scaled);"
         "tensor<" + type + ", [2, 12, 5, 4]> both = concat(values = (shifted, e), axis = int32(1), interleave = bool(false));"
         "tensor<" + type + ", [2, 5, 4, 12]> last = transpose(x = both, perm = tensor<int32, [4]>([0, 2, 3, 1]));"
         "tensor<" + type + ", [2, 5, 12, 4]> other = transpose(x = both, perm = tensor<int32, [4]>([0, 2, 1, 3]));"
         "} -> (last, other, scaled); }";
}

// Which steps are left depends on a kernel that runs convolutions channels last.
class CompileConvolutions : public testing::Test {
  void SetUp() override {
    for (const auto table : kernel_tables())
      for (const KernelRow& row : table)
        if (row.op == "conv") return;
    GTEST_SKIP() << "built without oneDNN";
  }
};

TEST_F(CompileConvolutions, RunsConvolutionsChannelsLastWithTheirFollowers) {
  const auto steps = expect_agreement(residual_block("fp32"), 1e-6);
  EXPECT_THAT(steps, ElementsAre("to_channels_last", "conv", "conv", "reduce_mean", "mul", "add", "concat", "transpose", "transpose",
                                 "to_channels_first"));
}

// With what follows and is added inside, as in a residual net: large enough for Winograd's way.
TEST_F(CompileConvolutions, RunsLargeWindowsWithTheirFollowers) {
  for (const std::string type : {"fp32", "fp16"}) {
    const std::string value = "tensor<" + type + ", [1, 32, 15, 14]> ";
    const std::string text = "program(1.0) { func main<ios17>(" + value + "x) {" + value + "a = conv(x = x, weight = " +
                             weights(type, {32, 32, 3, 3}, 1) + ", pad_type = string(\"same\"));" + value + "b = relu(x = a);" + value +
                             "c = conv(x = b, weight = " + weights(type, {32, 32, 3, 3}, 2) + ", bias = " + weights(type, {32}, 3) +
                             ", pad_type = string(\"same\"));" + value + "d = add(x = c, y = x);" + value + "y = relu(x = d);} -> (y); }";
    const auto steps = expect_agreement(text, type == "fp32" ? 2e-6 : 2e-3);
    if (type == "fp32") {
      EXPECT_THAT(steps, ElementsAre("to_channels_last", "conv", "conv", "to_channels_first"));
    }
  }
}

TEST_F(CompileConvolutions, ExactRoundsBetweenFusedOps) {
  const auto steps = expect_agreement(residual_block("fp16"), 1e-3);
  EXPECT_THAT(steps, ElementsAre("to_channels_last", "conv", "conv", "add", "relu6", "reduce_mean", "mul", "add", "concat", "transpose",
                                 "transpose", "to_channels_first"))
      << "an addition is rounded by itself, relu changes places with rounding";
}

// A layer of DenseNet, then channels that change places as in ShuffleNet.
TEST_F(CompileConvolutions, NormalisesBatchesChannelsLastWithTheirFollowers) {
  const auto norm = [](const std::string& x, int seed) {
    return "batch_norm(x = " + x + ", mean = " + weights("fp32", {6}, seed) +
           ", variance = tensor<fp32, [6]>([0.5, 1.5, 2.5, 1.0, 2.0, 3.0]), gamma = " + weights("fp32", {6}, seed + 1) +
           ", beta = " + weights("fp32", {6}, seed + 2) + ");";
  };
  const std::string four = "tensor<fp32, [2, 6, 5, 4]> ", twelve = "tensor<fp32, [2, 12, 5, 4]> ";
  const auto steps = expect_agreement(
      "program(1.0) { func main<ios17>(tensor<fp32, [2, 3, 5, 4]> x) {" + four + "a = conv(x = x, weight = " +
          weights("fp32", {6, 3, 3, 3}, 1) + ", pad_type = string(\"same\"));" + four + "b = " + norm("a", 2) + four + "c = relu(x = b);" +
          four + "d = " + norm("a", 5) + four + "e = add(x = d, y = c);" + four + "f = silu(x = e);" + twelve +
          "both = concat(values = (c, f), axis = int32(1), interleave = bool(true));" + "} -> (both); }",
      2e-6);
  EXPECT_THAT(steps, ElementsAre("to_channels_last", "conv", "batch_norm", "batch_norm", "concat", "to_channels_first"));
}

TEST_F(CompileConvolutions, ResizesImagesChannelsLastWithTheirFollowers) {
  const std::string small = "tensor<fp32, [2, 6, 5, 4]> ", large = "tensor<fp32, [2, 6, 10, 12]> ";
  const auto steps = expect_agreement(
      "program(1.0) { func main<ios17>(tensor<fp32, [2, 3, 5, 4]> x) {" + small +
          "a = conv(x = x, weight = " + weights("fp32", {6, 3, 3, 3}, 1) + ", pad_type = string(\"same\"));" + large +
          "b = upsample_nearest_neighbor(x = a, scale_factor_height = int32(2), scale_factor_width = int32(3));" + large +
          "c = resize_bilinear(x = a, target_size_height = int32(10), target_size_width = int32(12), "
          "sampling_mode = string(\"UNALIGN_CORNERS\"));" +
          large + "d = relu(x = c);" + large + "e = add(x = d, y = b);" + large + "f = conv(x = e, weight = " +
          weights("fp32", {6, 6, 1, 1}, 2) + "); } -> (f); }",
      2e-6);
  EXPECT_THAT(steps, ElementsAre("to_channels_last", "conv", "upsample_nearest_neighbor", "resize_bilinear", "conv", "to_channels_first"));
}

TEST_F(CompileConvolutions, FastIsNearerToFloat32) {
  const Program half = parsed(residual_block("fp16"));
  const Program single = parsed(residual_block("fp32"));
  const Outcome fast = run(half, {.precision = Precision::Fast}), exact = run(half, {}), wide = run(single, {});
  EXPECT_EQ(fast.steps, wide.steps);
  for (size_t i = 0; i < wide.outputs.size(); ++i) {
    // The inputs were rounded in one of them, so neither is the same.
    const Tensor reference = wide.outputs[i].cast(DType::F16);
    EXPECT_LE(distance(fast.outputs[i], reference), 2e-3);
    EXPECT_LE(distance(exact.outputs[i], reference), 6e-3);
  }
}

TEST_F(CompileConvolutions, GatesAreFused) {
  const std::string text =
      "program(1.0) { func main<ios15>(tensor<fp32, [1, 4, 3, 3]> x) {"
      "tensor<fp32, [1, 4, 3, 3]> a = conv(x = x, weight = " + weights("fp32", {4, 4, 1, 1}, 1) + ");"
      "tensor<fp32, [1, 4, 3, 3]> gate = sigmoid_hard(x = a, alpha = fp32(0.16666667), beta = fp32(0.5));"
      "tensor<fp32, [1, 4, 3, 3]> b = mul(x = a, y = gate);"
      "tensor<fp32, [1, 4, 3, 3]> s = conv(x = b, weight = " + weights("fp32", {4, 4, 1, 1}, 2) + ");"
      "tensor<fp32, [1, 4, 3, 3]> g = sigmoid(x = s);"
      "tensor<fp32, [1, 4, 3, 3]> y = mul(x = g, y = s);"
      "} -> (y); }";
  EXPECT_THAT(expect_agreement(text, 1e-5), ElementsAre("to_channels_last", "conv", "conv", "to_channels_first"));
}

// Squeeze and excitation.
TEST_F(CompileConvolutions, SinglePixelsAreProductsWithTheirFollowers) {
  const auto text = [](const std::string& type) {
    const std::string one = "tensor<" + type + ", [2, ";
    return "program(1.0) { func main<ios15>(" + one + "6, 5, 4]> x) {" +
           one + "6, 1, 1]> mean = reduce_mean(x = x, axes = tensor<int32, [2]>([2, 3]), keep_dims = bool(true));" +
           one + "3, 1, 1]> a = conv(x = mean, weight = " + weights(type, {3, 6, 1, 1}, 1) + ", bias = " + weights(type, {3}, 2) + ");" +
           one + "3, 1, 1]> b = silu(x = a);" +
           one + "6, 1, 1]> c = conv(x = b, weight = " + weights(type, {6, 3, 1, 1}, 3) + ");" +
           one + "6, 1, 1]> gate = sigmoid(x = c);" +
           one + "6, 5, 4]> y = mul(x = x, y = gate);} -> (y); }";
  };
  EXPECT_THAT(expect_agreement(text("fp32"), 1e-6), 
              ElementsAre("reduce_mean", "to_channels_last", "conv", "conv", "to_channels_last", "mul", "to_channels_first"));
  expect_agreement(text("fp16"), 1e-3);
}

TEST_F(CompileConvolutions, AnAddendThatComesLaterIsNotWaitedFor) {
  const std::string text =
      "program(1.0) { func main<ios15>(tensor<fp32, [1, 4, 3, 3]> x) {"
      "tensor<fp32, [1, 4, 3, 3]> a = conv(x = x, weight = " + weights("fp32", {4, 4, 1, 1}, 1) + ");"
      "tensor<fp32, [1, 4, 3, 3]> b = conv(x = x, weight = " + weights("fp32", {4, 4, 1, 1}, 2) + ");"
      "tensor<fp32, [1, 4, 3, 3]> y = add(x = a, y = b);"
      "} -> (y); }";
  EXPECT_THAT(expect_agreement(text, 1e-6), ElementsAre("to_channels_last", "conv", "conv", "to_channels_first"));
}

TEST_F(CompileConvolutions, PoolsStayWithTheirConvolutions) {
  const std::string text =
      "program(1.0) { func main<ios15>(tensor<fp32, [1, 3, 9, 9]> x) {"
      "tensor<fp32, [1, 4, 9, 9]> a = conv(x = x, weight = " + weights("fp32", {4, 3, 1, 1}, 1) + ");"
      "tensor<fp32, [1, 4, 5, 5]> b = max_pool(x = a, kernel_sizes = tensor<int32, [2]>([3, 3]), strides = tensor<int32, [2]>([2, 2]), "
      "pad_type = string(\"custom\"), pad = tensor<int32, [4]>([1, 1, 1, 1]), ceil_mode = bool(false));"
      "tensor<fp32, [1, 4, 5, 5]> c = avg_pool(exclude_padding_from_average = bool(true), x = b, kernel_sizes = tensor<int32, [2]>([3, 3]), strides = tensor<int32, [2]>([1, 1]), "
      "pad_type = string(\"custom\"), pad = tensor<int32, [4]>([1, 1, 1, 1]), ceil_mode = bool(false));"
      "tensor<fp32, [1, 4]> d = reduce_mean(x = c, axes = tensor<int32, [2]>([2, 3]), keep_dims = bool(false));"
      "} -> (c, d); }";
  EXPECT_THAT(expect_agreement(text, 1e-6),
              ElementsAre("to_channels_last", "conv", "max_pool", "avg_pool", "reduce_mean", "to_channels_first"));
}

TEST_F(CompileConvolutions, WhatLiesLastAlreadyIsNotMoved) {
  const std::string text =
      "program(1.0) { func main<ios15>(tensor<fp32, [1, 3, 5, 4]> x) {"
      "tensor<fp32, [1, 4, 3, 5]> turned = transpose(x = x, perm = tensor<int32, [4]>([0, 3, 1, 2]));"
      "tensor<fp32, [1, 2, 3, 5]> y = conv(x = turned, weight = " + weights("fp32", {2, 4, 1, 1}, 1) + ");"
      "tensor<fp32, [1, 3, 5, 2]> back = transpose(x = y, perm = tensor<int32, [4]>([0, 2, 3, 1]));"
      "tensor<fp32, [1, 3, 5, 2]> normed = layer_norm(x = back, axes = tensor<int32, [1]>([-1]), epsilon = fp32(0.001));"
      "} -> (normed); }";
  EXPECT_THAT(expect_agreement(text, 1e-5), ElementsAre("transpose", "conv", "transpose", "layer_norm"));
}

// Two heads of keys and values for four of queries; `queries` of them, that see what comes before them.
std::string grouped_attention(int64_t queries, const std::string& outputs) {
  const auto tensor = [](const std::string& sizes) { return "tensor<fp32, [2, " + sizes + "]> "; };
  const std::string q = tensor("4, " + std::to_string(queries) + ", 8");
  std::string mask;
  for (int64_t i = 0; i < queries; ++i) {
    mask += i ? ", [" : "[";
    for (int64_t k = 0; k < 40; ++k) mask += std::string(k ? ", " : "") + (k <= 7 * i ? "true" : "false");
    mask += "]";
  }
  return "program(1.0) { func main<ios18>(" + q + "q, " + tensor("2, 40, 8") + "k, " + tensor("2, 40, 36") + "x) {" +
         tensor("2, 1, 40, 8") + "k1 = reshape(x = k, shape = tensor<int32, [5]>([2, 2, 1, 40, 8]));" + tensor("2, 2, 40, 8") +
         "k2 = tile(x = k1, reps = tensor<int32, [5]>([1, 1, 2, 1, 1]));" + tensor("4, 40, 8") +
         "k3 = reshape(x = k2, shape = tensor<int32, [4]>([2, 4, 40, 8]));" + tensor("2, 1, 40, 36") +
         "v1 = expand_dims(x = x, axes = tensor<int32, [1]>([2]));" + tensor("2, 2, 40, 36") +
         "v2 = tile(x = v1, reps = tensor<int32, [5]>([1, 1, 2, 1, 1]));" + tensor("4, 40, 36") +
         "v3 = reshape(x = v2, shape = tensor<int32, [4]>([2, 4, 40, 36]));" + tensor("4, " + std::to_string(queries) + ", 36") +
         "y = scaled_dot_product_attention(query = q, key = k3, value = v3, attn_mask = tensor<bool, [" + std::to_string(queries) +
         ", 40]>([" + mask + "]));} -> (" + outputs + "); }";
}

TEST(Compile, AttentionReadsSharedHeadsOnce) {
  for (int64_t queries : {1, 5})
    EXPECT_THAT(expect_agreement(grouped_attention(queries, "y"), 1e-6), ElementsAre("scaled_dot_product_attention"));
  EXPECT_THAT(expect_agreement(grouped_attention(2, "y, k3"), 1e-6),
              ElementsAre("reshape", "tile", "reshape", "scaled_dot_product_attention"));
}

TEST(Compile, IntegersThatAreOnlyMovedStayIntegers) {
  const std::string text =
      "program(1.0) { func main<ios15>(tensor<fp32, [1, 2, 3]> x) {"
      "tensor<int32, [1, 2, 3]> whole = cast(x = x, dtype = string(\"int32\"));"
      "tensor<int32, [1, 3, 2]> turned = transpose(x = whole, perm = tensor<int32, [3]>([0, 2, 1]));"
      "tensor<bool, [1, 3, 2]> set = not_equal(x = turned, y = int32(0));"
      "} -> (turned, set); }";
  expect_agreement(text, 0);
}

TEST(Compile, BlocksReadWhatLiesOutside) {
  const std::string text =
      "program(1.0) { func main<ios15>(tensor<fp16, [1, 4, 3, 3]> x) {"
      "tensor<fp16, [1, 4, 3, 3]> a = conv(x = x, weight = " + weights("fp16", {4, 4, 1, 1}, 1) + ");"
      "fp16 most = reduce_max(x = a, axes = tensor<int32, [4]>([0, 1, 2, 3]), keep_dims = bool(false));"
      "bool positive = greater(x = most, y = fp16(0));"
      "tensor<fp16, [1, 4, 3, 3]> chosen = cond(pred = positive) {"
      "  tensor<fp16, [1, 4, 3, 3]> b = conv(x = a, weight = " + weights("fp16", {4, 4, 1, 1}, 2) + ");"
      "} -> (b), { } -> (a) ;"
      "} -> (chosen); }";
  expect_agreement(text, 1e-3);
}

}  // namespace
}  // namespace cortland::engine
