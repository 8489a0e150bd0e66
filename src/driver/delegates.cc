#include "driver/delegates.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <set>

#include "coreml/package_writer.h"
#include "device_rules/rules.h"
#include "driver/coreml_compiler.h"
#include "executorch/delegate_blob.h"
#include "mil/names.h"

namespace cortland::driver {
namespace {

using Plan = std::shared_ptr<const coreml::PackagePlan>;

// The identifier of a model, which names its content: devices keep what they have compiled under it. Writing the weights makes it on the
// way; whoever asks earlier pays for reading them.
class Identifier {
 public:
  explicit Identifier(Plan plan) : plan_(std::move(plan)) {}

  static std::string text(const std::string& uuid) { return "executorch_" + uuid; }

  Status write_weights(OutputFile& out, uint64_t at) {
    std::string uuid;
    TRY_DO(plan_->write_weights(out, at, &uuid));
    keep(std::move(uuid));
    return {};
  }

  Result<std::string> get() {
    if (const std::lock_guard lock(mutex_); !uuid_.empty()) return text(uuid_);
    TRY(std::string uuid, plan_->fingerprint());
    return text(keep(std::move(uuid)));
  }

 private:
  std::string keep(std::string uuid) {
    const std::lock_guard lock(mutex_);
    return uuid_ = std::move(uuid);
  }

  Plan plan_;
  std::mutex mutex_;  // a program may be written by several threads at once
  std::string uuid_;  // empty: not known yet
};

executorch::ByteSource metadata_source(const std::shared_ptr<Identifier>& identifier, executorch::BlobMetadata metadata) {
  metadata.identifier = Identifier::text(coreml::ContentHash().uuid());  // all are of one length
  const uint64_t size = executorch::metadata_json(metadata).size();
  return executorch::streamed_bytes(size, [identifier, metadata](OutputFile& out, uint64_t at) -> Status {
    executorch::BlobMetadata named = metadata;
    TRY(named.identifier, identifier->get());
    return out.write_at(at, as_bytes(executorch::metadata_json(named)));
  });
}

Result<executorch::FlattenedDirectory> flatten(const std::string& name, const Plan& plan, const std::shared_ptr<Identifier>& identifier,
                                               const executorch::BlobMetadata& metadata, executorch::ModelType type) {
  std::vector<executorch::BlobFile> files;
  const executorch::BlobFile described{"metadata.json", metadata_source(identifier, metadata)};
  if (type == executorch::ModelType::CompiledModel) {
    TRY(files, compile_package(*plan, "model.mlmodelc/"));
    files.insert(files.begin(), described);
    return executorch::flatten_directory(name, std::move(files));
  }
  const std::string root = "model.mlpackage/";
  // The weights first: a blob starts aligned in its file, so they can be used where they are mapped; and the metadata has their
  // identifier.
  if (plan->weight_bytes() > 0) {
    auto write = [identifier](OutputFile& out, uint64_t at) { return identifier->write_weights(out, at); };
    files.push_back({root + std::string(coreml::kWeightPath), executorch::streamed_bytes(plan->weight_bytes(), write)});
  }
  files.push_back(described);
  files.push_back({root + std::string(coreml::kManifestPath), executorch::viewed_bytes(as_bytes(plan->manifest), plan)});
  files.push_back({root + std::string(coreml::kModelPath), executorch::viewed_bytes(as_bytes(plan->model), plan)});
  return executorch::flatten_directory(name, std::move(files));
}

// What the device may trip over, said once for the program however many models share it.
void add_risks(const mil::Program& program, const mil::Function& function, uint64_t weight_bytes, bool neural_engine,
               std::vector<std::string>& warnings) {
  for (std::string& risk : device_rules::warnings(program, function, weight_bytes, neural_engine))
    if (std::ranges::find(warnings, risk) == warnings.end()) warnings.push_back(std::move(risk));
}

// The weights of all models: which models are equal, and how much of its weights one method stores again that another one has stored.
class StoredWeights {
 public:
  // A key that models of equal content have in common, and no others in this program. Weights are compared only where they begin alike.
  std::string add(size_t method, const coreml::PackagePlan& plan) {
    coreml::ContentHash key;
    key.add(as_bytes(plan.model));
    const WeightSet& weights = plan.weights.weights();
    for (size_t i = 0; i < weights.size(); ++i) {
      const size_t at = all_.add(weights[i]);
      key.add(uint64_t{at});
      if (at == first_.size())
        first_.push_back(method);
      else if (first_[at] != method)
        repeated_ += weights[i].byte_size();
    }
    return key.uuid();
  }
  uint64_t repeated_bytes() const { return repeated_; }

 private:
  WeightSet all_;
  std::vector<size_t> first_;  // method that stores the weight first
  uint64_t repeated_ = 0;
};

// ---- a model for each delegate

Result<DelegateBytes> own_model(const Plan& plan, const MethodDelegates& method, std::string key) {
  executorch::BlobMetadata metadata;
  metadata.names = {plan->functions[0].inputs, plan->functions[0].outputs};
  TRY(auto directory, flatten("lowered_module", plan, std::make_shared<Identifier>(plan), metadata, method.model_type));
  const uint64_t bytes = directory.bytes.size;
  return DelegateBytes{{{std::move(key), std::move(directory.bytes), directory.alignment}, method.specs}, bytes, {}};
}

Result<ProgramDelegates> own_models(std::span<const MethodDelegates> methods, const std::string& why) {
  ProgramDelegates result;
  StoredWeights stored;
  size_t count = 0;
  for (const auto& m : methods) count += m.delegates.size();
  for (const auto& m : methods) {
    auto& made = result.methods.emplace_back();
    for (const auto& delegate : m.delegates) {
      TRY_DO(device_rules::check(delegate.program));
      TRY(auto planned, coreml::plan_package(delegate.program));
      add_risks(delegate.program, delegate.program.functions[0], planned.weight_bytes(), m.neural_engine, result.warnings);
      std::string key = count > 1 ? stored.add(result.methods.size(), planned) : std::string();
      TRY(made.emplace_back(), own_model(std::make_shared<const coreml::PackagePlan>(std::move(planned)), m, std::move(key)));
    }
  }
  if (!why.empty() && stored.repeated_bytes() > 0)
    result.warnings.push_back(
        fmt::format("the methods do not share their Core ML weights, and {} bytes are stored more than once: {}",
                    stored.repeated_bytes(), why));
  return result;
}

// ---- a model for the delegates at one place of all methods

Status add_shared_model(std::span<const MethodDelegates> methods, size_t at, StoredWeights& stored, ProgramDelegates& result) {
  std::vector<std::string> names;
  auto type = executorch::ModelType::Model;
  for (const auto& m : methods) {
    if (m.delegates.empty()) continue;
    names.push_back(m.method);
    type = m.model_type;  // they are equal
  }
  const auto function = function_names(names);
  std::vector<coreml::PackageFunction> functions;
  for (const auto& m : methods)
    if (!m.delegates.empty())
      functions.push_back({function[functions.size()], &m.delegates[at].program, &m.delegates[at].program.functions[0]});
  for (const auto& f : functions) TRY_DO(device_rules::check(*f.program, *f.function));
  TRY(auto planned, coreml::plan_package(functions));
  const bool neural_engine = std::ranges::any_of(methods, &MethodDelegates::neural_engine);
  for (const auto& f : functions) add_risks(*f.program, *f.function, planned.weight_bytes(), neural_engine, result.warnings);
  const auto plan = std::make_shared<const coreml::PackagePlan>(std::move(planned));
  // The methods refer to the model by its name, which is known before the weights are read.
  const std::string name = Identifier::text(stored.add(at, *plan));
  executorch::BlobMetadata metadata;
  for (size_t i = 0; i < names.size(); ++i)
    metadata.methods[names[i]] = {plan->functions[i].inputs, plan->functions[i].outputs};
  TRY(auto directory, flatten(fmt::format("lowered_module_partition_{}", at), plan, std::make_shared<Identifier>(plan), metadata, type));
  const uint64_t bytes = directory.bytes.size;
  const std::string key = "coreml_" + name;
  if (std::ranges::find(result.shared, key, &executorch::NamedData::name) == result.shared.end())
    result.shared.push_back({key, {name, std::move(directory.bytes), directory.alignment}});
  size_t i = 0;
  for (size_t m = 0; m < methods.size(); ++m) {
    if (methods[m].delegates.empty()) continue;
    const std::string reference = executorch::multifunction_reference({key, function[i]});
    result.methods[m].push_back({{{reference, executorch::owned_bytes(reference)}, methods[m].specs}, bytes, function[i]});
    ++i;
  }
  return {};
}

Result<ProgramDelegates> shared_models(std::span<const MethodDelegates> methods, size_t count) {
  ProgramDelegates result;
  result.methods.resize(methods.size());
  StoredWeights stored;
  for (size_t at = 0; at < count; ++at) TRY_DO(add_shared_model(methods, at, stored, result));
  return result;
}

// Why these two cannot be functions of the same models; empty when they can.
std::string why_not_shared(const MethodDelegates& a, const MethodDelegates& b) {
  const mil::Target target = a.delegates[0].program.target, other = b.delegates[0].program.target;
  if (target != other)
    return fmt::format("'{}' is lowered for {} and '{}' for {}, and a model has one deployment target", a.method,
                       mil::target_name(target), b.method, mil::target_name(other));
  if (a.model_type != b.model_type)
    return fmt::format("only one of '{}' and '{}' is to be a compiled model", a.method, b.method);
  if (target < mil::Target::iOS18)
    return fmt::format("models with several functions need the deployment target iOS18, and this is {}",
                       mil::target_name(target));
  if (a.delegates.size() != b.delegates.size())
    return fmt::format("the number of Core ML delegates is {} in '{}' and {} in '{}', and models are shared one by one",
                       a.delegates.size(), a.method, b.delegates.size(), b.method);
  return {};
}

}  // namespace

std::vector<std::string> function_names(std::span<const std::string> methods) {
  std::vector<std::string> names;
  std::set<std::string> taken;
  for (const auto& method : methods) {
    const std::string wanted = mil::sanitize(method);
    std::string name = wanted;
    for (int n = 1; !taken.insert(name).second; ++n) name = fmt::format("{}_{}", wanted, n);
    names.push_back(std::move(name));
  }
  return names;
}

Result<ProgramDelegates> delegate_bytes(std::span<const MethodDelegates> methods) {
  std::vector<const MethodDelegates*> delegated;
  for (const auto& m : methods)
    if (!m.delegates.empty()) delegated.push_back(&m);
  const bool disabled =
      std::ranges::any_of(delegated, [](const auto* m) { return m->sharing == executorch::WeightSharing::Disabled; });
  if (delegated.size() < 2 || disabled) return own_models(methods, {});
  for (const auto* m : delegated)
    if (const auto why = why_not_shared(*delegated[0], *m); !why.empty()) return own_models(methods, why);
  return shared_models(methods, delegated[0]->delegates.size());
}

}  // namespace cortland::driver
