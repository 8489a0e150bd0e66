// Decompositions as a whole. That they compute the right numbers is for the corpus to judge; here: that no program, however
// wrong, breaks them, and what a few of them consist of.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <set>

#include "torch_ops/decompose.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using torch::Arg;
using torch::Graph;
using torch::GraphInput;
using torch::NodeId;
using torch::SchemaArg;
using torch::ValueId;

ValueId add_input(Graph& graph, TensorType type) {
  torch::Value value;
  value.name = "in" + std::to_string(graph.values.size());
  value.type = std::move(type);
  GraphInput input;
  input.name = value.name;
  input.value = graph.add_value(std::move(value));
  graph.inputs.push_back(input);
  return input.value;
}

// A node with results of the given types, all of them outputs of the graph.
NodeId add_node(Graph& graph, const std::string& target, std::vector<torch::NamedArg> args, const std::vector<TensorType>& results) {
  torch::Node node;
  node.target = target;
  node.name = "node";
  node.args = std::move(args);
  const NodeId id{graph.nodes.size()};
  for (const TensorType& type : results) {
    torch::Value value;
    value.name = "out" + std::to_string(graph.values.size());
    value.type = type;
    value.producer = id;
    node.results.push_back(graph.add_value(std::move(value)));
    torch::GraphOutput output;
    output.value = node.results.back();
    graph.outputs.push_back(output);
  }
  graph.nodes.add(std::move(node));
  graph.order.push_back(id);
  return id;
}

std::vector<std::string> targets(const Graph& graph, const std::vector<NodeId>& nodes) {
  std::vector<std::string> names;
  for (const NodeId n : nodes) names.push_back(graph.nodes[n].target);
  return names;
}

std::vector<NodeId> decompose(Graph& graph, NodeId node, std::string* why = nullptr) {
  auto parts = decompose_node(graph, node, why);
  EXPECT_TRUE(parts.ok());
  return parts.ok() ? *parts : std::vector<NodeId>{};
}

// ---- programs that lie

class Liar {
 public:
  explicit Liar(uint32_t seed) : random_(seed) {}

  Graph graph;

  NodeId node(const TorchOp& op) {
    const auto schema = torch::parse_schema(op.schema);
    std::vector<torch::NamedArg> args;
    for (const SchemaArg& formal : schema->args)
      if (below(8) != 0) args.push_back({formal.name, argument(formal)});
    std::vector<TensorType> results;
    const size_t count = below(3) == 0 ? below(5) : schema->returns.size();
    for (size_t i = 0; i < count; ++i) results.push_back(tensor_type());
    return add_node(graph, schema->target(), std::move(args), results);
  }

 private:
  size_t below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

  template <class T, size_t N>
  T pick(const T (&choices)[N]) { return choices[below(N)]; }

  TensorType tensor_type() {
    TensorType type;
    type.dtype = pick({DType::F32, DType::F32, DType::F16, DType::I64, DType::Bool, DType::Unknown});
    const size_t rank = below(7);
    for (size_t i = 0; i < rank; ++i) type.shape.push_back(below(5) == 0 ? graph.dims->symbol("s" + std::to_string(below(3)), {0, 64}) : Dim(pick<int64_t>({0, 1, 2, 3, 4, 6, int64_t{1} << 40})));
    return type;
  }

  int64_t integer() {
    return pick<int64_t>({-2, -1, 0, 1, 1, 2, 2, 3, 3, 4, 7, int64_t{1} << 33, std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()});
  }

  Arg item(const SchemaArg& formal) {
    using Type = SchemaArg::Type;
    switch (formal.type) {
      case Type::Tensor: return below(12) == 0 ? Arg(1.5) : Arg(add_input(graph, tensor_type()));
      case Type::Int: return Arg(integer());
      case Type::Float: return Arg(pick({0.0, 0.5, 2.0, -1.0, 1e300, std::numeric_limits<double>::quiet_NaN()}));
      case Type::Bool: return Arg(below(2) == 0);
      case Type::Scalar: return below(2) == 0 ? Arg(integer()) : Arg(0.5);
      case Type::String: return Arg(std::string(pick({"same", "valid", "reflect", "circular", "fro", "sum", "ij", "ij,jk->ik", "...i,...i", "i->", ",,->", "xy", "floor"})));
      case Type::DType: return Arg(DType::F32);
      default: return Arg();
    }
  }

  Arg argument(const SchemaArg& formal) {
    if (below(25) == 0) return Arg();
    if (!formal.list) return item(formal);
    Arg::List list;
    for (size_t n = below(6); n > 0; --n) list.push_back(item(formal));
    return list;
  }

  std::mt19937 random_;
};

// Everything a part reads exists before it, and every result of the node is made.
void expect_sound(const Graph& graph, NodeId node, const std::vector<NodeId>& parts) {
  std::set<ValueId> known;
  for (const GraphInput& input : graph.inputs) known.insert(input.value);
  for (const NodeId part : parts) {
    for (const auto& arg : graph.nodes[part].args)
      for_each_value(arg.arg, [&](ValueId v) {
        ASSERT_TRUE(v.valid()) << graph.nodes[node].target;
        const bool number = graph.values[v].kind != torch::Value::Kind::Tensor;
        EXPECT_TRUE(number || known.count(v)) << graph.nodes[part].target << " of " << graph.nodes[node].target;
      });
    for (const ValueId v : graph.nodes[part].results) EXPECT_TRUE(known.insert(v).second) << graph.nodes[node].target;
  }
  EXPECT_TRUE(known.count(graph.nodes[node].results.empty() ? ValueId{graph.inputs.empty() ? 0 : graph.inputs[0].value.index} : graph.nodes[node].results[0]))
      << graph.nodes[node].target;
}

TEST(Decompositions, SurviveAnyArguments) {
  int taken_apart = 0;
  for (const TorchOp* op : all_ops()) {
    if (!op->decompose && op->same_as.empty()) continue;
    for (uint32_t seed = 0; seed < 150; ++seed) {
      Liar liar(seed);
      const NodeId node = liar.node(*op);
      const auto parts = decompose(liar.graph, node);
      if (parts.empty()) continue;
      ++taken_apart;
      if (!liar.graph.nodes[node].results.empty()) expect_sound(liar.graph, node, parts);
    }
  }
  EXPECT_GT(taken_apart, 1000);  // or the test tries nothing
}

TEST(Decompositions, ResultsKeepTheirIds) {
  Graph graph;
  const TensorType type{DType::F32, {2, 3}};
  const ValueId x = add_input(graph, type);
  const NodeId silu = add_node(graph, "aten.silu.default", {{"self", x}}, {type});
  const ValueId result = graph.nodes[silu].results[0];
  const auto parts = decompose(graph, silu);
  EXPECT_THAT(targets(graph, parts), ElementsAre("aten.sigmoid.default", "aten.mul.Tensor"));
  EXPECT_EQ(graph.nodes[parts[1]].results[0], result);
  EXPECT_EQ(graph.values[result].producer, parts[1]);
}

TEST(Decompositions, OneValueMayBeSeveralResults) {
  Graph graph;
  const TensorType state{DType::F32, {1, 2, 4}};
  const ValueId x = add_input(graph, {DType::F32, {1, 2, 3}}), h = add_input(graph, state);
  Arg::List params;
  for (const Shape& shape : {Shape{4, 3}, Shape{4, 4}, Shape{4}, Shape{4}}) params.push_back(add_input(graph, {DType::F32, shape}));
  const NodeId rnn = add_node(graph, "aten.rnn_tanh.input",
                              {{"input", x}, {"hx", h}, {"params", params}, {"has_biases", true}, {"num_layers", int64_t{1}}, {"dropout", 0.0},
                               {"train", false}, {"bidirectional", false}, {"batch_first", false}},
                              {state, state});
  // One step of one layer: the sequence of outputs is the last state.
  const auto parts = decompose(graph, rnn);
  ASSERT_FALSE(parts.empty());
  expect_sound(graph, rnn, parts);
  EXPECT_EQ(graph.nodes[parts.back()].results[0], graph.nodes[rnn].results[1]);
}

TEST(Decompositions, KernelsAreLeftWhatTheyCanDo) {
  Graph graph;
  const ValueId x = add_input(graph, {DType::I64, {4}}), y = add_input(graph, {DType::F32, {4}});
  const NodeId ints = add_node(graph, "aten.remainder.Scalar", {{"self", x}, {"other", int64_t{3}}}, {{DType::I64, {4}}});
  const NodeId floats = add_node(graph, "aten.remainder.Scalar", {{"self", y}, {"other", 3.0}}, {{DType::F32, {4}}});
  EXPECT_THAT(targets(graph, decompose(graph, ints)), ElementsAre("aten.div.Tensor_mode", "aten.mul.Tensor", "aten.sub.Tensor"));
  std::string why;
  EXPECT_THAT(decompose(graph, floats, &why), IsEmpty());
  EXPECT_EQ(why, "");  // it was not asked for, so there is nothing to explain
}

TEST(Decompositions, SaysWhyNot) {
  Graph graph;
  const TensorType type{DType::F32, {4}};
  const ValueId x = add_input(graph, type);
  const NodeId node = add_node(graph, "aten.rrelu.default", {{"self", x}, {"training", true}}, {type});
  std::string why;
  EXPECT_THAT(decompose(graph, node, &why), IsEmpty());
  EXPECT_EQ(why, "random slopes are for training");
}

TEST(Decompositions, SymbolicSizesBecomeValues) {
  Graph graph;
  const Dim s = graph.dims->symbol("s0", {1, 16}), t = graph.dims->symbol("s1", {1, 16});
  const ValueId x = add_input(graph, {DType::F32, {s, t, 8}});
  const NodeId node = add_node(graph, "aten.repeat_interleave.self_int", {{"self", x}, {"repeats", int64_t{2}}, {"dim", int64_t{1}}},
                               {{DType::F32, {s, graph.dims->mul(t, 2), 8}}});
  const auto parts = decompose(graph, node);
  EXPECT_THAT(targets(graph, parts), ElementsAre("aten.unsqueeze.default", "aten.expand.default", "aten.view.default"));
  const auto& size = *graph.nodes[parts[1]].find("size")->as<Arg::List>();
  const auto* first = size[0].as<ValueId>();
  ASSERT_TRUE(first);
  EXPECT_EQ(graph.values[*first].kind, torch::Value::Kind::SymInt);
  EXPECT_EQ(graph.values[*first].sym, s);
  EXPECT_EQ(*size[2].as<int64_t>(), 2);
}

TEST(Decompositions, FullyMaskedRowsOfAttentionAreZero) {
  Graph graph;
  const TensorType q{DType::F32, {1, 2, 3, 4}};
  const ValueId x = add_input(graph, q), mask = add_input(graph, {DType::Bool, {3, 3}});
  auto args = [&](bool masked) {
    std::vector<torch::NamedArg> list = {{"query", x}, {"key", x}, {"value", x}};
    if (masked) list.push_back({"attn_mask", mask});
    return list;
  };
  const NodeId plain = add_node(graph, "aten.scaled_dot_product_attention.default", args(false), {q});
  const NodeId masked = add_node(graph, "aten.scaled_dot_product_attention.default", args(true), {q});
  EXPECT_THAT(targets(graph, decompose(graph, plain)), Not(Contains("aten.any.dims")));
  EXPECT_THAT(targets(graph, decompose(graph, masked)), Contains("aten.any.dims"));
}

}  // namespace
}  // namespace cortland::torch_ops
