#include "engine/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/constants.h"

namespace cortland::engine {
namespace {

using mil::BlockId;
using mil::ConstId;
using mil::Op;
using mil::Operand;
using mil::ValueId;

class Planner {
 public:
  Planner(const mil::Program& program, bool keep_expressions) : program_(program), keep_expressions_(keep_expressions) {}

  Result<Plan> function(const mil::Function& f) {
    for (ValueId v : f.inputs) TRY_DO(add_input(v));
    TRY(const int32_t body, block(f.body, f.outputs));
    for (int32_t r : plan_.inputs) plan_.owner[static_cast<size_t>(r)] = body;
    return std::move(plan_);
  }

 private:
  Status add_input(ValueId v) {
    const mil::Value& value = program_.values[v];
    if (value.type.kind == mil::Type::Kind::Tensor) {
      plan_.inputs.push_back(new_register(v, -1));
      return {};
    }
    if (value.type.kind != mil::Type::Kind::State || !value.type.tensor.is_static())
      return diag(DiagKind::BadMil, fmt::format("input '{}' is neither a tensor nor a state of fixed shape", value.name));
    states_.emplace(v, static_cast<int32_t>(plan_.states.size()));
    plan_.states.push_back({value.name, value.type.dtype(), sizes(value.type.shape())});
    return {};
  }

  int32_t new_register(ValueId v, int32_t block) {
    return registers_[v] = plan_.new_register(program_.type(v), block);
  }

  Result<int32_t> block(BlockId id, const std::vector<mil::Output>& function_outputs) {
    const mil::Block& source = program_.blocks[id];
    // Nested blocks are added first; the index is known once they are, so registers are claimed afterwards.
    const size_t first_register = plan_.owner.size();
    BlockPlan built;
    for (ValueId v : source.inputs) built.inputs.push_back(new_register(v, kUnclaimed));
    for (mil::OpId op : source.ops) TRY_DO(add_step(program_.ops[op], built));
    std::vector<Operand> outputs = source.outputs;
    if (!function_outputs.empty()) outputs.clear();
    for (const mil::Output& o : function_outputs) outputs.push_back(o.operand);
    for (Operand o : outputs) {
      TRY(const Source from, read(o));
      built.outputs.push_back(from);
    }
    const int32_t index = static_cast<int32_t>(plan_.blocks.size());
    for (size_t r = first_register; r < plan_.owner.size(); ++r)
      if (plan_.owner[r] == kUnclaimed) plan_.owner[r] = index;
    plan_.blocks.push_back(std::move(built));
    return index;
  }

  Result<Source> read(Operand operand) {
    if (!operand) return diag(DiagKind::BadMil, "an op reads an empty operand");
    if (operand.is_const()) {
      TRY(const int32_t index, constant(operand.constant()));
      return Source{Source::Kind::Constant, index};
    }
    if (const auto it = folded_.find(operand.value()); it != folded_.end()) return Source{Source::Kind::Constant, it->second};
    const auto it = registers_.find(operand.value());
    if (it == registers_.end())
      return diag(DiagKind::BadMil, fmt::format("value '{}' is read before it is computed", program_.values[operand.value()].name));
    return Source{Source::Kind::Register, it->second};
  }

  Result<int32_t> constant(ConstId id) {
    if (const auto it = constants_.find(id); it != constants_.end()) return it->second;
    TRY(auto value, materialise(program_.consts[id]));
    return constants_[id] = plan_.new_constant(std::move(value));
  }

  Status add_step(const Op& op, BlockPlan& block) {
    Step step;
    step.op = op.def;
    step.name = op.name;
    TRY_DO(classify(op, step));
    step.inputs.resize(op.def->inputs.size());
    step.arguments.resize(op.def->inputs.size());
    for (const mil::Binding& b : op.operands) {
      if (b.operand.is_value() && states_.contains(b.operand.value())) {
        step.state = states_.at(b.operand.value());
        continue;
      }
      TRY(const Source from, read(b.operand));
      step.inputs[b.slot].push_back(from);
      step.arguments[b.slot].push_back(from.kind == Source::Kind::Constant ? plan_.constants[static_cast<size_t>(from.index)]
                                                                          : mil::RuntimeValue{});
    }
    if (step.kind == Step::Kind::ReadState || step.kind == Step::Kind::WriteState)
      if (step.state < 0) return bad(op, "its state is not an input of the function");
    for (ValueId v : op.results) step.result_types.push_back(program_.type(v));
    if (op.def->constexpr_op) return fold(op, step);
    for (BlockId nested : op.blocks) {
      TRY(const int32_t index, this->block(nested, {}));
      step.blocks.push_back(index);
    }
    for (ValueId v : op.results) step.results.push_back(new_register(v, kUnclaimed));
    block.steps.push_back(std::move(step));
    return {};
  }

  Status classify(const Op& op, Step& step) const {
    const std::string_view name = op.def->name;
    const size_t blocks = name == "cond" || name == "while_loop" ? 2 : 0;
    if (op.blocks.size() != blocks) return bad(op, fmt::format("has {} nested blocks, not {}", op.blocks.size(), blocks));
    if (name == "cond") {
      step.kind = Step::Kind::Cond;
      for (BlockId b : op.blocks)
        if (program_.blocks[b].outputs.size() != op.results.size()) return bad(op, "a branch has a different number of outputs");
    } else if (name == "while_loop") {
      step.kind = Step::Kind::WhileLoop;
      const auto &condition = program_.blocks[op.blocks[0]], &body = program_.blocks[op.blocks[1]];
      const size_t n = op.results.size();
      if (op.operands.size() != n || condition.inputs.size() != n || condition.outputs.size() != 1 || body.inputs.size() != n ||
          body.outputs.size() != n)
        return bad(op, "its blocks do not match its variables");
    } else if (name == "read_state") {
      step.kind = Step::Kind::ReadState;
    } else if (name == "write_state" || name == "coreml_update_state") {
      step.kind = Step::Kind::WriteState;
    } else if (!op.def->eval) {
      return diag(DiagKind::UnsupportedOp, fmt::format("the engine has no kernel for MIL op {}", name), "use another op");
    }
    return {};
  }

  Status fold(const Op& op, Step& step) {
    for (const auto& slot : step.inputs)
      for (Source from : slot)
        if (from.kind != Source::Kind::Constant) return bad(op, "an operand is not a constant");
    for (size_t slot = 0; slot < step.inputs.size(); ++slot)
      for (size_t i = 0; i < step.inputs[slot].size(); ++i) {
        TRY_DO(plan_.expand(step.inputs[slot][i].index));
        step.arguments[slot][i] = plan_.constants[static_cast<size_t>(step.inputs[slot][i].index)];
      }
    Expression expression{op.def, std::move(step.arguments), step.result_types};
    if (keeps_expression(op, step)) {
      const mil::Type& type = step.result_types[0];
      const int32_t index = folded_[op.results[0]] = plan_.new_constant({{type.dtype(), sizes(type.shape()), nullptr}, {}, nullptr});
      plan_.pending.emplace(index, std::make_shared<const Expression>(std::move(expression)));
      return {};
    }
    TRY(auto results, expression.evaluate());
    for (size_t i = 0; i < op.results.size(); ++i) folded_[op.results[i]] = plan_.new_constant(std::move(results[i]));
    return {};
  }

  // Matrices: vectors and numbers are small, and kernels look at their values.
  bool keeps_expression(const Op& op, const Step& step) const {
    if (!keep_expressions_ || op.results.size() != 1) return false;
    const mil::Type& type = step.result_types[0];
    return type.kind == mil::Type::Kind::Tensor && type.rank() >= 2 && type.tensor.is_static();
  }

  static Diagnostic bad(const Op& op, std::string_view why) {
    Diagnostic d = diag(DiagKind::BadMil, fmt::format("MIL op {}: {}", op.def->name, why));
    d.node = op.name;
    return d;
  }

  static constexpr int32_t kUnclaimed = -2;

  const mil::Program& program_;
  const bool keep_expressions_;
  Plan plan_;
  std::unordered_map<ValueId, int32_t> registers_, folded_, states_;
  std::unordered_map<ConstId, int32_t> constants_;
};

}  // namespace

int32_t Plan::new_register(mil::Type type, int32_t block) {
  types.push_back(std::move(type));
  owner.push_back(block);
  return static_cast<int32_t>(owner.size()) - 1;
}

int32_t Plan::new_constant(mil::RuntimeValue value) {
  constants.push_back(std::move(value));
  return static_cast<int32_t>(constants.size()) - 1;
}

Status Plan::expand(int32_t constant) {
  const auto it = pending.find(constant);
  if (it == pending.end()) return {};
  TRY(auto results, it->second->evaluate());
  constants[static_cast<size_t>(constant)] = std::move(results[0]);
  pending.erase(it);
  return {};
}

Result<Plan> make_plan(const mil::Program& program, const mil::Function& function, bool keep_expressions) {
  return Planner(program, keep_expressions).function(function);
}

}  // namespace cortland::engine
