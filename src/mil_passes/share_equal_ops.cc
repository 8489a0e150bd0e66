#include <unordered_map>

#include "mil_passes/pipeline.h"

namespace cortland::mil_passes {
namespace {

// What an op is: its definition and operands. Ops with equal keys compute equal values.
std::string key_of(const mil::Op& op) {
  std::string key;
  const auto put = [&](const auto& value) { key.append(reinterpret_cast<const char*>(&value), sizeof value); };
  put(op.def);
  for (const auto& b : op.operands) {
    put(b.slot);
    put(b.operand.kind);
    put(b.operand.index);
  }
  return key;
}

}  // namespace

Status share_equal_ops(mil::Program& program) {
  for (const mil::Function& f : program.functions) {
    std::unordered_map<std::string, mil::OpId> seen;
    for (mil::OpId id : std::vector<mil::OpId>(program.blocks[f.body].ops)) {
      const mil::Op& op = program.ops[id];
      if (!op.def->pure || !op.blocks.empty() || op.results.empty()) continue;
      const auto [it, inserted] = seen.try_emplace(key_of(op), id);
      if (inserted) continue;
      const mil::Op& first = program.ops[it->second];
      bool outputs = false;  // two outputs of the model keep two values, each with its name
      for (mil::ValueId v : op.results) outputs = outputs || program.is_output(v);
      if (outputs) continue;
      for (size_t i = 0; i < op.results.size(); ++i) program.replace_uses(op.results[i], first.results[i]);
      program.erase_op(id);
    }
  }
  return {};
}

}  // namespace cortland::mil_passes
