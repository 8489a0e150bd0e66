#include "cortland/cortland.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/file.h"
#include "cortland/guard.h"
#include "cortland/methods.h"
#include "driver/compile_specs.h"
#include "executorch/pte_writer.h"

namespace cortland {
namespace {

std::string lower_case(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

Result<driver::LowerOptions> options_of(const std::optional<CoreMLPartitioner>& partitioner) {
  if (partitioner) return lower_options(*partitioner);
  driver::LowerOptions options;
  options.partition.skip_ops = {"*"};
  return options;
}

// Options first: what is wrong with them is known before anything is read.
Result<std::vector<driver::Method>> driver_methods(const std::vector<Method>& methods) {
  std::vector<driver::LowerOptions> options;
  for (const Method& method : methods) {
    TRY(options.emplace_back(), options_of(method.partitioner));
  }
  std::vector<driver::Method> all;
  for (size_t i = 0; i < methods.size(); ++i) {
    TRY(const auto source, methods[i].program.open());
    if (methods[i].name.empty()) {
      TRY(auto own, driver::methods_of(*source, options[i]));
      std::ranges::move(own, std::back_inserter(all));
    } else {
      TRY(all.emplace_back(), driver::method_of(methods[i].name, *source, options[i]));
    }
  }
  return all;
}

}  // namespace

ExportedProgram::ExportedProgram(std::shared_ptr<const MappedFile> file)
    : source_(std::make_shared<const torch::Pt2Source>(std::move(file))) {}

ExportedProgram::ExportedProgram(std::shared_ptr<const torch::Pt2Source> source) : source_(std::move(source)) {}

Result<std::shared_ptr<const torch::Pt2Source>> ExportedProgram::open() const {
  if (source_) return source_;
  TRY(auto file, MappedFile::open(path_));
  return std::make_shared<const torch::Pt2Source>(std::move(file));
}

Result<std::vector<std::string>> ExportedProgram::method_names() const {
  return guarded([&]() -> Result<std::vector<std::string>> {
    TRY(const auto source, open());
    TRY(const auto methods, driver::methods_of(*source, {}));
    std::vector<std::string> names;
    for (const auto& method : methods) names.push_back(method.name);
    return names;
  });
}

Status CoreMLPartitioner::check() const {
  const auto exclude = [](std::string what) {
    return diag(DiagKind::BadOption, std::move(what), "leave one of the two out");
  };
  const auto enumerated = [](const CompileSpec& spec) { return spec.key == executorch::kEnumeratedShapesKey; };
  if (!lower_full_graph && std::ranges::any_of(compile_specs, enumerated))
    return diag(DiagKind::BadOption, "a compile spec with enumerated shapes needs lower_full_graph", "set lower_full_graph");
  if (!lower_full_graph) return {};
  if (!skip_ops_for_coreml_delegation.empty())
    return exclude(fmt::format("lower_full_graph leaves nothing to the CPU, and skip_ops_for_coreml_delegation names '{}'",
                               skip_ops_for_coreml_delegation[0]));
  if (!take_over_constant_data) return exclude("lower_full_graph needs take_over_constant_data, which is false");
  if (!take_over_mutable_buffer) return exclude("lower_full_graph needs take_over_mutable_buffer, which is false");
  return {};
}

EdgeProgram::EdgeProgram(std::shared_ptr<const driver::LoweredProgram> lowered) : lowered_(std::move(lowered)) {}

const LowerReport& EdgeProgram::report() const { return lowered_->report; }

ExecutorchProgram EdgeProgram::to_executorch() const {
  ExecutorchProgram program;
  program.lowered_ = lowered_;
  return program;
}

Result<std::string> ExecutorchProgram::buffer() const {
  return guarded([&] { return executorch::pte_bytes(lowered_->program); });
}

Status ExecutorchProgram::write_to_memory(const std::function<std::span<std::byte>(uint64_t size)>& allocate) const {
  return guarded([&] { return executorch::write_pte(lowered_->program, allocate); });
}

Status ExecutorchProgram::write_to_file(const std::filesystem::path& path) const {
  return guarded([&] { return driver::write(*lowered_, path); });
}

Result<driver::LowerOptions> lower_options(const CoreMLPartitioner& partitioner) {
  driver::LowerOptions options;
  TRY_DO(driver::apply_compile_specs(partitioner.compile_specs, options));
  for (const auto& name : partitioner.skip_ops_for_coreml_delegation) options.partition.skip_ops.insert(lower_case(name));
  options.partition.float32_ops.insert(partitioner.float32_ops.begin(), partitioner.float32_ops.end());
  options.partition.take_over_mutable_buffer = partitioner.take_over_mutable_buffer;
  options.partition.lower_full_graph = partitioner.lower_full_graph;
  options.partition.take_over_constant_data = partitioner.take_over_constant_data;
  return options;
}

Result<EdgeProgram> lower_methods(const std::vector<Method>& methods, std::vector<edge::ConstantMethod> constants) {
  return guarded([&]() -> Result<EdgeProgram> {
    for (const Method& method : methods)
      if (method.partitioner) TRY_DO(method.partitioner->check());
    TRY(auto all, driver_methods(methods));
    TRY(auto lowered, driver::lower(std::move(all), std::move(constants)));
    return EdgeProgram(std::make_shared<const driver::LoweredProgram>(std::move(lowered)));
  });
}

Result<EdgeProgram> to_edge_transform_and_lower(const std::vector<Method>& methods) { return lower_methods(methods, {}); }

Result<EdgeProgram> to_edge_transform_and_lower(const ExportedProgram& program,
                                                const std::optional<CoreMLPartitioner>& partitioner) {
  return to_edge_transform_and_lower(std::vector<Method>{{{}, program, partitioner}});
}

Result<EdgeProgram> to_edge_transform_and_lower(const std::map<std::string, ExportedProgram>& programs,
                                                const std::optional<CoreMLPartitioner>& partitioner) {
  std::vector<Method> methods;
  for (const auto& [name, program] : programs) methods.push_back({name, program, partitioner});
  return to_edge_transform_and_lower(methods);
}

Result<LowerReport> convert(const std::vector<Method>& methods, const std::filesystem::path& destination) {
  return guarded([&]() -> Result<LowerReport> {
    for (const Method& method : methods)
      if (method.partitioner && !method.partitioner->skip_ops_for_coreml_delegation.empty())
        return diag(
            DiagKind::BadOption,
            "skip_ops_for_coreml_delegation: there is no CPU to leave operators to, the whole graph becomes one model",
            "leave the list out, or lower the program to a .pte");
    TRY(auto all, driver_methods(methods));
    return driver::convert(std::move(all), destination);
  });
}

}  // namespace cortland
