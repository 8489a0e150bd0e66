// The table of oneDNN kernels.
#pragma once

#include "engine/kernel.h"

namespace cortland::engine::onednn {

std::unique_ptr<Kernel> make_conv(const Site& site);
std::unique_ptr<Kernel> make_conv_transpose(const Site& site);
std::unique_ptr<Kernel> make_linear(const Site& site);
std::unique_ptr<Kernel> make_matmul(const Site& site);
std::unique_ptr<Kernel> make_avg_pool(const Site& site);
std::unique_ptr<Kernel> make_max_pool(const Site& site);

inline constexpr KernelRow kKernels[] = {
    {"avg_pool", make_avg_pool, true},
    {"conv", make_conv, true},
    {"conv_transpose", make_conv_transpose, true},
    {"linear", make_linear, true},
    {"matmul", make_matmul, true},
    {"max_pool", make_max_pool, true},
};

}  // namespace cortland::engine::onednn
