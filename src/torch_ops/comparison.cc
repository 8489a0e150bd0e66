// Comparisons, logic and bits.
#include <cmath>
#include <limits>

#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"

namespace cortland::torch_ops {
namespace {

template <const mil::MilOp& op>
Lowered lower_comparison(Lowering& in) {
  TRY(Pair p, operand_pair(in, "self", "other", true));
  return in.op(op, {{"x", p.x}, {"y", p.y}});
}

template <const mil::MilOp& op>
Lowered lower_logical(Lowering& in) {
  TRY(Operand x, in.precise_tensor("self"));
  TRY(x, as_bool(in, x));
  TRY(Operand y, in.precise_tensor("other"));
  TRY(y, as_bool(in, y));
  return in.op(op, {{"x", x}, {"y", y}});
}

Lowered lower_logical_not(Lowering& in) {
  TRY(Operand x, in.precise_tensor("self"));
  TRY(x, as_bool(in, x));
  return in.op(mil_ops::logical_not, {{"x", x}});
}

Diagnostic no_bits(const Lowering& in) {
  return in.reject(DiagKind::UnsupportedDtype, "Core ML has no bit operations on integers",
                   "use bool tensors, or masks that are powers of two");
}

// On bools, logic; on integers only `and` with 2^k - 1, which is a remainder, and then exact for negative numbers too.
template <const mil::MilOp& op>
Lowered lower_bitwise(Lowering& in) {
  if (in.result_type().dtype == DType::Bool) return lower_logical<op>(in);
  if (op.name != mil_ops::logical_and.name) return no_bits(in);
  TRY(Operand x, in.tensor("self"));
  TRY(Operand y, in.tensor("other"));
  if (x.is_const()) std::swap(x, y);
  const auto mask = in.const_ints(y);
  if (!mask || mask->size() != 1 || (*mask)[0] < 0 || ((*mask)[0] & ((*mask)[0] + 1)) != 0 || (*mask)[0] + 1 > INT32_MAX) return no_bits(in);
  TRY(x, in.cast(x, DType::I32));
  return in.op(mil_ops::mod, {{"x", x}, {"y", (*mask)[0] + 1}});
}

Lowered lower_bitwise_not(Lowering& in) {
  TRY(Operand x, in.tensor("self"));
  if (in.dtype_of(x) == DType::Bool) return in.op(mil_ops::logical_not, {{"x", x}});
  TRY(Operand y, in.op(mil_ops::sub, {{"x", in.constant(-1, DType::I32)}, {"y", x}}));
  return wrapped(in, y);
}

template <const mil::MilOp& op>
Lowered lower_shift(Lowering& in) {
  TRY(Operand x, in.tensor("self"));
  TRY(Operand y, in.tensor("other"));
  const auto bits = in.const_ints(y);
  if (!bits) return in.reject(DiagKind::UnsupportedArgument, "shifts by a computed number of bits", "shift by a constant");
  std::vector<int64_t> factors;
  for (int64_t b : *bits) {
    if (b < 0 || b > 30) return in.reject(DiagKind::UnsupportedArgument, "shifts by more than 30 bits");
    factors.push_back(int64_t{1} << b);
  }
  const Operand factor = in.constant(Weight::of<int64_t>(DType::I64, in.const_weight(y)->shape(), factors).cast(DType::I32));
  TRY(Operand shifted, in.op(op, {{"x", x}, {"y", factor}}));
  return wrapped(in, shifted);
}

Lowered lower_isnan(Lowering& in) {
  TRY(Operand x, in.precise_tensor("self"));
  if (in.dtype_of(x) == DType::Bool) {
    TRY(x, in.cast(x, DType::I32));
  }
  return in.op(mil_ops::not_equal, {{"x", x}, {"y", x}});
}

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Lowered lower_isinf(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  TRY(x, in.op(mil_ops::abs, {{"x", x}}));
  return in.op(mil_ops::equal, {{"x", x}, {"y", kInfinity}});
}

template <int sign>
Lowered lower_infinity(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  return in.op(mil_ops::equal, {{"x", x}, {"y", sign * kInfinity}});
}

Lowered lower_isfinite(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  TRY(x, in.op(mil_ops::abs, {{"x", x}}));
  return in.op(mil_ops::less, {{"x", x}, {"y", kInfinity}});  // false for NaN
}

Lowered lower_signbit(Lowering& in) {
  TRY(Operand x, in.precise_tensor("self"));
  if (in.dtype_of(x) == DType::Bool) {
    TRY(x, in.cast(x, DType::I32));
  }
  return in.op(mil_ops::less, {{"x", x}, {"y", 0}});
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::eq.Tensor(Tensor self, Tensor other) -> Tensor", .lower = lower_comparison<mil_ops::equal>,
     .samples = "T[*] T[*] -> bool[*]; i32[3] f32[2,3] -> bool[2,3]"},
    {.schema = "aten::eq.Scalar(Tensor self, Scalar other) -> Tensor", .lower = lower_comparison<mil_ops::equal>,
     .samples = "T[*] 1 -> bool[*]; F[3] 0.5 -> bool[3]; i64[3] 4294967297 -> bool[3] !unsupported-dtype"},
    {.schema = "aten::ne.Tensor(Tensor self, Tensor other) -> Tensor", .lower = lower_comparison<mil_ops::not_equal>,
     .samples = "T[*] T[*] -> bool[*]"},
    {.schema = "aten::not_equal.Tensor(Tensor self, Tensor other) -> Tensor",
     .same_as = "aten.ne.Tensor", .edge = "aten.ne.Tensor", .samples = "T[*] T[*] -> bool[*]"},
    {.schema = "aten::ne.Scalar(Tensor self, Scalar other) -> Tensor", .lower = lower_comparison<mil_ops::not_equal>,
     .samples = "T[*] 1 -> bool[*]"},
    {.schema = "aten::not_equal.Scalar(Tensor self, Scalar other) -> Tensor",
     .same_as = "aten.ne.Scalar", .edge = "aten.ne.Scalar", .samples = "T[*] 1 -> bool[*]"},
    {.schema = "aten::lt.Tensor(Tensor self, Tensor other) -> Tensor", .lower = lower_comparison<mil_ops::less>,
     .samples = "T[*] T[*] -> bool[*]"},
    {.schema = "aten::less.Tensor(Tensor self, Tensor other) -> Tensor",
     .same_as = "aten.lt.Tensor", .edge = "aten.lt.Tensor", .samples = "T[*] T[*] -> bool[*]"},
    {.schema = "aten::lt.Scalar(Tensor self, Scalar other) -> Tensor", .lower = lower_comparison<mil_ops::less>,
     .samples = "T[*] 1 -> bool[*]"},
    {.schema = "aten::less.Scalar(Tensor self, Scalar other) -> Tensor",
     .same_as = "aten.lt.Scalar", .edge = "aten.lt.Scalar", .samples = "T[*] 1 -> bool[*]"},
    {.schema = "aten::le.Tensor(Tensor self, Tensor other) -> Tensor", .lower = lower_comparison<mil_ops::less_equal>,
     .samples = "T[*] T[*] -> bool[*]"},
    {.schema = "aten::less_equal.Tensor(Tensor self, Tensor other) -> Tensor",
     .same_as = "aten.le.Tensor", .edge = "aten.le.Tensor", .samples = "T[*] T[*] -> bool[*]"},
    {.schema = "aten::le.Scalar(Tensor self, Scalar other) -> Tensor", .lower = lower_comparison<mil_ops::less_equal>,
     .samples = "T[*] 1 -> bool[*]"},
    {.schema = "aten::less_equal.Scalar(Tensor self, Scalar other) -> Tensor",
     .same_as = "aten.le.Scalar", .edge = "aten.le.Scalar", .samples = "T[*] 1 -> bool[*]"},
    {.schema = "aten::gt.Tensor(Tensor self, Tensor other) -> Tensor", .lower = lower_comparison<mil_ops::greater>,
     .samples = "T[*] T[*] -> bool[*]"},
    {.schema = "aten::greater.Tensor(Tensor self, Tensor other) -> Tensor",
     .same_as = "aten.gt.Tensor", .edge = "aten.gt.Tensor", .samples = "T[*] T[*] -> bool[*]"},
    {.schema = "aten::gt.Scalar(Tensor self, Scalar other) -> Tensor", .lower = lower_comparison<mil_ops::greater>,
     .samples = "T[*] 1 -> bool[*]"},
    {.schema = "aten::greater.Scalar(Tensor self, Scalar other) -> Tensor",
     .same_as = "aten.gt.Scalar", .edge = "aten.gt.Scalar", .samples = "T[*] 1 -> bool[*]"},
    {.schema = "aten::ge.Tensor(Tensor self, Tensor other) -> Tensor", .lower = lower_comparison<mil_ops::greater_equal>,
     .samples = "T[*] T[*] -> bool[*]"},
    {.schema = "aten::greater_equal.Tensor(Tensor self, Tensor other) -> Tensor",
     .same_as = "aten.ge.Tensor", .edge = "aten.ge.Tensor", .samples = "T[*] T[*] -> bool[*]"},
    {.schema = "aten::ge.Scalar(Tensor self, Scalar other) -> Tensor", .lower = lower_comparison<mil_ops::greater_equal>,
     .samples = "T[*] 1 -> bool[*]"},
    {.schema = "aten::greater_equal.Scalar(Tensor self, Scalar other) -> Tensor",
     .same_as = "aten.ge.Scalar", .edge = "aten.ge.Scalar", .samples = "T[*] 1 -> bool[*]"},
    {.schema = "aten::logical_and(Tensor self, Tensor other) -> Tensor", .lower = lower_logical<mil_ops::logical_and>,
     .samples = "T[*] T[*] -> bool[*]"},
    {.schema = "aten::logical_or(Tensor self, Tensor other) -> Tensor", .lower = lower_logical<mil_ops::logical_or>,
     .samples = "T[*] T[*] -> bool[*]"},
    {.schema = "aten::logical_xor(Tensor self, Tensor other) -> Tensor", .lower = lower_logical<mil_ops::logical_xor>,
     .samples = "T[*] T[*] -> bool[*]"},
    {.schema = "aten::logical_not(Tensor self) -> Tensor", .lower = lower_logical_not, .samples = "T[*] -> bool[*]"},
    {.schema = "aten::__and__.Tensor(Tensor self, Tensor other) -> Tensor",
     .same_as = "aten.bitwise_and.Tensor", .edge = "aten.bitwise_and.Tensor",
     .samples = "bool[*] bool[*]; I[3]{0..99} const I[1]{7}; I[3] I[3] !unsupported-dtype"},
    {.schema = "aten::__and__.Scalar(Tensor self, Scalar other) -> Tensor",
     .same_as = "aten.bitwise_and.Scalar", .edge = "aten.bitwise_and.Scalar",
     .samples = "bool[*] True; I[3]{0..99} 7; I[3] 5 !unsupported-dtype"},
    {.schema = "aten::__or__.Tensor(Tensor self, Tensor other) -> Tensor",
     .same_as = "aten.bitwise_or.Tensor", .edge = "aten.bitwise_or.Tensor",
     .samples = "bool[*] bool[*]; I[3] I[3] !unsupported-dtype"},
    {.schema = "aten::__or__.Scalar(Tensor self, Scalar other) -> Tensor",
     .same_as = "aten.bitwise_or.Scalar", .edge = "aten.bitwise_or.Scalar",
     .samples = "bool[*] True; I[3] 5 !unsupported-dtype"},
    {.schema = "aten::__xor__.Tensor(Tensor self, Tensor other) -> Tensor",
     .same_as = "aten.bitwise_xor.Tensor", .edge = "aten.bitwise_xor.Tensor",
     .samples = "bool[*] bool[*]; I[3] I[3] !unsupported-dtype"},
    {.schema = "aten::__xor__.Scalar(Tensor self, Scalar other) -> Tensor",
     .same_as = "aten.bitwise_xor.Scalar", .edge = "aten.bitwise_xor.Scalar",
     .samples = "bool[*] True; I[3] 5 !unsupported-dtype"},
    {.schema = "aten::bitwise_and.Tensor(Tensor self, Tensor other) -> Tensor", .lower = lower_bitwise<mil_ops::logical_and>,
     .samples = "bool[*] bool[*]; I[3]{0..99} const I[1]{7}; I[3] I[3] !unsupported-dtype"},
    {.schema = "aten::bitwise_and.Scalar(Tensor self, Scalar other) -> Tensor", .lower = lower_bitwise<mil_ops::logical_and>,
     .samples = "bool[*] True; I[3]{0..99} 7; I[3] 5 !unsupported-dtype"},
    {.schema = "aten::bitwise_and.Scalar_Tensor(Scalar self, Tensor other) -> Tensor", .lower = lower_bitwise<mil_ops::logical_and>,
     .decompose = decompositions::number_as_tensor, .samples = "True bool[*]; 7 I[3]{0..99}; 5 I[3] !unsupported-dtype"},
    {.schema = "aten::bitwise_or.Tensor(Tensor self, Tensor other) -> Tensor", .lower = lower_bitwise<mil_ops::logical_or>,
     .samples = "bool[*] bool[*]; I[3] I[3] !unsupported-dtype"},
    {.schema = "aten::bitwise_or.Scalar(Tensor self, Scalar other) -> Tensor", .lower = lower_bitwise<mil_ops::logical_or>,
     .samples = "bool[*] True; I[3] 5 !unsupported-dtype"},
    {.schema = "aten::bitwise_or.Scalar_Tensor(Scalar self, Tensor other) -> Tensor", .lower = lower_bitwise<mil_ops::logical_or>,
     .decompose = decompositions::number_as_tensor, .samples = "True bool[*]; 5 I[3] !unsupported-dtype"},
    {.schema = "aten::bitwise_xor.Tensor(Tensor self, Tensor other) -> Tensor", .lower = lower_bitwise<mil_ops::logical_xor>,
     .samples = "bool[*] bool[*]; I[3] I[3] !unsupported-dtype"},
    {.schema = "aten::bitwise_xor.Scalar(Tensor self, Scalar other) -> Tensor", .lower = lower_bitwise<mil_ops::logical_xor>,
     .samples = "bool[*] True; I[3] 5 !unsupported-dtype"},
    {.schema = "aten::bitwise_xor.Scalar_Tensor(Scalar self, Tensor other) -> Tensor", .lower = lower_bitwise<mil_ops::logical_xor>,
     .decompose = decompositions::number_as_tensor, .samples = "True bool[*]; 5 I[3] !unsupported-dtype"},
    {.schema = "aten::bitwise_not(Tensor self) -> Tensor", .lower = lower_bitwise_not, .samples = "bool[*]; I[*]{-9..9}"},
    {.schema = "aten::bitwise_left_shift.Tensor(Tensor self, Tensor other) -> Tensor", .lower = lower_shift<mil_ops::mul>,
     .samples = "I[*] const I[]{2}; I[3] I[3]{0..5} !unsupported-argument"},
    {.schema = "aten::bitwise_left_shift.Tensor_Scalar(Tensor self, Scalar other) -> Tensor", .lower = lower_shift<mil_ops::mul>,
     .samples = "I[*] 2; I[3] 31 !unsupported-argument"},
    {.schema = "aten::bitwise_left_shift.Scalar_Tensor(Scalar self, Tensor other) -> Tensor",
     .decompose = decompositions::number_as_tensor, .samples = "9 I[3]{0..4} !unsupported-argument"},
    {.schema = "aten::__lshift__.Scalar(Tensor self, Scalar other) -> Tensor", .same_as = "aten.bitwise_left_shift.Tensor_Scalar",
     .samples = "I[*] 2"},
    {.schema = "aten::__lshift__.Tensor(Tensor self, Tensor other) -> Tensor",
     .same_as = "aten.bitwise_left_shift.Tensor", .samples = "I[*] const I[]{2}"},
    {.schema = "aten::bitwise_right_shift.Tensor(Tensor self, Tensor other) -> Tensor", .lower = lower_shift<mil_ops::floor_div>,
     .samples = "I[*]{-99..99} const I[]{2}; I[3] I[3]{0..5} !unsupported-argument"},
    {.schema = "aten::bitwise_right_shift.Tensor_Scalar(Tensor self, Scalar other) -> Tensor", .lower = lower_shift<mil_ops::floor_div>,
     .samples = "I[*]{-99..99} 2"},
    {.schema = "aten::bitwise_right_shift.Scalar_Tensor(Scalar self, Tensor other) -> Tensor",
     .decompose = decompositions::number_as_tensor, .samples = "9 I[3]{0..4} !unsupported-argument"},
    {.schema = "aten::__rshift__.Scalar(Tensor self, Scalar other) -> Tensor", .same_as = "aten.bitwise_right_shift.Tensor_Scalar",
     .samples = "I[*]{-99..99} 2"},
    {.schema = "aten::__rshift__.Tensor(Tensor self, Tensor other) -> Tensor",
     .same_as = "aten.bitwise_right_shift.Tensor", .samples = "I[*]{-99..99} const I[]{2}"},
    {.schema = "aten::isnan(Tensor self) -> Tensor", .lower = lower_isnan,
     .samples = "T[*] -> bool[*]; f32[2]{1,inf} -> bool[2]"},
    {.schema = "aten::isinf(Tensor self) -> Tensor", .lower = lower_isinf,
     .samples = "T[*] -> bool[*]; f32[2]{1,inf} -> bool[2]"},
    {.schema = "aten::isfinite(Tensor self) -> Tensor", .lower = lower_isfinite,
     .decompose = decompositions::isfinite, .samples = "T[*] -> bool[*]; f32[2]{1,inf} -> bool[2]"},
    {.schema = "aten::isposinf(Tensor self) -> Tensor", .lower = lower_infinity<1>, .decompose = decompositions::isposinf,
     .samples = "N[*] -> bool[*]; f32[3]{1,inf,-inf} -> bool[3]"},
    {.schema = "aten::isneginf(Tensor self) -> Tensor", .lower = lower_infinity<-1>, .decompose = decompositions::isneginf,
     .samples = "N[*] -> bool[*]; f32[3]{1,inf,-inf} -> bool[3]"},
    {.schema = "aten::signbit(Tensor self) -> Tensor", .lower = lower_signbit, .decompose = decompositions::signbit,
     .samples = "N[*] -> bool[*]"},
    {.schema = "aten::isclose(Tensor self, Tensor other, float rtol=1.0000000000000001e-05, float atol=1e-08, bool equal_nan=False) -> Tensor",
     .decompose = decompositions::isclose,
     .samples = "F[*] F[*] -> bool[*]; f32[3]{1,2,3} f32[3]{1,2.1,3} -> bool[3]; I[3] I[3] 0 -> bool[3]; "
                "I[3] I[3] -> bool[3] !unsupported-op"},
    {.schema = "aten::isin.Tensor_Tensor(Tensor elements, Tensor test_elements, *, bool assume_unique=False, bool invert=False) -> Tensor",
     .decompose = decompositions::isin,
     .samples = "N[2,3] N[4] -> bool[2,3]; N[3] N[2] invert=True -> bool[3]; N[n2,m3] N[k4] -> bool[n2,m3]"},
    {.schema = "aten::isin.Tensor_Scalar(Tensor elements, Scalar test_element, *, bool assume_unique=False, bool invert=False) -> Tensor",
     .decompose = decompositions::isin_number,
     .samples = "N[2,3] 1 -> bool[2,3]; N[3] 2 invert=True -> bool[3]; N[n2,m3] 1 -> bool[n2,m3]"},
};

}  // namespace

extern const std::span<const TorchOp> kComparisonOps;
const std::span<const TorchOp> kComparisonOps = kTable;

}  // namespace cortland::torch_ops
