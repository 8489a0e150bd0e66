#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cli/command.h"
#include "cli/model_file.h"
#include "cli/pte_names.h"
#include "executorch/delegate_blob.h"
#include "executorch/pte_reader.h"

namespace cortland::cli {
namespace {

struct ExtractOptions {
  std::string pte, destination;
};

Status write_into(const std::filesystem::path& folder, const executorch::BlobView& file) {
  const auto path = folder / file.path;  // the reader has refused paths that lead out of the folder
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (error) return diag(DiagKind::FileAccess, fmt::format("cannot create {}: {}", path.parent_path().string(), error.message()));
  return write_file(path, file.bytes);
}

Status extract(const ExtractOptions& options) {
  std::error_code error;
  if (std::filesystem::exists(options.destination, error) && !std::filesystem::is_empty(options.destination, error))
    return diag(DiagKind::BadOption, fmt::format("{} exists and is not empty", options.destination), "name a new folder");
  TRY_DO(expect_kind(options.pte, ModelKind::Pte));
  TRY(auto file, MappedFile::open(options.pte));
  TRY(const auto program, executorch::read_pte(file));
  TRY(auto folder, OutputDirectory::create(options.destination));
  std::vector<std::string> written;
  std::set<std::string> shared;  // keys of models that several delegates refer to
  for (const auto& plan : program.plans)
    for (size_t i = 0; i < plan.delegates.size(); ++i) {
      if (plan.delegates[i].id != executorch::kCoreMLBackendId) continue;
      std::string name = fmt::format("{}_{}", plan.name, i);
      if (const auto reference = delegate_reference(program, plan.delegates[i])) {
        if (!shared.insert(reference->key).second) continue;
        name = fmt::format("shared_{}", shared.size() - 1);
      }
      TRY(const auto files, executorch::unflatten_directory(delegate_directory(program, plan.delegates[i])));
      for (const auto& f : files) TRY_DO(write_into(folder.path() / name, f));
      const bool compiled = std::ranges::any_of(files, [](const auto& f) { return f.path.starts_with("model.mlmodelc/"); });
      written.push_back(name + (compiled ? "/model.mlmodelc" : "/model.mlpackage"));
    }
  if (written.empty()) return diag(DiagKind::BadInput, fmt::format("{} has no Core ML delegate", options.pte), "nothing was delegated; see the report of `cortland lower`");
  TRY_DO(folder.commit());
  for (const auto& name : written) fmt::print("{}\n", (std::filesystem::path(options.destination) / name).string());
  return {};
}

std::function<Status()> add_extract(CLI::App& app) {
  auto options = std::make_shared<ExtractOptions>();
  app.add_option("pte", options->pte, "a .pte file")->required();
  app.add_option("-o,--output", options->destination, "the folder to write; in it one folder a delegate, or a model that several share")->required();
  return [options] { return extract(*options); };
}

}  // namespace

const Command kExtract{"extract", "Write the Core ML packages inside a .pte to a folder", add_extract};

}  // namespace cortland::cli
