#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cli/inspect.h"
#include "cli/pte_names.h"
#include "cli/pte_sizes.h"
#include "executorch/delegate_blob.h"
#include "executorch/pte_reader.h"
#include "mil/text.h"

namespace cortland::cli {
namespace {

using namespace executorch;

// `known` is what is known of the sizes beyond the tensor itself.
Json describe_value(const EValue& value, const std::string& name, const InputSizes* known = nullptr) {
  const auto* tensor = std::get_if<TensorValue>(&value);
  if (!tensor) return {{"name", name}, {"kind", value_kind(value)}};
  DimTable dims;
  const InputSizes sizes = known ? *known : sizes_of(*tensor);
  Json described = describe_tensor(name, {dtype(tensor->type), sizes.shape(dims)}, dims);
  if (!sizes.allowed.empty()) described["allowed_shapes"] = sizes.allowed;
  return described;
}

Json describe_values(const Plan& plan, const std::vector<ValueIndex>& indices, const std::vector<std::string>& names, const char* prefix,
                     const std::vector<InputSizes>& sizes = {}) {
  Json values = Json::array();
  for (size_t i = 0; i < indices.size(); ++i) {
    Json value = describe_value(plan.values[static_cast<size_t>(indices[i])], fmt::format("{}{}", prefix, i), sizes.empty() ? nullptr : &sizes[i]);
    if (!names[i].empty()) value["called"] = names[i];
    values.push_back(std::move(value));
  }
  return values;
}

Json describe_delegate(const PteProgram& program, const Delegate& delegate, const Plan& plan, size_t index) {
  Json described{{"name", fmt::format("{}_{}", plan.name, index)}, {"backend", delegate.id}};
  const Bytes directory = delegate_directory(program, delegate);
  if (const auto reference = delegate_reference(program, delegate)) {
    described["shared_model"] = reference->key;
    described["function"] = reference->function;
  }
  described["bytes"] = !directory.empty() ? directory.size() : delegate.blob >= 0 ? program.blobs[static_cast<size_t>(delegate.blob)].bytes.size : 0;
  Json specs = Json::object();
  for (const auto& spec : delegate.compile_specs) specs[spec.key] = spec.value;
  described["compile_specs"] = std::move(specs);
  if (const auto files = unflatten_directory(directory); !directory.empty() && files.ok()) {
    Json names = Json::object();
    for (const auto& file : *files) names[file.path] = file.bytes.size();
    described["files"] = std::move(names);
  }
  return described;
}

Json describe_literal(const EValue& value) {
  if (const auto* i = std::get_if<Int>(&value)) return i->value;
  if (const auto* d = std::get_if<Double>(&value)) return d->value;
  if (const auto* b = std::get_if<Bool>(&value)) return b->value;
  if (const auto* s = std::get_if<String>(&value)) return s->value;
  return describe_value(value, "");
}

// A method that only returns what it was made with.
Json describe_constant_method(const Plan& plan) {
  Json returns = Json::array();
  for (const ValueIndex v : plan.outputs) returns.push_back(describe_literal(plan.values[static_cast<size_t>(v)]));
  return {{"name", plan.name}, {"returns", std::move(returns)}};
}

Json describe_method(const PteProgram& program, const Plan& plan) {
  if (plan.inputs.empty() && plan.instructions.empty()) return describe_constant_method(plan);
  const auto names = method_features(program, plan);
  std::vector<std::string> kernels;
  size_t delegate_calls = 0;
  for (const auto& instruction : plan.instructions) {
    if (const auto* call = std::get_if<KernelCall>(&instruction)) {
      const Operator& op = plan.operators[static_cast<size_t>(call->op)];
      kernels.push_back(op.overload.empty() ? op.name : op.name + "." + op.overload);
    }
    delegate_calls += std::holds_alternative<DelegateCall>(instruction);
  }
  Json delegates = Json::array();
  for (size_t i = 0; i < plan.delegates.size(); ++i) delegates.push_back(describe_delegate(program, plan.delegates[i], plan, i));
  int64_t memory = 0;
  for (int64_t size : plan.non_const_buffer_sizes) memory += size;
  return {{"name", plan.name},
          {"inputs", describe_values(plan, plan.inputs, names.inputs, "in", input_sizes(program, plan))},
          {"outputs", describe_values(plan, plan.outputs, names.outputs, "out")},
          {"delegates", std::move(delegates)},
          {"delegate_calls", delegate_calls},
          {"cpu_kernels", count_names(kernels)},
          {"planned_memory", memory}};
}

}  // namespace

Result<std::string> pte_mil(const std::filesystem::path& path) {
  TRY(auto file, MappedFile::open(path));
  TRY(const auto program, read_pte(file));
  std::string text;
  std::set<std::string> shared;
  for (const Plan& plan : program.plans) {
    for (size_t i = 0; i < plan.delegates.size(); ++i) {
      const Delegate& delegate = plan.delegates[i];
      if (delegate.id != kCoreMLBackendId) continue;
      const auto reference = delegate_reference(program, delegate);
      text += fmt::format("{}// {}_{}{}\n", text.empty() ? "" : "\n", plan.name, i,
                          reference ? fmt::format(": function '{}' of the shared model {}", reference->function, reference->key) : "");
      if (reference && !shared.insert(reference->key).second) continue;
      const auto files = unflatten_directory(delegate_directory(program, delegate));
      if (files.ok() && std::ranges::none_of(*files, [](const auto& f) { return f.path.starts_with("model.mlpackage/"); })) {
        text += "// compiled by Apple's tools: there is no MIL to show\n";
        continue;
      }
      TRY(const auto model, delegate_model(program, delegate));
      text += mil::print(model);
    }
  }
  if (text.empty())
    return diag(DiagKind::BadInput, fmt::format("{} has no Core ML delegate", path.string()),
                "nothing was delegated; see the report of `cortland lower`");
  return text;
}

Result<Json> inspect_pte(const std::filesystem::path& path) {
  TRY(auto file, MappedFile::open(path));
  TRY(const auto program, read_pte(file));
  Json methods = Json::array();
  for (const Plan& plan : program.plans) methods.push_back(describe_method(program, plan));
  uint64_t constants = 0;
  for (const Data& data : program.constants) constants += data.bytes.size;
  return Json{{"kind", "pte"},
              {"bytes", file->bytes().size()},
              {"methods", std::move(methods)},
              {"constants", {{"count", program.constants.size()}, {"bytes", constants}}}};
}

}  // namespace cortland::cli
