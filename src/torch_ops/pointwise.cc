// Functions of one operand: roots, exponentials, trigonometry, rounding, signs.
#include <cmath>
#include <limits>

#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"
#include "torch_ops/erfc.h"
#include "torch_ops/erfinv.h"

namespace cortland::torch_ops {
namespace {

// Whole numbers already are what rounding would make of them.
template <const mil::MilOp& op>
Lowered lower_rounding(Lowering& in) {
  TRY(Operand x, in.precise_tensor("self"));
  if (!is_float(in.result_type().dtype)) return in.tensor("self");
  TRY(x, as_float(in, x));
  return in.op(op, {{"x", x}});
}

Lowered lower_round_decimals(Lowering& in) {
  TRY(const int64_t decimals, in.integer("decimals"));
  TRY(Operand x, float_tensor(in, "self"));
  // Scaling in float16 would lose the digits that are to be kept.
  TRY(x, in.cast(x, DType::F32));
  const double scale = std::pow(10.0, static_cast<double>(decimals));
  TRY(x, in.op(mil_ops::mul, {{"x", x}, {"y", scale}}));
  TRY(x, in.op(mil_ops::round, {{"x", x}}));
  return in.op(mil_ops::real_div, {{"x", x}, {"y", scale}});
}

Lowered lower_trunc(Lowering& in) {
  if (!is_float(in.result_type().dtype)) return in.tensor("self");
  TRY(Operand x, float_tensor(in, "self"));
  return truncate(in, x);
}

Lowered lower_frac(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  TRY(Operand whole, truncate(in, x));
  return in.op(mil_ops::sub, {{"x", x}, {"y", whole}});
}

Lowered lower_abs(Lowering& in) {
  if (in.result_type().dtype == DType::Bool) return in.tensor("self");
  TRY(Operand x, in_result_kind(in));
  TRY(Operand y, in.op(mil_ops::abs, {{"x", x}}));
  return wrapped(in, y);
}

Lowered lower_sign(Lowering& in) {
  if (in.result_type().dtype == DType::Bool) return in.tensor("self");
  TRY(Operand x, in_result_kind(in));
  return in.op(mil_ops::sign, {{"x", x}});
}

Lowered lower_neg(Lowering& in) {
  TRY(Operand x, in_result_kind(in));
  TRY(Operand y, negate(in, x));
  return wrapped(in, y);
}

Lowered lower_identity(Lowering& in) { return in.precise_tensor("self"); }

Lowered lower_square(Lowering& in) {
  TRY(Operand x, in_result_kind(in));
  TRY(Operand y, in.op(mil_ops::mul, {{"x", x}, {"y", x}}));
  return wrapped(in, y);
}

Lowered lower_reciprocal(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  return in.op(mil_ops::real_div, {{"x", number_like(in, 1, x)}, {"y", x}});
}

Lowered lower_rsqrt(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  return in.op(mil_ops::rsqrt, {{"x", x}, {"epsilon", 0.0}});
}

// log(x) * factor
Result<Operand> scaled_log(Lowering& in, double factor) {
  TRY(Operand x, float_tensor(in, "self"));
  TRY(Operand y, in.op(mil_ops::log, {{"x", x}, {"epsilon", 0.0}}));
  if (factor == 1) return y;
  return in.op(mil_ops::mul, {{"x", y}, {"y", factor}});
}

// log(1 + x), where 1 + x loses what x has below 1.
Lowered lower_log1p(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  TRY(Operand near, near_log1p(in, x));
  TRY(Operand far, in.op(mil_ops::log, {{"x", x}, {"epsilon", 1.0}}));
  TRY(Operand size, in.op(mil_ops::abs, {{"x", x}}));
  TRY(Operand small, in.op(mil_ops::less, {{"x", size}, {"y", 0.5}}));
  return select(in, small, near, far);
}

// tanh(x / 2) (exp(x) + 1): the difference exp(x) - 1 leaves nothing of a small x.
Lowered lower_expm1(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  TRY(Operand half, in.op(mil_ops::mul, {{"x", x}, {"y", 0.5}}));
  TRY(Operand factor, in.op(mil_ops::tanh, {{"x", half}}));
  TRY(Operand e, in.op(mil_ops::exp, {{"x", x}}));
  TRY(e, in.op(mil_ops::add, {{"x", e}, {"y", 1}}));
  return in.op(mil_ops::mul, {{"x", factor}, {"y", e}});
}

// Horner's rule, highest coefficient first.
Result<Operand> polynomial(Lowering& in, Operand x, const std::vector<double>& coefficients) {
  Operand y = number_like(in, coefficients[0], x);
  for (size_t i = 1; i < coefficients.size(); ++i) {
    TRY(y, in.op(mil_ops::mul, {{"x", x}, {"y", y}}));
    TRY(y, in.op(mil_ops::add, {{"x", y}, {"y", coefficients[i]}}));
  }
  return y;
}

// 1 - erf(x) leaves nothing right of the tail, where erf is next to 1. So it is t exp(-x^2 + p(t)) with t = 1 / (1 + |x| / 2), good to
// 1.2e-7 of the result in float32 (W. H. Press et al., Numerical Recipes).
Lowered lower_erfc(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  TRY(x, in.cast(x, DType::F32));
  TRY(Operand magnitude, in.op(mil_ops::abs, {{"x", x}}));
  TRY(Operand t, in.op(mil_ops::mul, {{"x", magnitude}, {"y", 0.5}}));
  TRY(t, in.op(mil_ops::add, {{"x", t}, {"y", 1}}));
  TRY(t, in.op(mil_ops::real_div, {{"x", number_like(in, 1, t)}, {"y", t}}));
  TRY(Operand power, polynomial(in, t, {kErfcTail.begin(), kErfcTail.end()}));
  TRY(Operand square, in.op(mil_ops::mul, {{"x", x}, {"y", x}}));
  TRY(power, in.op(mil_ops::sub, {{"x", power}, {"y", square}}));
  TRY(Operand tail, in.op(mil_ops::exp, {{"x", power}}));
  TRY(tail, in.op(mil_ops::mul, {{"x", tail}, {"y", t}}));
  TRY(Operand rest, in.op(mil_ops::sub, {{"x", number_like(in, 2, tail)}, {"y", tail}}));
  TRY(Operand negative, in.op(mil_ops::less, {{"x", x}, {"y", 0}}));
  return select(in, negative, rest, tail);
}

// A polynomial in w = -log(1 - x^2), in two branches.
Lowered lower_erfinv(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  TRY(x, in.cast(x, DType::F32));
  TRY(Operand xx, in.op(mil_ops::mul, {{"x", x}, {"y", x}}));
  TRY(Operand rest, in.op(mil_ops::sub, {{"x", number_like(in, 1, x)}, {"y", xx}}));
  TRY(Operand w, in.op(mil_ops::log, {{"x", rest}, {"epsilon", 0.0}}));
  TRY(w, negate(in, w));
  TRY(Operand central, in.op(mil_ops::sub, {{"x", w}, {"y", 2.5}}));
  TRY(central, polynomial(in, central, {kInverseErrorCentre.begin(), kInverseErrorCentre.end()}));
  TRY(Operand tail, in.op(mil_ops::sqrt, {{"x", w}}));
  TRY(tail, in.op(mil_ops::sub, {{"x", tail}, {"y", 3}}));
  TRY(tail, polynomial(in, tail, {kInverseErrorTail.begin(), kInverseErrorTail.end()}));
  TRY(Operand inner, in.op(mil_ops::less, {{"x", w}, {"y", 5}}));
  TRY(Operand factor, select(in, inner, central, tail));
  TRY(Operand y, in.op(mil_ops::mul, {{"x", factor}, {"y", x}}));
  // At -1 and 1, w is infinite and its polynomial is infinity minus infinity.
  TRY(Operand magnitude, in.op(mil_ops::abs, {{"x", x}}));
  TRY(Operand edge, in.op(mil_ops::equal, {{"x", magnitude}, {"y", 1}}));
  TRY(Operand infinite, in.op(mil_ops::mul, {{"x", x}, {"y", std::numeric_limits<double>::infinity()}}));
  return select(in, edge, infinite, y);
}

// Of log(|x| + root) and, where that is near 0 and has lost its digits, atanh(ratio). The squares below leave float16 at 256, so
// these compute in float32.
Result<Operand> inverse_hyperbolic(Lowering& in, Operand magnitude, Operand root, Operand ratio, double near) {
  TRY(Operand close, in.op(mil_ops::atanh, {{"x", ratio}}));
  TRY(Operand far, in.op(mil_ops::add, {{"x", magnitude}, {"y", root}}));
  TRY(far, in.op(mil_ops::log, {{"x", far}, {"epsilon", 0.0}}));
  TRY(Operand small, in.op(mil_ops::less, {{"x", magnitude}, {"y", near}}));
  return select(in, small, close, far);
}

// root = sqrt(x - 1) sqrt(x + 1), which is NaN below 1 as torch's result; tanh(acosh(x)) = root / x
Lowered lower_acosh(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  TRY(x, in.cast(x, DType::F32));
  TRY(Operand below, in.op(mil_ops::sub, {{"x", x}, {"y", 1}}));
  TRY(Operand above, in.op(mil_ops::add, {{"x", x}, {"y", 1}}));
  TRY(below, in.op(mil_ops::sqrt, {{"x", below}}));
  TRY(above, in.op(mil_ops::sqrt, {{"x", above}}));
  TRY(Operand root, in.op(mil_ops::mul, {{"x", below}, {"y", above}}));
  TRY(Operand ratio, in.op(mil_ops::real_div, {{"x", root}, {"y", x}}));
  return inverse_hyperbolic(in, x, root, ratio, 1.5);
}

// root = sqrt(x^2 + 1), tanh(asinh(x)) = x / root
Lowered lower_asinh(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  TRY(x, in.cast(x, DType::F32));
  TRY(Operand magnitude, in.op(mil_ops::abs, {{"x", x}}));
  TRY(Operand root, in.op(mil_ops::mul, {{"x", x}, {"y", x}}));
  TRY(root, in.op(mil_ops::add, {{"x", root}, {"y", 1}}));
  TRY(root, in.op(mil_ops::sqrt, {{"x", root}}));
  TRY(Operand ratio, in.op(mil_ops::real_div, {{"x", magnitude}, {"y", root}}));
  TRY(Operand y, inverse_hyperbolic(in, magnitude, root, ratio, 1));
  TRY(Operand sign, in.op(mil_ops::sign, {{"x", x}}));
  return in.op(mil_ops::mul, {{"x", y}, {"y", sign}});
}

Result<Operand> scaled(Lowering& in, double factor) {
  TRY(Operand x, float_tensor(in, "self"));
  return in.op(mil_ops::mul, {{"x", x}, {"y", factor}});
}

// log(x / (1 - x)), with x kept in [eps, 1 - eps] when eps is given.
Lowered lower_logit(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  if (in.has("eps")) {
    TRY(const double eps, in.number("eps"));
    TRY(x, in.op(mil_ops::maximum, {{"x", x}, {"y", eps}}));
    TRY(x, in.op(mil_ops::minimum, {{"x", x}, {"y", 1 - eps}}));
  }
  TRY(Operand rest, in.op(mil_ops::sub, {{"x", number_like(in, 1, x)}, {"y", x}}));
  TRY(Operand odds, in.op(mil_ops::real_div, {{"x", x}, {"y", rest}}));
  return in.op(mil_ops::log, {{"x", odds}, {"epsilon", 0.0}});
}

// sin(pi x) / (pi x), and 1 at 0. The sine of a multiple of pi is as far from 0 as the multiple was rounded: in float16 that is a lot.
Lowered lower_sinc(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  TRY(x, in.cast(x, DType::F32));
  TRY(Operand angle, in.op(mil_ops::mul, {{"x", x}, {"y", M_PI}}));
  TRY(Operand zero, in.op(mil_ops::equal, {{"x", x}, {"y", 0}}));
  TRY(Operand divisor, select(in, zero, number_like(in, 1, x), angle));
  TRY(Operand sine, in.op(mil_ops::sin, {{"x", angle}}));
  TRY(Operand ratio, in.op(mil_ops::real_div, {{"x", sine}, {"y", divisor}}));
  return select(in, zero, number_like(in, 1, x), ratio);
}

Lowered lower_nan_to_num(Lowering& in) {
  if (!is_float(in.result_type().dtype)) return in.tensor("self");
  TRY(Operand x, float_tensor(in, "self"));
  const double largest = in.dtype_of(x) == DType::F16 ? 65504.0 : static_cast<double>(std::numeric_limits<float>::max());
  double nan = 0, high = largest, low = -largest;
  if (in.has("nan")) {
    TRY(nan, in.number("nan"));
  }
  if (in.has("posinf")) {
    TRY(high, in.number("posinf"));
  }
  if (in.has("neginf")) {
    TRY(low, in.number("neginf"));
  }
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  TRY(Operand is_nan, in.op(mil_ops::not_equal, {{"x", x}, {"y", x}}));
  TRY(Operand is_high, in.op(mil_ops::equal, {{"x", x}, {"y", kInfinity}}));
  TRY(Operand is_low, in.op(mil_ops::equal, {{"x", x}, {"y", -kInfinity}}));
  TRY(Operand y, select(in, is_nan, number_like(in, nan, x), x));
  TRY(y, select(in, is_high, number_like(in, high, x), y));
  return select(in, is_low, number_like(in, low, x), y);
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::abs(Tensor self) -> Tensor", .lower = lower_abs, .samples = "N[*]"},
    {.schema = "aten::absolute(Tensor self) -> Tensor",
     .same_as = "aten.abs.default", .edge = "aten.abs.default", .samples = "N[*]"},
    {.schema = "aten::neg(Tensor self) -> Tensor", .lower = lower_neg, .samples = "N[*]"},
    {.schema = "aten::negative(Tensor self) -> Tensor",
     .same_as = "aten.neg.default", .edge = "aten.neg.default", .samples = "N[*]"},
    {.schema = "aten::positive(Tensor(a) self) -> Tensor(a)", .lower = lower_identity, .samples = "N[*]"},
    {.schema = "aten::sign(Tensor self) -> Tensor", .lower = lower_sign, .samples = "N[*]"},
    {.schema = "aten::sgn(Tensor self) -> Tensor", .same_as = "aten.sign.default", .edge = "aten.sign.default",
     .samples = "N[*]"},
    {.schema = "aten::floor(Tensor self) -> Tensor", .lower = lower_rounding<mil_ops::floor>, .samples = "N[*]{-5..5}"},
    {.schema = "aten::ceil(Tensor self) -> Tensor", .lower = lower_rounding<mil_ops::ceil>, .samples = "N[*]{-5..5}"},
    {.schema = "aten::round(Tensor self) -> Tensor", .lower = lower_rounding<mil_ops::round>,
     .samples = "N[*]{-5..5}; f32[4]{0.5,1.5,-0.5,-2.5}"},
    {.schema = "aten::round.decimals(Tensor self, *, int decimals) -> Tensor", .lower = lower_round_decimals,
     .decompose = decompositions::round_decimals, .samples = "F[2,3] decimals=1; F[n2,m3] decimals=1"},
    {.schema = "aten::trunc(Tensor self) -> Tensor", .lower = lower_trunc, .samples = "N[*]{-5..5}"},
    {.schema = "aten::fix(Tensor self) -> Tensor", .same_as = "aten.trunc.default", .edge = "aten.trunc.default",
     .samples = "N[*]{-5..5}"},
    {.schema = "aten::frac(Tensor self) -> Tensor", .lower = lower_frac, .decompose = decompositions::frac,
     .samples = "F[*]{-5..5}"},
    {.schema = "aten::square(Tensor self) -> Tensor", .lower = lower_square, .decompose = decompositions::square,
     .edge = "aten.pow.Tensor_Scalar", .samples = "N[*]"},
    {.schema = "aten::sqrt(Tensor self) -> Tensor", .lower = lower_unary_float<mil_ops::sqrt>,
     .samples = "T[*]{0..4} -> F[*]"},
    {.schema = "aten::rsqrt(Tensor self) -> Tensor", .lower = lower_rsqrt, .samples = "T[*]{1..4} -> F[*]"},
    {.schema = "aten::reciprocal(Tensor self) -> Tensor", .lower = lower_reciprocal, .samples = "N[*]{1..4} -> F[*]"},
    {.schema = "aten::exp(Tensor self) -> Tensor", .lower = lower_unary_float<mil_ops::exp>, .samples = "T[*] -> F[*]"},
    {.schema = "aten::exp2(Tensor self) -> Tensor", .lower = lower_unary_float<mil_ops::exp2>,
     .decompose = decompositions::exp2, .samples = "T[*] -> F[*]"},
    {.schema = "aten::expm1(Tensor self) -> Tensor", .lower = lower_expm1, .samples = "T[*] -> F[*]"},
    {.schema = "aten::log(Tensor self) -> Tensor", .lower = [](Lowering& in) -> Lowered { return scaled_log(in, 1); },
     .samples = "T[*]{1..4} -> F[*]"},
    {.schema = "aten::log2(Tensor self) -> Tensor", .lower = [](Lowering& in) -> Lowered { return scaled_log(in, 1 / M_LN2); },
     .samples = "T[*]{1..4} -> F[*]"},
    {.schema = "aten::log10(Tensor self) -> Tensor", .lower = [](Lowering& in) -> Lowered { return scaled_log(in, 1 / M_LN10); },
     .samples = "T[*]{1..4} -> F[*]"},
    {.schema = "aten::log1p(Tensor self) -> Tensor", .lower = lower_log1p,
     .samples = "T[*]{0..4} -> F[*]"},
    {.schema = "aten::erf(Tensor self) -> Tensor", .lower = lower_unary_float<mil_ops::erf>, .samples = "T[*] -> F[*]"},
    {.schema = "aten::erfc(Tensor self) -> Tensor", .lower = lower_erfc, .decompose = decompositions::erfc,
     .samples = "T[*] -> F[*]"},
    {.schema = "aten::erfinv(Tensor self) -> Tensor", .lower = lower_erfinv, .decompose = decompositions::erfinv,
     .samples = "F[*]{-0.9..0.9}"},
    {.schema = "aten::sin(Tensor self) -> Tensor", .lower = lower_unary_float<mil_ops::sin>, .samples = "T[*] -> F[*]"},
    {.schema = "aten::cos(Tensor self) -> Tensor", .lower = lower_unary_float<mil_ops::cos>, .samples = "T[*] -> F[*]"},
    {.schema = "aten::tan(Tensor self) -> Tensor", .lower = lower_unary_float<mil_ops::tan>, .samples = "F[*]{-1..1}"},
    {.schema = "aten::asin(Tensor self) -> Tensor", .lower = lower_unary_float<mil_ops::asin>,
     .samples = "T[*]{0..1} -> F[*]"},
    {.schema = "aten::arcsin(Tensor self) -> Tensor", .same_as = "aten.asin.default", .edge = "aten.asin.default",
     .samples = "T[*]{0..1} -> F[*]"},
    {.schema = "aten::acos(Tensor self) -> Tensor", .lower = lower_unary_float<mil_ops::acos>,
     .samples = "T[*]{0..1} -> F[*]"},
    {.schema = "aten::arccos(Tensor self) -> Tensor", .same_as = "aten.acos.default", .edge = "aten.acos.default",
     .samples = "T[*]{0..1} -> F[*]"},
    {.schema = "aten::atan(Tensor self) -> Tensor", .lower = lower_unary_float<mil_ops::atan>, .samples = "T[*] -> F[*]"},
    {.schema = "aten::arctan(Tensor self) -> Tensor", .same_as = "aten.atan.default", .edge = "aten.atan.default",
     .samples = "T[*] -> F[*]"},
    {.schema = "aten::sinh(Tensor self) -> Tensor", .lower = lower_unary_float<mil_ops::sinh>, .samples = "T[*] -> F[*]"},
    {.schema = "aten::cosh(Tensor self) -> Tensor", .lower = lower_unary_float<mil_ops::cosh>, .samples = "T[*] -> F[*]"},
    {.schema = "aten::atanh(Tensor self) -> Tensor", .lower = lower_unary_float<mil_ops::atanh>,
     .samples = "F[*]{-0.9..0.9}"},
    {.schema = "aten::arctanh(Tensor self) -> Tensor", .same_as = "aten.atanh.default", .edge = "aten.atanh.default",
     .samples = "F[*]{-0.9..0.9}"},
    {.schema = "aten::acosh(Tensor self) -> Tensor", .lower = lower_acosh, .samples = "F[*]{1..3}; f32[3]{-2,0,3}"},
    {.schema = "aten::arccosh(Tensor self) -> Tensor", .same_as = "aten.acosh.default", .edge = "aten.acosh.default",
     .samples = "F[*]{1..3}"},
    {.schema = "aten::asinh(Tensor self) -> Tensor", .lower = lower_asinh, .samples = "T[*] -> F[*]"},
    {.schema = "aten::arcsinh(Tensor self) -> Tensor", .same_as = "aten.asinh.default", .edge = "aten.asinh.default",
     .samples = "T[*] -> F[*]"},
    {.schema = "aten::deg2rad(Tensor self) -> Tensor", .lower = [](Lowering& in) -> Lowered { return scaled(in, M_PI / 180); },
     .decompose = decompositions::deg2rad, .edge = "aten.mul.Tensor", .samples = "F[*]"},
    {.schema = "aten::rad2deg(Tensor self) -> Tensor", .lower = [](Lowering& in) -> Lowered { return scaled(in, 180 / M_PI); },
     .decompose = decompositions::rad2deg, .edge = "aten.mul.Tensor", .samples = "F[*]"},
    {.schema = "aten::logit(Tensor self, float? eps=None) -> Tensor", .lower = lower_logit,
     .samples = "F[*]{0.1..0.9}; F[3]{0..1} 0.1"},
    {.schema = "aten::sinc(Tensor self) -> Tensor", .lower = lower_sinc, .decompose = decompositions::sinc,
     .samples = "F[*]; f32[2]{0,1}"},
    {.schema = "aten::nan_to_num(Tensor self, float? nan=None, float? posinf=None, float? neginf=None) -> Tensor", .lower = lower_nan_to_num,
     .decompose = decompositions::nan_to_num, .samples = "F[*]; f32[3]{1,inf,-inf} 0.5 2.0 -2.0"},
};

}  // namespace

extern const std::span<const TorchOp> kPointwiseOps;
const std::span<const TorchOp> kPointwiseOps = kTable;

}  // namespace cortland::torch_ops
