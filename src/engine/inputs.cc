#include "engine/inputs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "tensor/weight.h"

namespace cortland::engine {
namespace {

constexpr int64_t kNoLimit = 2147483647;  // what exporters write for "any size"

std::string range_text(DimRange range) {
  if (range.low == range.high) return std::to_string(range.low);
  if (range.low <= 0 && range.high < kNoLimit) return fmt::format("at most {}", range.high);
  if (range.high >= kNoLimit) return fmt::format("{} or more", range.low);
  return fmt::format("{} to {}", range.low, range.high);
}

Diagnostic bad_input(const std::string& name, std::string_view why) {
  return diag(DiagKind::BadInput, fmt::format("input '{}': {}", name, why));
}

Status check_shape(const Feature& feature, const std::vector<int64_t>& shape, const DimTable& dims, std::map<int64_t, int64_t>& bound) {
  if (static_cast<int>(shape.size()) != feature.type.rank())
    return bad_input(feature.name, fmt::format("its shape is [{}], but the model takes {} dimensions: [{}]", fmt::join(shape, ", "),
                                               feature.type.rank(), describe(feature.type.shape, dims)));
  for (size_t i = 0; i < shape.size(); ++i) {
    const Dim dim = feature.type.shape[i];
    const DimRange range = dims.range(dim);
    if (shape[i] < range.low || shape[i] > range.high)
      return bad_input(feature.name, fmt::format("dimension {} is {}, but the model takes {}", i, shape[i], range_text(range)));
    if (dim.is_constant()) continue;
    const auto [known, first] = bound.try_emplace(dim.code, shape[i]);
    if (!first && known->second != shape[i])
      return bad_input(feature.name, fmt::format("dimension {} is {}, but must be {} as elsewhere in the inputs", i, shape[i], known->second));
  }
  return {};
}

// Inputs with enumerated shapes are tied: all must have the shape at one same position of their lists.
Status check_enumerated(const std::vector<Feature>& features, std::span<const mil::Tensor> tensors) {
  size_t positions = 0;
  for (const Feature& f : features) positions = std::max(positions, f.shapes.size());
  if (positions == 0) return {};
  for (size_t i = 0; i < features.size(); ++i) {
    const auto& allowed = features[i].shapes;
    if (allowed.empty() || std::find(allowed.begin(), allowed.end(), tensors[i].shape) != allowed.end()) continue;
    std::vector<std::string> texts;
    for (const auto& shape : allowed) texts.push_back(fmt::format("[{}]", fmt::join(shape, ", ")));
    return bad_input(features[i].name, fmt::format("its shape is [{}], but the model takes only {}", fmt::join(tensors[i].shape, ", "),
                                                   fmt::join(texts, ", ")));
  }
  for (size_t at = 0; at < positions; ++at) {
    bool all = true;
    for (size_t i = 0; i < features.size(); ++i)
      all = all && (features[i].shapes.empty() || (at < features[i].shapes.size() && features[i].shapes[at] == tensors[i].shape));
    if (all) return {};
  }
  return diag(DiagKind::BadInput, "each input has an allowed shape, but the shapes do not belong together",
              "pass shapes that stand at the same position of the lists of allowed shapes");
}

// Whole numbers that every value of `dtype` stays within.
std::pair<double, double> exact_range(DType dtype) {
  switch (dtype) {
    case DType::Bool: return {0, 1};
    case DType::I8: return {-128, 127};
    case DType::U8: return {0, 255};
    case DType::I16: return {-32768, 32767};
    case DType::U16: return {0, 65535};
    case DType::I32: return {-2147483648.0, 2147483647.0};
    case DType::U32: return {0, 4294967295.0};
    default: return {-9007199254740992.0, 9007199254740992.0};
  }
}

}  // namespace

std::string describe(const Shape& shape, const DimTable& dims) {
  std::vector<std::string> texts;
  for (Dim d : shape) {
    const DimRange range = dims.range(d);
    if (d.is_constant() || range.low == range.high)
      texts.push_back(std::to_string(range.low));
    else if (range.low <= 0 && range.high < kNoLimit)
      texts.push_back(fmt::format("up to {}", range.high));
    else if (range.high >= kNoLimit)
      texts.push_back(fmt::format("{}..", range.low));
    else
      texts.push_back(fmt::format("{}..{}", range.low, range.high));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

Result<mil::Tensor> convert_input(const mil::Tensor& tensor, DType to, const std::string& name) {
  const DType from = tensor.dtype;
  if (from == to) return tensor;
  // Integers for a float input are most likely another input's, or were never scaled; bools are 0 and 1 in every type.
  const bool from_whole = is_integer(from) || from == DType::Bool, to_whole = is_integer(to) || to == DType::Bool;
  if (!(is_float(from) && is_float(to)) && !(from_whole && to_whole) && !(from == DType::Bool && is_float(to)))
    return bad_input(name, fmt::format("its element type is {}, but the model takes {}", torch_name(from), torch_name(to)));
  if (from_whole) {
    const auto [low, high] = exact_range(to);
    for (int64_t v : tensor.ints())
      if (static_cast<double>(v) < low || static_cast<double>(v) > high)
        return bad_input(name, fmt::format("the value {} does not fit the model's element type, {}", v, torch_name(to)));
  }
  mil::Tensor converted = mil::Tensor::make(to, tensor.shape);
  convert_elements(from, tensor.data(), to, converted.mutable_data(), tensor.elements());
  return converted;
}

Result<std::vector<mil::Tensor>> check_inputs(const std::vector<Feature>& features, std::span<const mil::Tensor> tensors,
                                              const DimTable& dims) {
  if (tensors.size() != features.size())
    return diag(DiagKind::BadInput, fmt::format("{} inputs were passed, but the model takes {}", tensors.size(), features.size()));
  std::vector<mil::Tensor> converted;
  std::map<int64_t, int64_t> bound;  // sizes of symbolic dimensions, by the Dim's code
  for (size_t i = 0; i < features.size(); ++i) {
    TRY_DO(check_shape(features[i], tensors[i].shape, dims, bound));
    TRY(auto tensor, convert_input(tensors[i], features[i].type.dtype, features[i].name));
    converted.push_back(std::move(tensor));
  }
  TRY_DO(check_enumerated(features, tensors));
  return converted;
}

}  // namespace cortland::engine
