// Chains of ops that only move elements: two reshapes (expand_dims and squeeze among them) or two transposes are one.
#include <algorithm>

#include "mil_passes/layouts.h"
#include "mil_passes/pipeline.h"
#include "mil_passes/rewrite.h"

namespace cortland::mil_passes {
namespace {

bool is_reshape(const Rewriter& r, mil::OpId id) {
  return r.is(id, "reshape") || r.is(id, "expand_dims") || r.is(id, "squeeze");
}

// The shape as a constant operand of `reshape`: one dynamic size may be -1.
std::optional<std::vector<int64_t>> literal(const Shape& shape) {
  std::vector<int64_t> out;
  int unknown = 0;
  for (Dim d : shape) {
    out.push_back(d.is_constant() ? d.constant() : -1);
    unknown += d.is_constant() ? 0 : 1;
    if (d == Dim(0)) return std::nullopt;
  }
  if (unknown > 1) return std::nullopt;
  return out;
}

Result<bool> merge_reshapes(Rewriter& r, mil::OpId id) {
  const Operand x = r.input(id, "x");
  const mil::OpId first = r.producer(x);
  if (!first || !is_reshape(r, first)) return false;
  const Operand source = r.input(first, "x");
  const Operand result = r.result(id);
  if (r.type(source) == r.type(result) && r.replace(id, source)) return true;
  const auto shape = literal(r.shape(result));
  if (!shape || shape->empty() || r.shape(source).empty()) return false;
  TRY(const Operand merged, r.emit(id, "reshape", {{"x", source}, {"shape", r.constant(*shape)}}));
  return r.replace(id, merged);
}

// transpose(transpose(x, p), q) is transpose(x, p[q]).
Result<bool> merge_transposes(Rewriter& r, mil::OpId id) {
  const mil::OpId first = r.producer(r.input(id, "x"), "transpose");
  if (!first) return false;
  const int rank = r.type(r.result(id)).rank();
  const auto p = r.ints(r.input(first, "perm")), q = r.ints(r.input(id, "perm"));
  std::vector<int64_t> merged;
  for (int64_t i : q) merged.push_back(static_cast<int64_t>(axis_of(p[axis_of(i, rank)], rank)));
  const Operand source = r.input(first, "x");
  if (std::is_sorted(merged.begin(), merged.end()) && r.replace(id, source)) return true;
  r.set_input(id, "x", source);
  r.set_input(id, "perm", r.constant(merged));
  r.erase_unused(first);
  return true;
}

// transpose that moves only axes of size 1 is a reshape in disguise; as one it joins its neighbours.
Result<bool> transpose_to_reshape(Rewriter& r, mil::OpId id) {
  const Operand x = r.input(id, "x"), result = r.result(id);
  const int rank = r.type(x).rank();
  const Shape& from = r.shape(x);
  std::vector<size_t> order;
  for (int64_t p : r.ints(r.input(id, "perm")))
    if (from[axis_of(p, rank)] != Dim(1)) order.push_back(axis_of(p, rank));
  if (!std::is_sorted(order.begin(), order.end())) return false;
  const auto shape = literal(r.shape(result));
  if (!shape) return false;
  // Worth it only beside another reshape.
  bool beside = is_reshape(r, r.producer(x));
  for (mil::OpId user : r.users(result)) beside = beside || is_reshape(r, user);
  if (!beside) return false;
  TRY(const Operand made, r.emit(id, "reshape", {{"x", x}, {"shape", r.constant(*shape)}}));
  return r.replace(id, made);
}

// A reduction that drops its axes, of a transposed tensor whose other axes kept their order, reads the tensor as it was.
Result<bool> absorb_transpose(Rewriter& r, mil::OpId id) {
  const mil::OpId transpose = r.producer(r.input(id, "x"), "transpose");
  if (!transpose) return false;
  // What is read now is the transposed tensor in the layout of the other.
  const int rank = r.type(r.input(id, "x")).rank();
  Permutation perm = r.ints(r.input(transpose, "perm")), back(perm.size());
  for (size_t i = 0; i < perm.size(); ++i) back[axis_of(perm[i], rank)] = static_cast<int64_t>(i);
  if (!absorbs_layout(r, id, back)) return false;
  absorb_layout(r, id, back);
  r.set_input(id, "x", r.input(transpose, "x"));
  r.erase_unused(transpose);
  return true;
}

constexpr Rule kReshapes[] = {{"reshape", merge_reshapes},
                              {"expand_dims", merge_reshapes},
                              {"squeeze", merge_reshapes},
                              {"transpose", transpose_to_reshape}};
constexpr Rule kTransposes[] = {{"transpose", merge_transposes},
                                {"reduce_mean", absorb_transpose},
                                {"reduce_sum", absorb_transpose},
                                {"reduce_max", absorb_transpose},
                                {"reduce_min", absorb_transpose}};

}  // namespace

Status merge_consecutive_reshapes(mil::Program& program) { return rewrite(program, kReshapes); }
Status merge_consecutive_transposes(mil::Program& program) { return rewrite(program, kTransposes); }

}  // namespace cortland::mil_passes
