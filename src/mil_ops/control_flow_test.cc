#include "mil_ops/op_test.h"

namespace cortland::mil_ops {
namespace {

using namespace test;
using mil::RuntimeValue;
using mil::Type;

TEST(ControlFlow, SelectBroadcastsAllThree) {
  const Tensor y = run(select, {{"cond", bools({2, 1}, {1, 0})}, {"a", f32({3}, {1, 2, 3})}, {"b", f32({}, {9})}});
  EXPECT_EQ(y.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(floats(y), (std::vector<float>{1, 2, 3, 9, 9, 9}));
  EXPECT_EQ(floats(run(select, {{"cond", bools({2}, {0, 1})}, {"a", f16({2}, {1, 2})}, {"b", f16({2}, {3, 4})}})),
            (std::vector<float>{3, 2}));
  EXPECT_EQ(integers(run(select, {{"cond", bools({}, {1})}, {"a", bools({2}, {0, 1})}, {"b", bools({1}, {1})}})),
            (std::vector<int64_t>{0, 1}));
  EXPECT_TRUE(refuses(select, {{"cond", bools({}, {1})}, {"a", ints({1})}, {"b", f32({1}, {1})}}));
  EXPECT_TRUE(refuses(select, {{"cond", bools({2}, {1, 0})}, {"a", ints({1, 2, 3})}, {"b", ints({1, 2, 3})}}));
}

struct Lists : testing::Test {
  const Type type = Type::list({DType::F32, {2}}, 3);

  static RuntimeValue list_of(std::vector<Tensor> elements) {
    RuntimeValue v;
    v.list = std::make_shared<std::vector<Tensor>>(std::move(elements));
    return v;
  }
  Arg ls(RuntimeValue v) const { return {"ls", std::move(v), type}; }
};

TEST_F(Lists, AreMadeOfZeros) {
  auto made =
      try_run(make_list, {{"init_length", 3}, {"dynamic_length", false}, {"elem_shape", {i32({}, {2})}, Arg::As::Const}});
  ASSERT_TRUE(made.ok()) << made.error().what;
  ASSERT_EQ((*made)[0].list->size(), 3u);
  expect_near((*made)[0].list->at(2), {0, 0});
  auto types = infer_types(
      make_list, {{"init_length", 3}, {"dynamic_length", false}, {"elem_shape", {i32({}, {2})}, Arg::As::Const}}, true);
  EXPECT_EQ(types->at(0), type);
  EXPECT_TRUE(refuses(make_list, {{"elem_shape", {i32({}, {2})}, Arg::As::Const}, {"dtype", "int8"}}));
}

TEST_F(Lists, WriteKeepsTheOperand) {
  const RuntimeValue before = list_of({f32({2}, {1, 2}), f32({2}, {3, 4})});
  auto after = try_run(list_write, {ls(before), {"index", 3}, {"value", f32({2}, {7, 8})}});
  ASSERT_TRUE(after.ok()) << after.error().what;
  EXPECT_EQ(before.list->size(), 2u);
  EXPECT_EQ((*after)[0].list->size(), 4u);
  expect_near(run(list_read, {ls((*after)[0]), {"index", 3}}), {7, 8});
  EXPECT_TRUE(refuses(list_read, {ls((*after)[0]), {"index", 2}}));  // a gap: never written
  EXPECT_TRUE(refuses(list_read, {ls((*after)[0]), {"index", 4}}));
  EXPECT_TRUE(refuses(list_write, {ls(before), {"index", -1}, {"value", f32({2}, {7, 8})}}));
  EXPECT_TRUE(refuses(list_write, {ls(before), {"index", 0}, {"value", f32({3}, {7, 8, 9})}}));
  EXPECT_EQ(integers(run(list_length, {ls(before)})), (std::vector<int64_t>{2}));
}

TEST_F(Lists, GatherAndScatter) {
  const RuntimeValue list = list_of({f32({2}, {1, 2}), f32({2}, {3, 4})});
  const Tensor rows = run(list_gather, {ls(list), {"indices", ints({1, 0, 1})}});
  EXPECT_EQ(rows.shape, (std::vector<int64_t>{3, 2}));
  expect_near(rows, {3, 4, 1, 2, 3, 4});
  auto after = try_run(list_scatter, {ls(list), {"indices", ints({2, 0})}, {"value", f32({2, 2}, {5, 6, 7, 8})}});
  ASSERT_TRUE(after.ok()) << after.error().what;
  expect_near(run(list_gather, {ls((*after)[0]), {"indices", ints({0, 1, 2})}}), {7, 8, 3, 4, 5, 6});
  EXPECT_TRUE(refuses(list_scatter, {ls(list), {"indices", ints({2})}, {"value", f32({2, 2}, {5, 6, 7, 8})}}));
}

// Blocks that yield one value of a type each.
struct Blocks : testing::Test {
  mil::Program program{mil::Target::iOS18};
  mil::BlockId yielding(Type type) {
    const mil::BlockId block = program.add_block();
    program.blocks[block].outputs = {program.add_value("y", std::move(type))};
    return block;
  }
  Result<Type> result(Result<mil::OpId> op) {
    if (!op) return op.error();
    return program.type(program.ops[*op].results.at(0));
  }
};

TEST_F(Blocks, CondJoinsItsBranches) {
  const auto pred = program.add_value("pred", {DType::Bool, {}});
  const auto join = [&](Type a, Type b) {
    return result(program.add_op(program.add_block(), cond, {{"pred", pred}}, {}, {yielding(a), yielding(b)}));
  };
  EXPECT_EQ(*join({DType::F32, {2, 3}}, {DType::F32, {2, 3}}), Type(DType::F32, {2, 3}));
  const auto mixed = join({DType::F32, {2, 3}}, {DType::F32, {2, 4}});
  EXPECT_EQ(mixed->shape()[0], Dim(2));
  EXPECT_FALSE(mixed->shape()[1].is_constant());
  EXPECT_FALSE(join({DType::F32, {2}}, {DType::I32, {2}}).ok());
  EXPECT_FALSE(join({DType::F32, {2}}, {DType::F32, {2, 1}}).ok());
  EXPECT_FALSE(program.add_op(program.add_block(), cond, {{"pred", pred}}, {}, {}).ok());
}

TEST_F(Blocks, WhileLoopKeepsTheTypesOfItsVariables) {
  const auto i = program.add_value("i", {DType::I32, {}});
  const auto loop = [&](Type condition, Type body) {
    return result(
        program.add_op(program.add_block(), while_loop, {{"loop_vars", i}}, {}, {yielding(condition), yielding(body)}));
  };
  EXPECT_EQ(*loop({DType::Bool, {}}, {DType::I32, {}}), Type(DType::I32, {}));
  EXPECT_FALSE(loop({DType::I32, {}}, {DType::I32, {}}).ok());
  EXPECT_FALSE(loop({DType::Bool, {}}, {DType::F32, {}}).ok());
}

TEST_F(Blocks, StatesHoldOneType) {
  const TensorType held{DType::F16, {2, 3}};
  const auto state = program.add_value("s", Type::state(held));
  const auto tensor = program.add_value("t", held), other = program.add_value("o", {DType::F16, {2, 4}});
  const auto block = program.add_block();
  EXPECT_EQ(*result(program.add_op(block, read_state, {{"input", state}})), Type(held));
  EXPECT_EQ(*result(program.add_op(block, coreml_update_state, {{"state", state}, {"value", tensor}})), Type(held));
  auto write = program.add_op(block, write_state, {{"input", state}, {"data", tensor}});
  ASSERT_TRUE(write.ok());
  EXPECT_TRUE(program.ops[*write].results.empty());
  EXPECT_FALSE(program.add_op(block, write_state, {{"input", state}, {"data", other}}).ok());
  EXPECT_FALSE(program.add_op(block, read_state, {{"input", tensor}}).ok());
}

}  // namespace
}  // namespace cortland::mil_ops
