// Arithmetic on two operands: add, sub, mul, div and their kin, remainders, powers, minimum and maximum, clamping.
#include <cmath>

#include "torch_ops/decompositions.h"
#include "torch_ops/data_movement.h"

namespace cortland::torch_ops {
namespace {

bool both_bool(Lowering& in) { return in.result_type().dtype == DType::Bool; }

Result<Operand> bool_pair_op(Lowering& in, const mil::MilOp& op) {
  TRY(Operand x, in.tensor("self"));
  TRY(x, as_bool(in, x));
  TRY(Operand y, in.tensor("other"));
  TRY(y, as_bool(in, y));
  return in.op(op, {{"x", x}, {"y", y}});
}

// other * alpha; alpha is 1 unless given.
Result<Operand> times_alpha(Lowering& in, Operand y) {
  TRY(const double alpha, in.number("alpha"));
  if (alpha == 1) return y;
  return in.op(mil_ops::mul, {{"x", y}, {"y", number_like(in, alpha, y)}});
}

Lowered lower_add(Lowering& in) {
  if (both_bool(in)) return bool_pair_op(in, mil_ops::logical_or);
  TRY(Pair p, operand_pair(in, "self", "other"));
  TRY(p.y, times_alpha(in, p.y));
  TRY(Operand y, in.op(mil_ops::add, {{"x", p.x}, {"y", p.y}}));
  return wrapped(in, y);
}

Lowered lower_sub(Lowering& in) {
  TRY(Pair p, operand_pair(in, "self", "other"));
  TRY(p.y, times_alpha(in, p.y));
  TRY(Operand y, in.op(mil_ops::sub, {{"x", p.x}, {"y", p.y}}));
  return wrapped(in, y);
}

Lowered lower_rsub(Lowering& in) {
  TRY(Pair p, operand_pair(in, "self", "other"));
  TRY(p.x, times_alpha(in, p.x));
  TRY(Operand y, in.op(mil_ops::sub, {{"x", p.y}, {"y", p.x}}));
  return wrapped(in, y);
}

Lowered lower_mul(Lowering& in) {
  if (both_bool(in)) return bool_pair_op(in, mil_ops::logical_and);
  TRY(Pair p, operand_pair(in, "self", "other"));
  TRY(Operand y, in.op(mil_ops::mul, {{"x", p.x}, {"y", p.y}}));
  return wrapped(in, y);
}

// Towards zero, exact for integers: sign * floor(|x| / |y|).
Result<Operand> truncated_quotient(Lowering& in, const Pair& p) {
  if (!p.integer) {
    TRY(Operand q, in.op(mil_ops::real_div, {{"x", p.x}, {"y", p.y}}));
    return truncate(in, q);
  }
  TRY(Operand ax, in.op(mil_ops::abs, {{"x", p.x}}));
  TRY(Operand ay, in.op(mil_ops::abs, {{"x", p.y}}));
  TRY(Operand q, in.op(mil_ops::floor_div, {{"x", ax}, {"y", ay}}));
  TRY(Operand sx, in.op(mil_ops::sign, {{"x", p.x}}));
  TRY(Operand sy, in.op(mil_ops::sign, {{"x", p.y}}));
  TRY(Operand s, in.op(mil_ops::mul, {{"x", sx}, {"y", sy}}));
  return in.op(mil_ops::mul, {{"x", q}, {"y", s}});
}

Lowered lower_div(Lowering& in) {
  TRY(Pair p, operand_pair(in, "self", "other"));
  const std::string mode = in.str("rounding_mode");
  if (mode == "floor") return in.op(mil_ops::floor_div, {{"x", p.x}, {"y", p.y}});
  if (mode == "trunc") return truncated_quotient(in, p);
  if (!mode.empty()) return in.reject_argument("rounding_mode", mode, "use 'floor', 'trunc' or None");
  return in.op(mil_ops::real_div, {{"x", p.x}, {"y", p.y}});
}

Lowered lower_floor_divide(Lowering& in) {
  TRY(Pair p, operand_pair(in, "self", "other"));
  return in.op(mil_ops::floor_div, {{"x", p.x}, {"y", p.y}});
}

// The sign of the divisor.
Lowered lower_remainder(Lowering& in) {
  TRY(Pair p, operand_pair(in, "self", "other"));
  return in.op(mil_ops::mod, {{"x", p.x}, {"y", p.y}});
}

// The sign of the dividend: sign(x) * (|x| mod |y|).
Lowered lower_fmod(Lowering& in) {
  TRY(Pair p, operand_pair(in, "self", "other"));
  TRY(Operand ax, in.op(mil_ops::abs, {{"x", p.x}}));
  TRY(Operand ay, in.op(mil_ops::abs, {{"x", p.y}}));
  TRY(Operand m, in.op(mil_ops::mod, {{"x", ax}, {"y", ay}}));
  TRY(Operand s, in.op(mil_ops::sign, {{"x", p.x}}));
  return in.op(mil_ops::mul, {{"x", m}, {"y", s}});
}

Result<Operand> pow_number(Lowering& in) {
  TRY(const double e, in.number("exponent"));
  TRY(Operand x, in.precise_tensor("self"));
  if (is_float(in.result_type().dtype)) {
    TRY(x, as_float(in, x));
  } else {
    TRY(x, in.cast(x, DType::I32));  // a power of a bool is a whole number
  }
  // Exact forms, which also work for negative bases on every device.
  if (e == 1) return x;
  if (e == 2) return in.op(mil_ops::mul, {{"x", x}, {"y", x}});
  if (e == 3) {
    TRY(Operand square, in.op(mil_ops::mul, {{"x", x}, {"y", x}}));
    return in.op(mil_ops::mul, {{"x", square}, {"y", x}});
  }
  if (!is_float(in.dtype_of(x))) return in.op(mil_ops::pow, {{"x", x}, {"y", number_like(in, e, x)}});
  if (e == 0.5) return in.op(mil_ops::sqrt, {{"x", x}});
  if (e == -0.5) return in.op(mil_ops::rsqrt, {{"x", x}, {"epsilon", 0.0}});
  if (e == -1) return in.op(mil_ops::real_div, {{"x", number_like(in, 1, x)}, {"y", x}});
  return in.op(mil_ops::pow, {{"x", x}, {"y", number_like(in, e, x)}});
}

Lowered lower_pow_scalar_exponent(Lowering& in) {
  TRY(Operand y, pow_number(in));
  return wrapped(in, y);
}

Lowered lower_pow(Lowering& in) {
  TRY(Pair p, operand_pair(in, "self", "exponent"));
  // Core ML computes y^2 instead of 2^y for the constant base 2.
  if (const auto base = in.const_floats(p.x); base && base->size() == 1 && (*base)[0] == 2 && !p.integer)
    return in.op(mil_ops::exp2, {{"x", p.y}});
  TRY(Operand y, in.op(mil_ops::pow, {{"x", p.x}, {"y", p.y}}));
  return wrapped(in, y);
}

template <const mil::MilOp& op>
Lowered lower_extremum(Lowering& in) {
  if (both_bool(in)) return bool_pair_op(in, op.name == mil_ops::maximum.name ? mil_ops::logical_or : mil_ops::logical_and);
  TRY(Pair p, operand_pair(in, "self", "other"));
  return in.op(op, {{"x", p.x}, {"y", p.y}});
}

// fmax and fmin: a NaN loses against a number.
template <const mil::MilOp& op>
Lowered lower_number_extremum(Lowering& in) {
  TRY(Pair p, operand_pair(in, "self", "other"));
  TRY(Operand best, in.op(op, {{"x", p.x}, {"y", p.y}}));
  if (p.integer) return best;
  TRY(Operand x_nan, in.op(mil_ops::not_equal, {{"x", p.x}, {"y", p.x}}));
  TRY(Operand y_nan, in.op(mil_ops::not_equal, {{"x", p.y}, {"y", p.y}}));
  TRY(best, select(in, y_nan, p.x, best));
  return select(in, x_nan, p.y, best);
}

// min(max(x, low), high), where either bound may be absent, a number or a tensor.
Lowered lower_clamp(Lowering& in) {
  TRY(Operand x, in.precise_tensor("self"));
  const bool floats = is_float(in.result_type().dtype);
  std::vector<Operand> all = {x};
  // Bounds beyond 32 bits are none for the integers that Core ML holds.
  const auto bound = [&](std::string_view name) -> Result<Operand> {
    if (const auto* i = in.arg(name).as<int64_t>(); i && !floats)
      return in.constant(static_cast<double>(std::clamp<int64_t>(*i, INT32_MIN, INT32_MAX)), DType::I32);
    return in.precise_tensor(name);
  };
  Operand low, high;
  if (in.has("min")) {
    TRY(low, bound("min"));
    all.push_back(low);
  }
  if (in.has("max")) {
    TRY(high, bound("max"));
    all.push_back(high);
  }
  const DType type = floats ? common_float(in, all) : DType::I32;
  TRY(x, in.cast(x, type));
  const auto a = low && low.is_const() ? in.const_floats(low) : std::nullopt;
  const auto b = high && high.is_const() ? in.const_floats(high) : std::nullopt;
  if (floats && a && b && a->size() == 1 && b->size() == 1 && (*a)[0] < (*b)[0] && std::isfinite((*a)[0]) && std::isfinite((*b)[0]))
    return in.op(mil_ops::clip, {{"x", x}, {"alpha", number_like(in, (*a)[0], x)}, {"beta", number_like(in, (*b)[0], x)}});
  if (low) {
    TRY(low, in.cast(low, type));
    TRY(x, in.op(mil_ops::maximum, {{"x", x}, {"y", low}}));
  }
  if (high) {
    TRY(high, in.cast(high, type));
    TRY(x, in.op(mil_ops::minimum, {{"x", x}, {"y", high}}));
  }
  return x;
}

// self + value * (tensor1 op tensor2)
template <const mil::MilOp& op>
Lowered lower_addc(Lowering& in) {
  TRY(Operand x, in.precise_tensor("self"));
  TRY(Operand a, in.precise_tensor("tensor1"));
  TRY(Operand b, in.precise_tensor("tensor2"));
  TRY(const double value, in.number("value"));
  const DType type = is_float(in.result_type().dtype) ? common_float(in, {x, a, b}) : DType::I32;
  TRY(x, in.cast(x, type));
  TRY(a, in.cast(a, type));
  TRY(b, in.cast(b, type));
  TRY(Operand y, in.op(op, {{"x", a}, {"y", b}}));
  if (value != 1) {
    TRY(y, in.op(mil_ops::mul, {{"x", y}, {"y", number_like(in, value, y)}}));
  }
  TRY(y, in.op(mil_ops::add, {{"x", x}, {"y", y}}));
  return wrapped(in, y);
}

// start + weight * (end - start)
Lowered lower_lerp(Lowering& in) {
  TRY(Pair p, operand_pair(in, "self", "end"));
  TRY(Operand w, in.precise_tensor("weight"));
  TRY(w, in.cast(w, in.dtype_of(p.x)));
  TRY(Operand d, in.op(mil_ops::sub, {{"x", p.y}, {"y", p.x}}));
  TRY(d, in.op(mil_ops::mul, {{"x", d}, {"y", w}}));
  return in.op(mil_ops::add, {{"x", p.x}, {"y", d}});
}

// Squares leave float16 early, so these compute in float32.
Result<Pair> float32_pair(Lowering& in) {
  TRY(Operand x, in.precise_tensor("self"));
  TRY(Operand y, in.precise_tensor("other"));
  TRY(x, in.cast(x, DType::F32));
  TRY(y, in.cast(y, DType::F32));
  return Pair{x, y, false};
}

Lowered lower_hypot(Lowering& in) {
  TRY(Pair p, float32_pair(in));
  TRY(Operand xx, in.op(mil_ops::mul, {{"x", p.x}, {"y", p.x}}));
  TRY(Operand yy, in.op(mil_ops::mul, {{"x", p.y}, {"y", p.y}}));
  TRY(Operand sum, in.op(mil_ops::add, {{"x", xx}, {"y", yy}}));
  return in.op(mil_ops::sqrt, {{"x", sum}});
}

// atan(y / x), moved to the right quadrant where x is negative. Truth values as numbers: MIL's select takes its shape from the two
// values alone, and these have only a part of the result's.
Lowered lower_atan2(Lowering& in) {
  TRY(Pair p, float32_pair(in));
  const Operand y = p.x, x = p.y;
  const auto number = [&](Operand truth) { return in.cast(truth, DType::F32); };
  TRY(Operand x_zero, in.op(mil_ops::equal, {{"x", x}, {"y", 0}}));
  TRY(Operand y_zero, in.op(mil_ops::equal, {{"x", y}, {"y", 0}}));
  TRY(Operand origin, in.op(mil_ops::logical_and, {{"x", x_zero}, {"y", y_zero}}));
  TRY(origin, number(origin));
  TRY(Operand divisor, in.op(mil_ops::add, {{"x", x}, {"y", origin}}));
  TRY(Operand ratio, in.op(mil_ops::real_div, {{"x", y}, {"y", divisor}}));
  TRY(Operand angle, in.op(mil_ops::atan, {{"x", ratio}}));
  TRY(Operand x_negative, in.op(mil_ops::less, {{"x", x}, {"y", 0}}));
  TRY(x_negative, number(x_negative));
  TRY(Operand y_negative, in.op(mil_ops::less, {{"x", y}, {"y", 0}}));
  TRY(y_negative, number(y_negative));
  TRY(Operand half_turn, in.op(mil_ops::mul, {{"x", y_negative}, {"y", -2 * M_PI}}));
  TRY(half_turn, in.op(mil_ops::add, {{"x", half_turn}, {"y", M_PI}}));
  TRY(Operand turn, in.op(mil_ops::mul, {{"x", half_turn}, {"y", x_negative}}));
  return in.op(mil_ops::add, {{"x", angle}, {"y", turn}});
}

Lowered lower_copysign(Lowering& in) {
  TRY(Pair p, operand_pair(in, "self", "other"));
  TRY(Operand magnitude, in.op(mil_ops::abs, {{"x", p.x}}));
  TRY(Operand minus, negate(in, magnitude));
  TRY(Operand negative, in.op(mil_ops::less, {{"x", p.y}, {"y", 0}}));
  return select(in, negative, minus, magnitude, in.result_type().shape);
}

// x * log(y), and 0 where x is 0 and y is a number.
Lowered lower_xlogy(Lowering& in) {
  TRY(Pair p, operand_pair(in, "self", "other"));
  TRY(Operand log, in.op(mil_ops::log, {{"x", p.y}, {"epsilon", 0.0}}));
  TRY(Operand product, in.op(mil_ops::mul, {{"x", p.x}, {"y", log}}));
  TRY(Operand zero, in.op(mil_ops::equal, {{"x", p.x}, {"y", 0}}));
  TRY(Operand number, in.op(mil_ops::equal, {{"x", p.y}, {"y", p.y}}));
  TRY(zero, in.op(mil_ops::logical_and, {{"x", zero}, {"y", number}}));
  return select(in, zero, number_like(in, 0, product), product);
}

// max + log(1 + exp(-|x - y|)), which never overflows; the base is e or 2. A logarithm of 1 + d would forget a small d.
Result<Operand> log_add_exp(Lowering& in, double base_log) {
  TRY(Pair p, operand_pair(in, "self", "other"));
  TRY(Operand high, in.op(mil_ops::maximum, {{"x", p.x}, {"y", p.y}}));
  TRY(Operand d, in.op(mil_ops::sub, {{"x", p.x}, {"y", p.y}}));
  // Equal infinities have no difference.
  TRY(Operand same, in.op(mil_ops::equal, {{"x", p.x}, {"y", p.y}}));
  TRY(d, select(in, same, number_like(in, 0, d), d));
  TRY(d, in.op(mil_ops::abs, {{"x", d}}));
  TRY(d, in.op(mil_ops::mul, {{"x", d}, {"y", -base_log}}));
  TRY(d, in.op(mil_ops::exp, {{"x", d}}));
  TRY(d, near_log1p(in, d));
  if (base_log != 1) {
    TRY(d, in.op(mil_ops::mul, {{"x", d}, {"y", 1 / base_log}}));
  }
  return in.op(mil_ops::add, {{"x", high}, {"y", d}});
}

Lowered lower_heaviside(Lowering& in) {
  TRY(Pair p, operand_pair(in, "self", "values"));
  TRY(Operand zero, in.op(mil_ops::equal, {{"x", p.x}, {"y", 0}}));
  TRY(Operand positive, in.op(mil_ops::greater, {{"x", p.x}, {"y", 0}}));
  TRY(positive, in.cast(positive, in.dtype_of(p.x)));
  return select(in, zero, p.y, positive);
}

Lowered lower_ldexp(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  TRY(Operand e, in.precise_tensor("other"));
  TRY(e, in.cast(e, in.dtype_of(x)));
  TRY(Operand scale, in.op(mil_ops::exp2, {{"x", e}}));
  return in.op(mil_ops::mul, {{"x", x}, {"y", scale}});
}

// Differences of neighbours along one dimension, `n` times over.
Lowered lower_diff(Lowering& in) {
  TRY(const int64_t n, in.integer("n"));
  TRY(Operand x, in.precise_tensor("self"));
  TRY(const int64_t axis, in.axis("dim", in.rank_of(x)));
  std::vector<Operand> parts = {x};
  if (in.has("prepend")) {
    TRY(Operand front, in.precise_tensor("prepend"));
    parts.insert(parts.begin(), front);
  }
  if (in.has("append")) {
    TRY(Operand back, in.precise_tensor("append"));
    parts.push_back(back);
  }
  const bool boolean = in.result_type().dtype == DType::Bool;
  const DType type = is_float(in.result_type().dtype) ? common_float(in, parts) : DType::I32;
  for (Operand& part : parts) {
    TRY(part, in.cast(part, type));
  }
  if (parts.size() > 1) {
    TRY(x, in.op(mil_ops::concat, {{"values", parts}, {"axis", axis}, {"interleave", false}}));
  } else {
    x = parts[0];
  }
  for (int64_t i = 0; i < n; ++i) {
    TRY(Operand later, slice(in, x, axis, 1, INT64_MAX));
    TRY(Operand earlier, slice(in, x, axis, 0, in.dim_table().constant(-1)));
    TRY(x, in.op(boolean ? mil_ops::not_equal : mil_ops::sub, {{"x", later}, {"y", earlier}}));
    TRY(x, boolean ? Result<Operand>(x) : wrapped(in, x));
  }
  return x;
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", .lower = lower_add,
     .samples = "T[*] T[*]; F[2,3] F[3] alpha=2; F[2,1] F[1,3] -> F[2,3]; i64[3] f32[3] -> f32[3]; f32[3] 2; "
                "I[3] I[3] alpha=3"},
    {.schema = "aten::add.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", .lower = lower_add,
     .samples = "N[*] 2; F[3] 0.5 2"},
    {.schema = "aten::sub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", .lower = lower_sub,
     .samples = "N[*] N[*]; F[2,3] F[3] alpha=2; i32[3] f32[2,3] -> f32[2,3]"},
    {.schema = "aten::subtract.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
     .same_as = "aten.sub.Tensor", .edge = "aten.sub.Tensor", .samples = "N[*] N[*]; F[2,3] F[3] alpha=2"},
    {.schema = "aten::subtract.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor",
     .same_as = "aten.sub.Scalar", .edge = "aten.sub.Scalar", .samples = "N[*] 2; F[3] 0.5 2"},
    {.schema = "aten::sub.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", .lower = lower_sub,
     .samples = "N[*] 2; F[3] 0.5 2"},
    {.schema = "aten::rsub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", .lower = lower_rsub,
     .decompose = decompositions::rsub, .edge = "aten.sub.Tensor", .samples = "N[*] N[*]; F[3] F[3] alpha=2"},
    {.schema = "aten::rsub.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", .lower = lower_rsub,
     .samples = "N[*] 2; F[3] 0.5 2"},
    {.schema = "aten::mul.Tensor(Tensor self, Tensor other) -> Tensor", .lower = lower_mul,
     .samples = "T[*] T[*]; F[2,1] F[1,3] -> F[2,3]; f32[3] 2.5; i32[3] f32[3] -> f32[3]"},
    {.schema = "aten::mul.Scalar(Tensor self, Scalar other) -> Tensor", .lower = lower_mul,
     .samples = "N[*] 2; I[3] 0.5 -> F[3]"},
    {.schema = "aten::multiply.Tensor(Tensor self, Tensor other) -> Tensor",
     .same_as = "aten.mul.Tensor", .edge = "aten.mul.Tensor", .samples = "T[*] T[*]"},
    {.schema = "aten::multiply.Scalar(Tensor self, Scalar other) -> Tensor",
     .same_as = "aten.mul.Scalar", .edge = "aten.mul.Scalar", .samples = "N[*] 2"},
    {.schema = "aten::div.Tensor(Tensor self, Tensor other) -> Tensor", .lower = lower_div,
     .samples = "N[*] N[*]{1..4} -> F[*]; F[2,1] F[1,3]{1..2} -> F[2,3]"},
    {.schema = "aten::divide.Tensor(Tensor self, Tensor other) -> Tensor",
     .same_as = "aten.div.Tensor", .edge = "aten.div.Tensor", .samples = "N[*] N[*]{1..4} -> F[*]"},
    {.schema = "aten::divide.Scalar(Tensor self, Scalar other) -> Tensor",
     .same_as = "aten.div.Scalar", .edge = "aten.div.Scalar", .samples = "N[*] 2 -> F[*]"},
    {.schema = "aten::divide.Tensor_mode(Tensor self, Tensor other, *, str? rounding_mode) -> Tensor",
     .same_as = "aten.div.Tensor_mode", .edge = "aten.div.Tensor_mode", .samples = "N[*]{-9..9} N[*]{1..4} rounding_mode='floor'"},
    {.schema = "aten::divide.Scalar_mode(Tensor self, Scalar other, *, str? rounding_mode) -> Tensor",
     .same_as = "aten.div.Scalar_mode", .edge = "aten.div.Scalar_mode", .samples = "N[*]{-9..9} 2 rounding_mode='trunc'"},
    {.schema = "aten::div.Scalar(Tensor self, Scalar other) -> Tensor", .lower = lower_div, .samples = "N[*] 2 -> F[*]"},
    {.schema = "aten::div.Tensor_mode(Tensor self, Tensor other, *, str? rounding_mode) -> Tensor", .lower = lower_div,
     .samples = "N[*]{-9..9} N[*]{1..4} rounding_mode='floor'; N[2,3]{-9..9} N[2,3]{1..4} rounding_mode='trunc'; "
                "N[2,3] N[2,3]{1..4} rounding_mode=None -> F[2,3]"},
    {.schema = "aten::div.Scalar_mode(Tensor self, Scalar other, *, str? rounding_mode) -> Tensor", .lower = lower_div,
     .samples = "N[*]{-9..9} 2 rounding_mode='floor'; N[2,3]{-9..9} 2 rounding_mode='trunc'"},
    {.schema = "aten::true_divide.Tensor(Tensor self, Tensor other) -> Tensor",
     .same_as = "aten.div.Tensor", .edge = "aten.div.Tensor", .samples = "N[*] N[*]{1..4} -> F[*]"},
    {.schema = "aten::true_divide.Scalar(Tensor self, Scalar other) -> Tensor",
     .same_as = "aten.div.Scalar", .edge = "aten.div.Scalar", .samples = "N[*] 2 -> F[*]"},
    {.schema = "aten::floor_divide(Tensor self, Tensor other) -> Tensor", .lower = lower_floor_divide,
     .edge = "aten.div.Tensor_mode", .samples = "N[*]{-9..9} N[*]{1..4}"},
    {.schema = "aten::floor_divide.Scalar(Tensor self, Scalar other) -> Tensor", .lower = lower_floor_divide,
     .decompose = decompositions::floor_divide_number, .samples = "N[*]{-9..9} 2"},
    {.schema = "aten::remainder.Tensor(Tensor self, Tensor other) -> Tensor", .lower = lower_remainder,
     .decompose = decompositions::remainder, .samples = "N[*]{-9..9} N[*]{1..4}"},
    {.schema = "aten::remainder.Scalar(Tensor self, Scalar other) -> Tensor", .lower = lower_remainder,
     .decompose = decompositions::remainder, .samples = "N[*]{-9..9} 3"},
    {.schema = "aten::remainder.Scalar_Tensor(Scalar self, Tensor other) -> Tensor", .lower = lower_remainder,
     .decompose = decompositions::number_as_tensor, .samples = "3 N[*]{1..4}"},
    {.schema = "aten::fmod.Tensor(Tensor self, Tensor other) -> Tensor", .lower = lower_fmod,
     .samples = "N[*]{-9..9} N[*]{1..4}"},
    {.schema = "aten::fmod.Scalar(Tensor self, Scalar other) -> Tensor", .lower = lower_fmod, .samples = "N[*]{-9..9} 3"},
    {.schema = "aten::pow.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor", .lower = lower_pow_scalar_exponent,
     .samples = "N[*]{1..4} 2; F[3]{0.5..2} 0.5; F[3]{0.5..2} -1; F[3] 3; bool[3] 2 -> i64[3]"},
    {.schema = "aten::pow.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor", .lower = lower_pow,
     .samples = "F[*]{0.5..2} F[*]; I[3]{1..3} I[3]{0..3}"},
    {.schema = "aten::pow.Scalar(Scalar self, Tensor exponent) -> Tensor", .lower = lower_pow,
     .samples = "2 F[*]; 2.5 F[3]"},
    {.schema = "aten::float_power.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor", .lower = lower_pow,
     .samples = "f32[3]{0.5..2} f32[3] -> f64[3]; f32[n3]{0.5..2} f32[n3] -> f64[n3]"},
    {.schema = "aten::float_power.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor", .lower = lower_pow_scalar_exponent,
     .samples = "f32[3]{0.5..2} 2 -> f64[3]; f32[n3]{0.5..2} 2 -> f64[n3]"},
    {.schema = "aten::maximum(Tensor self, Tensor other) -> Tensor", .lower = lower_extremum<mil_ops::maximum>,
     .samples = "N[*] N[*]; F[2,1] F[3] -> F[2,3]"},
    {.schema = "aten::minimum(Tensor self, Tensor other) -> Tensor", .lower = lower_extremum<mil_ops::minimum>,
     .samples = "N[*] N[*]; F[2,1] F[3] -> F[2,3]"},
    {.schema = "aten::max.other(Tensor self, Tensor other) -> Tensor",
     .same_as = "aten.maximum.default", .edge = "aten.maximum.default", .samples = "N[*] N[*]"},
    {.schema = "aten::min.other(Tensor self, Tensor other) -> Tensor",
     .same_as = "aten.minimum.default", .edge = "aten.minimum.default", .samples = "N[*] N[*]"},
    {.schema = "aten::fmax(Tensor self, Tensor other) -> Tensor", .lower = lower_number_extremum<mil_ops::maximum>,
     .decompose = decompositions::fmax, .samples = "N[*] N[*]"},
    {.schema = "aten::fmin(Tensor self, Tensor other) -> Tensor", .lower = lower_number_extremum<mil_ops::minimum>,
     .decompose = decompositions::fmin, .samples = "N[*] N[*]"},
    {.schema = "aten::clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor", .lower = lower_clamp,
     .samples = "N[*]{-9..9} -2 3; F[3] min=0.5; F[3] max=0.5; I[3]{-9..9} min=0; i64[3]{-9..9} max=9223372036854775807"},
    {.schema = "aten::clamp.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor", .lower = lower_clamp,
     .samples = "N[*]{-9..9} N[*]{-5..0} N[*]{1..5}; F[2,3] F[3]"},
    {.schema = "aten::clip(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor",
     .same_as = "aten.clamp.default", .edge = "aten.clamp.default", .samples = "N[*]{-9..9} -2 3"},
    {.schema = "aten::clip.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor",
     .same_as = "aten.clamp.Tensor", .edge = "aten.clamp.Tensor", .samples = "N[*]{-9..9} N[*]{-5..0} N[*]{1..5}"},
    {.schema = "aten::clamp_min(Tensor self, Scalar min) -> Tensor", .lower = lower_clamp,
     .decompose = decompositions::clamp_below, .edge = "aten.clamp.default", .samples = "N[*] 1"},
    {.schema = "aten::clamp_min.Tensor(Tensor self, Tensor min) -> Tensor", .lower = lower_clamp,
     .decompose = decompositions::clamp_below_tensor, .edge = "aten.clamp.Tensor", .samples = "N[*] N[*]"},
    {.schema = "aten::clamp_max(Tensor self, Scalar max) -> Tensor", .lower = lower_clamp,
     .decompose = decompositions::clamp_above, .edge = "aten.clamp.default", .samples = "N[*] 1"},
    {.schema = "aten::clamp_max.Tensor(Tensor self, Tensor max) -> Tensor", .lower = lower_clamp,
     .decompose = decompositions::clamp_above_tensor, .edge = "aten.clamp.Tensor", .samples = "N[*] N[*]"},
    {.schema = "aten::addcmul(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor", .lower = lower_addc<mil_ops::mul>,
     .decompose = decompositions::addcmul, .samples = "N[*] N[*] N[*]; F[2,3] F[3] F[2,1] value=2"},
    {.schema = "aten::addcdiv(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor", .lower = lower_addc<mil_ops::real_div>,
     .decompose = decompositions::addcdiv, .samples = "F[*] F[*] F[*]{1..2}; F[2,3] F[3] F[2,1]{1..2} value=2"},
    {.schema = "aten::lerp.Scalar(Tensor self, Tensor end, Scalar weight) -> Tensor", .lower = lower_lerp,
     .decompose = decompositions::lerp, .samples = "F[*] F[*] 0.3"},
    {.schema = "aten::lerp.Tensor(Tensor self, Tensor end, Tensor weight) -> Tensor", .lower = lower_lerp,
     .decompose = decompositions::lerp, .samples = "F[*] F[*] F[*]{0..1}"},
    {.schema = "aten::hypot(Tensor self, Tensor other) -> Tensor", .lower = lower_hypot,
     .decompose = decompositions::hypot, .samples = "F[*] F[*]"},
    {.schema = "aten::atan2(Tensor self, Tensor other) -> Tensor", .lower = lower_atan2,
     .samples = "N[*]{-4..4} N[*]{1..4} -> F[*]; F[3]{-2..-1} F[3]{-2..-1}"},
    {.schema = "aten::arctan2(Tensor self, Tensor other) -> Tensor", .same_as = "aten.atan2.default", .edge = "aten.atan2.default",
     .samples = "N[*] N[*]{1..4} -> F[*]"},
    {.schema = "aten::copysign.Tensor(Tensor self, Tensor other) -> Tensor", .lower = lower_copysign,
     .decompose = decompositions::copysign, .samples = "F[*] F[*]"},
    {.schema = "aten::copysign.Scalar(Tensor self, Scalar other) -> Tensor", .lower = lower_copysign,
     .decompose = decompositions::copysign, .samples = "F[*] -2"},
    {.schema = "aten::xlogy.Tensor(Tensor self, Tensor other) -> Tensor", .lower = lower_xlogy,
     .decompose = decompositions::xlogy, .samples = "N[*] N[*]{1..4} -> F[*]; f32[2]{0,2} f32[2]{0,3}; f32[3]{0,2,0} f32[3]{0,3,nan}"},
    {.schema = "aten::xlogy.Scalar_Other(Tensor self, Scalar other) -> Tensor", .lower = lower_xlogy,
     .decompose = decompositions::xlogy, .samples = "N[*] 3 -> F[*]"},
    {.schema = "aten::xlogy.Scalar_Self(Scalar self, Tensor other) -> Tensor", .lower = lower_xlogy,
     .decompose = decompositions::xlogy, .samples = "2 N[*]{1..4} -> F[*]"},
    {.schema = "aten::logaddexp(Tensor self, Tensor other) -> Tensor",
     .lower = [](Lowering& in) -> Lowered { return log_add_exp(in, 1); }, .decompose = decompositions::logaddexp,
     .samples = "F[*] F[*]; f32[3]{-inf,inf,1} f32[3]{-inf,inf,inf}"},
    {.schema = "aten::logaddexp2(Tensor self, Tensor other) -> Tensor",
     .lower = [](Lowering& in) -> Lowered { return log_add_exp(in, M_LN2); }, .samples = "F[*] F[*]"},
    {.schema = "aten::diff(Tensor self, int n=1, int dim=-1, Tensor? prepend=None, Tensor? append=None) -> Tensor", .lower = lower_diff,
     .decompose = decompositions::diff, .samples = "N[*,4] -> N[*,3]; F[4,3] 2 0 -> F[2,3]; F[2,4] prepend=F[2,1]"},
    {.schema = "aten::heaviside(Tensor self, Tensor values) -> Tensor", .lower = lower_heaviside,
     .decompose = decompositions::heaviside, .samples = "N[*] N[*]"},
    {.schema = "aten::ldexp.Tensor(Tensor self, Tensor other) -> Tensor", .lower = lower_ldexp,
     .decompose = decompositions::ldexp, .samples = "F[*] I[*]{-2..3}"},
};

}  // namespace

extern const std::span<const TorchOp> kArithmeticOps;
const std::span<const TorchOp> kArithmeticOps = kTable;

}  // namespace cortland::torch_ops
