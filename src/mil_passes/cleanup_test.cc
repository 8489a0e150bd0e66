#include "mil_passes/pass_test.h"

namespace cortland::mil_passes {
namespace {

TEST_F(PassTest, DeadOpsGo) {
  const Operand x = input({4});
  op("exp", {{"x", op("relu", {{"x", x}})}});
  output(op("tanh", {{"x", x}}));
  run("common::dead_code_elimination");
  EXPECT_EQ(before, R"(
tensor<fp16, [4]> relu_1 = relu(x = x)
tensor<fp16, [4]> exp_2 = exp(x = relu_1)
tensor<fp16, [4]> y0 = tanh(x = x)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [4]> y0 = tanh(x = x)
)");
}

TEST_F(PassTest, StateWritesAreKept) {
  program.target = mil::Target::iOS18;
  const mil::ValueId state = program.add_value("s", mil::Type::state({DType::F16, {4}}));
  function.inputs.push_back(state);
  const Operand x = input({4});
  ASSERT_TRUE(
      program.add_op(block, *mil_ops::find("write_state", mil::Target::iOS18), {{"input", state}, {"data", x}}).ok());
  output(op("relu", {{"x", x}}));
  run("common::dead_code_elimination");
  EXPECT_EQ(names(), (std::vector<std::string>{"write_state", "relu"}));
}

TEST_F(PassTest, EqualOpsAreShared) {
  const Operand x = input({4});
  const Operand a = op("exp", {{"x", x}}), b = op("exp", {{"x", x}});
  output(op("add", {{"x", a}, {"y", b}}));
  run("common::remove_redundant_ops");
  EXPECT_EQ(before, R"(
tensor<fp16, [4]> exp_1 = exp(x = x)
tensor<fp16, [4]> exp_2 = exp(x = x)
tensor<fp16, [4]> y0 = add(x = exp_1, y = exp_2)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [4]> exp_1 = exp(x = x)
tensor<fp16, [4]> y0 = add(x = exp_1, y = exp_1)
)");
}

TEST_F(PassTest, EqualOutputsStayApart) {
  const Operand x = input({4});
  output(op("exp", {{"x", x}}));
  output(op("exp", {{"x", x}}));
  run("common::remove_redundant_ops");
  EXPECT_EQ(before, after);
}

TEST_F(PassTest, RandomOpsAreNotShared) {
  auto noise = [&] { return op("random_uniform", {{"shape", ints({4})}, {"low", number(0)}, {"high", number(1)}}); };
  output(op("add", {{"x", noise()}, {"y", noise()}}));
  run("common::remove_redundant_ops");
  EXPECT_EQ(before, after);
}

TEST_F(PassTest, AnOutputIsNeverAnInput) {
  output(op("identity", {{"x", input({4})}}));
  run("common::noop_elimination");
  EXPECT_EQ(before, after);
}

TEST_F(PassTest, OpsThatChangeNothingGo) {
  Operand y = op("add", {{"x", input({2, 4})}, {"y", floats({2, 4}, std::vector<float>(8, 0.0f))}});
  y = op("mul", {{"x", number(1)}, {"y", y}});
  y = op("cast", {{"x", y}, {"dtype", text("fp16")}});
  y = op("slice_by_index", {{"x", y}, {"begin", ints({0, 0})}, {"end", ints({2, 4})}});
  y = op("tile", {{"x", y}, {"reps", ints({1, 1})}});
  y = op("transpose", {{"x", y}, {"perm", ints({0, -1})}});
  output(op("relu", {{"x", y}}));
  run("common::noop_elimination");
  EXPECT_EQ(before, R"(
tensor<fp16, [2, 4]> add_1 = add(x = x, y = tensor<fp16, [2, 4]>([[0, 0, 0, 0], [0, 0, 0, 0]]))
tensor<fp16, [2, 4]> mul_2 = mul(x = fp16(1), y = add_1)
tensor<fp16, [2, 4]> cast_3 = cast(x = mul_2, dtype = string("fp16"))
tensor<fp16, [2, 4]> slice_by_index_4 = slice_by_index(x = cast_3, begin = tensor<int32, [2]>([0, 0]), end = tensor<int32, [2]>([2, 4]))
tensor<fp16, [2, 4]> tile_5 = tile(x = slice_by_index_4, reps = tensor<int32, [2]>([1, 1]))
tensor<fp16, [2, 4]> transpose_6 = transpose(x = tile_5, perm = tensor<int32, [2]>([0, -1]))
tensor<fp16, [2, 4]> y0 = relu(x = transpose_6)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [2, 4]> y0 = relu(x = x)
)");
}

TEST_F(PassTest, AddingZeroMayStillBlowUp) {
  output(op("add", {{"x", input({1, 4})}, {"y", floats({2, 4}, std::vector<float>(8, 0.0f))}}));
  run("common::noop_elimination");
  EXPECT_EQ(before, after);
}

TEST_F(PassTest, AnIndexThatCannotBeNegativeIsNotWrapped) {
  const Operand i = op("reduce_argmax", {{"x", input({2, 8})}, {"axis", integer(1)}, {"keep_dims", flag(false)}});
  const Operand wrapped = op("add", {{"x", i}, {"y", integer(8)}});
  output(op("relu",
            {{"x", op("cast",
                      {{"x", op("select", {{"cond", op("less", {{"x", i}, {"y", integer(0)}})}, {"a", wrapped}, {"b", i}})},
                       {"dtype", text("fp16")}})}}));
  run("common::noop_elimination");
  EXPECT_EQ(before, R"(
tensor<int32, [2]> reduce_argmax_1 = reduce_argmax(x = x, axis = int32(1), keep_dims = bool(false), output_dtype = string("int32"))
tensor<int32, [2]> add_2 = add(x = reduce_argmax_1, y = int32(8))
tensor<bool, [2]> less_3 = less(x = reduce_argmax_1, y = int32(0))
tensor<int32, [2]> select_4 = select(cond = less_3, a = add_2, b = reduce_argmax_1)
tensor<fp16, [2]> cast_5 = cast(x = select_4, dtype = string("fp16"))
tensor<fp16, [2]> y0 = relu(x = cast_5)
)");
  EXPECT_EQ(after, R"(
tensor<int32, [2]> reduce_argmax_1 = reduce_argmax(x = x, axis = int32(1), keep_dims = bool(false), output_dtype = string("int32"))
tensor<fp16, [2]> cast_5 = cast(x = reduce_argmax_1, dtype = string("fp16"))
tensor<fp16, [2]> y0 = relu(x = cast_5)
)");
}

TEST_F(PassTest, AResizeToTheSizeThatIsThereGoes) {
  const Operand x = input({1, 2, 4, 4});
  output(op("relu", {{"x", op("resize_bilinear", {{"x", op("exp", {{"x", x}})},
                                                  {"target_size_height", integer(4)},
                                                  {"target_size_width", integer(4)},
                                                  {"sampling_mode", text("UNALIGN_CORNERS")}})}}));
  run("common::noop_elimination");
  EXPECT_EQ(before, R"(
tensor<fp16, [1, 2, 4, 4]> exp_1 = exp(x = x)
tensor<fp16, [1, 2, 4, 4]> resize_bilinear_2 = resize_bilinear(x = exp_1, target_size_height = int32(4), target_size_width = int32(4), sampling_mode = string("UNALIGN_CORNERS"))
tensor<fp16, [1, 2, 4, 4]> y0 = relu(x = resize_bilinear_2)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [1, 2, 4, 4]> exp_1 = exp(x = x)
tensor<fp16, [1, 2, 4, 4]> y0 = relu(x = exp_1)
)");
}

TEST_F(PassTest, AMaskIsAskedOnce) {
  const Operand truth = op("not_equal", {{"x", input({2, 3}, DType::I32)}, {"y", integer(0)}});
  const Operand row = op("reshape", {{"x", truth}, {"shape", ints({6})}});
  const Operand numbers = op("cast", {{"x", row}, {"dtype", text("int32")}});
  const Operand some = op("gather", {{"x", numbers}, {"indices", ints({5, 0})}, {"axis", integer(0)}});
  output(op("cast", {{"x", op("not_equal", {{"x", some}, {"y", integer(0)}})}, {"dtype", text("fp16")}}));
  run("common::noop_elimination");
  EXPECT_EQ(before, R"(
tensor<bool, [2, 3]> not_equal_1 = not_equal(x = x, y = int32(0))
tensor<bool, [6]> reshape_2 = reshape(x = not_equal_1, shape = tensor<int32, [1]>([6]))
tensor<int32, [6]> cast_3 = cast(x = reshape_2, dtype = string("int32"))
tensor<int32, [2]> gather_4 = gather(x = cast_3, indices = tensor<int32, [2]>([5, 0]), axis = int32(0), batch_dims = int32(0), validate_indices = bool(false))
tensor<bool, [2]> not_equal_5 = not_equal(x = gather_4, y = int32(0))
tensor<fp16, [2]> y0 = cast(x = not_equal_5, dtype = string("fp16"))
)");
  EXPECT_EQ(after, R"(
tensor<int32, [6]> reshape_2 = reshape(x = x, shape = tensor<int32, [1]>([6]))
tensor<int32, [2]> gather_4 = gather(x = reshape_2, indices = tensor<int32, [2]>([5, 0]), axis = int32(0), batch_dims = int32(0), validate_indices = bool(false))
tensor<bool, [2]> not_equal_5 = not_equal(x = gather_4, y = int32(0))
tensor<fp16, [2]> y0 = cast(x = not_equal_5, dtype = string("fp16"))
)");
}

TEST_F(PassTest, AMaskThatIsCountedStaysOneOfOnes) {
  const Operand truth = op("not_equal", {{"x", input({2, 3}, DType::I32)}, {"y", integer(0)}});
  const Operand numbers = op("cast", {{"x", truth}, {"dtype", text("int32")}});
  output(op("reduce_sum", {{"x", numbers}, {"axes", ints({1})}, {"keep_dims", flag(false)}}));
  output(op("cast", {{"x", op("not_equal", {{"x", numbers}, {"y", integer(0)}})}, {"dtype", text("fp16")}}));
  run("common::noop_elimination");
  EXPECT_EQ(before, after);
}

TEST_F(PassTest, CountsAreFloat16WhereTheyAreRead) {
  Operand n = op("cast", {{"x", input({2, 8}, DType::I32)}, {"dtype", text("fp32")}});
  n = op("reduce_sum", {{"x", n}, {"axes", ints({1})}, {"keep_dims", flag(true)}});
  n = op("maximum", {{"x", n}, {"y", number(1e-9f, DType::F32)}});
  output(op("real_div", {{"x", input({2, 4}, DType::F16, "y")}, {"y", op("cast", {{"x", n}, {"dtype", text("fp16")}})}}));
  run("common::narrow_counts");
  EXPECT_EQ(before, R"(
tensor<fp32, [2, 8]> cast_1 = cast(x = x, dtype = string("fp32"))
tensor<fp32, [2, 1]> reduce_sum_2 = reduce_sum(x = cast_1, axes = tensor<int32, [1]>([1]), keep_dims = bool(true))
tensor<fp32, [2, 1]> maximum_3 = maximum(x = reduce_sum_2, y = fp32(1e-09))
tensor<fp16, [2, 1]> cast_4 = cast(x = maximum_3, dtype = string("fp16"))
tensor<fp16, [2, 4]> y0 = real_div(x = y, y = cast_4)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [2, 8]> cast_1 = cast(x = x, dtype = string("fp16"))
tensor<fp16, [2, 1]> reduce_sum_2 = reduce_sum(x = cast_1, axes = tensor<int32, [1]>([1]), keep_dims = bool(true))
tensor<fp16, [2, 1]> maximum_3 = maximum(x = reduce_sum_2, y = fp16(1.1920929e-07))
tensor<fp16, [2, 4]> y0 = real_div(x = y, y = maximum_3)
)");
}

TEST_F(PassTest, CountsOfAFloat32NodeStayFloat32) {
  const Operand cast = op("cast", {{"x", input({2, 8}, DType::I32)}, {"dtype", text("fp32")}});
  const Operand sum = op("reduce_sum", {{"x", cast}, {"axes", ints({1})}, {"keep_dims", flag(true)}});
  program.ops[program.values[cast.value()].producer].origin = 1;
  program.ops[program.values[sum.value()].producer].origin = 2;
  output(op("relu", {{"x", op("cast", {{"x", sum}, {"dtype", text("fp16")}})}}));
  for (const int32_t kept : {1, 2}) {
    run("common::narrow_counts", {.float32_origins = {kept}});
    EXPECT_EQ(before, after) << kept;
  }
  run("common::narrow_counts", {.float32_origins = {3}});
  EXPECT_NE(before.text, after.text);
}

TEST_F(PassTest, AnglesStayFloat32) {
  Operand n = op("cast", {{"x", input({2, 8}, DType::I32)}, {"dtype", text("fp32")}});
  output(op("relu", {{"x", op("cast", {{"x", op("sin", {{"x", n}})}, {"dtype", text("fp16")}})}}));
  run("common::narrow_counts");
  EXPECT_EQ(before, after);
}

}  // namespace
}  // namespace cortland::mil_passes
