#include <limits>

#include "mil_ops/op_test.h"

namespace cortland::mil_ops {
namespace {

using namespace test;

constexpr float kInf = std::numeric_limits<float>::infinity();
const float kNan = std::nanf("");

TEST(ElementwiseUnary, FloatFunctionsMatchTorch) {
  const struct {
    const mil::MilOp& op;
    float at_minus_075, at_025;
  } cases[] = {{acos, 2.4188585f, 1.3181161f},
               {asin, -0.8480621f, 0.25268024f},
               {atan, -0.6435011f, 0.24497867f},
               {atanh, -0.97295511f, 0.25541282f},
               {cos, 0.73168886f, 0.96891242f},
               {cosh, 1.2946833f, 1.0314131f},
               {sin, -0.68163878f, 0.24740396f},
               {sinh, -0.82231671f, 0.25261232f},
               {tan, -0.93159646f, 0.25534192f},
               {tanh, -0.63514894f, 0.24491866f},
               {exp, 0.47236654f, 1.2840254f},
               {exp2, 0.59460354f, 1.1892071f},
               {erf, -0.71115563f, 0.27632639f},
               {floor, -1, 0},
               {ceil, -0.0f, 1},
               {sqrt, kNan, 0.5f}};
  for (const auto& t : cases) {
    SCOPED_TRACE(t.op.name);
    const Tensor y = run(t.op, {{"x", f32({1, 2}, {-0.75f, 0.25f})}});
    EXPECT_EQ(y.shape, (std::vector<int64_t>{1, 2}));
    expect_near(y, {t.at_minus_075, t.at_025});
  }
}

TEST(ElementwiseUnary, HalfIsComputedInSingleAndRoundedOnce) {
  const Tensor y = run(exp, {{"x", f16({3}, {1.0f, 2.5f, 12.0f})}});
  EXPECT_EQ(y.dtype, DType::F16);
  EXPECT_EQ(floats(y), (std::vector<float>{2.71875f, 12.1796875f, kInf}));
}

TEST(ElementwiseUnary, IntegersAreExactAndWrap) {
  EXPECT_EQ(integers(run(square, {{"x", ints({-3, 46341, 65536})}})), (std::vector<int64_t>{9, -2147479015, 0}));
  EXPECT_EQ(integers(run(abs, {{"x", ints({-7, 0, INT32_MIN})}})), (std::vector<int64_t>{7, 0, INT32_MIN}));
  EXPECT_EQ(integers(run(sign, {{"x", ints({-7, 0, 9})}})), (std::vector<int64_t>{-1, 0, 1}));
  EXPECT_EQ(integers(run(exp2, {{"x", ints({0, 10, 30, 40, -1})}})), (std::vector<int64_t>{1, 1024, 1 << 30, INT32_MAX, 0}));
  EXPECT_EQ(integers(run(threshold, {{"x", ints({-7, 16777217})}, {"alpha", 2}})), (std::vector<int64_t>{2, 16777217}));
}

TEST(ElementwiseUnary, NanPassesComparisons) {
  expect_near(run(clip, {{"x", f32({4}, {kNan, -1, 3, 9})}, {"alpha", 0.0f}, {"beta", 6.0f}}), {kNan, 0, 3, 6});
  expect_near(run(threshold, {{"x", f32({2}, {kNan, -1})}, {"alpha", 0.0f}}), {kNan, 0});
  expect_near(run(sign, {{"x", f32({2}, {kNan, -0.5f})}}), {0, -1});
  EXPECT_FALSE(std::signbit(floats(run(abs, {{"x", f32({1}, {-0.0f})}})).at(0)));
}

TEST(ElementwiseUnary, RoundsHalvesToEven) {
  EXPECT_EQ(floats(run(round, {{"x", f32({4}, {0.5f, 1.5f, -2.5f, 2.4f})}})), (std::vector<float>{0, 2, -2, 2}));
}

TEST(ElementwiseUnary, EpsilonIsAddedInItsOwnType) {
  expect_near(run(log, {{"x", f32({2}, {1, 0})}, {"epsilon", 0.5f}}), {0.40546511f, -0.69314718f});
  expect_near(run(log, {{"x", f16({1}, {0})}}), {-kInf});  // the default underflows in fp16
  expect_near(run(rsqrt, {{"x", f32({2}, {4, 0})}}), {0.5f, 1e6f}, 1e-5);
  expect_near(run(rsqrt, {{"x", f16({1}, {0})}}), {kInf});
  expect_near(run(inverse, {{"x", f32({2}, {0.25f, 0})}}), {3.9984006f, 1e4f});
  EXPECT_TRUE(refuses(log, {{"x", f16({1}, {0})}, {"epsilon", 0.5f}}));  // one type up to iOS16
  expect_near(run(log_ios17, {{"x", f16({1}, {0})}, {"epsilon", 1.0f}}), {0});
}

TEST(ElementwiseUnary, CastConvertsAsTorch) {
  EXPECT_EQ(integers(run(cast, {{"x", f32({3}, {-1.9f, 1.9f, 3e9f})}, {"dtype", "int32"}})),
            (std::vector<int64_t>{-1, 1, INT32_MAX}));
  EXPECT_EQ(integers(run(cast, {{"x", f32({2}, {0, 0.5f})}, {"dtype", "bool"}})), (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(run(cast, {{"x", ints({70000})}, {"dtype", "fp16"}}).dtype, DType::F16);
  EXPECT_EQ(run(cast_ios17, {{"x", ints({200})}, {"dtype", "uint8"}}).dtype, DType::U8);
  EXPECT_TRUE(refuses(cast, {{"x", ints({200})}, {"dtype", "uint8"}}));
  EXPECT_TRUE(refuses(cast_ios17, {{"x", ints({200})}, {"dtype", "int64"}}));
}

TEST(ElementwiseUnary, ClipNeedsAnIntervalSinceIos17) {
  const std::vector<Arg> point = {{"x", f32({1}, {3})}, {"alpha", 1.0f}, {"beta", 1.0f}};
  expect_near(run(clip, point), {1});
  EXPECT_TRUE(refuses(clip_ios17, point));
}

TEST(ElementwiseUnary, LogicalNot) {
  EXPECT_EQ(integers(run(logical_not, {{"x", bools({2}, {0, 1})}})), (std::vector<int64_t>{1, 0}));
  EXPECT_TRUE(refuses(logical_not, {{"x", ints({1})}}));
}

TEST(ElementwiseUnary, ScalarsAndEmptyTensors) {
  EXPECT_EQ(run(exp, {{"x", f32({}, {0})}}).rank(), 0);
  EXPECT_EQ(run(exp, {{"x", f32({2, 0}, {})}}).elements(), 0);
}

}  // namespace
}  // namespace cortland::mil_ops
