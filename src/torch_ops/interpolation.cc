#include "torch_ops/interpolation.h"

#include <algorithm>
#include <cmath>

#include "torch_ops/data_movement.h"
#include "torch_ops/elementwise.h"

namespace cortland::torch_ops {
namespace {

// Keys' cubic: torch takes -0.75 for resizing and -0.5 with antialiasing.
template <class T>
T cubic(T x, T a) {
  x = std::abs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

}  // namespace

float AxisMap::scale() const {
  if (keeps && in == out) return 1;
  const auto n = static_cast<float>(in.constant()), m = static_cast<float>(out.constant());
  if (align_corners) return out.constant() > 1 ? (n - 1) / (m - 1) : 0;
  return factor && *factor > 0 ? static_cast<float>(1 / *factor) : n / m;
}

bool AxisMap::factor_agrees() const {
  if (!factor || align_corners || (keeps && in == out)) return true;
  if (!is_static()) return *factor == std::floor(*factor);
  const double by_size = static_cast<double>(in.constant()) / static_cast<double>(out.constant());
  return std::abs(by_size - 1 / *factor) < 1e-6 * by_size;
}

std::vector<float> filter_weights(const AxisMap& map, Filter filter) {
  const int64_t n = map.in.constant(), m = map.out.constant();
  const float scale = map.scale();
  std::vector<float> weights(static_cast<size_t>(n * m), 0.0f);
  for (int64_t o = 0; o < m; ++o) {
    float at = map.align_corners ? scale * static_cast<float>(o) : scale * (static_cast<float>(o) + 0.5f) - 0.5f;
    if (filter == Filter::Linear) at = std::max(at, 0.0f);
    const float low = std::floor(at), t = at - low;
    const auto add = [&](int64_t tap, float w) {
      const int64_t i = std::clamp<int64_t>(static_cast<int64_t>(low) + tap, 0, n - 1);
      weights[static_cast<size_t>(o * n + i)] += w;
    };
    if (filter == Filter::Linear) {
      add(0, 1 - t);
      add(1, t);
    } else {
      for (int64_t tap = -1; tap <= 2; ++tap) add(tap, cubic<float>(t - static_cast<float>(tap), -0.75f));
    }
  }
  return weights;
}

std::vector<float> antialias_weights(const AxisMap& map, Filter filter) {
  const int64_t n = map.in.constant(), m = map.out.constant();
  const float scale = map.scale(), half = filter == Filter::Linear ? 1.0f : 2.0f;
  const float support = scale >= 1 ? half * scale : half, inverse = scale >= 1 ? 1 / scale : 1.0f;
  std::vector<float> weights(static_cast<size_t>(n * m), 0.0f);
  for (int64_t o = 0; o < m; ++o) {
    const float centre = scale * (static_cast<float>(o) + 0.5f);
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(centre - support + 0.5f), 0);
    const int64_t last = std::min<int64_t>(static_cast<int64_t>(centre + support + 0.5f), n);
    float total = 0;
    for (int64_t i = first; i < last; ++i) {
      const float x = (static_cast<float>(i) - centre + 0.5f) * inverse;
      const float w = filter == Filter::Linear ? std::max(0.0f, 1 - std::abs(x)) : cubic<float>(x, -0.5f);
      weights[static_cast<size_t>(o * n + i)] = w;
      total += w;
    }
    for (int64_t i = first; total != 0 && i < last; ++i) weights[static_cast<size_t>(o * n + i)] /= total;
  }
  return weights;
}

std::vector<int64_t> nearest_positions(const AxisMap& map, bool centred) {
  AxisMap plain = map;
  plain.align_corners = false;
  const float scale = plain.scale(), shift = centred ? 0.5f : 0.0f;
  std::vector<int64_t> at;
  for (int64_t o = 0; o < map.out.constant(); ++o)
    at.push_back(std::min<int64_t>(static_cast<int64_t>(std::floor((static_cast<float>(o) + shift) * scale)), map.in.constant() - 1));
  return at;
}

Result<Operand> take_along(Lowering& in, Operand x, size_t axis, const std::vector<int64_t>& at) {
  const Shape shape = in.shape_of(x);
  const bool merge = shape.size() > 4;
  if (merge) {
    TRY(x, in.reshape(x, {product(in, shape, 0, axis), shape[axis], product(in, shape, axis + 1, shape.size())}));
  }
  TRY(x, in.op(mil_ops::gather, {{"x", x}, {"indices", in.constant(at)}, {"axis", merge ? 1 : static_cast<int64_t>(axis)}}));
  if (!merge) return x;
  Shape to = shape;
  to[axis] = static_cast<int64_t>(at.size());
  return in.reshape(x, to);
}

namespace {

// Positions computed at run time, in float32 as torch does; [out].
class Positions {
 public:
  Positions(Lowering& in, const AxisMap& map) : in_(in), map_(map) {}

  // (i + before) * scale + after, not below 0 when `clamped`.
  Result<Operand> at(double before, double after, bool clamped) {
    TRY(Operand i, counting(in_, map_.out));
    TRY(i, in_.cast(i, DType::F32));
    if (before != 0) {
      TRY(i, in_.op(mil_ops::add, {{"x", i}, {"y", before}}));
    }
    TRY(Operand factor, scale());
    TRY(i, in_.op(mil_ops::mul, {{"x", i}, {"y", factor}}));
    if (after != 0) {
      TRY(i, in_.op(mil_ops::add, {{"x", i}, {"y", after}}));
    }
    if (!clamped) return i;
    return in_.op(mil_ops::maximum, {{"x", i}, {"y", 0.0}});
  }

  // Position + offset as an index inside the axis.
  Result<Operand> index(Operand position, int64_t offset) {
    TRY(Operand i, in_.cast(position, DType::I32));
    if (offset != 0) {
      TRY(i, in_.op(mil_ops::add, {{"x", i}, {"y", offset}}));
    }
    TRY(Operand last, in_.size(in_.dim_table().sub(map_.in, 1)));
    TRY(i, in_.op(mil_ops::minimum, {{"x", i}, {"y", last}}));
    if (offset >= 0) return i;
    return in_.op(mil_ops::maximum, {{"x", i}, {"y", 0}});
  }

  // Input positions for one output position; rank 0.
  Result<Operand> scale() {
    if (map_.factor && !map_.align_corners) return by_factor(in_.constant(1 / *map_.factor, DType::F32));
    TRY(Operand n, float_size(map_.in));
    TRY(Operand m, float_size(map_.out));
    if (map_.align_corners) {
      TRY(n, in_.op(mil_ops::sub, {{"x", n}, {"y", 1.0}}));
      TRY(m, in_.op(mil_ops::sub, {{"x", m}, {"y", 1.0}}));
      TRY(m, in_.op(mil_ops::maximum, {{"x", m}, {"y", 1.0}}));
    }
    return in_.op(mil_ops::real_div, {{"x", n}, {"y", m}});
  }

 private:
  // 1 where a small size stays as it is: 3 times 1.3, rounded down.
  Result<Operand> by_factor(Operand factor) {
    const DimRange growth = in_.dim_table().range(in_.dim_table().sub(map_.out, map_.in));
    if (!map_.keeps || growth.low > 0 || growth.high < 0) return factor;
    TRY(Operand n, in_.size(map_.in));
    TRY(Operand m, in_.size(map_.out));
    TRY(Operand stays, in_.op(mil_ops::equal, {{"x", n}, {"y", m}}));
    return in_.op(mil_ops::select, {{"cond", stays}, {"a", in_.constant(1.0, DType::F32)}, {"b", factor}});
  }

  Result<Operand> float_size(Dim d) {
    TRY(Operand size, in_.size(d));
    return in_.cast(size, DType::F32);
  }

  Lowering& in_;
  const AxisMap& map_;
};

// Elements at computed positions; x is [before, n, after].
Result<Operand> gather_rows(Lowering& in, Operand x, Operand at) { return in.op(mil_ops::gather, {{"x", x}, {"indices", at}, {"axis", 1}}); }

Result<Operand> merged(Lowering& in, Operand x, size_t axis) {
  const Shape shape = in.shape_of(x);
  return in.reshape(x, {product(in, shape, 0, axis), shape[axis], product(in, shape, axis + 1, shape.size())});
}

Result<Operand> restored(Lowering& in, Operand y, Shape shape, size_t axis, Dim out) {
  shape[axis] = out;
  return in.reshape(y, shape);
}

// The four weights of Keys' cubic with a = -0.75 at fraction t: polynomials in t, highest power first.
constexpr double kCubic[4][4] = {{-0.75, 1.5, -0.75, 0}, {1.25, -2.25, 0, 1}, {-1.25, 1.5, 0.75, 0}, {0.75, -0.75, 0, 0}};
// Keys' cubic with a = -0.5 at distances up to 1 and from there up to 2.
constexpr double kSmoothCubic[2][4] = {{1.5, -2.5, 0, 1}, {-0.5, 2.5, -4, 2}};

Result<Operand> polynomial(Lowering& in, Operand t, const double (&coefficients)[4]) {
  Operand y = in.constant(coefficients[0], DType::F32);
  for (int i = 1; i < 4; ++i) {
    TRY(y, in.op(mil_ops::mul, {{"x", t}, {"y", y}}));
    TRY(y, in.op(mil_ops::add, {{"x", y}, {"y", coefficients[i]}}));
  }
  return y;
}

}  // namespace

Result<Operand> cubic_weight(Lowering& in, Operand t, int tap) { return polynomial(in, t, kCubic[tap + 1]); }

Result<Operand> nearest_at_run_time(Lowering& in, Operand x, size_t axis, const AxisMap& map, bool centred) {
  Positions positions(in, map);
  TRY(Operand at, positions.at(centred ? 0.5 : 0.0, 0, false));
  TRY(at, in.op(mil_ops::floor, {{"x", at}}));
  TRY(Operand index, positions.index(at, 0));
  const Shape shape = in.shape_of(x);
  TRY(x, merged(in, x, axis));
  TRY(Operand y, gather_rows(in, x, index));
  return restored(in, y, shape, axis, map.out);
}

Result<Operand> filter_at_run_time(Lowering& in, Operand x, size_t axis, const AxisMap& map, Filter filter) {
  Positions positions(in, map);
  const double shift = map.align_corners ? 0 : 0.5;
  TRY(Operand at, positions.at(shift, -shift, filter == Filter::Linear));
  TRY(Operand low, in.op(mil_ops::floor, {{"x", at}}));
  TRY(Operand t, in.op(mil_ops::sub, {{"x", at}, {"y", low}}));
  const Shape shape = in.shape_of(x);
  TRY(x, merged(in, x, axis));
  Operand sum;
  for (int tap = filter == Filter::Linear ? 0 : -1; tap <= (filter == Filter::Linear ? 1 : 2); ++tap) {
    Operand weight = t;
    if (filter == Filter::Cubic) {
      TRY(weight, cubic_weight(in, t, tap));
    } else if (tap == 0) {
      TRY(weight, in.op(mil_ops::sub, {{"x", in.constant(1, DType::F32)}, {"y", t}}));
    }
    TRY(weight, in.cast(weight, in.dtype_of(x)));
    TRY(weight, in.reshape(weight, {map.out, Dim(1)}));
    // The floor of a cubic's position may be -1: even its taps at 0 and above are kept inside.
    TRY(Operand index, positions.index(low, tap));
    if (tap >= 0 && filter == Filter::Cubic) {
      TRY(index, in.op(mil_ops::maximum, {{"x", index}, {"y", 0}}));
    }
    TRY(Operand part, gather_rows(in, x, index));
    TRY(part, in.op(mil_ops::mul, {{"x", part}, {"y", weight}}));
    if (sum) {
      TRY(sum, in.op(mil_ops::add, {{"x", sum}, {"y", part}}));
    } else {
      sum = part;
    }
  }
  return restored(in, sum, shape, axis, map.out);
}

Result<Operand> antialias_matrix_at_run_time(Lowering& in, const AxisMap& map, Filter filter) {
  Positions positions(in, map);
  TRY(Operand centre, positions.at(0.5, 0, false));
  TRY(centre, in.unsqueeze(centre, {1}));
  TRY(Operand x, counting(in, map.in));
  TRY(x, in.cast(x, DType::F32));
  TRY(x, in.op(mil_ops::add, {{"x", x}, {"y", 0.5}}));
  TRY(x, in.op(mil_ops::sub, {{"x", x}, {"y", centre}}));
  TRY(Operand scale, positions.scale());
  TRY(scale, in.op(mil_ops::maximum, {{"x", scale}, {"y", 1.0}}));
  TRY(x, in.op(mil_ops::real_div, {{"x", x}, {"y", scale}}));
  TRY(x, in.op(mil_ops::abs, {{"x", x}}));
  const Shape shape = {map.out, map.in};
  in.with_shape(x, shape);
  Operand weights;
  if (filter == Filter::Linear) {
    TRY(weights, in.op(mil_ops::sub, {{"x", in.constant(1, DType::F32)}, {"y", x}}));
    TRY(weights, in.op(mil_ops::maximum, {{"x", weights}, {"y", 0.0}}));
  } else {
    TRY(Operand inner, polynomial(in, x, kSmoothCubic[0]));
    TRY(Operand outer, polynomial(in, x, kSmoothCubic[1]));
    TRY(Operand is_inner, in.op(mil_ops::less_equal, {{"x", x}, {"y", 1.0}}));
    TRY(Operand is_outer, in.op(mil_ops::less, {{"x", x}, {"y", 2.0}}));
    TRY(weights, select(in, is_outer, outer, in.constant(0, DType::F32), shape));
    TRY(weights, select(in, is_inner, inner, weights, shape));
  }
  TRY(Operand total, in.op(mil_ops::reduce_sum, {{"x", weights}, {"axes", std::vector<int64_t>{1}}, {"keep_dims", true}}));
  TRY(weights, in.op(mil_ops::real_div, {{"x", weights}, {"y", total}}));
  return in.with_shape(weights, shape);
}

}  // namespace cortland::torch_ops
