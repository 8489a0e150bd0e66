#include "edge/plan_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <numeric>

#include "edge/stored_weights.h"
#include "executorch/memory_plan.h"

namespace cortland::edge {

PlanBuilder::PlanBuilder(const torch::Graph& graph, executorch::PteProgram& program, const std::string& method)
    : graph_(graph), program_(program) {
  plan_.name = method;
  plan_.encoded_inputs = graph.in_spec;
  plan_.encoded_outputs = graph.out_spec;
}

// ---- literals ----

ValueIndex PlanBuilder::literal(const std::string& key, executorch::EValue value) {
  const auto [it, fresh] = literals_.emplace(key, 0);
  if (fresh) it->second = add(std::move(value));
  return it->second;
}

ValueIndex PlanBuilder::integer(int64_t value) { return literal(fmt::format("i{}", value), executorch::Int{value}); }

ValueIndex PlanBuilder::real(double value) {
  // By bits: 0.0 and -0.0 are equal, and a NaN equals nothing.
  return literal(fmt::format("d{:x}", std::bit_cast<uint64_t>(value)), executorch::Double{value});
}

ValueIndex PlanBuilder::boolean(bool value) { return literal(value ? "true" : "false", executorch::Bool{value}); }

ValueIndex PlanBuilder::text(const std::string& value) { return literal("s" + value, executorch::String{value}); }

ValueIndex PlanBuilder::ints(const std::vector<int64_t>& values) {
  executorch::IntList list;
  std::string key = "l";
  for (const int64_t value : values) {
    list.items.push_back(integer(value));
    key += fmt::format("{},", value);
  }
  return literal(key, std::move(list));
}

ValueIndex PlanBuilder::add(executorch::EValue value) {
  plan_.values.push_back(std::move(value));
  return static_cast<ValueIndex>(plan_.values.size()) - 1;
}

// ---- tensors ----

Result<int64_t> PlanBuilder::upper_bound(Dim dim) const {
  const DimRange range = graph_.dims->range(dim);
  if (range.high != DimRange::kUnbounded) return std::max<int64_t>(range.high, 0);
  std::map<std::string, int64_t> largest;
  for (const std::string& symbol : graph_.dims->symbols(dim)) {
    const DimRange own = graph_.dims->symbol_range(symbol);
    const auto limit = limits_.find(symbol);
    const auto hint = graph_.hints.find(symbol);
    if (own.high != DimRange::kUnbounded) {
      largest[symbol] = own.high;
    } else if (limit != limits_.end()) {
      largest[symbol] = limit->second;
    } else if (hint != graph_.hints.end()) {
      largest[symbol] = hint->second;
      held_.insert(symbol);
    } else {
      return diag(DiagKind::UnsupportedShape, fmt::format("the size {} has no upper bound", symbol),
                  symbol.starts_with('u') ? "the data decides it: bound it in the model by torch._check(size <= ...), so that memory can be planned"
                                          : "export with torch.export.Dim(..., max=...), so that memory can be planned");
    }
  }
  TRY(const int64_t bound, graph_.dims->eval(dim, largest));
  return std::max<int64_t>(bound, 0);
}

void PlanBuilder::limit_symbol(const std::string& symbol, int64_t bound) {
  const auto [it, fresh] = limits_.emplace(symbol, bound);
  if (!fresh) it->second = std::min(it->second, bound);
}

Result<executorch::TensorValue> PlanBuilder::describe(const TensorType& type, const std::string& name) const {
  executorch::TensorValue tensor;
  const auto element = executorch::scalar_type(type.dtype);
  if (!element)
    return diag(DiagKind::UnsupportedDtype, fmt::format("'{}' is {}, which a .pte cannot hold", name, torch_name(type.dtype)));
  tensor.type = *element;
  for (size_t i = 0; i < type.shape.size(); ++i) {
    const auto bound = upper_bound(type.shape[i]);
    if (!bound.ok()) {
      Diagnostic d = bound.error();
      d.what = fmt::format("dimension {} of '{}': {}", i, name, d.what);
      return d;
    }
    if (*bound > INT32_MAX)
      return diag(DiagKind::UnsupportedShape, fmt::format("dimension {} of '{}' may be {}, too large for a .pte", i, name, *bound),
                  "export with a smaller torch.export.Dim(..., max=...)");
    tensor.sizes.push_back(static_cast<int32_t>(*bound));
    tensor.dim_order.push_back(static_cast<uint8_t>(i));
    if (!type.shape[i].is_constant()) tensor.dynamism = executorch::Dynamism::UpperBound;
  }
  return tensor;
}

const Weight* PlanBuilder::constant_data(torch::ValueId v) const {
  const auto it = stored_.find(v);
  return it != stored_.end() && it->second.kind == Storage::Kind::Constant && it->second.data ? &it->second.data : nullptr;
}

Result<ValueIndex> PlanBuilder::tensor(torch::ValueId v) {
  if (const auto it = index_.find(v); it != index_.end()) return it->second;
  const torch::Value& value = graph_.values[v];
  if (value.kind != torch::Value::Kind::Tensor)
    return diag(DiagKind::UnsupportedArgument, fmt::format("'{}' is not a tensor", value.name));
  TRY(executorch::TensorValue described, describe(value.type, value.name));
  const auto stored = stored_.find(v);
  const Storage storage = stored == stored_.end() ? Storage{} : stored->second;
  using Kind = Storage::Kind;
  if (storage.kind == Kind::Constant || storage.kind == Kind::Buffer) {
    if (!storage.data) return diag(DiagKind::WeightsMissing, fmt::format("'{}' has no stored value", value.name));
    const bool initial = storage.kind == Kind::Buffer;
    (initial ? described.initial : described.constant) = add_data(storage.data.cast(value.type.dtype), initial);
  }
  const ValueIndex index = add(std::move(described));
  index_.emplace(v, index);
  if (storage.kind == Kind::Activation) lifetimes_[index] = {};
  if (storage.kind == Kind::Buffer) lifetimes_[index] = {0, INT32_MAX};
  return index;
}

Result<bool> PlanBuilder::alias(torch::ValueId v, torch::ValueId base) {
  if (index_.count(v) || outputs_.count(v) || !graph_.type(v).is_static() || !graph_.type(base).is_static()) return false;
  TRY(ValueIndex root, tensor(base));
  if (const auto it = aliases_.find(root); it != aliases_.end()) root = it->second;
  TRY(executorch::TensorValue view, describe(graph_.type(v), graph_.values[v].name));
  const auto& memory = std::get<executorch::TensorValue>(plan_.values[static_cast<size_t>(root)]);
  const auto life = lifetimes_.find(root);
  const bool planned = life != lifetimes_.end() && life->second.last != INT32_MAX;
  if (view.type != memory.type || byte_size(view) != byte_size(memory) || (!planned && memory.constant < 0)) return false;
  view.constant = memory.constant;
  const ValueIndex index = add(std::move(view));
  index_.emplace(v, index);
  if (planned) aliases_.emplace(index, root);
  return true;
}

Result<ValueIndex> PlanBuilder::scratch(const TensorType& type, const std::string& name, std::vector<uint8_t> dim_order) {
  TRY(executorch::TensorValue tensor, describe(type, name));
  if (!dim_order.empty()) tensor.dim_order = std::move(dim_order);
  const ValueIndex index = add(std::move(tensor));
  lifetimes_[index] = {};
  return index;
}

Result<ValueIndex> PlanBuilder::constant(const Weight& data, const std::string& name) {
  TRY(executorch::TensorValue tensor, describe(data.type(), name));
  tensor.constant = add_data(data, false);
  return literal(fmt::format("c{}:{}:{}", tensor.constant, static_cast<int>(tensor.type), fmt::join(tensor.sizes, ",")),
                 std::move(tensor));
}

int32_t PlanBuilder::add_data(const Weight& data, bool initial) {
  return store_weight(data, initial ? program_.initial_values : program_.constants);
}

// ---- instructions ----

void PlanBuilder::mention(ValueIndex index) {
  if (index < 0) return;
  const auto& value = plan_.values[static_cast<size_t>(index)];
  if (const auto* list = std::get_if<executorch::TensorList>(&value))
    for (const ValueIndex item : list->items) mention(item);
  if (const auto* list = std::get_if<executorch::OptionalTensorList>(&value))
    for (const ValueIndex item : list->items) mention(item);
  const auto alias = aliases_.find(index);
  const auto it = lifetimes_.find(alias == aliases_.end() ? index : alias->second);
  if (it == lifetimes_.end()) return;
  if (it->second.first < 0) it->second.first = now_;
  it->second.last = std::max(it->second.last, now_);
}

void PlanBuilder::emit(executorch::Instruction instruction) {
  ++now_;
  if (const auto* kernel = std::get_if<executorch::KernelCall>(&instruction))
    for (const ValueIndex v : kernel->args) mention(v);
  if (const auto* delegate = std::get_if<executorch::DelegateCall>(&instruction))
    for (const ValueIndex v : delegate->args) mention(v);
  if (const auto* jump = std::get_if<executorch::JumpFalseCall>(&instruction)) mention(jump->condition);
  plan_.instructions.push_back(std::move(instruction));
}

void PlanBuilder::call(const std::string& name, const std::string& overload, std::vector<ValueIndex> args) {
  emit(executorch::KernelCall{operator_index(name, overload), std::move(args)});
}

void PlanBuilder::call_on_shapes(const std::string& name, const std::string& overload, std::vector<ValueIndex> args) {
  ++now_;
  plan_.instructions.push_back(executorch::KernelCall{operator_index(name, overload), std::move(args)});
}

int32_t PlanBuilder::jump_if_false(ValueIndex condition, int32_t destination) {
  emit(executorch::JumpFalseCall{condition, destination});
  return position() - 1;
}

void PlanBuilder::land(int32_t jump) {
  std::get<executorch::JumpFalseCall>(plan_.instructions[static_cast<size_t>(jump)]).destination = position();
}

void PlanBuilder::keep_from(int32_t start) {
  // Instruction `start` runs at time start + 1.
  for (auto& [index, life] : lifetimes_)
    if (life.first >= 0 && life.first <= start && life.last > start) life.last = std::max(life.last, now_);
}

ValueIndex PlanBuilder::root(ValueIndex tensor) const {
  const auto it = aliases_.find(tensor);
  return it == aliases_.end() ? tensor : it->second;
}

int32_t PlanBuilder::operator_index(const std::string& name, const std::string& overload) {
  const executorch::Operator wanted{name, overload};
  const auto it = std::find(plan_.operators.begin(), plan_.operators.end(), wanted);
  if (it != plan_.operators.end()) return static_cast<int32_t>(it - plan_.operators.begin());
  plan_.operators.push_back(wanted);
  return static_cast<int32_t>(plan_.operators.size()) - 1;
}

int32_t PlanBuilder::add_delegate(executorch::Delegate delegate) {
  plan_.delegates.push_back(std::move(delegate));
  return static_cast<int32_t>(plan_.delegates.size()) - 1;
}

void PlanBuilder::add_input(ValueIndex index) {
  mention(index);  // at time 0, before the first instruction
  plan_.inputs.push_back(index);
}

void PlanBuilder::add_output(ValueIndex index) {
  mention(index);  // after the last instruction
  plan_.outputs.push_back(index);
}

// ---- memory ----

void PlanBuilder::place_tensors() {
  std::vector<ValueIndex> planned;
  std::vector<executorch::Lifetime> lifetimes;
  for (const auto& [index, life] : lifetimes_) {
    // Outputs are read after the last instruction, so the end of all lifetimes is now.
    const int32_t first = std::max(life.first, 0), last = std::min(std::max(life.last, first), now_);
    planned.push_back(index);
    const auto& tensor = std::get<executorch::TensorValue>(plan_.values[static_cast<size_t>(index)]);
    lifetimes.push_back({executorch::byte_size(tensor).value_or(0), first, last});
  }
  const executorch::MemoryPlan placed = executorch::plan_memory(lifetimes);
  for (size_t i = 0; i < planned.size(); ++i)
    std::get<executorch::TensorValue>(plan_.values[static_cast<size_t>(planned[i])]).allocation = {1, placed.offsets[i]};
  for (const auto& [index, root] : aliases_)
    std::get<executorch::TensorValue>(plan_.values[static_cast<size_t>(index)]).allocation =
        std::get<executorch::TensorValue>(plan_.values[static_cast<size_t>(root)]).allocation;
  plan_.non_const_buffer_sizes = {0, static_cast<int64_t>(placed.pool_size)};
}

void PlanBuilder::finish() {
  place_tensors();
  program_.plans.push_back(std::move(plan_));
}

}  // namespace cortland::edge
