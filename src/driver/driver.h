// The whole compiler as two functions: .pt2 -> .pte and .pt2 -> .mlpackage. Nothing is written unless all of it succeeds.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "compression/compress.h"
#include "driver/report.h"
#include "edge/constant_method.h"
#include "executorch/compile_specs.h"
#include "partition/partition.h"
#include "torch/pt2_source.h"

namespace cortland::driver {

// Options of `cortland lower`, with the compile-spec values that only the device reads.
struct LowerOptions {
  partition::PartitionOptions partition;
  // The oldest system to run on; not set: the lowest that delegates as much as the newest. lower() and convert() put the one
  // they choose, one for all methods, into partition.target.
  std::optional<mil::Target> target;
  std::string compute_unit = "all";  // all, cpu_only, cpu_and_gpu, cpu_and_ne
  executorch::ModelType model_type = executorch::ModelType::Model;
  std::optional<compression::Config> compression;  // of the weights of what Core ML runs
  // Whether the methods of one program share models; see delegate_bytes().
  executorch::WeightSharing weight_sharing = executorch::WeightSharing::Positional;
  std::vector<executorch::CompileSpec> compile_specs;  // what the delegates store; apply_compile_specs() fills it
};

// One method of a program: where its exported program is, and how it is lowered.
struct Method {
  std::string name;
  torch::Pt2Source pt2;
  std::string program;  // which one, if the file holds several
  LowerOptions options;
};

// The programs of a .pt2 file as methods under their own names. One that torch.export.save wrote has none: it is "forward".
Result<std::vector<Method>> methods_of(const torch::Pt2Source& pt2, const LowerOptions& options);
// A method of any name made of the file's only program; of several programs, the one that has the name.
Result<Method> method_of(std::string name, const torch::Pt2Source& pt2, const LowerOptions& options);

// A lowered program before it is written. Holds what its bytes are made of; movable; for one thread.
struct LoweredProgram {
  std::vector<std::shared_ptr<const partition::PartitionedGraph>> graphs;  // constants of `program` may view their weights
  executorch::PteProgram program;
  LowerReport report;
};

// Keeps the files and tensors alive as long as the result, which streams weights out of them.
Result<LoweredProgram> lower(std::vector<Method> methods, std::vector<edge::ConstantMethod> constants = {});
// All the programs of a file.
Result<LoweredProgram> lower(std::shared_ptr<const MappedFile> pt2, const LowerOptions& options);
Status write(const LoweredProgram& lowered, const std::filesystem::path& pte);

// A method's whole graph as one Core ML model for options.partition.target, before its weights are compressed.
Result<mil::Program> convert_program(const Method& method);
// Writes an .mlpackage, or the .mlmodelc that Apple's compiler makes of it. One method is a model with the function `main`; of
// several each is a function under its own name, which takes iOS18.
Result<LowerReport> convert(std::vector<Method> methods, const std::filesystem::path& destination);

}  // namespace cortland::driver
