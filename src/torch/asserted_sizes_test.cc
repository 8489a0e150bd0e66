#include "torch/asserted_sizes.h"

#include <gtest/gtest.h>

namespace cortland::torch {
namespace {

class AssertedSizesTest : public testing::Test {
 protected:
  ValueId size(Dim dim) {
    Value value;
    value.kind = Value::Kind::SymInt;
    value.sym = dim;
    value.has_sym = true;
    return graph.add_value(value);
  }

  NodeId node(const std::string& target, std::vector<NamedArg> args, std::vector<ValueId> results) {
    Node made;
    made.target = target;
    made.args = std::move(args);
    made.results = std::move(results);
    graph.order.push_back(graph.nodes.add(std::move(made)));
    return graph.order.back();
  }

  // torch._check(a <compared with> b)
  void claim(const std::string& comparison, Arg a, Arg b) {
    Value truth;
    truth.kind = Value::Kind::SymBool;
    const ValueId v = graph.add_value(truth);
    graph.values[v].producer = node("_operator." + comparison, {{"a", std::move(a)}, {"b", std::move(b)}}, {v});
    node("aten._assert_scalar.default", {{"self", v}, {"assert_msg", std::string()}}, {});
  }

  int64_t high(const std::string& name) { return graph.dims->symbol_range(name).high; }

  Graph graph;
  Dim h = graph.dims->symbol("u0", {1, DimRange::kUnbounded}), w = graph.dims->symbol("u1", {2, DimRange::kUnbounded});
};

TEST_F(AssertedSizesTest, AProductBoundsItsFactors) {
  claim("le", size(graph.dims->mul(h, w)), int64_t{16});
  bound_asserted_sizes(graph);
  EXPECT_EQ(high("u0"), 8);
  EXPECT_EQ(high("u1"), 16);
}

TEST_F(AssertedSizesTest, ComparisonsGoBothWays) {
  claim("lt", size(h), int64_t{10});
  claim("ge", int64_t{7}, size(w));
  bound_asserted_sizes(graph);
  EXPECT_EQ(high("u0"), 9);
  EXPECT_EQ(high("u1"), 7);
}

TEST_F(AssertedSizesTest, WhatIsLeftOfANumber) {
  claim("gt", size(graph.dims->sub(graph.dims->constant(20), graph.dims->add(h, graph.dims->mul(w, Dim(3))))), int64_t{0});
  bound_asserted_sizes(graph);
  EXPECT_EQ(high("u0"), 13);  // 19 - 3 * 2
  EXPECT_EQ(high("u1"), 6);   // (19 - 1) / 3
}

TEST_F(AssertedSizesTest, ALowerBoundIsNone) {
  claim("ge", size(graph.dims->mul(h, w)), int64_t{4});
  claim("le", size(graph.dims->sub(h, w)), int64_t{4});  // w may be as large as it likes
  bound_asserted_sizes(graph);
  EXPECT_EQ(high("u0"), DimRange::kUnbounded);
  EXPECT_EQ(high("u1"), DimRange::kUnbounded);
}

TEST_F(AssertedSizesTest, AMaskKeepsNoMoreThanThereIs) {
  const auto tensor = [&](DType dtype, Shape shape) {
    Value value;
    value.type = {dtype, std::move(shape)};
    return graph.add_value(std::move(value));
  };
  const Dim n = graph.dims->symbol("s0", {2, 10}), any = graph.dims->symbol("s1", {1, DimRange::kUnbounded});
  const ValueId x = tensor(DType::F32, {Dim(3), n, any});
  node("aten.index.Tensor", {{"self", x}, {"indices", Arg::List{tensor(DType::Bool, {Dim(3), any})}}}, {tensor(DType::F32, {h, any})});
  node("aten.nonzero.default", {{"self", x}}, {tensor(DType::I64, {w, Dim(3)})});
  bound_counted_sizes(graph);
  EXPECT_EQ(high("u0"), 30) << "the second axis of the mask is that of x";
  EXPECT_EQ(high("u1"), DimRange::kUnbounded);
  EXPECT_EQ(high("s1"), DimRange::kUnbounded);
}

}  // namespace
}  // namespace cortland::torch
