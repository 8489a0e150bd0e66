// einsum and tensordot: products of tensors summed over named axes, two at a time, each a batched product of matrices.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"
#include "torch_ops/equation.h"
#include "torch_ops/linear.h"

namespace cortland::torch_ops {
namespace {

using Labels = std::vector<int>;  // of axes; equal ones are the same axis

struct Term {
  Operand x;
  Labels labels;

  bool has(int label) const { return std::find(labels.begin(), labels.end(), label) != labels.end(); }
  int64_t axis(int label) const { return std::find(labels.begin(), labels.end(), label) - labels.begin(); }
};

// Keeps the diagonal of axes with the same label.
Result<Term> without_repeats(Lowering& in, Term t) {
  for (size_t i = 0; i < t.labels.size(); ++i)
    for (size_t j = i + 1; j < t.labels.size(); ++j) {
      if (t.labels[i] != t.labels[j]) continue;
      Shape shape = in.shape_of(t.x);
      if (!shape[i].is_constant() || shape[i] != shape[j]) return in.reject(DiagKind::UnsupportedShape, "the diagonal of axes of dynamic size");
      const int64_t n = shape[i].constant();
      const auto last = static_cast<int64_t>(shape.size()) - 1;
      TRY(t.x, move_axis(in, t.x, static_cast<int64_t>(j), last));
      TRY(t.x, move_axis(in, t.x, static_cast<int64_t>(i), last - 1));
      shape = in.shape_of(t.x);
      shape.pop_back();
      shape.back() = n * n;
      TRY(t.x, in.reshape(t.x, shape));
      std::vector<int64_t> diagonal;
      for (int64_t k = 0; k < n; ++k) diagonal.push_back(k * (n + 1));
      TRY(t.x, in.op(mil_ops::gather, {{"x", t.x}, {"indices", in.constant(diagonal)}, {"axis", last - 1}}));
      const int label = t.labels[i];
      t.labels.erase(t.labels.begin() + static_cast<std::ptrdiff_t>(j));
      t.labels.erase(t.labels.begin() + static_cast<std::ptrdiff_t>(i));
      t.labels.push_back(label);
      i = static_cast<size_t>(-1);  // the order has changed: look again
      break;
    }
  return t;
}

// Sums over the axes that nobody else needs.
Result<Term> without(Lowering& in, Term t, const std::set<int>& needed) {
  std::vector<int64_t> axes;
  Labels kept;
  for (size_t i = 0; i < t.labels.size(); ++i) {
    if (needed.count(t.labels[i]))
      kept.push_back(t.labels[i]);
    else
      axes.push_back(static_cast<int64_t>(i));
  }
  if (!axes.empty()) {
    TRY(t.x, in.op(mil_ops::reduce_sum, {{"x", t.x}, {"axes", axes}, {"keep_dims", false}}));
  }
  t.labels = std::move(kept);
  return t;
}

// Axes of size 1 that meet larger ones are dropped: they broadcast.
Result<Term> without_broadcast(Lowering& in, Term t, const Term& other) {
  std::vector<int64_t> axes;
  Labels kept;
  for (size_t i = 0; i < t.labels.size(); ++i) {
    const int label = t.labels[i];
    if (in.shape_of(t.x)[i] == Dim(1) && other.has(label) && in.shape_of(other.x)[static_cast<size_t>(other.axis(label))] != Dim(1))
      axes.push_back(static_cast<int64_t>(i));
    else
      kept.push_back(label);
  }
  TRY(t.x, in.squeeze(t.x, axes));
  t.labels = std::move(kept);
  return t;
}

Dim size_of(Lowering& in, const Term& t, int label) { return in.shape_of(t.x)[static_cast<size_t>(t.axis(label))]; }

// The axes of t in the order of the three groups, each group merged into one axis; an absent first group leaves two.
Result<Operand> arranged(Lowering& in, const Term& t, const Labels& batch, const Labels& rows, const Labels& inner) {
  std::vector<int64_t> perm;
  Shape shape;
  for (const Labels* group : {&batch, &rows, &inner}) {
    Dim size = 1;
    for (int l : *group) {
      perm.push_back(t.axis(l));
      size = in.dim_table().mul(size, size_of(in, t, l));
    }
    if (group != &batch || !batch.empty()) shape.push_back(size);
  }
  TRY(Operand x, in.transpose(t.x, perm));
  return in.reshape(x, shape);
}

Result<Term> contract(Lowering& in, Term a, Term b, const std::set<int>& later) {
  std::set<int> for_a = later, for_b = later;
  for_a.insert(b.labels.begin(), b.labels.end());
  for_b.insert(a.labels.begin(), a.labels.end());
  TRY(a, without(in, a, for_a));
  TRY(b, without(in, b, for_b));
  TRY(a, without_broadcast(in, a, b));
  TRY(b, without_broadcast(in, b, a));
  Labels batch, rows, columns, inner;
  for (int l : a.labels) (b.has(l) ? later.count(l) ? batch : inner : rows).push_back(l);
  for (int l : b.labels)
    if (!a.has(l)) columns.push_back(l);
  // What was dropped for broadcasting may now be summed over in the other operand.
  for (const auto& [group, term] : {std::pair{&rows, &a}, {&columns, &b}}) {
    for (size_t i = group->size(); i-- > 0;)
      if (!later.count((*group)[i])) {
        std::set<int> others(term->labels.begin(), term->labels.end());
        others.erase((*group)[i]);
        TRY(*term, without(in, *term, others));
        group->erase(group->begin() + static_cast<std::ptrdiff_t>(i));
      }
  }
  Term out;
  Shape shape;
  for (const auto& [group, term] : {std::pair{&batch, &a}, {&rows, &a}, {&columns, &b}})
    for (int l : *group) {
      out.labels.push_back(l);
      shape.push_back(size_of(in, *term, l));
    }
  if (shape.size() > 5)
    return in.reject(DiagKind::UnsupportedRank, fmt::format("a partial product has rank {}, Core ML allows 5", shape.size()), "split the einsum into steps of lower rank");
  TRY(Operand x, arranged(in, a, batch, rows, inner));
  TRY(Operand y, arranged(in, b, batch, columns, inner));
  if (inner.empty()) {
    // Nothing is summed: every pair of elements of the same batch.
    TRY(y, move_axis(in, y, in.rank_of(y) - 1, in.rank_of(y) - 2));
    TRY(out.x, in.op(mil_ops::mul, {{"x", x}, {"y", y}}));
  } else {
    TRY(out.x, matrix_product(in, x, y, true));
  }
  TRY(out.x, in.reshape(out.x, shape));
  return out;
}

Result<Operand> evaluate(Lowering& in, const std::vector<Term>& operands, const Labels& kept) {
  std::vector<Term> terms;
  for (const Term& operand : operands) {
    TRY(Term t, without_repeats(in, operand));
    terms.push_back(std::move(t));
  }
  const std::set<int> output(kept.begin(), kept.end());
  Term result = terms[0];
  for (size_t i = 1; i < terms.size(); ++i) {
    std::set<int> later = output;
    for (size_t k = i + 1; k < terms.size(); ++k) later.insert(terms[k].labels.begin(), terms[k].labels.end());
    TRY(result, contract(in, result, terms[i], later));
  }
  TRY(result, without(in, result, output));
  std::vector<int64_t> perm;
  for (int l : kept) {
    if (!result.has(l)) return in.reject(DiagKind::UnsupportedArgument, "the equation's output names an axis that no tensor has");
    perm.push_back(result.axis(l));
  }
  return in.transpose(result.x, perm);
}

Result<std::vector<Operand>> in_one_type(Lowering& in, std::vector<Operand> operands) {
  const DType type = is_float(in.result_type().dtype) ? in.compute() : DType::I32;
  for (Operand& o : operands) {
    TRY(o, in.cast(o, type));
  }
  return operands;
}

Lowered lower_einsum(Lowering& in) {
  TRY(auto given, in.tensors("tensors"));
  TRY(const auto operands, in_one_type(in, std::move(given)));
  std::vector<int> ranks;
  for (Operand o : operands) ranks.push_back(in.rank_of(o));
  const auto equation = parse_equation(in.str("equation"), ranks);
  if (!equation || operands.empty())
    return in.reject(DiagKind::UnsupportedArgument, fmt::format("the equation '{}' does not fit its tensors", in.str("equation")));
  std::vector<Term> terms;
  for (size_t i = 0; i < operands.size(); ++i) terms.push_back({operands[i], Labels(equation->terms[i].begin(), equation->terms[i].end())});
  return evaluate(in, terms, Labels(equation->result.begin(), equation->result.end()));
}

Lowered lower_tensordot(Lowering& in) {
  TRY(Operand x, in.tensor("self"));
  TRY(Operand y, in.tensor("other"));
  TRY(const auto operands, in_one_type(in, {x, y}));
  TRY(const auto left, in.ints("dims_self"));
  TRY(const auto right, in.ints("dims_other"));
  if (left.size() != right.size()) return in.reject(DiagKind::BadProgram, "the tensors are summed over different numbers of dimensions");
  Term a{operands[0], Labels(static_cast<size_t>(in.rank_of(x)))}, b{operands[1], Labels(static_cast<size_t>(in.rank_of(y)))};
  std::iota(a.labels.begin(), a.labels.end(), 0);
  std::iota(b.labels.begin(), b.labels.end(), in.rank_of(x));
  const auto axis = [](int64_t dim, const Labels& labels) { return static_cast<size_t>(dim < 0 ? dim + static_cast<int64_t>(labels.size()) : dim); };
  for (size_t i = 0; i < left.size(); ++i) {
    const size_t from = axis(left[i], a.labels), to = axis(right[i], b.labels);
    if (from >= a.labels.size() || to >= b.labels.size()) return in.reject(DiagKind::BadProgram, "a dimension to sum over is not there");
    b.labels[to] = static_cast<int>(from);
  }
  Labels kept;
  for (const Term* t : {&a, &b})
    for (int l : t->labels)
      if (a.has(l) != b.has(l)) kept.push_back(l);
  return evaluate(in, {a, b}, kept);
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::einsum(str equation, Tensor[] tensors, *, int[]? path=None) -> Tensor", .lower = lower_einsum,
     .decompose = decompositions::einsum,
     .samples = "'ij,jk->ik' [F[3,4], F[4,5]] -> F[3,5]; 'bhqd,bhkd->bhqk' [F[2,2,3,4], F[2,2,5,4]] -> F[2,2,3,5]; "
                "'ii->i' [F[3,3]] -> F[3]; '...ij->...ji' [F[2,3,4]] -> F[2,4,3]; "
                "'i,j,k->ijk' [F[2], F[3], F[4]] -> F[2,3,4]; 'bi,ij->bj' [F[n4,3], F[3,5]] -> F[n4,5]"},
    {.schema = "aten::tensordot(Tensor self, Tensor other, int[] dims_self, int[] dims_other) -> Tensor", .lower = lower_tensordot,
     .decompose = decompositions::tensordot,
     .samples = "F[2,3,4] F[3,4,5] [1,2] [0,1] -> F[2,5]; F[n2,m3,k4] F[m3,k4,p5] [1,2] [0,1] -> F[n2,p5]"},
};

}  // namespace

extern const std::span<const TorchOp> kEinsumOps;
const std::span<const TorchOp> kEinsumOps = kTable;

}  // namespace cortland::torch_ops
