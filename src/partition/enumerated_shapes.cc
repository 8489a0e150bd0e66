#include "partition/enumerated_shapes.h"

#include <fmt/format.h>

#include <algorithm>

namespace cortland::partition {
namespace {

using ShapeList = std::vector<std::vector<int64_t>>;

Diagnostic bad(std::string what, std::string help) { return diag(DiagKind::BadOption, "enumerated shapes: " + what, std::move(help)); }

// 0 and 1 are special to torch.export, which then records a least size of 2 for a dimension that may be 1 as well.
bool allowed(DimRange range, int64_t size) { return size >= 1 && size <= range.high && (size >= range.low || (size == 1 && range.low == 2)); }

Status check_input(const torch::Graph& graph, const torch::Value& input, const ShapeList& shapes) {
  const Shape& exported = input.type.shape;
  for (const auto& shape : shapes) {
    const std::string text = fmt::format("[{}]", fmt::join(shape, ", "));
    if (shape.size() != exported.size())
      return bad(fmt::format("{} for '{}' has rank {}, the input has rank {}", text, input.name, shape.size(), exported.size()), "list whole shapes");
    for (size_t i = 0; i < shape.size(); ++i) {
      const DimRange range = graph.dims->range(exported[i]);
      if (allowed(range, shape[i]) && (!exported[i].is_constant() || exported[i] == Dim(shape[i]))) continue;
      return bad(fmt::format("{} for '{}': the export allows {} to {} in dimension {}", text, input.name, range.low, range.high, i),
                 "list shapes within the bounds given to torch.export, or export with wider ones");
    }
  }
  return {};
}

}  // namespace

Status check_enumerated_shapes(const torch::Graph& graph, const PartitionOptions& options) {
  const auto& lists = options.enumerated_shapes;
  if (lists.empty()) return {};
  if (!options.lower_full_graph) return bad("they need the whole graph in one Core ML model", "set lower_full_graph");
  if (lists.size() > 1 && options.target < mil::Target::iOS18)
    return bad(fmt::format("{} inputs have them, {} allows one", lists.size(), mil::target_name(options.target)), "raise the minimum deployment target to iOS18");
  std::vector<std::string> known;
  const size_t count = lists.begin()->second.size();
  for (const auto& input : graph.inputs) {
    if (input.kind != torch::GraphInput::Kind::UserInput || !input.value) continue;
    const torch::Value& value = graph.values[input.value];
    if (value.kind != torch::Value::Kind::Tensor) continue;
    known.push_back(value.name);
    const auto it = lists.find(value.name);
    if (it == lists.end()) {
      if (!value.type.is_static()) return bad(fmt::format("the dynamic input '{}' has none", value.name), "list its shapes too");
      continue;
    }
    if (value.type.is_static()) return bad(fmt::format("the input '{}' has a fixed shape", value.name), "export it with dynamic_shapes, or leave it out");
    if (it->second.empty() || it->second.size() != count)
      return bad(fmt::format("'{}' lists {} shapes, '{}' lists {}", value.name, it->second.size(), lists.begin()->first, count),
                 "list equally many for every input: they are matched by position");
    TRY_DO(check_input(graph, value, it->second));
  }
  for (const auto& [name, shapes] : lists)
    if (std::find(known.begin(), known.end(), name) == known.end())
      return bad(fmt::format("there is no input '{}'", name), fmt::format("the inputs are {}", fmt::join(known, ", ")));
  return {};
}

}  // namespace cortland::partition
