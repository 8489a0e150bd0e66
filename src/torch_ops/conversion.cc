// Element types: casts between torch's types, as values that Core ML has.
#include "torch_ops/data_movement.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

Lowered converted(Lowering& in) {
  TRY(Operand x, payload(in, "self"));
  return convert(in, x, in.torch_type("self").dtype, in.result_type().dtype);
}

Lowered data_dependent(Lowering& in) {
  return in.reject(DiagKind::UnsupportedOp, "takes a number out of a tensor, which Core ML cannot do while it runs",
                   "keep it a tensor, or let the operator stay on the CPU");
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::to.dtype(Tensor(a) self, ScalarType dtype, bool non_blocking=False, bool copy=False, MemoryFormat? "
               "memory_format=None) -> Tensor(a)",
     .lower = converted, .edge = "dim_order_ops._to_dim_order_copy.default",
     .samples = "T[*] f32 -> f32[*]; T[*] i64 -> i64[*]; T[*] bool -> bool[*]; N[3] f16 -> f16[3]; N[3] i32 -> i32[3]"},
    {.schema = "aten::to.dtype_layout(Tensor(a) self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? "
               "pin_memory=None, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor(a)",
     .lower = converted,
     .samples = "T[2,3] dtype=f32 -> f32[2,3]; T[3] dtype=i64 -> i64[3]; T[n2,m3] dtype=f32 -> f32[n2,m3]"},
    {.schema = "aten::to.device(Tensor(a) self, Device device, ScalarType dtype, bool non_blocking=False, bool copy=False, MemoryFormat? "
               "memory_format=None) -> Tensor(a)",
     .lower = converted, .samples = "T[2,3] cpu f32 -> f32[2,3]; F[n4,3] cpu i64 -> i64[n4,3]"},
    {.schema = "aten::to.other(Tensor(a) self, Tensor other, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) "
               "-> Tensor(a)",
     .lower = converted, .samples = "T[2,3] f32[1] -> f32[2,3]; F[3] i64[] -> i64[3]; T[n2,m3] f32[1] -> f32[n2,m3]"},
    {.schema = "aten::_to_copy(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, "
               "bool non_blocking=False, MemoryFormat? memory_format=None) -> Tensor",
     .lower = converted, .edge = "dim_order_ops._to_dim_order_copy.default",
     .samples = "T[*] dtype=f32 -> f32[*]; T[*] dtype=i64 -> i64[*]; T[*] dtype=bool -> bool[*]; F[2,3]"},
    {.schema = "dim_order_ops::_to_dim_order_copy(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? "
               "pin_memory=None, bool non_blocking=False, int[]? dim_order=None) -> Tensor",
     .lower = converted, .samples = "T[2,3] dtype=f32 -> f32[2,3]; T[n2,m3] dtype=f32 -> f32[n2,m3]"},
    {.schema = "aten::type_as(Tensor self, Tensor other) -> Tensor", .lower = converted,
     .samples = "T[2,3] f32[1] -> f32[2,3]; F[3] i64[] -> i64[3]; T[n2,m3] f32[1] -> f32[n2,m3]"},
    {.schema = "aten::item(Tensor self) -> Scalar", .lower = data_dependent, .samples = "f32[] -> _ !unsupported-op"},
    {.schema = "aten::_local_scalar_dense(Tensor self) -> Scalar", .lower = data_dependent, .samples = "f32[] -> _ !unsupported-op"},
};

}  // namespace

extern const std::span<const TorchOp> kConversionOps;
const std::span<const TorchOp> kConversionOps = kTable;

}  // namespace cortland::torch_ops
