#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "executorch/kernels.h"
#include "mil_ops/ops.h"
#include "torch_ops/op.h"

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

// What becomes of a torch operator. Whether one node of it is delegated depends on its arguments and on the target.
struct TorchSupport {
  std::string target;
  bool core_ml = false;
  std::string cpu;  // "kernel", "decomposed" or "none"
};

std::vector<TorchSupport> torch_support() {
  std::vector<TorchSupport> all;
  for (const torch_ops::TorchOp* op : torch_ops::all_ops()) {
    // "aten::add.Tensor(" -> "aten::add.Tensor"; the target is "aten.add.Tensor".
    const std::string name(op->schema.substr(0, op->schema.find('(')));
    std::string target = name;
    target.replace(target.find("::"), 2, ".");
    if (target.find('.') == target.rfind('.')) target += ".default";
    const std::string cpu = executorch::find_kernel(name) ? "kernel" : op->decompose || !op->same_as.empty() ? "decomposed" : "none";
    all.push_back({target, op->lower != nullptr, cpu});
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.target < b.target; });
  return all;
}

Status list(bool json) {
  if (json) {
    Json torch = Json::array();
    for (const TorchSupport& op : torch_support()) torch.push_back({{"name", op.target}, {"core_ml", op.core_ml}, {"cpu", op.cpu}});
    Json ops = Json::array();
    for (const mil::MilOp* op : mil_ops::all()) ops.push_back(describe(*op));
    fmt::print("{}\n", Json{{"torch", std::move(torch)}, {"mil", std::move(ops)}}.dump(2));
    return {};
  }
  fmt::print("{:<42} {:<8} on the CPU\n", "torch operator", "Core ML");
  for (const TorchSupport& op : torch_support()) fmt::print("{:<42} {:<8} {}\n", op.target, op.core_ml ? "yes" : "no", op.cpu);
  fmt::print("\n{:<42} {:<6} inputs (? optional)\n", "MIL op", "since");
  for (const mil::MilOp* op : mil_ops::all()) fmt::print("{:<42} {:<6} {}\n", op->name, mil::target_name(op->since), signature(*op));
  return {};
}

std::function<Status()> add_ops(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  app.add_flag("--json", *json, "as JSON, with element types");
  return [json] { return list(*json); };
}

}  // namespace

const Command kOps{"ops", "List the supported operators and the target each one needs", add_ops};

}  // namespace cortland::cli
