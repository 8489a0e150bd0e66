#include "torch_passes/complex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torch_passes/views.h"

namespace cortland::torch_passes {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using torch::Arg;
using torch::Graph;
using torch::GraphInput;
using torch::ValueId;

class ComplexTest : public testing::Test {
 protected:
  ValueId input(const std::string& name, TensorType type, GraphInput::Kind kind = GraphInput::Kind::UserInput,
                Weight data = {}) {
    torch::Value value;
    value.name = name;
    value.type = std::move(type);
    GraphInput in;
    in.kind = kind;
    in.name = in.target = name;
    in.data = std::move(data);
    in.value = graph.add_value(std::move(value));
    graph.inputs.push_back(in);
    return in.value;
  }

  ValueId op(const std::string& target, std::vector<torch::NamedArg> args, TensorType type) {
    return add_node(graph, target, std::move(args), std::move(type), {}, graph.order);
  }

  void output(ValueId v) { graph.outputs.push_back({torch::GraphOutput::Kind::UserOutput, v, {}}); }

  std::vector<std::string> run() {
    const Status status = split_complex(graph);
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().what);
    std::vector<std::string> targets;
    for (const torch::NodeId n : graph.order) {
      targets.push_back(graph.nodes[n].target);
      for (const ValueId v : graph.nodes[n].results) EXPECT_FALSE(is_complex(graph.type(v).dtype)) << targets.back();
    }
    EXPECT_TRUE(torch::verify(graph).ok());
    return targets;
  }

  Graph graph;
};

// view_as_real(view_as_complex(x) * freqs)
TEST_F(ComplexTest, ARotationIsFourProductsAndTwoSums) {
  const ValueId x = input("x", {DType::F32, {3, 2}});
  const Weight freqs = Weight::of<float>(DType::C64, {3}, {1, 2, 3, 4, 5, 6});
  const ValueId f = input("freqs", {DType::C64, {3}}, GraphInput::Kind::Buffer, freqs);
  const ValueId c = op("aten.view_as_complex.default", {{"self", x}}, {DType::C64, {3}});
  const ValueId y = op("aten.mul.Tensor", {{"self", c}, {"other", f}}, {DType::C64, {3}});
  output(op("aten.view_as_real.default", {{"self", y}}, {DType::F32, {3, 2}}));
  const auto targets = run();
  EXPECT_EQ(std::count(targets.begin(), targets.end(), "aten.mul.Tensor"), 4);
  EXPECT_EQ(std::count(targets.begin(), targets.end(), "aten.stack.default"), 1);
  ASSERT_EQ(graph.inputs.size(), 3u);
  EXPECT_EQ(graph.inputs[1].target, "freqs.real");
  EXPECT_EQ(graph.inputs[1].data.to_floats(), (std::vector<float>{1, 3, 5}));
  EXPECT_EQ(graph.inputs[2].data.to_floats(), (std::vector<float>{2, 4, 6}));
}

TEST_F(ComplexTest, RealProgramsStayAsTheyAre) {
  const ValueId x = input("x", {DType::F32, {3}});
  output(op("aten.relu.default", {{"self", x}}, {DType::F32, {3}}));
  EXPECT_EQ(run(), std::vector<std::string>{"aten.relu.default"});
}

TEST_F(ComplexTest, InputsOutputsAndOperatorsWithoutRealFormAreRefused) {
  const ValueId x = input("x", {DType::C64, {3}});
  output(op("aten.abs.default", {{"self", x}}, {DType::F32, {3}}));
  EXPECT_THAT(split_complex(graph).error().what, AllOf(HasSubstr("'x'"), HasSubstr("complex64")));
  graph = Graph();
  const ValueId r = input("r", {DType::F32, {3}});
  const ValueId c = op("aten.complex.default", {{"real", r}, {"imag", r}}, {DType::C64, {3}});
  const ValueId l = op("aten.lgamma.default", {{"self", c}}, {DType::C64, {3}});
  output(op("aten.abs.default", {{"self", l}}, {DType::F32, {3}}));
  const Status status = split_complex(graph);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().op, "aten.lgamma.default");
}

// Sizes that no table could hold.
TEST_F(ComplexTest, HugeTransformsAreRefused) {
  for (const int64_t n : {int64_t{1000003}, int64_t{2} * 1000003, int64_t{1} << 40}) {
    graph = Graph();
    const ValueId x = input("x", {DType::F32, {n}});
    const ValueId y = op("aten.fft_rfft.default", {{"self", x}}, {DType::C64, {n / 2 + 1}});
    output(op("aten.abs.default", {{"self", y}}, {DType::F32, {n / 2 + 1}}));
    EXPECT_FALSE(split_complex(graph).ok()) << n;
  }
}

}  // namespace
}  // namespace cortland::torch_passes
