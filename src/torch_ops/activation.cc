// Activation functions.
#include "mil_ops/ops.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

constexpr TorchOp kTable[] = {
    {.schema = "aten::gelu(Tensor self, *, str approximate='none') -> Tensor",
     .lower = [](Lowering& in) -> Lowered {
       const std::string mode = in.str("approximate");
       if (mode != "none" && mode != "tanh") return in.reject_argument("approximate", mode, "use 'none' or 'tanh'");
       TRY(Operand x, in.tensor("self"));
       return in.op(mil_ops::gelu, {{"x", x}, {"mode", mode == "tanh" ? "TANH_APPROXIMATION" : "EXACT"}});
     }},
    {.schema = "aten::relu(Tensor self) -> Tensor",
     .lower = [](Lowering& in) -> Lowered {
       TRY(Operand x, in.tensor("self"));
       return in.op(mil_ops::relu, {{"x", x}});
     }},
};

}  // namespace

extern const std::span<const TorchOp> kActivationOps;
const std::span<const TorchOp> kActivationOps = kTable;

}  // namespace cortland::torch_ops
