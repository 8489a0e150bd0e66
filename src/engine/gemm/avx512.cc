// The micro kernels with AVX-512. A table of 16 floats fits in one register, which makes a 4-bit code one permutation.
#include "engine/gemm/micro_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "engine/gemm/panel_templates.h"

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma,f16c")))

namespace cortland::engine::gemm {
namespace {

using Lanes16 = float __attribute__((vector_size(64)));

AVX512 void multiply(const PanelProduct& p) { multiply_panel<Lanes16, 12>(p); }

AVX512 void dots(const float* x, const float* y, int64_t y_row, int64_t count, int64_t width, float* out) {
  dots_of_rows<Lanes16>(x, y, y_row, count, width, out);
}

AVX512 inline __m512 widen(const void* half) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(half)));
}

AVX512 inline __m512 scale_at(const CodedPanel& p, int64_t at) {
  if (!p.scale) return _mm512_set1_ps(1);
  return p.half_scale ? widen(static_cast<const uint16_t*>(p.scale) + at)
                      : _mm512_loadu_ps(static_cast<const float*>(p.scale) + at);
}

AVX512 inline __m512 zero_at(const CodedPanel& p, int64_t at) {
  return p.zero ? _mm512_loadu_ps(p.zero + at) : _mm512_setzero_ps();
}

AVX512 inline __m512 int8_at(const int8_t* codes) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes))));
}

AVX512 void decode_int8(const CodedPanel& p, int64_t first, int64_t depth, float* to) {
  for (int64_t k = first, end; k < first + depth; k = end) {
    const int64_t block = k / p.block;
    end = std::min(first + depth, (block + 1) * p.block);
    for (int64_t half = 0; half < kPanel; half += 16) {
      const __m512 scale = scale_at(p, block * kPanel + half), zero = zero_at(p, block * kPanel + half);
      for (int64_t i = k; i < end; ++i) {
        const __m512 q = int8_at(static_cast<const int8_t*>(p.codes) + i * kPanel + half);
        _mm512_storeu_ps(to + (i - first) * kPanel + half, _mm512_mul_ps(scale, _mm512_sub_ps(q, zero)));
      }
    }
  }
}

AVX512 void decode_table(const CodedPanel& p, int64_t first, int64_t depth, float* to) {
  const auto* words = static_cast<const int32_t*>(p.codes);
  for (int64_t half = 0; half < kPanel; half += 16) {
    const __m512 table = _mm512_loadu_ps(p.table + half);
    for (int64_t k = first; k < first + depth; k += kGroup) {
      const int64_t at = k / p.block * kPanel + half;
      const __m512 scale = scale_at(p, at), zero = zero_at(p, at);
      __m512i w = _mm512_loadu_si512(words + k / kGroup * kPanel + half);
      const int64_t count = std::min(kGroup, first + depth - k);
      for (int64_t i = 0; i < count; ++i, w = _mm512_srli_epi32(w, 4))
        _mm512_storeu_ps(to + (k - first + i) * kPanel + half,
                         _mm512_mul_ps(scale, _mm512_sub_ps(_mm512_permutexvar_ps(w, table), zero)));
    }
  }
}

// kRows rows meet the panel, which is widened in registers for them.
template <int kRows>
AVX512 inline void multiply_half_rows(const HalfProduct& p, int64_t first) {
  const float* x = p.x + first * p.x_row;
  float* y = p.y + first * p.y_row;
  __m512 sum[kRows][2];
  for (int r = 0; r < kRows; ++r)
    sum[r][0] = _mm512_loadu_ps(y + r * p.y_row), sum[r][1] = _mm512_loadu_ps(y + r * p.y_row + 16);
  const uint16_t* panel = p.panel;
  for (int64_t k = 0; k < p.k; ++k, panel += kPanel) {
    const __m512 left = widen(panel), right = widen(panel + 16);
    for (int r = 0; r < kRows; ++r) {
      const __m512 v = _mm512_set1_ps(x[r * p.x_row + k]);
      sum[r][0] = _mm512_fmadd_ps(v, left, sum[r][0]);
      sum[r][1] = _mm512_fmadd_ps(v, right, sum[r][1]);
    }
  }
  for (int r = 0; r < kRows; ++r)
    _mm512_storeu_ps(y + r * p.y_row, sum[r][0]), _mm512_storeu_ps(y + r * p.y_row + 16, sum[r][1]);
}

AVX512 void multiply_half(const HalfProduct& p) {
  int64_t row = 0;
  for (; p.rows - row >= 12; row += 12) multiply_half_rows<12>(p, row);
  for (; p.rows - row >= 8; row += 8) multiply_half_rows<8>(p, row);
  for (; p.rows - row >= 4; row += 4) multiply_half_rows<4>(p, row);
  for (; p.rows - row >= 2; row += 2) multiply_half_rows<2>(p, row);
  if (row < p.rows) multiply_half_rows<1>(p, row);
}

// y += scale * (sum - zero * sum of x)
AVX512 inline void add_block(const CodedPanel& p, const float* sums, int64_t block, __m512 sum, int64_t half, __m512& y) {
  const int64_t at = block * kPanel + half;
  if (p.zero) sum = _mm512_fnmadd_ps(zero_at(p, at), _mm512_set1_ps(sums[block]), sum);
  y = _mm512_fmadd_ps(scale_at(p, at), sum, y);
}

AVX512 void row_int8(const CodedPanel& p, const float* x, const float* sums, int64_t k, float* y) {
  const auto* codes = static_cast<const int8_t*>(p.codes);
  __m512 left = _mm512_loadu_ps(y), right = _mm512_loadu_ps(y + 16);
  for (int64_t first = 0, block = 0, end; first < k; first = end, ++block) {
    end = std::min(k, first + p.block);
    __m512 sum[2][2] = {};
    int64_t i = first;
    for (; i + 2 <= end; i += 2)
      for (int odd = 0; odd < 2; ++odd) {
        const __m512 v = _mm512_set1_ps(x[i + odd]);
        const int8_t* q = codes + (i + odd) * kPanel;
        sum[odd][0] = _mm512_fmadd_ps(v, int8_at(q), sum[odd][0]);
        sum[odd][1] = _mm512_fmadd_ps(v, int8_at(q + 16), sum[odd][1]);
      }
    if (i < end) {
      sum[0][0] = _mm512_fmadd_ps(_mm512_set1_ps(x[i]), int8_at(codes + i * kPanel), sum[0][0]);
      sum[0][1] = _mm512_fmadd_ps(_mm512_set1_ps(x[i]), int8_at(codes + i * kPanel + 16), sum[0][1]);
    }
    add_block(p, sums, block, _mm512_add_ps(sum[0][0], sum[1][0]), 0, left);
    add_block(p, sums, block, _mm512_add_ps(sum[0][1], sum[1][1]), 16, right);
  }
  _mm512_storeu_ps(y, left);
  _mm512_storeu_ps(y + 16, right);
}

AVX512 void row_table(const CodedPanel& p, const float* x, const float* sums, int64_t k, float* y) {
  const auto* words = static_cast<const int32_t*>(p.codes);
  const __m512 table[2] = {_mm512_loadu_ps(p.table), _mm512_loadu_ps(p.table + 16)};
  __m512 left = _mm512_loadu_ps(y), right = _mm512_loadu_ps(y + 16);
  for (int64_t first = 0, block = 0, end; first < k; first = end, ++block) {
    end = std::min(k, first + p.block);
    __m512 sum[2][2] = {};
    for (int64_t i = first; i < end; i += kGroup, words += kPanel) {
      __m512i w0 = _mm512_loadu_si512(words), w1 = _mm512_loadu_si512(words + 16);
      for (int j = 0; j < kGroup; ++j) {  // a permutation looks at the low four bits only
        const __m512 v = _mm512_set1_ps(x[i + j]);
        sum[j % 2][0] = _mm512_fmadd_ps(v, _mm512_permutexvar_ps(w0, table[0]), sum[j % 2][0]);
        sum[j % 2][1] = _mm512_fmadd_ps(v, _mm512_permutexvar_ps(w1, table[1]), sum[j % 2][1]);
        w0 = _mm512_srli_epi32(w0, 4);
        w1 = _mm512_srli_epi32(w1, 4);
      }
    }
    add_block(p, sums, block, _mm512_add_ps(sum[0][0], sum[1][0]), 0, left);
    add_block(p, sums, block, _mm512_add_ps(sum[0][1], sum[1][1]), 16, right);
  }
  _mm512_storeu_ps(y, left);
  _mm512_storeu_ps(y + 16, right);
}

}  // namespace

const MicroKernels kAvx512{"avx512", multiply, dots, decode_int8, decode_table, multiply_half, row_int8, row_table};

}  // namespace cortland::engine::gemm
#endif
