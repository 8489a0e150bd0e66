#include "mil_passes/pipeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "mil_ops/ops.h"

namespace cortland::mil_passes {
namespace {

using mil::ConstId;
using mil::NamedOperand;
using mil::Operand;

class PassTest : public testing::Test {
 protected:
  PassTest() : block(program.add_block()) {}

  Operand input(Shape shape, DType dtype = DType::F32) {
    const mil::ValueId v = program.add_value("x", mil::Type(dtype, std::move(shape)));
    function.inputs.push_back(v);
    return v;
  }

  Operand op(std::string_view name, std::vector<NamedOperand> inputs) {
    const mil::MilOp* def = mil_ops::find(name, program.target);
    auto id = program.add_op(block, *def, std::move(inputs));
    EXPECT_TRUE(id.ok()) << (id.ok() ? "" : id.error().what);
    return program.ops[*id].results[0];
  }

  void output(Operand o) { function.outputs.push_back({"y" + std::to_string(function.outputs.size()), o}); }

  std::vector<std::string> run(Status (*pass)(mil::Program&)) {
    function.body = block;
    program.functions = {function};
    EXPECT_TRUE(pass(program).ok());
    const Status valid = mil::verify(program);
    EXPECT_TRUE(valid.ok()) << (valid.ok() ? "" : valid.error().what);
    std::vector<std::string> names;
    for (mil::OpId id : program.blocks[block].ops) names.emplace_back(program.ops[id].def->name);
    return names;
  }

  Operand result(size_t i = 0) const { return program.functions[0].outputs[i].operand; }

  mil::Program program{mil::Target::iOS17};
  mil::BlockId block;
  mil::Function function;
};

using Names = std::vector<std::string>;

TEST_F(PassTest, DeadOpsGo) {
  const Operand x = input({4});
  op("exp", {{"x", op("relu", {{"x", x}})}});
  output(op("tanh", {{"x", x}}));
  EXPECT_EQ(run(remove_dead_ops), Names{"tanh"});
}

TEST_F(PassTest, StateWritesAreKept) {
  program.target = mil::Target::iOS18;
  const mil::ValueId state = program.add_value("s", mil::Type::state({DType::F16, {4}}));
  function.inputs.push_back(state);
  const Operand x = input({4}, DType::F16);
  ASSERT_TRUE(program.add_op(block, *mil_ops::find("write_state", mil::Target::iOS18), {{"input", state}, {"data", x}}).ok());
  output(op("relu", {{"x", x}}));
  EXPECT_EQ(run(remove_dead_ops), (Names{"write_state", "relu"}));
}

TEST_F(PassTest, EqualOpsAreShared) {
  const Operand x = input({4});
  const Operand a = op("exp", {{"x", x}}), b = op("exp", {{"x", x}});
  output(op("add", {{"x", a}, {"y", b}}));
  EXPECT_EQ(run(share_equal_ops), (Names{"exp", "add"}));
}

TEST_F(PassTest, EqualOutputsStayApart) {
  const Operand x = input({4});
  output(op("exp", {{"x", x}}));
  output(op("exp", {{"x", x}}));
  EXPECT_EQ(run(share_equal_ops), (Names{"exp", "exp"}));
}

TEST_F(PassTest, RandomOpsAreNotShared) {
  auto noise = [&] {
    return op("random_uniform", {{"shape", program.constant(std::vector<int32_t>{4})}, {"low", program.constant(0.0f)}, {"high", program.constant(1.0f)}});
  };
  output(op("add", {{"x", noise()}, {"y", noise()}}));
  EXPECT_EQ(run(share_equal_ops).size(), 3u);
}

TEST_F(PassTest, TransposesJoinAndCancel) {
  const Operand x = input({2, 3, 4});
  const Operand a = op("transpose", {{"x", x}, {"perm", program.constant(std::vector<int32_t>{1, 2, 0})}});
  const Operand b = op("transpose", {{"x", a}, {"perm", program.constant(std::vector<int32_t>{-1, 0, 1})}});
  output(op("relu", {{"x", b}}));
  run(remove_noops);
  EXPECT_EQ(run(remove_dead_ops), Names{"relu"});
  EXPECT_EQ(program.type(result()).shape(), (Shape{2, 3, 4}));
}

TEST_F(PassTest, ReshapeChainsKeepTheLast) {
  const Operand x = input({2, 6});
  const Operand a = op("reshape", {{"x", x}, {"shape", program.constant(std::vector<int32_t>{12})}});
  output(op("reshape", {{"x", a}, {"shape", program.constant(std::vector<int32_t>{3, 4})}}));
  run(remove_noops);
  EXPECT_EQ(run(remove_dead_ops), Names{"reshape"});
}

TEST_F(PassTest, AnOutputIsNeverAnInput) {
  const Operand x = input({4});
  output(op("identity", {{"x", x}}));
  EXPECT_EQ(run(remove_noops), Names{"identity"});
}

TEST_F(PassTest, BatchNormFoldsIntoItsConvolution) {
  const Operand x = input({1, 1, 4, 4});
  const Operand weight = program.constant(Weight::of<float>(DType::F32, {2, 1, 1, 1}, {2, 3}));
  const Operand conv = op("conv", {{"x", x}, {"weight", weight}, {"strides", program.constant(std::vector<int32_t>{1, 1})},
                                   {"pad_type", program.constant(std::string("valid"))}, {"pad", program.constant(std::vector<int32_t>{0, 0, 0, 0})},
                                   {"dilations", program.constant(std::vector<int32_t>{1, 1})}});
  auto vector = [&](float a, float b) { return program.constant(std::vector<float>{a, b}); };
  const Operand norm = op("batch_norm", {{"x", conv}, {"mean", vector(1, 2)}, {"variance", vector(3, 8)}, {"gamma", vector(4, 5)},
                                         {"beta", vector(6, 7)}, {"epsilon", program.constant(1.0f)}});
  output(norm);
  EXPECT_EQ(run(fuse_conv_batchnorm), Names{"conv"});
  const mil::Op& fused = program.ops[program.values[result().value()].producer];
  // gamma / sqrt(variance + 1) = 2 and 5/3; bias = beta - mean * scale.
  const auto w = program.consts[program.operand(fused, "weight").constant()].data.to_floats();
  const auto b = program.consts[program.operand(fused, "bias").constant()].data.to_floats();
  EXPECT_FLOAT_EQ(w[0], 4);
  EXPECT_FLOAT_EQ(w[1], 5);
  EXPECT_FLOAT_EQ(b[0], 4);
  EXPECT_FLOAT_EQ(b[1], 7 - 10.0f / 3);
}

TEST_F(PassTest, AConvolutionThatOthersReadKeepsItsBatchNorm) {
  const Operand x = input({1, 1, 4, 4});
  const Operand weight = program.constant(Weight::of<float>(DType::F32, {1, 1, 1, 1}, {2}));
  const Operand conv = op("conv", {{"x", x}, {"weight", weight}});
  const Operand one = program.constant(std::vector<float>{1});
  output(op("batch_norm", {{"x", conv}, {"mean", one}, {"variance", one}}));
  output(op("relu", {{"x", conv}}));
  EXPECT_EQ(run(fuse_conv_batchnorm), (Names{"conv", "batch_norm", "relu"}));
}

TEST(Pipeline, NamesAreKnownAndRunnable) {
  EXPECT_FALSE(pipeline().empty());
  for (const Pass& pass : pipeline()) {
    EXPECT_NE(pass.run, nullptr);
    EXPECT_TRUE(pass.name.starts_with("common::")) << pass.name;
  }
}

}  // namespace
}  // namespace cortland::mil_passes
