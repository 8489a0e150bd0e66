#include "cli/model_file.h"

#include <fmt/format.h>

#include "base/file.h"

namespace cortland::cli {

Result<ModelKind> model_kind(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) return diag(DiagKind::FileNotFound, fmt::format("{} does not exist", path.string()));
  if (std::filesystem::is_directory(status)) return ModelKind::Package;
  TRY(const auto file, MappedFile::open(path));
  const std::string_view text = as_text(file->bytes());
  if (text.substr(0, 2) == "PK") return ModelKind::Pt2;
  if (text.size() >= 8 && text.substr(4, 4) == "ET12") return ModelKind::Pte;
  // A damaged file is named by what it should have been.
  if (path.extension() == ".pt2") return ModelKind::Pt2;
  if (path.extension() == ".pte") return ModelKind::Pte;
  return diag(DiagKind::BadOption, fmt::format("{} is none of .pt2, .pte and .mlpackage", path.string()), "name a model of one of these kinds");
}

Status expect_kind(const std::filesystem::path& path, ModelKind wanted) {
  const auto kind = model_kind(path);
  if (!kind.ok() || *kind == wanted) return {};
  std::error_code error;
  const bool package = *kind == ModelKind::Package && std::filesystem::exists(path / "Manifest.json", error);
  const std::string_view is = *kind == ModelKind::Pte ? "an ExecuTorch program already" : *kind == ModelKind::Pt2 ? "an exported program"
                              : package ? "a Core ML package" : "a folder";
  const std::string_view takes = wanted == ModelKind::Pte ? "a .pte file, which `cortland lower` writes"
                                                          : "a .pt2 file, which torch.export.save writes";
  return diag(DiagKind::BadOption, fmt::format("{} is {}; this command takes {}", path.string(), is, takes),
              *kind == ModelKind::Pt2 ? "lower it first" : *kind == ModelKind::Pte || package ? "`cortland run` and `cortland inspect` take it as it is" : "name the file");
}

}  // namespace cortland::cli
