// The paths of a command line: nothing that a command writes may be what it reads, or what else it writes.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace cortland::cli {

struct NamedPath {
  std::string what;  // "--report"
  std::string path;  // may be empty: not given
};

// Before anything is written.
Status check_output_paths(const std::vector<NamedPath>& outputs, const std::vector<NamedPath>& inputs);

}  // namespace cortland::cli
