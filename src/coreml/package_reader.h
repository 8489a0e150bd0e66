// Reads an .mlpackage as a MIL program, whether coremltools wrote it or we did. Constants are views into the weight file,
// which the program keeps mapped. Types are those of the file, except that sizes it leaves open are inferred where the op
// says them. Files may be hostile: every name, count and offset is checked. Free functions; any thread.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "base/file.h"
#include "mil/program.h"

namespace cortland::coreml {

Result<mil::Program> read_package(const std::filesystem::path& directory);

// A file of a package that does not lie in a directory of its own (in the blob of a delegate).
struct PackageFile {
  std::string path;  // "model.mlpackage/Manifest.json"
  std::shared_ptr<const MappedFile> file;
};

// The package is where Manifest.json is; there must be exactly one.
Result<mil::Program> read_package(std::span<const PackageFile> files);

}  // namespace cortland::coreml
