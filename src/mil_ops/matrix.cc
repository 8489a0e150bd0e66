#include "mil_ops/matrix.h"

#include <algorithm>
#include <cstring>

// One more compilation for processors with AVX2 and FMA, chosen when the program starts.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define CORTLAND_CLONES __attribute__((target_clones("arch=haswell", "default")))
#else
#define CORTLAND_CLONES
#endif

namespace cortland::mil_ops {
namespace {

constexpr int64_t kRows = 4, kColumns = 16;
using Lanes = float __attribute__((vector_size(32)));

}  // namespace

// Blocks of 4 x 16 results stay in registers while k runs.
CORTLAND_CLONES void multiply_add(int64_t m, int64_t n, int64_t k, MatrixView a, const float* b, int64_t b_row, float* c,
                                  int64_t c_row) {
  const int64_t whole_columns = n / kColumns * kColumns;
  for (int64_t j = 0; j < whole_columns; j += kColumns) {
    for (int64_t i = 0; i < m; i += kRows) {
      const int64_t rows = std::min(kRows, m - i);
      Lanes sum[kRows][2] = {};
      const float* weights[kRows];
      for (int64_t r = 0; r < kRows; ++r) weights[r] = a.data + (i + std::min(r, rows - 1)) * a.row;
      for (int64_t p = 0; p < k; ++p) {
        Lanes left, right;
        std::memcpy(&left, b + p * b_row + j, sizeof(Lanes));
        std::memcpy(&right, b + p * b_row + j + kColumns / 2, sizeof(Lanes));
        for (int64_t r = 0; r < kRows; ++r) {
          const float w = weights[r][p * a.column];
          sum[r][0] += w * left;
          sum[r][1] += w * right;
        }
      }
      for (int64_t r = 0; r < rows; ++r) {
        float* row = c + (i + r) * c_row + j;
        for (int64_t half = 0; half < 2; ++half) {
          Lanes old;
          std::memcpy(&old, row + half * kColumns / 2, sizeof(Lanes));
          old += sum[r][half];
          std::memcpy(row + half * kColumns / 2, &old, sizeof(Lanes));
        }
      }
    }
  }
  for (int64_t i = 0; i < m && whole_columns < n; ++i) {
    float* row = c + i * c_row;
    for (int64_t p = 0; p < k; ++p) {
      const float w = a.data[i * a.row + p * a.column];
      for (int64_t j = whole_columns; j < n; ++j) row[j] += w * b[p * b_row + j];
    }
  }
}

}  // namespace cortland::mil_ops
