// Parts of a tensor: slice, select, split and their kin, diagonals and windows.
#include <fmt/format.h>

#include <algorithm>

#include "mil_ops/ops.h"
#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

Lowered sliced(Lowering& in) {
  TRY(Operand x, payload(in, "self"));
  TRY(const int64_t axis, in.axis("dim", in.rank_of(x)));
  TRY(const int64_t step, in.integer("step"));
  const auto at = static_cast<size_t>(axis);
  TRY(const Dim length, result_size(in, axis));
  if (in.rank_of(x) == 0) return in.reject(DiagKind::BadProgram, "a number has no slices");
  if (step == 1 && length == in.shape_of(x)[at]) return x;
  Dim begin = 0, end = INT64_MAX;
  if (in.has("start")) {
    TRY(begin, in.dim("start"));
  }
  if (in.has("end")) {
    TRY(end, in.dim("end"));
  }
  return slice(in, x, axis, begin, end, step);
}

// x[begin : begin + length] along an axis; `begin` counts from the end when it is a negative number.
Result<Operand> part(Lowering& in, Operand x, int64_t axis, Dim begin, Dim length) {
  if (const auto b = known(in, begin); b && *b < 0) begin = in.dim_table().add(begin, in.shape_of(x)[static_cast<size_t>(axis)]);
  return slice(in, x, axis, begin, in.dim_table().add(begin, length));
}

Lowered narrowed(Lowering& in) {
  TRY_DO(expect_rank(in, "self", 1));
  TRY(Operand x, payload(in, "self"));
  TRY(const int64_t axis, in.axis("dim", in.rank_of(x)));
  TRY(Dim begin, in.dim("start"));
  TRY(const Dim length, in.dim("length"));
  if (length == in.shape_of(x)[static_cast<size_t>(axis)]) return x;
  return part(in, x, axis, begin, length);
}

// The start is a value: slice_by_size takes it as an operand.
Lowered narrowed_at_tensor(Lowering& in) {
  TRY_DO(expect_rank(in, "self", 1));
  TRY(Operand x, payload(in, "self"));
  TRY(const int64_t axis, in.axis("dim", in.rank_of(x)));
  TRY(const Dim length, in.dim("length"));
  TRY(Operand start, in.tensor("start"));
  if (auto v = in.const_ints(start); v && v->size() == 1) {
    return part(in, x, axis, in.dim_table().constant((*v)[0]), length);
  }
  TRY(start, in.reshape(start, {1}));
  std::vector<Operand> begins(static_cast<size_t>(in.rank_of(x)), in.constant(std::vector<int64_t>{0}));
  begins[static_cast<size_t>(axis)] = start;
  TRY(Operand begin, concat(in, begins, 0));
  Shape shape = in.shape_of(x);
  shape[static_cast<size_t>(axis)] = length;
  TRY(Operand size, in.sizes(shape));
  TRY(Operand result, in.op(mil_ops::slice_by_size, {{"x", x}, {"begin", begin}, {"size", size}}));
  return in.with_shape(result, shape);
}

Result<Operand> selected(Lowering& in, Operand x, int64_t axis, Dim index) {
  const Dim size = in.shape_of(x)[static_cast<size_t>(axis)];
  if (size == Dim(1)) return in.squeeze(x, {axis});
  TRY(Operand part, one_at(in, x, axis, index));
  return in.squeeze(part, {axis});
}

Lowered selected(Lowering& in) {
  TRY_DO(expect_rank(in, "self", 1));
  TRY(Operand x, payload(in, "self"));
  TRY(const int64_t axis, in.axis("dim", in.rank_of(x)));
  TRY(const Dim index, in.dim("index"));
  return selected(in, x, axis, index);
}

// All operators that cut a tensor along an axis into consecutive parts: torch recorded how long each is.
Lowered cut_at(Lowering& in, Operand x, int64_t axis) {
  if (axis < 0 || axis >= in.rank_of(x)) return in.reject(DiagKind::BadProgram, "the tensor has no dimension to cut");
  Shape lengths;
  std::vector<bool> wanted;
  for (size_t i = 0; i < in.node().results.size(); ++i) {
    const bool used = in.result_used(i);
    wanted.push_back(used);
    const Shape& shape = in.result_type(i).shape;
    lengths.push_back(static_cast<size_t>(axis) < shape.size() ? shape[static_cast<size_t>(axis)] : Dim(0));
    if (static_cast<size_t>(axis) >= shape.size() && i + 1 < in.node().results.size())
      return in.reject(DiagKind::UnsupportedShape, "a part has no recorded shape", "export the model again");
  }
  return split(in, x, axis, lengths, wanted);
}

Lowered cut(Lowering& in) {
  TRY(Operand x, payload(in, "self"));
  TRY(const int64_t axis, in.axis("dim", in.rank_of(x)));
  return cut_at(in, x, axis);
}

// hsplit cuts vectors along their only axis, and everything else, like its kin, along a fixed one.
Lowered cut_axis(Lowering& in, int64_t axis) {
  TRY(Operand x, payload(in, "self"));
  return cut_at(in, x, std::min<int64_t>(axis, in.rank_of(x) - 1));
}

Lowered unbound(Lowering& in) {
  TRY_DO(expect_rank(in, "self", 1));
  TRY(Operand x, payload(in, "self"));
  TRY(const int64_t axis, in.axis("dim", in.rank_of(x)));
  const size_t count = in.node().results.size();
  std::vector<bool> wanted;
  for (size_t i = 0; i < count; ++i) wanted.push_back(in.result_used(i));
  TRY(std::vector<Operand> parts, split(in, x, axis, Shape(count, 1), wanted));
  for (size_t i = 0; i < count; ++i) {
    if (!wanted[i]) continue;
    TRY(parts[i], in.squeeze(parts[i], {axis}));
  }
  return parts;
}

// MIL puts a window beside its axis, torch at the end.
Lowered unfolded(Lowering& in) {
  TRY(Operand x, payload(in, "self"));
  TRY(const int64_t axis, in.axis("dimension", in.rank_of(x)));
  TRY(const int64_t size, in.integer("size"));
  TRY(const int64_t step, in.integer("step"));
  if (in.rank_of(x) == 0) return in.reshape(x, in.result_type().shape);
  const bool was_bool = in.dtype_of(x) == DType::Bool;
  TRY(Operand numbers, as_numbers(in, x));
  TRY(Operand windows, in.op(mil_ops::sliding_windows, {{"x", numbers}, {"axis", axis}, {"size", size}, {"stride", step}}));
  TRY(Operand result, move_axis(in, windows, axis + 1, in.rank_of(windows) - 1));
  return was_bool ? as_bool(in, result) : Result<Operand>(result);
}

// Elements of the flattened tensor at constant places.
Result<Operand> pick(Lowering& in, Operand x, const std::vector<int64_t>& places, const Shape& shape) {
  const bool was_bool = in.dtype_of(x) == DType::Bool;
  TRY(Operand numbers, as_numbers(in, x));
  TRY(Operand flat, in.reshape(numbers, {product(in, in.shape_of(x), 0, in.shape_of(x).size())}));
  TRY(Operand picked, in.op(mil_ops::gather, {{"x", flat}, {"indices", in.constant(places)}, {"axis", 0}}));
  TRY(Operand result, in.reshape(picked, shape));
  return was_bool ? as_bool(in, result) : Result<Operand>(result);
}

bool is_dense(const Shape& shape, const Shape& strides) {
  int64_t expected = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (!shape[i].is_constant() || !strides[i].is_constant()) return false;
    if (shape[i].constant() != 1 && strides[i].constant() != expected) return false;
    expected *= shape[i].constant();
  }
  return true;
}

// Whether a value may start in the middle of a storage that another value owns.
bool is_view(const torch::Graph& graph, const torch::Value& value) {
  if (!value.producer) return false;
  const TorchOp* op = find_op(graph.nodes[value.producer].target);
  return !op || op->schema.find("-> Tensor(a") != std::string_view::npos || op->schema.find("Tensor(a -> *)") != std::string_view::npos;
}

// The storage behind a tensor is its own elements when it lies dense and starts its storage.
Lowered strided(Lowering& in) {
  TRY(Operand x, payload(in, "self"));
  if (!in.is_tensor("self")) return in.reject(DiagKind::BadProgram, "as_strided of a number");
  const torch::Value& value = in.graph().values[*in.arg("self").as<torch::ValueId>()];
  const TensorType& type = in.result_type();
  TRY(const auto strides, in.ints("stride"));
  int64_t offset = 0;
  if (in.has("storage_offset")) {
    TRY(offset, in.integer("storage_offset"));
    if (is_view(in.graph(), value))
      return in.reject(DiagKind::UnsupportedArgument, "as_strided counts from the start of a storage that is not this tensor's",
                       "use slice, select, expand or unfold");
  }
  const auto count = type.elements(), room = value.type.elements();
  if (!type.is_static() || strides.size() != type.shape.size() || !room || !count || value.strides.size() != value.type.shape.size() || !is_dense(value.type.shape, value.strides))
    return in.reject(DiagKind::UnsupportedShape, "as_strided reads storage whose layout is not known here", "use slice, select, expand or unfold");
  if (*count > (int64_t{1} << 20)) return in.reject(DiagKind::UnsupportedShape, fmt::format("as_strided picks {} elements one by one", *count));
  std::vector<int64_t> places(static_cast<size_t>(*count));
  const auto shape = sizes(type.shape);
  for (size_t i = 0; i < places.size(); ++i) {
    auto rest = static_cast<int64_t>(i);
    int64_t place = offset, step = 0;
    for (size_t k = shape.size(); k-- > 0; rest /= shape[k])
      if (__builtin_mul_overflow(rest % shape[k], strides[k], &step) || __builtin_add_overflow(place, step, &place)) place = -1;
    if (place < 0 || place >= *room)
      return in.reject(DiagKind::UnsupportedArgument, "as_strided reads outside its tensor", "use slice, select, expand or unfold");
    places[i] = place;
  }
  return pick(in, x, places, type.shape);
}

Result<Operand> diagonal_of(Lowering& in, Operand x, int64_t dim1, int64_t dim2, int64_t offset) {
  if (in.rank_of(x) < 2 || dim1 == dim2) return in.reject(DiagKind::BadProgram, "a diagonal lies in two dimensions");
  std::vector<int64_t> perm;
  for (int i = 0; i < in.rank_of(x); ++i)
    if (i != dim1 && i != dim2) perm.push_back(i);
  perm.push_back(dim1);
  perm.push_back(dim2);
  TRY(Operand last, in.transpose(x, perm));
  Shape shape = in.shape_of(last);
  const Dim n = shape[shape.size() - 2], m = shape.back();
  TRY(Operand places, diagonal_places(in, n, m, offset));
  shape.pop_back();
  shape.back() = in.dim_table().mul(n, m);
  const bool was_bool = in.dtype_of(x) == DType::Bool;
  TRY(Operand numbers, as_numbers(in, last));
  TRY(Operand flat, in.reshape(numbers, shape));
  TRY(Operand result, in.op(mil_ops::gather, {{"x", flat}, {"indices", places}, {"axis", static_cast<int64_t>(shape.size()) - 1}}));
  shape.back() = in.shape_of(places)[0];
  in.with_shape(result, shape);
  return was_bool ? as_bool(in, result) : Result<Operand>(result);
}

Lowered diagonal(Lowering& in) {
  TRY(Operand x, payload(in, "self"));
  TRY(const int64_t offset, in.integer("offset"));
  TRY(const int64_t dim1, in.axis("dim1", in.rank_of(x)));
  TRY(const int64_t dim2, in.axis("dim2", in.rank_of(x)));
  return diagonal_of(in, x, dim1, dim2, offset);
}

// bool [n, n]: true where column - row is the offset.
Result<Operand> diagonal_mask(Lowering& in, Dim n, int64_t offset) {
  TRY(Operand places, counting(in, n));
  TRY(Operand row, in.unsqueeze(places, {1}));
  TRY(Operand column, in.unsqueeze(places, {0}));
  TRY(row, add(in, row, in.constant(static_cast<double>(offset), DType::I32)));
  TRY(Operand mask, in.op(mil_ops::equal, {{"x", column}, {"y", row}}));
  return in.with_shape(mask, {n, n});
}

// Puts the last axis of x (length k) on the diagonal of two new last axes (n x n).
Result<Operand> on_diagonal(Lowering& in, Operand x, int64_t offset) {
  Shape shape = in.shape_of(x);
  if (shape.empty()) return in.reject(DiagKind::BadProgram, "a number has no diagonal");
  const Dim k = shape.back();
  if ((k.is_constant() && k.constant() > 4096) || offset > 4096 || offset < -4096)
    return in.reject(DiagKind::UnsupportedShape, "the matrix is too large for a mask");
  if (shape.size() >= 5) return in.reject(DiagKind::UnsupportedRank, "the result has more than 5 dimensions");
  const Dim n = in.dim_table().add(k, std::abs(offset));
  // Element i goes to row i (column i) where the diagonal is above (below) the middle; the rest of the row is zero.
  TRY(Operand numbers, as_numbers(in, x));
  Operand row = numbers;
  if (offset != 0) {
    Shape rest = shape;
    rest.back() = std::abs(offset);
    TRY(Operand zeros, filled(in, rest, 0, in.dtype_of(numbers)));
    TRY(row, concat(in, {numbers, zeros}, static_cast<int64_t>(shape.size()) - 1));
  }
  const int64_t spread = offset >= 0 ? static_cast<int64_t>(shape.size()) : static_cast<int64_t>(shape.size()) - 1;
  TRY(Operand column, in.unsqueeze(row, {spread}));
  shape.back() = n;
  shape.push_back(n);
  TRY(Operand keep, diagonal_mask(in, n, offset));
  TRY(Operand wide, in.expand(column, shape));
  TRY(Operand zero, filled(in, {}, 0, in.dtype_of(numbers)));
  TRY(Operand result, select(in, keep, wide, zero, shape));
  return in.dtype_of(x) == DType::Bool ? as_bool(in, result) : Result<Operand>(result);
}

Lowered diag(Lowering& in) {
  TRY_DO(expect_rank(in, "self", 1, 2));
  TRY(Operand x, payload(in, "self"));
  TRY(const int64_t offset, in.integer("diagonal"));
  if (in.rank_of(x) == 2) return diagonal_of(in, x, 0, 1, offset);
  return on_diagonal(in, x, offset);
}

Lowered diagflat(Lowering& in) {
  TRY(Operand x, payload(in, "self"));
  TRY(const int64_t offset, in.integer("offset"));
  TRY(Operand flat, in.reshape(x, {product(in, in.shape_of(x), 0, in.shape_of(x).size())}));
  return on_diagonal(in, flat, offset);
}

Lowered diag_embedded(Lowering& in) {
  TRY(Operand x, payload(in, "self"));
  TRY(const int64_t offset, in.integer("offset"));
  const int rank = in.rank_of(x) + 1;
  TRY(const int64_t dim1, in.axis("dim1", rank));
  TRY(const int64_t dim2, in.axis("dim2", rank));
  if (dim1 == dim2) return in.reject(DiagKind::BadProgram, "a diagonal lies in two dimensions");
  TRY(Operand square, on_diagonal(in, x, offset));
  std::vector<int64_t> perm(static_cast<size_t>(rank), -1);
  perm[static_cast<size_t>(dim1)] = rank - 2;
  perm[static_cast<size_t>(dim2)] = rank - 1;
  int64_t next = 0;
  for (int64_t& p : perm)
    if (p < 0) p = next++;
  return in.transpose(square, perm);
}

Lowered trace(Lowering& in) {
  TRY(Operand x, tensor_as_result(in, "self"));
  TRY(Operand line, diagonal_of(in, x, 0, 1, 0));
  return in.op(mil_ops::reduce_sum, {{"x", line}, {"axes", std::vector<int64_t>{0}}, {"keep_dims", false}});
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::slice.Tensor(Tensor(a) self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor(a)",
     .lower = sliced, .edge = "aten.slice_copy.Tensor",
     .samples = "T[*,5] -1 1 3 -> T[*,2]; F[4,3] 0 0 4 2 -> F[2,3]; F[4,3] 0 -2 -> F[2,3]; "
                "F[n4,3] 0 1 9223372036854775807 -> F[n4-1,3]; F[4,n6] 0 1 3 -> F[2,n6]"},
    {.schema = "aten::narrow(Tensor(a) self, int dim, SymInt start, SymInt length) -> Tensor(a)", .lower = narrowed,
     .edge = "aten.slice_copy.Tensor", .samples = "T[4,3] 0 1 2 -> T[2,3]; F[4,n6] 0 1 2 -> F[2,n6]"},
    {.schema = "aten::narrow_copy(Tensor self, int dim, SymInt start, SymInt length) -> Tensor", .lower = narrowed,
     .samples = "T[4,3] 0 1 2 -> T[2,3]; T[n4,m3] 0 1 2 -> T[2,m3]"},
    {.schema = "aten::narrow.Tensor(Tensor(a) self, int dim, Tensor start, SymInt length) -> Tensor(a)", .lower = narrowed_at_tensor,
     .samples = "F[4,3] 0 const i64[]{1} 2 -> F[2,3]; F[4,3] 0 const i64[]{-2} 2 -> F[2,3]"},
    {.schema = "aten::select.int(Tensor(a) self, int dim, SymInt index) -> Tensor(a)", .lower = selected,
     .edge = "aten.select_copy.int", .samples = "T[*,3] -1 1 -> T[*]; F[4,3] 0 -1 -> F[3]; F[n4,3] 1 0 -> F[n4]"},
    {.schema = "aten::split.Tensor(Tensor(a -> *) self, SymInt split_size, int dim=0) -> Tensor(a)[]", .lower = cut,
     .edge = "aten.split_with_sizes_copy.default",
     .samples = "T[6,2] 2 -> T[2,2], T[2,2], T[2,2]; F[2,5] 2 1 -> F[2,2], F[2,2], F[2,1]; "
                "F[n4,6] 3 1 -> F[n4,3], F[n4,3]"},
    {.schema = "aten::split.sizes(Tensor(a -> *) self, SymInt[] split_size, int dim=0) -> Tensor(a)[]", .lower = cut,
     .edge = "aten.split_with_sizes_copy.default", .samples = "T[6,2] [2,4] -> T[2,2], T[4,2]"},
    {.schema = "aten::split_with_sizes(Tensor(a -> *) self, SymInt[] split_sizes, int dim=0) -> Tensor(a)[]", .lower = cut,
     .edge = "aten.split_with_sizes_copy.default",
     .samples = "T[6,2] [2,4] -> T[2,2], T[4,2]; F[2,5] [1,4] 1 -> F[2,1], F[2,4]; "
                "F[n4,5] [1,4] 1 -> F[n4,1], F[n4,4]"},
    {.schema = "aten::unsafe_split.Tensor(Tensor self, SymInt split_size, int dim=0) -> Tensor[]",
     .same_as = "aten.split.Tensor", .edge = "aten.split_with_sizes_copy.default",
     .samples = "T[6,2] 2 -> T[2,2], T[2,2], T[2,2]; T[6,m2] 2 -> T[2,m2], T[2,m2], T[2,m2]"},
    {.schema = "aten::unsafe_split_with_sizes(Tensor self, SymInt[] split_sizes, int dim=0) -> Tensor[]",
     .same_as = "aten.split_with_sizes.default", .edge = "aten.split_with_sizes_copy.default",
     .samples = "T[6,2] [2,4] -> T[2,2], T[4,2]"},
    {.schema = "aten::unsafe_chunk(Tensor self, int chunks, int dim=0) -> Tensor[]",
     .same_as = "aten.chunk.default", .edge = "aten.split_with_sizes_copy.default",
     .samples = "T[6,2] 3 -> T[2,2], T[2,2], T[2,2]"},
    {.schema = "aten::chunk(Tensor(a -> *) self, int chunks, int dim=0) -> Tensor(a)[]", .lower = cut,
     .decompose = decompositions::cut, .edge = "aten.split_with_sizes_copy.default",
     .samples = "T[6,2] 3 -> T[2,2], T[2,2], T[2,2]; F[2,5] 2 1 -> F[2,3], F[2,2]; F[n4,6] 2 1 -> F[n4,3], F[n4,3]"},
    {.schema = "aten::tensor_split.sections(Tensor(a -> *) self, SymInt sections, int dim=0) -> Tensor(a)[]", .lower = cut,
     .decompose = decompositions::cut, .samples = "T[7,2] 3 -> T[3,2], T[2,2], T[2,2]"},
    {.schema = "aten::tensor_split.indices(Tensor(a -> *) self, SymInt[] indices, int dim=0) -> Tensor(a)[]", .lower = cut,
     .decompose = decompositions::cut,
     .samples = "T[7,2] [2,5] -> T[2,2], T[3,2], T[2,2]; T[n7,m2] [2,5] -> T[2,m2], T[3,m2], T[n7-5,m2]"},
    {.schema = "aten::tensor_split.tensor_indices_or_sections(Tensor(a -> *) self, Tensor tensor_indices_or_sections, int dim=0) "
               "-> Tensor(a)[]",
     .lower = cut, .samples = "F[7,2] const i64[2]{2,5} -> F[2,2], F[3,2], F[2,2]"},
    {.schema = "aten::hsplit.int(Tensor(a -> *) self, int sections) -> Tensor(a)[]", .lower = [](Lowering& in) { return cut_axis(in, 1); },
     .samples = "T[2,6] 3 -> T[2,2], T[2,2], T[2,2]; T[n2,6] 3 -> T[n2,2], T[n2,2], T[n2,2]"},
    {.schema = "aten::hsplit.array(Tensor(a -> *) self, int[] indices) -> Tensor(a)[]",
     .lower = [](Lowering& in) { return cut_axis(in, 1); },
     .samples = "T[2,6] [2,3] -> T[2,2], T[2,1], T[2,3]; T[n2,m6] [2,3] -> T[n2,2], T[n2,1], T[n2,m6-3]"},
    {.schema = "aten::vsplit.int(Tensor(a -> *) self, int sections) -> Tensor(a)[]", .lower = [](Lowering& in) { return cut_axis(in, 0); },
     .samples = "T[6,2] 3 -> T[2,2], T[2,2], T[2,2]"},
    {.schema = "aten::vsplit.array(Tensor(a -> *) self, int[] indices) -> Tensor(a)[]",
     .lower = [](Lowering& in) { return cut_axis(in, 0); },
     .samples = "T[6,2] [2,3] -> T[2,2], T[1,2], T[3,2]; T[n6,m2] [2,3] -> T[2,m2], T[1,m2], T[n6-3,m2]"},
    {.schema = "aten::dsplit.int(Tensor(a -> *) self, int sections) -> Tensor(a)[]", .lower = [](Lowering& in) { return cut_axis(in, 2); },
     .samples = "T[2,3,6] 3 -> T[2,3,2], T[2,3,2], T[2,3,2]; T[n2,3,6] 3 -> T[n2,3,2], T[n2,3,2], T[n2,3,2]"},
    {.schema = "aten::dsplit.array(Tensor(a -> *) self, int[] indices) -> Tensor(a)[]",
     .lower = [](Lowering& in) { return cut_axis(in, 2); },
     .samples = "T[2,3,6] [2,3] -> T[2,3,2], T[2,3,1], T[2,3,3]; "
                "T[n2,m3,k6] [2,3] -> T[n2,m3,2], T[n2,m3,1], T[n2,m3,k6-3]"},
    {.schema = "aten::unbind.int(Tensor(a -> *) self, int dim=0) -> Tensor(a)[]", .lower = unbound, .decompose = decompositions::unbind,
     .samples = "T[3,2] -> T[2], T[2], T[2]; F[2,3] 1 -> F[2], F[2], F[2]; F[3,n4] -> F[n4], F[n4], F[n4]"},
    {.schema = "aten::unfold(Tensor(a) self, int dimension, int size, int step) -> Tensor(a)", .lower = unfolded,
     .decompose = decompositions::of_one_number, .edge = "aten.unfold_copy.default",
     .samples = "T[8] 0 3 2 -> T[3,3]; T[] 0 1 1 -> T[1]; F[2,8] 1 4 1 -> F[2,5,4]; F[n2,m8] 1 4 1 -> F[n2,m8-3,4]"},
    {.schema = "aten::as_strided(Tensor(a) self, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor(a)",
     .lower = strided, .edge = "aten.as_strided_copy.default",
     .samples = "F[4,5] [2,3] [5,1] -> F[2,3]; I[4,5] [2,2] [1,2] 1 -> I[2,2]"},
    {.schema = "aten::diagonal(Tensor(a) self, int offset=0, int dim1=0, int dim2=1) -> Tensor(a)", .lower = diagonal,
     .edge = "aten.diagonal_copy.default",
     .samples = "T[4,4] -> T[4]; F[4,5] 1 -> F[4]; F[2,3,3] 0 1 2 -> F[2,3]; F[n2,3,3] 0 1 2 -> F[n2,3]"},
    {.schema = "aten::linalg_diagonal(Tensor(a) A, *, int offset=0, int dim1=-2, int dim2=-1) -> Tensor(a)",
     .decompose = decompositions::linalg_diagonal,
     .samples = "F[2,3,3] -> F[2,3]; F[4,5] offset=1 -> F[4]; F[n2,3,3] -> F[n2,3]"},
    {.schema = "aten::diag(Tensor self, int diagonal=0) -> Tensor", .lower = diag, .decompose = decompositions::diag,
     .samples = "F[3] -> F[3,3]; F[3,3] -> F[3]; I[3] 1 -> I[4,4]; F[n3] -> F[n3,n3]"},
    {.schema = "aten::diagflat(Tensor self, int offset=0) -> Tensor", .lower = diagflat, .decompose = decompositions::diagflat,
     .samples = "F[3] -> F[3,3]; I[3] 1 -> I[4,4]; F[n3] -> F[n3,n3]"},
    {.schema = "aten::diag_embed(Tensor self, int offset=0, int dim1=-2, int dim2=-1) -> Tensor", .lower = diag_embedded, .decompose = decompositions::diag_embed,
     .samples = "F[2,3] -> F[2,3,3]; F[3] 1 -> F[4,4]; F[n2,m3] -> F[n2,m3,m3]"},
    {.schema = "aten::trace(Tensor self) -> Tensor", .lower = trace, .decompose = decompositions::trace,
     .samples = "F[3,3] -> F[]; I[3,4] -> i64[]; F[n3,m3] -> F[]"},
};

}  // namespace

extern const std::span<const TorchOp> kSlicingOps;
const std::span<const TorchOp> kSlicingOps = kTable;

}  // namespace cortland::torch_ops
