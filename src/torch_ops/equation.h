// The equation of an einsum: which axes of its tensors are the same, and which the result keeps.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace cortland::torch_ops {

// A label for each axis, one character: letters, and for the axes of "..." digits, which are no labels in an equation.
struct Equation {
  std::vector<std::string> terms;
  std::string result;
};

// Of tensors with these ranks. nullopt when the equation does not fit them.
std::optional<Equation> parse_equation(std::string text, const std::vector<int>& ranks);

}  // namespace cortland::torch_ops
