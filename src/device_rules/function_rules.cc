// The rules on functions. Numbers after # are issues of apple/coremltools.
#include <algorithm>
#include <set>

#include "device_rules/rules.h"

namespace cortland::device_rules {
namespace {

using mil::Function;
using mil::Program;
using mil::Target;
using mil::Type;
using enum Evidence;

template <class F>
bool any_input(const Program& p, const Function& f, Type::Kind kind, F broken) {
  for (const mil::ValueId v : f.inputs)
    if (p.type(v).kind == kind && broken(p.type(v))) return true;
  return false;
}

bool is_feature_type(const Program& p, DType t) {
  return t == DType::F32 || t == DType::I32 || (t == DType::F16 && p.target >= Target::iOS16);
}

bool has_scalar_input(const Program& p, const Function& f) {
  return any_input(p, f, Type::Kind::Tensor, [](const Type& t) { return t.rank() == 0; });
}

bool has_other_feature_types(const Program& p, const Function& f) {
  if (any_input(p, f, Type::Kind::Tensor, [&](const Type& t) { return !is_feature_type(p, t.dtype()); })) return true;
  for (const mil::Output& o : f.outputs)
    if (p.type(o.operand).kind == Type::Kind::Tensor && !is_feature_type(p, p.type(o.operand).dtype())) return true;
  return false;
}

bool has_empty_input(const Program& p, const Function& f) {
  return any_input(p, f, Type::Kind::Tensor, [](const Type& t) {
    for (Dim d : t.shape())
      if (d == Dim(0)) return true;
    return false;
  });
}

bool has_deep_input(const Program& p, const Function& f) {
  return any_input(p, f, Type::Kind::Tensor, [](const Type& t) { return t.rank() > 5; });
}

bool gives_a_value_twice(const Program&, const Function& f) {
  std::set<int32_t> given;
  for (const mil::Output& o : f.outputs)
    if (o.operand.is_value() && !given.insert(o.operand.value().index).second) return true;
  return false;
}

bool gives_a_compressed_constant(const Program& p, const Function& f) {
  for (const mil::Output& o : f.outputs) {
    const mil::OpId producer = o.operand.is_value() ? p.values[o.operand.value()].producer : mil::OpId{};
    if (producer && p.ops[producer].def->constexpr_op) return true;
  }
  return false;
}

bool has_odd_state(const Program& p, const Function& f) {
  return any_input(p, f, Type::Kind::State, [](const Type& t) { return t.dtype() != DType::F16 || !t.tensor.is_static(); });
}

bool enumerates_several_inputs(const Program& p, const Function& f) {
  return p.target < Target::iOS18 && f.enumerated_shapes.size() > 1;
}

bool enumerates_too_many_shapes(const Program&, const Function& f) {
  for (const auto& [name, shapes] : f.enumerated_shapes)
    if (shapes.size() > 128) return true;
  return false;
}

bool pairs_shapes_unevenly(const Program&, const Function& f) {
  return std::ranges::any_of(f.enumerated_shapes, [&](const auto& named) {
    return named.second.size() != f.enumerated_shapes.begin()->second.size();
  });
}

// ---- risks

constexpr uint64_t kGigabyte = 1'000'000'000, kMostWeights = uint64_t{1} << 31;

bool has_too_many_weights(const Program&, const Function&, uint64_t bytes) { return bytes > kMostWeights; }
bool has_many_weights(const Program&, const Function&, uint64_t bytes) { return bytes > kGigabyte && bytes <= kMostWeights; }

bool has_ragged_state(const Program& p, const Function& f, uint64_t) {
  return any_input(p, f, Type::Kind::State, [](const Type& t) {
    const auto& shape = t.shape();
    return !shape.empty() && shape.back().is_constant() && shape.back().constant() % 32 != 0;
  });
}

bool writes_a_cast(const Program& p, const Function& f, uint64_t) {
  for (const mil::OpId id : p.blocks[f.body].ops) {
    const mil::Op& op = p.ops[id];
    if (op.def->name != "write_state") continue;
    const mil::Operand data = p.operand(op, "data");
    const mil::OpId producer = data.is_value() ? p.values[data.value()].producer : mil::OpId{};
    if (producer && p.ops[producer].def->name == "cast") return true;
  }
  return false;
}

constexpr FunctionRule kRules[] = {
    {"deep-input", "tensors have at most 5 axes", "merge axes", Documented, "#1723, #2291", has_deep_input},
    {"scalar-input", "a model cannot be given a tensor of rank 0", "pass a tensor of shape [1]", CoremltoolsSource, "the torch frontend", has_scalar_input},
    {"feature-type", "inputs and outputs are float32, int32 or, from iOS16 on, float16", "cast inside the model", Documented, "#2495, #2409",
     has_other_feature_types},
    {"empty-input", "a model cannot be given a tensor without elements", "leave it out", CoremltoolsSource, "rdar://112418424", has_empty_input},
    {"value-given-twice", "one value under two output names is returned once", "copy it with identity", Documented, "#1887", gives_a_value_twice},
    {"compressed-output", "a compressed constant cannot be an output", "copy it with identity", CoremltoolsSource, "rdar://108274019",
     gives_a_compressed_constant},
    {"state-type", "a state is a float16 tensor of fixed shape", "keep the buffer outside the model", Documented, "#2537", has_odd_state},
    {"enumerated-inputs", "shapes of more than one input are enumerated from iOS18 on", "target iOS18", Documented, "the guide to flexible inputs",
     enumerates_several_inputs},
    {"enumerated-count", "at most 128 shapes are enumerated", "list fewer shapes", Documented, "the guide to flexible inputs",
     enumerates_too_many_shapes},
    {"enumerated-pairs", "the shapes of several inputs belong together by position", "list as many for each input", Documented,
     "the guide to flexible inputs, #2271", pairs_shapes_unevenly},
};

constexpr Risk kRisks[] = {
    {"weights-over-2-gib", "a weight file of more than 2 GiB is refused by older systems and by the Neural Engine",
     "split the model, or compress its weights", SeveralReports, "#1807", false, has_too_many_weights},
    {"weights-over-1-gb", "a model of more than 1 GB does not fit the Neural Engine of an iPhone", "split the model, or compress its weights",
     Documented, "the guide to models in chunks", true, has_many_weights},
    {"ragged-state", "a state whose last axis is no multiple of 32 fails on the Neural Engine",
     "pad the buffer's last axis, or leave the Neural Engine out", SeveralReports, "#2631", true, has_ragged_state},
    {"cast-state", "a state that is written through a cast fails on the Neural Engine", "compute what is written in float16",
     CoremltoolsSource, "rdar://130912134", true, writes_a_cast},
};

}  // namespace

std::span<const Risk> risks() { return kRisks; }

std::span<const FunctionRule> function_rules() { return kRules; }

}  // namespace cortland::device_rules
