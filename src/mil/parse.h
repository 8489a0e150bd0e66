// Reads the text form of a program (mil/text.h) back: print(parse(text)) is text again. For tests, and for looking at what a
// change to a listing would do.
#pragma once

#include <string_view>

#include "mil/program.h"

namespace cortland::mil {

// Which descriptor an op's name stands for at a target; null when there is none. mil_ops::find is one.
using FindOp = const MilOp* (*)(std::string_view name, Target target);

// DiagKind::BadMil with line and column on anything that print() does not write, and on constants that a listing shows only
// by their size.
Result<Program> parse(std::string_view text, FindOp find);

}  // namespace cortland::mil
