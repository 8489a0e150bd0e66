// Windows that slide over the spatial axes of a tensor [n, C, *D]: what convolutions and pools share. A plain value.
#pragma once

#include <array>
#include <vector>

#include "mil_ops/arguments.h"

namespace cortland::mil_ops {

enum class PadType { Valid, Same, SameLower, Custom };

struct Windows {
  PadType pad_type = PadType::Valid;
  std::vector<int64_t> strides, dilations;
  std::vector<int64_t> pad;  // before and after each axis; zeros unless pad_type is Custom
  bool ceil_mode = false;

  // Extent of a dilated kernel: (K - 1) * dilation + 1.
  Dim extent(DimTable& dims, size_t axis, Dim kernel) const;
  // Output size along a spatial axis, as conv and pool have it.
  Dim out_size(DimTable& dims, size_t axis, Dim in, Dim kernel) const;
  // Padding before the first element, given the output size.
  int64_t before(size_t axis, int64_t in, int64_t kernel, int64_t out) const;
};

// Reads strides, dilations (where the op has them), pad_type, pad and ceil_mode, and checks their lengths and values.
Result<Windows> read_windows(const mil::InferContext& c, size_t spatial);
Result<Windows> read_windows(const mil::EvalContext& c, size_t spatial);

// One spatial axis with everything known.
struct WindowAxis {
  int64_t in = 1, out = 1, kernel = 1, stride = 1, dilation = 1, before = 0, after = 0;

  // Outputs [first, last) whose tap k reads inside the input.
  int64_t first(int64_t k) const { return std::min(out, std::max<int64_t>(0, ceil_div(before - k * dilation))); }
  int64_t last(int64_t k) const { return std::max(first(k), std::min(out, ceil_div(in + before - k * dilation))); }

 private:
  int64_t ceil_div(int64_t a) const { return a >= 0 ? (a + stride - 1) / stride : -(-a / stride); }
};

// Always three axes, the missing leading ones of size 1.
using WindowAxes = std::array<WindowAxis, 3>;
WindowAxes window_axes(const Windows& windows, const std::vector<int64_t>& in, const std::vector<int64_t>& kernel,
                       const std::vector<int64_t>& out);

}  // namespace cortland::mil_ops
