#include "torch_passes/high_rank.h"

#include <gtest/gtest.h>

#include "torch_passes/views.h"

namespace cortland::torch_passes {
namespace {

using torch::Arg;
using torch::ValueId;

Arg ints(std::initializer_list<int64_t> values) {
  Arg::List list;
  for (int64_t v : values) list.push_back(v);
  return list;
}

class HighRankTest : public testing::Test {
 protected:
  ValueId input(Shape shape) {
    torch::Value value;
    value.name = "x";
    value.type = {DType::F32, std::move(shape)};
    torch::GraphInput in;
    in.name = "x";
    in.value = graph.add_value(std::move(value));
    graph.inputs.push_back(in);
    return in.value;
  }

  ValueId op(const std::string& target, std::vector<torch::NamedArg> args, Shape shape) {
    return add_node(graph, target, std::move(args), {DType::F32, std::move(shape)}, {}, graph.order);
  }

  // The one node of that operator, once the pass has run.
  torch::Node only(const std::string& target) {
    reduce_high_ranks(graph);
    std::vector<torch::Node> found;
    for (const auto n : graph.order)
      if (graph.nodes[n].target == target) found.push_back(graph.nodes[n]);
    EXPECT_EQ(found.size(), 1u);
    return found.empty() ? torch::Node() : found[0];
  }

  void output(ValueId v) { graph.outputs.push_back({torch::GraphOutput::Kind::UserOutput, v, {}}); }

  // Runs the pass, and follows element i of the input through views and permutations to the output.
  std::vector<int64_t> places() {
    reduce_high_ranks(graph);
    std::unordered_map<ValueId, std::vector<int64_t>> content;
    const ValueId x = graph.inputs[0].value;
    for (int64_t i = 0; i < graph.type(x).elements().value(); ++i) content[x].push_back(i);
    for (torch::NodeId n : graph.order) {
      const torch::Node& node = graph.nodes[n];
      const ValueId from = *node.args[0].arg.as<ValueId>();
      highest = std::max(highest, graph.type(node.results[0]).rank());
      content[node.results[0]] = node.target == "aten.permute.default" ? permuted(content[from], sizes(graph.type(from).shape), node) : content[from];
    }
    return content[*graph.outputs[0].value.as<ValueId>()];
  }

  static std::vector<int64_t> permuted(const std::vector<int64_t>& x, const std::vector<int64_t>& shape, const torch::Node& node) {
    std::vector<int64_t> perm, strides(shape.size(), 1), out(x.size());
    for (const Arg& a : *node.find("dims")->as<Arg::List>()) perm.push_back(*a.as<int64_t>());
    for (size_t i = shape.size() - 1; i-- > 0;) strides[i] = strides[i + 1] * shape[i + 1];
    for (size_t i = 0; i < out.size(); ++i) {
      auto rest = static_cast<int64_t>(i);
      int64_t at = 0;
      for (size_t k = perm.size(); k-- > 0;) {
        const auto axis = static_cast<size_t>(perm[k]);
        at += rest % shape[axis] * strides[axis];
        rest /= shape[axis];
      }
      out[i] = x[static_cast<size_t>(at)];
    }
    return out;
  }

  // view -> permute -> view, and the places torch would give.
  void check(const std::vector<int64_t>& shape, std::initializer_list<int64_t> perm) {
    int64_t count = 1;
    for (int64_t d : shape) count *= d;
    const ValueId x = input({count});
    Shape turned;
    for (int64_t p : perm) turned.push_back(shape[static_cast<size_t>(p)]);
    const ValueId high = op("aten.view.default", {{"self", x}}, shape_of(shape));
    const ValueId swapped = op("aten.permute.default", {{"self", high}, {"dims", ints(perm)}}, turned);
    const ValueId copy = op("aten.clone.default", {{"self", swapped}}, turned);
    output(op("aten.view.default", {{"self", copy}}, {count}));
    std::vector<int64_t> all(static_cast<size_t>(count));
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int64_t>(i);
    const auto want = permuted(all, shape, graph.nodes[graph.order[1]]);
    EXPECT_EQ(places(), want);
    EXPECT_LE(highest, 5);
  }

  torch::Graph graph;
  int highest = 0;
};

TEST_F(HighRankTest, WindowsOfAnImage) { check({2, 4, 2, 3, 2, 5}, {0, 1, 3, 2, 4, 5}); }
TEST_F(HighRankTest, WindowsOfAVideo) { check({2, 2, 3, 2, 2, 3, 2, 5}, {0, 1, 3, 5, 2, 4, 6, 7}); }
TEST_F(HighRankTest, ReversedAxes) { check({2, 3, 2, 3, 2, 3, 2}, {6, 5, 4, 3, 2, 1, 0}); }
TEST_F(HighRankTest, AxesOfOneElement) { check({1, 2, 1, 3, 1, 2}, {5, 4, 3, 2, 1, 0}); }
TEST_F(HighRankTest, NothingMoves) { check({2, 1, 3, 1, 2, 2}, {1, 0, 2, 4, 3, 5}); }

TEST_F(HighRankTest, AnOperatorOfManyAxesKeepsItsTensor) {
  const ValueId x = input({64});
  const ValueId high = op("aten.view.default", {{"self", x}}, {2, 2, 2, 2, 2, 2});
  output(op("custom.mix.default", {{"self", high}}, {2, 2, 2, 2, 2, 2}));
  reduce_high_ranks(graph);
  ASSERT_EQ(graph.order.size(), 2u);
  EXPECT_EQ(*graph.nodes[graph.order[1]].args[0].arg.as<ValueId>(), high);
}

TEST_F(HighRankTest, WhatReducesAxesApartBringsThemTogether) {
  const ValueId x = input({720});
  const ValueId high = op("aten.view.default", {{"self", x}}, {1, 2, 3, 4, 5, 6});
  output(op("aten.sum.dim_IntList", {{"self", high}, {"dim", ints({1, 3})}}, {1, 3, 5, 6}));
  const auto sum = only("aten.sum.dim_IntList");
  EXPECT_EQ(graph.type(*sum.find("self")->as<ValueId>()).shape, (Shape{90, 8, 1}));
  EXPECT_EQ(graph.type(sum.results[0]).shape, (Shape{90, 1}));
}

TEST_F(HighRankTest, LinearSeesRows) {
  const ValueId x = input({720}), weight = input({7, 6});
  const ValueId high = op("aten.view.default", {{"self", x}}, {1, 2, 3, 4, 5, 6});
  output(op("aten.linear.default", {{"input", high}, {"weight", weight}}, {1, 2, 3, 4, 5, 7}));
  const auto linear = only("aten.linear.default");
  EXPECT_EQ(graph.type(*linear.find("input")->as<ValueId>()).shape, (Shape{120, 6}));
  EXPECT_EQ(graph.type(linear.results[0]).shape, (Shape{120, 7}));
}

TEST_F(HighRankTest, StackedTensorsAreJoinedInTheMiddle) {
  const ValueId x = input({1, 2, 3, 4, 5}), y = input({1, 2, 3, 4, 5});
  output(op("aten.stack.default", {{"tensors", Arg::List{x, y}}, {"dim", int64_t{-2}}}, {1, 2, 3, 4, 2, 5}));
  const auto cat = only("aten.cat.default");
  EXPECT_EQ(graph.type(cat.results[0]).shape, (Shape{24, 2, 5}));
}

// An equation is taken apart into what knows few axes.
TEST_F(HighRankTest, EinsumBecomesAProductOfMatrices) {
  const ValueId x = input({2, 3, 4, 5, 6}), y = input({7, 5, 6});
  output(op("aten.einsum.default", {{"equation", std::string("abcde,fde->abcdfe")}, {"tensors", Arg::List{x, y}}}, {2, 3, 4, 5, 7, 6}));
  reduce_high_ranks(graph);
  graph.order.pop_back();  // the view that gives the output its axes
  for (const auto n : graph.order) {
    EXPECT_NE(graph.nodes[n].target, "aten.einsum.default");
    EXPECT_LE(graph.type(graph.nodes[n].results[0]).rank(), 5) << graph.nodes[n].target;
  }
}

// Of a tensor from outside only the view is left.
TEST_F(HighRankTest, AnInputOfManyAxesIsSeenInOrder) {
  const ValueId x = input({1, 2, 3, 4, 5, 6});
  output(op("aten.amax.default", {{"self", x}, {"dim", ints({5})}}, {1, 2, 3, 4, 5}));
  const auto amax = only("aten.amax.default");
  EXPECT_EQ(graph.type(*amax.find("self")->as<ValueId>()).shape, (Shape{120, 6, 1}));
}

// The offsets of deformable attention: [2, 1, 3, 1, 2, 1] times [3, 4, 1, 5] is computed as [2, 3, 1, 2, 1] times [1, 3, 4, 1, 5].
TEST_F(HighRankTest, WhatComputesByElementSeesFewerAxes) {
  const ValueId x = input({12}), y = input({3, 4, 1, 5});
  const ValueId high = op("aten.view.default", {{"self", x}}, {2, 1, 3, 1, 2, 1});
  const ValueId product = op("aten.mul.Tensor", {{"self", high}, {"other", y}}, {2, 1, 3, 4, 2, 5});
  output(op("aten.view.default", {{"self", product}}, {240}));
  reduce_high_ranks(graph);
  const auto mul = std::find_if(graph.order.begin(), graph.order.end(), [&](auto n) { return graph.nodes[n].target == "aten.mul.Tensor"; });
  ASSERT_NE(mul, graph.order.end());
  const torch::Node& node = graph.nodes[*mul];
  EXPECT_EQ(graph.type(*node.find("self")->as<ValueId>()).shape, (Shape{2, 3, 1, 2, 1}));
  EXPECT_EQ(graph.type(*node.find("other")->as<ValueId>()).shape, (Shape{1, 3, 4, 1, 5}));
  EXPECT_EQ(graph.type(node.results[0]).shape, (Shape{2, 3, 4, 2, 5}));
}

// Six axes that all differ: the smaller tensor is made as large as the result.
TEST_F(HighRankTest, WhereNoAxesGoTogetherTheyAreAllOne) {
  const ValueId x = input({8}), y = input({8});
  const ValueId a = op("aten.view.default", {{"self", x}}, {2, 1, 2, 1, 2, 1}), b = op("aten.view.default", {{"self", y}}, {1, 2, 1, 2, 1, 2});
  const ValueId sum = op("aten.add.Tensor", {{"self", a}, {"other", b}}, {2, 2, 2, 2, 2, 2});
  output(op("aten.view.default", {{"self", sum}}, {64}));
  reduce_high_ranks(graph);
  for (const auto n : graph.order) EXPECT_LE(graph.type(graph.nodes[n].results[0]).rank(), 5) << graph.nodes[n].target;
  const auto add = std::find_if(graph.order.begin(), graph.order.end(), [&](auto n) { return graph.nodes[n].target == "aten.add.Tensor"; });
  ASSERT_NE(add, graph.order.end());
  EXPECT_EQ(graph.type(graph.nodes[*add].results[0]).shape, (Shape{64}));
}

TEST_F(HighRankTest, ReducesTheMiddleOfThreeAxes) {
  const ValueId x = input({720});
  const ValueId high = op("aten.view.default", {{"self", x}}, {1, 2, 3, 4, 5, 6});
  output(op("aten.amax.default", {{"self", high}, {"dim", ints({-4, 3})}, {"keepdim", true}}, {1, 2, 1, 1, 5, 6}));
  reduce_high_ranks(graph);
  const auto found = std::find_if(graph.order.begin(), graph.order.end(), [&](auto n) { return graph.nodes[n].target == "aten.amax.default"; });
  ASSERT_NE(found, graph.order.end());
  EXPECT_EQ(graph.type(*graph.nodes[*found].find("self")->as<ValueId>()).shape, (Shape{2, 12, 30}));
  EXPECT_EQ(graph.type(graph.nodes[*found].results[0]).shape, (Shape{2, 30}));
}

TEST_F(HighRankTest, FlipsOneAxisAfterTheOther) {
  const ValueId x = input({720});
  const ValueId high = op("aten.view.default", {{"self", x}}, {1, 2, 3, 4, 5, 6});
  output(op("aten.flip.default", {{"self", high}, {"dims", ints({1, -1})}}, {1, 2, 3, 4, 5, 6}));
  reduce_high_ranks(graph);
  std::vector<Shape> flipped;
  for (const auto n : graph.order)
    if (graph.nodes[n].target == "aten.flip.default") flipped.push_back(graph.type(graph.nodes[n].results[0]).shape);
  EXPECT_EQ(flipped, (std::vector<Shape>{{1, 2, 360}, {120, 6, 1}}));
}

TEST_F(HighRankTest, SelectsFromTheMiddle) {
  const ValueId x = input({96});
  const ValueId high = op("aten.view.default", {{"self", x}}, {2, 2, 3, 2, 2, 2});
  output(op("aten.select.int", {{"self", high}, {"dim", int64_t{-4}}, {"index", int64_t{1}}}, {2, 2, 2, 2, 2}));
  reduce_high_ranks(graph);
  ASSERT_EQ(graph.order.size(), 3u);
  const torch::Node& select = graph.nodes[graph.order[1]];
  EXPECT_EQ(select.target, "aten.select.int");
  EXPECT_EQ(*select.find("dim")->as<int64_t>(), 1);
  EXPECT_EQ(graph.type(select.results[0]).shape, (Shape{4, 8}));
}

TEST_F(HighRankTest, OfTwoDynamicSizesAViewIsToldOne) {
  const Dim n = graph.dims->symbol("n"), m = graph.dims->symbol("m");
  const ValueId x = input({n, m});
  const ValueId high = op("aten.view.default", {{"self", x}}, {n, m, 1, 1, 1, 1});
  output(op("aten.view.default", {{"self", high}}, {n, m, 1}));
  reduce_high_ranks(graph);
  ASSERT_EQ(graph.order.size(), 1u);
  const torch::Node& view = graph.nodes[graph.order[0]];
  EXPECT_EQ(*view.find("self")->as<ValueId>(), x);
  const auto& size = *view.find("size")->as<Arg::List>();
  ASSERT_EQ(size.size(), 3u);
  EXPECT_EQ(*size[0].as<int64_t>(), -1);
  EXPECT_EQ(graph.values[*size[1].as<ValueId>()].sym, m);
}

}  // namespace
}  // namespace cortland::torch_passes
