// Reductions that models spell out: what lies between may leave float16 although the result does not.
#include <cmath>

#include "mil_passes/algebra.h"
#include "mil_passes/pipeline.h"

namespace cortland::mil_passes {
namespace {

Result<Operand> reduce_alike(Rewriter& r, mil::OpId at, std::string_view name, Operand x, mil::OpId like) {
  return r.emit(at, name, {{"x", x}, {"axes", r.input(like, "axes")}, {"keep_dims", r.input(like, "keep_dims")}});
}

std::optional<int64_t> reduced_elements(const Rewriter& r, mil::OpId sum) {
  const Operand x = r.input(sum, "x");
  if (!r.input(sum, "axes").is_const()) return std::nullopt;
  int64_t n = 1;
  for (int64_t a : r.ints(r.input(sum, "axes"))) {
    const Dim d = r.shape(x)[axis_of(a, r.type(x).rank())];
    if (!d.is_constant()) return std::nullopt;
    n *= d.constant();
  }
  return n;
}

// sum(x) / n, with n the number of elements: the sum may be out of range, the mean is not.
Result<bool> fuse_mean(Rewriter& r, mil::OpId id) {
  const Product p = product_of(r, r.result(id));
  if (p.factors.size() != 1 || !r.has_one_use(p.factors[0]) || !is_float(r.type(p.factors[0]).dtype())) return false;
  const mil::OpId sum = r.producer(p.factors[0], "reduce_sum");
  const auto n = sum ? reduced_elements(r, sum) : std::nullopt;
  // As near as the rounded constant can be: the sum over n - 1 is another thing.
  const double lost = r.type(r.result(id)).dtype() == DType::F16 ? 0x1p-11 : 0x1p-23;
  if (!n || std::abs(static_cast<double>(p.scale) * static_cast<double>(*n) - 1) > lost ||
      r.type(p.factors[0]) != r.type(r.result(id)))
    return false;
  TRY(const Operand mean, reduce_alike(r, id, "reduce_mean", r.input(sum, "x"), sum));
  return r.replace(id, mean);
}

// sqrt(sum(x * x))
Result<bool> fuse_l2_norm(Rewriter& r, mil::OpId id) {
  const Operand root = r.input(id, "x");
  const mil::OpId sum = r.producer(root, "reduce_sum");
  if (!sum || !r.has_one_use(root) || !r.has_one_use(r.input(sum, "x")) || !r.input(sum, "axes").is_const()) return false;
  if (r.is(id, "pow") && r.splat(r.input(id, "y")) != 0.5f) return false;
  const Product square = product_of(r, r.input(sum, "x"));
  if (square.factors.empty() || !square.is_power(square.factors[0], 2) || square.scale != 1) return false;
  TRY(const Operand norm, reduce_alike(r, id, "reduce_l2_norm", square.factors[0], sum));
  return r.replace(id, norm);
}

// exp(x) / sum(exp(x)) along one axis, whatever was subtracted from x before.
Result<bool> fuse_softmax(Rewriter& r, mil::OpId id) {
  const Operand numerator = r.input(id, "x");
  const mil::OpId exp = r.producer(numerator, "exp"), sum = r.producer(r.input(id, "y"), "reduce_sum");
  if (!exp || !sum || r.input(sum, "x") != numerator || !r.flag(r.input(sum, "keep_dims"))) return false;
  const auto axes = r.ints(r.input(sum, "axes"));
  if (axes.size() != 1) return false;
  TRY(const Operand y,
      r.emit(id, "softmax", {{"x", r.input(exp, "x")}, {"axis", r.program.constant(static_cast<int32_t>(axes[0]))}}));
  return r.replace(id, y);
}

constexpr Rule kMeans[] = {{"mul", fuse_mean}, {"real_div", fuse_mean}};
constexpr Rule kNorms[] = {{"sqrt", fuse_l2_norm}, {"pow", fuse_l2_norm}};
constexpr Rule kSoftmax[] = {{"real_div", fuse_softmax}};

}  // namespace

Status fuse_reduce_mean(mil::Program& program) { return rewrite(program, kMeans); }
Status fuse_l2_norm(mil::Program& program) { return rewrite(program, kNorms); }
Status fuse_softmax(mil::Program& program) { return rewrite(program, kSoftmax); }

}  // namespace cortland::mil_passes
