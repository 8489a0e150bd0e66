// Writing by index: index_put, index_copy, scatter and the like, each on a copy of the tensor.
#include <fmt/format.h>

#include <limits>

#include "mil_ops/ops.h"
#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/indices.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

Result<Operand> at_least_vector(Lowering& in, Operand x) { return in.rank_of(x) == 0 ? in.reshape(x, {1}) : Result<Operand>(x); }
Result<Operand> flattened(Lowering& in, Operand x) { return in.reshape(x, {product(in, in.shape_of(x), 0, in.shape_of(x).size())}); }

// MIL scatters numbers: bools travel as int32.
// Small integers wrap around as torch's do: sums may leave their range.
Lowered finish(Lowering& in, Operand result) {
  TRY(Operand shaped, in.reshape(result, in.result_type().shape));
  return in.result_type().dtype == DType::Bool ? as_bool(in, shaped) : wrapped(in, shaped);
}

Result<Operand> numbers(Lowering& in, std::string_view name) {
  TRY(Operand x, tensor_as_result(in, name));
  return as_numbers(in, x);
}

// --- along an axis with a vector of places

Result<Operand> scatter_rows(Lowering& in, Operand data, int64_t axis, Operand index, Operand updates, const char* mode) {
  Shape to = in.shape_of(data);
  if (static_cast<size_t>(axis) >= to.size() || in.rank_of(index) != 1) return in.reject(DiagKind::BadProgram, "the places to write to are not a list");
  to[static_cast<size_t>(axis)] = in.shape_of(index)[0];
  TRY(updates, in.expand(updates, to));
  return in.op(mil_ops::scatter, {{"data", data}, {"indices", index}, {"updates", updates}, {"axis", axis}, {"mode", mode}});
}

struct Rows {
  Operand data, index;
  int64_t axis = 0;
};

Result<Rows> rows(Lowering& in) {
  Rows r;
  TRY(r.data, numbers(in, "self"));
  TRY(r.data, at_least_vector(in, r.data));
  TRY(r.index, in.tensor("index"));
  TRY(r.index, flattened(in, r.index));
  TRY(r.axis, in.axis("dim", in.rank_of(r.data)));
  return r;
}

// A source of rank 0 stands for one row.
Result<Operand> source_rows(Lowering& in, const Rows& r) {
  TRY(Operand source, numbers(in, "source"));
  return in.rank_of(source) == 0 ? in.reshape(source, Shape(static_cast<size_t>(in.rank_of(r.data)), 1)) : Result<Operand>(source);
}

Lowered index_copied(Lowering& in) {
  TRY(const Rows r, rows(in));
  TRY(Operand source, source_rows(in, r));
  TRY(Operand result, scatter_rows(in, r.data, r.axis, r.index, source, "update"));
  return finish(in, result);
}

Lowered index_added(Lowering& in) {
  TRY(const Rows r, rows(in));
  TRY(Operand source, source_rows(in, r));
  TRY(const double alpha, in.number("alpha"));
  if (alpha != 1) {
    TRY(source, multiply(in, source, in.constant(alpha, in.dtype_of(source))));
  }
  TRY(Operand result, scatter_rows(in, r.data, r.axis, r.index, source, "add"));
  return finish(in, result);
}

Lowered index_filled(Lowering& in) {
  TRY(const Rows r, rows(in));
  TRY(Operand value, numbers(in, "value"));
  TRY(Operand index, wrap_indices(in, r.index, in.shape_of(r.data)[static_cast<size_t>(r.axis)]));
  in.with_shape(index, in.shape_of(r.index));
  TRY(Operand result, scatter_rows(in, r.data, r.axis, index, value, "update"));
  return finish(in, result);
}

// --- one place for each element

// Flat positions of `index` along `axis` in a tensor of shape `data`, for an index that covers only its first corner.
Result<Operand> flat_positions(Lowering& in, const Shape& data, int64_t axis, Operand index) {
  const Shape shape = in.shape_of(index);
  Operand total;
  for (size_t i = 0; i < shape.size(); ++i) {
    Operand coordinate = index;
    if (static_cast<int64_t>(i) != axis) {
      TRY(coordinate, counting(in, shape[i]));
      Shape column(shape.size(), 1);
      column[i] = shape[i];
      TRY(coordinate, in.reshape(coordinate, column));
    }
    const Dim stride = product(in, data, i + 1, data.size());
    if (stride != Dim(1)) {
      TRY(Operand step, in.size(stride));
      TRY(coordinate, multiply(in, coordinate, step));
    }
    if (!total) {
      total = coordinate;
    } else {
      TRY(total, add(in, total, coordinate));
    }
  }
  return in.with_shape(total, shape);
}

Result<Operand> scatter_along(Lowering& in, Operand data, int64_t axis, Operand index, Operand updates, const char* mode) {
  TRY(data, at_least_vector(in, data));
  TRY(index, at_least_vector(in, index));
  const Shape shape = in.shape_of(data), places = in.shape_of(index);
  if (in.rank_of(updates) == 0) {
    TRY(updates, in.expand(updates, places));
  }
  if (places.size() != shape.size() || in.shape_of(updates).size() != shape.size())
    return in.reject(DiagKind::BadProgram, "tensor, index and source differ in rank");
  bool covers = true;
  for (size_t i = 0; i < places.size(); ++i) {
    covers = covers && (static_cast<int64_t>(i) == axis || places[i] == shape[i]);
    if (in.shape_of(updates)[i] == places[i]) continue;
    TRY(updates, slice(in, updates, static_cast<int64_t>(i), 0, places[i]));
  }
  if (covers)
    return in.op(mil_ops::scatter_along_axis, {{"data", data}, {"indices", index}, {"updates", updates}, {"axis", axis}, {"mode", mode}});
  TRY(Operand positions, flat_positions(in, shape, axis, index));
  TRY(positions, flattened(in, positions));
  TRY(Operand line, flattened(in, data));
  TRY(Operand values, flattened(in, updates));
  TRY(Operand result, scatter_rows(in, line, 0, positions, values, mode));
  return in.reshape(result, shape);
}

struct Scatter {
  Operand data, index, updates;
  int64_t axis = 0;
};

Result<Scatter> scatter_arguments(Lowering& in, std::string_view updates) {
  Scatter s;
  TRY(s.data, numbers(in, "self"));
  TRY(s.index, in.tensor("index"));
  TRY(s.updates, numbers(in, updates));
  TRY(s.axis, in.axis("dim", in.rank_of(s.data)));
  return s;
}

Lowered scattered(Lowering& in, std::string_view updates, const char* mode) {
  TRY(const Scatter s, scatter_arguments(in, updates));
  TRY(Operand result, scatter_along(in, s.data, s.axis, s.index, s.updates, mode));
  return finish(in, result);
}

Lowered scattered_reduce(Lowering& in, std::string_view updates) {
  const std::string reduce = in.str("reduce");
  if (reduce == "add") return scattered(in, updates, "add");
  if (reduce == "multiply") return scattered(in, updates, "mul");
  return in.reject_argument("reduce", reduce, "use 'add' or 'multiply'");
}

// --- reductions over what lands on one place

struct Reduction {
  const char* mode;
  double neutral;
};

Result<Reduction> reduction(Lowering& in, DType type) {
  const std::string name = in.str("reduce");
  const double low = is_float(type) ? -std::numeric_limits<double>::infinity() : INT32_MIN;
  const double high = is_float(type) ? std::numeric_limits<double>::infinity() : INT32_MAX;
  if (name == "sum" || name == "mean") return Reduction{"add", 0};
  if (name == "prod") return Reduction{"mul", 1};
  if (name == "amax") return Reduction{"max", low};
  if (name == "amin") return Reduction{"min", high};
  return in.reject_argument("reduce", name, "use 'sum', 'mean', 'prod', 'amax' or 'amin'");
}

// `write(data, updates, mode)` scatters; the reduction is built from it.
template <class Write>
Result<Operand> reduce_into(Lowering& in, Operand data, Operand updates, bool include_self, const Write& write) {
  const DType type = in.dtype_of(data);
  TRY(const Reduction r, reduction(in, type));
  if (!include_self) {
    TRY(data, write(data, in.constant(r.neutral, type), "update"));
  }
  TRY(Operand total, write(data, updates, r.mode));
  if (in.str("reduce") != "mean") return total;
  // Divided by how many landed there; a place nobody wrote to stays.
  const Operand one = in.constant(1, type);
  TRY(Operand counts, filled(in, in.shape_of(data), include_self ? 1 : 0, type));
  TRY(counts, write(counts, one, "add"));
  TRY(counts, in.op(mil_ops::maximum, {{"x", counts}, {"y", one}}));
  return in.op(is_float(type) ? mil_ops::real_div : mil_ops::floor_div, {{"x", total}, {"y", counts}});
}

Lowered scatter_reduced(Lowering& in) {
  TRY(const Scatter s, scatter_arguments(in, "src"));
  TRY(Operand data, at_least_vector(in, s.data));
  auto write = [&](Operand into, Operand updates, const char* mode) { return scatter_along(in, into, s.axis, s.index, updates, mode); };
  TRY(Operand result, reduce_into(in, data, s.updates, in.boolean("include_self"), write));
  return finish(in, result);
}

Lowered index_reduced(Lowering& in) {
  TRY(const Rows r, rows(in));
  TRY(Operand source, source_rows(in, r));
  auto write = [&](Operand into, Operand updates, const char* mode) { return scatter_rows(in, into, r.axis, r.index, updates, mode); };
  TRY(Operand result, reduce_into(in, r.data, source, in.boolean("include_self"), write));
  return finish(in, result);
}

// --- x[i, j] = values

// A mask that decides at run time can choose between the old and the new value where the new one does not depend on how
// many elements the mask selects.
Lowered put_by_mask(Lowering& in, Operand x, Operand mask) {
  TRY(Operand values, numbers(in, "values"));
  if (in.rank_of(mask) > in.rank_of(x) || in.rank_of(mask) == 0) return in.reject(DiagKind::BadProgram, "the mask has another rank than the tensor");
  const auto rest = static_cast<size_t>(in.rank_of(x) - in.rank_of(mask));
  if (in.shape_of(values).size() == rest + 1 && in.shape_of(values)[0] == Dim(1)) {
    TRY(values, in.squeeze(values, {0}));
  }
  if (in.shape_of(values).size() > rest)
    return in.reject(DiagKind::UnsupportedShape, "writes a list of values where a boolean mask is set: how many depends on the data",
                     "use torch.where with values of the tensor's shape");
  if (in.boolean("accumulate")) {
    TRY(values, add(in, x, values));
  }
  std::vector<int64_t> tail;
  for (int i = in.rank_of(mask); i < in.rank_of(x); ++i) tail.push_back(i);
  TRY(Operand cond, in.unsqueeze(mask, tail));
  TRY(Operand result, select(in, cond, values, x, in.shape_of(x)));
  return finish(in, result);
}

Lowered index_put(Lowering& in) {
  TRY(Operand x, numbers(in, "self"));
  TRY(const std::vector<Operand> given, in.tensors("indices"));
  if (given.size() == 1 && given[0] && in.dtype_of(given[0]) == DType::Bool && !given[0].is_const()) return put_by_mask(in, x, given[0]);
  TRY(Operand values, numbers(in, "values"));
  TRY(const FlatIndex f, flat_index(in, "indices", in.shape_of(x)));
  const char* mode = in.boolean("accumulate") ? "add" : "update";
  // The values broadcast to what x[indices] would give.
  TRY(Operand ordered, in.transpose(x, f.perm));
  const Shape shape = in.shape_of(ordered), read = with_axes(shape, f.axis, f.count, f.shape);
  if (read.size() > 5) return in.reject(DiagKind::UnsupportedRank, fmt::format("writes values of rank {}, Core ML allows 5", read.size()));
  // A size that the set places of a constant mask decide: to torch it is a symbol, not one that is broadcast.
  Shape given_shape = in.shape_of(values);
  for (size_t i = 0; i < given_shape.size() && given_shape.size() <= read.size(); ++i)
    if (Dim& d = given_shape[given_shape.size() - 1 - i]; !d.is_constant()) d = read[read.size() - 1 - i];
  TRY(Operand updates, in.expand(in.with_shape(values, given_shape), read));
  const Dim count = product(in, f.shape, 0, f.shape.size());
  TRY(updates, in.reshape(updates, with_axes(shape, f.axis, f.count, {count})));
  TRY(Operand index, flattened(in, f.index));
  TRY(Operand merged, merge_axes(in, ordered, f.axis, f.count));
  TRY(Operand result, scatter_rows(in, merged, static_cast<int64_t>(f.axis), index, updates, mode));
  TRY(result, in.reshape(result, shape));
  std::vector<int64_t> back(f.perm.size());
  for (size_t i = 0; i < back.size(); ++i) back[static_cast<size_t>(f.perm[i])] = static_cast<int64_t>(i);
  TRY(result, in.transpose(result, back));
  return finish(in, result);
}

// self flattened; negative places count from the end.
Lowered put(Lowering& in) {
  TRY(Operand x, numbers(in, "self"));
  TRY(Operand index, in.tensor("index"));
  TRY(Operand source, numbers(in, "source"));
  TRY(Operand line, flattened(in, x));
  TRY(Operand places, flattened(in, index));
  TRY(Operand wrapped, wrap_indices(in, places, in.shape_of(line)[0]));
  in.with_shape(wrapped, in.shape_of(places));
  TRY(Operand values, flattened(in, source));
  TRY(Operand result, scatter_rows(in, line, 0, wrapped, values, in.boolean("accumulate") ? "add" : "update"));
  return finish(in, result);
}

// The k-th set place of the mask takes the k-th element of the source.
Lowered masked_scattered(Lowering& in) {
  TRY(Operand x, numbers(in, "self"));
  TRY(Operand mask, in.tensor("mask"));
  TRY(Operand source, numbers(in, "source"));
  const Shape shape = in.result_type().shape;
  TRY(mask, as_bool(in, mask));
  TRY(mask, in.expand(mask, shape));
  TRY(x, in.expand(x, shape));
  TRY(Operand bits, in.cast(mask, DType::I32));
  TRY(bits, flattened(in, bits));
  TRY(Operand rank, in.op(mil_ops::cumsum, {{"x", bits}, {"axis", 0}, {"exclusive", false}, {"reverse", false}}));
  TRY(rank, add(in, rank, in.constant(-1, DType::I32)));
  TRY(rank, in.op(mil_ops::maximum, {{"x", rank}, {"y", 0}}));
  TRY(Operand line, flattened(in, source));
  // Where the mask is not set the rank may point behind the source's end, and what is read is not used.
  TRY(Operand last, in.size(in.dim_table().sub(in.shape_of(line)[0], 1)));
  TRY(rank, in.op(mil_ops::minimum, {{"x", rank}, {"y", last}}));
  TRY(Operand values, gather(in, line, 0, rank));
  TRY(values, in.reshape(values, shape));
  TRY(Operand result, select(in, mask, values, x, shape));
  return finish(in, result);
}

// --- parts written back

// x with `part` in place of x[..., begin:end:step, ...].
Result<Operand> replace_slice(Lowering& in, Operand x, int64_t axis, Dim begin, Operand part, int64_t step) {
  if (in.rank_of(x) == 0 || in.rank_of(part) != in.rank_of(x) || step < 1 || step > INT32_MAX)
    return in.reject(DiagKind::BadProgram, "the part does not fit the tensor");
  const Dim size = in.shape_of(x)[static_cast<size_t>(axis)], length = in.shape_of(part)[static_cast<size_t>(axis)];
  if (length == size && step == 1) return part;
  const auto first = known(in, begin);
  if (first && step == 1) {
    const Dim end = in.dim_table().add(begin, length);
    std::vector<Operand> parts;
    if (*first > 0) {
      TRY(Operand head, slice(in, x, axis, 0, begin));
      parts.push_back(head);
    }
    parts.push_back(part);
    // A tail of dynamic length may be empty, and Core ML has no empty tensors.
    const Dim tail = in.dim_table().sub(size, end);
    const bool sure = in.dim_table().range(tail).low > 0;
    if (tail == Dim(0) || sure) {
      if (sure) {
        TRY(Operand rest, slice(in, x, axis, end, INT64_MAX));
        parts.push_back(rest);
      }
      TRY(Operand joined, concat(in, parts, axis));
      return in.with_shape(joined, in.shape_of(x));
    }
  }
  TRY(Operand index, counting(in, length));
  if (step != 1) {
    TRY(index, multiply(in, index, in.constant(static_cast<double>(step), DType::I32)));
  }
  if (first != 0) {
    TRY(Operand offset, in.size(begin));
    TRY(index, add(in, index, offset));
  }
  in.with_shape(index, {length});
  return scatter_rows(in, x, axis, index, part, "update");
}

// Where a slice starts, counted from the front.
Result<Dim> slice_start(Lowering& in, std::string_view name, Dim size) {
  if (!in.has(name)) return Dim(0);
  TRY(const Dim begin, in.dim(name));
  const auto b = known(in, begin);
  if (!b || *b >= 0) return begin;
  const Dim from_front = in.dim_table().add(size, begin);
  const auto f = known(in, from_front);
  return f && *f < 0 ? Dim(0) : from_front;
}

Lowered slice_scattered(Lowering& in) {
  TRY(Operand x, numbers(in, "self"));
  TRY(Operand part, numbers(in, "src"));
  TRY(const int64_t axis, in.axis("dim", in.rank_of(x)));
  TRY(const int64_t step, in.integer("step"));
  TRY_DO(expect_rank(in, "self", 1));
  TRY(const Dim begin, slice_start(in, "start", in.shape_of(x)[static_cast<size_t>(axis)]));
  TRY(Operand result, replace_slice(in, x, axis, begin, part, step));
  return finish(in, result);
}

Lowered select_scattered(Lowering& in) {
  TRY(Operand x, numbers(in, "self"));
  TRY(Operand part, numbers(in, "src"));
  TRY(const int64_t axis, in.axis("dim", in.rank_of(x)));
  TRY_DO(expect_rank(in, "self", 1));
  TRY(const Dim begin, slice_start(in, "index", in.shape_of(x)[static_cast<size_t>(axis)]));
  Shape row = in.shape_of(x);
  row.erase(row.begin() + axis);
  TRY(part, in.expand(part, row));
  TRY(part, in.unsqueeze(part, {axis}));
  TRY(Operand result, replace_slice(in, x, axis, begin, part, 1));
  return finish(in, result);
}

Lowered diagonal_scattered(Lowering& in) {
  TRY(Operand x, numbers(in, "self"));
  TRY(Operand part, numbers(in, "src"));
  TRY(const int64_t offset, in.integer("offset"));
  TRY(const int64_t dim1, in.axis("dim1", in.rank_of(x)));
  TRY(const int64_t dim2, in.axis("dim2", in.rank_of(x)));
  if (in.rank_of(x) < 2 || dim1 == dim2) return in.reject(DiagKind::BadProgram, "a diagonal lies in two dimensions");
  std::vector<int64_t> perm;
  for (int i = 0; i < in.rank_of(x); ++i)
    if (i != dim1 && i != dim2) perm.push_back(i);
  perm.push_back(dim1);
  perm.push_back(dim2);
  TRY(Operand last, in.transpose(x, perm));
  const Shape shape = in.shape_of(last);
  const size_t axis = shape.size() - 2;
  TRY(Operand places, diagonal_places(in, shape[axis], shape[axis + 1], offset));
  TRY(Operand merged, merge_axes(in, last, axis, 2));
  TRY(Operand result, scatter_rows(in, merged, static_cast<int64_t>(axis), places, part, "update"));
  TRY(result, in.reshape(result, shape));
  std::vector<int64_t> back(perm.size());
  for (size_t i = 0; i < perm.size(); ++i) back[static_cast<size_t>(perm[i])] = static_cast<int64_t>(i);
  TRY(result, in.transpose(result, back));
  return finish(in, result);
}

Lowered strided_scattered(Lowering& in) {
  return in.reject(DiagKind::UnsupportedOp, "writes through memory strides, which Core ML tensors do not have",
                   "write with slice, select or index assignments");
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor", .lower = index_put,
     .samples = "T[4,5] [i64[2]{0,3}] T[2,5]; F[4,5] [i64[2]{0,3}, i64[2]{1,2}] F[2]; "
                "F[4,5] [i64[3]{0,3,0}] F[3,5] True; F[4,5] [None, i64[2]{0,3}] F[4,2]; F[n4,5] [i64[2]{0,1}] F[2,5]"},
    {.schema = "aten::_unsafe_index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor",
     .same_as = "aten.index_put.default", .edge = "aten.index_put.default",
     .samples = "F[4,5] [i64[2]{0,3}] F[2,5]; F[n4,m5] [i64[k2]{0..3}] F[p2,q5]"},
    {.schema = "aten::index_copy(Tensor self, int dim, Tensor index, Tensor source) -> Tensor", .lower = index_copied,
     .decompose = decompositions::index_copy, .edge = "aten.index_put.default",
     .samples = "F[4,5] 0 i64[2]{0,3} F[2,5]; I[4,5] 1 i64[2]{0,3} I[4,2]; F[n4,m5] 0 i64[k2]{0..3} F[k2,m5]"},
    {.schema = "aten::index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor", .lower = index_added,
     .decompose = decompositions::index_add, .edge = "aten.index_put.default",
     .samples = "F[4,5] 0 i64[2]{0,3} F[2,5]; F[4,5] 0 i64[3]{0,3,0} F[3,5] alpha=2; "
                "F[n4,m5] 0 i64[k2]{0..3} F[k2,p5]"},
    {.schema = "aten::index_fill.int_Scalar(Tensor self, int dim, Tensor index, Scalar value) -> Tensor", .lower = index_filled,
     .decompose = decompositions::index_fill,
     .samples = "F[4,5] 0 i64[2]{0,3} 1.5; I[4,5] 1 i64[2]{0,3} 7; F[n4,m5] 0 i64[k2]{0..3} 1.5"},
    {.schema = "aten::index_fill.int_Tensor(Tensor self, int dim, Tensor index, Tensor value) -> Tensor", .lower = index_filled,
     .samples = "F[4,5] 0 i64[2]{0,3} F[]; F[n4,m5] 0 i64[k2]{0..3} F[]"},
    {.schema = "aten::index_reduce(Tensor self, int dim, Tensor index, Tensor source, str reduce, *, bool include_self=True) -> Tensor",
     .lower = index_reduced,
     .samples = "F[4,5] 0 i64[3]{0,3,0} F[3,5] 'amax'; F[4,5] 0 i64[3]{0,3,0} F[3,5] 'prod'; "
                "F[n4,m5] 0 i64[k3]{0..3} F[p3,q5] 'amax'"},
    {.schema = "aten::put(Tensor self, Tensor index, Tensor source, bool accumulate=False) -> Tensor", .lower = put,
     .samples = "F[4,5] i64[3]{0,7,19} F[3]; F[4,5] i64[3]{0,7,0} F[3] True; F[n4,m5] i64[k3]{0..19} F[p3]"},
    {.schema = "aten::scatter.src(Tensor self, int dim, Tensor index, Tensor src) -> Tensor",
     .lower = [](Lowering& in) { return scattered(in, "src", "update"); },
     .samples = "F[4,5] 1 i64[4,2]{0,1,2,3,1,0,4,2} F[4,2]; I[4,5] 0 i64[1,5]{0..3} I[1,5]; "
                "F[n4,m5] 1 i64[k4,p2]{0..4} F[q4,r2]"},
    {.schema = "aten::scatter.value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor",
     .lower = [](Lowering& in) { return scattered(in, "value", "update"); },
     .samples = "F[4,5] 1 i64[4,2]{0..4} 1.5; I[4,5] 1 i64[4,2]{0..4} 2; F[n4,m5] 1 i64[k4,p2]{0..4} 1.5"},
    {.schema = "aten::scatter.reduce(Tensor self, int dim, Tensor index, Tensor src, *, str reduce) -> Tensor",
     .lower = [](Lowering& in) { return scattered_reduce(in, "src"); }, .decompose = decompositions::scatter_sum,
     .samples = "F[4,5] 1 i64[4,2]{0..4} F[4,2] reduce='add'; F[4,5] 1 i64[4,2]{0..4} F[4,2] reduce='multiply'; "
                "F[n4,m5] 1 i64[k4,p2]{0..4} F[q4,r2] reduce='add'"},
    {.schema = "aten::scatter.value_reduce(Tensor self, int dim, Tensor index, Scalar value, *, str reduce) -> Tensor",
     .lower = [](Lowering& in) { return scattered_reduce(in, "value"); },
     .samples = "F[4,5] 1 i64[4,2]{0..4} 1.5 reduce='add'; F[n4,m5] 1 i64[k4,p2]{0..4} 1.5 reduce='add'"},
    {.schema = "aten::scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor",
     .lower = [](Lowering& in) { return scattered(in, "src", "add"); },
     .samples = "F[4,5] 1 i64[4,2]{0..4} F[4,2]; I[4,5] 1 i64[4,2]{0..4} I[4,2]; "
                "F[n4,m5] 1 i64[k4,p2]{0..4} F[q4,r2]; u8[3]{0,1,2} 0 i64[2]{1,1} u8[2]{200,100}"},
    {.schema = "aten::scatter_reduce.two(Tensor self, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True) -> Tensor",
     .lower = scatter_reduced, .decompose = decompositions::scatter_sum,
     .samples = "F[4,5] 1 i64[4,2]{0..4} F[4,2] 'sum'; F[4,5] 1 i64[4,2]{0..4} F[4,2] 'amax'; "
                "F[4,5] 1 i64[4,2]{0..4} F[4,2] 'mean'; F[4,5] 1 i64[4,2]{0..4} F[4,2] 'prod'; "
                "F[4,5] 1 i64[4,2]{0..4} F[4,2] 'amin' include_self=False; "
                "F[n4,m5] 1 i64[k4,p2]{0..4} F[q4,r2] 'sum'"},
    {.schema = "aten::slice_scatter(Tensor self, Tensor src, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor",
     .lower = slice_scattered,
     .samples = "F[4,5] F[2,5] 0 1 3; F[4,5] F[4,2] 1 0 4 2; I[4,5] I[2,5] 0 1 3; F[n4,m5] F[2,m5] 0 1 3"},
    {.schema = "aten::select_scatter(Tensor self, Tensor src, int dim, SymInt index) -> Tensor", .lower = select_scattered,
     .samples = "F[4,5] F[5] 0 1; I[4,5] I[4] 1 2; F[n4,m5] F[m5] 0 1"},
    {.schema = "aten::diagonal_scatter(Tensor self, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor",
     .lower = diagonal_scattered, .decompose = decompositions::diagonal_scatter,
     .samples = "F[4,4] F[4]; F[4,5] F[3] -1; F[2,n4,n4] F[2,n4] 0 1 2; I[n4,3,n4] I[3,n4] 0 -1 0; F[n4,n4] F[n4]"},
    {.schema = "aten::as_strided_scatter(Tensor self, Tensor src, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor",
     .lower = strided_scattered, .samples = "F[4,4] F[2,2] [2,2] [4,1] !unsupported-op"},
    {.schema = "aten::masked_scatter(Tensor self, Tensor mask, Tensor source) -> Tensor", .lower = masked_scattered,
     .samples = "F[2,3] bool[2,3]{1,0,1,0,1,1} F[6]; F[n2,m3] bool[n2,m3]{0..1} F[k6]"},
};

}  // namespace

extern const std::span<const TorchOp> kScatterOps;
const std::span<const TorchOp> kScatterOps = kTable;

}  // namespace cortland::torch_ops
