#include "coreml/package_reader.h"

#include <fmt/format.h>

#include <functional>
#include <map>

#include "coreml/manifest.h"
#include "coreml/model_reader.h"
#include "coreml/package_writer.h"

namespace cortland::coreml {
namespace {

using OpenFile = std::function<Result<std::shared_ptr<const MappedFile>>(const std::string& path)>;

// Weight files are named relative to the model, "@model_path/weights/weight.bin".
class WeightFolder {
 public:
  WeightFolder(const OpenFile& open, std::string folder) : open_(open), folder_(std::move(folder)) {}

  Result<const WeightFile*> get(const std::string& name) {
    if (const auto known = files_.find(name); known != files_.end()) return &known->second;
    constexpr std::string_view kModelFolder = "@model_path/";
    if (name.rfind(kModelFolder, 0) != 0 || name.find("..") != std::string::npos)
      return diag(DiagKind::BadPackage,
                  fmt::format("the program keeps weights in '{}', which is not inside the package", name));
    TRY(auto mapped, open_(folder_ + name.substr(kModelFolder.size())));
    TRY(WeightFile file, WeightFile::open(std::move(mapped)));
    return &files_.emplace(name, std::move(file)).first->second;
  }

 private:
  const OpenFile& open_;
  std::string folder_;
  std::map<std::string, WeightFile> files_;
};

Result<mil::Program> read(const OpenFile& open) {
  TRY(const auto manifest, open(std::string(kManifestPath)));
  TRY(const std::string path, model_path(manifest->bytes(), manifest->name()));
  TRY(const auto model, open(path));
  WeightFolder weights(open, path.substr(0, path.rfind('/') + 1));
  return read_model(model->bytes(), model->name(), [&](const std::string& name) { return weights.get(name); });
}

}  // namespace

Result<mil::Program> read_package(const std::filesystem::path& directory) {
  std::error_code error;
  if (std::filesystem::is_directory(directory, error) && !std::filesystem::exists(directory / kManifestPath, error))
    return diag(DiagKind::BadPackage,
                fmt::format("'{}' has no Manifest.json, so it is not an .mlpackage", directory.string()));
  return read([&](const std::string& path) { return MappedFile::open(directory / path); });
}

Result<mil::Program> read_package(std::span<const PackageFile> files) {
  const PackageFile* manifest = nullptr;
  for (const PackageFile& file : files) {
    if (std::filesystem::path(file.path).filename() != kManifestPath) continue;
    if (manifest)
      return diag(DiagKind::BadPackage, fmt::format("there are two packages: '{}' and '{}'", manifest->path, file.path));
    manifest = &file;
  }
  if (!manifest) return diag(DiagKind::BadPackage, "there is no Manifest.json among the files of the model");
  const std::string root = manifest->path.substr(0, manifest->path.size() - kManifestPath.size());
  return read([&](const std::string& path) -> Result<std::shared_ptr<const MappedFile>> {
    for (const PackageFile& file : files)
      if (file.path == root + path) return file.file;
    return diag(DiagKind::BadPackage, fmt::format("the model has no file '{}'", root + path));
  });
}

}  // namespace cortland::coreml
