// The place in the user's model that a node comes from, out of the Python traceback that torch records with it.
#pragma once

#include <string_view>

#include "torch/graph.h"

namespace cortland::torch {

// The innermost frame outside of torch itself; empty when there is none. Text of the file is made safe for printing.
SourceLoc source_of(std::string_view stack_trace);

}  // namespace cortland::torch
