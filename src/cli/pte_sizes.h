// The sizes that the inputs of a .pte method may take. The file itself has upper bounds only, of every dimension of a tensor whose shape
// varies at all; the models of the Core ML delegates that read an input know more.
#pragma once

#include "executorch/program.h"
#include "tensor/dim.h"

namespace cortland::cli {

struct InputSizes {
  std::vector<DimRange> sizes;                // a low of 0: nothing says
  std::vector<std::vector<int64_t>> allowed;  // the only shapes, when not empty

  Shape shape(DimTable& dims) const;
};

// By position; nothing for what is no tensor.
std::vector<InputSizes> input_sizes(const executorch::PteProgram& program, const executorch::Plan& plan);

// What a tensor says of itself.
InputSizes sizes_of(const executorch::TensorValue& tensor);

}  // namespace cortland::cli
