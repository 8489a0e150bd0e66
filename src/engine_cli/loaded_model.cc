#include "engine_cli/loaded_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "engine_cli/arrays.h"
#include "cli/model_file.h"
#include "cli/number_check.h"
#include "coreml/package_reader.h"

namespace cortland::engine_cli {
namespace {

class LoadedPackage final : public LoadedModel {
 public:
  explicit LoadedPackage(engine::Engine engine) : engine_(std::move(engine)) {}

  Status set_inputs(const archive::NamedArrays& arrays, const std::string& file) override {
    inputs_.clear();
    std::vector<std::string> names;
    for (const auto& input : engine_.inputs()) names.push_back(input.name);
    TRY_DO(refuse_surplus(arrays, names, file));
    for (size_t i = 0; i < engine_.inputs().size(); ++i) {
      TRY(const archive::Array* array, find_array(arrays, i, engine_.inputs()[i].name, file));
      inputs_.push_back(to_tensor(*array));
    }
    return {};
  }

  Status run() override {
    TRY(results_, engine_.run(inputs_));
    return {};
  }

  Result<archive::NamedArrays> outputs() override {
    archive::NamedArrays outputs;
    for (size_t i = 0; i < results_.size(); ++i) outputs.emplace_back(fmt::format("out{}", i), to_array(results_[i]));
    return outputs;
  }

 private:
  engine::Engine engine_;
  std::vector<mil::Tensor> inputs_, results_;
};

Result<std::unique_ptr<LoadedModel>> load_package(const std::string& path, const LoadOptions& options) {
  TRY(const mil::Program program, coreml::read_package(path));
  if (program.functions.empty()) return diag(DiagKind::BadPackage, fmt::format("{} has no function", path));
  const std::string function = options.method.empty() ? program.functions[0].name : options.method;
  if (std::ranges::find(program.functions, function, &mil::Function::name) == program.functions.end()) {
    std::vector<std::string> names;
    for (const auto& f : program.functions) names.push_back(fmt::format("'{}'", f.name));
    return diag(DiagKind::BadOption, fmt::format("{} has no function '{}', only {}", path, function, fmt::join(names, ", ")),
                "choose one with --method");
  }
  TRY(auto engine, engine::Engine::compile(program, function, {options.threads, !options.reference, options.precision}));
  if (options.trace)
    engine.set_hook([trace = options.trace](const engine::StepTrace& t) { trace(t.op.name, t.name, t.seconds, t.fast); });
  return std::unique_ptr<LoadedModel>(std::make_unique<LoadedPackage>(std::move(engine)));
}

engine::Precision precision_mode(std::string mode) {
  mode = CLI::detail::to_lower(mode);
  if (mode == "exact") return engine::Precision::Exact;
  if (mode == "fast") return engine::Precision::Fast;
  throw CLI::ValidationError("--precision-mode", fmt::format("there is no mode '{}', use exact or fast", mode));
}

}  // namespace

void add_load_options(CLI::App& app, LoadOptions& options) {
  app.add_option("--method", options.method, "method of a .pte, function of an .mlpackage");
  app.add_option("--threads", options.threads, "threads for Core ML parts; as many as the machine has unless given")->check(cli::at_least(0));
  app.add_flag("--reference", options.reference, "use the reference kernels only: slow, but each is the definition of its op");
  app.add_option_function<std::string>(
      "--precision-mode", [&options](const std::string& mode) { options.precision = precision_mode(mode); },
      "how float16 programs are computed. exact (default): each result is rounded to float16, as devices store it; fast: in float32 throughout");
}

Result<std::unique_ptr<LoadedModel>> load_model(const std::string& path, const LoadOptions& options) {
  TRY(const cli::ModelKind kind, cli::model_kind(path));
  if (kind == cli::ModelKind::Pt2) return diag(DiagKind::BadOption, fmt::format("{} is not lowered yet", path), "first run `cortland lower`");
  return kind == cli::ModelKind::Pte ? load_pte(path, options) : load_package(path, options);
}

}  // namespace cortland::engine_cli
