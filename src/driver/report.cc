#include "driver/report.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "partition/partition.h"

namespace cortland::driver {
namespace {

using Json = nlohmann::ordered_json;

Json describe(const DelegateReport& d) {
  Json described{{"name", d.name}, {"ops", d.ops}, {"inputs", d.inputs}, {"outputs", d.outputs}, {"bytes", d.bytes}};
  if (!d.function.empty()) described["function"] = d.function;
  return described;
}

Json describe(const CpuOpReport& c) {
  return {{"kind", c.kind},     {"node", c.node},     {"op", c.op},        {"edge_op", c.edge_op},
          {"reason", c.reason}, {"source", c.source}, {"remedy", c.remedy}};
}

void add_method(const MethodReport& method, const std::vector<std::string>& warnings, Json& to) {
  to["target"] = method.target;
  to["precision"] = method.precision;
  to["delegates"] = Json::array();
  for (const auto& d : method.delegates) to["delegates"].push_back(describe(d));
  to["cpu_ops"] = Json::array();
  for (const auto& c : method.cpu_ops) to["cpu_ops"].push_back(describe(c));
  if (method.compression)
    to["compression"] = {{"weights", method.compression->weights},
                         {"bytes_before", method.compression->bytes_before},
                         {"bytes_after", method.compression->bytes_after}};
  to["warnings"] = warnings;
}

// One line for each operator and reason.
std::vector<std::string> cpu_messages(const MethodReport& method) {
  const std::string skipped(diag_id(DiagKind::SkippedByUser));
  std::map<std::pair<std::string, std::string>, std::vector<const CpuOpReport*>> kinds;
  std::vector<const std::vector<const CpuOpReport*>*> order;
  for (const auto& op : method.cpu_ops) {
    if (op.kind == skipped) continue;
    auto& same = kinds[{op.op, op.reason}];
    if (same.empty()) order.push_back(&same);
    same.push_back(&op);
  }
  std::vector<std::string> messages;
  for (const auto* same : order) {
    const CpuOpReport& first = *same->front();
    const std::string times = same->size() == 1 ? "" : fmt::format(" ({} times)", same->size());
    messages.push_back(fmt::format("{}{} runs on the CPU, not on Core ML: {} [{}]", first.op, times, first.reason,
                                   first.source.empty() ? first.node : first.source));
  }
  return messages;
}

}  // namespace

std::vector<std::string> LowerReport::messages() const {
  std::vector<std::string> all;
  for (const auto& method : methods) {
    auto own = cpu_messages(method);
    own.insert(own.end(), method.warnings.begin(), method.warnings.end());
    for (const auto& message : own)
      all.push_back(methods.size() > 1 ? fmt::format("method '{}': {}", method.name, message) : message);
  }
  all.insert(all.end(), warnings.begin(), warnings.end());
  return all;
}

std::string LowerReport::json() const {
  Json root = Json::object();
  if (methods.size() == 1) {
    auto all = methods[0].warnings;
    all.insert(all.end(), warnings.begin(), warnings.end());
    add_method(methods[0], all, root);
  } else {
    root["methods"] = Json::array();
    for (const auto& method : methods) {
      Json described{{"name", method.name}};
      add_method(method, method.warnings, described);
      root["methods"].push_back(std::move(described));
    }
    root["warnings"] = warnings;
  }
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

MethodReport empty_report(std::string name, const partition::PartitionOptions& options) {
  MethodReport report;
  report.name = std::move(name);
  report.target = mil::target_name(options.target);
  report.precision = options.float_type == DType::F32 ? "float32" : "float16";
  return report;
}

MethodReport describe_method(std::string name, const partition::PartitionedGraph& partitioned,
                             const partition::PartitionOptions& options) {
  MethodReport report = empty_report(std::move(name), options);
  for (const auto& d : partitioned.delegates) {
    DelegateReport delegate{d.name, d.input_names, d.output_names, {}, 0, {}};
    for (torch::NodeId n : d.nodes) delegate.ops.push_back(partitioned.graph.nodes[n].target);
    report.delegates.push_back(std::move(delegate));
  }
  for (const auto& op : partitioned.cpu_ops) {
    const torch::Node& node = partitioned.graph.nodes[op.node];
    report.cpu_ops.push_back({std::string(diag_id(op.reason.kind)), node.name, node.target,
                              partition::edge_name(node.target), op.reason.what, node.source.str(),
                              std::string(op.reason.remedy())});
  }
  for (const auto& w : partitioned.warnings) report.warnings.push_back(w.what);
  return report;
}

}  // namespace cortland::driver
