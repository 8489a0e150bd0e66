// Pools: a reduction over each window of the spatial axes of x[n, C, *D].
#include <cmath>
#include <limits>

#include "mil_ops/ops.h"
#include "mil_ops/window.h"

namespace cortland::mil_ops {
namespace {

using namespace mil;

enum class Pool { Max, Average, L2 };

struct PoolShape {
  Windows windows;
  std::vector<int64_t> kernel;
  Shape out;
};

template <class Context>
Result<PoolShape> pool_shape(const Context& c, DimTable& dims) {
  TRY_DO(expect_rank(c, "x", 3, c.def.name == "l2_pool" ? 4 : 5));
  const Shape x = shape_of_input(c, "x");
  PoolShape shape;
  if (!is_known(c, "kernel_sizes")) return c.error("'kernel_sizes' must be a plain constant");
  shape.kernel = c.ints("kernel_sizes");
  if (shape.kernel.size() != x.size() - 2)
    return c.error(fmt::format("{} kernel sizes for {} spatial axes", shape.kernel.size(), x.size() - 2));
  TRY(shape.windows, read_windows(c, x.size() - 2));
  shape.out = {x[0], x[1]};
  for (size_t i = 0; i < shape.kernel.size(); ++i) {
    if (shape.kernel[i] < 1) return c.error(fmt::format("a kernel size is {}", shape.kernel[i]));
    shape.out.push_back(shape.windows.out_size(dims, i, x[i + 2], shape.kernel[i]));
    if (dims.range(shape.out.back()).high < 1)
      return c.error(
          fmt::format("a window of {} does not fit into axis {} of size {}", shape.kernel[i], i + 2, dims.str(x[i + 2])));
  }
  return shape;
}

Types infer_pool(InferContext& c) {
  TRY(const PoolShape shape, pool_shape(c, c.dims));
  return one({c.dtype("x"), shape.out});
}

// Adds one tap of the window to the row of results.
void take_tap(Pool pool, const float* x, int64_t stride, double* row, int64_t first, int64_t last) {
  if (pool == Pool::Max) {
    for (int64_t o = first; o < last; ++o) {
      const double v = x[o * stride];
      row[o] = v > row[o] || v != v ? v : row[o];  // NaN wins
    }
  } else if (pool == Pool::Average) {
    for (int64_t o = first; o < last; ++o) row[o] += x[o * stride];
  } else {
    for (int64_t o = first; o < last; ++o) row[o] += static_cast<double>(x[o * stride]) * x[o * stride];
  }
}

// How many elements of the window at `out` count along one axis: those of the input, or of the padded input.
int64_t window_count(const WindowAxis& a, int64_t out, bool padding) {
  const int64_t begin = out * a.stride - a.before, end = std::min(begin + a.kernel, a.in + a.after);
  return padding ? end - begin : std::min(end, a.in) - std::max<int64_t>(begin, 0);
}

void pool_plane(Pool pool, bool padding, const WindowAxes& axes, const float* x, float* out) {
  const auto& [d, h, w] = axes;
  std::vector<double> row(static_cast<size_t>(w.out));
  for (int64_t od = 0; od < d.out; ++od) {
    for (int64_t oh = 0; oh < h.out; ++oh) {
      std::fill(row.begin(), row.end(), pool == Pool::Max ? -std::numeric_limits<double>::infinity() : 0.0);
      for (int64_t id = std::max<int64_t>(0, od * d.stride - d.before);
           id < std::min(d.in, od * d.stride - d.before + d.kernel); ++id)
        for (int64_t ih = std::max<int64_t>(0, oh * h.stride - h.before);
             ih < std::min(h.in, oh * h.stride - h.before + h.kernel); ++ih)
          for (int64_t k = 0; k < w.kernel; ++k)
            take_tap(pool, x + (id * h.in + ih) * w.in + k - w.before, w.stride, row.data(), w.first(k), w.last(k));
      const int64_t rows = pool == Pool::Average ? window_count(d, od, padding) * window_count(h, oh, padding) : 1;
      for (int64_t ow = 0; ow < w.out; ++ow) {
        double v = row[static_cast<size_t>(ow)];
        if (pool == Pool::Average) v /= static_cast<double>(rows * window_count(w, ow, padding));
        if (pool == Pool::L2) v = std::sqrt(v);
        *out++ = static_cast<float>(v);
      }
    }
  }
}

template <Pool P>
Status eval_pool(EvalContext& c) {
  DimTable dims;
  TRY(const PoolShape shape, pool_shape(c, dims));
  const Tensor x = c.tensor("x").cast(DType::F32);
  Tensor out = Tensor::make(DType::F32, sizes(shape.out));
  const auto spatial = [](const std::vector<int64_t>& s) { return std::vector<int64_t>(s.begin() + 2, s.end()); };
  const WindowAxes axes = window_axes(shape.windows, spatial(x.shape), shape.kernel, spatial(out.shape));
  const int64_t in_plane = product(x.shape, 2, x.shape.size()), out_plane = product(out.shape, 2, out.shape.size());
  const bool padding = P != Pool::Average || !c.boolean("exclude_padding_from_average");
  for (int64_t plane = 0; plane < x.dim(0) * x.dim(1); ++plane)
    pool_plane(P, padding, axes, x.data<float>() + plane * in_plane, out.mutable_data<float>() + plane * out_plane);
  c.set_output(0, out.cast(c.tensor("x").dtype));
  return {};
}

constexpr Input kAverageInputs[] = {option("exclude_padding_from_average", kBools, false),
                                    value("x", kFloats),
                                    constant("kernel_sizes", kInt32),
                                    option("strides", kInt32),
                                    constant("pad_type", kStrings),
                                    option("pad", kInt32),
                                    option("ceil_mode", kBools, false)};
constexpr auto kInputs = std::span(kAverageInputs).subspan(1);

}  // namespace

const MilOp avg_pool{.name = "avg_pool", .inputs = kAverageInputs, .infer = infer_pool, .eval = eval_pool<Pool::Average>};
const MilOp l2_pool{.name = "l2_pool", .inputs = kInputs, .infer = infer_pool, .eval = eval_pool<Pool::L2>};
const MilOp max_pool{.name = "max_pool", .inputs = kInputs, .infer = infer_pool, .eval = eval_pool<Pool::Max>};

}  // namespace cortland::mil_ops
