// Palettization: tables of a weight's blocks.
#pragma once

#include <memory>
#include <optional>

#include "compression/config.h"
#include "compression/kmeans.h"
#include "tensor/codes.h"
#include "tensor/weight.h"

namespace cortland::compression {

struct PaletteOptions {
  OpPalettizerConfig::Mode mode = OpPalettizerConfig::Mode::KMeans;
  int bits = 0;                // Unique finds it
  bool three_bits = true;      // whether Unique may choose 3
  int64_t axis = 0;            // the axis that is cut
  int64_t groups = 1;          // into so many blocks, each with a table
  bool without_zeros = false;  // zeros are stored elsewhere and need no entry
};

// The tables of a float weight, their entries of the weight's own type. Null when it holds infinity or NaN, or, for Unique,
// when a block has more than 256 values.
std::shared_ptr<const TableCode> choose_tables(const Weight& weight, const PaletteOptions& options);

// The values of elements [first, first + count). Up to 65536 of them are told apart; of more, neighbours are put together.
// Nothing when one is infinite or NaN.
std::optional<Distribution> distribution_of(const Weight& weight, int64_t first, int64_t count, bool without_zeros);

}  // namespace cortland::compression
