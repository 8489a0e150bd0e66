// Where resizing ops read the input: grids of `out` points over an axis of `in` elements. Plain functions.
#pragma once

#include <vector>

#include "mil_ops/arguments.h"

namespace cortland::mil_ops {

enum class Sampling {
  StrictAlignCorners,  // first and last point on the first and last element
  AlignCorners,        // the same, but a single point is in the middle
  Default,             // i * in / out
  OffsetCorners,       // the middles of `out` equal parts of [0, in - 1]
  UnalignCorners,      // the middles of `out` equal parts of the elements' areas
};

template <class Context>
Result<Sampling> sampling_of(const Context& c) {
  constexpr std::string_view kNames[] = {"STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS",
                                         "UNALIGN_CORNERS"};
  const std::string mode = c.str("sampling_mode");
  for (size_t i = 0; i < std::size(kNames); ++i)
    if (kNames[i] == mode) return static_cast<Sampling>(i);
  return c.error(fmt::format("sampling_mode '{}' is none of {}", mode, fmt::join(kNames, ", ")));
}

// Points in [0, in - 1]. `in` need not be whole: crop_resize samples boxes.
std::vector<double> sampling_grid(Sampling mode, double in, int64_t out);

// A point between two neighbours: (1 - fraction) * x[low] + fraction * x[high].
struct Tap {
  int64_t low, high;
  float fraction;
};
std::vector<Tap> taps(const std::vector<double>& points, int64_t size);

// Element points[i].low of `x` along `axis` becomes element i.
mil::Tensor take(const mil::Tensor& x, size_t axis, const std::vector<Tap>& points);
// The same with linear interpolation; `x` is float32.
mil::Tensor interpolate(const mil::Tensor& x, size_t axis, const std::vector<Tap>& points);

}  // namespace cortland::mil_ops
