// Reading by index: x[i, j], gather, index_select, take and one_hot. Several index tensors become one index into the merged
// axes: gather_nd reads wrong places on some devices when its indices are known only at run time.
#include <fmt/format.h>

#include "mil_ops/ops.h"
#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/indices.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

Lowered indexed(Lowering& in) {
  TRY(Operand x, in.tensor("self"));
  TRY(const FlatIndex f, flat_index(in, "indices", in.shape_of(x)));
  TRY(Operand ordered, in.transpose(x, f.perm));
  TRY(Operand merged, merge_axes(in, ordered, f.axis, f.count));
  TRY(Operand result, gather(in, merged, static_cast<int64_t>(f.axis), f.index));
  return in.with_shape(result, in.result_type().shape);
}

Result<Operand> at_least_vector(Lowering& in, Operand x) { return in.rank_of(x) == 0 ? in.reshape(x, {1}) : Result<Operand>(x); }

// One index for each element of the result; axes of x that are longer than those of the index are cut.
Result<Operand> gather_along(Lowering& in, Operand x, int64_t axis, Operand index) {
  TRY(x, at_least_vector(in, x));
  TRY(index, at_least_vector(in, index));
  const Shape shape = in.shape_of(index);
  if (in.rank_of(x) != in.rank_of(index)) return in.reject(DiagKind::BadProgram, "index and tensor differ in rank");
  for (size_t i = 0; i < shape.size(); ++i) {
    if (static_cast<int64_t>(i) == axis || shape[i] == in.shape_of(x)[i]) continue;
    TRY(x, slice(in, x, static_cast<int64_t>(i), 0, shape[i]));
  }
  const bool was_bool = in.dtype_of(x) == DType::Bool;
  TRY(Operand numbers, as_numbers(in, x));
  TRY(Operand result, in.op(mil_ops::gather_along_axis, {{"x", numbers}, {"indices", index}, {"axis", axis}}));
  TRY(result, in.reshape(result, in.result_type().shape));
  return was_bool ? as_bool(in, result) : Result<Operand>(result);
}

Lowered gathered(Lowering& in) {
  TRY(Operand x, in.tensor("self"));
  TRY(Operand index, in.tensor("index"));
  TRY(const int64_t axis, in.axis("dim", in.rank_of(x)));
  return gather_along(in, x, axis, index);
}

Result<Operand> flattened(Lowering& in, Operand x) { return in.reshape(x, {product(in, in.shape_of(x), 0, in.shape_of(x).size())}); }

Lowered taken_along(Lowering& in) {
  TRY(Operand x, in.tensor("self"));
  TRY(Operand index, in.tensor("indices"));
  if (!in.has("dim")) {
    TRY(x, flattened(in, x));
    TRY(index, flattened(in, index));
    return gather_along(in, x, 0, index);
  }
  TRY(const int64_t axis, in.axis("dim", in.rank_of(x)));
  // All axes but `dim` broadcast.
  Shape to = in.result_type().shape;
  const auto at = static_cast<size_t>(axis);
  if (at >= to.size() || in.rank_of(x) != in.rank_of(index) || in.shape_of(x).size() != to.size())
    return in.reject(DiagKind::BadProgram, "index and tensor differ in rank");
  to[at] = in.shape_of(index)[at];
  TRY(index, in.expand(index, to));
  to[at] = in.shape_of(x)[at];
  TRY(x, in.expand(x, to));
  return gather_along(in, x, axis, index);
}

Lowered index_selected(Lowering& in) {
  TRY(Operand x, in.tensor("self"));
  TRY(Operand index, in.tensor("index"));
  TRY(const int64_t axis, in.axis("dim", in.rank_of(x)));
  TRY_DO(expect_rank(in, "index", 0, 1));
  TRY(x, at_least_vector(in, x));
  TRY(index, at_least_vector(in, index));
  TRY(Operand result, gather(in, x, axis, index));
  return in.reshape(result, in.result_type().shape);
}

Lowered taken(Lowering& in) {
  TRY(Operand x, in.tensor("self"));
  TRY(Operand index, in.tensor("index"));
  TRY(x, flattened(in, x));
  TRY(Operand wrapped, wrap_indices(in, index, in.shape_of(x)[0]));
  in.with_shape(wrapped, in.result_type().shape);
  return gather(in, x, 0, wrapped);
}

Lowered one_hot(Lowering& in) {
  TRY(Operand x, in.tensor("self"));
  TRY(const Dim classes, result_size(in, in.result_type().rank() - 1));
  TRY(const Dim wanted, in.dim("num_classes"));
  if (known(in, wanted) == -1)
    return in.reject(DiagKind::UnsupportedShape, "the number of classes is the largest value of the data", "pass num_classes");
  TRY(Operand size, in.size(classes));
  TRY(Operand result, in.op(mil_ops::one_hot, {{"indices", x}, {"one_hot_vector_size", size}, {"axis", -1}, {"on_value", 1}, {"off_value", 0}}));
  return in.with_shape(result, in.result_type().shape);
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::index.Tensor(Tensor self, Tensor?[] indices) -> Tensor", .lower = indexed,
     .samples = "T[4,5] [i64[3]{0..3}] -> T[3,5]; F[4,5] [None, i64[2,2]{0..4}] -> F[4,2,2]; "
                "F[4,5,6] [i64[3]{0..3}, i64[3]{0..4}] -> F[3,6]; F[n4,5] [i64[3]{0..3}] -> F[3,5]; "
                "F[4,5] [i32[3]{0..3}] -> F[3,5]; F[4] [const bool[4]{1,0,1,1}] -> F[3]"},
    {.schema = "aten::_unsafe_index.Tensor(Tensor self, Tensor?[] indices) -> Tensor",
     .same_as = "aten.index.Tensor", .edge = "aten.index.Tensor",
     .samples = "T[4,5] [i64[3]{0..3}] -> T[3,5]; F[4,5] [None, i64[2,2]{0..4}] -> F[4,2,2]; "
                "T[n4,m5] [i64[k3]{0..3}] -> T[k3,m5]"},
    {.schema = "aten::gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor", .lower = gathered,
     .samples = "T[4,5] 1 i64[4,2]{0..4} -> T[4,2]; F[4,5] 0 i64[2,5]{0..3} -> F[2,5]; F[2,3,4] -1 i64[2,3,4]{0..3}; "
                "T[n4,m5] 1 i64[k4,p2]{0..4} -> T[k4,p2]"},
    {.schema = "aten::index_select(Tensor self, int dim, Tensor index) -> Tensor", .lower = index_selected,
     .samples = "T[4,5] 0 i64[3]{0..3} -> T[3,5]; F[2,4,5] -1 I[3]{0..4} -> F[2,4,3]; "
                "F[4,n5] 0 i64[3]{0..3} -> F[3,n5]"},
    {.schema = "aten::take(Tensor self, Tensor index) -> Tensor", .lower = taken, .decompose = decompositions::take,
     .samples = "T[4,5] i64[2,3]{0..19} -> T[2,3]; T[n4,m5] i64[k2,p3]{0..19} -> T[k2,p3]"},
    {.schema = "aten::take_along_dim(Tensor self, Tensor indices, int? dim=None) -> Tensor", .lower = taken_along,
     .decompose = decompositions::take_along_dim,
     .samples = "T[4,5] i64[4,2]{0..4} 1 -> T[4,2]; F[4,5] i64[3]{0..19} -> F[3]; F[n4,m5] i64[k3]{0..19} -> F[k3]"},
    {.schema = "aten::one_hot(Tensor self, int num_classes=-1) -> Tensor", .lower = one_hot,
     .decompose = decompositions::one_hot, .samples = "i64[2,3]{0..4} 5 -> i64[2,3,5]; i64[n4]{0..4} 5 -> i64[n4,5]"},
};

}  // namespace

extern const std::span<const TorchOp> kIndexingOps;
const std::span<const TorchOp> kIndexingOps = kTable;

}  // namespace cortland::torch_ops
