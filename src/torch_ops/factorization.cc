// Inverses, determinants, Cholesky factors and linear systems. Core ML has none of them and neither has ExecuTorch, so they
// are computed while lowering when the matrix is a constant, and written out, step by step, when it has few rows.
#include <fmt/format.h>

#include <cmath>

#include "mil_ops/ops.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

constexpr int64_t kMostRows = 256, kMostElements = int64_t{1} << 18;

// ---- constants

using Matrix = std::vector<double>;  // row-major, n x n or n x m

struct Stack {
  int64_t n = 0;
  std::vector<Matrix> matrices;
};

Diagnostic not_constant(Lowering& in) {
  return in.reject(DiagKind::UnsupportedOp, "Core ML does not factorise matrices, and this one is known only at run time",
                   "compute it outside of the model, or from constants alone");
}

// A constant [..., rows, columns] as matrices.
Result<Stack> constant_matrices(Lowering& in, std::string_view name, bool square) {
  TRY(const Operand a, in.stored_tensor(name));
  const Weight* w = in.const_weight(a);
  const auto rank = w ? w->shape().size() : 0;
  if (!w || rank < 2 || !is_float(w->dtype())) return not_constant(in);
  const int64_t rows = w->shape()[rank - 2], columns = w->shape()[rank - 1];
  if ((square && rows != columns) || rows < 1 || columns < 1 || rows > kMostRows || w->elements() > kMostElements)
    return not_constant(in);
  const auto values = w->to_floats();
  Stack s{rows, {}};
  for (size_t at = 0; at < values.size(); at += static_cast<size_t>(rows * columns))
    s.matrices.emplace_back(values.begin() + static_cast<std::ptrdiff_t>(at),
                            values.begin() + static_cast<std::ptrdiff_t>(at) + rows * columns);
  return s;
}

// Solves a x = b for every column of b by elimination with the largest pivots. Gives the determinant of a; 0 leaves b as it
// is.
double solve(Matrix a, Matrix& b, int64_t n, int64_t columns) {
  const auto at = [](int64_t row, int64_t column, int64_t width) { return static_cast<size_t>(row * width + column); };
  double determinant = 1;
  for (int64_t k = 0; k < n; ++k) {
    int64_t best = k;
    for (int64_t r = k + 1; r < n; ++r)
      if (std::abs(a[at(r, k, n)]) > std::abs(a[at(best, k, n)])) best = r;
    const double pivot = a[at(best, k, n)];
    if (pivot == 0 || std::isnan(pivot)) return 0;
    if (best != k) {
      determinant = -determinant;
      for (int64_t c = 0; c < n; ++c) std::swap(a[at(k, c, n)], a[at(best, c, n)]);
      for (int64_t c = 0; c < columns; ++c) std::swap(b[at(k, c, columns)], b[at(best, c, columns)]);
    }
    determinant *= pivot;
    for (int64_t r = 0; r < n; ++r) {
      if (r == k) continue;
      const double factor = a[at(r, k, n)] / pivot;
      for (int64_t c = k; c < n; ++c) a[at(r, c, n)] -= factor * a[at(k, c, n)];
      for (int64_t c = 0; c < columns; ++c) b[at(r, c, columns)] -= factor * b[at(k, c, columns)];
    }
  }
  for (int64_t r = 0; r < n; ++r)
    for (int64_t c = 0; c < columns; ++c) b[at(r, c, columns)] /= a[at(r, r, n)];
  return determinant;
}

// The results, the first of them `values` in the shape that torch recorded. Status results are 0: all went well.
Lowered constant_results(Lowering& in, const std::vector<float>& values, bool info) {
  const TensorType& type = in.result_type();
  if (!type.is_static() || type.elements() != static_cast<int64_t>(values.size())) return not_constant(in);
  std::vector<Operand> out = {in.constant(Weight::of<float>(DType::F32, sizes(type.shape), values))};
  const size_t last = in.node().results.size() - 1;
  out.resize(last + 1);
  if (info && last > 0) {
    const TensorType& flags = in.result_type(last);
    if (!flags.is_static()) return not_constant(in);
    const std::vector<int32_t> zeros(static_cast<size_t>(flags.elements().value_or(0)), 0);
    out[last] = in.constant(Weight::of<int32_t>(DType::I32, sizes(flags.shape), zeros));
  }
  return out;
}

Lowered inverted(Lowering& in, const char* name) {
  TRY(const Stack s, constant_matrices(in, name, true));
  std::vector<float> out;
  for (const Matrix& a : s.matrices) {
    Matrix unit(a.size(), 0);
    for (int64_t i = 0; i < s.n; ++i) unit[static_cast<size_t>(i * s.n + i)] = 1;
    if (solve(a, unit, s.n, s.n) == 0) return in.reject(DiagKind::UnsupportedArgument, "the matrix has no inverse");
    out.insert(out.end(), unit.begin(), unit.end());
  }
  return constant_results(in, out, true);
}

Lowered determinants(Lowering& in, const char* name) {
  TRY(const Stack s, constant_matrices(in, name, true));
  std::vector<float> out;
  for (const Matrix& a : s.matrices) {
    Matrix nothing;
    out.push_back(static_cast<float>(solve(a, nothing, s.n, 0)));
  }
  return constant_results(in, out, false);
}

Lowered cholesky(Lowering& in) {
  TRY(const Stack s, constant_matrices(in, "self", true));
  std::vector<float> out;
  const bool upper = in.boolean("upper");
  for (const Matrix& a : s.matrices) {
    Matrix l(a.size(), 0);
    const auto at = [&](int64_t row, int64_t column) { return static_cast<size_t>(row * s.n + column); };
    for (int64_t i = 0; i < s.n; ++i) {
      for (int64_t j = 0; j <= i; ++j) {
        double rest = upper ? a[at(j, i)] : a[at(i, j)];
        for (int64_t k = 0; k < j; ++k) rest -= l[at(i, k)] * l[at(j, k)];
        if (i == j && !(rest > 0)) return in.reject(DiagKind::UnsupportedArgument, "the matrix is not positive definite");
        l[at(i, j)] = i == j ? std::sqrt(rest) : rest / l[at(j, j)];
      }
    }
    for (int64_t i = 0; i < s.n; ++i)
      for (int64_t j = 0; j < s.n; ++j) out.push_back(static_cast<float>(upper ? l[at(j, i)] : l[at(i, j)]));
  }
  return constant_results(in, out, true);
}

Lowered refused(Lowering& in) {
  return in.reject(DiagKind::UnsupportedOp, "neither Core ML nor ExecuTorch factorises matrices",
                   "compute it outside of the model");
}

Lowered inverted_A(Lowering& in) { return inverted(in, "A"); }
Lowered inverted_self(Lowering& in) { return inverted(in, "self"); }
Lowered determinants_A(Lowering& in) { return determinants(in, "A"); }
Lowered determinants_self(Lowering& in) { return determinants(in, "self"); }

constexpr TorchOp kTable[] = {
    {.schema = "aten::_linalg_det(Tensor A) -> (Tensor result, Tensor LU, Tensor pivots)",
     .lower = determinants_A,
     .decompose = decompositions::determinant, .float32 = true,
     .samples = "f32[2,2]{2,1,1,3} -> f32[], _, _; f32[3,3]{4,1,0,1,5,2,0,2,6} -> f32[], _, _"},
    {.schema =
         "aten::_linalg_eigh(Tensor A, str UPLO='L', bool compute_v=True) -> (Tensor eigenvalues, Tensor eigenvectors)",
     .lower = refused,
     .samples = "f32[2,2]{2,1,1,3} -> f32[2], f32[2,2] !unsupported-op"},
    {.schema = "aten::_linalg_solve_ex(Tensor A, Tensor B, *, bool left=True, bool check_errors=False) -> (Tensor result, "
               "Tensor LU, Tensor "
               "pivots, Tensor info)",
     .lower = refused,
     .decompose = decompositions::solve, .float32 = true,
     .samples = "f32[2,2]{2,1,1,3} f32[2,1]{1,2} -> f32[2,1], _, _, _"},
    {.schema = "aten::_linalg_svd(Tensor A, bool full_matrices=False, bool compute_uv=True, *, str? driver=None) -> (Tensor "
               "U, Tensor S, Tensor Vh)",
     .lower = refused,
     .samples = "f32[2,2]{2,1,1,3} -> f32[2,2], f32[2], f32[2,2] !unsupported-op"},
    {.schema = "aten::cholesky(Tensor self, bool upper=False) -> Tensor", .lower = cholesky,
     .decompose = decompositions::cholesky, .float32 = true,
     .samples = "const f32[2,2]{2,1,1,3}; const f32[3,3]{4,1,0,1,5,2,0,2,6}; const f32[3,3]{4,1,0,1,5,2,0,2,6} upper=True; "
                "f32[3,3]{4,1,0,1,5,2,0,2,6}; f32[n2,1,1]{1..2}; f32[3,3]{4,1,0,1,5,2,0,2,6} upper=True"},
    {.schema = "aten::det(Tensor self) -> Tensor", .lower = determinants_self, .decompose = decompositions::determinant, .float32 = true,
     .samples = "f32[2,2]{2,1,1,3} -> f32[]; f32[3,3]{4,1,0,1,5,2,0,2,6} -> f32[]; f32[2,2,2]{2,1,1,3,4,1,2,3} -> f32[2]; "
                "f32[4,4]{0,1,0,2,1,0,2,0,0,2,1,1,3,0,1,0} -> f32[]; f32[n2,3,3] -> f32[n2]; f32[17,17] -> f32[] !unsupported-op"},
    {.schema = "aten::inverse(Tensor self) -> Tensor", .lower = inverted_self, .decompose = decompositions::inverse, .float32 = true,
     .samples = "f32[2,2]{2,1,1,3}; f32[3,3]{4,1,0,1,5,2,0,2,6}; f32[2,2,2]{2,1,1,3,4,1,2,3}"},
    {.schema = "aten::linalg_cholesky(Tensor self, *, bool upper=False) -> Tensor", .lower = cholesky,
     .decompose = decompositions::cholesky, .float32 = true,
     .samples = "const f32[2,2]{2,1,1,3}; const f32[3,3]{4,1,0,1,5,2,0,2,6}; const f32[3,3]{4,1,0,1,5,2,0,2,6} upper=True; "
                "f32[3,3]{4,1,0,1,5,2,0,2,6}; f32[n2,1,1]{1..2}; f32[3,3]{4,1,0,1,5,2,0,2,6} upper=True"},
    {.schema =
         "aten::linalg_cholesky_ex(Tensor self, *, bool upper=False, bool check_errors=False) -> (Tensor L, Tensor info)",
     .lower = cholesky,
     .decompose = decompositions::cholesky,
     .float32 = true,
     .samples = "f32[3,3]{4,1,0,1,5,2,0,2,6} -> f32[3,3], _; const f32[2,2]{2,1,1,3} -> f32[2,2], i32[]"},
    {.schema = "aten::linalg_det(Tensor A) -> Tensor", .lower = determinants_A, .decompose = decompositions::determinant, .float32 = true,
     .samples = "f32[2,2]{2,1,1,3} -> f32[]; f32[3,3]{4,1,0,1,5,2,0,2,6} -> f32[]"},
    {.schema = "aten::linalg_eigh(Tensor self, str UPLO='L') -> (Tensor eigenvalues, Tensor eigenvectors)",
     .lower = refused,
     .samples = "f32[2,2]{2,1,1,3} -> f32[2], f32[2,2] !unsupported-op"},
    {.schema = "aten::linalg_inv(Tensor A) -> Tensor", .lower = inverted_A, .decompose = decompositions::inverse, .float32 = true,
     .samples = "f32[2,2]{2,1,1,3}; f32[3,3]{4,1,0,1,5,2,0,2,6}; f32[2,2,2]{2,1,1,3,4,1,2,3}; f32[4,4]{4,1,0,2,1,5,2,0,0,2,6,1,3,0,1,7}; "
                "f32[4,4]{0,1,0,2,1,0,2,0,0,2,1,1,3,0,1,0}; f32[n2,1,1]{1..2}; f32[17,17] !unsupported-op"},
    {.schema = "aten::linalg_inv_ex(Tensor A, *, bool check_errors=False) -> (Tensor inverse, Tensor info)",
     .lower = inverted_A,
     .decompose = decompositions::inverse, .float32 = true,
     .samples = "f32[2,2]{2,1,1,3} -> f32[2,2], _; f32[3,3]{4,1,0,1,5,2,0,2,6} -> f32[3,3], _"},
    {.schema = "aten::linalg_lu_factor(Tensor A, *, bool pivot=True) -> (Tensor LU, Tensor pivots)", .lower = refused,
     .samples = "f32[2,2]{2,1,1,3} -> f32[2,2], i32[2] !unsupported-op"},
    {.schema = "aten::linalg_qr(Tensor A, str mode='reduced') -> (Tensor Q, Tensor R)", .lower = refused,
     .samples = "f32[2,2]{2,1,1,3} -> f32[2,2], f32[2,2] !unsupported-op"},
    {.schema = "aten::linalg_solve(Tensor A, Tensor B, *, bool left=True) -> Tensor",
     .lower = refused,
     .decompose = decompositions::solve, .float32 = true,
     .samples = "f32[2,2]{2,1,1,3} f32[2,1]{1,2} -> f32[2,1]; f32[3,3]{4,1,0,1,5,2,0,2,6} f32[3]{1,2,3} -> f32[3]; "
                "f32[4,4]{0,1,0,2,1,0,2,0,0,2,1,1,3,0,1,0} f32[4,2] -> f32[4,2]; f32[2,3,3]{4,1,0,1,5,2,0,2,6,1,1,0,1,2,2,0,2,3} f32[2,3,1] -> f32[2,3,1]"},
    {.schema = "aten::linalg_svd(Tensor A, bool full_matrices=True, *, str? driver=None) -> (Tensor U, Tensor S, Tensor Vh)",
     .lower = refused,
     .samples = "f32[2,2]{2,1,1,3} -> f32[2,2], f32[2], f32[2,2] !unsupported-op"},
};

}  // namespace

extern const std::span<const TorchOp> kFactorizationOps;
const std::span<const TorchOp> kFactorizationOps = kTable;

}  // namespace cortland::torch_ops
