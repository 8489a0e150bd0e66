#include "device_rules/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "mil_ops/ops.h"

namespace cortland::device_rules {
namespace {

using mil::NamedOperand;
using mil::Operand;
using mil::Program;
using mil::Target;
using Ints = std::vector<int32_t>;

class RuleTest : public testing::Test {
 protected:
  Operand value(DType dtype, Shape shape) { return program.add_value("x", mil::Type(dtype, std::move(shape))); }
  Operand ints(Ints v) { return program.constant(std::move(v)); }
  Operand floats(Shape shape, DType dtype = DType::F32) {
    return program.constant(Weight::floats(std::vector<float>(static_cast<size_t>(*mil::Type(dtype, shape).tensor.elements()), 1))
                                .reshape(sizes(shape)).cast(dtype));
  }

  // The rule that an op breaks, "" for none. The types of its results are given where inference would refuse it too.
  std::string broken(std::string_view op, std::vector<NamedOperand> inputs) {
    const auto id = program.add_op(block, *mil_ops::find(op, program.target), std::move(inputs));
    EXPECT_TRUE(id.ok()) << (id.ok() ? "" : id.error().what);
    if (!id.ok()) return "not built";
    const Status status = check_op(program, program.ops[*id]);
    return status.ok() ? "" : rule_of(status.error());
  }

  static std::string rule_of(const Diagnostic& d) {
    EXPECT_EQ(d.kind, DiagKind::DeviceRefuses);
    EXPECT_FALSE(d.help.empty());
    const std::string marker = "breaks the rule ";
    const size_t at = d.what.find(marker) + marker.size();
    return d.what.substr(at, d.what.find(':', at) - at);
  }

  std::string broken(mil::Function function) {
    function.body = block;
    program.functions = {std::move(function)};
    const Status status = check(program);
    return status.ok() ? "" : rule_of(status.error());
  }

  Program program{Target::iOS17};
  mil::BlockId block = program.add_block();
};

TEST_F(RuleTest, IdsAreUniqueAndOpsExist) {
  std::set<std::string_view> ids;
  for (const OpRule& rule : op_rules()) {
    EXPECT_TRUE(ids.insert(rule.id).second) << rule.id;
    for (size_t at = 0; rule.ops != "*" && at < rule.ops.size();) {
      const size_t end = std::min(rule.ops.find(' ', at), rule.ops.size());
      EXPECT_TRUE(mil_ops::exists(rule.ops.substr(at, end - at))) << rule.id;
      at = end + 1;
    }
  }
  for (const FunctionRule& rule : function_rules()) EXPECT_TRUE(ids.insert(rule.id).second) << rule.id;
  for (const Risk& risk : risks()) EXPECT_TRUE(ids.insert(risk.id).second) << risk.id;
}

TEST_F(RuleTest, EveryOp) {
  EXPECT_EQ(broken("relu", {{"x", value(DType::F32, {1, 1, 1, 1, 1, 2})}}), "deep-tensor");
  EXPECT_EQ(broken("relu", {{"x", value(DType::F32, {1, 1, 1, 1, 2})}}), "");
  EXPECT_EQ(broken("relu", {{"x", value(DType::F32, {2, 0})}}), "empty-tensor");
}

TEST_F(RuleTest, MissingParameters) {
  const Operand x = value(DType::F32, {2, 3});
  const auto id = program.add_op(block, *mil_ops::find("reduce_sum", program.target), {{"x", x}, {"axes", ints({1})}});
  ASSERT_TRUE(id.ok());
  mil::Op op = program.ops[*id];
  EXPECT_TRUE(check_op(program, op).ok()) << "keep_dims was filled in";
  op.operands.pop_back();
  ASSERT_FALSE(check_op(program, op).ok());
  EXPECT_EQ(rule_of(check_op(program, op).error()), "missing-parameter");
}

TEST_F(RuleTest, Positions) {
  const auto argmax = [&](Shape shape, int axis) {
    return broken("reduce_argmax", {{"x", value(DType::F32, std::move(shape))}, {"axis", program.constant(axis)}, {"keep_dims", program.constant(false)}});
  };
  EXPECT_EQ(argmax({6}, 0), "position-in-a-row");
  EXPECT_EQ(argmax({1, 6}, 1), "");
}

TEST_F(RuleTest, Norms) {
  const auto norm = [&](DType type, float epsilon) {
    return broken("layer_norm", {{"x", value(type, {2, 4})}, {"axes", ints({1})}, {"epsilon", program.constant(epsilon, type)}});
  };
  EXPECT_EQ(norm(DType::F16, 0), "vanishing-epsilon");
  EXPECT_EQ(norm(DType::F16, 1e-5f), "");
  EXPECT_EQ(norm(DType::F32, 0), "");
}

TEST_F(RuleTest, Ranges) {
  const auto range = [&](float step) {
    return broken("range_1d", {{"start", program.constant(0.0f)}, {"end", program.constant(1e-3f)}, {"step", program.constant(step)}});
  };
  EXPECT_EQ(range(1e-6f), "tiny-range-step");
  EXPECT_EQ(range(5e-4f), "");
}

TEST_F(RuleTest, Risks) {
  program.target = Target::iOS18;
  mil::Function f;
  f.body = block;
  EXPECT_TRUE(warnings(program, f, 5'000'000, true).empty());
  EXPECT_THAT(warnings(program, f, 1'500'000'000, true), testing::ElementsAre(testing::StartsWith("weights-over-1-gb: ")));
  EXPECT_TRUE(warnings(program, f, 1'500'000'000, false).empty()) << "a limit of the Neural Engine";
  EXPECT_THAT(warnings(program, f, 3'000'000'000, false), testing::ElementsAre(testing::StartsWith("weights-over-2-gib: ")));
  f.inputs = {program.add_value("s", mil::Type::state({DType::F16, {2, 48}}))};
  EXPECT_THAT(warnings(program, f, 0, true), testing::ElementsAre(testing::StartsWith("ragged-state: ")));
  f.inputs = {program.add_value("s", mil::Type::state({DType::F16, {2, 64}}))};
  EXPECT_TRUE(warnings(program, f, 0, true).empty());
}

TEST_F(RuleTest, Indices) {
  const Operand x = value(DType::F32, {4, 3});
  const auto gather = [&](Operand indices, int axis) {
    return broken("gather", {{"x", x}, {"indices", indices}, {"axis", program.constant(axis)}});
  };
  EXPECT_EQ(gather(ints({0, -1}), 0), "negative-index");
  EXPECT_EQ(gather(ints({0, 2}), 0), "");
  EXPECT_EQ(gather(program.constant(1), 1), "scalar-index");
  EXPECT_EQ(gather(program.constant(1), 0), "");
}

TEST_F(RuleTest, Slices) {
  const Operand x = value(DType::F32, {4, 3});
  const auto mask = [&](bool first) { return program.constant(Weight::of<char>(DType::Bool, {2}, {first, 0})); };
  const auto slice = [&](Ints end, bool squeeze) {
    return broken("slice_by_index", {{"x", x}, {"begin", ints({0, 0})}, {"end", ints(std::move(end))}, {"squeeze_mask", mask(squeeze)}});
  };
  EXPECT_EQ(slice({1, 2}, true), "squeeze-mask");
  EXPECT_EQ(slice({1, 2}, false), "");
  EXPECT_EQ(broken("squeeze", {{"x", value(DType::F32, {1, 3})}, {"axes", ints({0})}}), "");
}

TEST_F(RuleTest, Padding) {
  const Operand x = value(DType::F32, {2, 3, 4, 5});
  const auto pad = [&](Ints amounts, const char* mode) {
    return broken("pad", {{"x", x}, {"pad", ints(std::move(amounts))}, {"mode", program.constant(std::string(mode))}});
  };
  EXPECT_EQ(pad({0, 0, 1, 1, 0, 0, 0, 0}, "reflect"), "pad-inner-axis");
  EXPECT_EQ(pad({0, 0, 0, 0, 1, 1, 1, 1}, "reflect"), "");
  EXPECT_EQ(pad({0, 0, 1, 1, 0, 0, 0, 0}, "constant"), "");
}

TEST_F(RuleTest, Products) {
  const Operand square = value(DType::F32, {3, 3});
  EXPECT_EQ(broken("matmul", {{"x", value(DType::I32, {2, 3})}, {"y", value(DType::I32, {3, 2})}}), "integer-matmul");
  EXPECT_EQ(broken("matmul", {{"x", square}, {"y", square}}), "");
  EXPECT_EQ(broken("matmul", {{"x", value(DType::F32, {3})}, {"y", square}}), "vector-matmul");
}

TEST_F(RuleTest, Activations) {
  EXPECT_EQ(broken("softplus", {{"x", value(DType::F16, {4})}}), "float16-softplus");
  EXPECT_EQ(broken("softplus", {{"x", value(DType::F32, {4})}}), "");
  EXPECT_EQ(broken("prelu", {{"x", value(DType::F16, {1, 4, 2, 2})}, {"alpha", floats({4}, DType::F16)}}), "float16-prelu");
  EXPECT_EQ(broken("prelu", {{"x", value(DType::F32, {1, 4, 2, 2})}, {"alpha", floats({4})}}), "");
}

TEST_F(RuleTest, Images) {
  const Operand image = value(DType::F32, {1, 2, 4, 4});
  const auto pool = [&](Operand x, size_t axes, const char* pad_type, bool ceil) {
    return broken("max_pool", {{"x", x}, {"kernel_sizes", ints(Ints(axes, 3))}, {"strides", ints(Ints(axes, 2))}, {"pad", ints(Ints(2 * axes, 0))},
                               {"pad_type", program.constant(std::string(pad_type))}, {"ceil_mode", program.constant(ceil)}});
  };
  EXPECT_EQ(pool(image, 2, "valid", true), "ceil-mode");
  EXPECT_EQ(pool(image, 2, "valid", false), "");
  EXPECT_EQ(pool(value(DType::F32, {1, 2, 8}), 1, "same_lower", false), "same-lower-1d");
  const auto upsample = [&](float factor) {
    return broken("upsample_nearest_neighbor", {{"x", image}, {"scale_factor_height", program.constant(factor)}, {"scale_factor_width", program.constant(2.0f)}});
  };
  EXPECT_EQ(upsample(1.5f), "fractional-upsampling");
  EXPECT_EQ(upsample(2.0f), "");
}

TEST_F(RuleTest, Features) {
  mil::Function scalar;
  scalar.inputs = {value(DType::F32, {}).value()};
  EXPECT_EQ(broken(scalar), "scalar-input");
  mil::Function typed;
  typed.inputs = {value(DType::Bool, {2}).value()};
  EXPECT_EQ(broken(typed), "feature-type");
  mil::Function good;
  good.inputs = {value(DType::F16, {2}).value()};
  EXPECT_EQ(broken(good), "");
  program.target = Target::iOS15;
  EXPECT_EQ(broken(good), "feature-type") << "float16 features come with iOS16";
}

TEST_F(RuleTest, Outputs) {
  mil::Function f;
  const Operand x = value(DType::F32, {2});
  f.inputs = {x.value()};
  const auto id = program.add_op(block, *mil_ops::find("relu", program.target), {{"x", x}});
  ASSERT_TRUE(id.ok());
  const mil::ValueId y = program.ops[*id].results[0];
  f.outputs = {{"a", y}};
  EXPECT_EQ(broken(f), "");
  f.outputs.push_back({"b", y});
  EXPECT_EQ(broken(f), "value-given-twice");
}

TEST_F(RuleTest, States) {
  program.target = Target::iOS18;
  mil::Function f;
  f.inputs = {program.add_value("s", mil::Type::state({DType::F32, {2}}))};
  EXPECT_EQ(broken(f), "state-type");
  f.inputs = {program.add_value("s", mil::Type::state({DType::F16, {2}}))};
  EXPECT_EQ(broken(f), "");
}

TEST_F(RuleTest, EnumeratedShapes) {
  mil::Function f;
  f.inputs = {value(DType::F32, {2}).value()};
  f.enumerated_shapes = {{"x", {{2}, {4}}}, {"y", {{2}, {4}}}};
  EXPECT_EQ(broken(f), "enumerated-inputs");
  f.enumerated_shapes = {{"x", std::vector<std::vector<int64_t>>(129, {2})}};
  EXPECT_EQ(broken(f), "enumerated-count");
  program.target = Target::iOS18;
  f.enumerated_shapes = {{"x", {{2}, {4}}}, {"y", {{2}}}};
  EXPECT_EQ(broken(f), "enumerated-pairs");
}

}  // namespace
}  // namespace cortland::device_rules
