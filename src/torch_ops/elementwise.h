// What element-wise families share: the element type operands meet in, and the recurring small expressions.
#pragma once

#include "mil_ops/ops.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {

// The MIL type in which float operands are combined: float32 when the node computes in it, or when nothing but float32
// values, integers and constants takes part; else float16. So tables of positions and angles keep their precision until
// they meet the activations.
DType common_float(Lowering& in, const std::vector<Operand>& operands);

// `name` as an operand for float math: floats as they are (constants in `compute`), integers in float32, bools in `compute`.
Result<Operand> float_tensor(Lowering& in, std::string_view name);
// `self` in the kind of the result: floats as float_tensor gives them, else int32 (bools too).
Result<Operand> in_result_kind(Lowering& in);
// Float math on an operand at hand.
Result<Operand> as_float(Lowering& in, Operand o);
// != 0, as bool.
Result<Operand> as_bool(Lowering& in, Operand o);

// What arithmetic gave, in the element type of the result: integers of 8 and 16 bits wrap around.
Result<Operand> wrapped(Lowering& in, Operand y);
// log(1 + x) = 2 atanh(x / (2 + x)), exact where x is small; up to x = 1.
Result<Operand> near_log1p(Lowering& in, Operand x);

// Two arguments in one element type: that of the result for arithmetic, or the promoted one when `compare`. A number or a tensor
// without dimensions that does not fit it wraps around, as in torch.
struct Pair {
  Operand x, y;
  bool integer = false;  // int32, else a float type
};
Result<Pair> operand_pair(Lowering& in, std::string_view x, std::string_view y, bool compare = false);

Result<Operand> negate(Lowering& in, Operand x);
// Rounds towards zero.
Result<Operand> truncate(Lowering& in, Operand x);
Result<Operand> select(Lowering& in, Operand condition, Operand yes, Operand no);
// A constant of the element type of `like`.
Operand number_like(Lowering& in, double v, Operand like);

// Entries for operators that are one MIL op.
template <const mil::MilOp& op>
Lowered lower_unary_float(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  return in.op(op, {{"x", x}});
}

}  // namespace cortland::torch_ops
