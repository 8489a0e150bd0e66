#include "compression/pruning.h"

#include <bit>
#include <cmath>
#include <limits>

#include "compression/tiles.h"

namespace cortland::compression {
namespace {

// The element number `rank` of the magnitudes in ascending order, found by their upper bits, then by their lower bits: of
// numbers that are not negative, the bits have the order of the values.
float magnitude_of_rank(const Weight& weight, int64_t rank) {
  const auto count_halves = [&](auto half_of) {
    std::vector<int64_t> counts(size_t{1} << 16, 0);
    for_each_tile(weight, 0, weight.elements(), [&](int64_t, int64_t m, const float* x) {
      for (int64_t i = 0; i < m; ++i) {
        const int64_t half = half_of(std::bit_cast<uint32_t>(std::abs(x[i])));
        if (half >= 0) ++counts[static_cast<size_t>(half)];
      }
    });
    return counts;
  };
  const auto find = [&](const std::vector<int64_t>& counts) {
    uint32_t half = 0;
    for (; half + 1 < counts.size() && rank >= counts[half]; ++half) rank -= counts[half];
    return half;
  };
  const uint32_t upper = find(count_halves([](uint32_t bits) { return int64_t{bits >> 16}; }));
  const uint32_t lower =
      find(count_halves([&](uint32_t bits) { return bits >> 16 == upper ? int64_t{bits & 0xffff} : -1; }));
  return std::bit_cast<float>(upper << 16 | lower);
}

// The same for the norms of blocks of `run` neighbours along `axis`, each as often as it has elements.
float norm_of_rank(const Weight& weight, int64_t axis, int64_t run, int64_t rank) {
  int64_t inner = 1;
  for (size_t i = static_cast<size_t>(axis) + 1; i < weight.shape().size(); ++i) inner *= weight.shape()[i];
  const int64_t length = weight.shape()[static_cast<size_t>(axis)], runs = (length + run - 1) / run;
  struct Norm {
    float squares = 0;
    int64_t elements = 0;
  };
  std::vector<Norm> norms(static_cast<size_t>(weight.elements() / length * runs));
  for_each_tile(weight, 0, weight.elements(), [&](int64_t at, int64_t m, const float* x) {
    for (int64_t i = 0; i < m; ++i) {
      const int64_t outer = (at + i) / (length * inner), index = (at + i) / inner % length, k = (at + i) % inner;
      Norm& norm = norms[static_cast<size_t>((outer * runs + index / run) * inner + k)];
      norm.squares += x[i] * x[i];
      ++norm.elements;
    }
  });
  std::sort(norms.begin(), norms.end(), [](const Norm& a, const Norm& b) { return a.squares < b.squares; });
  size_t at = 0;
  for (; at + 1 < norms.size() && rank >= norms[at].elements; ++at) rank -= norms[at].elements;
  return std::sqrt(norms[at].squares);
}

// What a share of the elements does not exceed, as numpy interpolates percentiles: between two elements, and rounded to
// their type, which may be the upper one.
float percentile(const Weight& weight, const Pruning& pruning, double share) {
  const double position = static_cast<double>(weight.elements() - 1) * share, below = std::floor(position);
  const auto element = [&](double rank) {
    const auto r = static_cast<int64_t>(rank);
    return pruning.rule == Pruning::Rule::Norm ? norm_of_rank(weight, pruning.axis, pruning.run, r)
                                               : magnitude_of_rank(weight, r);
  };
  const double low = element(below), high = position > below ? element(below + 1) : low;
  const auto value = static_cast<float>(low + (high - low) * (position - below));
  const bool half = weight.dtype() == DType::F16 && pruning.rule == Pruning::Rule::Magnitude;
  return half ? f16_to_f32(f32_to_f16(value)) : value;
}

}  // namespace

Pruning choose_pruning(const Weight& weight, const OpThresholdPrunerConfig& config) {
  auto threshold = static_cast<float>(std::min(config.threshold, double{std::numeric_limits<float>::max()}));
  if (weight.dtype() == DType::F16) threshold = f16_to_f32(f32_to_f16(threshold));  // in the weight's own type
  return {.rule = Pruning::Rule::Magnitude, .threshold = threshold};
}

std::optional<Pruning> choose_pruning(const Weight& weight, const OpMagnitudePrunerConfig& config) {
  const int64_t length = config.is_structural() ? weight.shape()[static_cast<size_t>(config.dim)] : 0;
  if (config.n_m_ratio) {
    const auto [n, m] = *config.n_m_ratio;
    if (m > length / 2) return std::nullopt;
    return Pruning{.rule = Pruning::Rule::Rank, .axis = config.dim, .run = m, .drop = n};
  }
  if (config.block_size && *config.block_size > length / 2) return std::nullopt;
  Pruning pruning;
  if (config.block_size) {
    pruning.rule = Pruning::Rule::Norm;
    pruning.axis = config.dim;
    pruning.run = *config.block_size;
  }
  pruning.threshold = *config.target_sparsity <= 0 ? -1.0f : percentile(weight, pruning, *config.target_sparsity);
  return pruning;
}

}  // namespace cortland::compression
