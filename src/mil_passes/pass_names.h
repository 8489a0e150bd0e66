// The names a list of passes may hold: those of coremltools 9.0, so that a list made for it works here. Free functions; any
// thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cortland::mil_passes {

// What a name that the pipeline has no pass for stands for.
enum class PassRole : uint8_t {
  Rewrite,      // coremltools rewrites programs in it, this version does not
  Unnecessary,  // its work is done when a program is lowered or written, whether it is named or not
  Elsewhere,    // for other frontends and backends, or without effect unless it is given options
};

struct PassName {
  std::string_view name;
  PassRole role;
};

// Every name of coremltools' registry, sorted.
std::span<const PassName> pass_names();

// Fails on the first name that is neither coremltools' nor in the pipeline, and names those that look like it.
Status check_pass_names(std::span<const std::string> names);

// Of valid names, those of rewrites that coremltools has and the pipeline lacks, each once.
std::vector<std::string> missing_passes(std::span<const std::string> names);

}  // namespace cortland::mil_passes
