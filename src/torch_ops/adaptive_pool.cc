// Pools that are told the size of their result: output i looks at positions [floor(i n / out), ceil((i + 1) n / out)).
#include <algorithm>

#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"
#include "torch_ops/linear.h"
#include "torch_ops/pool.h"

namespace cortland::torch_ops {
namespace {

using Ints = std::vector<int64_t>;

struct Window {
  int64_t begin, end;
};

std::vector<Window> windows_of(int64_t in, int64_t out) {
  std::vector<Window> windows;
  for (int64_t i = 0; i < out; ++i) windows.push_back({i * in / out, ((i + 1) * in + out - 1) / out});
  return windows;
}

// The spatial sizes of x [.., *spatial] and of the result, and what they allow.
struct Adaptive {
  Operand x;
  size_t axes = 0, first = 0;
  Shape in_sizes, out_sizes;

  bool all_one() const {
    return std::all_of(out_sizes.begin(), out_sizes.end(), [](Dim d) { return d == Dim(1); });
  }
};

Result<Adaptive> read(Lowering& in, size_t axes) {
  Adaptive a;
  a.axes = axes;
  TRY(a.x, in.tensor("self"));
  const Shape& shape = in.shape("self");
  a.first = shape.size() - axes;
  a.in_sizes = Shape(shape.begin() + static_cast<std::ptrdiff_t>(a.first), shape.end());
  const Shape& out = in.result_type().shape;
  a.out_sizes = Shape(out.begin() + static_cast<std::ptrdiff_t>(a.first), out.end());
  return a;
}

bool is_static(const Adaptive& a) {
  for (size_t i = 0; i < a.axes; ++i)
    if (!a.in_sizes[i].is_constant() || !a.out_sizes[i].is_constant()) return false;
  return true;
}

// Whether all windows have one size and follow each other: an ordinary pool.
bool divides(const Adaptive& a) {
  for (size_t i = 0; i < a.axes; ++i)
    if (a.in_sizes[i].constant() % a.out_sizes[i].constant() != 0) return false;
  return true;
}

Result<Operand> even_pool(Lowering& in, const mil::MilOp& op, const Adaptive& a, std::vector<MilArg> more) {
  Ints kernel;
  for (size_t i = 0; i < a.axes; ++i) kernel.push_back(a.in_sizes[i].constant() / a.out_sizes[i].constant());
  Operand x = a.x;
  const bool unbatched = a.first == 1;
  if (unbatched) {
    TRY(x, in.unsqueeze(x, {0}));
  }
  std::vector<MilArg> args = {{"x", x}, {"kernel_sizes", kernel}, {"strides", kernel}, {"pad_type", "valid"}, {"pad", Ints(2 * a.axes, 0)}, {"ceil_mode", false}};
  args.insert(args.end(), more.begin(), more.end());
  TRY(Operand y, in.op(op, args));
  return unbatched ? in.squeeze(y, {0}) : y;
}

Ints spatial_axes(const Adaptive& a) {
  Ints axes;
  for (size_t i = 0; i < a.axes; ++i) axes.push_back(static_cast<int64_t>(a.first + i));
  return axes;
}

// Uneven windows: means along one axis are a product with a constant matrix.
Result<Operand> mean_along(Lowering& in, Operand x, size_t axis, int64_t out) {
  const Shape shape = in.shape_of(x);
  const int64_t n = shape[axis].constant();
  if (n == out) return x;
  std::vector<float> weights(static_cast<size_t>(n * out), 0.0f);
  const auto windows = windows_of(n, out);
  for (size_t o = 0; o < windows.size(); ++o)
    for (int64_t i = windows[o].begin; i < windows[o].end; ++i)
      weights[o * static_cast<size_t>(n) + static_cast<size_t>(i)] = 1.0f / static_cast<float>(windows[o].end - windows[o].begin);
  return combine_along(in, x, axis, out, weights);
}

// Where the windows along an axis begin and end whose size only the input decides: int32 [out, 1].
struct Bounds {
  Operand begin, end;
};

Result<Bounds> bounds_at_run_time(Lowering& in, Dim n, Dim out) {
  TRY(Operand size, in.size(n));
  TRY(Operand outputs, in.size(out));
  TRY(Operand i, counting(in, out));
  TRY(i, in.unsqueeze(i, {1}));
  Bounds b;
  TRY(b.begin, multiply(in, i, size));
  TRY(b.end, add(in, b.begin, size));
  TRY(b.begin, in.op(mil_ops::floor_div, {{"x", b.begin}, {"y", outputs}}));
  TRY(Operand rounding, in.size(in.dim_table().sub(out, 1)));
  TRY(b.end, add(in, b.end, rounding));
  TRY(b.end, in.op(mil_ops::floor_div, {{"x", b.end}, {"y", outputs}}));
  return b;
}

// The matrix of mean_along, made of the sizes.
Result<Operand> mean_at_run_time(Lowering& in, Operand x, size_t axis, Dim out) {
  const Dim n = in.shape_of(x)[axis];
  TRY(const Bounds b, bounds_at_run_time(in, n, out));
  TRY(Operand k, counting(in, n));
  TRY(Operand begun, in.op(mil_ops::greater_equal, {{"x", k}, {"y", b.begin}}));
  TRY(Operand open, in.op(mil_ops::less, {{"x", k}, {"y", b.end}}));
  TRY(Operand inside, in.op(mil_ops::logical_and, {{"x", begun}, {"y", open}}));
  TRY(Operand matrix, in.cast(inside, in.dtype_of(x)));
  TRY(Operand count, in.op(mil_ops::sub, {{"x", b.end}, {"y", b.begin}}));
  TRY(count, in.cast(count, in.dtype_of(x)));
  TRY(matrix, in.op(mil_ops::real_div, {{"x", matrix}, {"y", count}}));
  return combine_along(in, x, axis, out, in.with_shape(matrix, {out, n}));
}

// The windows of an axis side by side, all as long as the longest may be, then the largest of each.
Result<Operand> maximum_at_run_time(Lowering& in, Operand x, size_t axis, Dim out) {
  const Shape shape = in.shape_of(x);
  DimTable& dims = in.dim_table();
  const Dim longest = dims.add(dims.ceildiv(shape[axis], out), 1);
  TRY(const Bounds b, bounds_at_run_time(in, shape[axis], out));
  TRY(Operand places, counting(in, longest));
  TRY(places, add(in, b.begin, places));
  // A shorter window repeats its last element.
  TRY(Operand last, in.op(mil_ops::sub, {{"x", b.end}, {"y", 1}}));
  TRY(places, in.op(mil_ops::minimum, {{"x", places}, {"y", last}}));
  TRY(places, in.reshape(in.with_shape(places, {out, longest}), {dims.mul(out, longest)}));
  const Dim before = product(in, shape, 0, axis), after = product(in, shape, axis + 1, shape.size());
  TRY(x, in.reshape(x, {before, shape[axis], after}));
  TRY(x, in.op(mil_ops::gather, {{"x", x}, {"indices", places}, {"axis", 1}}));
  TRY(x, in.reshape(in.with_shape(x, {before, dims.mul(out, longest), after}), {before, out, longest, after}));
  TRY(x, in.op(mil_ops::reduce_max, {{"x", x}, {"axes", Ints{2}}, {"keep_dims", false}}));
  Shape to = shape;
  to[axis] = out;
  return in.reshape(x, to);
}

template <size_t axes>
Lowered lower_average(Lowering& in) {
  TRY(Adaptive a, read(in, axes));
  if (!is_float(in.dtype_of(a.x))) return in.reject(DiagKind::UnsupportedDtype, "Core ML averages floats only", "convert the input to float");
  if (a.in_sizes == a.out_sizes) return a.x;
  if (a.all_one()) return in.op(mil_ops::reduce_mean, {{"x", a.x}, {"axes", spatial_axes(a)}, {"keep_dims", true}});
  if (is_static(a) && divides(a)) return even_pool(in, mil_ops::avg_pool, a, {{"exclude_padding_from_average", false}});
  Operand y = a.x;
  for (size_t i = a.axes; i-- > 0;) {
    const auto axis = static_cast<int64_t>(a.first + i);
    if (a.in_sizes[i] == a.out_sizes[i]) continue;
    if (a.out_sizes[i] == Dim(1)) {
      TRY(y, in.op(mil_ops::reduce_mean, {{"x", y}, {"axes", Ints{axis}}, {"keep_dims", true}}));
      continue;
    }
    const bool fixed = a.in_sizes[i].is_constant() && a.out_sizes[i].is_constant();
    TRY(y, fixed ? mean_along(in, y, a.first + i, a.out_sizes[i].constant()) : mean_at_run_time(in, y, a.first + i, a.out_sizes[i]));
  }
  return y;
}

template <size_t axes>
Lowered lower_maximum(Lowering& in) {
  TRY(Adaptive a, read(in, axes));
  const bool with_indices = in.result_used(1);
  if (!with_indices) {
    if (a.in_sizes == a.out_sizes) return a.x;
    if (a.all_one()) return in.op(mil_ops::reduce_max, {{"x", a.x}, {"axes", spatial_axes(a)}, {"keep_dims", true}});
    if (is_static(a) && divides(a) && is_float(in.dtype_of(a.x))) return even_pool(in, mil_ops::max_pool, a, {});
  }
  if (!is_static(a)) {
    if (with_indices)
      return in.reject(DiagKind::UnsupportedShape, "the positions of maxima in windows that only the size decides",
                       "export with static spatial sizes, or drop the indices");
    Operand y = a.x;
    for (size_t i = a.axes; i-- > 0;)
      if (a.in_sizes[i] != a.out_sizes[i]) {
        TRY(y, maximum_at_run_time(in, y, a.first + i, a.out_sizes[i]));
      }
    return y;
  }
  WindowPositions positions;
  for (size_t i = 0; i < a.axes; ++i) {
    const auto windows = windows_of(a.in_sizes[i].constant(), a.out_sizes[i].constant());
    int64_t longest = 1;
    for (const Window& w : windows) longest = std::max(longest, w.end - w.begin);
    std::vector<Ints> taps;
    for (const Window& w : windows) {
      Ints at(static_cast<size_t>(longest - (w.end - w.begin)), w.begin);
      for (int64_t k = w.begin; k < w.end; ++k) at.push_back(k);
      taps.push_back(std::move(at));
    }
    positions.push_back(std::move(taps));
  }
  TRY(const MaxPooled pooled, window_maxima(in, a.x, positions, with_indices));
  return std::vector<Operand>{pooled.values, pooled.indices};
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::_adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor", .lower = lower_average<2>,
     .samples = "F[1,3,8,6] [4,3] -> F[1,3,4,3]; F[1,3,7,5] [3,2] -> F[1,3,3,2]; F[n2,3,h8,w6] [3,4] -> F[n2,3,3,4]"},
    {.schema = "aten::_adaptive_avg_pool3d(Tensor self, SymInt[3] output_size) -> Tensor", .lower = lower_average<3>,
     .decompose = decompositions::adaptive_avg_pool3d, .samples = "F[1,3,4,8,6] [2,4,3] -> F[1,3,2,4,3]; F[n2,3,4,h8,w6] [2,3,3] -> F[n2,3,2,3,3]"},
    {.schema = "aten::adaptive_avg_pool1d(Tensor self, int[1] output_size) -> Tensor", .lower = lower_average<1>,
     .decompose = decompositions::adaptive_avg_pool1d, .samples = "F[1,3,8] [4] -> F[1,3,4]; F[3,7] [3] -> F[3,3]; F[n2,3,w8] [3] -> F[n2,3,3]"},
    {.schema = "aten::adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor", .lower = lower_average<2>,
     .decompose = decompositions::adaptive_avg_pool2d, .edge = "aten._adaptive_avg_pool2d.default",
     .samples = "F[1,3,8,6] [4,3] -> F[1,3,4,3]; F[1,3,7,5] [3,2] -> F[1,3,3,2]; F[3,8,6] [2,2] -> F[3,2,2]; "
                "F[n2,3,h8,w6] [1,1] -> F[n2,3,1,1]; F[n2,3,h8,w6] [3,4] -> F[n2,3,3,4]"},
    {.schema = "aten::adaptive_avg_pool3d(Tensor self, SymInt[3] output_size) -> Tensor", .lower = lower_average<3>,
     .decompose = decompositions::adaptive_avg_pool3d, .edge = "aten._adaptive_avg_pool3d.default",
     .samples = "F[1,3,4,8,6] [2,4,3] -> F[1,3,2,4,3]; F[1,2,5,5,5] [2,3,1] -> F[1,2,2,3,1]; "
                "F[n2,3,4,h8,w6] [2,3,3] -> F[n2,3,2,3,3]"},
    {.schema = "aten::adaptive_max_pool1d(Tensor self, int[1] output_size) -> (Tensor, Tensor)", .lower = lower_maximum<1>,
     .decompose = decompositions::adaptive_max_pool1d, .samples = "F[1,3,8] [4] -> F[1,3,4], i64[1,3,4]; F[n2,3,w8] [3] -> F[n2,3,3], _"},
    {.schema = "aten::adaptive_max_pool2d(Tensor self, int[2] output_size) -> (Tensor, Tensor)", .lower = lower_maximum<2>,
     .decompose = decompositions::adaptive_max_pool2d,
     .samples = "F[1,3,8,6] [4,3] -> F[1,3,4,3], _; F[1,3,7,5] [3,2] -> F[1,3,3,2], i64[1,3,3,2]; "
                "F[n2,3,h8,w6] [3,4] -> F[n2,3,3,4], _"},
    {.schema = "aten::adaptive_max_pool3d(Tensor self, int[3] output_size) -> (Tensor, Tensor)", .lower = lower_maximum<3>,
     .decompose = decompositions::adaptive_max_pool3d, .samples = "F[1,3,4,8,6] [2,4,3] -> F[1,3,2,4,3], _; F[n2,3,4,h8,w6] [2,3,3] -> F[n2,3,2,3,3], _"},
};

}  // namespace

extern const std::span<const TorchOp> kAdaptivePoolOps;
const std::span<const TorchOp> kAdaptivePoolOps = kTable;

}  // namespace cortland::torch_ops
