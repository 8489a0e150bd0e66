// Loops over float32 arrays, built for several instruction sets; functions() is the best set this processor has. An output
// may be an input itself (the same address) and must not overlap it otherwise. Sizes are elements. Safe to call from any
// thread. NaN in an operand gives NaN; results agree with the C library's in float64 to a few units in the last place
// (functions_test.cc).
#pragma once

#include <cstddef>
#include <cstdint>

namespace cortland::engine::simd {

// f(x), some with parameters a and b.
enum class Unary : uint8_t {
  Abs,
  ClampedRelu,  // leaky relu of slope a, then at most b
  Clip,         // into [a, b]
  Elu,          // a (e^x - 1) below 0
  Erf,
  Exp,
  Gelu,         // x (1 + erf(x / sqrt 2)) / 2
  GeluSigmoid,  // x sigmoid(1.702 x)
  GeluTanh,     // x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
  HardSigmoid,  // a x + b into [0, 1]
  HardSwish,    // x times that
  Inverse,      // 1 / (x + a)
  LeakyRelu,    // a x below 0
  Linear,       // a x + b
  Log,          // ln(x + a)
  Relu,
  Relu6,
  Rsqrt,       // 1 / sqrt(x + a)
  ScaledTanh,  // a tanh(b x)
  Sigmoid,
  Silu,
  Softplus,
  Softsign,
  Sqrt,
  Square,
  Tanh,
  Threshold,        // at least a
  ThresholdedRelu,  // 0 below a
  kCount,
};

enum class Binary : uint8_t { Add, Sub, Mul, Div, Maximum, Minimum, kCount };

// What rows and columns are folded with.
enum class Fold : uint8_t { Sum, SumSquare, SumAbs, Maximum, Minimum, kCount };

using UnaryLoop = void (*)(const float* x, float* y, int64_t n, float a, float b);

// z[i] = f(x[i], y[i]), or with one operand the same everywhere.
struct BinaryLoops {
  void (*each)(const float* x, const float* y, float* z, int64_t n);
  void (*right)(const float* x, float y, float* z, int64_t n);
  void (*left)(float x, const float* y, float* z, int64_t n);
};

struct FoldLoops {
  float (*row)(const float* x, int64_t n);  // long sums are carried in float64
  // out[i] = fold of x[k * stride + i] over k in [0, rows), for i in [0, columns).
  void (*columns)(const float* x, int64_t stride, int64_t rows, int64_t columns, float* out);
};

struct Functions {
  const char* name;
  UnaryLoop unary[static_cast<size_t>(Unary::kCount)];
  BinaryLoops binary[static_cast<size_t>(Binary::kCount)];
  FoldLoops fold[static_cast<size_t>(Fold::kCount)];
  // Over [n] and down the columns of [n, inner], which lie `inner` apart.
  void (*softmax_row)(const float* x, float* y, int64_t n);
  void (*softmax_columns)(const float* x, float* y, int64_t n, int64_t inner, int64_t first, int64_t last);
  // Mean and biased variance.
  void (*moments)(const float* x, int64_t n, float* mean, float* variance);
  // y = (x - mean) * scale * gamma[i] + beta[i]
  void (*normalise)(const float* x, float* y, int64_t n, float mean, float scale, const float* gamma, const float* beta);
  // y = (x - mean) * scale + shift
  void (*centre_scale)(const float* x, float* y, int64_t n, float mean, float scale, float shift);
  // z = x * scale[i] + shift[i]
  void (*scale_shift)(const float* x, const float* scale, const float* shift, float* z, int64_t n);
  // To float16 and back, exactly as f32_to_f16() and f16_to_f32() do.
  void (*round_to_f16)(float* x, int64_t n);
  // to[c * to_row + r] = from[r * from_row + c] for elements of four bytes.
  void (*transpose)(const uint32_t* from, int64_t from_row, uint32_t* to, int64_t to_row, int64_t rows, int64_t columns);
  // Winograd's F(2x2, 3x3) on a tile of 4 x 4 pixels with `channels` each: pixels[16] to 16 sums for each channel, sums[i * step + channel].
  // Those multiplied, summed over channels, become pixels[4] of the result, with a bias.
  void (*winograd_in)(const float* const* pixels, float* sums, int64_t step, int64_t channels);
  void (*winograd_out)(const float* sums, int64_t step, const float* bias, float* const* pixels, int64_t channels);
};

const Functions& functions();

// The sets that were built and run here, the plainest first; functions() is the last. For tests.
struct Sets {
  const Functions* sets[3];
  size_t count;
};
Sets all_functions();

}  // namespace cortland::engine::simd
