// The table of kernels for products with constant matrices and what is built of them.
#pragma once

#include "engine/kernel.h"

namespace cortland::engine::gemm {

std::unique_ptr<Kernel> make_linear(const Site& site);
std::unique_ptr<Kernel> make_matmul(const Site& site);

inline constexpr KernelRow kKernels[] = {
    {"linear", make_linear},
    {"matmul", make_matmul},
};

}  // namespace cortland::engine::gemm
