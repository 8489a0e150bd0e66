#include "edge/input_layout.h"

#include <algorithm>
#include <numeric>

namespace cortland::edge {

std::vector<uint8_t> channels_last_order(const torch::Graph& graph, torch::ValueId input) {
  const torch::Value& value = graph.values[input];
  const int rank = value.type.rank();
  if ((rank != 4 && rank != 5) || static_cast<int>(value.strides.size()) != rank) return {};
  std::vector<int64_t> strides;
  for (const Dim stride : value.strides) {
    const auto traced = graph.dims->eval(stride, graph.hints);
    if (!traced.ok()) return {};
    strides.push_back(*traced);
  }
  std::vector<uint8_t> order(strides.size()), expected(strides.size());
  std::iota(order.begin(), order.end(), uint8_t{0});
  expected = order;
  std::rotate(expected.begin() + 1, expected.begin() + 2, expected.end());
  std::ranges::stable_sort(order, std::ranges::greater(), [&](uint8_t axis) { return strides[axis]; });
  if (order != expected) return {};
  // One channel, or one pixel: both orders are the same memory.
  const Shape& shape = value.type.shape;
  const bool one_pixel = std::all_of(shape.begin() + 2, shape.end(), [](Dim d) { return d == Dim(1); });
  return one_pixel || shape[1] == Dim(1) ? std::vector<uint8_t>{} : order;
}

bool is_read_by_kernels(const partition::PartitionedGraph& g, torch::ValueId input) {
  bool read = false;
  const auto look = [&](torch::ValueId v) { read = read || v == input; };
  for (const auto& step : g.steps) {
    const auto* node = std::get_if<torch::NodeId>(&step.what);
    if (!node || partition::is_symbolic_node(g.graph, g.graph.nodes[*node])) continue;
    for (const auto& given : g.graph.nodes[*node].args) for_each_value(given.arg, look);
  }
  for (const auto& output : g.graph.outputs) for_each_value(output.value, look);
  return read;
}

}  // namespace cortland::edge
