// Expected numbers are PyTorch's unless a comment says otherwise.
#include <gtest/gtest.h>

#include <array>

#include "mil_ops/matrix.h"
#include "mil_ops/op_test.h"

namespace cortland::mil_ops {
namespace {

using namespace test;

// Small numbers that float16 holds exactly: ((37 i + 11 + shift) mod 23 - 11) / 8.
Tensor wave(std::vector<int64_t> shape, int shift = 0, DType dtype = DType::F32) {
  std::vector<float> v(static_cast<size_t>(Tensor{DType::F32, shape, nullptr}.elements()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>((static_cast<int>(i) * 37 + 11 + shift) % 23 - 11) / 8;
  return Tensor::from(dtype, std::move(shape), v);
}

TEST(MatrixProduct, CoversWholeAndPartialBlocks) {
  // Rows above 64 are read from a packed strip, depths above 256 in parts; the sums are exact in float32.
  for (const auto& [m, n, k] : {std::array{7, 37, 5}, std::array{67, 32, 3}, std::array{3, 19, 300}, std::array{1, 16, 1}}) {
    const auto a = wave({k, m}).floats(), b = wave({k, n}, 3).floats();  // a is stored transposed
    std::vector<float> c(static_cast<size_t>(m * n), 1.0f);
    multiply_add(m, n, k, {a.data(), 1, m}, b.data(), n, c.data(), n);
    for (int i = 0; i < m; ++i)
      for (int j = 0; j < n; ++j) {
        float sum = 1;
        for (int p = 0; p < k; ++p) sum += a[static_cast<size_t>(p * m + i)] * b[static_cast<size_t>(p * n + j)];
        ASSERT_EQ(c[static_cast<size_t>(i * n + j)], sum) << m << "x" << n << "x" << k << " at " << i << "," << j;
      }
  }
}

TEST(Conv, GroupsStridesAndDilations) {
  const std::vector<float> expected = {1.09375f,   -3.359375f, -0.578125f, 2.0625f,    1.8125f,   0.125f,
                                       3.125f,     1.859375f,  2.390625f,  -1.140625f, 2.953125f, 0.40625f,
                                       -0.109375f, -3.359375f, -0.90625f,  -1.09375f,  1.359375f, -0.078125f,
                                       0.453125f,  -3.140625f, -2.5625f,   -1.8125f,   1.59375f,  -1.109375f};
  for (DType dtype : {DType::F32, DType::F16}) {
    const Tensor y = run(conv, {{"x", wave({1, 4, 5, 4}, 0, dtype)},
                                {"weight", wave({2, 2, 3, 2}, 3, dtype), Arg::As::Const},
                                {"bias", Tensor::from(dtype, {2}, std::vector<float>{0.5f, -1.0f})},
                                {"strides", ints({2, 1})},
                                {"pad_type", "custom"},
                                {"pad", ints({1, 1, 1, 1})},
                                {"dilations", ints({1, 2})},
                                {"groups", 2}});
    EXPECT_EQ(y.shape, (std::vector<int64_t>{1, 2, 3, 4}));
    expect_near(y, expected, dtype == DType::F32 ? 1e-6 : 1e-3);
  }
}

TEST(Conv, OneAndThreeSpatialAxes) {
  expect_near(run(conv, {{"x", wave({2, 2, 7})}, {"weight", wave({3, 2, 3}, 5)}, {"strides", ints({2})}}),
              {2.84375f, 1.46875f, -1.703125f, -2.71875f, -1.375f, 1.046875f, -1.8125f, 0.453125f, -1.59375f, -3.1875f,
               0.46875f, 2.6875f, 2.375f, 0.484375f, -2.84375f, 1.828125f, 0.859375f, -1.546875f});
  expect_near(run(conv, {{"x", wave({1, 1, 3, 3, 3})},
                         {"weight", wave({2, 1, 2, 2, 2}, 1)},
                         {"strides", ints({2, 2, 2})},
                         {"pad_type", "custom"},
                         {"pad", ints({1, 1, 1, 1, 1, 1})}}),
              {0, 1.53125f, -1, 0.765625f, -0.625f, 2.046875f, -2.15625f, 0.96875f, 0, 1.71875f, -0.4375f, 0.109375f,
               -1.09375f, 2.5625f, -1.96875f, 1.015625f});
}

TEST(Conv, PadTypes) {
  // A kernel of ones over ones counts the elements that each window sees.
  const Tensor x = f32({1, 1, 4}, {1, 1, 1, 1}), weight = f32({1, 1, 2}, {1, 1});
  EXPECT_EQ(floats(run(conv_ios17, {{"x", x}, {"weight", weight}, {"pad_type", "same"}})), (std::vector<float>{2, 2, 2, 1}));
  EXPECT_EQ(floats(run(conv_ios17, {{"x", x}, {"weight", weight}, {"pad_type", "same_lower"}})),
            (std::vector<float>{1, 2, 2, 2}));
  EXPECT_EQ(floats(run(conv_ios17, {{"x", x}, {"weight", weight}, {"pad_type", "valid"}, {"pad", ints({5, 5})}})),
            (std::vector<float>{2, 2, 2}));
  EXPECT_EQ(floats(run(conv_ios17, {{"x", x}, {"weight", weight}, {"pad_type", "custom"}, {"pad", ints({0, 2})}})),
            (std::vector<float>{2, 2, 2, 1, 0}));
  EXPECT_TRUE(refuses(conv, {{"x", x}, {"weight", weight}, {"pad_type", "same_lower"}}));  // iOS15 has it not
  EXPECT_EQ(floats(run(conv_ios17, {{"x", x}, {"weight", weight}, {"pad_type", "same"}, {"strides", ints({3})}})),
            (std::vector<float>{2, 1}));
}

TEST(Conv, LongRowsCrossTiles) {
  // x[i] = i, kernel {1, 0, -1}: every output is -2.
  const Tensor y = run(conv, {{"x", iota(DType::F32, {1, 1, 3, 101})}, {"weight", f32({1, 1, 1, 3}, {1, 0, -1})}});
  EXPECT_EQ(y.shape, (std::vector<int64_t>{1, 1, 3, 99}));
  for (float v : floats(y)) EXPECT_EQ(v, -2);
  // A 1 x 1 kernel reads the input in place.
  const Tensor scaled = run(conv, {{"x", iota(DType::F32, {2, 1, 10, 20})}, {"weight", f32({2, 1, 1, 1}, {1, 2})}});
  EXPECT_EQ(floats(scaled)[200 + 150], 2 * 150);
  EXPECT_EQ(floats(scaled)[400 + 7], 207);
}

TEST(Conv, RefusesWhatDoesNotFit) {
  const Tensor x = wave({1, 4, 5, 5});
  EXPECT_TRUE(refuses(conv, {{"x", x}, {"weight", wave({2, 3, 3, 3})}}));
  EXPECT_TRUE(refuses(conv, {{"x", x}, {"weight", wave({2, 4, 6, 3})}}));
  EXPECT_TRUE(refuses(conv, {{"x", x}, {"weight", wave({2, 4, 3})}}));
  EXPECT_TRUE(refuses(conv, {{"x", x}, {"weight", wave({2, 4, 3, 3})}, {"strides", ints({0, 1})}}));
  EXPECT_TRUE(refuses(conv, {{"x", x}, {"weight", wave({2, 4, 3, 3})}, {"strides", ints({1})}}));
  EXPECT_TRUE(refuses(conv, {{"x", x}, {"weight", wave({3, 2, 3, 3})}, {"groups", 2}}));
  EXPECT_TRUE(refuses(conv, {{"x", x}, {"weight", wave({2, 4, 3, 3})}, {"groups", 0}}));
  EXPECT_TRUE(
      refuses(conv, {{"x", x}, {"weight", wave({2, 4, 3, 3})}, {"pad_type", "custom"}, {"pad", ints({-1, 0, 0, 0})}}));
  EXPECT_TRUE(refuses(conv, {{"x", x}, {"weight", wave({2, 4, 2, 2}), Arg::As::Value}, {"dilations", ints({2, 2})}}));
  EXPECT_TRUE(refuses(conv, {{"x", x}, {"weight", wave({2, 4, 3, 3})}, {"bias", f32({3}, {1, 2, 3})}}));
}

TEST(Conv, SymbolicSizes) {
  mil::Program program;
  DimTable& dims = *program.dims;
  const Dim h = dims.symbol("h", {8, 64});
  const auto x = program.add_value("x", mil::Type(DType::F32, {1, 3, h, 8}));
  const auto weight = program.constant(Weight::dense(DType::F32, {6, 3, 3, 3}, std::string(6 * 27 * 4, '\0')));
  const auto op = program.add_op(program.add_block(), conv,
                                 {{"x", x},
                                  {"weight", weight},
                                  {"strides", program.constant(std::vector<int32_t>{2, 2})},
                                  {"pad_type", program.constant(std::string("custom"))},
                                  {"pad", program.constant(std::vector<int32_t>{1, 1, 1, 1})}});
  ASSERT_TRUE(op.ok()) << op.error().what;
  const auto& shape = program.type(program.ops[*op].results[0]).shape();
  EXPECT_EQ(shape[2], dims.add(dims.floordiv(dims.sub(h, 1), 2), 1));
  EXPECT_EQ(shape[3], Dim(4));
}

TEST(ConvQuantized, ScalesTheWeight) {
  const Tensor weight = Tensor::from(DType::U8, {2, 1, 1}, std::vector<int64_t>{3, 200});
  EXPECT_EQ(floats(run(conv_quantized, {{"x", f32({1, 1, 2}, {1, 2})},
                                        {"weight", weight},
                                        {"quantization_type", "linear"},
                                        {"quant_scale", f32({2}, {0.5f, 0.25f})},
                                        {"quant_bias", f32({}, {1})}})),
            (std::vector<float>{2.5f, 5, 51, 102}));
}

TEST(ConvTranspose, GroupsStridesAndDilations) {
  const Tensor y = run(conv_transpose, {{"x", wave({1, 4, 2, 3})},
                                        {"weight", wave({4, 1, 3, 2}, 3)},
                                        {"bias", f32({2}, {0.5f, -1})},
                                        {"strides", ints({2, 1})},
                                        {"pad_type", "custom"},
                                        {"pad", ints({1, 1, 0, 0})},
                                        {"dilations", ints({1, 2})},
                                        {"groups", 2}});
  EXPECT_EQ(y.shape, (std::vector<int64_t>{1, 2, 3, 5}));
  expect_near(
      y, {0.5f,      -0.625f,  2.25f,      -0.203125f, 0.84375f,   -1.171875f, 2.6875f,   2.5f,     -1.09375f, -0.078125f,
          0,         1.75f,    -0.859375f, 0.0625f,    1.46875f,   -1.984375f, -1.84375f, 1.5f,     -0.875f,   -2.15625f,
          -0.84375f, 0.15625f, 1.828125f,  -2.890625f, -2.578125f, -1.921875f, 0.734375f, -1.5625f, -1.84375f, -0.25f});
}

TEST(ConvTranspose, OutputShapes) {
  // output_shape asks for one more element at the end, as output_padding does.
  expect_near(run(conv_transpose, {{"x", wave({1, 2, 3})},
                                   {"weight", wave({2, 1, 3}, 1)},
                                   {"strides", ints({2})},
                                   {"pad_type", "custom"},
                                   {"pad", ints({1, 1})},
                                   {"output_shape", ints({1, 1, 6})}}),
              {-0.6875f, -0.734375f, 2.84375f, -0.5f, -0.453125f, 0.5f});
  expect_near(run(conv_transpose, {{"x", wave({1, 1, 3})}, {"weight", wave({1, 1, 1}, 1)}, {"strides", ints({2})}}),
              {0, 0, -0.140625f, 0, 0.078125f});
  // 'same': D * stride, cut from the front by half of what is too much. By hand: x = {1, 2}, kernel {1, 10, 100, 1000}.
  const Tensor x = f32({1, 1, 2}, {1, 2}), weight = f32({1, 1, 4}, {1, 10, 100, 1000});
  EXPECT_EQ(floats(run(conv_transpose_ios17, {{"x", x}, {"weight", weight}, {"strides", ints({2})}, {"pad_type", "same"}})),
            (std::vector<float>{10, 102, 1020, 200}));
  EXPECT_EQ(floats(run(conv_transpose_ios17,
                       {{"x", x}, {"weight", f32({1, 1, 1}, {1})}, {"strides", ints({3})}, {"pad_type", "same"}})),
            (std::vector<float>{1, 0, 0, 2, 0, 0}));
  EXPECT_TRUE(refuses(conv_transpose, {{"x", x}, {"weight", weight}, {"output_shape", ints({1, 2, 6})}}));
  EXPECT_TRUE(refuses(conv_transpose, {{"x", x}, {"weight", weight}, {"pad_type", "custom"}, {"pad", ints({3, 3})}}));
}

}  // namespace
}  // namespace cortland::mil_ops
