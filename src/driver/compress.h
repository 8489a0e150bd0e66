// Compressing the weights of Core ML programs as the options of their lowering say.
#pragma once

#include <span>

#include "driver/driver.h"

namespace cortland::driver {

// Adds what was done, and what it warns of, to the report.
Status compress(std::span<mil::Program* const> programs, const LowerOptions& options, MethodReport& report);

}  // namespace cortland::driver
