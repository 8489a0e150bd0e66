// The Model message of a program: description, functions, blocks, ops, with large constants planned into weight.bin.
// Internal to this folder.
#pragma once

#include "coreml/package_writer.h"

namespace cortland::coreml {

// The same program gives the same bytes.
Result<std::string> write_model(const mil::Program& program, const WriteOptions& options, WeightPlan& weights,
                                std::vector<FunctionInterface>& interfaces);

}  // namespace cortland::coreml
