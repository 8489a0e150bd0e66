// Loops that treat every element alike.
#pragma once

#include "engine/simd/functions.h"
#include "engine/simd/math.h"

namespace cortland::engine::simd::CORTLAND_SIMD_SET {

// f(x, a, b) for each unary function. a and b are splat once, outside the loop.
template <Unary U>
inline F apply(F x, [[maybe_unused]] F a, [[maybe_unused]] F b) {
  if constexpr (U == Unary::Abs) return absolute(x);
  if constexpr (U == Unary::ClampedRelu) {
    const F y = select(x < 0, a * x, x);
    return select(y > b, b, y);
  }
  if constexpr (U == Unary::Clip) {
    const F y = select(x < a, a, x);
    return select(y > b, b, y);
  }
  if constexpr (U == Unary::Elu) return select(x > 0, x, a * expm1_below_zero(x));
  if constexpr (U == Unary::Erf) return erf(x);
  if constexpr (U == Unary::Exp) return exp(x);
  if constexpr (U == Unary::Gelu) return gelu(x);
  if constexpr (U == Unary::GeluSigmoid) return x * sigmoid(1.702f * x);
  if constexpr (U == Unary::GeluTanh) return gelu_tanh(x);
  if constexpr (U == Unary::HardSigmoid) return at_most(at_least(a * x + b, 0), 1);
  if constexpr (U == Unary::Inverse) return 1 / (x + a);
  if constexpr (U == Unary::LeakyRelu) return select(x < 0, a * x, x);
  if constexpr (U == Unary::Linear) return a * x + b;
  if constexpr (U == Unary::Log) return log(x + a);
  if constexpr (U == Unary::Relu) return at_least(x, 0);
  if constexpr (U == Unary::Relu6) return at_most(at_least(x, 0), 6);
  if constexpr (U == Unary::Rsqrt) return 1 / square_root(x + a);
  if constexpr (U == Unary::ScaledTanh) return a * tanh(b * x);
  if constexpr (U == Unary::Sigmoid) return sigmoid(x);
  if constexpr (U == Unary::Silu) return x * sigmoid(x);
  if constexpr (U == Unary::Softplus) return softplus(x);
  if constexpr (U == Unary::Softsign) return x / (1 + absolute(x));
  if constexpr (U == Unary::Sqrt) return square_root(x);
  if constexpr (U == Unary::Square) return x * x;
  if constexpr (U == Unary::Tanh) return tanh(x);
  if constexpr (U == Unary::Threshold) return select(x < a, a, x);
  if constexpr (U == Unary::ThresholdedRelu) return select(x < a, F{}, x);
}

template <Binary B>
inline F apply(F x, F y) {
  if constexpr (B == Binary::Add) return x + y;
  if constexpr (B == Binary::Sub) return x - y;
  if constexpr (B == Binary::Mul) return x * y;
  if constexpr (B == Binary::Div) return x / y;
  if constexpr (B == Binary::Maximum) return maximum(x, y);
  if constexpr (B == Binary::Minimum) return minimum(x, y);
}

// out[i] = f(i) vector by vector; f(i, count) loads what is left of the last one.
template <class Whole, class Part>
inline void for_each_vector(int64_t n, float* out, Whole whole, Part part) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(out + i, whole(i));
  if (i < n) store_some(out + i, part(i, n - i), n - i);
}

template <Unary U>
void unary(const float* x, float* y, int64_t n, float a, float b) {
  const F va = splat(a), vb = splat(b);
  for_each_vector(
      n, y, [&](int64_t i) { return apply<U>(load(x + i), va, vb); },
      [&](int64_t i, int64_t count) { return apply<U>(load_some(x + i, count), va, vb); });
}

template <Binary B>
void binary_each(const float* x, const float* y, float* z, int64_t n) {
  for_each_vector(
      n, z, [&](int64_t i) { return apply<B>(load(x + i), load(y + i)); },
      [&](int64_t i, int64_t count) { return apply<B>(load_some(x + i, count), load_some(y + i, count)); });
}

template <Binary B>
void binary_right(const float* x, float y, float* z, int64_t n) {
  const F v = splat(y);
  for_each_vector(
      n, z, [&](int64_t i) { return apply<B>(load(x + i), v); },
      [&](int64_t i, int64_t count) { return apply<B>(load_some(x + i, count), v); });
}

template <Binary B>
void binary_left(float x, const float* y, float* z, int64_t n) {
  const F v = splat(x);
  for_each_vector(
      n, z, [&](int64_t i) { return apply<B>(v, load(y + i)); },
      [&](int64_t i, int64_t count) { return apply<B>(v, load_some(y + i, count)); });
}

inline void scale_shift(const float* x, const float* scale, const float* shift, float* z, int64_t n) {
  for_each_vector(
      n, z, [&](int64_t i) { return load(x + i) * load(scale + i) + load(shift + i); },
      [&](int64_t i, int64_t k) { return load_some(x + i, k) * load_some(scale + i, k) + load_some(shift + i, k); });
}

inline F rounded_to_f16(F x) {
#if defined(__AVX512F__)
  return _mm512_cvtph_ps(_mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#elif defined(__AVX2__)
  return _mm256_cvtph_ps(_mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
#else
  const I magnitude = bits(x) & 0x7fffffff, sign = bits(x) & INT32_MIN;
  I rounded = (magnitude + 0xfff + ((magnitude >> 13) & 1)) & ~0x1fff;
  rounded = rounded > 0x477fe000 ? splat_int(0x7f800000) : rounded;  // above 65504
  // Below 2^-14 float16 has steps of 2^-24, and so has float32 from 0.5 to 1.
  const I small = bits((from_bits(magnitude) + 0.5f) - 0.5f);
  rounded = magnitude < 0x38800000 ? small : rounded;
  rounded = magnitude > 0x7f800000 ? (magnitude | 0x400000) & ~0x1fff : rounded;
  return from_bits(rounded | sign);
#endif
}

inline void round_to_f16(float* x, int64_t n) {
  for_each_vector(
      n, x, [&](int64_t i) { return rounded_to_f16(load(x + i)); },
      [&](int64_t i, int64_t count) { return rounded_to_f16(load_some(x + i, count)); });
}

}  // namespace cortland::engine::simd::CORTLAND_SIMD_SET
