#include "mil_ops/op_test.h"

namespace cortland::mil_ops {
namespace {

using namespace test;
using Shape64 = std::vector<int64_t>;

TEST(TensorCreation, Fill) {
  const Tensor y = run(fill, {{"shape", ints({2, 2})}, {"value", 3}});
  EXPECT_EQ(y.dtype, DType::I32);
  EXPECT_EQ(integers(y), (std::vector<int64_t>{3, 3, 3, 3}));
  EXPECT_EQ(run(fill, {{"shape", ints({3})}}).dtype, DType::F32);
  EXPECT_EQ(floats(run(fill, {{"shape", ints({3})}, {"value", f16({}, {0.5f})}})), (std::vector<float>{0.5f, 0.5f, 0.5f}));
  EXPECT_EQ(integers(run(fill_like, {{"ref_tensor", f32({2}, {1, 2})}, {"value", true}})), (std::vector<int64_t>{1, 1}));
  EXPECT_TRUE(refuses(fill, {{"shape", ints({-1})}}));
  EXPECT_TRUE(refuses(fill, {{"shape", ints({2})}, {"value", ints({})}}));
  EXPECT_TRUE(refuses(fill, {{"shape", ints({1 << 30, 1 << 30})}}));
}

TEST(TensorCreation, OneHot) {
  const Tensor y = run(one_hot, {{"indices", ints({2, 0, 5, -1})}, {"one_hot_vector_size", 3}});
  EXPECT_EQ(y.shape, (Shape64{4, 3}));
  EXPECT_EQ(integers(y), (std::vector<int64_t>{0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0}));
  const Tensor z = run(
      one_hot,
      {{"indices", i32({1, 2}, {1, 0})}, {"one_hot_vector_size", 2}, {"axis", 1}, {"on_value", 5.0f}, {"off_value", -1.0f}});
  EXPECT_EQ(z.shape, (Shape64{1, 2, 2}));
  EXPECT_EQ(floats(z), (std::vector<float>{-1, 5, 5, -1}));
  EXPECT_TRUE(refuses(one_hot, {{"indices", ints({1})}, {"one_hot_vector_size", 2}, {"axis", 2}}));
  EXPECT_TRUE(refuses(one_hot, {{"indices", ints({1})}, {"one_hot_vector_size", 2}, {"on_value", ints({5, 6})}}));
  EXPECT_TRUE(refuses(one_hot, {{"indices", ints({1})}, {"one_hot_vector_size", 2}, {"on_value", 5.0f}, {"off_value", 1}}));
}

TEST(TensorCreation, Range) {
  const auto range = [](int start, int end, int step) {
    return integers(run(range_1d, {{"start", start}, {"end", end}, {"step", step}}));
  };
  EXPECT_EQ(range(0, 5, 2), (std::vector<int64_t>{0, 2, 4}));
  EXPECT_EQ(range(5, 0, -2), (std::vector<int64_t>{5, 3, 1}));
  EXPECT_EQ(range(3, 3, 1), (std::vector<int64_t>{}));
  EXPECT_EQ(range(3, 3, -2), (std::vector<int64_t>{}));
  EXPECT_EQ(range(0, 5, -1), (std::vector<int64_t>{}));
  expect_near(run(range_1d, {{"start", 0.0f}, {"end", 0.3f}, {"step", 0.1f}}), {0, 0.1f, 0.2f});
  expect_near(run(range_1d, {{"start", f16({}, {1})}, {"end", f16({}, {2})}, {"step", f16({}, {0.25f})}}),
              {1, 1.25f, 1.5f, 1.75f});
  EXPECT_TRUE(refuses(range_1d, {{"start", 0}, {"end", 5}, {"step", 0}}));
  EXPECT_TRUE(refuses(range_1d, {{"start", 0.0f}, {"end", 5.0f}, {"step", 0.0f}}));
  EXPECT_TRUE(refuses(range_1d, {{"start", 0.0f}, {"end", 1e30f}, {"step", 1.0f}}));
}

TEST(TensorCreation, ShapeAndNonZero) {
  EXPECT_EQ(integers(run(shape, {{"x", iota(DType::F32, {2, 0, 3})}})), (std::vector<int64_t>{2, 0, 3}));
  EXPECT_EQ(run(shape, {{"x", f32({}, {1})}}).shape, (Shape64{0}));
  const Tensor y = run(non_zero, {{"x", f32({2, 3}, {0, 1, 0, -2, 0, std::nanf("")})}}, true);
  EXPECT_EQ(y.shape, (Shape64{3, 2}));
  EXPECT_EQ(integers(y), (std::vector<int64_t>{0, 1, 1, 0, 1, 2}));
  EXPECT_EQ(run(non_zero, {{"x", bools({2}, {0, 0})}}, true).shape, (Shape64{0, 1}));
}

}  // namespace
}  // namespace cortland::mil_ops
