// An option of a lowering as a delegate stores it. A plain value.
#pragma once

#include <string>

namespace cortland::executorch {

struct CompileSpec {
  std::string key, value;
  friend bool operator==(const CompileSpec&, const CompileSpec&) = default;
};

}  // namespace cortland::executorch
