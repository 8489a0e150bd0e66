// Reductions and scans: sums, means, extremes, variances, cumulative sums and products.
#include <cmath>
#include <limits>

#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"

namespace cortland::torch_ops {
namespace {

// A tensor of rank 1 or more, the axes to reduce, and whether they stay; torch reduces scalars too.
struct Reduction {
  Operand x;
  std::vector<int64_t> axes;
  bool keep = false;
};

Result<Reduction> reduction_of(Lowering& in, Operand x, std::string_view dim = "dim") {
  Reduction r{x, {}, in.boolean("keepdim")};
  const int rank = in.rank_of(x);
  TRY(r.axes, in.axes(dim, rank));
  if (rank == 0) {
    TRY(r.x, in.reshape(x, {1}));
    r.axes = {0};
    r.keep = false;
  }
  return r;
}

Result<Operand> reduce(Lowering& in, const mil::MilOp& op, const Reduction& r) {
  return in.op(op, {{"x", r.x}, {"axes", r.axes}, {"keep_dims", r.keep}});
}

template <const mil::MilOp& op>
Lowered lower_reduce(Lowering& in) {
  TRY(Operand x, in_result_kind(in));
  TRY(Reduction r, reduction_of(in, x));
  return reduce(in, op, r);
}

Lowered lower_nansum(Lowering& in) {
  TRY(Operand x, in_result_kind(in));
  TRY(Operand nan, in.op(mil_ops::not_equal, {{"x", x}, {"y", x}}));
  TRY(x, select(in, nan, number_like(in, 0, x), x));
  TRY(Reduction r, reduction_of(in, x));
  return reduce(in, mil_ops::reduce_sum, r);
}

Lowered lower_count_nonzero(Lowering& in) {
  TRY(Operand x, in.precise_tensor("self"));
  TRY(x, as_bool(in, x));
  TRY(x, in.cast(x, DType::I32));
  TRY(Reduction r, reduction_of(in, x));
  return reduce(in, mil_ops::reduce_sum, r);
}

// Extremes keep the argument's type; bools go through int32.
template <const mil::MilOp& op>
Result<Operand> reduce_extreme(Lowering& in, Operand x) {
  const bool boolean = in.dtype_of(x) == DType::Bool;
  if (boolean) {
    TRY(x, in.cast(x, DType::I32));
  }
  TRY(Reduction r, reduction_of(in, x));
  TRY(Operand y, reduce(in, op, r));
  return boolean ? as_bool(in, y) : y;
}

// What an extreme is looked for in: floats keep all their digits, a constant becomes what MIL computes with.
Result<Operand> compared(Lowering& in) {
  TRY(const Operand x, in.precise_tensor("self"));
  return in.cast(x, is_float(in.dtype_of(x)) ? common_float(in, {x}) : in.mil_dtype(in.dtype_of(x)));
}

template <const mil::MilOp& op>
Lowered lower_extreme(Lowering& in) {
  TRY(const Operand x, compared(in));
  return reduce_extreme<op>(in, x);
}

// any and all: the largest or smallest of x != 0.
template <const mil::MilOp& op>
Lowered lower_any_all(Lowering& in) {
  TRY(Operand x, in.precise_tensor("self"));
  TRY(x, as_bool(in, x));
  TRY(Operand y, reduce_extreme<op>(in, x));
  return in.result_type().dtype == DType::Bool ? Lowered(y) : Lowered(in.cast(y, DType::I32));
}

// The position of the extreme along one axis, or in the flattened tensor. That one is reduced as one row of a matrix:
// Core ML's reduction of rank-1 tensors to their position is unreliable.
Result<Operand> arg_extreme(Lowering& in, const mil::MilOp& op, Operand x) {
  if (in.dtype_of(x) == DType::Bool) {
    TRY(x, in.cast(x, DType::I32));
  }
  if (!in.has("dim") || in.rank_of(x) <= 1) {
    const TensorType flat{DType::F32, in.shape_of(x)};
    Dim count(1);
    for (Dim d : flat.shape) count = in.dim_table().mul(count, d);
    TRY(x, in.reshape(x, {Dim(1), count}));
    TRY(Operand y, in.op(op, {{"x", x}, {"axis", 1}, {"keep_dims", false}}));
    return in.reshape(y, in.result_type(in.node().results.size() - 1).shape);
  }
  TRY(const int64_t axis, in.axis("dim", in.rank_of(x)));
  return in.op(op, {{"x", x}, {"axis", axis}, {"keep_dims", in.boolean("keepdim")}});
}

template <const mil::MilOp& op>
Lowered lower_arg(Lowering& in) {
  TRY(const Operand x, compared(in));
  return arg_extreme(in, op, x);
}

// max.dim and min.dim: value and position.
template <const mil::MilOp& value, const mil::MilOp& position>
Lowered lower_extreme_with_position(Lowering& in) {
  TRY(const Operand x, compared(in));
  std::vector<Operand> results(2);
  if (in.result_used(0)) {
    TRY(results[0], reduce_extreme<value>(in, x));
  }
  if (in.result_used(1)) {
    TRY(results[1], arg_extreme(in, position, x));
  }
  return results;
}

Lowered lower_aminmax(Lowering& in) {
  TRY(const Operand x, compared(in));
  TRY(Operand low, reduce_extreme<mil_ops::reduce_min>(in, x));
  TRY(Operand high, reduce_extreme<mil_ops::reduce_max>(in, x));
  return std::vector<Operand>{low, high};
}

// The argument less its mean, and what else variances are made of.
struct Centred {
  Reduction r;
  Operand mean;        // axes kept
  Operand difference;  // x - mean
  Dim count;           // of the elements in each mean
  double correction = 1;
};

Result<Centred> centre(Lowering& in) {
  Centred c;
  TRY(Operand x, float_tensor(in, "self"));
  TRY(c.r, reduction_of(in, x));
  if (in.has("correction")) {
    TRY(c.correction, in.number("correction"));
  } else if (in.has("unbiased")) {
    c.correction = in.boolean("unbiased") ? 1 : 0;
  }
  TRY(c.mean, reduce(in, mil_ops::reduce_mean, {c.r.x, c.r.axes, true}));
  TRY(c.difference, in.op(mil_ops::sub, {{"x", c.r.x}, {"y", c.mean}}));
  c.count = Dim(1);
  for (int64_t a : c.r.axes) c.count = in.dim_table().mul(c.count, in.shape_of(c.r.x)[static_cast<size_t>(a)]);
  return c;
}

Result<Operand> mean_of(Lowering& in, const Centred& c) { return c.r.keep ? Result<Operand>(c.mean) : in.squeeze(c.mean, c.r.axes); }

// Variance with Bessel's correction: sum((x - mean)^2) / (n - correction). Two passes, so nothing cancels.
Result<Operand> variance_of(Lowering& in, const Centred& c) {
  TRY(Operand squares, in.op(mil_ops::mul, {{"x", c.difference}, {"y", c.difference}}));
  TRY(Operand variance, reduce(in, mil_ops::reduce_mean, {squares, c.r.axes, c.r.keep}));
  if (c.correction == 0) return variance;
  if (c.count.is_constant()) {
    const auto n = static_cast<double>(c.count.constant());
    // No more values than the correction: torch divides by zero.
    const double factor = n > c.correction ? n / (n - c.correction) : std::numeric_limits<double>::infinity();
    return in.op(mil_ops::mul, {{"x", variance}, {"y", factor}});
  }
  TRY(Operand n, in.size(c.count));
  TRY(n, in.cast(n, in.dtype_of(variance)));
  TRY(Operand rest, in.op(mil_ops::sub, {{"x", n}, {"y", c.correction}}));
  TRY(rest, in.op(mil_ops::maximum, {{"x", rest}, {"y", 0.0}}));
  TRY(Operand factor, in.op(mil_ops::real_div, {{"x", n}, {"y", rest}}));
  return in.op(mil_ops::mul, {{"x", variance}, {"y", factor}});
}

// The root of the variance, as a norm: the squares stay inside of one op, and the scale is divided between what goes into it and
// what comes out, so that float16 holds all of it when it holds the deviation.
Result<Operand> deviation_of(Lowering& in, const Centred& c) {
  if (!c.count.is_constant() || static_cast<double>(c.count.constant()) <= c.correction) {
    TRY(Operand variance, variance_of(in, c));
    return in.op(mil_ops::sqrt, {{"x", variance}});
  }
  const double factor = std::pow(static_cast<double>(c.count.constant()) - c.correction, -0.25);
  TRY(Operand d, in.op(mil_ops::mul, {{"x", c.difference}, {"y", factor}}));
  TRY(d, reduce(in, mil_ops::reduce_l2_norm, {d, c.r.axes, c.r.keep}));
  return in.op(mil_ops::mul, {{"x", d}, {"y", factor}});
}

Lowered lower_var(Lowering& in) {
  TRY(const Centred c, centre(in));
  return variance_of(in, c);
}

Lowered lower_std(Lowering& in) {
  TRY(const Centred c, centre(in));
  return deviation_of(in, c);
}

Lowered lower_var_mean(Lowering& in) {
  TRY(const Centred c, centre(in));
  TRY(const Operand variance, variance_of(in, c));
  TRY(const Operand mean, mean_of(in, c));
  return std::vector<Operand>{variance, mean};
}

Lowered lower_std_mean(Lowering& in) {
  TRY(const Centred c, centre(in));
  TRY(const Operand deviation, deviation_of(in, c));
  TRY(const Operand mean, mean_of(in, c));
  return std::vector<Operand>{deviation, mean};
}

// max + log(sum(exp(x - max))); an infinite maximum is not subtracted, or inf - inf would make NaN.
Lowered lower_logsumexp(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  TRY(Reduction r, reduction_of(in, x));
  TRY(Operand high, reduce(in, mil_ops::reduce_max, {r.x, r.axes, true}));
  TRY(Operand magnitude, in.op(mil_ops::abs, {{"x", high}}));
  TRY(Operand infinite, in.op(mil_ops::equal, {{"x", magnitude}, {"y", std::numeric_limits<double>::infinity()}}));
  TRY(Operand shift, select(in, infinite, number_like(in, 0, high), high));
  TRY(Operand y, in.op(mil_ops::sub, {{"x", r.x}, {"y", shift}}));
  TRY(y, in.op(mil_ops::exp, {{"x", y}}));
  TRY(y, reduce(in, mil_ops::reduce_sum, {y, r.axes, r.keep}));
  TRY(y, in.op(mil_ops::log, {{"x", y}, {"epsilon", 0.0}}));
  if (!r.keep) {
    TRY(shift, in.squeeze(shift, r.axes));
  }
  return in.op(mil_ops::add, {{"x", y}, {"y", shift}});
}

Lowered lower_cumsum(Lowering& in) {
  TRY(Operand x, in_result_kind(in));
  if (in.rank_of(x) == 0) return x;
  TRY(const int64_t axis, in.axis("dim", in.rank_of(x)));
  return in.op(mil_ops::cumsum, {{"x", x}, {"axis", axis}, {"exclusive", false}, {"reverse", false}});
}

constexpr int64_t kLongestScan = int64_t{1} << 20;

// An inclusive scan by doubling: after the step of width w each element covers 2 w positions. Along a dynamic dimension there are as
// many steps as its largest size takes.
template <class Combine>
Result<Operand> scan(Lowering& in, const Combine& combine, Operand x, int64_t axis, double neutral) {
  const Shape shape = in.shape_of(x);
  const auto at = static_cast<size_t>(axis);
  const int64_t longest = in.dim_table().range(shape[at]).high;
  if (longest > kLongestScan)
    return in.reject(DiagKind::UnsupportedShape, "scans along a dynamic dimension without a largest size",
                     "export with a largest size for that dimension");
  const std::vector<int64_t> begin(shape.size(), 0);
  std::vector<bool> end_mask(shape.size(), true);
  end_mask[at] = false;
  TRY(const Operand end, in.sizes(shape));
  for (int64_t width = 1; width < longest; width *= 2) {
    Shape pad = shape;
    pad[at] = width;
    TRY(Operand front, in.expand(in.constant(neutral, in.dtype_of(x)), pad));
    TRY(Operand joined, in.op(mil_ops::concat, {{"values", std::vector<Operand>{front, x}}, {"axis", axis}, {"interleave", false}}));
    TRY(Operand shifted, in.op(mil_ops::slice_by_index, {{"x", joined}, {"begin", begin}, {"end", end}, {"end_mask", end_mask}}));
    TRY(x, combine(x, in.with_shape(shifted, shape)));
  }
  return x;
}

template <const mil::MilOp& op>
Result<Operand> scan(Lowering& in, Operand x, int64_t axis, double neutral) {
  return scan(in, [&](Operand a, Operand b) { return in.op(op, {{"x", a}, {"y", b}}); }, x, axis, neutral);
}

// high + log(1 + exp(low - high)) of neighbours: one maximum for the whole row would leave nothing of numbers far below it.
Lowered lower_logcumsumexp(Lowering& in) {
  TRY(Operand x, float_tensor(in, "self"));
  if (in.rank_of(x) == 0) return x;
  TRY(const int64_t axis, in.axis("dim", in.rank_of(x)));
  const double least = in.dtype_of(x) == DType::F16 ? -65504.0 : static_cast<double>(std::numeric_limits<float>::lowest());
  const auto combine = [&](Operand a, Operand b) -> Result<Operand> {
    TRY(Operand high, in.op(mil_ops::maximum, {{"x", a}, {"y", b}}));
    TRY(Operand low, in.op(mil_ops::minimum, {{"x", a}, {"y", b}}));
    TRY(Operand finite, in.op(mil_ops::maximum, {{"x", high}, {"y", least}}));  // two infinities have no difference
    TRY(Operand y, in.op(mil_ops::sub, {{"x", low}, {"y", finite}}));
    TRY(y, in.op(mil_ops::exp, {{"x", y}}));
    TRY(y, near_log1p(in, y));
    return in.op(mil_ops::add, {{"x", y}, {"y", high}});
  };
  return scan(in, combine, x, axis, -std::numeric_limits<double>::infinity());
}

Lowered lower_cumprod(Lowering& in) {
  TRY(Operand x, in_result_kind(in));
  if (in.rank_of(x) == 0) return x;
  TRY(const int64_t axis, in.axis("dim", in.rank_of(x)));
  return scan<mil_ops::mul>(in, x, axis, 1);
}

// Where the extremes so far are: of equal ones the last. An element is the extreme so far when it is what there is in its place.
Result<Operand> places_of_extremes(Lowering& in, Operand x, Operand extremes, int64_t axis) {
  TRY(Operand place, counting(in, in.shape_of(x)[static_cast<size_t>(axis)]));
  Shape line(static_cast<size_t>(in.rank_of(x)), Dim(1));
  line[static_cast<size_t>(axis)] = in.shape_of(x)[static_cast<size_t>(axis)];
  TRY(place, in.reshape(place, line));
  TRY(Operand extreme, in.op(mil_ops::equal, {{"x", x}, {"y", extremes}}));
  TRY(place, select(in, extreme, place, in.constant(0, DType::I32), in.shape_of(x)));
  return scan<mil_ops::maximum>(in, place, axis, 0);
}

template <const mil::MilOp& op>
Lowered lower_cumulative_extreme(Lowering& in) {
  TRY(Operand x, in.precise_tensor("self"));
  TRY(x, in.cast(x, is_float(in.dtype_of(x)) ? common_float(in, {x}) : DType::I32));
  if (in.rank_of(x) == 0) {
    TRY(x, in.cast(x, in.mil_dtype(in.result_type().dtype)));
    return Results{std::vector<Operand>{x, in.constant(0, DType::I32)}};
  }
  TRY(const int64_t axis, in.axis("dim", in.rank_of(x)));
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const bool floats = is_float(in.dtype_of(x));
  const double least = floats ? -kInfinity : INT32_MIN, most = floats ? kInfinity : INT32_MAX;
  TRY(Operand y, scan<op>(in, x, axis, op.name == mil_ops::maximum.name ? least : most));
  Operand places;
  if (in.result_used(1)) {
    TRY(places, places_of_extremes(in, x, y, axis));
  }
  TRY(y, in.cast(y, in.mil_dtype(in.result_type().dtype)));
  return Results{std::vector<Operand>{y, places}};
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::sum(Tensor self, *, ScalarType? dtype=None) -> Tensor", .lower = lower_reduce<mil_ops::reduce_sum>,
     .decompose = decompositions::sum_all, .edge = "aten.sum.dim_IntList",
     .samples = "F[*] -> F[]; I[2,3] -> i64[]; bool[2,3] -> i64[]; i64[2,3] dtype=f32 -> f32[]"},
    {.schema = "aten::sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
     .lower = lower_reduce<mil_ops::reduce_sum>, .decompose = decompositions::of_one_number,
     .samples = "F[*,3] [-1] -> F[*]; I[] [0] True -> i64[]; F[2,3,4] [0,2] True -> F[1,3,1]; F[n4,3] [0] -> F[3]; I[2,3] [1] -> i64[2]; "
                "bool[2,3] [1] -> i64[2]; F[2,3] None -> F[]"},
    {.schema = "aten::nansum(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor", .lower = lower_nansum,
     .decompose = decompositions::nansum, .samples = "F[2,3] -> F[]; F[2,3] [1] True -> F[2,1]; F[n2,m3] -> F[]"},
    {.schema = "aten::mean(Tensor self, *, ScalarType? dtype=None) -> Tensor", .lower = lower_reduce<mil_ops::reduce_mean>,
     .samples = "F[*] -> F[]; i64[2,3] dtype=f32 -> f32[]"},
    {.schema = "aten::mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
     .lower = lower_reduce<mil_ops::reduce_mean>,
     .samples = "F[*,3] [-1] -> F[*]; F[2,3,4] [0,2] True -> F[1,3,1]; F[n4,3] [0] -> F[3]"},
    {.schema = "aten::prod(Tensor self, *, ScalarType? dtype=None) -> Tensor", .lower = lower_reduce<mil_ops::reduce_prod>,
     .samples = "F[2,3] -> F[]; I[2,3]{1..3} -> i64[]; F[n2,m3] -> F[]"},
    {.schema = "aten::prod.dim_int(Tensor self, int dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
     .lower = lower_reduce<mil_ops::reduce_prod>,
     .samples = "F[2,3] 1 -> F[2]; F[2,3,4] 0 True -> F[1,3,4]; I[2,3]{1..3} 1 -> i64[2]; F[n2,m3] 1 -> F[n2]"},
    {.schema = "aten::count_nonzero(Tensor self, int? dim=None) -> Tensor", .lower = lower_count_nonzero,
     .decompose = decompositions::count_nonzero, .samples = "T[2,3] -> i64[]; F[2,3] 1 -> i64[2]; T[n2,m3] -> i64[]"},
    {.schema = "aten::count_nonzero.dim_IntList(Tensor self, int[] dim) -> Tensor", .lower = lower_count_nonzero,
     .decompose = decompositions::count_nonzero, .samples = "T[2,3] [0,1] -> i64[]; T[n2,m3] [0,1] -> i64[]"},
    {.schema = "aten::amax(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor", .lower = lower_extreme<mil_ops::reduce_max>,
     .samples = "N[*,3] [-1] -> N[*]; F[2,3,4] [0,2] True -> F[1,3,1]; N[2,3] -> N[]"},
    {.schema = "aten::amin(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor", .lower = lower_extreme<mil_ops::reduce_min>,
     .samples = "N[*,3] [-1] -> N[*]; F[2,3,4] [0,2] True -> F[1,3,1]; N[2,3] -> N[]"},
    {.schema = "aten::max(Tensor self) -> Tensor", .lower = lower_extreme<mil_ops::reduce_max>, .samples = "N[*] -> N[]"},
    {.schema = "aten::min(Tensor self) -> Tensor", .lower = lower_extreme<mil_ops::reduce_min>, .samples = "N[*] -> N[]"},
    {.schema = "aten::max.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
     .lower = lower_extreme_with_position<mil_ops::reduce_max, mil_ops::reduce_argmax>,
     .samples = "N[*,3]{-99..99} -1 -> N[*], i64[*]; F[2,3,4] 0 True -> F[1,3,4], _"},
    {.schema = "aten::min.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
     .lower = lower_extreme_with_position<mil_ops::reduce_min, mil_ops::reduce_argmin>,
     .samples = "N[*,3]{-99..99} -1 -> N[*], i64[*]; F[2,3,4] 0 True -> F[1,3,4], _"},
    {.schema = "aten::aminmax(Tensor self, *, int? dim=None, bool keepdim=False) -> (Tensor min, Tensor max)", .lower = lower_aminmax,
     .decompose = decompositions::aminmax,
     .samples = "N[2,3] -> N[], N[]; F[2,3] dim=1 -> F[2], F[2]; F[2,3] dim=0 keepdim=True -> F[1,3], F[1,3]; "
                "N[n2,m3] -> N[], N[]"},
    {.schema = "aten::argmax(Tensor self, int? dim=None, bool keepdim=False) -> Tensor", .lower = lower_arg<mil_ops::reduce_argmax>,
     .samples = "N[2,3]{-99..99} -> i64[]; F[*,3] -1 -> i64[*]; F[2,3,4] 1 True -> i64[2,1,4]"},
    {.schema = "aten::argmin(Tensor self, int? dim=None, bool keepdim=False) -> Tensor", .lower = lower_arg<mil_ops::reduce_argmin>,
     .samples = "N[2,3]{-99..99} -> i64[]; F[*,3] -1 -> i64[*]; F[2,3,4] 1 True -> i64[2,1,4]"},
    {.schema = "aten::any(Tensor self) -> Tensor", .lower = lower_any_all<mil_ops::reduce_max>,
     .samples = "T[*] -> bool[]"},
    {.schema = "aten::any.dim(Tensor self, int dim, bool keepdim=False) -> Tensor", .lower = lower_any_all<mil_ops::reduce_max>,
     .samples = "T[*,3] -1 -> bool[*]; bool[2,3] 0 True -> bool[1,3]"},
    {.schema = "aten::any.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor", .lower = lower_any_all<mil_ops::reduce_max>,
     .samples = "T[2,3,4] [0,2] -> bool[3]; bool[2,3] -> bool[]; T[n2,m3,k4] [0,2] -> bool[m3]"},
    {.schema = "aten::all(Tensor self) -> Tensor", .lower = lower_any_all<mil_ops::reduce_min>,
     .decompose = decompositions::all, .samples = "T[*] -> bool[]"},
    {.schema = "aten::all.dim(Tensor self, int dim, bool keepdim=False) -> Tensor", .lower = lower_any_all<mil_ops::reduce_min>,
     .decompose = decompositions::all, .samples = "T[*,3] -1 -> bool[*]; bool[2,3] 0 True -> bool[1,3]"},
    {.schema = "aten::all.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor", .lower = lower_any_all<mil_ops::reduce_min>,
     .decompose = decompositions::all,
     .samples = "T[2,3,4] [0,2] -> bool[3]; bool[2,3] -> bool[]; T[n2,m3,k4] [0,2] -> bool[m3]"},
    {.schema = "aten::var(Tensor self, bool unbiased=True) -> Tensor", .lower = lower_var,
     .decompose = decompositions::var, .edge = "aten.var.correction",
     .samples = "F[2,3] -> F[]; F[2,3] False -> F[]; F[n2,m3] -> F[]"},
    {.schema = "aten::var.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> Tensor", .lower = lower_var,
     .decompose = decompositions::var, .edge = "aten.var.correction",
     .samples = "F[2,3] [1] -> F[2]; F[2,3,4] [0,2] False True -> F[1,3,1]; F[n2,m3] [1] -> F[n2]"},
    {.schema = "aten::var.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor", .lower = lower_var,
     .samples = "F[2,3] [1] -> F[2]; F[2,3,4] [0,2] correction=0 keepdim=True -> F[1,3,1]; "
                "F[n4,3] [1] correction=0 -> F[n4]; F[2,3] [1] correction=5 -> F[2]"},
    {.schema = "aten::std(Tensor self, bool unbiased=True) -> Tensor", .lower = lower_std,
     .decompose = decompositions::std_deviation, .samples = "F[2,3] -> F[]; F[2,3] False -> F[]; F[n2,m3] -> F[]"},
    {.schema = "aten::std.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> Tensor", .lower = lower_std,
     .decompose = decompositions::std_deviation,
     .samples = "F[2,3] [1] -> F[2]; F[2,3,4] [0,2] False True -> F[1,3,1]; F[n2,m3] [1] -> F[n2]"},
    {.schema = "aten::std.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor", .lower = lower_std,
     .decompose = decompositions::std_deviation,
     .samples = "F[2,3] [1] -> F[2]; F[2,3,4] [0,2] correction=0 keepdim=True -> F[1,3,1]; F[n2,m3] [1] -> F[n2]"},
    {.schema = "aten::var_mean.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> (Tensor, Tensor)",
     .lower = lower_var_mean,
     .samples = "F[2,3] [1] -> F[2], F[2]; F[2,3,4] [0,2] correction=0 keepdim=True -> F[1,3,1], F[1,3,1]; "
                "F[n2,m3] [1] -> F[n2], F[n2]"},
    {.schema = "aten::var_mean.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> (Tensor, Tensor)", .lower = lower_var_mean,
     .decompose = decompositions::var_mean, .edge = "aten.var_mean.correction",
     .samples = "F[2,3] [1] -> F[2], F[2]; F[n2,m3] [1] -> F[n2], F[n2]"},
    {.schema = "aten::std_mean.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> (Tensor, Tensor)",
     .lower = lower_std_mean, .decompose = decompositions::std_mean,
     .samples = "F[2,3] [1] -> F[2], F[2]; F[n2,m3] [1] -> F[n2], F[n2]"},
    {.schema = "aten::logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor", .lower = lower_logsumexp,
     .decompose = decompositions::logsumexp,
     .samples = "F[2,3] [1] -> F[2]; F[2,3,4] [0,2] True -> F[1,3,1]; F[n4,3] [1] -> F[n4]"},
    {.schema = "aten::cumsum(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor", .lower = lower_cumsum,
     .decompose = decompositions::of_one_number, .samples = "F[*,4] -1; F[] 0; I[] 0 -> i64[]; bool[] 0 -> i64[]; F[4,3] 0; I[4] 0 -> i64[4]; bool[4] 0 -> i64[4]"},
    {.schema = "aten::logcumsumexp(Tensor self, int dim) -> Tensor", .lower = lower_logcumsumexp, .samples = "F[2,4] 1; f32[3]{-200,0,5} 0; F[n2,4] 1"},
    {.schema = "aten::cumprod(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor", .lower = lower_cumprod,
     .decompose = decompositions::cumprod, .samples = "F[2,4] 1; I[4]{1..3} 0 -> i64[4]; F[n2,4] 1"},
    {.schema = "aten::cummax(Tensor self, int dim) -> (Tensor values, Tensor indices)", .lower = lower_cumulative_extreme<mil_ops::maximum>,
     .samples = "F[2,4] 1 -> F[2,4], _; I[4]{-99..99} 0 -> I[4], _; bool[4] 0 -> bool[4], _; "
                "f32[2,4] 1 -> f32[2,4], i64[2,4]; i64[2,9]{0..3} -1 -> i64[2,9], i64[2,9]; f32[] 0 -> f32[], i64[]; "
                "F[n2,4] 1 -> F[n2,4], _; i32[2]{-2147483648,-5} 0 -> i32[2], _"},
    {.schema = "aten::cummin(Tensor self, int dim) -> (Tensor values, Tensor indices)", .lower = lower_cumulative_extreme<mil_ops::minimum>,
     .samples = "F[2,4] 1 -> F[2,4], _; I[4]{-99..99} 0 -> I[4], _; bool[4] 0 -> bool[4], _; "
                "f32[2,4] 1 -> f32[2,4], i64[2,4]; i64[2,9]{0..3} -1 -> i64[2,9], i64[2,9]; f32[] 0 -> f32[], i64[]; "
                "F[n2,4] 1 -> F[n2,4], _; i32[2]{-2147483648,-5} 0 -> i32[2], _"},
    {.schema = "aten::nanmean(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
     .decompose = decompositions::nanmean, .samples = "F[2,3] -> F[]; F[2,3] [1] True -> F[2,1]; F[n2,m3] -> F[]"},
    {.schema = "aten::var_mean(Tensor self, bool unbiased=True) -> (Tensor, Tensor)",
     .decompose = decompositions::var_mean, .edge = "aten.var_mean.correction",
     .samples = "F[2,3] -> F[], F[]; F[n2,m3] -> F[], F[]"},
    {.schema = "aten::std_mean(Tensor self, bool unbiased=True) -> (Tensor, Tensor)",
     .decompose = decompositions::std_mean, .samples = "F[2,3] -> F[], F[]; F[n2,m3] -> F[], F[]"},
    {.schema = "aten::std_mean.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> (Tensor, Tensor)",
     .decompose = decompositions::std_mean, .samples = "F[2,3] [1] -> F[2], F[2]; F[n2,m3] [1] -> F[n2], F[n2]"},
    {.schema = "aten::_is_all_true(Tensor self) -> Tensor",
     .decompose = decompositions::all, .samples = "bool[2,3] -> bool[]; bool[n2,m3] -> bool[]"},
};

}  // namespace

extern const std::span<const TorchOp> kReductionOps;
const std::span<const TorchOp> kReductionOps = kTable;

}  // namespace cortland::torch_ops
