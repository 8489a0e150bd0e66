"""What tools/random_programs.py found, made small: each was refused, failed or differed from torch once."""

import random
import sys

import pytest

import conftest

sys.path.insert(0, str(conftest.ROOT / "tools" / "programs"))
import judge
from program import Program

FOUND = {
    "a number's remainder": """
        x0: float32[1, 3] 1..4 by 0.5
        x1: int64[4] 1..9
        x2 = 3 % x0
        x3 = -7 % x1
        return x2, x3""",
    "as_strided of what lies inside a larger tensor": """
        x0: float32[6] -4..4 by 1
        x1 = x0.narrow(0, 2, 1)
        x2 = x1.as_strided([2, 2], [2, 2], 1)
        x3 = x2 + 1
        return x3""",
    "a norm of float16 without an epsilon": """
        x0: float16[1, 5, 1] -4..4 by 0.25
        x1: float16[1] -4..4 by 1
        x2 = F.rms_norm(x0, [1], x1, None)
        return x2""",
    "the least place of a constant": """
        w0: float32[1, 1] -4..4 by 1
        x0: float32[2] -4..4 by 1
        x1 = torch.count_nonzero(w0, [1])
        x2 = torch.min(torch.min(x1, 0, True)[1], 0, True)[1]
        x3 = x0 + x2
        return x2, x3""",
    "windows of bools": """
        x0: bool[3, 2]
        x1 = x0.unfold(0, 1, 2)
        return x1""",
    "an output without elements": """
        w0: float32[1, 1, 1] -4..4 by 1
        x0: float32[2] -4..4 by 1
        x1 = F.adaptive_max_pool1d(w0, [1])
        x2 = torch.tensor_split(x1, [1, 2], 2)[1]
        x3 = x0 * 2
        return x1, x2, x3""",
    "the place of a single number's median": """
        x0: float32[] -4..4 by 1
        x1 = torch.median(x0, -1)[1]
        return x1""",
    "a running minimum of bools": """
        x0: bool[2, 5]
        x1 = torch.cummin(x0, 1)[0]
        return x1""",
    "a new shape in place": """
        x0: float32[2, 1] -2..2 by 1
        x1 = x0 + 1
        x1.squeeze_()
        x1.add_(2)
        return x1""",
    "a transpose in place behind another view": """
        x0: float32[2, 3] -2..2 by 1
        x1 = x0 + 1
        x2 = x1[0]
        x1.t_()
        x1[0] = 5
        x2.unsqueeze_(0)
        return x1, x2""",
    "rare views of memory that is written": """
        x0: float32[2, 3] -2..2 by 1
        x1 = x0 + 1
        x2 = x1.unfold(1, 2, 1)
        x3 = x1.movedim(0, 1)
        x4 = x1.swapdims(0, 1)
        x5 = x1.ravel()
        x6 = x1.broadcast_to(2, 2, 3)
        x1.add_(5)
        x4.mul_(2)
        x5.sub_(3)
        return x1, x2, x3, x4, x5, x6""",
    "scans along a dynamic size": """
        x0: float32[2, 3*] -2..2 by 0.5
        x1 = x0.cumprod(1)
        x2 = torch.cummax(x0, 1)[0]
        return x1, x2""",
    "stable order in a dynamic number of rows": """
        x0: float32[1, 2*, 5] -2..2 by 1
        x1 = torch.sort(x0, dim=-1, stable=True, descending=True)[1]
        return x1""",
    "the angle of a constant and an input": """
        w0: float32[1] -4..4 by 1
        x1: float32[1] -6..4 by 1
        x2: float32[2, 3] -4..4 by 1
        w3: float32[3] -4..4 by 1
        x4 = torch.atan2(x1, w0)
        x5 = torch.atan2(x2, w3)
        x6 = torch.atan2(w3, x2)
        x7 = torch.copysign(w3, x2)
        return x4, x5, x6, x7""",
    "an index that covers part of its source": """
        x0: float32[1, 1, 1, 3] -4..4 by 1
        x1: int64[1, 1, 1, 2*] 0..7
        x2: float32[1, 8, 1, 3] -4..4 by 1
        x3 = torch.scatter_reduce(x2, 1, x1, x0, reduce='mean', include_self=False)
        return x3""",
    "a write through a view with several dynamic sizes": """
        x0: float32[1, 2, 4*, 2*] -4..4
        x1 = F.pixel_unshuffle(x0, 2)
        x1.view(-1)[::2] = -1.5
        return x1""",
    "the tail of erfc": """
        x0: float32[40] -4..4
        x1 = torch.erfc(x0)
        return x1""",
    "running sums of exponentials far apart": """
        x0: float32[3, 5*] -80..90 by 1
        x1 = torch.logcumsumexp(x0, 1)
        return x1""",
    "powers of bools": """
        x0: bool[3, 2]
        x1 = x0 ** 1
        x2 = x0 ** 2
        x3 = x0 ** 3
        return x1, x2, x3""",
    "joined tensors without elements": """
        x0: int64[1, 0, 1]
        x1: float32[2] -2..2 by 1
        x2 = torch.cat([x0, x0], 2)
        return x2, x1""",
    "a number of another width than the tensor": """
        x0: uint8[5] 1..9
        x1: int32[] -7..-3
        x2 = torch.fmod(x0, x1)
        x3 = x0 > x1
        x4 = x0 == -250
        x5 = torch.maximum(x0, x1)
        return x2, x3, x4, x5""",
    "small integers that wrap around": """
        x0: uint8[5] 1..9
        x1: int8[5] -128..127
        x2 = x0 * 100
        x3 = -x0
        x4 = ~x0
        x5 = x0 << 5
        x6 = x1.square()
        x7 = torch.diff(x0)
        x8 = x1 + x1
        x9 = x0 ** 3
        return x2, x3, x4, x5, x6, x7, x8, x9""",
    "logarithms and exponentials of small numbers": """
        x0: float32[40] -0.01..0.01
        x1: float32[40] -30..-3
        x2 = torch.asinh(x0)
        x3 = torch.acosh(x0.abs() + 1)
        x4 = torch.log1p(x0)
        x5 = torch.expm1(x0)
        x6 = torch.logaddexp(x0, x1)
        x7 = torch.logaddexp2(x0, x1)
        return x2, x3, x4, x5, x6, x7""",
    "elements of a dynamic axis": """
        x0: float32[2, 5*, 3] -4..4
        x1 = x0.select(1, -3)
        x2 = x0.select(1, x0.shape[1] // 2)
        x3 = x0.select(1, 1)
        x4 = x0[:, -1]
        return x1, x2, x3, x4""",
    "medians of a dynamic number of elements": """
        x0: float32[2, 5*, 3] -4..4 by 0.25 distinct
        x1 = x0.median(1)[0]
        x2 = torch.median(x0, 1, True)[1]
        x3 = torch.kthvalue(x0, 2, 1)[0]
        return x1, x2, x3""",
    "matrices of a dynamic diagonal": """
        x0: float32[2, 5*] -4..4
        x1 = x0.diag_embed(1)
        x2 = x0.diag_embed(-1, 0, 2)
        x3 = torch.diagflat(x0[0])
        return x1, x2, x3""",
    "truth values stored as numbers": """
        x0: float32[4] -1..1 by 1
        x1 = x0.clone()
        x1.logical_not_()
        x2 = x0.clone()
        x2[1:].eq_(1)
        return x1, x2""",
    "a write through an expansion that expands nothing": """
        x0: float32[2, 3] -4..4 by 1
        x1 = x0 * 2
        x1.expand_as(x1).add_(1)
        return x1""",
    # coremltools' loader counts the end of a slice from the front in the constant itself, which a sum's axes shared.
    "a slice's end that is an axis elsewhere": """
        x0: bool[5]
        x1: float32[3] -4..4 by 1
        x2: float32[5] -4..4 by 1
        x3 = torch.diff(x0)
        x4 = torch.searchsorted(torch.sort(x2)[0], x1)
        return x3, x4""",
    "the only part of an axis, written": """
        x0: float32[1, 2] -4..4 by 1
        x1 = x0 + 1
        x1.unbind(0)[-1].fill_(1)
        return x1""",
    "a write where a constant mask is set": """
        x0: float32[2, 3] -4..4 by 1
        w1: bool[2, 3]
        x2 = x0 + 1
        x2[w1] *= 2
        return x2""",
    "parts that nobody reads": """
        x0: float32[5] -4..4 by 1
        x1: float32[] -4..4 by 1
        x2 = torch.broadcast_tensors(x0, x1)[1]
        x3 = x2 * 2
        return x3""",
    "a convolution without results": """
        x0: float32[2, 2, 1, 2] -4..4 by 1
        w1: float32[2, 1, 3, 1] -4..4 by 1
        x2 = F.conv_transpose2d(x0, w1, None, 1, 1, 0, 1, 1)
        return x2""",
    "masks that keep nothing": """
        x0: float32[2, 3] -4..4 by 1
        x1: int64[4] -5..9
        x2 = x0.clone()
        x2[x0 > 5] *= 2
        x3 = (x0[x0 > 5] + 1).sum()
        x4 = x1[x1 > 0] * 2
        x5 = torch.where(x0 > 5)[1] + 1
        return x2, x3, x4, x5""",
    "masks of bounded sizes": """
        x0: bool[7*, 4]
        x1: float32[7*, 4, 2] -4..4 by 1
        x2 = x1.clone()
        x2[x0] *= 2
        x3 = x0.nonzero().sum()
        return x2, x3""",
    "diagonals of dynamic sizes": """
        x0: float32[3*, 4*] -4..4 by 1
        x1: float32[2, 3*, 3*] -4..4 by 1
        x2 = x0.clone()
        x2.diagonal().add_(1)
        x3 = x1.clone()
        x3.diagonal(0, 2, 1).copy_(x1[:, 0])
        return x2, x3""",
    "an axis that grows by less than one element": """
        x0: float32[1, 1, 1, 2] -4..4 by 1
        x1: float32[1, 2, 3*, 4*] -4..4 by 1
        x2 = F.interpolate(x0, scale_factor=(3, 1.3), mode='bilinear')
        x3 = F.interpolate(x0, scale_factor=(2, 1.3), mode='nearest')
        x4 = F.interpolate(x1, scale_factor=1.25, mode='bilinear')
        x5 = F.interpolate(x1, scale_factor=1.25, mode='nearest')
        return x2, x3, x4, x5""",
    "a branch that is known": """
        w0: float32[2] -4..4 by 1
        x1: float32[1] -4..4 by 1
        x2 = cond(w0.amax() < 9, lambda a, b: a + b, lambda a, b: a.sin() + 1, (w0, x1))
        x3 = cond(w0.amax() > 9, lambda a, b: a + b, lambda a, b: b.expand(2) * 2, (w0, x1))
        return x2, x3""",
    "places of running extremes": """
        x0: float32[3, 5] -2..2 by 1
        x1: int64[4*, 2] -1..1
        x2: float32[] -4..4
        x3, x4 = torch.cummax(x0, 1)[1], torch.cummin(x0, 0)[1]
        x5, x6 = torch.cummax(x1, 0)[1], torch.cummin(x2, 0)[1]
        return x3, x4, x5, x6""",
    "short transforms of float16 under a window of float32": """
        x0: float16[1, 16] -4..4 by 1
        x1 = torch.view_as_real(torch.stft(x0, 8, 4, window=torch.hann_window(8), return_complex=True))
        x2 = torch.view_as_real(torch.complex(x0.float(), x0.float()).mT)
        return x1, x2""",
    "cubes of a large position": """
        x0: float32[1, 1, 2, 5] -4..4 by 1
        x1 = F.interpolate(x0, scale_factor=2, mode='bicubic', align_corners=True)
        return x1""",
    "a layer of an LSTM near 0": """
        w10: float32[8, 2] -1..1 by 0.25
        w11: float32[8, 2] -1..1 by 0.25
        w12: float32[8] -1..1 by 0.25
        w13: float32[8] -1..1 by 0.25
        w14: float32[8, 2] -1..1 by 0.25
        w15: float32[8, 2] -1..1 by 0.25
        w16: float32[8] -1..1 by 0.25
        w17: float32[8] -1..1 by 0.25
        x18: float32[1, 1, 2] -4..4 by 0.25
        x19: float32[2, 1, 2] -4..4 by 0.25
        x20: float32[2, 1, 2] -4..4 by 0.25
        x21 = torch.lstm(x18, [x19, x20], [w10, w11, w12, w13, w14, w15, w16, w17], True, 2, 0.0, False, False, False)[0]
        return x21""",
}


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
@pytest.mark.parametrize("name", FOUND)
def test_a_found_program_agrees(name, target, folder):
    found, _ = judge.check([Program.parse(FOUND[name])], target, "float32", folder, random.Random(1), load=True)
    assert found == [None]


# Six dimensions only on the way.
WINDOWS = """
    x0: float32[1, 2, 6, 6] -2..2 by 1
    x1 = x0.unfold(2, 4, 2).unfold(3, 4, 2)
    x2 = x1.reshape(2, 4, 16).permute(0, 2, 1)
    return x2"""


def test_windows_of_an_image_are_delegated(folder):
    found, report = judge.check([Program.parse(WINDOWS)], "iOS17", "float32", folder, random.Random(1))
    assert found == [None] and not report["cpu_ops"]


# Operators beside those of Core ML, on CPU kernels alone.
ON_CPU = {
    "cross": """
        x0: float32[4, 3] -4..4
        x1: float32[4, 3] -4..4
        x2: float32[3, 2] -4..4
        x3 = torch.linalg.cross(x0, x1)
        x4 = torch.cross(x2, x2.flip(1), dim=0)
        return x3, x4""",
    "a part along an axis that is counted from the end": """
        x0: int64[1, 3, 2] -5..9
        x1 = x0.narrow(-2, 1, 2)
        return x1""",
    "along the axis of one number": """
        x0: int8[] -5..9
        x1: float32[] -4..4
        x2 = x0.cumsum(0)
        x3 = x1.cumsum(-1)
        x4 = x1.sum(-1, keepdim=True)
        x5 = x1.unfold(0, 1, 1)
        return x2, x3, x4, x5""",
    "parts of dynamic sizes": """
        x0: float32[2, 3*, 2] -4..4
        x1 = torch.stack(x0.unbind(0)[::-1])
        x2 = x0.unbind(-1)[1] * 2
        return x1, x2""",
    "products over no elements": """
        x0: float32[3, 0] -4..4
        x1: float32[0, 2] -4..4
        x2, x3, x4 = x0 @ x1, x0[None] @ x1, F.linear(x0, x1.T)
        x5 = x0 @ x1[:, 0]
        x6 = F.linear(x0, x1.T, torch.tensor([1.0, 2.0]))
        return x2, x3, x4, x5, x6""",
    "padding that leaves nothing": """
        x0: float32[2*, 1, 1] -4..4 by 1
        x1 = F.pad(x0, [0, 2, -1, 0, 0, 1], value=2)
        x2 = x0 + 1
        return x1, x2""",
    "the trace of a dynamic size": """
        x0: float32[2*, 3*] -4..4 by 1
        x1 = torch.trace(x0)
        return x1""",
    "erfc": """
        x0: float32[40] -4..4
        x1 = torch.erfc(x0)
        return x1""",
    "losses that torch keeps whole": """
        x0: float32[3, 4] -2..2 by 0.25
        x1: float32[3, 4] -2..2 by 0.25
        x2: float32[3, 4] -2..2 by 0.25
        x3 = F.cosine_embedding_loss(x0, x1, torch.tensor([1, -1, 1]), 0.1, reduction='none')
        x4 = F.triplet_margin_loss(x0, x1, x2, reduction='none', swap=True)
        x5 = F.poisson_nll_loss(x0, x1.abs(), full=True, reduction='sum')
        x6 = F.hinge_embedding_loss(x0, x1.sign())
        return x3, x4, x5, x6""",
    "powers of matrices": """
        x0: float32[3, 3] -2..2 by 0.25
        x1 = torch.matrix_power(x0, 5)
        x2 = torch.linalg.matrix_power(torch.stack([x0, x0]), 2)
        return x1, x2""",
    "a matrix of a diagonal": """
        x0: float32[2, 3] -4..4
        x1 = torch.diag_embed(x0, -1)
        x2 = torch.diagflat(x0, 2)
        x3 = torch.diag(x0[0], 1)
        return x1, x2, x3""",
    "special functions": """
        x0: float32[6] -0.9..0.9
        x1 = torch.special.erf(x0) + torch.special.erfc(x0) + torch.special.expm1(x0) + torch.special.exp2(x0)
        x2 = torch.special.log1p(x0) * torch.special.sinc(x0)
        x3 = torch.special.entr(x0)
        return x1, x2, x3""",
    "spellings": """
        x0: float32[6] -0.9..0.9
        x1: int64[6] 0..9
        x2 = torch.arcsin(x0) + torch.arctan(x0) + torch.arcsinh(x0)
        x3 = torch.greater_equal(x0, 0.5) | torch.less_equal(x0, -0.5)
        x4 = torch.isposinf(1 / x1) | torch.isneginf(x0)
        x5 = torch.divide(x1, 2, rounding_mode='floor') + torch.multiply(x1, 3) - torch.bitwise_left_shift(1, x1)
        x6 = torch.isin(x1, 3) | torch.not_equal(x1, 4)
        x7 = torch.copysign(x0, -1.0) + torch.xlogy(2, x0.abs() + 1) + torch.xlogy(x0, 2)
        x8 = torch.bitwise_and(5, x1)
        return x2, x3, x4, x5, x6, x7, x8""",
}


@pytest.mark.parametrize("skip", [[], ["--skip-ops", "*"]], ids=["core_ml", "cpu"])
@pytest.mark.parametrize("name", ON_CPU)
def test_an_operator_runs_on_either_side(name, skip, folder):
    found, report = judge.check([Program.parse(ON_CPU[name])], "iOS18", "float32", folder, random.Random(1), options=skip)
    assert found == [None]
    assert report["cpu_ops"] or not skip
