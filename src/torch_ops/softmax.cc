// Softmax and its logarithm.
#include "torch_ops/activation.h"
#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"

namespace cortland::torch_ops {

// The logarithm of a softmax would be -inf where that rounds to 0.
Result<Operand> log_softmax(Lowering& in, Operand x, int64_t axis) {
  const std::vector<int64_t> axes = {axis};
  TRY(Operand largest, in.op(mil_ops::reduce_max, {{"x", x}, {"axes", axes}, {"keep_dims", true}}));
  TRY(x, in.op(mil_ops::sub, {{"x", x}, {"y", largest}}));
  TRY(Operand sum, in.op(mil_ops::exp, {{"x", x}}));
  TRY(sum, in.op(mil_ops::reduce_sum, {{"x", sum}, {"axes", axes}, {"keep_dims", true}}));
  TRY(sum, in.op(mil_ops::log, {{"x", sum}, {"epsilon", 0.0}}));
  return in.op(mil_ops::sub, {{"x", x}, {"y", sum}});
}

namespace {

// The argument and its axis; torch takes scalars too, which become vectors of one element.
struct Axis {
  Operand x;
  int64_t axis = 0;
};

Result<Axis> read(Lowering& in) {
  Axis a;
  TRY(a.x, float_tensor(in, "self"));
  TRY(a.axis, in.axis("dim", in.rank("self")));
  if (in.rank("self") == 0) {
    TRY(a.x, in.reshape(a.x, {1}));
  }
  return a;
}

Lowered lower_softmax(Lowering& in) {
  TRY(const Axis a, read(in));
  TRY(Operand y, in.op(mil_ops::softmax, {{"x", a.x}, {"axis", a.axis}}));
  return in.reshape(y, in.shape("self"));
}

// Rows that are -inf throughout become 0 instead of NaN.
Lowered lower_safe_softmax(Lowering& in) {
  TRY(const Axis a, read(in));
  TRY(Operand least, in.op(mil_ops::reduce_max, {{"x", a.x}, {"axes", std::vector<int64_t>{a.axis}}, {"keep_dims", true}}));
  const double lowest = in.dtype_of(a.x) == DType::F16 ? -65504 : -3.4028234663852886e38;
  TRY(Operand alive, in.op(mil_ops::greater_equal, {{"x", least}, {"y", number_like(in, lowest, least)}}));
  TRY(Operand finite, in.op(mil_ops::maximum, {{"x", a.x}, {"y", number_like(in, lowest, a.x)}}));
  TRY(Operand y, in.op(mil_ops::softmax, {{"x", finite}, {"axis", a.axis}}));
  TRY(alive, in.cast(alive, in.dtype_of(y)));
  TRY(y, in.op(mil_ops::mul, {{"x", y}, {"y", alive}}));
  return in.reshape(y, in.shape("self"));
}

Lowered lower_log_softmax(Lowering& in) {
  TRY(const Axis a, read(in));
  TRY(Operand y, log_softmax(in, a.x, a.axis));
  return in.reshape(y, in.shape("self"));
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::_log_softmax(Tensor self, int dim, bool half_to_float) -> Tensor", .lower = lower_log_softmax,
     .samples = "F[*,4] -1 False; F[4,3] 0 False"},
    {.schema = "aten::_safe_softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor", .lower = lower_safe_softmax,
     .samples = "F[*,4] -1"},
    {.schema = "aten::_softmax(Tensor self, int dim, bool half_to_float) -> Tensor", .lower = lower_softmax,
     .samples = "F[*,4] -1 False; F[4,3] 0 False"},
    {.schema = "aten::log_softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor", .lower = lower_log_softmax,
     .decompose = decompositions::log_softmax_int, .edge = "aten._log_softmax.default",
     .samples = "F[*,4] -1; F[4,3] 0; i64[2,3] 1 f32 -> f32[2,3]"},
    {.schema = "aten::softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor", .lower = lower_softmax,
     .decompose = decompositions::softmax_int, .edge = "aten._softmax.default",
     .samples = "F[*,4] -1; F[4,3] 0; i64[2,3] 1 f32 -> f32[2,3]; F[3,n4] 1"},
    {.schema = "aten::special_log_softmax(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor", .lower = lower_log_softmax,
     .decompose = decompositions::log_softmax_int, .edge = "aten._log_softmax.default", .samples = "F[*,4] -1"},
    {.schema = "aten::special_softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor", .lower = lower_softmax,
     .decompose = decompositions::softmax_int, .edge = "aten._softmax.default", .samples = "F[*,4] -1"},
};

}  // namespace

extern const std::span<const TorchOp> kSoftmaxOps;
const std::span<const TorchOp> kSoftmaxOps = kTable;

}  // namespace cortland::torch_ops
