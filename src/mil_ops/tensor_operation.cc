// Ops that join, cut, repeat or pad tensors. New tensors are made in tensor_creation.cc, sorted in sorting.cc.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "mil_ops/arguments.h"
#include "mil_ops/elementwise.h"
#include "mil_ops/ops.h"

namespace cortland::mil_ops {

using namespace mil;

namespace {

// --- concat, stack

// Sizes that must agree; a constant says more than a symbol.
Result<Dim> same_size(InferContext& c, Dim a, Dim b, size_t axis) {
  if (!may_equal(a, b)) return c.error(fmt::format("axis {} has size {} and {}", axis, c.dims.str(a), c.dims.str(b)));
  return a.is_constant() ? a : b.is_constant() ? b : a;
}

Types infer_concat(InferContext& c) {
  const std::vector<Type> values = c.types("values");
  if (values.empty()) return c.error("there is nothing to join");
  Shape shape = values[0].shape();
  for (const Type& v : values)
    if (v.rank() != values[0].rank()) return c.error(fmt::format("values have rank {} and {}", values[0].rank(), v.rank()));
  if (shape.empty()) return one({values[0].dtype(), {static_cast<int64_t>(values.size())}});
  TRY(const size_t axis, axis_in(c, c.integer("axis"), values[0].rank()));
  Dim joined = 0;
  for (const Type& v : values) {
    for (size_t i = 0; i < shape.size(); ++i) {
      if (i == axis && !c.boolean("interleave")) continue;
      TRY(shape[i], same_size(c, shape[i], v.shape()[i], i));
    }
    joined = c.dims.add(joined, v.shape()[axis]);
  }
  shape[axis] = joined;
  return one({values[0].dtype(), std::move(shape)});
}

// Sizes before, at and after an axis.
struct Split {
  int64_t outer = 1, size = 1, inner = 1;
};

Split split_at(const Sizes& shape, size_t axis) {
  Split s;
  for (size_t i = 0; i < shape.size(); ++i) (i < axis ? s.outer : i == axis ? s.size : s.inner) *= shape[i];
  return s;
}

// Copies x [outer, size, inner] into rows [first, first + size * step) of out, each `step` apart.
void copy_rows_along(const Tensor& x, const Split& s, Tensor& out, int64_t out_size, int64_t first, int64_t step) {
  const int64_t element = byte_size(x.dtype, 1), out_inner = s.inner;
  copy_strided({s.outer, s.size, s.inner}, element, x.data(), {0, {s.size * s.inner, s.inner, 1}}, out.mutable_data(),
               {first * out_inner, {out_size * out_inner, step * out_inner, 1}});
}

Status eval_concat(EvalContext& c) {
  std::vector<Tensor> values = c.tensors("values");
  if (values.empty()) return c.error("there is nothing to join");
  for (Tensor& v : values)
    if (v.rank() == 0) v = v.reshaped({1});
  TRY(const size_t axis, axis_in(c, c.integer("axis"), values[0].rank()));
  Sizes shape = values[0].shape;
  shape[axis] = 0;
  const bool interleave = c.boolean("interleave");
  for (const Tensor& v : values) {
    Sizes rest = v.shape;
    if (rest.size() != shape.size() || (interleave && rest != values[0].shape)) return c.error("the shapes differ");
    shape[axis] += rest[axis];
    rest[axis] = shape[axis];
    if (rest != shape) return c.error("the shapes differ in another axis than the joined one");
  }
  Tensor& out = c.output(0, shape, values[0].dtype);
  int64_t first = 0;
  for (const Tensor& v : values) {
    const Split s = split_at(v.shape, axis);
    copy_rows_along(v, s, out, shape[axis], first, interleave ? static_cast<int64_t>(values.size()) : 1);
    first += interleave ? 1 : s.size;
  }
  return {};
}

Types infer_stack(InferContext& c) {
  const std::vector<Type> values = c.types("values");
  if (values.empty()) return c.error("there is nothing to stack");
  Shape shape = values[0].shape();
  for (const Type& v : values) {
    if (v.shape().size() != shape.size()) return c.error("the shapes differ");
    for (size_t i = 0; i < shape.size(); ++i) {
      TRY(shape[i], same_size(c, shape[i], v.shape()[i], i));
    }
  }
  TRY(const size_t axis, axis_in(c, c.integer("axis"), values[0].rank() + 1));
  shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(axis), static_cast<int64_t>(values.size()));
  return one({values[0].dtype(), std::move(shape)});
}

Status eval_stack(EvalContext& c) {
  const std::vector<Tensor> values = c.tensors("values");
  if (values.empty()) return c.error("there is nothing to stack");
  TRY(const size_t axis, axis_in(c, c.integer("axis"), values[0].rank() + 1));
  Sizes row = values[0].shape;
  row.insert(row.begin() + static_cast<std::ptrdiff_t>(axis), 1);
  Sizes shape = row;
  shape[axis] = static_cast<int64_t>(values.size());
  Tensor& out = c.output(0, shape, values[0].dtype);
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].shape != values[0].shape) return c.error("the shapes differ");
    copy_rows_along(values[i], split_at(row, axis), out, shape[axis], static_cast<int64_t>(i), 1);
  }
  return {};
}

// --- split

// Sizes of the parts; an even split of a flexible size divides it.
template <class Context>
Result<Shape> part_sizes(const Context& c, DimTable& dims, Dim whole) {
  constexpr int64_t kMostParts = 1 << 16;
  const bool even = !c.has("split_sizes");
  if (even && !c.has("num_splits")) return c.error("num_splits or split_sizes is needed");
  const int64_t parts = c.has("num_splits")                            ? c.integer("num_splits")
                        : shape_of_input(c, "split_sizes").size() == 1 ? static_cast<int64_t>(c.ints("split_sizes").size())
                                                                       : 0;
  if (parts < 1 || parts > kMostParts) return c.error(fmt::format("cannot split into {} parts", parts));
  if (even) {
    if (whole.is_constant() && whole.constant() % parts != 0)
      return c.error(fmt::format("{} does not split into {} equal parts", whole.constant(), parts));
    return Shape(static_cast<size_t>(parts), dims.floordiv(whole, parts));
  }
  const std::vector<int64_t> given = c.ints("split_sizes");
  if (static_cast<int64_t>(given.size()) != parts) return c.error("num_splits and split_sizes disagree");
  int64_t sum = 0;
  for (int64_t s : given) {
    if (s < 0) return c.error("a part has negative size");
    sum += s;
  }
  if (!may_equal(whole, Dim(sum))) return c.error(fmt::format("the parts sum to {}, not {}", sum, whole.constant()));
  return Shape(given.begin(), given.end());
}

Types infer_split(InferContext& c) {
  TRY(const size_t axis, axis_in(c, c.integer("axis"), c.rank("x")));
  TRY(const Shape parts, part_sizes(c, c.dims, c.shape("x")[axis]));
  std::vector<Type> types;
  for (Dim part : parts) {
    Shape shape = c.shape("x");
    shape[axis] = part;
    types.emplace_back(c.dtype("x"), std::move(shape));
  }
  return types;
}

Status eval_split(EvalContext& c) {
  const Tensor x = c.tensor("x");
  TRY(const size_t axis, axis_in(c, c.integer("axis"), x.rank()));
  DimTable dims;
  TRY(const Shape parts, part_sizes(c, dims, Dim(x.shape[axis])));
  if (parts.size() != c.result_types.size()) return c.error("the number of parts changed");
  const Split s = split_at(x.shape, axis);
  int64_t first = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const int64_t size = parts[i].constant();
    Sizes shape = x.shape;
    shape[axis] = size;
    Tensor& out = c.output(i, std::move(shape), x.dtype);
    copy_strided({s.outer, size * s.inner}, byte_size(x.dtype, 1), x.data(), {first * s.inner, {s.size * s.inner, 1}},
                 out.mutable_data(), {0, {size * s.inner, 1}});
    first += size;
  }
  return {};
}

// --- tile

Types infer_tile(InferContext& c) {
  Shape shape = c.shape("x");
  if (c.rank("reps") != 1 || !may_equal(c.shape("reps")[0], Dim(c.rank("x"))))
    return c.error("reps must have one entry for each axis of x");
  if (!c.is_constant("reps")) {
    for (Dim& d : shape) d = c.dims.unknown();
    return one({c.dtype("x"), std::move(shape)});
  }
  const std::vector<int64_t> reps = c.ints("reps");
  for (size_t i = 0; i < shape.size(); ++i) {
    if (reps[i] < 1) return c.error(fmt::format("{} repetitions are too few", reps[i]));
    shape[i] = c.dims.mul(shape[i], reps[i]);
  }
  return one({c.dtype("x"), std::move(shape)});
}

Status eval_tile(EvalContext& c) {
  const Tensor x = c.tensor("x");
  const std::vector<int64_t> reps = c.ints("reps");
  if (reps.size() != x.shape.size()) return c.error("reps must have one entry for each axis of x");
  const Sizes dense = dense_strides(x.shape);
  Sizes pairs, strides, shape;  // each axis as [repetition, element]
  for (size_t i = 0; i < reps.size(); ++i) {
    if (reps[i] < 1) return c.error(fmt::format("{} repetitions are too few", reps[i]));
    pairs.insert(pairs.end(), {reps[i], x.shape[i]});
    strides.insert(strides.end(), {0, dense[i]});
  }
  TRY_DO(check_sizes(c, pairs));
  for (size_t i = 0; i < reps.size(); ++i) shape.push_back(reps[i] * x.shape[i]);
  Tensor& out = c.output(0, std::move(shape), x.dtype);
  copy_strided(pairs, byte_size(x.dtype, 1), x.data(), {0, strides}, out.mutable_data(), {0, dense_strides(pairs)});
  return {};
}

// --- pad

enum class PadMode { Constant, Reflect, Replicate };

template <class Context>
Result<PadMode> pad_mode(const Context& c) {
  const std::string mode = c.str("mode");
  if (mode == "constant") return PadMode::Constant;
  if (mode == "reflect") return PadMode::Reflect;
  if (mode == "replicate") return PadMode::Replicate;
  return c.error(fmt::format("there is no padding mode '{}'", mode));
}

// Pairs of (before, after) for every axis of x; the operand names the last axes only.
template <class Context>
Result<std::vector<int64_t>> pads_of_axes(const Context& c, const Shape& x) {
  std::vector<int64_t> pads = c.ints("pad");
  if (pads.size() % 2 != 0 || pads.size() > 2 * x.size())
    return c.error(fmt::format("{} pads do not fit rank {}", pads.size(), x.size()));
  pads.insert(pads.begin(), 2 * x.size() - pads.size(), 0);
  TRY(const PadMode mode, pad_mode(c));
  for (size_t i = 0; i < pads.size(); ++i) {
    if (pads[i] < 0) return c.error("a pad is negative");
    if (pads[i] == 0 || mode == PadMode::Constant || !x[i / 2].is_constant()) continue;
    const int64_t size = x[i / 2].constant();
    if (size == 0 || (mode == PadMode::Reflect && pads[i] >= size))
      return c.error(fmt::format("{} elements cannot be padded by {}", size, pads[i]));
  }
  return pads;
}

Types infer_pad(InferContext& c) {
  Shape shape = c.shape("x");
  if (c.rank("pad") != 1) return c.error("pad must be a vector");
  if (!c.is_constant("pad")) {
    if (!may_equal(c.shape("pad")[0], Dim(2 * c.rank("x"))))
      return c.error("pad must name every axis when it is not a constant");
    TRY_DO(pad_mode(c));
    for (Dim& d : shape) d = c.dims.unknown();
    return one({c.dtype("x"), std::move(shape)});
  }
  TRY(const auto pads, pads_of_axes(c, shape));
  for (size_t i = 0; i < shape.size(); ++i) shape[i] = c.dims.add(shape[i], pads[2 * i] + pads[2 * i + 1]);
  return one({c.dtype("x"), std::move(shape)});
}

// One axis at a time: row i of the result is a row of x.
Tensor pad_axis(const Tensor& x, size_t axis, int64_t before, int64_t after, PadMode mode) {
  const Split s = split_at(x.shape, axis);
  Sizes shape = x.shape;
  shape[axis] += before + after;
  Tensor out = Tensor::make(x.dtype, shape);
  const auto row = static_cast<size_t>(byte_size(x.dtype, s.inner));
  for (int64_t o = 0; o < s.outer; ++o)
    for (int64_t i = 0; i < shape[axis]; ++i) {
      int64_t from = i - before;
      if (mode == PadMode::Replicate)
        from = std::clamp<int64_t>(from, 0, s.size - 1);
      else if (from < 0)
        from = -from;
      else if (from >= s.size)
        from = 2 * (s.size - 1) - from;
      std::memcpy(element_at(out, (o * shape[axis] + i) * s.inner), element_at(x, (o * s.size + from) * s.inner), row);
    }
  return out;
}

Status eval_pad(EvalContext& c) {
  Tensor x = c.tensor("x");
  TRY(const PadMode mode, pad_mode(c));
  TRY(const auto pads, pads_of_axes(c, shape_of(x.shape)));
  Sizes shape = x.shape;
  for (size_t i = 0; i < shape.size(); ++i) shape[i] += pads[2 * i] + pads[2 * i + 1];
  TRY_DO(check_sizes(c, shape));
  if (mode != PadMode::Constant) {
    for (size_t i = 0; i < shape.size(); ++i)
      if (shape[i] != x.shape[i]) x = pad_axis(x, i, pads[2 * i], pads[2 * i + 1], mode);
    c.set_output(0, std::move(x));
    return {};
  }
  const Tensor fill = Tensor::from(x.dtype, {}, std::vector<float>{static_cast<float>(c.number("constant_val"))});
  Tensor& out = c.output(0, shape, x.dtype);
  copy_strided(shape, byte_size(x.dtype, 1), fill.data(), {0, Sizes(shape.size(), 0)}, out.mutable_data(),
               {0, dense_strides(shape)});
  View inside{0, dense_strides(shape)};
  for (size_t i = 0; i < shape.size(); ++i) inside.offset += pads[2 * i] * inside.strides[i];
  copy_strided(x.shape, byte_size(x.dtype, 1), x.data(), {0, dense_strides(x.shape)}, out.mutable_data(), inside);
  return {};
}

// --- flatten2d, identity, band_part

template <class Context>
size_t flatten_axis(const Context& c, size_t rank) {
  const auto r = static_cast<int64_t>(rank);
  const int64_t axis = c.integer("axis");
  return static_cast<size_t>(std::clamp<int64_t>(axis < 0 ? axis + r : axis, 0, r));
}

Types infer_flatten2d(InferContext& c) {
  const Shape& x = c.shape("x");
  const size_t axis = flatten_axis(c, x.size());
  return one({c.dtype("x"), {product(c.dims, x, 0, axis), product(c.dims, x, axis, x.size())}});
}

Status eval_flatten2d(EvalContext& c) {
  const Tensor& x = c.tensor("x");
  const size_t axis = flatten_axis(c, x.shape.size());
  c.set_output(0, x.reshaped({product(x.shape, 0, axis), product(x.shape, axis, x.shape.size())}));
  return {};
}

Status eval_identity(EvalContext& c) {
  c.set_output(0, c.value("x"));
  return {};
}

Types infer_band_part(InferContext& c) {
  if (c.rank("x") < 2) return c.error("x must have rank 2 or more");
  return same_as_x(c);
}

Status eval_band_part(EvalContext& c) {
  const Tensor x = c.tensor("x");
  if (x.rank() < 2) return c.error("x must have rank 2 or more");
  const int64_t lower = c.integer("lower"), upper = c.integer("upper"), rows = x.dim(-2), columns = x.dim(-1);
  Tensor& out = c.output(0, x.shape, x.dtype);
  std::memset(out.mutable_data(), 0, out.bytes());
  const int64_t matrices = rows * columns == 0 ? 0 : x.elements() / (rows * columns);
  for (int64_t row = 0; row < matrices * rows; ++row) {
    const int64_t m = row % rows;
    const int64_t first = lower < 0 ? 0 : std::clamp<int64_t>(m - lower, 0, columns);
    const int64_t last = upper < 0 ? columns : std::clamp<int64_t>(m + upper + 1, first, columns);
    std::memcpy(element_at(out, row * columns + first), element_at(x, row * columns + first),
                static_cast<size_t>(byte_size(x.dtype, last - first)));
  }
  return {};
}

constexpr Input kBandPart[] = {value("x", kNumbersBool), option("lower", kInt32, -1), option("upper", kInt32, -1)};
constexpr Input kConcat[] = {variadic("values", kMovable), constant("axis", kInt32), option("interleave", kBools, false)};
constexpr Input kFlatten[] = {value("x", kNumbersBool), option("axis", kInt32, 1)};
constexpr Input kIdentity[] = {value("x", kAnyType)};
constexpr Input kPad[] = {value("x", kFloats), value("pad", kInt32, 0), option("mode", kStrings, "constant"),
                          option("constant_val", kFloats, 0.0, 'T')};
constexpr Input kSplit[] = {value("x", kNumbersBool), option("num_splits", kInt32), option("split_sizes", kInt32),
                            constant("axis", kInt32)};
constexpr Input kStack[] = {variadic("values", kMovable), constant("axis", kInt32)};
constexpr Input kTile[] = {value("x", kNumbersBool), value("reps", kInt32, 0)};

}  // namespace

const MilOp band_part{.name = "band_part", .inputs = kBandPart, .infer = infer_band_part, .eval = eval_band_part};
const MilOp concat{.name = "concat", .inputs = kConcat, .infer = infer_concat, .eval = eval_concat};
const MilOp flatten2d{.name = "flatten2d", .inputs = kFlatten, .infer = infer_flatten2d, .eval = eval_flatten2d};
const MilOp identity{.name = "identity", .inputs = kIdentity, .infer = same_as_x, .eval = eval_identity};
const MilOp pad{.name = "pad", .inputs = kPad, .infer = infer_pad, .eval = eval_pad};
const MilOp split{.name = "split", .inputs = kSplit, .infer = infer_split, .eval = eval_split};
const MilOp stack{.name = "stack", .inputs = kStack, .infer = infer_stack, .eval = eval_stack};
const MilOp tile{.name = "tile", .inputs = kTile, .infer = infer_tile, .eval = eval_tile};

}  // namespace cortland::mil_ops
