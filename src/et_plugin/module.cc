// Registers CoreMLBackend in the ExecuTorch runtime when this module is loaded. Nothing that goes wrong here may throw into
// the runtime: every error becomes a log line, cortland_backend_last_error() and an error code.
#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/platform/log.h>

#include <new>

#include "et_plugin/delegate.h"
#include "executorch/runner_abi.h"

namespace cortland::et_plugin {
namespace {

namespace et = ::executorch::runtime;

thread_local Diagnostic last_error;
thread_local CortlandError last_error_view;
thread_local bool has_last_error = false;
CortlandBackendSettings settings{};

// The runtime cuts messages off at 255 characters.
void log_text(std::string_view text) {
  while (!text.empty()) {
    const size_t length = std::min({text.find('\n'), text.size(), size_t{240}});
    if (length > 0) ET_LOG(Error, "%.*s", static_cast<int>(length), text.data());
    text.remove_prefix(length < text.size() && text[length] == '\n' ? length + 1 : length);
  }
}

et::Error report(Diagnostic diagnostic, et::Error code) {
  log_text("CoreMLBackend: " + render(diagnostic));
  last_error = std::move(diagnostic);
  has_last_error = true;
  return code;
}

// Runs `body`, which gives a Result or Status, and turns whatever comes out into a code.
template <class Body>
et::Error guarded(et::Error code, const Body& body) {
  try {
    auto result = body();
    return result.ok() ? et::Error::Ok : report(std::move(result).error(), code);
  } catch (const std::bad_alloc&) {
    return report(diag(DiagKind::OutOfMemory, "not enough memory for a Core ML delegate"), et::Error::MemoryAllocationFailed);
  } catch (const std::exception& e) {
    return report(diag(DiagKind::RuntimeFailed, std::string("internal error: ") + e.what(), "please report this, with the model"), code);
  } catch (...) {
    return report(diag(DiagKind::RuntimeFailed, "internal error of an unknown kind"), code);
  }
}

class Backend final : public et::BackendInterface {
 public:
  bool is_available() const override { return true; }

  et::Result<et::DelegateHandle*> init(et::BackendInitContext& context, et::FreeableBuffer* processed,
                                       et::ArrayRef<et::CompileSpec>) const override {
    std::unique_ptr<Delegate> delegate;
    const et::Error code = guarded(et::Error::InvalidProgram, [&]() -> Status {
      const Bytes blob{static_cast<const std::byte*>(processed->data()), processed->size()};
      const char* method = context.get_method_name();
      TRY(delegate, Delegate::load(blob, method ? method : "", context.get_named_data_map(), settings));
      return {};
    });
    if (code != et::Error::Ok) return code;
    return static_cast<et::DelegateHandle*>(delegate.release());
  }

  et::Error execute(et::BackendExecutionContext&, et::DelegateHandle* handle, et::Span<et::EValue*> args) const override {
    return guarded(et::Error::DelegateInvalidHandle, [&] { return static_cast<Delegate*>(handle)->execute(args); });
  }

  void destroy(et::DelegateHandle* handle) const override { delete static_cast<Delegate*>(handle); }
};

// Both must outlive every program, so they are never destroyed.
[[maybe_unused]] const et::Error registered = [] {
  const et::Error code = et::register_backend({executorch::kCoreMLBackendId.data(), new Backend});
  if (code != et::Error::Ok) ET_LOG(Error, "CoreMLBackend is registered already; this copy stays unused");
  return code;
}();

}  // namespace
}  // namespace cortland::et_plugin

extern "C" __attribute__((visibility("default"))) const CortlandError* cortland_backend_last_error() {
  using namespace cortland::et_plugin;
  if (!has_last_error) return nullptr;
  has_last_error = false;  // told once
  const auto& e = last_error;
  last_error_view = {static_cast<int32_t>(e.kind), e.what.c_str(), e.op.c_str(), e.node.c_str(), e.source.c_str(), e.help.c_str()};
  return &last_error_view;
}

extern "C" __attribute__((visibility("default"))) void cortland_backend_configure(const CortlandBackendSettings* given) {
  cortland::et_plugin::settings = *given;
}
