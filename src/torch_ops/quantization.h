// Affine quantisation as torch and torchao write it: x = (q - zero) * scale, with one scale and zero point for each block of
// the tensor. Constant weights become constexpr ops, so that they stay small; everything else is arithmetic.
#pragma once

#include "torch_ops/data_movement.h"

namespace cortland::torch_ops {

struct Quantization {
  Operand scale, zero;  // as many elements as there are blocks; `zero` may be missing
  Shape groups;         // how many blocks along each axis of the tensor
  int64_t low = -128, high = 127;
};

// Blocks of one tensor, one for each index of an axis, and one for each row of the last axis.
Shape per_tensor(Lowering& in, int rank);
Shape per_axis(const Shape& x, int64_t axis);
Shape per_row(const Shape& x);

// `q` holds integers of any type.
Result<Operand> dequantize(Lowering& in, Operand q, const Quantization& spec);
// Integers of torch type `to`.
Result<Operand> quantize(Lowering& in, Operand x, const Quantization& spec, DType to);

// The elements of x with blocks as axes of their own, and the axes to reduce to get one number for each block.
struct Blocks {
  Operand x;
  Shape one;                  // shape of a tensor with one element for each block, to be broadcast with x
  std::vector<int64_t> axes;
};
Result<Blocks> in_blocks(Lowering& in, Operand x, const Shape& groups);

// `codes` are indices into `table` [groups..., 2^bits, 1].
Result<Operand> look_up_codes(Lowering& in, Operand codes, Operand table, int64_t bits);

// Bit fields side by side, first in the low bits.
std::string pack_bits(const std::vector<int64_t>& values, int bits);

}  // namespace cortland::torch_ops
