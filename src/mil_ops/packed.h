// Elements of tensors whose type may be narrower than a byte, one to an int8 (int4, int8) or uint8 (the others).
#pragma once

#include <vector>

#include "mil/runtime.h"

namespace cortland::mil_ops {

std::vector<uint8_t> unpack(const mil::Tensor& tensor);
// `count` fields of `bits` bits, first in the low bits; `bytes` holds them all.
std::vector<uint8_t> unpack_bits(const uint8_t* bytes, int bits, int64_t count);
mil::Tensor pack(DType dtype, std::vector<int64_t> shape, const std::vector<uint8_t>& elements);
// Any number type as float32, int4 sign-extended.
std::vector<float> unpack_floats(const mil::Tensor& tensor);

}  // namespace cortland::mil_ops
