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
// A NaN in x stays: the instructions give their second operand then. (Compilers do not find them for NaN's sake.)
inline F at_least(F x, float low) {
#if defined(__AVX512F__)
  return _mm512_max_ps(splat(low), x);
#elif defined(__AVX2__)
  return _mm256_max_ps(splat(low), x);
#elif defined(__SSE2__)
  return _mm_max_ps(splat(low), x);
#else
  return x < low ? splat(low) : x;
#endif
}
inline F at_most(F x, float high) {
#if defined(__AVX512F__)
  return _mm512_min_ps(splat(high), x);
#elif defined(__AVX2__)
  return _mm256_min_ps(splat(high), x);
#elif defined(__SSE2__)
  return _mm_min_ps(splat(high), x);
#else
  return x > high ? splat(high) : x;
#endif
}
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

// 2^n for whole n in [-126, 127].
inline F power_of_two(I n) { return from_bits((n + 127) << 23); }
inline F power_of_two(F n) { return power_of_two(__builtin_convertvector(n, I)); }

// x * 2^n for whole n in [-250, 250].
inline F scale_by_power(F x, F n) {
#if defined(__AVX512F__)
  return _mm512_scalef_ps(x, n);
#else
  const I whole = __builtin_convertvector(n, I), half = whole >> 1;  // in two steps, so that results may be denormal
  return x * power_of_two(half) * power_of_two(whole - half);
#endif
}

// All lanes as one, half by half.
template <class Combine>
inline float across_lanes(F v, Combine combine) {
#if defined(__AVX512F__)
  v = combine(v, __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  v = combine(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
  v = combine(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
  v = combine(v, __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));
#elif defined(__AVX2__)
  v = combine(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3));
  v = combine(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5));
  v = combine(v, __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6));
#else
  v = combine(v, __builtin_shufflevector(v, v, 2, 3, 0, 1));
  v = combine(v, __builtin_shufflevector(v, v, 1, 0, 3, 2));
#endif
  return v[0];
}

}  // namespace cortland::engine::simd::CORTLAND_SIMD_SET
