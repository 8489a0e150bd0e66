// Loops that fold rows or columns, and what is built on them: softmax and normalisations.
#pragma once

#include "engine/simd/elementwise.h"

namespace cortland::engine::simd::CORTLAND_SIMD_SET {

constexpr int64_t kWide = 4 * kLanes;  // as many sums run side by side as hide the latency of an addition
constexpr int64_t kBlock = 1024;       // elements summed in float32 before the sum moves to float64

template <Fold K>
constexpr bool kIsSum = K == Fold::Sum || K == Fold::SumSquare || K == Fold::SumAbs;
template <Fold K>
constexpr float kStart = kIsSum<K>            ? 0
                         : K == Fold::Maximum ? -kInfinity
                                              : kInfinity;

template <Fold K>
inline F folded(F acc, F x) {
  if constexpr (K == Fold::Sum) return acc + x;
  if constexpr (K == Fold::SumSquare) return acc + x * x;
  if constexpr (K == Fold::SumAbs) return acc + absolute(x);
  if constexpr (K == Fold::Maximum) return maximum(acc, x);
  if constexpr (K == Fold::Minimum) return minimum(acc, x);
}

// Two partial results, whose elements are squared or made positive already.
template <Fold K>
inline F joined(F a, F b) {
  if constexpr (kIsSum<K>) return a + b;
  return folded<K>(a, b);
}

template <Fold K>
inline float fold_lanes(F v) {
  float acc = v[0];
  for (int64_t i = 1; i < kLanes; ++i) {
    if constexpr (kIsSum<K>)
      acc += v[i];
    else if constexpr (K == Fold::Maximum)
      acc = acc > v[i] || acc != acc ? acc : v[i];
    else
      acc = acc < v[i] || acc != acc ? acc : v[i];
  }
  return acc;
}

// Fold of x - shift.
template <Fold K>
inline F fold_block(const float* x, int64_t n, float shift) {
  F acc[4] = {splat(kStart<K>), splat(kStart<K>), splat(kStart<K>), splat(kStart<K>)};
  const F by = splat(shift), fill = splat(kStart<K> + shift);
  int64_t i = 0;
  for (; i + kWide <= n; i += kWide)
    for (int64_t k = 0; k < 4; ++k) acc[k] = folded<K>(acc[k], load(x + i + k * kLanes) - by);
  for (; i + kLanes <= n; i += kLanes) acc[0] = folded<K>(acc[0], load(x + i) - by);
  if (i < n) acc[1] = folded<K>(acc[1], load_some(x + i, n - i, fill) - by);
  return joined<K>(joined<K>(acc[0], acc[1]), joined<K>(acc[2], acc[3]));
}

// The same of a long row. Sums go on in float64.
template <Fold K>
inline double fold_row(const float* x, int64_t n, float shift = 0) {
  double total = kStart<K>;
  for (int64_t i = 0; i < n; i += kBlock) {
    const float part = fold_lanes<K>(fold_block<K>(x + i, n - i < kBlock ? n - i : kBlock, shift));
    if constexpr (kIsSum<K>)
      total += part;
    else
      total = fold_lanes<K>(folded<K>(splat(static_cast<float>(total)), splat(part)));
  }
  return total;
}

template <Fold K>
float fold_row_to_float(const float* x, int64_t n) {
  return static_cast<float>(fold_row<K>(x, n));
}

// A strip of columns at most kWide wide, `lanes` vectors and then `rest` columns. Sums are carried in two stages, so that
// the rounding errors of many rows do not add up.
template <Fold K>
inline void fold_strip(const float* x, int64_t stride, int64_t rows, int64_t vectors, int64_t rest, float* out) {
  constexpr int64_t kStage = 128;
  const int64_t used = vectors + (rest > 0);
  F total[4] = {splat(kStart<K>), splat(kStart<K>), splat(kStart<K>), splat(kStart<K>)};
  for (int64_t first = 0; first < rows; first += kStage) {
    const int64_t last = rows - first < kStage ? rows : first + kStage;
    F part[4] = {splat(kStart<K>), splat(kStart<K>), splat(kStart<K>), splat(kStart<K>)};
    if (vectors == 4) {
      for (int64_t r = first; r < last; ++r)
        for (int64_t k = 0; k < 4; ++k) part[k] = folded<K>(part[k], load(x + r * stride + k * kLanes));
    } else {
      for (int64_t r = first; r < last; ++r) {
        for (int64_t k = 0; k < vectors; ++k) part[k] = folded<K>(part[k], load(x + r * stride + k * kLanes));
        if (rest) part[vectors] = folded<K>(part[vectors], load_some(x + r * stride + vectors * kLanes, rest));
      }
    }
    for (int64_t k = 0; k < used; ++k) total[k] = joined<K>(total[k], part[k]);
  }
  for (int64_t k = 0; k < vectors; ++k) store(out + k * kLanes, total[k]);
  if (rest) store_some(out + vectors * kLanes, total[vectors], rest);
}

template <Fold K>
void fold_columns(const float* x, int64_t stride, int64_t rows, int64_t columns, float* out) {
  for (int64_t i = 0; i < columns; i += kWide) {
    const int64_t width = columns - i < kWide ? columns - i : kWide;
    fold_strip<K>(x + i, stride, rows, width / kLanes, width % kLanes, out + i);
  }
}

// --- softmax

inline void softmax_row(const float* x, float* y, int64_t n) {
  if (n <= 0) return;
  const F high = splat(fold_lanes<Fold::Maximum>(fold_block<Fold::Maximum>(x, n, 0)));
  F sum = F{};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const F e = exp(load(x + i) - high);
    sum += e;
    store(y + i, e);
  }
  if (i < n) {
    const F e = exp(load_some(x + i, n - i, splat(-kInfinity)) - high);
    sum += e;
    store_some(y + i, e, n - i);
  }
  binary_right<Binary::Mul>(y, 1 / sum_of_lanes(sum), y, n);
}

// A vector of columns.
template <class Load, class Store>
inline void softmax_strip(int64_t n, Load at, Store put) {
  F high = at(0);
  for (int64_t r = 1; r < n; ++r) high = maximum(high, at(r));
  F sum = F{};
  for (int64_t r = 0; r < n; ++r) sum += exp(at(r) - high);
  const F scale = 1 / sum;
  for (int64_t r = 0; r < n; ++r) put(r, exp(at(r) - high) * scale);
}

inline void softmax_columns(const float* x, float* y, int64_t n, int64_t inner, int64_t first, int64_t last) {
  if (n <= 0) return;
  int64_t i = first;
  for (; i + kLanes <= last; i += kLanes)
    softmax_strip(
        n, [&](int64_t r) { return load(x + r * inner + i); }, [&](int64_t r, F v) { store(y + r * inner + i, v); });
  if (i < last)
    softmax_strip(
        n, [&](int64_t r) { return load_some(x + r * inner + i, last - i); },
        [&](int64_t r, F v) { store_some(y + r * inner + i, v, last - i); });
}

// --- normalisations

inline void moments(const float* x, int64_t n, float* mean, float* variance) {
  *mean = static_cast<float>(fold_row<Fold::Sum>(x, n) / static_cast<double>(n));
  *variance = static_cast<float>(fold_row<Fold::SumSquare>(x, n, *mean) / static_cast<double>(n));
}

inline void normalise(const float* x, float* y, int64_t n, float mean, float scale, const float* gamma, const float* beta) {
  const F vm = splat(mean), vs = splat(scale);
  for_each_vector(
      n, y, [&](int64_t i) { return (load(x + i) - vm) * vs * load(gamma + i) + load(beta + i); },
      [&](int64_t i, int64_t k) {
        return (load_some(x + i, k) - vm) * vs * load_some(gamma + i, k) + load_some(beta + i, k);
      });
}

inline void centre_scale(const float* x, float* y, int64_t n, float mean, float scale, float shift) {
  const F vm = splat(mean), vs = splat(scale), vb = splat(shift);
  for_each_vector(
      n, y, [&](int64_t i) { return (load(x + i) - vm) * vs + vb; },
      [&](int64_t i, int64_t k) { return (load_some(x + i, k) - vm) * vs + vb; });
}

}  // namespace cortland::engine::simd::CORTLAND_SIMD_SET
