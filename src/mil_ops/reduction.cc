#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <type_traits>

#include "mil_ops/elementwise.h"
#include "mil_ops/ops.h"
#include "mil_ops/shape_rules.h"

namespace cortland::mil_ops {

using namespace mil;

namespace {

// --- reductions over several axes

template <class Context>
Result<std::vector<bool>> reduced_axes(const Context& c, int rank) {
  std::vector<bool> reduced(static_cast<size_t>(rank), !c.has("axes"));
  if (!c.has("axes")) return reduced;
  TRY(const auto axes, axes_in(c, c.ints("axes"), rank));
  for (size_t axis : axes) reduced[axis] = true;
  return reduced;
}

template <class Sizes>
Sizes reduced_shape(const Sizes& shape, const std::vector<bool>& reduced, bool keep_dims) {
  Sizes out;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (!reduced[i])
      out.push_back(shape[i]);
    else if (keep_dims)
      out.push_back(1);
  }
  return out;
}

Types infer_reduction(InferContext& c) {
  TRY(const auto reduced, reduced_axes(c, c.rank("x")));
  return one({c.dtype("x"), reduced_shape(c.shape("x"), reduced, c.boolean("keep_dims"))});
}

// What one reduction reads and makes: x with its axes marked, and how many elements meet in one result.
struct Reduction {
  Tensor x;  // float32 or int32
  std::vector<bool> reduced;
  Sizes shape;
  int64_t results = 1, group = 1;
};

Result<Reduction> read_reduction(EvalContext& c) {
  Reduction r;
  r.x = c.tensor("x");
  if (r.x.dtype != DType::I32) r.x = r.x.cast(DType::F32);
  TRY(r.reduced, reduced_axes(c, r.x.rank()));
  r.shape = reduced_shape(r.x.shape, r.reduced, c.boolean("keep_dims"));
  for (size_t i = 0; i < r.x.shape.size(); ++i) (r.reduced[i] ? r.group : r.results) *= r.x.shape[i];
  return r;
}

// acc[result] = f(acc[result], element, result) for every element of x.
template <class T, class Acc, class F>
void fold(const Reduction& r, std::vector<Acc>& acc, F f) {
  Sizes strides(r.x.shape.size(), 0);
  int64_t step = 1;
  for (size_t i = r.x.shape.size(); i-- > 0;)
    if (!r.reduced[i]) {
      strides[i] = step;
      step *= r.x.shape[i];
    }
  StridedWalk walk(r.x.shape, {dense_strides(r.x.shape), strides});
  for (; !walk.done(); walk.next()) {
    const T* x = r.x.data<T>() + walk.at(0);
    const int64_t n = walk.length(), from = walk.step(0), to = walk.step(1);
    size_t at = static_cast<size_t>(walk.at(1));
    if (to == 0) {
      Acc sum = acc[at];
      for (int64_t i = 0; i < n; ++i) sum = f(sum, static_cast<Acc>(x[i * from]), at);
      acc[at] = sum;
    } else {
      for (int64_t i = 0; i < n; ++i, at += static_cast<size_t>(to)) acc[at] = f(acc[at], static_cast<Acc>(x[i * from]), at);
    }
  }
}

// Rounds results to x's type: int32 wraps when it was summed exactly, and saturates when it comes from a float.
void store(EvalContext& c, const Reduction& r, const std::vector<int64_t>& values) {
  int32_t* out = c.output(0, r.shape, DType::I32).mutable_data<int32_t>();
  for (int64_t v : values) *out++ = static_cast<int32_t>(v);
}
void store(EvalContext& c, const Reduction& r, const std::vector<double>& values) {
  Tensor& out = c.output(0, r.shape, c.tensor("x").dtype);
  convert_elements(DType::F64, reinterpret_cast<const std::byte*>(values.data()), out.dtype, out.mutable_data(),
                   out.elements());
}

// Start is the accumulator of nothing; Combine(acc, x) takes double or int64_t; Finish(acc, count) runs once for each
// result.
template <auto Start, auto Combine, auto Finish>
Status reduction_op(EvalContext& c) {
  TRY(const Reduction r, read_reduction(c));
  const auto compute = [&]<class T, class Acc>(T, Acc) {
    std::vector<Acc> acc(static_cast<size_t>(r.results), Start(Acc{}));
    fold<T>(r, acc, [](Acc a, Acc x, size_t) { return Combine(a, x); });
    std::vector<decltype(Finish(Acc{}, int64_t{}))> out;
    out.reserve(acc.size());
    for (Acc a : acc) out.push_back(Finish(a, r.group));
    store(c, r, out);
  };
  if (r.x.dtype == DType::I32)
    compute(int32_t{}, int64_t{});
  else
    compute(float{}, double{});
  return {};
}

template <class T>
constexpr bool kIsInt = std::is_integral_v<T>;

constexpr auto kZero = [](auto a) { return decltype(a){0}; };
constexpr auto kOne = [](auto a) { return decltype(a){1}; };
constexpr auto kLowest = [](auto a) {
  using T = decltype(a);
  return kIsInt<T> ? T{INT32_MIN} : -std::numeric_limits<T>::infinity();
};
constexpr auto kHighest = [](auto a) {
  using T = decltype(a);
  return kIsInt<T> ? T{INT32_MAX} : std::numeric_limits<T>::infinity();
};

// Integers wrap.
template <class T>
T sum_of(T a, T b) {
  if constexpr (kIsInt<T>)
    return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  else
    return a + b;
}
template <class T>
T product_of(T a, T b) {
  if constexpr (kIsInt<T>)
    return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  else
    return a * b;
}

constexpr auto kAdd = [](auto a, auto x) { return sum_of(a, x); };
constexpr auto kAddAbs = [](auto a, auto x) { return sum_of(a, x < 0 ? -x : x); };
constexpr auto kAddSquare = [](auto a, auto x) { return sum_of(a, product_of(x, x)); };
constexpr auto kMultiply = [](auto a, auto x) { return product_of(a, x); };
constexpr auto kMax = [](auto a, auto x) { return x > a || x != x ? x : a; };  // NaN wins and stays
constexpr auto kMin = [](auto a, auto x) { return x < a || x != x ? x : a; };

constexpr auto kSame = [](auto a, int64_t) { return a; };
constexpr auto kMean = [](auto a, int64_t n) { return static_cast<double>(a) / static_cast<double>(n); };
constexpr auto kRoot = [](auto a, int64_t) { return std::sqrt(static_cast<double>(a)); };
constexpr auto kLog = [](auto a, int64_t) { return std::log(static_cast<double>(a)); };

// ln of the sum of e^x, shifted by the largest x so that nothing overflows.
template <class T>
void log_sum_exp(EvalContext& c, const Reduction& r) {
  std::vector<double> high(static_cast<size_t>(r.results), -std::numeric_limits<double>::infinity());
  fold<T>(r, high, [](double a, double x, size_t) { return kMax(a, x); });
  for (double& h : high)
    if (!std::isfinite(h)) h = 0;
  std::vector<double> sum(high.size(), 0);
  fold<T>(r, sum, [&](double a, double x, size_t at) { return a + std::exp(x - high[at]); });
  for (size_t i = 0; i < sum.size(); ++i) sum[i] = std::log(sum[i]) + high[i];
  store(c, r, sum);
}

Status eval_log_sum_exp(EvalContext& c) {
  TRY(const Reduction r, read_reduction(c));
  r.x.dtype == DType::I32 ? log_sum_exp<int32_t>(c, r) : log_sum_exp<float>(c, r);
  return {};
}

// --- argmax, argmin

template <class Context>
Result<DType> index_type(const Context& c) {
  if (c.def.slot("output_dtype") < 0) return DType::I32;
  const std::string name = c.str("output_dtype");
  if (name != "int32" && name != "uint16")
    return c.error(fmt::format("output_dtype must be int32 or uint16, not '{}'", name));
  return name == "int32" ? DType::I32 : DType::U16;
}

Types infer_arg(InferContext& c) {
  TRY(const DType dtype, index_type(c));
  TRY(const size_t axis, axis_in(c, c.integer("axis"), c.rank("x")));
  if (c.shape("x")[axis] == Dim(0)) return c.error("there is no element to choose");
  std::vector<bool> reduced(c.shape("x").size(), false);
  reduced[axis] = true;
  return one({dtype, reduced_shape(c.shape("x"), reduced, c.boolean("keep_dims"))});
}

// The first best element down each column of x [n, inner]; NaN beats everything, as in torch.
template <auto Better, class T>
void best_rows(const T* x, int64_t n, int64_t inner, int64_t* out) {
  std::vector<T> best(x, x + inner);
  std::fill_n(out, inner, 0);
  for (int64_t i = 1; i < n; ++i)
    for (int64_t k = 0; k < inner; ++k) {
      const T v = x[i * inner + k];
      T& b = best[static_cast<size_t>(k)];
      if (Better(v, b) || (v != v && b == b)) {
        b = v;
        out[k] = i;
      }
    }
}

template <auto Better>
Status arg_op(EvalContext& c) {
  Tensor x = c.tensor("x");
  TRY(const size_t axis, axis_in(c, c.integer("axis"), x.rank()));
  const int64_t n = x.shape[axis];
  if (n == 0) return c.error("there is no element to choose");
  if (x.dtype != DType::I32) x = x.cast(DType::F32);
  std::vector<bool> reduced(x.shape.size(), false);
  reduced[axis] = true;
  int64_t inner = 1;
  for (size_t i = axis + 1; i < x.shape.size(); ++i) inner *= x.shape[i];
  std::vector<int64_t> best(static_cast<size_t>(x.elements() / n));
  const int64_t outer = inner == 0 ? 0 : static_cast<int64_t>(best.size()) / inner;
  for (int64_t i = 0; i < outer; ++i) {
    if (x.dtype == DType::I32)
      best_rows<Better>(x.data<int32_t>() + i * n * inner, n, inner, best.data() + i * inner);
    else
      best_rows<Better>(x.data<float>() + i * n * inner, n, inner, best.data() + i * inner);
  }
  TRY(const DType dtype, index_type(c));
  c.set_output(0, Tensor::from(dtype, reduced_shape(x.shape, reduced, c.boolean("keep_dims")), best));
  return {};
}

constexpr auto kGreater = [](auto a, auto b) { return a > b; };
constexpr auto kLess = [](auto a, auto b) { return a < b; };

constexpr Input kAxes[] = {value("x", kNumbers), option("axes", kInt32), option("keep_dims", kBools, false)};
constexpr Input kAxis[] = {value("x", kNumbers), option("axis", kInt32, -1), option("keep_dims", kBools, false)};
constexpr Input kAxisIos17[] = {value("x", kNumbers), option("axis", kInt32, -1), option("keep_dims", kBools, false),
                                option("output_dtype", kStrings, "int32")};

constexpr Tolerance kSums{.f16 = 2e-3, .f32 = 1e-5};

}  // namespace

const MilOp reduce_argmax{.name = "reduce_argmax", .inputs = kAxis, .infer = infer_arg, .eval = arg_op<kGreater>};
const MilOp reduce_argmax_ios17{
    .name = "reduce_argmax", .since = Target::iOS17, .inputs = kAxisIos17, .infer = infer_arg, .eval = arg_op<kGreater>};
const MilOp reduce_argmin{.name = "reduce_argmin", .inputs = kAxis, .infer = infer_arg, .eval = arg_op<kLess>};
const MilOp reduce_argmin_ios17{
    .name = "reduce_argmin", .since = Target::iOS17, .inputs = kAxisIos17, .infer = infer_arg, .eval = arg_op<kLess>};
const MilOp reduce_l1_norm{.name = "reduce_l1_norm",
                           .inputs = kAxes,
                           .infer = infer_reduction,
                           .eval = reduction_op<kZero, kAddAbs, kSame>,
                           .tol = kSums};
const MilOp reduce_l2_norm{.name = "reduce_l2_norm",
                           .inputs = kAxes,
                           .infer = infer_reduction,
                           .eval = reduction_op<kZero, kAddSquare, kRoot>,
                           .tol = kSums};
const MilOp reduce_log_sum{.name = "reduce_log_sum",
                           .inputs = kAxes,
                           .infer = infer_reduction,
                           .eval = reduction_op<kZero, kAdd, kLog>,
                           .tol = kSums};
const MilOp reduce_log_sum_exp{
    .name = "reduce_log_sum_exp", .inputs = kAxes, .infer = infer_reduction, .eval = eval_log_sum_exp, .tol = kSums};
const MilOp reduce_max{
    .name = "reduce_max", .inputs = kAxes, .infer = infer_reduction, .eval = reduction_op<kLowest, kMax, kSame>};
const MilOp reduce_mean{.name = "reduce_mean",
                        .inputs = kAxes,
                        .infer = infer_reduction,
                        .eval = reduction_op<kZero, kAdd, kMean>,
                        .tol = kSums};
const MilOp reduce_min{
    .name = "reduce_min", .inputs = kAxes, .infer = infer_reduction, .eval = reduction_op<kHighest, kMin, kSame>};
const MilOp reduce_prod{.name = "reduce_prod",
                        .inputs = kAxes,
                        .infer = infer_reduction,
                        .eval = reduction_op<kOne, kMultiply, kSame>,
                        .tol = kSums};
const MilOp reduce_sum{
    .name = "reduce_sum", .inputs = kAxes, .infer = infer_reduction, .eval = reduction_op<kZero, kAdd, kSame>, .tol = kSums};
const MilOp reduce_sum_square{.name = "reduce_sum_square",
                              .inputs = kAxes,
                              .infer = infer_reduction,
                              .eval = reduction_op<kZero, kAddSquare, kSame>,
                              .tol = kSums};

}  // namespace cortland::mil_ops
