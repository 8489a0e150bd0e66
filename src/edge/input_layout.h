// How inputs lie in memory. A .pte says it with a dim_order, and callers pass their tensors as it says: ExecuTorch takes row-major
// tensors and those with channels last, and records for an input what its example was. Free functions; any thread.
#pragma once

#include <vector>

#include "partition/partition.h"

namespace cortland::edge {

// The dimensions from the outermost to the innermost, {0, 2, 3, 1} for images, when the example input had its channels last. Empty
// for all others: row by row is what a caller passes who cannot pass the example's strides.
std::vector<uint8_t> channels_last_order(const torch::Graph& graph, torch::ValueId input);

// Whether something else than delegates reads the elements of an input.
bool is_read_by_kernels(const partition::PartitionedGraph& g, torch::ValueId input);

}  // namespace cortland::edge
