#include "cli/pte_sizes.h"

#include <algorithm>

#include "cli/pte_names.h"
#include "coreml/package_reader.h"

namespace cortland::cli {
namespace {

using executorch::Plan;
using executorch::PteProgram;
using executorch::ValueIndex;

// Where an argument of a delegate is an input of the method whose shape varies: its position.
std::optional<size_t> varying_input(const Plan& plan, ValueIndex argument) {
  const auto it = std::ranges::find(plan.inputs, argument);
  const auto* tensor = std::get_if<executorch::TensorValue>(&plan.values[static_cast<size_t>(argument)]);
  if (it == plan.inputs.end() || !tensor || tensor->dynamism == executorch::Dynamism::Static) return std::nullopt;
  return static_cast<size_t>(it - plan.inputs.begin());
}

const mil::Function* function_of(const mil::Program& model, const PteProgram& program, const executorch::Delegate& delegate) {
  const auto reference = delegate_reference(program, delegate);
  for (const auto& function : model.functions)
    if (!reference || function.name == reference->function) return &function;
  return nullptr;
}

void narrow(InputSizes& input, const mil::Program& model, const mil::Function& function, const std::string& name) {
  for (const mil::ValueId v : function.inputs) {
    const mil::Value& value = model.values[v];
    const Shape& shape = value.type.tensor.shape;
    if (value.name != name || shape.size() != input.sizes.size()) continue;
    for (size_t i = 0; i < shape.size(); ++i) {
      const DimRange range = model.dims->range(shape[i]);
      input.sizes[i] = {std::max(input.sizes[i].low, range.low), std::min(input.sizes[i].high, range.high)};
    }
    if (const auto it = function.enumerated_shapes.find(name); it != function.enumerated_shapes.end()) input.allowed = it->second;
  }
}

}  // namespace

Shape InputSizes::shape(DimTable& dims) const {
  Shape shape;
  for (const DimRange& size : sizes) shape.push_back(size.low == size.high ? Dim(size.low) : dims.unknown(size));
  return shape;
}

InputSizes sizes_of(const executorch::TensorValue& tensor) {
  InputSizes input;
  for (const int32_t size : tensor.sizes) input.sizes.push_back({tensor.dynamism == executorch::Dynamism::Static ? size : 0, size});
  return input;
}

std::vector<InputSizes> input_sizes(const PteProgram& program, const Plan& plan) {
  std::vector<InputSizes> inputs;
  for (const ValueIndex index : plan.inputs) {
    const auto* tensor = std::get_if<executorch::TensorValue>(&plan.values[static_cast<size_t>(index)]);
    inputs.push_back(tensor ? sizes_of(*tensor) : InputSizes{});
  }
  for (const auto& instruction : plan.instructions) {
    const auto* call = std::get_if<executorch::DelegateCall>(&instruction);
    if (!call || std::ranges::none_of(call->args, [&](ValueIndex v) { return varying_input(plan, v).has_value(); })) continue;
    const auto& delegate = plan.delegates[static_cast<size_t>(call->delegate)];
    const auto names = delegate_names(program, delegate, plan.name);
    const auto model = delegate_model(program, delegate);
    const mil::Function* function = model.ok() ? function_of(*model, program, delegate) : nullptr;
    if (!names || !function || names->inputs.size() > call->args.size()) continue;
    for (size_t i = 0; i < names->inputs.size(); ++i)
      if (const auto at = varying_input(plan, call->args[i])) narrow(inputs[*at], *model, *function, names->inputs[i]);
  }
  return inputs;
}

}  // namespace cortland::cli
