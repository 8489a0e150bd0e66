// The options of a Core ML lowering as the compile specs of its delegates: keys and value bytes as ExecuTorch writes them.
// Free functions over plain values; any thread. Installed with the library.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "executorch/compile_spec.h"

#pragma GCC visibility push(default)

namespace cortland::executorch {

inline constexpr std::string_view kEnumeratedShapesKey = "enumerated_shapes";

enum class ComputeUnit : uint8_t { All, CpuOnly, CpuAndGpu, CpuAndNe };
enum class Precision : uint8_t { Float16, Float32 };
enum class ModelType : uint8_t { Model, CompiledModel };
enum class WeightSharing : uint8_t { Positional, Disabled };

// The number is the Core ML specification version.
enum class DeploymentTarget : uint8_t { iOS13 = 4, iOS14 = 5, iOS15 = 6, iOS16 = 7, iOS17 = 8, iOS18 = 9, iOS26 = 10 };

// The spelling in a compile spec: "cpu_only", "float16", "compiled_model", "positional".
std::string_view spec_name(ComputeUnit unit);
std::string_view spec_name(Precision precision);
std::string_view spec_name(ModelType type);
std::string_view spec_name(WeightSharing strategy);
std::string_view target_name(DeploymentTarget target);  // "iOS18"

// Case does not matter, as upstream; empty when there is no such name.
std::optional<ComputeUnit> compute_unit_from_name(std::string_view name);
std::optional<Precision> precision_from_name(std::string_view name);
std::optional<ModelType> model_type_from_name(std::string_view name);
std::optional<WeightSharing> weight_sharing_from_name(std::string_view name);
// "iOS18", "macOS15" and the other systems of the same year.
std::optional<DeploymentTarget> target_from_name(std::string_view name);
std::optional<DeploymentTarget> target_from_version(int specification_version);

// A dimension of an input: fixed, or a symbol with its range.
struct SymbolicDim {
  std::string symbol;
  std::optional<int64_t> low, high;
  friend bool operator==(const SymbolicDim&, const SymbolicDim&) = default;
};
using ShapeDim = std::variant<int64_t, SymbolicDim>;

// All inputs of one symbolic shape, and the shapes they may take.
struct EnumeratedShape {
  std::vector<ShapeDim> shape;
  std::vector<std::vector<int64_t>> shapes;
  std::vector<std::string> inputs;
  friend bool operator==(const EnumeratedShape&, const EnumeratedShape&) = default;
};

struct CompileOptions {
  ComputeUnit compute_unit = ComputeUnit::All;
  std::optional<DeploymentTarget> minimum_deployment_target;
  Precision compute_precision = Precision::Float16;
  ModelType model_type = ModelType::Model;
  std::optional<std::string> op_linear_quantizer_config;  // a JSON object
  std::optional<std::vector<std::string>> pass_names;     // empty: the default pipeline
  // Upstream has functions of their own for these two; they come last.
  std::optional<std::vector<EnumeratedShape>> enumerated_shapes;
  std::optional<WeightSharing> weight_sharing;
};

// In upstream's order: four always, then what is set. Fails when op_linear_quantizer_config is not a JSON object.
Result<std::vector<CompileSpec>> generate_compile_specs(const CompileOptions& options);

// What is missing keeps its default; of equal keys the first counts; other keys are left alone, as upstream does.
Result<CompileOptions> parse_compile_specs(std::span<const CompileSpec> specs);

}  // namespace cortland::executorch

#pragma GCC visibility pop
