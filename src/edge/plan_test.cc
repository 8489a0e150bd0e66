#include "edge/plan.h"

#include <gmock/gmock.h>

#include "edge/test_graphs.h"

namespace cortland::edge {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using torch::Arg;
using Kind = torch::GraphOutput::Kind;

const TensorType kThree{DType::F32, {3}};

TEST(Plan, ListsEveryNodeWithoutKernel) {
  TestGraph t;
  const auto x = t.input("x", kThree);
  const auto a = t.node("aten.erfinv.default", {{"self", x}}, kThree);
  const auto b = t.node("aten.relu.default", {{"self", a}}, kThree);
  t.output(t.node("mylib.thing.default", {{"self", b}}, kThree));
  t.g.cpu_ops[0].kept_whole = "it is too curved";
  const auto program = plan_method(t.g, {}, "forward");
  ASSERT_FALSE(program.ok());
  EXPECT_EQ(program.error().kind, DiagKind::NoCpuKernel);
  EXPECT_THAT(program.error().what, AllOf(HasSubstr("2 operators"), HasSubstr("aten.erfinv.default"), HasSubstr("mylib.thing.default"),
                                          HasSubstr("model.py:7"), HasSubstr("Core ML does not have it"), HasSubstr("it is too curved")));
  EXPECT_THAT(program.error().what, Not(HasSubstr("aten.relu")));
}

TEST(Plan, MissingWeightsAreReported) {
  TestGraph t;
  const auto x = t.input("x", kThree), w = t.parameter("w", Weight::floats({1, 2, 3}));
  t.graph().inputs[1].data = Weight();
  t.output(t.node("aten.add.Tensor", {{"self", x}, {"other", w}}, kThree));
  const auto program = plan_method(t.g, {}, "forward");
  ASSERT_FALSE(program.ok());
  EXPECT_EQ(program.error().kind, DiagKind::WeightsMissing);
}

TEST(Plan, BuffersStartWithTheirValuesAndAreWrittenBack) {
  TestGraph t;
  const auto x = t.input("x", kThree), b = t.buffer("b", Weight::floats({5, 6, 7}));
  const auto sum = t.node("aten.add.Tensor", {{"self", b}, {"other", x}}, kThree);
  t.mutation(Kind::BufferMutation, sum, "b");
  t.output(sum);
  const auto program = t.plan();
  const auto& plan = program.plans[0];
  EXPECT_THAT(text(plan), ElementsAre("aten::add.out(t1 t0 1 t3 t3)", "aten::copy_(t1 t3 false t1)"));
  EXPECT_EQ(tensor(plan, 1).initial, 0);
  EXPECT_TRUE(tensor(plan, 1).allocation);
  EXPECT_THAT(program.initial_values, SizeIs(1));
  EXPECT_THAT(program.constants, IsEmpty());
  EXPECT_THAT(plan.inputs, ElementsAre(0));
  EXPECT_THAT(plan.outputs, ElementsAre(3));
}

TEST(Plan, ExchangedBuffersAreSavedFirst) {
  TestGraph t;
  const auto a = t.buffer("a", Weight::floats({1, 2, 3})), b = t.buffer("b", Weight::floats({4, 5, 6}));
  t.mutation(Kind::BufferMutation, b, "a");
  t.mutation(Kind::BufferMutation, a, "b");
  t.output(a);  // what it held before
  const auto program = t.plan();
  const auto lines = text(program.plans[0]);
  ASSERT_THAT(lines, SizeIs(4));
  EXPECT_THAT(lines[0], HasSubstr("_clone_dim_order.out(t0"));
  EXPECT_THAT(lines[1], HasSubstr("_clone_dim_order.out(t5"));
  EXPECT_THAT(lines[2], HasSubstr("aten::copy_"));
  // Neither the sources of the copies nor the output are the buffers themselves.
  const auto copies = {std::get<executorch::KernelCall>(program.plans[0].instructions[2]), std::get<executorch::KernelCall>(program.plans[0].instructions[3])};
  for (const auto& copy : copies) EXPECT_EQ(tensor(program.plans[0], copy.args[1]).initial, -1);
  EXPECT_EQ(tensor(program.plans[0], program.plans[0].outputs[0]).initial, -1);
}

TEST(Plan, WrittenInputsAreTheCallersMemory) {
  TestGraph t;
  const auto x = t.input("x", kThree), y = t.input("y", kThree);
  const auto sum = t.node("aten.add.Tensor", {{"self", x}, {"other", y}}, kThree);
  t.mutation(Kind::UserInputMutation, sum, "x");
  t.output(t.node("aten.relu.default", {{"self", sum}}, kThree));
  const auto program = t.plan();
  const auto& plan = program.plans[0];
  EXPECT_FALSE(tensor(plan, 0).allocation);
  EXPECT_TRUE(tensor(plan, 1).allocation);
  EXPECT_THAT(text(plan).back(), HasSubstr("aten::copy_(t0 "));
  EXPECT_THAT(plan.outputs, SizeIs(1));  // forward()'s own and no more
}

TEST(Plan, MethodsShareConstants) {
  TestGraph t;
  const auto x = t.input("x", kThree), w = t.parameter("w", Weight::floats({1, 2, 3}));
  t.output(t.node("aten.add.Tensor", {{"self", x}, {"other", w}}, kThree));
  executorch::PteProgram program;
  ASSERT_TRUE(add_method(program, t.g, {}, "forward").ok());
  ASSERT_TRUE(add_method(program, t.g, {}, "again").ok());
  EXPECT_THAT(program.plans, SizeIs(2));
  EXPECT_THAT(program.constants, SizeIs(1));
  EXPECT_FALSE(add_method(program, t.g, {}, "again").ok());  // a name twice
}

TEST(Plan, SizesComeFromInputs) {
  TestGraph t;
  const Dim s = t.symbol("s0", {2, 10}), u = t.symbol("s1", {1, 4});
  auto& dims = *t.graph().dims;
  // Sizes 2 * s0 + 1 and s1: s0 is (size - 1) / 2.
  const auto x = t.input("x", {DType::F32, {dims.add(dims.mul(s, 2), 1), u}});
  t.output(t.node("aten.full.default", {{"size", Arg::List{}}, {"fill_value", 1.0}}, {DType::F32, {}}));
  const auto size = t.value("free_size", {});
  t.graph().values[size].kind = torch::Value::Kind::SymInt;
  t.graph().values[size].has_sym = true;
  t.graph().values[size].sym = dims.mul(s, u);
  t.output(t.node("aten.zeros.default", {{"size", Arg::List{size}}}, {DType::F32, {dims.mul(s, u)}}));
  t.output(x);
  const auto program = t.plan();
  const auto lines = text(program.plans[0]);
  ASSERT_THAT(lines, SizeIs(7));
  EXPECT_EQ(lines[1], "aten::sym_size.int(t0 0 0)");
  EXPECT_EQ(lines[2], "executorch_prim::sub.Scalar(0 1 0)");
  EXPECT_EQ(lines[3], "executorch_prim::floordiv.Scalar(0 2 0)");
  EXPECT_EQ(lines[4], "aten::sym_size.int(t0 1 0)");
  EXPECT_EQ(lines[5], "executorch_prim::mul.Scalar(0 0 0)");
  EXPECT_THAT(tensor(program.plans[0], program.plans[0].outputs[1]).sizes, ElementsAre(40));
}

TEST(Plan, ConditionsOnSizesAreComputed) {
  TestGraph t;
  const Dim s = t.symbol("s0", {2, 10});
  const auto x = t.input("x", {DType::F32, {s}});
  const auto size = t.number("aten.sym_size.int", {{"self", x}, {"dim", int64_t{0}}}, torch::Value::Kind::SymInt, s);
  const auto equal = t.number("_operator.ne", {{"a", size}, {"b", int64_t{4}}}, torch::Value::Kind::SymBool, {});
  const auto half = t.number("_operator.truediv", {{"a", size}, {"b", int64_t{2}}}, torch::Value::Kind::SymFloat, {});
  t.output(equal);
  t.output(half);
  t.output(size);
  EXPECT_THAT(text(t.plan().plans[0]), ElementsAre("aten::sym_size.int(t0 0 0)", "executorch_prim::eq.Scalar(0 4 0)", "executorch_prim::sym_not.Scalar(0 0)",
                                                   "executorch_prim::truediv.Scalar(0 2 0)"));
}

TEST(Plan, UnboundedSizesAreHeldToTheExample) {
  TestGraph t;
  const Dim s = t.symbol("s0", {1, DimRange::kUnbounded});
  const auto x = t.input("x", {DType::F32, {t.graph().dims->mul(s, 2), 3}});
  t.output(t.node("aten.relu.default", {{"self", x}}, {DType::F32, {t.graph().dims->mul(s, 2), 3}}));
  const auto unknown = plan_method(t.g, {}, "forward");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().kind, DiagKind::UnsupportedShape);
  t.graph().hints["s0"] = 5;
  const auto program = t.plan();
  EXPECT_THAT(tensor(program.plans[0], 0).sizes, ElementsAre(10, 3));
  ASSERT_THAT(t.warnings, SizeIs(1));
  EXPECT_THAT(t.warnings[0].what, HasSubstr("s0 <= 5"));
}

TEST(Plan, WhatIsFoundIsBoundedByWhatIsSearched) {
  TestGraph t;
  const Dim u = t.symbol("u0", {0, DimRange::kUnbounded});
  const auto x = t.input("x", {DType::F32, {4, 5}});
  t.output(t.node("aten.nonzero.default", {{"self", x}}, {DType::I64, {u, 2}}));
  const auto program = t.plan();
  EXPECT_THAT(tensor(program.plans[0], program.plans[0].outputs[0]).sizes, ElementsAre(20, 2));
  EXPECT_THAT(t.warnings, IsEmpty());
}

TEST(Plan, LiteralInputsAndOutputs) {
  TestGraph t;
  torch::GraphInput seven;
  seven.kind = torch::GraphInput::Kind::ConstantInput;
  seven.constant = int64_t{7};
  t.graph().inputs.push_back(seven);
  t.graph().inputs.push_back(seven);
  t.graph().inputs[1].constant = Arg();
  const auto x = t.input("x", kThree);
  t.output(int64_t{7});
  t.output(Arg());
  t.output(x);
  t.output(x);
  const auto program = t.plan();
  const auto& plan = program.plans[0];
  EXPECT_EQ(text(plan, plan.inputs[0]), "7");
  EXPECT_EQ(text(plan, plan.inputs[1]), "null");
  EXPECT_NE(plan.inputs[0], plan.outputs[0]);
  EXPECT_EQ(text(plan, plan.outputs[1]), "null");
  EXPECT_THAT(plan.outputs[2], plan.outputs[3]);
}

TEST(Plan, DelegatesAreCalledInOrder) {
  TestGraph t;
  const auto x = t.input("x", kThree);
  const auto y = t.value("y", kThree);
  t.g.delegates.emplace_back();
  t.g.delegates[0].inputs = {x};
  t.g.delegates[0].outputs = {y};
  t.g.steps.push_back({size_t{0}});
  t.output(t.node("aten.relu.default", {{"self", y}}, kThree));
  std::vector<DelegateBlob> blobs(1);
  blobs[0].data.bytes = executorch::owned_bytes("blob");
  blobs[0].specs = {{"compute_units", "all"}};
  const auto program = plan_method(t.g, std::move(blobs), "forward");
  ASSERT_TRUE(program.ok());
  const auto& plan = program->plans[0];
  ASSERT_THAT(plan.instructions, SizeIs(2));
  EXPECT_THAT(std::get<executorch::DelegateCall>(plan.instructions[0]).args, ElementsAre(0, 1));
  EXPECT_EQ(plan.delegates[0].compile_specs[0].key, "compute_units");
  EXPECT_EQ(plan.delegates[0].blob, 0);
}

// No two tensors that are needed at the same time overlap.
TEST(Plan, LiveTensorsDoNotShareMemory) {
  TestGraph t;
  std::vector<torch::ValueId> made = {t.input("x", {DType::F32, {16}}), t.input("y", {DType::F32, {16}})};
  for (size_t i = 0; i < 40; ++i) {
    const TensorType type{DType::F32, {16}};
    made.push_back(t.node("aten.mul.Tensor", {{"self", made[(i * 7) % made.size()]}, {"other", made[made.size() - 1 - i % 2]}}, type));
  }
  t.output(made[5]);
  t.output(made.back());
  const auto program = t.plan();
  const auto& plan = program.plans[0];
  std::map<executorch::ValueIndex, std::pair<size_t, size_t>> life;
  auto touch = [&](executorch::ValueIndex v, size_t now) {
    if (!std::holds_alternative<executorch::TensorValue>(plan.values[static_cast<size_t>(v)])) return;
    life.emplace(v, std::pair(now, now)).first->second.second = now;
  };
  for (const auto v : plan.inputs) touch(v, 0);
  for (size_t i = 0; i < plan.instructions.size(); ++i)
    for (const auto v : std::get<executorch::KernelCall>(plan.instructions[i]).args) touch(v, i + 1);
  for (const auto v : plan.outputs) touch(v, plan.instructions.size() + 1);
  for (const auto& [a, la] : life)
    for (const auto& [b, lb] : life) {
      if (a >= b || la.first > lb.second || lb.first > la.second) continue;
      const uint64_t pa = tensor(plan, a).allocation->offset, pb = tensor(plan, b).allocation->offset;
      EXPECT_TRUE(pa + 64 <= pb || pb + 64 <= pa) << a << " and " << b;
    }
  EXPECT_LT(plan.non_const_buffer_sizes[1], 40 * 64);  // and memory is used again
}

}  // namespace
}  // namespace cortland::edge
