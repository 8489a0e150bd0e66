#include "torch_passes/empty_parts.h"

#include <algorithm>

namespace cortland::torch_passes {

void drop_empty_parts(torch::Graph& graph) {
  const auto empty = [&](const torch::Arg& part) {
    const auto* v = part.as<torch::ValueId>();
    if (!v) return false;
    const Shape& shape = graph.type(*v).shape;
    return std::find(shape.begin(), shape.end(), Dim(0)) != shape.end();
  };
  for (const torch::NodeId id : graph.order) {
    torch::Node& node = graph.nodes[id];
    if (node.target != "aten.cat.default" || node.args.empty()) continue;
    const auto* parts = node.args[0].arg.as<torch::Arg::List>();
    if (!parts || std::all_of(parts->begin(), parts->end(), empty)) continue;
    torch::Arg::List kept = *parts;
    std::erase_if(kept, empty);
    node.args[0].arg = std::move(kept);
  }
}

}  // namespace cortland::torch_passes
