#include "mil_ops/shape_rules.h"

#include <fmt/format.h>

#include <algorithm>

namespace cortland::mil_ops {

using namespace mil;

namespace {

template <class Context>
Result<size_t> checked_axis(const Context& c, int64_t axis, int rank) {
  if (axis < -rank || axis >= rank) return c.error(fmt::format("axis {} is outside rank {}", axis, rank));
  return static_cast<size_t>(axis < 0 ? axis + rank : axis);
}

template <class Context>
Result<std::vector<size_t>> checked_axes(const Context& c, const std::vector<int64_t>& axes, int rank) {
  std::vector<size_t> out;
  for (int64_t axis : axes) {
    TRY(const size_t a, checked_axis(c, axis, rank));
    if (std::find(out.begin(), out.end(), a) != out.end()) return c.error(fmt::format("axis {} is named twice", axis));
    out.push_back(a);
  }
  return out;
}

}  // namespace

Types same_as_x(InferContext& c) { return one(c.type("x")); }

Result<Shape> broadcast_dims(InferContext& c, const Shape& a, const Shape& b) {
  const size_t rank = std::max(a.size(), b.size());
  Shape out(rank);
  for (size_t i = 0; i < rank; ++i) {
    const Dim x = i + a.size() < rank ? Dim(1) : a[i + a.size() - rank];
    const Dim y = i + b.size() < rank ? Dim(1) : b[i + b.size() - rank];
    if (x == y || y == Dim(1)) {
      out[i] = x;
    } else if (x == Dim(1)) {
      out[i] = y;
    } else if (x.is_constant() && y.is_constant()) {
      return c.error(fmt::format("sizes {} and {} do not broadcast", x.constant(), y.constant()));
    } else if (x.is_constant() || y.is_constant()) {
      out[i] = x.is_constant() ? x : y;  // the other one is the same number, or 1
    } else {
      out[i] = c.dims.unknown();
    }
  }
  return out;
}

Dim product(DimTable& dims, const Shape& shape, size_t first, size_t last) {
  Dim total = 1;
  for (size_t i = first; i < last; ++i) total = dims.mul(total, shape[i]);
  return total;
}

Result<Shape> unknown_shape(InferContext& c, std::string_view shape_operand) {
  const Shape& shape = c.shape(shape_operand);
  if (shape.size() != 1 || !shape[0].is_constant() || shape[0].constant() > 64)
    return c.error(fmt::format("'{}' must be a vector whose length is known", shape_operand));
  Shape out(static_cast<size_t>(shape[0].constant()));
  for (Dim& d : out) d = c.dims.unknown();
  return out;
}

Result<size_t> axis_in(const InferContext& c, int64_t axis, int rank) { return checked_axis(c, axis, rank); }
Result<size_t> axis_in(const EvalContext& c, int64_t axis, int rank) { return checked_axis(c, axis, rank); }
Result<std::vector<size_t>> axes_in(const InferContext& c, const std::vector<int64_t>& axes, int rank) {
  return checked_axes(c, axes, rank);
}
Result<std::vector<size_t>> axes_in(const EvalContext& c, const std::vector<int64_t>& axes, int rank) {
  return checked_axes(c, axes, rank);
}

Status check_sizes(const EvalContext& c, const std::vector<int64_t>& sizes) {
  constexpr int64_t kMostElements = int64_t{1} << 36;
  int64_t room = kMostElements;
  for (int64_t d : sizes) {
    if (d < 0) return c.error(fmt::format("size {} is negative", d));
    if (d > room) return c.error("the result is too large");
    if (d > 0) room /= d;
  }
  return {};
}

}  // namespace cortland::mil_ops
