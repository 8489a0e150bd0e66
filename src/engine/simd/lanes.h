// One vector register of floats for the instruction set a file is compiled for, by GCC's and clang's vector extensions.
// Included only by the files that build a set: CORTLAND_SIMD_SET names its namespace, so sets never share an inline
// function.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace cortland::engine::simd::CORTLAND_SIMD_SET {

#if defined(__AVX512F__)
constexpr int64_t kLanes = 16;
#elif defined(__AVX2__)
constexpr int64_t kLanes = 8;
#else
constexpr int64_t kLanes = 4;
#endif

using F = float __attribute__((vector_size(kLanes * 4)));
using I = int32_t __attribute__((vector_size(kLanes * 4)));

inline F load(const float* p) {
  F v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, F v) { std::memcpy(p, &v, sizeof v); }
inline F splat(float v) { return v - F{}; }  // minus, so that -0.0 stays what it is
inline I splat_int(int32_t v) { return v - I{}; }

// The first `count` lanes, fewer than there are; the others are `fill`.
inline F load_some(const float* p, int64_t count, F fill = F{}) {
#if defined(__AVX512F__)
  return _mm512_mask_loadu_ps(fill, static_cast<__mmask16>((1u << count) - 1), p);
#else
  std::memcpy(&fill, p, static_cast<size_t>(count) * sizeof(float));
  return fill;
#endif
}
inline void store_some(float* p, F v, int64_t count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1), v);
#else
  std::memcpy(p, &v, static_cast<size_t>(count) * sizeof(float));
#endif
}

inline I bits(F v) { return __builtin_bit_cast(I, v); }
inline F from_bits(I v) { return __builtin_bit_cast(F, v); }
inline F select(I mask, F yes, F no) { return mask ? yes : no; }
inline F absolute(F x) { return from_bits(bits(x) & 0x7fffffff); }
inline F with_sign_of(F magnitude, F sign) { return from_bits(bits(magnitude) | (bits(sign) & INT32_MIN)); }
// A NaN in x stays.
inline F at_least(F x, float low) { return x < low ? splat(low) : x; }
inline F at_most(F x, float high) { return x > high ? splat(high) : x; }
// A NaN in either wins.
inline F maximum(F a, F b) { return ((a > b) | (a != a)) ? a : b; }
inline F minimum(F a, F b) { return ((a < b) | (a != a)) ? a : b; }

inline F square_root(F x) {
#if defined(__AVX512F__)
  return _mm512_sqrt_ps(x);
#elif defined(__AVX2__)
  return _mm256_sqrt_ps(x);
#elif defined(__SSE2__)
  return _mm_sqrt_ps(x);
#else
  for (int64_t i = 0; i < kLanes; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}

// 2^n for n in [-126, 127].
inline F power_of_two(I n) { return from_bits((n + 127) << 23); }

// x * 2^n for n in [-250, 250].
inline F scale_by_power(F x, I n) {
#if defined(__AVX512F__)
  return _mm512_scalef_ps(x, __builtin_convertvector(n, F));
#else
  const I half = n >> 1;  // in two steps, so that results may be denormal
  return x * power_of_two(half) * power_of_two(n - half);
#endif
}

inline float sum_of_lanes(F v) {
  float sum = 0;
  for (int64_t i = 0; i < kLanes; ++i) sum += v[i];
  return sum;
}

}  // namespace cortland::engine::simd::CORTLAND_SIMD_SET
