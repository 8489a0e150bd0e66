#include "engine/fuse.h"

#include <cmath>

#include "tensor/dtype.h"

namespace cortland::engine {
namespace {

using Kind = PostOp::Kind;

float parameter(const Plan& plan, const Step& step, std::string_view name) {
  const auto slot = static_cast<size_t>(step.op->slot(name));
  if (step.inputs[slot].empty()) return static_cast<float>(step.op->inputs[slot].fallback.number);
  return plan.constants[static_cast<size_t>(step.inputs[slot][0].index)].tensor.floats().at(0);
}

bool has_constant_parameters(const Step& step) {
  for (size_t slot = 0; slot < step.inputs.size(); ++slot)
    for (Source s : step.inputs[slot])
      if (s.is_register() && step.op->inputs[slot].name != "x") return false;
  return true;
}

bool fits_float16(float v) { return f16_to_f32(f32_to_f16(v)) == v; }

std::optional<PostOp> activation(const Plan& plan, const Step& step) {
  const std::string_view op = step.op->name;
  if (step.kind != Step::Kind::Kernel || step.op->slot("x") < 0 || !has_constant_parameters(step)) return std::nullopt;
  auto alpha = [&] { return parameter(plan, step, "alpha"); };
  auto beta = [&] { return parameter(plan, step, "beta"); };
  if (op == "relu") return PostOp{Kind::Relu};
  if (op == "relu6") return PostOp{Kind::Clip, 0, 6};
  if (op == "clip") return PostOp{Kind::Clip, alpha(), beta()};
  if (op == "leaky_relu") return PostOp{Kind::LeakyRelu, alpha()};
  if (op == "elu") return PostOp{Kind::Elu, alpha()};
  if (op == "sigmoid") return PostOp{Kind::Sigmoid};
  if (op == "sigmoid_hard") return PostOp{Kind::SigmoidHard, alpha(), beta()};
  if (op == "silu") return PostOp{Kind::Silu};
  if (op == "tanh") return PostOp{Kind::Tanh};
  if (op == "gelu") {
    const auto slot = static_cast<size_t>(step.op->slot("mode"));
    const auto& given = step.inputs[slot];
    const std::string mode = given.empty() ? "EXACT" : plan.constants[static_cast<size_t>(given[0].index)].strings.at(0);
    if (mode == "EXACT") return PostOp{Kind::Gelu};
    if (mode == "TANH_APPROXIMATION") return PostOp{Kind::GeluTanh};
  }
  return std::nullopt;
}

// The other operand of a two-operand step that reads `r` once.
std::optional<Source> partner(const Step& step, int32_t r) {
  const auto x = static_cast<size_t>(step.op->slot("x")), y = static_cast<size_t>(step.op->slot("y"));
  const Source a = step.inputs[x].at(0), b = step.inputs[y].at(0);
  if (!a.is_register() || !b.is_register() || a.index == b.index) return std::nullopt;
  return a.index == r ? b : a;
}

class Search {
 public:
  Search(const Plan& plan, const std::vector<Step>& steps, const Readers& readers, const std::vector<bool>& computed, bool exact)
      : plan_(plan), steps_(steps), readers_(readers), computed_(computed), exact_(exact) {}

  std::optional<Follower> next(int32_t r) const {
    const auto& by = readers_.by[static_cast<size_t>(r)];
    if (!is_float(type(r).dtype()) || type(r).kind != mil::Type::Kind::Tensor) return std::nullopt;
    if (count(r) == 1 && by.size() == 1) return one(r, by[0]);
    if (count(r) == 2 && by.size() == 2) return gated(r, by[0], by[1]);
    return std::nullopt;
  }

 private:
  const mil::Type& type(int32_t r) const { return plan_.types[static_cast<size_t>(r)]; }
  int32_t count(int32_t r) const { return readers_.count[static_cast<size_t>(r)]; }
  bool rounds(int32_t r) const { return exact_ && type(r).dtype() == DType::F16; }

  std::optional<Follower> one(int32_t r, size_t at) const {
    const Step& step = steps_[at];
    if (step.kind != Step::Kind::Kernel || step.results.size() != 1) return std::nullopt;
    const int32_t result = step.results[0];
    if (type(result) != type(r)) return std::nullopt;
    if (step.op->name == "add") {
      const auto other = partner(step, r);
      if (rounds(r) || !other || !computed_[static_cast<size_t>(other->index)] || type(other->index) != type(r)) return std::nullopt;
      return Follower{{at}, {Kind::Add}, other, result};
    }
    const auto op = activation(plan_, step);
    if (!op) return std::nullopt;
    const bool monotone = op->kind == Kind::Relu || (op->kind == Kind::Clip && fits_float16(op->alpha) && fits_float16(op->beta));
    if (rounds(r) && !monotone) return std::nullopt;
    return Follower{{at}, *op, {}, result};
  }

  // x * sigmoid(x), x * sigmoid_hard(x)
  std::optional<Follower> gated(int32_t r, size_t gate_at, size_t product_at) const {
    const Step &gate = steps_[gate_at], &product = steps_[product_at];
    if (rounds(r) || product.op->name != "mul" || product.kind != Step::Kind::Kernel || gate.results.size() != 1) return std::nullopt;
    auto op = activation(plan_, gate);
    const auto other = partner(product, r);
    if (!op || !other || other->index != gate.results[0] || count(other->index) != 1) return std::nullopt;
    if (op->kind == Kind::Sigmoid) op->kind = Kind::Silu;
    else if (op->kind == Kind::SigmoidHard) op->kind = Kind::HardSwish;
    else return std::nullopt;
    return Follower{{gate_at, product_at}, *op, {}, product.results[0]};
  }

  const Plan& plan_;
  const std::vector<Step>& steps_;
  const Readers& readers_;
  const std::vector<bool>& computed_;
  const bool exact_;
};

}  // namespace

Readers Readers::of(const Plan& plan, const std::vector<Step>& steps) {
  Readers readers{std::vector<int32_t>(plan.types.size()), std::vector<std::vector<size_t>>(plan.types.size())};
  const auto add = [&](Source s) {
    if (s.is_register()) ++readers.count[static_cast<size_t>(s.index)];
  };
  for (const BlockPlan& block : plan.blocks) {
    for (const Step& step : block.steps)
      for (const auto& slot : step.inputs) std::for_each(slot.begin(), slot.end(), add);
    std::for_each(block.outputs.begin(), block.outputs.end(), add);
  }
  for (size_t i = 0; i < steps.size(); ++i)
    for (const auto& slot : steps[i].inputs)
      for (Source s : slot) {
        add(s);
        if (!s.is_register()) continue;
        auto& by = readers.by[static_cast<size_t>(s.index)];
        if (by.empty() || by.back() != i) by.push_back(i);
      }
  return readers;
}

std::vector<Follower> find_followers(const Plan& plan, const std::vector<Step>& steps, const Readers& readers, int32_t result,
                                     const std::vector<bool>& computed, bool exact) {
  const Search search(plan, steps, readers, computed, exact);
  std::vector<Follower> found;
  constexpr size_t kMost = 4;
  while (found.size() < kMost) {
    auto next = search.next(result);
    if (!next) break;
    result = next->result;
    found.push_back(std::move(*next));
  }
  return found;
}

}  // namespace cortland::engine
