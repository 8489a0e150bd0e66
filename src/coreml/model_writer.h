// The Model message of a program: description, functions, blocks, ops, with large constants planned into weight.bin.
// Internal to this folder.
#pragma once

#include "coreml/package_writer.h"

namespace cortland::coreml {

// The same functions give the same bytes.
Result<std::string> write_model(std::span<const PackageFunction> functions, const WriteOptions& options, WeightPlan& weights,
                                std::vector<FunctionInterface>& interfaces);

}  // namespace cortland::coreml
