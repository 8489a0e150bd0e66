#include "mil_ops/packed.h"

#include "tensor/weight.h"

namespace cortland::mil_ops {

std::vector<uint8_t> unpack_bits(const uint8_t* bytes, int bits, int64_t count) {
  std::vector<uint8_t> out(static_cast<size_t>(count));
  const uint32_t mask = (1u << bits) - 1;
  uint32_t window = 0;
  int held = 0;
  for (auto& element : out) {
    if (held < bits) {
      window |= static_cast<uint32_t>(*bytes++) << held;
      held += 8;
    }
    element = static_cast<uint8_t>(window & mask);
    window >>= bits;
    held -= bits;
  }
  return out;
}

std::vector<uint8_t> unpack(const mil::Tensor& tensor) {
  const int bits = bit_width(tensor.dtype);
  CHECK(bits >= 1 && bits <= 8);
  auto out = unpack_bits(tensor.data<uint8_t>(), bits, tensor.elements());
  if (tensor.dtype == DType::I4)
    for (auto& v : out) v = static_cast<uint8_t>((v ^ 8) - 8);  // extends the sign
  return out;
}

mil::Tensor pack(DType dtype, std::vector<int64_t> shape, const std::vector<uint8_t>& elements) {
  mil::Tensor out = mil::Tensor::make(dtype, std::move(shape));
  const int bits = bit_width(dtype);
  CHECK(bits >= 1 && bits <= 8 && out.elements() == static_cast<int64_t>(elements.size()));
  auto* bytes = out.mutable_data<uint8_t>();
  uint32_t window = 0;
  int held = 0;
  for (uint8_t v : elements) {
    window |= (v & ((1u << bits) - 1)) << held;
    held += bits;
    if (held < 8) continue;
    *bytes++ = static_cast<uint8_t>(window);
    window >>= 8;
    held -= 8;
  }
  if (held > 0) *bytes = static_cast<uint8_t>(window);
  return out;
}

std::vector<float> unpack_floats(const mil::Tensor& tensor) {
  if (bit_width(tensor.dtype) > 8) return tensor.floats();
  const auto elements = unpack(tensor);
  std::vector<float> out(elements.size());
  const bool is_signed = tensor.dtype == DType::I4 || tensor.dtype == DType::I8;
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = is_signed ? static_cast<float>(static_cast<int8_t>(elements[i])) : static_cast<float>(elements[i]);
  return out;
}

}  // namespace cortland::mil_ops
