// The whole compiler as two functions: .pt2 -> .pte and .pt2 -> .mlpackage. Nothing is written unless all of it succeeds.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "compression/compress.h"
#include "executorch/program.h"
#include "partition/partition.h"

namespace cortland::driver {

// Options of `cortland lower`, with the compile-spec values that only the device reads.
struct LowerOptions {
  partition::PartitionOptions partition;
  std::string compute_unit = "all";      // all, cpu_only, cpu_and_gpu, cpu_and_ne
  std::string method = "forward";
  std::optional<compression::Config> compression;  // of the weights of what Core ML runs
  // What the delegates store. Not set: specs made of the options above. apply_compile_specs() fills it.
  std::optional<std::vector<executorch::CompileSpec>> compile_specs;
};

struct DelegateReport {
  std::string name;
  std::vector<std::string> inputs, outputs;
  std::vector<std::string> ops;  // torch operators, in execution order
  uint64_t bytes = 0;            // of the delegate's blob
};

struct CpuOpReport {
  std::string node, op, edge_op, reason, source, remedy;
};

// What `--report` writes.
struct LowerReport {
  std::vector<DelegateReport> delegates;
  std::vector<CpuOpReport> cpu_ops;
  std::optional<compression::Report> compression;
  std::vector<std::string> warnings;
  std::string target, precision;

  std::string json() const;
};

// A lowered program before it is written. Holds what its bytes are made of; movable; for one thread.
struct LoweredProgram {
  std::unique_ptr<const partition::PartitionedGraph> graph;  // constants of `program` may view its weights
  executorch::PteProgram program;
  LowerReport report;
};

// Keeps `pt2` alive as long as the result, which streams weights out of it.
Result<LoweredProgram> lower(std::shared_ptr<const MappedFile> pt2, const LowerOptions& options);
Status write(const LoweredProgram& lowered, const std::filesystem::path& pte);

Result<LowerReport> lower(const std::filesystem::path& pt2, const std::filesystem::path& pte, const LowerOptions& options);
Result<LowerReport> convert(const std::filesystem::path& pt2, const std::filesystem::path& package, const LowerOptions& options);

}  // namespace cortland::driver
