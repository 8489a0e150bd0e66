#include "driver/driver.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "coreml/package_writer.h"
#include "driver/buffer_use.h"
#include "driver/delegates.h"
#include "executorch/pte_writer.h"
#include "mil_passes/pass_names.h"
#include "torch/pt2_archive.h"
#include "torch_passes/functionalize.h"
#include "torch_passes/high_rank.h"
#include "torch_passes/share_weights.h"

namespace cortland::driver {
namespace {

Result<std::vector<executorch::CompileSpec>> compile_specs(const LowerOptions& options) {
  if (options.compile_specs) return *options.compile_specs;
  executorch::CompileOptions compile;
  const auto unit = executorch::compute_unit_from_name(options.compute_unit);
  if (!unit)
    return diag(DiagKind::BadOption, fmt::format("there is no compute unit '{}'", options.compute_unit), "use all, cpu_only, cpu_and_gpu or cpu_and_ne");
  compile.compute_unit = *unit;
  compile.minimum_deployment_target = executorch::target_from_version(mil::specification_version(options.partition.target));
  compile.compute_precision =
      options.partition.float_type == DType::F32 ? executorch::Precision::Float32 : executorch::Precision::Float16;
  if (options.weight_sharing != executorch::WeightSharing::Positional) compile.weight_sharing = options.weight_sharing;
  return executorch::generate_compile_specs(compile);
}

std::string lower_case(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

void add_names(std::set<std::string>& names, const std::string& target) {
  names.insert(lower_case(target));
  names.insert(lower_case(partition::edge_name(target)));
}

std::set<std::string> operator_names(const torch::Graph& graph) {
  std::set<std::string> names;
  for (torch::NodeId n : graph.order) add_names(names, graph.nodes[n].target);
  return names;
}

// Names to skip that no operator of any method has, neither as exported nor once the program was taken apart.
void report_unknown_skips(std::set<std::string> names, std::span<const Method> methods, LowerReport& report) {
  for (const auto& method : report.methods) {
    for (const auto& op : method.cpu_ops) add_names(names, op.op);
    for (const auto& d : method.delegates)
      for (const auto& op : d.ops) add_names(names, op);
  }
  std::set<std::string> unknown;
  for (const auto& method : methods)
    for (const auto& skip : method.options.partition.skip_ops)
      if (skip != "*" && !names.count(skip)) unknown.insert(skip);
  for (const auto& skip : unknown)
    report.warnings.push_back(fmt::format("nothing was skipped for '{}': the program has no operator of that name", skip));
}

// Compresses the weights of a program as the options say.
Status compress(mil::Program& program, const LowerOptions& options, MethodReport& report) {
  if (!options.compression) return {};
  const bool neural_engine = options.compute_unit == "all" || options.compute_unit == "cpu_and_ne";
  TRY(auto done, compression::compress(program, *options.compression, {.neural_engine = neural_engine}));
  if (!report.compression) report.compression.emplace();
  compression::merge(*report.compression, std::move(done));
  return {};
}

void add_compression_warnings(MethodReport& report) {
  if (report.compression)
    report.warnings.insert(report.warnings.end(), report.compression->warnings.begin(), report.compression->warnings.end());
}

void report_missing_passes(const LowerOptions& options, MethodReport& report) {
  const auto missing = mil_passes::missing_passes(options.partition.pass_names.value_or(std::vector<std::string>{}));
  if (!missing.empty())
    report.warnings.push_back(fmt::format("these passes are not there yet, the models stay as they were without them: {}",
                                          fmt::join(missing, ", ")));
}

Result<torch::Graph> read_functional(const Method& method) {
  TRY(auto graph, torch::read_pt2(method.pt2, method.program));
  TRY(auto functional, torch_passes::functionalize(std::move(graph)));
  torch_passes::reduce_high_ranks(functional);
  return functional;
}

Status check_names(std::span<const Method> methods, std::span<const edge::ConstantMethod> constants) {
  if (methods.empty()) return diag(DiagKind::BadOption, "a program needs a method", "name at least one exported program");
  std::set<std::string> names;
  const auto check = [&](const std::string& name) -> Status {
    if (name.empty()) return diag(DiagKind::BadOption, "a method has no name");
    if (!names.insert(name).second) return diag(DiagKind::BadOption, fmt::format("two methods are named '{}'", name));
    return {};
  };
  for (const auto& method : methods) TRY_DO(check(method.name));
  for (const auto& constant : constants) TRY_DO(check(constant.name));
  return {};
}

// Says which method an error is about, when there are several.
Diagnostic in_method(Diagnostic error, const std::string& name, size_t methods) {
  if (methods > 1) error.what = fmt::format("method '{}': {}", name, error.what);
  return error;
}

// What one method is while the program is made.
struct Lowering {
  BufferUse buffers;
  std::unique_ptr<const partition::PartitionedGraph> graph;
  MethodDelegates delegates;  // of the graph
  MethodReport report;
};

Result<Lowering> partition_method(const Method& method, WeightSet* shared, std::set<std::string>& operators) {
  Lowering lowering;
  TRY(auto specs, compile_specs(method.options));
  TRY(auto graph, read_functional(method));
  if (shared) torch_passes::share_weights(graph, *shared);
  operators.merge(operator_names(graph));
  lowering.buffers = buffer_use(method.name, graph);
  TRY(auto partitioned, partition::partition_graph(std::move(graph), method.options.partition));
  lowering.report = describe_method(method.name, partitioned, method.options.partition);
  for (auto& delegate : partitioned.delegates) TRY_DO(compress(delegate.program, method.options, lowering.report));
  add_compression_warnings(lowering.report);
  report_missing_passes(method.options, lowering.report);
  lowering.graph = std::make_unique<const partition::PartitionedGraph>(std::move(partitioned));
  lowering.delegates = {method.name, lowering.graph->delegates, std::move(specs), method.options.weight_sharing};
  return lowering;
}

Result<std::vector<Lowering>> partition_methods(std::span<const Method> methods, std::set<std::string>& operators) {
  std::vector<Lowering> lowerings;
  WeightSet weights;
  for (const auto& method : methods) {
    auto lowering = partition_method(method, methods.size() > 1 ? &weights : nullptr, operators);
    if (!lowering.ok()) return in_method(std::move(lowering).error(), method.name, methods.size());
    lowerings.push_back(std::move(lowering.value()));
  }
  return lowerings;
}

Result<mil::Program> convert_method(const Method& method, MethodReport& report) {
  TRY(auto graph, read_functional(method));
  TRY(auto program, partition::convert_graph(std::move(graph), method.options.partition));
  TRY_DO(compress(program, method.options, report));
  add_compression_warnings(report);
  report_missing_passes(method.options, report);
  return program;
}

// Plans the methods in the order of their names, as ExecuTorch does.
Status plan_methods(std::vector<Lowering>& lowerings, ProgramDelegates made, executorch::PteProgram& program) {
  program.named_data = std::move(made.shared);
  std::vector<size_t> order(lowerings.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) -> const std::string& { return lowerings[i].report.name; });
  for (const size_t i : order) {
    MethodReport& report = lowerings[i].report;
    std::vector<edge::DelegateBlob> blobs;
    for (auto& delegate : made.methods[i]) {
      report.delegates[blobs.size()].bytes = delegate.bytes;
      report.delegates[blobs.size()].function = delegate.function;
      blobs.push_back(std::move(delegate.blob));
    }
    std::vector<Diagnostic> warnings;
    if (Status status = edge::add_method(program, *lowerings[i].graph, std::move(blobs), report.name, &warnings); !status.ok())
      return in_method(std::move(status).error(), report.name, lowerings.size());
    for (const auto& w : warnings) report.warnings.push_back(w.what);
  }
  return {};
}

}  // namespace

Result<std::vector<Method>> methods_of(std::shared_ptr<const MappedFile> pt2, const LowerOptions& options) {
  TRY(const auto names, torch::program_names(pt2));
  std::vector<Method> methods;
  for (const auto& name : names) methods.push_back({name == torch::kUnnamedProgram ? "forward" : name, pt2, name, options});
  return methods;
}

Result<Method> method_of(std::string name, std::shared_ptr<const MappedFile> pt2, const LowerOptions& options) {
  TRY(auto methods, methods_of(pt2, options));
  if (methods.size() == 1) methods[0].name = name;
  std::vector<std::string> names;
  for (auto& method : methods) {
    if (method.name == name) return std::move(method);
    names.push_back(method.name);
  }
  return diag(DiagKind::BadOption, fmt::format("'{}' has no program '{}', only {}", pt2->name(), name, fmt::join(names, ", ")),
              "call the method like one of its programs");
}

Result<LoweredProgram> lower(std::vector<Method> methods, std::vector<edge::ConstantMethod> constants) {
  TRY_DO(check_names(methods, constants));
  std::set<std::string> operators;
  TRY(auto lowerings, partition_methods(methods, operators));
  std::vector<MethodDelegates> delegates;
  std::vector<BufferUse> buffers;
  for (const auto& lowering : lowerings) {
    delegates.push_back(lowering.delegates);
    buffers.push_back(lowering.buffers);
  }
  TRY(auto made, delegate_bytes(delegates));
  LoweredProgram lowered;
  lowered.report.warnings = made.warnings;
  if (auto warning = unshared_buffers(buffers); !warning.empty()) lowered.report.warnings.push_back(std::move(warning));
  TRY_DO(plan_methods(lowerings, std::move(made), lowered.program));
  for (const auto& constant : constants) TRY_DO(edge::add_constant_method(lowered.program, constant));
  for (auto& lowering : lowerings) {
    lowered.graphs.push_back(std::move(lowering.graph));
    lowered.report.methods.push_back(std::move(lowering.report));
  }
  report_unknown_skips(std::move(operators), methods, lowered.report);
  return lowered;
}

Result<LoweredProgram> lower(std::shared_ptr<const MappedFile> pt2, const LowerOptions& options) {
  TRY(auto methods, methods_of(std::move(pt2), options));
  return lower(std::move(methods));
}

Status write(const LoweredProgram& lowered, const std::filesystem::path& pte) {
  TRY(auto file, OutputFile::create(pte));
  TRY_DO(executorch::write_pte(lowered.program, file));
  return file.commit();
}

Result<LowerReport> convert(std::vector<Method> methods, const std::filesystem::path& package) {
  TRY_DO(check_names(methods, {}));
  LowerReport report;
  std::vector<mil::Program> programs;
  for (const auto& method : methods) {
    MethodReport& described = report.methods.emplace_back(empty_report(method.name, method.options.partition));
    auto program = convert_method(method, described);
    if (!program.ok()) return in_method(std::move(program).error(), method.name, methods.size());
    programs.push_back(std::move(program.value()));
  }
  std::vector<std::string> names{"main"};
  if (methods.size() > 1) {
    names.clear();
    for (const auto& method : methods) names.push_back(method.name);
    names = function_names(names);
  }
  std::vector<coreml::PackageFunction> functions;
  for (size_t i = 0; i < programs.size(); ++i) functions.push_back({names[i], &programs[i], &programs[i].functions[0]});
  TRY(const auto plan, coreml::plan_package(functions));
  TRY_DO(coreml::write_package(plan, package));
  return report;
}

}  // namespace cortland::driver
