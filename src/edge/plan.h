// From a partitioned graph to an ExecuTorch program: values, instructions and planned memory. ("Edge" is ExecuTorch's name
// for the dialect its kernels speak.)
#pragma once

#include "executorch/delegate_blob.h"
#include "executorch/program.h"
#include "partition/partition.h"

namespace cortland::edge {

struct DelegateBlob {
  executorch::FlattenedDirectory directory;
  std::vector<executorch::CompileSpec> specs;
  std::string key;  // identity of the content
};

// One method. `blobs` are those of g.delegates, in order. An error lists every CPU node that has no kernel.
Result<executorch::PteProgram> plan_method(const partition::PartitionedGraph& g, std::vector<DelegateBlob> blobs,
                                           const std::string& method);

}  // namespace cortland::edge
