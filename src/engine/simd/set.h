// Defines `kFunctions` of namespace CORTLAND_SIMD_SET: the table of all loops for the instruction set of the including file.
#pragma once

#include <utility>

#include "engine/simd/rows.h"
#include "engine/simd/transpose.h"
#include "engine/simd/winograd.h"

namespace cortland::engine::simd::CORTLAND_SIMD_SET {

template <size_t... U, size_t... B, size_t... K>
constexpr Functions make_functions(const char* name, std::index_sequence<U...>, std::index_sequence<B...>,
                                   std::index_sequence<K...>) {
  return {.name = name,
          .unary = {unary<static_cast<Unary>(U)>...},
          .binary = {{binary_each<static_cast<Binary>(B)>, binary_right<static_cast<Binary>(B)>,
                      binary_left<static_cast<Binary>(B)>}...},
          .fold = {{fold_row_to_float<static_cast<Fold>(K)>, fold_columns<static_cast<Fold>(K)>}...},
          .softmax_row = softmax_row,
          .softmax_columns = softmax_columns,
          .moments = moments,
          .normalise = normalise,
          .centre_scale = centre_scale,
          .scale_shift = scale_shift,
          .round_to_f16 = round_to_f16,
          .transpose = transpose,
          .winograd_in = winograd_in,
          .winograd_out = winograd_out};
}

#define CORTLAND_SIMD_NAME(set) #set
#define CORTLAND_SIMD_NAME_OF(set) CORTLAND_SIMD_NAME(set)

extern const Functions kFunctions;
constexpr Functions kFunctions =
    make_functions(CORTLAND_SIMD_NAME_OF(CORTLAND_SIMD_SET), std::make_index_sequence<static_cast<size_t>(Unary::kCount)>(),
                   std::make_index_sequence<static_cast<size_t>(Binary::kCount)>(),
                   std::make_index_sequence<static_cast<size_t>(Fold::kCount)>());

}  // namespace cortland::engine::simd::CORTLAND_SIMD_SET
