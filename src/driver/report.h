// What a lowering did: what was delegated, what was not and why. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "compression/compress.h"
#include "partition/partition.h"

namespace cortland::driver {

struct DelegateReport {
  std::string name;
  std::vector<std::string> inputs, outputs;
  std::vector<std::string> ops;  // torch operators, in execution order
  uint64_t bytes = 0;            // of the delegate's model with its metadata
  std::string function;          // in a model that several methods share; empty in a model of its own
};

struct CpuOpReport {
  std::string node, op, edge_op, reason, source, remedy;
};

struct MethodReport {
  std::string name;
  std::vector<DelegateReport> delegates;
  std::vector<CpuOpReport> cpu_ops;
  std::optional<compression::Report> compression;
  std::vector<std::string> warnings;
  std::string target, precision;
};

struct LowerReport {
  std::vector<MethodReport> methods;
  std::vector<std::string> warnings;  // about the whole program

  // Those about a method first; they name it when there are several.
  std::vector<std::string> all_warnings() const;
  // What `--report` writes: of several methods a list, of one its own entries.
  std::string json() const;
};

// Of a method before anything was done.
MethodReport empty_report(std::string name, const partition::PartitionOptions& options);
MethodReport describe_method(std::string name, const partition::PartitionedGraph& partitioned,
                             const partition::PartitionOptions& options);

}  // namespace cortland::driver
