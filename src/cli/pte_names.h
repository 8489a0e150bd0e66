// Names of a .pte method's inputs and outputs. The file has none of its own; those that a Core ML delegate takes or gives bear
// the names of its features.
#pragma once

#include "executorch/delegate_blob.h"
#include "executorch/program.h"
#include "mil/program.h"

namespace cortland::cli {

struct MethodFeatures {
  std::vector<std::string> inputs, outputs;  // empty where no delegate tells
};

MethodFeatures method_features(const executorch::PteProgram& program, const executorch::Plan& plan);

// The directory that a delegate holds or refers to; empty when it is not one of ours.
Bytes delegate_directory(const executorch::PteProgram& program, const executorch::Delegate& delegate);
// The model and function that a delegate refers to; nothing when it holds a model of its own.
std::optional<executorch::MultifunctionReference> delegate_reference(const executorch::PteProgram& program, const executorch::Delegate& delegate);

// The names that a delegate gives to its arguments in a method; nothing when it is not one of ours.
std::optional<executorch::MethodNames> delegate_names(const executorch::PteProgram& program, const executorch::Delegate& delegate,
                                                      const std::string& method);
// The model that a delegate holds or refers to. Its weights view the memory of `program`. An error when it was compiled by Apple's tools.
Result<mil::Program> delegate_model(const executorch::PteProgram& program, const executorch::Delegate& delegate);

}  // namespace cortland::cli
