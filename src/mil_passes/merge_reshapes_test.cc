#include "mil_passes/pass_test.h"

namespace cortland::mil_passes {
namespace {

TEST_F(PassTest, ReshapesMerge) {
  Operand y = op("expand_dims", {{"x", input({2, 6})}, {"axes", ints({0})}});
  y = op("reshape", {{"x", y}, {"shape", ints({1, 12})}});
  y = op("squeeze", {{"x", y}, {"axes", ints({0})}});
  output(op("reshape", {{"x", y}, {"shape", ints({3, 4})}}));
  run("common::merge_consecutive_reshapes");
  EXPECT_EQ(before, R"(
tensor<fp16, [1, 2, 6]> expand_dims_1 = expand_dims(x = x, axes = tensor<int32, [1]>([0]))
tensor<fp16, [1, 12]> reshape_2 = reshape(x = expand_dims_1, shape = tensor<int32, [2]>([1, 12]))
tensor<fp16, [12]> squeeze_3 = squeeze(x = reshape_2, axes = tensor<int32, [1]>([0]))
tensor<fp16, [3, 4]> y0 = reshape(x = squeeze_3, shape = tensor<int32, [2]>([3, 4]))
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [3, 4]> y0 = reshape(x = x, shape = tensor<int32, [2]>([3, 4]))
)");
}

TEST_F(PassTest, ReshapesThatUndoEachOtherGo) {
  Operand y = op("reshape", {{"x", op("relu", {{"x", input({2, 6})}})}, {"shape", ints({12})}});
  output(op("tanh", {{"x", op("reshape", {{"x", y}, {"shape", ints({2, 6})}})}}));
  run("common::merge_consecutive_reshapes");
  EXPECT_EQ(before, R"(
tensor<fp16, [2, 6]> relu_1 = relu(x = x)
tensor<fp16, [12]> reshape_2 = reshape(x = relu_1, shape = tensor<int32, [1]>([12]))
tensor<fp16, [2, 6]> reshape_3 = reshape(x = reshape_2, shape = tensor<int32, [2]>([2, 6]))
tensor<fp16, [2, 6]> y0 = tanh(x = reshape_3)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [2, 6]> relu_1 = relu(x = x)
tensor<fp16, [2, 6]> y0 = tanh(x = relu_1)
)");
}

TEST_F(PassTest, ADynamicSizeStaysADynamicSize) {
  const Dim n = program.dims->symbol("n", {1, 8});
  Operand y = op("expand_dims", {{"x", input({n, 6})}, {"axes", ints({1})}});
  output(op("reshape", {{"x", y}, {"shape", ints({-1, 2, 3})}}));
  run("common::merge_consecutive_reshapes");
  EXPECT_EQ(before, R"(
tensor<fp16, [n, 1, 6]> expand_dims_1 = expand_dims(x = x, axes = tensor<int32, [1]>([1]))
tensor<fp16, [n, 2, 3]> y0 = reshape(x = expand_dims_1, shape = tensor<int32, [3]>([-1, 2, 3]))
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [n, 2, 3]> y0 = reshape(x = x, shape = tensor<int32, [3]>([-1, 2, 3]))
)");
}

TEST_F(PassTest, TransposesMerge) {
  Operand y = op("transpose", {{"x", input({2, 3, 4})}, {"perm", ints({1, 2, 0})}});
  output(op("transpose", {{"x", y}, {"perm", ints({0, 2, 1})}}));
  run("common::merge_consecutive_transposes");
  EXPECT_EQ(before, R"(
tensor<fp16, [3, 4, 2]> transpose_1 = transpose(x = x, perm = tensor<int32, [3]>([1, 2, 0]))
tensor<fp16, [3, 2, 4]> y0 = transpose(x = transpose_1, perm = tensor<int32, [3]>([0, 2, 1]))
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [3, 2, 4]> y0 = transpose(x = x, perm = tensor<int32, [3]>([1, 0, 2]))
)");
}

TEST_F(PassTest, TransposesThatUndoEachOtherGo) {
  Operand y = op("transpose", {{"x", input({2, 3, 4})}, {"perm", ints({1, 2, 0})}});
  output(op("relu", {{"x", op("transpose", {{"x", y}, {"perm", ints({-1, 0, 1})}})}}));
  run("common::merge_consecutive_transposes");
  EXPECT_EQ(before, R"(
tensor<fp16, [3, 4, 2]> transpose_1 = transpose(x = x, perm = tensor<int32, [3]>([1, 2, 0]))
tensor<fp16, [2, 3, 4]> transpose_2 = transpose(x = transpose_1, perm = tensor<int32, [3]>([-1, 0, 1]))
tensor<fp16, [2, 3, 4]> y0 = relu(x = transpose_2)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [2, 3, 4]> y0 = relu(x = x)
)");
}

TEST_F(PassTest, AReductionReadsTheTensorAsItWas) {
  Operand y = op("transpose", {{"x", input({1, 5, 6, 3})}, {"perm", ints({0, 3, 1, 2})}});
  output(op("reduce_mean", {{"x", y}, {"axes", ints({2, 3})}, {"keep_dims", flag(false)}}));
  run("common::merge_consecutive_transposes");
  EXPECT_EQ(before, R"(
tensor<fp16, [1, 3, 5, 6]> transpose_1 = transpose(x = x, perm = tensor<int32, [4]>([0, 3, 1, 2]))
tensor<fp16, [1, 3]> y0 = reduce_mean(x = transpose_1, axes = tensor<int32, [2]>([2, 3]), keep_dims = bool(false))
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [1, 3]> y0 = reduce_mean(x = x, axes = tensor<int32, [2]>([1, 2]), keep_dims = bool(false))
)");
}

TEST_F(PassTest, ATransposeIsAFlagOfTheProduct) {
  const Operand k = op("transpose", {{"x", input({2, 8, 4}, DType::F16, "k")}, {"perm", ints({0, 2, 1})}});
  const Operand w = op("matmul", {{"x", input({2, 5, 4}, DType::F16, "q")}, {"y", k}});
  const Operand v = op("transpose", {{"x", input({8, 2, 3}, DType::F16, "v")}, {"perm", ints({1, 2, 0})}});
  output(op("matmul", {{"x", w}, {"y", v}, {"transpose_y", flag(true)}}));
  run("common::fuse_transpose_matmul");
  EXPECT_EQ(before, R"(
tensor<fp16, [2, 4, 8]> transpose_1 = transpose(x = k, perm = tensor<int32, [3]>([0, 2, 1]))
tensor<fp16, [2, 5, 8]> matmul_2 = matmul(x = q, y = transpose_1, transpose_x = bool(false), transpose_y = bool(false))
tensor<fp16, [2, 3, 8]> transpose_3 = transpose(x = v, perm = tensor<int32, [3]>([1, 2, 0]))
tensor<fp16, [2, 5, 3]> y0 = matmul(x = matmul_2, y = transpose_3, transpose_x = bool(false), transpose_y = bool(true))
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [2, 5, 8]> matmul_2 = matmul(x = q, y = k, transpose_x = bool(false), transpose_y = bool(true))
tensor<fp16, [2, 8, 3]> transpose_4 = transpose(x = v, perm = tensor<int32, [3]>([1, 0, 2]))
tensor<fp16, [2, 5, 3]> y0 = matmul(x = matmul_2, y = transpose_4, transpose_x = bool(false), transpose_y = bool(false))
)");
}

TEST_F(PassTest, SlicesSideBySideAreASplit) {
  const Operand x = input({2, 6});
  const Operand b = op("slice_by_index", {{"x", x}, {"begin", ints({0, 2})}, {"end", ints({2, 6})}});
  const Operand a =
      op("slice_by_index", {{"x", x},
                            {"begin", ints({0, 0})},
                            {"end", ints({0, 2})},
                            {"end_mask", program.constant(Weight::dense(DType::Bool, {2}, std::string("\1\0", 2)))}});
  output(op("relu", {{"x", a}}));
  output(op("relu", {{"x", b}}));
  run("common::slices_to_split");
  EXPECT_EQ(before, R"(
tensor<fp16, [2, 4]> slice_by_index_1 = slice_by_index(x = x, begin = tensor<int32, [2]>([0, 2]), end = tensor<int32, [2]>([2, 6]))
tensor<fp16, [2, 2]> slice_by_index_2 = slice_by_index(x = x, begin = tensor<int32, [2]>([0, 0]), end = tensor<int32, [2]>([0, 2]), end_mask = tensor<bool, [2]>([true, false]))
tensor<fp16, [2, 2]> y0 = relu(x = slice_by_index_2)
tensor<fp16, [2, 4]> y1 = relu(x = slice_by_index_1)
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [2, 2]> split_4_0, tensor<fp16, [2, 4]> split_4_1 = split(x = x, split_sizes = tensor<int32, [2]>([2, 4]), axis = int32(1))
tensor<fp16, [2, 2]> y0 = relu(x = split_4_0)
tensor<fp16, [2, 4]> y1 = relu(x = split_4_1)
)");
}

TEST_F(PassTest, SlicesWithAGapStay) {
  const Operand x = input({2, 6});
  output(op("slice_by_index", {{"x", x}, {"begin", ints({0, 0})}, {"end", ints({2, 2})}}));
  output(op("slice_by_index", {{"x", x}, {"begin", ints({0, 3})}, {"end", ints({2, 6})}}));
  run("common::slices_to_split");
  EXPECT_EQ(before, after);
}

TEST_F(PassTest, AShuffleAfterAConcatenationInterleaves) {
  const Operand a = input({1, 3, 2, 2}, DType::F16, "a"), b = input({1, 3, 2, 2}, DType::F16, "b");
  Operand y = op("concat", {{"values", std::vector<Operand>{a, b}}, {"axis", integer(1)}, {"interleave", flag(false)}});
  y = op("reshape", {{"x", y}, {"shape", ints({1, 2, 3, 2, 2})}});
  y = op("transpose", {{"x", y}, {"perm", ints({0, 2, 1, 3, 4})}});
  output(op("reshape", {{"x", y}, {"shape", ints({1, 6, 2, 2})}}));
  run("common::detect_concat_interleave");
  EXPECT_EQ(before, R"(
tensor<fp16, [1, 6, 2, 2]> concat_1 = concat(values = (a, b), axis = int32(1), interleave = bool(false))
tensor<fp16, [1, 2, 3, 2, 2]> reshape_2 = reshape(x = concat_1, shape = tensor<int32, [5]>([1, 2, 3, 2, 2]))
tensor<fp16, [1, 3, 2, 2, 2]> transpose_3 = transpose(x = reshape_2, perm = tensor<int32, [5]>([0, 2, 1, 3, 4]))
tensor<fp16, [1, 6, 2, 2]> y0 = reshape(x = transpose_3, shape = tensor<int32, [4]>([1, 6, 2, 2]))
)");
  EXPECT_EQ(after, R"(
tensor<fp16, [1, 6, 2, 2]> y0 = concat(values = (a, b), axis = int32(1), interleave = bool(true))
)");
}

}  // namespace
}  // namespace cortland::mil_passes
