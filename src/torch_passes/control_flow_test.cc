#include "torch_passes/control_flow.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torch_passes/functionalize.h"
#include "torch_passes/views.h"

namespace cortland::torch_passes {
namespace {

using testing::HasSubstr;
using torch::Arg;
using torch::Graph;
using torch::GraphId;
using torch::NodeId;
using torch::ValueId;

ValueId add_input(Graph& graph, const std::string& name, TensorType type) {
  torch::Value value;
  value.name = name;
  value.type = std::move(type);
  torch::GraphInput input;
  input.name = name;
  input.value = graph.add_value(std::move(value));
  graph.inputs.push_back(input);
  return input.value;
}

void add_output(Graph& graph, Arg value) {
  graph.outputs.push_back({torch::GraphOutput::Kind::UserOutput, std::move(value), {}});
}

// carry + x, twice: the next carry, and what is stacked.
std::unique_ptr<Graph> running_sum(const Graph& outer) {
  auto body = std::make_unique<Graph>();
  body->dims = outer.dims;
  const TensorType row{DType::F32, {4}};
  const ValueId carry = add_input(*body, "carry", row), x = add_input(*body, "x", row);
  const ValueId sum = add_node(*body, "aten.add.Tensor", {{"self", carry}, {"other", x}}, row, {}, body->order);
  add_output(*body, sum);
  add_output(*body, add_node(*body, "aten.clone.default", {{"self", sum}}, row, {}, body->order));
  return body;
}

struct Scan {
  Graph graph;
  explicit Scan(Dim count) {
    const ValueId start = add_input(graph, "start", {DType::F32, {4}}),
                  xs = add_input(graph, "xs", {DType::F32, {count, 4}});
    const GraphId body = graph.subgraphs.add(running_sum(graph));
    torch::Node node;
    node.target = "higher_order.scan";
    node.name = "scan";
    node.args = {{"", body}, {"", Arg::List{start}}, {"", Arg::List{xs}}, {"", Arg::List{}}};
    const NodeId id{0};
    for (const Shape& shape : {Shape{4}, Shape{count, 4}}) {
      torch::Value value;
      value.name = "out" + std::to_string(graph.values.size());
      value.type = {DType::F32, shape};
      value.producer = id;
      node.results.push_back(graph.add_value(std::move(value)));
      add_output(graph, node.results.back());
    }
    graph.nodes.add(std::move(node));
    graph.order = {id};
  }
  std::vector<std::string> run() {
    auto done = functionalize(std::move(graph));
    EXPECT_TRUE(done.ok()) << (done.ok() ? "" : done.error().what);
    graph = std::move(*done);
    EXPECT_TRUE(torch::verify(graph).ok());
    std::vector<std::string> targets;
    for (const NodeId n : graph.order) targets.push_back(graph.nodes[n].target);
    return targets;
  }
};

TEST(ControlFlow, AShortScanIsWrittenOut) {
  Scan scan(3);
  const auto targets = scan.run();
  EXPECT_EQ(std::count(targets.begin(), targets.end(), "aten.add.Tensor"), 3);
  EXPECT_EQ(std::count(targets.begin(), targets.end(), "aten.stack.default"), 1);
  EXPECT_EQ(std::count(targets.begin(), targets.end(), "higher_order.scan"), 0);
}

TEST(ControlFlow, ALongScanIsALoop) {
  Scan scan(1000);
  const auto targets = scan.run();
  ASSERT_EQ(std::count(targets.begin(), targets.end(), "higher_order.while_loop"), 1);
  EXPECT_EQ(std::count(targets.begin(), targets.end(), "aten.add.Tensor"), 0);
  EXPECT_EQ(scan.graph.regions.size(), 2);
}

TEST(ControlFlow, SoIsOneOfUnknownLength) {
  auto dims = std::make_shared<DimTable>();
  Scan scan(2);
  Scan dynamic(scan.graph.dims->symbol("s0", {2, 100}));
  dynamic.graph.dims = scan.graph.dims;
  const auto targets = dynamic.run();
  EXPECT_EQ(std::count(targets.begin(), targets.end(), "higher_order.while_loop"), 1);
}

TEST(ControlFlow, WritesToTensorsFromOutsideAreRefused) {
  Scan scan(3);
  Graph& body = *scan.graph.subgraphs[GraphId{0}];
  add_node(body, "aten.relu_.default", {{"self", body.inputs[0].value}}, {DType::F32, {4}}, {}, body.order);
  const auto refused = functionalize(std::move(scan.graph));
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().what, HasSubstr("from outside of its subgraph"));
}

TEST(ControlFlow, MalformedProgramsAreRefused) {
  for (const int what : {0, 1, 2, 3}) {
    Scan scan(3);
    auto& args = scan.graph.nodes[NodeId{0}].args;
    if (what == 0) args[0].arg = int64_t{1};                              // no subgraph
    if (what == 1) args[2].arg = Arg::List{};                             // nothing to go over
    if (what == 2) args[1].arg = Arg::List{};                             // no first carry
    if (what == 3) scan.graph.subgraphs[GraphId{0}]->outputs.pop_back();  // nothing to stack
    EXPECT_FALSE(functionalize(std::move(scan.graph)).ok()) << what;
  }
}

}  // namespace
}  // namespace cortland::torch_passes
