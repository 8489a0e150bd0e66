// Integers that become float32, are counted or compared, and only then are read in float16, are float16 all the way: such an
// island of float32 leaves the Neural Engine for nothing. Only for ops whose results are at least as large as what lies
// between and no more sensitive to rounding, so that what fits float16 at the end fits before; sines of positions are
// another matter.
#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "mil_passes/pipeline.h"
#include "mil_passes/rewrite.h"

namespace cortland::mil_passes {
namespace {

const std::unordered_set<std::string_view> kCounting = {"reshape",    "expand_dims", "squeeze",     "transpose", "tile",
                                                        "reduce_sum", "reduce_max",  "reduce_mean", "maximum",   "clip"};
constexpr float kLeastFloat16 = 0x1p-23f, kMaxFloat16 = 65504.0f;

bool becomes(const Rewriter& r, mil::OpId cast, const char* type) {
  return r.is(cast, "cast") && r.text(r.input(cast, "dtype")) == type;
}

// A constant of the island in float16: an epsilon must not become 0.
std::optional<Operand> narrowed(Rewriter& r, Operand o) {
  std::vector<float> v = r.floats(o);
  for (float& x : v) {
    if (std::abs(x) > kMaxFloat16) return std::nullopt;
    if (x != 0 && std::abs(x) < kLeastFloat16) x = std::copysign(kLeastFloat16, x);
  }
  return r.program.constant(Weight::of<float>(DType::F32, r.weight(o)->shape(), v).cast(DType::F16));
}

struct Island {
  std::vector<mil::OpId> ops;    // after the cast, each after what it reads
  std::vector<mil::OpId> exits;  // casts to float16
};

std::optional<Island> island_of(const Rewriter& r, mil::OpId cast, const std::unordered_set<int32_t>& float32_origins) {
  if (float32_origins.count(r.op(cast).origin)) return std::nullopt;
  Island island;
  std::unordered_set<mil::OpId> inside = {cast};
  std::vector<mil::OpId> pending = {cast};
  while (!pending.empty()) {
    const Operand y = r.result(pending.back());
    pending.pop_back();
    if (r.program.is_output(y.value())) return std::nullopt;
    for (mil::OpId user : r.users(y)) {
      if (becomes(r, user, "fp16")) {
        if (inside.insert(user).second) island.exits.push_back(user);
        continue;
      }
      if (!kCounting.count(r.op(user).def->name) || r.op(user).parent != r.op(cast).parent) return std::nullopt;
      if (float32_origins.count(r.op(user).origin)) return std::nullopt;
      if (!inside.insert(user).second) continue;
      island.ops.push_back(user);
      pending.push_back(user);
    }
  }
  // Whatever else they read is constant and small.
  for (mil::OpId id : island.ops)
    for (const mil::Binding& b : r.op(id).operands) {
      const bool number = is_float(r.type(b.operand).dtype());
      if (b.operand.is_value() ? !inside.count(r.producer(b.operand)) : number && r.weight(b.operand)->elements() > 1024)
        return std::nullopt;
    }
  if (island.exits.empty() || island.ops.empty()) return std::nullopt;
  return island;
}

void narrow(Rewriter& r, mil::OpId id, const std::unordered_set<int32_t>& float32_origins) {
  if (!becomes(r, id, "fp32") || is_float(r.type(r.input(id, "x")).dtype())) return;
  auto island = island_of(r, id, float32_origins);
  if (!island) return;
  std::vector<std::tuple<mil::OpId, uint32_t, Operand>> constants;
  for (mil::OpId op : island->ops) {
    for (uint32_t i = 0; i < r.op(op).operands.size(); ++i) {
      const Operand o = r.op(op).operands[i].operand;
      if (!o.is_const() || r.type(o).dtype() != DType::F32) continue;
      const auto small = narrowed(r, o);
      if (!small) return;
      constants.emplace_back(op, i, *small);
    }
  }
  for (const auto& [op, binding, constant] : constants) r.program.set_operand(op, binding, constant);
  r.set_input(id, "dtype", r.program.constant(std::string("fp16")));
  for (mil::OpId op : island->ops) r.program.values[r.result(op).value()].type.tensor.dtype = DType::F16;
  r.program.values[r.result(id).value()].type.tensor.dtype = DType::F16;
  for (mil::OpId exit : island->exits) r.replace(exit, r.input(exit, "x"));
}

}  // namespace

Status narrow_counts(mil::Program& program, const PipelineOptions& options) {
  Rewriter r(program);
  for (const mil::Function& f : program.functions)
    for (mil::BlockId block : blocks_of(program, f))
      for (mil::OpId id : std::vector<mil::OpId>(program.blocks[block].ops)) narrow(r, id, options.float32_origins);
  return {};
}

}  // namespace cortland::mil_passes
