#include "mil/runtime.h"

#include <gtest/gtest.h>

namespace cortland::mil {
namespace {

constexpr Input kInputs[] = {value("x", kFloats), value("y", kFloats), option("mode", kStrings, "sum"),
                             option("axis", kInt32)};
const MilOp kOp{.name = "test_op", .inputs = kInputs};
const std::vector<Type> kResult = {{DType::F32, {1}}};

RuntimeValue tensor(DType dtype) { return {Tensor::from(dtype, {1}, std::vector<int64_t>{1}), {}, {}}; }
RuntimeValue text(std::string t) { return {{}, {std::move(t)}, {}}; }

bool accepts(const std::vector<std::vector<RuntimeValue>>& inputs, std::span<const Type> results = kResult) {
  return EvalContext(kOp, inputs, results).check_operands().ok();
}

TEST(EvalContext, ChecksOperandsAgainstTheDescriptor) {
  const RuntimeValue x = tensor(DType::F32), half = tensor(DType::F16), axis = tensor(DType::I32);
  EXPECT_TRUE(accepts({{x}, {x}, {}, {}}));
  EXPECT_TRUE(accepts({{half}, {half}, {text("sum")}, {axis}}));
  EXPECT_FALSE(accepts({{x}, {}, {}, {}}));                      // missing
  EXPECT_FALSE(accepts({{x}, {half}, {}, {}}));                  // not the type of x
  EXPECT_FALSE(accepts({{x}, {x}, {}, {tensor(DType::Bool)}}));  // no axis
  EXPECT_FALSE(accepts({{x}, {x}, {axis}, {}}));                 // no text
  EXPECT_FALSE(accepts({{x}, {text("x")}, {}, {}}));             // text for a tensor
  EXPECT_FALSE(accepts({{x}, {RuntimeValue{}}, {}, {}}));        // never computed
  RuntimeValue list;
  list.list = std::make_shared<std::vector<Tensor>>();
  EXPECT_FALSE(accepts({{x}, {list}, {}, {}}));
  EXPECT_FALSE(accepts({{x}, {x}, {}, {}}, {}));  // nowhere to put the result
}

TEST(EvalContext, AbsentAndEmptyOperands) {
  const std::vector<std::vector<RuntimeValue>> inputs = {{{Tensor::make(DType::F32, {0}), {}, {}}}, {}, {}, {}};
  const EvalContext c(kOp, inputs, kResult);
  EXPECT_EQ(c.str("mode"), "sum");
  EXPECT_EQ(c.number("x"), 0);
  EXPECT_FALSE(c.has("axis"));
}

TEST(EvalContext, ResultsBeyondTheProgramAreOurBug) {
  EvalContext c(kOp, {}, kResult);
  EXPECT_NO_THROW(c.output(0, {2}));
  EXPECT_THROW(c.output(1, {2}), InternalError);
}

}  // namespace
}  // namespace cortland::mil
