#include "executorch/enumerated_shapes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace cortland::executorch {
namespace {

Diagnostic wrong(std::string what) {
  return diag(DiagKind::BadOption, "enumerated shapes: " + what,
              "list for each dynamic input the shapes it may take, equally many each");
}

std::string text(const std::vector<int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

Status check_lists(std::span<const InputShape> inputs, const ShapeLists& lists) {
  if (lists.empty()) return wrong("none are given");
  for (const auto& [name, shapes] : lists) {
    const auto named = [&name = name](const InputShape& input) { return input.name == name; };
    if (std::ranges::any_of(inputs, named)) continue;
    std::vector<std::string_view> names;
    for (const auto& input : inputs) names.push_back(input.name);
    return wrong(fmt::format("the program has no tensor input '{}'; its inputs are {}", name, fmt::join(names, ", ")));
  }
  const auto& [first, shapes] = *lists.begin();
  for (const auto& [name, other] : lists)
    if (other.size() != shapes.size())
      return wrong(
          fmt::format("the lists differ in length: '{}' has {}, '{}' has {}", first, shapes.size(), name, other.size()));
  if (shapes.empty() || (lists.size() > 1 && shapes.size() == 1))
    return wrong("several inputs need two shapes or more each, one input needs at least one");
  return {};
}

Status check_dim(const std::string& input, const std::vector<int64_t>& shape, size_t i, const ShapeDim& dim) {
  const int64_t size = shape[i];
  const auto where = [&] { return fmt::format("{} of input '{}'", text(shape), input); };
  if (size < 1) return wrong(fmt::format("{}: a dimension is a whole number from 1 on, not {}", where(), size));
  if (const auto* fixed = std::get_if<int64_t>(&dim)) {
    if (size == *fixed) return {};
    return wrong(fmt::format("{}: dimension {} is {} in the export, not {}", where(), i, *fixed, size));
  }
  const auto& [symbol, low, high] = std::get<SymbolicDim>(dim);
  // torch assumes 2 or more of a dimension that is not said to be 1, so 1 is no contradiction.
  if (size >= (low == 2 ? 1 : low.value_or(1)) && size <= high.value_or(size)) return {};
  return wrong(fmt::format("{}: dimension {} is {}, but the export allows {} to {}", where(), i, size, low.value_or(0),
                           high ? fmt::format("{}", *high) : "any size"));
}

Status check_shapes(const InputShape& input, const std::vector<std::vector<int64_t>>& shapes) {
  for (const auto& shape : shapes) {
    if (shape.size() != input.shape.size())
      return wrong(fmt::format("{} has rank {}, but input '{}' has rank {}", text(shape), shape.size(), input.name,
                               input.shape.size()));
    for (size_t i = 0; i < shape.size(); ++i) TRY_DO(check_dim(input.name, shape, i, input.shape[i]));
  }
  return {};
}

bool is_fixed(const ShapeDim& dim) { return std::holds_alternative<int64_t>(dim); }

}  // namespace

Result<CompileSpec> enumerated_shapes_spec(std::span<const InputShape> inputs, const ShapeLists& lists) {
  TRY_DO(check_lists(inputs, lists));
  CompileOptions options;
  auto& entries = options.enumerated_shapes.emplace();
  for (const InputShape& input : inputs) {
    const auto listed = lists.find(input.name);
    if (std::ranges::all_of(input.shape, is_fixed)) {
      if (listed == lists.end()) continue;
      return wrong(
          fmt::format("input '{}' has a fixed shape; export it with dynamic dimensions, or leave it out", input.name));
    }
    if (listed == lists.end())
      return wrong(fmt::format("input '{}' has dynamic dimensions, but no shapes are listed for it", input.name));
    TRY_DO(check_shapes(input, listed->second));
    const auto same = std::ranges::find(entries, input.shape, &EnumeratedShape::shape);
    if (same == entries.end()) {
      entries.push_back({input.shape, listed->second, {input.name}});
      continue;
    }
    if (same->shapes != listed->second)
      return wrong(fmt::format("inputs '{}' and '{}' share their symbolic shape, but not their list of shapes",
                               same->inputs[0], input.name));
    same->inputs.push_back(input.name);
  }
  TRY(auto specs, generate_compile_specs(options));
  return std::move(specs.back());
}

}  // namespace cortland::executorch
