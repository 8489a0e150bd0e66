// Which operators compute each element, or along some axes, whatever the number of axes; and how few axes they need to.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "tensor/dim.h"

namespace cortland::torch_passes {

// "aten.add.Tensor" -> "add"; empty for what is not of ATen.
std::string_view base_name(std::string_view target);

// Element by element, with broadcasting: "aten.mul.Tensor".
bool is_pointwise(std::string_view target);
// Takes the axes of its argument `dim` away, or keeps them at 1: "aten.amax.default".
bool is_reduction(std::string_view target);
// Computes along its argument `dim` and keeps the shape: "aten.softmax.int".
bool is_scan(std::string_view target);

// The shapes of an element-wise operator with as few axes as possible: neighbours are one axis where each operand has both
// whole, or both broadcast; axes of one element are gone. Nothing when an operand's size is neither the result's nor 1.
struct Collapsed {
  std::vector<Shape> operands;
  Shape result;
};
std::optional<Collapsed> collapse(DimTable& dims, const std::vector<Shape>& operands, const Shape& result);

}  // namespace cortland::torch_passes
