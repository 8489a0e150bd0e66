// What a model takes: checks tensors that a caller passes against it and converts their element types where no value changes.
// Free functions; any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mil/runtime.h"

namespace cortland::engine {

struct Feature {
  std::string name;
  TensorType type;  // sizes with a range in the engine's DimTable
  std::vector<std::vector<int64_t>> shapes;  // the only allowed ones, when not empty
};

// The tensors by position. Errors name the input, the dimension and what is allowed.
Result<std::vector<mil::Tensor>> check_inputs(const std::vector<Feature>& features, std::span<const mil::Tensor> tensors,
                                              const DimTable& dims);

// Floats become any float; integers and bools become any number that holds every value. Else an error that starts with `name`.
Result<mil::Tensor> convert_input(const mil::Tensor& tensor, DType to, const std::string& name);

// "1 x 3 x 16..128 x ?": sizes with their ranges.
std::string describe(const Shape& shape, const DimTable& dims);

}  // namespace cortland::engine
