// Runs .pte files by way of libcortland_runner.so, which is loaded when first needed: everything else works without ExecuTorch.
// One thread at a time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine_cli/loaded_model.h"
#include "executorch/runner_abi.h"

namespace cortland::engine_cli {

class PteRunner {
 public:
  static Result<PteRunner> open(const std::string& path);

  // Before load().
  void configure(const LoadOptions& options);
  Status load(const std::string& method);
  Status run(const std::vector<CortlandValue>& inputs);
  size_t output_count() const { return api_->output_count(runner_.get()); }
  // Valid until the next call.
  Result<CortlandValue> output(size_t index);

 private:
  struct Close {
    const CortlandRunnerApi* api;
    void operator()(CortlandRunner* runner) const { api->close(runner); }
  };

  PteRunner(const CortlandRunnerApi* api, CortlandRunner* runner) : api_(api), runner_(runner, Close{api}) {}

  using Trace = decltype(LoadOptions::trace);

  const CortlandRunnerApi* api_;
  std::shared_ptr<Trace> trace_;  // what the backend calls; outlives the runner
  std::unique_ptr<CortlandRunner, Close> runner_;
};

}  // namespace cortland::engine_cli
