// Activation functions.
#include "torch_ops/activation.h"

#include <algorithm>
#include <cmath>

#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"

namespace cortland::torch_ops {

// log(1 + exp(x)). The op overflows in float16 on the Neural Engine above 10.4, this form does not.
Result<Operand> softplus(Lowering& in, Operand x) {
  if (in.dtype_of(x) == DType::F32) return in.op(mil_ops::softplus, {{"x", x}});
  TRY(Operand away, in.op(mil_ops::abs, {{"x", x}}));
  TRY(away, negate(in, away));
  TRY(Operand e, in.op(mil_ops::exp, {{"x", away}}));
  TRY(Operand rest, in.op(mil_ops::log, {{"x", e}, {"epsilon", 1.0}}));
  TRY(Operand positive, in.op(mil_ops::relu, {{"x", x}}));
  return in.op(mil_ops::add, {{"x", positive}, {"y", rest}});
}

namespace {

// The argument in the element type of the result: ranges and thresholds also work on integers.
Result<Operand> self_in_result_type(Lowering& in) {
  TRY(Operand x, in.precise_tensor("self"));
  if (is_float(in.result_type().dtype)) return as_float(in, x);
  return in.cast(x, DType::I32);
}

Lowered lower_gelu(Lowering& in) {
  const std::string mode = in.str("approximate");
  if (mode != "none" && mode != "tanh") return in.reject_argument("approximate", mode, "use 'none' or 'tanh'");
  TRY(Operand x, float_tensor(in, "self"));
  return in.op(mil_ops::gelu, {{"x", x}, {"mode", mode == "tanh" ? "TANH_APPROXIMATION" : "EXACT"}});
}

Lowered lower_relu(Lowering& in) {
  TRY(Operand x, self_in_result_type(in));
  if (!is_float(in.dtype_of(x))) return in.op(mil_ops::maximum, {{"x", x}, {"y", 0}});
  return in.op(mil_ops::relu, {{"x", x}});
}

// min(max(x, low), high)
Result<Operand> limit(Lowering& in, Operand x, double low, double high) {
  if (!is_float(in.dtype_of(x))) {
    TRY(x, in.op(mil_ops::maximum, {{"x", x}, {"y", static_cast<int64_t>(low)}}));
    return in.op(mil_ops::minimum, {{"x", x}, {"y", static_cast<int64_t>(high)}});
  }
  if (low == 0 && high == 6) return in.op(mil_ops::relu6, {{"x", x}});
  return in.op(mil_ops::clip, {{"x", x}, {"alpha", number_like(in, low, x)}, {"beta", number_like(in, high, x)}});
}

Lowered lower_relu6(Lowering& in) {
  TRY(Operand x, self_in_result_type(in));
  return limit(in, x, 0, 6);
}

Lowered lower_hardtanh(Lowering& in) {
  TRY(const double low, in.number("min_val"));
  TRY(const double high, in.number("max_val"));
  TRY(Operand x, self_in_result_type(in));
  if (low > high) return filled(in, in.shape("self"), high, in.dtype_of(x));
  return limit(in, x, low, high);
}

Result<Operand> leaky_relu(Lowering& in, Operand x, double slope) {
  return in.op(mil_ops::leaky_relu, {{"x", x}, {"alpha", number_like(in, slope, x)}});
}

Lowered lower_leaky_relu(Lowering& in) {
  TRY(const double slope, in.number("negative_slope"));
  TRY(Operand x, float_tensor(in, "self"));
  return leaky_relu(in, x, slope);
}

// In evaluation the random slope is the middle of its range.
Result<Operand> rrelu(Lowering& in) {
  if (in.boolean("training")) return in.reject_argument("training", "True", "call eval() before the export");
  TRY(const double lower, in.number("lower"));
  TRY(const double upper, in.number("upper"));
  TRY(Operand x, float_tensor(in, "self"));
  return leaky_relu(in, x, (lower + upper) / 2);
}

Lowered lower_rrelu(Lowering& in) { return rrelu(in); }

Lowered lower_rrelu_functional(Lowering& in) {
  TRY(Operand y, rrelu(in));
  TRY(Operand noise, in.tensor("noise"));
  return std::vector<Operand>{y, noise};
}

// scale * (x > 0 ? x : alpha * (exp(input_scale * x) - 1))
Result<Operand> elu(Lowering& in, Operand x, double alpha, double scale, double input_scale) {
  Operand y;
  if (input_scale == 1) {
    TRY(y, in.op(mil_ops::elu, {{"x", x}, {"alpha", number_like(in, alpha, x)}}));
  } else {
    TRY(Operand scaled, in.op(mil_ops::mul, {{"x", x}, {"y", input_scale}}));
    TRY(Operand negative, in.op(mil_ops::elu, {{"x", scaled}, {"alpha", number_like(in, 1, x)}}));
    TRY(negative, in.op(mil_ops::mul, {{"x", negative}, {"y", alpha}}));
    TRY(Operand positive, in.op(mil_ops::greater, {{"x", x}, {"y", 0.0}}));
    TRY(y, select(in, positive, x, negative));
  }
  if (scale == 1) return y;
  return in.op(mil_ops::mul, {{"x", y}, {"y", scale}});
}

Lowered lower_elu(Lowering& in) {
  TRY(const double alpha, in.number("alpha"));
  TRY(const double scale, in.number("scale"));
  TRY(const double input_scale, in.number("input_scale"));
  TRY(Operand x, float_tensor(in, "self"));
  // With a negative scale of the input the two branches grow apart: the exponential is taken as it is.
  if (input_scale < 0) return in.reject_argument("input_scale", std::to_string(input_scale), "use a positive number");
  return elu(in, x, alpha, scale, input_scale);
}

Lowered lower_selu(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  return elu(in, x, 1.6732632423543772848, 1.0507009873554804934, 1);
}

Lowered lower_celu(Lowering& in) {
  TRY(const double alpha, in.number("alpha"));
  if (!(alpha > 0)) return in.reject_argument("alpha", std::to_string(alpha), "use a positive number");
  TRY(Operand x, float_tensor(in, "self"));
  return elu(in, x, alpha, 1, 1 / alpha);
}

Lowered lower_softplus(Lowering& in) {
  TRY(const double beta, in.number("beta"));
  TRY(const double threshold, in.number("threshold"));
  TRY(Operand x, float_tensor(in, "self"));
  Operand scaled = x;
  if (beta != 1) {
    TRY(scaled, in.op(mil_ops::mul, {{"x", x}, {"y", beta}}));
  }
  TRY(Operand y, softplus(in, scaled));
  if (beta != 1) {
    TRY(y, in.op(mil_ops::mul, {{"x", y}, {"y", 1 / beta}}));
  }
  // Beyond 16 the function is its argument to the last bit of float32 anyway.
  if (threshold >= 16) return y;
  TRY(Operand linear, in.op(mil_ops::greater, {{"x", scaled}, {"y", threshold}}));
  return select(in, linear, x, y);
}

Lowered lower_mish(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  TRY(Operand y, softplus(in, x));
  TRY(y, in.op(mil_ops::tanh, {{"x", y}}));
  return in.op(mil_ops::mul, {{"x", x}, {"y", y}});
}

// log(1 / (1 + exp(-x))) = -softplus(-x)
Result<Operand> log_sigmoid(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  TRY(x, negate(in, x));
  TRY(x, softplus(in, x));
  return negate(in, x);
}

Lowered lower_log_sigmoid(Lowering& in) { return log_sigmoid(in); }

Lowered lower_log_sigmoid_forward(Lowering& in) {
  TRY(Operand y, log_sigmoid(in));
  return std::vector<Operand>{y};
}

// min(max(x / 6 + 1 / 2, 0), 1)
Result<Operand> hard_sigmoid(Lowering& in, Operand x) {
  return in.op(mil_ops::sigmoid_hard, {{"x", x}, {"alpha", number_like(in, 1.0 / 6, x)}, {"beta", number_like(in, 0.5, x)}});
}

Lowered lower_hardsigmoid(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  return hard_sigmoid(in, x);
}

Lowered lower_hardswish(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  TRY(Operand gate, hard_sigmoid(in, x));
  return in.op(mil_ops::mul, {{"x", x}, {"y", gate}});
}

// MIL's prelu is wrong in float16 and for some ranks: leaky_relu where one slope serves all channels, max(x, weight * x) where no
// slope is above 1, else max(x, 0) + weight * min(x, 0).
Lowered lower_prelu(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  TRY(Operand weight, in.tensor("weight"));
  const auto slopes = in.const_floats(weight);
  const auto all = [&](auto holds) { return slopes && std::all_of(slopes->begin(), slopes->end(), holds); };
  if (all([&](float s) { return s == (*slopes)[0]; }) && !slopes->empty()) return leaky_relu(in, x, (*slopes)[0]);
  TRY(weight, in.cast(weight, in.dtype_of(x)));
  if (in.rank("weight") == 1 && in.rank("self") > 1) {
    Shape channels(static_cast<size_t>(in.rank("self")), 1);
    channels[1] = in.shape("weight")[0];
    TRY(weight, in.reshape(weight, channels));
  } else if (in.rank("weight") == 1 && in.rank("self") == 0) {
    TRY(weight, in.reshape(weight, {}));
  }
  if (all([](float s) { return s <= 1; })) {
    TRY(Operand scaled, in.op(mil_ops::mul, {{"x", x}, {"y", weight}}));
    return in.op(mil_ops::maximum, {{"x", x}, {"y", scaled}});
  }
  TRY(Operand positive, in.op(mil_ops::relu, {{"x", x}}));
  TRY(Operand negative, in.op(mil_ops::minimum, {{"x", x}, {"y", 0.0}}));
  TRY(negative, in.op(mil_ops::mul, {{"x", negative}, {"y", weight}}));
  return in.op(mil_ops::add, {{"x", positive}, {"y", negative}});
}

// One half of the channels opens and closes the other.
Lowered lower_glu(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  TRY(const int64_t axis, in.axis("dim", in.rank("self")));
  const Dim half = in.result_type().shape[static_cast<size_t>(axis)];
  TRY(auto parts, split(in, x, axis, {half, half}, {true, true}));
  TRY(Operand gate, in.op(mil_ops::sigmoid, {{"x", parts[1]}}));
  return in.op(mil_ops::mul, {{"x", parts[0]}, {"y", gate}});
}

// x > threshold ? x : value
Lowered lower_threshold(Lowering& in) {
  TRY(double threshold, in.number("threshold"));
  TRY(double value, in.number("value"));
  TRY(Operand x, self_in_result_type(in));
  if (!is_float(in.dtype_of(x))) threshold = std::floor(threshold), value = std::trunc(value);
  TRY(Operand above, in.op(mil_ops::greater, {{"x", x}, {"y", number_like(in, threshold, x)}}));
  return select(in, above, x, number_like(in, value, x), in.shape("self"));
}

// 0 within [-lambd, lambd], x outside.
Lowered lower_hardshrink(Lowering& in) {
  TRY(const double lambd, in.number("lambd"));
  TRY(Operand x, float_tensor(in, "self"));
  TRY(Operand magnitude, in.op(mil_ops::abs, {{"x", x}}));
  TRY(Operand inside, in.op(mil_ops::less_equal, {{"x", magnitude}, {"y", number_like(in, lambd, x)}}));
  return select(in, inside, number_like(in, 0, x), x, in.shape("self"));
}

// x moved by lambd towards 0, but not past it.
Lowered lower_softshrink(Lowering& in) {
  TRY(const double lambd, in.number("lambd"));
  TRY(Operand x, float_tensor(in, "self"));
  TRY(Operand middle, limit(in, x, -lambd, lambd));
  return in.op(mil_ops::sub, {{"x", x}, {"y", middle}});
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::celu(Tensor self, Scalar alpha=1.) -> Tensor", .lower = lower_celu,
     .decompose = decompositions::celu, .samples = "F[*]; F[3] 2.5"},
    {.schema = "aten::elu(Tensor self, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1) -> Tensor", .lower = lower_elu,
     .samples = "F[*]; F[2,3] 0.5 1.5 2.0; F[2,3] 1 1 -1 !unsupported-argument"},
    {.schema = "aten::gelu(Tensor self, *, str approximate='none') -> Tensor", .lower = lower_gelu,
     .samples = "F[*]; F[2,3] approximate='tanh'; F[2,3] approximate='fast' !unsupported-argument"},
    {.schema = "aten::glu(Tensor self, int dim=-1) -> Tensor", .lower = lower_glu,
     .samples = "F[*,4] -> F[*,2]; F[4,3] 0 -> F[2,3]"},
    {.schema = "aten::hardshrink(Tensor self, Scalar lambd=0.5) -> Tensor", .lower = lower_hardshrink,
     .decompose = decompositions::hardshrink, .samples = "F[*]; F[3] 1.0"},
    {.schema = "aten::hardsigmoid(Tensor self) -> Tensor", .lower = lower_hardsigmoid,
     .decompose = decompositions::hardsigmoid, .samples = "F[*]"},
    {.schema = "aten::hardswish(Tensor self) -> Tensor", .lower = lower_hardswish,
     .decompose = decompositions::hardswish, .samples = "F[*]"},
    {.schema = "aten::hardtanh(Tensor self, Scalar min_val=-1, Scalar max_val=1) -> Tensor", .lower = lower_hardtanh,
     .samples = "F[*]; I[3]{-9..9} -2 3"},
    {.schema = "aten::leaky_relu(Tensor self, Scalar negative_slope=0.01) -> Tensor", .lower = lower_leaky_relu,
     .samples = "F[*]; F[3] 0.2"},
    {.schema = "aten::log_sigmoid(Tensor self) -> Tensor", .lower = lower_log_sigmoid,
     .decompose = decompositions::log_sigmoid, .samples = "F[*]"},
    {.schema = "aten::log_sigmoid_forward(Tensor self) -> (Tensor output, Tensor buffer)", .lower = lower_log_sigmoid_forward,
     .samples = "F[2,3] -> F[2,3], _; F[n4,3] -> F[n4,3], _"},
    {.schema = "aten::mish(Tensor self) -> Tensor", .lower = lower_mish, .decompose = decompositions::mish,
     .samples = "F[*]"},
    {.schema = "aten::prelu(Tensor self, Tensor weight) -> Tensor", .lower = lower_prelu,
     .decompose = decompositions::prelu, .samples = "F[2,4,3] const F[4]; F[n4,4] const F[1]"},
    {.schema = "aten::_prelu_kernel(Tensor self, Tensor weight) -> Tensor", .lower = lower_prelu,
     .samples = "F[2,4,3] const F[1,4,1]; F[2,4,n3] const F[1,4,1]"},
    {.schema = "aten::relu(Tensor self) -> Tensor", .lower = lower_relu, .samples = "N[*]"},
    {.schema = "aten::relu6(Tensor self) -> Tensor", .lower = lower_relu6, .decompose = decompositions::relu6,
     .edge = "aten.hardtanh.default", .samples = "N[*]"},
    {.schema = "aten::rrelu(Tensor self, Scalar lower=0.125, Scalar upper=0.33333333333333331, bool training=False, Generator? "
               "generator=None) -> Tensor",
     .lower = lower_rrelu, .decompose = decompositions::rrelu,
     .samples = "F[*]; f32[3] training=True !unsupported-argument"},
    {.schema = "aten::rrelu_with_noise(Tensor self, Tensor(b!) noise, Scalar lower=0.125, Scalar upper=0.33333333333333331, bool "
               "training=False, Generator? generator=None) -> Tensor",
     .lower = lower_rrelu,
     .samples = "F[2,3] F[2,3]; f32[2,3] f32[2,3] training=True !unsupported-argument; F[n2,m3] F[n2,m3]"},
    {.schema = "aten::rrelu_with_noise_functional(Tensor self, Tensor noise, Scalar lower=0.125, Scalar upper=0.33333333333333331, "
               "bool training=False, Generator? generator=None) -> (Tensor, Tensor noise_out)",
     .lower = lower_rrelu_functional,
     .samples = "F[2,3] F[2,3] -> F[2,3], F[2,3]; F[n2,m3] F[n2,m3] -> F[n2,m3], F[n2,m3]"},
    {.schema = "aten::selu(Tensor self) -> Tensor", .lower = lower_selu, .decompose = decompositions::selu,
     .edge = "aten.elu.default", .samples = "F[*]"},
    {.schema = "aten::sigmoid(Tensor self) -> Tensor", .lower = lower_unary_float<mil_ops::sigmoid>,
     .samples = "T[*] -> F[*]"},
    {.schema = "aten::silu(Tensor self) -> Tensor", .lower = lower_unary_float<mil_ops::silu>,
     .decompose = decompositions::silu, .samples = "F[*]"},
    {.schema = "aten::softplus(Tensor self, Scalar beta=1, Scalar threshold=20) -> Tensor", .lower = lower_softplus,
     .decompose = decompositions::softplus, .samples = "F[*]; F[3] 2 10; F[3] 0.5"},
    {.schema = "aten::softshrink(Tensor self, Scalar lambd=0.5) -> Tensor", .lower = lower_softshrink,
     .decompose = decompositions::softshrink, .samples = "F[*]; F[3] 1.0"},
    {.schema = "aten::special_expit(Tensor self) -> Tensor", .same_as = "aten.sigmoid.default", .edge = "aten.sigmoid.default",
     .samples = "T[*] -> F[*]"},
    {.schema = "aten::tanh(Tensor self) -> Tensor", .lower = lower_unary_float<mil_ops::tanh>, .samples = "T[*] -> F[*]"},
    {.schema = "aten::threshold(Tensor self, Scalar threshold, Scalar value) -> Tensor", .lower = lower_threshold,
     .decompose = decompositions::threshold, .samples = "N[*] 1 5"},
};

}  // namespace

extern const std::span<const TorchOp> kActivationOps;
const std::span<const TorchOp> kActivationOps = kTable;

}  // namespace cortland::torch_ops
