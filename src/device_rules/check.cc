#include <fmt/format.h>

#include "device_rules/rules.h"

namespace cortland::device_rules {
namespace {

// Whether `name` is one of the words of `list`.
bool names(std::string_view list, std::string_view name) {
  for (size_t at = list.find(name); at != std::string_view::npos; at = list.find(name, at + 1)) {
    const size_t end = at + name.size();
    if ((at == 0 || list[at - 1] == ' ') && (end == list.size() || list[end] == ' ')) return true;
  }
  return false;
}

template <class Rule>
Diagnostic broken(const Rule& rule, std::string_view subject, const std::string& name) {
  Diagnostic d = diag(DiagKind::DeviceRefuses, fmt::format("{} breaks the rule {}: {}", subject, rule.id, rule.why), std::string(rule.remedy));
  d.node = name;
  return d;
}

Status check_block(const mil::Program& program, mil::BlockId block) {
  for (const mil::OpId id : program.blocks[block].ops) {
    const mil::Op& op = program.ops[id];
    TRY_DO(check_op(program, op));
    for (const mil::BlockId nested : op.blocks) TRY_DO(check_block(program, nested));
  }
  return {};
}

}  // namespace

std::string_view evidence_name(Evidence evidence) {
  switch (evidence) {
    case Evidence::Documented: return "documented";
    case Evidence::CoremltoolsSource: return "coremltools' source";
    case Evidence::OtherConverters: return "other converters";
    case Evidence::SeveralReports: return "several reports";
  }
  return {};
}

std::vector<std::string> warnings(const mil::Program& program, const mil::Function& function, uint64_t weight_bytes, bool neural_engine) {
  std::vector<std::string> found;
  for (const Risk& risk : risks())
    if ((neural_engine || !risk.neural_engine) && risk.taken(program, function, weight_bytes))
      found.push_back(fmt::format("{}: {}; {}", risk.id, risk.why, risk.remedy));
  return found;
}

Status check_op(const mil::Program& program, const mil::Op& op) {
  for (const OpRule& rule : op_rules())
    if ((rule.ops == "*" || names(rule.ops, op.def->name)) && rule.broken(program, op)) return broken(rule, op.def->name, op.name);
  return {};
}

Status check(const mil::Program& program, const mil::Function& function) {
  for (const FunctionRule& rule : function_rules())
    if (rule.broken(program, function)) return broken(rule, fmt::format("function '{}'", function.name), function.name);
  return check_block(program, function.body);
}

Status check(const mil::Program& program) {
  for (const mil::Function& function : program.functions) TRY_DO(check(program, function));
  return {};
}

}  // namespace cortland::device_rules
