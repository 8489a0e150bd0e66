#include "mil_ops/op_test.h"

namespace cortland::mil_ops {
namespace {

using namespace test;
using Shape64 = std::vector<int64_t>;

TEST(TensorOperation, Concat) {
  const Tensor a = iota(DType::F32, {2, 1, 2}), b = iota(DType::F32, {2, 2, 2});
  const Tensor y = run(concat, {{"values", {a, b}}, {"axis", 1}});
  EXPECT_EQ(y.shape, (Shape64{2, 3, 2}));
  EXPECT_EQ(floats(y), (std::vector<float>{0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(floats(run(concat, {{"values", {a, a}}, {"axis", -1}})), (std::vector<float>{0, 1, 0, 1, 2, 3, 2, 3}));
  EXPECT_EQ(integers(run(concat, {{"values", {i32({}, {4}), i32({}, {5})}}, {"axis", 0}})), (std::vector<int64_t>{4, 5}));
  EXPECT_TRUE(refuses(concat, {{"values", {a, b}}, {"axis", 0}}));
  EXPECT_TRUE(refuses(concat, {{"values", {a, f16({2, 1, 2}, {1, 2, 3, 4})}}, {"axis", 0}}));
  // the example of the op's documentation
  const Tensor in1 = i32({3, 2}, {1, 2, 3, 4, 5, 6}), in2 = i32({3, 2}, {7, 8, 9, 10, 11, 12});
  EXPECT_EQ(integers(run(concat, {{"values", {in1, in2}}, {"axis", 0}, {"interleave", true}})),
            (std::vector<int64_t>{1, 2, 7, 8, 3, 4, 9, 10, 5, 6, 11, 12}));
}

TEST(TensorOperation, ConcatOfSymbolicSizes) {
  mil::Program program;
  const Dim s = program.dims->symbol("s"), t = program.dims->symbol("t");
  const auto value = [&](Shape shape) { return mil::Operand(program.add_value("v", {DType::F32, std::move(shape)})); };
  auto op = program.add_op(program.add_block(), concat,
                           {{"values", std::vector{value({s, 4}), value({1, t})}}, {"axis", program.constant(int32_t{0})}});
  ASSERT_TRUE(op.ok());
  EXPECT_EQ(program.type(program.ops[*op].results[0]).shape(), (Shape{program.dims->add(s, 1), 4}));
}

TEST(TensorOperation, Stack) {
  const Tensor a = ints({1, 2}), b = ints({3, 4});
  EXPECT_EQ(integers(run(stack, {{"values", {a, b}}, {"axis", 0}})), (std::vector<int64_t>{1, 2, 3, 4}));
  const Tensor y = run(stack, {{"values", {a, b, a}}, {"axis", -1}});
  EXPECT_EQ(y.shape, (Shape64{2, 3}));
  EXPECT_EQ(integers(y), (std::vector<int64_t>{1, 3, 1, 2, 4, 2}));
  EXPECT_TRUE(refuses(stack, {{"values", {a, ints({1})}}, {"axis", 0}}));
  EXPECT_TRUE(refuses(stack, {{"values", {a, b}}, {"axis", 2}}));
}

TEST(TensorOperation, Split) {
  const Tensor x = iota(DType::F16, {2, 4});
  const auto halves = run_all(split, {{"x", x}, {"num_splits", 2}, {"axis", 1}});
  EXPECT_EQ(halves.size(), 2u);
  EXPECT_EQ(floats(halves[1]), (std::vector<float>{2, 3, 6, 7}));
  const auto parts = run_all(split, {{"x", x}, {"split_sizes", ints({1, 0, 3})}, {"axis", -1}});
  EXPECT_EQ(floats(parts[0]), (std::vector<float>{0, 4}));
  EXPECT_EQ(parts[1].shape, (Shape64{2, 0}));
  EXPECT_EQ(floats(parts[2]), (std::vector<float>{1, 2, 3, 5, 6, 7}));
  EXPECT_TRUE(refuses(split, {{"x", x}, {"num_splits", 3}, {"axis", 1}}));
  EXPECT_TRUE(refuses(split, {{"x", x}, {"split_sizes", ints({1, 2})}, {"axis", 1}}));
  EXPECT_TRUE(refuses(split, {{"x", x}, {"axis", 1}}));
  EXPECT_TRUE(refuses(split, {{"x", x}, {"num_splits", 0}, {"axis", 1}}));
}

TEST(TensorOperation, Tile) {
  const Tensor y = run(tile, {{"x", iota(DType::I32, {2, 2})}, {"reps", ints({2, 3})}});
  EXPECT_EQ(y.shape, (Shape64{4, 6}));
  EXPECT_EQ(integers(y), (std::vector<int64_t>{0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3}));
  EXPECT_TRUE(refuses(tile, {{"x", iota(DType::I32, {2, 2})}, {"reps", ints({2})}}));
  EXPECT_TRUE(refuses(tile, {{"x", iota(DType::I32, {2, 2})}, {"reps", ints({2, 0})}}));
  EXPECT_TRUE(refuses(tile, {{"x", iota(DType::I32, {2, 2})}, {"reps", ints({1 << 20, 1 << 20})}}));
}

TEST(TensorOperation, Pad) {
  const Tensor x = f32({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor y = run(pad, {{"x", x}, {"pad", ints({1, 0, 0, 2})}, {"constant_val", 9.0f}});
  EXPECT_EQ(y.shape, (Shape64{3, 5}));
  EXPECT_EQ(floats(y), (std::vector<float>{9, 9, 9, 9, 9, 1, 2, 3, 9, 9, 4, 5, 6, 9, 9}));
  // numpy.pad, last axis only
  const auto last = [&](const char* mode) {
    return floats(run(pad, {{"x", x}, {"pad", ints({2, 1}), Arg::As::Const}, {"mode", mode}}));
  };
  EXPECT_EQ(last("reflect"), (std::vector<float>{3, 2, 1, 2, 3, 2, 6, 5, 4, 5, 6, 5}));
  EXPECT_EQ(last("replicate"), (std::vector<float>{1, 1, 1, 2, 3, 3, 4, 4, 4, 5, 6, 6}));
  EXPECT_EQ(floats(run(pad, {{"x", f16({2, 2}, {1, 2, 3, 4})}, {"pad", ints({1, 1, 1, 0})}, {"mode", "reflect"}})),
            (std::vector<float>{4, 3, 4, 2, 1, 2, 4, 3, 4, 2, 1, 2}));
  EXPECT_TRUE(refuses(pad, {{"x", x}, {"pad", ints({0, 0, 3, 0})}, {"mode", "reflect"}}));
  EXPECT_TRUE(refuses(pad, {{"x", x}, {"pad", ints({0, 0, -1, 0})}}));
  EXPECT_TRUE(refuses(pad, {{"x", x}, {"pad", ints({0, 0, 1, 0})}, {"mode", "circular"}}));
}

TEST(TensorOperation, Flatten) {
  const auto flat = [](Shape64 shape, int axis) {
    return run(flatten2d, {{"x", iota(DType::F32, shape)}, {"axis", axis}}).shape;
  };
  // the examples of the op's documentation
  EXPECT_EQ(flat({3}, -1), (Shape64{1, 3}));
  EXPECT_EQ(flat({3}, 1), (Shape64{3, 1}));
  EXPECT_EQ(flat({2, 3, 2}, -1), (Shape64{6, 2}));
  EXPECT_EQ(flat({5, 5, 2}, 1), (Shape64{5, 10}));
}

TEST(TensorOperation, Identity) { EXPECT_EQ(floats(run(identity, {{"x", f32({2}, {1, 2})}})), (std::vector<float>{1, 2})); }

TEST(TensorOperation, BandPart) {
  const Tensor x = f32({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto band = [&](int lower, int upper) {
    return floats(run(band_part, {{"x", x}, {"lower", lower}, {"upper", upper}}));
  };
  EXPECT_EQ(band(-1, 0), (std::vector<float>{1, 0, 0, 4, 5, 0}));
  EXPECT_EQ(band(0, -1), (std::vector<float>{1, 2, 3, 0, 5, 6}));
  EXPECT_EQ(band(0, 1), (std::vector<float>{1, 2, 0, 0, 5, 6}));
  EXPECT_EQ(floats(run(band_part, {{"x", x}})), floats(x));
  EXPECT_EQ(integers(run(band_part, {{"x", bools({2, 2, 2}, {1, 1, 1, 1, 1, 1, 1, 1})}, {"lower", 0}, {"upper", 0}})),
            (std::vector<int64_t>{1, 0, 0, 1, 1, 0, 0, 1}));
  EXPECT_TRUE(refuses(band_part, {{"x", f32({3}, {1, 2, 3})}}));
}

}  // namespace
}  // namespace cortland::mil_ops
