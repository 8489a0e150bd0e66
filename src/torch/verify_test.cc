#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torch/stack_trace.h"
#include "torch/test_pt2.h"

namespace cortland::torch {
namespace {

using testing::HasSubstr;

Graph smallest() { return std::move(test::read(test::Files{})).value(); }
std::string refusal(const Graph& graph) {
  const auto status = verify(graph);
  return status ? "(accepted)" : status.error().what;
}

TEST(Verify, AcceptsWhatTheReaderMakes) { EXPECT_EQ(refusal(smallest()), "(accepted)"); }

TEST(Verify, Nodes) {
  Graph graph = smallest();
  graph.order.push_back(graph.order[0]);
  EXPECT_THAT(refusal(graph), HasSubstr("twice"));
  graph = smallest();
  graph.order.push_back(NodeId{7});
  EXPECT_THAT(refusal(graph), HasSubstr("does not exist"));
  graph = smallest();
  Node& node = graph.nodes[graph.order[0]];
  node.args[0].arg = Arg(Arg::List{Arg(node.results[0])});
  EXPECT_THAT(refusal(graph), HasSubstr("before it is defined"));
  node.args[0].arg = Arg(ValueId{99});
  EXPECT_THAT(refusal(graph), HasSubstr("does not exist"));
  node.args[0].arg = Arg(GraphId{0});
  EXPECT_THAT(refusal(graph), HasSubstr("subgraph"));
  graph = smallest();
  graph.values[graph.nodes[graph.order[0]].results[0]].producer = NodeId();
  EXPECT_THAT(refusal(graph), HasSubstr("another node"));
  graph = smallest();
  graph.order.clear();
  EXPECT_THAT(refusal(graph), HasSubstr("never defined"));
}

TEST(Verify, Names) {
  Graph graph = smallest();
  graph.values[graph.nodes[graph.order[0]].results[0]].name = "x";
  EXPECT_THAT(refusal(graph), HasSubstr("name is taken"));
}

TEST(Verify, InputsAndOutputs) {
  Graph graph = smallest();
  graph.inputs[0].target.clear();
  EXPECT_THAT(refusal(graph), HasSubstr("fully qualified"));
  graph = smallest();
  graph.inputs[0].data = Weight::floats({1, 2, 3});
  EXPECT_THAT(refusal(graph), HasSubstr("fp32[3]"));
  graph = smallest();
  graph.inputs[1].value = graph.inputs[0].value;
  EXPECT_THAT(refusal(graph), HasSubstr("'x'"));
  graph = smallest();
  graph.outputs[0].kind = GraphOutput::Kind::UserInputMutation;
  graph.outputs[0].target = "nobody";
  EXPECT_THAT(refusal(graph), HasSubstr("'nobody'"));
  graph.outputs[0].target = "x";
  EXPECT_EQ(refusal(graph), "(accepted)");
}

TEST(Verify, Subgraphs) {
  Graph graph = smallest();
  auto inner = std::make_unique<Graph>(smallest());
  inner->order.clear();
  const GraphId id = graph.subgraphs.add(std::move(inner));
  graph.nodes[graph.order[0]].args.push_back({"", Arg(id)});
  EXPECT_THAT(refusal(graph), HasSubstr("never defined"));
}

TEST(Print, OneLineANode) {
  Graph graph = smallest();
  graph.nodes[graph.order[0]].args.push_back({"alpha", Arg(2.0)});
  graph.nodes[graph.order[0]].source = {"model.py", "forward", "x + w", 41};
  EXPECT_EQ(print(graph), R"(input %w: f32[2]  # buffer w
input %x: f32[2]  # user
%add = aten.add.Tensor(self=%x, other=%w, alpha=2.0)  # f32[2]  model.py:41
output %add  # user
)");
}

TEST(Print, TextOfTheFileIsMadeSafe) {
  Graph graph = smallest();
  graph.nodes[graph.order[0]].target = "a\nb\x1b[31m";
  EXPECT_THAT(print(graph), HasSubstr(R"(a\x0ab\x1b[31m)"));
}

TEST(StackTrace, InnermostFrameOfTheModel) {
  const auto source = [](std::string_view trace) { return source_of(trace).str(); };
  EXPECT_EQ(source("  File \"/home/me/model.py\", line 41, in forward\n    x = F.gelu(x)\n"),
            "model.py:41 in forward: x = F.gelu(x)");
  EXPECT_EQ(source("  File \"a.py\", line 1, in f\n    g()\n  File \"C:\\\\m\\\\b.py\", line 2, in g\n    h()\n    ^^^\n"),
            "b.py:2 in g: h()");
  EXPECT_EQ(source("File \"a.py\", line 1, in f\n  g()\nFile \"/x/site-packages/torch/nn/modules/linear.py\", line 2, in "
                   "forward\n  return 1\n"),
            "a.py:1 in f: g()");
  EXPECT_EQ(
      source(
          "File \"/x/site-packages/transformers/a.py\", line 3, in f\n  g()\nFile \"torch/fx/passes/b.py\", line 2, in c\n"),
      "a.py:3 in f: g()");
  EXPECT_EQ(source("File \"/x/site-packages/torch/nn/modules/linear.py\", line 2, in forward\n  return 1\n"), "");
  EXPECT_EQ(source("File \"<eval_with_key>.5\", line 6, in forward\n"), "");
  EXPECT_EQ(source("File \"a.py\", line 7, in f\nFile \"torch/x.py\""), "a.py:7 in f") << "code may be missing";
  EXPECT_EQ(source("no trace"), "");
  EXPECT_EQ(source("File \""), "");
  EXPECT_EQ(source("File \"a.py"), "a.py");
  EXPECT_EQ(source("File \"a\x01.py\", line 99999999999, in \x02\n"), "a\\x01.py in \\x02");
}

}  // namespace
}  // namespace cortland::torch
