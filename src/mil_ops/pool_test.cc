// Expected numbers are PyTorch's unless a comment says otherwise.
#include <gtest/gtest.h>

#include <cmath>

#include "mil_ops/op_test.h"

namespace cortland::mil_ops {
namespace {

using namespace test;

Tensor wave(std::vector<int64_t> shape) {
  std::vector<float> v(static_cast<size_t>(Tensor{DType::F32, shape, nullptr}.elements()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>((static_cast<int>(i) * 37 + 11) % 23 - 11) / 8;
  return f32(std::move(shape), v);
}

TEST(Pool, CeilModeAveragesOverWhatIsThere) {
  const std::vector<Arg> args = {{"x", wave({1, 1, 5, 6})}, {"kernel_sizes", ints({3, 2})}, {"strides", ints({2, 2})},
                                 {"pad_type", "custom"},    {"pad", ints({1, 1, 1, 1})},    {"ceil_mode", true}};
  expect_near(run(avg_pool, args), {-0.1666667f, -0.02083333f, 0.3958333f, -0.125f, -0.04166667f, -0.3333333f, 0.2916667f,
                                    0.02083333f, -0.2083333f, -0.1041667f, 0.3125f, -0.1666667f});
  auto excluding = args;
  excluding.emplace_back("exclude_padding_from_average", true);
  expect_near(run(avg_pool, excluding), {-0.5f, -0.03125f, 0.59375f, -0.375f, -0.08333334f, -0.3333333f, 0.2916667f,
                                         0.04166667f, -0.625f, -0.15625f, 0.46875f, -0.5f});
  expect_near(run(max_pool, args), {0, 0.75f, 1.375f, 0.125f, 0.875f, 0.75f, 1.375f, 1, -0.125f, 0.625f, 1.25f, 0});
}

TEST(Pool, ThreeAxesAndOne) {
  expect_near(run(max_pool, {{"x", wave({1, 1, 3, 3, 3})}, {"kernel_sizes", ints({2, 2, 2})}, {"pad_type", "valid"}}),
              {1.375f, 1.25f, 1.25f, 1.25f, 1.375f, 1.125f, 1.125f, 1.125f});
  expect_near(run(l2_pool, {{"x", wave({1, 2, 5})}, {"kernel_sizes", ints({2})}, {"pad_type", "valid"}}),
              {1.125f, 1.286954f, 0.8003905f, 1.346291f, 1.007782f, 1.25f, 0.8385255f, 1.425219f});
}

TEST(Pool, SamePadding) {
  // By hand: windows of 2 over {1, 2, 3}.
  const Tensor x = f32({1, 1, 3}, {1, 2, 3});
  EXPECT_EQ(floats(run(avg_pool, {{"x", x}, {"kernel_sizes", ints({2})}, {"pad_type", "same"}})),
            (std::vector<float>{1.5f, 2.5f, 1.5f}));
  EXPECT_EQ(
      floats(run(avg_pool,
                 {{"x", x}, {"kernel_sizes", ints({2})}, {"pad_type", "same"}, {"exclude_padding_from_average", true}})),
      (std::vector<float>{1.5f, 2.5f, 3}));
  EXPECT_EQ(floats(run(max_pool, {{"x", f32({1, 1, 3}, {-1, -2, -3})}, {"kernel_sizes", ints({3})}, {"pad_type", "SAME"}})),
            (std::vector<float>{-1, -1, -2}));
}

TEST(Pool, MaxKeepsNan) {
  expect_near(run(max_pool, {{"x", f32({1, 1, 4}, {1, NAN, 3, 4})}, {"kernel_sizes", ints({2})}, {"pad_type", "valid"}}),
              {NAN, NAN, 4});
}

TEST(Pool, RefusesWhatDoesNotFit) {
  const Tensor x = wave({1, 1, 5, 6});
  EXPECT_TRUE(refuses(max_pool, {{"x", x}, {"kernel_sizes", ints({6, 2})}, {"pad_type", "valid"}}));
  EXPECT_TRUE(refuses(max_pool, {{"x", x}, {"kernel_sizes", ints({2})}, {"pad_type", "valid"}}));
  EXPECT_TRUE(refuses(max_pool, {{"x", x}, {"kernel_sizes", ints({0, 2})}, {"pad_type", "valid"}}));
  EXPECT_TRUE(refuses(max_pool, {{"x", x}, {"kernel_sizes", ints({2, 2})}, {"pad_type", "reflect"}}));
  EXPECT_TRUE(refuses(max_pool, {{"x", x}, {"kernel_sizes", ints({2, 2})}, {"pad_type", "same"}, {"ceil_mode", true}}));
  EXPECT_TRUE(refuses(
      max_pool,
      {{"x", x}, {"kernel_sizes", ints({2, 2})}, {"pad_type", "custom"}, {"pad", ints({0, 1, 0, 0})}, {"ceil_mode", true}}));
  EXPECT_TRUE(refuses(l2_pool, {{"x", wave({1, 1, 3, 3, 3})}, {"kernel_sizes", ints({2, 2, 2})}, {"pad_type", "valid"}}));
}

}  // namespace
}  // namespace cortland::mil_ops
