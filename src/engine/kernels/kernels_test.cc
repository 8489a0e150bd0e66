// Each row against the reference kernel of its op, in both element types, on shapes that take different paths. Large shapes
// are there for the paths that several threads share.
#include "engine/kernels/kernels.h"

#include "engine/kernel_test.h"

namespace cortland::engine {
namespace {

using namespace test;

TEST(Kernels, FunctionsOfOneElement) {
  for (const char* op : {"abs", "erf", "exp", "relu", "relu6", "sigmoid", "silu", "softplus", "softsign", "square", "tanh"})
    for (const Shape& shape : {Shape{}, Shape{1}, Shape{3, 5, 7}, Shape{2, 16, 8, 8}})
      check({.op = op, .computed = {{"x", shape}}, .low = shape.size() < 2 ? 0.1f : -9, .high = 9});
  check({.op = "sqrt", .computed = {{"x", {3, 33}}}, .low = 0});
  check({.op = "gelu", .computed = {{"x", {3, 3000}}}, .low = -6, .high = 6});
  for (const char* mode : {"EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"})
    check({.op = "gelu", .computed = {{"x", {300, 301}}}, .texts = {{"mode", mode}}, .low = -6, .high = 6});
}

TEST(Kernels, FunctionsWithParameters) {
  for (const char* op : {"elu", "leaky_relu", "threshold", "thresholded_relu"})
    check({.op = op, .computed = {{"x", {5, 77}}}, .numbers = {{"alpha", 0.25f}}, .low = -4, .high = 4});
  for (const char* op : {"clamped_relu", "clip", "linear_activation", "scaled_tanh", "sigmoid_hard"})
    check({.op = op, .computed = {{"x", {5, 77}}}, .numbers = {{"alpha", 0.25f}, {"beta", 0.75f}}, .low = -4, .high = 4});
  for (const char* op : {"inverse", "log", "rsqrt"}) {
    check({.op = op, .computed = {{"x", {5, 77}}}, .low = 0.1f, .high = 4});
    check({.op = op, .computed = {{"x", {5, 77}}}, .numbers = {{"epsilon", 0.5f}}, .low = 0.1f, .high = 4});
  }
}

TEST(Kernels, FunctionsOfTwoElements) {
  const std::pair<Shape, Shape> shapes[] = {
      {{}, {}},
      {{4, 50}, {4, 50}},
      {{4, 50}, {}},
      {{}, {4, 50}},
      {{4, 50}, {50}},
      {{4, 50}, {4, 1}},
      {{4, 1}, {1, 50}},
      {{2, 3, 4, 5}, {1, 3, 1, 1}},
      {{3, 1, 1}, {2, 3, 4, 5}},
      {{2, 1, 4, 1}, {1, 3, 1, 5}},
      {{2, 3, 4, 5}, {2, 1, 4, 5}},
      {{1, 1}, {1}},
  };
  for (const char* op : {"add", "sub", "mul", "real_div", "maximum", "minimum"})
    for (const auto& [x, y] : shapes) check({.op = op, .computed = {{"x", x}, {"y", y}}, .low = 0.5f, .high = 2});
  check({.op = "add", .computed = {{"x", {3, 70, 700}}, {"y", {70, 1}}}});
  check({.op = "mul", .computed = {{"x", {300, 701}}}, .constant = {{"y", {701}}}});
  check({.op = "sub", .computed = {{"y", {3, 301, 301}}}, .constant = {{"x", {}}}});
  check({.op = "pow", .computed = {{"x", {4, 9}}}, .numbers = {{"y", 2}}});
}

TEST(Kernels, Softmax) {
  for (int32_t axis : {0, 1, 2, -1})
    check({.op = "softmax", .computed = {{"x", {5, 33, 20}}}, .integers = {{"axis", axis}}, .low = -8, .high = 8});
  check({.op = "softmax", .computed = {{"x", {12, 50, 197}}}, .low = -8, .high = 8});
  check({.op = "softmax", .computed = {{"x", {3, 100, 400}}}, .integers = {{"axis", 1}}, .low = -8, .high = 8});
}

TEST(Kernels, LayerNorm) {
  check({.op = "layer_norm",
         .computed = {{"x", {2, 9, 70}}},
         .constant = {{"gamma", {70}}, {"beta", {70}}},
         .ints = {{"axes", {-1}}}});
  check({.op = "layer_norm", .computed = {{"x", {2, 9, 70}}}, .constant = {{"gamma", {9, 70}}}, .ints = {{"axes", {2, 1}}}});
  check({.op = "layer_norm", .computed = {{"x", {400, 300}}}, .ints = {{"axes", {1}}}, .low = 5, .high = 6});
  check({.op = "layer_norm", .computed = {{"x", {4, 30}}}});
}

TEST(Kernels, NormalisationsByChannel) {
  check(
      {.op = "batch_norm", .computed = {{"x", {2, 5, 7, 9}}}, .constant = {{"mean", {5}}, {"variance", {5}}}, .low = 0.25f});
  check({.op = "batch_norm",
         .computed = {{"x", {3, 6, 150, 151}}},
         .constant = {{"mean", {6}}, {"variance", {6}}, {"gamma", {6}}, {"beta", {6}}},
         .low = 0.25f});
  check({.op = "instance_norm", .computed = {{"x", {2, 5, 7, 9}}}, .constant = {{"gamma", {5}}, {"beta", {5}}}});
  check({.op = "instance_norm", .computed = {{"x", {2, 5, 200, 201}}}});
  check({.op = "instance_norm", .computed = {{"x", {2, 5, 41}}}});
}

TEST(Kernels, Transpose) {
  const std::pair<Shape, std::vector<int32_t>> cases[] = {
      {{5}, {0}},
      {{6, 9}, {1, 0}},
      {{33, 70}, {1, 0}},
      {{1, 70}, {1, 0}},
      {{2, 7, 5, 16}, {0, 2, 1, 3}},
      {{2, 7, 5, 16}, {0, 2, 3, 1}},
      {{2, 7, 5, 16}, {0, 3, 1, 2}},
      {{2, 7, 5, 16}, {3, 2, 1, 0}},
      {{2, 7, 5, 16}, {2, 0, 3, 1}},
      {{2, 7, 1, 16}, {2, 0, 3, 1}},
      {{2, 3, 4, 5, 6}, {4, 0, 2, 1, 3}},
      {{1, 197, 12, 64}, {0, 2, 1, 3}},
      {{1, 197, 12, 64}, {0, 2, 3, 1}},
      {{3, 120, 500}, {0, 2, 1}},
  };
  for (const auto& [shape, perm] : cases) check({.op = "transpose", .computed = {{"x", shape}}, .ints = {{"perm", perm}}});
}

TEST(Kernels, ConcatAndSplit) {
  check({.op = "concat", .computed = {{"values", {2, 3, 4}}, {"values", {2, 5, 4}}}, .integers = {{"axis", 1}}});
  check({.op = "concat",
         .computed = {{"values", {2, 3, 4}}, {"values", {2, 3, 1}}, {"values", {2, 3, 7}}},
         .integers = {{"axis", -1}}});
  check({.op = "concat", .computed = {{"values", {200, 300}}, {"values", {100, 300}}}, .integers = {{"axis", 0}}});
  for (int32_t axis : {0, 1, 2})
    check({.op = "concat",
           .computed = {{"values", {3, 4, 5}}, {"values", {3, 4, 5}}},
           .integers = {{"axis", axis}},
           .flags = {{"interleave", true}}});
  check({.op = "concat",
         .computed = {{"values", {3, 4}}, {"values", {3, 4}}, {"values", {3, 4}}},
         .integers = {{"axis", 1}},
         .flags = {{"interleave", true}}});
  check({.op = "split", .computed = {{"x", {3, 8, 5}}}, .integers = {{"axis", 1}, {"num_splits", 4}}});
  check({.op = "split",
         .computed = {{"x", {300, 700}}},
         .integers = {{"axis", -1}},
         .ints = {{"split_sizes", {100, 250, 350}}}});
  check({.op = "split", .computed = {{"x", {300, 700}}}, .integers = {{"axis", 0}}, .ints = {{"split_sizes", {299, 1}}}});
}

TEST(Kernels, OtherShapesOfTheSameElements) {
  check({.op = "reshape", .computed = {{"x", {4, 6}}}, .ints = {{"shape", {2, -1, 3}}}});
  check({.op = "expand_dims", .computed = {{"x", {4, 6}}}, .ints = {{"axes", {0, 3}}}});
  check({.op = "squeeze", .computed = {{"x", {4, 1, 6, 1}}}, .ints = {{"axes", {1}}}});
  check({.op = "flatten2d", .computed = {{"x", {4, 5, 6}}}, .integers = {{"axis", 2}}});
}

TEST(Kernels, Slices) {
  check({.op = "slice_by_index", .computed = {{"x", {4, 9, 50}}}, .ints = {{"begin", {2, 3, 0}}, {"end", {3, 7, 50}}}});
  check({.op = "split", .computed = {{"x", {1, 8, 5}}}, .integers = {{"axis", 1}, {"num_splits", 4}}});
  check({.op = "slice_by_index", .computed = {{"x", {4, 9, 50}}}, .ints = {{"begin", {1, 2, 0}}, {"end", {3, -1, 50}}}});
  check({.op = "slice_by_index",
         .computed = {{"x", {4, 9, 50}}},
         .ints = {{"begin", {0, 8, 5}}, {"end", {4, 1, 40}}, {"stride", {1, -2, 3}}}});
  check({.op = "slice_by_size", .computed = {{"x", {4, 9, 50}}}, .ints = {{"begin", {1, -3, 10}}, {"size", {2, 3, -1}}}});
}

TEST(Kernels, Resizes) {
  for (const char* op : {"upsample_nearest_neighbor", "upsample_bilinear"}) {
    check(
        {.op = op, .computed = {{"x", {2, 3, 5, 6}}}, .integers = {{"scale_factor_height", 2}, {"scale_factor_width", 3}}});
    check({.op = op,
           .computed = {{"x", {1, 16, 130, 70}}},
           .integers = {{"scale_factor_height", 2}, {"scale_factor_width", 2}}});
  }
  for (const char* op : {"resize_nearest_neighbor", "resize_bilinear"})
    check({.op = op, .computed = {{"x", {2, 3, 5, 6}}}, .integers = {{"target_size_height", 8}, {"target_size_width", 4}}});
}

TEST(Kernels, Reductions) {
  for (const char* op :
       {"reduce_l1_norm", "reduce_l2_norm", "reduce_max", "reduce_mean", "reduce_min", "reduce_sum", "reduce_sum_square"}) {
    for (const std::vector<int32_t>& axes :
         std::vector<std::vector<int32_t>>{{0}, {1}, {2}, {3}, {-1, -2}, {1, 2}, {3, 1, 2}, {0, 1, 2, 3}})
      for (bool keep : {false, true})
        check({.op = op,
               .computed = {{"x", {3, 4, 5, 70}}},
               .ints = {{"axes", axes}},
               .flags = {{"keep_dims", keep}},
               .low = 0.1f});
    check({.op = op, .computed = {{"x", {2, 640, 400}}}, .ints = {{"axes", {2}}}, .low = 0.1f});
    check({.op = op, .computed = {{"x", {2, 640, 400}}}, .ints = {{"axes", {1}}}, .low = 0.1f});
    check({.op = op, .computed = {{"x", {3, 1, 5, 7}}}, .ints = {{"axes", {0, 2}}}, .low = 0.1f});
  }
}

}  // namespace
}  // namespace cortland::engine
