#include "torch_passes/functionalize.h"

#include <gtest/gtest.h>

#include "torch/schema.h"
#include "torch_ops/op.h"
#include "torch_passes/views.h"

namespace cortland::torch_passes {
namespace {

using torch::Arg;
using torch::Graph;
using torch::GraphInput;
using torch::GraphOutput;
using torch::ValueId;

class FunctionalizeTest : public testing::Test {
 protected:
  ValueId input(const std::string& name, Shape shape, GraphInput::Kind kind = GraphInput::Kind::UserInput) {
    torch::Value value;
    value.name = name;
    value.type = {DType::F32, std::move(shape)};
    GraphInput in;
    in.kind = kind;
    in.name = in.target = name;
    in.value = graph.add_value(std::move(value));
    graph.inputs.push_back(in);
    return in.value;
  }

  ValueId op(const std::string& target, std::vector<torch::NamedArg> args, Shape shape) {
    return add_node(graph, target, std::move(args), {DType::F32, std::move(shape)}, {}, graph.order);
  }

  void output(ValueId v) { graph.outputs.push_back({GraphOutput::Kind::UserOutput, v, {}}); }

  // Targets of the functional graph, in order.
  std::vector<std::string> run() {
    auto done = functionalize(std::move(graph));
    EXPECT_TRUE(done.ok()) << (done.ok() ? "" : done.error().what);
    graph = std::move(*done);
    std::vector<std::string> targets;
    for (torch::NodeId n : graph.order) targets.push_back(graph.nodes[n].target);
    return targets;
  }

  Graph graph;
};

using Targets = std::vector<std::string>;

TEST_F(FunctionalizeTest, AnInPlaceOperatorBecomesItsPureTwin) {
  const ValueId x = input("x", {4});
  const ValueId y = op("aten.mul.Tensor", {{"self", x}, {"other", 2.0}}, {4});
  const ValueId z = op("aten.relu_.default", {{"self", y}}, {4});
  output(z);
  EXPECT_EQ(run(), (Targets{"aten.mul.Tensor", "aten.relu.default"}));
  EXPECT_EQ(graph.outputs.size(), 1u);
}

// Of these the pure operator with the same overload is another one, or none.
TEST_F(FunctionalizeTest, SomeTwinsHaveAnotherOverload) {
  const ValueId x = input("x", {4}), y = input("y", {4});
  const ValueId z = op("aten.mul.Tensor", {{"self", x}, {"other", 2.0}}, {4});
  op("aten.floor_divide_.Tensor", {{"self", z}, {"other", y}}, {4});
  op("aten.pow_.Scalar", {{"self", z}, {"exponent", 2.0}}, {4});
  op("aten.pow_.Tensor", {{"self", z}, {"exponent", y}}, {4});
  output(z);
  EXPECT_EQ(run(), (Targets{"aten.mul.Tensor", "aten.floor_divide.default", "aten.pow.Tensor_Scalar", "aten.pow.Tensor_Tensor"}));
}

TEST_F(FunctionalizeTest, AWriteThroughASliceMayHaveAComputedPlace) {
  const ValueId x = input("x", {4, 3});
  torch::Value size;
  size.name = "end";
  size.kind = torch::Value::Kind::SymInt;
  const ValueId end = graph.add_value(std::move(size));
  const ValueId y = op("aten.mul.Tensor", {{"self", x}, {"other", 2.0}}, {4, 3});
  const Dim n = graph.dims->symbol("u0");
  const ValueId part = op("aten.slice.Tensor", {{"self", y}, {"dim", int64_t{0}}, {"start", int64_t{0}}, {"end", end}}, {n, 3});
  op("aten.fill_.Scalar", {{"self", part}, {"value", 0.0}}, {n, 3});
  output(y);
  ASSERT_EQ(run().back(), "aten.slice_scatter.default");
  EXPECT_EQ(*graph.nodes[graph.order.back()].find("end")->as<ValueId>(), end);
}

TEST_F(FunctionalizeTest, JoinsLoseTheirEmptyParts) {
  const ValueId x = input("x", {4, 3});
  const ValueId none = op("aten.slice.Tensor", {{"self", x}, {"dim", int64_t{1}}, {"start", int64_t{3}}}, {4, 0});
  output(op("aten.cat.default", {{"tensors", Arg::List{x, none}}, {"dim", int64_t{1}}}, {4, 3}));
  EXPECT_EQ(run(), (Targets{"aten.cat.default"}));
}

TEST_F(FunctionalizeTest, AWriteIsSeenThroughTheOldName) {
  const ValueId x = input("x", {4});
  const ValueId y = op("aten.mul.Tensor", {{"self", x}, {"other", 2.0}}, {4});
  const ValueId z = op("aten.add_.Tensor", {{"self", y}, {"other", 1.0}}, {4});
  output(y);
  run();
  EXPECT_EQ(*graph.outputs[0].value.as<ValueId>(), z);
}

TEST_F(FunctionalizeTest, AWriteThroughASliceReachesItsBase) {
  const ValueId x = input("x", {4, 3});
  const ValueId y = op("aten.mul.Tensor", {{"self", x}, {"other", 2.0}}, {4, 3});
  const ValueId part = op("aten.slice.Tensor", {{"self", y}, {"dim", int64_t{0}}, {"start", int64_t{1}}, {"end", int64_t{3}}}, {2, 3});
  op("aten.fill_.Scalar", {{"self", part}, {"value", 0.0}}, {2, 3});
  output(y);
  EXPECT_EQ(run(), (Targets{"aten.mul.Tensor", "aten.slice.Tensor", "aten.fill.Scalar", "aten.slice_scatter.default"}));
}

TEST_F(FunctionalizeTest, AnotherViewOfWrittenMemoryIsTakenAnew) {
  const ValueId x = input("x", {4});
  const ValueId y = op("aten.mul.Tensor", {{"self", x}, {"other", 2.0}}, {4});
  const ValueId view = op("aten.view.default", {{"self", y}, {"size", Arg::List{int64_t{2}, int64_t{2}}}}, {2, 2});
  op("aten.add_.Tensor", {{"self", y}, {"other", 1.0}}, {4});
  const ValueId late = op("aten.exp.default", {{"self", view}}, {2, 2});
  output(late);
  // The early view shows old content and is not needed any more; exp reads a view of the sum.
  EXPECT_EQ(run(), (Targets{"aten.mul.Tensor", "aten.add.Tensor", "aten.view.default", "aten.exp.default"}));
}

TEST_F(FunctionalizeTest, WrittenBuffersAndInputsBecomeMutationOutputs) {
  const ValueId cache = input("cache", {4}, GraphInput::Kind::Buffer);
  const ValueId x = input("x", {4});
  const ValueId new_cache = op("aten.add_.Tensor", {{"self", cache}, {"other", x}}, {4});
  const ValueId new_x = op("aten.mul_.Tensor", {{"self", x}, {"other", 2.0}}, {4});
  output(new_cache);
  run();
  ASSERT_EQ(graph.outputs.size(), 3u);
  EXPECT_EQ(graph.outputs[0].kind, GraphOutput::Kind::BufferMutation);
  EXPECT_EQ(*graph.outputs[0].value.as<ValueId>(), new_cache);
  EXPECT_EQ(graph.outputs[1].kind, GraphOutput::Kind::UserInputMutation);
  EXPECT_EQ(*graph.outputs[1].value.as<ValueId>(), new_x);
}

TEST_F(FunctionalizeTest, WritesToSharedElementsAreRefused) {
  const ValueId x = input("x", {1});
  const ValueId y = op("aten.mul.Tensor", {{"self", x}, {"other", 2.0}}, {1});
  const ValueId wide = op("aten.expand.default", {{"self", y}, {"size", Arg::List{int64_t{4}}}}, {4});
  op("aten.add_.Tensor", {{"self", wide}, {"other", 1.0}}, {4});
  output(y);
  EXPECT_FALSE(functionalize(std::move(graph)).ok());
}

// Torch says in the schema which results share memory: each of them needs a place, or writes to it would be lost.
TEST(Views, KnowEveryOperatorWhoseResultSharesMemory) {
  for (const torch_ops::TorchOp* op : torch_ops::all_ops()) {
    auto schema = torch::parse_schema(op->schema);
    ASSERT_TRUE(schema.ok()) << op->schema;
    for (const auto& result : schema->returns) EXPECT_TRUE(result.alias.empty() || result.mutated || is_view(schema->target())) << op->schema;
  }
}

TEST_F(FunctionalizeTest, MemoryOfSeveralTensorsIsNotWritten) {
  const ValueId x = input("x", {4});
  const ValueId y = op("aten.mul.Tensor", {{"self", x}, {"other", 2.0}}, {4});
  op("aten.meshgrid.default", {{"tensors", Arg(Arg::List{Arg(y)})}}, {4});
  output(op("aten.relu_.default", {{"self", y}}, {4}));
  auto done = functionalize(std::move(graph));
  ASSERT_FALSE(done.ok());
  EXPECT_NE(done.error().what.find("aten.meshgrid.default"), std::string::npos) << done.error().what;
}

TEST_F(FunctionalizeTest, AssertsAndDeadNodesGo) {
  const ValueId x = input("x", {4});
  op("aten._assert_tensor_metadata.default", {{"a", x}}, {4});
  op("aten.exp.default", {{"self", x}}, {4});
  output(x);
  EXPECT_EQ(run(), Targets{});
}

}  // namespace
}  // namespace cortland::torch_passes
