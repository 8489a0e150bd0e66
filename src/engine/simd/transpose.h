// Transposing elements of four bytes, in blocks of 4 x 4 that stay in registers.
#pragma once

#include <cstdint>
#include <cstring>

namespace cortland::engine::simd::CORTLAND_SIMD_SET {

using Word4 = uint32_t __attribute__((vector_size(16)));

// Of fewer rows than 4, what stands for the others is written too.
template <int64_t kRows = 4>
inline void transpose_4x4(const uint32_t* from, int64_t from_row, uint32_t* to, int64_t to_row) {
  Word4 r[4] = {};
  for (int64_t i = 0; i < kRows; ++i) std::memcpy(&r[i], from + i * from_row, sizeof r[i]);
  const Word4 a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5), b = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
  const Word4 c = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7), d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
  r[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
  r[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
  r[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
  r[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
  for (int64_t i = 0; i < 4; ++i) std::memcpy(to + i * to_row, &r[i], sizeof r[i]);
}

// Strips of 16 source rows: each cache line of `to` is filled in one go.
inline void transpose(const uint32_t* from, int64_t from_row, uint32_t* to, int64_t to_row, int64_t rows, int64_t columns) {
  constexpr int64_t kStrip = 16;
  const int64_t whole = columns / 4 * 4;
  int64_t done = 0;
  if (rows == 3 && to_row == 3)  // an image: each block writes one element too many, and the next one puts it right
    for (; done + 4 < columns; done += 4) transpose_4x4<3>(from + done, from_row, to + 3 * done, 3);
  for (int64_t first = 0; first < rows; first += kStrip) {
    const int64_t last = rows - first < kStrip ? rows : first + kStrip, blocks = first + (last - first) / 4 * 4;
    for (int64_t c = 0; c < whole; c += 4)
      for (int64_t r = first; r < blocks; r += 4)
        transpose_4x4(from + r * from_row + c, from_row, to + c * to_row + r, to_row);
    for (int64_t c = whole; c < columns; ++c)
      for (int64_t r = first; r < blocks; ++r) to[c * to_row + r] = from[r * from_row + c];
    for (int64_t c = done; c < columns; ++c)
      for (int64_t r = blocks; r < last; ++r) to[c * to_row + r] = from[r * from_row + c];
  }
}

}  // namespace cortland::engine::simd::CORTLAND_SIMD_SET
