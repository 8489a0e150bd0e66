#include "edge/kernel_call.h"

#include <gmock/gmock.h>

#include <cstring>

#include "edge/test_graphs.h"

namespace cortland::edge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using torch::Arg;
using torch::MemoryFormat;

const TensorType kFloats{DType::F32, {2, 3}};
const TensorType kInts{DType::I64, {2, 3}};

std::string constant_bytes(const executorch::PteProgram& program, executorch::ValueIndex index) {
  const auto& t = tensor(program.plans[0], index);
  return executorch::read_all(program.constants.at(static_cast<size_t>(t.constant)).bytes).value();
}

template <class T>
T number_in(const executorch::PteProgram& program, executorch::ValueIndex index) {
  T value{};
  const std::string bytes = constant_bytes(program, index);
  EXPECT_EQ(bytes.size(), sizeof value);
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

TEST(KernelCall, WritesDefaultsAndTheResultTwice) {
  TestGraph t;
  const auto x = t.input("x", kFloats), y = t.input("y", kFloats);
  t.output(t.node("aten.add.Tensor", {{"self", x}, {"other", y}}, kFloats));
  const auto program = t.plan();
  EXPECT_THAT(text(program.plans[0]), ElementsAre("aten::add.out(t0 t1 1 t3 t3)"));
  EXPECT_THAT(program.plans[0].outputs, ElementsAre(3));
}

TEST(KernelCall, ArgumentsFollowTheKernelNotTheProgram) {
  TestGraph t;
  const auto x = t.input("x", kFloats), y = t.input("y", kFloats);
  t.output(t.node("aten.add.Tensor", {{"alpha", 2.5}, {"other", y}, {"self", x}}, kFloats));
  EXPECT_THAT(text(t.plan().plans[0]), ElementsAre("aten::add.out(t0 t1 2.500000 t3 t3)"));
}

TEST(KernelCall, EdgeProgramsLeaveNamesOut) {
  TestGraph t;
  const auto x = t.input("x", kFloats);
  t.output(t.node("aten.permute_copy.default", {{"", x}, {"", Arg::List{int64_t{1}, int64_t{0}}}}, {DType::F32, {3, 2}}));
  EXPECT_THAT(text(t.plan().plans[0]), ElementsAre("aten::permute_copy.out(t0 [1 0] t4 t4)"));
}

TEST(KernelCall, NumbersWhereTensorsAreWantedTakeTheResultsType) {
  TestGraph t;
  const auto x = t.input("x", kFloats), i = t.input("i", kInts);
  t.output(t.node("aten.mul.Tensor", {{"self", x}, {"other", int64_t{3}}}, kFloats));
  t.output(t.node("aten.mul.Tensor", {{"self", i}, {"other", int64_t{3}}}, kInts));
  t.output(t.node("aten.eq.Tensor", {{"self", i}, {"other", 0.5}}, {DType::Bool, {2, 3}}));
  const auto program = t.plan();
  const auto& plan = program.plans[0];
  auto second = [&](size_t i) { return std::get<executorch::KernelCall>(plan.instructions.at(i)).args.at(1); };
  EXPECT_EQ(number_in<float>(program, second(0)), 3.0f);
  EXPECT_EQ(number_in<int64_t>(program, second(1)), 3);
  EXPECT_EQ(number_in<float>(program, second(2)), 0.5f);  // an integer tensor cannot hold it
  EXPECT_THAT(tensor(plan, second(0)).sizes, ElementsAre());
}

TEST(KernelCall, OperandsAreConvertedToTheResultsType) {
  TestGraph t;
  const auto x = t.input("x", kFloats), i = t.input("i", kInts);
  t.output(t.node("aten.sub.Tensor", {{"self", i}, {"other", x}}, kFloats));
  const auto program = t.plan();
  EXPECT_THAT(text(program.plans[0]), ElementsAre("dim_order_ops::_to_dim_order_copy.out(t1 false [0 1] t2 t2)", "aten::sub.out(t2 t0 1 t7 t7)"));
  EXPECT_EQ(tensor(program.plans[0], 2).type, executorch::ScalarType::F32);
}

TEST(KernelCall, SmallConstantsAreConvertedBeforehand) {
  TestGraph t;
  const auto x = t.input("x", kFloats), c = t.parameter("c", Weight::of<int64_t>(DType::I64, {}, {2}));
  t.output(t.node("aten.mul.Tensor", {{"self", x}, {"other", c}}, kFloats));
  const auto program = t.plan();
  EXPECT_EQ(program.plans[0].instructions.size(), 1u);
  EXPECT_EQ(number_in<float>(program, std::get<executorch::KernelCall>(program.plans[0].instructions[0]).args[1]), 2.0f);
}

TEST(KernelCall, ConditionsStayBool) {
  TestGraph t;
  const auto c = t.input("c", {DType::Bool, {2, 3}}), x = t.input("x", kFloats);
  t.output(t.node("aten.where.self", {{"condition", c}, {"self", x}, {"other", x}}, kFloats));
  EXPECT_THAT(text(t.plan().plans[0]), ElementsAre("aten::where.self_out(t0 t1 t1 t2 t2)"));
}

TEST(KernelCall, SeveralResultsFollowAsAList) {
  TestGraph t;
  const auto x = t.input("x", kFloats);
  const auto both = t.nodes("aten.max.dim", {{"self", x}, {"dim", int64_t{1}}}, {{DType::F32, {2}}, {DType::I64, {2}}});
  t.output(both[0]);
  EXPECT_THAT(text(t.plan().plans[0]), ElementsAre("aten::max.dim_max(t0 1 false t3 t4 [t3 t4])"));
}

TEST(KernelCall, ListsOfResultsStandTwice) {
  TestGraph t;
  const auto x = t.input("x", kFloats);
  const TensorType one{DType::F32, {2, 1}}, two{DType::F32, {2, 2}};
  const auto parts = t.nodes("aten.split_with_sizes.default", {{"self", x}, {"split_sizes", Arg::List{int64_t{1}, int64_t{2}}}, {"dim", int64_t{1}}}, {one, two});
  t.output(parts[1]);
  EXPECT_THAT(text(t.plan().plans[0]), ElementsAre("aten::split_with_sizes_copy.out(t0 [1 2] 1 [t4 t5] [t4 t5])"));
}

TEST(KernelCall, CopiesStateTheirLayout) {
  TestGraph t;
  const auto x = t.input("x", {DType::F32, {1, 2, 3, 4}});
  const auto y = t.node("aten.contiguous.default", {{"self", x}, {"memory_format", MemoryFormat::ChannelsLast}}, {DType::F32, {1, 2, 3, 4}});
  t.output(y);
  t.output(t.node("aten.to.dtype", {{"self", y}, {"dtype", DType::F16}}, {DType::F16, {1, 2, 3, 4}}));
  const auto program = t.plan();
  const auto lines = text(program.plans[0]);
  EXPECT_THAT(lines[0], HasSubstr("_clone_dim_order.out(t0 false [0 1 2 3]"));
  EXPECT_THAT(lines[1], HasSubstr("_to_dim_order_copy.out("));
}

TEST(KernelCall, ViewsAreTheMemoryTheyShow) {
  TestGraph t;
  const auto x = t.input("x", kFloats), c = t.parameter("c", Weight::floats({1, 2, 3, 4, 5, 6}));
  const auto y = t.node("aten.relu.default", {{"self", x}}, kFloats);
  const auto flat = t.node("aten.view.default", {{"self", y}, {"size", Arg::List{int64_t{6}}}}, {DType::F32, {6}});
  const auto again = t.node("aten.clone.default", {{"self", flat}}, {DType::F32, {6}});
  const auto constant = t.node("aten.unsqueeze.default", {{"self", c}, {"dim", int64_t{0}}}, {DType::F32, {1, 6}});
  const auto sum = t.node("aten.add.Tensor", {{"self", again}, {"other", constant}}, {DType::F32, {1, 6}});
  t.output(t.node("aten.neg.default", {{"self", sum}}, {DType::F32, {1, 6}}));
  t.output(t.node("aten.view.default", {{"self", sum}, {"size", Arg::List{int64_t{6}}}}, {DType::F32, {6}}));
  const auto program = t.plan();
  const auto& plan = program.plans[0];
  ASSERT_EQ(plan.instructions.size(), 4u);  // relu, add, neg, and the view that is an output
  const auto relu = std::get<executorch::KernelCall>(plan.instructions[0]), add = std::get<executorch::KernelCall>(plan.instructions[1]);
  EXPECT_EQ(tensor(plan, add.args[0]).allocation, tensor(plan, relu.args[1]).allocation);
  EXPECT_THAT(tensor(plan, add.args[0]).sizes, ElementsAre(6));
  EXPECT_EQ(tensor(plan, add.args[1]).constant, 0);
  EXPECT_THAT(text(plan)[3], HasSubstr("aten::view_copy.out("));
}

TEST(KernelCall, CopiesOfBuffersAreCopies) {
  TestGraph t;
  const auto b = t.buffer("b", Weight::floats({1, 2}));
  const TensorType two{DType::F32, {2}};
  const auto copy = t.node("aten.clone.default", {{"self", b}}, two);
  const auto twice = t.node("aten.add.Tensor", {{"self", copy}, {"other", copy}}, two);
  t.mutation(torch::GraphOutput::Kind::BufferMutation, twice, "b");
  t.output(t.node("aten.neg.default", {{"self", copy}}, two));
  EXPECT_EQ(t.plan().plans[0].instructions.size(), 4u);
}

TEST(KernelCall, OneUnknownSizeOfAViewIsLeftToTheKernel) {
  TestGraph t;
  const Dim s = t.symbol("s0", {1, 8});
  const auto x = t.input("x", {DType::F32, {s, 6}});
  t.output(t.node("aten.view.default", {{"self", x}, {"size", Arg::List{int64_t{-1}, int64_t{3}}}}, {DType::F32, {t.graph().dims->mul(s, 2), 3}}));
  const auto program = t.plan();
  EXPECT_THAT(text(program.plans[0]), ElementsAre("aten::view_copy.out(t0 [-1 3] t4 t4)"));
  EXPECT_THAT(tensor(program.plans[0], 4).sizes, ElementsAre(16, 3));
  EXPECT_EQ(tensor(program.plans[0], 4).dynamism, executorch::Dynamism::UpperBound);
}

TEST(KernelCall, ExpandKeepsSizesItHas) {
  TestGraph t;
  const Dim s = t.symbol("s0", {1, 8});
  const auto x = t.input("x", {DType::F32, {s, 1}});
  t.output(t.node("aten.expand.default", {{"self", x}, {"size", Arg::List{int64_t{2}, int64_t{-1}, int64_t{5}}}}, {DType::F32, {2, s, 5}}));
  EXPECT_THAT(text(t.plan().plans[0]), ElementsAre("aten::expand_copy.out(t0 [2 -1 5] false t6 t6)"));
}

TEST(KernelCall, OneNumberStandsForAWholeWindow) {
  TestGraph t;
  const auto x = t.input("x", {DType::F32, {1, 1, 4, 4}});
  t.output(t.node("aten.avg_pool2d.default", {{"self", x}, {"kernel_size", Arg::List{int64_t{2}, int64_t{2}}}}, {DType::F32, {1, 1, 2, 2}}));
  EXPECT_THAT(text(t.plan().plans[0])[0], HasSubstr("aten::avg_pool2d.out(t0 [2 2] [] [0 0] false true null"));
}

TEST(KernelCall, AnArgumentTheKernelLacksIsNotDropped) {
  TestGraph t;
  const auto x = t.input("x", kFloats);
  t.output(t.node("aten.relu.default", {{"self", x}, {"slope", 0.5}}, kFloats));
  const auto program = plan_method(t.g, {}, "forward");
  ASSERT_FALSE(program.ok());
  EXPECT_THAT(program.error().what, HasSubstr("its kernel has no argument 'slope'"));
}

TEST(KernelCall, OptionalTensorsMayBeMissing) {
  TestGraph t;
  const auto x = t.input("x", kFloats), i = t.input("i", {DType::I64, {2}});
  t.output(t.node("aten.index.Tensor", {{"self", x}, {"indices", Arg::List{Arg(), i}}}, {DType::F32, {2, 2}}));
  EXPECT_THAT(text(t.plan().plans[0])[0], HasSubstr("aten::index.Tensor_out(t0 [none t1]"));
}

TEST(KernelCall, ANumberIsReadOutOfATensorAndUsed) {
  TestGraph t;
  const auto x = t.input("x", kFloats), n = t.input("n", {DType::I64, {}});
  const Dim u = t.symbol("u0", {0, 4});
  const auto number = t.number("aten.item.default", {{"self", n}}, torch::Value::Kind::SymInt, u);
  t.output(t.node("aten.mul.Scalar", {{"self", x}, {"other", number}}, kFloats));
  t.output(t.node("aten.zeros.default", {{"size", Arg::List{number, int64_t{2}}}}, {DType::F32, {u, 2}}));
  const auto program = t.plan();
  const auto& plan = program.plans[0];
  const auto read = std::get<executorch::KernelCall>(plan.instructions[0]);
  EXPECT_EQ(std::get<executorch::KernelCall>(plan.instructions[1]).args[1], read.args[1]);
  const auto size = std::get<executorch::KernelCall>(plan.instructions[2]).args[0];
  EXPECT_EQ(std::get<executorch::IntList>(plan.values[static_cast<size_t>(size)]).items[0], read.args[1]);
  EXPECT_THAT(tensor(plan, plan.outputs[1]).sizes, ElementsAre(4, 2));
}

}  // namespace
}  // namespace cortland::edge
