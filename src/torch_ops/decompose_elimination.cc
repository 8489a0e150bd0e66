// Inverses, determinants, Cholesky factors and linear systems of small matrices, written out: the formulas with cofactors up
// to three rows, elimination with the largest pivots beyond. Matrices are [..., n, n], n a number.
#include <cmath>
#include <optional>
#include <utility>

#include "torch_ops/decompositions.h"
#include "torch_ops/steps.h"

namespace cortland::torch_ops::decompositions {

using V = Steps::V;

namespace {

constexpr int64_t kMostRows = 16;  // every one is some twenty operators

// ---- up to three rows

struct Small {
  int64_t n = 0;
  std::vector<V> at;  // elements [..., row, column], row-major
};

std::optional<Small> small(Steps& s, V a) {
  if (!a || s.rank(a) < 2 || !is_float(s.dtype(a))) return std::nullopt;
  const int64_t n = s.number_of(a, -2);
  if (!s.fits() || n != s.number_of(a, -1) || n < 1 || n > 3) return std::nullopt;
  Small m{n, {}};
  for (const V row : s.unbind(a, s.rank(a) - 2))
    for (const V element : s.unbind(row, s.rank(row) - 1)) m.at.push_back(element);
  return m;
}

// Row r and column c taken out, with the sign that goes with them.
V cofactor(Steps& s, const Small& m, int64_t r, int64_t c) {
  const auto at = [&](int64_t row, int64_t column) { return m.at[static_cast<size_t>((row % m.n) * m.n + column % m.n)]; };
  if (m.n == 1) return s.d.op("aten.ones_like.default", {{"self", m.at[0]}}, s.type(m.at[0]));
  if (m.n == 2) {
    const V other = at(r + 1, c + 1);
    return (r + c) % 2 == 0 ? other : s.unary("neg", other);
  }
  // Going round, the sign takes care of itself.
  return s.sub(s.mul(at(r + 1, c + 1), at(r + 2, c + 2)), s.mul(at(r + 1, c + 2), at(r + 2, c + 1)));
}

V determinant_of(Steps& s, const Small& m) {
  if (m.n == 1) return m.at[0];
  V sum;
  for (int64_t c = 0; c < m.n; ++c) {
    const V term = s.mul(m.at[static_cast<size_t>(c)], cofactor(s, m, 0, c));
    sum = sum ? s.add(sum, term) : term;
  }
  return sum;
}

Diagnostic too_large(Decomposition& d) { return d.reject("only matrices of up to 16 rows are written out"); }

V stacked(Steps& s, const std::vector<V>& parts, int dim) {
  Shape to = s.shape(parts[0]);
  to.insert(to.begin() + dim, Dim(static_cast<int64_t>(parts.size())));
  return s.d.op("aten.stack.default", {{"tensors", Steps::list(parts)}, {"dim", int64_t{dim}}}, {s.dtype(parts[0]), to});
}

V inverse_of(Steps& s, const Small& m) {
  const V all = determinant_of(s, m);
  std::vector<V> rows;
  for (int64_t r = 0; r < m.n; ++r) {
    std::vector<V> row;
    for (int64_t c = 0; c < m.n; ++c) row.push_back(s.div(cofactor(s, m, c, r), all));
    rows.push_back(stacked(s, row, s.rank(row[0])));
  }
  return stacked(s, rows, s.rank(rows[0]) - 1);
}

// ---- more rows

V rows(Steps& s, V a, int64_t begin, int64_t end) { return s.slice(a, s.rank(a) - 2, begin, end); }
V columns(Steps& s, V a, int64_t begin, int64_t end) { return s.slice(a, s.rank(a) - 1, begin, end); }
V transposed(Steps& s, V a) { return s.transpose(a, s.rank(a) - 2, s.rank(a) - 1); }

// The rows of a square matrix that can be written out.
std::optional<int64_t> few_rows(Steps& s, V a) {
  if (!a || s.rank(a) < 2 || !is_float(s.dtype(a))) return std::nullopt;
  const int64_t n = s.number_of(a, -2);
  if (!s.fits() || n != s.number_of(a, -1) || n < 1 || n > kMostRows) return std::nullopt;
  return n;
}

struct Eliminated {
  V rest;                 // [..., n, m]: A^-1 B of [A, B]
  std::vector<V> pivots;  // [...]
  V sign;                 // [...], of the order of the rows
};

// [A, B], n rows: the row with the largest pivot comes up, and its multiples are taken off the others. For the pivots alone
// those that are done with go, and a column of zeros is no harm.
Eliminated eliminate(Steps& s, V all, int64_t n, bool only_pivots) {
  Eliminated out;
  const int64_t width = s.number_of(all, -1);
  for (int64_t k = 0; k < n; ++k) {
    const V below = only_pivots ? all : rows(s, all, k, n);
    const int last = s.rank(below) - 1;
    const V sizes = s.unary("abs", s.select(below, last, k));
    const Shape lead(s.shape(sizes).begin(), s.shape(sizes).end() - 1);
    const V place = s.d.op("aten.argmax.default", {{"self", sizes}, {"dim", int64_t{last - 1}}, {"keepdim", true}},
                           {DType::I64, s.reduced(sizes, {last - 1}, true)});
    const V chosen = s.compare("eq", s.range(n - k), place);
    const V mask = s.cast(s.unsqueeze(chosen, last), s.dtype(all));
    const V row = s.reduce("sum", s.mul(below, mask), {last - 1}, true);
    const V moved = s.where(s.unsqueeze(chosen, last), rows(s, below, 0, 1), below, s.dtype(all));
    const V pivot = columns(s, row, k, k + 1);
    const V scaled = s.div(row, only_pivots ? s.where(s.compare("eq", pivot, 0.0), 1.0, pivot, s.dtype(row)) : pivot);
    out.pivots.push_back(s.view(pivot, lead));
    const V stays = s.compare("eq", s.view(place, lead), int64_t{0});
    const V turn = s.where(stays, 1.0, -1.0, s.dtype(all));
    out.sign = out.sign ? s.mul(out.sign, turn) : turn;
    std::vector<V> parts;
    const auto reduced = [&](V part) { parts.push_back(s.sub(part, s.mul(columns(s, part, k, k + 1), scaled))); };
    if (k > 0 && !only_pivots) reduced(rows(s, all, 0, k));
    if (!only_pivots) parts.push_back(scaled);
    if (k + 1 < n) reduced(rows(s, moved, 1, n - k));
    if (!parts.empty()) all = s.cat(parts, last - 1);
  }
  out.rest = only_pivots ? V{} : columns(s, all, n, width);
  return out;
}

V unit_like(Steps& s, V a, int64_t n) {
  std::vector<float> values(static_cast<size_t>(n * n), 0);
  for (int64_t i = 0; i < n; ++i) values[static_cast<size_t>(i * n + i)] = 1;
  return s.expand(s.floats({n, n}, values, s.dtype(a)), s.shape(a));
}

V solution(Steps& s, V a, V b, int64_t n) {
  const Shape batch =
      s.broadcast(Shape(s.shape(a).begin(), s.shape(a).end() - 2), Shape(s.shape(b).begin(), s.shape(b).end() - 2));
  const auto over_batch = [&](V v) {
    Shape to = batch;
    to.insert(to.end(), s.shape(v).end() - 2, s.shape(v).end());
    return s.expand(v, to);
  };
  return eliminate(s, s.cat({over_batch(a), over_batch(b)}, static_cast<int>(batch.size()) + 1), n, false).rest;
}

// Solves a x = b for a triangle `a`, row by row.
V substitute(Steps& s, V a, V b, int64_t n, bool upper, bool unit) {
  std::vector<V> solved(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    const int64_t k = upper ? n - 1 - i : i;
    V row = rows(s, b, k, k + 1);
    const V factors = rows(s, a, k, k + 1);
    for (int64_t j = upper ? n - 1 : 0; j != k; j += upper ? -1 : 1)
      row = s.sub(row, s.mul(columns(s, factors, j, j + 1), solved[static_cast<size_t>(j)]));
    solved[static_cast<size_t>(k)] = unit ? row : s.div(row, columns(s, factors, k, k + 1));
  }
  return s.cat(solved, s.rank(solved[0]) - 2);
}

V lower_factor(Steps& s, V a, int64_t n) {
  std::vector<V> parts;
  for (int64_t k = 0; k < n; ++k) {
    const V column = columns(s, a, 0, 1), factor = s.div(column, s.unary("sqrt", rows(s, column, 0, 1)));
    parts.push_back(s.pad(factor, {0, 0, k, 0}, 0.0));
    if (k + 1 == n) break;
    const V below = rows(s, factor, 1, n - k);
    a = s.sub(rows(s, columns(s, a, 1, n - k), 1, n - k), s.mul(below, transposed(s, below)));
  }
  return s.cat(parts, s.rank(a) - 1);
}

V matrix(Decomposition& d) { return d.tensor(d.has("A") ? "A" : "self"); }

// Status results: all went well.
Status give_info(Steps& s, size_t i) {
  if (!s.d.result_used(i)) return {};
  return s.give(i, s.full(s.d.result_type(i).shape, int64_t{0}, DType::I32));
}

V inverted(Steps& s, V a) {
  const auto n = few_rows(s, a);
  if (!n) return {};
  if (const auto m = small(s, a)) return inverse_of(s, *m);
  return solution(s, a, unit_like(s, a, *n), *n);
}

V product(Steps& s, V a, V b) {
  Shape to = s.shape(a);
  to.back() = s.size_of(b, -1);
  return s.d.op("aten.matmul.default", {{"self", a}, {"other", b}}, {s.dtype(a), to});
}

}  // namespace

Status inverse(Decomposition& d) {
  Steps s(d);
  const V result = inverted(s, matrix(d));
  if (!result) return too_large(d);
  TRY_DO(s.give(0, result));
  return give_info(s, 1);
}

Status determinant(Decomposition& d) {
  Steps s(d);
  const V a = matrix(d);
  const auto n = few_rows(s, a);
  if (!n || d.result_used(1) || d.result_used(2)) return too_large(d);
  if (const auto m = small(s, a)) return s.give(0, determinant_of(s, *m));
  const Eliminated e = eliminate(s, a, *n, true);
  V result = e.sign;
  for (const V pivot : e.pivots) result = s.mul(result, pivot);
  return s.give(0, result);
}

// The logarithm of the determinant's size, and its sign before that.
static Status log_determinant(Decomposition& d, bool with_sign) {
  Steps s(d);
  const V a = matrix(d);
  const auto n = few_rows(s, a);
  if (!n || d.result_used(2) || d.result_used(3)) return too_large(d);
  const Eliminated e = eliminate(s, a, *n, true);
  V sign = e.sign, sum;
  for (const V pivot : e.pivots) {
    sign = s.mul(sign, s.unary("sign", pivot));
    const V log = s.unary("log", s.unary("abs", pivot));
    sum = sum ? s.add(sum, log) : log;
  }
  if (!with_sign) return s.give(s.where(s.compare("lt", sign, 0.0), std::nan(""), sum, s.dtype(sum)));
  TRY_DO(s.give(0, sign));
  return s.give(1, sum);
}

Status logdet(Decomposition& d) { return log_determinant(d, false); }
Status slogdet(Decomposition& d) { return log_determinant(d, true); }

Status solve(Decomposition& d) {
  Steps s(d);
  const V a = d.tensor("A"), b = d.tensor("B");
  const auto n = few_rows(s, a);
  const bool left = !d.has("left") || d.boolean("left");
  if (!n || !b || !left || s.rank(b) < 1 || d.result_used(1) || d.result_used(2)) return too_large(d);
  const bool vector = s.rank(b) == s.rank(a) - 1;
  V right = vector ? s.unsqueeze(b, s.rank(b)) : b;
  if (s.rank(right) < 2) return too_large(d);
  const auto m = small(s, a);
  if (!m || s.rank(right) != s.rank(a))
    right = solution(s, a, right, *n);
  else
    right = product(s, inverse_of(s, *m), right);
  TRY_DO(s.give(0, vector ? s.squeeze(right, s.rank(right) - 1) : right));
  return give_info(s, 3);
}

Status cholesky(Decomposition& d) {
  Steps s(d);
  const V a = matrix(d);
  const auto n = few_rows(s, a);
  if (!n) return too_large(d);
  const bool upper = d.boolean("upper");
  const V factor = lower_factor(s, upper ? transposed(s, a) : a, *n);
  TRY_DO(s.give(0, upper ? transposed(s, factor) : factor));
  return give_info(s, 1);
}

Status solve_triangular(Decomposition& d) {
  Steps s(d);
  V a = d.tensor("self"), b = d.tensor("B");
  const auto n = few_rows(s, a);
  if (!n || !b || s.rank(b) != s.rank(a)) return too_large(d);
  const bool left = !d.has("left") || d.boolean("left");
  bool upper = d.boolean("upper");
  if (!left) a = transposed(s, a), b = transposed(s, b), upper = !upper;
  const V x = substitute(s, a, b, *n, upper, d.boolean("unitriangular"));
  return s.give(left ? x : transposed(s, x));
}

// `self` is what the triangle is solved for.
Status triangular_solve(Decomposition& d) {
  Steps s(d);
  V a = d.tensor("A"), b = d.tensor("self");
  const auto n = few_rows(s, a);
  if (!n || !b || s.rank(b) != s.rank(a)) return too_large(d);
  bool upper = !d.has("upper") || d.boolean("upper");
  const V given = a;
  if (d.boolean("transpose")) a = transposed(s, a), upper = !upper;
  TRY_DO(s.give(0, substitute(s, a, b, *n, upper, d.boolean("unitriangular"))));
  return d.result_used(1) ? s.give(1, given) : Status();
}

// A x = b, with the Cholesky factor of A.
Status cholesky_solve(Decomposition& d) {
  Steps s(d);
  const V b = d.tensor("self"), factor = d.tensor("input2");
  const auto n = few_rows(s, factor);
  if (!n || !b || s.rank(b) != s.rank(factor)) return too_large(d);
  const V low = d.boolean("upper") ? transposed(s, factor) : factor;
  return s.give(substitute(s, transposed(s, low), substitute(s, low, b, *n, false, false), *n, true, false));
}

Status cholesky_inverse(Decomposition& d) {
  Steps s(d);
  const V factor = d.tensor("self");
  const auto n = few_rows(s, factor);
  if (!n) return too_large(d);
  const V low = d.boolean("upper") ? transposed(s, factor) : factor;
  return s.give(
      substitute(s, transposed(s, low), substitute(s, low, unit_like(s, low, *n), *n, false, false), *n, true, false));
}

// By squaring; of the inverse when n is negative.
Status matrix_power(Decomposition& d) {
  Steps s(d);
  V a = matrix(d);
  const auto n = d.integer("n");
  constexpr int64_t kMost = 1024;
  if (!n || std::abs(*n) > kMost || s.rank(a) < 2) return d.reject("the power must be a number up to 1024");
  if (*n < 0) a = inverted(s, a);
  if (!a) return too_large(d);
  V result;
  for (int64_t rest = std::abs(*n); rest > 0; rest /= 2) {
    if (rest % 2 == 1) result = result ? product(s, result, a) : a;
    if (rest > 1) a = product(s, a, a);
  }
  if (result) return s.give(result);
  const auto few = few_rows(s, a);
  return few ? s.give(unit_like(s, a, *few)) : Status(too_large(d));
}

}  // namespace cortland::torch_ops::decompositions
