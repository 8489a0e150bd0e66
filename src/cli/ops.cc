#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/samples.h"
#include "edge/cpu_route.h"
#include "executorch/kernels.h"
#include "mil_ops/ops.h"
#include "partition/support.h"

namespace cortland::cli {
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::string> type_names(mil::DTypes types) {
  std::vector<std::string> names;
  for (int i = 0; i <= static_cast<int>(DType::String); ++i)
    if (const DType t = static_cast<DType>(i); types.has(t) && mil_name(t) != "?") names.emplace_back(mil_name(t));
  return names;
}

Json describe(const mil::MilOp& op) {
  Json inputs = Json::array();
  for (const mil::Input& in : op.inputs) {
    Json entry{{"name", in.name}, {"types", type_names(in.types)}, {"constant", in.constant}, {"required", in.need != mil::Need::Optional}};
    if (in.need == mil::Need::Variadic) entry["variadic"] = true;
    inputs.push_back(std::move(entry));
  }
  return {{"name", op.name}, {"since", mil::target_name(op.since)}, {"inputs", std::move(inputs)}};
}

std::string signature(const mil::MilOp& op) {
  std::string text;
  for (const mil::Input& in : op.inputs)
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", in.name, in.need == mil::Need::Optional ? "?" : in.need == mil::Need::Variadic ? "..." : "");
  return text;
}

// "aten::add.Tensor(" -> "aten::add.Tensor"
std::string qualified_name(const torch_ops::TorchOp& op) { return std::string(op.schema.substr(0, op.schema.find('('))); }

// "aten::add.Tensor" -> "aten.add.Tensor", "aten::relu" -> "aten.relu.default"
std::string target_of(const torch_ops::TorchOp& op) {
  std::string target = qualified_name(op);
  target.replace(target.find("::"), 2, ".");
  return target.find('.') == target.rfind('.') ? target + ".default" : target;
}

// What becomes of it where Core ML does not take it.
Result<std::string> cpu_route(const torch_ops::TorchOp& op) {
  TRY(const edge::CpuRoute route, edge::find_cpu_route(op));
  if (route == edge::CpuRoute::Kernel || executorch::find_kernel(qualified_name(op))) return std::string("kernel");
  return std::string(route == edge::CpuRoute::Decomposed ? "decomposed" : "none");
}

// All that is said of one operator.
struct Listed {
  std::string target;
  const torch_ops::TorchOp* op;
  partition::OpSupport support;
  std::string cpu;
};

Result<std::vector<Listed>> list_torch() {
  std::vector<Listed> all;
  for (const torch_ops::TorchOp* op : torch_ops::all_ops()) {
    Listed entry{target_of(*op), op, {}, {}};
    TRY(entry.support, partition::find_support(*op));
    TRY(entry.cpu, cpu_route(*op));
    all.push_back(std::move(entry));
  }
  std::sort(all.begin(), all.end(), [](const Listed& a, const Listed& b) { return a.target < b.target; });
  return all;
}

Json describe(const Listed& listed) {
  const partition::OpSupport& support = listed.support;
  const bool core_ml = support.checked ? support.since.has_value() : listed.op->lower != nullptr;
  Json entry{{"name", listed.target}, {"core_ml", core_ml}, {"cpu", listed.cpu}, {"checked", support.checked}};
  if (const std::string edge = torch_ops::edge_name(listed.target); edge != listed.target) entry["edge"] = edge;
  if (!support.checked) return entry;
  entry["since"] = support.since ? Json(mil::target_name(*support.since)) : Json();
  for (const auto& [type, target] : support.types) entry["types"][std::string(torch_name(type))] = mil::target_name(target);
  for (const auto& [rank, target] : support.ranks) entry["ranks"][std::to_string(rank)] = mil::target_name(target);
  entry["dynamic"] = support.dynamic ? Json(*support.dynamic) : Json();
  Json refuses = Json::array();
  for (const DiagKind kind : support.refuses) refuses.push_back(diag_id(kind));
  entry["refuses"] = std::move(refuses);
  return entry;
}

// "float16 float32 int32:iOS17": the target where it is not the operator's own.
std::string types_text(const partition::OpSupport& support) {
  std::string text;
  for (const auto& [type, target] : support.types)
    text += fmt::format("{}{}{}", text.empty() ? "" : " ", torch_name(type), target == support.since ? "" : fmt::format(":{}", mil::target_name(target)));
  return text;
}

std::string ranks_text(const partition::OpSupport& support) {
  std::string text;
  for (auto it = support.ranks.begin(); it != support.ranks.end();) {
    const int first = it->first;
    int last = first;
    while (++it != support.ranks.end() && it->first == last + 1) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last));
  }
  return text;
}

constexpr char kLine[] = "{:<52} {:<9} {:<5} {:<7} {:<10} {:<36} {}\n";

void print(const Listed& listed) {
  const partition::OpSupport& support = listed.support;
  const std::string since = !support.checked ? "unchecked" : support.since ? std::string(mil::target_name(*support.since)) : "no";
  const std::string dynamic = support.dynamic ? (*support.dynamic ? "yes" : "no") : "-";
  std::string refuses;
  for (const DiagKind kind : support.refuses) refuses += fmt::format("{}{}", refuses.empty() ? "" : " ", diag_id(kind));
  fmt::print(kLine, listed.target, since, ranks_text(support), dynamic, listed.cpu, types_text(support), refuses);
}

Status list(bool json) {
  TRY(const auto operators, list_torch());
  if (json) {
    Json torch = Json::array(), ops = Json::array();
    for (const Listed& op : operators) torch.push_back(describe(op));
    for (const mil::MilOp* op : mil_ops::all()) ops.push_back(describe(*op));
    fmt::print("{}\n", Json{{"torch", std::move(torch)}, {"mil", std::move(ops)}}.dump(2));
    return {};
  }
  fmt::print(kLine, "torch operator", "Core ML", "ranks", "dynamic", "on the CPU", "element types", "refused for");
  for (const Listed& op : operators) print(op);
  fmt::print("\n{:<42} {:<6} inputs (? optional)\n", "MIL op", "since");
  for (const mil::MilOp* op : mil_ops::all()) fmt::print("{:<42} {:<6} {}\n", op->name, mil::target_name(op->since), signature(*op));
  return {};
}

std::function<Status()> add_ops(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  auto samples = std::make_shared<bool>(false);
  auto* as_json = app.add_flag("--json", *json, "as JSON, with element types");
  app.add_flag("--samples", *samples, "the calls that the list of torch operators was found out from, as JSON")->excludes(as_json);
  return [json, samples] { return *samples ? list_samples() : list(*json); };
}

}  // namespace

const Command kOps{"ops", "List the supported operators and the target each one needs", add_ops};

}  // namespace cortland::cli
