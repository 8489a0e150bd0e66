// Which tensors of a program are positive on the whole, as far as its ops tell.
#pragma once

#include "mil/program.h"

namespace cortland::compression {

// True for what comes out of relu, sigmoid, softmax and their like, gelu and silu among them, whose negative values are
// small; also after ops that move, choose, add up or average such values.
bool is_mostly_positive(const mil::Program& program, mil::Operand operand);

}  // namespace cortland::compression
