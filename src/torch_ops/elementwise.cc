#include "torch_ops/elementwise.h"

#include "torch_ops/data_movement.h"

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

namespace {

// The type in which torch compares integers: a number yields to a tensor without dimensions, and that to one with some.
DType common_integer(const Lowering& in, std::string_view x, std::string_view y) {
  const auto weight = [&](std::string_view name) { return !in.is_tensor(name) ? 0 : in.rank(name) == 0 ? 1 : 2; };
  const DType a = in.torch_type(x).dtype, b = in.torch_type(y).dtype;
  if (a == b || b == DType::Bool) return a;
  if (a == DType::Bool) return b;
  if (weight(x) != weight(y)) return weight(x) > weight(y) ? a : b;
  if (byte_size(a, 1) == byte_size(b, 1)) return DType::I16;  // uint8 and int8
  return byte_size(a, 1) > byte_size(b, 1) ? a : b;
}

}  // namespace

Result<Operand> wrapped(Lowering& in, Operand y) {
  const DType type = in.result_type().dtype;
  return is_integer(type) ? convert(in, y, DType::I64, type) : Result<Operand>(y);
}

Result<Pair> operand_pair(Lowering& in, std::string_view x, std::string_view y, bool compare) {
  TRY(Operand a, in.precise_tensor(x));
  TRY(Operand b, in.precise_tensor(y));
  const bool floats = compare ? is_float(in.dtype_of(a)) || is_float(in.dtype_of(b)) : is_float(in.result_type().dtype);
  if (!floats) {
    const DType common = compare ? common_integer(in, x, y) : in.result_type().dtype;
    if (is_integer(common)) {
      TRY(a, convert(in, a, in.torch_type(x).dtype, common));
      TRY(b, convert(in, b, in.torch_type(y).dtype, common));
    }
  }
  const DType type = floats ? common_float(in, {a, b}) : DType::I32;
  TRY(a, in.cast(a, type));
  TRY(b, in.cast(b, type));
  return Pair{a, b, !floats};
}

Result<Operand> near_log1p(Lowering& in, Operand x) {
  TRY(Operand divisor, in.op(mil_ops::add, {{"x", x}, {"y", 2}}));
  TRY(Operand ratio, in.op(mil_ops::real_div, {{"x", x}, {"y", divisor}}));
  TRY(Operand half, in.op(mil_ops::atanh, {{"x", ratio}}));
  return in.op(mil_ops::mul, {{"x", half}, {"y", 2}});
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
