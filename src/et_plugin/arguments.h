// Tensors of the ExecuTorch runtime as the engine's and back: element types, the [1] around a single number, sizes that are
// known only now, memory that is not laid out row by row. Free functions; any thread.
#pragma once

#include <executorch/runtime/core/evalue.h>

#include <string>

#include "mil/runtime.h"

namespace cortland::et_plugin {

// A copy in the tensor's own element type. `rank` is what the model takes: single numbers get or lose a dimension.
Result<mil::Tensor> from_argument(const ::executorch::runtime::EValue& value, int rank, const std::string& name);

// Converts to the argument's element type and resizes it.
Status to_argument(const mil::Tensor& tensor, ::executorch::runtime::EValue& value, const std::string& name);

}  // namespace cortland::et_plugin
