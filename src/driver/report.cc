#include "driver/report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace cortland::driver {
namespace {

using Json = nlohmann::ordered_json;

Json describe(const DelegateReport& d) {
  Json described{{"name", d.name}, {"ops", d.ops}, {"inputs", d.inputs}, {"outputs", d.outputs}, {"bytes", d.bytes}};
  if (!d.function.empty()) described["function"] = d.function;
  return described;
}

Json describe(const CpuOpReport& c) {
  return {{"node", c.node},     {"op", c.op},         {"edge_op", c.edge_op},
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

}  // namespace

std::vector<std::string> LowerReport::all_warnings() const {
  std::vector<std::string> all;
  for (const auto& method : methods)
    for (const auto& warning : method.warnings)
      all.push_back(methods.size() > 1 ? fmt::format("method '{}': {}", method.name, warning) : warning);
  all.insert(all.end(), warnings.begin(), warnings.end());
  return all;
}

std::string LowerReport::json() const {
  Json root = Json::object();
  if (methods.size() == 1) {
    add_method(methods[0], all_warnings(), root);
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
    report.cpu_ops.push_back({node.name, node.target, partition::edge_name(node.target), op.reason.what, node.source.str(),
                              std::string(op.reason.remedy())});
  }
  for (const auto& w : partitioned.warnings) report.warnings.push_back(w.what);
  return report;
}

}  // namespace cortland::driver
