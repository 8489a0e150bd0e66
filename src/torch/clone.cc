#include "torch/clone.h"

namespace cortland::torch {
namespace {

// Subgraphs use the table of sizes of the graph around them.
Graph clone_with(const Graph& graph, std::shared_ptr<DimTable> sizes) {
  // Named one by one, so that a new member does not compile until it is copied too.
  const auto& [dims, hints, inputs, outputs, order, nodes, values, subgraphs, regions, functional, in_spec, out_spec,
               dialect, version] = graph;
  Graph copy;
  copy.dims = std::move(sizes);
  copy.hints = hints;
  copy.inputs = inputs;
  copy.outputs = outputs;
  copy.order = order;
  copy.nodes = nodes;
  copy.values = values;
  for (const auto& subgraph : subgraphs) {
    auto own = subgraph->dims == dims ? copy.dims : std::make_shared<DimTable>(*subgraph->dims);
    copy.subgraphs.add(std::make_unique<Graph>(clone_with(*subgraph, std::move(own))));
  }
  copy.regions = regions;
  copy.functional = functional;
  copy.in_spec = in_spec;
  copy.out_spec = out_spec;
  copy.dialect = dialect;
  copy.torch_version = version;
  return copy;
}

}  // namespace

Graph clone(const Graph& graph) { return clone_with(graph, std::make_shared<DimTable>(*graph.dims)); }

}  // namespace cortland::torch
