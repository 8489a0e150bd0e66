#include "cli/pte_names.h"

#include "coreml/package_reader.h"

namespace cortland::cli {
namespace {

using executorch::ValueIndex;

// What a rank-0 input is called inside the model.
constexpr std::string_view kWrapped = "_wrapped_as_tensor_for_coreml";

void assign(std::vector<std::string>& names, const std::vector<ValueIndex>& values, ValueIndex value, std::string name) {
  if (name.ends_with(kWrapped)) name.resize(name.size() - kWrapped.size());
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i] == value && names[i].empty()) names[i] = name;
}

}  // namespace

std::optional<executorch::MethodNames> delegate_names(const executorch::PteProgram& program, const executorch::Delegate& delegate,
                                                      const std::string& method) {
  const auto files = executorch::unflatten_directory(delegate_directory(program, delegate));
  if (!files.ok()) return std::nullopt;
  for (const auto& file : *files) {
    if (file.path != "metadata.json") continue;
    const auto metadata = executorch::parse_metadata(file.bytes);
    if (!metadata.ok()) return std::nullopt;
    if (metadata->methods.empty()) return metadata->names;
    const auto it = metadata->methods.find(method);
    if (it != metadata->methods.end()) return it->second;
  }
  return std::nullopt;
}

std::optional<executorch::MultifunctionReference> delegate_reference(const executorch::PteProgram& program, const executorch::Delegate& delegate) {
  if (delegate.id != executorch::kCoreMLBackendId || delegate.blob < 0) return std::nullopt;
  auto reference = executorch::parse_multifunction_reference(program.blobs[static_cast<size_t>(delegate.blob)].bytes.memory);
  return reference.ok() ? std::optional(std::move(*reference)) : std::nullopt;
}

Bytes delegate_directory(const executorch::PteProgram& program, const executorch::Delegate& delegate) {
  if (delegate.id != executorch::kCoreMLBackendId || delegate.blob < 0) return {};
  const Bytes blob = program.blobs[static_cast<size_t>(delegate.blob)].bytes.memory;
  if (!executorch::is_multifunction_reference(blob)) return blob;
  const auto reference = delegate_reference(program, delegate);
  if (!reference) return {};
  for (const auto& named : program.named_data)
    if (named.name == reference->key) return named.data.bytes.memory;
  return {};
}

Result<mil::Program> delegate_model(const executorch::PteProgram& program, const executorch::Delegate& delegate) {
  constexpr std::string_view kPackage = "model.mlpackage/";
  TRY(const auto files, executorch::unflatten_directory(delegate_directory(program, delegate)));
  std::vector<coreml::PackageFile> package;
  for (const auto& file : files)
    if (file.path.starts_with(kPackage))
      package.push_back({file.path.substr(kPackage.size()), MappedFile::from_memory(file.bytes, nullptr, file.path)});
  if (package.empty()) return diag(DiagKind::BadPte, "the delegate holds no model.mlpackage");
  return coreml::read_package(package);
}

MethodFeatures method_features(const executorch::PteProgram& program, const executorch::Plan& plan) {
  MethodFeatures features;
  features.inputs.resize(plan.inputs.size());
  features.outputs.resize(plan.outputs.size());
  for (const auto& instruction : plan.instructions) {
    const auto* call = std::get_if<executorch::DelegateCall>(&instruction);
    if (!call) continue;
    const auto names = delegate_names(program, plan.delegates[static_cast<size_t>(call->delegate)], plan.name);
    if (!names || names->inputs.size() + names->outputs.size() != call->args.size()) continue;
    for (size_t i = 0; i < call->args.size(); ++i) {
      if (i < names->inputs.size())
        assign(features.inputs, plan.inputs, call->args[i], names->inputs[i]);
      else
        assign(features.outputs, plan.outputs, call->args[i], names->outputs[i - names->inputs.size()]);
    }
  }
  return features;
}

}  // namespace cortland::cli
