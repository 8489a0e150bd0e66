#include <cmath>
#include <type_traits>

#include "mil_ops/elementwise.h"
#include "mil_ops/ops.h"
#include "mil_ops/shape_rules.h"

namespace cortland::mil_ops {

using namespace mil;

namespace {

constexpr Input kNumbersXY[] = {value("x", kNumbers), value("y", kNumbers)};
constexpr Input kBoolsXY[] = {value("x", kBools), value("y", kBools)};

Types infer_arithmetic(InferContext& c) {
  TRY(Shape shape, broadcast_dims(c, c.shape("x"), c.shape("y")));
  return one({c.dtype("x"), std::move(shape)});
}

Types infer_comparison(InferContext& c) {
  TRY(Shape shape, broadcast_dims(c, c.shape("x"), c.shape("y")));
  return one({DType::Bool, std::move(shape)});
}

template <auto F>
Status logical_op(EvalContext& c) {
  const Tensor x = c.tensor("x"), y = c.tensor("y");
  TRY(const Sizes shape, broadcast_sizes(c, x.shape, y.shape));
  broadcast_run<uint8_t>(x, y, shape, c.output(0, shape, DType::Bool).mutable_data<uint8_t>(), F);
  return {};
}

template <class T>
constexpr bool kIsFloat = std::is_floating_point_v<T>;

// Integer division by zero gives 0; the quotient and the remainder round towards minus infinity.
int64_t floor_quotient(int64_t a, int64_t b) {
  if (b == 0) return 0;
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

float floor_remainder(float a, float b) {
  const float r = std::fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

// From the exact remainder, so that rounding of a / b cannot cross an integer.
float floor_quotient(float a, float b) {
  if (b == 0) return a / b;
  const float quotient = (a - floor_remainder(a, b)) / b;
  return quotient == 0 ? std::copysign(0.0f, a / b) : std::nearbyint(quotient);
}

int64_t int_power(int64_t base, int64_t exponent) {
  if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent % 2 != 0 ? -1 : 1) : 0;
  uint64_t result = 1, factor = static_cast<uint64_t>(base);  // wraps
  for (; exponent > 0; exponent >>= 1, factor *= factor)
    if (exponent & 1) result *= factor;
  return static_cast<int64_t>(result);
}

constexpr auto kAdd = [](auto a, auto b) { return a + b; };
constexpr auto kSub = [](auto a, auto b) { return a - b; };
constexpr auto kMul = [](auto a, auto b) { return a * b; };
constexpr auto kRealDiv = [](auto a, auto b) {
  if constexpr (kIsFloat<decltype(a)>)
    return a / b;
  else
    return b == 0 ? 0 : a / b;
};
constexpr auto kFloorDiv = [](auto a, auto b) { return floor_quotient(a, b); };
constexpr auto kMod = [](auto a, auto b) {
  if constexpr (kIsFloat<decltype(a)>)
    return floor_remainder(a, b);
  else
    return b == 0 ? 0 : a - b * floor_quotient(a, b);
};
constexpr auto kPow = [](auto a, auto b) {
  if constexpr (kIsFloat<decltype(a)>)
    return std::pow(a, b);
  else
    return int_power(a, b);
};
constexpr auto kMaximum = [](auto a, auto b) { return a != a || a > b ? a : b; };  // NaN wins
constexpr auto kMinimum = [](auto a, auto b) { return a != a || a < b ? a : b; };

constexpr auto kEqual = [](auto a, auto b) { return a == b; };
constexpr auto kNotEqual = [](auto a, auto b) { return a != b; };
constexpr auto kGreater = [](auto a, auto b) { return a > b; };
constexpr auto kGreaterEqual = [](auto a, auto b) { return a >= b; };
constexpr auto kLess = [](auto a, auto b) { return a < b; };
constexpr auto kLessEqual = [](auto a, auto b) { return a <= b; };

constexpr auto kAnd = [](uint8_t a, uint8_t b) { return a && b; };
constexpr auto kOr = [](uint8_t a, uint8_t b) { return a || b; };
constexpr auto kXor = [](uint8_t a, uint8_t b) { return (a != 0) != (b != 0); };

}  // namespace

const MilOp add{.name = "add", .inputs = kNumbersXY, .infer = infer_arithmetic, .eval = arithmetic_op<kAdd>};
const MilOp equal{.name = "equal", .inputs = kNumbersXY, .infer = infer_comparison, .eval = comparison_op<kEqual>};
const MilOp floor_div{
    .name = "floor_div", .inputs = kNumbersXY, .infer = infer_arithmetic, .eval = arithmetic_op<kFloorDiv>};
const MilOp greater{.name = "greater", .inputs = kNumbersXY, .infer = infer_comparison, .eval = comparison_op<kGreater>};
const MilOp greater_equal{
    .name = "greater_equal", .inputs = kNumbersXY, .infer = infer_comparison, .eval = comparison_op<kGreaterEqual>};
const MilOp less{.name = "less", .inputs = kNumbersXY, .infer = infer_comparison, .eval = comparison_op<kLess>};
const MilOp less_equal{
    .name = "less_equal", .inputs = kNumbersXY, .infer = infer_comparison, .eval = comparison_op<kLessEqual>};
const MilOp logical_and{.name = "logical_and", .inputs = kBoolsXY, .infer = infer_comparison, .eval = logical_op<kAnd>};
const MilOp logical_or{.name = "logical_or", .inputs = kBoolsXY, .infer = infer_comparison, .eval = logical_op<kOr>};
const MilOp logical_xor{.name = "logical_xor", .inputs = kBoolsXY, .infer = infer_comparison, .eval = logical_op<kXor>};
const MilOp maximum{.name = "maximum", .inputs = kNumbersXY, .infer = infer_arithmetic, .eval = arithmetic_op<kMaximum>};
const MilOp minimum{.name = "minimum", .inputs = kNumbersXY, .infer = infer_arithmetic, .eval = arithmetic_op<kMinimum>};
const MilOp mod{.name = "mod", .inputs = kNumbersXY, .infer = infer_arithmetic, .eval = arithmetic_op<kMod>};
const MilOp mul{.name = "mul", .inputs = kNumbersXY, .infer = infer_arithmetic, .eval = arithmetic_op<kMul>};
const MilOp not_equal{
    .name = "not_equal", .inputs = kNumbersXY, .infer = infer_comparison, .eval = comparison_op<kNotEqual>};
const MilOp pow{.name = "pow", .inputs = kNumbersXY, .infer = infer_arithmetic, .eval = arithmetic_op<kPow>};
const MilOp real_div{.name = "real_div", .inputs = kNumbersXY, .infer = infer_arithmetic, .eval = arithmetic_op<kRealDiv>};
const MilOp sub{.name = "sub", .inputs = kNumbersXY, .infer = infer_arithmetic, .eval = arithmetic_op<kSub>};

}  // namespace cortland::mil_ops
