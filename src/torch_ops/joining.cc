// Putting tensors together and repeating them.
#include <fmt/format.h>

#include <algorithm>

#include "mil_ops/ops.h"
#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

// The tensors of a list in the element type of the result.
Result<std::vector<Operand>> parts_as_result(Lowering& in) {
  TRY(std::vector<Operand> parts, in.precise_tensors("tensors"));
  const auto& list = *in.arg("tensors").as<torch::Arg::List>();
  const DType to = in.result_type().dtype;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i]) return in.reject(DiagKind::UnsupportedArgument, "a tensor of the list is missing");
    TRY(parts[i], convert(in, parts[i], in.graph().type(*list[i].as<torch::ValueId>()).dtype, to));
  }
  const DType type = is_float(to) ? common_float(in, parts) : in.mil_dtype(to);
  for (Operand& part : parts) {
    TRY(part, in.cast(part, type));
  }
  return parts;
}

// Empty parts drop out: Core ML cannot hold them, and torch lets [0] go with any rank.
Result<Operand> join(Lowering& in, std::vector<Operand> parts, int64_t axis) {
  for (Operand o : parts)
    if (in.rank_of(o) == 0) return in.reject(DiagKind::BadProgram, "joins a number");
  std::erase_if(parts, [&](Operand o) {
    const Shape& s = in.shape_of(o);
    return std::find(s.begin(), s.end(), Dim(0)) != s.end();
  });
  if (parts.empty()) return in.reject(DiagKind::UnsupportedShape, "there is nothing to join");
  TRY(Operand joined, concat(in, parts, axis));
  if (in.rank_of(joined) == in.result_type().rank()) in.with_shape(joined, in.result_type().shape);
  return joined;
}

Lowered concatenated(Lowering& in) {
  TRY(std::vector<Operand> parts, parts_as_result(in));
  TRY(const int64_t axis, in.axis("dim", in.result_type().rank()));
  return join(in, std::move(parts), axis);
}

Lowered stacked(Lowering& in) {
  TRY(std::vector<Operand> parts, parts_as_result(in));
  TRY(const int64_t axis, in.axis("dim", in.result_type().rank()));
  if (parts.empty()) return in.reject(DiagKind::BadProgram, "stacks nothing");
  if (parts.size() > 1 && in.rank_of(parts[0]) > 0) return in.op(mil_ops::stack, {{"values", parts}, {"axis", axis}});
  for (Operand& part : parts) {
    TRY(part, in.unsqueeze(part, {axis}));
  }
  return join(in, std::move(parts), axis);
}

// hstack, vstack and dstack: parts of a smaller rank are widened first, by `shape_of`.
Result<Operand> join_widened(Lowering& in, int64_t axis, Shape (*widened)(Shape)) {
  TRY(std::vector<Operand> parts, parts_as_result(in));
  for (Operand& part : parts) {
    TRY(part, in.reshape(part, widened(in.shape_of(part))));
  }
  return join(in, std::move(parts), std::min<int64_t>(axis, in.result_type().rank() - 1));
}

Lowered stacked_horizontally(Lowering& in) {
  const bool vectors = in.result_type().rank() == 1;
  return join_widened(in, vectors ? 0 : 1, [](Shape s) { return s.empty() ? Shape{1} : s; });
}

Lowered stacked_vertically(Lowering& in) {
  return join_widened(in, 0, [](Shape s) {
    while (s.size() < 2) s.insert(s.begin(), 1);
    return s;
  });
}

Lowered stacked_in_depth(Lowering& in) {
  return join_widened(in, 2, [](Shape s) {
    if (s.empty()) s.push_back(1);
    if (s.size() == 1) s.insert(s.begin(), 1);
    if (s.size() == 2) s.push_back(1);
    return s;
  });
}

Lowered stacked_columns(Lowering& in) {
  return join_widened(in, 1, [](Shape s) {
    while (s.size() < 2) s.push_back(1);
    return s;
  });
}

// Matrices along the diagonal, zeros around them.
Lowered block_diagonal(Lowering& in) {
  TRY(std::vector<Operand> parts, parts_as_result(in));
  TRY(const Dim width, result_size(in, 1));
  Dim left = 0;
  for (Operand& part : parts) {
    TRY(part, as_numbers(in, part));
    Shape shape = in.shape_of(part);
    if (shape.size() > 2) return in.reject(DiagKind::BadProgram, "block_diag takes matrices");
    while (shape.size() < 2) shape.insert(shape.begin(), 1);
    TRY(part, in.reshape(part, shape));
    const Dim end = in.dim_table().add(left, shape[1]), right = in.dim_table().sub(width, end);
    std::vector<Operand> row;
    for (const auto& [columns, value] : {std::pair{left, Operand()}, std::pair{shape[1], part}, std::pair{right, Operand()}}) {
      if (columns == Dim(0)) continue;
      Operand piece = value;
      if (!piece) {
        TRY(piece, filled(in, {shape[0], columns}, 0, in.dtype_of(part)));
      }
      row.push_back(piece);
    }
    TRY(part, concat(in, row, 1));
    left = end;
  }
  TRY(Operand joined, join(in, std::move(parts), 0));
  return in.result_type().dtype == DType::Bool ? as_bool(in, joined) : Result<Operand>(joined);
}

// x repeated along each axis; `counts` may have more axes than x.
Result<Operand> repeat(Lowering& in, Operand x, Shape counts, const Shape& shape) {
  if (counts.size() > 5) return in.reject(DiagKind::UnsupportedRank, fmt::format("repeats to rank {}, Core ML allows 5", counts.size()));
  std::vector<int64_t> lead;
  for (size_t i = 0; i + static_cast<size_t>(in.rank_of(x)) < counts.size(); ++i) lead.push_back(static_cast<int64_t>(i));
  while (counts.size() < static_cast<size_t>(in.rank_of(x))) counts.insert(counts.begin(), 1);
  TRY(Operand wide, in.unsqueeze(x, lead));
  if (std::all_of(counts.begin(), counts.end(), [](Dim d) { return d == Dim(1); })) return wide;
  TRY(Operand reps, in.sizes(counts));
  TRY(Operand result, in.op(mil_ops::tile, {{"x", wide}, {"reps", reps}}));
  return in.with_shape(result, shape);
}

Lowered repeated(Lowering& in, const char* counts) {
  TRY(Operand x, payload(in, "self"));
  TRY(Shape reps, in.dims(counts));
  return repeat(in, x, std::move(reps), in.result_type().shape);
}

// Each element `count` times: a new axis beside its own is repeated and merged.
Lowered interleaved(Lowering& in) {
  TRY(Operand x, payload(in, "self"));
  TRY(const Dim count, in.dim("repeats"));
  int64_t axis = 0;
  if (in.has("dim")) {
    TRY(axis, in.axis("dim", in.rank_of(x)));
  } else {
    TRY(x, in.reshape(x, {product(in, in.shape_of(x), 0, in.shape_of(x).size())}));
  }
  if (in.rank_of(x) == 0) {
    TRY(x, in.reshape(x, {1}));
  }
  if (axis >= in.rank_of(x)) return in.reject(DiagKind::BadProgram, "the dimension to repeat is not there");
  // The repeats get an axis of their own, for which five axes have to become three first.
  const Shape shape = in.shape_of(x);
  const auto at = static_cast<size_t>(axis);
  Shape wide = shape;
  if (shape.size() == 5) wide = {product(in, shape, 0, at), shape[at], product(in, shape, at + 1, shape.size())};
  const size_t place = shape.size() == 5 ? 1 : at;
  wide.insert(wide.begin() + static_cast<std::ptrdiff_t>(place) + 1, 1);
  TRY(Operand column, in.reshape(x, wide));
  Shape counts(wide.size(), 1);
  counts[place + 1] = count;
  wide[place + 1] = count;
  TRY(Operand copies, repeat(in, column, counts, wide));
  return in.reshape(copies, in.result_type().shape);
}

// Different counts for each element: they must be known, and become a list of places to read.
Lowered interleaved_by_tensor(Lowering& in) {
  TRY(Operand repeats, in.tensor("repeats"));
  const auto counts = in.const_ints(repeats);
  if (!counts)
    return in.reject(DiagKind::UnsupportedShape, "how often each element is repeated is known only at run time",
                     "pass a constant tensor or a number as repeats");
  const bool only_counts = !in.node().find("self") && in.arg("self").is_none();
  Operand x;
  int64_t axis = 0;
  if (!only_counts) {
    TRY(x, payload(in, "self"));
    if (in.has("dim")) {
      TRY_DO(expect_rank(in, "self", 1));
      TRY(axis, in.axis("dim", in.rank_of(x)));
    } else {
      TRY(x, in.reshape(x, {product(in, in.shape_of(x), 0, in.shape_of(x).size())}));
    }
  }
  const Dim size = only_counts ? Dim(static_cast<int64_t>(counts->size())) : in.shape_of(x)[static_cast<size_t>(axis)];
  if (!size.is_constant()) return in.reject(DiagKind::UnsupportedShape, "the repeated dimension has a dynamic size");
  if (counts->empty() || (counts->size() != 1 && static_cast<int64_t>(counts->size()) != size.constant()))
    return in.reject(DiagKind::BadProgram, "there is not one repeat count for each element");
  std::vector<int64_t> places;
  for (int64_t i = 0; i < size.constant(); ++i) {
    const int64_t n = (*counts)[counts->size() == 1 ? 0 : static_cast<size_t>(i)];
    if (n < 0 || n > kMostEntries - static_cast<int64_t>(places.size()))
      return in.reject(DiagKind::UnsupportedArgument, "the repeat counts are negative or too large");
    places.insert(places.end(), static_cast<size_t>(n), i);
  }
  if (only_counts) return in.constant(places);
  TRY(Operand numbers, as_numbers(in, x));
  TRY(Operand result, in.op(mil_ops::gather, {{"x", numbers}, {"indices", in.constant(places)}, {"axis", axis}}));
  return in.dtype_of(x) == DType::Bool ? as_bool(in, result) : Result<Operand>(result);
}

Lowered broadcast_each(Lowering& in) {
  TRY(std::vector<Operand> parts, in.precise_tensors("tensors"));
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!in.result_used(i)) continue;
    TRY(parts[i], in.expand(parts[i], in.result_type(i).shape));
  }
  return parts;
}

Lowered mesh(Lowering& in) {
  TRY(std::vector<Operand> parts, in.precise_tensors("tensors"));
  const bool xy = in.str("indexing") == "xy";
  const size_t rank = parts.size();
  if (in.node().results.size() != rank || rank > 5) return in.reject(DiagKind::UnsupportedRank, "the mesh has another number of dimensions than of tensors, or more than 5");
  for (size_t i = 0; i < rank; ++i) {
    if (!in.result_used(i)) continue;
    const Shape shape = in.shape_of(parts[i]);
    if (shape.size() > 1) return in.reject(DiagKind::BadProgram, "a mesh is made of vectors");
    Shape axes(rank, 1);
    const size_t axis = xy && rank > 1 && i < 2 ? 1 - i : i;
    axes[axis] = shape.empty() ? Dim(1) : shape[0];
    TRY(parts[i], in.reshape(parts[i], axes));
    TRY(parts[i], in.expand(parts[i], in.result_type(i).shape));
  }
  return parts;
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::cat(Tensor[] tensors, int dim=0) -> Tensor", .lower = concatenated,
     .samples = "[T[2,3], T[2,3]] -> T[4,3]; [F[2,3], F[4,3]] 0 -> F[6,3]; [F[2,3], F[2,1], F[2,2]] 1 -> F[2,6]; "
                "[F[n4,3], F[2,3]] -> F[n4+2,3]; [const F[0], F[2]] -> F[2]; "
                "[F[0], F[2]] -> F[2] !unsupported-shape; [i64[2], f32[3]] -> f32[5]"},
    {.schema = "aten::concat(Tensor[] tensors, int dim=0) -> Tensor", .lower = concatenated,
     .decompose = decompositions::cat, .edge = "aten.cat.default",
     .samples = "[T[2,3], T[2,3]] 1 -> T[2,6]; [T[n2,m3], T[n2,k3]] 1 -> T[n2,k3+m3]"},
    {.schema = "aten::concatenate(Tensor[] tensors, int dim=0) -> Tensor", .lower = concatenated,
     .decompose = decompositions::cat, .edge = "aten.cat.default",
     .samples = "[T[2,3], T[2,3]] 1 -> T[2,6]; [T[n2,m3], T[n2,k3]] 1 -> T[n2,k3+m3]"},
    {.schema = "aten::stack(Tensor[] tensors, int dim=0) -> Tensor", .lower = stacked,
     .samples = "[T[*], T[*]] -1 -> T[*,2]; [F[2,3], F[2,3], F[2,3]] 1 -> F[2,3,3]; "
                "[F[2,3,2,3,2], F[2,3,2,3,2]] -> F[2,2,3,2,3,2] !unsupported-rank"},
    {.schema = "aten::hstack(Tensor[] tensors) -> Tensor", .lower = stacked_horizontally,
     .decompose = decompositions::hstack, .edge = "aten.cat.default",
     .samples = "[T[2,3], T[2,1]] -> T[2,4]; [F[2], F[3]] -> F[5]; [T[n2,m3], T[n2,1]] -> T[n2,m3+1]"},
    {.schema = "aten::vstack(Tensor[] tensors) -> Tensor", .lower = stacked_vertically,
     .decompose = decompositions::vstack, .edge = "aten.cat.default",
     .samples = "[T[2,3], T[1,3]] -> T[3,3]; [F[3], F[3]] -> F[2,3]; [T[n2,m3], T[1,m3]] -> T[n2+1,m3]"},
    {.schema = "aten::row_stack(Tensor[] tensors) -> Tensor", .same_as = "aten.vstack.default", .edge = "aten.cat.default",
     .samples = "[T[2,3], T[1,3]] -> T[3,3]; [T[n2,m3], T[1,m3]] -> T[n2+1,m3]"},
    {.schema = "aten::dstack(Tensor[] tensors) -> Tensor", .lower = stacked_in_depth,
     .decompose = decompositions::dstack,
     .samples = "[T[2,3], T[2,3]] -> T[2,3,2]; [F[3], F[3]] -> F[1,3,2]; [T[n2,m3], T[n2,m3]] -> T[n2,m3,2]"},
    {.schema = "aten::column_stack(Tensor[] tensors) -> Tensor", .lower = stacked_columns,
     .decompose = decompositions::column_stack,
     .samples = "[T[3], T[3,2]] -> T[3,3]; [T[n3], T[n3,m2]] -> T[n3,m2+1]"},
    {.schema = "aten::block_diag(Tensor[] tensors) -> Tensor", .lower = block_diagonal,
     .samples = "[F[2,3], F[1,2]] -> F[3,5]; [I[2,3], I[1,2]] -> I[3,5]; [F[n2,m3], F[1,k2]] -> F[n2+1,k2+m3]"},
    {.schema = "aten::repeat(Tensor self, SymInt[] repeats) -> Tensor", .lower = [](Lowering& in) { return repeated(in, "repeats"); },
     .samples = "T[2,3] [2,1] -> T[4,3]; F[3] [2,2] -> F[2,6]; F[n4,3] [2,1] -> F[2*n4,3]"},
    {.schema = "aten::tile(Tensor self, SymInt[] dims) -> Tensor", .lower = [](Lowering& in) { return repeated(in, "dims"); },
     .decompose = decompositions::tile, .edge = "aten.repeat.default",
     .samples = "T[2,3] [2,1] -> T[4,3]; F[2,3] [2] -> F[2,6]; T[n2,m3] [2,1] -> T[2*n2,m3]"},
    {.schema = "aten::repeat_interleave.self_int(Tensor self, SymInt repeats, int? dim=None, *, SymInt? output_size=None) -> Tensor",
     .lower = interleaved, .decompose = decompositions::repeat_interleave,
     .samples = "T[2,3] 2 -> T[12]; F[2,3] 2 1 -> F[2,6]; F[n4,3] 2 1 -> F[n4,6]"},
    {.schema = "aten::repeat_interleave.self_Tensor(Tensor self, Tensor repeats, int? dim=None, *, SymInt? output_size=None) -> Tensor",
     .lower = interleaved_by_tensor, .decompose = decompositions::repeat_interleave_each,
     .samples = "T[3,2] const i64[3]{1,2,3} 0 output_size=6 -> T[6,2]"},
    {.schema = "aten::repeat_interleave.Tensor(Tensor repeats, *, SymInt? output_size=None) -> Tensor", .lower = interleaved_by_tensor,
     .samples = "const i64[3]{1,2,3} output_size=6 -> i64[6]"},
    {.schema = "aten::broadcast_tensors(Tensor[] tensors) -> Tensor[]", .lower = broadcast_each,
     .decompose = decompositions::broadcast_tensors,
     .samples = "[F[2,1], F[3]] -> F[2,3], F[2,3]; [I[2,1], bool[3]] -> I[2,3], bool[2,3]; "
                "[F[n2,1], F[m3]] -> F[n2,m3], F[n2,m3]"},
    {.schema = "aten::meshgrid(Tensor[] tensors) -> Tensor[]", .lower = mesh, .decompose = decompositions::meshgrid,
     .samples = "[F[2], F[3]] -> F[2,3], F[2,3]; [I[2], I[3], I[4]] -> I[2,3,4], I[2,3,4], I[2,3,4]; "
                "[F[n2], F[m3]] -> F[n2,m3], F[n2,m3]"},
    {.schema = "aten::meshgrid.indexing(Tensor[] tensors, *, str indexing) -> Tensor[]", .lower = mesh,
     .decompose = decompositions::meshgrid,
     .samples = "[F[2], F[3]] indexing='xy' -> F[3,2], F[3,2]; [I[2], I[3]] indexing='ij' -> I[2,3], I[2,3]; "
                "[F[n2], F[m3]] indexing='xy' -> F[m3,n2], F[m3,n2]"},
};

}  // namespace

extern const std::span<const TorchOp> kJoiningOps;
const std::span<const TorchOp> kJoiningOps = kTable;

}  // namespace cortland::torch_ops
