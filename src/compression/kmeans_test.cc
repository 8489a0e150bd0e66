#include "compression/kmeans.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "compression/palette.h"

namespace cortland::compression {
namespace {

double error_of(const Distribution& d, const std::vector<float>& centres) {
  double error = 0;
  for (size_t i = 0; i < d.values.size(); ++i) {
    double nearest = std::numeric_limits<double>::infinity();
    for (float c : centres) nearest = std::min(nearest, std::abs(double{d.values[i]} - c));
    error += nearest * nearest * d.counts[i];
  }
  return error;
}

// The least error of every number of clusters, by the textbook recurrence.
std::vector<double> least_errors(const Distribution& d) {
  const size_t n = d.values.size();
  const auto cost = [&](size_t i, size_t j) {  // of one cluster [i, j)
    double sum = 0, weight = 0, error = 0;
    for (size_t k = i; k < j; ++k) {
      sum += d.values[k] * d.counts[k];
      weight += d.counts[k];
    }
    for (size_t k = i; k < j; ++k) error += d.counts[k] * std::pow(d.values[k] - sum / weight, 2);
    return error;
  };
  std::vector<double> least(n + 1, std::numeric_limits<double>::infinity()), result;
  least[0] = 0;
  for (size_t clusters = 1; clusters <= n; ++clusters) {
    std::vector<double> next(n + 1, std::numeric_limits<double>::infinity());
    for (size_t j = 1; j <= n; ++j)
      for (size_t i = 0; i < j; ++i) next[j] = std::min(next[j], least[i] + cost(i, j));
    least = next;
    result.push_back(least[n]);
  }
  return result;
}

void expect_optimal(const Distribution& d) {
  const auto least = least_errors(d);
  for (size_t k = 1; k <= d.values.size(); ++k) {
    const auto centres = kmeans(d, static_cast<int>(k));
    EXPECT_LE(centres.size(), k);
    EXPECT_TRUE(std::is_sorted(centres.begin(), centres.end()));
    EXPECT_LE(error_of(d, centres), least[k - 1] * (1 + 1e-5) + 1e-9 * least[0]) << k << " clusters of " << d.values.size();
  }
}

TEST(KMeans, IsAsGoodAsTheRecurrence) {
  std::mt19937 random(3);
  for (int round = 0; round < 30; ++round) {
    std::normal_distribution<float> normal(round % 3 ? 0.0f : 100.0f, 1.0f);
    std::vector<float> x(static_cast<size_t>(2 + round));
    for (float& v : x) v = normal(random);
    std::sort(x.begin(), x.end());
    Distribution d{x, {}};
    for (size_t i = 0; i < x.size(); ++i) d.counts.push_back(1 + static_cast<double>(random() % 5));
    expect_optimal(d);
  }
}

// With many partitions equally good no price gives every number of clusters.
TEST(KMeans, TiesAreNoObstacle) {
  for (int n : {2, 3, 7, 16, 31}) {
    Distribution even;
    for (int i = 0; i < n; ++i) even.values.push_back(static_cast<float>(i));
    even.counts.assign(even.values.size(), 1.0);
    expect_optimal(even);
  }
  expect_optimal({{-2, -1, 1, 2, 10, 11}, {1, 1, 1, 1, 1, 1}});
}

TEST(KMeans, OutliersGetClustersOfTheirOwn) {
  const Distribution d{{-1000, 0, 0.01f, 0.02f, 1, 1.01f, 1e6f}, {1, 100, 100, 100, 50, 50, 1}};
  const auto centres = kmeans(d, 4);
  ASSERT_EQ(centres.size(), 4u);
  EXPECT_NEAR(centres[0], -1000, 1e-3);
  EXPECT_NEAR(centres[1], 0.01, 1e-4);
  EXPECT_NEAR(centres[2], 1.005, 1e-4);
  EXPECT_NEAR(centres[3], 1e6, 1);
}

TEST(Distribution, CountsEveryHalfApart) {
  std::vector<float> x;
  for (int i = 0; i < 300000; ++i) x.push_back(f16_to_f32(static_cast<uint16_t>(i % 31000 | (i % 2) << 15)));
  const Weight w = Weight::of<float>(DType::F32, {300, 1000}, x).cast(DType::F16);
  const auto counted = distribution_of(w, 0, w.elements(), false);
  ASSERT_TRUE(counted);
  std::sort(x.begin(), x.end());
  x.erase(std::unique(x.begin(), x.end()), x.end());
  EXPECT_EQ(counted->values, x);
  const auto part = distribution_of(w, 1000, 1000, true);  // few elements are sorted instead
  ASSERT_TRUE(part);
  double total = 0;
  for (double c : part->counts) total += c;
  EXPECT_EQ(total, 1000);
}

TEST(Palette, PicksWhatTheModeSays) {
  const Weight w = Weight::of<float>(DType::F32, {2, 4}, {0, 1, 2, 3, 10, 10, 20, 20});
  using Mode = OpPalettizerConfig::Mode;
  EXPECT_EQ(choose_tables(w, {.mode = Mode::Uniform, .bits = 2})->entries,
            (std::vector<float>{0, 20.0f / 3, 40.0f / 3, 20}));
  const auto unique = choose_tables(w, {.mode = Mode::Unique, .axis = 0, .groups = 2});
  EXPECT_EQ(unique->type, DType::U2);
  EXPECT_EQ(unique->entries, (std::vector<float>{0, 1, 2, 3, 10, 20, 20, 20}));
  EXPECT_EQ(choose_tables(w, {.mode = Mode::Unique})->type, DType::U3);
  EXPECT_EQ(choose_tables(w, {.mode = Mode::Unique, .three_bits = false})->type, DType::U4);
  const auto means = choose_tables(w, {.mode = Mode::KMeans, .bits = 1, .axis = 1, .groups = 2});
  EXPECT_EQ(means->groups, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(means->entries, (std::vector<float>{0.5f, 10, 2.5f, 20}));
  EXPECT_FALSE(choose_tables(Weight::floats({1, std::numeric_limits<float>::infinity()}).reshape({1, 2}), {.bits = 1}));
}

}  // namespace
}  // namespace cortland::compression
