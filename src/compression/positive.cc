#include "compression/positive.h"

#include <set>
#include <string_view>

namespace cortland::compression {
namespace {

const std::set<std::string_view> kPositive = {"relu",   "relu6", "sigmoid", "sigmoid_hard", "softmax", "softplus",
                                              "square", "abs",   "exp",     "gelu",         "silu"};
// clang-format off
const std::set<std::string_view> kKeeps = {
    "add", "avg_pool", "cast", "concat", "expand_dims", "max_pool", "maximum", "pixel_shuffle", "reduce_max", "reduce_mean", "reduce_sum",
    "reshape", "resize_bilinear", "slice_by_index", "slice_by_size", "split", "squeeze", "stack", "tile", "transpose",
    "upsample_bilinear", "upsample_nearest_neighbor"};
// clang-format on
constexpr size_t kMostValues = 64;  // looked at, before the answer is no

bool is_data(std::string_view input) { return input == "x" || input == "y" || input == "values"; }

// A clip whose lower bound is 0 or more.
bool clips_below(const mil::Program& program, const mil::Op& op) {
  const mil::Operand alpha = program.operand(op, "alpha");
  return alpha.is_const() && program.consts[alpha.constant()].data.to_floats()[0] >= 0;
}

// x * sigmoid(x), or with its straight form: as silu.
bool gates_itself(const mil::Program& program, const mil::Op& op) {
  const mil::Operand x = program.operand(op, "x"), y = program.operand(op, "y");
  const auto gates = [&](mil::Operand gate, mil::Operand value) {
    if (!gate.is_value()) return false;
    const mil::OpId producer = program.values[gate.value()].producer;
    if (!producer) return false;
    const mil::Op& g = program.ops[producer];
    return (g.def->name == "sigmoid" || g.def->name == "sigmoid_hard") && program.operand(g, "x") == value;
  };
  return gates(x, y) || gates(y, x);
}

}  // namespace

bool is_mostly_positive(const mil::Program& program, mil::Operand operand) {
  std::vector<mil::Operand> open = {operand};
  std::set<mil::ValueId> seen;
  while (!open.empty()) {
    const mil::Operand o = open.back();
    open.pop_back();
    if (!o.is_value()) return false;
    if (!seen.insert(o.value()).second) continue;
    const mil::OpId producer = program.values[o.value()].producer;
    if (!producer || seen.size() > kMostValues) return false;
    const mil::Op& op = program.ops[producer];
    const std::string_view name = op.def->name;
    if (kPositive.count(name) || (name == "clip" && clips_below(program, op)) ||
        (name == "mul" && gates_itself(program, op)))
      continue;
    if (name != "mul" && !kKeeps.count(name)) return false;
    for (const auto& b : op.operands)
      if (is_data(op.def->inputs[b.slot].name)) open.push_back(b.operand);
  }
  return true;
}

}  // namespace cortland::compression
