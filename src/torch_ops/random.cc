// Random numbers: drawn anew in every run, so results agree with torch in distribution only.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "mil_ops/ops.h"
#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

constexpr double kWholeFloats = 1 << 24;  // float32 counts this far

// Random ops make vectors at least: a scalar is drawn as [1].
template <class Draw>
Result<Operand> draw(Lowering& in, const Shape& shape, const Draw& sample) {
  TRY(Operand dims, in.sizes(shape.empty() ? Shape{1} : shape));
  TRY(Operand drawn, sample(dims));
  if (shape.empty()) return in.squeeze(drawn, {0});
  return in.with_shape(drawn, shape);
}

Result<Operand> uniform(Lowering& in, const Shape& shape, double low, double high) {
  return draw(in, shape, [&](Operand dims) {
    return in.op(mil_ops::random_uniform, {{"shape", dims}, {"low", in.constant(low, DType::F32)}, {"high", in.constant(high, DType::F32)}, {"seed", -1}});
  });
}

Result<Operand> normal(Lowering& in, const Shape& shape, double mean, double deviation) {
  return draw(in, shape, [&](Operand dims) {
    return in.op(mil_ops::random_normal,
                 {{"shape", dims}, {"mean", in.constant(mean, DType::F32)}, {"stddev", in.constant(deviation, DType::F32)}, {"seed", -1}});
  });
}

Lowered rand(Lowering& in) { return uniform(in, in.result_type().shape, 0, 1); }
Lowered randn(Lowering& in) { return normal(in, in.result_type().shape, 0, 1); }

Lowered uniform_between(Lowering& in) {
  TRY(const double low, in.number("from"));
  TRY(const double high, in.number("to"));
  return uniform(in, in.result_type().shape, low, high);
}

// Mean and deviation are numbers or tensors.
Lowered normal_around(Lowering& in) {
  const Shape& shape = in.result_type().shape;
  if (!in.is_tensor("mean") && !in.is_tensor("std")) {
    TRY(const double mean, in.number("mean"));
    TRY(const double deviation, in.number("std"));
    return normal(in, shape, mean, deviation);
  }
  TRY(Operand x, normal(in, shape, 0, 1));
  for (const char* name : {"std", "mean"}) {
    TRY(Operand term, float_tensor(in, name));
    TRY(term, in.cast(term, DType::F32));
    TRY(x, name[0] == 's' ? multiply(in, x, term) : add(in, x, term));
  }
  return x;
}

Lowered integers(Lowering& in) {
  int64_t low = 0;
  if (in.has("low")) {
    TRY(low, in.integer("low"));
  }
  TRY(const int64_t high, in.integer("high"));
  if (std::abs(static_cast<double>(low)) > kWholeFloats || std::abs(static_cast<double>(high)) > kWholeFloats)
    return in.reject(DiagKind::UnsupportedArgument, fmt::format("random integers from {} to {} are more than float32 can count", low, high));
  TRY(Operand x, uniform(in, in.result_type().shape, static_cast<double>(low), static_cast<double>(high)));
  TRY(x, in.op(mil_ops::floor, {{"x", x}}));
  TRY(x, in.op(mil_ops::minimum, {{"x", x}, {"y", static_cast<double>(high - 1)}}));
  return is_float(in.result_type().dtype) ? Result<Operand>(x) : in.cast(x, in.mil_dtype(in.result_type().dtype));
}

// 1 with probability p, a number or a tensor.
Lowered coin(Lowering& in, std::string_view probability) {
  TRY(Operand p, float_tensor(in, probability));
  TRY(p, in.cast(p, DType::F32));
  TRY(Operand x, uniform(in, in.result_type().shape, 0, 1));
  TRY(Operand hit, in.op(mil_ops::less, {{"x", x}, {"y", p}}));
  return in.cast(hit, in.mil_dtype(in.result_type().dtype));
}

Lowered permutation(Lowering& in) {
  TRY(const Dim n, result_size(in, 0));
  TRY(Operand keys, uniform(in, {n}, 0, 1));
  TRY(Operand order, in.op(mil_ops::argsort, {{"x", keys}, {"axis", 0}, {"ascending", true}}));
  return in.with_shape(order, {n});
}

Lowered multinomial(Lowering& in) {
  TRY(Operand p, float_tensor(in, "self"));
  TRY(p, in.cast(p, DType::F32));
  TRY(const int64_t count, in.integer("num_samples"));
  if (count == 1 || in.boolean("replacement")) {
    TRY(Operand x, in.op(mil_ops::random_categorical, {{"x", p}, {"mode", "probs"}, {"size", count}, {"seed", -1}}));
    return in.cast(x, DType::I32);
  }
  // Without replacement: the largest of p / e, where e is drawn from an exponential distribution, come out like drawn balls.
  TRY(Operand u, uniform(in, in.shape_of(p), 0, 1));
  TRY(Operand e, in.op(mil_ops::log, {{"x", u}, {"epsilon", in.constant(1e-38, DType::F32)}}));
  TRY(e, multiply(in, e, in.constant(-1, DType::F32)));
  TRY(Operand keys, in.op(mil_ops::real_div, {{"x", p}, {"y", e}}));
  TRY(auto top, in.multi(mil_ops::topk, {{"x", keys}, {"k", count}, {"axis", -1}, {"ascending", false}}));
  return top[1];
}

#define OPTIONS(type) "*, ScalarType? dtype=" type ", Layout? layout=None, Device? device=None, bool? pin_memory=None"
#define LIKE OPTIONS("None") ", MemoryFormat? memory_format=None) -> Tensor"

constexpr TorchOp kTable[] = {
    {.schema = "aten::rand(SymInt[] size, " OPTIONS("None") ") -> Tensor", .lower = rand,
     .samples = "[2,3] -> f32[2,3] ~"},
    {.schema = "aten::exponential(Tensor self, float lambd=1., *, Generator? generator=None) -> Tensor",
     .decompose = decompositions::exponential, .samples = "F[2,3] ~; F[n4,3] 2.0 ~"},
    {.schema = "aten::rand_like(Tensor self, " LIKE, .lower = rand, .decompose = decompositions::rand_like,
     .samples = "F[2,3] ~; F[n4,3] ~"},
    {.schema = "aten::randn(SymInt[] size, " OPTIONS("None") ") -> Tensor", .lower = randn,
     .samples = "[2,3] -> f32[2,3] ~"},
    {.schema = "aten::randn_like(Tensor self, " LIKE, .lower = randn, .decompose = decompositions::randn_like,
     .samples = "F[2,3] ~"},
    {.schema = "aten::randint(SymInt high, SymInt[] size, " OPTIONS("4") ") -> Tensor", .lower = integers,
     .decompose = decompositions::randint, .samples = "10 [2,3] -> i64[2,3] ~"},
    {.schema = "aten::randint.low(SymInt low, SymInt high, SymInt[] size, " OPTIONS("4") ") -> Tensor", .lower = integers,
     .decompose = decompositions::randint, .samples = "5 10 [2,3] -> i64[2,3] ~"},
    {.schema = "aten::randint_like(Tensor self, SymInt high, " LIKE, .lower = integers, .samples = "I[2,3] 10 ~"},
    {.schema = "aten::randint_like.low_dtype(Tensor self, SymInt low, SymInt high, " LIKE, .lower = integers,
     .samples = "I[2,3] 5 10 ~"},
    {.schema = "aten::randperm(SymInt n, " OPTIONS("4") ") -> Tensor", .lower = permutation, .samples = "8 -> i64[8] ~"},
    {.schema = "aten::bernoulli(Tensor self, *, Generator? generator=None) -> Tensor", .lower = [](Lowering& in) { return coin(in, "self"); },
     .samples = "F[2,3]{0..1} ~"},
    {.schema = "aten::bernoulli.p(Tensor self, float p, *, Generator? generator=None) -> Tensor",
     .lower = [](Lowering& in) { return coin(in, "p"); }, .samples = "F[2,3] 0.5 ~"},
    {.schema = "aten::multinomial(Tensor self, SymInt num_samples, bool replacement=False, *, Generator? generator=None) -> Tensor",
     .lower = multinomial, .samples = "F[2,5]{0.1..1} 1 -> i64[2,1] ~; F[2,5]{0.1..1} 3 True -> i64[2,3] ~"},
    {.schema = "aten::uniform(Tensor self, float from=0., float to=1., *, Generator? generator=None) -> Tensor", .lower = uniform_between,
     .samples = "F[2,3] ~; F[2,3] -1 2 ~"},
    {.schema = "aten::normal_functional(Tensor self, float mean=0., float std=1., *, Generator? generator=None) -> Tensor",
     .lower = normal_around, .samples = "F[2,3] ~"},
    {.schema = "aten::normal.float_float(float mean, float std, SymInt[] size, *, Generator? generator=None, ScalarType? dtype=None, "
               "Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
     .lower = normal_around, .samples = "0.5 2 [2,3] -> f32[2,3] ~"},
    {.schema = "aten::normal.Tensor_float(Tensor mean, float std=1., *, Generator? generator=None) -> Tensor", .lower = normal_around,
     .samples = "F[2,3] 2 ~"},
    {.schema = "aten::normal.float_Tensor(float mean, Tensor std, *, Generator? generator=None) -> Tensor", .lower = normal_around,
     .samples = "0 F[2,3]{0.5..1} ~"},
    {.schema = "aten::normal.Tensor_Tensor(Tensor mean, Tensor std, *, Generator? generator=None) -> Tensor", .lower = normal_around,
     .samples = "F[2,3] F[2,3]{0.5..1} ~"},
};

#undef LIKE
#undef OPTIONS

}  // namespace

extern const std::span<const TorchOp> kRandomOps;
const std::span<const TorchOp> kRandomOps = kTable;

}  // namespace cortland::torch_ops
