#include <limits>

#include "mil_ops/op_test.h"

namespace cortland::mil_ops {
namespace {

using namespace test;

const float kNan = std::nanf("");
constexpr float kInf = std::numeric_limits<float>::infinity();

Tensor apply(const mil::MilOp& op, Tensor x, Tensor y) { return run(op, {{"x", std::move(x)}, {"y", std::move(y)}}); }

TEST(ElementwiseBinary, BroadcastsAlignedRight) {
  const Tensor x = f32({2, 1, 3}, {0, 1, 2, 3, 4, 5}), y = f32({4, 1}, {10, 20, 30, 40});
  const Tensor z = apply(add, x, y);
  EXPECT_EQ(z.shape, (std::vector<int64_t>{2, 4, 3}));
  std::vector<float> expected;
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 4; ++j)
      for (int k = 0; k < 3; ++k) expected.push_back(static_cast<float>(i * 3 + k + (j + 1) * 10));
  EXPECT_EQ(floats(z), expected);
  EXPECT_EQ(floats(apply(sub, f32({}, {1}), f32({2}, {3, 5}))), (std::vector<float>{-2, -4}));
  EXPECT_EQ(apply(mul, f32({}, {2}), f32({}, {3})).rank(), 0);
  EXPECT_EQ(apply(mul, f32({0, 3}, {}), f32({3}, {1, 2, 3})).shape, (std::vector<int64_t>{0, 3}));
  EXPECT_TRUE(refuses(add, {{"x", f32({2}, {1, 2})}, {"y", f32({3}, {1, 2, 3})}}));
  EXPECT_TRUE(refuses(add, {{"x", f32({1}, {1})}, {"y", f16({1}, {1})}}));
}

TEST(ElementwiseBinary, HalfRoundsToNearestEven) {
  EXPECT_EQ(floats(apply(add, f16({2}, {2048, 2048}), f16({2}, {1, 3}))), (std::vector<float>{2048, 2052}));
  EXPECT_EQ(floats(apply(mul, f16({1}, {60000}), f16({1}, {2}))), (std::vector<float>{kInf}));
}

TEST(ElementwiseBinary, IntegersWrap) {
  EXPECT_EQ(integers(apply(add, ints({INT32_MAX}), ints({1}))), (std::vector<int64_t>{INT32_MIN}));
  EXPECT_EQ(integers(apply(mul, ints({65536}), ints({65537}))), (std::vector<int64_t>{65536}));
  EXPECT_EQ(integers(apply(pow, ints({2, -1, -2, 3, 2}), ints({31, 3, 3, 21, -1}))),
            (std::vector<int64_t>{INT32_MIN, -1, -8, 1870418611, 0}));
}

TEST(ElementwiseBinary, DivisionFamily) {
  EXPECT_EQ(integers(apply(floor_div, ints({7, -7, 7, -7, INT32_MIN, 5}), ints({2, 2, -2, -2, -1, 0}))),
            (std::vector<int64_t>{3, -4, -4, 3, INT32_MIN, 0}));
  EXPECT_EQ(integers(apply(mod, ints({7, -7, 7, -7, 5}), ints({2, 2, -2, -2, 0}))), (std::vector<int64_t>{1, 1, -1, -1, 0}));
  EXPECT_EQ(integers(apply(real_div, ints({7, -7, 1}), ints({2, 2, 0}))), (std::vector<int64_t>{3, -3, 0}));
  expect_near(apply(real_div, f32({2}, {1, 0}), f32({2}, {0, 0})), {kInf, kNan});
  // torch: floor_divide and remainder
  expect_near(apply(floor_div, f32({5}, {5.5f, -5.5f, 0.3f, 1, 1}), f32({5}, {2, 2, 0.1f, 0.1f, 0})), {2, -3, 3, 9, kInf});
  expect_near(apply(mod, f32({5}, {5.5f, -5.5f, 5.5f, -5.5f, 1}), f32({5}, {2, 2, -2, -2, 0})),
              {1.5f, 0.5f, -0.5f, -1.5f, kNan});
}

TEST(ElementwiseBinary, ExtremesPropagateNan) {
  expect_near(apply(maximum, f32({3}, {kNan, 1, 2}), f32({3}, {1, kNan, 5})), {kNan, kNan, 5});
  expect_near(apply(minimum, f32({3}, {kNan, 1, 2}), f32({3}, {1, kNan, 5})), {kNan, kNan, 2});
  EXPECT_EQ(integers(apply(maximum, ints({16777217}), ints({16777216}))), (std::vector<int64_t>{16777217}));
}

TEST(ElementwiseBinary, Comparisons) {
  const Tensor x = f32({3}, {1, 2, kNan}), y = f32({3}, {2, 2, kNan});
  const std::pair<const mil::MilOp*, std::vector<int64_t>> cases[] = {{&equal, {0, 1, 0}},   {&not_equal, {1, 0, 1}},
                                                                      {&less, {1, 0, 0}},    {&less_equal, {1, 1, 0}},
                                                                      {&greater, {0, 0, 0}}, {&greater_equal, {0, 1, 0}}};
  for (const auto& [op, expected] : cases) {
    const Tensor z = apply(*op, x, y);
    EXPECT_EQ(z.dtype, DType::Bool);
    EXPECT_EQ(integers(z), expected) << op->name;
  }
  EXPECT_EQ(integers(apply(equal, ints({16777217}), ints({16777216}))), (std::vector<int64_t>{0}));
  EXPECT_TRUE(refuses(equal, {{"x", bools({1}, {1})}, {"y", bools({1}, {1})}}));
}

TEST(ElementwiseBinary, Logic) {
  const Tensor x = bools({4}, {0, 0, 1, 1}), y = bools({4}, {0, 1, 0, 1});
  EXPECT_EQ(integers(apply(logical_and, x, y)), (std::vector<int64_t>{0, 0, 0, 1}));
  EXPECT_EQ(integers(apply(logical_or, x, y)), (std::vector<int64_t>{0, 1, 1, 1}));
  EXPECT_EQ(integers(apply(logical_xor, x, bools({}, {1}))), (std::vector<int64_t>{1, 1, 0, 0}));
}

TEST(ElementwiseBinary, SymbolicSizes) {
  mil::Program program;
  const Dim s = program.dims->symbol("s"), t = program.dims->symbol("t");
  const auto shape_of_sum = [&](Shape a, Shape b) {
    const auto x = program.add_value("x", {DType::F32, std::move(a)}),
               y = program.add_value("y", {DType::F32, std::move(b)});
    auto op = program.add_op(program.add_block(), add, {{"x", x}, {"y", y}});
    return op ? program.type(program.ops[*op].results[0]).shape() : Shape{};
  };
  EXPECT_EQ(shape_of_sum({s, 4}, {4}), (Shape{s, 4}));
  EXPECT_EQ(shape_of_sum({s, 1}, {1, t}), (Shape{s, t}));
  EXPECT_EQ(shape_of_sum({s}, {7}), (Shape{7}));
  EXPECT_FALSE(shape_of_sum({s}, {t})[0].is_constant());
}

}  // namespace
}  // namespace cortland::mil_ops
