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

}  // namespace cortland::cli
