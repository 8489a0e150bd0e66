// What is supported of an operator, found out by lowering its samples (torch_ops/samples.h) the way a model's nodes are
// lowered. Nothing is declared anywhere else, so a listing cannot promise what the partitioner refuses. Pure functions; any
// thread.
#pragma once

#include <map>
#include <set>

#include "partition/options.h"
#include "torch_ops/samples.h"

namespace cortland::partition {

struct OpSupport {
  bool checked = false;                // there are samples
  std::optional<mil::Target> since;    // the first target that has any of them; none: Core ML cannot run it
  std::map<DType, mil::Target> types;  // by element type of the first tensor
  std::map<int, mil::Target> ranks;    // by rank of the first tensor
  std::optional<bool> dynamic;         // whether symbolic sizes are taken; nothing when no sample has them
  std::set<DiagKind> refuses;          // why some calls are not delegated
};

Result<OpSupport> find_support(const torch_ops::TorchOp& op);

// Why the call is not delegated, in the order of the graph's nodes; empty when it is. Takes the sample apart where the
// operator has no form in Core ML but its parts have one.
Result<std::vector<Diagnostic>> refusals(torch_ops::Sample& sample, const PartitionOptions& options);

}  // namespace cortland::partition
