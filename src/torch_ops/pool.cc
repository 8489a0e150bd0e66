// Max and average pools with a given window.
#include "torch_ops/pool.h"

#include <algorithm>
#include <limits>

#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"

namespace cortland::torch_ops {
namespace {

using Ints = std::vector<int64_t>;

struct Pool {
  Operand x;  // [N, C, *spatial]
  size_t axes = 0;
  bool unbatched = false;
  Ints kernel, stride, pad, dilation;
  bool ceil = false;
  Shape out;  // spatial sizes

  int64_t extent(size_t i) const { return (kernel[i] - 1) * dilation[i] + 1; }
};

Result<Pool> read_pool(Lowering& in, size_t axes) {
  Pool p;
  p.axes = axes;
  TRY(p.x, in.tensor("self"));
  TRY(p.kernel, in.ints("kernel_size", axes));
  TRY(p.stride, in.ints("stride"));
  if (p.stride.empty()) {
    p.stride = p.kernel;
  } else {
    TRY(p.stride, in.ints("stride", axes));
  }
  TRY(p.pad, in.ints("padding", axes));
  p.dilation = Ints(axes, 1);
  if (in.has("dilation")) {
    TRY(p.dilation, in.ints("dilation", axes));
  }
  p.ceil = in.boolean("ceil_mode");
  const Shape& out = in.result_type().shape;
  p.out = Shape(out.end() - static_cast<std::ptrdiff_t>(axes), out.end());
  p.unbatched = in.rank("self") == static_cast<int>(axes) + 1;
  if (p.unbatched) {
    TRY(p.x, in.unsqueeze(p.x, {0}));
  }
  return p;
}

Result<Operand> finish(Lowering& in, const Pool& p, Operand y) { return p.unbatched ? in.squeeze(y, {0}) : y; }

// Padding before and after each axis. With ceil_mode the last windows hang over the end, which padding by what they lack
// makes whole; where the sizes are dynamic that is the stride less one, and the result may have a window too many.
Ints pads_of(const Lowering& in, const Pool& p) {
  Ints pads;
  for (size_t i = 0; i < p.axes; ++i) {
    int64_t after = p.pad[i];
    const Dim size = in.shape_of(p.x)[i + 2];
    if (p.ceil && size.is_constant() && p.out[i].is_constant()) {
      after = std::max(after, (p.out[i].constant() - 1) * p.stride[i] + p.extent(i) - size.constant() - p.pad[i]);
    } else if (p.ceil) {
      after += p.stride[i] - 1;
    }
    pads.insert(pads.end(), {p.pad[i], after});
  }
  return pads;
}

Result<Operand> run_pool(Lowering& in, const mil::MilOp& op, const Pool& p, const Ints& pads, std::vector<MilArg> more = {}) {
  const bool padded = std::any_of(pads.begin(), pads.end(), [](int64_t v) { return v != 0; });
  std::vector<MilArg> args = {{"x", p.x},      {"kernel_sizes", p.kernel}, {"strides", p.stride}, {"pad_type", padded ? "custom" : "valid"},
                              {"pad", pads},   {"ceil_mode", false}};
  args.insert(args.end(), more.begin(), more.end());
  TRY(Operand y, in.op(op, args));
  for (size_t i = 0; i < p.axes; ++i) {
    // A window that would start behind the input and its padding does not count.
    if (!p.ceil || p.out[i].is_constant() || p.stride[i] <= p.kernel[i] - p.pad[i]) continue;
    TRY(y, slice(in, y, static_cast<int64_t>(i) + 2, 0, p.out[i]));
  }
  Shape shape = in.shape_of(y);
  std::copy(p.out.begin(), p.out.end(), shape.begin() + 2);
  return in.with_shape(y, shape);
}

// --- max pools

// The positions each window reads; those in the padding repeat the first one inside.
WindowPositions positions_of(const Lowering& in, const Pool& p) {
  WindowPositions axes;
  for (size_t i = 0; i < p.axes; ++i) {
    const int64_t size = in.shape_of(p.x)[i + 2].constant();
    std::vector<Ints> windows;
    for (int64_t o = 0; o < p.out[i].constant(); ++o) {
      Ints taps;
      for (int64_t k = 0; k < p.kernel[i]; ++k) {
        const int64_t at = o * p.stride[i] - p.pad[i] + k * p.dilation[i];
        if (at >= 0 && at < size) taps.push_back(at);
      }
      if (taps.empty()) taps.push_back(std::clamp<int64_t>(o * p.stride[i] - p.pad[i], 0, size - 1));
      while (static_cast<int64_t>(taps.size()) < p.kernel[i]) taps.insert(taps.begin(), taps.front());
      windows.push_back(std::move(taps));
    }
    axes.push_back(std::move(windows));
  }
  return axes;
}

bool is_static(const Lowering& in, const Pool& p) {
  for (size_t i = 0; i < p.axes; ++i)
    if (!in.shape_of(p.x)[i + 2].is_constant()) return false;
  return true;
}

Result<MaxPooled> max_pool(Lowering& in, size_t axes, bool with_indices) {
  TRY(Pool p, read_pool(in, axes));
  const bool dilated = std::any_of(p.dilation.begin(), p.dilation.end(), [](int64_t d) { return d != 1; });
  MaxPooled pooled;
  if (!dilated && !with_indices && is_float(in.dtype_of(p.x))) {
    TRY(pooled.values, run_pool(in, mil_ops::max_pool, p, pads_of(in, p)));
  } else {
    if (!is_static(in, p))
      return in.reject(DiagKind::UnsupportedShape, "max pooling with dilation, of integers or with positions needs static sizes",
                       "export with static spatial sizes");
    TRY(pooled, window_maxima(in, p.x, positions_of(in, p), with_indices));
  }
  TRY(pooled.values, finish(in, p, pooled.values));
  if (with_indices) {
    TRY(pooled.indices, finish(in, p, pooled.indices));
  }
  return pooled;
}

template <size_t axes>
Lowered lower_max_pool(Lowering& in) {
  TRY(const MaxPooled pooled, max_pool(in, axes, false));
  return pooled.values;
}

template <size_t axes>
Lowered lower_max_pool_with_indices(Lowering& in) {
  TRY(const MaxPooled pooled, max_pool(in, axes, in.result_used(1)));
  return std::vector<Operand>{pooled.values, pooled.indices};
}

// --- average pools

template <size_t axes>
Lowered lower_avg_pool(Lowering& in) {
  TRY(Pool p, read_pool(in, axes));
  if (!is_float(in.dtype_of(p.x)))
    return in.reject(DiagKind::UnsupportedDtype, "Core ML averages floats only", "convert the input to float");
  Ints pads = pads_of(in, p);
  const bool overhang = p.ceil && pads != [&] {
    Ints plain;
    for (int64_t v : p.pad) plain.insert(plain.end(), {v, v});
    return plain;
  }();
  bool exclude = !in.boolean("count_include_pad");
  double factor = 1;
  if (in.has("divisor_override")) {
    // The mean over the whole window times its size is the sum.
    TRY(const int64_t divisor, in.integer("divisor_override"));
    factor = 1 / static_cast<double>(divisor);
    for (int64_t k : p.kernel) factor *= static_cast<double>(k);
    exclude = false;
  }
  if ((!exclude && overhang) || in.has("divisor_override")) {
    // The padding counts, what hangs over the end does not (or only as zeros): the padding becomes part of the input.
    Ints all(4, 0);
    for (size_t i = 0; i < p.axes; ++i) {
      const bool whole = in.has("divisor_override");
      all.insert(all.end(), {pads[2 * i], whole ? pads[2 * i + 1] : p.pad[i]});
      pads[2 * i + 1] = whole ? 0 : pads[2 * i + 1] - p.pad[i];
      pads[2 * i] = 0;
    }
    TRY(p.x, in.op(mil_ops::pad, {{"x", p.x}, {"pad", all}, {"mode", "constant"}, {"constant_val", 0.0}}));
    exclude = !in.has("divisor_override");
  }
  TRY(Operand y, run_pool(in, mil_ops::avg_pool, p, pads, {{"exclude_padding_from_average", exclude}}));
  if (factor != 1) {
    TRY(y, in.op(mil_ops::mul, {{"x", y}, {"y", factor}}));
  }
  return finish(in, p, y);
}

}  // namespace

// --- maxima of arbitrary windows

namespace {

Ints flattened(const std::vector<Ints>& windows) {
  Ints all;
  for (const Ints& w : windows) all.insert(all.end(), w.begin(), w.end());
  return all;
}

Result<Operand> gather_constant(Lowering& in, Operand x, const Ints& at, int64_t axis) {
  return in.op(mil_ops::gather, {{"x", x}, {"indices", in.constant(at)}, {"axis", axis}});
}

// One axis after the other: all windows side by side, then the largest of each.
Result<Operand> maxima(Lowering& in, Operand x, const WindowPositions& positions) {
  const size_t first = in.shape_of(x).size() - positions.size();
  for (size_t i = 0; i < positions.size(); ++i) {
    Shape shape = in.shape_of(x);
    const size_t axis = first + i;
    const auto outputs = static_cast<int64_t>(positions[i].size()), taps = static_cast<int64_t>(positions[i][0].size());
    const Dim before = product(in, shape, 0, axis), after = product(in, shape, axis + 1, shape.size());
    TRY(x, in.reshape(x, {before, shape[axis], after}));
    TRY(x, gather_constant(in, x, flattened(positions[i]), 1));
    TRY(x, in.reshape(x, {before, Dim(outputs), Dim(taps), after}));
    TRY(x, in.op(mil_ops::reduce_max, {{"x", x}, {"axes", Ints{2}}, {"keep_dims", false}}));
    shape[axis] = outputs;
    TRY(x, in.reshape(x, shape));
  }
  return x;
}

// Goes through the taps of the windows and keeps the best element and where it was. x is [rows, *spatial].
class MaximumSearch {
 public:
  MaximumSearch(Lowering& in, const WindowPositions& positions, std::vector<int64_t> sizes)
      : in_(in), positions_(positions), sizes_(std::move(sizes)) {}

  Status visit(Operand x, size_t axis, Ints taps) {
    if (axis == positions_.size()) return compare(x, taps);
    for (size_t tap = 0; tap < positions_[axis][0].size(); ++tap) {
      Ints at;
      for (const Ints& window : positions_[axis]) at.push_back(window[tap]);
      TRY(Operand part, gather_constant(in_, x, at, static_cast<int64_t>(axis) + 1));
      taps.push_back(static_cast<int64_t>(tap));
      TRY_DO(visit(part, axis + 1, taps));
      taps.pop_back();
    }
    return {};
  }

  Operand best, where;

 private:
  Status compare(Operand x, const Ints& taps) {
    const Operand here = flat_positions(taps);
    if (!best) {
      best = x;
      TRY(where, in_.expand(here, in_.shape_of(x)));
      return {};
    }
    TRY(Operand better, in_.op(mil_ops::greater, {{"x", x}, {"y", best}}));
    TRY(where, in_.op(mil_ops::select, {{"cond", better}, {"a", here}, {"b", where}}));
    TRY(best, in_.op(mil_ops::maximum, {{"x", x}, {"y", best}}));
    return {};
  }

  // int32 [1, *outputs]: where the element of that tap lies in the flattened plane.
  Operand flat_positions(const Ints& taps) {
    Ints all = {0}, shape = {1};
    for (size_t axis = 0; axis < positions_.size(); ++axis) {
      Ints next;
      for (int64_t base : all)
        for (const Ints& window : positions_[axis]) next.push_back(base * sizes_[axis] + window[static_cast<size_t>(taps[axis])]);
      all = std::move(next);
      shape.push_back(static_cast<int64_t>(positions_[axis].size()));
    }
    return in_.constant(Weight::of<int64_t>(DType::I64, shape, all).cast(DType::I32));
  }

  Lowering& in_;
  const WindowPositions& positions_;
  std::vector<int64_t> sizes_;
};

}  // namespace

Result<MaxPooled> window_maxima(Lowering& in, Operand x, const WindowPositions& positions, bool with_indices) {
  MaxPooled pooled;
  if (!with_indices) {
    TRY(pooled.values, maxima(in, x, positions));
    return pooled;
  }
  constexpr int64_t kMostTaps = 125;
  int64_t taps = 1;
  for (const auto& windows : positions) taps *= static_cast<int64_t>(windows[0].size());
  if (taps > kMostTaps)
    return in.reject(DiagKind::UnsupportedArgument, "the positions of maxima in windows of more than 125 elements", "drop the indices, or use smaller windows");
  const Shape shape = in.shape_of(x);
  const size_t first = shape.size() - positions.size();
  Shape rows = {product(in, shape, 0, first)}, out(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(first));
  std::vector<int64_t> sizes;
  for (size_t i = 0; i < positions.size(); ++i) {
    rows.push_back(shape[first + i]);
    sizes.push_back(shape[first + i].constant());
    out.push_back(static_cast<int64_t>(positions[i].size()));
  }
  TRY(x, in.reshape(x, rows));
  MaximumSearch search(in, positions, sizes);
  TRY_DO(search.visit(x, 0, {}));
  TRY(pooled.values, in.reshape(search.best, out));
  TRY(pooled.indices, in.reshape(search.where, out));
  return pooled;
}

namespace {

constexpr TorchOp kTable[] = {
    {.schema = "aten::avg_pool1d(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=0, bool ceil_mode=False, bool "
               "count_include_pad=True) -> Tensor",
     .lower = lower_avg_pool<1>, .decompose = decompositions::avg_pool1d,
     .samples = "F[1,3,8] 2 -> F[1,3,4]; F[1,3,9] 3 2 1 True -> F[1,3,5]; F[3,8] 2 -> F[3,4]; "
                "F[1,3,9] 3 2 1 False False -> F[1,3,5]; F[b2,3,8] 2 -> F[b2,3,4]"},
    {.schema = "aten::avg_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, bool ceil_mode=False, bool "
               "count_include_pad=True, int? divisor_override=None) -> Tensor",
     .lower = lower_avg_pool<2>,
     .samples = "F[1,3,8,8] 2 -> F[1,3,4,4]; F[1,3,9,9] [3,2] 2 1 True -> F[1,3,5,5]; F[3,8,8] 2 -> F[3,4,4]; "
                "F[1,3,9,9] 3 2 1 False False -> F[1,3,5,5]; F[1,3,8,8] 2 2 0 False True 3 -> F[1,3,4,4]; "
                "F[b2,3,8,8] 2 -> F[b2,3,4,4]"},
    {.schema = "aten::avg_pool3d(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, bool ceil_mode=False, bool "
               "count_include_pad=True, int? divisor_override=None) -> Tensor",
     .lower = lower_avg_pool<3>, .decompose = decompositions::avg_pool3d,
     .samples = "f32[1,3,4,8,8] 2 -> f32[1,3,2,4,4]; f32[1,3,5,9,9] 3 2 1 False False -> f32[1,3,3,5,5]; "
                "f32[n2,3,4,8,8] 2 -> f32[n2,3,2,4,4]"},
    {.schema = "aten::max_pool1d(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=0, int[1] dilation=1, bool "
               "ceil_mode=False) -> Tensor",
     .lower = lower_max_pool<1>, .decompose = decompositions::max_pool1d,
     .samples = "F[1,3,8] 2 -> F[1,3,4]; F[1,3,9] 3 2 1 -> F[1,3,5]; F[3,8] 2 -> F[3,4]; F[1,3,9] 3 1 1 2 -> F[1,3,7]; "
                "F[n3,8] 2 -> F[n3,4]"},
    {.schema = "aten::max_pool1d_with_indices(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=0, int[1] dilation=1, "
               "bool ceil_mode=False) -> (Tensor, Tensor)",
     .lower = lower_max_pool_with_indices<1>, .decompose = decompositions::max_pool1d,
     .samples = "F[1,3,8] 2 -> F[1,3,4], _; F[1,3,8] 2 -> F[1,3,4], i64[1,3,4]; F[n2,3,8] 2 -> F[n2,3,4], _"},
    {.schema = "aten::max_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool "
               "ceil_mode=False) -> Tensor",
     .lower = lower_max_pool<2>,
     .decompose = decompositions::max_pool2d, .edge = "aten.max_pool2d_with_indices.default",
     .samples = "F[1,3,8,8] 2 -> F[1,3,4,4]; F[1,3,9,9] [3,2] 2 1 1 True -> F[1,3,5,5]; F[3,8,8] 2 -> F[3,4,4]; "
                "F[1,3,9,9] 3 1 1 2 -> F[1,3,7,7]; F[b2,3,8,8] 2 -> F[b2,3,4,4]"},
    {.schema = "aten::max_pool2d_with_indices(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, "
               "bool ceil_mode=False) -> (Tensor, Tensor)",
     .lower = lower_max_pool_with_indices<2>,
     .samples = "F[1,3,8,8] 2 -> F[1,3,4,4], _; F[1,3,8,8] 2 -> F[1,3,4,4], i64[1,3,4,4]; "
                "F[n2,3,8,8] 2 -> F[n2,3,4,4], _"},
    {.schema = "aten::max_pool3d(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, bool "
               "ceil_mode=False) -> Tensor",
     .lower = lower_max_pool<3>, .decompose = decompositions::max_pool3d,
     .edge = "aten.max_pool3d_with_indices.default",
     .samples = "F[1,3,4,8,8] 2 -> F[1,3,2,4,4]; F[1,3,5,9,9] 3 2 1 -> F[1,3,3,5,5]; F[n2,3,4,8,8] 2 -> F[n2,3,2,4,4]"},
    {.schema = "aten::max_pool3d_with_indices(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, "
               "bool ceil_mode=False) -> (Tensor, Tensor)",
     .lower = lower_max_pool_with_indices<3>, .decompose = decompositions::max_pool3d,
     .samples = "F[1,3,4,8,8] 2 -> F[1,3,2,4,4], _; F[1,3,4,8,8] 2 -> F[1,3,2,4,4], i64[1,3,2,4,4]; "
                "F[n2,3,4,8,8] 2 -> F[n2,3,2,4,4], _"},
};

}  // namespace

extern const std::span<const TorchOp> kPoolOps;
const std::span<const TorchOp> kPoolOps = kTable;

}  // namespace cortland::torch_ops
