#include "et_plugin/delegate.h"

#include <fmt/format.h>

#include <algorithm>

#include "coreml/package_reader.h"
#include "et_plugin/arguments.h"

namespace cortland::et_plugin {
namespace {

constexpr std::string_view kPackage = "model.mlpackage/";

Bytes bytes_of(const ::executorch::runtime::FreeableBuffer& buffer) {
  return {static_cast<const std::byte*>(buffer.data()), buffer.size()};
}

Result<mil::Program> read_model(const std::vector<executorch::BlobView>& files) {
  std::vector<coreml::PackageFile> package;
  bool compiled = false;
  for (const auto& file : files) {
    compiled = compiled || file.path.starts_with("model.mlmodelc/");
    if (!file.path.starts_with(kPackage)) continue;
    // The runtime keeps the bytes for as long as the method is loaded.
    package.push_back({file.path.substr(kPackage.size()), MappedFile::from_memory(file.bytes, nullptr, file.path)});
  }
  if (package.empty() && compiled)
    return diag(DiagKind::BadPte, "the delegate holds a model compiled by Apple's tools, which only Apple's systems can run",
                "lower the model again with the model type 'model'");
  if (package.empty()) return diag(DiagKind::BadPte, "the delegate holds no model.mlpackage");
  return coreml::read_package(package);
}

Result<executorch::BlobMetadata> read_metadata(const std::vector<executorch::BlobView>& files) {
  for (const auto& file : files)
    if (file.path == "metadata.json") return executorch::parse_metadata(file.bytes);
  return diag(DiagKind::BadPte, "the delegate holds no metadata.json");
}

// Positions of `names` among the features.
Result<std::vector<size_t>> positions(const std::vector<std::string>& names, const std::vector<engine::Feature>& features) {
  std::vector<size_t> found;
  for (const auto& name : names) {
    const auto it = std::find_if(features.begin(), features.end(), [&](const engine::Feature& f) { return f.name == name; });
    if (it == features.end()) return diag(DiagKind::BadPte, fmt::format("the delegate's metadata names '{}', which its model does not have", name));
    found.push_back(static_cast<size_t>(it - features.begin()));
  }
  return found;
}

}  // namespace

Result<std::unique_ptr<Delegate>> Delegate::load(Bytes blob, const char* method, const ::executorch::runtime::NamedDataMap* named_data,
                                                 const CortlandBackendSettings& settings) {
  auto delegate = std::unique_ptr<Delegate>(new Delegate);
  if (!executorch::is_multifunction_reference(blob)) {
    TRY_DO(delegate->init(blob, method, {}, settings));
    return delegate;
  }
  TRY(const auto reference, executorch::parse_multifunction_reference(blob));
  if (!named_data) return diag(DiagKind::BadPte, fmt::format("the program has no named data, but a delegate refers to '{}'", reference.key));
  auto data = named_data->get_data(reference.key);
  if (!data.ok()) return diag(DiagKind::BadPte, fmt::format("the program has no named data '{}'", reference.key));
  delegate->shared_.emplace(std::move(data.get()));
  TRY_DO(delegate->init(bytes_of(*delegate->shared_), method, reference.function, settings));
  return delegate;
}

Status Delegate::init(Bytes directory, const char* method, const std::string& function, const CortlandBackendSettings& settings) {
  TRY(const auto files, executorch::unflatten_directory(directory));
  TRY(const auto metadata, read_metadata(files));
  const executorch::MethodNames* names = &metadata.names;
  if (!metadata.methods.empty()) {
    const auto it = metadata.methods.find(method);
    if (it == metadata.methods.end()) return diag(DiagKind::BadPte, fmt::format("the delegate's metadata has no method '{}'", method));
    names = &it->second;
    // Apple's runtime does not guess either.
    if (function.empty()) return diag(DiagKind::BadPte, fmt::format("the reference to a shared model does not say which function method '{}' is", method));
  }
  TRY(const auto program, read_model(files));
  if (program.functions.empty()) return diag(DiagKind::BadPackage, "the delegate's model has no function");
  const engine::EngineOptions options{.fast_kernels = !settings.reference,
                                      .precision = settings.fast_precision ? engine::Precision::Fast : engine::Precision::Exact};
  TRY(auto engine, engine::Engine::compile(program, function.empty() ? program.functions[0].name : function, options));
  if (settings.trace)
    engine.set_hook([settings](const engine::StepTrace& t) {
      settings.trace(settings.trace_context, std::string(t.op.name).c_str(), std::string(t.name).c_str(), t.seconds, t.fast);
    });
  TRY(inputs_, positions(names->inputs, engine.inputs()));
  TRY(outputs_, positions(names->outputs, engine.outputs()));
  std::vector<bool> given(engine.inputs().size(), false);
  for (size_t i : inputs_) given[i] = true;
  if (const auto missing = std::find(given.begin(), given.end(), false); missing != given.end())
    return diag(DiagKind::BadPte, fmt::format("the delegate's metadata does not name input '{}' of its model",
                                              engine.inputs()[static_cast<size_t>(missing - given.begin())].name));
  engine_.emplace(std::move(engine));
  return {};
}

Status Delegate::execute(::executorch::runtime::Span<::executorch::runtime::EValue*> args) {
  if (args.size() != inputs_.size() + outputs_.size())
    return diag(DiagKind::BadPte, fmt::format("the delegate is called with {} arguments, but its model has {} inputs and {} outputs", args.size(),
                                              inputs_.size(), outputs_.size()));
  std::vector<mil::Tensor> inputs(engine_->inputs().size());
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const engine::Feature& feature = engine_->inputs()[inputs_[i]];
    TRY(inputs[inputs_[i]], from_argument(*args[i], feature.type.rank(), feature.name));
  }
  TRY(const auto outputs, engine_->run(inputs));
  for (size_t i = 0; i < outputs_.size(); ++i)
    TRY_DO(to_argument(outputs[outputs_[i]], *args[inputs_.size() + i], engine_->outputs()[outputs_[i]].name));
  return {};
}

}  // namespace cortland::et_plugin
