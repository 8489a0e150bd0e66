// Orders along an axis: topk, sort, medians, and search in sorted sequences.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "mil_ops/ops.h"
#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

constexpr int64_t kMostComparisons = int64_t{1} << 22;  // that a stable sort may take
constexpr int64_t kMostRow = int64_t{1} << 11;          // elements of one row then

struct Ordered {
  Operand values, indices;
};

// A line along `axis`; a scalar is a line of one element.
struct Line {
  Operand x;
  int64_t axis = 0;
  Dim size;
  bool scalar = false, was_bool = false;
};

Result<Line> line(Lowering& in, bool has_dim = true) {
  Line l;
  TRY(l.x, payload(in, "self"));
  // MIL sorts numbers; float16 constants and values alike.
  if (l.x.is_const() && is_float(in.dtype_of(l.x))) {
    TRY(l.x, in.cast(l.x, in.compute()));
  }
  l.was_bool = in.dtype_of(l.x) == DType::Bool;
  TRY(l.x, as_numbers(in, l.x));
  if (has_dim) {
    TRY(l.axis, in.axis("dim", in.rank_of(l.x)));
  }
  l.scalar = in.rank_of(l.x) == 0;
  if (l.scalar) {
    TRY(l.x, in.reshape(l.x, {1}));
  }
  l.size = in.shape_of(l.x)[static_cast<size_t>(l.axis)];
  return l;
}

Result<Operand> along(Lowering& in, const Line& l, Operand indices) {
  return in.op(mil_ops::gather_along_axis, {{"x", l.x}, {"indices", indices}, {"axis", l.axis}});
}

// The first k elements in order; all of them when the size is dynamic and k is the size.
Result<Ordered> top(Lowering& in, const Line& l, Dim k, bool ascending, bool sorted = true) {
  if (k.is_constant()) {
    std::vector<MilArg> args = {{"x", l.x}, {"k", k.constant()}, {"axis", l.axis}, {"ascending", ascending}};
    if (in.at_least(mil::Target::iOS16)) {
      args.emplace_back("sort", sorted);
      args.emplace_back("return_indices", true);
    }
    if (in.at_least(mil::Target::iOS17)) args.emplace_back("output_indices_dtype", "int32");
    TRY(auto results, in.multi(mil_ops::topk, std::move(args)));
    return Ordered{results[0], results[1]};
  }
  TRY(Operand indices, in.op(mil_ops::argsort, {{"x", l.x}, {"axis", l.axis}, {"ascending", ascending}}));
  in.with_shape(indices, in.shape_of(l.x));
  TRY(indices, slice(in, indices, l.axis, 0, k));
  Shape shape = in.shape_of(l.x);
  shape[static_cast<size_t>(l.axis)] = k;
  in.with_shape(indices, shape);
  TRY(Operand values, along(in, l, indices));
  return Ordered{values, indices};
}

// Core ML does not say in which order it puts equal elements. The place of an element is the number of elements before it,
// and these places are all different.
Result<Ordered> stable_order(Lowering& in, const Line& l, bool ascending) {
  const Dim n = l.size;
  Dim lines(1);
  for (size_t i = 0; i < in.shape_of(l.x).size(); ++i)
    if (static_cast<int64_t>(i) != l.axis) lines = in.dim_table().mul(lines, in.shape_of(l.x)[i]);
  const auto least = [&](Dim d) { return std::max<int64_t>(in.dim_table().range(d).low, 1); };
  const int64_t most = in.dim_table().range(n).high;
  if (most > kMostRow || least(lines) > kMostComparisons / (most * most))
    return in.reject(DiagKind::UnsupportedShape, "a stable sort of this size is not possible: Core ML leaves the order of equal elements open",
                     n.is_constant() ? "drop stable=True, or sort fewer elements" : "drop stable=True, or export with a smaller upper bound of the size");
  const int rank = in.rank_of(l.x);
  TRY(Operand last, move_axis(in, l.x, l.axis, rank - 1));
  const Shape shape = in.shape_of(last);
  TRY(Operand rows, in.reshape(last, {lines, n}));
  TRY(Operand mine, in.unsqueeze(rows, {2}));    // [lines, i, 1]
  TRY(Operand other, in.unsqueeze(rows, {1}));   // [lines, 1, j]
  TRY(Operand smaller, in.op(ascending ? mil_ops::less : mil_ops::greater, {{"x", other}, {"y", mine}}));
  TRY(Operand same, in.op(mil_ops::equal, {{"x", other}, {"y", mine}}));
  TRY(Operand place, counting(in, n));
  TRY(Operand row, in.unsqueeze(place, {0, 2}));
  TRY(Operand column, in.unsqueeze(place, {0, 1}));
  TRY(Operand earlier, in.op(mil_ops::less, {{"x", column}, {"y", row}}));
  TRY(same, in.op(mil_ops::logical_and, {{"x", same}, {"y", earlier}}));
  TRY(Operand before, in.op(mil_ops::logical_or, {{"x", smaller}, {"y", same}}));
  TRY(Operand counts, in.cast(before, DType::I32));
  TRY(Operand places, in.op(mil_ops::reduce_sum, {{"x", counts}, {"axes", std::vector<int64_t>{2}}, {"keep_dims", false}}));
  in.with_shape(places, {lines, n});
  Line order{places, 1, n, false, false};
  TRY(Ordered found, top(in, order, n, true));
  TRY(Operand indices, in.reshape(found.indices, shape));
  TRY(indices, move_axis(in, indices, rank - 1, l.axis));
  TRY(Operand values, along(in, l, indices));
  return Ordered{values, indices};
}

Result<Results> finish(Lowering& in, const Line& l, Ordered o, bool values, bool indices) {
  std::vector<Operand> out;
  if (values) {
    TRY(Operand v, in.reshape(o.values, in.result_type(0).shape));
    if (l.was_bool) {
      TRY(v, as_bool(in, v));
    }
    out.push_back(v);
  }
  if (indices) {
    TRY(Operand i, in.reshape(o.indices, in.result_type(values ? 1 : 0).shape));
    out.push_back(i);
  }
  return Results(out);
}

Lowered topk(Lowering& in) {
  TRY(const Line l, line(in));
  TRY(const Dim k, in.dim("k"));
  TRY(Ordered o, top(in, l, k, !in.boolean("largest"), in.boolean("sorted")));
  return finish(in, l, o, true, true);
}

// `indices` is the position of the indices among the results.
Lowered sorted(Lowering& in, bool values, size_t indices) {
  TRY(const Line l, line(in));
  const bool stable = in.boolean("stable") && in.result_used(indices) && l.size != Dim(1);
  TRY(Ordered o, stable ? stable_order(in, l, !in.boolean("descending")) : top(in, l, l.size, !in.boolean("descending")));
  return finish(in, l, o, values, true);
}

Lowered sorted_pair(Lowering& in) { return sorted(in, true, 1); }
Lowered sorted_indices(Lowering& in) { return sorted(in, false, 0); }

Lowered sorted_rows(Lowering& in) {
  TRY(const Line l, line(in, false));
  TRY(Ordered o, top(in, l, l.size, true));
  return finish(in, l, o, true, false);
}

// The k-th smallest element, counted from 1, as the last of the k smallest.
Result<Ordered> kth(Lowering& in, const Line& l, Dim k) {
  if (k.is_constant() && l.size.is_constant() && (k.constant() < 1 || k.constant() > l.size.constant()))
    return in.reject(DiagKind::BadProgram, fmt::format("there is no element {} of {}", k.constant(), l.size.constant()));
  TRY(Ordered o, top(in, l, k, true));
  const Dim last = in.dim_table().sub(k, 1);
  TRY(o.values, one_at(in, o.values, l.axis, last));
  TRY(o.indices, one_at(in, o.indices, l.axis, last));
  return o;
}

Lowered kth_value(Lowering& in) {
  TRY(const Line l, line(in));
  TRY(const int64_t k, in.integer("k"));
  TRY(Ordered o, kth(in, l, k));
  return finish(in, l, o, true, true);
}

// NaN anywhere in a line is its median, as in torch.
Result<Ordered> spread_nan(Lowering& in, const Line& l, Ordered o) {
  if (!is_float(in.dtype_of(l.x))) return o;
  TRY(Operand nan, in.op(mil_ops::not_equal, {{"x", l.x}, {"y", l.x}}));
  TRY(Operand bits, in.cast(nan, DType::I32));
  const std::vector<int64_t> axes = {l.axis};
  TRY(Operand any, in.op(mil_ops::reduce_max, {{"x", bits}, {"axes", axes}, {"keep_dims", true}}));
  TRY(any, as_bool(in, any));
  TRY(o.values, select(in, any, in.constant(std::numeric_limits<double>::quiet_NaN(), in.dtype_of(l.x)), o.values, in.shape_of(o.values)));
  if (in.result_used(1)) {
    // The position in a tensor of one axis is not safe on devices; that in a matrix of one row is.
    const bool row = in.shape_of(bits).size() == 1;
    if (row) {
      TRY(bits, in.reshape(bits, {1, l.size}));
    }
    TRY(Operand at, in.op(mil_ops::reduce_argmax, {{"x", bits}, {"axis", row ? int64_t{1} : l.axis}, {"keep_dims", true}}));
    if (row) {
      TRY(at, in.reshape(at, {1}));
    }
    TRY(o.indices, select(in, any, at, o.indices, in.shape_of(o.indices)));
  }
  return o;
}

Result<Line> whole_line(Lowering& in) {
  TRY(Line l, line(in, false));
  TRY(l.x, in.reshape(l.x, {product(in, in.shape_of(l.x), 0, in.shape_of(l.x).size())}));
  l.size = in.shape_of(l.x)[0];
  return l;
}

Lowered median(Lowering& in, bool has_dim) {
  TRY(const Line l, has_dim ? line(in) : whole_line(in));
  DimTable& dims = in.dim_table();
  TRY(Ordered o, kth(in, l, dims.floordiv(dims.add(l.size, 1), 2)));
  TRY(o, spread_nan(in, l, o));
  return finish(in, l, o, true, has_dim);
}

Lowered data_dependent(Lowering& in) {
  return in.reject(DiagKind::UnsupportedShape, "the size of the result depends on the data", "keep it outside the Core ML part");
}

Lowered no_mode(Lowering& in) {
  return in.reject(DiagKind::UnsupportedOp, "Core ML has no op that counts equal elements", "the operator stays on the CPU");
}

// --- search

// How many of the sorted numbers come before each x: those that are smaller, or not greater for `right`.
Lowered search(Lowering& in, std::string_view sequence, std::string_view values, bool right) {
  TRY(const Pair p, operand_pair(in, values, sequence, true));
  Operand x = p.x, sorted = p.y;
  if (in.has("sorter")) {
    TRY(Operand order, in.tensor("sorter"));
    TRY(sorted, in.op(mil_ops::gather_along_axis, {{"x", sorted}, {"indices", order}, {"axis", static_cast<int64_t>(in.rank_of(sorted)) - 1}}));
  }
  if (in.rank_of(sorted) == 0) return in.reject(DiagKind::BadProgram, "searches in a number");
  const Shape shape = in.shape_of(x);
  // One axis more than x has: beyond rank 5, or beside a flat sequence, x is flattened.
  const bool flat = in.rank_of(sorted) == 1;
  if (!flat && shape.size() >= 5) return in.reject(DiagKind::UnsupportedRank, "a search in rank 5");
  if (flat) {
    TRY(x, in.reshape(x, {product(in, shape, 0, shape.size())}));
  }
  TRY(x, in.unsqueeze(x, {in.rank_of(x)}));
  TRY(sorted, in.unsqueeze(sorted, {std::max(in.rank_of(sorted) - 1, 0)}));
  TRY(Operand behind, in.op(right ? mil_ops::greater : mil_ops::greater_equal, {{"x", sorted}, {"y", x}}));
  TRY(Operand before, in.op(mil_ops::logical_not, {{"x", behind}}));
  TRY(Operand ones, in.cast(before, DType::I32));
  TRY(Operand counts, in.op(mil_ops::reduce_sum, {{"x", ones}, {"axes", std::vector<int64_t>{-1}}, {"keep_dims", false}}));
  return in.reshape(counts, in.result_type().shape);
}

Lowered searched(Lowering& in) {
  return search(in, "sorted_sequence", "self", in.boolean("right") || in.str("side") == "right");
}

Lowered bucketized(Lowering& in) { return search(in, "boundaries", "self", in.boolean("right")); }

constexpr TorchOp kTable[] = {
    {.schema = "aten::topk(Tensor self, SymInt k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)",
     .lower = topk,
     .samples = "F[2,5] 3 -> F[2,3], i64[2,3]; F[2,5] 2 0 -> F[2,5], i64[2,5]; "
                "F[2,5] 3 -1 False -> F[2,3], i64[2,3]; F[n4,5] 3 -> F[n4,3], i64[n4,3]; "
                "I[5]{-99..99} 3 -> I[3], i64[3]"},
    {.schema = "aten::sort(Tensor self, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)", .lower = sorted_pair,
     .decompose = decompositions::sort,
     .samples = "F[2,5] -> F[2,5], i64[2,5]; F[4,3] 0 True -> F[4,3], i64[4,3]; I[5]{-99..99} -> I[5], i64[5]; "
                "F[n4,5] -> F[n4,5], i64[n4,5]"},
    {.schema = "aten::sort.stable(Tensor self, *, bool? stable, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)",
     .lower = sorted_pair, .decompose = decompositions::sort,
     .samples = "F[2,5] stable=True -> F[2,5], i64[2,5]; F[n4,5] stable=True -> F[n4,5], i64[n4,5]"},
    {.schema = "aten::argsort(Tensor self, int dim=-1, bool descending=False) -> Tensor", .lower = sorted_indices,
     .decompose = decompositions::argsort, .edge = "aten.sort.default",
     .samples = "F[2,5] -> i64[2,5]; F[4,3] 0 True -> i64[4,3]; F[n2,m5] -> i64[n2,m5]"},
    {.schema = "aten::argsort.stable(Tensor self, *, bool stable, int dim=-1, bool descending=False) -> Tensor", .lower = sorted_indices,
     .decompose = decompositions::argsort, .edge = "aten.sort.stable",
     .samples = "F[2,5] stable=True -> i64[2,5]; F[n2,5] stable=True -> i64[n2,5]"},
    {.schema = "aten::msort(Tensor self) -> Tensor", .lower = sorted_rows, .decompose = decompositions::msort,
     .edge = "aten.sort.default", .samples = "F[4,3]; F[n4,m3]"},
    {.schema = "aten::kthvalue(Tensor self, SymInt k, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)",
     .lower = kth_value, .decompose = decompositions::kthvalue,
     .samples = "F[2,5] 2 -> F[2], i64[2]; F[2,5] 2 1 True -> F[2,1], i64[2,1]; F[n2,m5] 2 -> F[n2], i64[n2]"},
    {.schema = "aten::median(Tensor self) -> Tensor", .lower = [](Lowering& in) { return median(in, false); },
     .decompose = decompositions::median,
     .samples = "F[5] -> F[]; F[2,3] -> F[]; I[5]{-99..99} -> I[]; F[n5] -> F[]"},
    {.schema = "aten::median.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
     .lower = [](Lowering& in) { return median(in, true); }, .decompose = decompositions::median,
     .samples = "F[5] 0 -> F[], i64[]; F[2,5] 1 -> F[2], i64[2]; F[2,5] 1 True -> F[2,1], i64[2,1]; "
                "F[n5] 0 -> F[], i64[]"},
    {.schema = "aten::mode(Tensor self, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)", .lower = no_mode,
     .samples = "I[2,7]{0..2} 1 -> I[2], i64[2] !unsupported-op"},
    {.schema = "aten::searchsorted.Tensor(Tensor sorted_sequence, Tensor self, *, bool out_int32=False, bool right=False, str? side=None, "
               "Tensor? sorter=None) -> Tensor",
     .lower = searched, .decompose = decompositions::searchsorted,
     .samples = "f32[5]{0,1,2,3,4} f32[2,3]{0..4} -> i64[2,3]; f32[5]{0,1,2,3,4} f32[3]{0..4} right=True -> i64[3]; "
                "i64[5]{0,1,2,3,4} i64[3]{0..4} out_int32=True -> i32[3]; "
                "f32[5]{0,1,2,3,4} f32[m2,k3]{0..4} -> i64[m2,k3]"},
    {.schema = "aten::searchsorted.Scalar(Tensor sorted_sequence, Scalar self, *, bool out_int32=False, bool right=False, str? side=None, "
               "Tensor? sorter=None) -> Tensor",
     .lower = searched, .samples = "f32[5]{0,1,2,3,4} 2.5 -> i64[]"},
    {.schema = "aten::bucketize.Tensor(Tensor self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor",
     .lower = bucketized, .decompose = decompositions::bucketize,
     .samples = "f32[2,3]{0..4} f32[5]{0,1,2,3,4} -> i64[2,3]; "
                "f32[3]{0..4} const f32[5]{0,1,2,3,4} right=True -> i64[3]; "
                "f32[n2,m3]{0..4} f32[5]{0,1,2,3,4} -> i64[n2,m3]"},
    {.schema = "aten::bucketize.Scalar(Scalar self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor",
     .lower = bucketized, .samples = "2.5 f32[5]{0,1,2,3,4} -> i64[]"},
    {.schema = "aten::_unique2(Tensor self, bool sorted=True, bool return_inverse=False, bool return_counts=False) -> (Tensor, Tensor, "
               "Tensor)",
     .lower = data_dependent, .samples = "f32[3]{1,2,1} -> f32[2], i64[0], i64[0] !unsupported-shape"},
    {.schema = "aten::unique_dim(Tensor self, int dim, bool sorted=True, bool return_inverse=False, bool return_counts=False) -> (Tensor, "
               "Tensor, Tensor)",
     .lower = data_dependent, .samples = "f32[3,1]{1,2,1} 0 -> f32[2,1], i64[3], i64[2] !unsupported-shape"},
    {.schema = "aten::unique_consecutive(Tensor self, bool return_inverse=False, bool return_counts=False, int? dim=None) -> (Tensor, "
               "Tensor, Tensor)",
     .lower = data_dependent, .samples = "f32[3]{1,1,2} -> f32[2], i64[0], i64[0] !unsupported-shape"},
};

}  // namespace

extern const std::span<const TorchOp> kSortingOps;
const std::span<const TorchOp> kSortingOps = kTable;

}  // namespace cortland::torch_ops
