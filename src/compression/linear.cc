#include "compression/linear.h"

#include <cmath>
#include <limits>

#include "compression/tiles.h"
#include "tensor/blocks.h"

namespace cortland::compression {
namespace {

struct Range {
  float low = 0, high = 0;  // 0 always belongs to it
};

struct Step {
  float scale = 1, zero = 0;
};

// Many narrow blocks are looked at a slab at a time, so that what is held for each of them stays small.
constexpr int64_t kSlabElements = int64_t{1} << 20;
constexpr float kSmallestHalf = 0x1p-24f, kLargestHalf = 65504.0f;

float half(float x) { return f16_to_f32(f32_to_f16(std::min(std::max(x, kSmallestHalf), kLargestHalf))); }

class Search {
 public:
  Search(const Weight& weight, const OpLinearQuantizerConfig& config, DType scale_type, LinearCode& code)
      : weight_(weight),
        symmetric_(config.symmetric),
        half_(scale_type == DType::F16),
        code_(code),
        blocks_(weight.shape(), code.groups) {
    // Clipping the largest values pays when there are few levels.
    const int shrinks = bit_width(config.dtype) == 4 ? 10 : 1;
    for (int i = 0; i < shrinks; ++i) factors_.push_back(1.0f - 0.04f * static_cast<float>(i));
  }

  bool run() {
    // The first axis cuts the tensor into `parts` stretches of memory with blocks of their own.
    const int64_t parts = code_.groups.empty() ? 1 : code_.groups[0];
    const int64_t elements = weight_.elements() / parts, blocks = blocks_.count() / parts;
    const int64_t together = std::max<int64_t>(1, kSlabElements / std::max<int64_t>(elements, 1));
    for (int64_t part = 0; part < parts; part += together) {
      const int64_t n = std::min(together, parts - part);
      if (!slab(part * elements, n * elements, part * blocks, n * blocks)) return false;
    }
    return true;
  }

 private:
  bool slab(int64_t first, int64_t count, int64_t first_block, int64_t blocks) {
    std::vector<Range> ranges(static_cast<size_t>(blocks));
    bool finite = true;
    for_each_tile(weight_, first, count, [&](int64_t at, int64_t m, const float* values) {
      blocks_.for_each_run(at, m, [&](int64_t from, int64_t length, int64_t block) {
        Range& range = ranges[static_cast<size_t>(block - first_block)];
        const float* x = values + (from - at);
        float low = range.low, high = range.high, nothing = 0;
        for (int64_t i = 0; i < length; ++i) {
          low = std::min(low, x[i]);
          high = std::max(high, x[i]);
          nothing += x[i] - x[i];  // not 0 for infinity and NaN
        }
        range = {low, high};
        finite = finite && nothing == 0;
      });
    });
    if (!finite) return false;
    std::vector<Step> steps;  // `candidates` for each block
    for (const Range& range : ranges) add_candidates(range, steps);
    const size_t candidates = steps.size() / ranges.size();
    std::vector<float> errors(steps.size(), 0.0f);
    for_each_tile(weight_, first, count, [&](int64_t at, int64_t m, const float* values) {
      blocks_.for_each_run(at, m, [&](int64_t from, int64_t length, int64_t block) {
        const size_t base = static_cast<size_t>(block - first_block) * candidates;
        for (size_t c = 0; c < candidates; ++c) errors[base + c] += error(values + (from - at), length, steps[base + c]);
      });
    });
    for (size_t b = 0; b < ranges.size(); ++b) {
      const auto begin = errors.begin() + static_cast<int64_t>(b * candidates);
      const auto best = std::min_element(begin, begin + static_cast<int64_t>(candidates)) - errors.begin();
      code_.scale.push_back(steps[static_cast<size_t>(best)].scale);
      code_.zero.push_back(steps[static_cast<size_t>(best)].zero);
    }
    return true;
  }

  void add_candidates(Range range, std::vector<Step>& steps) const {
    for (float factor : factors_) {
      const Step step = step_of({range.low * factor, range.high * factor});
      steps.push_back(step);
      if (factor != 1.0f) continue;
      // float16 rounds the scale; its neighbours may fit better.
      for (int ulp : {-1, 1}) steps.push_back({half_ ? half(neighbour(step.scale, ulp)) : step.scale, step.zero});
    }
  }

  static float neighbour(float scale, int ulp) { return f16_to_f32(static_cast<uint16_t>(f32_to_f16(scale) + ulp)); }

  Step step_of(Range r) const {
    const auto low = static_cast<float>(code_.low), high = static_cast<float>(code_.high);
    if (symmetric_) {
      r.high = std::max(-r.low, r.high);
      r.low = -r.high;
    }
    Step step;
    step.zero = symmetric_ ? (low + high) / 2 : 0.0f;  // 0 for signed types
    if (r.low == r.high) return step;
    step.scale = (r.high - r.low) / (high - low);
    if (half_) step.scale = half(step.scale);
    step.scale = std::max(step.scale, std::numeric_limits<float>::min());
    if (!symmetric_)
      step.zero = std::min(std::max(std::nearbyint((low * r.high - high * r.low) / (r.high - r.low)), low), high);
    return step;
  }

  // Squared error of a run, in eight sums that the processor adds side by side.
  float error(const float* x, int64_t count, Step step) const {
    constexpr float kRound = 12582912.0f;  // see tensor/weight_codes.cc
    const float inverse = 1.0f / step.scale, scale = step.scale;
    const float low = static_cast<float>(code_.low) - step.zero, high = static_cast<float>(code_.high) - step.zero;
    float sums[8] = {};
    const auto add = [&](int64_t i, int lane) {
      const float q = std::min(std::max(x[i] * inverse, low), high) + kRound - kRound;
      const float d = x[i] - scale * q;
      sums[lane] += d * d;
    };
    int64_t i = 0;
    for (; i + 8 <= count; i += 8)
      for (int lane = 0; lane < 8; ++lane) add(i + lane, lane);
    for (; i < count; ++i) add(i, 0);
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  }

  const Weight& weight_;
  bool symmetric_, half_;
  LinearCode& code_;
  Blocks blocks_;
  std::vector<float> factors_;
};

}  // namespace

std::shared_ptr<const LinearCode> choose_linear_code(const Weight& weight, const std::vector<int64_t>& groups,
                                                     const OpLinearQuantizerConfig& config, DType scale_type) {
  const int levels = 1 << bit_width(config.dtype);
  const bool is_signed = config.dtype == DType::I8 || config.dtype == DType::I4;
  LinearCode code;
  code.type = config.dtype;
  code.groups = groups;
  code.low = is_signed ? -levels / 2 : 0;
  code.high = code.low + levels - 1;
  // As many levels on one side of 0 as on the other.
  if (config.symmetric && is_signed) ++code.low;
  if (config.symmetric && !is_signed) --code.high;
  if (!Search(weight, config, scale_type, code).run()) return nullptr;
  return std::make_shared<const LinearCode>(std::move(code));
}

}  // namespace cortland::compression
