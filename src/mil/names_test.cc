#include "mil/names.h"

#include <gtest/gtest.h>

namespace cortland::mil {
namespace {

constexpr Input kInputs[] = {value("x", kFloats)};
constexpr MilOp kOp{.name = "op", .inputs = kInputs};
constexpr MilOp kConstexpr{.name = "constexpr_op", .inputs = kInputs, .constexpr_op = true};
const Type kType(DType::F32, {1});

TEST(Names, Sanitize) {
  EXPECT_EQ(sanitize("a.b/c-d"), "a_b_c_d");
  EXPECT_EQ(sanitize("3x"), "var_3x");
  EXPECT_EQ(sanitize("3x", "op_"), "op_3x");
  EXPECT_EQ(sanitize(""), "var_");
  EXPECT_EQ(sanitize("tensor"), "tensor_workaround");
  EXPECT_EQ(sanitize("float"), "float");
  EXPECT_EQ(sanitize("\xc3\xa9x"), "__x");
  EXPECT_EQ(sanitize(sanitize("state")), sanitize("state"));
}

TEST(Names, InterfaceComesFirst) {
  Program program;
  Function f;
  f.body = program.add_block();
  const ValueId x = program.add_value("out", kType);
  f.inputs = {x};
  const OpId inner = program.add_typed_op(f.body, kOp, {{0, x}}, {kType}, "y");
  const OpId outer = program.add_typed_op(f.body, kOp, {{0, program.ops[inner].results[0]}}, {kType}, "y");
  f.outputs = {{"y", program.ops[outer].results[0]}};
  Names names(program, f);
  EXPECT_EQ(names.value(program.ops[outer].results[0]), "y");
  EXPECT_EQ(names.value(program.ops[inner].results[0]), "y_1");
  EXPECT_EQ(names.op(inner), "y");
  EXPECT_EQ(names.op(outer), "y_1");
  EXPECT_EQ(names.fresh_value("y"), "y_2");
  EXPECT_EQ(names.fresh_value("y_1"), "y_1_1");
  EXPECT_EQ(names.value(program.add_value("later", kType)), "undefined");
}

TEST(Names, OutputsThatNeedACopy) {
  Program program;
  Function f;
  f.body = program.add_block();
  const ValueId x = program.add_value("x", kType);
  f.inputs = {x};
  const ValueId y = program.ops[program.add_typed_op(f.body, kOp, {{0, x}}, {kType}, "y")].results[0];
  const ValueId w = program.ops[program.add_typed_op(f.body, kConstexpr, {{0, x}}, {kType}, "w")].results[0];
  f.outputs = {{"y", y}, {"again", y}, {"x", x}, {"x", x}, {"z", x}, {"w", w}, {"c", program.constant(1.0f)}};
  Names names(program, f);
  const bool copied[] = {false, true, false, true, true, true, false};
  const char* expected[] = {"y", "again", "x", "x_1", "z", "w", "c"};
  for (size_t i = 0; i < f.outputs.size(); ++i) {
    EXPECT_EQ(names.needs_copy(i), copied[i]) << i;
    EXPECT_EQ(names.output(i), expected[i]) << i;
  }
  EXPECT_EQ(names.value(w), "w_1");
}

TEST(Names, LoopBlocksShareInputNames) {
  Program program;
  Function f;
  f.body = program.add_block();
  const ValueId x = program.add_value("i", kType);
  f.inputs = {x};
  const BlockId condition = program.add_block(), body = program.add_block();
  for (BlockId b : {condition, body}) program.blocks[b].inputs = {program.add_value("i", kType)};
  program.add_typed_op(f.body, kOp, {{0, x}}, {kType}, "loop", {condition, body});
  Names names(program, f);
  EXPECT_EQ(names.value(program.blocks[condition].inputs[0]), "i_1");
  EXPECT_EQ(names.value(program.blocks[body].inputs[0]), "i_1");
}

}  // namespace
}  // namespace cortland::mil
