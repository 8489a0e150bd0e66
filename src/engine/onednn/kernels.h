// The table of oneDNN kernels.
#pragma once

#include "engine/kernel.h"

namespace cortland::engine::onednn {

std::unique_ptr<Kernel> make_conv(const Site& site);
std::unique_ptr<Kernel> make_conv_transpose(const Site& site);
std::unique_ptr<Kernel> make_linear(const Site& site);
std::unique_ptr<Kernel> make_matmul(const Site& site);

inline constexpr KernelRow kKernels[] = {
    {"conv", make_conv},
    {"conv_transpose", make_conv_transpose},
    {"linear", make_linear},
    {"matmul", make_matmul},
};

}  // namespace cortland::engine::onednn
