#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine_cli/arrays.h"
#include "engine_cli/loaded_model.h"
#include "cli/pte_names.h"
#include "cli/pte_sizes.h"
#include "engine_cli/pte_runner.h"
#include "engine/inputs.h"
#include "executorch/pte_reader.h"

namespace cortland::engine_cli {
namespace {

using executorch::Plan;
using mil::Tensor;

// The method of that name; without one "forward", or else the only method that does something.
Result<const Plan*> find_plan(const executorch::PteProgram& program, const std::string& method) {
  std::vector<std::string> names;
  std::vector<const Plan*> candidates;
  for (const Plan& plan : program.plans) {
    if (plan.name == (method.empty() ? "forward" : method)) return &plan;
    names.push_back(fmt::format("'{}'", plan.name));
    if (!plan.instructions.empty()) candidates.push_back(&plan);
  }
  if (method.empty() && candidates.size() == 1) return candidates[0];
  return diag(DiagKind::BadOption,
              method.empty() ? fmt::format("the program has several methods: {}", fmt::join(names, ", "))
                             : fmt::format("the program has no method '{}', only {}", method, fmt::join(names, ", ")),
              "choose one with --method");
}

CortlandValue view(const Tensor& tensor) {
  const auto type = executorch::scalar_type(tensor.dtype);
  return {kCortlandTensor, type ? static_cast<uint32_t>(*type) : 0, static_cast<uint32_t>(tensor.rank()), tensor.shape.data(),
          tensor.data(), tensor.bytes()};
}

// The inputs of a call and what they view.
struct Inputs {
  std::vector<Tensor> tensors;
  std::vector<CortlandValue> values;
};

// A number among the inputs: programs hold the only value they were exported for.
Status add_number(const executorch::EValue& expected, const Tensor& given, const std::string& name, Inputs& inputs) {
  CortlandValueKind kind = kCortlandInt;
  DType dtype = DType::I64;
  if (std::holds_alternative<executorch::Bool>(expected)) kind = kCortlandBool, dtype = DType::Bool;
  if (std::holds_alternative<executorch::Double>(expected)) kind = kCortlandDouble, dtype = DType::F64;
  if (given.elements() != 1) return diag(DiagKind::BadInput, fmt::format("input '{}' is one number, not {}", name, given.elements()));
  TRY(Tensor number, engine::convert_input(given, dtype, name));
  inputs.values.push_back({kind, 0, 0, nullptr, number.data(), number.bytes()});
  inputs.tensors.push_back(std::move(number));
  return {};
}

Result<Inputs> gather_inputs(const executorch::PteProgram& program, const Plan& plan, const archive::NamedArrays& arrays,
                             const std::string& file) {
  const auto names = cli::method_features(program, plan).inputs;
  const auto sizes = cli::input_sizes(program, plan);
  TRY_DO(refuse_surplus(arrays, names, file));
  DimTable dims;
  Inputs inputs;
  std::vector<engine::Feature> features;
  std::vector<Tensor> tensors;
  std::vector<size_t> positions;
  for (size_t i = 0; i < plan.inputs.size(); ++i) {
    const auto& expected = plan.values[static_cast<size_t>(plan.inputs[i])];
    if (std::holds_alternative<executorch::Null>(expected)) {
      inputs.values.push_back({kCortlandNone, 0, 0, nullptr, nullptr, 0});
      continue;
    }
    TRY(const archive::Array* array, find_array(arrays, i, names[i], file));
    const std::string label = names[i].empty() ? fmt::format("in{}", i) : fmt::format("{} (in{})", names[i], i);
    if (const auto* tensor = std::get_if<executorch::TensorValue>(&expected)) {
      features.push_back({label, {executorch::dtype(tensor->type), sizes[i].shape(dims)}, sizes[i].allowed});
      tensors.push_back(to_tensor(*array));
      positions.push_back(inputs.values.size());
      inputs.values.emplace_back();
    } else {
      TRY_DO(add_number(expected, to_tensor(*array), label, inputs));
    }
  }
  TRY(auto checked, engine::check_inputs(features, tensors, dims));
  for (size_t i = 0; i < checked.size(); ++i) {
    inputs.tensors.push_back(std::move(checked[i]));
    inputs.values[positions[i]] = view(inputs.tensors.back());
  }
  return inputs;
}

Result<archive::Array> output_array(const CortlandValue& value, size_t index) {
  switch (value.kind) {
    case kCortlandInt: return archive::Array{DType::I64, {}, std::string(static_cast<const char*>(value.data), value.bytes)};
    case kCortlandBool: return archive::Array{DType::Bool, {}, std::string(static_cast<const char*>(value.data), value.bytes)};
    case kCortlandDouble: return archive::Array{DType::F64, {}, std::string(static_cast<const char*>(value.data), value.bytes)};
    case kCortlandTensor:
      return archive::Array{executorch::dtype(static_cast<executorch::ScalarType>(value.scalar_type)),
                            {value.sizes, value.sizes + value.rank},
                            std::string(static_cast<const char*>(value.data), value.bytes)};
    default: return diag(DiagKind::RuntimeFailed, fmt::format("output {} is neither a tensor nor a number", index), "return tensors from the model");
  }
}

class LoadedPte final : public LoadedModel {
 public:
  LoadedPte(executorch::PteProgram program, const Plan* plan, PteRunner runner)
      : program_(std::move(program)), plan_(plan), runner_(std::move(runner)) {}

  Status set_inputs(const archive::NamedArrays& arrays, const std::string& file) override {
    TRY(inputs_, gather_inputs(program_, *plan_, arrays, file));
    return {};
  }

  Status run() override { return runner_.run(inputs_.values); }

  Result<archive::NamedArrays> outputs() override {
    archive::NamedArrays outputs;
    for (size_t i = 0; i < runner_.output_count(); ++i) {
      TRY(const CortlandValue value, runner_.output(i));
      if (value.kind == kCortlandNone) continue;
      TRY(auto array, output_array(value, i));
      outputs.emplace_back(fmt::format("out{}", i), std::move(array));
    }
    return outputs;
  }

 private:
  executorch::PteProgram program_;
  const Plan* plan_;  // in program_, whose vectors keep their elements in place when it moves
  PteRunner runner_;
  Inputs inputs_;
};

}  // namespace

Result<std::unique_ptr<LoadedModel>> load_pte(const std::string& path, const LoadOptions& options) {
  if (options.reference)
    return diag(DiagKind::BadOption, "--reference is for packages", "write the delegates' packages with `cortland extract`, and run one of them");
  TRY(auto mapped, MappedFile::open(path));
  TRY(auto program, executorch::read_pte(mapped));
  TRY(const Plan* plan, find_plan(program, options.method));
  TRY(PteRunner runner, PteRunner::open(path));
  runner.configure(options);
  TRY_DO(runner.load(plan->name));
  return std::unique_ptr<LoadedModel>(std::make_unique<LoadedPte>(std::move(program), plan, std::move(runner)));
}

}  // namespace cortland::engine_cli
