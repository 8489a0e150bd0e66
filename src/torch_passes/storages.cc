#include "torch_passes/storages.h"

#include "torch_passes/views.h"

namespace cortland::torch_passes {

void read_strided_from_owners(torch::Graph& graph) {
  for (const torch::NodeId id : graph.order) {
    torch::Node& node = graph.nodes[id];
    if (node.target != "aten.as_strided.default") continue;
    const torch::Arg* offset = node.find("storage_offset");
    if (!offset || offset->is_none()) continue;  // the view's own is meant, which the program does not say
    const auto* self = node.args[0].arg.as<torch::ValueId>();
    if (!self) continue;
    torch::ValueId owner = *self;
    for (View view = view_of(graph, owner); view.node; view = view_of(graph, owner)) owner = view.source;
    if (owner != *self && is_contiguous(graph, graph.values[owner])) node.args[0].arg = owner;
  }
}

}  // namespace cortland::torch_passes
