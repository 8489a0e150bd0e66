// Index operands of the gather and scatter families. Before iOS17 an index may count from the end; later definitions leave
// that, like every index out of bounds, undefined, and the kernels here refuse it.
#pragma once

#include "mil_ops/arguments.h"

namespace cortland::mil_ops {

// All indices in [0, size), or an error that names the first that is not.
Result<std::vector<int64_t>> checked_indices(const mil::EvalContext& c, std::string_view input, int64_t size);

// Rows of `depth` coordinates as flat positions in blocks: coordinate i counts shape[first + i].
Result<std::vector<int64_t>> checked_positions(const mil::EvalContext& c, std::string_view input,
                                               const std::vector<int64_t>& shape, size_t first, size_t depth);

// Length of the coordinate rows of a *_nd op: the last size of 'indices', which must be static.
template <class Context>
Result<size_t> index_depth(const Context& c, size_t room) {
  const Shape indices = shape_of_input(c, "indices");
  if (indices.empty()) return c.error("'indices' has rank 0, expected at least 1");
  if (!indices.back().is_constant()) return c.error("the last size of 'indices' must be static");
  const int64_t depth = indices.back().constant();
  if (depth > static_cast<int64_t>(room))
    return c.error(fmt::format("{} coordinates index a tensor with {} axes left", depth, room));
  return static_cast<size_t>(depth);
}

}  // namespace cortland::mil_ops
