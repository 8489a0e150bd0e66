// `cortland check-passes`: what each pass does to a model, in ops and in numbers.
#include "engine_cli/pass_checks.h"

#include <fmt/format.h>

#include "cli/model_file.h"
#include "engine_cli/arrays.h"
#include "engine_cli/commands.h"
#include "mil/target.h"

namespace cortland::engine_cli {
namespace {

struct CheckOptions {
  std::string program, inputs, target = "iOS18", precision = "float16";
};

// What passes may change: they round at other places, and float16 has 11 bits.
double limit(const CheckOptions& options) { return options.precision == "float32" ? 1e-4 : 2e-2; }

Status check(const CheckOptions& options) {
  const auto target = mil::target_from_name(options.target);
  if (!target)
    return diag(DiagKind::BadOption, fmt::format("there is no deployment target '{}'", options.target),
                "use iOS15, iOS16, iOS17 or iOS18");
  if (options.precision != "float16" && options.precision != "float32")
    return diag(DiagKind::BadOption, fmt::format("there is no precision '{}'", options.precision), "use float16 or float32");
  driver::LowerOptions lower;
  lower.partition.target = *target;
  lower.partition.float_type = options.precision == "float32" ? DType::F32 : DType::F16;
  TRY_DO(cli::expect_kind(options.program, cli::ModelKind::Pt2));
  TRY(const auto arrays, archive::read_npz(options.inputs));
  TRY(const auto checks,
      check_passes(options.program, lower,
                           [&](const std::vector<engine::Feature>& features) -> Result<std::vector<mil::Tensor>> {
                             std::vector<std::string> names;
                             for (const auto& feature : features) names.push_back(feature.name);
                             TRY_DO(refuse_surplus(arrays, names, options.inputs));
                             std::vector<mil::Tensor> inputs;
                             for (size_t i = 0; i < features.size(); ++i) {
                               TRY(const archive::Array* array, find_array(arrays, i, features[i].name, options.inputs));
                               inputs.push_back(to_tensor(*array));
                             }
                             return inputs;
                           }));
  std::string wrong;
  fmt::print("{:>6} {:>11}  after\n", "ops", "difference");
  for (const auto& c : checks) {
    fmt::print("{:>6} {:>11.2e}  {}\n", c.ops, c.difference, c.pass.empty() ? "lowering" : c.pass);
    if (wrong.empty() && !(c.difference <= limit(options))) wrong = c.pass;
  }
  if (!wrong.empty())
    return diag(DiagKind::InternalFault, fmt::format("{} changes what the model computes", wrong),
                "please report the model");
  return {};
}

std::function<Status()> add_check(CLI::App& app) {
  auto options = std::make_shared<CheckOptions>();
  app.add_option("program", options->program, "the exported program, a .pt2 file")->required();
  app.add_option("--inputs", options->inputs, "an .npz with arrays in0, in1, ... or named like the model's inputs")
      ->required();
  app.add_option("--deployment-target", options->target, "iOS15 to iOS18 (default)");
  app.add_option("--precision", options->precision, "float16 (default) or float32");
  return [options] { return check(*options); };
}

}  // namespace

const cli::Command kCheckPasses{cli::kCheckPassesName, add_check};

}  // namespace cortland::engine_cli
