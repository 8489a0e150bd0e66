// The library's methods as the driver takes them, for the command line and the Python module. Not installed.
#pragma once

#include "cortland/cortland.h"
#include "driver/driver.h"

namespace cortland {

// BadOption and ToolMissing, as lowering says.
Result<driver::LowerOptions> lower_options(const CoreMLPartitioner& partitioner);

// As to_edge_transform_and_lower(), with methods that return constants beside.
Result<EdgeProgram> lower_methods(const std::vector<Method>& methods, std::vector<edge::ConstantMethod> constants);

}  // namespace cortland
