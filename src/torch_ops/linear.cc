// Matrix products: linear, matmul and their relatives.
#include "torch_ops/linear.h"

#include <algorithm>

#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"

namespace cortland::torch_ops {

Result<Operand> sum_of_products(Lowering& in, Operand x, Operand y, int64_t axis) {
  TRY(Operand products, in.op(mil_ops::mul, {{"x", x}, {"y", y}}));
  return in.op(mil_ops::reduce_sum, {{"x", products}, {"axes", std::vector<int64_t>{axis}}, {"keep_dims", false}});
}

namespace {

// Core ML multiplies no integer matrices: the products are formed and summed.
Result<Operand> integer_product(Lowering& in, Operand x, Operand y, bool transpose_y) {
  constexpr int64_t kMostProducts = int64_t{1} << 24;
  if (in.rank_of(x) > 4 || in.rank_of(y) > 4)
    return in.reject(DiagKind::UnsupportedRank, "a product of integer matrices of rank 5", "convert the operands to float");
  if (!transpose_y) {
    TRY(y, move_axis(in, y, in.rank_of(y) - 1, in.rank_of(y) - 2));
  }
  TRY(x, in.unsqueeze(x, {in.rank_of(x) - 1}));
  TRY(y, in.unsqueeze(y, {in.rank_of(y) - 2}));
  TRY(Operand products, in.op(mil_ops::mul, {{"x", x}, {"y", y}}));
  if (in.type(products).tensor.elements().value_or(0) > kMostProducts)
    return in.reject(DiagKind::UnsupportedDtype, "Core ML multiplies no integer matrices, and these are large", "convert the operands to float");
  return in.op(mil_ops::reduce_sum, {{"x", products}, {"axes", std::vector<int64_t>{in.rank_of(products) - 1}}, {"keep_dims", false}});
}

Result<Operand> add_to(Lowering& in, Operand x, Operand bias) {
  if (!bias) return x;
  return in.op(mil_ops::add, {{"x", x}, {"y", bias}});
}

}  // namespace

Result<Operand> matrix_product(Lowering& in, Operand x, Operand y, bool transpose_y, Operand bias) {
  if (!is_float(in.dtype_of(x))) {
    TRY(Operand sum, integer_product(in, x, y, transpose_y));
    return add_to(in, sum, bias);
  }
  if (in.rank_of(y) == 2 && in.rank_of(x) <= 4 && in.is_weight(y) && (transpose_y || y.is_const())) {
    if (!transpose_y) {
      TRY(y, in.transpose(y, {1, 0}));
    }
    const bool fused = bias && bias.is_const() && in.rank_of(bias) == 1;
    TRY(Operand product, in.op(mil_ops::linear, {{"x", x}, {"weight", y}, {"bias", fused ? bias : Operand()}}));
    return add_to(in, product, fused ? Operand() : bias);
  }
  TRY(Operand product, in.op(mil_ops::matmul, {{"x", x}, {"y", y}, {"transpose_x", false}, {"transpose_y", transpose_y}}));
  return add_to(in, product, bias);
}

Result<Operand> combine_along(Lowering& in, Operand x, size_t axis, int64_t out, const std::vector<float>& weights) {
  const int64_t n = in.shape_of(x)[axis].constant();
  TRY(Operand matrix, in.cast(in.constant(Weight::of<float>(DType::F32, {out, n}, weights)), in.dtype_of(x)));
  return combine_along(in, x, axis, Dim(out), matrix);
}

Result<Operand> combine_along(Lowering& in, Operand x, size_t axis, Dim out, Operand matrix) {
  const Shape shape = in.shape_of(x);
  if (axis + 1 == shape.size()) return matrix_product(in, x, matrix, true);
  // The axis becomes the last but one of a batch of matrices.
  TRY(x, in.reshape(x, {product(in, shape, 0, axis), shape[axis], product(in, shape, axis + 1, shape.size())}));
  TRY(x, in.op(mil_ops::matmul, {{"x", matrix}, {"y", x}, {"transpose_x", false}, {"transpose_y", false}}));
  Shape to = shape;
  to[axis] = out;
  return in.reshape(x, to);
}

namespace {

Lowered lower_linear(Lowering& in) {
  TRY(Operand x, in.tensor("input"));
  TRY(Operand weight, in.tensor("weight"));
  Operand bias;
  if (in.has("bias")) {
    TRY(bias, in.tensor("bias"));
  }
  const bool one_feature = in.rank("weight") == 1;
  const bool row = in.rank("input") == 1;
  if (one_feature) {
    TRY(weight, in.reshape(weight, {Dim(1), in.shape("weight")[0]}));
  }
  if (row) {
    TRY(x, in.unsqueeze(x, {0}));
  }
  TRY(Operand y, matrix_product(in, x, weight, true, bias));
  std::vector<int64_t> extra;
  if (row) extra.push_back(0);
  if (one_feature) extra.push_back(in.rank_of(y) - 1);
  return in.squeeze(y, extra);
}

// matmul, whose operands may be vectors: Core ML is only right about matrices.
Result<Operand> general_product(Lowering& in, Operand x, Operand y) {
  const bool row = in.rank_of(x) == 1, column = in.rank_of(y) == 1;
  if (row) {
    TRY(x, in.unsqueeze(x, {0}));
  }
  if (column) {
    TRY(y, in.unsqueeze(y, {1}));
  }
  TRY(Operand product, matrix_product(in, x, y));
  std::vector<int64_t> extra;
  if (row) extra.push_back(in.rank_of(product) - 2);
  if (column) extra.push_back(in.rank_of(product) - 1);
  return in.squeeze(product, extra);
}

// The two tensors `first` and `second` in one element type.
Result<Pair> factors(Lowering& in, std::string_view first, std::string_view second) {
  TRY(Operand x, in.tensor(first));
  TRY(Operand y, in.tensor(second));
  const bool floats = is_float(in.dtype_of(x)) || is_float(in.dtype_of(y));
  TRY(x, in.cast(x, floats ? in.compute() : DType::I32));
  TRY(y, in.cast(y, floats ? in.compute() : DType::I32));
  return Pair{x, y, !floats};
}

Lowered lower_matmul(Lowering& in) {
  TRY(const Pair p, factors(in, "self", in.has("mat2") ? "mat2" : "other"));
  return general_product(in, p.x, p.y);
}

Lowered lower_mv(Lowering& in) {
  TRY(const Pair p, factors(in, "self", "vec"));
  return general_product(in, p.x, p.y);
}

Lowered lower_dot(Lowering& in) {
  TRY(const Pair p, factors(in, "self", in.has("tensor") ? "tensor" : "other"));
  return general_product(in, p.x, p.y);
}

// alpha * product + beta * self, where self broadcasts.
Result<Operand> accumulate(Lowering& in, Operand product) {
  TRY(const double alpha, in.number("alpha"));
  TRY(const double beta, in.number("beta"));
  if (alpha != 1) {
    TRY(product, in.op(mil_ops::mul, {{"x", product}, {"y", number_like(in, alpha, product)}}));
  }
  if (beta == 0) return product;
  TRY(Operand self, in.tensor("self"));
  TRY(self, in.cast(self, in.dtype_of(product)));
  if (beta != 1) {
    TRY(self, in.op(mil_ops::mul, {{"x", self}, {"y", number_like(in, beta, self)}}));
  }
  return in.op(mil_ops::add, {{"x", product}, {"y", self}});
}

// A constant row that every row of the result gets: it can be the bias of `linear`.
Result<Operand> row_bias(Lowering& in, const Shape& result) {
  TRY(const double alpha, in.number("alpha"));
  TRY(const double beta, in.number("beta"));
  const Shape& shape = in.shape("self");
  const bool row = std::all_of(shape.begin(), shape.end() - std::min<std::ptrdiff_t>(1, static_cast<std::ptrdiff_t>(shape.size())), [](Dim d) { return d == Dim(1); });
  if (alpha != 1 || beta != 1 || !row || !result.back().is_constant()) return Operand();
  TRY(Operand self, in.tensor("self"));
  if (!self.is_const()) return Operand();
  TRY(self, in.reshape(self, {shape.empty() ? Dim(1) : shape.back()}));
  return in.expand(self, {result.back()});
}

Lowered lower_addmm(Lowering& in) {
  const bool batched = in.has("batch1");
  TRY(const Pair p, factors(in, batched ? "batch1" : "mat1", batched ? "batch2" : "mat2"));
  TRY(const Operand bias, row_bias(in, in.result_type().shape));
  if (bias && !p.integer) return matrix_product(in, p.x, p.y, false, bias);
  TRY(Operand product, matrix_product(in, p.x, p.y));
  return accumulate(in, product);
}

// Sum of a batch of products: one product of matrices laid side by side.
Lowered lower_addbmm(Lowering& in) {
  TRY(const Pair p, factors(in, "batch1", "batch2"));
  TRY(Operand product, matrix_product(in, p.x, p.y));
  TRY(product, in.op(mil_ops::reduce_sum, {{"x", product}, {"axes", std::vector<int64_t>{0}}, {"keep_dims", false}}));
  return accumulate(in, product);
}

Lowered lower_addmv(Lowering& in) {
  TRY(const Pair p, factors(in, "mat", "vec"));
  TRY(Operand product, general_product(in, p.x, p.y));
  return accumulate(in, product);
}

Result<Operand> outer(Lowering& in, Operand x, Operand y) {
  TRY(x, in.unsqueeze(x, {1}));
  TRY(y, in.unsqueeze(y, {0}));
  return in.op(mil_ops::mul, {{"x", x}, {"y", y}});
}

Lowered lower_outer(Lowering& in) {
  TRY(const Pair p, operand_pair(in, "self", "vec2"));
  return outer(in, p.x, p.y);
}

Lowered lower_addr(Lowering& in) {
  TRY(const Pair p, operand_pair(in, "vec1", "vec2"));
  TRY(Operand product, outer(in, p.x, p.y));
  return accumulate(in, product);
}

// Rows of both along their last axis.
Lowered lower_inner(Lowering& in) {
  TRY(const Pair p, factors(in, "self", "other"));
  if (in.rank("self") == 0 || in.rank("other") == 0) return in.op(mil_ops::mul, {{"x", p.x}, {"y", p.y}});
  const Shape &left = in.shape("self"), &right = in.shape("other");
  TRY(Operand x, in.reshape(p.x, {product(in, left, 0, left.size() - 1), left.back()}));
  TRY(Operand y, in.reshape(p.y, {product(in, right, 0, right.size() - 1), right.back()}));
  TRY(Operand all, matrix_product(in, x, y, true));
  return in.reshape(all, in.result_type().shape);
}

Lowered lower_vecdot(Lowering& in) {
  TRY(const Pair p, operand_pair(in, "x", "y"));
  const int rank = std::max(in.rank("x"), in.rank("y"));
  TRY(const int64_t axis, in.axis("dim", rank));
  return sum_of_products(in, p.x, p.y, axis);
}

Lowered lower_kron(Lowering& in) {
  TRY(const Pair p, operand_pair(in, "self", "other"));
  const auto rank = static_cast<size_t>(std::max(in.rank("self"), in.rank("other")));
  if (rank > 2) return in.reject(DiagKind::UnsupportedRank, "the Kronecker product of tensors of rank 3 or more needs rank 6", "reshape the operands to matrices");
  Shape left = in.shape("self"), right = in.shape("other");
  left.insert(left.begin(), rank - left.size(), 1);
  right.insert(right.begin(), rank - right.size(), 1);
  Shape wide, narrow;
  for (size_t i = 0; i < rank; ++i) {
    wide.insert(wide.end(), {left[i], Dim(1)});
    narrow.insert(narrow.end(), {Dim(1), right[i]});
  }
  TRY(Operand x, in.reshape(p.x, wide));
  TRY(Operand y, in.reshape(p.y, narrow));
  TRY(Operand products, in.op(mil_ops::mul, {{"x", x}, {"y", y}}));
  return in.reshape(products, in.result_type().shape);
}

Lowered lower_chain(Lowering& in) {
  TRY(auto factors, in.tensors(in.has("tensors") ? "tensors" : "matrices"));
  Operand product = factors[0];
  for (size_t i = 1; i < factors.size(); ++i) {
    TRY(product, general_product(in, product, factors[i]));
  }
  return product;
}

// y[..., o] = sum of x1[..., i] * weight[o, i, j] * x2[..., j]
Lowered lower_bilinear(Lowering& in) {
  TRY(Operand x1, in.tensor("input1"));
  TRY(Operand x2, in.tensor("input2"));
  TRY(Operand weight, in.tensor("weight"));
  const Shape w = in.shape("weight"), &batch = in.shape("input1");
  const Dim rows = product(in, batch, 0, batch.size() - 1), features = in.dim_table().mul(w[0], w[1]);
  TRY(weight, in.reshape(weight, {features, w[2]}));
  TRY(x2, in.reshape(x2, {rows, w[2]}));
  TRY(Operand mixed, matrix_product(in, x2, weight, true));
  TRY(mixed, in.reshape(mixed, {rows, w[0], w[1]}));
  TRY(x1, in.reshape(x1, {rows, w[1], Dim(1)}));
  TRY(Operand y, matrix_product(in, mixed, x1));
  TRY(y, in.reshape(y, in.result_type().shape));
  if (!in.has("bias")) return y;
  TRY(Operand bias, in.tensor("bias"));
  return in.op(mil_ops::add, {{"x", y}, {"y", bias}});
}

Lowered lower_trilinear(Lowering& in) {
  Operand all;
  for (const auto& [tensor, axes] : {std::pair{"i1", "expand1"}, {"i2", "expand2"}, {"i3", "expand3"}}) {
    TRY(Operand x, in.tensor(tensor));
    TRY(const auto added, in.ints(axes));
    TRY(x, in.unsqueeze(x, added));
    if (!all) {
      all = x;
    } else {
      TRY(all, in.op(mil_ops::mul, {{"x", all}, {"y", x}}));
    }
  }
  TRY(const auto summed, in.ints("sumdim"));
  return in.op(mil_ops::reduce_sum, {{"x", all}, {"axes", summed}, {"keep_dims", false}});
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::_trilinear(Tensor i1, Tensor i2, Tensor i3, int[] expand1, int[] expand2, int[] expand3, int[] sumdim, int "
               "unroll_dim=1) -> Tensor",
     .lower = lower_trilinear,
     .samples = "F[4,2] const F[5,2,3] F[4,3] [1,3] [0] [1,2] [2,3] -> F[4,5]; "
                "F[n4,2] const F[5,2,3] F[n4,3] [1,3] [0] [1,2] [2,3] -> F[n4,5]"},
    {.schema = "aten::addbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor", .lower = lower_addbmm,
     .decompose = decompositions::addbmm,
     .samples = "F[3,5] F[2,3,4] F[2,4,5]; F[3,5] F[2,3,4] F[2,4,5] beta=0.5 alpha=2; "
                "F[n3,m5] F[k2,n3,p4] F[k2,p4,m5]"},
    {.schema = "aten::addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor", .lower = lower_addmm,
     .samples = "F[3,5] F[3,4] F[4,5]; const F[5] F[3,4] const F[4,5] -> F[3,5]; "
                "F[5] F[3,4] F[4,5] beta=0.5 alpha=2 -> F[3,5]; F[5] F[n4,3] F[3,5] -> F[n4,5]; I[3,5] I[3,4] I[4,5]"},
    {.schema = "aten::addmv(Tensor self, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) -> Tensor", .lower = lower_addmv,
     .decompose = decompositions::addmv,
     .samples = "F[3] F[3,4] F[4]; F[3] F[3,4] F[4] beta=0.5 alpha=2; F[n3] F[n3,m4] F[m4]"},
    {.schema = "aten::addr(Tensor self, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1) -> Tensor", .lower = lower_addr,
     .decompose = decompositions::addr,
     .samples = "F[3,4] F[3] F[4]; F[3,4] F[3] F[4] beta=0.5 alpha=2; F[n3,m4] F[n3] F[m4]"},
    {.schema = "aten::baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor", .lower = lower_addmm,
     .decompose = decompositions::baddbmm,
     .samples = "F[2,3,5] F[2,3,4] F[2,4,5]; F[2,3,5] F[2,3,4] F[2,4,5] beta=0.5 alpha=2; "
                "F[n2,m3,k5] F[n2,m3,p4] F[n2,p4,k5]"},
    {.schema = "aten::bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None) -> Tensor", .lower = lower_bilinear,
     .decompose = decompositions::bilinear,
     .samples = "F[4,2] F[4,3] const F[5,2,3] const F[5] -> F[4,5]; "
                "F[n4,2] F[n4,3] const F[5,2,3] const F[5] -> F[n4,5]"},
    {.schema = "aten::bmm(Tensor self, Tensor mat2) -> Tensor", .lower = lower_matmul,
     .decompose = decompositions::product_of_nothing,
     .samples = "F[2,3,4] F[2,4,5] -> F[2,3,5]; F[b2,n3,4] F[b2,4,5] -> F[b2,n3,5]"},
    {.schema = "aten::chain_matmul(Tensor[] matrices) -> Tensor", .lower = lower_chain,
     .samples = "[F[2,3], F[3,4], F[4,5]] -> F[2,5]"},
    {.schema = "aten::dot(Tensor self, Tensor tensor) -> Tensor", .lower = lower_dot,
     .decompose = decompositions::dot, .samples = "F[4] F[4] -> F[]; I[4] I[4] -> I[]; F[n4] F[n4] -> F[]"},
    {.schema = "aten::ger(Tensor self, Tensor vec2) -> Tensor", .lower = lower_outer,
     .decompose = decompositions::outer,
     .samples = "F[3] F[4] -> F[3,4]; I[3] I[4] -> I[3,4]; F[n3] F[m4] -> F[n3,m4]"},
    {.schema = "aten::inner(Tensor self, Tensor other) -> Tensor", .lower = lower_inner,
     .decompose = decompositions::inner,
     .samples = "F[2,3] F[4,3] -> F[2,4]; F[3] F[3] -> F[]; F[n2,m3] F[k4,m3] -> F[n2,k4]"},
    {.schema = "aten::kron(Tensor self, Tensor other) -> Tensor", .lower = lower_kron,
     .decompose = decompositions::kron, .samples = "F[2,3] F[2,2] -> F[4,6]"},
    {.schema = "aten::linalg_matmul(Tensor self, Tensor other) -> Tensor", .same_as = "aten.matmul.default",
     .samples = "F[2,3,4] F[4,5] -> F[2,3,5]; F[n2,m3,k4] F[k4,p5] -> F[n2,m3,p5]"},
    {.schema = "aten::linalg_multi_dot(Tensor[] tensors) -> Tensor", .lower = lower_chain,
     .samples = "[F[2,3], F[3,4], F[4,5]] -> F[2,5]"},
    {.schema = "aten::linalg_vecdot(Tensor x, Tensor y, *, int dim=-1) -> Tensor", .lower = lower_vecdot,
     .decompose = decompositions::vecdot,
     .samples = "F[4,3] F[4,3] -> F[4]; F[4,3] F[4,3] dim=0 -> F[3]; F[n4,m3] F[n4,m3] -> F[n4]"},
    {.schema = "aten::linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor", .lower = lower_linear,
     .decompose = decompositions::linear,
     .samples = "F[*,4] const F[5,4] const F[5] -> F[*,5]; F[2,4] const F[5,4] -> F[2,5]; "
                "F[2,4] F[5,4] F[5] -> F[2,5]"},
    {.schema = "aten::matmul(Tensor self, Tensor other) -> Tensor", .lower = lower_matmul,
     .decompose = decompositions::matmul,
     .samples = "F[*,3,4] F[4,5] -> F[*,3,5]; F[2,3,4] F[2,4,5] -> F[2,3,5]; F[4] F[4] -> F[]; F[3,4] F[4] -> F[3]; "
                "F[b2,n3,4] F[4,5] -> F[b2,n3,5]; I[3,4] I[4,5] -> I[3,5]"},
    {.schema = "aten::mm(Tensor self, Tensor mat2) -> Tensor", .lower = lower_matmul,
     .decompose = decompositions::product_of_nothing,
     .samples = "F[3,4] F[4,5] -> F[3,5]; F[n3,4] const F[4,5] -> F[n3,5]; I[3,4] I[4,5] -> I[3,5]"},
    {.schema = "aten::mv(Tensor self, Tensor vec) -> Tensor", .lower = lower_mv,
     .decompose = decompositions::matrix_vector, .samples = "F[3,4] F[4] -> F[3]; F[n3,m4] F[m4] -> F[n3]"},
    {.schema = "aten::outer(Tensor self, Tensor vec2) -> Tensor", .lower = lower_outer,
     .decompose = decompositions::outer,
     .samples = "F[3] F[4] -> F[3,4]; I[3] I[4] -> I[3,4]; F[n3] F[m4] -> F[n3,m4]"},
    {.schema = "aten::vdot(Tensor self, Tensor other) -> Tensor", .lower = lower_dot,
     .decompose = decompositions::dot, .samples = "F[4] F[4] -> F[]; I[4] I[4] -> I[]; F[n4] F[n4] -> F[]"},
};

}  // namespace

extern const std::span<const TorchOp> kLinearOps;
const std::span<const TorchOp> kLinearOps = kTable;

}  // namespace cortland::torch_ops
