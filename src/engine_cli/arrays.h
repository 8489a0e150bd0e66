// Between the arrays of an .npz file and tensors: which array is which input, and what comes out under which name.
#pragma once

#include "archive/npy.h"
#include "mil/runtime.h"

namespace cortland::engine_cli {

// The array "in<index>", or else the one called `name`. The error lists what `file` holds.
Result<const archive::Array*> find_array(const archive::NamedArrays& arrays, size_t index, const std::string& name, const std::string& file);

// An error when `file` holds an array that find_array gives for none of the inputs, which have these names, by position. Arrays
// called out0, out1, ... may stand there: recorded results.
Status refuse_surplus(const archive::NamedArrays& arrays, const std::vector<std::string>& names, const std::string& file);

mil::Tensor to_tensor(const archive::Array& array);
archive::Array to_array(const mil::Tensor& tensor);

}  // namespace cortland::engine_cli
