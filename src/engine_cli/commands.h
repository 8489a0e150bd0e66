// The commands of cortland-engine.
#pragma once

#include "cli/command.h"

namespace cortland::engine_cli {

extern const cli::Command kRun, kBench, kCheckPasses;

}  // namespace cortland::engine_cli
