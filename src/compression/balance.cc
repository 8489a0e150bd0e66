#include "compression/balance.h"

#include <cmath>
#include <limits>

#include "compression/tiles.h"
#include "tensor/blocks.h"

namespace cortland::compression {
namespace {

constexpr int kSteps = 2;
constexpr int64_t kFewest = 32;  // elements of a channel
// The square of the mean of what a relu leaves of a normal distribution around 0, in its variances: 1 / (pi - 1).
constexpr double kMeanSquare = 0.467;

// Level minus element, over the elements of a channel.
struct Errors {
  double sum = 0, squares = 0;
  int64_t count = 0;
};

// The nearest level of an element, block by block.
class LinearLevels {
 public:
  explicit LinearLevels(const LinearCode& code) : code_(code) {}
  void enter(int64_t block) {
    const auto b = static_cast<size_t>(block);
    scale_ = code_.scale[b];
    inverse_ = 1.0f / scale_;
    low_ = static_cast<float>(code_.low) - code_.zero[b];
    high_ = static_cast<float>(code_.high) - code_.zero[b];
  }
  float operator()(float x) const {
    constexpr float kRound = 12582912.0f;  // see tensor/weight_codes.cc
    return scale_ * (std::min(std::max(x * inverse_, low_), high_) + kRound - kRound);
  }

 private:
  const LinearCode& code_;
  float scale_ = 1, inverse_ = 1, low_ = 0, high_ = 0;
};

class TableLevels {
 public:
  explicit TableLevels(const TableCode& code)
      : code_(code), count_(int64_t{1} << bit_width(code.type)), midpoints_(static_cast<size_t>(count_)) {}
  void enter(int64_t block) {
    if (block == block_) return;
    block_ = block;
    entries_ = code_.entries.data() + block * count_;
    for (int64_t i = 0; i + 1 < count_; ++i) midpoints_[static_cast<size_t>(i)] = 0.5f * (entries_[i] + entries_[i + 1]);
  }
  float operator()(float x) const {
    int64_t at = 0;
    for (int64_t step = count_ / 2; step > 0; step /= 2) at += midpoints_[static_cast<size_t>(at + step - 1)] < x ? step : 0;
    return entries_[at];
  }

 private:
  const TableCode& code_;
  int64_t count_, block_ = -1;
  const float* entries_ = nullptr;
  std::vector<float> midpoints_;
};

// Eight sums that the processor adds side by side.
template <class Levels>
void add_errors(const Levels& level, const float* x, int64_t count, float shift, bool without_zeros, Errors& to) {
  float sums[8] = {}, squares[8] = {};
  int64_t zeros = 0;
  const auto add = [&](int64_t i, int lane) {
    const bool counts = !without_zeros || x[i] != 0;
    const float d = counts ? level(x[i] + shift) - x[i] : 0.0f;
    zeros += !counts;
    sums[lane] += d;
    squares[lane] += d * d;
  };
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (int lane = 0; lane < 8; ++lane) add(i + lane, lane);
  for (; i < count; ++i) add(i, 0);
  for (int lane = 0; lane < 8; ++lane) {
    to.sum += sums[lane];
    to.squares += squares[lane];
  }
  to.count += count - zeros;
}

std::vector<int64_t> one_block_an_index(const std::vector<int64_t>& shape, size_t axis) {
  std::vector<int64_t> groups(shape.size(), 1);
  groups[axis] = shape[axis];
  return groups;
}

template <class Levels, class Code>
std::shared_ptr<const Code> balance(const Weight& weight, size_t axis, bool without_zeros, const Code& code) {
  Code result = code;
  const std::vector<int64_t>& shape = weight.shape();
  const auto channels = static_cast<size_t>(shape[axis]);
  if (weight.elements() < kFewest * shape[axis]) return std::make_shared<const Code>(std::move(result));
  const Blocks indices(shape, one_block_an_index(shape, axis)), blocks(shape, code.groups);
  std::vector<float> shift(channels, 0.0f), best = shift;
  std::vector<double> least(channels, std::numeric_limits<double>::infinity());
  for (int step = 0; step <= kSteps; ++step) {
    std::vector<Errors> errors(channels);
    Levels levels(code);
    for_each_tile(weight, 0, weight.elements(), [&](int64_t at, int64_t m, const float* values) {
      indices.for_each_run(at, m, [&](int64_t from, int64_t length, int64_t channel) {
        const auto c = static_cast<size_t>(channel);
        blocks.for_each_run(from, length, [&](int64_t first, int64_t count, int64_t block) {
          levels.enter(block);
          add_errors(levels, values + (first - at), count, shift[c], without_zeros, errors[c]);
        });
      });
    });
    for (size_t c = 0; c < channels; ++c) {
      const Errors& e = errors[c];
      const double cost = e.squares + kMeanSquare * e.sum * e.sum;
      if (cost < least[c]) {
        least[c] = cost;
        best[c] = shift[c];
      }
      // On average an element's level moves as far as the element does.
      if (e.count > 0) shift[c] -= static_cast<float>(e.sum / static_cast<double>(e.count));
    }
  }
  result.shift = {static_cast<int64_t>(axis), std::move(best)};
  return std::make_shared<const Code>(std::move(result));
}

}  // namespace

std::shared_ptr<const LinearCode> balanced(const Weight& weight, size_t axis, bool without_zeros, const LinearCode& code) {
  return balance<LinearLevels>(weight, axis, without_zeros, code);
}

std::shared_ptr<const TableCode> balanced(const Weight& weight, size_t axis, bool without_zeros, const TableCode& code) {
  return balance<TableLevels>(weight, axis, without_zeros, code);
}

}  // namespace cortland::compression
