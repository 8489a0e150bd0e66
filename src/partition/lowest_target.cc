#include "partition/lowest_target.h"

#include <iterator>
#include <optional>

#include "torch/clone.h"

namespace cortland::partition {
namespace {

constexpr mil::Target kTargets[] = {mil::Target::iOS15, mil::Target::iOS16, mil::Target::iOS17, mil::Target::iOS18,
                                    mil::Target::iOS26};
constexpr mil::Target kNewest = std::end(kTargets)[-1];
constexpr int64_t kSmall = 4096;  // elements

Result<Decided> decide_for(mil::Target target, const torch::Graph& graph, PartitionOptions options,
                           const std::shared_ptr<torch_ops::Float16Range>& range) {
  options.target = target;
  torch::Graph copy = torch::clone(graph);
  TRY(auto decision, decide(copy, options, range));
  return Decided{std::move(copy), std::move(decision)};
}

// A quarter more does not count: old op sets spell out small tables. Older forms of compressed weights are larger by half.
bool no_larger(uint64_t bytes, uint64_t than) { return bytes <= than + than / 4 + 4096; }

bool as_good(const Decision& a, const Decision& newest) {
  return a.refused.size() <= newest.refused.size() && no_larger(a.weight_bytes, newest.weight_bytes);
}

// What the weights take in the type that the model computes in; nothing when some are compressed, whose size is up to the
// target.
std::optional<uint64_t> plain_weight_bytes(const torch::Graph& graph, const PartitionOptions& options) {
  uint64_t bytes = 0;
  for (const auto& input : graph.inputs) {
    if (!input.data) continue;
    const DType type = input.data.dtype();
    if (bit_width(type) <= 8 && type != DType::Bool && input.data.elements() > kSmall) return std::nullopt;
    bytes += static_cast<uint64_t>(byte_size(is_float(type) ? options.float_type : type, input.data.elements()));
  }
  return bytes;
}

}  // namespace

Result<LowestTarget> lowest_target(const torch::Graph& graph, const PartitionOptions& options,
                                   const std::shared_ptr<torch_ops::Float16Range>& range) {
  const auto plain_bytes = plain_weight_bytes(graph, options);
  std::optional<Decided> newest;
  for (const mil::Target target : kTargets) {
    if (options.enumerated_shapes.size() > 1 && target < mil::Target::iOS18) continue;
    TRY(Decided decided, decide_for(target, graph, options, range));
    // Most programs are delegated as a whole, their weights as they are: no target does better, so none is asked.
    const bool best =
        decided.decision.refused.empty() && plain_bytes && no_larger(decided.decision.weight_bytes, *plain_bytes);
    if (best) return LowestTarget{target, std::move(decided)};
    if (!newest) {
      TRY(newest.emplace(), decide_for(kNewest, graph, options, range));
    }
    if (as_good(decided.decision, newest->decision)) return LowestTarget{target, std::move(decided)};
  }
  return LowestTarget{kNewest, std::move(*newest)};
}

}  // namespace cortland::partition
