// Delegate: one Core ML delegate of a loaded method. Owns its engine, and with it the states, for as long as the method is
// loaded; the blob's bytes must outlive it. One call at a time.
#pragma once

#include <executorch/runtime/backend/interface.h>

#include <memory>
#include <optional>
#include <vector>

#include "engine/engine.h"
#include "executorch/delegate_blob.h"
#include "executorch/runner_abi.h"

namespace cortland::et_plugin {

class Delegate {
 public:
  // `blob` is the delegate's bytes: a flattened directory, or a reference to one in `named_data`.
  static Result<std::unique_ptr<Delegate>> load(Bytes blob, const char* method, const ::executorch::runtime::NamedDataMap* named_data,
                                                const CortlandBackendSettings& settings);

  Status execute(::executorch::runtime::Span<::executorch::runtime::EValue*> args);

 private:
  Delegate() = default;
  Status init(Bytes directory, const char* method, const std::string& function, const CortlandBackendSettings& settings);

  std::optional<::executorch::runtime::FreeableBuffer> shared_;  // the directory, when it is named data
  std::optional<engine::Engine> engine_;
  // In the order of the arguments: positions in the engine's inputs and outputs.
  std::vector<size_t> inputs_, outputs_;
};

}  // namespace cortland::et_plugin
