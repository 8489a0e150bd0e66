// Systems with triangular matrices and Cholesky factors, logarithms of determinants, and powers of matrices: written out for
// few rows.
#include "torch_ops/decompositions.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

constexpr TorchOp kTable[] = {
    {.schema = "aten::linalg_solve_triangular(Tensor self, Tensor B, *, bool upper, bool left=True, bool "
               "unitriangular=False) -> Tensor",
     .decompose = decompositions::solve_triangular,
     .float32 = true,
     .samples = "f32[3,3]{2,1,3,0,3,1,0,0,4} f32[3,2] upper=True -> f32[3,2]; f32[3,3]{2,0,0,1,3,0,2,1,4} f32[3,2] "
                "upper=False -> f32[3,2]; f32[3,3]{2,0,0,1,3,0,2,1,4} f32[2,3] upper=False left=False -> f32[2,3]; "
                "f32[3,3]{2,0,0,1,3,0,2,1,4} f32[3,1] upper=False unitriangular=True -> f32[3,1]"},
    {.schema = "aten::triangular_solve(Tensor self, Tensor A, bool upper=True, bool transpose=False, bool "
               "unitriangular=False) -> (Tensor solution, Tensor cloned_coefficient)",
     .decompose = decompositions::triangular_solve,
     .float32 = true,
     .samples = "f32[3,2] f32[3,3]{2,1,3,0,3,1,0,0,4} -> f32[3,2], _; f32[3,2] f32[3,3]{2,1,3,0,3,1,0,0,4} True True -> "
                "f32[3,2], f32[3,3]"},
    {.schema = "aten::cholesky_solve(Tensor self, Tensor input2, bool upper=False) -> Tensor",
     .decompose = decompositions::cholesky_solve,
     .float32 = true,
     .samples = "f32[3,2] f32[3,3]{2,0,0,1,3,0,2,1,4} -> f32[3,2]; f32[3,2] f32[3,3]{2,1,3,0,3,1,0,0,4} True -> f32[3,2]"},
    {.schema = "aten::cholesky_inverse(Tensor self, bool upper=False) -> Tensor",
     .decompose = decompositions::cholesky_inverse,
     .float32 = true,
     .samples = "f32[3,3]{2,0,0,1,3,0,2,1,4} -> f32[3,3]"},
    {.schema = "aten::linalg_matrix_power(Tensor self, int n) -> Tensor",
     .decompose = decompositions::matrix_power,
     .float32 = true,
     .samples = "f32[3,3]{4,1,0,1,5,2,0,2,6} 3 -> f32[3,3]; f32[3,3]{4,1,0,1,5,2,0,2,6} 0 -> f32[3,3]; "
                "f32[n2,1,1]{1..2} -2 -> f32[n2,1,1]"},
    {.schema = "aten::matrix_power(Tensor self, int n) -> Tensor",
     .decompose = decompositions::matrix_power,
     .float32 = true,
     .samples = "f32[3,3]{4,1,0,1,5,2,0,2,6} 3 -> f32[3,3]; f32[3,3]{4,1,0,1,5,2,0,2,6} 0 -> f32[3,3]; "
                "f32[n2,1,1]{1..2} -2 -> f32[n2,1,1]"},
    {.schema = "aten::logdet(Tensor self) -> Tensor",
     .decompose = decompositions::logdet,
     .float32 = true,
     .samples = "f32[3,3]{4,1,0,1,5,2,0,2,6} -> f32[]; f32[2,2,2]{2,1,1,3,4,1,2,3} -> f32[2]"},
    {.schema = "aten::slogdet(Tensor self) -> (Tensor sign, Tensor logabsdet)",
     .decompose = decompositions::slogdet,
     .float32 = true,
     .samples = "f32[4,4]{0,1,0,2,1,0,2,0,0,2,1,1,3,0,1,0} -> f32[], f32[]; f32[n2,1,1]{1..2} -> f32[n2], f32[n2]"},
    {.schema = "aten::linalg_slogdet(Tensor A) -> (Tensor sign, Tensor logabsdet)",
     .decompose = decompositions::slogdet,
     .float32 = true,
     .samples = "f32[4,4]{0,1,0,2,1,0,2,0,0,2,1,1,3,0,1,0} -> f32[], f32[]; f32[n2,1,1]{1..2} -> f32[n2], f32[n2]"},
    {.schema = "aten::_linalg_slogdet(Tensor A) -> (Tensor sign, Tensor logabsdet, Tensor LU, Tensor pivots)",
     .decompose = decompositions::slogdet,
     .float32 = true,
     .samples = "f32[4,4]{0,1,0,2,1,0,2,0,0,2,1,1,3,0,1,0} -> f32[], f32[], _, _"},
};

}  // namespace

extern const std::span<const TorchOp> kLinearSystemOps;
const std::span<const TorchOp> kLinearSystemOps = kTable;

}  // namespace cortland::torch_ops
