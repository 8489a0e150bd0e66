// Views: the same elements in another shape or order, and copies that change nothing.
#include <algorithm>

#include "mil_ops/ops.h"
#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

Lowered same(Lowering& in) { return payload(in, "self"); }

// torch has already worked the sizes out.
Lowered reshaped(Lowering& in) {
  TRY(Operand x, payload(in, "self"));
  return in.reshape(x, in.result_type().shape);
}

Lowered squeezed(Lowering& in) {
  TRY(Operand x, payload(in, "self"));
  std::vector<int64_t> axes;
  if (in.has("dim")) {
    TRY(axes, in.axes("dim", in.rank_of(x)));
    if (const auto* list = in.arg("dim").as<torch::Arg::List>(); list && list->empty()) return x;
  } else {
    TRY(axes, in.axes("dim", in.rank_of(x)));
  }
  if (in.rank_of(x) == 0) return x;
  // A dimension that may have any size stays, as torch has decided.
  std::erase_if(axes, [&](int64_t a) { return in.shape_of(x)[static_cast<size_t>(a)] != Dim(1); });
  if (in.rank_of(x) - static_cast<int>(axes.size()) != in.result_type().rank()) return in.reshape(x, in.result_type().shape);
  return in.squeeze(x, axes);
}

Lowered unsqueezed(Lowering& in) {
  TRY(Operand x, payload(in, "self"));
  TRY(const int64_t axis, in.axis("dim", in.rank_of(x) + 1));
  return in.unsqueeze(x, {axis});
}

std::vector<int64_t> identity(int rank) {
  std::vector<int64_t> perm(static_cast<size_t>(rank));
  for (int i = 0; i < rank; ++i) perm[static_cast<size_t>(i)] = i;
  return perm;
}

Lowered permuted(Lowering& in) {
  TRY(Operand x, payload(in, "self"));
  if (in.rank_of(x) == 0) return x;
  TRY(const auto perm, in.axes("dims", in.rank_of(x)));
  return in.transpose(x, perm);
}

Lowered swapped(Lowering& in, const char* a, const char* b) {
  TRY(Operand x, payload(in, "self"));
  TRY(const int64_t first, in.axis(a, in.rank_of(x)));
  TRY(const int64_t second, in.axis(b, in.rank_of(x)));
  if (in.rank_of(x) < 2) return x;
  auto perm = identity(in.rank_of(x));
  std::swap(perm[static_cast<size_t>(first)], perm[static_cast<size_t>(second)]);
  return in.transpose(x, perm);
}

Lowered swapped_dims(Lowering& in) { return swapped(in, "dim0", "dim1"); }
Lowered swapped_axes(Lowering& in) { return swapped(in, "axis0", "axis1"); }

// The last two axes change places; a vector stays.
Lowered swapped_last(Lowering& in) {
  TRY(Operand x, payload(in, "self"));
  if (in.rank_of(x) < 2) return x;
  auto perm = identity(in.rank_of(x));
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return in.transpose(x, perm);
}

Lowered reversed_axes(Lowering& in) {
  TRY(Operand x, payload(in, "self"));
  auto perm = identity(in.rank_of(x));
  std::reverse(perm.begin(), perm.end());
  return in.transpose(x, perm);
}

Lowered moved(Lowering& in) {
  TRY(Operand x, payload(in, "self"));
  const int rank = in.rank_of(x);
  if (rank < 2) return x;
  TRY(const auto from, in.axes("source", rank));
  TRY(const auto to, in.axes("destination", rank));
  if (from.size() != to.size()) return in.reject(DiagKind::UnsupportedArgument, "source and destination differ in length");
  if (const auto* list = in.arg("source").as<torch::Arg::List>(); list && list->empty()) return x;
  std::vector<int64_t> perm(static_cast<size_t>(rank), -1);
  for (size_t i = 0; i < from.size(); ++i) perm[static_cast<size_t>(to[i])] = from[i];
  int64_t next = 0;
  for (int64_t& p : perm) {
    if (p >= 0) continue;
    while (std::find(from.begin(), from.end(), next) != from.end()) ++next;
    p = next++;
  }
  return in.transpose(x, perm);
}

Lowered expanded(Lowering& in) {
  TRY(Operand x, payload(in, "self"));
  return in.expand(x, in.result_type().shape);
}

Lowered reinterpreted(Lowering& in) {
  const DType from = in.torch_type("self").dtype, to = in.result_type().dtype;
  if (from != to)
    return in.reject_argument("dtype", torch_name(to), "Core ML cannot read the bits of a tensor as another type; convert values with .to(dtype)");
  return payload(in, "self");
}

Lowered no_complex(Lowering& in) {
  return in.reject(DiagKind::UnsupportedDtype, "Core ML has no complex tensors", "carry the real and the imaginary part as two tensors");
}

// Each tensor of a list gets the shape that torch recorded for it.
Lowered reshaped_each(Lowering& in) {
  TRY(std::vector<Operand> parts, in.precise_tensors("tensors"));
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!in.result_used(i)) continue;
    TRY(parts[i], in.reshape(parts[i], in.result_type(i).shape));
  }
  return parts;
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::view(Tensor(a) self, SymInt[] size) -> Tensor(a)", .lower = reshaped,
     .edge = "aten.view_copy.default",
     .samples = "T[4,6] [2,12] -> T[2,12]; F[4,6] [-1] -> F[24]; F[n4,6] [n4,2,3] -> F[n4,2,3]; "
                "F[2,3,2,3,2] [2,3,2,3,1,2] -> F[2,3,2,3,1,2] !unsupported-rank"},
    {.schema = "aten::view.dtype(Tensor(a) self, ScalarType dtype) -> Tensor(a)", .lower = reinterpreted,
     .samples = "F[2,3] F; i32[3] f32 -> f32[3] !unsupported-argument; F[n2,m3] F"},
    {.schema = "aten::view_as(Tensor(a) self, Tensor other) -> Tensor(a)", .lower = reshaped,
     .edge = "aten.view_copy.default", .samples = "T[4,6] T[2,12] -> T[2,12]; T[n4,6] T[n4,2,3] -> T[n4,2,3]"},
    {.schema = "aten::_unsafe_view(Tensor self, SymInt[] size) -> Tensor", .lower = reshaped,
     .edge = "aten.view_copy.default", .samples = "T[4,6] [2,12] -> T[2,12]; F[n4,6] [n4,2,3] -> F[n4,2,3]"},
    {.schema = "aten::_reshape_alias(Tensor(a) self, SymInt[] size, SymInt[] stride) -> Tensor(a)", .lower = reshaped,
     .edge = "aten.view_copy.default", .samples = "T[4,6] [2,12] [12,1] -> T[2,12]"},
    {.schema = "aten::reshape(Tensor(a) self, SymInt[] shape) -> Tensor(a)", .lower = reshaped,
     .edge = "aten.view_copy.default",
     .samples = "T[4,6] [2,12] -> T[2,12]; F[4,6] [-1] -> F[24]; F[n4,6] [n4,2,3] -> F[n4,2,3]"},
    {.schema = "aten::reshape_as(Tensor(a) self, Tensor other) -> Tensor(a)", .lower = reshaped,
     .edge = "aten.view_copy.default", .samples = "T[4,6] T[2,12] -> T[2,12]; T[n4,6] T[n4,2,3] -> T[n4,2,3]"},
    {.schema = "aten::flatten.using_ints(Tensor(a) self, int start_dim=0, int end_dim=-1) -> Tensor(a)", .lower = reshaped,
     .edge = "aten.view_copy.default", .samples = "T[2,3,4] -> T[24]; F[2,3,4] 1 -> F[2,12]; F[n4,3,2] 1 -> F[n4,6]"},
    {.schema = "aten::unflatten.int(Tensor(a) self, int dim, SymInt[] sizes) -> Tensor(a)", .lower = reshaped,
     .edge = "aten.view_copy.default", .samples = "T[4,6] 1 [2,3] -> T[4,2,3]; F[n4,6] 1 [2,-1] -> F[n4,2,3]"},
    {.schema = "aten::ravel(Tensor(a) self) -> Tensor(a)", .lower = reshaped, .edge = "aten.view_copy.default",
     .samples = "T[2,3] -> T[6]; T[n2,m3] -> T[n2*m3]"},
    {.schema = "aten::atleast_1d(Tensor self) -> Tensor", .lower = reshaped,
     .samples = "F[] -> F[1]; F[2,3]; F[n2,m3]"},
    {.schema = "aten::atleast_2d(Tensor self) -> Tensor", .lower = reshaped,
     .samples = "F[] -> F[1,1]; F[3] -> F[1,3]; F[2,3]; F[n3] -> F[1,n3]"},
    {.schema = "aten::atleast_3d(Tensor self) -> Tensor", .lower = reshaped,
     .samples = "F[3] -> F[1,3,1]; F[2,3] -> F[2,3,1]; F[n3] -> F[1,n3,1]"},
    {.schema = "aten::atleast_1d.Sequence(Tensor[] tensors) -> Tensor[]", .lower = reshaped_each,
     .samples = "[F[], F[2]] -> F[1], F[2]; [F[], F[n2]] -> F[1], F[n2]"},
    {.schema = "aten::atleast_2d.Sequence(Tensor[] tensors) -> Tensor[]", .lower = reshaped_each,
     .samples = "[F[], F[2]] -> F[1,1], F[1,2]; [F[], F[n2]] -> F[1,1], F[1,n2]"},
    {.schema = "aten::atleast_3d.Sequence(Tensor[] tensors) -> Tensor[]", .lower = reshaped_each,
     .samples = "[F[2], F[2,3]] -> F[1,2,1], F[2,3,1]; [F[n2], F[m2,k3]] -> F[1,n2,1], F[m2,k3,1]"},
    {.schema = "aten::squeeze(Tensor(a) self) -> Tensor(a)", .lower = squeezed, .edge = "aten.squeeze_copy.dims",
     .samples = "T[2,1,3,1] -> T[2,3]; T[n2,1,m3,1] -> T[n2,m3]"},
    {.schema = "aten::squeeze.dim(Tensor(a) self, int dim) -> Tensor(a)", .lower = squeezed,
     .edge = "aten.squeeze_copy.dims", .samples = "T[2,1,3] 1 -> T[2,3]; F[2,3] 0; F[n4,1,3] 1 -> F[n4,3]"},
    {.schema = "aten::squeeze.dims(Tensor(a) self, int[] dim) -> Tensor(a)", .lower = squeezed,
     .edge = "aten.squeeze_copy.dims", .samples = "T[2,1,3,1] [1,3] -> T[2,3]; T[n2,1,m3,1] [1,3] -> T[n2,m3]"},
    {.schema = "aten::unsqueeze(Tensor(a) self, int dim) -> Tensor(a)", .lower = unsqueezed,
     .edge = "aten.unsqueeze_copy.default",
     .samples = "T[2,3] 1 -> T[2,1,3]; F[] 0 -> F[1]; F[n4,3] -1 -> F[n4,3,1]; "
                "F[2,3,2,3,2] 0 -> F[1,2,3,2,3,2] !unsupported-rank"},

    {.schema = "aten::permute(Tensor(a) self, int[] dims) -> Tensor(a)", .lower = permuted,
     .edge = "aten.permute_copy.default",
     .samples = "T[2,3,4] [2,0,1] -> T[4,2,3]; F[2,3,2,3,2] [4,3,2,1,0]; F[n4,3,2] [2,0,1] -> F[2,n4,3]"},
    {.schema = "aten::transpose.int(Tensor(a) self, int dim0, int dim1) -> Tensor(a)", .lower = swapped_dims,
     .edge = "aten.permute_copy.default", .samples = "T[2,3,4] 0 2 -> T[4,3,2]; F[n4,3] 0 1 -> F[3,n4]"},
    {.schema = "aten::swapdims(Tensor(a) self, int dim0, int dim1) -> Tensor(a)", .lower = swapped_dims,
     .decompose = decompositions::swapdims, .edge = "aten.permute_copy.default",
     .samples = "T[2,3,4] 0 2 -> T[4,3,2]; T[n2,m3,k4] 0 2 -> T[k4,m3,n2]"},
    {.schema = "aten::swapaxes(Tensor(a) self, int axis0, int axis1) -> Tensor(a)", .lower = swapped_axes,
     .decompose = decompositions::swapaxes, .edge = "aten.permute_copy.default",
     .samples = "T[2,3,4] 0 2 -> T[4,3,2]; T[n2,m3,k4] 0 2 -> T[k4,m3,n2]"},
    {.schema = "aten::t(Tensor(a) self) -> Tensor(a)", .lower = swapped_last, .edge = "aten.permute_copy.default",
     .samples = "T[2,3] -> T[3,2]; F[3]; T[n2,m3] -> T[m3,n2]"},
    {.schema = "aten::mT(Tensor(a) self) -> Tensor(a)", .lower = swapped_last, .decompose = decompositions::last_two,
     .edge = "aten.permute_copy.default", .samples = "T[2,3,4] -> T[2,4,3]; T[n2,m3,k4] -> T[n2,k4,m3]"},
    {.schema = "aten::mH(Tensor(a) self) -> Tensor(a)", .lower = swapped_last,
     .decompose = decompositions::last_two, .edge = "aten.permute_copy.default",
     .samples = "F[2,3,4] -> F[2,4,3]; F[n2,m3,k4] -> F[n2,k4,m3]"},
    {.schema = "aten::matrix_H(Tensor(a) self) -> Tensor(a)", .lower = swapped_last,
     .decompose = decompositions::last_two, .edge = "aten.permute_copy.default",
     .samples = "F[2,3] -> F[3,2]; F[n2,m3] -> F[m3,n2]"},
    {.schema = "aten::adjoint(Tensor(a) self) -> Tensor(a)", .lower = swapped_last,
     .decompose = decompositions::last_two, .edge = "aten.permute_copy.default",
     .samples = "F[2,3,4] -> F[2,4,3]; F[n2,m3,k4] -> F[n2,k4,m3]"},
    {.schema = "aten::numpy_T(Tensor(a) self) -> Tensor(a)", .lower = reversed_axes,
     .decompose = decompositions::reversed, .edge = "aten.permute_copy.default",
     .samples = "T[2,3,4] -> T[4,3,2]; T[n2,m3,k4] -> T[k4,m3,n2]"},
    {.schema = "aten::movedim.int(Tensor(a) self, int source, int destination) -> Tensor(a)", .lower = moved,
     .decompose = decompositions::movedim, .edge = "aten.permute_copy.default",
     .samples = "T[2,3,4] 0 2 -> T[3,4,2]; T[n2,m3,k4] 0 2 -> T[m3,k4,n2]"},
    {.schema = "aten::movedim.intlist(Tensor(a) self, int[] source, int[] destination) -> Tensor(a)", .lower = moved,
     .decompose = decompositions::movedim, .edge = "aten.permute_copy.default",
     .samples = "T[2,3,4] [0,1] [2,0] -> T[3,4,2]; T[n2,m3,k4] [0,1] [2,0] -> T[m3,k4,n2]"},
    {.schema = "aten::moveaxis.int(Tensor(a) self, int source, int destination) -> Tensor(a)", .lower = moved,
     .decompose = decompositions::movedim, .edge = "aten.permute_copy.default",
     .samples = "T[2,3,4] 0 2 -> T[3,4,2]; T[n2,m3,k4] 0 2 -> T[m3,k4,n2]"},
    {.schema = "aten::moveaxis.intlist(Tensor(a) self, int[] source, int[] destination) -> Tensor(a)", .lower = moved,
     .decompose = decompositions::movedim, .edge = "aten.permute_copy.default",
     .samples = "T[2,3,4] [0,1] [2,0] -> T[3,4,2]; T[n2,m3,k4] [0,1] [2,0] -> T[m3,k4,n2]"},

    {.schema = "aten::expand(Tensor(a) self, SymInt[] size, *, bool implicit=False) -> Tensor(a)", .lower = expanded,
     .edge = "aten.expand_copy.default",
     .samples = "T[2,1] [2,3] -> T[2,3]; F[3] [2,3] -> F[2,3]; F[2,1] [-1,3] -> F[2,3]; F[n4,1] [n4,3] -> F[n4,3]"},
    {.schema = "aten::expand_as(Tensor(a) self, Tensor other) -> Tensor(a)", .lower = expanded,
     .edge = "aten.expand_copy.default", .samples = "T[2,1] T[2,3] -> T[2,3]; T[n2,1] T[n2,m3] -> T[n2,m3]"},
    {.schema = "aten::broadcast_to(Tensor(a) self, SymInt[] size) -> Tensor(a)", .lower = expanded,
     .edge = "aten.expand_copy.default", .samples = "T[2,1] [2,3] -> T[2,3]; T[n2,1] [n2,3] -> T[n2,3]"},

    {.schema = "aten::alias(Tensor(a) self) -> Tensor(a)", .lower = same, .edge = "aten.alias_copy.default",
     .samples = "T[*]"},
    {.schema = "aten::detach(Tensor(a) self) -> Tensor(a)", .lower = same, .edge = "aten.alias_copy.default",
     .samples = "T[*]"},
    {.schema = "aten::contiguous(Tensor(a) self, *, MemoryFormat memory_format=0) -> Tensor(a)", .lower = same,
     .edge = "dim_order_ops._clone_dim_order.default", .samples = "T[*]"},
    {.schema = "aten::clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", .lower = same,
     .edge = "dim_order_ops._clone_dim_order.default", .samples = "T[*]"},
    {.schema = "aten::lift(Tensor self) -> Tensor", .same_as = "aten.alias.default", .samples = "T[*]"},
    {.schema = "aten::lift_fresh(Tensor(a) self) -> Tensor(a)", .lower = same, .samples = "T[*]"},
    {.schema = "aten::resolve_conj(Tensor(a) self) -> Tensor(a)", .lower = same, .samples = "T[*]"},
    {.schema = "aten::resolve_neg(Tensor(a) self) -> Tensor(a)", .lower = same, .samples = "T[*]"},
    {.schema = "aten::real(Tensor(a) self) -> Tensor(a)", .same_as = "aten.alias.default",
     .samples = "F[2,3]; F[n2,m3]"},
    {.schema = "aten::conj(Tensor(a) self) -> Tensor(a)", .same_as = "aten.alias.default",
     .samples = "F[2,3]; F[n2,m3]"},
    {.schema = "dim_order_ops::_clone_dim_order(Tensor self, *, bool non_blocking=False, int[]? dim_order=None) -> Tensor", .lower = same,
     .samples = "T[*]"},

    {.schema = "aten::view_as_complex(Tensor(a) self) -> Tensor(a)", .lower = no_complex,
     .samples = "f32[3,2] -> c64[3] !unsupported-dtype"},
    {.schema = "aten::view_as_real(Tensor(a) self) -> Tensor(a)", .lower = no_complex,
     .samples = "c64[3] -> f32[3,2] !unsupported-dtype"},
    {.schema = "aten::imag(Tensor(a) self) -> Tensor(a)", .lower = no_complex,
     .samples = "c64[3] -> f32[3] !unsupported-dtype"},
    {.schema = "aten::complex(Tensor real, Tensor imag) -> Tensor", .lower = no_complex,
     .samples = "f32[2] f32[2] -> c64[2] !unsupported-dtype"},
    {.schema = "aten::polar(Tensor abs, Tensor angle) -> Tensor", .lower = no_complex,
     .samples = "f32[2] f32[2] -> c64[2] !unsupported-dtype"},
};

}  // namespace

extern const std::span<const TorchOp> kViewOps;
const std::span<const TorchOp> kViewOps = kTable;

}  // namespace cortland::torch_ops
