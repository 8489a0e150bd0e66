#include "partition/lowest_target.h"

#include <iterator>

#include "partition/decide.h"
#include "torch/clone.h"

namespace cortland::partition {
namespace {

constexpr mil::Target kTargets[] = {mil::Target::iOS15, mil::Target::iOS16, mil::Target::iOS17, mil::Target::iOS18,
                                    mil::Target::iOS26};
constexpr mil::Target kNewest = std::end(kTargets)[-1];

struct Cost {
  size_t on_cpu = 0;          // operators
  uint64_t weight_bytes = 0;  // of what is delegated
};

Result<Cost> cost_at(mil::Target target, const torch::Graph& graph, PartitionOptions options) {
  options.target = target;
  torch::Graph copy = torch::clone(graph);
  TRY(const Decision decision, decide(copy, options));
  return Cost{decision.refused.size(), decision.weight_bytes};
}

// A quarter more does not count: old op sets spell out small tables. Older forms of compressed weights are larger by half.
bool as_good(const Cost& cost, const Cost& newest) {
  return cost.on_cpu <= newest.on_cpu && cost.weight_bytes <= newest.weight_bytes + newest.weight_bytes / 4 + 4096;
}

}  // namespace

Result<mil::Target> lowest_target(const torch::Graph& graph, const PartitionOptions& options) {
  TRY(const Cost newest, cost_at(kNewest, graph, options));
  for (const mil::Target target : kTargets) {
    if (options.enumerated_shapes.size() > 1 && target < mil::Target::iOS18) continue;
    TRY(const Cost cost, cost_at(target, graph, options));
    if (as_good(cost, newest)) return target;
  }
  return kNewest;
}

}  // namespace cortland::partition
