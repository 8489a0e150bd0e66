// Files that torch itself wrote; tests/data/torch/make.py has the models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torch/graph.h"

namespace cortland::torch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Graph load(const std::string& name) {
  auto graph = read_pt2(std::string(CORTLAND_TEST_DATA) + "/" + name + ".pt2");
  EXPECT_TRUE(graph.ok()) << (graph ? "" : graph.error().what);
  return graph ? std::move(graph).value() : Graph{};
}

const GraphInput& input(const Graph& graph, std::string_view target) {
  for (const GraphInput& candidate : graph.inputs)
    if (candidate.target == target) return candidate;
  ADD_FAILURE() << "no input " << target;
  static const GraphInput kNone;
  return kNone;
}

const Node& node(const Graph& graph, std::string_view target) {
  for (const NodeId id : graph.order)
    if (graph.nodes[id].target == target) return graph.nodes[id];
  ADD_FAILURE() << "no node " << target;
  static const Node kNone;
  return kNone;
}

std::string size(const Graph& graph, const Node& of, size_t axis) {
  return graph.dims->str(graph.type(of.results[0]).shape[axis]);
}

TEST(Pt2Files, SymbolicSizes) {
  const Graph graph = load("torch/dynamic");
  ASSERT_EQ(graph.inputs.size(), 2u);
  EXPECT_EQ(graph.inputs[1].kind, GraphInput::Kind::ConstantInput);
  EXPECT_EQ(*graph.inputs[1].constant.as<int64_t>(), 5);
  const Shape& x = graph.type(graph.inputs[0].value).shape;
  ASSERT_EQ(x.size(), 2u);
  EXPECT_TRUE(graph.dims->is_symbol(x[0]));
  EXPECT_EQ(graph.dims->range(x[0]), (DimRange{2, DimRange::kUnbounded}));
  const std::string rows = graph.dims->str(x[0]), columns = graph.dims->str(x[1]);
  EXPECT_EQ(size(graph, node(graph, "aten.cat.default"), 0), "2*" + rows);
  EXPECT_EQ(size(graph, node(graph, "aten.upsample_nearest2d.vec"), 2), "((3*" + rows + ") // (2))");
  const Node& divided = node(graph, "_operator.floordiv");
  const Value& half = graph.values[divided.results[0]];
  EXPECT_EQ(half.kind, Value::Kind::SymInt);
  ASSERT_TRUE(half.has_sym);
  EXPECT_EQ(*graph.dims->eval(half.sym, {{rows, 5}, {columns, 7}}), 17);
  const auto& sizes = *node(graph, "aten.view.default").find("size")->as<Arg::List>();
  ASSERT_EQ(sizes.size(), 2u);
  EXPECT_EQ(*sizes[0].as<ValueId>(), divided.results[0]);
  EXPECT_EQ(*sizes[1].as<int64_t>(), 2);
  EXPECT_EQ(divided.source.file, "model.py");
  EXPECT_THAT(divided.source.code, HasSubstr("x.view(rows * columns // 2, 2)"));
  EXPECT_EQ(graph.values[*graph.outputs[4].value.as<ValueId>()].kind, Value::Kind::SymInt);
}

TEST(Pt2Files, Branches) {
  const Graph graph = load("torch/branch");
  const Node& cond = node(graph, "higher_order.cond");
  ASSERT_EQ(cond.args.size(), 4u);
  EXPECT_FALSE(cond.returns_list);
  const Graph& first = *graph.subgraphs[*cond.args[1].arg.as<GraphId>()];
  EXPECT_EQ(first.inputs.size(), 2u);
  EXPECT_EQ(first.nodes[first.order.at(0)].target, "aten.mul.Tensor");
  const Graph& second = *graph.subgraphs[*cond.args[2].arg.as<GraphId>()];
  EXPECT_EQ(second.nodes[second.order.at(0)].target, "aten.sub.Tensor");
  EXPECT_EQ(cond.args[3].arg.as<Arg::List>()->size(), 2u);
}

TEST(Pt2Files, WrittenBuffers) {
  const Graph training = load("torch/cache");
  EXPECT_EQ(training.dialect, "TRAINING");
  EXPECT_FALSE(training.functional);
  EXPECT_TRUE(input(training, "cache").persistent);
  EXPECT_FALSE(input(training, "count").persistent);
  EXPECT_EQ(input(training, "one").kind, GraphInput::Kind::TensorConstant);
  EXPECT_THAT(input(training, "one").data.to_floats(), ElementsAre(1, 1, 1));
  EXPECT_TRUE(node(training, "aten.split.Tensor").returns_list);
  const auto& indices = *node(training, "aten.index.Tensor").find("indices")->as<Arg::List>();
  ASSERT_EQ(indices.size(), 2u);
  EXPECT_TRUE(indices[0].is_none());
  ASSERT_EQ(training.outputs.size(), 4u);
  EXPECT_TRUE(training.outputs[2].value.is_none());

  const Graph functional = load("torch/cache_functional");
  EXPECT_TRUE(functional.functional);
  ASSERT_EQ(functional.outputs.size(), 6u);
  EXPECT_EQ(functional.outputs[0].kind, GraphOutput::Kind::BufferMutation);
  EXPECT_EQ(functional.outputs[0].target, "cache");
  EXPECT_EQ(functional.outputs[1].target, "count");
}

TEST(Pt2Files, WeightsThatAreViews) {
  const Graph graph = load("torch/strides");
  EXPECT_THAT(input(graph, "transposed").data.to_floats(), ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_THAT(input(graph, "broadcast").data.to_floats(), ElementsAre(7, 7, 7));
  EXPECT_EQ(input(graph, "empty").data.elements(), 0);
  EXPECT_THAT(input(graph, "part").data.to_floats(), ElementsAre(4, 5, 6));
  EXPECT_EQ(input(graph, "tied").data.key(), input(graph, "part").data.key());
  EXPECT_THAT(input(graph, "last").data.to_floats(), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  EXPECT_EQ(input(graph, "small").data.dtype(), DType::F16);
  EXPECT_THAT(input(graph, "small").data.to_floats(), ElementsAre(1.5, -2, 0.25));
  EXPECT_EQ(graph.values[input(graph, "transposed").value].strides, (Shape{1, 3}));
}

TEST(Pt2Files, TensorSubclasses) {
  const Graph graph = load("torch/quantised");
  for (const GraphInput& candidate : graph.inputs)
    EXPECT_TRUE(candidate.kind == GraphInput::Kind::UserInput || candidate.data) << candidate.name;
  EXPECT_EQ(input(graph, "linear.weight.qdata").data.type(), (TensorType{DType::I8, {4, 32}}));
  const auto scale = input(graph, "linear.weight.scale").data.to_floats();
  ASSERT_EQ(scale.size(), 4u);
  // The last row is 96 .. 127; the largest stands for 127 or close to it.
  EXPECT_NEAR(static_cast<float>(input(graph, "linear.weight.qdata").data.to_ints().back()) * scale.back(), 127, 1);
  const Node& dequantize = node(graph, "torchao.dequantize_affine.default");
  EXPECT_EQ(*dequantize.find("input")->as<ValueId>(), input(graph, "linear.weight.qdata").value);
  EXPECT_EQ(graph.inputs.back().kind, GraphInput::Kind::UserInput) << "constants come first";
  for (const NodeId id : graph.order) EXPECT_NE(graph.nodes[id].target, "export.access_subclass_inner_tensor.default");
}

TEST(Pt2Files, ATrainedClassifier) {
  const Graph graph = load("digits/digits");
  EXPECT_GT(graph.order.size(), 5u);
  for (const GraphInput& candidate : graph.inputs)
    EXPECT_EQ(static_cast<bool>(candidate.data), candidate.kind != GraphInput::Kind::UserInput) << candidate.name;
}

}  // namespace
}  // namespace cortland::torch
