// What the lstm and gru kernels share.
#pragma once

#include "engine/gemm/packed_matrix.h"
#include "engine/kernel.h"
#include "mil_ops/recurrent.h"

namespace cortland::engine::gemm {

using Activation = mil_ops::Activation;

// As mil_ops::activate, with the processor's vectors.
void apply(Activation f, float* values, int64_t count);

// The activation that a text operand names; none when it is not one of them or computed.
std::optional<Activation> activation(const Site& site, std::string_view input);

// Whether every operand but x and the initial states is a constant or absent, and those are floats.
bool has_constant_weights(const Site& site);

// A constant vector; empty when it is absent.
std::vector<float> vector(const Site& site, std::string_view input);

// Rows [first, last) of the weight [rows, k], transposed.
PackedMatrix pack_weight(const Site& site, std::string_view input, int64_t first, int64_t last);

}  // namespace cortland::engine::gemm
