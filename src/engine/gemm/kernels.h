// The table of kernels for products of matrices, what is built of them, and what decoders read and write beside them: rows
// of tables and of caches.
#pragma once

#include "engine/kernel.h"

namespace cortland::engine::gemm {

std::unique_ptr<Kernel> make_attention(const Site& site);
std::unique_ptr<Kernel> make_conv(const Site& site);
std::unique_ptr<Kernel> make_gather(const Site& site);
std::unique_ptr<Kernel> make_gru(const Site& site);
std::unique_ptr<Kernel> make_linear(const Site& site);
std::unique_ptr<Kernel> make_lstm(const Site& site);
std::unique_ptr<Kernel> make_matmul(const Site& site);
std::unique_ptr<Kernel> make_scatter(const Site& site);
std::unique_ptr<Kernel> make_winograd_conv(const Site& site);

inline constexpr KernelRow kKernels[] = {
    {"conv", make_conv, true},     {"conv", make_winograd_conv, true},
    {"gather", make_gather},       {"gru", make_gru},
    {"linear", make_linear, true}, {"lstm", make_lstm},
    {"matmul", make_matmul, true}, {"scatter", make_scatter},
    {"scaled_dot_product_attention", make_attention},
};

}  // namespace cortland::engine::gemm
