// Losses that torch keeps whole in an export, taken apart.
#include <cmath>
#include <numbers>
#include <numeric>

#include "torch_ops/decompositions.h"
#include "torch_ops/steps.h"

namespace cortland::torch_ops::decompositions {

using V = torch::ValueId;

// `reduction`: 0 leaves the losses, 1 is their mean, 2 their sum.
static Status reduced(Steps& s, V loss) {
  const auto reduction = s.d.integer("reduction");
  if (!reduction || *reduction < 0 || *reduction > 2) return s.d.reject("the reduction must be none, mean or sum");
  if (*reduction == 0) return s.give(loss);
  std::vector<int64_t> all(static_cast<size_t>(s.rank(loss)));
  std::iota(all.begin(), all.end(), 0);
  return s.give(s.reduce(*reduction == 1 ? "mean" : "sum", loss, all, false));
}

static V positive_part(Steps& s, V x) { return s.unary("relu", x); }

// 1 - cos for pairs marked 1, max(cos - margin, 0) for those marked -1.
Status cosine_embedding_loss(Decomposition& d) {
  Steps s(d);
  const V a = d.tensor("input1"), b = d.tensor("input2"), target = d.tensor("target");
  const auto margin = d.number("margin");
  if (!margin || s.rank(a) < 1 || s.rank(a) != s.rank(target) + 1 || s.rank(b) != s.rank(a)) return d.reject("vectors and their marks are expected");
  const std::vector<int64_t> dim = {s.rank(a) - 1};
  constexpr double kEpsilon = 1e-12;
  const V product = s.reduce("sum", s.mul(a, b), dim, false);
  const V length_a = s.add(s.reduce("sum", s.mul(a, a), dim, false), kEpsilon), length_b = s.add(s.reduce("sum", s.mul(b, b), dim, false), kEpsilon);
  const V cosine = s.div(product, s.unary("sqrt", s.mul(length_a, length_b)));
  const DType t = s.dtype(cosine);
  const V apart = s.where(s.compare("eq", target, int64_t{-1}), positive_part(s, s.sub(cosine, *margin)), 0.0, t);
  return reduced(s, s.where(s.compare("eq", target, int64_t{1}), s.add(s.mul(cosine, -1.0), 1.0), apart, t));
}

// max(margin + |anchor - positive| - |anchor - negative|, 0)
Status triplet_margin_loss(Decomposition& d) {
  Steps s(d);
  const V anchor = d.tensor("anchor"), like = d.tensor("positive"), unlike = d.tensor("negative");
  const auto margin = d.number("margin"), p = d.number("p"), epsilon = d.number("eps");
  if (!margin || !p || !epsilon || *p <= 0 || std::isinf(*p) || s.rank(anchor) < 1) return d.reject("a norm of a positive order is expected");
  const auto distance = [&](V a, V b) {
    const V gap = s.unary("abs", s.add(s.sub(a, b), *epsilon));
    const std::vector<int64_t> dim = {s.rank(gap) - 1};
    if (*p == 1) return s.reduce("sum", gap, dim, false);
    if (*p == 2) return s.unary("sqrt", s.reduce("sum", s.mul(gap, gap), dim, false));
    return s.pow(s.reduce("sum", s.pow(gap, *p), dim, false), 1 / *p);
  };
  V far = distance(anchor, unlike);
  if (d.boolean("swap")) far = s.minimum(far, distance(like, unlike));
  return reduced(s, positive_part(s, s.add(s.sub(distance(anchor, like), far), *margin)));
}

// exp(x) - target x, or x - target log(x); `full` adds Stirling's approximation of log(target!).
Status poisson_nll_loss(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("input"), target = d.tensor("target");
  const auto epsilon = d.number("eps");
  if (!epsilon) return d.reject("eps must be a number");
  V loss = d.boolean("log_input") ? s.sub(s.unary("exp", x), s.mul(target, x)) : s.sub(x, s.mul(target, s.unary("log", s.add(x, *epsilon))));
  if (d.boolean("full")) {
    const V logarithm = s.unary("log", s.mul(target, 2 * std::numbers::pi));
    const V stirling = s.add(s.sub(s.mul(target, s.unary("log", target)), target), s.mul(logarithm, 0.5));
    loss = s.add(loss, s.where(s.compare("gt", target, 1.0), stirling, 0.0, s.dtype(loss)));
  }
  return reduced(s, loss);
}

// x where the target is 1, max(margin - x, 0) where it is -1, both anywhere else.
Status hinge_embedding_loss(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self"), target = d.tensor("target");
  const auto margin = d.number("margin");
  if (!margin) return d.reject("the margin must be a number");
  const DType t = s.dtype(x);
  const V apart = s.where(s.compare("ne", target, 1.0), positive_part(s, s.add(s.mul(x, -1.0), *margin)), 0.0, t);
  return reduced(s, s.add(apart, s.where(s.compare("ne", target, -1.0), x, 0.0, t)));
}

}  // namespace cortland::torch_ops::decompositions
