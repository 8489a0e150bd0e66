// Every set of loops against the C library in float64: dense sweeps over all magnitudes, and the values where functions end.
#include "engine/simd/functions.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tensor/dtype.h"

namespace cortland::engine::simd {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
constexpr double kEpsilon = 0x1p-23;  // a unit in the last place of 1

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

struct Case {
  Unary function;
  double (*reference)(double x, double a, double b);
  double ulps;       // of the result
  double per_x = 0;  // and of x, where the result is a small difference of larger numbers
  float a = 0, b = 0;
  float low = -kInf, high = kInf;  // what is swept
};

const Case kCases[] = {
    {Unary::Abs, [](double x, double, double) { return std::fabs(x); }, 0},
    {Unary::ClampedRelu, [](double x, double a, double b) { return std::min(x < 0 ? a * x : x, b); }, 1, 0, 0.25f, 6},
    {Unary::Clip, [](double x, double a, double b) { return x < a   ? a
                                                            : x > b ? b
                                                                    : x; }, 0, 0, -1.5f, 2.25f},
    {Unary::Elu, [](double x, double a, double) { return x > 0 ? x : a * std::expm1(x); }, 4, 0, 0.75f},
    {Unary::Erf, [](double x, double, double) { return std::erf(x); }, 6},
    {Unary::Exp, [](double x, double, double) { return std::exp(x); }, 2},
    {Unary::Gelu, [](double x, double, double) { return x * std::erfc(-x / std::sqrt(2)) / 2; }, 4, 3, 0, 0, -1e30f, 1e30f},
    {Unary::GeluSigmoid, [](double x, double, double) { return x * logistic(double{1.702f} * x); }, 4, 1, 0, 0, -1e30f,
     1e30f},
    {Unary::GeluTanh,
     [](double x, double, double) { return x * logistic(2 * (0.7978845608028654 * (x + 0.044715 * x * x * x))); }, 4, 2, 0,
     0, -1e10f, 1e10f},
    {Unary::HardSigmoid, [](double x, double a, double b) { return std::clamp(a * x + b, 0.0, 1.0); }, 1, 1, 0.2f, 0.5f},
    {Unary::HardSwish, [](double x, double a, double b) { return x * std::clamp(a * x + b, 0.0, 1.0); }, 2, 1, 0.2f, 0.5f,
     -1e30f, kInf},
    {Unary::Inverse, [](double x, double a, double) { return 1 / double{static_cast<float>(x) + static_cast<float>(a)}; }, 1,
     0, 1e-4f},
    {Unary::LeakyRelu, [](double x, double a, double) { return x < 0 ? a * x : x; }, 1, 0, 0.01f},
    {Unary::Linear, [](double x, double a, double b) { return a * x + b; }, 1, 2, 1.5f, -2},
    {Unary::Log, [](double x, double, double) { return std::log(x); }, 3},
    {Unary::Relu, [](double x, double, double) { return x < 0 ? 0 : x; }, 0},
    {Unary::Relu6, [](double x, double, double) { return x < 0   ? 0
                                                         : x > 6 ? 6
                                                                 : x; }, 0},
    {Unary::Rsqrt,
     [](double x, double a, double) { return 1 / std::sqrt(double{static_cast<float>(x) + static_cast<float>(a)}); }, 2, 0,
     1e-5f},
    {Unary::ScaledTanh, [](double x, double a, double b) { return a * std::tanh(b * x); }, 5, 0, 1.7159f, 0.5f},
    {Unary::Sigmoid, [](double x, double, double) { return logistic(x); }, 4},
    {Unary::Silu, [](double x, double, double) { return x * logistic(x); }, 4, 0, 0, 0, -1e30f, kInf},
    {Unary::Softplus, [](double x, double, double) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }, 4},
    {Unary::Softsign, [](double x, double, double) { return x / (1 + std::fabs(x)); }, 2},
    {Unary::Sqrt, [](double x, double, double) { return std::sqrt(x); }, 1},
    {Unary::Square, [](double x, double, double) { return x * x; }, 1},
    {Unary::Tanh, [](double x, double, double) { return std::tanh(x); }, 4},
    {Unary::Threshold, [](double x, double a, double) { return x < a ? a : x; }, 0, 0, 0.3f},
    {Unary::ThresholdedRelu, [](double x, double a, double) { return x < a ? 0 : x; }, 0, 0, 0.3f},
};
static_assert(std::size(kCases) == static_cast<size_t>(Unary::kCount));

// Every magnitude, with both signs, and many values where most functions bend.
std::vector<float> sweep(float low, float high) {
  std::vector<float> x = {0.0f,   -0.0f,   1.0f,      -1.0f,    kInf,   -kInf,    3.4e38f, -3.4e38f,
                          1e-45f, -1e-45f, 88.72284f, 88.7229f, -87.4f, -103.98f, -104.1f};
  for (uint32_t bits = 1; bits < 0x7f800000; bits += 0x18f35)
    for (uint32_t sign : {0u, 0x80000000u}) x.push_back(__builtin_bit_cast(float, bits | sign));
  for (int i = -20000; i <= 20000; ++i) x.push_back(static_cast<float>(i) * 0.000637f);
  std::erase_if(x, [&](float v) { return v < low || v > high; });
  return x;
}

std::vector<float> random(size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> values(-3, 3);
  std::vector<float> v(n);
  for (float& f : v) f = values(random);
  return v;
}

struct SimdSet : testing::TestWithParam<size_t> {
  SimdSet() : set(*all_functions().sets[GetParam()]) {}
  const Functions& set;
};
INSTANTIATE_TEST_SUITE_P(All, SimdSet, testing::Range(size_t{0}, all_functions().count),
                         [](const auto& info) { return std::string(all_functions().sets[info.param]->name); });

TEST_P(SimdSet, UnaryFunctionsAreAccurate) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << "function " << static_cast<int>(c.function));
    const auto x = sweep(c.low, c.high);
    std::vector<float> y(x.size());
    set.unary[static_cast<size_t>(c.function)](x.data(), y.data(), static_cast<int64_t>(x.size()), c.a, c.b);
    double worst = 0, allowed = 1, at = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = c.reference(double{x[i]}, double{c.a}, double{c.b});
      if (std::isnan(exact)) {
        EXPECT_TRUE(std::isnan(y[i])) << x[i] << " gives " << y[i];
        continue;
      }
      if (std::isinf(static_cast<float>(exact))) {
        const bool close = std::fabs(exact) < 0x1p128 * (1 + 1e-6) && std::fabs(y[i]) > 3.4028e38f;
        EXPECT_TRUE(close || y[i] == static_cast<float>(exact)) << x[i] << " gives " << y[i];
        continue;
      }
      const double error = std::fabs(double{y[i]} - exact), size = std::min(1e30, std::fabs(double{x[i]}));
      const double denormal = 0x1p-148 * (1 + size);  // factors below 2^-126 have few digits
      const double bound = kEpsilon * (c.ulps * std::fabs(exact) + c.per_x * (size + std::fabs(double{c.b}))) + denormal;
      if (!(error / bound <= worst / allowed)) worst = error, allowed = bound, at = double{x[i]};
    }
    EXPECT_LE(worst, allowed) << "at " << at;
  }
}

TEST_P(SimdSet, UnaryFunctionsKeepNanAndEveryLength) {
  for (const Case& c : kCases)
    for (int64_t n = 0; n <= 37; ++n) {
      SCOPED_TRACE(testing::Message() << "function " << static_cast<int>(c.function) << ", " << n);
      auto x = random(40, static_cast<unsigned>(n));
      for (float& v : x) v = std::fabs(v) + 0.125f;
      x[3] = kNan;
      std::vector<float> y(40, 77), in_place = x, whole(40);
      const auto loop = set.unary[static_cast<size_t>(c.function)];
      loop(x.data(), whole.data(), 40, c.a, c.b);
      loop(x.data(), y.data(), n, c.a, c.b);
      loop(in_place.data(), in_place.data(), n, c.a, c.b);
      for (size_t i = 0; i < 40; ++i) {
        const bool inside = static_cast<int64_t>(i) < n;
        if (i == 3 && inside) {
          EXPECT_TRUE(std::isnan(y[i]));
        } else {
          EXPECT_EQ(y[i], inside ? whole[i] : 77);
          EXPECT_TRUE(inside ? in_place[i] == y[i] : i == 3 || in_place[i] == x[i]);
        }
      }
    }
}

TEST_P(SimdSet, BinaryFunctions) {
  float (*const exact[])(float, float) = {
      [](float a, float b) { return a + b; },
      [](float a, float b) { return a - b; },
      [](float a, float b) { return a * b; },
      [](float a, float b) { return a / b; },
      [](float a, float b) { return a != a || a > b ? a : b; },
      [](float a, float b) { return a != a || a < b ? a : b; },
  };
  auto x = random(70, 1), y = random(70, 2);
  x[5] = y[6] = x[66] = y[67] = kNan;
  const auto same = [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); };
  for (size_t f = 0; f < std::size(exact); ++f)
    for (int64_t n : {0, 1, 15, 16, 33, 70}) {
      std::vector<float> each(70), right(70), left(70);
      set.binary[f].each(x.data(), y.data(), each.data(), n);
      set.binary[f].right(x.data(), 1.25f, right.data(), n);
      set.binary[f].left(-0.75f, y.data(), left.data(), n);
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
        EXPECT_TRUE(same(each[i], exact[f](x[i], y[i]))) << f << ' ' << i;
        EXPECT_TRUE(same(right[i], exact[f](x[i], 1.25f))) << f << ' ' << i;
        EXPECT_TRUE(same(left[i], exact[f](-0.75f, y[i]))) << f << ' ' << i;
      }
    }
}

double fold_exactly(Fold fold, double acc, double x) {
  switch (fold) {
    case Fold::Sum:
      return acc + x;
    case Fold::SumSquare:
      return acc + x * x;
    case Fold::SumAbs:
      return acc + std::fabs(x);
    case Fold::Maximum:
      return std::max(acc, x);
    default:
      return std::min(acc, x);
  }
}

TEST_P(SimdSet, FoldsRowsAndColumns) {
  for (size_t f = 0; f < static_cast<size_t>(Fold::kCount); ++f) {
    const Fold fold = static_cast<Fold>(f);
    const double start = fold == Fold::Maximum ? -INFINITY : fold == Fold::Minimum ? INFINITY : 0;
    for (int64_t n : {1, 3, 16, 65, 129, 5000, 100003}) {
      const auto x = random(static_cast<size_t>(n), 3);
      double exact = start, scale = 0;
      for (float v : x) exact = fold_exactly(fold, exact, double{v}), scale += std::fabs(double{v});
      EXPECT_NEAR(set.fold[f].row(x.data(), n), exact, 4e-7 * scale) << f << ' ' << n;
    }
    for (int64_t columns : {1, 7, 16, 40, 64, 75, 150}) {
      const int64_t rows = 300, stride = columns + 2;
      const auto x = random(static_cast<size_t>(rows * stride), 4);
      std::vector<float> out(static_cast<size_t>(columns) + 1, 77);
      set.fold[f].columns(x.data(), stride, rows, columns, out.data());
      EXPECT_EQ(out.back(), 77);
      for (int64_t i = 0; i < columns; ++i) {
        double exact = start;
        for (int64_t r = 0; r < rows; ++r) exact = fold_exactly(fold, exact, double{x[static_cast<size_t>(r * stride + i)]});
        EXPECT_NEAR(out[static_cast<size_t>(i)], exact, 4e-7 * (rows + std::fabs(exact))) << f << ' ' << columns << ' ' << i;
      }
    }
  }
}

TEST_P(SimdSet, MaximumAndMinimumOfNanAreNan) {
  for (Fold fold : {Fold::Maximum, Fold::Minimum})
    for (int64_t at : {0, 17, 99, 4999}) {
      auto x = random(5000, 8);
      x[static_cast<size_t>(at)] = kNan;
      EXPECT_TRUE(std::isnan(set.fold[static_cast<size_t>(fold)].row(x.data(), 5000))) << at;
    }
}

TEST_P(SimdSet, Softmax) {
  for (int64_t n : {1, 5, 16, 17, 197, 1000}) {
    auto x = random(static_cast<size_t>(n), 5);
    if (n > 2) x[1] = -kInf;  // masked
    for (float& v : x) v *= 20;
    const double high = double{*std::max_element(x.begin(), x.end())};
    double sum = 0;
    for (float v : x) sum += std::exp(double{v} - high);
    std::vector<float> row(x.size());
    set.softmax_row(x.data(), row.data(), n);
    const int64_t inner = 19;
    std::vector<float> block(static_cast<size_t>(n * inner)), columns = block;
    for (int64_t i = 0; i < n * inner; ++i) block[static_cast<size_t>(i)] = x[static_cast<size_t>(i / inner)];
    set.softmax_columns(block.data(), columns.data(), n, inner, 0, inner);
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = std::exp(double{x[i]} - high) / sum;
      // x - high is rounded to float32 before it is an exponent.
      const double bound = exact > 0 ? 2e-7 * exact * (2 + high - double{x[i]}) + 1e-44 : 0;
      EXPECT_NEAR(row[i], exact, bound);
      for (size_t k : {size_t{0}, size_t{18}}) EXPECT_NEAR(columns[i * 19 + k], exact, bound);
    }
  }
}

TEST_P(SimdSet, MomentsAndNormalise) {
  for (int64_t n : {1, 30, 768, 9999}) {
    auto x = random(static_cast<size_t>(n), 6);
    for (float& v : x) v += 100;
    double mean = 0, variance = 0;
    for (float v : x) mean += double{v} / static_cast<double>(n);
    for (float v : x) variance += (double{v} - mean) * (double{v} - mean) / static_cast<double>(n);
    float m, var;
    set.moments(x.data(), n, &m, &var);
    EXPECT_NEAR(m, mean, 2e-7 * mean);
    EXPECT_NEAR(var, variance, 1e-5);
    const auto gamma = random(x.size(), 7), beta = random(x.size(), 8);
    std::vector<float> y(x.size()), z(x.size()), w(x.size());
    set.centre_scale(x.data(), w.data(), n, m, 2, 0.5f);
    set.normalise(x.data(), y.data(), n, m, 2, gamma.data(), beta.data());
    set.scale_shift(x.data(), gamma.data(), beta.data(), z.data(), n);
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_NEAR(y[i], (x[i] - m) * 2 * gamma[i] + beta[i], 1e-5);
      EXPECT_NEAR(w[i], (x[i] - m) * 2 + 0.5f, 1e-5);
      EXPECT_NEAR(z[i], x[i] * gamma[i] + beta[i], 1e-4);
    }
  }
}

TEST_P(SimdSet, RoundsToFloat16LikeTheConversions) {
  std::vector<float> x;
  for (uint32_t bits = 0; bits < 0x7f900000; bits += 0x1fab)
    for (uint32_t sign : {0u, 0x80000000u}) x.push_back(__builtin_bit_cast(float, bits | sign));
  for (float v : {65504.0f, 65519.996f, 65520.0f, 65536.0f, 6.1035156e-5f, 6.1035153e-5f, 2.9802322e-8f, 2.9802326e-8f,
                  5.9604645e-8f, kInf, kNan})
    x.push_back(v);
  auto rounded = x;
  set.round_to_f16(rounded.data(), static_cast<int64_t>(x.size()));
  for (size_t i = 0; i < x.size(); ++i) {
    const float exact = f16_to_f32(f32_to_f16(x[i]));
    if (__builtin_bit_cast(uint32_t, rounded[i]) != __builtin_bit_cast(uint32_t, exact))
      FAIL() << x[i] << " became " << rounded[i] << ", not " << exact;
  }
}

TEST_P(SimdSet, Transpose) {
  for (int64_t rows : {1, 3, 4, 7, 16, 33})
    for (int64_t columns : {1, 3, 8, 21})
      for (int64_t gap : {0, 2}) {
        const int64_t step = rows + gap;
        std::vector<uint32_t> from(static_cast<size_t>(rows * (columns + 1))), to(static_cast<size_t>(columns * step) + 1, 7);
        for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<uint32_t>(i + 100);
        set.transpose(from.data(), columns + 1, to.data(), step, rows, columns);
        for (int64_t c = 0; c < columns; ++c)
          for (int64_t r = 0; r < step; ++r)
            EXPECT_EQ(to[static_cast<size_t>(c * step + r)], r < rows ? from[static_cast<size_t>(r * (columns + 1) + c)] : 7);
        EXPECT_EQ(to.back(), 7u) << "nothing behind the last column";
      }
}

// One filter, the same for all channels, on one tile: 2 x 2 windows of 3 x 3 pixels.
TEST_P(SimdSet, WinogradIsAConvolution) {
  const float filter[3][3] = {{1, -2, 3}, {0.5f, 4, -1}, {2, 0.25f, -3}};
  const float g[4][3] = {{1, 0, 0}, {0.5f, 0.5f, 0.5f}, {0.5f, -0.5f, 0.5f}, {0, 0, 1}};
  float factors[16] = {};
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 4; ++x)
      for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j) factors[4 * y + x] += g[y][i] * filter[i][j] * g[x][j];
  for (int64_t channels : {1, 7, 16, 37}) {
    const auto n = static_cast<size_t>(channels);
    const auto tile = random(16 * n, 3), bias = random(n, 4);
    std::vector<float> sums(16 * (n + 1)), result(4 * n);
    const float* pixels[16];
    float* results[4];
    for (size_t i = 0; i < 16; ++i) pixels[i] = tile.data() + i * n;
    for (size_t i = 0; i < 4; ++i) results[i] = result.data() + i * n;
    set.winograd_in(pixels, sums.data(), channels + 1, channels);
    for (size_t i = 0; i < 16; ++i)
      for (size_t c = 0; c < n; ++c) sums[i * (n + 1) + c] *= factors[i];
    set.winograd_out(sums.data(), channels + 1, bias.data(), results, channels);
    for (size_t y = 0; y < 2; ++y)
      for (size_t x = 0; x < 2; ++x)
        for (size_t c = 0; c < n; ++c) {
          float want = bias[c];
          for (size_t i = 0; i < 3; ++i)
            for (size_t j = 0; j < 3; ++j) want += filter[i][j] * pixels[4 * (y + i) + x + j][c];
          EXPECT_NEAR(results[2 * y + x][c], want, 2e-5 * std::max(1.0f, std::fabs(want)) + 1e-5) << channels << " " << c;
        }
  }
}

}  // namespace
}  // namespace cortland::engine::simd
