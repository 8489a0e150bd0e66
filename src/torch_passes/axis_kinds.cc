#include "torch_passes/axis_kinds.h"

#include <unordered_map>

#include "torch_passes/axes.h"
#include "torch_passes/collapse.h"

namespace cortland::torch_passes {
namespace {

using Kind = AxisKind;

// By the name without overload: all overloads look at axes in the same way.
std::unordered_map<std::string_view, Kind> kinds_by_name() {
  std::unordered_map<std::string_view, Kind> kinds;
  const auto are = [&](Kind kind, std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) kinds.emplace(name, kind);
  };
  are(Kind::Reshape, {"view", "_unsafe_view", "reshape", "reshape_as", "view_as", "flatten", "unflatten", "squeeze",
                      "unsqueeze", "clone", "contiguous", "alias", "detach"});
  are(Kind::Permute, {"permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis"});
  are(Kind::Expand, {"expand", "expand_as", "broadcast_to"});
  are(Kind::Repeat, {"repeat"});
  are(Kind::Pointwise, {"zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like"});
  are(Kind::Fill, {"zeros", "ones", "full", "empty", "rand", "randn"});
  are(Kind::OneAxis, {"slice", "narrow", "select", "split", "split_with_sizes", "chunk", "unbind", "unfold", "glu", "sort",
                      "argsort", "topk", "index_select", "gather", "scatter", "scatter_add"});
  are(Kind::EachAxis, {"roll", "flip"});
  are(Kind::Join, {"cat", "concat", "concatenate", "stack"});
  are(Kind::Trailing,
      {"linear", "layer_norm", "native_layer_norm", "rms_norm", "constant_pad_nd", "one_hot", "tril", "triu"});
  return kinds;
}

}  // namespace

std::optional<AxisKind> axis_kind(std::string_view target) {
  if (target == "aten.view.dtype") return std::nullopt;  // other elements, not another shape
  if (is_pointwise(target)) return Kind::Pointwise;
  if (is_reduction(target)) return Kind::Reduce;
  if (is_scan(target)) return Kind::OneAxis;
  static const auto kinds = kinds_by_name();
  std::string_view name = base_name(target);
  if (name.ends_with("_copy")) name.remove_suffix(5);  // views in the edge dialect
  const auto it = kinds.find(name);
  return it == kinds.end() ? std::nullopt : std::optional(it->second);
}

std::optional<size_t> trailing_axes(const torch::Node& node) {
  const std::string_view name = base_name(node.target);
  if (name == "one_hot") return 0;
  if (name == "linear") return 1;
  if (name == "tril" || name == "triu") return 2;
  if (name == "constant_pad_nd") return integers(argument(node, "pad")).size() / 2;
  const auto normalized = integers(argument(node, "normalized_shape"));
  return normalized.empty() ? std::nullopt : std::optional(normalized.size());
}

}  // namespace cortland::torch_passes
