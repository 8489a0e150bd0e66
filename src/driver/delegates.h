// The bytes of a program's Core ML delegates, and which of them share a model. Free functions.
#pragma once

#include <span>

#include "edge/plan.h"
#include "executorch/compile_specs.h"

namespace cortland::driver {

// The delegates of one method, and the compile specs they store.
struct MethodDelegates {
  std::string method;
  std::span<const partition::Delegate> delegates;
  std::vector<executorch::CompileSpec> specs;
  executorch::WeightSharing sharing = executorch::WeightSharing::Positional;
  executorch::ModelType model_type = executorch::ModelType::Model;
  bool neural_engine = true;  // whether the compute unit has it
};

struct DelegateBytes {
  edge::DelegateBlob blob;
  uint64_t bytes = 0;    // of the directory: the blob, or what it refers to
  std::string function;  // in a model that several methods share; empty in a model of its own
};

struct ProgramDelegates {
  std::vector<std::vector<DelegateBytes>> methods;  // one list a method, one entry a delegate
  std::vector<executorch::NamedData> shared;        // directories that the blobs refer to
  std::vector<std::string> warnings;  // each once
};

// Each delegate is a directory with metadata.json and the package, whose weights are streamed when the .pte is written, or the
// model that Apple's compiler makes of it.
// Where the methods allow it, the first delegates of all methods are functions of one model that stores their weights once,
// and so are the second ones, and so on ("positional" sharing, the form that ExecuTorch's Core ML runtime reads). That takes
// a target with such models and as many delegates in each method; otherwise each delegate has a model of its own, and a
// warning says what that costs.
Result<ProgramDelegates> delegate_bytes(std::span<const MethodDelegates> methods);

// Names for the functions of a model, one a method: legal in Core ML and each used once.
std::vector<std::string> function_names(std::span<const std::string> methods);

}  // namespace cortland::driver
