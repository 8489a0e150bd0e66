// libcortland_runner.so: the C interface of executorch/runner_abi.h over LoadedProgram. Loads the backend from the folder it
// lies in itself, the way any other program would.
#include <dlfcn.h>
#include <executorch/runtime/platform/runtime.h>
#include <fmt/format.h>

#include <filesystem>
#include <new>

#include "et_runner/log.h"
#include "et_runner/method.h"

struct CortlandRunner {
  std::unique_ptr<cortland::et_runner::LoadedProgram> program;
};

namespace cortland::et_runner {
namespace {

constexpr const char* kBackend = "libcortland_executorch.so";

thread_local Diagnostic last_error;
CortlandLastErrorEntry backend_last_error = nullptr;
CortlandConfigureEntry backend_configure = nullptr;

CortlandError view(const Diagnostic& e) {
  return {static_cast<int32_t>(e.kind), e.what.c_str(), e.op.c_str(), e.node.c_str(), e.source.c_str(), e.help.c_str()};
}

// The backend's own words, when it was the one that failed.
void explain(Diagnostic error, CortlandError* out) {
  last_error = std::move(error);
  *out = view(last_error);
  if (const CortlandError* said = backend_last_error ? backend_last_error() : nullptr) *out = *said;
}

// Runs `body`, which gives a Status.
template <class Body>
bool guarded(CortlandError* error, const Body& body) {
  if (backend_last_error) backend_last_error();
  try {
    Status status = body();
    if (status.ok()) return true;
    explain(std::move(status).error(), error);
  } catch (const std::bad_alloc&) {
    explain(diag(DiagKind::OutOfMemory, "not enough memory to run the program"), error);
  } catch (const std::exception& e) {
    explain(diag(DiagKind::RuntimeFailed, std::string("internal error: ") + e.what()), error);
  }
  return false;
}

Status load_backend() {
  if (backend_last_error) return {};
  Dl_info self;
  if (!dladdr(reinterpret_cast<void*>(&load_backend), &self) || !self.dli_fname)
    return diag(DiagKind::RuntimeMissing, "the runner cannot find out where it lies");
  const auto path = std::filesystem::absolute(self.dli_fname).parent_path() / kBackend;
  void* module = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (!module) return diag(DiagKind::RuntimeMissing, fmt::format("cannot load the Core ML backend: {}", dlerror()));
  backend_last_error = reinterpret_cast<CortlandLastErrorEntry>(dlsym(module, kCortlandLastErrorEntry));
  backend_configure = reinterpret_cast<CortlandConfigureEntry>(dlsym(module, kCortlandConfigureEntry));
  if (!backend_last_error || !backend_configure) return diag(DiagKind::RuntimeMissing, fmt::format("{} is another version", path.string()));
  return {};
}

CortlandRunner* open(const char* path, CortlandError* error) {
  std::unique_ptr<LoadedProgram> program;
  const bool ok = guarded(error, [&]() -> Status {
    capture_log();
    et::runtime_init();
    TRY_DO(load_backend());
    TRY(program, LoadedProgram::open(path));
    return {};
  });
  return ok ? new CortlandRunner{std::move(program)} : nullptr;
}

bool load(CortlandRunner* runner, const char* method, CortlandError* error) {
  return guarded(error, [&] { return runner->program->load(method); });
}

bool run(CortlandRunner* runner, const CortlandValue* inputs, size_t count, CortlandError* error) {
  return guarded(error, [&] { return runner->program->method()->run({inputs, count}); });
}

bool output(CortlandRunner* runner, size_t index, CortlandValue* value, CortlandError* error) {
  return guarded(error, [&]() -> Status {
    TRY(*value, runner->program->method()->output(index));
    return {};
  });
}

constexpr CortlandRunnerApi kApi{
    .version = kCortlandRunnerVersion,
    .configure = [](const CortlandBackendSettings* settings) { backend_configure(settings); },
    .open = open,
    .close = [](CortlandRunner* runner) { delete runner; },
    .load = load,
    .input_count = [](const CortlandRunner* runner) { return runner->program->method()->input_count(); },
    .output_count = [](const CortlandRunner* runner) { return runner->program->method()->output_count(); },
    .run = run,
    .output = output,
};

}  // namespace
}  // namespace cortland::et_runner

extern "C" __attribute__((visibility("default"))) const CortlandRunnerApi* cortland_runner_api() { return &cortland::et_runner::kApi; }
