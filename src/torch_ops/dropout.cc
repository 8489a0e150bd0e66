// Dropout, which does nothing in evaluation.
#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"

namespace cortland::torch_ops {
namespace {

// dropout calls it "input", dropout_ calls it "self".
std::string_view argument(const Lowering& in) { return in.has("input") ? "input" : "self"; }

// The argument as it is, when nothing is dropped.
Result<Operand> undropped(Lowering& in) {
  TRY(const double p, in.number("p"));
  const bool train = !in.has("train") || in.boolean("train");  // native_dropout's may be None
  if (train && p != 0) return in.reject_argument("train", "True", "call module.eval() before the export");
  return in.precise_tensor(argument(in));
}

Lowered lower_dropout(Lowering& in) { return undropped(in); }

// The second result is the mask of what was kept.
Lowered lower_native_dropout(Lowering& in) {
  TRY(Operand x, undropped(in));
  if (!in.result_used(1)) return std::vector<Operand>{x};
  TRY(Operand mask, filled(in, in.shape(argument(in)), 1, DType::Bool));
  return std::vector<Operand>{x, mask};
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::alpha_dropout(Tensor input, float p, bool train) -> Tensor", .lower = lower_dropout,
     .decompose = decompositions::evaluated_dropout, .samples = "F[*] 0.5 False; F[3] 0.5 True !unsupported-argument"},
    {.schema = "aten::dropout(Tensor input, float p, bool train) -> Tensor", .lower = lower_dropout,
     .decompose = decompositions::dropout, .edge = "dim_order_ops._clone_dim_order.default",
     .samples = "F[*] 0.5 False; F[3] 0.5 True !unsupported-argument"},
    {.schema = "aten::feature_alpha_dropout(Tensor input, float p, bool train) -> Tensor", .lower = lower_dropout,
     .samples = "F[2,3,4] 0.5 False; F[2,3,4] 0.5 True !unsupported-argument; F[n2,m3,k4] 0.5 False"},
    {.schema = "aten::feature_dropout(Tensor input, float p, bool train) -> Tensor", .lower = lower_dropout,
     .decompose = decompositions::evaluated_dropout,
     .samples = "F[2,3,4] 0.5 False; F[2,3,4] 0.5 True !unsupported-argument; F[n2,m3,k4] 0.5 False"},
    {.schema = "aten::native_dropout(Tensor input, float p, bool? train) -> (Tensor, Tensor)", .lower = lower_native_dropout,
     .decompose = decompositions::native_dropout,
     .samples = "F[*] 0.5 False -> F[*], bool[*]; F[3] 0.5 True -> F[3], bool[3] !unsupported-argument"},
};

}  // namespace

extern const std::span<const TorchOp> kDropoutOps;
const std::span<const TorchOp> kDropoutOps = kTable;

}  // namespace cortland::torch_ops
