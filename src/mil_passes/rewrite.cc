#include "mil_passes/rewrite.h"

#include <algorithm>

#include "mil_ops/ops.h"

namespace cortland::mil_passes {
namespace {

constexpr int kMostRounds = 64;

}  // namespace

mil::OpId Rewriter::producer(Operand o) const { return o.is_value() ? program.values[o.value()].producer : mil::OpId{}; }

mil::OpId Rewriter::producer(Operand o, std::string_view name) const {
  const mil::OpId id = producer(o);
  return is(id, name) ? id : mil::OpId{};
}

bool Rewriter::has_one_use(Operand o) const {
  return o.is_value() && program.values[o.value()].uses.size() == 1 && !program.is_output(o.value());
}

std::vector<mil::OpId> Rewriter::users(Operand o) const {
  std::vector<mil::OpId> ids;
  if (o.is_value())
    for (const mil::Use& use : program.values[o.value()].uses) ids.push_back(use.op);
  return ids;
}

const Weight* Rewriter::weight(Operand o) const {
  if (!o.is_const()) return nullptr;
  const mil::Const& c = program.consts[o.constant()];
  return c.data ? &c.data : nullptr;
}

std::vector<int64_t> Rewriter::ints(Operand o) const { return weight(o) ? weight(o)->to_ints() : std::vector<int64_t>(); }
std::vector<float> Rewriter::floats(Operand o) const { return weight(o) ? weight(o)->to_floats() : std::vector<float>(); }

bool Rewriter::flag(Operand o) const {
  const auto v = ints(o);
  return !v.empty() && v[0] != 0;
}

const std::string& Rewriter::text(Operand o) const {
  static const std::string none;
  if (!o.is_const()) return none;
  const auto& strings = program.consts[o.constant()].strings;
  return strings.empty() ? none : strings[0];
}

std::optional<float> Rewriter::splat(Operand o) const {
  const Weight* w = weight(o);
  if (!w || w->elements() == 0 || !(is_float(w->dtype()) || is_integer(w->dtype())) || bit_width(w->dtype()) < 8)
    return std::nullopt;
  // Most constants differ within the first few elements, so that even weights cost nothing.
  std::optional<float> all;
  const Weight numbers = w->cast(DType::F32);
  std::vector<float> tile;
  for (int64_t first = 0; first < w->elements(); first += static_cast<int64_t>(tile.size())) {
    tile.resize(static_cast<size_t>(std::min<int64_t>(first == 0 ? 8 : 4096, w->elements() - first)));
    numbers.read(first, static_cast<int64_t>(tile.size()), reinterpret_cast<std::byte*>(tile.data()));
    for (float v : tile) {
      if (all && v != *all) return std::nullopt;
      all = v;
    }
  }
  return all;
}

Result<mil::OpId> Rewriter::emit_op(mil::OpId at, std::string_view name, std::vector<mil::NamedOperand> inputs) {
  const mil::MilOp* def = mil_ops::find(name, program.target);
  CHECK(def, std::string(name));
  const mil::BlockId block = op(at).parent;
  const auto& ops = program.blocks[block].ops;
  const auto position = static_cast<int>(std::find(ops.begin(), ops.end(), at) - ops.begin());
  TRY(const mil::OpId made, program.add_op(block, *def, std::move(inputs), {}, {}, position));
  program.ops[made].origin = op(at).origin;
  return made;
}

Result<Operand> Rewriter::emit(mil::OpId at, std::string_view name, std::vector<mil::NamedOperand> inputs) {
  TRY(const mil::OpId made, emit_op(at, name, std::move(inputs)));
  return result(made);
}

Operand Rewriter::constant(const std::vector<int64_t>& v) const {
  return program.constant(std::vector<int32_t>(v.begin(), v.end()));
}

void Rewriter::set_input(mil::OpId id, std::string_view name, Operand o) {
  const int slot = op(id).def->slot(name);
  for (uint32_t b = 0; b < op(id).operands.size(); ++b)
    if (op(id).operands[b].slot == slot) return program.set_operand(id, b, o);
  program.add_operand(id, name, o);
}

Status Rewriter::infer(mil::OpId id) {
  const mil::Op& changed = op(id);
  mil::InferContext context(*changed.def, changed.operands, program, changed.blocks);
  TRY(auto types, changed.def->infer(context));
  for (size_t i = 0; i < types.size(); ++i) program.values[changed.results[i]].type = std::move(types[i]);
  return {};
}

bool Rewriter::replace(mil::OpId id, Operand by) {
  const mil::ValueId old = op(id).results[0];
  // An output must stay a value of its own when what it would become is an input, a constant (a compressed one too) or another output.
  const mil::OpId maker = by.is_value() ? program.values[by.value()].producer : mil::OpId{};
  const bool own = maker && !op(maker).def->constexpr_op && !program.is_output(by.value());
  if (program.is_output(old) && !own) return false;
  // What torch knew of the shape stays known.
  if (by.is_value() && program.values[by.value()].producer)
    program.values[by.value()].type.tensor.shape = program.type(old).shape();
  program.replace_uses(old, by);
  erase_unused(id);
  return true;
}

void Rewriter::erase_unused(mil::OpId id) {
  std::vector<mil::OpId> pending = {id};
  while (!pending.empty()) {
    const mil::OpId next = pending.back();
    pending.pop_back();
    if (!op(next).def || !op(next).def->pure || !op(next).blocks.empty()) continue;
    bool used = false;
    for (mil::ValueId v : op(next).results) used = used || !program.values[v].uses.empty() || program.is_output(v);
    if (used) continue;
    for (const mil::Binding& b : op(next).operands)
      if (const mil::OpId before = producer(b.operand)) pending.push_back(before);
    program.erase_op(next);
  }
}

std::vector<mil::BlockId> blocks_of(const mil::Program& program, const mil::Function& function) {
  std::vector<mil::BlockId> blocks = {function.body};
  for (size_t i = 0; i < blocks.size(); ++i)
    for (mil::OpId id : program.blocks[blocks[i]].ops)
      for (mil::BlockId nested : program.ops[id].blocks) blocks.push_back(nested);
  return blocks;
}

Status rewrite(mil::Program& program, std::span<const Rule> rules) {
  Rewriter r(program);
  bool changed = true;
  for (int round = 0; changed && round < kMostRounds; ++round) {
    changed = false;
    for (const mil::Function& f : program.functions) {
      for (mil::BlockId block : blocks_of(program, f)) {
        for (mil::OpId id : std::vector<mil::OpId>(program.blocks[block].ops)) {
          for (const Rule& rule : rules) {
            if (!r.is(id, rule.root)) continue;  // or gone since
            TRY(const bool fired, rule.apply(r, id));
            changed = changed || fired;
          }
        }
      }
    }
  }
  return {};
}

}  // namespace cortland::mil_passes
