#include "mil_ops/matrix.h"

#include <algorithm>
#include <cstring>

namespace cortland::mil_ops {
namespace {

constexpr int64_t kRows = 4;     // results of kRows x two vectors stay in registers
constexpr int64_t kDepth = 256;  // of k at a time: the strip of b that is read again and again stays in the L1 cache

// c[rows, 2 vectors] += a[rows, k] * b[k, 2 vectors], rows <= kRows.
template <class Lanes>
[[gnu::always_inline]] inline void multiply_block(int64_t rows, int64_t k, MatrixView a, const float* b, int64_t b_row,
                                                  float* c, int64_t c_row) {
  constexpr int64_t kLanes = sizeof(Lanes) / sizeof(float);
  Lanes sum[kRows][2] = {};
  const float* weights[kRows];
  for (int64_t r = 0; r < kRows; ++r) weights[r] = a.data + std::min(r, rows - 1) * a.row;
  for (int64_t p = 0; p < k; ++p) {
    Lanes left, right;
    std::memcpy(&left, b + p * b_row, sizeof(Lanes));
    std::memcpy(&right, b + p * b_row + kLanes, sizeof(Lanes));
    for (int64_t r = 0; r < kRows; ++r) {
      const float w = weights[r][p * a.column];
      sum[r][0] += w * left;
      sum[r][1] += w * right;
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t half = 0; half < 2; ++half) {
      float* to = c + r * c_row + half * kLanes;
      Lanes old;
      std::memcpy(&old, to, sizeof(Lanes));
      old += sum[r][half];
      std::memcpy(to, &old, sizeof(Lanes));
    }
  }
}

template <class Lanes>
[[gnu::always_inline]] inline void multiply(int64_t m, int64_t n, int64_t k, MatrixView a, const float* b, int64_t b_row,
                                            float* c, int64_t c_row) {
  constexpr int64_t kColumns = 2 * sizeof(Lanes) / sizeof(float);
  float strip[kDepth * kColumns], edge[kRows * kColumns];
  for (int64_t p = 0; p < k; p += kDepth) {
    const int64_t depth = std::min(kDepth, k - p);
    for (int64_t j = 0; j < n; j += kColumns) {
      const int64_t columns = std::min(kColumns, n - j);
      // A strip that is read often is copied: rows far apart compete for cache sets. The last one is filled up with zeros.
      const bool packed = columns < kColumns || m > 16 * kRows;
      for (int64_t r = 0; packed && r < depth; ++r) {
        const float* row = b + (p + r) * b_row + j;
        if (columns == kColumns)
          std::memcpy(strip + r * kColumns, row, kColumns * sizeof(float));
        else
          std::fill(std::copy_n(row, columns, strip + r * kColumns), strip + (r + 1) * kColumns, 0.0f);
      }
      const float* from = packed ? strip : b + p * b_row + j;
      for (int64_t i = 0; i < m; i += kRows) {
        const int64_t rows = std::min(kRows, m - i);
        const MatrixView left{a.data + i * a.row + p * a.column, a.row, a.column};
        float* to = c + i * c_row + j;
        if (columns == kColumns) {
          multiply_block<Lanes>(rows, depth, left, from, packed ? kColumns : b_row, to, c_row);
          continue;
        }
        std::fill(edge, edge + kRows * kColumns, 0.0f);
        multiply_block<Lanes>(rows, depth, left, strip, kColumns, edge, kColumns);
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t q = 0; q < columns; ++q) to[r * c_row + q] += edge[r * kColumns + q];
      }
    }
  }
}

using Lanes4 = float __attribute__((vector_size(16)));

#if defined(__x86_64__)
using Lanes8 = float __attribute__((vector_size(32)));

__attribute__((target("avx2,fma"))) void multiply_avx2(int64_t m, int64_t n, int64_t k, MatrixView a, const float* b,
                                                       int64_t b_row, float* c, int64_t c_row) {
  multiply<Lanes8>(m, n, k, a, b, b_row, c, c_row);
}
#endif

}  // namespace

void multiply_add(int64_t m, int64_t n, int64_t k, MatrixView a, const float* b, int64_t b_row, float* c, int64_t c_row) {
#if defined(__x86_64__)
  static const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2) return multiply_avx2(m, n, k, a, b, b_row, c, c_row);
#endif
  multiply<Lanes4>(m, n, k, a, b, b_row, c, c_row);
}

}  // namespace cortland::mil_ops
