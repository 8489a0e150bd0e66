#include "partition/support.h"

#include "partition/decide.h"

namespace cortland::partition {
namespace {

constexpr mil::Target kTargets[] = {mil::Target::iOS15, mil::Target::iOS16, mil::Target::iOS17, mil::Target::iOS18};

template <class Key>
void lower_to(std::map<Key, mil::Target>& map, Key key, mil::Target target) {
  const auto [it, inserted] = map.emplace(key, target);
  it->second = std::min(it->second, target);
}

void record(OpSupport& support, const torch_ops::Sample& sample, mil::Target target) {
  support.since = std::min(support.since.value_or(target), target);
  lower_to(support.types, sample.dtype, target);
  lower_to(support.ranks, sample.rank, target);
  if (sample.dynamic) support.dynamic = true;
}

}  // namespace

Result<std::vector<Diagnostic>> refusals(torch_ops::Sample& sample, const PartitionOptions& options) {
  TRY(const Decision decision, decide(sample.graph, options));
  std::vector<Diagnostic> found;
  for (const torch::NodeId id : sample.graph.order)
    if (const auto it = decision.refused.find(id); it != decision.refused.end()) found.push_back(it->second);
  return found;
}

Result<OpSupport> find_support(const torch_ops::TorchOp& op) {
  OpSupport support;
  std::vector<bool> done;
  for (const mil::Target target : kTargets) {
    // Lowering changes the graphs, so each target gets its own.
    TRY(auto samples, torch_ops::parse_samples(op));
    done.resize(samples.size());
    for (size_t i = 0; i < samples.size(); ++i) {
      if (done[i]) continue;
      support.checked = true;
      TRY(const auto why, refusals(samples[i], {.target = target}));
      done[i] = why.empty();
      if (why.empty()) {
        record(support, samples[i], target);
      } else if (target == kTargets[3]) {
        support.refuses.insert(why[0].kind);
        if (samples[i].dynamic && !support.dynamic) support.dynamic = false;
      }
    }
  }
  return support;
}

}  // namespace cortland::partition
