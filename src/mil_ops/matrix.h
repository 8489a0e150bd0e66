// The product of small matrices that convolutions, attention and recurrent layers are made of. One thread, float32.
#pragma once

#include <cstdint>

namespace cortland::mil_ops {

// Element (i, j) is data[i * row + j * column].
struct MatrixView {
  const float* data;
  int64_t row, column;
};

// c[m, n] += a[m, k] * b[k, n]; rows of b and c are contiguous, `b_row` and `c_row` elements apart.
void multiply_add(int64_t m, int64_t n, int64_t k, MatrixView a, const float* b, int64_t b_row, float* c, int64_t c_row);

}  // namespace cortland::mil_ops
