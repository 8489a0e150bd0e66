#include "engine/kernels/loops.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "engine/threads.h"

namespace cortland::engine::kernels {
namespace {

constexpr size_t at(simd::Unary f) { return static_cast<size_t>(f); }
constexpr size_t at(simd::Binary f) { return static_cast<size_t>(f); }
constexpr size_t at(simd::Fold f) { return static_cast<size_t>(f); }

int64_t grain_of(simd::Unary f) {
  using enum simd::Unary;
  switch (f) {
    case Elu:
    case Erf:
    case Exp:
    case Gelu:
    case GeluSigmoid:
    case GeluTanh:
    case Log:
    case ScaledTanh:
    case Sigmoid:
    case Silu:
    case Softplus:
    case Tanh:
      return kCostlyGrain;
    default:
      return kCheapGrain;
  }
}

// How many rows of `n` elements make a grain.
int64_t rows_of(int64_t grain, int64_t n) { return std::max<int64_t>(1, grain / std::max<int64_t>(n, 1)); }

// A run along the last axis. Its strides are 0 or 1.
void binary_run(const simd::BinaryLoops& f, const float* x, const float* y, float* z, int64_t n, bool step_x, bool step_y) {
  if (step_x && step_y)
    f.each(x, y, z, n);
  else if (step_x)
    f.right(x, *y, z, n);
  else if (step_y)
    f.left(*x, y, z, n);
  else
    for (int64_t i = 0; i < n; ++i) f.each(x, y, z + i, 1);
}

}  // namespace

void unary(simd::Unary f, const float* x, float* y, int64_t n, float a, float b) {
  const simd::UnaryLoop loop = simd::functions().unary[at(f)];
  parallel_for(n, grain_of(f), [=](int64_t first, int64_t last) { loop(x + first, y + first, last - first, a, b); });
}

bool make_broadcast(Sizes x, Sizes y, Sizes out, Broadcast& b) {
  b.rank = 0;
  b.elements = 1;
  int64_t step_x = 1, step_y = 1;
  // From the last axis to the first, so that strides are known; the axes are turned round at the end.
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t size = out[out.size() - 1 - i];
    const int64_t nx = i < x.size() ? x[x.size() - 1 - i] : 1, ny = i < y.size() ? y[y.size() - 1 - i] : 1;
    b.elements *= size;
    if (size == 1) continue;
    const int64_t sx = nx == 1 ? 0 : step_x, sy = ny == 1 ? 0 : step_y;
    step_x *= nx;
    step_y *= ny;
    const size_t last = b.rank;
    if (last > 0 && sx == b.x[last - 1] * b.sizes[last - 1] && sy == b.y[last - 1] * b.sizes[last - 1]) {
      b.sizes[last - 1] *= size;
      continue;
    }
    if (last == kMostAxes) return false;
    b.sizes[last] = size;
    b.x[last] = sx;
    b.y[last] = sy;
    ++b.rank;
  }
  if (b.rank == 0) {
    b.sizes[0] = b.x[0] = b.y[0] = 1;
    b.rank = 1;
  }
  for (int64_t* axes : {b.sizes, b.x, b.y}) std::reverse(axes, axes + b.rank);
  return true;
}

void binary(simd::Binary f, const float* x, const float* y, float* z, const Broadcast& b) {
  const simd::BinaryLoops& loops = simd::functions().binary[at(f)];
  const size_t inner = b.rank - 1;
  const int64_t length = b.sizes[inner];
  const bool step_x = b.x[inner] != 0, step_y = b.y[inner] != 0;
  if (b.elements == 0) return;
  parallel_for(b.elements, kCheapGrain, [&](int64_t first, int64_t last) {
    int64_t index[kMostAxes] = {}, at_x = 0, at_y = 0, row = first / length, skip = first % length;
    for (size_t i = inner; i-- > 0; row /= b.sizes[i]) {
      index[i] = row % b.sizes[i];
      at_x += index[i] * b.x[i];
      at_y += index[i] * b.y[i];
    }
    for (int64_t i = first; i < last;) {
      const int64_t n = std::min(length - skip, last - i);
      binary_run(loops, x + at_x + (step_x ? skip : 0), y + at_y + (step_y ? skip : 0), z + i, n, step_x, step_y);
      i += n;
      skip = 0;
      for (size_t axis = inner; axis-- > 0;) {
        at_x += b.x[axis];
        at_y += b.y[axis];
        if (++index[axis] < b.sizes[axis]) break;
        at_x -= b.x[axis] * b.sizes[axis];
        at_y -= b.y[axis] * b.sizes[axis];
        index[axis] = 0;
      }
    }
  });
}

void softmax(const float* x, float* y, const Split& s) {
  const simd::Functions& f = simd::functions();
  if (s.inner == 1) {
    parallel_for(s.outer, rows_of(kCostlyGrain, s.size), [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) f.softmax_row(x + i * s.size, y + i * s.size, s.size);
    });
    return;
  }
  // Columns of all blocks, one after the other.
  parallel_for(s.outer * s.inner, rows_of(kCostlyGrain, s.size), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last;) {
      const int64_t block = i / s.inner, column = i % s.inner, n = std::min(s.inner - column, last - i);
      const int64_t begin = block * s.size * s.inner;
      f.softmax_columns(x + begin, y + begin, s.size, s.inner, column, column + n);
      i += n;
    }
  });
}

namespace {

constexpr int64_t kRowBlocks = 8, kFewColumns = 4096;

// Many rows of few columns, as pixels of channels: shared out by rows, as what comes before and after is, so that they stay in a
// thread's cache; not by the number of threads, on which sums would depend.
void reduce_row_blocks(simd::Fold fold, const float* x, float* y, const Split& s) {
  using enum simd::Fold;
  const simd::FoldLoops& f = simd::functions().fold[at(fold)];
  const simd::FoldLoops& join = fold == Maximum || fold == Minimum ? f : simd::functions().fold[at(Sum)];
  std::vector<float> parts(static_cast<size_t>(s.outer * kRowBlocks * s.inner));
  parallel_for(s.outer * kRowBlocks, rows_of(kCheapGrain, s.size / kRowBlocks * s.inner), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t block = i % kRowBlocks, from = s.size * block / kRowBlocks, to = s.size * (block + 1) / kRowBlocks;
      f.columns(x + (i / kRowBlocks * s.size + from) * s.inner, s.inner, to - from, s.inner, parts.data() + i * s.inner);
    }
  });
  for (int64_t i = 0; i < s.outer; ++i)
    join.columns(parts.data() + i * kRowBlocks * s.inner, s.inner, kRowBlocks, s.inner, y + i * s.inner);
}

}  // namespace

void reduce(simd::Fold fold, const float* x, float* y, const Split& s) {
  const simd::FoldLoops& f = simd::functions().fold[at(fold)];
  if (s.inner == 1) {
    parallel_for(s.outer, rows_of(kCheapGrain, s.size), [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) y[i] = f.row(x + i * s.size, s.size);
    });
    return;
  }
  if (s.size >= 8 * kRowBlocks && s.inner <= kFewColumns) return reduce_row_blocks(fold, x, y, s);
  parallel_for(s.outer * s.inner, rows_of(kCheapGrain, s.size), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last;) {
      const int64_t block = i / s.inner, column = i % s.inner, n = std::min(s.inner - column, last - i);
      f.columns(x + block * s.size * s.inner + column, s.inner, s.size, n, y + i);
      i += n;
    }
  });
}

void layer_norm(const float* x, float* y, int64_t rows, int64_t n, const float* gamma, const float* beta, double epsilon) {
  const simd::Functions& f = simd::functions();
  parallel_for(rows, rows_of(kCheapGrain, n), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      float mean, variance;
      f.moments(x + i * n, n, &mean, &variance);
      const auto scale = static_cast<float>(1 / std::sqrt(double{variance} + epsilon));
      f.normalise(x + i * n, y + i * n, n, mean, scale, gamma, beta);
    }
  });
}

void instance_norm(const float* x, float* y, int64_t batch, int64_t channels, int64_t inner, const float* gamma,
                   const float* beta, double epsilon) {
  const simd::Functions& f = simd::functions();
  parallel_for(batch * channels, rows_of(kCheapGrain, inner), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      float mean, variance;
      f.moments(x + i * inner, inner, &mean, &variance);
      const auto scale = static_cast<float>(double{gamma[i % channels]} / std::sqrt(double{variance} + epsilon));
      f.centre_scale(x + i * inner, y + i * inner, inner, mean, scale, beta[i % channels]);
    }
  });
}

void scale_planes(const float* x, float* y, int64_t first, int64_t last, int64_t channels, int64_t inner, const float* mean,
                  const float* scale, const float* shift) {
  const simd::Functions& f = simd::functions();
  for (int64_t i = first; i < last;) {
    const int64_t c = i / inner % channels, n = std::min(inner - i % inner, last - i);
    f.centre_scale(x + i, y + i, n, mean[c], scale[c], shift[c]);
    i += n;
  }
}

void scale_rows(const float* x, float* y, int64_t first, int64_t last, int64_t channels, const float* scale,
                const float* shift) {
  const simd::Functions& f = simd::functions();
  for (int64_t i = first; i < last;) {
    const int64_t c = i % channels, n = std::min(channels - c, last - i);
    f.scale_shift(x + i, scale + c, shift + c, y + i, n);
    i += n;
  }
}

void interleave(std::span<const std::byte* const> from, std::byte* to, int64_t runs, int64_t run_bytes) {
  const auto count = static_cast<int64_t>(from.size());
  parallel_for(runs, rows_of(kCheapGrain * 4, count * run_bytes), [&](int64_t first, int64_t last) {
    if (count == 2 && run_bytes == 4) {  // two channels that change places: the shuffle of ShuffleNet
      const auto *a = reinterpret_cast<const uint32_t*>(from[0]), *b = reinterpret_cast<const uint32_t*>(from[1]);
      auto* pairs = reinterpret_cast<uint32_t*>(to);
      for (int64_t k = first; k < last; ++k) pairs[2 * k] = a[k], pairs[2 * k + 1] = b[k];
      return;
    }
    for (int64_t k = first; k < last; ++k)
      for (int64_t c = 0; c < count; ++c)
        std::memcpy(to + (k * count + c) * run_bytes, from[static_cast<size_t>(c)] + k * run_bytes,
                    static_cast<size_t>(run_bytes));
  });
}

void copy_runs(const std::byte* from, int64_t from_step, std::byte* to, int64_t to_step, int64_t rows, int64_t bytes) {
  if (bytes <= 0 || rows <= 0) return;
  if (from_step == bytes && to_step == bytes) bytes *= rows, rows = 1;
  constexpr int64_t kGrain = kCheapGrain * 4;  // bytes
  if (rows == 1) {
    parallel_for(bytes, kGrain, [=](int64_t first, int64_t last) {
      std::memcpy(to + first, from + first, static_cast<size_t>(last - first));
    });
    return;
  }
  parallel_for(rows, rows_of(kGrain, bytes), [=](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) std::memcpy(to + i * to_step, from + i * from_step, static_cast<size_t>(bytes));
  });
}

}  // namespace cortland::engine::kernels
