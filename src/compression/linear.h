// Linear quantisation: scales and zero points of a weight's blocks.
#pragma once

#include <memory>

#include "compression/config.h"
#include "tensor/codes.h"
#include "tensor/weight.h"

namespace cortland::compression {

// The code of `weight` (float) whose scales are of `scale_type` (float16 or float32), with `groups` blocks along each axis.
// Starts from the range of each block, as the mode says, and takes the scale near it that gives the least squared error.
// Null when the weight holds infinity or NaN.
std::shared_ptr<const LinearCode> choose_linear_code(const Weight& weight, const std::vector<int64_t>& groups,
                                                     const OpLinearQuantizerConfig& config, DType scale_type);

}  // namespace cortland::compression
