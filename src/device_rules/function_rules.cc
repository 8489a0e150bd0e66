// The rules on functions. Numbers after # are issues of apple/coremltools.
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

constexpr FunctionRule kRules[] = {
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
};

}  // namespace

std::span<const FunctionRule> function_rules() { return kRules; }

}  // namespace cortland::device_rules
