// Pointwise operators without a CPU kernel, in terms of those that have one.
#include <cmath>
#include <limits>
#include <numbers>

#include "torch_ops/decompositions.h"
#include "torch_ops/erfc.h"
#include "torch_ops/steps.h"

namespace cortland::torch_ops::decompositions {

using V = Steps::V;
using torch::Arg;

// ---- activations

// log(1 + exp(x)) where exp(x) does not swamp the 1, else x.
static V soft_plus(Steps& s, V x, double beta, double threshold) {
  const V scaled = beta == 1 ? x : s.mul(x, beta);
  V log = s.unary("log1p", s.unary("exp", scaled));
  if (beta != 1) log = s.div(log, beta);
  return s.where(s.compare("gt", scaled, threshold), x, log, s.dtype(x));
}

// min(max(x + 3, 0), 6) / 6.
static V hard_sigmoid(Steps& s, V x) { return s.div(s.clamp(s.add(x, 3.0), 0.0, 6.0), 6.0); }

Status silu(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  return s.give(s.mul(x, s.unary("sigmoid", x)));
}

Status hardswish(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  return s.give(s.mul(x, hard_sigmoid(s, x)));
}

Status hardsigmoid(Decomposition& d) {
  Steps s(d);
  return s.give(hard_sigmoid(s, d.tensor("self")));
}

Status mish(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  return s.give(s.mul(x, s.unary("tanh", soft_plus(s, x, 1, 20))));
}

Status softplus(Decomposition& d) {
  Steps s(d);
  const auto beta = d.number("beta"), threshold = d.number("threshold");
  if (!beta || !threshold || *beta == 0) return d.reject("beta and threshold must be numbers");
  return s.give(soft_plus(s, d.tensor("self"), *beta, *threshold));
}

Status prelu(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  V weight = s.tensor("weight");
  Shape to(static_cast<size_t>(s.rank(x)), Dim(1));
  if (s.rank(x) > 1) to[1] = s.rank(weight) == 0 ? Dim(1) : s.size_of(weight, 0);
  weight = s.view(weight, to);
  return s.give(s.where(s.compare("gt", x, 0.0), x, s.mul(x, weight), s.dtype(x)));
}

static Status elu_of(Steps& s, double alpha, double scale, double input_scale) {
  const V x = s.d.tensor("self");
  return s.give(s.d.op("aten.elu.default", {{"self", x}, {"alpha", alpha}, {"scale", scale}, {"input_scale", input_scale}}, s.type(x)));
}

Status selu(Decomposition& d) {
  Steps s(d);
  return elu_of(s, 1.6732632423543772, 1.0507009873554805, 1.0);
}

Status celu(Decomposition& d) {
  Steps s(d);
  const auto alpha = d.number("alpha");
  if (!alpha || *alpha == 0) return d.reject("alpha must be a number other than 0");
  return elu_of(s, *alpha, 1.0, 1.0 / *alpha);
}

// min(x, 0) - log(1 + exp(-|x|)).
Status log_sigmoid(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const V tail = s.unary("log1p", s.unary("exp", s.unary("neg", s.unary("abs", x))));
  return s.give(s.sub(s.clamp(x, Arg(), 0.0), tail));
}

// Zero between -lambd and lambd; beyond, x itself or x moved towards zero.
static Status shrink(Decomposition& d, bool soft) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto lambda = d.number("lambd");
  if (!lambda) return d.reject("lambd must be a number");
  const V outside = soft ? s.sub(x, s.mul(s.unary("sign", x), *lambda)) : x;
  return s.give(s.where(s.compare("le", s.unary("abs", x), *lambda), 0.0, outside, s.dtype(x)));
}

Status softshrink(Decomposition& d) { return shrink(d, true); }
Status hardshrink(Decomposition& d) { return shrink(d, false); }

Status threshold(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  return s.give(s.where(s.compare("le", x, d.arg("threshold")), d.arg("value"), x, s.dtype(x)));
}

Status relu6(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  return s.give(d.op("aten.hardtanh.default", {{"self", x}, {"min_val", 0.0}, {"max_val", 6.0}}, s.type(x)));
}

Status rrelu(Decomposition& d) {
  Steps s(d);
  const auto lower = d.number("lower"), upper = d.number("upper");
  if (d.boolean("training") || !lower || !upper) return d.reject("random slopes are for training");
  const V x = d.tensor("self");
  return s.give(d.op("aten.leaky_relu.default", {{"self", x}, {"negative_slope", (*lower + *upper) / 2}}, s.type(x)));
}

// What a mask keeps is scaled, so that the mean stays. ExecuTorch's kernel does not scale, so only its mask is used.
static V dropped(Steps& s, V x, double p, V& mask) {
  mask = s.d.multi("aten.native_dropout.default", {{"input", x}, {"p", p}, {"train", true}}, {s.type(x), {DType::Bool, s.shape(x)}})[1];
  return s.mul(s.mul(x, s.cast(mask, s.dtype(x))), p == 1 ? 0 : 1 / (1 - p));
}

Status dropout(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor(d.has("input") ? "input" : "self");
  const auto p = d.number("p");
  if (!d.boolean("train") || (p && *p == 0)) return s.give(x);
  if (!p) return d.reject("the probability must be a number");
  V mask;
  return s.give(dropped(s, x, *p, mask));
}

Status native_dropout(Decomposition& d) {
  Steps s(d);
  const auto p = d.number("p");
  const bool train = !d.has("train") || d.boolean("train");
  if (!train || !p || *p == 0 || !d.result_used(0)) return d.reject("");  // the kernel is right about these
  V mask;
  TRY_DO(s.give(0, dropped(s, d.tensor("input"), *p, mask)));
  return d.result_used(1) ? s.give(1, mask) : Status();
}

Status evaluated_dropout(Decomposition& d) {
  Steps s(d);
  if (d.boolean("train")) return d.reject("dropping features at random is for training");
  return s.give(d.tensor("input"));
}

// ---- arithmetic

Status clamp_below(Decomposition& d) {
  Steps s(d);
  return s.give(s.clamp(d.tensor("self"), d.arg("min"), Arg()));
}

Status clamp_above(Decomposition& d) {
  Steps s(d);
  return s.give(s.clamp(d.tensor("self"), Arg(), d.arg("max")));
}

Status clamp_below_tensor(Decomposition& d) {
  Steps s(d);
  return s.give(s.maximum(d.tensor("self"), s.tensor("min")));
}

Status clamp_above_tensor(Decomposition& d) {
  Steps s(d);
  return s.give(s.minimum(d.tensor("self"), s.tensor("max")));
}

Status square(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  return s.give(s.mul(x, x));
}

// other - alpha * self.
Status rsub(Decomposition& d) {
  Steps s(d);
  return s.give(d.op("aten.sub.Tensor", {{"self", d.arg("other")}, {"other", d.arg("self")}, {"alpha", d.arg("alpha")}}, d.result_type()));
}

Status floor_divide_number(Decomposition& d) {
  Steps s(d);
  return s.give(s.floor_div(d.tensor("self"), d.arg("other")));
}

// a - floor(a / b) * b. The kernel is right for floats; of integers it gives the remainder the sign of a.
Status remainder(Decomposition& d) {
  Steps s(d);
  const V a = d.tensor("self");
  if (!a || d.result_type().dtype == DType::Bool || !is_integer(d.result_type().dtype)) return d.reject("");
  const V times = s.floor_div(a, d.arg("other"));
  return s.give(s.sub(a, s.mul(times, d.arg("other"))));
}

// Numbers become tensors: remainder(3, x) is the remainder of two tensors.
Status number_as_tensor(Decomposition& d) {
  Steps s(d);
  const std::string& target = d.node().target;
  return s.give(d.op(target.substr(0, target.find('.', 5)) + ".Tensor", {{"self", s.tensor("self")}, {"other", s.tensor("other")}}, d.result_type()));
}

// self + value * tensor1 (* or /) tensor2.
static Status add_product(Decomposition& d, const char* op) {
  Steps s(d);
  V x = s.binary(op, s.tensor("tensor1"), s.tensor("tensor2"));
  const auto value = d.number("value");
  if (!value || *value != 1) x = s.mul(x, d.arg("value"));
  return s.give(s.add(d.tensor("self"), x));
}

Status addcmul(Decomposition& d) { return add_product(d, "mul"); }
Status addcdiv(Decomposition& d) { return add_product(d, "div"); }

// Of the two ways to write it, the one that is exact at the nearer end.
Status lerp(Decomposition& d) {
  Steps s(d);
  const V start = d.tensor("self"), end = s.tensor("end"), weight = s.tensor("weight");
  const V step = s.sub(end, start);
  const auto w = d.number("weight");
  if (w && *w < 0.5) return s.give(s.add(start, s.mul(step, *w)));
  if (w) return s.give(s.sub(end, s.mul(step, 1 - *w)));
  if (!weight) return d.reject("the weight must be a number or a tensor");
  const V rest = s.add(s.unary("neg", weight), 1.0);
  const V low = s.add(start, s.mul(step, weight)), high = s.sub(end, s.mul(step, rest));
  return s.give(s.where(s.compare("lt", s.unary("abs", weight), 0.5), low, high, s.dtype(low)));
}

Status where_number(Decomposition& d) {
  Steps s(d);
  return s.give(s.where(d.tensor("condition"), d.arg("self"), d.arg("other"), d.result_type().dtype));
}

Status masked_fill(Decomposition& d) {
  Steps s(d);
  return s.give(s.where(d.tensor("mask"), s.tensor("value"), d.tensor("self"), d.result_type().dtype));
}

Status exp2(Decomposition& d) {
  Steps s(d);
  const V x = s.cast(d.tensor("self"), d.result_type().dtype);
  return s.give(d.op("aten.pow.Scalar", {{"self", 2.0}, {"exponent", x}}, s.type(x)));
}

// As lower_erfc does in float32.
Status erfc(Decomposition& d) {
  Steps s(d);
  const V x = s.cast(d.tensor("self"), d.result_type().dtype);
  const V t = s.unary("reciprocal", s.add(s.mul(s.unary("abs", x), 0.5), 1.0));
  V power = s.add(s.mul(t, kErfcTail[0]), kErfcTail[1]);
  for (size_t i = 2; i < kErfcTail.size(); ++i) power = s.add(s.mul(t, power), kErfcTail[i]);
  const V tail = s.mul(t, s.unary("exp", s.sub(power, s.mul(x, x))));
  return s.give(s.where(s.compare("lt", x, 0.0), s.add(s.unary("neg", tail), 2.0), tail, s.dtype(x)));
}

Status frac(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  return s.give(s.sub(x, s.unary("trunc", x)));
}

Status signbit(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  if (is_float(s.dtype(x))) return d.reject("no kernel tells -0.0 from 0.0");
  return s.give(s.compare("lt", x, int64_t{0}));
}

Status isfinite(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  return s.give(s.negate(s.either(s.unary("isnan", x, DType::Bool), s.unary("isinf", x, DType::Bool))));
}

static double largest(DType t) {
  switch (t) {
    case DType::F16: return 65504.0;
    case DType::BF16: return 3.3895313892515355e38;
    case DType::F64: return std::numeric_limits<double>::max();
    default: return std::numeric_limits<float>::max();
  }
}

Status nan_to_num(Decomposition& d) {
  Steps s(d);
  V x = d.tensor("self");
  const DType t = s.dtype(x);
  if (!is_float(t)) return s.give(x);
  const double infinity = std::numeric_limits<double>::infinity();
  const V positive = s.compare("eq", x, infinity), negative = s.compare("eq", x, -infinity);
  x = s.where(s.unary("isnan", x, DType::Bool), d.number("nan").value_or(0), x, t);
  x = s.where(positive, d.number("posinf").value_or(largest(t)), x, t);
  return s.give(s.where(negative, d.number("neginf").value_or(-largest(t)), x, t));
}

// maximum or minimum, but a number beats NaN.
static Status ignore_nan(Decomposition& d, bool max) {
  Steps s(d);
  const V a = d.tensor("self"), b = s.tensor("other");
  const V both = max ? s.maximum(a, b) : s.minimum(a, b);
  const DType t = s.dtype(both);
  const V without_b = s.where(s.unary("isnan", b, DType::Bool), a, both, t);
  return s.give(s.where(s.unary("isnan", a, DType::Bool), b, without_b, t));
}

Status fmax(Decomposition& d) { return ignore_nan(d, true); }
Status fmin(Decomposition& d) { return ignore_nan(d, false); }

// |a - b| <= atol + rtol |b|, and infinities equal to themselves.
Status isclose(Decomposition& d) {
  Steps s(d);
  const V a = d.tensor("self"), b = s.tensor("other");
  const auto rtol = d.number("rtol"), atol = d.number("atol");
  if (!rtol || !atol) return d.reject("the tolerances must be numbers");
  V close = s.compare("eq", a, b);
  if (is_float(s.dtype(a))) {
    const V gap = s.unary("abs", s.sub(a, b)), allowed = s.add(s.mul(s.unary("abs", b), *rtol), *atol);
    const V finite = s.negate(s.unary("isinf", gap, DType::Bool));
    close = s.either(close, s.both(finite, s.compare("le", gap, allowed)));
    if (d.boolean("equal_nan")) close = s.either(close, s.both(s.unary("isnan", a, DType::Bool), s.unary("isnan", b, DType::Bool)));
  } else if (*rtol != 0 || *atol >= 1) {
    return d.reject("integers are close when they are equal");
  }
  return s.give(close);
}

Status heaviside(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const DType t = d.result_type().dtype;
  return s.give(s.where(s.compare("eq", x, int64_t{0}), s.tensor("values"), s.cast(s.compare("gt", x, int64_t{0}), t), t));
}

Status copysign(Decomposition& d) {
  Steps s(d);
  const DType t = d.result_type().dtype;
  const V size = s.unary("abs", s.cast(d.tensor("self"), t));
  return s.give(s.where(s.compare("lt", s.tensor("other"), int64_t{0}), s.unary("neg", size), size, t));
}

Status hypot(Decomposition& d) {
  Steps s(d);
  const V a = d.tensor("self"), b = s.tensor("other");
  return s.give(s.unary("sqrt", s.add(s.mul(a, a), s.mul(b, b))));
}

// max(a, b) + log(1 + exp(-|a - b|)); equal infinities are their own result.
Status logaddexp(Decomposition& d) {
  Steps s(d);
  const V a = d.tensor("self"), b = s.tensor("other");
  const V tail = s.unary("log1p", s.unary("exp", s.unary("neg", s.unary("abs", s.sub(a, b)))));
  const V same = s.both(s.compare("eq", a, b), s.unary("isinf", a, DType::Bool));
  return s.give(s.where(same, a, s.add(s.maximum(a, b), tail), d.result_type().dtype));
}

Status xlogy(Decomposition& d) {
  Steps s(d);
  const DType t = d.result_type().dtype;
  const V a = s.cast(s.tensor("self"), t), b = s.cast(s.tensor("other"), t);
  const V zero = s.both(s.compare("eq", a, 0.0), s.negate(s.unary("isnan", b, DType::Bool)));
  return s.give(s.where(zero, 0.0, s.mul(a, s.unary("log", b)), t));
}

Status ldexp(Decomposition& d) {
  Steps s(d);
  const DType t = d.result_type().dtype;
  const V b = s.cast(s.tensor("other"), t);
  return s.give(s.mul(s.cast(d.tensor("self"), t), d.op("aten.pow.Scalar", {{"self", 2.0}, {"exponent", b}}, s.type(b))));
}

Status sinc(Decomposition& d) {
  Steps s(d);
  const V x = s.mul(s.cast(d.tensor("self"), d.result_type().dtype), std::numbers::pi);
  return s.give(s.where(s.compare("eq", x, 0.0), 1.0, s.div(s.unary("sin", x), x), s.dtype(x)));
}

static Status scaled(Decomposition& d, double factor) {
  Steps s(d);
  return s.give(s.mul(d.tensor("self"), factor));
}

Status deg2rad(Decomposition& d) { return scaled(d, std::numbers::pi / 180); }
Status rad2deg(Decomposition& d) { return scaled(d, 180 / std::numbers::pi); }

Status round_decimals(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto decimals = d.integer("decimals");
  if (!decimals || *decimals < -30 || *decimals > 30 || !is_float(s.dtype(x))) return d.reject("a float tensor and few decimals are expected");
  const double factor = std::pow(10.0, static_cast<double>(std::abs(*decimals)));
  const V moved = s.unary("round", *decimals >= 0 ? s.mul(x, factor) : s.div(x, factor));
  return s.give(*decimals >= 0 ? s.div(moved, factor) : s.mul(moved, factor));
}

Status isin(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("elements"), set = d.tensor("test_elements");
  if (!x || !set) return d.reject("tensors are expected");
  const V flat = s.view(set, {s.product(s.shape(set))});
  const V equal = s.compare("eq", s.unsqueeze(x, s.rank(x)), flat);
  const V found = s.any(equal, {s.rank(x)}, false);
  return s.give(d.boolean("invert") ? s.negate(found) : found);
}

Status isin_number(Decomposition& d) {
  Steps s(d);
  return s.give(s.compare(d.boolean("invert") ? "ne" : "eq", d.tensor("elements"), d.arg("test_element")));
}

static Status infinity(Decomposition& d, double which) {
  Steps s(d);
  const V x = d.tensor("self");
  const V infinite = s.unary("isinf", x, DType::Bool);
  return s.give(s.both(infinite, s.compare(which > 0 ? "gt" : "lt", x, int64_t{0})));
}

Status isposinf(Decomposition& d) { return infinity(d, 1); }
Status isneginf(Decomposition& d) { return infinity(d, -1); }

}  // namespace cortland::torch_ops::decompositions
