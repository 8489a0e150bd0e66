#include "device_rules/operands.h"

namespace cortland::device_rules {
namespace {

constexpr int64_t kMostElements = 1024;

const mil::Const* constant(const mil::Program& program, const mil::Op& op, std::string_view input) {
  const mil::Operand operand = program.operand(op, input);
  if (!operand.is_const()) return nullptr;
  const mil::Const& found = program.consts[operand.constant()];
  return found.type.tensor.elements().value_or(kMostElements + 1) <= kMostElements ? &found : nullptr;
}

}  // namespace

const mil::Type* type_of(const mil::Program& program, const mil::Op& op, std::string_view input) {
  const mil::Operand operand = program.operand(op, input);
  return operand ? &program.type(operand) : nullptr;
}

std::optional<std::vector<int64_t>> small_ints(const mil::Program& program, const mil::Op& op, std::string_view input) {
  const mil::Const* found = constant(program, op, input);
  if (!found || !(is_integer(found->type.dtype()) || found->type.dtype() == DType::Bool)) return std::nullopt;
  return found->data.to_ints();
}

std::optional<float> small_float(const mil::Program& program, const mil::Op& op, std::string_view input) {
  const mil::Const* found = constant(program, op, input);
  if (!found || !is_float(found->type.dtype()) || found->data.elements() == 0) return std::nullopt;
  return found->data.to_floats()[0];
}

std::optional<std::string> text(const mil::Program& program, const mil::Op& op, std::string_view input) {
  const mil::Const* found = constant(program, op, input);
  if (!found || found->strings.empty()) return std::nullopt;
  return found->strings[0];
}

bool is_weight(const mil::Program& program, mil::Operand operand) {
  if (!operand.is_value()) return true;
  const mil::OpId producer = program.values[operand.value()].producer;
  return producer && program.ops[producer].def->constexpr_op;
}

}  // namespace cortland::device_rules
