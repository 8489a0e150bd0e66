// The passes over MIL, in one list in order.
#pragma once

#include "mil/program.h"

namespace cortland::mil_passes {

Status run_pipeline(mil::Program& program);

// Drops pure ops whose results nobody reads, nested blocks included.
Status remove_dead_ops(mil::Program& program);

}  // namespace cortland::mil_passes
