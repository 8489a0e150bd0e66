// Turns a program's constants into run-time values. Bytes that already lie dense in a mapped file are viewed, not copied.
#pragma once

#include "mil/program.h"
#include "mil/runtime.h"

namespace cortland::engine {

Result<mil::RuntimeValue> materialise(const mil::Const& constant);

}  // namespace cortland::engine
