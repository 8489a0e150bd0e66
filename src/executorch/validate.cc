// The rules of a .pte program that neither the flatbuffer verifier nor, in part, the runtime checks.
#include <fmt/format.h>

#include <bit>
#include <unordered_set>

#include "executorch/program.h"

namespace cortland::executorch {
namespace {

constexpr size_t kMaxRank = 16, kMaxOperatorName = 99, kMaxInstructions = 10'000'000;

template <class... T>
Diagnostic bad(const Plan& plan, fmt::format_string<T...> format, T&&... args) {
  return diag(DiagKind::BadPte, fmt::format("method '{}': {}", plan.name, fmt::format(format, std::forward<T>(args)...)));
}

template <class Items>
bool in_range(int32_t index, const Items& items) {
  return index >= 0 && static_cast<size_t>(index) < items.size();
}

Status check_indices(const Plan& plan, std::span<const ValueIndex> indices, std::string_view where) {
  for (const auto index : indices)
    if (!in_range(index, plan.values))
      return bad(plan, "{} refers to value {}, but there are {}", where, index, plan.values.size());
  return {};
}

Status check_shape(const Plan& plan, size_t at, const TensorValue& t) {
  if (t.sizes.size() > kMaxRank)
    return bad(plan, "tensor {} has rank {}; the runtime stops at {}", at, t.sizes.size(), kMaxRank);
  if (t.dim_order.size() != t.sizes.size())
    return bad(plan, "tensor {} has {} sizes and {} entries in dim_order", at, t.sizes.size(), t.dim_order.size());
  uint32_t seen = 0;
  for (const auto dim : t.dim_order) {
    if (dim >= t.sizes.size() || (seen >> dim & 1)) return bad(plan, "tensor {}: dim_order is not a permutation", at);
    seen |= 1u << dim;
  }
  if (!byte_size(t)) return bad(plan, "tensor {} has an unknown type, a negative size, or too many bytes", at);
  if (t.dynamism > Dynamism::UpperBound)
    return bad(plan, "tensor {} has no upper bound on its shape, which the runtime refuses", at);
  return {};
}

Status check_stored(const Plan& plan, size_t at, const TensorValue& t, int32_t index, const std::vector<Data>& stored,
                    std::string_view what) {
  if (index == -1) return {};
  if (!in_range(index, stored))
    return bad(plan, "tensor {} refers to {} {}, but there are {}", at, what, index, stored.size());
  const auto& size = stored[static_cast<size_t>(index)].bytes.size;
  if (*byte_size(t) > size)
    return bad(plan, "tensor {} has {} bytes, but {} {} only {}", at, *byte_size(t), what, index, size);
  return {};
}

Status check_tensor(const PteProgram& program, const Plan& plan, size_t at, const TensorValue& t) {
  TRY_DO(check_shape(plan, at, t));
  TRY_DO(check_stored(plan, at, t, t.constant, program.constants, "constant"));
  TRY_DO(check_stored(plan, at, t, t.initial, program.initial_values, "initial value"));
  if (t.constant >= 0 && t.allocation) return bad(plan, "tensor {} is a constant and planned memory at once", at);
  if (t.initial >= 0 && !t.allocation) return bad(plan, "tensor {} has an initial value but no memory for it", at);
  if (t.external && t.fqn.empty()) return bad(plan, "tensor {} is stored elsewhere, but has no name", at);
  if (!t.allocation) return {};
  const auto [pool, offset] = *t.allocation;
  if (pool == 0 || pool >= plan.non_const_buffer_sizes.size())
    return bad(plan, "tensor {} lies in pool {}, which does not exist", at, pool);
  const auto size = static_cast<uint64_t>(plan.non_const_buffer_sizes[pool]);
  if (offset > size || *byte_size(t) > size - offset)
    return bad(plan, "tensor {} ends after pool {} ({} bytes at {} of {})", at, pool, *byte_size(t), offset, size);
  return {};
}

Status check_tensor_list(const Plan& plan, size_t at, std::span<const ValueIndex> items, bool optional) {
  for (const auto item : items) {
    if (optional && item == -1) continue;
    if (item < 0 || static_cast<size_t>(item) >= at ||
        !std::holds_alternative<TensorValue>(plan.values[static_cast<size_t>(item)]))
      return bad(plan, "list {} holds value {}, which is not a tensor that stands before it", at, item);
  }
  return {};
}

Status check_value(const PteProgram& program, const Plan& plan, size_t at) {
  const auto& value = plan.values[at];
  if (const auto* tensor = std::get_if<TensorValue>(&value)) return check_tensor(program, plan, at, *tensor);
  if (const auto* list = std::get_if<TensorList>(&value)) return check_tensor_list(plan, at, list->items, false);
  if (const auto* list = std::get_if<OptionalTensorList>(&value)) return check_tensor_list(plan, at, list->items, true);
  if (const auto* list = std::get_if<IntList>(&value)) {
    for (const auto item : list->items)
      if (!in_range(item, plan.values) || !std::holds_alternative<Int>(plan.values[static_cast<size_t>(item)]))
        return bad(plan, "list {} holds value {}, which is not an Int", at, item);
  }
  return {};
}

struct InstructionCheck {
  const Plan& plan;
  std::string where;

  Status operator()(const KernelCall& call) const {
    if (!in_range(call.op, plan.operators))
      return bad(plan, "{} calls operator {} of {}", where, call.op, plan.operators.size());
    return check_indices(plan, call.args, where);
  }
  Status operator()(const DelegateCall& call) const {
    if (!in_range(call.delegate, plan.delegates))
      return bad(plan, "{} calls delegate {} of {}", where, call.delegate, plan.delegates.size());
    return check_indices(plan, call.args, where);
  }
  Status operator()(const MoveCall& call) const {
    const ValueIndex both[] = {call.from, call.to};
    return check_indices(plan, both, where);
  }
  Status operator()(const JumpFalseCall& call) const {
    TRY_DO(check_indices(plan, {&call.condition, 1}, where));
    const auto& condition = plan.values[static_cast<size_t>(call.condition)];
    if (!std::holds_alternative<Bool>(condition) && !std::holds_alternative<TensorValue>(condition))
      return bad(plan, "{} jumps on a value of kind {}", where, value_kind(condition));
    if (call.destination < 0 || static_cast<size_t>(call.destination) > plan.instructions.size())
      return bad(plan, "{} jumps to {}, outside the {} instructions", where, call.destination, plan.instructions.size());
    return {};
  }
  Status operator()(const FreeCall& call) const { return check_indices(plan, {&call.value, 1}, where); }
};

Status check_calls(const PteProgram& program, const Plan& plan) {
  for (const auto& op : plan.operators)
    if (op.name.empty() || op.name.size() + 1 + op.overload.size() > kMaxOperatorName)
      return bad(plan, "operator name '{}.{}' is empty or longer than {} characters", op.name, op.overload,
                 kMaxOperatorName);
  for (const auto& delegate : plan.delegates) {
    if (delegate.id.empty()) return bad(plan, "a delegate has no backend name");
    if (delegate.blob != -1 && !in_range(delegate.blob, program.blobs))
      return bad(plan, "delegate {} refers to blob {} of {}", delegate.id, delegate.blob, program.blobs.size());
  }
  if (plan.instructions.size() > kMaxInstructions) return bad(plan, "more than {} instructions", kMaxInstructions);
  for (size_t i = 0; i < plan.instructions.size(); ++i)
    TRY_DO(std::visit(InstructionCheck{plan, fmt::format("instruction {}", i)}, plan.instructions[i]));
  return {};
}

Status check_plan(const PteProgram& program, const Plan& plan) {
  if (plan.non_const_buffer_sizes.empty()) return bad(plan, "pool sizes lack the reserved first element");
  for (const auto size : plan.non_const_buffer_sizes)
    if (size < 0) return bad(plan, "a memory pool has the size {}", size);
  for (size_t i = 0; i < plan.values.size(); ++i) TRY_DO(check_value(program, plan, i));
  TRY_DO(check_indices(plan, plan.inputs, "the list of inputs"));
  TRY_DO(check_indices(plan, plan.outputs, "the list of outputs"));
  return check_calls(program, plan);
}

Status check_alignment(const Data& data) {
  if (std::has_single_bit(data.alignment)) return {};
  return diag(DiagKind::BadPte, fmt::format("alignment {} is not a power of two", data.alignment));
}

}  // namespace

Status validate(const PteProgram& program) {
  std::unordered_set<std::string_view> methods, names;
  for (const auto& plan : program.plans) {
    if (plan.name.empty() || !methods.insert(plan.name).second)
      return diag(DiagKind::BadPte, fmt::format("method name '{}' is empty or occurs twice", plan.name));
    TRY_DO(check_plan(program, plan));
  }
  for (const auto& blob : program.blobs) TRY_DO(check_alignment(blob));
  for (const auto& [name, data] : program.named_data) {
    if (name.empty() || !names.insert(name).second)
      return diag(DiagKind::BadPte, fmt::format("the name '{}' of named data is empty or occurs twice", name));
    TRY_DO(check_alignment(data));
  }
  return {};
}

}  // namespace cortland::executorch
