#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "archive/npy.h"
#include "cli/arrays.h"
#include "cli/command.h"
#include "cli/model_file.h"
#include "cli/run_pte.h"
#include "coreml/package_reader.h"
#include "engine/engine.h"
#include "engine/threads.h"

namespace cortland::cli {
namespace {

struct RunOptions {
  std::string model, inputs, outputs, method;
  int threads = 0;
  bool profile = false, reference = false;
};

// Time by op, for --profile.
class Profile {
 public:
  void add(const engine::StepTrace& trace) {
    Line& line = lines_[std::string(trace.op.name)];
    ++line.count;
    line.fast += trace.fast;
    line.seconds += trace.seconds;
  }

  void print() const {
    std::vector<std::pair<std::string, Line>> sorted(lines_.begin(), lines_.end());
    std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
    fmt::print(stderr, "{:>10} {:>6} {:>6}  op\n", "ms", "calls", "fast");
    for (const auto& [op, line] : sorted) fmt::print(stderr, "{:>10.3f} {:>6} {:>6}  {}\n", line.seconds * 1e3, line.count, line.fast, op);
  }

 private:
  struct Line {
    int count = 0, fast = 0;
    double seconds = 0;
  };
  std::map<std::string, Line> lines_;
};

Result<archive::NamedArrays> run_package(const RunOptions& options, const archive::NamedArrays& arrays) {
  TRY(const mil::Program program, coreml::read_package(options.model));
  if (program.functions.empty()) return diag(DiagKind::BadPackage, fmt::format("{} has no function", options.model));
  const std::string function = options.method.empty() ? program.functions[0].name : options.method;
  TRY(auto engine, engine::Engine::compile(program, function, {options.threads, !options.reference}));
  std::vector<mil::Tensor> inputs;
  for (size_t i = 0; i < engine.inputs().size(); ++i) {
    TRY(const archive::Array* array, find_array(arrays, i, engine.inputs()[i].name, options.inputs));
    inputs.push_back(to_tensor(*array));
  }
  Profile profile;
  if (options.profile) engine.set_hook([&](const engine::StepTrace& trace) { profile.add(trace); });
  TRY(const auto results, engine.run(inputs));
  if (options.profile) profile.print();
  archive::NamedArrays outputs;
  for (size_t i = 0; i < results.size(); ++i) outputs.emplace_back(fmt::format("out{}", i), to_array(results[i]));
  return outputs;
}

Status run(const RunOptions& options) {
  TRY(const ModelKind kind, model_kind(options.model));
  if (kind == ModelKind::Pt2)
    return diag(DiagKind::BadOption, fmt::format("{} is not lowered yet", options.model), "first run `cortland lower`");
  archive::NamedArrays inputs;
  if (!options.inputs.empty()) {
    TRY(inputs, archive::read_npz(options.inputs));
  }
  const engine::ThreadLimit limit(options.threads);
  TRY(const auto outputs, kind == ModelKind::Pte ? run_pte(options.model, options.method, inputs, options.inputs) : run_package(options, inputs));
  return archive::write_npz(options.outputs, outputs);
}

std::function<Status()> add_run(CLI::App& app) {
  auto options = std::make_shared<RunOptions>();
  app.add_option("model", options->model, "a .pte or .mlpackage")->required();
  app.add_option("--inputs", options->inputs, "an .npz with arrays in0, in1, ... or named like the model's inputs");
  app.add_option("--outputs", options->outputs, "where to write out0, out1, ... (.npz)")->required();
  app.add_option("--method", options->method, "method of a .pte, function of an .mlpackage");
  app.add_option("--threads", options->threads, "threads for Core ML parts; as many as the machine has unless given")->check(CLI::NonNegativeNumber);
  app.add_flag("--profile", options->profile, "print the time each kind of op takes (.mlpackage)");
  app.add_flag("--reference", options->reference, "use the reference kernels only: slow, but each is the definition of its op (.mlpackage)");
  return [options] { return run(*options); };
}

}  // namespace

const Command kRun{"run", "Run a .pte in the ExecuTorch runtime, or an .mlpackage in the engine", add_run};

}  // namespace cortland::cli
