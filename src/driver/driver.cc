#include "driver/driver.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "coreml/package_writer.h"
#include "edge/plan.h"
#include "executorch/compile_specs.h"
#include "executorch/delegate_blob.h"
#include "executorch/pte_writer.h"
#include "torch_passes/functionalize.h"
#include "torch_passes/high_rank.h"

namespace cortland::driver {
namespace {

// The delegate's directory: metadata.json and the package, its weights streamed when the .pte is written.
Result<edge::DelegateBlob> delegate_blob(const partition::Delegate& delegate, const std::vector<executorch::CompileSpec>& specs) {
  TRY(auto plan, coreml::plan_package(delegate.program));
  TRY(const std::string identifier, plan.fingerprint());
  const auto shared = std::make_shared<const coreml::PackagePlan>(std::move(plan));
  executorch::BlobMetadata metadata;
  metadata.identifier = "executorch_" + identifier;
  metadata.names = {shared->functions[0].inputs, shared->functions[0].outputs};
  const std::string root = "model.mlpackage/";
  std::vector<executorch::BlobFile> files;
  files.push_back({"metadata.json", executorch::owned_bytes(executorch::metadata_json(metadata))});
  files.push_back({root + std::string(coreml::kManifestPath), executorch::viewed_bytes(as_bytes(shared->manifest), shared)});
  files.push_back({root + std::string(coreml::kModelPath), executorch::viewed_bytes(as_bytes(shared->model), shared)});
  if (shared->weight_bytes() > 0) {
    auto write = [shared](OutputFile& out, uint64_t at) { return shared->write_weights(out, at); };
    files.push_back({root + std::string(coreml::kWeightPath), executorch::streamed_bytes(shared->weight_bytes(), write)});
  }
  TRY(auto directory, executorch::flatten_directory("lowered_module", std::move(files)));
  return edge::DelegateBlob{std::move(directory), specs, metadata.identifier};
}

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
  return executorch::generate_compile_specs(compile);
}

LowerReport make_report(const partition::PartitionedGraph& partitioned, const LowerOptions& options) {
  LowerReport report;
  report.target = mil::target_name(options.partition.target);
  report.precision = options.partition.float_type == DType::F32 ? "float32" : "float16";
  for (const auto& d : partitioned.delegates) {
    DelegateReport delegate{d.name, d.input_names, d.output_names, {}, 0};
    for (torch::NodeId n : d.nodes) delegate.ops.push_back(partitioned.graph.nodes[n].target);
    report.delegates.push_back(std::move(delegate));
  }
  for (const auto& op : partitioned.cpu_ops) {
    const torch::Node& node = partitioned.graph.nodes[op.node];
    report.cpu_ops.push_back({node.name, node.target, partition::edge_name(node.target), op.reason.what, node.source.str(), std::string(op.reason.remedy())});
  }
  for (const auto& w : partitioned.warnings) report.warnings.push_back(w.what);
  return report;
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

// Names to skip that no operator has, neither in the program as exported nor once it was taken apart.
void report_unknown_skips(std::set<std::string> names, const LowerOptions& options, LowerReport& report) {
  for (const auto& op : report.cpu_ops) add_names(names, op.op);
  for (const auto& d : report.delegates)
    for (const auto& op : d.ops) add_names(names, op);
  for (const auto& skip : options.partition.skip_ops)
    if (skip != "*" && !names.count(skip))
      report.warnings.push_back(fmt::format("nothing was skipped for '{}': the program has no operator of that name", skip));
}

// Compresses the weights of a program as the options say.
Status compress(mil::Program& program, const LowerOptions& options, LowerReport& report) {
  if (!options.compression) return {};
  const bool neural_engine = options.compute_unit == "all" || options.compute_unit == "cpu_and_ne";
  TRY(auto done, compression::compress(program, *options.compression, {.neural_engine = neural_engine}));
  if (!report.compression) report.compression.emplace();
  compression::merge(*report.compression, std::move(done));
  return {};
}

void add_compression_warnings(LowerReport& report) {
  if (report.compression)
    report.warnings.insert(report.warnings.end(), report.compression->warnings.begin(), report.compression->warnings.end());
}

Result<torch::Graph> read_functional(std::shared_ptr<const MappedFile> pt2) {
  TRY(auto graph, torch::read_pt2(std::move(pt2)));
  TRY(auto functional, torch_passes::functionalize(std::move(graph)));
  torch_passes::reduce_high_ranks(functional);
  return functional;
}

}  // namespace

std::string LowerReport::json() const {
  nlohmann::ordered_json root;
  root["target"] = target;
  root["precision"] = precision;
  root["delegates"] = nlohmann::ordered_json::array();
  for (const auto& d : delegates)
    root["delegates"].push_back({{"name", d.name}, {"ops", d.ops}, {"inputs", d.inputs}, {"outputs", d.outputs}, {"bytes", d.bytes}});
  root["cpu_ops"] = nlohmann::ordered_json::array();
  for (const auto& c : cpu_ops)
    root["cpu_ops"].push_back({{"node", c.node}, {"op", c.op}, {"edge_op", c.edge_op}, {"reason", c.reason}, {"source", c.source}, {"remedy", c.remedy}});
  if (compression)
    root["compression"] = {{"weights", compression->weights}, {"bytes_before", compression->bytes_before}, {"bytes_after", compression->bytes_after}};
  root["warnings"] = warnings;
  return root.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Result<LoweredProgram> lower(std::shared_ptr<const MappedFile> pt2, const LowerOptions& options) {
  TRY(const auto specs, compile_specs(options));
  TRY(auto graph, read_functional(std::move(pt2)));
  auto names = operator_names(graph);
  TRY(auto partitioned, partition::partition_graph(std::move(graph), options.partition));
  LoweredProgram lowered;
  lowered.report = make_report(partitioned, options);
  report_unknown_skips(std::move(names), options, lowered.report);
  for (auto& delegate : partitioned.delegates) TRY_DO(compress(delegate.program, options, lowered.report));
  add_compression_warnings(lowered.report);
  lowered.graph = std::make_unique<const partition::PartitionedGraph>(std::move(partitioned));
  std::vector<edge::DelegateBlob> blobs;
  for (size_t i = 0; i < lowered.graph->delegates.size(); ++i) {
    TRY(auto blob, delegate_blob(lowered.graph->delegates[i], specs));
    lowered.report.delegates[i].bytes = blob.directory.bytes.size;
    blobs.push_back(std::move(blob));
  }
  std::vector<Diagnostic> warnings;
  TRY(lowered.program, edge::plan_method(*lowered.graph, std::move(blobs), options.method, &warnings));
  for (const auto& w : warnings) lowered.report.warnings.push_back(w.what);
  return lowered;
}

Status write(const LoweredProgram& lowered, const std::filesystem::path& pte) {
  TRY(auto file, OutputFile::create(pte));
  TRY_DO(executorch::write_pte(lowered.program, file));
  return file.commit();
}

Result<LowerReport> lower(const std::filesystem::path& pt2, const std::filesystem::path& pte, const LowerOptions& options) {
  TRY(auto file, MappedFile::open(pt2));
  TRY(auto lowered, lower(std::move(file), options));
  TRY_DO(write(lowered, pte));
  return std::move(lowered.report);
}

Result<LowerReport> convert(const std::filesystem::path& pt2, const std::filesystem::path& package, const LowerOptions& options) {
  TRY(auto file, MappedFile::open(pt2));
  TRY(auto graph, read_functional(std::move(file)));
  TRY(auto program, partition::convert_graph(std::move(graph), options.partition));
  LowerReport report;
  TRY_DO(compress(program, options, report));
  add_compression_warnings(report);
  TRY_DO(coreml::write_package(program, package));
  report.target = mil::target_name(options.partition.target);
  report.precision = options.partition.float_type == DType::F32 ? "float32" : "float16";
  return report;
}

}  // namespace cortland::driver
