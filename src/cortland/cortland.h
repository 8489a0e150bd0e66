// Cortland as a library: lowers programs that torch.export.save() wrote (.pt2) to Core ML delegates inside programs for
// ExecuTorch (.pte). Classes, functions and options have the names that ExecuTorch's Core ML backend gives them in Python;
// docs/options.md explains each option.
//
//   cortland::CoreMLPartitioner partitioner{.lower_full_graph = true};
//   auto program = cortland::to_edge_transform_and_lower("model.pt2", partitioner);
//   if (program.ok()) auto written = program->to_executorch().write_to_file("model.pte");
//
// What can fail gives a Result or a Status. Its Diagnostic says what is wrong, where in the model and what to do; render()
// makes text of it. Nothing is thrown but std::bad_alloc. Values may be copied; each is for one thread at a time.
#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "driver/report.h"
#include "executorch/compile_specs.h"

#pragma GCC visibility push(default)

namespace cortland {

class MappedFile;
namespace torch {
struct Pt2Source;
}
namespace driver {
struct LoweredProgram;
}

using driver::LowerReport;
using executorch::CompileOptions;
using executorch::CompileSpec;
using executorch::ComputeUnit;
using executorch::DeploymentTarget;
using executorch::ModelType;
using executorch::Precision;
using executorch::WeightSharing;

// An exported program: the path of a .pt2 file, which is opened when it is used, or the bytes of one.
class ExportedProgram {
 public:
  template <class Path>
    requires(std::constructible_from<std::filesystem::path, const Path&> && !std::same_as<Path, ExportedProgram>)
  ExportedProgram(const Path& pt2) : path_(pt2) {}  // NOLINT: a path stands for its program
  explicit ExportedProgram(std::shared_ptr<const MappedFile> file);
  explicit ExportedProgram(std::shared_ptr<const torch::Pt2Source> source);
  // FileNotFound, FileAccess.
  Result<std::shared_ptr<const torch::Pt2Source>> open() const;
  // Names of the programs as methods: "forward" for the one that torch.export.save() wrote.
  Result<std::vector<std::string>> method_names() const;

 private:
  std::filesystem::path path_;
  std::shared_ptr<const torch::Pt2Source> source_;
};

// The shapes that dynamic inputs may take, by input. The lists are matched by position: the first shapes go together.
using EnumeratedShapes = std::map<std::string, std::vector<std::vector<int64_t>>>;

// Makes the compile specs that choose how delegates are lowered and run; byte for byte those that ExecuTorch makes.
struct CoreMLBackend {
  // Four specs always, then one for each option that is set. BadOption: op_linear_quantizer_config is not a JSON object.
  static Result<std::vector<CompileSpec>> generate_compile_specs(const CompileOptions& options = {});

  static CompileSpec generate_compute_unit_compile_spec(ComputeUnit compute_unit);
  static CompileSpec generate_minimum_deployment_target_compile_spec(std::optional<DeploymentTarget> target);
  static CompileSpec generate_compute_precision_compile_spec(Precision precision);
  static CompileSpec generate_model_type_compile_spec(ModelType model_type);
  static Result<CompileSpec> generate_op_linear_quantizer_config_compile_spec(const std::string& json);
  static CompileSpec generate_pass_pipeline_compile_spec(const std::vector<std::string>& pass_names);
  static CompileSpec generate_multimethod_weight_sharing_strategy_compile_spec(WeightSharing strategy);
  // How weights are compressed: coremltools' OptimizationConfig as JSON, see docs/compression.md. BadOption when it is none.
  static Result<CompileSpec> generate_compression_compile_spec(const std::string& json);
  // BadOption: an unknown or static input, a dynamic one without shapes, lists of different length, a shape the export does
  // not allow. Also what reading the program gives.
  static Result<CompileSpec> generate_enumerated_shapes_compile_spec(const ExportedProgram& program,
                                                                     const EnumeratedShapes& shapes,
                                                                     const std::string& method = "forward");
};

// Which operators go to Core ML, and how.
struct CoreMLPartitioner {
  // Stay on the CPU; exported or edge names ("aten.conv2d.default", "aten.convolution.default") in any case.
  std::vector<std::string> skip_ops_for_coreml_delegation = {};
  std::vector<CompileSpec> compile_specs = {};  // stored in the delegates as they are
  bool take_over_mutable_buffer = true;         // buffers that the model writes become Core ML state, from iOS18 on
  bool lower_full_graph = false;                // what cannot be delegated is an error
  bool take_over_constant_data = true;          // weights lie in the delegates; else they are passed in
  // Operators, by exported or edge name, and single nodes, by the name they have in the program, that compute in float32
  // whatever the precision. ExecuTorch has no such option.
  std::vector<std::string> float32_ops = {};

  // BadOption when options exclude each other: lower_full_graph goes with no skipped operator and with both take_over_
  // options true, enumerated shapes with lower_full_graph. Lowering checks it too.
  Status check() const;
};

// A program for the ExecuTorch runtime.
class ExecutorchProgram {
 public:
  // The whole .pte file in memory.
  Result<std::string> buffer() const;
  // The same in memory of its size, which `allocate` gives and has filled with zeros.
  Status write_to_memory(const std::function<std::span<std::byte>(uint64_t size)>& allocate) const;
  // Streams the file to `path`, where it appears once it is complete.
  Status write_to_file(const std::filesystem::path& path) const;

 private:
  friend class EdgeProgram;
  std::shared_ptr<const driver::LoweredProgram> lowered_;
};

// A lowered program before it is written. Keeps the files it was made of open.
class EdgeProgram {
 public:
  explicit EdgeProgram(std::shared_ptr<const driver::LoweredProgram> lowered);
  ExecutorchProgram to_executorch() const;
  // What was delegated, what was not and why; report().messages() are the warnings to show.
  const LowerReport& report() const;

 private:
  std::shared_ptr<const driver::LoweredProgram> lowered_;
};

// A method of the program to make. Without a name: every program of the file, under its own name ("forward" if it has none).
// Without a partitioner every operator runs on ExecuTorch's CPU kernels.
struct Method {
  std::string name;
  ExportedProgram program;
  std::optional<CoreMLPartitioner> partitioner = {};
};

// BadOption and ToolMissing before the program is read; then what reading and lowering give. NotDelegated, with
// lower_full_graph, lists every operator that cannot be delegated, and why.
Result<EdgeProgram> to_edge_transform_and_lower(const ExportedProgram& program,
                                                const std::optional<CoreMLPartitioner>& partitioner = {});
Result<EdgeProgram> to_edge_transform_and_lower(const std::map<std::string, ExportedProgram>& programs,
                                                const std::optional<CoreMLPartitioner>& partitioner = {});
Result<EdgeProgram> to_edge_transform_and_lower(const std::vector<Method>& methods);

// The whole graph as one Core ML model: writes an .mlpackage, or an .mlmodelc when the compile specs ask for a compiled
// model. Several methods are functions of it, which takes iOS18.
Result<LowerReport> convert(const std::vector<Method>& methods, const std::filesystem::path& destination);

}  // namespace cortland

#pragma GCC visibility pop
