#include <fmt/format.h>

#include <algorithm>

#include "mil_ops/arguments.h"
#include "mil_ops/elementwise.h"
#include "mil_ops/ops.h"
#include "mil_ops/slices.h"

namespace cortland::mil_ops {

using namespace mil;

namespace {

// The arguments of slice_by_index along one axis. Bounds that are masked or not known while inferring are absent.
struct AxisSlice {
  std::optional<int64_t> begin, end;
  bool begin_known = true, end_known = true;
  int64_t stride = 1;
  bool squeeze = false;
};

template <class Context>
Result<std::vector<int64_t>> per_axis(const Context& c, std::string_view input, size_t rank, int64_t absent) {
  if (!c.has(input)) return std::vector<int64_t>(rank, absent);
  std::vector<int64_t> values = c.ints(input);
  if (values.size() != rank) return c.error(fmt::format("'{}' has {} entries, x has rank {}", input, values.size(), rank));
  return values;
}

template <class Context>
Result<std::vector<AxisSlice>> read_slices(const Context& c, size_t rank) {
  TRY_DO(expect_rank(c, "begin", 1, 1));
  TRY_DO(expect_rank(c, "end", 1, 1));
  const bool begin_known = is_known(c, "begin"), end_known = is_known(c, "end");
  for (const char* bound : {"begin", "end"})
    if (const Dim n = shape_of_input(c, bound)[0]; !may_equal(n, Dim(static_cast<int64_t>(rank))))
      return c.error(fmt::format("'{}' has {} entries, x has rank {}", bound, n.constant(), rank));
  std::vector<int64_t> begin(rank), end(rank);
  if (begin_known) {
    TRY(begin, per_axis(c, "begin", rank, 0));
  }
  if (end_known) {
    TRY(end, per_axis(c, "end", rank, 0));
  }
  TRY(const auto stride, per_axis(c, "stride", rank, 1));
  TRY(const auto begin_mask, per_axis(c, "begin_mask", rank, 0));
  TRY(const auto end_mask, per_axis(c, "end_mask", rank, 0));
  TRY(const auto squeeze_mask, per_axis(c, "squeeze_mask", rank, 0));
  std::vector<AxisSlice> out(rank);
  for (size_t i = 0; i < rank; ++i) {
    AxisSlice& s = out[i];
    s.squeeze = squeeze_mask[i] != 0;
    s.stride = s.squeeze ? 1 : stride[i];
    if (s.stride == 0) return c.error("a stride is 0");
    s.begin_known = begin_known || begin_mask[i];
    s.end_known = end_known || end_mask[i];
    if (!begin_mask[i] && begin_known) s.begin = begin[i];
    if (!end_mask[i] && end_known) s.end = end[i];
  }
  return out;
}

// A bound counted from the front and kept inside [0, size]; backwards slices start at size - 1 at most.
int64_t place(int64_t bound, int64_t size, bool backwards) {
  if (bound < 0) return std::max<int64_t>(0, bound + size);
  return std::min(bound, backwards ? size - 1 : size);
}

struct Range {
  int64_t first = 0, count = 0;
};

// numpy's rule; a backwards slice reaches element 0 only when its end is masked.
template <class Context>
Result<Range> resolve(const Context& c, const AxisSlice& s, int64_t size) {
  if (s.squeeze) {
    const int64_t at = s.begin.value_or(0);
    if (at < -size || at >= size) return c.error(fmt::format("index {} is outside an axis of {}", at, size));
    return Range{at < 0 ? at + size : at, 1};
  }
  const bool backwards = s.stride < 0;
  const int64_t first = s.begin ? place(*s.begin, size, backwards) : backwards ? size - 1 : 0;
  const int64_t last = s.end ? place(*s.end, size, backwards) : backwards ? -1 : size;
  const int64_t span = backwards ? first - last : last - first, step = backwards ? -s.stride : s.stride;
  return Range{first, span <= 0 ? 0 : (span - 1) / step + 1};
}

// `place` for a size that is a symbol.
Dim place(DimTable& dims, int64_t bound, Dim size, bool backwards) {
  if (bound < 0) return dims.max(dims.add(size, dims.constant(bound)), 0);
  return dims.min(backwards ? dims.sub(size, 1) : size, bound);
}

Dim slice_size(DimTable& dims, const AxisSlice& s, Dim size) {
  if (!s.begin_known || !s.end_known) return dims.unknown({0, dims.range(size).high});
  const bool backwards = s.stride < 0;
  const Dim first = s.begin ? place(dims, *s.begin, size, backwards) : backwards ? dims.sub(size, 1) : Dim(0);
  const Dim last = s.end ? place(dims, *s.end, size, backwards) : backwards ? dims.constant(-1) : size;
  const Dim span = dims.max(backwards ? dims.sub(first, last) : dims.sub(last, first), 0);
  return dims.ceildiv(span, backwards ? -s.stride : s.stride);
}

Result<Shape> slice_shape(InferContext& c) {
  const Shape& x = c.shape("x");
  TRY(const auto slices, read_slices(c, x.size()));
  Shape out;
  for (size_t i = 0; i < x.size(); ++i) {
    const AxisSlice& s = slices[i];
    if (x[i].is_constant() && s.begin_known && (s.end_known || s.squeeze)) {
      TRY(const Range range, resolve(c, s, x[i].constant()));
      if (!s.squeeze) out.push_back(range.count);
    } else if (!s.squeeze) {
      out.push_back(slice_size(c.dims, s, x[i]));
    }
  }
  return out;
}

}  // namespace

Result<Sliced> slice_by_index_view(const EvalContext& c, const Tensor& x) {
  TRY(const auto slices, read_slices(c, x.shape.size()));
  Sliced out{{0, dense_strides(x.shape)}, {}, {}};
  for (size_t i = 0; i < x.shape.size(); ++i) {
    TRY(const Range range, resolve(c, slices[i], x.shape[i]));
    out.view.offset += range.first * out.view.strides[i];
    out.view.strides[i] *= slices[i].stride;
    out.shape.push_back(range.count);
    if (!slices[i].squeeze) out.squeezed.push_back(range.count);
  }
  return out;
}

namespace {

Types infer_slice_by_index(InferContext& c) {
  TRY(Shape shape, slice_shape(c));
  return one({c.dtype("x"), std::move(shape)});
}

Status eval_slice_by_index(EvalContext& c) {
  const Tensor x = c.tensor("x");
  TRY(const Sliced slice, slice_by_index_view(c, x));
  Tensor& out = c.output(0, slice.squeezed, x.dtype);
  copy_strided(slice.shape, byte_size(x.dtype, 1), x.data(), slice.view, out.mutable_data(),
               {0, dense_strides(slice.shape)});
  return {};
}

Types infer_slice_update(InferContext& c) {
  TRY(const Shape shape, slice_shape(c));
  if (c.rank("update") == 0) return c.error("update must not be a scalar");
  if (!compatible(c.dims, shape, c.shape("update")))
    return c.error(
        fmt::format("update is {}, the slice is {}", describe(c.dims, c.shape("update")), describe(c.dims, shape)));
  return same_as_x(c);
}

Status eval_slice_update(EvalContext& c) {
  const Tensor x = c.tensor("x");
  const Tensor& update = c.tensor("update");
  TRY(const Sliced slice, slice_by_index_view(c, x));
  if (update.shape != slice.squeezed) return c.error("update has another shape than the slice");
  Tensor& out = c.output(0, x.shape, x.dtype);
  std::memcpy(out.mutable_data(), x.data(), x.bytes());
  copy_strided(slice.shape, byte_size(x.dtype, 1), update.data(), {0, dense_strides(slice.shape)}, out.mutable_data(),
               slice.view);
  return {};
}

// --- slice_by_size

template <class Context>
Status check_size_arguments(const Context& c, size_t rank) {
  for (const char* input : {"begin", "size"}) {
    TRY_DO(expect_rank(c, input, 1, 1));
    if (!may_equal(shape_of_input(c, input)[0], Dim(static_cast<int64_t>(rank))))
      return c.error(fmt::format("'{}' must have one entry for each axis of x", input));
  }
  return {};
}

template <class Context>
Result<Range> resolve_size(const Context& c, int64_t begin, int64_t count, int64_t size) {
  const int64_t first = begin < 0 ? begin + size : begin;
  if (first < 0 || first > size) return c.error(fmt::format("begin {} is outside an axis of {}", begin, size));
  if (count < -1 || count > size - first)
    return c.error(fmt::format("{} elements from {} on are outside an axis of {}", count, begin, size));
  return Range{first, count == -1 ? size - first : count};
}

Types infer_slice_by_size(InferContext& c) {
  const Shape& x = c.shape("x");
  TRY_DO(check_size_arguments(c, x.size()));
  Shape out(x.size());
  for (Dim& d : out) d = c.dims.unknown();
  if (!c.is_constant("size")) return one({c.dtype("x"), std::move(out)});
  const std::vector<int64_t> count = c.ints("size");
  const bool known = c.is_constant("begin");
  const std::vector<int64_t> begin = known ? c.ints("begin") : std::vector<int64_t>(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    if (known && x[i].is_constant()) {
      TRY(const Range range, resolve_size(c, begin[i], count[i], x[i].constant()));
      out[i] = range.count;
    } else if (count[i] >= 0) {
      out[i] = count[i];
    } else if (known) {
      out[i] = begin[i] < 0 ? Dim(-begin[i]) : c.dims.sub(x[i], begin[i]);
    }
  }
  return one({c.dtype("x"), std::move(out)});
}

}  // namespace

Result<Sliced> slice_by_size_view(const EvalContext& c, const Tensor& x) {
  TRY_DO(check_size_arguments(c, x.shape.size()));
  const std::vector<int64_t> begin = c.ints("begin"), count = c.ints("size");
  Sliced out{{0, dense_strides(x.shape)}, {}, {}};
  for (size_t i = 0; i < x.shape.size(); ++i) {
    TRY(const Range range, resolve_size(c, begin[i], count[i], x.shape[i]));
    out.view.offset += range.first * out.view.strides[i];
    out.shape.push_back(range.count);
  }
  out.squeezed = out.shape;
  return out;
}

namespace {

Status eval_slice_by_size(EvalContext& c) {
  const Tensor x = c.tensor("x");
  TRY(const Sliced slice, slice_by_size_view(c, x));
  Tensor& out = c.output(0, slice.shape, x.dtype);
  copy_strided(slice.shape, byte_size(x.dtype, 1), x.data(), slice.view, out.mutable_data(), {0, dense_strides(slice.shape)});
  return {};
}

constexpr Input kSliceByIndex[] = {value("x", kNumbersBool),      value("begin", kInt32, 'U'),
                                   value("end", kInt32, 'U'),     option("stride", kInt32, {}, 'U'),
                                   option("begin_mask", kBools),  option("end_mask", kBools),
                                   option("squeeze_mask", kBools)};
constexpr Input kSliceByIndexIos17[] = {value("x", kMovable),           value("begin", kIndexTypes, 'U'),
                                        value("end", kIndexTypes, 'U'), option("stride", kIndexTypes, {}, 'U'),
                                        option("begin_mask", kBools),   option("end_mask", kBools),
                                        option("squeeze_mask", kBools)};
constexpr Input kSliceUpdate[] = {value("x", kMovable),
                                  value("update", kMovable),
                                  value("begin", kIndexTypes, 'U'),
                                  value("end", kIndexTypes, 'U'),
                                  option("stride", kIndexTypes, {}, 'U'),
                                  option("begin_mask", kBools),
                                  option("end_mask", kBools),
                                  option("squeeze_mask", kBools)};
constexpr Input kSliceBySize[] = {value("x", kNumbersBool), value("begin", kInt32, 'U'), value("size", kInt32, 'U')};
constexpr Input kSliceBySizeIos17[] = {value("x", kMovable), value("begin", kIndexTypes, 'U'),
                                       value("size", kIndexTypes, 'U')};

}  // namespace

const MilOp slice_by_index{
    .name = "slice_by_index", .inputs = kSliceByIndex, .infer = infer_slice_by_index, .eval = eval_slice_by_index};
const MilOp slice_by_index_ios17{.name = "slice_by_index",
                                 .since = Target::iOS17,
                                 .inputs = kSliceByIndexIos17,
                                 .infer = infer_slice_by_index,
                                 .eval = eval_slice_by_index};
const MilOp slice_by_size{
    .name = "slice_by_size", .inputs = kSliceBySize, .infer = infer_slice_by_size, .eval = eval_slice_by_size};
const MilOp slice_by_size_ios17{.name = "slice_by_size",
                                .since = Target::iOS17,
                                .inputs = kSliceBySizeIos17,
                                .infer = infer_slice_by_size,
                                .eval = eval_slice_by_size};
const MilOp slice_update{.name = "slice_update",
                         .since = Target::iOS18,
                         .inputs = kSliceUpdate,
                         .infer = infer_slice_update,
                         .eval = eval_slice_update};

}  // namespace cortland::mil_ops
