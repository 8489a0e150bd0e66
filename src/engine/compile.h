// Chooses how each step of a plan runs: floating-point values become float32, convolutions and what lies between them run with
// channels last, element-wise ops that follow go into the step before, attention reads shared heads once, and each step gets its
// kernel.
#pragma once

#include "engine/engine.h"
#include "engine/plan.h"

namespace cortland::engine {

Status compile(Plan& plan, Precision precision);

}  // namespace cortland::engine
