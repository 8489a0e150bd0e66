// How operators look at the axes of their tensors: which of them they tell apart. Free functions; any thread.
#pragma once

#include <optional>
#include <string_view>

#include "torch/graph.h"

namespace cortland::torch_passes {

enum class AxisKind {
  Reshape,    // the same elements in order
  Permute,    // axes in another order
  Expand,     // repeats axes of one element
  Repeat,     // tiles
  Pointwise,  // element by element, with broadcasting
  Fill,       // a new tensor of a given size
  Reduce,     // takes the axes of `dim` away
  OneAxis,    // along the axis `dim`, or `dimension`
  EachAxis,   // along the axes `dims`, one after the other
  Join,       // tensors along the axis `dim`
  Trailing,   // the last axes, the same for all that stand before them
};

// Nothing for an operator that is not in the lists.
std::optional<AxisKind> axis_kind(std::string_view target);

// Trailing: how many axes the node computes on; nothing when its arguments do not say.
std::optional<size_t> trailing_axes(const torch::Node& node);

}  // namespace cortland::torch_passes
