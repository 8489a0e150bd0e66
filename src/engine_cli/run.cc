#include "cli/output_paths.h"
#include "engine_cli/commands.h"
#include "engine_cli/loaded_model.h"
#include "engine_cli/profile.h"
#include "engine/threads.h"

namespace cortland::engine_cli {
namespace {

struct RunOptions {
  std::string model, inputs, outputs;
  LoadOptions load;
  bool profile = false;
};

Status run(RunOptions& options) {
  Profile profile;
  if (options.profile)
    options.load.trace = [&](std::string_view kind, std::string_view name, double seconds, bool fast) { profile.add(kind, name, seconds, fast); };
  TRY_DO(cli::check_output_paths({{"--outputs", options.outputs}}, {{"the model", options.model}, {"the inputs", options.inputs}}));
  const engine::ThreadLimit limit(options.load.threads);
  TRY(const auto model, load_model(options.model, options.load));
  archive::NamedArrays inputs;
  if (!options.inputs.empty()) {
    TRY(inputs, archive::read_npz(options.inputs));
  }
  TRY_DO(model->set_inputs(inputs, options.inputs));
  TRY_DO(model->run());
  if (options.profile) profile.print(1);
  TRY(const auto outputs, model->outputs());
  return archive::write_npz(options.outputs, outputs);
}

std::function<Status()> add_run(CLI::App& app) {
  auto options = std::make_shared<RunOptions>();
  app.add_option("model", options->model, "a .pte or .mlpackage")->required();
  app.add_option("--inputs", options->inputs, "an .npz with arrays in0, in1, ... or named like the model's inputs");
  app.add_option("--outputs", options->outputs, "where to write out0, out1, ... (.npz)")->required();
  add_load_options(app, options->load);
  app.add_flag("--profile", options->profile, "print where the time of the Core ML parts goes");
  return [options] { return run(*options); };
}

}  // namespace

const cli::Command kRun{cli::kRunName, add_run};

}  // namespace cortland::engine_cli
