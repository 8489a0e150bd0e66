// The tables of kernels built on simd/. Each reads float32 and writes float32 (ops that only move elements: any type), keeps
// what its constant parameters say, and leaves what it does not know, errors too, to the op's reference kernel.
#pragma once

#include <optional>

#include "engine/kernel.h"

namespace cortland::engine::kernels {

extern const std::span<const KernelRow> kElementwise, kMovement, kNormalizations, kReductions, kResizes;

// --- for the kernels themselves

inline bool is_engine_float(DType t) { return t == DType::F16 || t == DType::F32; }
inline bool has_floats(const Site& site, std::string_view input) { return is_engine_float(site.type(input).dtype()); }

// The operand in float32.
inline mil::Tensor floats(const mil::EvalContext& c, std::string_view input) { return c.tensor(input).cast(DType::F32); }
inline Status finish(mil::EvalContext& c, mil::Tensor out) {
  c.set_output(0, out.cast(c.result_types[0].dtype()));
  return {};
}

// A constant of one element, or the descriptor's default; nothing when it is computed.
std::optional<double> number(const Site& site, std::string_view input);
// A constant vector in float32, or `absent` times `fill`; nothing when it is computed.
std::optional<std::vector<float>> vector(const Site& site, std::string_view input, int64_t absent, float fill);
// A constant axis in [0, rank); nothing when it is computed or outside.
std::optional<size_t> axis(const Site& site, std::string_view input, int rank);

}  // namespace cortland::engine::kernels
