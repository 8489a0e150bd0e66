// The structural rules of a MIL program that hold whatever its ops are.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "mil/program.h"

namespace cortland::mil {
namespace {

class Verifier {
 public:
  explicit Verifier(const Program& program) : program_(program) {}

  Status run() {
    for (const Function& f : program_.functions) {
      visible_.clear();
      for (ValueId v : f.inputs) visible_.insert(v);
      TRY_DO(block(f.body));
      for (const Output& o : f.outputs)
        if (!o.operand || (o.operand.is_value() && !visible_.count(o.operand.value())))
          return bad(fmt::format("output '{}' of function '{}' is not computed", o.name, f.name));
    }
    return {};
  }

 private:
  Diagnostic bad(std::string why) const { return diag(DiagKind::BadMil, std::move(why)); }

  Status block(BlockId id) {
    const Block& b = program_.blocks[id];
    for (ValueId v : b.inputs) visible_.insert(v);
    for (OpId op : b.ops) TRY_DO(this->op(op));
    for (Operand o : b.outputs)
      if (!o || (o.is_value() && !visible_.count(o.value()))) return bad("a block output is not computed");
    return {};
  }

  Status op(OpId id) {
    const Op& op = program_.ops[id];
    if (!op.def) return bad(fmt::format("op '{}' was erased but is still listed", op.name));
    if (op.def->since > program_.target)
      return bad(fmt::format("op {} needs {}, the program targets {}", op.def->name, target_name(op.def->since), target_name(program_.target)));
    for (uint32_t i = 0; i < op.operands.size(); ++i) {
      const Operand o = op.operands[i].operand;
      if (!o) return bad(fmt::format("op '{}' has an empty operand", op.name));
      if (!o.is_value()) continue;
      if (!visible_.count(o.value())) return bad(fmt::format("op '{}' reads '{}' before it is computed", op.name, program_.values[o.value()].name));
      const auto& uses = program_.values[o.value()].uses;
      if (std::find(uses.begin(), uses.end(), Use{id, i}) == uses.end()) return bad(fmt::format("op '{}' is missing from the uses of its operand", op.name));
    }
    for (BlockId nested : op.blocks) {
      const auto outer = visible_;
      TRY_DO(block(nested));
      visible_ = outer;
    }
    for (ValueId v : op.results) {
      if (program_.values[v].type.rank() > 5 && !op.def->constexpr_op)
        return bad(fmt::format("'{}' has rank {}, Core ML allows 5", program_.values[v].name, program_.values[v].type.rank()));
      visible_.insert(v);
    }
    return {};
  }

  const Program& program_;
  std::set<ValueId> visible_;
};

}  // namespace

Status verify(const Program& program) { return Verifier(program).run(); }

}  // namespace cortland::mil
