// Magnitude pruning: which elements of a weight to drop.
#pragma once

#include <optional>

#include "compression/config.h"
#include "tensor/codes.h"
#include "tensor/weight.h"

namespace cortland::compression {

Pruning choose_pruning(const Weight& weight, const OpThresholdPrunerConfig& config);

// Nothing when the blocks are longer than half the axis: then pruning does not apply.
std::optional<Pruning> choose_pruning(const Weight& weight, const OpMagnitudePrunerConfig& config);

}  // namespace cortland::compression
