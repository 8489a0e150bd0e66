// Writes a PteProgram as a .pte file: header, program table, then the segments, each source streamed to its place.
// Free functions; the program may be shared by readers while they run.
#pragma once

#include "executorch/program.h"

namespace cortland::executorch {

// Into a fresh file; the caller commits it.
Status write_pte(const PteProgram& program, OutputFile& out);

// Into memory of its size, which `allocate` gives and has filled with zeros.
Status write_pte(const PteProgram& program, const std::function<std::span<std::byte>(uint64_t size)>& allocate);

// The whole file in memory.
Result<std::string> pte_bytes(const PteProgram& program);

}  // namespace cortland::executorch
