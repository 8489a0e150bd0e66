// Winograd's F(2x2, 3x3): how tiles of an image become 16 numbers for each channel, and products of those four pixels of the
// result. Channels lie side by side, so each is a lane.
#pragma once

#include "engine/simd/lanes.h"

namespace cortland::engine::simd::CORTLAND_SIMD_SET {

// The rows of B^T d.
inline void to_sums(const F& d0, const F& d1, const F& d2, const F& d3, F (&to)[4]) {
  to[0] = d0 - d2;
  to[1] = d1 + d2;
  to[2] = d2 - d1;
  to[3] = d1 - d3;
}

template <class Load, class Store>
inline void tile_to_sums(Load load_pixel, Store store_sum) {
  F columns[4][4];  // B^T applied down each column of the tile
  for (int x = 0; x < 4; ++x) {
    F down[4];
    to_sums(load_pixel(x), load_pixel(4 + x), load_pixel(8 + x), load_pixel(12 + x), down);
    for (int y = 0; y < 4; ++y) columns[y][x] = down[y];
  }
  for (int y = 0; y < 4; ++y) {
    F across[4];
    to_sums(columns[y][0], columns[y][1], columns[y][2], columns[y][3], across);
    for (int x = 0; x < 4; ++x) store_sum(4 * y + x, across[x]);
  }
}

template <class Load, class Store>
inline void sums_to_tile(Load load_sum, Store store_pixel) {
  F rows[2][4];  // A^T applied down each column of the sums
  for (int x = 0; x < 4; ++x) {
    const F m0 = load_sum(x), m1 = load_sum(4 + x), m2 = load_sum(8 + x), m3 = load_sum(12 + x);
    rows[0][x] = m0 + m1 + m2;
    rows[1][x] = m1 - m2 - m3;
  }
  for (int y = 0; y < 2; ++y) {
    store_pixel(2 * y, rows[y][0] + rows[y][1] + rows[y][2]);
    store_pixel(2 * y + 1, rows[y][1] - rows[y][2] - rows[y][3]);
  }
}

inline void winograd_in(const float* const* pixels, float* sums, int64_t step, int64_t channels) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes)
    tile_to_sums([&](int i) { return load(pixels[i] + c); }, [&](int i, F v) { store(sums + i * step + c, v); });
  const int64_t left = channels - c;
  if (left > 0)
    tile_to_sums([&](int i) { return load_some(pixels[i] + c, left); },
                 [&](int i, F v) { store_some(sums + i * step + c, v, left); });
}

inline void winograd_out(const float* sums, int64_t step, const float* bias, float* const* pixels, int64_t channels) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) {
    const F start = load(bias + c);
    sums_to_tile([&](int i) { return load(sums + i * step + c); }, [&](int i, F v) { store(pixels[i] + c, v + start); });
  }
  const int64_t left = channels - c;
  if (left > 0) {
    const F start = load_some(bias + c, left);
    sums_to_tile([&](int i) { return load_some(sums + i * step + c, left); },
                 [&](int i, F v) { store_some(pixels[i] + c, v + start, left); });
  }
}

}  // namespace cortland::engine::simd::CORTLAND_SIMD_SET
