// Every form of a packed matrix with every set of micro kernels this processor has, against sums in double.
#include "engine/gemm/packed_matrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace cortland::engine::gemm {
namespace {

using mil::Tensor;

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  std::vector<float> floats(int64_t count, float low = -1, float high = 1) {
    std::uniform_real_distribution<float> values(low, high);
    std::vector<float> out(static_cast<size_t>(count));
    for (float& v : out) v = values(engine_);
    return out;
  }
  std::vector<int64_t> integers(int64_t count, int low, int high) {
    std::uniform_int_distribution<int64_t> values(low, high);
    std::vector<int64_t> out(static_cast<size_t>(count));
    for (int64_t& v : out) v = values(engine_);
    return out;
  }

 private:
  std::mt19937 engine_;
};

// A packed matrix and what its elements are, [k, n].
struct Case {
  PackedMatrix packed;
  std::vector<float> dense;
};

std::vector<float> elements(const MatrixLayout& at, const std::function<float(int64_t)>& of) {
  std::vector<float> dense;
  for (int64_t k = 0; k < at.k; ++k)
    for (int64_t n = 0; n < at.n; ++n) dense.push_back(of(k * at.k_step + n * at.n_step));
  return dense;
}

// Rows of odd sizes lie a little apart; the bias and an epilogue take part.
void check(const Case& c, int64_t k, int64_t n) {
  ASSERT_EQ(c.packed.k(), k);
  ASSERT_EQ(c.packed.n(), n);
  for (const MicroKernels& kernels : micro_kernels())
    for (int64_t rows : {1, 2, 3, 4, 5, 17, 50, 261}) {
      SCOPED_TRACE(testing::Message() << kernels.name << " " << rows << "x" << k << "x" << n);
      Random random(7);
      const auto x = random.floats(rows * (k + 3)), bias = random.floats(n);
      std::vector<float> y(static_cast<size_t>(rows * (n + 1)), 77.0f);
      const Epilogue twice = [](float* v, int64_t, int64_t, int64_t count) {
        for (int64_t i = 0; i < count; ++i) v[i] *= 2;
      };
      c.packed.multiply({x.data(), k + 3, rows}, {y.data(), n + 1, bias.data()}, twice, kernels);
      // Once more, on top of it: 2 (2 (x m + bias) + x m) = 6 x m + 4 bias.
      c.packed.multiply({x.data(), k + 3, rows}, {y.data(), n + 1, nullptr, true}, twice, kernels);
      double worst = 0;
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t j = 0; j < n; ++j) {
          double sum = 4 * static_cast<double>(bias[static_cast<size_t>(j)]), size = std::fabs(sum);
          for (int64_t i = 0; i < k; ++i) {
            const double term = 6 * static_cast<double>(x[static_cast<size_t>(r * (k + 3) + i)]) *
                                static_cast<double>(c.dense[static_cast<size_t>(i * n + j)]);
            sum += term;
            size += std::fabs(term);
          }
          worst = std::max(worst, std::fabs(sum - static_cast<double>(y[static_cast<size_t>(r * (n + 1) + j)])) / size);
        }
        EXPECT_EQ(y[static_cast<size_t>(r * (n + 1) + n)], 77.0f);  // nothing is written between the rows
      }
      EXPECT_LT(worst, 2e-6);
    }
}

std::vector<int64_t> shape(int64_t k, int64_t n, bool transposed) {
  return transposed ? std::vector<int64_t>{n, k} : std::vector<int64_t>{k, n};
}

TEST(PackedMatrix, Floats) {
  for (auto [k, n] : {std::pair<int64_t, int64_t>{64, 64}, {33, 29}, {1, 1}, {300, 70}})
    for (DType dtype : {DType::F32, DType::F16})
      for (bool transposed : {false, true}) {
        const Tensor t = Tensor::from(dtype, shape(k, n, transposed), Random(1).floats(k * n));
        const auto at = MatrixLayout::of(t.shape, transposed);
        const auto values = t.floats();
        check({PackedMatrix::floats(t, at), elements(at, [&](int64_t i) { return values[static_cast<size_t>(i)]; })}, k, n);
      }
}

// Blocks of `k_block` x `n_block` elements have a scale and maybe a zero.
BlockQuantization blocks(int64_t k, int64_t n, int64_t k_block, int64_t n_block, bool transposed, DType scale, bool zeros) {
  const auto size = shape(k / k_block, n / n_block, transposed);
  BlockQuantization q{Tensor::from(scale, size, Random(2).floats(k / k_block * (n / n_block), 0.5f, 1.5f)),
                      {},
                      MatrixLayout::of(size, transposed)};
  if (zeros)
    for (int64_t z : Random(3).integers(q.scale.elements(), -3, 9)) q.zero.push_back(static_cast<float>(z));
  return q;
}

std::vector<float> dequantized(const std::vector<float>& codes, const MatrixLayout& at, const BlockQuantization& q) {
  const auto scales = q.scale.floats();
  std::vector<float> dense;
  for (int64_t k = 0; k < at.k; ++k)
    for (int64_t n = 0; n < at.n; ++n) {
      const auto block =
          static_cast<size_t>(k / (at.k / q.layout.k) * q.layout.k_step + n / (at.n / q.layout.n) * q.layout.n_step);
      dense.push_back(scales[block] *
                      (codes[static_cast<size_t>(k * at.k_step + n * at.n_step)] - (q.zero.empty() ? 0 : q.zero[block])));
    }
  return dense;
}

struct Blocks {
  int64_t k, n, k_block, n_block;
};
constexpr Blocks kBlocks[] = {{64, 64, 64, 1}, {64, 64, 64, 64}, {96, 40, 32, 1},
                              {96, 40, 8, 4},  {37, 29, 37, 1},  {1, 3, 1, 1}};

TEST(PackedMatrix, Int8) {
  for (const Blocks& b : kBlocks)
    for (DType dtype : {DType::I8, DType::U8})
      for (bool transposed : {false, true})
        for (bool zeros : {false, true}) {
          const auto codes = Random(4).integers(b.k * b.n, dtype == DType::I8 ? -128 : 0, dtype == DType::I8 ? 127 : 255);
          const Tensor t = Tensor::from(dtype, shape(b.k, b.n, transposed), codes);
          const auto at = MatrixLayout::of(t.shape, transposed);
          const auto q = blocks(b.k, b.n, b.k_block, b.n_block, transposed, zeros ? DType::F32 : DType::F16, zeros);
          ASSERT_TRUE(PackedMatrix::fits(at, q));
          check({PackedMatrix::int8(t, at, q), dequantized(t.floats(), at, q)}, b.k, b.n);
        }
}

// Fields of `bits` bits, the first in the low bits.
std::vector<uint8_t> fields(const std::vector<int64_t>& codes, int bits) {
  std::vector<uint8_t> bytes((codes.size() * static_cast<size_t>(bits) + 7) / 8);
  for (size_t i = 0; i < codes.size(); ++i)
    for (int b = 0; b < bits; ++b)
      if (codes[i] >> b & 1) {
        const size_t bit = i * static_cast<size_t>(bits) + static_cast<size_t>(b);
        bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] | 1 << bit % 8);
      }
  return bytes;
}

TEST(PackedMatrix, CodesOfFourBitsWithScales) {
  std::vector<float> integers(16);
  for (int i = 0; i < 16; ++i) integers[static_cast<size_t>(i)] = static_cast<float>(i < 8 ? i : i - 16);
  for (const Blocks& b : kBlocks)
    for (bool transposed : {false, true})
      for (bool zeros : {false, true}) {
        const auto codes = Random(5).integers(b.k * b.n, 0, 15);
        const auto at = MatrixLayout::of(shape(b.k, b.n, transposed), transposed);
        const auto q = blocks(b.k, b.n, b.k_block, b.n_block, transposed, zeros ? DType::F16 : DType::F32, zeros);
        std::vector<float> values;
        for (int64_t c : codes) values.push_back(integers[static_cast<size_t>(c)]);
        check({PackedMatrix::table(fields(codes, 4).data(), 4, at, integers, q), dequantized(values, at, q)}, b.k, b.n);
      }
}

TEST(PackedMatrix, Palettes) {
  for (int bits : {1, 2, 3, 4})
    for (auto [k, n, groups] : {std::tuple<int64_t, int64_t, int64_t>{64, 96, 1}, {33, 29, 1}, {40, 96, 6}, {5, 64, 2}})
      for (bool transposed : {false, true}) {
        const auto codes = Random(6).integers(k * n, 0, (1 << bits) - 1);
        const auto at = MatrixLayout::of(shape(k, n, transposed), transposed);
        const auto tables = Random(8).floats(groups * 16);
        std::vector<float> dense;
        for (int64_t i = 0; i < k; ++i)
          for (int64_t j = 0; j < n; ++j)
            dense.push_back(tables[static_cast<size_t>(j / (n / groups) * 16 +
                                                       codes[static_cast<size_t>(i * at.k_step + j * at.n_step)])]);
        check({PackedMatrix::table(fields(codes, bits).data(), bits, at, tables, {}), dense}, k, n);
      }
}

TEST(PackedMatrix, BlocksThatDoNotFit) {
  const auto at = MatrixLayout::of({32, 48}, false);
  auto q = blocks(32, 48, 8, 1, false, DType::F32, true);
  EXPECT_TRUE(PackedMatrix::fits(at, q));
  q.zero.pop_back();
  EXPECT_FALSE(PackedMatrix::fits(at, q));
  EXPECT_FALSE(PackedMatrix::fits(at, blocks(32, 48, 4, 1, false, DType::F32, false)));
  EXPECT_FALSE(PackedMatrix::fits(MatrixLayout::of({36, 48}, false), blocks(32, 48, 8, 1, false, DType::F32, false)));
  q = blocks(32, 48, 8, 1, false, DType::F32, false);
  q.layout.k = 2;  // more scales than blocks
  EXPECT_FALSE(PackedMatrix::fits(at, q));
}

}  // namespace
}  // namespace cortland::engine::gemm
