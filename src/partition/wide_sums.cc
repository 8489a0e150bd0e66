#include "partition/wide_sums.h"

#include <unordered_set>

namespace cortland::partition {
namespace {

// Keeps the numbers as they are.
bool passes_on(const torch::Graph& graph, const torch::Node& node) {
  if (node.results.empty() || !node.results[0]) return false;
  return is_integer(graph.type(node.results[0]).dtype) || node.target.starts_with("aten.to.") ||
         node.target == "aten._to_copy.default" || node.target == "aten.reshape.default" ||
         node.target.starts_with("aten.view");
}

}  // namespace

std::vector<torch::NodeId> scales_of_integer_products(const torch::Graph& graph) {
  std::vector<torch::NodeId> scales;
  std::unordered_set<torch::ValueId> wide;
  for (const torch::NodeId id : graph.order) {
    const torch::Node& node = graph.nodes[id];
    bool reads = node.target == "aten._int_mm.default";
    for (const auto& a : node.args) for_each_value(a.arg, [&](torch::ValueId v) { reads = reads || wide.contains(v); });
    if (!reads) continue;
    if (passes_on(graph, node)) wide.insert(node.results.begin(), node.results.end());
    else scales.push_back(id);
  }
  return scales;
}

}  // namespace cortland::partition
