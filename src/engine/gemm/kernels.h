// The table of kernels for products of matrices and what is built of them.
#pragma once

#include "engine/kernel.h"

namespace cortland::engine::gemm {

std::unique_ptr<Kernel> make_attention(const Site& site);
std::unique_ptr<Kernel> make_gru(const Site& site);
std::unique_ptr<Kernel> make_linear(const Site& site);
std::unique_ptr<Kernel> make_lstm(const Site& site);
std::unique_ptr<Kernel> make_matmul(const Site& site);

inline constexpr KernelRow kKernels[] = {
    {"gru", make_gru},
    {"linear", make_linear},
    {"lstm", make_lstm},
    {"matmul", make_matmul},
    {"scaled_dot_product_attention", make_attention},
};

}  // namespace cortland::engine::gemm
