#include "et_runner/method.h"

#include <executorch/runtime/core/exec_aten/util/tensor_util.h>
#include <executorch/runtime/platform/runtime.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "et_runner/log.h"

namespace cortland::et_runner {
namespace {

using ::executorch::extension::MmapDataLoader;
using EtTensor = ::executorch::aten::Tensor;
using EtTensorImpl = ::executorch::aten::TensorImpl;

std::string_view meaning(et::Error code) {
  switch (code) {
    case et::Error::InvalidState: return "the call came in a state that does not allow it";
    case et::Error::NotSupported: return "the program asks for what this runtime does not support";
    case et::Error::NotImplemented: return "the program asks for what this runtime does not implement";
    case et::Error::InvalidArgument: return "an argument does not fit the program";
    case et::Error::InvalidType: return "a value has another type than the program says";
    case et::Error::OperatorMissing: return "no CPU kernel is registered for an operator of the program";
    case et::Error::NotFound: return "a method or backend that the program names does not exist";
    case et::Error::MemoryAllocationFailed: return "not enough memory";
    case et::Error::AccessFailed: return "the file could not be read";
    case et::Error::InvalidProgram: return "the file is not a valid program";
    case et::Error::InvalidExternalData: return "the program's external data is not valid";
    case et::Error::OutOfResources: return "out of resources";
    case et::Error::DelegateInvalidCompatibility: return "a delegate was made for another version of its backend";
    case et::Error::DelegateMemoryAllocationFailed: return "a delegate could not get memory";
    case et::Error::DelegateInvalidHandle: return "a delegate failed";
    default: return "internal error";
  }
}

bool is_row_major(const EtTensor& tensor) {
  for (ssize_t i = 0; i < tensor.dim(); ++i)
    if (tensor.dim_order()[static_cast<size_t>(i)] != i) return false;
  return true;
}

// The elements of a row-major tensor at the places that `strides`, in elements, give them.
std::vector<std::byte> laid_out(const CortlandValue& from, const std::vector<EtTensor::StridesType>& strides) {
  std::vector<std::byte> to(from.bytes);
  size_t elements = 1;
  for (size_t d = 0; d < from.rank; ++d) elements *= static_cast<size_t>(from.sizes[d]);
  const size_t width = elements == 0 ? 0 : from.bytes / elements;
  std::vector<int64_t> at(from.rank, 0);
  for (size_t i = 0; i < elements; ++i) {
    int64_t place = 0;
    for (size_t d = 0; d < from.rank; ++d) place += at[d] * strides[d];
    std::memcpy(to.data() + static_cast<size_t>(place) * width, static_cast<const std::byte*>(from.data) + i * width, width);
    for (size_t d = from.rank; d-- > 0 && ++at[d] == from.sizes[d];) at[d] = 0;
  }
  return to;
}

}  // namespace

Diagnostic runtime_error(std::string what, et::Error code) {
  const auto logged = take_logged_errors();
  std::string text = fmt::format("{}: {} ({})", what, meaning(code), et::to_string(code));
  if (!logged.empty()) text += fmt::format("; the runtime says: {}", fmt::join(logged, "; "));
  return diag(code == et::Error::MemoryAllocationFailed ? DiagKind::OutOfMemory : DiagKind::RuntimeFailed, std::move(text));
}

Result<std::unique_ptr<LoadedProgram>> LoadedProgram::open(const std::string& path) {
  auto loader = MmapDataLoader::from(path.c_str(), MmapDataLoader::MlockConfig::NoMlock);
  if (!loader.ok()) return runtime_error(fmt::format("cannot open {}", path), loader.error());
  auto program = std::unique_ptr<LoadedProgram>(new LoadedProgram(std::move(loader.get())));
  auto loaded = et::Program::load(&program->loader_, et::Program::Verification::InternalConsistency);
  if (!loaded.ok()) return runtime_error(fmt::format("cannot load {}", path), loaded.error());
  program->program_.emplace(std::move(loaded.get()));
  return program;
}

Status LoadedProgram::load(const std::string& name) {
  method_.reset();
  TRY(method_, LoadedMethod::load(*program_, name));
  return {};
}

Result<std::unique_ptr<LoadedMethod>> LoadedMethod::load(const et::Program& program, const std::string& name) {
  auto meta = program.method_meta(name.c_str());
  if (!meta.ok()) return runtime_error(fmt::format("the program has no method '{}'", name), meta.error());
  auto loaded = std::unique_ptr<LoadedMethod>(new LoadedMethod);
  TRY_DO(loaded->allocate(*meta));
  auto method = program.load_method(name.c_str(), &*loaded->memory_manager_);
  if (!method.ok()) return runtime_error(fmt::format("cannot load method '{}'", name), method.error());
  loaded->method_.emplace(std::move(method.get()));
  TRY_DO(loaded->provide_attributes(*meta));
  TRY_DO(loaded->provide_outputs(*meta));
  return loaded;
}

Result<void*> LoadedMethod::add_memory(size_t bytes) {
  constexpr size_t kAlignment = 64;
  const size_t size = (std::max<size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  void* p = size < bytes ? nullptr : std::aligned_alloc(kAlignment, size);
  if (!p) return diag(DiagKind::OutOfMemory, fmt::format("the program asks for {} bytes of memory", bytes));
  memory_.emplace_back(p);
  std::memset(p, 0, size);  // buffers that the program does not initialise start at zero
  return p;
}

Status LoadedMethod::allocate(const et::MethodMeta& meta) {
  for (size_t i = 0; i < meta.num_memory_planned_buffers(); ++i) {
    auto size = meta.memory_planned_buffer_size(i);
    if (!size.ok()) return runtime_error("cannot plan memory", size.error());
    TRY(void* p, add_memory(static_cast<size_t>(size.get())));
    planned_.push_back({static_cast<uint8_t*>(p), static_cast<size_t>(size.get())});
  }
  planned_allocator_.emplace(et::Span<et::Span<uint8_t>>(planned_.data(), planned_.size()));
  memory_manager_.emplace(&method_allocator_, &*planned_allocator_, &temporary_allocator_);
  return {};
}

// Buffers that the program names instead of planning.
Status LoadedMethod::provide_attributes(const et::MethodMeta& meta) {
  for (size_t i = 0; i < meta.num_attributes(); ++i) {
    auto info = meta.attribute_tensor_meta(i);
    if (!info.ok()) return runtime_error("cannot describe a buffer", info.error());
    auto tensor = method_->get_attribute(info->name());
    if (!tensor.ok()) return runtime_error(fmt::format("cannot find buffer '{}'", info->name()), tensor.error());
    if (tensor->const_data_ptr()) continue;
    TRY(void* p, add_memory(info->nbytes()));
    tensor->unsafeGetTensorImpl()->set_data(p);
  }
  return {};
}

Status LoadedMethod::provide_outputs(const et::MethodMeta& meta) {
  for (size_t i = 0; i < meta.num_outputs(); ++i) {
    auto info = meta.output_tensor_meta(i);
    if (!info.ok() || info->is_memory_planned()) continue;
    const et::EValue& value = method_->get_output(i);
    if (!value.isTensor() || value.toTensor().const_data_ptr()) continue;
    TRY(void* p, add_memory(info->nbytes()));
    if (const auto code = method_->set_output_data_ptr(p, info->nbytes(), i); code != et::Error::Ok)
      return runtime_error(fmt::format("cannot give memory to output {}", i), code);
  }
  take_logged_errors();
  return {};
}

// How the program wants an input to lie in memory; it refuses a rank of another kind itself.
Result<std::vector<uint8_t>> LoadedMethod::dim_order(size_t index, size_t rank) const {
  const auto info = method_->method_meta().input_tensor_meta(index);
  if (!info.ok()) return runtime_error(fmt::format("cannot describe input {}", index), info.error());
  std::vector<uint8_t> order(info->dim_order().begin(), info->dim_order().end());
  if (order.size() != rank) {
    order.resize(rank);
    std::iota(order.begin(), order.end(), uint8_t{0});
  }
  return order;
}

Status LoadedMethod::set_input(size_t index, const CortlandValue& value) {
  auto set = [&](const et::EValue& v) -> Status {
    const auto code = method_->set_input(v, index);
    if (code != et::Error::Ok) return runtime_error(fmt::format("input {} (in{}) is refused", index, index), code);
    return {};
  };
  switch (value.kind) {
    case kCortlandInt: return set(et::EValue(*static_cast<const int64_t*>(value.data)));
    case kCortlandBool: return set(et::EValue(*static_cast<const bool*>(value.data)));
    case kCortlandDouble: return set(et::EValue(*static_cast<const double*>(value.data)));
    case kCortlandTensor: break;
    default: return set(et::EValue());  // None
  }
  std::vector<EtTensor::SizesType> sizes(value.sizes, value.sizes + value.rank);
  TRY(auto order, dim_order(index, value.rank));
  std::vector<EtTensor::StridesType> strides(value.rank);
  int32_t stride = 1;
  for (size_t i = value.rank; i-- > 0; stride *= std::max(sizes[order[i]], 1)) strides[order[i]] = stride;
  const void* data = value.data;
  if (!std::ranges::is_sorted(order)) {
    laid_out_.resize(input_count());
    laid_out_[index] = laid_out(value, strides);
    data = laid_out_[index].data();
  }
  EtTensorImpl impl(static_cast<::executorch::aten::ScalarType>(value.scalar_type), static_cast<ssize_t>(value.rank), sizes.data(),
                    const_cast<void*>(data), order.data(), strides.data());
  return set(et::EValue(EtTensor(&impl)));
}

Status LoadedMethod::run(std::span<const CortlandValue> inputs) {
  take_logged_errors();
  if (inputs.size() != input_count())
    return diag(DiagKind::BadInput, fmt::format("{} inputs were passed, but the program takes {}", inputs.size(), input_count()));
  for (size_t i = 0; i < inputs.size(); ++i) TRY_DO(set_input(i, inputs[i]));
  if (const auto code = method_->execute(); code != et::Error::Ok) return runtime_error("the program failed", code);
  return {};
}

Result<CortlandValue> LoadedMethod::output(size_t index) {
  if (index >= output_count()) return diag(DiagKind::RuntimeFailed, fmt::format("there is no output {}", index));
  const et::EValue& value = method_->get_output(index);
  if (value.isInt()) return int_ = value.toInt(), CortlandValue{kCortlandInt, 4, 0, nullptr, &int_, sizeof int_};
  if (value.isBool()) return bool_ = value.toBool(), CortlandValue{kCortlandBool, 11, 0, nullptr, &bool_, sizeof bool_};
  if (value.isDouble()) return double_ = value.toDouble(), CortlandValue{kCortlandDouble, 7, 0, nullptr, &double_, sizeof double_};
  if (value.isNone()) return CortlandValue{kCortlandNone, 0, 0, nullptr, nullptr, 0};
  if (!value.isTensor()) return CortlandValue{kCortlandOther, 0, 0, nullptr, nullptr, 0};
  const EtTensor& tensor = value.toTensor();
  if (!is_row_major(tensor)) return diag(DiagKind::RuntimeFailed, fmt::format("output {} is not laid out row by row", index));
  sizes_.assign(tensor.sizes().begin(), tensor.sizes().end());
  return CortlandValue{kCortlandTensor, static_cast<uint32_t>(tensor.scalar_type()), static_cast<uint32_t>(tensor.dim()), sizes_.data(),
                       tensor.const_data_ptr(), tensor.nbytes()};
}

}  // namespace cortland::et_runner
