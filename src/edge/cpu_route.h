// How an operator runs where Core ML does not take it, found out from its samples (torch_ops/samples.h) by the choice and
// the decompositions that lowering a model uses. Pure functions; any thread.
#pragma once

#include "torch_ops/samples.h"

namespace cortland::edge {

enum class CpuRoute : uint8_t {
  None,        // nothing runs it, or there are no samples
  Decomposed,  // simpler operators that have kernels
  Kernel,      // an ExecuTorch kernel
};

// The best of its samples.
Result<CpuRoute> find_cpu_route(const torch_ops::TorchOp& op);

}  // namespace cortland::edge
