#include "driver/driver.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/spelling.h"
#include "coreml/package_writer.h"
#include "device_rules/rules.h"
#include "driver/buffer_use.h"
#include "driver/compress.h"
#include "driver/coreml_compiler.h"
#include "driver/delegates.h"
#include "executorch/pte_writer.h"
#include "mil_passes/pass_names.h"
#include "partition/lowest_target.h"
#include "torch/pt2_archive.h"
#include "torch_passes/functionalize.h"
#include "torch_passes/high_rank.h"
#include "torch_passes/share_weights.h"

namespace cortland::driver {
namespace {

bool may_use_neural_engine(const LowerOptions& options) { return options.compute_unit == "all" || options.compute_unit == "cpu_and_ne"; }

}  // namespace

Status compress(std::span<mil::Program* const> programs, const LowerOptions& options, MethodReport& report) {
  if (!options.compression) return {};
  compression::Report total;
  for (mil::Program* program : programs) {
    TRY(auto done, compression::compress(*program, *options.compression, {.neural_engine = may_use_neural_engine(options)}));
    compression::merge(total, std::move(done));
  }
  report.compression = {total.weights, total.bytes_before, total.bytes_after};
  report.warnings.insert(report.warnings.end(), total.warnings.begin(), total.warnings.end());
  return {};
}

namespace {

std::string lower_case(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

void add_names(std::set<std::string>& names, const std::string& target) {
  names.insert(lower_case(target));
  names.insert(lower_case(partition::edge_name(target)));
}

// What options can name; kept when there are such options.
struct Names {
  bool wanted = false;
  std::set<std::string> operators, nodes;

  explicit Names(std::span<const Method> methods) {
    for (const auto& method : methods)
      wanted = wanted || !method.options.partition.skip_ops.empty() || !method.options.partition.float32_ops.empty();
  }

  void add(const torch::Graph& graph) {
    if (!wanted) return;
    for_each_node(graph, graph.order, [&](torch::NodeId n) {
      add_names(operators, graph.nodes[n].target);
      nodes.insert(graph.nodes[n].name);
    });
  }
};

// Also by the front of a name, which people take for all of it: "aten.linear".
std::string suggestion(const std::string& wrong, const std::set<std::string>& known) {
  const std::string text = did_you_mean(wrong, {known.begin(), known.end()}, wrong.size() / 3, [](std::string_view a, std::string_view b) {
    return b.size() > a.size() && b.starts_with(a) && b[a.size()] == '.' ? 0 : edit_distance(a, b);
  });
  return text.empty() ? "" : "; " + text;
}

// Names in options that nothing of any method has, neither as exported nor once the program was taken apart.
void report_unknown_names(Names names, std::span<const Method> methods, LowerReport& report) {
  if (!names.wanted) return;
  for (const auto& method : report.methods) {
    for (const auto& op : method.cpu_ops) add_names(names.operators, op.op);
    for (const auto& d : method.delegates)
      for (const auto& op : d.ops) add_names(names.operators, op);
  }
  std::set<std::string> skips, float32;
  for (const auto& method : methods) {
    for (const auto& skip : method.options.partition.skip_ops)
      if (skip != "*" && !names.operators.count(skip)) skips.insert(skip);
    for (const auto& name : method.options.partition.float32_ops)
      if (!names.operators.count(lower_case(name)) && !names.nodes.count(name)) float32.insert(name);
  }
  for (const auto& skip : skips)
    report.warnings.push_back(fmt::format("nothing was skipped for '{}': the program has no operator of that name{}", skip,
                                          suggestion(skip, names.operators)));
  for (const auto& name : float32)
    report.warnings.push_back(
        fmt::format("nothing computes in float32 for '{}': the program has no operator and no node of that name{}", name,
                    suggestion(lower_case(name), names.operators)));
}

void report_missing_passes(const LowerOptions& options, MethodReport& report) {
  const auto missing = mil_passes::missing_passes(options.partition.pass_names.value_or(std::vector<std::string>{}));
  if (!missing.empty())
    report.warnings.push_back(fmt::format("these passes are not there yet, the models stay as they were without them: {}",
                                          fmt::join(missing, ", ")));
}

Result<torch::Graph> read_functional(const Method& method, torch_ops::Float16Range& range) {
  TRY(auto graph, torch::read_pt2(method.pt2, method.program,
                                  [&](const torch::Graph& inputs) { partition::look_ahead(inputs, method.options.partition, range); }));
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

// What was read of a method, and what another thread finds out about its weights.
struct ReadGraph {
  std::shared_ptr<torch_ops::Float16Range> range = std::make_shared<torch_ops::Float16Range>();
  std::unique_ptr<torch::Graph> graph;
};
using Graphs = std::vector<ReadGraph>;

// With `shared`, equal weights become one, whichever method has them.
Result<Graphs> read_graphs(std::span<const Method> methods, bool shared) {
  Graphs graphs;
  WeightSet weights;
  for (const auto& method : methods) {
    ReadGraph read;
    auto graph = read_functional(method, *read.range);
    if (!graph.ok()) return in_method(std::move(graph).error(), method.name, methods.size());
    if (shared && methods.size() > 1) torch_passes::share_weights(*graph, weights);
    read.graph = std::make_unique<torch::Graph>(std::move(*graph));
    graphs.push_back(std::move(read));
  }
  return graphs;
}

struct Targets {
  std::optional<mil::Target> chosen;                              // where none was given
  std::vector<std::unique_ptr<partition::LowestTarget>> decided;  // by method: the work that choosing has done already, or null
};

// Sets the target that each method is lowered for. The same is chosen for all that were given none: the file needs the newest of
// its methods' anyway, and methods of one target can share models.
Result<Targets> choose_targets(std::vector<Method>& methods, const Graphs& graphs) {
  Targets targets;
  auto& [chosen, decided] = targets;
  decided.resize(methods.size());
  for (size_t i = 0; i < methods.size(); ++i) {
    LowerOptions& options = methods[i].options;
    if (options.target) {
      options.partition.target = *options.target;
      continue;
    }
    TRY(auto found, partition::lowest_target(*graphs[i].graph, options.partition, graphs[i].range));
    mil::Target lowest = found.target;
    decided[i] = std::make_unique<partition::LowestTarget>(std::move(found));
    if (options.compression) lowest = std::max(lowest, mil::Target::iOS16);  // iOS15 has no compressed weights
    chosen = std::max(chosen.value_or(lowest), lowest);
  }
  for (auto& method : methods)
    if (!method.options.target) method.options.partition.target = *chosen;
  return targets;
}

// What is decided about a method's graph for its target.
Result<partition::Decided> decide(const Method& method, const ReadGraph& read, partition::LowestTarget* known) {
  const auto& options = method.options.partition;
  if (known && known->target == options.target) return std::move(known->decided);
  TRY(auto decision, partition::decide(*read.graph, options, read.range));
  return partition::Decided{std::move(*read.graph), std::move(decision)};
}

void report_target(std::optional<mil::Target> chosen, LowerReport& report) {
  if (!chosen) return;
  report.warnings.push_back(
      fmt::format("no deployment target was given: {} with Core ML specification version {} was chosen, the lowest that "
                  "delegates as much as the newest does; set minimum_deployment_target (--deployment-target) to choose another",
                  mil::target_name(*chosen), mil::specification_version(*chosen)));
}

// What one method is while the program is made.
struct Lowering {
  BufferUse buffers;
  std::unique_ptr<const partition::PartitionedGraph> graph;
  MethodDelegates delegates;  // of the graph
  MethodReport report;
};

Result<Lowering> partition_method(const Method& method, const ReadGraph& read, partition::LowestTarget* known, Names& names) {
  Lowering lowering;
  names.add(*read.graph);
  lowering.buffers = buffer_use(method.name, *read.graph);
  TRY(auto decided, decide(method, read, known));
  TRY(auto partitioned, partition::partition_graph(std::move(decided), method.options.partition));
  lowering.report = describe_method(method.name, partitioned, method.options.partition);
  std::vector<mil::Program*> programs;
  for (auto& delegate : partitioned.delegates) programs.push_back(&delegate.program);
  TRY_DO(compress(programs, method.options, lowering.report));
  report_missing_passes(method.options, lowering.report);
  lowering.graph = std::make_unique<const partition::PartitionedGraph>(std::move(partitioned));
  lowering.delegates = {method.name, lowering.graph->delegates, method.options.compile_specs, method.options.weight_sharing,
                        method.options.model_type, may_use_neural_engine(method.options)};
  return lowering;
}

Result<std::vector<Lowering>> partition_methods(std::span<const Method> methods, const Graphs& graphs, Targets& targets, Names& names) {
  std::vector<Lowering> lowerings;
  for (size_t i = 0; i < methods.size(); ++i) {
    auto lowering = partition_method(methods[i], graphs[i], targets.decided[i].get(), names);
    if (!lowering.ok()) return in_method(std::move(lowering).error(), methods[i].name, methods.size());
    lowerings.push_back(std::move(lowering.value()));
  }
  return lowerings;
}

Result<mil::Program> convert_method(const Method& method, const ReadGraph& read, partition::LowestTarget* known,
                                    MethodReport& report) {
  std::vector<Diagnostic> warnings;
  TRY(auto decided, decide(method, read, known));
  TRY(auto program, partition::convert_graph(std::move(decided), method.options.partition, &warnings));
  for (const auto& w : warnings) report.warnings.push_back(w.what);
  mil::Program* const programs[] = {&program};
  TRY_DO(compress(programs, method.options, report));
  report_missing_passes(method.options, report);
  if (method.options.compute_unit != "all")
    report.warnings.push_back("a Core ML model does not hold the compute unit: the application chooses it when it loads the model");
  return program;
}

Status write_compiled_model(const coreml::PackagePlan& plan, const std::filesystem::path& destination) {
  TRY(const auto files, compile_package(plan, ""));
  TRY(auto folder, OutputDirectory::create(destination));
  for (const auto& file : files) {
    const auto path = folder.path() / file.path;
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    if (error) return diag(DiagKind::FileAccess, fmt::format("cannot create {}: {}", path.parent_path().string(), error.message()));
    TRY_DO(write_file(path, file.bytes.memory));
  }
  return folder.commit();
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

Result<std::vector<Method>> methods_of(const torch::Pt2Source& pt2, const LowerOptions& options) {
  TRY(const auto names, torch::program_names(pt2.archive));
  std::vector<Method> methods;
  for (const auto& name : names) methods.push_back({name == torch::kUnnamedProgram ? "forward" : name, pt2, name, options});
  return methods;
}

Result<Method> method_of(std::string name, const torch::Pt2Source& pt2, const LowerOptions& options) {
  TRY(auto methods, methods_of(pt2, options));
  if (methods.size() == 1) methods[0].name = name;
  std::vector<std::string> names;
  for (auto& method : methods) {
    if (method.name == name) return std::move(method);
    names.push_back(method.name);
  }
  return diag(DiagKind::BadOption, fmt::format("'{}' has no program '{}', only {}", pt2.archive->name(), name, fmt::join(names, ", ")),
              "call the method like one of its programs");
}

Result<LoweredProgram> lower(std::vector<Method> methods, std::vector<edge::ConstantMethod> constants) {
  TRY_DO(check_names(methods, constants));
  TRY(const auto graphs, read_graphs(methods, /*shared=*/true));
  TRY(auto targets, choose_targets(methods, graphs));
  Names names(methods);
  TRY(auto lowerings, partition_methods(methods, graphs, targets, names));
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
  report_unknown_names(std::move(names), methods, lowered.report);
  if (std::ranges::any_of(delegates, [](const auto& m) { return !m.delegates.empty(); })) report_target(targets.chosen, lowered.report);
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

Result<mil::Program> convert_program(const Method& method) {
  const auto range = std::make_shared<torch_ops::Float16Range>();
  TRY(auto graph, read_functional(method, *range));
  TRY(auto decision, partition::decide(graph, method.options.partition, range));
  std::vector<Diagnostic> warnings;
  return partition::convert_graph(partition::Decided{std::move(graph), std::move(decision)}, method.options.partition, &warnings);
}

Result<LowerReport> convert(std::vector<Method> methods, const std::filesystem::path& destination) {
  TRY_DO(check_names(methods, {}));
  TRY(const auto graphs, read_graphs(methods, /*shared=*/false));
  TRY(auto targets, choose_targets(methods, graphs));
  LowerReport report;
  Names known(methods);
  std::vector<mil::Program> programs;
  for (size_t i = 0; i < methods.size(); ++i) {
    const Method& method = methods[i];
    known.add(*graphs[i].graph);
    MethodReport& described = report.methods.emplace_back(empty_report(method.name, method.options.partition));
    auto program = convert_method(method, graphs[i], targets.decided[i].get(), described);
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
  for (const auto& f : functions) TRY_DO(device_rules::check(*f.program, *f.function));
  TRY(const auto plan, coreml::plan_package(functions));
  for (size_t i = 0; i < functions.size(); ++i)
    for (std::string& risk : device_rules::warnings(*functions[i].program, *functions[i].function, plan.weight_bytes(),
                                                    may_use_neural_engine(methods[i].options)))
      report.methods[i].warnings.push_back(std::move(risk));
  if (methods[0].options.model_type == executorch::ModelType::CompiledModel) {
    TRY_DO(write_compiled_model(plan, destination));
  } else {
    TRY_DO(coreml::write_package(plan, destination));
  }
  report_unknown_names(std::move(known), methods, report);
  report_target(targets.chosen, report);
  return report;
}

}  // namespace cortland::driver
