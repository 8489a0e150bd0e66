// Manifest.json of an .mlpackage: which file is the model. Free functions.
#pragma once

#include <string>
#include <string_view>

#include "base/file.h"

namespace cortland::coreml {

// Identifiers are derived from the model's bytes, so equal programs have equal manifests.
std::string write_manifest(std::string_view model, bool has_weights);

// Path of the model file relative to the package, "Data/com.apple.CoreML/model.mlmodel"; it stays below "Data".
Result<std::string> model_path(Bytes manifest, const std::string& name);

}  // namespace cortland::coreml
