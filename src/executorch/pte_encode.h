// The program table of a .pte as a flatbuffer. Internal to the writer.
#pragma once

#include "executorch/pte_layout.h"

namespace cortland::executorch {

// The finished buffer, identifier included, without the extended header.
std::string encode_program(const PteProgram& program, const PteLayout& layout);

}  // namespace cortland::executorch
