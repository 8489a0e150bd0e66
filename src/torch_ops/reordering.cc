// The same elements in another order along an axis: flip, roll, rotations.
#include "mil_ops/ops.h"
#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/indices.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

Result<Operand> reverse(Lowering& in, Operand x, const std::vector<int64_t>& axes) {
  if (axes.empty() || in.rank_of(x) == 0) return x;
  return in.op(mil_ops::reverse, {{"x", x}, {"axes", axes}});
}

Lowered flipped(Lowering& in) {
  TRY(Operand x, payload(in, "self"));
  if (const auto* list = in.arg("dims").as<torch::Arg::List>(); list && list->empty()) return x;
  TRY(const auto axes, in.axes("dims", in.rank_of(x)));
  return reverse(in, x, axes);
}

// fliplr turns axis 1 around, flipud axis 0.
Lowered flipped_axis(Lowering& in, int64_t axis) {
  TRY_DO(expect_rank(in, "self", static_cast<int>(axis) + 1));
  TRY(Operand x, payload(in, "self"));
  return reverse(in, x, {axis});
}

Lowered rotated(Lowering& in) {
  TRY(Operand x, payload(in, "self"));
  TRY(const int64_t times, in.integer("k"));
  TRY(const auto axes, in.axes("dims", in.rank_of(x)));
  if (axes.size() != 2 || axes[0] == axes[1] || in.rank_of(x) < 2) return in.reject(DiagKind::UnsupportedArgument, "rot90 turns two dimensions");
  const int64_t turns = (times % 4 + 4) % 4;
  if (turns == 0) return x;
  if (turns == 2) return reverse(in, x, axes);
  std::vector<int64_t> perm;
  for (int i = 0; i < in.rank_of(x); ++i) perm.push_back(i == axes[0] ? axes[1] : i == axes[1] ? axes[0] : i);
  TRY(Operand turned, in.transpose(x, perm));
  return reverse(in, turned, {turns == 1 ? axes[0] : axes[1]});
}

Result<Operand> roll(Lowering& in, Operand x, int64_t axis, Dim shift) {
  const Shape shape = in.shape_of(x);
  const Dim size = shape[static_cast<size_t>(axis)];
  const auto by = known(in, shift);
  if (by && size.is_constant()) {
    const int64_t n = size.constant();
    if (n == 0) return x;
    const int64_t first = ((n - *by % n) % n + n) % n;
    if (first == 0) return x;
    TRY(Operand tail, slice(in, x, axis, first, INT64_MAX));
    TRY(Operand head, slice(in, x, axis, 0, first));
    return concat(in, {tail, head}, axis);
  }
  // Element i comes from (i - shift) mod size.
  TRY(Operand places, counting(in, size));
  TRY(Operand offset, in.size(in.dim_table().mul(shift, in.dim_table().constant(-1))));
  TRY(Operand length, in.size(size));
  TRY(places, add(in, places, offset));
  TRY(places, in.op(mil_ops::mod, {{"x", places}, {"y", length}}));
  in.with_shape(places, {size});
  TRY(Operand rolled, gather(in, x, axis, places));
  return in.with_shape(rolled, shape);
}

Lowered rolled(Lowering& in) {
  TRY(Operand x, payload(in, "self"));
  TRY(const Shape shifts, in.dims("shifts"));
  const auto* dims = in.arg("dims").as<torch::Arg::List>();
  if (in.rank_of(x) == 0) return x;
  if (shifts.empty()) return in.reject(DiagKind::BadProgram, "there is no shift");
  if (!dims || dims->empty()) {
    TRY(Operand flat, in.reshape(x, {product(in, in.shape_of(x), 0, in.shape_of(x).size())}));
    TRY(Operand moved, roll(in, flat, 0, shifts[0]));
    return in.reshape(moved, in.result_type().shape);
  }
  TRY(const auto axes, in.axes("dims", in.rank_of(x)));
  if (shifts.size() != axes.size()) return in.reject(DiagKind::BadProgram, "there is not one shift for each dimension");
  for (size_t i = 0; i < axes.size(); ++i) {
    TRY(x, roll(in, x, axes[i], shifts[i]));
  }
  return x;
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::flip(Tensor self, int[] dims) -> Tensor", .lower = flipped,
     .samples = "T[2,3] [0]; F[2,3,4] [0,2]; F[n4,3] [0]"},
    {.schema = "aten::fliplr(Tensor self) -> Tensor", .lower = [](Lowering& in) { return flipped_axis(in, 1); },
     .decompose = decompositions::fliplr, .edge = "aten.flip.default", .samples = "T[2,3]; T[n2,m3]"},
    {.schema = "aten::flipud(Tensor self) -> Tensor", .lower = [](Lowering& in) { return flipped_axis(in, 0); },
     .decompose = decompositions::flipud, .edge = "aten.flip.default", .samples = "T[2,3]; T[n2,m3]"},
    {.schema = "aten::rot90(Tensor self, int k=1, int[] dims=[0, 1]) -> Tensor", .lower = rotated,
     .decompose = decompositions::rot90,
     .samples = "T[2,3] -> T[3,2]; F[2,3] 2; F[2,3] -1 -> F[3,2]; T[n2,m3] -> T[m3,n2]"},
    {.schema = "aten::roll(Tensor self, SymInt[1] shifts, int[1] dims=[]) -> Tensor", .lower = rolled,
     .decompose = decompositions::roll, .samples = "T[4,3] [1] [0]; F[4,3] [1,-1] [0,1]; F[4,3] [2]; F[n4,3] [1] [0]"},
};

}  // namespace

extern const std::span<const TorchOp> kReorderingOps;
const std::span<const TorchOp> kReorderingOps = kTable;

}  // namespace cortland::torch_ops
