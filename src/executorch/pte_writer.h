// Writes a PteProgram as a .pte file: header, program table, then the segments, each source streamed to its place.
// Free functions; the program may be shared by readers while they run.
#pragma once

#include "executorch/program.h"

namespace cortland::executorch {

// Into a fresh file; the caller commits it.
Status write_pte(const PteProgram& program, OutputFile& out);

// The whole file in memory.
Result<std::string> pte_bytes(const PteProgram& program);

}  // namespace cortland::executorch
