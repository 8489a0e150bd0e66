#include "mil_ops/op_test.h"

namespace cortland::mil_ops {
namespace {

using namespace test;
using Shape64 = std::vector<int64_t>;

const float kNan = std::nanf("");

TEST(Sorting, Argsort) {
  const Tensor x = f32({2, 3}, {3, 1, 2, 5, 5, 9});
  EXPECT_EQ(integers(run(argsort, {{"x", x}})), (std::vector<int64_t>{0, 2, 1, 2, 0, 1}));
  EXPECT_EQ(integers(run(argsort, {{"x", x}, {"ascending", true}})), (std::vector<int64_t>{1, 2, 0, 0, 1, 2}));
  EXPECT_EQ(integers(run(argsort, {{"x", x}, {"axis", 0}})), (std::vector<int64_t>{1, 1, 1, 0, 0, 0}));
  EXPECT_EQ(integers(run(argsort, {{"x", ints({16777216, 16777217})}})), (std::vector<int64_t>{1, 0}));
  // torch: NaN is the largest
  EXPECT_EQ(integers(run(argsort, {{"x", f32({3}, {1, kNan, 2})}})), (std::vector<int64_t>{1, 2, 0}));
  EXPECT_EQ(integers(run(argsort, {{"x", f32({3}, {1, kNan, 2})}, {"ascending", true}})), (std::vector<int64_t>{0, 2, 1}));
}

TEST(Sorting, Topk) {
  const Tensor x = f32({2, 4}, {3, 1, 2, 8, 5, 5, 9, 0});
  const auto top = run_all(topk, {{"x", x}, {"k", 2}});
  EXPECT_EQ(top[0].shape, (Shape64{2, 2}));
  EXPECT_EQ(floats(top[0]), (std::vector<float>{8, 3, 9, 5}));
  EXPECT_EQ(integers(top[1]), (std::vector<int64_t>{3, 0, 2, 0}));
  const auto down = run_all(topk, {{"x", x}, {"k", 1}, {"axis", 0}, {"ascending", true}});
  EXPECT_EQ(floats(down[0]), (std::vector<float>{3, 1, 2, 0}));
  EXPECT_EQ(integers(down[1]), (std::vector<int64_t>{0, 0, 0, 1}));
  EXPECT_TRUE(refuses(topk, {{"x", x}, {"k", 5}}));
  EXPECT_TRUE(refuses(topk, {{"x", x}, {"k", -1}}));
  EXPECT_EQ(run_all(topk_ios16, {{"x", x}, {"k", 2}, {"return_indices", false}}).size(), 1u);
  const auto all = run_all(topk_ios17, {{"x", iota(DType::U8, {3})},
                                        {"k", Tensor::from(DType::I8, {}, std::vector<int64_t>{-1})},
                                        {"output_indices_dtype", "uint16"}});
  EXPECT_EQ(integers(all[0]), (std::vector<int64_t>{2, 1, 0}));
  EXPECT_EQ(all[1].dtype, DType::U16);
}

TEST(Sorting, Cumsum) {
  const Tensor x = f32({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto sum = [&](int axis, bool exclusive, bool reverse) {
    return floats(run(cumsum, {{"x", x}, {"axis", axis}, {"exclusive", exclusive}, {"reverse", reverse}}));
  };
  EXPECT_EQ(sum(0, false, false), (std::vector<float>{1, 2, 3, 5, 7, 9}));
  EXPECT_EQ(sum(-1, false, false), (std::vector<float>{1, 3, 6, 4, 9, 15}));
  EXPECT_EQ(sum(1, true, false), (std::vector<float>{0, 1, 3, 0, 4, 9}));
  EXPECT_EQ(sum(1, false, true), (std::vector<float>{6, 5, 3, 15, 11, 6}));
  EXPECT_EQ(sum(1, true, true), (std::vector<float>{5, 3, 0, 11, 6, 0}));
  EXPECT_EQ(integers(run(cumsum, {{"x", ints({INT32_MAX, 1})}})), (std::vector<int64_t>{INT32_MAX, INT32_MIN}));
  // Halves are summed in double: 4096 ones reach 4096.
  EXPECT_EQ(floats(run(cumsum, {{"x", f16({4096}, std::vector<float>(4096, 1))}})).at(4095), 4096);
}

}  // namespace
}  // namespace cortland::mil_ops
