// Writes a MIL program as an .mlpackage. plan_package() lays out everything in memory except the weights, whose places are
// fixed but whose contents are streamed when they are written; a PackagePlan is immutable then and keeps the weights alive,
// not the program.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "coreml/weight_file.h"
#include "mil/program.h"

namespace cortland::coreml {

struct WriteOptions {
  // Shown by Xcode; empty ones are left out.
  std::string author, license, short_description, version;
  // Which tool made the program; part of the program itself.
  std::map<std::string, std::string> build_info;
};

// Names as they are in the file: legal identifiers, which the program's own need not be.
struct FunctionInterface {
  std::string name;
  std::vector<std::string> inputs, outputs, states;
};

struct PackagePlan {
  std::string manifest;  // Manifest.json
  std::string model;     // Data/com.apple.CoreML/model.mlmodel
  std::vector<FunctionInterface> functions;
  WeightPlan weights;

  // Data/com.apple.CoreML/weights/weight.bin; 0: there is no such file.
  uint64_t weight_bytes() const { return weights.bytes(); }
  // Puts exactly weight_bytes() bytes at `at`. Where `fingerprint` is given, it is made on the way.
  Status write_weights(OutputFile& out, uint64_t at = 0, std::string* fingerprint = nullptr) const;
  // A UUID for model and weights together; reads all weights.
  Result<std::string> fingerprint() const;
};

inline constexpr std::string_view kManifestPath = "Manifest.json";
inline constexpr std::string_view kModelPath = "Data/com.apple.CoreML/model.mlmodel";
inline constexpr std::string_view kWeightPath = "Data/com.apple.CoreML/weights/weight.bin";

// A function as the package has it; several may come from several programs of one target. Both outlive the call.
struct PackageFunction {
  std::string name;
  const mil::Program* program = nullptr;
  const mil::Function* function = nullptr;
};

Result<PackagePlan> plan_package(const mil::Program& program, const WriteOptions& options = {});
// The first is the default function. Weights that several functions have are stored once.
Result<PackagePlan> plan_package(std::span<const PackageFunction> functions, const WriteOptions& options = {});

// Nothing is left at `destination` on failure, except what was there before.
Status write_package(const PackagePlan& plan, const std::filesystem::path& destination);
Status write_package(const mil::Program& program, const std::filesystem::path& destination,
                     const WriteOptions& options = {});

}  // namespace cortland::coreml
