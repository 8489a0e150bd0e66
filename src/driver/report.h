// What a lowering did: what was delegated, what was not and why. Plain values. Installed with the library, so it includes
// nothing of other layers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cortland::partition {
struct PartitionedGraph;
struct PartitionOptions;
}  // namespace cortland::partition

#pragma GCC visibility push(default)

namespace cortland::driver {

struct DelegateReport {
  std::string name;
  std::vector<std::string> inputs, outputs;
  std::vector<std::string> ops;  // torch operators, in execution order
  uint64_t bytes = 0;            // of the delegate's model with its metadata
  std::string function;          // in a model that several methods share; empty in a model of its own
};

struct CpuOpReport {
  std::string kind;  // of the reason, "unsupported-shape"
  std::string node, op, edge_op, reason, source, remedy;
};

struct CompressionReport {
  size_t weights = 0;
  uint64_t bytes_before = 0, bytes_after = 0;  // of these
};

struct MethodReport {
  std::string name;
  std::vector<DelegateReport> delegates;
  std::vector<CpuOpReport> cpu_ops;
  std::optional<CompressionReport> compression;  // set when it was asked for
  std::vector<std::string> warnings;
  std::string target, precision;
};

struct LowerReport {
  std::vector<MethodReport> methods;
  std::vector<std::string> warnings;  // about the whole program

  // What to tell the user: one line for each kind of operator and reason that was not delegated, then the warnings. Those about
  // a method name it when there are several. Operators that were skipped on request are not among them.
  std::vector<std::string> messages() const;
  // What `--report` writes: of several methods a list, of one its own entries.
  std::string json() const;
};

}  // namespace cortland::driver

#pragma GCC visibility pop

namespace cortland::driver {

// Of a method before anything was done.
MethodReport empty_report(std::string name, const partition::PartitionOptions& options);
MethodReport describe_method(std::string name, const partition::PartitionedGraph& partitioned,
                             const partition::PartitionOptions& options);

}  // namespace cortland::driver
