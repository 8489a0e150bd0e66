#include "partition/survey.h"

#include <gtest/gtest.h>

namespace cortland::partition {
namespace {

using torch::Arg;
using torch::NodeId;
using torch::ValueId;
using Kind = torch::Value::Kind;
using Place = NodeVerdict::Place;

class SurveyTest : public testing::Test {
 protected:
  ValueId value(const std::string& name, TensorType type, Kind kind = Kind::Tensor, NodeId producer = {}) {
    torch::Value v;
    v.name = name;
    v.type = std::move(type);
    v.kind = kind;
    v.producer = producer;
    return graph.add_value(std::move(v));
  }
  ValueId input(const std::string& name, TensorType type, Kind kind = Kind::Tensor) {
    torch::GraphInput in;
    in.name = name;
    in.value = value(name, std::move(type), kind);
    graph.inputs.push_back(in);
    return in.value;
  }
  ValueId node(const std::string& target, std::vector<torch::NamedArg> args, TensorType type, Kind kind = Kind::Tensor) {
    const NodeId id{graph.nodes.size()};
    torch::Node n;
    n.target = target;
    n.name = "n" + std::to_string(id.index);
    n.args = std::move(args);
    n.source = {"model.py", "forward", "y = f(x)", 3};
    n.results = {value(n.name, std::move(type), kind, id)};
    const ValueId result = n.results[0];
    graph.nodes.add(std::move(n));
    graph.order.push_back(id);
    return result;
  }
  void output(ValueId v, torch::GraphOutput::Kind kind = torch::GraphOutput::Kind::UserOutput, std::string target = {}) {
    graph.outputs.push_back({kind, v, std::move(target)});
  }
  std::vector<Place> places() {
    auto found = survey(std::move(graph), options);
    EXPECT_TRUE(found.ok()) << (found.ok() ? "" : found.error().what);
    std::vector<Place> all;
    if (!found.ok()) return all;
    result = std::move(*found);
    for (const auto& n : result.nodes) all.push_back(n.place);
    return all;
  }

  const TensorType f23{DType::F32, {2, 3}};
  torch::Graph graph;
  PartitionOptions options;
  Survey result;
};

TEST_F(SurveyTest, EveryNodeOfTheFileHasAVerdict) {
  const ValueId x = input("x", f23);
  const ValueId sum = node("aten.add.Tensor", {{"self", x}, {"other", 2.0}}, f23);
  const ValueId own = node("my.own.default", {{"x", sum}}, f23);
  output(node("aten.relu.default", {{"self", own}}, f23));
  EXPECT_EQ(places(), (std::vector{Place::CoreMl, Place::Cpu, Place::CoreMl}));
  EXPECT_EQ(result.nodes[1].name, "n1");
  EXPECT_EQ(result.nodes[1].reason.op, "my.own.default");
  EXPECT_NE(result.nodes[1].reason.source.find("model.py:3"), std::string::npos);
}

TEST_F(SurveyTest, ANodeIsRefusedWhenAPartOfItIs) {
  options.skip_ops = {"aten.mul.tensor"};  // what only the decomposition has, if it has one
  const ValueId x = input("x", f23);
  const ValueId y = node("aten.addcmul.default", {{"self", x}, {"tensor1", x}, {"tensor2", x}}, f23);
  output(node("aten.relu.default", {{"self", y}}, f23));
  const auto found = places();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[1], Place::CoreMl);
}

TEST_F(SurveyTest, ConstantsAndDeadNodesCanBeAnywhere) {
  const ValueId x = input("x", f23);
  const ValueId zeros = node("aten.full.default", {{"size", Arg::List{int64_t{2}, int64_t{3}}}, {"fill_value", 0.5}}, f23);
  node("aten.relu.default", {{"self", x}}, f23);  // nobody reads it
  output(node("aten.add.Tensor", {{"self", x}, {"other", zeros}}, f23));
  EXPECT_EQ(places(), (std::vector{Place::Anywhere, Place::Anywhere, Place::CoreMl}));
}

TEST_F(SurveyTest, SizesCanBeAnywhereButNumbersFromOutsideCannot) {
  const Dim n = graph.dims->symbol("s0", {2, 9});
  const ValueId x = input("x", {DType::F32, {n, 4}});
  const ValueId count = input("count", {}, Kind::SymInt);
  const ValueId size = node("aten.sym_size.int", {{"self", x}, {"dim", int64_t{0}}}, {}, Kind::SymInt);
  graph.values[size].sym = n;
  graph.values[size].has_sym = true;
  const ValueId more = node("_operator.add", {{"", count}, {"", int64_t{1}}}, {}, Kind::SymInt);
  output(node("aten.view.default", {{"self", x}, {"size", Arg::List{size, int64_t{4}}}}, {DType::F32, {n, 4}}));
  output(node("aten.view.default", {{"self", x}, {"size", Arg::List{more, int64_t{4}}}}, {DType::F32, {n, 4}}));
  EXPECT_EQ(places(), (std::vector{Place::Anywhere, Place::Cpu, Place::CoreMl, Place::Cpu}));
  EXPECT_NE(result.nodes[3].reason.what.find("number"), std::string::npos);
}

TEST_F(SurveyTest, NodesCanBeLeftOutByName) {
  options.cpu_nodes = {"n0"};
  const ValueId x = input("x", f23);
  const ValueId y = node("aten.relu.default", {{"self", x}}, f23);
  output(node("aten.relu.default", {{"self", y}}, f23));
  EXPECT_EQ(places(), (std::vector{Place::Cpu, Place::CoreMl}));
}

TEST_F(SurveyTest, SaysWhichBuffersCanBeStates) {
  options.target = mil::Target::iOS18;
  const auto buffer = [&](const std::string& name, float start) {
    torch::GraphInput in;
    in.kind = torch::GraphInput::Kind::Buffer;
    in.name = in.target = name;
    in.data = Weight::floats({start, start});
    in.value = value(name, {DType::F32, {2}});
    graph.inputs.push_back(in);
    output(node("aten.add.Tensor", {{"self", in.value}, {"other", 1.0}}, {DType::F32, {2}}),
           torch::GraphOutput::Kind::BufferMutation, name);
  };
  buffer("zero", 0);
  buffer("five", 5);
  places();
  ASSERT_EQ(result.buffers.size(), 2u);
  EXPECT_EQ(result.buffers[0].why_not_state, "");
  EXPECT_NE(result.buffers[1].why_not_state.find("zero"), std::string::npos);
}

TEST_F(SurveyTest, AWholeDelegateIsCalledByPosition) {
  const ValueId x = input("x", f23), y = input("y", f23);
  input("unused", f23);
  const ValueId sum = node("aten.add.Tensor", {{"self", y}, {"other", x}}, f23);
  output(sum);
  output(sum);
  output(x);
  auto whole = whole_delegate(std::move(graph), options);
  ASSERT_TRUE(whole.ok()) << whole.error().what;
  const Delegate& delegate = whole->delegates.at(0);
  EXPECT_EQ(delegate.input_names, (std::vector<std::string>{"x", "y", "unused"}));
  EXPECT_EQ(delegate.outputs, (std::vector{sum, sum, x}));
}

TEST_F(SurveyTest, AWholeDelegateRefusesWhatItCannotRun) {
  output(node("my.own.default", {{"x", input("x", f23)}}, f23));
  const auto whole = whole_delegate(std::move(graph), options);
  ASSERT_FALSE(whole.ok());
  EXPECT_EQ(whole.error().kind, DiagKind::NotDelegated);
}

}  // namespace
}  // namespace cortland::partition
