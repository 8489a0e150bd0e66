#include "torch_ops/lowering_state.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

TEST(Registry, EveryEntryIsFoundByItsTarget) {
  for (const TorchOp* op : all_ops()) {
    const auto schema = torch::parse_schema(op->schema);
    ASSERT_TRUE(schema.ok()) << op->schema;
    EXPECT_EQ(find_op(schema->target()), op) << op->schema;
    EXPECT_TRUE(op->lower || op->decompose || !op->same_as.empty()) << op->schema;
    EXPECT_TRUE(op->same_as.empty() || !op->decompose) << op->schema;
  }
}

TEST(Registry, CopyingViewsMeanTheirViews) {
  EXPECT_EQ(find_op("aten.permute_copy.default"), find_op("aten.permute.default"));
  EXPECT_EQ(find_op("aten.slice_copy.Tensor"), find_op("aten.slice.Tensor"));
  EXPECT_EQ(find_op("aten.no_such_operator.default"), nullptr);
}

TEST(Registry, OtherSpellingsLowerAsWhatTheySpell) {
  const TorchOp* spelling = find_op("aten.multiply.Tensor");
  ASSERT_TRUE(spelling);
  EXPECT_EQ(spelling->lower, find_op("aten.mul.Tensor")->lower);
}

TEST(Registry, NamesOfTheEdgeDialect) {
  EXPECT_EQ(edge_name("aten.conv2d.padding"), "aten.convolution.default");
  EXPECT_EQ(edge_name("aten.multiply.Tensor"), "aten.mul.Tensor");
  EXPECT_EQ(edge_name("aten.relu.default"), "aten.relu.default");
  EXPECT_EQ(edge_name("aten.no_such_operator.default"), "aten.no_such_operator.default");
}

std::optional<Weight> half(const Weight& w) {
  Float16Range range;
  return to_float16(w, range);
}

TEST(ToFloat16, KeepsInfinitiesSaturatesSentinelsRefusesTheRest) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto mask = half(Weight::floats({0, -kInfinity, std::numeric_limits<float>::lowest()}));
  ASSERT_TRUE(mask);
  EXPECT_EQ(mask->dtype(), DType::F16);
  EXPECT_EQ(mask->to_floats(), (std::vector<float>{0, -kInfinity, -65504}));
  EXPECT_FALSE(half(Weight::floats({1, -1e9f})));
  EXPECT_TRUE(half(Weight::floats({65504})));
}

TEST(ToFloat16, KeepsEpsilonsFromBecomingZero) {
  EXPECT_EQ(half(Weight::of<float>(DType::F32, {}, {1e-12f}))->to_floats(), (std::vector<float>{0x1p-23f}));
  EXPECT_EQ(half(Weight::floats({-1e-9f}))->to_floats(), (std::vector<float>{-0x1p-23f}));
  EXPECT_EQ(half(Weight::floats({0}))->to_floats(), (std::vector<float>{0}));
  EXPECT_EQ(half(Weight::floats({1e-12f, 1}))->to_floats(), (std::vector<float>{0, 1}));  // weights are what they are
}

// The scan goes over a weight in place where it lies dense, wherever that is, and tile by tile elsewhere.
TEST(ToFloat16, FindsOneNumberInALargeWeight) {
  constexpr int64_t kRows = 3, kColumns = 3001;
  std::vector<float> values(kRows * kColumns, 65504);
  values.back() = -1e5f;
  const std::string bytes = "x" + std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  const auto file = MappedFile::from_bytes(bytes, "w");
  const Weight w = *Weight::view(file, 1, bytes.size() - 1, DType::F32, {kRows, kColumns}, {kColumns, 1});
  Float16Range range;
  EXPECT_TRUE(range.left_by(w));
  EXPECT_TRUE(range.left_by(w));  // remembered
  EXPECT_TRUE(range.left_by(w.permute({1, 0})));
  EXPECT_FALSE(range.left_by(w.slice(1, 0, kColumns - 1)));
  EXPECT_FALSE(half(w));
  EXPECT_EQ(half(w.slice(0, 0, 2))->bytes(), w.slice(0, 0, 2).cast(DType::F16).bytes());
}

// Whoever is asked first, the caller or the thread that looks ahead.
TEST(ToFloat16, LooksAhead) {
  std::vector<Weight> weights;
  for (int i = 0; i < 40; ++i) {
    std::vector<float> values(5000, 1.0f);
    values[static_cast<size_t>(100 * i)] = i % 3 == 0 ? 1e5f : 65504.0f;
    weights.push_back(Weight::floats(values));
  }
  Float16Range range;
  range.look_ahead(weights);
  for (int i = 39; i >= 0; --i) EXPECT_EQ(range.left_by(weights[static_cast<size_t>(i)]), i % 3 == 0) << i;
  Float16Range unasked;  // ends before it is done
  unasked.look_ahead(weights);
}

// One node of `target` on inputs of these types, lowered for `float_type`.
class LowerNodeTest : public testing::Test {
 protected:
  torch::ValueId add(const std::string& name, TensorType type) {
    torch::Value value;
    value.name = name;
    value.type = std::move(type);
    return graph.add_value(std::move(value));
  }

  torch::ValueId input(TensorType type) {
    const torch::ValueId v = add("x" + std::to_string(graph.values.size()), type);
    const mil::ValueId in = program.add_value("in", mil::Type(type.dtype == DType::I64 ? DType::I32 : type.dtype, type.shape));
    state.operands[v] = in;
    state.add_size_source(in, type.shape);
    return v;
  }

  Status lower(const std::string& target, std::vector<torch::NamedArg> args, TensorType result) {
    torch::Node node;
    node.target = target;
    node.name = "node";
    node.args = std::move(args);
    node.source = {"model.py", "forward", "y = f(x)", 41};
    node.results = {add("y", std::move(result))};
    y = node.results[0];
    const torch::NodeId id = graph.nodes.add(std::move(node));
    graph.order.push_back(id);
    graph.outputs.push_back({torch::GraphOutput::Kind::UserOutput, y, {}});
    return lower_node(state, graph, id);
  }

  size_t ops() const { return program.blocks[state.block].ops.size(); }
  std::string last_op() const { return std::string(program.ops[program.blocks[state.block].ops.back()].def->name); }
  const mil::Type& type_of_result() const { return program.type(state.operands.at(y)); }

  torch::Graph graph;
  mil::Program program{mil::Target::iOS15, graph.dims};
  LoweringState state{program, program.add_block(), {mil::Target::iOS15, DType::F16}};
  torch::ValueId y;
};

TEST_F(LowerNodeTest, ComputesInTheAskedPrecision) {
  const auto x = input({DType::F16, {2, 3}});
  ASSERT_TRUE(lower("aten.gelu.default", {{"self", x}}, {DType::F32, {2, 3}}).ok());
  EXPECT_EQ(type_of_result().dtype(), DType::F16);
  EXPECT_EQ(ops(), 1u);
  EXPECT_EQ(program.values[state.operands.at(y).value()].name, "y");
}

TEST_F(LowerNodeTest, AConstantBeyondFloat16IsComputedInFloat32) {
  const auto x = input({DType::F32, {2}});
  ASSERT_TRUE(lower("aten.mul.Tensor", {{"self", x}, {"other", 1e9}}, {DType::F32, {2}}).ok());
  EXPECT_EQ(type_of_result().dtype(), DType::F32);
}

TEST_F(LowerNodeTest, IntegersStayExact) {
  const auto x = input({DType::I64, {2}});
  ASSERT_TRUE(lower("aten.add.Tensor", {{"self", x}, {"other", int64_t{3}}}, {DType::I64, {2}}).ok());
  EXPECT_EQ(type_of_result().dtype(), DType::I32);
  EXPECT_EQ(last_op(), "add");
}

TEST_F(LowerNodeTest, RefusalsNameTheNodeAndLeaveNothing) {
  const auto x = input({DType::F32, {2}});
  const Status status = lower("aten.gelu.default", {{"self", x}, {"approximate", std::string("fast")}}, {DType::F32, {2}});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, DiagKind::UnsupportedArgument);
  EXPECT_EQ(status.error().op, "aten.gelu.default");
  EXPECT_EQ(status.error().node, "node");
  EXPECT_NE(status.error().source.find("model.py:41"), std::string::npos);
  EXPECT_EQ(ops(), 0u);
  EXPECT_FALSE(state.operands.count(y));
}

TEST_F(LowerNodeTest, WhatMilCannotHoldIsRefusedWhateverTheOperator) {
  const auto x = input({DType::F32, {2}});
  EXPECT_EQ(lower("aten.no_such_operator.default", {{"self", x}}, {DType::F32, {2}}).error().kind, DiagKind::UnknownOp);
  EXPECT_EQ(lower("aten.relu.default", {{"self", x}}, {DType::F32, {0}}).error().kind, DiagKind::UnsupportedShape);
  EXPECT_EQ(lower("aten.relu.default", {{"self", x}}, {DType::F32, {1, 1, 1, 1, 1, 2}}).error().kind, DiagKind::UnsupportedRank);
  EXPECT_EQ(lower("aten.relu.default", {{"self", x}}, {DType::C64, {2}}).error().kind, DiagKind::UnsupportedDtype);
}

TEST_F(LowerNodeTest, AWrongShapeIsNoticed) {
  const auto x = input({DType::F32, {2}});
  EXPECT_EQ(lower("aten.relu.default", {{"self", x}}, {DType::F32, {3}}).error().kind, DiagKind::BadMil);
}

TEST_F(LowerNodeTest, ConstantsAreComputedNow) {
  ASSERT_TRUE(lower("aten.mul.Tensor", {{"self", 2.0}, {"other", 21.0}}, {DType::F32, {}}).ok());
  ASSERT_TRUE(state.operands.at(y).is_const());
  EXPECT_EQ(program.consts[state.operands.at(y).constant()].data.to_floats(), std::vector<float>{42});
  EXPECT_EQ(ops(), 0u);
}

TEST_F(LowerNodeTest, SizesComeFromTheInputs) {
  const Dim s = graph.dims->symbol("s0", {2, 8});
  const auto x = input({DType::F32, {s, 3}});
  torch::Value size;
  size.kind = torch::Value::Kind::SymInt;
  size.name = "n";
  size.sym = graph.dims->add(graph.dims->mul(Dim(2), s), Dim(1));
  size.has_sym = true;
  const auto n = graph.add_value(size);
  ASSERT_TRUE(lower("aten.add.Tensor", {{"self", x}, {"other", n}}, {DType::F32, {s, 3}}).ok());
  bool reads_shape = false;
  for (mil::OpId op : program.blocks[state.block].ops) reads_shape = reads_shape || program.ops[op].def->name == "shape";
  EXPECT_TRUE(reads_shape);
}

}  // namespace
}  // namespace cortland::torch_ops
