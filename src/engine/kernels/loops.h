// The loops of simd/ spread over threads and over strided operands: float32 arrays in, float32 arrays out, no allocation.
// Kernels call them, and so may whoever fuses several ops. An output may be an input itself, transposes excepted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/simd/functions.h"

namespace cortland::engine::kernels {

using Sizes = std::span<const int64_t>;

// Elements a thread should have at least. Waking one takes a few microseconds on an idle machine and a hundred on a busy
// one.
inline constexpr int64_t kCheapGrain = 1 << 17;   // memory's speed: add, relu, copies
inline constexpr int64_t kCostlyGrain = 1 << 15;  // a few dozen instructions an element: exp and its like

// y = f(x; a, b)
void unary(simd::Unary f, const float* x, float* y, int64_t n, float a = 0, float b = 0);

inline constexpr size_t kMostAxes = 8;

// How two operands are read over the shape they broadcast to. Axes that both step through evenly are one; strides of the
// last are 0 or 1.
struct Broadcast {
  size_t rank = 0;
  int64_t sizes[kMostAxes], x[kMostAxes], y[kMostAxes];
  int64_t elements = 0;
};
// False when there are more than kMostAxes axes. The shapes must go together.
bool make_broadcast(Sizes x, Sizes y, Sizes out, Broadcast& b);
void binary(simd::Binary f, const float* x, const float* y, float* z, const Broadcast& b);

// Sizes before, at and after an axis, or a run of axes.
struct Split {
  int64_t outer = 1, size = 1, inner = 1;
};
inline Split split_at(Sizes shape, size_t first, size_t last) {
  Split s;
  for (size_t i = 0; i < shape.size(); ++i) (i < first ? s.outer : i < last ? s.size : s.inner) *= shape[i];
  return s;
}

// Along the middle of [outer, size, inner].
void softmax(const float* x, float* y, const Split& s);
// y [outer, inner]; size is at least 1.
void reduce(simd::Fold fold, const float* x, float* y, const Split& s);

// Rows [rows, n]; gamma and beta are [n].
void layer_norm(const float* x, float* y, int64_t rows, int64_t n, const float* gamma, const float* beta, double epsilon);
// Planes [batch, channels, inner], each with its own statistics; gamma and beta are [channels].
void instance_norm(const float* x, float* y, int64_t batch, int64_t channels, int64_t inner, const float* gamma,
                   const float* beta, double epsilon);
// y = (x - mean) * scale + shift for each channel of [batch, channels, inner].
void scale_channels(const float* x, float* y, int64_t batch, int64_t channels, int64_t inner, const float* mean,
                    const float* scale, const float* shift);

// to = from with axes in the order `perm`; elements of 1, 2, 4 or 8 bytes. False when there are more than kMostAxes axes.
bool transpose(const std::byte* from, std::byte* to, Sizes shape, std::span<const size_t> perm, int64_t element_bytes);

// Copies `rows` runs of `bytes`, which lie `from_step` and `to_step` bytes apart.
void copy_runs(const std::byte* from, int64_t from_step, std::byte* to, int64_t to_step, int64_t rows, int64_t bytes);

}  // namespace cortland::engine::kernels
