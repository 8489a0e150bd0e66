// Ops that give a tensor another shape or order. Slices are in slice.cc, block rearrangements in space_depth.cc.
#include <fmt/format.h>

#include <algorithm>

#include "mil_ops/arguments.h"
#include "mil_ops/elementwise.h"
#include "mil_ops/ops.h"

namespace cortland::mil_ops {

using namespace mil;

namespace {

// --- reshape

// Target sizes with zeros replaced: up to iOS16 a 0 copies the size of the same axis of x, which then has the same rank;
// from iOS17 on axes are counted from the right, and a 0 left of x's axes is 1. `copied` lists the sizes of x that were
// used.
template <class Context>
Result<Shape> without_zeros(const Context& c, const Shape& x, const std::vector<int64_t>& target,
                            std::vector<size_t>& copied) {
  const bool aligned_right = c.def.since >= Target::iOS17;
  Shape out;
  for (size_t i = 0; i < target.size(); ++i) {
    if (target[i] < -1) return c.error(fmt::format("size {} is negative", target[i]));
    out.push_back(target[i] == -1 ? Dim(1) : Dim(target[i]));
    if (target[i] != 0) continue;
    if (!aligned_right && x.size() != target.size()) return c.error("a size of 0 needs a target of the same rank");
    const size_t from_right = target.size() - i;
    if (from_right > x.size()) {
      out[i] = 1;
    } else {
      out[i] = x[x.size() - from_right];
      copied.push_back(x.size() - from_right);
    }
  }
  return out;
}

template <class Context>
Result<Shape> reshaped(const Context& c, DimTable& dims, const Shape& x, const std::vector<int64_t>& target) {
  std::vector<size_t> copied;
  TRY(Shape out, without_zeros(c, x, target, copied));
  const auto hole = std::find(target.begin(), target.end(), -1);
  if (std::count(target.begin(), target.end(), -1) > 1) return c.error("more than one size is -1");
  // Copied sizes cancel out, so that what is left to divide by is a constant.
  Dim volume = 1, known = 1;
  for (size_t i = 0; i < x.size(); ++i)
    if (std::find(copied.begin(), copied.end(), i) == copied.end()) volume = dims.mul(volume, x[i]);
  for (int64_t t : target)
    if (t > 0) known = dims.mul(known, t);
  if (hole != target.end()) {
    if (volume.is_constant() && volume.constant() % known.constant() != 0)
      return c.error(fmt::format("{} elements do not divide into {}", volume.constant(), describe(dims, out)));
    out[static_cast<size_t>(hole - target.begin())] = dims.floordiv(volume, known);
  } else if (volume.is_constant() && volume != known) {
    return c.error(fmt::format("{} does not fit into {}", describe(dims, x), describe(dims, out)));
  }
  return out;
}

Types infer_reshape(InferContext& c) {
  if (!c.is_constant("shape")) {
    TRY(Shape shape, unknown_shape(c, "shape"));
    return one({c.dtype("x"), std::move(shape)});
  }
  TRY(Shape shape, reshaped(c, c.dims, c.shape("x"), c.ints("shape")));
  return one({c.dtype("x"), std::move(shape)});
}

Status eval_reshape(EvalContext& c) {
  const Tensor& x = c.tensor("x");
  DimTable dims;
  TRY(const Shape shape, reshaped(c, dims, shape_of(x.shape), c.ints("shape")));
  c.set_output(0, x.reshaped(sizes(shape)));
  return {};
}

// --- reshape_like

// Concatenates ref.shape[begin:end], or [begin:] where the mask is set.
template <class Context>
Result<Shape> sizes_of_references(const Context& c, const std::vector<Shape>& refs, const std::vector<int64_t>& begins,
                                  const std::vector<int64_t>& ends, const std::vector<int64_t>& masks) {
  if (begins.size() != refs.size() || ends.size() != refs.size() || masks.size() != refs.size())
    return c.error("ref_tensors, begins, ends and end_masks must have the same length");
  Shape out;
  for (size_t i = 0; i < refs.size(); ++i) {
    const auto rank = static_cast<int64_t>(refs[i].size());
    const auto clamp = [rank](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank); };
    const int64_t begin = clamp(begins[i]), end = masks[i] ? rank : clamp(ends[i]);
    for (int64_t k = begin; k < end; ++k) out.push_back(refs[i][static_cast<size_t>(k)]);
  }
  return out;
}

Result<std::vector<int64_t>> scalars(InferContext& c, std::string_view input) {
  std::vector<int64_t> out;
  const int slot = c.def.slot(input);
  for (const Binding& b : c.bindings()) {
    if (b.slot != slot) continue;
    if (!b.operand.is_const()) return c.error(fmt::format("'{}' must be constants", input));
    for (int64_t v : c.program.consts[b.operand.constant()].data.to_ints()) out.push_back(v);
  }
  return out;
}

Types infer_reshape_like(InferContext& c) {
  std::vector<Shape> refs;
  for (const Type& t : c.types("ref_tensors")) refs.push_back(t.shape());
  TRY(const auto begins, scalars(c, "begins"));
  TRY(const auto ends, scalars(c, "ends"));
  TRY(const auto masks, scalars(c, "end_masks"));
  TRY(Shape shape, sizes_of_references(c, refs, begins, ends, masks));
  const Shape& x = c.shape("x");
  const Dim from = product(c.dims, x, 0, x.size()), to = product(c.dims, shape, 0, shape.size());
  if (!may_equal(from, to))
    return c.error(fmt::format("{} does not fit into {}", describe(c.dims, x), describe(c.dims, shape)));
  return one({c.dtype("x"), std::move(shape)});
}

Status eval_reshape_like(EvalContext& c) {
  const auto all = [&c](std::string_view input) {
    std::vector<int64_t> out;
    for (const Tensor& t : c.tensors(input))
      for (int64_t v : t.ints()) out.push_back(v);
    return out;
  };
  std::vector<Shape> refs;
  for (const Tensor& t : c.tensors("ref_tensors")) refs.push_back(shape_of(t.shape));
  TRY(const Shape shape, sizes_of_references(c, refs, all("begins"), all("ends"), all("end_masks")));
  const Tensor out = c.tensor("x").reshaped(sizes(shape));
  if (out.elements() != c.tensor("x").elements()) return c.error("the number of elements changes");
  c.set_output(0, out);
  return {};
}

// --- expand_dims, squeeze

template <class Context>
Result<Shape> expanded(const Context& c, Shape shape) {
  const std::vector<int64_t> given = c.ints("axes");
  TRY(std::vector<size_t> axes, axes_in(c, given, static_cast<int>(shape.size() + given.size())));
  std::sort(axes.begin(), axes.end());
  for (size_t axis : axes) shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(axis), 1);
  return shape;
}

// Drops axes of size 1, all of them or the named ones; named axes of other sizes stay, as torch has it.
template <class Context>
Result<Shape> squeezed(const Context& c, const Shape& shape) {
  std::vector<bool> drop(shape.size(), !c.has("axes"));
  if (c.has("axes")) {
    TRY(const std::vector<size_t> axes, axes_in(c, c.ints("axes"), static_cast<int>(shape.size())));
    for (size_t axis : axes) drop[axis] = true;
  }
  Shape out;
  for (size_t i = 0; i < shape.size(); ++i)
    if (!drop[i] || shape[i] != Dim(1)) out.push_back(shape[i]);
  return out;
}

Types infer_expand_dims(InferContext& c) {
  TRY(Shape shape, expanded(c, c.shape("x")));
  return one({c.dtype("x"), std::move(shape)});
}

Types infer_squeeze(InferContext& c) {
  TRY(Shape shape, squeezed(c, c.shape("x")));
  return one({c.dtype("x"), std::move(shape)});
}

Status eval_expand_dims(EvalContext& c) {
  TRY(const Shape shape, expanded(c, shape_of(c.tensor("x").shape)));
  c.set_output(0, c.tensor("x").reshaped(sizes(shape)));
  return {};
}

Status eval_squeeze(EvalContext& c) {
  TRY(const Shape shape, squeezed(c, shape_of(c.tensor("x").shape)));
  if (static_cast<int>(shape.size()) != c.result_types[0].rank())
    return c.error("an axis of flexible size became 1 and would be squeezed, which changes the rank");
  c.set_output(0, c.tensor("x").reshaped(sizes(shape)));
  return {};
}

// --- transpose, reverse, sliding_windows: one strided copy each

// Makes result 0 of `shape` from x read by `source`.
Status gather_view(EvalContext& c, const Tensor& x, Sizes shape, const View& source) {
  Tensor& out = c.output(0, std::move(shape), x.dtype);
  copy_strided(out.shape, byte_size(x.dtype, 1), x.data(), source, out.mutable_data(), {0, dense_strides(out.shape)});
  return {};
}

template <class Context>
Result<std::vector<size_t>> permutation(const Context& c, size_t rank) {
  const std::vector<int64_t> perm = c.ints("perm");
  if (perm.size() != rank) return c.error(fmt::format("perm has {} entries, x has rank {}", perm.size(), rank));
  return axes_in(c, perm, static_cast<int>(rank));
}

Types infer_transpose(InferContext& c) {
  const Shape& x = c.shape("x");
  TRY(const auto perm, permutation(c, x.size()));
  Shape shape;
  for (size_t axis : perm) shape.push_back(x[axis]);
  return one({c.dtype("x"), std::move(shape)});
}

Status eval_transpose(EvalContext& c) {
  const Tensor x = c.tensor("x");
  TRY(const auto perm, permutation(c, x.shape.size()));
  const Sizes dense = dense_strides(x.shape);
  Sizes shape, strides;
  for (size_t axis : perm) {
    shape.push_back(x.shape[axis]);
    strides.push_back(dense[axis]);
  }
  return gather_view(c, x, std::move(shape), {0, std::move(strides)});
}

template <class Context>
Result<std::vector<size_t>> reversed_axes(const Context& c, int rank) {
  if (c.has("axes")) return axes_in(c, c.ints("axes"), rank);
  std::vector<size_t> all;
  for (int i = 0; i < rank; ++i) all.push_back(static_cast<size_t>(i));
  return all;
}

Types infer_reverse(InferContext& c) {
  TRY_DO(reversed_axes(c, c.rank("x")));
  return same_as_x(c);
}

Status eval_reverse(EvalContext& c) {
  const Tensor x = c.tensor("x");
  TRY(const auto axes, reversed_axes(c, x.rank()));
  View source{0, dense_strides(x.shape)};
  for (size_t axis : axes) {
    source.offset += (x.shape[axis] - 1) * source.strides[axis];
    source.strides[axis] *= -1;
  }
  return gather_view(c, x, x.shape, source);
}

Types infer_reverse_sequence(InferContext& c) {
  TRY_DO(axis_in(c, c.integer("seq_axis"), c.rank("x")));
  TRY(const size_t batch, axis_in(c, c.integer("batch_axis"), c.rank("x")));
  if (c.rank("lengths") != 1 || !may_equal(c.shape("lengths")[0], c.shape("x")[batch]))
    return c.error("lengths must be a vector with one value for each batch entry");
  return same_as_x(c);
}

Status eval_reverse_sequence(EvalContext& c) {
  const Tensor x = c.tensor("x");
  TRY(const size_t seq, axis_in(c, c.integer("seq_axis"), x.rank()));
  TRY(const size_t batch, axis_in(c, c.integer("batch_axis"), x.rank()));
  const std::vector<int64_t> lengths = c.ints("lengths");
  if (static_cast<int64_t>(lengths.size()) != x.shape[batch])
    return c.error("lengths must have one value for each batch entry");
  Tensor& out = c.output(0, x.shape, x.dtype);
  std::memcpy(out.mutable_data(), x.data(), x.bytes());
  const Sizes dense = dense_strides(x.shape);
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] < 0 || lengths[i] > x.shape[seq])
      return c.error(fmt::format("length {} is outside the sequence axis", lengths[i]));
    if (seq == batch || lengths[i] == 0) continue;  // a sequence of one step is its own reverse
    Sizes shape = x.shape;
    shape[batch] = 1;
    shape[seq] = lengths[i];
    const View target{static_cast<int64_t>(i) * dense[batch], dense};
    View source = target;
    source.offset += (lengths[i] - 1) * dense[seq];
    source.strides[seq] *= -1;
    copy_strided(shape, byte_size(x.dtype, 1), x.data(), source, out.mutable_data(), target);
  }
  return {};
}

template <class Context>
Status check_windows(const Context& c, Dim extent) {
  const int64_t size = c.integer("size");
  if (size < 1 || c.integer("stride") < 1) return c.error("size and stride must be positive");
  if (extent.is_constant() && extent.constant() < size) return c.error("the window is longer than the axis");
  return {};
}

Types infer_sliding_windows(InferContext& c) {
  Shape shape = c.shape("x");
  TRY(const size_t axis, axis_in(c, c.integer("axis"), c.rank("x")));
  TRY_DO(check_windows(c, shape[axis]));
  const int64_t size = c.integer("size");
  shape[axis] = c.dims.add(c.dims.floordiv(c.dims.sub(shape[axis], size), c.integer("stride")), 1);
  shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(axis) + 1, size);
  return one({c.dtype("x"), std::move(shape)});
}

Status eval_sliding_windows(EvalContext& c) {
  const Tensor x = c.tensor("x");
  TRY(const size_t axis, axis_in(c, c.integer("axis"), x.rank()));
  TRY_DO(check_windows(c, x.shape[axis]));
  const int64_t size = c.integer("size"), stride = c.integer("stride");
  Sizes shape = x.shape, strides = dense_strides(x.shape);
  const auto after = static_cast<std::ptrdiff_t>(axis) + 1;
  shape[axis] = (shape[axis] - size) / stride + 1;
  shape.insert(shape.begin() + after, size);
  strides.insert(strides.begin() + after, strides[axis]);
  strides[axis] *= stride;
  TRY_DO(check_sizes(c, shape));
  return gather_view(c, x, std::move(shape), {0, std::move(strides)});
}

constexpr Target kIos17 = Target::iOS17;
constexpr Input kAxes[] = {value("x", kNumbersBool), constant("axes", kInt32)};
constexpr Input kAxesIos17[] = {value("x", kMovable), constant("axes", kInt32)};
constexpr Input kSomeAxes[] = {value("x", kNumbersBool), option("axes", kInt32)};
constexpr Input kSomeAxesIos17[] = {value("x", kMovable), option("axes", kInt32)};
constexpr Input kReshape[] = {value("x", kNumbersBool), value("shape", kInt32, 0)};
constexpr Input kReshapeIos17[] = {value("x", kMovable), value("shape", kIndexTypes, 0)};
constexpr Input kReshapeLike[] = {value("x", kNumbersBool), variadic("ref_tensors", kNumbersBool, 0),
                                  variadic("begins", kInt32, 0), variadic("ends", kInt32, 0),
                                  variadic("end_masks", kBools, 0)};
constexpr Input kReshapeLikeIos17[] = {value("x", kMovable), variadic("ref_tensors", kMovable, 0),
                                       variadic("begins", kInt32, 0), variadic("ends", kInt32, 0),
                                       variadic("end_masks", kBools, 0)};
constexpr Input kReverseSequence[] = {value("x", kNumbersBool), value("lengths", kInt32, 0), option("seq_axis", kInt32, 0),
                                      option("batch_axis", kInt32, 0)};
constexpr Input kReverseSequenceIos17[] = {value("x", kMovable), value("lengths", kIndexTypes, 0),
                                           option("seq_axis", kInt32, 0), option("batch_axis", kInt32, 0)};
constexpr Input kSlidingWindows[] = {value("x", kNumbers), constant("axis", kInt32), constant("size", kInt32),
                                     option("stride", kInt32, 1)};
constexpr Input kSlidingWindowsIos17[] = {value("x", kMovable), constant("axis", kInt32), constant("size", kInt32),
                                          option("stride", kInt32, 1)};
constexpr Input kTranspose[] = {value("x", kNumbersBool), constant("perm", kInt32)};
constexpr Input kTransposeIos17[] = {value("x", kMovable), constant("perm", kInt32)};

}  // namespace

const MilOp expand_dims{.name = "expand_dims", .inputs = kAxes, .infer = infer_expand_dims, .eval = eval_expand_dims};
const MilOp expand_dims_ios17{
    .name = "expand_dims", .since = kIos17, .inputs = kAxesIos17, .infer = infer_expand_dims, .eval = eval_expand_dims};
const MilOp reshape{.name = "reshape", .inputs = kReshape, .infer = infer_reshape, .eval = eval_reshape};
const MilOp reshape_ios17{
    .name = "reshape", .since = kIos17, .inputs = kReshapeIos17, .infer = infer_reshape, .eval = eval_reshape};
const MilOp reshape_like{.name = "reshape_like",
                         .since = Target::iOS16,
                         .inputs = kReshapeLike,
                         .infer = infer_reshape_like,
                         .eval = eval_reshape_like};
const MilOp reshape_like_ios17{.name = "reshape_like",
                               .since = kIos17,
                               .inputs = kReshapeLikeIos17,
                               .infer = infer_reshape_like,
                               .eval = eval_reshape_like};
const MilOp reverse{.name = "reverse", .inputs = kSomeAxes, .infer = infer_reverse, .eval = eval_reverse};
const MilOp reverse_ios17{
    .name = "reverse", .since = kIos17, .inputs = kSomeAxesIos17, .infer = infer_reverse, .eval = eval_reverse};
const MilOp reverse_sequence{
    .name = "reverse_sequence", .inputs = kReverseSequence, .infer = infer_reverse_sequence, .eval = eval_reverse_sequence};
const MilOp reverse_sequence_ios17{.name = "reverse_sequence",
                                   .since = kIos17,
                                   .inputs = kReverseSequenceIos17,
                                   .infer = infer_reverse_sequence,
                                   .eval = eval_reverse_sequence};
const MilOp sliding_windows{
    .name = "sliding_windows", .inputs = kSlidingWindows, .infer = infer_sliding_windows, .eval = eval_sliding_windows};
const MilOp sliding_windows_ios17{.name = "sliding_windows",
                                  .since = kIos17,
                                  .inputs = kSlidingWindowsIos17,
                                  .infer = infer_sliding_windows,
                                  .eval = eval_sliding_windows};
const MilOp squeeze{.name = "squeeze", .inputs = kSomeAxes, .infer = infer_squeeze, .eval = eval_squeeze};
const MilOp squeeze_ios17{
    .name = "squeeze", .since = kIos17, .inputs = kSomeAxesIos17, .infer = infer_squeeze, .eval = eval_squeeze};
const MilOp transpose{.name = "transpose", .inputs = kTranspose, .infer = infer_transpose, .eval = eval_transpose};
const MilOp transpose_ios17{
    .name = "transpose", .since = kIos17, .inputs = kTransposeIos17, .infer = infer_transpose, .eval = eval_transpose};

}  // namespace cortland::mil_ops
