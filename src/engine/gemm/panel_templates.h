// The loops of micro_kernels.h for any vector width; each instruction set instantiates them in a function of its own.
#pragma once

#include <algorithm>
#include <cstring>

#include "engine/gemm/micro_kernels.h"
#include "tensor/dtype.h"

namespace cortland::engine::gemm {

constexpr int64_t kLine = 64;  // bytes of the cache

// What is still to be brought in, a line for each step of k: slowly enough for the memory.
class Ahead {
 public:
  explicit Ahead(const PanelProduct& p) : next_(p.ahead), end_(p.ahead + p.ahead_bytes) {}
  // Where to begin for `steps` lines; `otherwise` when nothing is left.
  const void* take(int64_t steps, const void* otherwise) {
    if (next_ >= end_) return otherwise;
    const std::byte* first = next_;
    next_ += steps * kLine;
    return first;
  }

 private:
  const std::byte *next_, *end_;
};

// Two vectors of columns times kRows rows stay in registers.
template <class Lanes, int kRows>
[[gnu::always_inline]] inline void multiply_rows(const PanelProduct& p, int64_t row, int64_t column, Ahead& ahead) {
  constexpr int64_t kLanes = sizeof(Lanes) / sizeof(float);
  Lanes sum[kRows][2];
  const float* a = p.a + row * p.a_row;
  const float* b = p.b + column;
  float* c = p.c + row * p.c_row + column;
  for (int64_t r = 0; r < kRows; ++r) std::memcpy(sum[r], c + r * p.c_row, sizeof sum[r]);
  const auto* line = static_cast<const std::byte*>(ahead.take(p.k, b));
  // An address for four rows: one for each would not stay in registers, and fetching them costs more than the loads.
  constexpr int kGroups = (kRows + 3) / 4;
  const int64_t one = p.a_row * static_cast<int64_t>(sizeof(float)), three = 3 * one;
  const char* groups[kGroups];
  for (int g = 0; g < kGroups; ++g) groups[g] = reinterpret_cast<const char*>(a) + 4 * g * one;
  for (int64_t k = 0; k < p.k; ++k, b += p.b_row, line += kLine) {
    __builtin_prefetch(line, 0, 2);
    Lanes left, right;
    std::memcpy(&left, b, sizeof left);
    std::memcpy(&right, b + kLanes, sizeof right);
    for (int r = 0; r < kRows; ++r) {
      const char* group = groups[r / 4];
      float x;
      std::memcpy(&x, r % 4 == 0 ? group : r % 4 == 1 ? group + one : r % 4 == 2 ? group + 2 * one : group + three, sizeof x);
      sum[r][0] += x * left;
      sum[r][1] += x * right;
    }
    for (const char*& group : groups) {
      group += sizeof(float);
      asm("" : "+r"(group));  // or the compiler makes an address for each row after all
    }
  }
  for (int64_t r = 0; r < kRows; ++r) std::memcpy(c + r * p.c_row, sum[r], sizeof sum[r]);
}

template <class Lanes, int kMost>
[[gnu::always_inline]] inline void multiply_panel(const PanelProduct& p) {
  constexpr int64_t kColumns = 2 * sizeof(Lanes) / sizeof(float);
  Ahead ahead(p);
  for (int64_t column = 0; column < kPanel; column += kColumns) {
    int64_t row = 0;
    for (; p.rows - row >= kMost; row += kMost) multiply_rows<Lanes, kMost>(p, row, column, ahead);
    if constexpr (kMost > 8)
      for (; p.rows - row >= 8; row += 8) multiply_rows<Lanes, 8>(p, row, column, ahead);
    for (; p.rows - row >= 4; row += 4) multiply_rows<Lanes, 4>(p, row, column, ahead);
    for (; p.rows - row >= 2; row += 2) multiply_rows<Lanes, 2>(p, row, column, ahead);
    if (row < p.rows) multiply_rows<Lanes, 1>(p, row, column, ahead);
  }
}

template <class Lanes>
[[gnu::always_inline]] inline float sum_of(const Lanes& lanes) {
  constexpr int64_t kLanes = sizeof(Lanes) / sizeof(float);
  float values[kLanes];
  std::memcpy(values, &lanes, sizeof lanes);
  for (int64_t half = kLanes / 2; half > 0; half /= 2)
    for (int64_t i = 0; i < half; ++i) values[i] += values[i + half];
  return values[0];
}

template <class Lanes>
[[gnu::always_inline]] inline void dots_of_rows(const float* x, const float* y, int64_t y_row, int64_t count, int64_t width,
                                                float* out) {
  constexpr int64_t kLanes = sizeof(Lanes) / sizeof(float), kAtATime = 4;
  for (int64_t first = 0; first < count; first += kAtATime) {
    const float* rows[kAtATime];
    for (int64_t r = 0; r < kAtATime; ++r) rows[r] = y + std::min(first + r, count - 1) * y_row;
    Lanes sums[kAtATime] = {};
    int64_t i = 0;
    for (; i + kLanes <= width; i += kLanes) {
      Lanes a, b;
      std::memcpy(&a, x + i, sizeof a);
      for (int64_t r = 0; r < kAtATime; ++r) {
        std::memcpy(&b, rows[r] + i, sizeof b);
        sums[r] += a * b;
      }
    }
    for (int64_t r = 0; r < std::min(kAtATime, count - first); ++r) {
      float sum = sum_of(sums[r]);
      for (int64_t j = i; j < width; ++j) sum += x[j] * rows[r][j];
      out[first + r] = sum;
    }
  }
}

// The scales and zeros of the block that element k of each column belongs to.
struct BlockScales {
  float scale[kPanel], zero[kPanel];

  void load(const CodedPanel& p, int64_t k) {
    const int64_t at = k / p.block * kPanel;
    if (!p.scale)
      std::fill_n(scale, kPanel, 1.0f);
    else if (p.half_scale)
      f16_to_f32(static_cast<const uint16_t*>(p.scale) + at, scale, kPanel);
    else
      std::copy_n(static_cast<const float*>(p.scale) + at, kPanel, scale);
    if (p.zero)
      std::copy_n(p.zero + at, kPanel, zero);
    else
      std::fill_n(zero, kPanel, 0.0f);
  }
};

[[gnu::always_inline]] inline void decode_int8_panel(const CodedPanel& p, int64_t first, int64_t depth, float* to) {
  BlockScales s;
  const auto* codes = static_cast<const int8_t*>(p.codes) + first * kPanel;
  for (int64_t k = first, loaded = -1; k < first + depth; ++k, codes += kPanel, to += kPanel) {
    if (k / p.block != loaded) s.load(p, k), loaded = k / p.block;
    for (int64_t j = 0; j < kPanel; ++j) to[j] = s.scale[j] * (static_cast<float>(codes[j]) - s.zero[j]);
  }
}

[[gnu::always_inline]] inline void decode_table_panel(const CodedPanel& p, int64_t first, int64_t depth, float* to) {
  BlockScales s;
  const auto* words = static_cast<const uint32_t*>(p.codes) + first / kGroup * kPanel;
  for (int64_t k = first, loaded = -1; k < first + depth; k += kGroup, words += kPanel, to += kGroup * kPanel) {
    if (k / p.block != loaded) s.load(p, k), loaded = k / p.block;
    const int64_t count = std::min(kGroup, first + depth - k);
    for (int64_t i = 0; i < count; ++i)
      for (int64_t j = 0; j < kPanel; ++j)
        to[i * kPanel + j] = s.scale[j] * (p.table[j / 16 * 16 + ((words[j] >> (4 * i)) & 15)] - s.zero[j]);
  }
}

}  // namespace cortland::engine::gemm
