// From a partitioned graph to an ExecuTorch program: values, instructions and planned memory. ("Edge" is ExecuTorch's name
// for the dialect its kernels speak.) Free functions; a program under construction belongs to one thread.
//
// Outputs of a method are forward()'s own, nothing else. (ExecuTorch's exporter puts inputs that the model writes to before
// them.) A buffer that the model writes to keeps its content from call to call. An input that the model writes to is not
// planned: the runtime then works on the caller's own memory, and the caller sees the writes as in PyTorch.
#pragma once

#include "executorch/delegate_blob.h"
#include "executorch/program.h"
#include "partition/partition.h"

namespace cortland::edge {

struct DelegateBlob {
  executorch::Data data;
  std::vector<executorch::CompileSpec> specs;
};

// Adds one method to `program`, sharing constants with the methods it has. `blobs` are those of g.delegates, in order. An
// error lists every CPU node that has no kernel. Warnings say which sizes were held to those of the traced example.
Status add_method(executorch::PteProgram& program, const partition::PartitionedGraph& g, std::vector<DelegateBlob> blobs,
                  const std::string& method, std::vector<Diagnostic>* warnings = nullptr);

// A program of that one method.
Result<executorch::PteProgram> plan_method(const partition::PartitionedGraph& g, std::vector<DelegateBlob> blobs,
                                           const std::string& method, std::vector<Diagnostic>* warnings = nullptr);

}  // namespace cortland::edge
