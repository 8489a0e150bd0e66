// Weights among the data of a .pte program. Free functions.
#pragma once

#include "executorch/program.h"
#include "tensor/weight.h"

namespace cortland::edge {

// The index of `weight` in `list`, added unless an equal one is there; streamed when the program is written.
int32_t store_weight(const Weight& weight, std::vector<executorch::Data>& list);

}  // namespace cortland::edge
