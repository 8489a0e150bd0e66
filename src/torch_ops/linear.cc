// Matrix products: linear, matmul, mm, bmm, addmm, baddbmm, mv, dot.
#include "mil_ops/ops.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

constexpr TorchOp kTable[] = {
    {.schema = "aten::linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor",
     .lower = [](Lowering& in) -> Lowered {
       TRY(Operand x, in.tensor("input"));
       TRY(Operand weight, in.tensor("weight"));
       Operand bias;
       if (in.has("bias")) {
         TRY(bias, in.tensor("bias"));
       }
       // MIL's linear wants constant weights and rank 1 to 3; matmul takes the rest.
       if (weight.is_const() && (!bias || bias.is_const()) && in.rank("weight") == 2 && in.rank("input") <= 3 && in.rank("input") >= 1)
         return in.op(mil_ops::linear, {{"x", x}, {"weight", weight}, {"bias", bias}});
       TRY(Operand y, in.op(mil_ops::matmul, {{"x", x}, {"y", weight}, {"transpose_x", false}, {"transpose_y", true}}));
       if (!bias) return y;
       return in.op(mil_ops::add, {{"x", y}, {"y", bias}});
     }},
};

}  // namespace

extern const std::span<const TorchOp> kLinearOps;
const std::span<const TorchOp> kLinearOps = kTable;

}  // namespace cortland::torch_ops
