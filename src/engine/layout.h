// Running steps with channels last: which ops can, and what becomes of their operands that speak of axes.
#pragma once

#include <optional>
#include <string_view>

#include "engine/plan.h"

namespace cortland::engine {

enum class LayoutRule {
  None,         // row by row only
  Native,       // gains from channels last; its kernel must know the layout
  Elementwise,  // operands broadcast together
  Axis,         // along its operand `axis`
  Axes,         // over its operand `axes`
  Transpose,
};

LayoutRule layout_rule(std::string_view op);

// Where axis `axis` of a tensor of that rank lies with channels last.
int64_t axis_channels_last(int64_t axis, int64_t rank);

}  // namespace cortland::engine
