#include "mil_passes/pass_test.h"

namespace cortland::mil_passes {
namespace {

TEST_F(PassTest, TransposesMeetThroughElementwiseOps) {
  Operand y = op("transpose", {{"x", input({1, 3, 4, 5})}, {"perm", ints({0, 2, 3, 1})}});
  y = op("mul", {{"x", op("relu", {{"x", y}})}, {"y", floats({3}, {1, 2, 3})}});
  y = op("softmax", {{"x", y}, {"axis", integer(-1)}});
  output(op("tanh", {{"x", op("transpose", {{"x", y}, {"perm", ints({0, 3, 1, 2})}})}}));
  run("common::reduce_transposes");
  EXPECT_EQ(before, R"(
tensor<fp16, [1, 4, 5, 3]> transpose_1 = transpose(x = x, perm = tensor<int32, [4]>([0, 2, 3, 1]))
tensor<fp16, [1, 4, 5, 3]> relu_2 = relu(x = transpose_1)
tensor<fp16, [1, 4, 5, 3]> mul_3 = mul(x = relu_2, y = tensor<fp16, [3]>([1, 2, 3]))
tensor<fp16, [1, 4, 5, 3]> softmax_4 = softmax(x = mul_3, axis = int32(-1))
tensor<fp16, [1, 3, 4, 5]> transpose_5 = transpose(x = softmax_4, perm = tensor<int32, [4]>([0, 3, 1, 2]))
tensor<fp16, [1, 3, 4, 5]> y0 = tanh(x = transpose_5)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [1, 3, 4, 5]> relu_2 = relu(x = x)
tensor<fp16, [1, 3, 4, 5]> mul_3 = mul(x = relu_2, y = tensor<fp16, [1, 3, 1, 1]>([[[[1]], [[2]], [[3]]]]))
tensor<fp16, [1, 3, 4, 5]> softmax_4 = softmax(x = mul_3, axis = int32(1))
tensor<fp16, [1, 3, 4, 5]> y0 = tanh(x = softmax_4)
)");
}

TEST_F(PassTest, AResidualOfThreeBranchesNeedsOneTranspose) {
  const Operand a = op("transpose", {{"x", input({1, 3, 4}, DType::F16, "a")}, {"perm", ints({0, 2, 1})}});
  const Operand b = op("transpose", {{"x", input({1, 3, 4}, DType::F16, "b")}, {"perm", ints({0, 2, 1})}});
  const Operand c = op("transpose", {{"x", input({1, 3, 4}, DType::F16, "c")}, {"perm", ints({0, 2, 1})}});
  output(op("add", {{"x", op("add", {{"x", a}, {"y", b}})}, {"y", c}}));
  run("common::reduce_transposes");
  EXPECT_EQ(before, R"(
tensor<fp16, [1, 4, 3]> transpose_1 = transpose(x = a, perm = tensor<int32, [3]>([0, 2, 1]))
tensor<fp16, [1, 4, 3]> transpose_2 = transpose(x = b, perm = tensor<int32, [3]>([0, 2, 1]))
tensor<fp16, [1, 4, 3]> transpose_3 = transpose(x = c, perm = tensor<int32, [3]>([0, 2, 1]))
tensor<fp16, [1, 4, 3]> add_4 = add(x = transpose_1, y = transpose_2)
tensor<fp16, [1, 4, 3]> y0 = add(x = add_4, y = transpose_3)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [1, 3, 4]> add_4 = add(x = a, y = b)
tensor<fp16, [1, 3, 4]> add_5 = add(x = add_4, y = c)
tensor<fp16, [1, 4, 3]> y0 = transpose(x = add_5, perm = tensor<int32, [3]>([0, 2, 1]))
)");
}

TEST_F(PassTest, ATransposeThatIsNeededStays) {
  const Operand y = op("transpose", {{"x", input({1, 3, 4})}, {"perm", ints({0, 2, 1})}});
  output(op("relu", {{"x", y}}));
  run("common::reduce_transposes");
  EXPECT_EQ(before, after);
}

TEST_F(PassTest, PartsOfASplitAreTransposedAtOnce) {
  const Operand parts = op("split", {{"x", input({1, 6, 4, 6})}, {"num_splits", integer(2)}, {"axis", integer(3)}});
  const Operand other = result_of(parts, 1);
  for (Operand p : {parts, other})
    output(
        op("matmul", {{"x", op("transpose", {{"x", p}, {"perm", ints({0, 2, 1, 3})}})}, {"y", floats({3, 1}, {1, 2, 3})}}));
  run("common::reduce_transposes");
  EXPECT_EQ(before, R"(
tensor<fp16, [1, 6, 4, 3]> split_1_0, tensor<fp16, [1, 6, 4, 3]> split_1_1 = split(x = x, num_splits = int32(2), axis = int32(3))
tensor<fp16, [1, 4, 6, 3]> transpose_2 = transpose(x = split_1_0, perm = tensor<int32, [4]>([0, 2, 1, 3]))
tensor<fp16, [1, 4, 6, 1]> y0 = matmul(x = transpose_2, y = tensor<fp16, [3, 1]>([[1], [2], [3]]), transpose_x = bool(false), transpose_y = bool(false))
tensor<fp16, [1, 4, 6, 3]> transpose_4 = transpose(x = split_1_1, perm = tensor<int32, [4]>([0, 2, 1, 3]))
tensor<fp16, [1, 4, 6, 1]> y1 = matmul(x = transpose_4, y = tensor<fp16, [3, 1]>([[1], [2], [3]]), transpose_x = bool(false), transpose_y = bool(false))
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [1, 4, 6, 6]> transpose_5 = transpose(x = x, perm = tensor<int32, [4]>([0, 2, 1, 3]))
tensor<fp16, [1, 4, 6, 3]> split_1_0, tensor<fp16, [1, 4, 6, 3]> split_1_1 = split(x = transpose_5, num_splits = int32(2), axis = int32(3))
tensor<fp16, [1, 4, 6, 1]> y0 = matmul(x = split_1_0, y = tensor<fp16, [3, 1]>([[1], [2], [3]]), transpose_x = bool(false), transpose_y = bool(false))
tensor<fp16, [1, 4, 6, 1]> y1 = matmul(x = split_1_1, y = tensor<fp16, [3, 1]>([[1], [2], [3]]), transpose_x = bool(false), transpose_y = bool(false))
)");
}

TEST_F(PassTest, SlicesPadsAndReductionsRenameTheirAxes) {
  Operand y = op("transpose", {{"x", input({1, 3, 4, 5})}, {"perm", ints({0, 2, 3, 1})}});
  y = op("slice_by_index", {{"x", y}, {"begin", ints({0, 1, 0, 0})}, {"end", ints({1, 3, 5, 3})}});
  y = op("pad",
         {{"x", y}, {"pad", ints({0, 0, 1, 2, 0, 0, 0, 0})}, {"mode", text("constant")}, {"constant_val", number(0)}});
  y = op("reduce_max", {{"x", y}, {"axes", ints({2})}, {"keep_dims", flag(true)}});
  output(op("relu", {{"x", op("transpose", {{"x", y}, {"perm", ints({0, 3, 1, 2})}})}}));
  run("common::reduce_transposes");
  EXPECT_EQ(before, R"(
tensor<fp16, [1, 4, 5, 3]> transpose_1 = transpose(x = x, perm = tensor<int32, [4]>([0, 2, 3, 1]))
tensor<fp16, [1, 2, 5, 3]> slice_by_index_2 = slice_by_index(x = transpose_1, begin = tensor<int32, [4]>([0, 1, 0, 0]), end = tensor<int32, [4]>([1, 3, 5, 3]))
tensor<fp16, [1, 5, 5, 3]> pad_3 = pad(x = slice_by_index_2, pad = tensor<int32, [8]>([0, 0, 1, 2, 0, 0, 0, 0]), mode = string("constant"), constant_val = fp16(0))
tensor<fp16, [1, 5, 1, 3]> reduce_max_4 = reduce_max(x = pad_3, axes = tensor<int32, [1]>([2]), keep_dims = bool(true))
tensor<fp16, [1, 3, 5, 1]> transpose_5 = transpose(x = reduce_max_4, perm = tensor<int32, [4]>([0, 3, 1, 2]))
tensor<fp16, [1, 3, 5, 1]> y0 = relu(x = transpose_5)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [1, 3, 2, 5]> slice_by_index_2 = slice_by_index(x = x, begin = tensor<int32, [4]>([0, 0, 1, 0]), end = tensor<int32, [4]>([1, 3, 3, 5]))
tensor<fp16, [1, 3, 5, 5]> pad_3 = pad(x = slice_by_index_2, pad = tensor<int32, [8]>([0, 0, 0, 0, 1, 2, 0, 0]), mode = string("constant"), constant_val = fp16(0))
tensor<fp16, [1, 3, 5, 1]> reduce_max_4 = reduce_max(x = pad_3, axes = tensor<int32, [1]>([3]), keep_dims = bool(true))
tensor<fp16, [1, 3, 5, 1]> y0 = relu(x = reduce_max_4)
)");
}

}  // namespace
}  // namespace cortland::mil_passes
