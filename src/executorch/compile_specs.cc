#include "executorch/compile_specs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <unordered_set>

#include "executorch/json_text.h"

namespace cortland::executorch {
namespace {

constexpr std::string_view kComputeUnits = "compute_units", kTarget = "min_deployment_target",
                           kPrecision = "model_compute_precision", kModelType = "model_type",
                           kQuantizer = "op_linear_quantizer_config", kPasses = "pass_pipeline",
                           kShapes = kEnumeratedShapesKey, kSharing = "multimethod_weight_sharing_strategy";

constexpr std::string_view kUnitNames[] = {"all", "cpu_only", "cpu_and_gpu", "cpu_and_ne"};
constexpr std::string_view kPrecisionNames[] = {"float16", "float32"};
constexpr std::string_view kModelTypeNames[] = {"model", "compiled_model"};
constexpr std::string_view kSharingNames[] = {"positional", "disabled"};

// One row a year: systems released together read the same specification.
struct Release {
  DeploymentTarget target;
  std::string_view names[5];
};
constexpr Release kReleases[] = {
    {DeploymentTarget::iOS13, {"iOS13", "macOS10_15", "watchOS6", "tvOS13"}},
    {DeploymentTarget::iOS14, {"iOS14", "macOS11", "watchOS7", "tvOS14", "macOS10_16"}},
    {DeploymentTarget::iOS15, {"iOS15", "macOS12", "watchOS8", "tvOS15"}},
    {DeploymentTarget::iOS16, {"iOS16", "macOS13", "watchOS9", "tvOS16"}},
    {DeploymentTarget::iOS17, {"iOS17", "macOS14", "watchOS10", "tvOS17"}},
    {DeploymentTarget::iOS18, {"iOS18", "macOS15", "watchOS11", "tvOS18"}},
    {DeploymentTarget::iOS26, {"iOS26", "macOS26", "watchOS26", "tvOS26"}},
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

template <class Enum>
std::optional<Enum> from_name(std::span<const std::string_view> names, std::string_view name) {
  for (size_t i = 0; i < names.size(); ++i)
    if (same_name(names[i], name)) return static_cast<Enum>(i);
  return std::nullopt;
}

Diagnostic bad_value(std::string_view key, std::string_view value, std::string_view allowed) {
  return diag(DiagKind::BadOption, fmt::format("compile spec '{}' has the value '{}'", key, value),
              fmt::format("use {}", allowed));
}

OrderedJson shapes_json(const std::vector<EnumeratedShape>& inputs) {
  OrderedJson list = OrderedJson::array();
  for (const auto& input : inputs) {
    OrderedJson shape = OrderedJson::array();
    for (const auto& dim : input.shape) {
      if (const auto* symbol = std::get_if<SymbolicDim>(&dim)) {
        const auto bound = [](std::optional<int64_t> b) { return b ? OrderedJson(*b) : OrderedJson(); };
        shape.push_back({{"key_name", symbol->symbol}, {"low", bound(symbol->low)}, {"high", bound(symbol->high)}});
      } else {
        shape.push_back(std::get<int64_t>(dim));
      }
    }
    OrderedJson key;
    key["shape"] = std::move(shape);
    list.push_back(
        OrderedJson::array({std::move(key), OrderedJson::array({OrderedJson(input.shapes), OrderedJson(input.inputs)})}));
  }
  return list;
}

std::optional<int64_t> integer(const Json& value) {
  if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) return std::nullopt;
  return value.is_number_integer() ? std::optional(value.get<int64_t>()) : std::nullopt;
}

std::optional<std::vector<int64_t>> integers(const Json& list) {
  if (!list.is_array()) return std::nullopt;
  std::vector<int64_t> out;
  for (const auto& item : list) {
    const auto value = integer(item);
    if (!value) return std::nullopt;
    out.push_back(*value);
  }
  return out;
}

std::optional<ShapeDim> parse_dim(const Json& dim) {
  if (const auto fixed = integer(dim)) return ShapeDim(*fixed);
  const auto* name = member(dim, "key_name", Json::value_t::string);
  if (!name || dim.size() != 3 || !dim.contains("low") || !dim.contains("high")) return std::nullopt;
  SymbolicDim symbol{name->get<std::string>(), integer(dim["low"]), integer(dim["high"])};
  if (!(symbol.low || dim["low"].is_null()) || !(symbol.high || dim["high"].is_null())) return std::nullopt;
  return ShapeDim(std::move(symbol));
}

// [{"shape": [dim...]}, [[shape...], [input...]]]
std::optional<EnumeratedShape> parse_enumerated_shape(const Json& pair) {
  if (!pair.is_array() || pair.size() != 2 || !pair[1].is_array() || pair[1].size() != 2) return std::nullopt;
  const auto* dims = member(pair[0], "shape", Json::value_t::array);
  auto inputs = strings(&pair[1][1]);
  if (!dims || !inputs || !pair[1][0].is_array()) return std::nullopt;
  EnumeratedShape out{{}, {}, std::move(*inputs)};
  for (const auto& dim : *dims) {
    auto parsed = parse_dim(dim);
    if (!parsed) return std::nullopt;
    out.shape.push_back(std::move(*parsed));
  }
  for (const auto& shape : pair[1][0]) {
    auto parsed = integers(shape);
    if (!parsed || parsed->size() != out.shape.size()) return std::nullopt;
    out.shapes.push_back(std::move(*parsed));
  }
  return out;
}

Status parse_shapes(const std::string& value, CompileOptions& options) {
  TRY(const auto list, parse_json(value, DiagKind::BadOption, "compile spec 'enumerated_shapes'"));
  if (!list.is_array()) return bad_value(kShapes, value, "what generate_compile_specs writes");
  auto& shapes = options.enumerated_shapes.emplace();
  for (const auto& pair : list) {
    auto parsed = parse_enumerated_shape(pair);
    if (!parsed) return bad_value(kShapes, value, "pairs of a symbolic shape and the shapes and inputs that have it");
    shapes.push_back(std::move(*parsed));
  }
  return {};
}

Status parse_target(const std::string& value, CompileOptions& options) {
  if (value.empty()) return {};
  int version = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), version);
  if (error == std::errc() && end == value.data() + value.size())
    options.minimum_deployment_target = target_from_version(version);
  if (!options.minimum_deployment_target)
    return bad_value(kTarget, value, "a specification version from 4 (iOS13) to 10 (iOS26)");
  return {};
}

Status parse_quantizer(const std::string& value, CompileOptions& options) {
  TRY(const auto config, parse_json(value, DiagKind::BadOption, "compile spec 'op_linear_quantizer_config'"));
  if (!config.is_object()) return bad_value(kQuantizer, value, "a JSON object");
  options.op_linear_quantizer_config = value;
  return {};
}

Status parse_passes(const std::string& value, CompileOptions& options) {
  TRY(const auto list, parse_json(value, DiagKind::BadOption, "compile spec 'pass_pipeline'"));
  options.pass_names = strings(&list);
  if (!options.pass_names) return bad_value(kPasses, value, "a JSON list of pass names");
  return {};
}

template <class Enum>
Status parse_name(const CompileSpec& spec, std::optional<Enum> parsed, std::span<const std::string_view> names, Enum& to) {
  if (!parsed) return bad_value(spec.key, spec.value, fmt::format("one of {}", fmt::join(names, ", ")));
  to = *parsed;
  return {};
}

Status parse_spec(const CompileSpec& spec, CompileOptions& options) {
  const auto& [key, value] = spec;
  if (key == kComputeUnits) return parse_name(spec, compute_unit_from_name(value), kUnitNames, options.compute_unit);
  if (key == kTarget) return parse_target(value, options);
  if (key == kPrecision) return parse_name(spec, precision_from_name(value), kPrecisionNames, options.compute_precision);
  if (key == kModelType) return parse_name(spec, model_type_from_name(value), kModelTypeNames, options.model_type);
  if (key == kQuantizer) return parse_quantizer(value, options);
  if (key == kPasses) return parse_passes(value, options);
  if (key == kShapes) return parse_shapes(value, options);
  if (key == kSharing)
    return parse_name(spec, weight_sharing_from_name(value), kSharingNames, options.weight_sharing.emplace());
  return {};
}

}  // namespace

std::string_view spec_name(ComputeUnit unit) { return kUnitNames[static_cast<size_t>(unit)]; }
std::string_view spec_name(Precision precision) { return kPrecisionNames[static_cast<size_t>(precision)]; }
std::string_view spec_name(ModelType type) { return kModelTypeNames[static_cast<size_t>(type)]; }
std::string_view spec_name(WeightSharing strategy) { return kSharingNames[static_cast<size_t>(strategy)]; }

std::string_view target_name(DeploymentTarget target) {
  for (const auto& release : kReleases)
    if (release.target == target) return release.names[0];
  return "?";
}

std::optional<ComputeUnit> compute_unit_from_name(std::string_view name) { return from_name<ComputeUnit>(kUnitNames, name); }
std::optional<Precision> precision_from_name(std::string_view name) { return from_name<Precision>(kPrecisionNames, name); }
std::optional<ModelType> model_type_from_name(std::string_view name) { return from_name<ModelType>(kModelTypeNames, name); }
std::optional<WeightSharing> weight_sharing_from_name(std::string_view name) {
  return from_name<WeightSharing>(kSharingNames, name);
}

std::optional<DeploymentTarget> target_from_name(std::string_view name) {
  for (const auto& release : kReleases)
    if (from_name<size_t>(release.names, name) && !name.empty()) return release.target;
  return std::nullopt;
}

std::optional<DeploymentTarget> target_from_version(int specification_version) {
  for (const auto& release : kReleases)
    if (static_cast<int>(release.target) == specification_version) return release.target;
  return std::nullopt;
}

Result<std::vector<CompileSpec>> generate_compile_specs(const CompileOptions& options) {
  const auto& target = options.minimum_deployment_target;
  const auto spec = [](std::string_view key, std::string_view value) {
    return CompileSpec{std::string(key), std::string(value)};
  };
  std::vector<CompileSpec> specs = {
      spec(kComputeUnits, spec_name(options.compute_unit)),
      spec(kTarget, target ? fmt::format("{}", static_cast<int>(*target)) : std::string()),
      spec(kPrecision, spec_name(options.compute_precision)),
      spec(kModelType, spec_name(options.model_type)),
  };
  if (const auto& config = options.op_linear_quantizer_config) {
    TRY(const auto value, parse_ordered_json(*config, DiagKind::BadOption, "op_linear_quantizer_config"));
    if (!value.is_object()) return bad_value(kQuantizer, *config, "a JSON object");
    specs.push_back(spec(kQuantizer, json_text(value)));
  }
  if (options.pass_names) specs.push_back(spec(kPasses, json_text(OrderedJson(*options.pass_names))));
  if (options.enumerated_shapes) specs.push_back(spec(kShapes, json_text(shapes_json(*options.enumerated_shapes))));
  if (options.weight_sharing) specs.push_back(spec(kSharing, spec_name(*options.weight_sharing)));
  return specs;
}

Result<CompileOptions> parse_compile_specs(std::span<const CompileSpec> specs) {
  CompileOptions options;
  std::unordered_set<std::string_view> seen;
  for (const auto& spec : specs)
    if (seen.insert(spec.key).second) TRY_DO(parse_spec(spec, options));
  return options;
}

}  // namespace cortland::executorch
