// A program from the Model message of an .mlpackage. Internal to this folder.
#pragma once

#include "coreml/proto_values.h"

namespace cortland::coreml {

// `name` is what errors call the file.
Result<mil::Program> read_model(Bytes model, const std::string& name, const WeightFiles& files);

}  // namespace cortland::coreml
