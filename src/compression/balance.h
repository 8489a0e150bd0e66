// Rounding that keeps the sums of a weight's output channels.
//
// The errors of n elements have either sign, and their sum grows with the root of n. Inputs that are positive on the whole,
// as after a relu, multiply this sum by their mean: an error that no average over the elements takes away. Moving all
// elements of a channel by one small number before the nearest levels are chosen makes the sum vanish. It is the cheapest
// way to: with the sum's Lagrange multiplier the least squares are those of the moved elements, and they grow by about one
// part in n.
#pragma once

#include <memory>

#include "tensor/codes.h"
#include "tensor/weight.h"

namespace cortland::compression {

// The same levels, chosen so that the errors of each index of `axis` add up to about 0. Without zeros: they are stored
// elsewhere. The code as it is where so few elements have an index that moving them costs more than it is worth.
std::shared_ptr<const LinearCode> balanced(const Weight& weight, size_t axis, bool without_zeros, const LinearCode& code);
std::shared_ptr<const TableCode> balanced(const Weight& weight, size_t axis, bool without_zeros, const TableCode& code);

}  // namespace cortland::compression
