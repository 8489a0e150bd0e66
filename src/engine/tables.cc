#include "engine/kernel.h"

namespace cortland::engine {

std::vector<std::span<const KernelRow>> kernel_tables() { return {}; }

}  // namespace cortland::engine
