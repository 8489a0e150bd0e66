#include "cli/output_paths.h"

#include <fmt/format.h>

#include <filesystem>

namespace cortland::cli {
namespace {

// By what the file system says where both are there: links have several names.
bool is_same(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code error;
  if (std::filesystem::equivalent(a, b, error)) return true;
  const auto whole = [&](const std::filesystem::path& path) {
    const auto canonical = std::filesystem::weakly_canonical(std::filesystem::absolute(path, error), error);
    return canonical.has_filename() ? canonical : canonical.parent_path();
  };
  return whole(a) == whole(b);
}

}  // namespace

Status check_output_paths(const std::vector<NamedPath>& outputs, const std::vector<NamedPath>& inputs) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    const NamedPath& out = outputs[i];
    if (out.path.empty()) continue;
    for (const NamedPath& in : inputs)
      if (!in.path.empty() && is_same(out.path, in.path))
        return diag(DiagKind::BadOption, fmt::format("{} would replace {}, {}", out.what, in.what, in.path), "name another file to write");
    for (size_t k = 0; k < i; ++k)
      if (!outputs[k].path.empty() && is_same(out.path, outputs[k].path))
        return diag(DiagKind::BadOption, fmt::format("{} and {} are both {}", outputs[k].what, out.what, out.path), "name two files");
  }
  return {};
}

}  // namespace cortland::cli
