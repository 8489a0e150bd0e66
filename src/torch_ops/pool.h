// Windows over spatial axes, as the pooling families describe them. Plain values and functions.
#pragma once

#include "torch_ops/lowering.h"

namespace cortland::torch_ops {

// For each spatial axis the input positions that each output looks at: positions[axis][output][tap]. Windows of one axis have
// equally many taps; shorter ones repeat their first position.
using WindowPositions = std::vector<std::vector<std::vector<int64_t>>>;

struct MaxPooled {
  Operand values, indices;  // `indices` is empty unless wanted: the first greatest element, counted in the flattened plane
};

// The largest element of each window of x, whose last axes are the spatial ones and have static sizes.
Result<MaxPooled> window_maxima(Lowering& in, Operand x, const WindowPositions& positions, bool with_indices);

}  // namespace cortland::torch_ops
