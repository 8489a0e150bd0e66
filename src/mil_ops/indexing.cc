#include "mil_ops/indexing.h"

namespace cortland::mil_ops {
namespace {

Result<int64_t> checked(const mil::EvalContext& c, int64_t index, int64_t size) {
  const bool from_end = c.def.since < mil::Target::iOS17;
  if (index >= 0 && index < size) return index;
  if (from_end && index < 0 && index >= -size) return index + size;
  return c.error(fmt::format("index {} is out of bounds for size {}", index, size));
}

}  // namespace

Result<std::vector<int64_t>> checked_indices(const mil::EvalContext& c, std::string_view input, int64_t size) {
  auto indices = c.ints(input);
  for (int64_t& i : indices) {
    TRY(i, checked(c, i, size));
  }
  return indices;
}

Result<std::vector<int64_t>> checked_positions(const mil::EvalContext& c, std::string_view input,
                                               const std::vector<int64_t>& shape, size_t first, size_t depth) {
  const auto indices = c.ints(input);
  const auto& dims = c.tensor(input).shape;
  std::vector<int64_t> positions(static_cast<size_t>(product(dims, 0, dims.size() - 1)), 0);
  for (size_t row = 0; row < positions.size(); ++row) {
    for (size_t k = 0; k < depth; ++k) {
      TRY(const int64_t i, checked(c, indices[row * depth + k], shape[first + k]));
      positions[row] = positions[row] * shape[first + k] + i;
    }
  }
  return positions;
}

}  // namespace cortland::mil_ops
