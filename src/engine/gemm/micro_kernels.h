// The innermost loops of products with a packed matrix: one panel of 32 columns at a time, on one thread. Plain pointers and
// no checks; multiply.h is what kernels call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace cortland::engine::gemm {

inline constexpr int64_t kPanel = 32;  // columns side by side in memory
inline constexpr int64_t kGroup = 8;   // 4-bit codes of one column in one 32-bit word

// c[rows, 32] += a[rows, k] * b[k, 32]. Rows are that many floats apart.
struct PanelProduct {
  const float* a;
  int64_t a_row;
  const float* b;
  int64_t b_row;
  float* c;
  int64_t c_row;
  int64_t rows, k;
  // What is read after this product, or nothing: brought into the L2 cache meanwhile.
  const std::byte* ahead = nullptr;
  int64_t ahead_bytes = 0;
};

// The same with a panel of float16.
struct HalfProduct {
  const float* x;
  int64_t x_row;
  const uint16_t* panel;
  float* y;
  int64_t y_row;
  int64_t rows, k;
};

// One panel of codes: element = scale * (value(code) - zero), with a scale and a zero for `block` elements of each column.
struct CodedPanel {
  const void* codes;   // int8 [k, 32], or words of eight 4-bit codes [k / 8, 32], the first in the low bits
  const float* table;  // of 4-bit codes: 16 values for the first 16 columns, 16 for the others
  const void* scale;   // [k / block, 32] float16 or float32; null: 1
  const float* zero;   // [k / block, 32]; null: 0
  int64_t block;       // a multiple of 8, or at least k
  bool half_scale;
};

// `to` is [depth, 32]; `first` is a multiple of 8 and so is `depth` except at the end of the column.
using Decode = void (*)(const CodedPanel& panel, int64_t first, int64_t depth, float* to);
// y[32] += x[k] * panel. `sums` has the sum of each block of x where the panel has zeros. x is followed by zeros up to a
// multiple of 8.
using CodedRow = void (*)(const CodedPanel& panel, const float* x, const float* sums, int64_t k, float* y);

struct MicroKernels {
  const char* name;
  void (*multiply)(const PanelProduct&);
  // out[i] = x[width] . y[i, width] for `count` rows of y.
  void (*dots)(const float* x, const float* y, int64_t y_row, int64_t count, int64_t width, float* out);
  Decode decode_int8, decode_table;
  // Without decoding first, where that is faster; null: decode and multiply.
  void (*multiply_half)(const HalfProduct&);
  CodedRow row_int8, row_table;
};

// What this processor can run, the fastest first.
std::span<const MicroKernels> micro_kernels();

#if defined(__x86_64__)
extern const MicroKernels kAvx512;
#endif

}  // namespace cortland::engine::gemm
