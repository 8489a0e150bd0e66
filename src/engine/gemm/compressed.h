// Packs constant operands in the form in which a program holds them. Used while kernels are made.
#pragma once

#include <optional>

#include "engine/gemm/packed_matrix.h"
#include "engine/kernel.h"

namespace cortland::engine::gemm {

// The constant `input` of two axes as k x n, `transposed` if it lies [n, k]. None when it is compressed in a way
// PackedMatrix cannot hold (then the expanded constant can be packed).
std::optional<PackedMatrix> pack_compressed(const Site& site, std::string_view input, bool transposed);

}  // namespace cortland::engine::gemm
