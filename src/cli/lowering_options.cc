#include "cli/lowering_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

#include "base/file.h"
#include "cli/methods.h"

namespace cortland::cli {
namespace {

using Specs = std::vector<CompileSpec>;

Diagnostic bad_choice(std::string_view what, const std::string& given, std::string help) {
  return diag(DiagKind::BadOption, fmt::format("there is no {} '{}'", what, given), std::move(help));
}

// Sets what the command line gives, and nothing else.
Result<CompileOptions> compile_options(const LoweringArguments& a) {
  CompileOptions options;
  if (!a.target.empty()) {
    options.minimum_deployment_target = executorch::target_from_name(a.target);
    if (!options.minimum_deployment_target)
      return bad_choice("deployment target", a.target,
                        "use iOS15, iOS16, iOS17, iOS18 or iOS26, or a system of the same year such as macOS15");
  }
  const auto choose = [](auto& to, const std::string& name, auto from_name, std::string_view what,
                         const char* help) -> Status {
    if (name.empty()) return {};
    const auto found = from_name(name);
    if (!found) return bad_choice(what, name, help);
    to = *found;
    return {};
  };
  TRY_DO(choose(options.compute_unit, a.compute_unit, executorch::compute_unit_from_name, "compute unit",
                "use all, cpu_only, cpu_and_gpu or cpu_and_ne"));
  TRY_DO(choose(options.compute_precision, a.precision, executorch::precision_from_name, "precision",
                "use float16 or float32"));
  TRY_DO(choose(options.model_type, a.model_type, executorch::model_type_from_name, "model type",
                "use model or compiled_model"));
  if (!a.weight_sharing.empty())
    TRY_DO(choose(options.weight_sharing.emplace(), a.weight_sharing, executorch::weight_sharing_from_name, "weight sharing",
                  "use positional or disabled"));
  if (!a.quantizer_config.empty()) options.op_linear_quantizer_config = a.quantizer_config;
  if (!a.pass_names.empty()) {
    options.pass_names = a.pass_names;
    std::erase(*options.pass_names, "");  // '' alone: no pass at all
  }
  return options;
}

// "pass_pipeline=[]"
Result<CompileSpec> compile_spec(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return diag(DiagKind::BadOption, fmt::format("cannot read the compile spec '{}'", text),
                "write it as key=value, min_deployment_target=9");
  return CompileSpec{text.substr(0, equals), text.substr(equals + 1)};
}

// Specs made elsewhere come as they are; what else the command line chooses joins them. Without any, all four are stored.
Result<Specs> compile_specs(const LoweringArguments& a) {
  TRY(const auto options, compile_options(a));
  TRY(auto generated, CoreMLBackend::generate_compile_specs(options));
  if (!a.compress.empty()) {
    TRY(const auto file, MappedFile::open(a.compress));
    auto spec = CoreMLBackend::generate_compression_compile_spec(std::string(as_text(file->bytes())));
    if (!spec.ok()) spec.error().what = fmt::format("{}: {}", a.compress, spec.error().what);
    TRY(generated.emplace_back(), std::move(spec));
  }
  if (a.compile_specs.empty()) return generated;
  const bool chosen[] = {!a.compute_unit.empty(), !a.target.empty(), !a.precision.empty(), !a.model_type.empty()};
  Specs specs;
  for (const auto& text : a.compile_specs) {
    TRY(specs.emplace_back(), compile_spec(text));
  }
  for (size_t i = 0; i < generated.size(); ++i) {
    if (i < std::size(chosen) && !chosen[i]) continue;
    if (std::ranges::find(specs, generated[i].key, &CompileSpec::key) != specs.end())
      return diag(DiagKind::BadOption, fmt::format("'{}' is given as a compile spec and as an option", generated[i].key),
                  "leave one of the two out");
    specs.push_back(std::move(generated[i]));
  }
  return specs;
}

// "x=1x5x10,4x6x10"
Status add_enumerated_shapes(const std::string& text, EnumeratedShapes& lists) {
  const Diagnostic bad =
      diag(DiagKind::BadOption, fmt::format("cannot read the shapes '{}'", text), "write them as x=1x3x224x224,1x3x256x256");
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) return bad;
  auto& shapes = lists[text.substr(0, equals)];
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

Result<CoreMLPartitioner> partitioner_of(const LoweringArguments& a) {
  CoreMLPartitioner partitioner;
  TRY(partitioner.compile_specs, compile_specs(a));
  partitioner.skip_ops_for_coreml_delegation = a.skip_ops;
  partitioner.float32_ops = a.float32_ops;
  partitioner.take_over_mutable_buffer = a.take_over_mutable_buffer;
  partitioner.take_over_constant_data = a.take_over_constant_data;
  partitioner.lower_full_graph = a.full_graph;
  return partitioner;
}

}  // namespace

// Lists take one argument at a time, so that a program's name may follow them.
void add_lowering_options(CLI::App& app, LoweringArguments& a) {
  auto* program =
      app.add_option("program", a.input, "the exported program, a .pt2 file; if it holds several, each becomes a method");
  app.add_option("--method", a.methods, "a method and its exported program, decode=decode.pt2; once for each method")
      ->excludes(program)
      ->allow_extra_args(false);
  app.add_option("--deployment-target,--minimum-deployment-target", a.target,
                 "oldest system to run on: iOS15 to iOS18, iOS26, or macOS12 to macOS15, ...; not given: the oldest that "
                 "delegates as much as the newest");
  app.add_option("--precision,--compute-precision", a.precision, "float16 (default) or float32");
  app.add_option("--compute-unit", a.compute_unit, "all (default), cpu_only, cpu_and_gpu or cpu_and_ne");
  app.add_option("--model-type", a.model_type, "model (default), or compiled_model, which takes Apple's compiler");
  app.add_option("--pass-names", a.pass_names, "MIL passes to run, by coremltools' names, in this order; '' for none")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--op-linear-quantizer-config", a.quantizer_config,
                 "how weights are quantised, a JSON object as coremltools' OpLinearQuantizerConfig");
  app.add_option("--compress", a.compress, "how to compress the weights, a JSON file: see docs/compression.md");
  app.add_option("--compile-spec", a.compile_specs, "a compile spec made elsewhere, key=value; once for each")
      ->allow_extra_args(false);
  app.add_option("--skip-ops,--skip-ops-for-coreml-delegation", a.skip_ops,
                 "operators to leave on the CPU, by exported or edge name: aten.add.Tensor,...; '*' for all")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--float32-ops", a.float32_ops, "operators, or nodes by name, that compute in float32 all the same")->delimiter(',')
      ->allow_extra_args(false);
  app.add_flag("--take-over-mutable-buffer,!--no-take-over-mutable-buffer", a.take_over_mutable_buffer,
               "buffers that the model writes become Core ML state, from iOS18 on (default), or are passed in and out");
  app.add_flag("--take-over-constant-data,!--no-take-over-constant-data", a.take_over_constant_data,
               "weights lie in the delegates (default), or are passed in");
  app.add_flag("--lower-full-graph", a.full_graph, "fail unless every operator can be delegated");
  app.add_option(
      "--enumerated-shapes", a.enumerated_shapes,
      "the shapes a dynamic input may take, x=1x3x224x224,1x3x256x256; once for each such input; decode:x=... for one method; "
      "with --lower-full-graph")
      ->allow_extra_args(false);
}

Result<std::vector<Method>> methods_of(const LoweringArguments& a) {
  TRY(const auto partitioner, partitioner_of(a));
  EnumeratedShapes shapes;
  for (const auto& text : a.enumerated_shapes) TRY_DO(add_enumerated_shapes(text, shapes));
  return methods_from(a.input, a.methods, partitioner, shapes);
}

}  // namespace cortland::cli
