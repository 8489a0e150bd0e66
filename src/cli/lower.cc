// `cortland lower` and `cortland convert`: the same options, another container.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <optional>

#include "cli/command.h"
#include "cli/methods.h"
#include "driver/driver.h"

namespace cortland::cli {
namespace {

struct Arguments {
  std::string input, output, report, compress;
  std::vector<std::string> methods, constant_methods;
  std::string target, precision = "float16", compute_unit = "all", weight_sharing = "positional";
  std::vector<std::string> skip_ops, float32_ops, enumerated_shapes;
  bool full_graph = false;
};

void add_shared(CLI::App& app, Arguments& a) {
  auto* program = app.add_option("program", a.input, "the exported program, a .pt2 file; if it holds several, each becomes a method");
  app.add_option("--method", a.methods, "a method and its exported program, decode=decode.pt2; once for each method")
      ->allow_extra_args(false)
      ->excludes(program);
  app.add_option("-o,--output", a.output, "where to write")->required();
  app.add_option("--deployment-target", a.target, "oldest system to run on: iOS15 (default) to iOS18, or macOS12 to macOS15");
  app.add_option("--precision", a.precision, "float16 (default) or float32");
  app.add_option("--float32-ops", a.float32_ops, "operators that compute in float32 all the same")->delimiter(',');
  app.add_option("--enumerated-shapes", a.enumerated_shapes,
                 "the shapes a dynamic input may take, x=1x3x224x224,1x3x256x256; once for each such input; decode:x=... for one method");
  app.add_option("--compress", a.compress, "how to compress the weights, a JSON file: see docs/compression.md; iOS16 unless a newer target is given");
  app.add_option("--report", a.report, "write what was delegated, and why the rest was not, as JSON");
}

// "x=1x5x10,4x6x10"
Status add_enumerated_shapes(const std::string& text, driver::LowerOptions& options) {
  const Diagnostic bad = diag(DiagKind::BadOption, fmt::format("cannot read the shapes '{}'", text), "write them as x=1x3x224x224,1x3x256x256");
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) return bad;
  auto& shapes = options.partition.enumerated_shapes[text.substr(0, equals)];
  shapes.emplace_back();
  int64_t size = 0;
  int digits = 0;
  for (size_t i = equals + 1; i <= text.size(); ++i) {
    const char c = i < text.size() ? text[i] : ',';
    if (c >= '0' && c <= '9' && digits < 9) {
      size = size * 10 + (c - '0');
      ++digits;
      continue;
    }
    if (digits == 0 || (c != 'x' && c != ',')) return bad;
    shapes.back().push_back(size);
    size = digits = 0;
    if (c == ',' && i < text.size()) shapes.emplace_back();
  }
  return {};
}

Result<driver::LowerOptions> options_of(const Arguments& a) {
  driver::LowerOptions options;
  const std::string fallback = a.compress.empty() ? "iOS15" : "iOS16";  // the first that has compressed weights
  const auto target = mil::target_from_name(a.target.empty() ? fallback : a.target);
  if (!target) return diag(DiagKind::BadOption, fmt::format("there is no deployment target '{}'", a.target), "use iOS15, iOS16, iOS17 or iOS18");
  if (a.precision != "float16" && a.precision != "float32")
    return diag(DiagKind::BadOption, fmt::format("there is no precision '{}'", a.precision), "use float16 or float32");
  options.partition.target = *target;
  options.partition.float_type = a.precision == "float32" ? DType::F32 : DType::F16;
  options.partition.lower_full_graph = a.full_graph;
  for (std::string op : a.skip_ops) {
    for (char& c : op) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    options.partition.skip_ops.insert(op);
  }
  options.partition.float32_ops.insert(a.float32_ops.begin(), a.float32_ops.end());
  for (const std::string& shapes : a.enumerated_shapes) TRY_DO(add_enumerated_shapes(shapes, options));
  options.compute_unit = a.compute_unit;
  if (!a.compress.empty()) {
    TRY(const auto file, MappedFile::open(a.compress));
    TRY(options.compression, compression::parse_config(as_text(file->bytes()), a.compress));
  }
  const auto sharing = executorch::weight_sharing_from_name(a.weight_sharing);
  if (!sharing) return diag(DiagKind::BadOption, fmt::format("there is no weight sharing '{}'", a.weight_sharing), "use positional or disabled");
  options.weight_sharing = *sharing;
  return options;
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

  Status finish(const driver::LowerReport& report) {
    for (const auto& w : report.all_warnings()) fmt::print(stderr, "warning: {}\n", w);
    if (!file) return {};
    TRY_DO(file->append(as_bytes(report.json())));
    return file->commit();
  }
};

void print_compression(const driver::LowerReport& report) {
  for (const auto& method : report.methods) {
    if (!method.compression) continue;
    const auto& c = *method.compression;
    fmt::print("{}{} weights compressed, {:.1f} MB to {:.1f} MB\n", report.methods.size() > 1 ? method.name + ": " : "", c.weights,
               static_cast<double>(c.bytes_before) / 1e6, static_cast<double>(c.bytes_after) / 1e6);
  }
}

void print_summary(const driver::MethodReport& method, const std::string& output, bool several) {
  size_t ops = 0;
  for (const auto& d : method.delegates) ops += d.ops.size();
  fmt::print("{}{}: {} operators in {} Core ML delegates, {} on the CPU\n", output, several ? fmt::format(", {}", method.name) : "", ops,
             method.delegates.size(), method.cpu_ops.size());
}

std::function<Status()> add_lower(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  add_shared(app, *a);
  app.add_option("--compute-unit", a->compute_unit, "all (default), cpu_only, cpu_and_gpu or cpu_and_ne");
  app.add_option("--constant-method", a->constant_methods,
                 "a method that returns a constant, get_max_seq_len=128: a number, true, false, a text, or several numbers 1,2,3")
      ->allow_extra_args(false);
  app.add_option("--weight-sharing", a->weight_sharing,
                 "positional (default): the methods' delegates become functions of shared models where they can; or disabled");
  app.add_option("--skip-ops", a->skip_ops, "operators to leave on the CPU, by exported or edge name: aten.add.Tensor,...; '*' for all")->delimiter(',');
  app.add_flag("--lower-full-graph", a->full_graph, "fail unless every operator can be delegated");
  return [a]() -> Status {
    TRY(const auto options, options_of(*a));
    TRY(auto methods, methods_from(a->input, a->methods, options));
    std::vector<edge::ConstantMethod> constants;
    for (const auto& text : a->constant_methods) {
      TRY(constants.emplace_back(), constant_method(text));
    }
    ReportFile file;
    TRY_DO(file.open(*a));
    TRY(const auto lowered, driver::lower(std::move(methods), std::move(constants)));
    TRY_DO(driver::write(lowered, a->output));
    const auto& report = lowered.report;
    TRY_DO(file.finish(report));
    print_compression(report);
    for (const auto& method : report.methods) print_summary(method, a->output, report.methods.size() > 1);
    return {};
  };
}

std::function<Status()> add_convert(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  add_shared(app, *a);
  return [a]() -> Status {
    TRY(const auto options, options_of(*a));
    TRY(auto methods, methods_from(a->input, a->methods, options));
    ReportFile file;
    TRY_DO(file.open(*a));
    TRY(const auto report, driver::convert(std::move(methods), a->output));
    print_compression(report);
    return file.finish(report);
  };
}

}  // namespace

const Command kLower = {"lower", "lower an exported program to a .pte with Core ML delegates", add_lower};
const Command kConvert = {"convert", "convert a whole exported program to one .mlpackage", add_convert};

}  // namespace cortland::cli
