#include "coreml/package_writer.h"

#include <fmt/format.h>

#include "coreml/manifest.h"
#include "coreml/model_writer.h"

namespace cortland::coreml {

Status PackagePlan::write_weights(OutputFile& out, uint64_t at, std::string* fingerprint) const {
  if (!fingerprint) return weights.write(out, at);
  ContentHash hash;
  hash.add(as_bytes(model));
  TRY_DO(weights.write(out, at, &hash));
  *fingerprint = hash.uuid();
  return {};
}

Result<std::string> PackagePlan::fingerprint() const {
  ContentHash hash;
  hash.add(as_bytes(model));
  TRY_DO(weights.fingerprint(hash));
  return hash.uuid();
}

Result<PackagePlan> plan_package(const mil::Program& program, const WriteOptions& options) {
  std::vector<PackageFunction> functions;
  for (const mil::Function& function : program.functions) functions.push_back({function.name, &program, &function});
  return plan_package(functions, options);
}

Result<PackagePlan> plan_package(std::span<const PackageFunction> functions, const WriteOptions& options) {
  PackagePlan plan;
  TRY(plan.model, write_model(functions, options, plan.weights, plan.functions));
  plan.manifest = write_manifest(plan.model, plan.weight_bytes() > 0);
  return plan;
}

Status write_package(const PackagePlan& plan, const std::filesystem::path& destination) {
  TRY(auto directory, OutputDirectory::create(destination));
  const auto weight_path = directory.path() / kWeightPath;
  std::error_code error;
  std::filesystem::create_directories(
      plan.weight_bytes() > 0 ? weight_path.parent_path() : weight_path.parent_path().parent_path(), error);
  if (error)
    return diag(DiagKind::FileAccess,
                fmt::format("cannot create folders in '{}': {}", destination.string(), error.message()));
  TRY_DO(write_file(directory.path() / kManifestPath, as_bytes(plan.manifest)));
  TRY_DO(write_file(directory.path() / kModelPath, as_bytes(plan.model)));
  if (plan.weight_bytes() > 0) {
    TRY(auto file, OutputFile::create(weight_path));
    TRY_DO(file.reserve(plan.weight_bytes()));
    TRY_DO(plan.write_weights(file));
    TRY_DO(file.commit());
  }
  return directory.commit();
}

Status write_package(const mil::Program& program, const std::filesystem::path& destination, const WriteOptions& options) {
  TRY(PackagePlan plan, plan_package(program, options));
  return write_package(plan, destination);
}

}  // namespace cortland::coreml
