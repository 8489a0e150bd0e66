#include "mil/program.h"

#include <fmt/format.h>

#include <algorithm>

namespace cortland::mil {
namespace {

std::string text_key(const std::vector<std::string>& strings) {
  std::string key = "s";
  for (const auto& s : strings) key += fmt::format("{}:{};", s.size(), s);
  return key;
}

DType first_type(DTypes types) {
  for (DType t : {DType::F16, DType::F32, DType::I32, DType::Bool, DType::String, DType::U32, DType::U8, DType::I8})
    if (types.has(t)) return t;
  return DType::Unknown;
}

std::string type_names(DTypes types) {
  std::string out;
  for (int i = 0; i <= static_cast<int>(DType::String); ++i)
    if (types.has(static_cast<DType>(i))) out += fmt::format("{}{}", out.empty() ? "" : ", ", mil_name(static_cast<DType>(i)));
  return out;
}

Diagnostic bad_op(const MilOp& def, std::string why) { return diag(DiagKind::BadMil, fmt::format("MIL op {}: {}", def.name, why)); }

// Checks presence, element types and equal-type groups of the operands against the descriptor.
Status check_operands(const Program& program, const MilOp& def, std::span<const Binding> operands) {
  std::map<char, DType> groups;
  std::vector<int> count(def.inputs.size(), 0);
  for (const Binding& b : operands) {
    if (b.slot >= def.inputs.size()) return bad_op(def, "an operand is bound to no input");
    const Input& input = def.inputs[b.slot];
    ++count[b.slot];
    const Type& type = program.type(b.operand);
    if (input.constant && b.operand.is_value()) {
      const OpId producer = program.values[b.operand.value()].producer;
      if (!producer || !program.ops[producer].def->constexpr_op) return bad_op(def, fmt::format("'{}' must be a constant", input.name));
    }
    if (type.kind != Type::Kind::Tensor) continue;
    if (!input.types.has(type.dtype()))
      return bad_op(def, fmt::format("'{}' is {}, which is none of {}", input.name, mil_name(type.dtype()), type_names(input.types)));
    if (!input.group) continue;
    const auto [it, inserted] = groups.try_emplace(input.group, type.dtype());
    if (!inserted && it->second != type.dtype())
      return bad_op(def, fmt::format("'{}' is {} but must be {} like the other operands", input.name, mil_name(type.dtype()), mil_name(it->second)));
  }
  for (size_t i = 0; i < def.inputs.size(); ++i) {
    if (count[i] == 0 && def.inputs[i].need != Need::Optional) return bad_op(def, fmt::format("'{}' is missing", def.inputs[i].name));
    if (count[i] > 1 && def.inputs[i].need != Need::Variadic) return bad_op(def, fmt::format("'{}' is bound twice", def.inputs[i].name));
  }
  return {};
}

Operand default_operand(Program& program, const MilOp& def, const Input& input, std::span<const Binding> operands) {
  switch (input.fallback.kind) {
    case Default::Kind::None: return {};
    case Default::Kind::Bool: return program.constant(input.fallback.number != 0);
    case Default::Kind::String: return program.constant(std::string(input.fallback.text));
    case Default::Kind::Int:
    case Default::Kind::Float: break;
  }
  DType dtype = first_type(input.types);
  if (input.fallback.kind == Default::Kind::Int && input.types.has(DType::I32)) dtype = DType::I32;
  if (input.fallback.kind == Default::Kind::Float && input.types.has(DType::F32)) dtype = DType::F32;
  for (const Binding& b : operands)
    if (input.group && def.inputs[b.slot].group == input.group) dtype = program.type(b.operand).dtype();
  return program.constant(Weight::of<float>(DType::F32, {}, {static_cast<float>(input.fallback.number)}).cast(dtype));
}

}  // namespace

std::string str(const Type& type, const DimTable& dims) {
  const std::string tensor = cortland::str(type.tensor, dims);
  switch (type.kind) {
    case Type::Kind::List: return fmt::format("list<{}, {}>", tensor, dims.str(type.length));
    case Type::Kind::State: return fmt::format("state<{}>", tensor);
    case Type::Kind::Dictionary: return fmt::format("dict<{}>", tensor);
    default: return tensor;
  }
}

ConstId Program::constant(Weight data) {
  const auto [it, inserted] = const_index_.try_emplace(data.key(), ConstId{consts.size()});
  if (inserted) consts.add(Const{data.type(), data, {}});
  return it->second;
}

ConstId Program::constant(const std::vector<std::string>& v) {
  const auto [it, inserted] = const_index_.try_emplace(text_key(v), ConstId{consts.size()});
  if (inserted) consts.add(Const{Type(DType::String, {static_cast<int64_t>(v.size())}), {}, v});
  return it->second;
}

ConstId Program::constant(const std::string& text) {
  const auto [it, inserted] = const_index_.try_emplace("t" + text, ConstId{consts.size()});
  if (inserted) consts.add(Const{Type(DType::String, {}), {}, {text}});
  return it->second;
}

ConstId Program::constant(bool v) { return constant(Weight::dense(DType::Bool, {}, std::string(1, v ? '\1' : '\0'))); }
ConstId Program::constant(int32_t v) { return constant(Weight::of<int32_t>(DType::I32, {}, {v})); }
ConstId Program::constant(float v, DType dtype) { return constant(Weight::of<float>(DType::F32, {}, {v}).cast(dtype)); }
ConstId Program::constant(const std::vector<int32_t>& v) { return constant(Weight::ints(v)); }
ConstId Program::constant(const std::vector<float>& v, DType dtype) { return constant(Weight::floats(v).cast(dtype)); }

ValueId Program::add_value(std::string name, Type type) { return values.add(Value{std::move(name), std::move(type), {}, {}}); }

const Type& Program::type(Operand operand) const {
  CHECK(bool(operand));
  return operand.is_value() ? values[operand.value()].type : consts[operand.constant()].type;
}

void Program::add_use(Operand operand, Use use) {
  if (operand.is_value()) values[operand.value()].uses.push_back(use);
}

void Program::remove_use(Operand operand, Use use) {
  if (operand.is_value()) std::erase(values[operand.value()].uses, use);
}

OpId Program::add_typed_op(BlockId block, const MilOp& def, std::vector<Binding> operands, std::vector<Type> types,
                           std::string name, std::vector<BlockId> nested, int position) {
  Op op;
  op.def = &def;
  op.name = name.empty() ? fmt::format("{}_{}", def.name, ops.size()) : std::move(name);
  op.operands = std::move(operands);
  op.blocks = std::move(nested);
  op.parent = block;
  const OpId id{ops.size()};
  for (size_t i = 0; i < types.size(); ++i) {
    const ValueId v = add_value(types.size() == 1 ? op.name : fmt::format("{}_{}", op.name, i), std::move(types[i]));
    values[v].producer = id;
    op.results.push_back(v);
  }
  for (uint32_t i = 0; i < op.operands.size(); ++i) add_use(op.operands[i].operand, {id, i});
  ops.add(std::move(op));
  auto& order = blocks[block].ops;
  order.insert(position < 0 ? order.end() : order.begin() + position, id);
  return id;
}

Result<OpId> Program::add_op(BlockId block, const MilOp& def, std::vector<NamedOperand> inputs, std::string name,
                             std::vector<BlockId> nested, int position) {
  std::vector<Binding> operands;
  for (const NamedOperand& in : inputs) {
    const int slot = def.slot(in.name);
    if (slot < 0) return bad_op(def, fmt::format("has no input '{}'", in.name));
    for (Operand o : in.operands)
      if (o) operands.push_back({static_cast<uint8_t>(slot), o});
  }
  for (size_t slot = 0; slot < def.inputs.size(); ++slot) {
    const bool bound = std::any_of(operands.begin(), operands.end(), [&](const Binding& b) { return b.slot == slot; });
    if (bound || def.inputs[slot].need != Need::Optional) continue;
    if (const Operand o = default_operand(*this, def, def.inputs[slot], operands)) operands.push_back({static_cast<uint8_t>(slot), o});
  }
  std::stable_sort(operands.begin(), operands.end(), [](const Binding& a, const Binding& b) { return a.slot < b.slot; });
  TRY_DO(check_operands(*this, def, operands));
  CHECK(def.infer, std::string(def.name));
  InferContext context(def, operands, *this, nested);
  TRY(auto types, def.infer(context));
  return add_typed_op(block, def, std::move(operands), std::move(types), std::move(name), std::move(nested), position);
}

void Program::set_operand(OpId op, uint32_t binding, Operand operand) {
  Operand& old = ops[op].operands[binding].operand;
  remove_use(old, {op, binding});
  old = operand;
  add_use(operand, {op, binding});
}

void Program::add_operand(OpId id, std::string_view input, Operand operand) {
  Op& op = ops[id];
  const auto slot = static_cast<uint8_t>(op.def->slot(input));
  // Slots stay ascending, so the operands behind the new one move and their uses are recorded anew.
  for (uint32_t i = 0; i < op.operands.size(); ++i) remove_use(op.operands[i].operand, {id, i});
  const auto at = std::find_if(op.operands.begin(), op.operands.end(), [&](const Binding& b) { return b.slot > slot; });
  op.operands.insert(at, {slot, operand});
  for (uint32_t i = 0; i < op.operands.size(); ++i) add_use(op.operands[i].operand, {id, i});
}

void Program::replace_uses(ValueId from, Operand to) {
  for (const Use& use : std::vector<Use>(values[from].uses)) set_operand(use.op, use.binding, to);
  for (Block& block : blocks)
    for (Operand& o : block.outputs)
      if (o == Operand(from)) o = to;
  for (Function& f : functions)
    for (Output& o : f.outputs)
      if (o.operand == Operand(from)) o.operand = to;
}

void Program::erase_op(OpId id) {
  Op& op = ops[id];
  for (ValueId v : op.results) CHECK(values[v].uses.empty(), "erased op still used: " + op.name);
  for (uint32_t i = 0; i < op.operands.size(); ++i) remove_use(op.operands[i].operand, {id, i});
  auto& order = blocks[op.parent].ops;
  const auto at = std::find(order.rbegin(), order.rend(), id);  // most erased ops are recent ones
  CHECK(at != order.rend());
  order.erase(std::next(at).base());
  op.operands.clear();
  op.def = nullptr;
}

bool Program::is_output(ValueId v) const {
  for (const Block& block : blocks)
    for (Operand o : block.outputs)
      if (o == Operand(v)) return true;
  for (const Function& f : functions)
    for (const Output& o : f.outputs)
      if (o.operand == Operand(v)) return true;
  return false;
}

Operand Program::operand(const Op& op, std::string_view input) const {
  const int slot = op.def->slot(input);
  for (const Binding& b : op.operands)
    if (b.slot == slot) return b.operand;
  return {};
}

std::vector<Operand> Program::operands(const Op& op, std::string_view input) const {
  const int slot = op.def->slot(input);
  std::vector<Operand> found;
  for (const Binding& b : op.operands)
    if (b.slot == slot) found.push_back(b.operand);
  return found;
}

void Program::roll_back(const Mark& mark) {
  for (int32_t i = ops.size(); i-- > mark.ops;) {
    const Op& op = ops[OpId{i}];
    for (uint32_t k = 0; k < op.operands.size(); ++k) remove_use(op.operands[k].operand, {OpId{i}, k});
  }
  blocks[mark.block].ops.resize(mark.block_ops);
  ops.truncate(mark.ops);
  values.truncate(mark.values);
  blocks.truncate(mark.blocks);
}

// --- InferContext

Operand InferContext::operand(std::string_view input) const {
  const int slot = def.slot(input);
  for (const Binding& b : operands_)
    if (b.slot == slot) return b.operand;
  return {};
}

bool InferContext::has(std::string_view input) const { return bool(operand(input)); }

const Type& InferContext::type(std::string_view input) const {
  const Operand o = operand(input);
  CHECK(bool(o), fmt::format("{} reads absent input {}", def.name, input));
  return program.type(o);
}

std::vector<Type> InferContext::types(std::string_view input) const {
  const int slot = def.slot(input);
  std::vector<Type> types;
  for (const Binding& b : operands_)
    if (b.slot == slot) types.push_back(program.type(b.operand));
  return types;
}

const Const* InferContext::find_constant(std::string_view input) const {
  const Operand o = operand(input);
  return o.is_const() ? &program.consts[o.constant()] : nullptr;
}

bool InferContext::is_constant(std::string_view input) const {
  return find_constant(input) || (!has(input) && def.slot(input) >= 0 && def.inputs[static_cast<size_t>(def.slot(input))].fallback.kind != Default::Kind::None);
}

std::vector<int64_t> InferContext::ints(std::string_view input) const {
  const Const* c = find_constant(input);
  if (c) return c->data.to_ints();
  return {static_cast<int64_t>(def.inputs[static_cast<size_t>(def.slot(input))].fallback.number)};
}

int64_t InferContext::integer(std::string_view input) const {
  const auto all = ints(input);
  return all.empty() ? 0 : all[0];
}

double InferContext::number(std::string_view input) const {
  const Const* c = find_constant(input);
  if (c) return c->data.elements() ? static_cast<double>(c->data.to_floats()[0]) : 0.0;
  return def.inputs[static_cast<size_t>(def.slot(input))].fallback.number;
}

bool InferContext::boolean(std::string_view input) const { return number(input) != 0; }

std::string InferContext::str(std::string_view input) const {
  const Const* c = find_constant(input);
  if (c && !c->strings.empty()) return c->strings[0];
  const char* text = def.inputs[static_cast<size_t>(def.slot(input))].fallback.text;
  return text ? text : "";
}

Diagnostic InferContext::error(std::string why) const { return bad_op(def, std::move(why)); }

}  // namespace cortland::mil
