#include "engine_cli/pass_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "mil/text.h"

namespace cortland::engine_cli {
namespace {

size_t count_ops(const mil::Program& program) {
  size_t n = 0;
  for (const mil::Op& op : program.ops) n += op.def != nullptr;
  return n;
}

Result<double> largest_difference(const std::vector<mil::Tensor>& have, const std::vector<mil::Tensor>& want) {
  double worst = 0;
  if (have.size() != want.size()) return diag(DiagKind::InternalFault, "the number of outputs changed");
  for (size_t i = 0; i < want.size(); ++i) {
    if (have[i].shape != want[i].shape || have[i].dtype != want[i].dtype)
      return diag(DiagKind::InternalFault, fmt::format("the type of output {} changed", i));
    const auto h = have[i].floats(), w = want[i].floats();
    double scale = 1e-30, difference = 0;
    for (size_t k = 0; k < w.size(); ++k) {
      if (std::isfinite(w[k]) != std::isfinite(h[k]))
        return diag(DiagKind::InternalFault, fmt::format("output {} has {} where it had {}", i, h[k], w[k]));
      if (!std::isfinite(w[k])) continue;
      scale = std::max(scale, std::abs(static_cast<double>(w[k])));
      difference = std::max(difference, std::abs(static_cast<double>(h[k]) - static_cast<double>(w[k])));
    }
    worst = std::max(worst, difference / scale);
  }
  return worst;
}

}  // namespace

Result<std::vector<PassCheck>> check_passes(const std::filesystem::path& pt2, const driver::LowerOptions& options,
                                            const MakeInputs& make_inputs) {
  std::vector<PassCheck> checks;
  std::vector<mil::Tensor> inputs, want;
  std::string before;
  driver::LowerOptions watched = options;
  watched.partition.after_pass = [&](std::string_view pass, const mil::Program& program) -> Status {
    std::string text = mil::print(program);
    if (text == before) return {};
    before = std::move(text);
    if (const Status valid = mil::verify(program); !valid.ok())
      return diag(DiagKind::InternalFault, fmt::format("after {}: {}", pass, valid.error().what));
    TRY(auto engine, engine::Engine::compile(program));
    if (pass.empty()) {
      TRY(inputs, make_inputs(engine.inputs()));
    }
    TRY(auto have, engine.run(inputs));
    if (pass.empty()) want = have;
    auto difference = largest_difference(have, want);
    if (!difference.ok()) return diag(DiagKind::InternalFault, fmt::format("after {}: {}", pass, difference.error().what));
    checks.push_back({std::string(pass), count_ops(program), *difference});
    return {};
  };
  TRY(auto file, MappedFile::open(pt2));
  TRY(const auto methods, driver::methods_of(std::move(file), watched));
  if (methods.empty()) return diag(DiagKind::BadProgram, "the file holds no program");
  TRY_DO(driver::convert_program(methods[0]));
  return checks;
}

}  // namespace cortland::engine_cli
