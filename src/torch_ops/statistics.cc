// Quantiles, numerical integrals, and products and powers of lists of numbers: all are taken apart.
#include "torch_ops/decompositions.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

constexpr TorchOp kTable[] = {
    {.schema =
         "aten::quantile(Tensor self, Tensor q, int? dim=None, bool keepdim=False, *, str interpolation='linear') -> Tensor",
     .decompose = decompositions::quantile,
     .samples = "f32[4,5] f32[2]{0.2,0.7} 1 -> f32[2,4]; f32[4,5] f32[]{0.3} -> f32[]; f32[n4,5] f32[2]{0,1} 1 True -> "
                "f32[2,n4,1]; f32[2,3] f32[2]{0.5,0.9} keepdim=True -> f32[2,1,1]"},
    {.schema = "aten::quantile.scalar(Tensor self, float q, int? dim=None, bool keepdim=False, *, str "
               "interpolation='linear') -> Tensor",
     .decompose = decompositions::quantile,
     .samples = "f32[4,5] 0.3 -> f32[]; f32[4,5] 0.3 0 -> f32[5]; f32[4,5] 0.4 1 True -> f32[4,1]; f32[6] 0.3 0 "
                "interpolation='lower' -> f32[]; f32[6] 0.3 0 interpolation='higher' -> f32[]; f32[6] 0.3 0 "
                "interpolation='nearest' -> f32[]; f32[6] 0.3 0 interpolation='midpoint' -> f32[]; f32[n4,5] 0.3 0 -> "
                "f32[5] !unsupported-op"},
    {.schema = "aten::trapezoid.dx(Tensor y, *, Scalar dx=1, int dim=-1) -> Tensor",
     .decompose = decompositions::trapezoid,
     .samples = "F[2,5] -> F[2]; F[n4,5] dx=0.5 -> F[n4]; F[4,3] dim=0 -> F[3]"},
    {.schema = "aten::trapezoid.x(Tensor y, Tensor x, *, int dim=-1) -> Tensor",
     .decompose = decompositions::trapezoid,
     .samples = "F[2,5] F[5] -> F[2]; F[4,3] F[4] dim=0 -> F[3]; F[4,3] F[4,3] dim=0 -> F[3]; "
                "F[n2,5] F[5] -> F[n2]"},
    {.schema = "aten::cumulative_trapezoid.dx(Tensor y, *, Scalar dx=1, int dim=-1) -> Tensor",
     .decompose = decompositions::cumulative_trapezoid,
     .samples = "F[2,5] -> F[2,4]; F[n4,5] dx=0.5 -> F[n4,4]"},
    {.schema = "aten::cumulative_trapezoid.x(Tensor y, Tensor x, *, int dim=-1) -> Tensor",
     .decompose = decompositions::cumulative_trapezoid,
     .samples = "F[2,5] F[5] -> F[2,4]; F[n2,5] F[5] -> F[n2,4]"},
    {.schema = "aten::renorm(Tensor self, Scalar p, int dim, Scalar maxnorm) -> Tensor",
     .decompose = decompositions::renorm,
     .samples = "F[4,5] 2 0 1.5; F[n4,5] 1 0 2"},
    {.schema = "aten::cartesian_prod(Tensor[] tensors) -> Tensor",
     .decompose = decompositions::cartesian_prod,
     .samples = "[F[2], F[3], F[2]] -> F[12,3]; [I[n4], I[3]] -> I[3*n4,2]; [F[3]] -> F[3]"},
    {.schema = "aten::vander(Tensor x, int? N=None, bool increasing=False) -> Tensor",
     .decompose = decompositions::vander,
     .samples = "F[4] -> F[4,4]; F[4] 3 -> F[4,3]; I[4] 3 True -> i64[4,3]"},
    {.schema = "aten::linalg_vander(Tensor x, *, int? N=None) -> Tensor",
     .decompose = decompositions::linalg_vander,
     .samples = "f32[2,3] -> f32[2,3,3]; f32[n4,3] N=4 -> f32[n4,3,4]"},
};

}  // namespace

extern const std::span<const TorchOp> kStatisticsOps;
const std::span<const TorchOp> kStatisticsOps = kTable;

}  // namespace cortland::torch_ops
