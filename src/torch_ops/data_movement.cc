#include "torch_ops/data_movement.h"

#include "torch_ops/elementwise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "mil_ops/ops.h"

namespace cortland::torch_ops {

Status expect_rank(Lowering& in, std::string_view name, int least, int most) {
  const int rank = in.rank(name);
  if (rank >= least && rank <= most) return {};
  return in.reject(DiagKind::BadProgram, fmt::format("argument '{}' has rank {}", name, rank));
}

Result<Dim> result_size(Lowering& in, int64_t axis) {
  const Shape& shape = in.result_type().shape;
  if (axis < 0 || axis >= static_cast<int64_t>(shape.size())) return in.reject(DiagKind::BadProgram, "the result has too few dimensions");
  return shape[static_cast<size_t>(axis)];
}

std::optional<int64_t> known(const Lowering& in, Dim d) {
  if (d.is_constant()) return d.constant();
  const auto terms = in.dim_table().terms(d);
  if (terms.empty()) return 0;
  if (terms.size() == 1 && terms[0].atoms.empty()) return terms[0].coefficient;
  return std::nullopt;
}

namespace {

// A slice bound ready for slice_by_index: nothing where the mask says "from the start" or "to the end".
std::optional<Dim> bound(const Lowering& in, Dim at, Dim size, bool is_end) {
  const auto value = known(in, at);
  if (!value) return at == size && is_end ? std::nullopt : std::optional(at);
  int64_t v = *value;
  if (size.is_constant()) {
    const int64_t n = size.constant();
    v = std::clamp<int64_t>(v < 0 ? v + n : v, 0, n);
    if (is_end && v == n) return std::nullopt;
  }
  if (is_end && v >= INT32_MAX) return std::nullopt;
  if (!is_end && v == 0) return std::nullopt;
  return in.dim_table().constant(std::max<int64_t>(v, INT32_MIN));
}

}  // namespace

Result<Operand> slice(Lowering& in, Operand x, int64_t axis, Dim begin, Dim end, int64_t step) {
  const Shape shape = in.shape_of(x);
  const auto at = static_cast<size_t>(axis);
  if (at >= shape.size() || step < 1) return in.reject(DiagKind::BadProgram, "a slice of a dimension that is not there, or with a step below 1");
  const auto first = bound(in, begin, shape[at], false), last = bound(in, end, shape[at], true);
  if (!first && !last && step == 1) return x;
  if (const Weight* w = in.const_weight(x); w && step == 1 && (!first || known(in, *first)) && (!last || known(in, *last))) {
    const int64_t from = first ? *known(in, *first) : 0, to = last ? *known(in, *last) : shape[at].constant();
    if (from < to) return in.constant(w->slice(axis, from, to));
  }
  Shape begins(shape.size(), 0), ends(shape.size(), 0);
  std::vector<bool> begin_mask(shape.size(), true), end_mask(shape.size(), true);
  // Where the size is dynamic, coremltools finds the length in two bounds that are both written.
  begin_mask[at] = !first && !(last && known(in, *last) && !shape[at].is_constant());
  end_mask[at] = !last;
  begins[at] = first.value_or(0);
  ends[at] = last.value_or(0);
  TRY(Operand b, in.sizes(begins));
  TRY(Operand e, in.sizes(ends));
  std::vector<int64_t> strides(shape.size(), 1);
  strides[at] = step;
  TRY(Operand part, in.op(mil_ops::slice_by_index, {{"x", x}, {"begin", b}, {"end", e}, {"stride", strides}, {"begin_mask", begin_mask}, {"end_mask", end_mask}}));
  // From the start to a size that is known only at run time: MIL's type does not say that this is the new size.
  if (step == 1 && !first && last && !known(in, *last)) {
    Shape kept = shape;
    kept[at] = *last;
    in.with_shape(part, kept);
  }
  return part;
}

Result<Operand> one_at(Lowering& in, Operand x, int64_t axis, Dim index) {
  Shape one = in.shape_of(x);
  Dim& size = one[static_cast<size_t>(axis)];
  const auto i = known(in, index);
  // coremltools finds a length of 1 in the bounds themselves where it knows both or the last element is meant; else one slice
  // brings the element to the front.
  const bool plain = i && (*i >= 0 || size.is_constant());
  if (!plain && !(i && *i == -1)) {
    TRY(x, slice(in, x, axis, index, INT64_MAX));
    // Known or not: to coremltools the size of the rest is a symbol.
    Shape rest = one;
    rest[static_cast<size_t>(axis)] = in.dim_table().unknown({1, in.dim_table().range(size).high});
    x = in.with_shape(x, rest);
    index = 0;
  }
  size = 1;
  TRY(Operand part, slice(in, x, axis, index, i && *i == -1 ? Dim(INT64_MAX) : in.dim_table().add(index, 1)));
  return in.with_shape(part, one);
}

Result<Operand> concat(Lowering& in, const std::vector<Operand>& parts, int64_t axis) {
  if (parts.size() == 1) return parts[0];
  return in.op(mil_ops::concat, {{"values", parts}, {"axis", axis}, {"interleave", false}});
}

Result<std::vector<Operand>> split(Lowering& in, Operand x, int64_t axis, const Shape& lengths, const std::vector<bool>& wanted) {
  if (axis >= in.rank_of(x)) return in.reject(DiagKind::BadProgram, "a number has no parts");
  const bool all = std::all_of(wanted.begin(), wanted.end(), [](bool w) { return w; });
  const bool fixed = std::all_of(lengths.begin(), lengths.end(), [](Dim d) { return d.is_constant() && d.constant() > 0; });
  if (lengths.size() == 1) return std::vector<Operand>{wanted[0] ? x : Operand()};
  if (all && fixed && !x.is_const() && in.shape_of(x)[static_cast<size_t>(axis)].is_constant())
    return in.multi(mil_ops::split, {{"x", x}, {"split_sizes", sizes(lengths)}, {"axis", axis}});
  std::vector<Operand> out(lengths.size());
  Dim offset = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    const Dim end = in.dim_table().add(offset, lengths[i]);
    if (wanted[i]) {
      TRY(out[i], slice(in, x, axis, offset, end));
      Shape shape = in.shape_of(x);
      shape[static_cast<size_t>(axis)] = lengths[i];
      in.with_shape(out[i], shape);
    }
    offset = end;
  }
  return out;
}

Result<Operand> select(Lowering& in, Operand cond, Operand a, Operand b, const Shape& shape) {
  // MIL takes the result's shape from a and b: where only cond is as large as the result, a is blown up.
  const auto covers = [&](size_t from_right) {
    const Dim want = shape[shape.size() - 1 - from_right];
    for (Operand o : {a, b}) {
      const Shape& have = in.shape_of(o);
      if (from_right < have.size() && have[have.size() - 1 - from_right] == want) return true;
    }
    return want == Dim(1) && static_cast<size_t>(std::max(in.rank_of(a), in.rank_of(b))) > from_right;
  };
  bool covered = true;
  for (size_t i = 0; i < shape.size(); ++i) covered = covered && covers(i);
  if (!covered) {
    TRY(a, in.expand(a, shape));
  }
  TRY(Operand result, in.op(mil_ops::select, {{"cond", cond}, {"a", a}, {"b", b}}));
  return in.with_shape(result, shape);
}

Result<Operand> filled(Lowering& in, const Shape& shape, double value, DType dtype) {
  if (dtype == DType::Bool) return filled(in, shape, in.constant(Weight::dense(DType::Bool, {}, std::string(1, value != 0 ? '\1' : '\0'))));
  return filled(in, shape, in.constant(value, dtype));
}

Result<Operand> filled(Lowering& in, const Shape& shape, Operand value) {
  if (shape.empty()) return value;
  if (!value.is_const()) return in.expand(value, shape);
  TRY(Operand dims, in.sizes(shape));
  TRY(Operand result, in.op(mil_ops::fill, {{"shape", dims}, {"value", value}}));
  return in.with_shape(result, shape);
}

Result<Operand> counting(Lowering& in, Dim n) {
  if (n.is_constant() && n.constant() <= kMostEntries) {
    std::vector<int64_t> values(static_cast<size_t>(n.constant()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int64_t>(i);
    return in.constant(values);
  }
  TRY(Operand end, in.size(n));
  TRY(Operand result, in.op(mil_ops::range_1d, {{"end", end}, {"start", 0}, {"step", 1}}));
  return in.with_shape(result, {n});
}

Result<Operand> diagonal_places(Lowering& in, Dim n, Dim m, int64_t offset) {
  DimTable& dims = in.dim_table();
  const int64_t row = std::max<int64_t>(0, -offset), column = std::max<int64_t>(0, offset);  // where it begins
  const Dim length = dims.min(dims.sub(n, row), dims.sub(m, column));
  if (const auto count = known(in, length)) {
    if (*count < 1) return in.reject(DiagKind::UnsupportedShape, "the diagonal is empty, which Core ML cannot hold");
    if (*count > kMostEntries) return in.reject(DiagKind::UnsupportedShape, "the matrix is too large for a table of places");
  }
  TRY(Operand places, counting(in, length));
  TRY(Operand step, in.size(dims.add(m, 1)));
  TRY(Operand start, in.size(dims.add(dims.mul(row, m), column)));
  TRY(places, multiply(in, places, step));
  TRY(places, add(in, places, start));
  return in.with_shape(places, {length});
}

Result<Operand> move_axis(Lowering& in, Operand x, int64_t from, int64_t to) {
  std::vector<int64_t> perm;
  for (int i = 0; i < in.rank_of(x); ++i)
    if (i != from) perm.push_back(i);
  perm.insert(perm.begin() + to, from);
  return in.transpose(x, perm);
}

Result<Operand> payload(Lowering& in, std::string_view name) {
  TRY(Operand x, in.precise_tensor(name));
  const DType type = in.dtype_of(x);
  if (is_integer(type)) return in.cast(x, DType::I32);
  return is_float(type) && type != DType::F16 ? in.cast(x, DType::F32) : Result<Operand>(x);
}

Result<Operand> as_numbers(Lowering& in, Operand x) { return in.dtype_of(x) == DType::Bool ? in.cast(x, DType::I32) : Result<Operand>(x); }

namespace {

// How many values an integer type has below and above zero; 32 bits and more stand for themselves.
struct Span {
  int64_t low = INT32_MIN, high = INT32_MAX;
};

Span span_of(DType t) {
  switch (t) {
    case DType::Bool: return {0, 1};
    case DType::U8: return {0, 255};
    case DType::I8: return {-128, 127};
    case DType::I16: return {-32768, 32767};
    case DType::U16: return {0, 65535};
    default: return {};
  }
}

Result<Operand> wrap_around(Lowering& in, Operand x, DType to) {
  const Span s = span_of(to);
  Operand shifted = x;
  if (s.low) {
    TRY(shifted, add(in, x, in.constant(static_cast<double>(-s.low), DType::I32)));
  }
  TRY(Operand wrapped, in.op(mil_ops::mod, {{"x", shifted}, {"y", s.high - s.low + 1}}));
  if (!s.low) return wrapped;
  return add(in, wrapped, in.constant(static_cast<double>(s.low), DType::I32));
}

}  // namespace

Result<Operand> convert(Lowering& in, Operand x, DType from, DType to) {
  if (to == DType::Bool) return as_bool(in, x);
  if (is_float(to)) {
    if (is_float(from)) return x;
    // Small integers are exact in float16; wider ones keep float32 until somebody asks for less.
    const bool small = span_of(from).high <= 255;
    if (is_float(in.dtype_of(x))) return x;
    return in.cast(x, small ? in.compute() : DType::F32);
  }
  if (!is_integer(to)) return in.reject(DiagKind::UnsupportedDtype, fmt::format("converts to {}", torch_name(to)));
  TRY(Operand whole, in.cast(x, DType::I32));
  const Span had = is_float(from) ? Span{} : span_of(from), has = span_of(to);
  if (had.low >= has.low && had.high <= has.high) return whole;
  return wrap_around(in, whole, to);
}

Result<Operand> tensor_as_result(Lowering& in, std::string_view name) {
  TRY(Operand x, in.tensor(name));
  const DType from = in.torch_type(name).dtype, to = in.result_type().dtype;
  TRY(Operand y, convert(in, x, from, to));
  return in.cast(y, in.mil_dtype(to));
}

Result<Operand> add(Lowering& in, Operand x, Operand y) { return in.op(mil_ops::add, {{"x", x}, {"y", y}}); }
Result<Operand> multiply(Lowering& in, Operand x, Operand y) { return in.op(mil_ops::mul, {{"x", x}, {"y", y}}); }

Dim product(Lowering& in, const Shape& shape, size_t first, size_t last) {
  Dim total = 1;
  for (size_t i = first; i < last; ++i) total = in.dim_table().mul(total, shape[i]);
  return total;
}

}  // namespace cortland::torch_ops
