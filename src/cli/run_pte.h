// Runs one method of a .pte file in the ExecuTorch runtime.
#pragma once

#include "archive/npy.h"

namespace cortland::cli {

// The named arrays in, "out0", "out1", ... out. `file` is what errors call the arrays.
Result<archive::NamedArrays> run_pte(const std::string& path, const std::string& method, const archive::NamedArrays& arrays,
                                     const std::string& file);

}  // namespace cortland::cli
