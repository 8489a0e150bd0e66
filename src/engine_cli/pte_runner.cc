#include "engine_cli/pte_runner.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>

namespace cortland::engine_cli {
namespace {

constexpr const char* kModule = "libcortland_runner.so";

Diagnostic to_diagnostic(const CortlandError& error) {
  auto text = [](const char* s) { return std::string(s ? s : ""); };
  return {static_cast<DiagKind>(error.kind), text(error.what), text(error.op), text(error.node), text(error.source), text(error.help)};
}

// Next to the program, or in ../lib when it is installed.
Result<const CortlandRunnerApi*> load_module() {
  static const CortlandRunnerApi* loaded = nullptr;
  if (loaded) return loaded;
  std::error_code error;
  const auto folder = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const auto& path : {folder / kModule, folder.parent_path() / "lib" / kModule}) {
    if (!std::filesystem::exists(path, error)) continue;
    void* module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!module) return diag(DiagKind::RuntimeMissing, fmt::format("cannot load the ExecuTorch runtime: {}", dlerror()));
    const auto entry = reinterpret_cast<CortlandRunnerEntry>(dlsym(module, kCortlandRunnerEntry));
    if (!entry || entry()->version != kCortlandRunnerVersion)
      return diag(DiagKind::RuntimeMissing, fmt::format("{} belongs to another version of this program", path.string()));
    return loaded = entry();
  }
  return diag(DiagKind::RuntimeMissing, fmt::format("there is no {} beside the program, so .pte files cannot be run", kModule));
}

}  // namespace

Result<PteRunner> PteRunner::open(const std::string& path) {
  TRY(const CortlandRunnerApi* api, load_module());
  CortlandError error{};
  CortlandRunner* runner = api->open(path.c_str(), &error);
  if (!runner) return to_diagnostic(error);
  return PteRunner(api, runner);
}

void PteRunner::configure(const LoadOptions& options) {
  CortlandBackendSettings settings{};
  settings.reference = options.reference;
  settings.fast_precision = options.precision == engine::Precision::Fast;
  if (options.trace) {
    trace_ = std::make_shared<Trace>(options.trace);
    settings.trace = [](void* context, const char* kind, const char* name, double seconds, bool fast) {
      (*static_cast<const Trace*>(context))(kind, name, seconds, fast);
    };
    settings.trace_context = trace_.get();
  }
  api_->configure(&settings);
}

Status PteRunner::load(const std::string& method) {
  CortlandError error{};
  if (!api_->load(runner_.get(), method.c_str(), &error)) return to_diagnostic(error);
  return {};
}

Status PteRunner::run(const std::vector<CortlandValue>& inputs) {
  CortlandError error{};
  if (!api_->run(runner_.get(), inputs.data(), inputs.size(), &error)) return to_diagnostic(error);
  return {};
}

Result<CortlandValue> PteRunner::output(size_t index) {
  CortlandError error{};
  CortlandValue value{};
  if (!api_->output(runner_.get(), index, &value, &error)) return to_diagnostic(error);
  return value;
}

}  // namespace cortland::engine_cli
