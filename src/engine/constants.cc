#include "engine/constants.h"

namespace cortland::engine {
namespace {

bool is_aligned(const std::byte* data, DType dtype) {
  const auto size = static_cast<uintptr_t>(bit_width(dtype) / 8);
  return size <= 1 || reinterpret_cast<uintptr_t>(data) % size == 0;
}

}  // namespace

Result<mil::RuntimeValue> materialise(const mil::Const& constant) {
  mil::RuntimeValue value;
  if (constant.type.dtype() == DType::String) {
    value.strings = constant.strings;
    return value;
  }
  const Weight& data = constant.data;
  CHECK(bool(data), "a constant without data");
  const Bytes dense = data.dense_bytes();
  if (dense.empty() || !is_aligned(dense.data(), data.dtype())) {
    value.tensor = mil::Tensor::make(data.dtype(), data.shape());
    data.read(0, data.elements(), value.tensor.mutable_data());
    return value;
  }
  // Kernels never write to what they are given, so read-only memory is fine.
  auto owner = std::make_shared<Weight>(data);
  auto* bytes = const_cast<std::byte*>(dense.data());
  value.tensor = {data.dtype(), data.shape(), std::shared_ptr<std::byte>(std::move(owner), bytes)};
  return value;
}

}  // namespace cortland::engine
