#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "mil_ops/ops.h"

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

Status list(bool json) {
  if (json) {
    Json ops = Json::array();
    for (const mil::MilOp* op : mil_ops::all()) ops.push_back(describe(*op));
    fmt::print("{}\n", Json{{"mil", std::move(ops)}}.dump(2));
    return {};
  }
  fmt::print("{:<42} {:<6} inputs (? optional)\n", "MIL op", "since");
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
