// Compile specs as options of a lowering. Free functions over plain values; any thread.
#pragma once

#include <span>
#include <string_view>

#include "driver/driver.h"

namespace cortland::driver {

// Our own keys, beside ExecuTorch's.
inline constexpr std::string_view kCompressionConfig = "compression_config";  // a configuration file of compression/config.h
inline constexpr std::string_view kFloat32Ops = "float32_ops";                // operators and nodes, separated by commas

// Sets target, precision and compute unit, and has the specs stored as they are. A spec that asks for something that cannot
// be done here is an error that names it; keys that nobody defined are stored and not looked at.
Status apply_compile_specs(std::span<const executorch::CompileSpec> specs, LowerOptions& options);

}  // namespace cortland::driver
