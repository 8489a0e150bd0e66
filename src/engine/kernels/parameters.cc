#include <optional>

#include "engine/kernels/kernels.h"

namespace cortland::engine::kernels {

std::optional<double> number(const Site& site, std::string_view input) {
  if (!site.has(input)) return site.op.inputs[static_cast<size_t>(site.op.slot(input))].fallback.number;
  if (!site.is_constant(input) || site.tensor(input).elements() != 1) return std::nullopt;
  return double{site.tensor(input).floats()[0]};
}

std::optional<std::vector<float>> vector(const Site& site, std::string_view input, int64_t absent, float fill) {
  if (!site.has(input)) return std::vector<float>(static_cast<size_t>(absent), fill);
  if (!site.is_constant(input)) return std::nullopt;
  return site.tensor(input).floats();
}

std::optional<size_t> axis(const Site& site, std::string_view input, int rank) {
  const auto given = number(site, input);
  if (!given) return std::nullopt;
  const auto at = static_cast<int64_t>(*given);
  if (at < -rank || at >= rank) return std::nullopt;
  return static_cast<size_t>(at < 0 ? at + rank : at);
}

}  // namespace cortland::engine::kernels
