// transpose(): axes that stay neighbours are merged; then the last axis of the result is either a run of the source, or one
// side of a matrix whose other side is.
#include <algorithm>
#include <cstring>

#include "engine/kernels/loops.h"
#include "engine/threads.h"

namespace cortland::engine::kernels {
namespace {

// The result's axes: sizes, and strides in both tensors, in elements.
struct Axes {
  size_t rank = 0;
  int64_t sizes[kMostAxes], from[kMostAxes], to[kMostAxes];
};

bool merge_axes(Sizes shape, std::span<const size_t> perm, Axes& axes) {
  if (shape.size() > kMostAxes) return false;
  int64_t dense[kMostAxes], step = 1;
  for (size_t i = shape.size(); i-- > 0; step *= shape[i]) dense[i] = step;
  for (size_t p : perm) {
    if (shape[p] == 1) continue;
    if (axes.rank > 0 && axes.from[axes.rank - 1] == dense[p] * shape[p]) {
      axes.sizes[axes.rank - 1] *= shape[p];
      axes.from[axes.rank - 1] = dense[p];
      continue;
    }
    axes.sizes[axes.rank] = shape[p];
    axes.from[axes.rank++] = dense[p];
  }
  step = 1;
  for (size_t i = axes.rank; i-- > 0; step *= axes.sizes[i]) axes.to[i] = step;
  return true;
}

// Takes an axis out and gives it back as the pair of strides it had.
struct Axis {
  int64_t size, from, to;
};
Axis take(Axes& axes, size_t at) {
  const Axis axis{axes.sizes[at], axes.from[at], axes.to[at]};
  --axes.rank;
  for (int64_t* list : {axes.sizes, axes.from, axes.to}) std::copy(list + at + 1, list + axes.rank + 1, list + at);
  return axis;
}

int64_t count_of(const Axes& axes) {
  int64_t n = 1;
  for (size_t i = 0; i < axes.rank; ++i) n *= axes.sizes[i];
  return n;
}

// Where index `i` of the axes together lies.
void locate(const Axes& axes, int64_t i, int64_t& from, int64_t& to) {
  from = to = 0;
  for (size_t a = axes.rank; a-- > 0; i /= axes.sizes[a]) {
    const int64_t index = i % axes.sizes[a];
    from += index * axes.from[a];
    to += index * axes.to[a];
  }
}

template <class T>
void transpose_plainly(const T* from, int64_t from_row, T* to, int64_t to_row, int64_t rows, int64_t columns) {
  constexpr int64_t kBlock = 16;
  for (int64_t r0 = 0; r0 < rows; r0 += kBlock)
    for (int64_t c = 0; c < columns; ++c)
      for (int64_t r = r0; r < std::min(rows, r0 + kBlock); ++r) to[c * to_row + r] = from[r * from_row + c];
}

// One matrix: from [rows, columns] by its row stride, to [columns, rows] by its own.
template <class T>
void transpose_matrix(const std::byte* from, int64_t from_row, std::byte* to, int64_t to_row, int64_t rows,
                      int64_t columns) {
  const T* source = reinterpret_cast<const T*>(from);
  T* target = reinterpret_cast<T*>(to);
  if constexpr (sizeof(T) == 4)
    simd::functions().transpose(source, from_row, target, to_row, rows, columns);
  else
    transpose_plainly(source, from_row, target, to_row, rows, columns);
}

using Matrix = void (*)(const std::byte*, int64_t, std::byte*, int64_t, int64_t, int64_t);

Matrix matrix_of(int64_t element_bytes) {
  switch (element_bytes) {
    case 1:
      return transpose_matrix<uint8_t>;
    case 2:
      return transpose_matrix<uint16_t>;
    case 4:
      return transpose_matrix<uint32_t>;
    default:
      return transpose_matrix<uint64_t>;
  }
}

}  // namespace

bool transpose(const std::byte* from, std::byte* to, Sizes shape, std::span<const size_t> perm, int64_t element_bytes) {
  Axes axes;
  if (!merge_axes(shape, perm, axes)) return false;
  if (count_of(axes) == 0) return true;
  if (axes.rank == 0 || axes.from[axes.rank - 1] == 1) {  // runs of the source stay whole
    const int64_t run = axes.rank == 0 ? element_bytes : take(axes, axes.rank - 1).size * element_bytes;
    if (axes.rank == 0) {
      copy_runs(from, run, to, run, 1, run);
      return true;
    }
    const Axis inner = take(axes, axes.rank - 1);
    parallel_for(count_of(axes) * inner.size, std::max<int64_t>(1, kCheapGrain * 4 / run), [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last;) {
        const int64_t skip = i % inner.size, n = std::min(inner.size - skip, last - i);
        int64_t source, target;
        locate(axes, i / inner.size, source, target);
        for (int64_t k = skip; k < skip + n; ++k)
          std::memcpy(to + (target + k * inner.to) * element_bytes, from + (source + k * inner.from) * element_bytes,
                      static_cast<size_t>(run));
        i += n;
      }
    });
    return true;
  }
  const Axis rows = take(axes, axes.rank - 1);  // a run of the result
  const Axis columns = take(axes, static_cast<size_t>(std::find(axes.from, axes.from + axes.rank, 1) - axes.from));
  const Matrix matrix = matrix_of(element_bytes);
  constexpr int64_t kTile = 64;  // columns
  const int64_t tiles = (columns.size + kTile - 1) / kTile;
  const int64_t tile_elements = rows.size * std::min(kTile, columns.size);
  parallel_for(count_of(axes) * tiles, std::max<int64_t>(1, kCheapGrain / tile_elements), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      int64_t source, target;
      locate(axes, i / tiles, source, target);
      const int64_t column = i % tiles * kTile, n = std::min(kTile, columns.size - column);
      matrix(from + (source + column) * element_bytes, rows.from, to + (target + column * columns.to) * element_bytes,
             columns.to, rows.size, n);
    }
  });
  return true;
}

}  // namespace cortland::engine::kernels
