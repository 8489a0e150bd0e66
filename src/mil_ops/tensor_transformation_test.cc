#include <numeric>

#include "mil_ops/op_test.h"

namespace cortland::mil_ops {
namespace {

using namespace test;
using Shape64 = std::vector<int64_t>;

TEST(TensorTransformation, Reshape) {
  const Tensor x = iota(DType::F32, {2, 3, 4});
  const auto shape = [&](const mil::MilOp& op, std::vector<int64_t> target) {
    return run(op, {{"x", x}, {"shape", ints(target)}}).shape;
  };
  EXPECT_EQ(shape(reshape, {4, 6}), (Shape64{4, 6}));
  EXPECT_EQ(shape(reshape, {-1}), (Shape64{24}));
  EXPECT_EQ(shape(reshape, {0, -1, 0}), (Shape64{2, 3, 4}));
  EXPECT_EQ(shape(reshape, {1, 24, 1, 1}), (Shape64{1, 24, 1, 1}));
  EXPECT_EQ(floats(run(reshape, {{"x", x}, {"shape", ints({4, 6})}})), floats(x));
  EXPECT_EQ(run(reshape, {{"x", f32({1}, {7})}, {"shape", i32({0}, {})}}).rank(), 0);
  for (const auto& bad : {Shape64{5, 5}, Shape64{-1, -1}, Shape64{7, -1}, Shape64{0, -1}, Shape64{-2, 12}})
    EXPECT_TRUE(refuses(reshape, {{"x", x}, {"shape", ints(bad)}}));
  // From iOS17 on zeros count from the right: the example of the op's documentation.
  EXPECT_EQ(run(reshape_ios17, {{"x", iota(DType::I32, {2, 50})}, {"shape", ints({1, 0, -1, 0})}}).shape,
            (Shape64{1, 1, 2, 50}));
}

TEST(TensorTransformation, ReshapeOfSymbolicSizes) {
  mil::Program program;
  const Dim s = program.dims->symbol("s", {1, 128});
  const auto reshaped = [&](Shape from, std::vector<int32_t> to) {
    const auto x = program.add_value("x", {DType::F32, std::move(from)});
    auto op = program.add_op(program.add_block(), reshape, {{"x", x}, {"shape", program.constant(to)}});
    return op ? program.type(program.ops[*op].results[0]).shape() : Shape{};
  };
  EXPECT_EQ(reshaped({1, s, 768}, {1, -1, 12, 64}), (Shape{1, s, 12, 64}));
  EXPECT_EQ(reshaped({1, s, 768}, {0, 0, -1}), (Shape{1, s, 768}));
  EXPECT_EQ(reshaped({2, s, 4}, {-1}), (Shape{program.dims->mul(s, 8)}));
}

TEST(TensorTransformation, ReshapeLike) {
  const Tensor x = iota(DType::F32, {30, 2}), a = iota(DType::F32, {2, 3, 4}), b = iota(DType::I32, {1, 5, 2});
  const auto scalar = [](int v) { return i32({}, {v}); };
  const std::vector<Arg> args = {{"x", x},
                                 {"ref_tensors", {a, b}},
                                 {"begins", {scalar(0), scalar(1)}, Arg::As::Const},
                                 {"ends", {scalar(2), scalar(0)}, Arg::As::Const},
                                 {"end_masks", {bools({}, {0}), bools({}, {1})}, Arg::As::Const}};
  EXPECT_EQ(run(reshape_like, args).shape, (Shape64{2, 3, 5, 2}));
}

TEST(TensorTransformation, ExpandDimsAndSqueeze) {
  const Tensor x = iota(DType::F32, {2, 3});
  EXPECT_EQ(run(expand_dims, {{"x", x}, {"axes", ints({0, -1})}}).shape, (Shape64{1, 2, 3, 1}));
  EXPECT_EQ(run(expand_dims, {{"x", x}, {"axes", ints({1, 2})}}).shape, (Shape64{2, 1, 1, 3}));
  EXPECT_TRUE(refuses(expand_dims, {{"x", x}, {"axes", ints({3})}}));
  const Tensor y = iota(DType::I32, {1, 2, 1});
  EXPECT_EQ(run(squeeze, {{"x", y}}).shape, (Shape64{2}));
  EXPECT_EQ(run(squeeze, {{"x", y}, {"axes", ints({-1})}}).shape, (Shape64{1, 2}));
  EXPECT_EQ(run(squeeze, {{"x", y}, {"axes", ints({0, 1})}}).shape, (Shape64{2, 1}));  // as torch: 2 stays
  EXPECT_EQ(run(squeeze, {{"x", f32({1}, {5})}}).rank(), 0);
}

TEST(TensorTransformation, Transpose) {
  const Tensor x = iota(DType::F32, {2, 3, 4});
  const Tensor y = run(transpose, {{"x", x}, {"perm", ints({2, 0, 1})}});
  EXPECT_EQ(y.shape, (Shape64{4, 2, 3}));
  std::vector<float> expected;
  for (int k = 0; k < 4; ++k)
    for (int ij = 0; ij < 6; ++ij) expected.push_back(static_cast<float>(ij * 4 + k));
  EXPECT_EQ(floats(y), expected);
  EXPECT_EQ(floats(run(transpose, {{"x", iota(DType::F16, {2, 2})}, {"perm", ints({-1, 0})}})),
            (std::vector<float>{0, 2, 1, 3}));
  EXPECT_EQ(integers(run(transpose_ios17, {{"x", iota(DType::U8, {2, 2})}, {"perm", ints({1, 0})}})),
            (std::vector<int64_t>{0, 2, 1, 3}));
  EXPECT_TRUE(refuses(transpose, {{"x", x}, {"perm", ints({0, 1, 1})}}));
  EXPECT_TRUE(refuses(transpose, {{"x", x}, {"perm", ints({0, 1})}}));
}

TEST(TensorTransformation, Reverse) {
  const Tensor x = iota(DType::I32, {2, 3});
  EXPECT_EQ(integers(run(reverse, {{"x", x}})), (std::vector<int64_t>{5, 4, 3, 2, 1, 0}));
  EXPECT_EQ(integers(run(reverse, {{"x", x}, {"axes", ints({-1})}})), (std::vector<int64_t>{2, 1, 0, 5, 4, 3}));
  EXPECT_EQ(run(reverse, {{"x", iota(DType::I32, {0, 3})}}).elements(), 0);
}

TEST(TensorTransformation, ReverseSequence) {
  const Tensor x = iota(DType::I32, {2, 4});
  EXPECT_EQ(integers(run(reverse_sequence, {{"x", x}, {"lengths", ints({3, 0})}, {"seq_axis", 1}})),
            (std::vector<int64_t>{2, 1, 0, 3, 4, 5, 6, 7}));
  EXPECT_EQ(integers(run(reverse_sequence, {{"x", x}, {"lengths", ints({1, 2, 1, 2})}, {"seq_axis", 0}, {"batch_axis", 1}})),
            (std::vector<int64_t>{0, 5, 2, 7, 4, 1, 6, 3}));
  EXPECT_TRUE(refuses(reverse_sequence, {{"x", x}, {"lengths", ints({5, 0})}, {"seq_axis", 1}}));
}

TEST(TensorTransformation, SlidingWindows) {
  const Tensor x = iota(DType::F32, {2, 5});
  const Tensor y = run(sliding_windows, {{"x", x}, {"axis", 1}, {"size", 3}, {"stride", 2}});
  EXPECT_EQ(y.shape, (Shape64{2, 2, 3}));
  EXPECT_EQ(floats(y), (std::vector<float>{0, 1, 2, 2, 3, 4, 5, 6, 7, 7, 8, 9}));
  const Tensor z = run(sliding_windows, {{"x", x}, {"axis", -2}, {"size", 2}});
  EXPECT_EQ(z.shape, (Shape64{1, 2, 5}));
  EXPECT_TRUE(refuses(sliding_windows, {{"x", x}, {"axis", 0}, {"size", 3}}));
}

TEST(TensorTransformation, DepthAndSpace) {
  // numpy: arange(8).reshape(1,2,2,2,1,1) permuted; the block index is the slow part of the channels.
  const Tensor x = iota(DType::F32, {1, 8, 1, 1});
  const Tensor y = run(depth_to_space, {{"x", x}, {"block_size", 2}});
  EXPECT_EQ(y.shape, (Shape64{1, 2, 2, 2}));
  EXPECT_EQ(floats(y), (std::vector<float>{0, 2, 4, 6, 1, 3, 5, 7}));
  EXPECT_EQ(floats(run(space_to_depth, {{"x", y}, {"block_size", 2}})), floats(x));
  // torch.pixel_shuffle keeps blocks of a channel together.
  const Tensor z = run(pixel_shuffle, {{"x", x}, {"upscale_factor", 2}});
  EXPECT_EQ(floats(z), floats(x));
  const Tensor wide = run(pixel_shuffle, {{"x", iota(DType::F32, {1, 4, 1, 2})}, {"upscale_factor", 2}});
  EXPECT_EQ(floats(wide), (std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7}));
  const Tensor factor = Tensor::from(DType::U32, {}, std::vector<int64_t>{2});
  EXPECT_EQ(floats(run(pixel_unshuffle, {{"x", wide}, {"downscale_factor", factor}})),
            floats(iota(DType::F32, {1, 4, 1, 2})));
  EXPECT_TRUE(refuses(depth_to_space, {{"x", iota(DType::F32, {1, 6, 1, 1})}, {"block_size", 2}}));
  EXPECT_TRUE(refuses(space_to_depth, {{"x", iota(DType::F32, {1, 1, 3, 2})}, {"block_size", 2}}));
}

TEST(TensorTransformation, BatchAndSpace) {
  // tf.space_to_batch_nd of [[1, 2], [3, 4]] puts each pixel into its own batch entry.
  const Tensor x = f32({1, 1, 2, 2}, {1, 2, 3, 4});
  const Tensor block = ints({2, 2}), none = i32({2, 2}, {0, 0, 0, 0});
  const Tensor y = run(space_to_batch, {{"x", x}, {"block_shape", block}, {"paddings", none}});
  EXPECT_EQ(y.shape, (Shape64{4, 1, 1, 1}));
  EXPECT_EQ(floats(y), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(floats(run(batch_to_space, {{"x", y}, {"block_shape", block}, {"crops", none}})), floats(x));
  // One row above and two columns to the right are padded, then cropped again.
  const Tensor edge = i32({2, 2}, {1, 1, 0, 2});
  const Tensor padded = run(space_to_batch, {{"x", x}, {"block_shape", block}, {"paddings", edge}});
  EXPECT_EQ(padded.shape, (Shape64{4, 1, 2, 2}));
  EXPECT_EQ(floats(padded), (std::vector<float>{0, 0, 3, 0, 0, 0, 4, 0, 1, 0, 0, 0, 2, 0, 0, 0}));
  EXPECT_EQ(floats(run(batch_to_space, {{"x", padded}, {"block_shape", block}, {"crops", edge}})), floats(x));
}

}  // namespace
}  // namespace cortland::mil_ops
