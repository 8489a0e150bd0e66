#include "edge/cpu_route.h"

#include <algorithm>

#include "edge/kernel_choice.h"
#include "partition/partition.h"
#include "torch_ops/decompose.h"

namespace cortland::edge {
namespace {

constexpr int kMaxNesting = 16;  // decompositions of parts of decompositions

bool runs_in_parts(torch::Graph& graph, torch::NodeId node, int nesting);

bool runs(torch::Graph& graph, torch::NodeId node, int nesting) {
  if (partition::is_symbolic_node(graph, graph.nodes[node])) return true;
  return choose_kernel(graph, graph.nodes[node]).ok() || runs_in_parts(graph, node, nesting + 1);
}

bool runs_in_parts(torch::Graph& graph, torch::NodeId node, int nesting) {
  if (nesting > kMaxNesting) return false;
  const auto parts = torch_ops::decompose_node(graph, node);
  if (!parts.ok() || parts->empty()) return false;
  return std::all_of(parts->begin(), parts->end(), [&](torch::NodeId part) { return runs(graph, part, nesting); });
}

}  // namespace

Result<CpuRoute> find_cpu_route(const torch_ops::TorchOp& op) {
  TRY(auto samples, torch_ops::parse_samples(op));
  CpuRoute best = CpuRoute::None;
  for (torch_ops::Sample& sample : samples) {
    if (choose_kernel(sample.graph, sample.graph.nodes[sample.call]).ok()) return CpuRoute::Kernel;
    if (best == CpuRoute::None && runs_in_parts(sample.graph, sample.call, 0)) best = CpuRoute::Decomposed;
  }
  return best;
}

}  // namespace cortland::edge
