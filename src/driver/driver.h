// The whole compiler as two functions: .pt2 -> .pte and .pt2 -> .mlpackage. Nothing is written unless all of it succeeds.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "partition/partition.h"

namespace cortland::driver {

// Options of `cortland lower`, with the compile-spec values that only the device reads.
struct LowerOptions {
  partition::PartitionOptions partition;
  std::string compute_unit = "all";      // all, cpu_only, cpu_and_gpu, cpu_and_ne
  std::string method = "forward";
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
  std::vector<std::string> warnings;
  std::string target, precision;

  std::string json() const;
};

Result<LowerReport> lower(const std::filesystem::path& pt2, const std::filesystem::path& pte, const LowerOptions& options);
Result<LowerReport> convert(const std::filesystem::path& pt2, const std::filesystem::path& package, const LowerOptions& options);

}  // namespace cortland::driver
