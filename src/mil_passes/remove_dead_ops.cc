#include <unordered_set>

#include "mil_passes/pipeline.h"

namespace cortland::mil_passes {
namespace {

using mil::Operand;

// Marks what a block's outputs and its impure ops need, walking backwards; the rest goes.
class Sweeper {
 public:
  explicit Sweeper(mil::Program& program) : program_(program) {}

  void sweep(mil::BlockId block, const std::vector<Operand>& outputs) {
    for (Operand o : outputs) need(o);
    const std::vector<mil::OpId> ops = program_.blocks[block].ops;
    std::vector<mil::OpId> kept;
    for (auto it = ops.rbegin(); it != ops.rend(); ++it) {
      const mil::Op& op = program_.ops[*it];
      bool used = !op.def->pure || has_effect(op);
      for (mil::ValueId v : op.results) used = used || needed_.count(v);
      if (!used) {
        dead_.push_back(*it);
        continue;
      }
      kept.push_back(*it);
      for (const auto& b : op.operands) need(b.operand);
      for (mil::BlockId nested : op.blocks) sweep(nested, program_.blocks[nested].outputs);
    }
    for (mil::OpId op : dead_) program_.erase_op(op);
    dead_.clear();
  }

 private:
  void need(Operand o) {
    if (o.is_value()) needed_.insert(o.value());
  }

  bool has_effect(const mil::Op& op) const {
    for (mil::BlockId nested : op.blocks)
      for (mil::OpId inner : program_.blocks[nested].ops)
        if (!program_.ops[inner].def->pure || has_effect(program_.ops[inner])) return true;
    return false;
  }

  mil::Program& program_;
  std::unordered_set<mil::ValueId> needed_;
  std::vector<mil::OpId> dead_;
};

}  // namespace

Status remove_dead_ops(mil::Program& program) {
  for (const mil::Function& f : program.functions) {
    std::vector<Operand> outputs;
    for (const mil::Output& o : f.outputs) outputs.push_back(o.operand);
    Sweeper(program).sweep(f.body, outputs);
  }
  return {};
}

}  // namespace cortland::mil_passes
