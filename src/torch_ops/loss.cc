// Losses.
#include <algorithm>
#include <cmath>

#include "torch_ops/activation.h"
#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"

namespace cortland::torch_ops {
namespace {

using Ints = std::vector<int64_t>;

enum Reduction : int64_t { kNone = 0, kMean = 1, kSum = 2 };

Result<Operand> binary(Lowering& in, const mil::MilOp& op, Operand x, Operand y) { return in.op(op, {{"x", x}, {"y", y}}); }
Result<Operand> binary(Lowering& in, const mil::MilOp& op, Operand x, double y) { return in.op(op, {{"x", x}, {"y", number_like(in, y, x)}}); }

Result<Operand> over_all(Lowering& in, const mil::MilOp& op, Operand x) {
  Ints axes;
  for (int i = 0; i < in.rank_of(x); ++i) axes.push_back(i);
  if (axes.empty()) return x;
  return in.op(op, {{"x", x}, {"axes", axes}, {"keep_dims", false}});
}

Result<Operand> reduced(Lowering& in, Operand x) {
  TRY(const int64_t reduction, in.integer("reduction"));
  if (reduction == kNone) return x;
  return over_all(in, reduction == kMean ? mil_ops::reduce_mean : mil_ops::reduce_sum, x);
}

Result<Pair> self_and_target(Lowering& in) { return operand_pair(in, "self", "target"); }

// |self - target|
Result<Operand> distance(Lowering& in) {
  TRY(const Pair p, self_and_target(in));
  TRY(Operand d, binary(in, mil_ops::sub, p.x, p.y));
  return in.op(mil_ops::abs, {{"x", d}});
}

Lowered lower_l1(Lowering& in) {
  TRY(Operand d, distance(in));
  return reduced(in, d);
}

Lowered lower_mse(Lowering& in) {
  TRY(const Pair p, self_and_target(in));
  TRY(Operand d, binary(in, mil_ops::sub, p.x, p.y));
  TRY(d, binary(in, mil_ops::mul, d, d));
  return reduced(in, d);
}

// A parabola near 0 that goes over into a line at `bend`; both times `scale`. The parabola only sees what is below the bend.
Result<Operand> bent(Lowering& in, Operand d, double bend, double scale) {
  TRY(Operand inner, binary(in, mil_ops::minimum, d, bend));
  TRY(Operand outer, binary(in, mil_ops::sub, d, inner));
  TRY(Operand curve, binary(in, mil_ops::mul, inner, inner));
  TRY(curve, binary(in, mil_ops::mul, curve, 0.5 * scale));
  TRY(outer, binary(in, mil_ops::mul, outer, bend * scale));
  return binary(in, mil_ops::add, curve, outer);
}

Lowered lower_smooth_l1(Lowering& in) {
  TRY(const double beta, in.number("beta"));
  TRY(Operand d, distance(in));
  if (beta != 0) {
    TRY(d, bent(in, d, beta, 1 / beta));
  }
  return reduced(in, d);
}

Lowered lower_huber(Lowering& in) {
  TRY(const double delta, in.number("delta"));
  TRY(Operand d, distance(in));
  TRY(d, bent(in, d, delta, 1));
  return reduced(in, d);
}

Result<Operand> weighted(Lowering& in, Operand x, std::string_view name) {
  if (!in.has(name)) return x;
  TRY(Operand weight, in.tensor(name));
  TRY(weight, in.cast(weight, in.dtype_of(x)));
  return binary(in, mil_ops::mul, x, weight);
}

// -(t log(x) + (1 - t) log(1 - x)), the logarithms not below -100.
Lowered lower_bce(Lowering& in) {
  TRY(const Pair p, self_and_target(in));
  const auto log = [&](Operand v) -> Result<Operand> {
    TRY(Operand y, in.op(mil_ops::log, {{"x", v}, {"epsilon", 0.0}}));
    return binary(in, mil_ops::maximum, y, -100);
  };
  TRY(Operand yes, log(p.x));
  TRY(Operand rest, binary(in, mil_ops::sub, number_like(in, 1, p.x), p.x));
  TRY(Operand no, log(rest));
  // t * (yes - no) + no
  TRY(Operand y, binary(in, mil_ops::sub, yes, no));
  TRY(y, binary(in, mil_ops::mul, y, p.y));
  TRY(y, binary(in, mil_ops::add, y, no));
  TRY(y, negate(in, y));
  TRY(y, weighted(in, y, "weight"));
  return reduced(in, y);
}

// (1 - t) x + (1 + (pos_weight - 1) t) softplus(-x)
Lowered lower_bce_with_logits(Lowering& in) {
  TRY(const Pair p, self_and_target(in));
  TRY(Operand negative, negate(in, p.x));
  TRY(Operand soft, softplus(in, negative));
  if (in.has("pos_weight")) {
    TRY(Operand factor, in.tensor("pos_weight"));
    TRY(factor, in.cast(factor, in.dtype_of(p.x)));
    TRY(factor, binary(in, mil_ops::sub, factor, 1));
    TRY(factor, binary(in, mil_ops::mul, factor, p.y));
    TRY(factor, binary(in, mil_ops::add, factor, 1));
    TRY(soft, binary(in, mil_ops::mul, soft, factor));
  }
  TRY(Operand rest, binary(in, mil_ops::sub, number_like(in, 1, p.y), p.y));
  TRY(Operand y, binary(in, mil_ops::mul, rest, p.x));
  TRY(y, binary(in, mil_ops::add, y, soft));
  TRY(y, weighted(in, y, "weight"));
  return reduced(in, y);
}

// t (log(t) - x), or exp(t) (t - x); nothing where t is 0.
Lowered lower_kl_div(Lowering& in) {
  TRY(const Pair p, self_and_target(in));
  Operand y;
  if (in.boolean("log_target")) {
    TRY(Operand difference, binary(in, mil_ops::sub, p.y, p.x));
    TRY(Operand t, in.op(mil_ops::exp, {{"x", p.y}}));
    TRY(y, binary(in, mil_ops::mul, t, difference));
  } else {
    TRY(Operand positive, binary(in, mil_ops::greater, p.y, 0));
    TRY(Operand safe, select(in, positive, p.y, number_like(in, 1, p.y)));
    TRY(Operand log, in.op(mil_ops::log, {{"x", safe}, {"epsilon", 0.0}}));
    TRY(y, binary(in, mil_ops::sub, log, p.x));
    TRY(y, binary(in, mil_ops::mul, y, p.y));
  }
  return reduced(in, y);
}

// log(1 + exp(-t x))
Lowered lower_soft_margin(Lowering& in) {
  TRY(const Pair p, self_and_target(in));
  TRY(Operand y, binary(in, mil_ops::mul, p.x, p.y));
  TRY(y, negate(in, y));
  TRY(y, softplus(in, y));
  return reduced(in, y);
}

Lowered lower_margin_ranking(Lowering& in) {
  TRY(const Pair p, operand_pair(in, "input1", "input2"));
  TRY(const double margin, in.number("margin"));
  TRY(Operand target, in.tensor("target"));
  TRY(target, in.cast(target, in.dtype_of(p.x)));
  TRY(Operand y, binary(in, mil_ops::sub, p.y, p.x));
  TRY(y, binary(in, mil_ops::mul, y, target));
  TRY(y, binary(in, mil_ops::add, y, margin));
  TRY(y, in.op(mil_ops::relu, {{"x", y}}));
  return reduced(in, y);
}

// --- by class

struct Classes {
  Operand log_probabilities;  // [N, C, ...] or [C]
  Operand target;             // int32 [N, ...] or []
  Operand weight;             // [C], or nothing
  int64_t axis = 1;
};

struct Picked {
  Operand loss, weight;  // of each item, both 0 where it is ignored
};

// The entry of the target's class, and what it counts.
Result<Picked> pick(Lowering& in, const Classes& c, Operand valid) {
  TRY(Operand target, select(in, valid, c.target, in.constant(0, DType::I32), in.shape_of(c.target)));
  TRY(Operand index, in.unsqueeze(target, {c.axis}));
  TRY(Operand chosen, in.op(mil_ops::gather_along_axis, {{"x", c.log_probabilities}, {"indices", index}, {"axis", c.axis}}));
  TRY(chosen, in.squeeze(chosen, {c.axis}));
  TRY(chosen, negate(in, chosen));
  Picked p;
  TRY(p.weight, in.cast(valid, in.dtype_of(chosen)));
  if (c.weight) {
    const Shape shape = in.shape_of(target);
    TRY(Operand flat, in.reshape(target, {product(in, shape, 0, shape.size())}));
    TRY(Operand weight, in.op(mil_ops::gather, {{"x", c.weight}, {"indices", flat}, {"axis", 0}}));
    TRY(weight, in.reshape(weight, shape));
    TRY(p.weight, binary(in, mil_ops::mul, p.weight, weight));
  }
  TRY(p.loss, select(in, valid, chosen, number_like(in, 0, chosen), in.shape_of(target)));
  TRY(p.loss, binary(in, mil_ops::mul, p.loss, p.weight));
  return p;
}

Result<Operand> valid_targets(Lowering& in, Operand target) {
  TRY(const int64_t ignored, in.integer("ignore_index"));
  return in.op(mil_ops::not_equal, {{"x", target}, {"y", ignored}});
}

// none: each item; sum; mean: the sum divided by the sum of the weights.
Result<Operand> reduced_by_weight(Lowering& in, Operand loss, Operand weight) {
  TRY(const int64_t reduction, in.integer("reduction"));
  if (reduction == kNone) return loss;
  TRY(loss, over_all(in, mil_ops::reduce_sum, loss));
  if (reduction == kSum) return loss;
  TRY(weight, over_all(in, mil_ops::reduce_sum, weight));
  return binary(in, mil_ops::real_div, loss, weight);
}

Result<Classes> classes(Lowering& in) {
  Classes c;
  c.axis = in.rank("self") == 1 ? 0 : 1;
  if (in.has("weight")) {
    TRY(c.weight, in.tensor("weight"));
  }
  return c;
}

Lowered lower_nll(Lowering& in) {
  TRY(Classes c, classes(in));
  TRY(c.log_probabilities, in.tensor("self"));
  TRY(c.target, in.tensor("target"));
  TRY(Operand valid, valid_targets(in, c.target));
  TRY(const Picked p, pick(in, c, valid));
  std::vector<Operand> results(1);
  TRY(results[0], reduced_by_weight(in, p.loss, p.weight));
  if (in.node().results.size() == 2 && in.result_used(1)) {
    TRY(const int64_t reduction, in.integer("reduction"));
    if (reduction == kNone) {
      results.push_back(in.constant(0, in.dtype_of(p.weight)));
    } else {
      TRY(Operand total, over_all(in, mil_ops::reduce_sum, p.weight));
      results.push_back(total);
    }
  }
  return results;
}

// [C] beside the classes of x.
Result<Operand> weight_of_classes(Lowering& in, const Classes& c) {
  Shape shape(in.shape_of(c.log_probabilities).size(), 1);
  shape[static_cast<size_t>(c.axis)] = in.shape_of(c.weight)[0];
  return in.reshape(c.weight, shape);
}

// -sum over the classes of probability * weight * log probability
Result<Operand> expected(Lowering& in, const Classes& c, Operand probability) {
  Operand y = c.log_probabilities;
  if (probability) {
    TRY(y, binary(in, mil_ops::mul, y, probability));
  }
  if (c.weight) {
    TRY(Operand weight, weight_of_classes(in, c));
    TRY(y, binary(in, mil_ops::mul, y, weight));
  }
  TRY(y, in.op(mil_ops::reduce_sum, {{"x", y}, {"axes", Ints{c.axis}}, {"keep_dims", false}}));
  return negate(in, y);
}

Result<Operand> soft_targets(Lowering& in, const Classes& c, double smoothing) {
  const Dim count = in.shape("self")[static_cast<size_t>(c.axis)];
  TRY(Operand target, in.tensor("target"));
  if (smoothing != 0) {
    if (!count.is_constant()) return in.reject(DiagKind::UnsupportedShape, "label smoothing over a dynamic number of classes");
    TRY(target, binary(in, mil_ops::mul, target, 1 - smoothing));
    TRY(target, binary(in, mil_ops::add, target, smoothing / static_cast<double>(count.constant())));
  }
  TRY(Operand loss, expected(in, c, target));
  TRY(const int64_t reduction, in.integer("reduction"));
  if (reduction == kNone) return loss;
  return over_all(in, reduction == kMean ? mil_ops::reduce_mean : mil_ops::reduce_sum, loss);
}

Lowered lower_cross_entropy(Lowering& in) {
  TRY(Classes c, classes(in));
  TRY(Operand x, in.tensor("self"));
  TRY(c.log_probabilities, log_softmax(in, x, c.axis));
  TRY(const double smoothing, in.number("label_smoothing"));
  if (is_float(in.torch_type("target").dtype)) return soft_targets(in, c, smoothing);
  TRY(c.target, in.tensor("target"));
  TRY(Operand valid, valid_targets(in, c.target));
  TRY(const Picked p, pick(in, c, valid));
  TRY(Operand loss, reduced_by_weight(in, p.loss, p.weight));
  if (smoothing == 0) return loss;
  const Dim count = in.shape("self")[static_cast<size_t>(c.axis)];
  if (!count.is_constant()) return in.reject(DiagKind::UnsupportedShape, "label smoothing over a dynamic number of classes");
  TRY(Operand smooth, expected(in, c, {}));
  TRY(smooth, select(in, valid, smooth, number_like(in, 0, smooth), in.shape_of(c.target)));
  TRY(smooth, reduced_by_weight(in, smooth, p.weight));
  TRY(loss, binary(in, mil_ops::mul, loss, 1 - smoothing));
  TRY(smooth, binary(in, mil_ops::mul, smooth, smoothing / static_cast<double>(count.constant())));
  return binary(in, mil_ops::add, loss, smooth);
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::binary_cross_entropy(Tensor self, Tensor target, Tensor? weight=None, int reduction=1) -> Tensor", .lower = lower_bce,
     .samples = "F[2,3]{0.1..0.9} F[2,3]{0..1} -> F[]; F[2,3]{0.1..0.9} F[2,3]{0..1} F[3]{0..1} 0; "
                "F[2,3]{0.1..0.9} F[2,3]{0..1} None 2 -> F[]; F[n2,m3]{0.1..0.9} F[n2,m3]{0..1} -> F[]"},
    {.schema = "aten::binary_cross_entropy_with_logits(Tensor self, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, int "
               "reduction=1) -> Tensor",
     .lower = lower_bce_with_logits,
     .samples = "F[2,3] F[2,3]{0..1} -> F[]; F[2,3] F[2,3]{0..1} F[3]{0..1} F[3]{0..1} 0; "
                "F[2,3] F[2,3]{0..1} None None 2 -> F[]; F[n2,m3] F[n2,m3]{0..1} -> F[]"},
    {.schema = "aten::cosine_embedding_loss(Tensor input1, Tensor input2, Tensor target, float margin=0.0, int reduction=1) -> Tensor",
     .decompose = decompositions::cosine_embedding_loss,
     .samples = "f32[3,4] f32[3,4] f32[3]{-1,1,-1} -> f32[]; f32[3,4] f32[3,4] f32[3]{-1,1,-1} 0.5 0 -> f32[3]; "
                "f32[n3,m4] f32[n3,m4] f32[n3]{-1..1} -> f32[]"},
    {.schema = "aten::hinge_embedding_loss(Tensor self, Tensor target, float margin=1.0, int reduction=1) -> Tensor",
     .decompose = decompositions::hinge_embedding_loss,
     .samples = "F[3] F[3]{-1,1,-1} -> F[]; F[3] F[3]{-1,1,-1} 0.5 0; F[n3] F[n3]{-1..1} -> F[]"},
    {.schema = "aten::poisson_nll_loss(Tensor input, Tensor target, bool log_input, bool full, float eps, int reduction) -> Tensor",
     .decompose = decompositions::poisson_nll_loss,
     .samples = "f32[2,3] f32[2,3]{0..4} True False 1e-8 1 -> f32[]; f32[2,3]{1..4} f32[2,3]{2..4} False True 1e-8 0 -> f32[2,3]; "
                "f32[n2,m3] f32[n2,m3]{0..4} True False 1e-8 1 -> f32[]"},
    {.schema = "aten::triplet_margin_loss(Tensor anchor, Tensor positive, Tensor negative, float margin=1.0, float p=2, float eps=1e-6, bool "
               "swap=False, int reduction=1) -> Tensor",
     .decompose = decompositions::triplet_margin_loss,
     .samples = "f32[3,4] f32[3,4] f32[3,4] -> f32[]; f32[3,4] f32[3,4] f32[3,4] 2.0 1 1e-6 True 0 -> f32[3]; "
                "f32[n3,m4] f32[n3,m4] f32[n3,m4] -> f32[]"},
    {.schema = "aten::cross_entropy_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100, "
               "float label_smoothing=0.) -> Tensor",
     .lower = lower_cross_entropy,
     .samples = "F[4,5] i64[4]{0..4} -> F[]; F[4,5] i64[4]{0..4} None 0 -> F[4]; "
                "f32[4,5] i64[4]{0..4} f32[5]{0..1} 2 -> f32[]; F[2,5,3] i64[2,3]{0..4} -> F[]; "
                "F[4,5] F[4,5]{0..1} -> F[]; f32[4,5] i64[4]{0..4} None 1 -100 0.1 -> f32[]; "
                "F[n4,m5] i64[n4]{0..4} -> F[]"},
    {.schema = "aten::huber_loss(Tensor self, Tensor target, int reduction=1, float delta=1.) -> Tensor", .lower = lower_huber,
     .decompose = decompositions::huber_loss,
     .samples = "F[2,3] F[2,3] -> F[]; F[2,3] F[2,3] 0 0.5; F[2,3] F[2,3] 2 -> F[]; F[n2,m3] F[n2,m3] -> F[]"},
    {.schema = "aten::kl_div(Tensor self, Tensor target, int reduction=1, *, bool log_target=False) -> Tensor", .lower = lower_kl_div,
     .samples = "F[2,3] F[2,3]{0..1} -> F[]; F[2,3] F[2,3] 0 log_target=True; F[2,3] F[2,3]{0..1} 2 -> F[]; "
                "F[n2,m3] F[n2,m3]{0..1} -> F[]"},
    {.schema = "aten::l1_loss(Tensor self, Tensor target, int reduction=1) -> Tensor", .lower = lower_l1,
     .decompose = decompositions::l1_loss,
     .samples = "F[2,3] F[2,3] -> F[]; F[2,3] F[2,3] 0; F[2,3] F[2,3] 2 -> F[]; F[n2,m3] F[n2,m3] -> F[]"},
    {.schema = "aten::margin_ranking_loss(Tensor input1, Tensor input2, Tensor target, float margin=0., int reduction=1) -> Tensor",
     .lower = lower_margin_ranking,
     .samples = "F[4] F[4] F[4] -> F[]; F[4] F[4] F[4] 0.5 0; F[n4] F[n4] F[n4] -> F[]"},
    {.schema = "aten::mse_loss(Tensor self, Tensor target, int reduction=1) -> Tensor", .lower = lower_mse,
     .decompose = decompositions::mse_loss,
     .samples = "F[2,3] F[2,3] -> F[]; F[2,3] F[2,3] 0; F[2,3] F[2,3] 2 -> F[]; F[n4,3] F[n4,3] 0"},
    {.schema = "aten::nll_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100) -> Tensor",
     .lower = lower_nll,
     .samples = "F[4,5] i64[4]{0..4} -> F[]; f32[4,5] i64[4]{0..4} f32[5]{0..1} 2 -> f32[]; "
                "F[n4,m5] i64[n4]{0..4} -> F[]"},
    {.schema = "aten::nll_loss2d(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100) -> Tensor",
     .lower = lower_nll, .samples = "F[2,5,3,3] i64[2,3,3]{0..4} -> F[]; F[n2,m5,k3,p3] i64[q2,r3,s3]{0..4} -> F[]"},
    {.schema = "aten::nll_loss2d_forward(Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index) -> (Tensor "
               "output, Tensor total_weight)",
     .lower = lower_nll,
     .samples = "F[2,5,3,3] i64[2,3,3]{0..4} None 1 -100 -> F[], F[]; "
                "F[n2,m5,k3,p3] i64[q2,r3,s3]{0..4} None 1 -100 -> F[], F[]"},
    {.schema = "aten::nll_loss_forward(Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index) -> (Tensor "
               "output, Tensor total_weight)",
     .lower = lower_nll,
     .samples = "F[4,5] i64[4]{0..4} None 1 -100 -> F[], F[]; f32[4,5] i64[4]{0..4} f32[5]{0..1} 2 1 -> f32[], f32[]; "
                "F[n4,m5] i64[n4]{0..4} None 1 -100 -> F[], F[]"},
    {.schema = "aten::nll_loss_nd(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100) -> Tensor",
     .lower = lower_nll, .samples = "F[4,5] i64[4]{0..4} -> F[]; F[n4,m5] i64[n4]{0..4} -> F[]"},
    {.schema = "aten::smooth_l1_loss(Tensor self, Tensor target, int reduction=1, float beta=1.) -> Tensor", .lower = lower_smooth_l1,
     .decompose = decompositions::smooth_l1_loss,
     .samples = "F[2,3] F[2,3] -> F[]; F[2,3] F[2,3] 0 0.5; F[2,3] F[2,3] 2 -> F[]; F[n2,m3] F[n2,m3] -> F[]"},
    {.schema = "aten::soft_margin_loss(Tensor self, Tensor target, int reduction=1) -> Tensor", .lower = lower_soft_margin,
     .samples = "F[2,3] F[2,3] -> F[]; F[2,3] F[2,3] 0; F[n2,m3] F[n2,m3] -> F[]"},
};

}  // namespace

extern const std::span<const TorchOp> kLossOps;
const std::span<const TorchOp> kLossOps = kTable;

}  // namespace cortland::torch_ops
