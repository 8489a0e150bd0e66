// Norms, distances between vectors, and the cross product.
#include "torch_ops/distance.h"

#include <algorithm>
#include <cmath>

#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"
#include "torch_ops/linear.h"

namespace cortland::torch_ops {

namespace {
using Ints = std::vector<int64_t>;
}  // namespace

Result<Operand> vector_norm(Lowering& in, Operand x, double order, const Ints& axes, bool keep) {
  const auto reduce = [&](const mil::MilOp& op, Operand v) { return in.op(op, {{"x", v}, {"axes", axes}, {"keep_dims", keep}}); };
  if (in.rank_of(x) == 0) {
    if (order != 0) return in.op(mil_ops::abs, {{"x", x}});
    TRY(Operand one, in.op(mil_ops::not_equal, {{"x", x}, {"y", 0.0}}));
    return in.cast(one, in.dtype_of(x));
  }
  if (order == 2) return reduce(mil_ops::reduce_l2_norm, x);
  if (order == 1) return reduce(mil_ops::reduce_l1_norm, x);
  if (order == 0) {
    TRY(Operand counted, in.op(mil_ops::not_equal, {{"x", x}, {"y", 0.0}}));
    TRY(counted, in.cast(counted, in.dtype_of(x)));
    return reduce(mil_ops::reduce_sum, counted);
  }
  TRY(Operand magnitude, in.op(mil_ops::abs, {{"x", x}}));
  if (std::isinf(order)) return reduce(order > 0 ? mil_ops::reduce_max : mil_ops::reduce_min, magnitude);
  // Powers leave float16 soon.
  TRY(magnitude, in.cast(magnitude, DType::F32));
  TRY(Operand powers, in.op(mil_ops::pow, {{"x", magnitude}, {"y", in.constant(order, DType::F32)}}));
  TRY(Operand sum, reduce(mil_ops::reduce_sum, powers));
  return in.op(mil_ops::pow, {{"x", sum}, {"y", in.constant(1 / order, DType::F32)}});
}

namespace {

// --- norms

Result<double> order_of(Lowering& in, std::string_view name) {
  if (!in.has(name)) return 2.0;
  return in.number(name);
}

Result<Operand> norm_argument(Lowering& in) { return float_tensor(in, "self"); }

// Norms of the whole tensor, or over `dim`.
Result<Operand> norm_over(Lowering& in, double order) {
  TRY(Operand x, norm_argument(in));
  TRY(const Ints axes, in.axes("dim", in.rank_of(x)));
  return vector_norm(in, x, order, axes, in.boolean("keepdim"));
}

Lowered lower_vector_norm(Lowering& in) {
  TRY(const double order, order_of(in, in.has("ord") ? "ord" : "p"));
  return norm_over(in, order);
}

Lowered lower_frobenius_norm(Lowering& in) { return norm_over(in, 2); }

// Frobenius, or the largest (smallest) sum of magnitudes of a column or row.
Result<Operand> matrix_norm(Lowering& in, Operand x, double order, const Ints& dims, bool keep) {
  const int64_t rows = dims[0], columns = dims[1];
  const bool by_column = std::abs(order) == 1;
  if (!by_column && !std::isinf(order))
    return in.reject_argument("ord", std::to_string(order), "Core ML has no singular values: use 'fro', 1, -1, inf or -inf");
  TRY(Operand sums, vector_norm(in, x, 1, {by_column ? rows : columns}, true));
  const mil::MilOp& pick = order > 0 ? mil_ops::reduce_max : mil_ops::reduce_min;
  TRY(Operand y, in.op(pick, {{"x", sums}, {"axes", Ints{by_column ? columns : rows}}, {"keep_dims", true}}));
  return keep ? Result<Operand>(y) : in.squeeze(y, dims);
}

Lowered lower_matrix_norm(Lowering& in) {
  TRY(Operand x, norm_argument(in));
  Ints dims = {in.rank_of(x) - 2, in.rank_of(x) - 1};
  if (in.has("dim")) {
    TRY(dims, in.axes("dim", in.rank_of(x)));
  }
  const std::string name = in.str("ord");
  if (name == "fro") return vector_norm(in, x, 2, dims, in.boolean("keepdim"));
  if (!name.empty()) return in.reject_argument("ord", name, "Core ML has no singular values: use 'fro', 1, -1, inf or -inf");
  if (!in.has("ord")) return vector_norm(in, x, 2, dims, in.boolean("keepdim"));
  TRY(const double order, in.number("ord"));
  return matrix_norm(in, x, order, dims, in.boolean("keepdim"));
}

// Of vectors or of matrices, as the number of axes says.
Lowered lower_linalg_norm(Lowering& in) {
  Ints dims;
  if (in.has("dim")) {
    TRY(dims, in.ints("dim"));
  }
  if (!in.has("ord") || dims.size() == 1 || (dims.empty() && in.rank("self") <= 1)) return lower_vector_norm(in);
  return lower_matrix_norm(in);
}

// --- distances

// One row for each row of x, one column for each row of y.
Result<Operand> distances(Lowering& in, Operand x, Operand y, double order) {
  constexpr int64_t kMostDifferences = int64_t{1} << 24;
  const Shape a = in.shape_of(x), b = in.shape_of(y);
  const TensorType all{DType::F32, {product(in, a, 0, a.size()), b[b.size() - 2]}};
  const bool large = order == 2 && all.elements().value_or(0) > kMostDifferences;
  if (!large && std::max(a.size(), b.size()) <= 4) {
    TRY(Operand left, in.unsqueeze(x, {static_cast<int64_t>(a.size()) - 1}));
    TRY(Operand right, in.unsqueeze(y, {static_cast<int64_t>(b.size()) - 2}));
    TRY(Operand difference, in.op(mil_ops::sub, {{"x", left}, {"y", right}}));
    return vector_norm(in, difference, order, {in.rank_of(difference) - 1}, false);
  }
  if (order != 2) return in.reject(DiagKind::UnsupportedRank, "distances of rank 5 tensors", "merge the batch axes");
  // |x|^2 + |y|^2 - 2 x.y, for tables too large to hold every difference.
  const auto squares = [&](Operand v) -> Result<Operand> {
    TRY(Operand vv, in.op(mil_ops::mul, {{"x", v}, {"y", v}}));
    return in.op(mil_ops::reduce_sum, {{"x", vv}, {"axes", Ints{-1}}, {"keep_dims", true}});
  };
  TRY(Operand xx, squares(x));
  TRY(Operand yy, squares(y));
  TRY(yy, move_axis(in, yy, in.rank_of(yy) - 1, in.rank_of(yy) - 2));
  TRY(Operand xy, matrix_product(in, x, y, true));
  TRY(xy, in.op(mil_ops::mul, {{"x", xy}, {"y", -2.0}}));
  TRY(Operand sum, in.op(mil_ops::add, {{"x", xx}, {"y", yy}}));
  TRY(sum, in.op(mil_ops::add, {{"x", sum}, {"y", xy}}));
  TRY(sum, in.op(mil_ops::maximum, {{"x", sum}, {"y", 0.0}}));
  return in.op(mil_ops::sqrt, {{"x", sum}});
}

Lowered lower_cdist(Lowering& in) {
  TRY(Operand x, in.tensor("x1"));
  TRY(Operand y, in.tensor("x2"));
  TRY(const double order, in.number("p"));
  return distances(in, x, y, order);
}

// Every pair of rows once.
Lowered lower_pdist(Lowering& in) {
  TRY(Operand x, in.tensor("self"));
  TRY(const double order, in.number("p"));
  const Dim rows = in.shape("self")[0];
  if (!rows.is_constant()) return in.reject(DiagKind::UnsupportedShape, "pairs of a dynamic number of rows", "export with a static size");
  Ints first, second;
  for (int64_t i = 0; i < rows.constant(); ++i)
    for (int64_t j = i + 1; j < rows.constant(); ++j) first.push_back(i), second.push_back(j);
  TRY(Operand left, in.op(mil_ops::gather, {{"x", x}, {"indices", in.constant(first)}, {"axis", 0}}));
  TRY(Operand right, in.op(mil_ops::gather, {{"x", x}, {"indices", in.constant(second)}, {"axis", 0}}));
  TRY(Operand difference, in.op(mil_ops::sub, {{"x", left}, {"y", right}}));
  return vector_norm(in, difference, order, {1}, false);
}

Lowered lower_dist(Lowering& in) {
  TRY(const Pair pair, operand_pair(in, "self", "other"));
  TRY(const double order, in.number("p"));
  TRY(Operand difference, in.op(mil_ops::sub, {{"x", pair.x}, {"y", pair.y}}));
  Ints axes;
  for (int i = 0; i < in.rank_of(difference); ++i) axes.push_back(i);
  return vector_norm(in, difference, order, axes, false);
}

Lowered lower_pairwise_distance(Lowering& in) {
  TRY(const Pair pair, operand_pair(in, "x1", "x2"));
  TRY(const double order, in.number("p"));
  TRY(const double eps, in.number("eps"));
  TRY(Operand difference, in.op(mil_ops::sub, {{"x", pair.x}, {"y", pair.y}}));
  TRY(difference, in.op(mil_ops::add, {{"x", difference}, {"y", eps}}));
  return vector_norm(in, difference, order, {in.rank_of(difference) - 1}, in.boolean("keepdim"));
}

// The sum of products of both vectors, each divided by its length.
Lowered lower_cosine_similarity(Lowering& in) {
  TRY(const Pair pair, operand_pair(in, "x1", "x2"));
  TRY(double eps, in.number("eps"));
  const int rank = std::max(in.rank("x1"), in.rank("x2"));
  TRY(const int64_t axis, in.axis("dim", rank));
  if (in.dtype_of(pair.x) == DType::F16) eps = std::max(eps, kLeastFloat16);
  const auto unit = [&](Operand v) -> Result<Operand> {
    Ints lead;
    for (int i = 0; i < rank - in.rank_of(v); ++i) lead.push_back(i);
    TRY(v, in.unsqueeze(v, lead));
    TRY(Operand length, vector_norm(in, v, 2, {axis}, true));
    TRY(length, in.op(mil_ops::maximum, {{"x", length}, {"y", number_like(in, eps, length)}}));
    return in.op(mil_ops::real_div, {{"x", v}, {"y", length}});
  };
  TRY(Operand x, unit(pair.x));
  TRY(Operand y, unit(pair.y));
  return sum_of_products(in, x, y, axis);
}

// (a1 b2 - a2 b1, a2 b0 - a0 b2, a0 b1 - a1 b0)
Lowered lower_cross(Lowering& in) {
  TRY(const Pair pair, operand_pair(in, "self", "other"));
  const int rank = std::max(in.rank("self"), in.rank("other"));
  const Shape& shape = in.result_type().shape;
  int64_t axis = std::find(shape.begin(), shape.end(), Dim(3)) - shape.begin();
  if (in.has("dim")) {
    TRY(axis, in.axis("dim", rank));
  }
  const auto rotated = [&](Operand v, int64_t by) -> Result<Operand> {
    const int64_t own = axis - (rank - in.rank_of(v));
    TRY(Operand head, slice(in, v, own, 0, by));
    TRY(Operand tail, slice(in, v, own, by, 3));
    return concat(in, {tail, head}, own);
  };
  TRY(Operand a1, rotated(pair.x, 1));
  TRY(Operand b2, rotated(pair.y, 2));
  TRY(Operand a2, rotated(pair.x, 2));
  TRY(Operand b1, rotated(pair.y, 1));
  TRY(Operand first, in.op(mil_ops::mul, {{"x", a1}, {"y", b2}}));
  TRY(Operand second, in.op(mil_ops::mul, {{"x", a2}, {"y", b1}}));
  return in.op(mil_ops::sub, {{"x", first}, {"y", second}});
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::_cdist_forward(Tensor x1, Tensor x2, float p, int? compute_mode) -> Tensor", .lower = lower_cdist,
     .samples = "f32[4,3] f32[5,3] 2 None -> f32[4,5]; f32[2,4,3] f32[2,5,3] 1 None -> f32[2,4,5]; "
                "f32[n4,m3] f32[k5,m3] 2 None -> f32[n4,k5]"},
    {.schema = "aten::_pdist_forward(Tensor self, float p=2.) -> Tensor", .lower = lower_pdist,
     .samples = "f32[5,3] -> f32[10]; f32[5,3] 1 -> f32[10]"},
    {.schema = "aten::cdist(Tensor x1, Tensor x2, float p=2., int? compute_mode=None) -> Tensor", .lower = lower_cdist,
     .decompose = decompositions::cdist, .edge = "aten._cdist_forward.default",
     .samples = "f32[4,3] f32[5,3] -> f32[4,5]; f32[2,4,3] f32[2,5,3] 1 -> f32[2,4,5]; "
                "f32[4,3] f32[5,3] inf -> f32[4,5]; f32[n4,m3] f32[k5,m3] -> f32[n4,k5]"},
    {.schema = "aten::cosine_similarity(Tensor x1, Tensor x2, int dim=1, float eps=1e-08) -> Tensor", .lower = lower_cosine_similarity,
     .decompose = decompositions::cosine_similarity,
     .samples = "F[4,3] F[4,3] -> F[4]; F[2,4,3] F[2,4,3] 2 -> F[2,4]; F[n4,m3] F[n4,m3] -> F[n4]"},
    {.schema = "aten::cross(Tensor self, Tensor other, int? dim=None) -> Tensor", .lower = lower_cross,
     .decompose = decompositions::cross, .samples = "F[4,3] F[4,3]; F[3,4] F[3,4] 0; F[n4,3] F[n4,3]"},
    {.schema = "aten::dist(Tensor self, Tensor other, Scalar p=2) -> Tensor", .lower = lower_dist,
     .samples = "F[2,3] F[2,3] -> F[]; F[2,3] F[2,3] 1 -> F[]; F[n2,m3] F[n2,m3] -> F[]"},
    {.schema = "aten::frobenius_norm.dim(Tensor self, int[1] dim, bool keepdim=False) -> Tensor", .lower = lower_frobenius_norm,
     .decompose = decompositions::frobenius_norm,
     .samples = "F[3,4] [0,1] -> F[]; F[2,3,4] [1] True -> F[2,1,4]; F[n3,m4] [0,1] -> F[]"},
    {.schema = "aten::linalg_cross(Tensor self, Tensor other, *, int dim=-1) -> Tensor", .lower = lower_cross,
     .decompose = decompositions::cross, .samples = "F[4,3] F[4,3]; F[3,4] F[3,4] dim=0; F[n4,3] F[n4,3]"},
    {.schema = "aten::linalg_matrix_norm(Tensor self, Scalar ord, int[] dim=[-2, -1], bool keepdim=False, *, ScalarType? dtype=None) -> "
               "Tensor",
     .lower = lower_matrix_norm,
     .samples = "f32[3,4] 1 -> f32[]; f32[3,4] inf -> f32[]; f32[3,4] 2 -> f32[] !unsupported-argument; "
                "f32[n3,4] 1 -> f32[]"},
    {.schema = "aten::linalg_matrix_norm.str_ord(Tensor self, str ord='fro', int[] dim=[-2, -1], bool keepdim=False, *, ScalarType? "
               "dtype=None) -> Tensor",
     .lower = lower_matrix_norm, .decompose = decompositions::matrix_norm,
     .samples = "f32[3,4] -> f32[]; f32[2,3,4] 'fro' [-2,-1] True -> f32[2,1,1]; "
                "f32[3,4] 'nuc' -> f32[] !unsupported-argument; f32[n3,m4] -> f32[]"},
    {.schema = "aten::linalg_norm(Tensor self, Scalar? ord=None, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> "
               "Tensor",
     .lower = lower_linalg_norm, .decompose = decompositions::linalg_norm,
     .samples = "f32[3,4] -> f32[]; f32[4] 1 -> f32[]; f32[2,3,4] 2 [1] True -> f32[2,1,4]; f32[4] inf -> f32[]; "
                "f32[n3,m4] -> f32[]"},
    {.schema = "aten::linalg_norm.ord_str(Tensor self, str ord, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> "
               "Tensor",
     .lower = lower_matrix_norm, .samples = "f32[3,4] 'fro' -> f32[]; f32[n3,m4] 'fro' -> f32[]"},
    {.schema = "aten::linalg_vector_norm(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> "
               "Tensor",
     .lower = lower_vector_norm, .decompose = decompositions::vector_norm,
     .samples = "F[*,3] -> F[]; F[2,3] 1 [1] -> F[2]; F[2,3] inf [0] True -> F[1,3]; F[2,3] 3 -> F[]; "
                "F[n4,3] 2 [1] -> F[n4]"},
    {.schema = "aten::norm.Scalar(Tensor self, Scalar p=2) -> Tensor", .lower = lower_vector_norm,
     .decompose = decompositions::p_norm, .samples = "F[2,3] -> F[]; F[2,3] 1 -> F[]; F[n2,m3] -> F[]"},
    {.schema = "aten::norm.ScalarOpt_dim(Tensor self, Scalar? p, int[1] dim, bool keepdim=False) -> Tensor", .lower = lower_vector_norm,
     .decompose = decompositions::p_norm,
     .samples = "F[2,3] 2 [1] -> F[2]; F[2,3] 1 [0] True -> F[1,3]; F[n2,m3] 2 [1] -> F[n2]"},
    {.schema = "aten::norm.ScalarOpt_dim_dtype(Tensor self, Scalar? p, int[1] dim, bool keepdim, *, ScalarType dtype) -> Tensor",
     .lower = lower_vector_norm, .decompose = decompositions::p_norm,
     .samples = "f32[2,3] 2 [1] True dtype=f32 -> f32[2,1]; f32[n2,m3] 2 [1] True dtype=f32 -> f32[n2,1]"},
    {.schema = "aten::norm.ScalarOpt_dtype(Tensor self, Scalar? p, *, ScalarType dtype) -> Tensor", .lower = lower_vector_norm,
     .samples = "f32[2,3] 2 dtype=f32 -> f32[]; f32[n2,m3] 2 dtype=f32 -> f32[]"},
    {.schema = "aten::pairwise_distance(Tensor x1, Tensor x2, float p=2., float eps=9.9999999999999995e-07, bool keepdim=False) -> "
               "Tensor",
     .lower = lower_pairwise_distance, .decompose = decompositions::pairwise_distance,
     .samples = "F[4,3] F[4,3] -> F[4]; F[4,3] F[4,3] 1 keepdim=True -> F[4,1]; F[n4,m3] F[n4,m3] -> F[n4]"},
    {.schema = "aten::pdist(Tensor self, float p=2.) -> Tensor", .lower = lower_pdist,
     .edge = "aten._pdist_forward.default", .samples = "f32[5,3] -> f32[10]; f32[5,3] 1 -> f32[10]"},
};

}  // namespace

extern const std::span<const TorchOp> kDistanceOps;
const std::span<const TorchOp> kDistanceOps = kTable;

}  // namespace cortland::torch_ops
