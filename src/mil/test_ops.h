// A few descriptors for the tests of this layer, which does not know the real table.
#pragma once

#include "mil/op.h"

namespace cortland::mil::test {

inline constexpr Input kLeakyInputs[] = {value("x", kFloats), constant("alpha", kFloats)};
inline constexpr MilOp kLeaky{.name = "leaky_relu", .inputs = kLeakyInputs};
inline constexpr Input kConcatInputs[] = {variadic("values", kFloats), constant("axis", kInt32)};
inline constexpr MilOp kConcat{.name = "concat", .inputs = kConcatInputs};
inline constexpr Input kWriteInputs[] = {value("input", kFloats, 0), value("data", kFloats, 0)};
inline constexpr MilOp kWrite{.name = "write_state", .inputs = kWriteInputs, .pure = false};
inline constexpr Input kCondInputs[] = {value("pred", kBools, 0)};
inline constexpr MilOp kCond{.name = "cond", .inputs = kCondInputs};

}  // namespace cortland::mil::test
