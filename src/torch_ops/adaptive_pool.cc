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

Diagnostic dynamic_size(const Lowering& in) {
  return in.reject(DiagKind::UnsupportedShape, "adaptive pooling of a dynamic size to more than one element needs windows that only the size decides",
                   "export with static spatial sizes, or pool to one element");
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
    if (!a.in_sizes[i].is_constant() || !a.out_sizes[i].is_constant()) return dynamic_size(in);
    TRY(y, mean_along(in, y, static_cast<size_t>(axis), a.out_sizes[i].constant()));
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
  if (!is_static(a)) return dynamic_size(in);
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
     .samples = "F[1,3,8,6] [4,3] -> F[1,3,4,3]; F[1,3,7,5] [3,2] -> F[1,3,3,2]"},
    {.schema = "aten::_adaptive_avg_pool3d(Tensor self, SymInt[3] output_size) -> Tensor", .lower = lower_average<3>,
     .decompose = decompositions::adaptive_avg_pool3d, .samples = "F[1,3,4,8,6] [2,4,3] -> F[1,3,2,4,3]"},
    {.schema = "aten::adaptive_avg_pool1d(Tensor self, int[1] output_size) -> Tensor", .lower = lower_average<1>,
     .decompose = decompositions::adaptive_avg_pool1d, .samples = "F[1,3,8] [4] -> F[1,3,4]; F[3,7] [3] -> F[3,3]"},
    {.schema = "aten::adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor", .lower = lower_average<2>,
     .decompose = decompositions::adaptive_avg_pool2d, .edge = "aten._adaptive_avg_pool2d.default",
     .samples = "F[1,3,8,6] [4,3] -> F[1,3,4,3]; F[1,3,7,5] [3,2] -> F[1,3,3,2]; F[3,8,6] [2,2] -> F[3,2,2]; "
                "F[n2,3,h8,w6] [1,1] -> F[n2,3,1,1]"},
    {.schema = "aten::adaptive_avg_pool3d(Tensor self, SymInt[3] output_size) -> Tensor", .lower = lower_average<3>,
     .decompose = decompositions::adaptive_avg_pool3d, .edge = "aten._adaptive_avg_pool3d.default",
     .samples = "F[1,3,4,8,6] [2,4,3] -> F[1,3,2,4,3]; F[1,2,5,5,5] [2,3,1] -> F[1,2,2,3,1]"},
    {.schema = "aten::adaptive_max_pool1d(Tensor self, int[1] output_size) -> (Tensor, Tensor)", .lower = lower_maximum<1>,
     .decompose = decompositions::adaptive_max_pool1d, .samples = "F[1,3,8] [4] -> F[1,3,4], i64[1,3,4]"},
    {.schema = "aten::adaptive_max_pool2d(Tensor self, int[2] output_size) -> (Tensor, Tensor)", .lower = lower_maximum<2>,
     .decompose = decompositions::adaptive_max_pool2d,
     .samples = "F[1,3,8,6] [4,3] -> F[1,3,4,3], _; F[1,3,7,5] [3,2] -> F[1,3,3,2], i64[1,3,3,2]"},
    {.schema = "aten::adaptive_max_pool3d(Tensor self, int[3] output_size) -> (Tensor, Tensor)", .lower = lower_maximum<3>,
     .decompose = decompositions::adaptive_max_pool3d, .samples = "F[1,3,4,8,6] [2,4,3] -> F[1,3,2,4,3], _"},
};

}  // namespace

extern const std::span<const TorchOp> kAdaptivePoolOps;
const std::span<const TorchOp> kAdaptivePoolOps = kTable;

}  // namespace cortland::torch_ops
