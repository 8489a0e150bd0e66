#include "torch_ops/elementwise.h"

namespace cortland::torch_ops {

DType common_float(Lowering& in, const std::vector<Operand>& operands) {
  if (in.compute() == DType::F32) return DType::F32;
  bool precise = false, half = false;
  for (Operand o : operands) {
    if (o.is_const()) continue;
    half = half || in.dtype_of(o) == DType::F16;
    precise = precise || in.dtype_of(o) == DType::F32 || in.dtype_of(o) == DType::I32;
  }
  return precise && !half ? DType::F32 : DType::F16;
}

Result<Operand> as_float(Lowering& in, Operand o) {
  const DType have = in.dtype_of(o);
  if (is_float(have) && !o.is_const()) return o;
  if (is_integer(have) && !o.is_const()) return in.cast(o, DType::F32);
  return in.cast(o, in.compute());
}

Result<Operand> float_tensor(Lowering& in, std::string_view name) {
  TRY(Operand o, in.precise_tensor(name));
  return as_float(in, o);
}

Result<Operand> in_result_kind(Lowering& in) {
  TRY(Operand x, in.precise_tensor("self"));
  if (is_float(in.result_type().dtype)) return as_float(in, x);
  return in.cast(x, DType::I32);
}

Result<Operand> as_bool(Lowering& in, Operand o) {
  if (in.dtype_of(o) == DType::Bool) return o;
  if (o.is_const()) return in.cast(o, DType::Bool);
  return in.op(mil_ops::not_equal, {{"x", o}, {"y", 0}});
}

Result<Pair> operand_pair(Lowering& in, std::string_view x, std::string_view y, bool compare) {
  TRY(Operand a, in.precise_tensor(x));
  TRY(Operand b, in.precise_tensor(y));
  const bool floats = compare ? is_float(in.dtype_of(a)) || is_float(in.dtype_of(b)) : is_float(in.result_type().dtype);
  const DType type = floats ? common_float(in, {a, b}) : DType::I32;
  TRY(a, in.cast(a, type));
  TRY(b, in.cast(b, type));
  return Pair{a, b, !floats};
}

Operand number_like(Lowering& in, double v, Operand like) { return in.constant(v, in.dtype_of(like)); }

Result<Operand> negate(Lowering& in, Operand x) { return in.op(mil_ops::mul, {{"x", x}, {"y", -1}}); }

Result<Operand> truncate(Lowering& in, Operand x) {
  if (!is_float(in.dtype_of(x))) return x;
  TRY(Operand magnitude, in.op(mil_ops::abs, {{"x", x}}));
  TRY(Operand whole, in.op(mil_ops::floor, {{"x", magnitude}}));
  TRY(Operand sign, in.op(mil_ops::sign, {{"x", x}}));
  return in.op(mil_ops::mul, {{"x", whole}, {"y", sign}});
}

Result<Operand> select(Lowering& in, Operand condition, Operand yes, Operand no) {
  return in.op(mil_ops::select, {{"cond", condition}, {"a", yes}, {"b", no}});
}

}  // namespace cortland::torch_ops
