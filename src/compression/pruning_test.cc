#include "compression/pruning.h"

#include <gtest/gtest.h>

namespace cortland::compression {
namespace {

float threshold(const Weight& w, const OpMagnitudePrunerConfig& config) { return choose_pruning(w, config)->threshold; }

TEST(Pruning, ThresholdsAreNumpysPercentiles) {
  const Weight w = Weight::of<float>(DType::F32, {2, 3}, {-1, 4, 2, -3, 6, 5});
  EXPECT_EQ(threshold(w, {.target_sparsity = 0.5}), 3.5f);
  EXPECT_EQ(threshold(w, {.target_sparsity = 0.2}), 2.0f);
  EXPECT_EQ(threshold(w, {.target_sparsity = 1.0}), 6.0f);
  EXPECT_LT(threshold(w, {.target_sparsity = 0.0}), 0.0f);
  // float16 has nothing between these two, and rounds to the even one.
  const float step = 1.0f / 1024;
  const Weight halves = Weight::of<float>(DType::F32, {2, 2}, {0.5f, 1 + step, -1 - 2 * step, 2}).cast(DType::F16);
  EXPECT_EQ(threshold(halves, {.target_sparsity = 0.5}), 1 + 2 * step);
}

TEST(Pruning, LargeMagnitudesOfEitherSignAreTold) {
  std::vector<float> v;
  for (int i = 0; i < 1000; ++i) v.push_back(static_cast<float>(i % 2 ? -i : i) * 1e30f);
  EXPECT_EQ(threshold(Weight::of<float>(DType::F32, {10, 100}, v), {.target_sparsity = 500.0 / 999}), 500 * 1e30f);
}

TEST(Pruning, BlocksOfMoreThanHalfAnAxisDoNotApply) {
  const Weight w = Weight::of<float>(DType::F32, {4, 6}, std::vector<float>(24, 1.0f));
  EXPECT_TRUE(choose_pruning(w, {.n_m_ratio = std::pair<int64_t, int64_t>(1, 3), .dim = 1}));
  EXPECT_FALSE(choose_pruning(w, {.n_m_ratio = std::pair<int64_t, int64_t>(1, 4), .dim = 1}));
  EXPECT_FALSE(choose_pruning(w, {.target_sparsity = 0.5, .block_size = 3}));
}

}  // namespace
}  // namespace cortland::compression
