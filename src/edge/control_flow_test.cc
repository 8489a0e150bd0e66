#include "edge/control_flow.h"

#include <gmock/gmock.h>

#include "edge/test_graphs.h"

namespace cortland::edge {
namespace {

using executorch::JumpFalseCall;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using torch::Arg;
using torch::NodeId;
using torch::Region;
using torch::RegionId;
using torch::ValueId;

const TensorType kThree{DType::F32, {3}}, kTruth{DType::Bool, {}};

class ControlFlowTest : public testing::Test {
 protected:
  // A node inside of a region: TestGraph puts it at the end of the graph first.
  ValueId inner(Region& region, const std::string& target, std::vector<torch::NamedArg> args, TensorType type) {
    const ValueId v = t.node(target, std::move(args), std::move(type));
    region.order.push_back(t.graph().values[v].producer);
    t.graph().order.pop_back();
    t.g.steps.pop_back();
    return v;
  }

  ValueId region_input(Region& region, const std::string& name, TensorType type) {
    region.inputs.push_back(t.value(name, std::move(type)));
    return region.inputs.back();
  }

  RegionId add(Region region) { return t.graph().regions.add(std::move(region)); }

  executorch::Plan plan() {
    program = t.plan();
    return program.plans[0];
  }

  static JumpFalseCall jump(const executorch::Plan& plan, size_t i) {
    return std::get<JumpFalseCall>(plan.instructions.at(i));
  }

  TestGraph t;
  executorch::PteProgram program;
};

TEST_F(ControlFlowTest, BranchesWriteTheirResultWhereItLies) {
  const ValueId x = t.input("x", kThree), p = t.input("p", kTruth);
  Region yes, no;
  const ValueId a = region_input(yes, "a", kThree), b = region_input(no, "b", kThree);
  yes.outputs = {inner(yes, "aten.relu.default", {{"self", a}}, kThree)};
  no.outputs = {inner(no, "aten.neg.default", {{"self", b}}, kThree)};
  t.output(t.nodes("higher_order.cond", {{"", p}, {"", add(yes)}, {"", add(no)}, {"", Arg::List{x}}}, {kThree})[0]);
  const auto made = plan();
  EXPECT_THAT(text(made), ElementsAre("other", "aten::relu.out(t0 t2 t2)", "other", "aten::neg.out(t0 t2 t2)"));
  EXPECT_EQ(jump(made, 0).condition, 1);
  EXPECT_EQ(jump(made, 0).destination, 3);
  EXPECT_EQ(jump(made, 2).destination, 4);
  EXPECT_EQ(text(made, jump(made, 2).condition), "false");
}

TEST_F(ControlFlowTest, WhatABranchHandsThroughIsCopied) {
  const ValueId x = t.input("x", kThree), p = t.input("p", kTruth);
  Region yes, no;
  yes.outputs = {region_input(yes, "a", kThree)};
  const ValueId b = region_input(no, "b", kThree);
  no.outputs = {inner(no, "aten.neg.default", {{"self", b}}, kThree)};
  t.output(t.nodes("higher_order.cond", {{"", p}, {"", add(yes)}, {"", add(no)}, {"", Arg::List{x}}}, {kThree})[0]);
  EXPECT_THAT(text(plan())[1], HasSubstr("clone"));
}

// while (i < 3) { x = -x; } with w added in each turn: w must keep its memory to the end of the loop.
TEST_F(ControlFlowTest, ALoopKeepsWhatItReadsFromOutside) {
  const TensorType count{DType::I64, {}};
  const ValueId x = t.input("x", kThree), i = t.input("i", count);
  const ValueId w = t.node("aten.exp.default", {{"self", x}}, kThree);
  Region condition, body;
  for (Region* r : {&condition, &body}) {
    region_input(*r, "i", count);
    region_input(*r, "x", kThree);
    region_input(*r, "w", kThree);
  }
  condition.outputs = {inner(condition, "aten.lt.Scalar", {{"self", condition.inputs[0]}, {"other", int64_t{3}}}, kTruth)};
  const ValueId next = inner(body, "aten.add.Tensor", {{"self", body.inputs[0]}, {"other", int64_t{1}}}, count);
  const ValueId sum = inner(body, "aten.add.Tensor", {{"self", body.inputs[1]}, {"other", body.inputs[2]}}, kThree);
  const ValueId late = inner(body, "aten.neg.default", {{"self", sum}}, kThree);
  body.outputs = {next, late};
  const auto results =
      t.nodes("higher_order.while_loop", {{"", add(condition)}, {"", add(body)}, {"", Arg::List{i, x}}, {"", Arg::List{w}}},
              {count, kThree});
  t.output(results[1]);
  const auto made = plan();
  const auto lines = text(made);
  ASSERT_THAT(lines, SizeIs(11));
  EXPECT_THAT(lines[3], HasSubstr("aten::lt"));
  EXPECT_EQ(jump(made, 4).destination, 11);
  EXPECT_EQ(jump(made, 10).destination, 3) << "back to the condition";
  // Nothing that the body writes lies in w's memory.
  const auto& exp = std::get<executorch::KernelCall>(made.instructions[0]);
  const auto held = tensor(made, exp.args.back()).allocation;
  for (size_t k = 5; k < 10; ++k) {
    const auto& call = std::get<executorch::KernelCall>(made.instructions[k]);
    EXPECT_NE(tensor(made, call.args.back()).allocation, held) << lines[k];
  }
}

TEST_F(ControlFlowTest, ValuesThatChangePlacesAreSavedBeforeEitherIsWritten) {
  const ValueId a = t.input("a", kThree), b = t.input("b", kThree), p = t.input("p", kTruth);
  Region condition, body;
  for (Region* r : {&condition, &body}) {
    region_input(*r, "a", kThree);
    region_input(*r, "b", kThree);
    region_input(*r, "p", kTruth);
  }
  condition.outputs = {inner(condition, "aten.logical_not.default", {{"self", condition.inputs[2]}}, kTruth)};
  body.outputs = {body.inputs[1], body.inputs[0]};
  const auto results =
      t.nodes("higher_order.while_loop", {{"", add(condition)}, {"", add(body)}, {"", Arg::List{a, b}}, {"", Arg::List{p}}},
              {kThree, kThree});
  t.output(results[0]);
  const auto made = plan();
  // Two first values, the condition, its jump, two saved, two written, and back.
  ASSERT_THAT(made.instructions, SizeIs(9));
  const auto args = [&](size_t k) { return std::get<executorch::KernelCall>(made.instructions[k]).args; };
  EXPECT_EQ(args(6)[0], args(4).back());
  EXPECT_EQ(args(7)[0], args(5).back());
}

TEST_F(ControlFlowTest, MalformedOnesAreRefused) {
  const ValueId x = t.input("x", kThree), p = t.input("p", kTruth);
  Region yes, no;
  yes.outputs = {region_input(yes, "a", kThree)};
  no.outputs = {};
  t.output(t.nodes("higher_order.cond", {{"", p}, {"", add(yes)}, {"", add(no)}, {"", Arg::List{x}}}, {kThree})[0]);
  const auto refused = plan_method(t.g, {}, "forward");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, DiagKind::BadProgram);
}

}  // namespace
}  // namespace cortland::edge
