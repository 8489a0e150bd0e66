// Elementary functions on one vector. The polynomials are minimax fits of our own (iteratively reweighted least squares in
// float64 on Chebyshev nodes, rounded to float32); the reductions are the usual ones (Cody and Waite 1980).
#pragma once

#include "engine/simd/lanes.h"

namespace cortland::engine::simd::CORTLAND_SIMD_SET {

constexpr float kInfinity = __builtin_inff();
constexpr float kLn2High = 0x1.62e400p-1f, kLn2Low = 0x1.7f7d1cp-20f;  // the first times a small integer is exact

// e^x = 2^n (1 + minus_one), |x - n ln 2| <= ln 2 / 2.
struct Exponential {
  F n, minus_one;
};

// |x| at most 200 or NaN. (e^r - 1 - r) / r^2 of degree 4: relative error of e^r 3e-9.
inline Exponential exponential(F x) {
  constexpr float kRound = 0x1.8p23f;  // adding it rounds to a whole number
  const F shifted = x * 0x1.715476p+0f + kRound;
  const F n = shifted - kRound;
  const F r = (x - n * kLn2High) - n * kLn2Low;
  F p = 0x1.6a23d0p-10f * r + 0x1.123a20p-7f;
  p = p * r + 0x1.5558f2p-5f;
  p = p * r + 0x1.555492p-3f;
  p = p * r + 0x1.fffffcp-2f;
  return {n, p * (r * r) + r};
}

inline F exp(F x) {
  const Exponential e = exponential(at_most(at_least(x, -104), 89));
  return scale_by_power(1 + e.minus_one, e.n);
}

// The same for x <= 0.
inline F exp_below_zero(F x) {
  const Exponential e = exponential(at_least(x, -104));
  return scale_by_power(1 + e.minus_one, e.n);
}

// e^x - 1 for x <= 0.
inline F expm1_below_zero(F x) {
  const Exponential e = exponential(at_least(x, -30));
  const F scale = power_of_two(e.n);
  return scale * e.minus_one + (scale - 1);
}

// 2 atanh(s), |s| <= 1/3: relative error 2e-8 / 3.
inline F twice_atanh(F s) {
  const F z = s * s;
  F p = 0x1.b6d3f4p-3f + z * 0x1.f1c074p-3f;
  p = p * z + 0x1.25097ap-2f;
  p = p * z + 0x1.9996aap-2f;
  p = p * z + 0x1.555558p-1f;
  return 2 * s + s * z * p;
}

inline F log(F x) {
  const I tiny = x < 0x1p-126f;
  const F normal = select(x > 0, select(tiny, x * 0x1p23f, x), splat(1));
  const I n = (bits(normal) - 0x3f3504f3) >> 23;  // the mantissa goes into [sqrt(1/2), sqrt(2))
  const F f = from_bits(bits(normal) - (n << 23)) - 1;
  const F s = f / (2 + f), z = s * s;
  F p = 0x1.c62a5ap-3f + z * 0x1.912124p-3f;
  p = p * z + 0x1.249414p-2f;
  p = p * z + 0x1.999996p-2f;
  p = p * z + 0x1.555556p-1f;
  const F exponent = __builtin_convertvector(n + (tiny & -23), F);
  F y = exponent * kLn2High + (2 * s + (s * z * p + exponent * kLn2Low));
  y = select(x == kInfinity, x, y);
  y = select(x == 0, splat(-kInfinity), y);
  return select((x < 0) | (x != x), splat(__builtin_nanf("")), y);
}

inline F sigmoid(F x) {
  const F e = exp_below_zero(-absolute(x));  // at most 1: nothing overflows, small results keep their digits
  return select(x < 0, e, splat(1)) / (1 + e);
}

inline F tanh(F x) {
  const F t = expm1_below_zero(-2 * at_most(absolute(x), 15));
  return with_sign_of(-t / (t + 2), x);
}

// x P(x^2) / Q(x^2) of degrees 5 and 5: relative error 2e-8. From |x| = 3.92 on, erf is 1 in float32, and must be exactly
// that: gelu multiplies what is left of 1 by x.
inline F erf(F x) {
  constexpr float kOne = 3.925f;
  const F clamped = at_least(at_most(x, kOne), -kOne), z = clamped * clamped;
  F p = 0x1.2aae8ap-12f + z * 0x1.129caap-19f;
  F q = 0x1.311a3ep-10f + z * 0x1.3f2af6p-15f;
  p = p * z + 0x1.ee7bf0p-9f;
  q = q * z + 0x1.eaf942p-7f;
  p = p * z + 0x1.b049a8p-5f;
  q = q * z + 0x1.d3b1e8p-4f;
  p = p * z + 0x1.8656cap-3f;
  q = q * z + 0x1.01260ap-1f;
  p = p * z + 0x1.20dd74p+0f;
  q = q * z + 1;
  const F y = at_least(at_most(clamped * p / q, 1), -1);
  return select(absolute(x) >= kOne, with_sign_of(splat(1), x), y);
}

// ln(1 + e^x)
inline F softplus(F x) {
  const F e = exp_below_zero(-absolute(x));
  return at_least(x, 0) + twice_atanh(e / (2 + e));  // ln(1 + e) = 2 atanh(e / (2 + e))
}

inline F gelu(F x) { return 0.5f * x * (1 + erf(x * 0x1.6a09e6p-1f)); }
// (1 + tanh(u)) / 2 = sigmoid(2 u)
inline F gelu_tanh(F x) { return x * sigmoid(x * (1.5957691216f + 0.0713548162726f * (x * x))); }

}  // namespace cortland::engine::simd::CORTLAND_SIMD_SET
