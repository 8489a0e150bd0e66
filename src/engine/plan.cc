#include "engine/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <unordered_set>

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
  Planner(const mil::Program& program, bool fast_kernels) : program_(program), fast_kernels_(fast_kernels) {}

  Result<Plan> function(const mil::Function& f) {
    for (ValueId v : f.inputs) TRY_DO(add_input(v));
    TRY(const int32_t body, block(f.body, f.outputs));
    plan_.registers = static_cast<int32_t>(owner_.size());
    for (int32_t r : plan_.inputs) owner_[static_cast<size_t>(r)] = body;
    read_.assign(owner_.size(), false);
    release_after_last_use(body);
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
    const int32_t index = static_cast<int32_t>(owner_.size());
    registers_[v] = index;
    owner_.push_back(block);
    return index;
  }

  Result<int32_t> block(BlockId id, const std::vector<mil::Output>& function_outputs) {
    const mil::Block& source = program_.blocks[id];
    // Nested blocks are added first; the index is known once they are, so registers are claimed afterwards.
    const size_t first_register = owner_.size();
    BlockPlan built;
    for (ValueId v : source.inputs) built.inputs.push_back(new_register(v, kUnclaimed));
    for (mil::OpId op : source.ops) TRY_DO(add_step(program_.ops[op], built));
    std::vector<Operand> outputs = source.outputs;
    if (!function_outputs.empty()) outputs.clear();
    for (const mil::Output& o : function_outputs) outputs.push_back(o.operand);
    for (Operand o : outputs) {
      TRY(const Source from, read(o));
      if (from.kind == Source::Kind::Constant) TRY_DO(expand(from.index));
      built.outputs.push_back(from);
    }
    const int32_t index = static_cast<int32_t>(plan_.blocks.size());
    for (size_t r = first_register; r < owner_.size(); ++r)
      if (owner_[r] == kUnclaimed) owner_[r] = index;
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
    plan_.constants.push_back(std::move(value));
    return constants_[id] = static_cast<int32_t>(plan_.constants.size()) - 1;
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
    if (step.kind == Step::Kind::Kernel && fast_kernels_) {
      TRY(step.kernel, fast_kernel(op, step));
    }
    TRY_DO(expand_operands(step));
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
    TRY_DO(expand_operands(step));
    Expression expression{op.def, step.arguments, step.result_types};
    if (op.results.size() == 1 && step.result_types[0].tensor.is_static()) {
      const mil::Type& type = step.result_types[0];
      static const std::shared_ptr<std::byte> no_elements = std::make_shared<std::byte>();
      const int32_t index = folded_[op.results[0]] = static_cast<int32_t>(plan_.constants.size());
      plan_.constants.push_back({{type.dtype(), sizes(type.shape()), no_elements}, {}, {}});
      expressions_[index] = std::make_shared<Expression>(std::move(expression));
      pending_.insert(index);
      return {};
    }
    TRY(auto results, evaluate(expression));
    for (size_t i = 0; i < op.results.size(); ++i) {
      folded_[op.results[i]] = static_cast<int32_t>(plan_.constants.size());
      plan_.constants.push_back(std::move(results[i]));
    }
    return {};
  }

  static Result<std::vector<mil::RuntimeValue>> evaluate(const Expression& e) {
    mil::EvalContext context(*e.op, e.arguments, e.result_types);
    TRY_DO(context.check_operands());
    TRY_DO(e.op->eval(context));
    return context.take_results();
  }

  // Computes a constant that is still an expression.
  Status expand(int32_t index) {
    if (!pending_.contains(index)) return {};
    TRY(auto results, evaluate(*expressions_.at(index)));
    plan_.constants[static_cast<size_t>(index)] = std::move(results[0]);
    pending_.erase(index);
    return {};
  }

  // Computes what the step reads at run time.
  Status expand_operands(Step& step) {
    for (size_t slot = 0; slot < step.inputs.size(); ++slot)
      for (size_t i = 0; i < step.inputs[slot].size(); ++i) {
        const Source from = step.inputs[slot][i];
        if (from.kind != Source::Kind::Constant || (step.kernel && !step.kernel->reads(step.op->inputs[slot].name))) continue;
        TRY_DO(expand(from.index));
        step.arguments[slot][i] = plan_.constants[static_cast<size_t>(from.index)];
      }
    return {};
  }

  Result<std::unique_ptr<Kernel>> fast_kernel(const Op& op, const Step& step) {
    std::vector<std::vector<mil::Type>> types(step.inputs.size());
    for (const mil::Binding& b : op.operands) types[b.slot].push_back(program_.type(b.operand));
    std::vector<std::vector<mil::RuntimeValue>> constants(step.inputs.size());
    std::vector<std::shared_ptr<const Expression>> expressions(step.inputs.size());
    for (size_t slot = 0; slot < step.inputs.size(); ++slot) {
      const auto& from = step.inputs[slot];
      if (!std::all_of(from.begin(), from.end(), [](Source s) { return s.kind == Source::Kind::Constant; })) continue;
      if (from.size() == 1 && pending_.contains(from[0].index)) expressions[slot] = expressions_.at(from[0].index);
      for (size_t i = 0; i < from.size(); ++i) {
        if (from.size() > 1) TRY_DO(expand(from[i].index));
        constants[slot].push_back(plan_.constants[static_cast<size_t>(from[i].index)]);
      }
    }
    Status status;
    auto kernel = make_kernel(Site{*op.def, constants, types, step.result_types, expressions, [&](size_t slot) {
                                     const int32_t index = step.inputs[slot][0].index;
                                     if (status.ok()) status = expand(index);
                                     auto& constant = constants[slot][0];
                                     constant = plan_.constants[static_cast<size_t>(index)];
                                     // The kernel is not used after an error, but it may look at the elements.
                                     if (!status.ok()) constant.tensor = zeros(constant.tensor);
                                   }});
    TRY_DO(std::move(status));
    return kernel;
  }

  static mil::Tensor zeros(const mil::Tensor& like) {
    mil::Tensor t = mil::Tensor::make(like.dtype, like.shape);
    std::memset(t.mutable_data(), 0, t.bytes());
    return t;
  }

  // Walks the steps backwards. Gives the registers that the block reads and does not own.
  std::vector<int32_t> release_after_last_use(int32_t index) {
    BlockPlan& block = plan_.blocks[static_cast<size_t>(index)];
    std::vector<int32_t> outer;
    auto first_read = [&](int32_t r) {
      if (read_[static_cast<size_t>(r)]) return false;
      read_[static_cast<size_t>(r)] = true;
      return true;
    };
    for (Source out : block.outputs) {
      if (out.kind != Source::Kind::Register) continue;
      if (owner_[static_cast<size_t>(out.index)] != index)
        outer.push_back(out.index);
      else if (first_read(out.index))
        block.releases.push_back(out.index);
    }
    for (size_t i = block.steps.size(); i-- > 0;) {
      Step& step = block.steps[i];
      std::vector<int32_t> reads = step.results;
      for (const auto& slot : step.inputs)
        for (Source from : slot)
          if (from.kind == Source::Kind::Register) reads.push_back(from.index);
      for (int32_t nested : step.blocks)
        for (int32_t r : release_after_last_use(nested)) reads.push_back(r);
      for (int32_t r : reads) {
        if (owner_[static_cast<size_t>(r)] != index)
          outer.push_back(r);
        else if (first_read(r))
          step.releases.push_back(r);
      }
    }
    for (int32_t r : block.inputs)
      if (first_read(r)) block.releases.push_back(r);
    std::sort(outer.begin(), outer.end());
    outer.erase(std::unique(outer.begin(), outer.end()), outer.end());
    return outer;
  }

  static Diagnostic bad(const Op& op, std::string_view why) {
    Diagnostic d = diag(DiagKind::BadMil, fmt::format("MIL op {}: {}", op.def->name, why));
    d.node = op.name;
    return d;
  }

  static constexpr int32_t kUnclaimed = -2;

  const mil::Program& program_;
  const bool fast_kernels_;
  Plan plan_;
  std::unordered_map<ValueId, int32_t> registers_, folded_, states_;
  std::unordered_map<ConstId, int32_t> constants_;
  std::unordered_map<int32_t, std::shared_ptr<const Expression>> expressions_;  // by constant
  std::unordered_set<int32_t> pending_;  // constants that are still expressions
  std::vector<int32_t> owner_;  // by register: the block that computes it
  std::vector<bool> read_;      // by register: a later reader is known
};

}  // namespace

Result<Plan> make_plan(const mil::Program& program, const mil::Function& function, bool fast_kernels) {
  return Planner(program, fast_kernels).function(function);
}

}  // namespace cortland::engine
