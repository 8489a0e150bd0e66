#include <gtest/gtest.h>

#include <cmath>

#include "mil_ops/op_test.h"

namespace cortland::mil_ops {
namespace {

using namespace test;

TEST(Gather, PutsIndexAxesInPlaceOfTheAxis) {
  const Tensor x = iota(DType::F16, {2, 3, 2});
  const Tensor y = run(gather, {{"x", x}, {"indices", i32({2, 2}, {2, 0, -1, 1})}, {"axis", 1}});
  EXPECT_EQ(y.shape, (std::vector<int64_t>{2, 2, 2, 2}));
  EXPECT_EQ(integers(y), (std::vector<int64_t>{4, 5, 0, 1, 4, 5, 2, 3, 10, 11, 6, 7, 10, 11, 8, 9}));
  const Tensor row = run(gather, {{"x", x}, {"indices", 1}, {"axis", -1}});
  EXPECT_EQ(row.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(integers(row), (std::vector<int64_t>{1, 3, 5, 7, 9, 11}));
  const Tensor scalar = run(gather, {{"x", ints({7, 8, 9})}, {"indices", 2}});
  EXPECT_TRUE(scalar.shape.empty());
  EXPECT_EQ(integers(scalar), (std::vector<int64_t>{9}));
  EXPECT_EQ(run(gather, {{"x", x}, {"indices", i32({0}, {})}}).shape, (std::vector<int64_t>{0, 3, 2}));
}

TEST(Gather, BatchDims) {
  // tf.gather(x, indices, axis=2, batch_dims=1)
  const Tensor y =
      run(gather_ios16,
          {{"x", iota(DType::I32, {2, 2, 3})}, {"indices", i32({2, 2}, {0, 2, 1, 1})}, {"axis", 2}, {"batch_dims", 1}});
  EXPECT_EQ(y.shape, (std::vector<int64_t>{2, 2, 2}));
  EXPECT_EQ(integers(y), (std::vector<int64_t>{0, 2, 3, 5, 7, 7, 10, 10}));
  EXPECT_TRUE(refuses(
      gather_ios16, {{"x", iota(DType::I32, {2, 3})}, {"indices", i32({3, 1}, {0, 0, 0})}, {"axis", 1}, {"batch_dims", 1}}));
  EXPECT_TRUE(refuses(gather_ios16,
                      {{"x", iota(DType::I32, {2, 3})}, {"indices", i32({2, 1}, {0, 0})}, {"axis", 0}, {"batch_dims", 1}}));
}

TEST(Gather, IndexBounds) {
  const Tensor x = ints({7, 8, 9});
  EXPECT_TRUE(refuses(gather, {{"x", x}, {"indices", ints({3})}}));
  EXPECT_TRUE(refuses(gather, {{"x", x}, {"indices", ints({-4})}}));
  EXPECT_TRUE(refuses(gather_ios17, {{"x", x}, {"indices", ints({-1})}}));  // counts from the end up to iOS16 only
  EXPECT_TRUE(refuses(gather, {{"x", x}, {"indices", ints({0})}, {"axis", 1}}));
  const Tensor bytes = Tensor::from(DType::U8, {3}, std::vector<int64_t>{7, 8, 200});
  EXPECT_EQ(
      integers(run(gather_ios17, {{"x", bytes}, {"indices", Tensor::from(DType::U16, {2}, std::vector<int64_t>{2, 0})}})),
      (std::vector<int64_t>{200, 7}));
}

TEST(GatherAlongAxis, TakesOneElementEach) {
  // numpy.take_along_axis
  const Tensor x = iota(DType::F32, {3, 2, 2});
  const Tensor y = run(gather_along_axis, {{"x", x}, {"indices", i32({1, 2, 2}, {2, 0, -1, 1})}, {"axis", 0}});
  EXPECT_EQ(floats(y), (std::vector<float>{8, 1, 10, 7}));
  EXPECT_EQ(floats(run(gather_along_axis_ios16,
                       {{"x", iota(DType::F32, {2, 3})}, {"indices", i32({2, 2}, {2, 2, 0, 1})}, {"axis", -1}})),
            (std::vector<float>{2, 2, 3, 4}));
  EXPECT_TRUE(refuses(gather_along_axis, {{"x", x}, {"indices", i32({1, 3, 2}, {0, 0, 0, 0, 0, 0})}}));
  EXPECT_TRUE(refuses(gather_along_axis_ios17, {{"x", ints({1, 2})}, {"indices", ints({-1})}}));
}

TEST(GatherNd, PicksSlicesByCoordinates) {
  const Tensor x = iota(DType::I32, {2, 3, 2});
  const Tensor rows = run(gather_nd, {{"x", x}, {"indices", i32({2, 2}, {1, 2, 0, -2})}});
  EXPECT_EQ(rows.shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(integers(rows), (std::vector<int64_t>{10, 11, 2, 3}));
  const Tensor batched = run(gather_nd_ios16, {{"x", x}, {"indices", i32({2, 2, 1}, {2, 0, 1, 1})}, {"batch_dims", 1}});
  EXPECT_EQ(batched.shape, (std::vector<int64_t>{2, 2, 2}));
  EXPECT_EQ(integers(batched), (std::vector<int64_t>{4, 5, 0, 1, 8, 9, 8, 9}));
  EXPECT_EQ(integers(run(gather_nd_ios17, {{"x", x}, {"indices", i32({3}, {1, 1, 1})}})), (std::vector<int64_t>{9}));
  EXPECT_TRUE(refuses(gather_nd, {{"x", x}, {"indices", i32({4}, {0, 0, 0, 0})}}));
  EXPECT_TRUE(refuses(gather_nd, {{"x", x}, {"indices", i32({2}, {2, 0})}}));
  EXPECT_TRUE(refuses(gather_nd_ios16, {{"x", x}, {"indices", i32({3, 1}, {0, 0, 0})}, {"batch_dims", 1}}));
}

Tensor scatter_mode(const char* mode, Tensor data, Tensor updates) {
  return run(scatter,
             {{"data", std::move(data)}, {"indices", ints({1, 0, 1})}, {"updates", std::move(updates)}, {"mode", mode}});
}

TEST(Scatter, Modes) {
  const Tensor data = f32({2, 1}, {6, 8}), updates = f32({3, 1}, {2, 3, 4});
  EXPECT_EQ(floats(scatter_mode("update", data, updates)), (std::vector<float>{3, 4}));
  EXPECT_EQ(floats(scatter_mode("add", data, updates)), (std::vector<float>{9, 14}));
  EXPECT_EQ(floats(scatter_mode("sub", data, updates)), (std::vector<float>{3, 2}));
  EXPECT_EQ(floats(scatter_mode("mul", data, updates)), (std::vector<float>{18, 64}));
  EXPECT_EQ(floats(scatter_mode("div", data, updates)), (std::vector<float>{2, 1}));
  EXPECT_EQ(floats(scatter_mode("max", data, updates)), (std::vector<float>{6, 8}));
  EXPECT_EQ(floats(scatter_mode("min", data, updates)), (std::vector<float>{3, 2}));
  expect_near(scatter_mode("max", data, f32({3, 1}, {2, NAN, 4})), {NAN, 8});
  EXPECT_TRUE(refuses(scatter, {{"data", data}, {"indices", ints({0})}, {"updates", f32({1, 1}, {1})}, {"mode", "xor"}}));
}

TEST(Scatter, IntegersWrapAndAxesCount) {
  const Tensor wrapped = scatter_mode("add", i32({2}, {0, INT32_MAX}), i32({3}, {1, 5, 0}));
  EXPECT_EQ(integers(wrapped), (std::vector<int64_t>{5, INT32_MIN}));
  const Tensor y = run(
      scatter_ios17,
      {{"data", i32({2, 3}, {1, 2, 3, 4, 5, 6})}, {"indices", ints({2})}, {"updates", i32({2, 1}, {10, 20})}, {"axis", -1}});
  EXPECT_EQ(integers(y), (std::vector<int64_t>{1, 2, 13, 4, 5, 26}));  // mode is add when left out
  EXPECT_TRUE(refuses(scatter_ios17, {{"data", ints({1})}, {"indices", ints({-1})}, {"updates", ints({1})}}));
  EXPECT_TRUE(refuses(scatter, {{"data", ints({1, 2})}, {"indices", ints({0})}, {"updates", ints({1, 2})}}));
}

TEST(Scatter, HalfPrecisionSumsRoundOnce) {
  // 2048 + 1 + 1: the first sum alone would round back to 2048 in float16.
  EXPECT_EQ(floats(run(scatter, {{"data", f16({1}, {2048})}, {"indices", ints({0, 0})}, {"updates", f16({2}, {1, 1})}})),
            (std::vector<float>{2050}));
}

TEST(ScatterAlongAxis, PutsOneElementEach) {
  // numpy.put_along_axis
  const Tensor y = run(scatter_along_axis, {{"data", iota(DType::F32, {2, 3})},
                                            {"indices", i32({2, 2}, {2, 0, 1, -1})},
                                            {"updates", f32({2, 2}, {10, 20, 30, 40})},
                                            {"axis", 1},
                                            {"mode", "update"}});
  EXPECT_EQ(floats(y), (std::vector<float>{20, 1, 10, 3, 30, 40}));
  const Tensor sums = run(scatter_along_axis_ios17, {{"data", i32({3, 1}, {0, 0, 0})},
                                                     {"indices", i32({4, 1}, {2, 0, 2, 2})},
                                                     {"updates", i32({4, 1}, {1, 2, 3, 4})},
                                                     {"axis", 0}});
  EXPECT_EQ(integers(sums), (std::vector<int64_t>{2, 0, 8}));
  EXPECT_TRUE(refuses(scatter_along_axis, {{"data", ints({1, 2})}, {"indices", ints({0})}, {"updates", ints({1, 2})}}));
}

TEST(ScatterNd, WritesSlicesByCoordinates) {
  const Tensor y = run(scatter_nd, {{"data", iota(DType::I32, {2, 2, 2})},
                                    {"indices", i32({2, 2}, {1, 0, 0, -1})},
                                    {"updates", i32({2, 2}, {10, 11, 12, 13})},
                                    {"mode", "update"}});
  EXPECT_EQ(integers(y), (std::vector<int64_t>{0, 1, 12, 13, 10, 11, 6, 7}));
  const Tensor sums =
      run(scatter_nd_ios17, {{"data", ints({1, 1, 1})}, {"indices", i32({3, 1}, {2, 2, 0})}, {"updates", ints({5, 6, 7})}});
  EXPECT_EQ(integers(sums), (std::vector<int64_t>{8, 1, 12}));
  EXPECT_TRUE(refuses(scatter_nd, {{"data", ints({1, 1})}, {"indices", i32({1, 1}, {2})}, {"updates", ints({5})}}));
  EXPECT_TRUE(refuses(scatter_nd, {{"data", ints({1, 1})}, {"indices", i32({1, 2}, {0, 0})}, {"updates", ints({5})}}));
}

}  // namespace
}  // namespace cortland::mil_ops
