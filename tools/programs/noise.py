"""How far a program's floating-point results may be from torch's, found by running it with noise.

Each call that rounds gets its result moved by some units in the last place, at random, and a call that adds up many numbers its
operands too. What the outputs of several such runs differ by is what rounding may do to them; a whole number or a truth value that is
the same in all of them is determined, and has to be exact. Numbers of few digits count as exact: sums and products of small
multiples of 1/4 are, and a difference there is never rounding.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

# Calls that only move numbers, choose among them, or give whole numbers: they round nothing.
EXACT = set("""
abs neg floor ceil round trunc sign relu relu_ clamp clamp_min clamp_max maximum minimum fmax fmin amax amin max min aminmax sort topk median
where masked_fill masked_fill_ masked_scatter gather scatter index index_select index_put index_put_ index_copy index_fill copy copy_ fill fill_
zero_ clone cat stack flip roll repeat constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d
replication_pad3d triu tril embedding max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool2d slice_scatter select_scatter
diagonal_scatter as_strided_scatter full full_like zeros zeros_like ones ones_like new_zeros new_ones new_full arange scalar_tensor eye lift_fresh
hardtanh threshold leaky_relu cummax cummin _reshape_alias im2col upsample_nearest1d upsample_nearest2d upsample_nearest3d sgn
_upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d repeat_interleave diag_embed unfold_copy native_dropout take
""".split())
# Calls whose error is that of a sum: it grows with the operands, not with the result.
SUMS = set("""
sum mean prod var std var_mean std_mean cumsum cumprod logsumexp _logcumsumexp norm linalg_vector_norm mm bmm addmm addmv mv baddbmm addbmm dot vdot
convolution _convolution native_layer_norm native_group_norm native_batch_norm _native_batch_norm_legit_no_training _softmax _log_softmax
avg_pool1d avg_pool2d avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d _cdist_forward _scaled_dot_product_flash_attention_for_cpu
upsample_bilinear2d upsample_bicubic2d upsample_linear1d upsample_trilinear3d grid_sampler_2d grid_sampler_3d scatter_add index_add scatter_reduce
linalg_cross col2im rsub sub add addcmul addcdiv lerp remainder fmod cosine_similarity bilinear _trilinear nansum renorm
sin cos tan
""".split())
# Never exact, even where the result happens to have few digits.
APPROXIMATE = set("erfc exp exp2 log log2 log10 pow sqrt rsqrt tanh sigmoid erf gelu softplus silu elu celu selu expm1 reciprocal div atan2 hypot".split())
# Calls whose weights are rounded themselves, or that leave little of two large numbers (torch's gelu left of -3): their error is that of
# the largest operand.
COARSE = set("gelu upsample_bilinear2d upsample_bicubic2d upsample_linear1d upsample_trilinear3d grid_sampler_2d grid_sampler_3d".split())
# Calls that add or take logarithms of numbers near 1: torch's own error is a few units of 1, however small the result (of logaddexp in
# float32 up to 3e-7, of logit in float16 up to 5e-4). A layer of an LSTM is one call, whose states are sums of products of gates up to 1.
NEAR_ONE = set("logaddexp logaddexp2 logit mkldnn_rnn_layer".split())
# Calls that round on the way and then amplify it, exact as their operands may be: what is left once the mean is taken away, scores
# before the exponential, what is cut off at 0.
INSIDE = set("""native_layer_norm native_group_norm native_batch_norm _native_batch_norm_legit_no_training _native_batch_norm_legit var std var_mean
std_mean cosine_similarity _scaled_dot_product_flash_attention_for_cpu hardsigmoid hardswish hardsigmoid_ hardswish_
mkldnn_rnn_layer lgamma digamma polygamma mvlgamma i0 cholesky_solve cholesky_inverse triangular_solve _fft_r2c _fft_c2c _fft_c2r""".split())
INSIDE_FAMILIES = ("special_", "linalg_", "_linalg_")
# Calls that leave the order of equal numbers open: noise on all of them shows what that decides.
ORDER = set("topk kthvalue median sort msort argsort".split())
# Calls that see the sign of a zero, which no other call tells apart.
SIGN_OF_ZERO = set("atan2 copysign signbit div reciprocal".split())
UNITS = 4.0


class Noise(TorchDispatchMode):
    """`half` stands for a run whose every result is kept in float16."""

    def __init__(self, seed, half):
        super().__init__()
        self.random = torch.Generator().manual_seed(seed)
        self.half = half
        self.largest = 0.0  # of all numbers on the way

    def digits(self, dtype):
        return 8 if dtype == torch.bfloat16 else 11 if self.half or dtype == torch.float16 else 24

    def rounds(self, t, approximate):
        """Which numbers have so many digits that rounding may have touched them."""
        if approximate:
            return torch.ones_like(t, dtype=torch.bool)
        kept = 0.6 if self.digits(t.dtype) == 24 else 0.9
        bits = 24 - int(kept * self.digits(t.dtype))
        return (t.float().contiguous().view(torch.int32) & ((1 << bits) - 1)) != 0

    def move(self, t, approximate=False, of_all=0.0):
        if isinstance(t, torch.Tensor) and t.is_complex():
            return torch.view_as_complex(self.move(torch.view_as_real(t.resolve_conj()), approximate, of_all))
        if not isinstance(t, torch.Tensor) or not t.is_floating_point() or t.dtype == torch.float64:
            return t
        approximate = approximate or t.dtype == torch.bfloat16  # of so few digits none says that it is exact
        unit = 2.0 ** -self.digits(t.dtype)
        noise = (torch.rand(t.shape, generator=self.random) * 2 - 1) * UNITS
        moved = t.float() + (t.float().abs() + of_all) * noise * unit
        if self.digits(t.dtype) == 11:
            moved = moved + noise * 2.0**-26  # numbers below the least normal one, which may become 0
            moved = torch.where(moved.abs() < 60000, moved.half().float(), moved)
        return torch.where(self.rounds(t, approximate) & t.isfinite(), moved, t.float()).to(t.dtype)

    def any_zero(self, t):
        if not isinstance(t, torch.Tensor) or not t.is_floating_point():
            return t
        return torch.where((t == 0) & (torch.rand(t.shape, generator=self.random) < 0.5), -t, t)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.split("::")[1]
        base = name.rstrip("_") if name not in EXACT else name
        inside = base in INSIDE or base.startswith(INSIDE_FAMILIES)
        if (base in SUMS or inside) and not func._schema.is_mutable:
            args, kwargs = tree_map(lambda t: self.move(t, inside), (args, kwargs or {}))
        if base in ORDER and not (kwargs or {}).get("stable"):
            args, kwargs = tree_map(lambda t: self.move(t, True), (args, kwargs or {}))
        if base in SIGN_OF_ZERO and not func._schema.is_mutable:
            args = tree_map(self.any_zero, args)
        result = func(*args, **(kwargs or {}))
        if func.is_view or base in EXACT:
            return result
        approximate = base in APPROXIMATE

        of_all = 1.0 if base in NEAR_ONE else 0.0
        if base in COARSE:
            of_all = max((float(a.abs().max()) for a in args if isinstance(a, torch.Tensor) and a.numel()), default=0.0)
        if base.startswith("upsample_"):  # the weights come from positions, which are rounded like the largest of them
            of_all *= max(1.0, max(args[0].shape[2:], default=1) / 2)

        def noisy(t):
            if not isinstance(t, torch.Tensor) or not (t.is_floating_point() or t.is_complex()) or t.numel() == 0:
                return t
            finite = t[t.isfinite()]
            self.largest = max(self.largest, float(finite.abs().max()) if finite.numel() else 0.0)
            if func._schema.is_mutable:
                return t.copy_(self.move(t, approximate))
            return self.move(t, approximate, of_all)

        return tree_map(noisy, result)


def noisy_runs(program, inputs, weights, half, seeds):
    """The outputs of one run for each seed, and the largest number of all."""
    runs, largest = [], 0.0
    for seed in seeds:
        noise = Noise(seed, half)
        moved = [noise.move(t) if half else t for t in inputs]
        moved_weights = {k: noise.move(t) if half else t for k, t in weights.items()}
        with noise:
            runs.append(program.run(moved, moved_weights))
        largest = max(largest, noise.largest)
    return runs, largest
