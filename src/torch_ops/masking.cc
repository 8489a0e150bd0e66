// Choosing by a condition: where, masked_fill, triangles.
#include <fmt/format.h>

#include <algorithm>

#include "mil_ops/ops.h"
#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

Result<Operand> condition(Lowering& in, std::string_view name) {
  TRY(Operand c, in.tensor(name));
  return as_bool(in, c);
}

Lowered chosen(Lowering& in) {
  TRY(Operand cond, condition(in, "condition"));
  TRY(Operand a, tensor_as_result(in, "self"));
  TRY(Operand b, tensor_as_result(in, "other"));
  return select(in, cond, a, b, in.result_type().shape);
}

Lowered masked_filled(Lowering& in) {
  TRY(Operand cond, condition(in, "mask"));
  TRY(Operand value, tensor_as_result(in, "value"));
  TRY(Operand x, in.tensor("self"));
  return select(in, cond, value, x, in.result_type().shape);
}

Lowered data_dependent(Lowering& in) {
  return in.reject(DiagKind::UnsupportedShape, "the size of the result depends on the data", "use where or masked_fill, which keep the shape");
}

// Where row and column of the last two axes satisfy column - row <= diagonal (lower) or >= diagonal.
Result<Operand> triangle_mask(Lowering& in, Dim rows, Dim columns, int64_t diagonal, bool lower) {
  TRY(Operand row, counting(in, rows));
  TRY(Operand column, counting(in, columns));
  TRY(row, in.unsqueeze(row, {1}));
  TRY(column, in.unsqueeze(column, {0}));
  TRY(row, add(in, row, in.constant(static_cast<double>(diagonal), DType::I32)));
  TRY(Operand mask, in.op(lower ? mil_ops::less_equal : mil_ops::greater_equal, {{"x", column}, {"y", row}}));
  return in.with_shape(mask, {rows, columns});
}

Result<Operand> triangle(Lowering& in, bool lower) {
  TRY_DO(expect_rank(in, "self", 2));
  TRY(Operand x, in.tensor("self"));
  TRY(const int64_t wanted, in.integer("diagonal"));
  const int64_t diagonal = std::clamp<int64_t>(wanted, -(1 << 30), 1 << 30);
  // band_part keeps bands around the diagonal; a triangle that leaves the diagonal out needs a mask.
  if (lower && diagonal >= 0) return in.op(mil_ops::band_part, {{"x", x}, {"lower", -1}, {"upper", diagonal}});
  if (!lower && diagonal <= 0) return in.op(mil_ops::band_part, {{"x", x}, {"lower", -diagonal}, {"upper", -1}});
  const Shape shape = in.shape_of(x);
  TRY(Operand mask, triangle_mask(in, shape[shape.size() - 2], shape.back(), diagonal, lower));
  TRY(Operand zero, filled(in, {}, 0, in.dtype_of(x)));
  return select(in, mask, x, zero, shape);
}

// int32 [2, n]: rows and columns of the elements of a triangle.
Lowered triangle_places(Lowering& in, bool lower) {
  TRY(const int64_t rows, in.integer("row"));
  TRY(const int64_t columns, in.integer("col"));
  TRY(const int64_t offset, in.integer("offset"));
  if (rows < 0 || columns < 0 || (rows > 0 && columns > kMostEntries / rows)) return in.reject(DiagKind::UnsupportedShape, "the triangle is too large to be a table");
  const int64_t reach = std::clamp<int64_t>(offset, -kMostEntries, kMostEntries);
  std::vector<int64_t> places, second;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      if (lower ? c - r > reach : c - r < reach) continue;
      places.push_back(r);
      second.push_back(c);
    }
  }
  const auto count = static_cast<int64_t>(places.size());
  places.insert(places.end(), second.begin(), second.end());
  return in.constant(Weight::of<int64_t>(DType::I64, {2, count}, places).cast(DType::I32));
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::where.self(Tensor condition, Tensor self, Tensor other) -> Tensor", .lower = chosen,
     .samples = "bool[*] T[*] T[*] -> T[*]; bool[2,1] F[2,3] F[3] -> F[2,3]; bool[3] F[3] f32[] -> F[3]"},
    {.schema = "aten::where.ScalarOther(Tensor condition, Tensor self, Scalar other) -> Tensor", .lower = chosen,
     .decompose = decompositions::where_number,
     .samples = "bool[2,3] F[2,3] 0.5 -> F[2,3]; bool[3] I[3] 2 -> I[3]; bool[n2,m3] F[n2,m3] 0.5 -> F[n2,m3]"},
    {.schema = "aten::where.ScalarSelf(Tensor condition, Scalar self, Tensor other) -> Tensor", .lower = chosen,
     .decompose = decompositions::where_number,
     .samples = "bool[2,3] 0.5 F[2,3] -> F[2,3]; bool[3] 2 I[3] -> I[3]; bool[n2,m3] 0.5 F[n2,m3] -> F[n2,m3]"},
    {.schema = "aten::where.Scalar(Tensor condition, Scalar self, Scalar other) -> Tensor", .lower = chosen,
     .decompose = decompositions::where_number,
     .samples = "bool[2,3] 1.5 0.5 -> f32[2,3]; bool[2,3] 1 0 -> i64[2,3]; bool[n2,m3] 1.5 0.5 -> f32[n2,m3]"},
    {.schema = "aten::where(Tensor condition) -> Tensor[]", .lower = data_dependent, .decompose = decompositions::places_by_axis,
     .samples = "bool[3]{1,0,1} -> i64[2] !unsupported-shape"},
    {.schema = "aten::nonzero(Tensor self) -> Tensor", .lower = data_dependent,
     .samples = "f32[3]{1,0,2} -> i64[2,1] !unsupported-shape"},
    {.schema = "aten::nonzero_numpy(Tensor self) -> Tensor[]", .lower = data_dependent, .decompose = decompositions::places_by_axis,
     .samples = "f32[3]{1,0,2} -> i64[2] !unsupported-shape"},
    {.schema = "aten::argwhere(Tensor self) -> Tensor", .lower = data_dependent, .decompose = decompositions::places,
     .samples = "f32[3]{1,0,2} -> i64[2,1] !unsupported-shape"},
    {.schema = "aten::masked_select(Tensor self, Tensor mask) -> Tensor", .lower = data_dependent,
     .samples = "f32[3] bool[3]{1,0,1} -> f32[2] !unsupported-shape"},
    {.schema = "aten::masked_fill.Scalar(Tensor self, Tensor mask, Scalar value) -> Tensor", .lower = masked_filled,
     .samples = "T[*] bool[*] 1; F[2,3] bool[3] -inf"},
    {.schema = "aten::masked_fill.Tensor(Tensor self, Tensor mask, Tensor value) -> Tensor", .lower = masked_filled,
     .decompose = decompositions::masked_fill, .edge = "aten.where.self", .samples = "N[*] bool[*] N[]"},
    {.schema = "aten::tril(Tensor self, SymInt diagonal=0) -> Tensor", .lower = [](Lowering& in) -> Lowered { return triangle(in, true); },
     .samples = "T[3,4]; F[2,3,4] 1; F[n4,4] -1"},
    {.schema = "aten::triu(Tensor self, SymInt diagonal=0) -> Tensor", .lower = [](Lowering& in) -> Lowered { return triangle(in, false); },
     .decompose = decompositions::triu, .samples = "T[3,4]; F[2,3,4] 1; F[n4,4] -1"},
    {.schema = "aten::tril_indices(int row, int col, int offset=0, *, ScalarType? dtype=4, Layout? layout=None, Device? device=None, bool? "
               "pin_memory=None) -> Tensor",
     .lower = [](Lowering& in) { return triangle_places(in, true); }, .decompose = decompositions::tril_indices,
     .samples = "3 4 -> i64[2,6]; 3 4 1 -> i64[2,9]"},
    {.schema = "aten::triu_indices(int row, int col, int offset=0, *, ScalarType? dtype=4, Layout? layout=None, Device? device=None, bool? "
               "pin_memory=None) -> Tensor",
     .lower = [](Lowering& in) { return triangle_places(in, false); }, .decompose = decompositions::triu_indices,
     .samples = "3 4 -> i64[2,9]; 3 4 -1 -> i64[2,11]"},
};

}  // namespace

extern const std::span<const TorchOp> kMaskingOps;
const std::span<const TorchOp> kMaskingOps = kTable;

}  // namespace cortland::torch_ops
