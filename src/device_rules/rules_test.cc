#include "device_rules/rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "mil_ops/ops.h"

namespace cortland::device_rules {
namespace {

using mil::NamedOperand;
using mil::Operand;
using mil::Program;
using mil::Target;
using Ints = std::vector<int32_t>;

// Rules that a test has seen broken, all tests of the program together.
std::set<std::string>& seen() {
  static std::set<std::string> ids;
  return ids;
}

// When all tests ran, each rule was broken in one of them.
class EveryRuleIsBroken : public testing::Environment {
  void TearDown() override {
    if (GTEST_FLAG_GET(filter) != "*" || GTEST_FLAG_GET(list_tests)) return;
    for (const OpRule& rule : op_rules()) EXPECT_TRUE(seen().count(std::string(rule.id))) << rule.id;
    for (const FunctionRule& rule : function_rules()) EXPECT_TRUE(seen().count(std::string(rule.id))) << rule.id;
    for (const Risk& risk : risks()) EXPECT_TRUE(seen().count(std::string(risk.id))) << risk.id;
  }
};

[[maybe_unused]] testing::Environment* const kEveryRuleIsBroken = testing::AddGlobalTestEnvironment(new EveryRuleIsBroken);

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
    const std::string id = d.what.substr(at, d.what.find(':', at) - at);
    seen().insert(id);
    return id;
  }

  // Whether an op with just these inputs breaks the rule; nothing is inferred or filled in.
  bool breaks(std::string_view id, std::string_view op, const std::vector<NamedOperand>& inputs, mil::Type result = {DType::F32, {2}}) {
    const mil::MilOp* def = mil_ops::find(op, program.target);
    const auto rule = std::ranges::find(op_rules(), id, &OpRule::id);
    EXPECT_TRUE(def && rule != op_rules().end()) << id << ": " << op;
    if (!def || rule == op_rules().end()) return false;
    std::vector<mil::Binding> bindings;
    for (const NamedOperand& in : inputs) bindings.push_back({static_cast<uint8_t>(def->slot(in.name)), in.operands.at(0)});
    std::ranges::sort(bindings, {}, &mil::Binding::slot);
    const mil::OpId made = program.add_typed_op(block, *def, std::move(bindings), {std::move(result)}, "op");
    EXPECT_TRUE(rule->ops == "*" || (" " + std::string(rule->ops) + " ").find(" " + std::string(op) + " ") != std::string::npos) << id;
    const bool broken = rule->broken(program, program.ops[made]);
    if (broken) seen().insert(std::string(id));
    return broken;
  }

  std::vector<std::string> risks_of(const mil::Function& f, uint64_t weight_bytes, bool neural_engine = true) {
    std::vector<std::string> ids;
    for (const std::string& warning : warnings(program, f, weight_bytes, neural_engine)) ids.push_back(warning.substr(0, warning.find(':')));
    seen().insert(ids.begin(), ids.end());
    return ids;
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
  program.target = Target::iOS18;
  const Shape table = {1, 1, 1, 1, 2, 1};
  EXPECT_EQ(broken("constexpr_blockwise_shift_scale", {{"data", floats(table, DType::I8)}, {"scale", floats(table, DType::F16)}}), "")
      << "of a palette";
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
  using Ids = std::vector<std::string>;
  program.target = Target::iOS18;
  mil::Function f;
  f.body = block;
  EXPECT_EQ(risks_of(f, 5'000'000), Ids{});
  EXPECT_EQ(risks_of(f, 1'500'000'000), Ids{"weights-over-1-gb"});
  EXPECT_EQ(risks_of(f, 1'500'000'000, false), Ids{}) << "a limit of the Neural Engine";
  EXPECT_EQ(risks_of(f, 3'000'000'000, false), Ids{"weights-over-2-gib"});
  f.inputs = {program.add_value("s", mil::Type::state({DType::F16, {2, 48}}))};
  EXPECT_EQ(risks_of(f, 0), Ids{"ragged-state"});
  f.inputs = {program.add_value("s", mil::Type::state({DType::F16, {2, 64}}))};
  EXPECT_EQ(risks_of(f, 0), Ids{});
  const auto cast = program.add_op(block, *mil_ops::find("cast", program.target),
                                   {{"x", value(DType::F32, {2, 64})}, {"dtype", program.constant(std::string("fp16"))}});
  ASSERT_TRUE(cast.ok());
  ASSERT_TRUE(program.add_op(block, *mil_ops::find("write_state", program.target),
                             {{"input", f.inputs[0]}, {"data", program.ops[*cast].results[0]}}).ok());
  EXPECT_EQ(risks_of(f, 0), Ids{"cast-state"});
}

TEST_F(RuleTest, OpsThatAreNeverWritten) {
  program.target = Target::iOS18;
  EXPECT_TRUE(breaks("slice-update", "slice_update", {{"x", value(DType::F32, {2})}}));
  EXPECT_TRUE(breaks("crop-resize", "crop_resize", {{"x", value(DType::F32, {1, 1, 4, 4})}}));
  EXPECT_TRUE(breaks("literal-arguments", "reshape_like", {{"x", value(DType::F32, {2})}}));
}

TEST_F(RuleTest, TypesAndShapes) {
  const Operand x = value(DType::F32, {2, 3}), row = value(DType::F32, {1, 2, 4});
  const Dim open = program.dims->unknown({1, 8});
  EXPECT_TRUE(breaks("element-type", "cast", {{"x", x}}, {DType::I64, {2}}));
  EXPECT_FALSE(breaks("element-type", "cast", {{"x", x}}, {DType::I32, {2}}));
  EXPECT_TRUE(breaks("narrow-index", "gather", {{"x", x}, {"indices", value(DType::I16, {2})}}));
  EXPECT_FALSE(breaks("narrow-index", "gather", {{"x", x}, {"indices", value(DType::I32, {2})}}));
  EXPECT_TRUE(breaks("squeeze-longer-axis", "squeeze", {{"x", x}, {"axes", ints({-1})}}));
  EXPECT_TRUE(breaks("dynamic-einsum", "einsum", {{"values", value(DType::F32, {open, 2})}}));
  EXPECT_FALSE(breaks("dynamic-einsum", "einsum", {{"values", x}}));
  EXPECT_TRUE(breaks("resize-rank-3", "resize_bilinear", {{"x", row}}));
  EXPECT_TRUE(breaks("prelu-rank", "prelu", {{"x", row}}));
  EXPECT_FALSE(breaks("prelu-rank", "prelu", {{"x", x}}));
  EXPECT_TRUE(breaks("float16-nms", "non_maximum_suppression", {{"boxes", value(DType::F16, {1, 8, 4})}}));
  EXPECT_FALSE(breaks("float16-nms", "non_maximum_suppression", {{"boxes", value(DType::F32, {1, 8, 4})}}));
  EXPECT_TRUE(breaks("batched-gru", "gru", {{"x", value(DType::F32, {3, 2, 4})}}));
  EXPECT_FALSE(breaks("batched-gru", "gru", {{"x", value(DType::F32, {3, 1, 4})}}));
  program.target = Target::iOS18;
  EXPECT_TRUE(breaks("dynamic-attention-mask", "scaled_dot_product_attention", {{"attn_mask", value(DType::F16, {open, 4})}}));
  EXPECT_FALSE(breaks("dynamic-attention-mask", "scaled_dot_product_attention", {{"attn_mask", value(DType::F16, {4, 4})}}));
}

TEST_F(RuleTest, Weights) {
  EXPECT_TRUE(breaks("conv-transpose-weight", "conv_transpose", {{"weight", value(DType::F32, {1, 1, 2, 2})}}));
  EXPECT_FALSE(breaks("conv-transpose-weight", "conv_transpose", {{"weight", floats({1, 1, 2, 2})}}));
  EXPECT_TRUE(breaks("lut-of-8", "constexpr_lut_to_dense", {{"lut", floats({8})}}));
  EXPECT_FALSE(breaks("lut-of-8", "constexpr_lut_to_dense", {{"lut", floats({16})}}));
  program.target = Target::iOS18;
  EXPECT_FALSE(breaks("lut-of-8", "constexpr_lut_to_dense", {{"lut", floats({8})}}));
  const Operand dense = program.ops[program.blocks[block].ops.back()].results[0];
  EXPECT_TRUE(breaks("scaled-lut", "constexpr_blockwise_shift_scale", {{"data", dense}}));
  EXPECT_FALSE(breaks("scaled-lut", "constexpr_blockwise_shift_scale", {{"data", floats({4})}}));
  mil::Function f;
  f.outputs = {{"y", dense}};
  f.body = program.add_block();
  program.functions = {f};
  ASSERT_FALSE(check(program).ok());
  EXPECT_EQ(rule_of(check(program).error()), "compressed-output");
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
  mil::Function deep;
  deep.inputs = {value(DType::F32, {1, 1, 1, 1, 1, 2}).value()};
  EXPECT_EQ(broken(deep), "deep-input");
  mil::Function empty;
  empty.inputs = {value(DType::F32, {2, 0}).value()};
  EXPECT_EQ(broken(empty), "empty-input");
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
