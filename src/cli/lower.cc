// `cortland lower` and `cortland convert`: the same options, another container.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <optional>

#include "base/file.h"
#include "cli/command.h"
#include "cli/lowering_options.h"
#include "cli/methods.h"
#include "cli/model_file.h"
#include "cli/output_paths.h"
#include "cortland/methods.h"

namespace cortland::cli {
namespace {

struct Arguments {
  LoweringArguments lowering;
  std::vector<std::string> constant_methods;
  std::string output, report;
  std::optional<EdgeProgram> program;  // lives as long as the process: taking it apart would be work for nothing
};

void add_options(CLI::App& app, Arguments& a) {
  add_lowering_options(app, a.lowering);
  app.add_option("-o,--output", a.output, "where to write")->required();
  app.add_option("--report", a.report, "write what was delegated, and why the rest was not, as JSON");
}

// The report's file is opened before the work starts, so that a bad path costs nothing and leaves nothing.
struct ReportFile {
  std::optional<OutputFile> file;

  Status open(const Arguments& a) {
    if (a.report.empty()) return {};
    TRY(auto created, OutputFile::create(a.report));
    file.emplace(std::move(created));
    return {};
  }

  Status finish(const LowerReport& report) {
    for (const auto& message : report.messages()) fmt::print(stderr, "warning: {}\n", message);
    if (!file) return {};
    TRY_DO(file->append(as_bytes(report.json())));
    return file->commit();
  }
};

void print_compression(const LowerReport& report) {
  for (const auto& method : report.methods) {
    if (!method.compression) continue;
    const auto& c = *method.compression;
    fmt::print("{}{} weights compressed, {:.2f} MB to {:.2f} MB\n", report.methods.size() > 1 ? method.name + ": " : "", c.weights,
               static_cast<double>(c.bytes_before) / 1e6, static_cast<double>(c.bytes_after) / 1e6);
  }
}

std::string counted(size_t n, std::string_view what) { return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s"); }

void print_summary(const driver::MethodReport& method, const std::string& output, bool several) {
  size_t ops = 0;
  for (const auto& d : method.delegates) ops += d.ops.size();
  fmt::print("{}{}: {} in {}, {} on the CPU\n", output, several ? fmt::format(", {}", method.name) : "", counted(ops, "operator"),
             counted(method.delegates.size(), "Core ML delegate"), method.cpu_ops.size());
}

void print_summary(const LowerReport& report, const std::string& output) {
  const auto& method = report.methods[0];
  fmt::print("{}: a Core ML model with {}, for {}, in {}\n", output, counted(report.methods.size(), "function"), method.target, method.precision);
}

// The files are named before the work starts: what is wrong with them costs nothing.
Status check_paths(const Arguments& a) {
  std::vector<NamedPath> inputs{{"--compress", a.lowering.compress}};
  std::vector<std::string> programs;
  if (!a.lowering.input.empty()) programs.push_back(a.lowering.input);
  for (const auto& method : a.lowering.methods) programs.push_back(method.substr(method.find('=') + 1));
  for (const auto& program : programs) {
    TRY_DO(expect_kind(program, ModelKind::Pt2));
    inputs.push_back({"the program", program});
  }
  return check_output_paths({{"--output", a.output}, {"--report", a.report}}, inputs);
}

std::function<Status()> add_lower(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  add_options(app, *a);
  app.add_option("--constant-method", a->constant_methods,
                 "a method that returns a constant, get_max_seq_len=128: a number, true, false, a text, or several numbers 1,2,3")
      ->allow_extra_args(false);
  app.add_option("--weight-sharing", a->lowering.weight_sharing,
                 "positional (default): the methods' delegates become functions of shared models where they can; or disabled");
  return [a]() -> Status {
    TRY_DO(check_paths(*a));
    TRY(const auto methods, methods_of(a->lowering));
    std::vector<edge::ConstantMethod> constants;
    for (const auto& text : a->constant_methods) {
      TRY(constants.emplace_back(), constant_method(text));
    }
    ReportFile file;
    TRY_DO(file.open(*a));
    TRY(a->program, lower_methods(methods, std::move(constants)));
    TRY_DO(a->program->to_executorch().write_to_file(a->output));
    const LowerReport& report = a->program->report();
    TRY_DO(file.finish(report));
    print_compression(report);
    for (const auto& method : report.methods) print_summary(method, a->output, report.methods.size() > 1);
    return {};
  };
}

std::function<Status()> add_convert(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  add_options(app, *a);
  return [a]() -> Status {
    TRY_DO(check_paths(*a));
    TRY(const auto methods, methods_of(a->lowering));
    ReportFile file;
    TRY_DO(file.open(*a));
    TRY(const auto report, convert(methods, a->output));
    TRY_DO(file.finish(report));
    print_compression(report);
    print_summary(report, a->output);
    return {};
  };
}

}  // namespace

const Command kLower = {"lower", "lower an exported program to a .pte with Core ML delegates", add_lower};
const Command kConvert = {"convert", "convert a whole exported program to one .mlpackage", add_convert};

}  // namespace cortland::cli
