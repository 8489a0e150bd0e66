// Normalisations over the batch, the features, groups of channels or single channels.
#include <algorithm>
#include <cmath>
#include <limits>

#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"

namespace cortland::torch_ops {
namespace {

using Ints = std::vector<int64_t>;

// The least number added to a variance that float16 can tell from 0.
constexpr double kLeastEpsilon = 1.2e-7;

// [C] as [1, C, 1, ...], ready to meet a tensor of that rank.
Result<Operand> along_channels(Lowering& in, Operand v, int rank) {
  Shape shape(static_cast<size_t>(rank), 1);
  if (rank > 1) shape[1] = in.shape_of(v)[0];
  return in.reshape(v, shape);
}

Result<Operand> optional_tensor(Lowering& in, std::string_view name) {
  if (!in.has(name)) return Operand();
  return in.tensor(name);
}

// y * weight + bias, where both are optional and broadcast.
Result<Operand> affine(Lowering& in, Operand y, Operand weight, Operand bias) {
  if (weight) {
    TRY(y, in.op(mil_ops::mul, {{"x", y}, {"y", weight}}));
  }
  if (bias) {
    TRY(y, in.op(mil_ops::add, {{"x", y}, {"y", bias}}));
  }
  return y;
}

// 1 / sqrt(variance + eps)
Result<Operand> inverse_deviation(Lowering& in, Operand variance, double eps) {
  if (in.dtype_of(variance) == DType::F16) eps = std::max(eps, kLeastEpsilon);
  return in.op(mil_ops::rsqrt, {{"x", variance}, {"epsilon", in.constant(eps, in.dtype_of(variance))}});
}

struct Statistics {
  Operand mean, variance;  // axes kept
};

Result<Statistics> statistics(Lowering& in, Operand x, const Ints& axes) {
  Statistics s;
  TRY(s.mean, in.op(mil_ops::reduce_mean, {{"x", x}, {"axes", axes}, {"keep_dims", true}}));
  TRY(Operand centred, in.op(mil_ops::sub, {{"x", x}, {"y", s.mean}}));
  TRY(Operand squares, in.op(mil_ops::mul, {{"x", centred}, {"y", centred}}));
  TRY(s.variance, in.op(mil_ops::reduce_mean, {{"x", squares}, {"axes", axes}, {"keep_dims", true}}));
  return s;
}

// --- batch norm

struct BatchNorm {
  Operand x, weight, bias;
  double eps = 0;
};

Result<BatchNorm> read_batch_norm(Lowering& in) {
  BatchNorm b;
  TRY(b.x, in.tensor("input"));
  TRY(b.weight, optional_tensor(in, "weight"));
  TRY(b.bias, optional_tensor(in, "bias"));
  TRY(b.eps, in.number("eps"));
  return b;
}

bool is_constant(Operand o) { return !o || o.is_const(); }

Result<Operand> with_running_statistics(Lowering& in, const BatchNorm& b) {
  TRY(Operand mean, in.tensor("running_mean"));
  TRY(Operand variance, in.tensor("running_var"));
  const int rank = in.rank_of(b.x);
  const bool representable = b.eps >= kLeastEpsilon || in.compute() == DType::F32;
  if (mean.is_const() && variance.is_const() && is_constant(b.weight) && is_constant(b.bias) && representable) {
    Operand x = b.x;
    if (rank == 2) {
      TRY(x, in.unsqueeze(x, {2}));
    }
    TRY(Operand y, in.op(mil_ops::batch_norm, {{"x", x}, {"mean", mean}, {"variance", variance}, {"gamma", b.weight}, {"beta", b.bias}, {"epsilon", in.constant(b.eps, in.compute())}}));
    return rank == 2 ? in.squeeze(y, {2}) : y;
  }
  TRY(Operand scale, inverse_deviation(in, variance, b.eps));
  if (b.weight) {
    TRY(scale, in.op(mil_ops::mul, {{"x", scale}, {"y", b.weight}}));
  }
  TRY(mean, along_channels(in, mean, rank));
  TRY(scale, along_channels(in, scale, rank));
  Operand bias = b.bias;
  if (bias) {
    TRY(bias, along_channels(in, bias, rank));
  }
  TRY(Operand y, in.op(mil_ops::sub, {{"x", b.x}, {"y", mean}}));
  return affine(in, y, scale, bias);
}

// Results: the output, the batch's mean and its inverse deviation.
Result<std::vector<Operand>> with_batch_statistics(Lowering& in, const BatchNorm& b) {
  const int rank = in.rank_of(b.x);
  Ints axes = {0};
  for (int i = 2; i < rank; ++i) axes.push_back(i);
  TRY(const Statistics s, statistics(in, b.x, axes));
  TRY(const Operand inverse, inverse_deviation(in, s.variance, b.eps));
  TRY(Operand y, in.op(mil_ops::sub, {{"x", b.x}, {"y", s.mean}}));
  TRY(y, in.op(mil_ops::mul, {{"x", y}, {"y", inverse}}));
  Operand weight = b.weight, bias = b.bias;
  if (weight) {
    TRY(weight, along_channels(in, weight, rank));
  }
  if (bias) {
    TRY(bias, along_channels(in, bias, rank));
  }
  std::vector<Operand> results(3);
  TRY(results[0], affine(in, y, weight, bias));
  if (in.result_used(1)) {
    TRY(results[1], in.reshape(s.mean, {in.shape("input")[1]}));
  }
  if (in.result_used(2)) {
    TRY(results[2], in.reshape(inverse, {in.shape("input")[1]}));
  }
  return results;
}

Lowered lower_batch_norm(Lowering& in) {
  TRY(const BatchNorm b, read_batch_norm(in));
  if (in.has("running_mean") && !in.boolean("training")) {
    TRY(Operand y, with_running_statistics(in, b));
    return std::vector<Operand>{y};
  }
  if (in.has("running_mean")) return in.reject_argument("training", "True", "call module.eval() before the export: training changes the running statistics");
  TRY(auto results, with_batch_statistics(in, b));
  results.resize(std::min<size_t>(results.size(), in.node().results.size()));
  return results;
}

// --- layer norm and its kin

// Normalises `axes` (ascending) of x with constant or computed weight and bias, which have the shape of those axes.
Result<Operand> layer_norm(Lowering& in, Operand x, const Ints& axes, Operand weight, Operand bias, double eps) {
  DType type = in.dtype_of(x);
  const bool fused = is_constant(weight) && is_constant(bias);
  if (type == DType::F16 && eps < kLeastEpsilon) {
    // From iOS17 on epsilon may be float32 beside a float16 x, but gamma and beta must be so too: float32 weights would take the
    // op off the Neural Engine.
    const bool alone = in.at_least(mil::Target::iOS17) && (!fused || (!weight && !bias));
    if (alone) type = DType::F32;
    else eps = kLeastEpsilon;
  }
  if (weight) {
    TRY(weight, in.cast(weight, fused ? type : in.dtype_of(x)));
  }
  if (bias) {
    TRY(bias, in.cast(bias, fused ? type : in.dtype_of(x)));
  }
  TRY(Operand y, in.op(mil_ops::layer_norm, {{"x", x},
                                             {"axes", axes},
                                             {"gamma", fused ? weight : Operand()},
                                             {"beta", fused ? bias : Operand()},
                                             {"epsilon", in.constant(eps, type)}}));
  return fused ? Result<Operand>(y) : affine(in, y, weight, bias);
}

Ints last_axes(int rank, size_t count) {
  Ints axes;
  for (int i = rank - static_cast<int>(count); i < rank; ++i) axes.push_back(i);
  return axes;
}

Lowered lower_layer_norm(Lowering& in) {
  TRY(Operand x, in.tensor("input"));
  TRY(const Shape normalized, in.dims("normalized_shape"));
  TRY(const double eps, in.number("eps"));
  const Ints axes = last_axes(in.rank_of(x), normalized.size());
  TRY(const Operand weight, optional_tensor(in, "weight"));
  TRY(const Operand bias, optional_tensor(in, "bias"));
  std::vector<Operand> results(1);
  TRY(results[0], layer_norm(in, x, axes, weight, bias, eps));
  if (in.node().results.size() == 3 && (in.result_used(1) || in.result_used(2))) {
    TRY(const Statistics s, statistics(in, x, axes));
    results.push_back(s.mean);
    TRY(const Operand inverse, inverse_deviation(in, s.variance, eps));
    results.push_back(inverse);
  }
  return results;
}

// The layer norm of [x, -x], whose mean is 0 and whose variance is the mean of x * x, has x / sqrt(mean(x * x) + eps) in its first
// half. Written out, the squares would leave float16 from 256 on.
Result<Operand> rms_norm_of_pairs(Lowering& in, Operand x, const Ints& axes, Operand weight, double eps) {
  TRY(Operand negative, negate(in, x));
  TRY(Operand pairs, concat(in, {x, negative}, axes.back()));
  Operand gamma;
  if (const Weight* w = in.const_weight(weight); w && w->shape().size() == axes.size())
    gamma = in.constant(Weight::concat({*w, *w}, static_cast<int64_t>(axes.size()) - 1));
  TRY(Operand y, layer_norm(in, pairs, axes, gamma, Operand(), eps));
  TRY(y, slice(in, y, axes.back(), 0, in.shape_of(x)[static_cast<size_t>(axes.back())]));
  return affine(in, y, gamma ? Operand() : weight, {});
}

// x / sqrt(mean(x * x) + eps)
Result<Operand> rms_norm_in_float32(Lowering& in, Operand x, const Ints& axes, double eps) {
  TRY(Operand squares, in.op(mil_ops::mul, {{"x", x}, {"y", x}}));
  TRY(Operand mean, in.op(mil_ops::reduce_mean, {{"x", squares}, {"axes", axes}, {"keep_dims", true}}));
  TRY(const Operand inverse, inverse_deviation(in, mean, eps));
  return in.op(mil_ops::mul, {{"x", x}, {"y", inverse}});
}

Lowered lower_rms_norm(Lowering& in) {
  TRY(Operand x, in.tensor("input"));
  TRY(const Shape normalized, in.dims("normalized_shape"));
  double eps = std::numeric_limits<float>::epsilon();  // of the type torch computes in
  if (in.has("eps")) {
    TRY(eps, in.number("eps"));
  }
  const Ints axes = last_axes(in.rank_of(x), normalized.size());
  TRY(const Operand weight, optional_tensor(in, "weight"));
  if (in.dtype_of(x) == DType::F16 && !axes.empty()) return rms_norm_of_pairs(in, x, axes, weight, eps);
  TRY(Operand y, rms_norm_in_float32(in, x, axes, eps));
  return affine(in, y, weight, {});
}

// Channels in groups: each group of an image is one row.
Lowered lower_group_norm(Lowering& in) {
  TRY(Operand x, in.tensor("input"));
  TRY(const int64_t groups, in.integer(in.has("num_groups") ? "num_groups" : "group"));
  TRY(const double eps, in.number("eps"));
  const Shape shape = in.shape("input");
  const Dim row = in.dim_table().floordiv(product(in, shape, 1, shape.size()), groups);
  TRY(Operand rows, in.reshape(x, {shape[0], Dim(groups), row}));
  TRY(Operand y, layer_norm(in, rows, {2}, Operand(), Operand(), eps));
  TRY(y, in.reshape(y, shape));
  TRY(Operand weight, optional_tensor(in, "weight"));
  TRY(Operand bias, optional_tensor(in, "bias"));
  if (weight) {
    TRY(weight, along_channels(in, weight, in.rank_of(x)));
  }
  if (bias) {
    TRY(bias, along_channels(in, bias, in.rank_of(x)));
  }
  std::vector<Operand> results(1);
  TRY(results[0], affine(in, y, weight, bias));
  if (in.node().results.size() == 3 && (in.result_used(1) || in.result_used(2))) {
    TRY(const Statistics s, statistics(in, rows, {2}));
    TRY(const Operand mean, in.squeeze(s.mean, {2}));
    TRY(const Operand inverse, inverse_deviation(in, s.variance, eps));
    TRY(const Operand flat, in.squeeze(inverse, {2}));
    results.push_back(mean);
    results.push_back(flat);
  }
  return results;
}

Lowered lower_instance_norm(Lowering& in) {
  TRY(const BatchNorm b, read_batch_norm(in));
  if (!in.boolean("use_input_stats")) {
    return with_running_statistics(in, b);
  }
  if (in.has("running_mean"))
    return in.reject_argument("use_input_stats", "True", "call module.eval() before the export: training changes the running statistics");
  // Any spatial axes are one: [N, C, D].
  const Shape shape = in.shape("input");
  TRY(Operand x, in.reshape(b.x, {shape[0], shape[1], product(in, shape, 2, shape.size())}));
  Operand y;
  const double least = in.dtype_of(x) == DType::F16 ? kLeastEpsilon : 0;
  const bool fused = is_constant(b.weight) && is_constant(b.bias);
  TRY(y, in.op(mil_ops::instance_norm, {{"x", x},
                                        {"gamma", fused ? b.weight : Operand()},
                                        {"beta", fused ? b.bias : Operand()},
                                        {"epsilon", in.constant(std::max(b.eps, least), in.dtype_of(x))}}));
  if (!fused) {
    Operand weight = b.weight, bias = b.bias;
    if (weight) {
      TRY(weight, along_channels(in, weight, 3));
    }
    if (bias) {
      TRY(bias, along_channels(in, bias, 3));
    }
    TRY(y, affine(in, y, weight, bias));
  }
  return in.reshape(y, shape);
}

// v * g / |v|, the norm taken over all axes but one.
Lowered lower_weight_norm(Lowering& in) {
  TRY(Operand v, in.tensor("v"));
  TRY(Operand g, in.tensor("g"));
  TRY(const int64_t given, in.integer("dim"));
  const int rank = in.rank("v");
  const int64_t dim = given < 0 ? given + rank : given;
  Ints axes;
  for (int i = 0; i < rank; ++i)
    if (i != dim || given == -1) axes.push_back(i);
  TRY(Operand norm, in.op(mil_ops::reduce_l2_norm, {{"x", v}, {"axes", axes}, {"keep_dims", true}}));
  TRY(Operand factor, in.op(mil_ops::real_div, {{"x", g}, {"y", norm}}));
  TRY(Operand w, in.op(mil_ops::mul, {{"x", v}, {"y", factor}}));
  return in.node().results.size() == 2 ? Lowered(std::vector<Operand>{w, norm}) : Lowered(w);
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::_batch_norm_no_update(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, float "
               "momentum, float eps) -> (Tensor, Tensor, Tensor, Tensor)",
     .lower = lower_batch_norm,
     .samples = "F[2,4,3,3] const F[4] const F[4] const F[4] const F[4]{0.5..2} 0.1 1e-5 -> F[2,4,3,3], _, _, _; "
                "F[2,4,n3,m3] const F[4] const F[4] const F[4] const F[4]{0.5..2} 0.1 1e-5 -> F[2,4,n3,m3], _, _, _"},
    {.schema = "aten::_native_batch_norm_legit(Tensor input, Tensor? weight, Tensor? bias, Tensor(a!) running_mean, Tensor(b!) "
               "running_var, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)",
     .lower = lower_batch_norm,
     .samples = "F[2,4,3,3] const F[4] const F[4] const F[4] const F[4]{0.5..2} False 0.1 1e-5 -> F[2,4,3,3], _, _; "
                "F[2,4,n3,m3] const F[4] const F[4] const F[4] const F[4]{0.5..2} False 0.1 1e-5 -> F[2,4,n3,m3], _, _"},
    {.schema = "aten::_native_batch_norm_legit.no_stats(Tensor input, Tensor? weight, Tensor? bias, bool training, float momentum, float "
               "eps) -> (Tensor, Tensor, Tensor)",
     .lower = lower_batch_norm,
     .samples = "F[2,4,3,3] const F[4] const F[4] True 0.1 1e-5 -> F[2,4,3,3], _, _; "
                "F[2,4,n3,m3] const F[4] const F[4] True 0.1 1e-5 -> F[2,4,n3,m3], _, _"},
    {.schema = "aten::_native_batch_norm_legit_no_training(Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, Tensor "
               "running_var, float momentum, float eps) -> (Tensor, Tensor, Tensor)",
     .lower = lower_batch_norm,
     .samples = "F[2,4,3,3] const F[4] const F[4] const F[4] const F[4]{0.5..2} 0.1 1e-5 -> F[2,4,3,3], _, _; "
                "F[b2,4,h3,w3] const F[4] const F[4] const F[4] const F[4]{0.5..2} 0.1 1e-5 -> F[b2,4,h3,w3], _, _; "
                "F[2,4] None None const F[4] const F[4]{0.5..2} 0.1 1e-5 -> F[2,4], _, _"},
    {.schema = "aten::_weight_norm(Tensor v, Tensor g, int dim=0) -> Tensor", .lower = lower_weight_norm,
     .decompose = decompositions::weight_norm, .samples = "F[4,3] F[4,1]; F[4,3,2] F[4,1,1]; F[n4,m3] F[n4,1]; F[4,3] F[] -1"},
    {.schema = "aten::_weight_norm_interface(Tensor v, Tensor g, int dim=0) -> (Tensor, Tensor)", .lower = lower_weight_norm,
     .decompose = decompositions::weight_norm,
     .samples = "F[4,3] F[4,1] -> F[4,3], f32[4,1]; F[n4,m3] F[n4,1] -> F[n4,m3], f32[n4,1]"},
    {.schema = "aten::batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, "
               "float momentum, float eps, bool cudnn_enabled) -> Tensor",
     .lower = lower_batch_norm,
     .decompose = decompositions::batch_norm, .edge = "aten._native_batch_norm_legit_no_training.default",
     .samples = "F[2,4,3,3] const F[4] const F[4] const F[4] const F[4]{0.5..2} False 0.1 1e-5 True; "
                "F[2,4,5] const F[4] const F[4] const F[4] const F[4]{0.5..2} False 0.1 1e-5 True; "
                "F[2,4,2,3,3] const F[4] const F[4] const F[4] const F[4]{0.5..2} False 0.1 1e-5 True; "
                "F[b2,4,h3,w3] None None const F[4] const F[4]{0.5..2} False 0.1 1e-5 True; "
                "F[2,4,3,3] F[4] F[4] F[4] F[4]{0.5..2} False 0.1 1e-5 True"},
    {.schema = "aten::group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1.0000000000000001e-05, "
               "bool cudnn_enabled=True) -> Tensor",
     .lower = lower_group_norm,
     .decompose = decompositions::group_norm, .edge = "aten.native_group_norm.default",
     .samples = "F[2,4,3,3] 2 const F[4] const F[4]; F[2,6,5] 3; F[b2,4,h3,w3] 2"},
    {.schema = "aten::instance_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool "
               "use_input_stats, float momentum, float eps, bool cudnn_enabled) -> Tensor",
     .lower = lower_instance_norm, .decompose = decompositions::instance_norm,
     .samples = "F[2,4,3,3] const F[4] const F[4] None None True 0.1 1e-5 True; "
                "F[2,4,5] None None None None True 0.1 1e-5 True; "
                "F[2,4,3,3] const F[4] const F[4] const F[4] const F[4]{0.5..2} False 0.1 1e-5 True; "
                "F[2,4,n3,m3] const F[4] const F[4] None None True 0.1 1e-5 True"},
    {.schema = "aten::layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float "
               "eps=1.0000000000000001e-05, bool cudnn_enable=True) -> Tensor",
     .lower = lower_layer_norm,
     .decompose = decompositions::layer_norm, .edge = "aten.native_layer_norm.default",
     .samples = "F[*,6] [6] const F[6] const F[6]; F[2,3,6] [3,6]; F[2,6] [6] F[6] F[6]"},
    {.schema = "aten::native_batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool "
               "training, float momentum, float eps) -> (Tensor, Tensor, Tensor)",
     .lower = lower_batch_norm, .edge = "aten._native_batch_norm_legit_no_training.default",
     .samples = "F[2,4,3,3] const F[4] const F[4] const F[4] const F[4]{0.5..2} False 0.1 1e-5 -> F[2,4,3,3], _, _; "
                "F[2,4,n3,m3] const F[4] const F[4] const F[4] const F[4]{0.5..2} False 0.1 1e-5 -> F[2,4,n3,m3], _, _"},
    {.schema = "aten::native_group_norm(Tensor input, Tensor? weight, Tensor? bias, SymInt N, SymInt C, SymInt HxW, int group, float eps) "
               "-> (Tensor, Tensor, Tensor)",
     .lower = lower_group_norm,
     .samples = "F[2,4,3,3] const F[4] const F[4] 2 4 9 2 1e-5 -> F[2,4,3,3], _, _; "
                "F[n2,4,3,3] const F[4] const F[4] n2 4 9 2 1e-5 -> F[n2,4,3,3], _, _"},
    {.schema = "aten::native_layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> (Tensor, "
               "Tensor, Tensor)",
     .lower = lower_layer_norm,
     .samples = "F[2,3,6] [6] const F[6] const F[6] 1e-5 -> F[2,3,6], _, _; "
                "F[n4,6] [6] None None 1e-5 -> F[n4,6], _, _"},
    {.schema = "aten::rms_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor",
     .lower = lower_rms_norm, .decompose = decompositions::rms_norm,
     .samples = "F[*,6] [6] const F[6]; F[2,3,6] [3,6] None 1e-5"},
};

}  // namespace

extern const std::span<const TorchOp> kNormalizationOps;
const std::span<const TorchOp> kNormalizationOps = kTable;

}  // namespace cortland::torch_ops
