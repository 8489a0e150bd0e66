#include "base/file.h"
#include "cortland/cortland.h"
#include "cortland/guard.h"
#include "driver/compile_specs.h"
#include "executorch/enumerated_shapes.h"
#include "torch/graph.h"

namespace cortland {
namespace {

// One spec of those that are always made; `i` is its place among them.
CompileSpec always(size_t i, const CompileOptions& options) {
  return std::move(executorch::generate_compile_specs(options).value()[i]);
}

CompileSpec last(const CompileOptions& options) {
  return std::move(executorch::generate_compile_specs(options).value().back());
}

std::optional<int64_t> bound(int64_t value) {
  return value == DimRange::kUnbounded || value == -DimRange::kUnbounded ? std::nullopt : std::optional(value);
}

executorch::ShapeDim shape_dim(const DimTable& dims, Dim dim) {
  if (dim.is_constant()) return dim.constant();
  executorch::SymbolicDim symbol{dims.str(dim), {}, {}};
  if (!dims.is_symbol(dim)) return symbol;
  const DimRange range = dims.range(dim);
  symbol.low = bound(range.low);
  symbol.high = bound(range.high);
  return symbol;
}

std::vector<executorch::InputShape> tensor_inputs(const torch::Graph& graph) {
  std::vector<executorch::InputShape> inputs;
  for (const auto& input : graph.inputs) {
    if (input.kind != torch::GraphInput::Kind::UserInput || !input.value) continue;
    const torch::Value& value = graph.values[input.value];
    if (value.kind != torch::Value::Kind::Tensor) continue;
    inputs.push_back({value.name, {}});
    for (Dim dim : value.type.shape) inputs.back().shape.push_back(shape_dim(*graph.dims, dim));
  }
  return inputs;
}

}  // namespace

Result<std::vector<CompileSpec>> CoreMLBackend::generate_compile_specs(const CompileOptions& options) {
  return executorch::generate_compile_specs(options);
}

CompileSpec CoreMLBackend::generate_compute_unit_compile_spec(ComputeUnit compute_unit) {
  return always(0, {.compute_unit = compute_unit});
}

CompileSpec CoreMLBackend::generate_minimum_deployment_target_compile_spec(std::optional<DeploymentTarget> target) {
  return always(1, {.minimum_deployment_target = target});
}

CompileSpec CoreMLBackend::generate_compute_precision_compile_spec(Precision precision) {
  return always(2, {.compute_precision = precision});
}

CompileSpec CoreMLBackend::generate_model_type_compile_spec(ModelType model_type) {
  return always(3, {.model_type = model_type});
}

Result<CompileSpec> CoreMLBackend::generate_op_linear_quantizer_config_compile_spec(const std::string& json) {
  TRY(auto specs, executorch::generate_compile_specs({.op_linear_quantizer_config = json}));
  return std::move(specs.back());
}

Result<CompileSpec> CoreMLBackend::generate_compression_compile_spec(const std::string& json) {
  TRY_DO(compression::parse_config(json, fmt::format("compile spec '{}'", driver::kCompressionConfig)));
  return CompileSpec{std::string(driver::kCompressionConfig), json};
}

CompileSpec CoreMLBackend::generate_pass_pipeline_compile_spec(const std::vector<std::string>& pass_names) {
  return last({.pass_names = pass_names});
}

CompileSpec CoreMLBackend::generate_multimethod_weight_sharing_strategy_compile_spec(WeightSharing strategy) {
  return last({.weight_sharing = strategy});
}

Result<CompileSpec> CoreMLBackend::generate_enumerated_shapes_compile_spec(const ExportedProgram& program,
                                                                           const EnumeratedShapes& shapes,
                                                                           const std::string& method) {
  return guarded([&]() -> Result<CompileSpec> {
    TRY(const auto source, program.open());
    TRY(const auto found, driver::method_of(method, *source, {}));
    TRY(const auto graph, torch::read_pt2(found.pt2, found.program));
    return executorch::enumerated_shapes_spec(tensor_inputs(graph), shapes);
  });
}

}  // namespace cortland
