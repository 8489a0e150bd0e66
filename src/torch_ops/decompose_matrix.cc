// Products of matrices and attention, in terms of mm, bmm and addmm.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "torch_ops/decompositions.h"
#include "torch_ops/equation.h"
#include "torch_ops/steps.h"

namespace cortland::torch_ops::decompositions {

using V = Steps::V;
using torch::Arg;

// ---- matmul

// Matrices [..., n, k] x [..., k, m] of rank 2 and more.
static V multiply(Steps& s, V a, V b) {
  if (s.rank(a) == 2 && s.rank(b) == 2) return s.mm(a, b);
  if (!s.expect(s.rank(a) >= 2 && s.rank(b) >= 2)) return a;
  const Shape& sa = s.shape(a);
  const Shape& sb = s.shape(b);
  const Dim n = s.size_of(a, -2), k = s.size_of(a, -1), m = s.size_of(b, -1);
  if (sb.size() == 2) {
    Shape to = sa;
    to.back() = m;
    return s.view(s.mm(s.view(a, {s.product(sa, 0, sa.size() - 1), k}), b), to);
  }
  const Shape batch = s.broadcast(Shape(sa.begin(), sa.end() - 2), Shape(sb.begin(), sb.end() - 2));
  const Dim count = s.product(batch);
  auto flat = [&](V v, Dim rows, Dim columns) {
    Shape to = batch;
    to.push_back(rows), to.push_back(columns);
    return s.view(s.expand(v, to), {count, rows, columns});
  };
  Shape to = batch;
  to.push_back(n), to.push_back(m);
  return s.view(s.bmm(flat(a, n, k), flat(b, k, m)), to);
}

Status matmul(Decomposition& d) {
  Steps s(d);
  V a = d.tensor("self"), b = d.tensor("other");
  if (s.rank(a) == 0 || s.rank(b) == 0) return d.reject("numbers have no matrix product");
  if (s.rank(a) == 1) a = s.unsqueeze(a, 0);
  if (s.rank(b) == 1) b = s.unsqueeze(b, 1);
  return s.give(s.view(multiply(s, a, b), d.result_type().shape));
}

// Sums of no products.
Status product_of_nothing(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  if (s.rank(x) == 0 || s.shape(x).back() != Dim(0)) return d.reject("there is something to add up");
  return s.give(s.full(d.result_type().shape, 0.0, d.result_type().dtype));
}

Status matrix_vector(Decomposition& d) {
  Steps s(d);
  return s.give(s.squeeze(s.mm(d.tensor("self"), s.unsqueeze(d.tensor("vec"), 1)), 1));
}

Status dot(Decomposition& d) {
  Steps s(d);
  const V other = d.node().find("other") ? d.tensor("other") : d.tensor("tensor");
  return s.give(s.reduce("sum", s.mul(d.tensor("self"), other), {0}, false));
}

Status outer(Decomposition& d) {
  Steps s(d);
  return s.give(s.mul(s.unsqueeze(d.tensor("self"), 1), s.unsqueeze(d.tensor("vec2"), 0)));
}

Status inner(Decomposition& d) {
  Steps s(d);
  const V a = d.tensor("self"), b = d.tensor("other");
  if (s.rank(a) == 0 || s.rank(b) == 0) return s.give(s.mul(a, b));
  const V rows = s.view(a, {s.product(s.shape(a), 0, s.shape(a).size() - 1), s.size_of(a, -1)});
  const V columns = s.view(b, {s.product(s.shape(b), 0, s.shape(b).size() - 1), s.size_of(b, -1)});
  return s.give(s.view(s.mm(rows, s.transpose(columns, 0, 1)), d.result_type().shape));
}

Status vecdot(Decomposition& d) {
  Steps s(d);
  const V product = s.mul(d.tensor("x"), d.tensor("y"));
  const auto dim = s.axis(d.integer("dim").value_or(INT64_MAX), s.rank(product));
  if (!dim) return d.reject("the dimension is out of range");
  return s.give(s.reduce("sum", product, {*dim}, false));
}

// beta * self + alpha * product.
static Status add_scaled(Steps& s, V product) {
  const auto beta = s.d.number("beta"), alpha = s.d.number("alpha");
  if (!alpha || *alpha != 1) product = s.mul(product, s.d.arg("alpha"));
  if (beta && *beta == 0) return s.give(s.expand(product, s.d.result_type().shape));  // even if self is NaN
  V self = s.d.tensor("self");
  if (!beta || *beta != 1) self = s.mul(self, s.d.arg("beta"));
  return s.give(s.add(self, product));
}

Status baddbmm(Decomposition& d) {
  Steps s(d);
  return add_scaled(s, s.bmm(d.tensor("batch1"), d.tensor("batch2")));
}

Status addbmm(Decomposition& d) {
  Steps s(d);
  return add_scaled(s, s.reduce("sum", s.bmm(d.tensor("batch1"), d.tensor("batch2")), {0}, false));
}

Status addmv(Decomposition& d) {
  Steps s(d);
  return add_scaled(s, s.squeeze(s.mm(d.tensor("mat"), s.unsqueeze(d.tensor("vec"), 1)), 1));
}

Status addr(Decomposition& d) {
  Steps s(d);
  return add_scaled(s, s.mul(s.unsqueeze(d.tensor("vec1"), 1), s.unsqueeze(d.tensor("vec2"), 0)));
}

// Every product of an element of one with an element of the other, as blocks.
Status kron(Decomposition& d) {
  Steps s(d);
  V a = d.tensor("self"), b = d.tensor("other");
  const int rank = std::max(s.rank(a), s.rank(b));
  while (s.rank(a) < rank) a = s.unsqueeze(a, 0);
  while (s.rank(b) < rank) b = s.unsqueeze(b, 0);
  Shape wide, narrow;
  for (int i = 0; i < rank; ++i) {
    wide.push_back(s.size_of(a, i)), wide.push_back(1);
    narrow.push_back(1), narrow.push_back(s.size_of(b, i));
  }
  return s.give(s.view(s.mul(s.view(a, wide), s.view(b, narrow)), d.result_type().shape));
}

// x1[n, i] * weight[o, i, j] * x2[n, j], summed over i and j.
Status bilinear(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("input1"), y = d.tensor("input2"), weight = d.tensor("weight");
  if (s.rank(x) < 1 || s.rank(weight) != 3) return d.reject("the weight must have three dimensions");
  const Dim rows = s.product(s.shape(x), 0, s.shape(x).size() - 1);
  const Dim o = s.size_of(weight, 0), i = s.size_of(weight, 1), j = s.size_of(weight, 2);
  const V by_input = s.view(s.permute(weight, {1, 0, 2}), {i, d.dims().mul(o, j)});
  const V half = s.view(s.mm(s.view(x, {rows, i}), by_input), {rows, o, j});
  V sum = s.squeeze(s.bmm(half, s.view(y, {rows, j, 1})), 2);
  if (d.has("bias")) sum = s.add(sum, d.tensor("bias"));
  return s.give(s.view(sum, d.result_type().shape));
}

// ---- einsum

namespace {
struct Term {
  V v;
  std::string labels;  // one a dimension
};
}  // namespace

static bool has(const std::string& labels, char c) { return labels.find(c) != std::string::npos; }

// Labels in the wanted order; dimensions that `v` lacks get size 1.
static V arrange(Steps& s, const Term& t, const std::string& labels) {
  std::vector<int64_t> order;
  std::string kept;
  for (const char c : labels)
    if (has(t.labels, c)) order.push_back(static_cast<int64_t>(t.labels.find(c))), kept += c;
  const V moved = s.permute(t.v, order);
  Shape to;
  for (const char c : labels) to.push_back(has(kept, c) ? s.size_of(moved, static_cast<int>(kept.find(c))) : Dim(1));
  return s.view(moved, to);
}

// Sums over labels that nobody needs any more.
static Term drop(Steps& s, Term t, const std::string& needed) {
  std::vector<int64_t> dims;
  std::string rest;
  for (size_t i = 0; i < t.labels.size(); ++i) {
    if (has(needed, t.labels[i])) rest += t.labels[i];
    else dims.push_back(static_cast<int64_t>(i));
  }
  if (!dims.empty()) t.v = s.reduce("sum", t.v, dims, false);
  return {t.v, rest};
}

// Two terms into one as a batched matrix product: batch labels are in both and needed, inner ones in both and not.
static Term contract(Steps& s, Term a, Term b, const std::string& needed) {
  a = drop(s, a, needed + b.labels);
  b = drop(s, b, needed + a.labels);
  std::string batch, inner, left, right;
  for (const char c : a.labels) (has(b.labels, c) ? has(needed, c) ? batch : inner : left) += c;
  for (const char c : b.labels)
    if (!has(a.labels, c)) right += c;
  const V x = arrange(s, a, batch + left + inner), y = arrange(s, b, batch + inner + right);
  if (!s.expect(s.shape(x).size() == batch.size() + left.size() + inner.size() && s.shape(y).size() == batch.size() + inner.size() + right.size())) return a;
  const Shape sx = s.shape(x), sy = s.shape(y);
  const size_t nb = batch.size(), nl = left.size(), ni = inner.size(), nr = right.size();
  const Shape shared = s.broadcast(Shape(sx.begin(), sx.begin() + static_cast<int64_t>(nb)), Shape(sy.begin(), sy.begin() + static_cast<int64_t>(nb)));
  const Dim count = s.product(shared), rows = s.product(sx, nb, nb + nl), columns = s.product(sy, nb + ni, nb + ni + nr);
  const Dim depth = s.product(sx, nb + nl, nb + nl + ni);
  auto wide = [&](V v) {
    Shape to = s.shape(v);
    std::copy(shared.begin(), shared.end(), to.begin());
    return s.expand(v, to);
  };
  Shape to = shared;
  to.insert(to.end(), sx.begin() + static_cast<int64_t>(nb), sx.begin() + static_cast<int64_t>(nb + nl));
  to.insert(to.end(), sy.begin() + static_cast<int64_t>(nb + ni), sy.end());
  const V product = s.bmm(s.view(wide(x), {count, rows, depth}), s.view(wide(y), {count, depth, columns}));
  return {s.view(product, to), batch + left + right};
}

Status einsum(Decomposition& d) {
  Steps s(d);
  const auto* list = d.arg("tensors").as<Arg::List>();
  if (!list || list->empty()) return d.reject("there are no operands");
  std::vector<Term> terms;
  std::vector<int> ranks;
  for (const Arg& item : *list) {
    const auto* v = item.as<V>();
    if (!v) return d.reject("operands must be tensors");
    terms.push_back({*v, {}});
    ranks.push_back(s.rank(*v));
  }
  const auto equation = parse_equation(d.str("equation"), ranks);
  if (!equation) return d.reject("the equation does not fit its operands");
  for (size_t i = 0; i < terms.size(); ++i) {
    terms[i].labels = equation->terms[i];
    for (const char c : terms[i].labels)
      if (std::count(terms[i].labels.begin(), terms[i].labels.end(), c) > 1) return d.reject("diagonals in einsum have no kernel");
  }
  Term result = terms[0];
  for (size_t i = 1; i < terms.size(); ++i) {
    std::string needed = equation->result;
    for (size_t k = i + 1; k < terms.size(); ++k) needed += terms[k].labels;
    result = contract(s, result, terms[i], needed);
  }
  result = drop(s, result, equation->result);
  return s.give(s.view(arrange(s, result, equation->result), d.result_type().shape));
}

Status tensordot(Decomposition& d) {
  Steps s(d);
  const V a = d.tensor("self"), b = d.tensor("other");
  const auto from = d.ints("dims_self"), to = d.ints("dims_other");
  if (!from || !to || from->size() != to->size() || s.rank(a) + s.rank(b) > 50) return d.reject("dimensions must be numbers");
  Term left{a, {}}, right{b, {}};
  for (int i = 0; i < s.rank(a); ++i) left.labels += static_cast<char>('A' + i);
  for (int i = 0; i < s.rank(b); ++i) right.labels += static_cast<char>('A' + s.rank(a) + i);
  std::string needed = left.labels + right.labels;
  for (size_t i = 0; i < from->size(); ++i) {
    const auto x = s.axis((*from)[i], s.rank(a)), y = s.axis((*to)[i], s.rank(b));
    if (!x || !y) return d.reject("a dimension is out of range");
    std::erase(needed, left.labels[static_cast<size_t>(*x)]);
    std::erase(needed, right.labels[static_cast<size_t>(*y)]);
    right.labels[static_cast<size_t>(*y)] = left.labels[static_cast<size_t>(*x)];
  }
  return s.give(s.view(contract(s, left, right, needed).v, d.result_type().shape));
}

// ---- attention

// Where a query may look: at keys up to its own place.
static V causal_mask(Steps& s, Dim queries, Dim keys) {
  const V rows = s.unsqueeze(s.range(queries), 1), columns = s.unsqueeze(s.range(keys), 0);
  return s.compare("le", columns, rows);
}

// Heads of keys and values are shared by groups of queries.
static V repeat_heads(Steps& s, V x, Dim heads) {
  const Shape from = s.shape(x);
  if (!s.expect(from.size() >= 3)) return x;
  const size_t head = from.size() - 3;
  if (from[head] == heads || !from[head].is_constant() || !heads.is_constant() || from[head].constant() == 0) return x;
  Shape apart = from, to = from;
  apart.insert(apart.begin() + static_cast<int64_t>(head) + 1, Dim(heads.constant() / from[head].constant()));
  to[head] = heads;
  return s.view(s.expand(s.unsqueeze(x, static_cast<int>(head) + 1), apart), to);
}

// softmax(q k^T * scale + mask) v. A query that may look at nothing gives zeros.
Status attention(Decomposition& d) {
  Steps s(d);
  const V q = d.tensor("query");
  V k = d.tensor("key"), v = d.tensor("value");
  const auto dropout = d.number("dropout_p");
  if (s.rank(q) < 2 || s.rank(k) < 2 || s.rank(v) < 2 || !dropout || *dropout != 0) return d.reject("dropout in attention is for training");
  if (d.boolean("enable_gqa") && s.rank(q) >= 3) {
    k = repeat_heads(s, k, s.size_of(q, -3));
    v = repeat_heads(s, v, s.size_of(q, -3));
  }
  const Dim width = s.size_of(q, -1);
  if (!d.has("scale") && !width.is_constant()) return d.reject("the width of a head must be a number");
  const auto scale = d.has("scale") ? d.number("scale") : std::optional(1 / std::sqrt(static_cast<double>(width.constant())));
  if (!scale) return d.reject("the scale must be a number");
  V scores = multiply(s, s.mul(q, *scale), s.transpose(k, s.rank(k) - 2, s.rank(k) - 1));
  const DType t = s.dtype(scores);
  const V mask = d.tensor("attn_mask");
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (mask && s.dtype(mask) == DType::Bool) scores = s.where(mask, scores, -kInfinity, t);
  else if (mask) scores = s.add(scores, s.cast(mask, t));
  if (d.boolean("is_causal")) scores = s.where(causal_mask(s, s.size_of(q, -2), s.size_of(scores, -1)), scores, -kInfinity, t);
  const int last = s.rank(scores) - 1;
  V weights = d.op("aten._softmax.default", {{"self", scores}, {"dim", int64_t{last}}, {"half_to_float", false}}, s.type(scores));
  if (mask) weights = s.where(s.any(s.compare("ne", scores, -kInfinity), {last}, true), weights, 0.0, t);
  return s.give(multiply(s, weights, v));
}

Status core_ml_attention(Decomposition& d) {
  return Steps(d).give(d.op("aten.scaled_dot_product_attention.default",
                            {{"query", d.arg("q")}, {"key", d.arg("k")}, {"value", d.arg("v")}, {"attn_mask", d.arg("attn_mask")}}, d.result_type()));
}

// v * g / |v|, with norms over all dimensions but one, or over all for -1.
Status weight_norm(Decomposition& d) {
  Steps s(d);
  const V v = d.tensor("v"), g = d.tensor("g");
  const int64_t dim = d.integer("dim").value_or(INT64_MAX);
  if (dim < -1 || dim >= s.rank(v)) return d.reject("the dimension is out of range");
  std::vector<int64_t> others;
  for (int i = 0; i < s.rank(v); ++i)
    if (i != dim) others.push_back(i);
  const V norm = s.unary("sqrt", s.reduce("sum", s.mul(v, v), others, true));
  TRY_DO(s.give(0, s.mul(v, s.div(g, norm))));
  return d.node().results.size() > 1 ? s.give(1, norm) : Status();
}

}  // namespace cortland::torch_ops::decompositions
