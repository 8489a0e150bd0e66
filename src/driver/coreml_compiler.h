// Apple's Core ML compiler, a program that comes with Xcode: `xcrun coremlcompiler`. Free functions; any thread.
#pragma once

#include "coreml/package_writer.h"
#include "executorch/delegate_blob.h"

namespace cortland::driver {

// Fails unless the compiler can be started; says what is missing and what to do.
Status check_coreml_compiler();

// Compiles a package and gives the files of the .mlmodelc, paths starting with `root`. The package is written to a temporary
// folder, and nothing of it is left.
Result<std::vector<executorch::BlobFile>> compile_package(const coreml::PackagePlan& plan, const std::string& root);

}  // namespace cortland::driver
