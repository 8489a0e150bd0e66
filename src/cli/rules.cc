// `cortland rules`: what is known to be refused, or computed wrongly, by Apple's compiler and runtime, and is therefore not written.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "device_rules/rules.h"

namespace cortland::cli {
namespace {

using Json = nlohmann::ordered_json;

template <class Rule>
Json describe(const Rule& rule) {
  return {{"id", rule.id},
          {"why", rule.why},
          {"remedy", rule.remedy},
          {"evidence", device_rules::evidence_name(rule.evidence)},
          {"source", rule.source}};
}

Json all_rules() {
  Json ops = Json::array(), functions = Json::array(), risks = Json::array();
  for (const auto& rule : device_rules::op_rules()) {
    ops.push_back(describe(rule));
    ops.back()["ops"] = rule.ops;
  }
  for (const auto& rule : device_rules::function_rules()) functions.push_back(describe(rule));
  for (const auto& risk : device_rules::risks()) risks.push_back(describe(risk));
  return {{"ops", std::move(ops)}, {"functions", std::move(functions)}, {"risks", std::move(risks)}};
}

Status list(bool json) {
  const Json rules = all_rules();
  if (json) {
    fmt::print("{}\n", rules.dump(2));
    return {};
  }
  for (const auto& [kind, title] : {std::pair{"ops", "refused of ops"}, {"functions", "refused of models"}, {"risks", "warned of"}}) {
    fmt::print("{}\n", title);
    for (const Json& rule : rules[kind])
      fmt::print("  {:<22} {}; {} ({})\n", rule["id"].get<std::string>(), rule["why"].get<std::string>(),
                 rule["remedy"].get<std::string>(), rule["evidence"].get<std::string>());
  }
  return {};
}

std::function<Status()> add_rules(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  app.add_flag("--json", *json, "as JSON, with sources");
  return [json] { return list(*json); };
}

}  // namespace

const Command kRules{"rules", "List the forms that Core ML refuses or gets wrong, and that are not written", add_rules};

}  // namespace cortland::cli
