#include <algorithm>

#include "mil_passes/pipeline.h"

namespace cortland::mil_passes {
namespace {

using mil::Operand;

const mil::Op* producer(const mil::Program& program, Operand o, std::string_view name) {
  if (!o.is_value()) return nullptr;
  const mil::OpId id = program.values[o.value()].producer;
  return id && program.ops[id].def && program.ops[id].def->name == name ? &program.ops[id] : nullptr;
}

std::vector<int64_t> ints_of(const mil::Program& program, Operand o) { return program.consts[o.constant()].data.to_ints(); }

// Ops whose result is their operand.
bool changes_nothing(const mil::Program& program, const mil::Op& op) {
  const std::string_view name = op.def->name;
  if (name == "identity") return true;
  const Operand x = program.operand(op, "x");
  if (!x.is_value()) return false;
  const bool same_type = program.type(x) == program.type(op.results[0]);
  if (name == "cast") return same_type;
  if (name == "reshape") return same_type;
  if (name == "transpose") {
    const auto perm = ints_of(program, program.operand(op, "perm"));
    return std::is_sorted(perm.begin(), perm.end()) && perm[0] >= 0;
  }
  return false;
}

// transpose(transpose(x, p), q) is transpose(x, p[q]).
bool join_transposes(mil::Program& program, mil::OpId id) {
  mil::Op& op = program.ops[id];
  if (op.def->name != "transpose") return false;
  const mil::Op* first = producer(program, program.operand(op, "x"), "transpose");
  if (!first) return false;
  const auto rank = static_cast<int64_t>(program.type(op.results[0]).rank());
  auto p = ints_of(program, program.operand(*first, "perm")), q = ints_of(program, program.operand(op, "perm"));
  std::vector<int32_t> joined;
  for (int64_t i : q) {
    const int64_t from = p[static_cast<size_t>(i < 0 ? i + rank : i)];
    joined.push_back(static_cast<int32_t>(from < 0 ? from + rank : from));
  }
  const Operand source = program.operand(*first, "x");
  for (uint32_t b = 0; b < op.operands.size(); ++b) {
    const std::string_view input = op.def->inputs[op.operands[b].slot].name;
    program.set_operand(id, b, input == "x" ? source : Operand(program.constant(joined)));
  }
  return true;
}

// reshape(reshape(x)) needs only the second, when its shape is written out.
bool skip_reshape(mil::Program& program, mil::OpId id) {
  mil::Op& op = program.ops[id];
  if (op.def->name != "reshape" || !program.operand(op, "shape").is_const()) return false;
  const mil::Op* first = producer(program, program.operand(op, "x"), "reshape");
  if (!first) return false;
  const auto shape = ints_of(program, program.operand(op, "shape"));
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return false;  // 0 copies a size of the operand
  for (uint32_t b = 0; b < op.operands.size(); ++b)
    if (op.def->inputs[op.operands[b].slot].name == "x") program.set_operand(id, b, program.operand(*first, "x"));
  return true;
}

}  // namespace

Status remove_noops(mil::Program& program) {
  for (const mil::Function& f : program.functions) {
    for (mil::OpId id : std::vector<mil::OpId>(program.blocks[f.body].ops)) {
      while (join_transposes(program, id) || skip_reshape(program, id)) {
      }
      const mil::Op& op = program.ops[id];
      if (!op.def->pure || op.results.size() != 1 || !changes_nothing(program, op)) continue;
      const Operand x = program.operand(op, "x");
      // An output must stay a value of its own when what it would become is an input, a constant or another output.
      const bool own = x.is_value() && program.values[x.value()].producer && !program.is_output(x.value());
      if (program.is_output(op.results[0]) && !own) continue;
      program.replace_uses(op.results[0], x);
      program.erase_op(id);
    }
  }
  return {};
}

}  // namespace cortland::mil_passes
