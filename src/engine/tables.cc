#include "engine/gemm/kernels.h"
#include "engine/kernel.h"
#include "engine/kernels/kernels.h"

#ifdef CORTLAND_ONEDNN
#include "engine/onednn/kernels.h"
#endif

namespace cortland::engine {

std::vector<std::span<const KernelRow>> kernel_tables() {
  return {
      gemm::kKernels,
#ifdef CORTLAND_ONEDNN
      onednn::kKernels,
#endif
      kernels::kElementwise,
      kernels::kMovement,
      kernels::kNormalizations,
      kernels::kReductions,
      kernels::kResizes,
  };
}

}  // namespace cortland::engine
