#include "driver/edge_flow.h"

#include "driver/compress.h"
#include "partition/lowest_target.h"
#include "torch/clone.h"
#include "torch_passes/functionalize.h"
#include "torch_passes/high_rank.h"
#include "torch_passes/share_weights.h"

namespace cortland::driver {
namespace {

Result<mil::Target> choose_target(const torch::Graph& graph, const LowerOptions& options) {
  if (options.target) return *options.target;
  TRY(auto functional, torch_passes::functionalize(torch::clone(graph)));
  torch_passes::reduce_high_ranks(functional);
  TRY(const auto lowest, partition::lowest_target(functional, options.partition));
  return options.compression ? std::max(lowest.target, mil::Target::iOS16) : lowest.target;  // iOS15 has no compressed weights
}

}  // namespace

Result<TargetedSurvey> survey(const torch::Pt2Source& pt2, const LowerOptions& options, const std::vector<size_t>& outside) {
  partition::PartitionOptions partition = options.partition;
  TRY(auto graph, torch::read_pt2(pt2));
  for (const size_t i : outside) partition.cpu_nodes.insert(graph.nodes[graph.order.at(i)].name);
  TRY(partition.target, choose_target(graph, options));
  TRY(auto found, partition::survey(std::move(graph), partition));
  return TargetedSurvey{std::move(found), partition.target};
}

Result<EdgeDelegates> lower_delegates(const std::vector<EdgeMethod>& methods) {
  EdgeDelegates lowered;
  WeightSet weights;
  for (const auto& method : methods) {
    auto& delegates = lowered.delegates.emplace_back();
    for (const auto& part : method.parts) {
      TRY(auto graph, torch::read_pt2(part));
      if (methods.size() > 1) torch_passes::share_weights(graph, weights);
      partition::PartitionOptions options = method.options.partition;
      if (method.options.target) options.target = *method.options.target;
      TRY(auto whole, partition::whole_delegate(std::move(graph), options));
      MethodReport report;
      mil::Program* const programs[] = {&whole.delegates[0].program};
      TRY_DO(compress(programs, method.options, report));
      delegates.push_back(std::move(whole.delegates[0]));
      whole.delegates.clear();
      lowered.graphs.push_back(std::make_unique<const partition::PartitionedGraph>(std::move(whole)));
    }
  }
  std::vector<MethodDelegates> all;
  for (size_t i = 0; i < methods.size(); ++i)
    all.push_back({methods[i].name, lowered.delegates[i], {}, methods[i].options.weight_sharing, methods[i].options.model_type});
  TRY(lowered.bytes, delegate_bytes(all));
  return lowered;
}

}  // namespace cortland::driver
