#include "mil_ops/op_test.h"

namespace cortland::mil_ops {
namespace {

using namespace test;

// Small numbers without a pattern.
Tensor noise(DType dtype, std::vector<int64_t> shape, uint32_t seed) {
  std::vector<float> v(static_cast<size_t>(Tensor{dtype, shape, nullptr}.elements()));
  for (float& x : v) x = static_cast<float>(static_cast<int>((seed = seed * 1664525 + 1013904223) >> 28) - 8);
  return Tensor::from(dtype, std::move(shape), v);
}

// Element [b, i, j] of x * y by the definition.
std::vector<float> product(const Tensor& x, const Tensor& y, bool tx, bool ty) {
  const int64_t batches = x.dim(0), m = x.dim(tx ? 2 : 1), k = x.dim(tx ? 1 : 2), n = y.dim(ty ? 1 : 2);
  const auto a = floats(x), b = floats(y);
  std::vector<float> out;
  for (int64_t q = 0; q < batches; ++q)
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        float sum = 0;
        for (int64_t p = 0; p < k; ++p)
          sum += a[static_cast<size_t>(q * m * k + (tx ? p * m + i : i * k + p))] *
                 b[static_cast<size_t>(q * k * n + (ty ? j * k + p : p * n + j))];
        out.push_back(sum);
      }
  return out;
}

std::vector<float> part(const std::vector<float>& v, int64_t first, int64_t last) {
  return {v.begin() + first, v.begin() + last};
}

TEST(Linear, MatmulTransposes) {
  for (const DType dtype : {DType::F32, DType::I32})
    for (const int64_t m : {1, 5})
      for (const bool tx : {false, true})
        for (const bool ty : {false, true}) {
          const Tensor x = noise(dtype, tx ? std::vector<int64_t>{2, 37, m} : std::vector<int64_t>{2, m, 37}, 1);
          const Tensor y = noise(dtype, ty ? std::vector<int64_t>{2, 33, 37} : std::vector<int64_t>{2, 37, 33}, 2);
          const Tensor z = run(matmul, {{"x", x}, {"y", y}, {"transpose_x", tx}, {"transpose_y", ty}});
          EXPECT_EQ(z.shape, (std::vector<int64_t>{2, m, 33}));
          EXPECT_EQ(floats(z), product(x, y, tx, ty));
        }
}

TEST(Linear, MatmulBroadcastsBatches) {
  const Tensor x = noise(DType::F32, {2, 1, 3, 4}, 3), y = noise(DType::F32, {5, 4, 2}, 4);
  const Tensor z = run(matmul, {{"x", x}, {"y", y}});
  EXPECT_EQ(z.shape, (std::vector<int64_t>{2, 5, 3, 2}));
  // batch [1, 3] is x[1, 0] times y[3]
  const Tensor one_x = f32({1, 3, 4}, part(floats(x), 12, 24)), one_y = f32({1, 4, 2}, part(floats(y), 24, 32));
  const std::vector<float> expected = product(one_x, one_y, false, false);
  EXPECT_EQ(part(floats(z), 8 * 6, 9 * 6), expected);
  // one matrix for all batches of x
  const Tensor w = run(matmul, {{"x", x}, {"y", one_y.reshaped({4, 2})}});
  EXPECT_EQ(w.shape, (std::vector<int64_t>{2, 1, 3, 2}));
  EXPECT_EQ(part(floats(w), 6, 12), expected);
}

TEST(Linear, MatmulOfVectors) {
  const Tensor v = f32({2}, {1, 2}), m = f32({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(run(matmul, {{"x", v}, {"y", v}}).rank(), 0);
  expect_near(run(matmul, {{"x", v}, {"y", v}}), {5});
  expect_near(run(matmul, {{"x", v}, {"y", m}}), {9, 12, 15});
  expect_near(run(matmul, {{"x", f32({3}, {1, 0, 2})}, {"y", m}, {"transpose_y", true}}), {7, 16});
  const Tensor left = run(matmul, {{"x", m}, {"y", f32({3}, {1, 0, 2})}});
  EXPECT_EQ(left.shape, (std::vector<int64_t>{2}));
  expect_near(left, {7, 16});
  EXPECT_TRUE(refuses(matmul, {{"x", v}, {"y", m}, {"transpose_x", true}}));
  EXPECT_TRUE(refuses(matmul, {{"x", f32({3}, {1, 2, 3})}, {"y", m}}));
  EXPECT_EQ(floats(run(matmul, {{"x", f32({2, 0}, {})}, {"y", f32({0, 3}, {})}})), std::vector<float>(6, 0));
}

TEST(Linear, MatmulOfMixedTypesSinceIos17) {
  const Tensor x = f16({1, 2}, {1, 2}), y = f32({2, 1}, {3, 4});
  const Arg constant{"y", y, Arg::As::Const}, plain{"x", x, Arg::As::Value};
  EXPECT_TRUE(refuses(matmul, {plain, constant}));
  const Tensor z = run(matmul_ios17, {plain, constant});
  EXPECT_EQ(z.dtype, DType::F16);
  expect_near(z, {11});
  EXPECT_EQ(run(matmul_ios17, {{"x", x, Arg::As::Const}, {"y", y, Arg::As::Value}}).dtype, DType::F32);
  EXPECT_TRUE(refuses(matmul_ios17, {plain, {"y", y, Arg::As::Value}}));
}

TEST(Linear, HalfIsSummedInSingle) {
  // 4096 halves of 1: a half sum would stop at 2048.
  EXPECT_EQ(floats(run(matmul, {{"x", f16({1, 4096}, std::vector<float>(4096, 1))},
                                {"y", f16({4096, 1}, std::vector<float>(4096, 1))}})),
            (std::vector<float>{4096}));
}

TEST(Linear, LinearAddsTheBias) {
  const Tensor x = noise(DType::F32, {2, 3, 20}, 5), w = noise(DType::F32, {17, 20}, 6), b = noise(DType::F32, {17}, 7);
  std::vector<float> expected = product(x.reshaped({1, 6, 20}), w.reshaped({1, 17, 20}), false, true);
  expect_near(run(linear, {{"x", x}, {"weight", w}}), expected);
  for (size_t i = 0; i < expected.size(); ++i) expected[i] += floats(b)[i % 17];
  const Tensor y = run(linear, {{"x", x}, {"weight", w}, {"bias", b}});
  EXPECT_EQ(y.shape, (std::vector<int64_t>{2, 3, 17}));
  expect_near(y, expected);
  expect_near(run(linear, {{"x", f32({20}, part(floats(x), 0, 20))}, {"weight", w}, {"bias", b}}), part(expected, 0, 17));
  EXPECT_TRUE(refuses(linear, {{"x", x}, {"weight", noise(DType::F32, {17, 21}, 1)}}));
  EXPECT_TRUE(refuses(linear, {{"x", x}, {"weight", w}, {"bias", noise(DType::F32, {16}, 1)}}));
  EXPECT_EQ(run(linear_ios17, {{"x", f16({1, 2}, {1, 2})}, {"weight", f32({1, 2}, {3, 4})}}).dtype, DType::F16);
  EXPECT_EQ(
      integers(run(linear, {{"x", i32({1, 2}, {65536, 1})}, {"weight", i32({1, 2}, {65536, 5})}, {"bias", ints({2})}})),
      (std::vector<int64_t>{7}));
}

TEST(Linear, Einsum) {
  // numpy.einsum("nchw,nwhu->nchu", arange(8).reshape(1,2,2,2), arange(12).reshape(1,2,2,3))
  const Tensor x = iota(DType::F32, {1, 2, 2, 2}), y = iota(DType::F32, {1, 2, 2, 3});
  const Tensor z = run(einsum, {{"values", {x, y}}, {"equation", "nchw,nwhu->nchu"}});
  EXPECT_EQ(z.shape, (std::vector<int64_t>{1, 2, 2, 3}));
  expect_near(z, {6, 7, 8, 33, 38, 43, 30, 39, 48, 81, 94, 107});
  expect_near(run(einsum, {{"values", {x.reshaped({2, 2, 2}), y.reshaped({2, 2, 3})}}, {"equation", "abc,cbd->abd"}}),
              floats(z));
  // H of x is 1 and repeated
  const Tensor row = f32({1, 1, 1, 2}, {1, 10});
  expect_near(run(einsum, {{"values", {row, y}}, {"equation", "bchq,bqhk->bchk"}}), {60, 71, 82, 93, 104, 115});
  EXPECT_TRUE(refuses(einsum, {{"values", {x, y}}, {"equation", "nchw,nhwu->nchu"}}));
}

}  // namespace
}  // namespace cortland::mil_ops
