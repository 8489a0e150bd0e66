#include "driver/compile_specs.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "driver/coreml_compiler.h"
#include "executorch/compile_specs.h"
#include "mil_passes/pass_names.h"

namespace cortland::driver {
namespace {

Diagnostic not_available(std::string_view key, std::string_view what, std::string_view help) {
  return diag(DiagKind::BadOption, fmt::format("compile spec '{}': {}", key, what), std::string(help));
}

// The configuration of either key; of equal keys the first counts.
Result<std::optional<compression::Config>> compression_of(std::span<const executorch::CompileSpec> specs,
                                                          const executorch::CompileOptions& parsed) {
  const auto own = std::find_if(specs.begin(), specs.end(), [](const auto& spec) { return spec.key == kCompressionConfig; });
  std::optional<compression::Config> config;
  if (own != specs.end() && parsed.op_linear_quantizer_config)
    return not_available(kCompressionConfig, "'op_linear_quantizer_config' says how to compress too", "use one of the two");
  if (own != specs.end()) {
    TRY(config, compression::parse_config(own->value, fmt::format("compile spec '{}'", kCompressionConfig)));
  } else if (parsed.op_linear_quantizer_config) {
    TRY(config, compression::parse_quantizer(*parsed.op_linear_quantizer_config, "compile spec 'op_linear_quantizer_config'"));
  }
  return config;
}

std::set<std::string> names_in(const std::string& list) {
  std::set<std::string> names;
  std::istringstream words(list);
  for (std::string name; std::getline(words, name, ',');)
    if (!name.empty()) names.insert(name);
  return names;
}

}  // namespace

Status apply_compile_specs(std::span<const executorch::CompileSpec> specs, LowerOptions& options) {
  TRY(const auto parsed, executorch::parse_compile_specs(specs));
  if (parsed.model_type == executorch::ModelType::CompiledModel) TRY_DO(check_coreml_compiler());
  TRY(options.compression, compression_of(specs, parsed));
  if (const auto wanted = parsed.minimum_deployment_target) {
    const auto target = mil::target_from_version(static_cast<int>(*wanted));
    if (!target)
      return diag(DiagKind::UnsupportedTarget,
                  fmt::format("compile spec 'min_deployment_target': {} cannot run ML programs", executorch::target_name(*wanted)),
                  "use iOS15 or newer");
    options.target = target;
  }
  for (const auto& spec : specs)
    if (spec.key == kFloat32Ops) options.partition.float32_ops.merge(names_in(spec.value));
  if (parsed.pass_names) TRY_DO(mil_passes::check_pass_names(*parsed.pass_names));
  options.partition.pass_names = parsed.pass_names;
  options.partition.float_type = parsed.compute_precision == executorch::Precision::Float32 ? DType::F32 : DType::F16;
  for (const auto& shape : parsed.enumerated_shapes.value_or(std::vector<executorch::EnumeratedShape>{}))
    for (const std::string& input : shape.inputs) options.partition.enumerated_shapes[input] = shape.shapes;
  options.model_type = parsed.model_type;
  options.compute_unit = executorch::spec_name(parsed.compute_unit);
  options.weight_sharing = parsed.weight_sharing.value_or(executorch::WeightSharing::Positional);
  options.compile_specs.assign(specs.begin(), specs.end());
  return {};
}

}  // namespace cortland::driver
