// The calls that operators' samples stand for, as JSON, for programs that want to make the same calls in torch.
#pragma once

#include "base/result.h"

namespace cortland::cli {

// Prints an array of {"op", "text", "args", "results", "since", "refused", "undetermined", "dynamic"}. Argument values are
// JSON's own but for {"tensor": {"dtype", "shape", "low", "high" | "values", "constant"}}, {"symbol", "size"}, {"dtype"},
// {"memory_format"},
// {"layout"} and {"float": "inf"}. A result that is not used is null.
Status list_samples();

}  // namespace cortland::cli
