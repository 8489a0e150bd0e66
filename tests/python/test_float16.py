"""Numbers at the edge of float16: no infinity and no NaN where torch has none, and the values that torch has."""

import math
import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from conftest import check_outputs, cortland, lower_and_run

LOWEST = torch.finfo(torch.float32).min


class Case(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def attention(q, k, v, bias):
    return ((q @ k.transpose(-1, -2)) / math.sqrt(q.shape[-1]) + bias).softmax(-1) @ v


def masked(value, twice=False):
    """Scores with a mask of this value over the last keys, or with two such masks that are added."""
    bias = torch.zeros(1, 1, 6, 6)
    bias[..., 4:] = value
    if twice:
        bias = bias + bias.clamp(min=-3e38) / 2
    return lambda q, k, v: attention(q, k, v, bias)


torch.manual_seed(0)


def heads():
    return tuple(torch.randn(1, 2, 6, 16) for _ in range(3))


def far_apart():
    """Scores of 90000 where query and key are the same, else 0."""
    place = 300 * torch.eye(6, 16).expand(1, 2, 6, 16).contiguous()
    return place, place.clone(), torch.randn(1, 2, 6, 16)


def causal_by_where(x):
    keep = torch.tril(torch.ones(8, 8, dtype=torch.bool))
    return torch.where(keep, x @ x.transpose(-1, -2), LOWEST).softmax(-1)


def padding_mask(x, mask):
    """As transformers write it: 1 - mask times the lowest number, added to the scores."""
    return (x + (1.0 - mask[:, None, :].to(x.dtype)) * LOWEST).softmax(-1)


def rms_norm(x):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


def layer_norm_by_hand(x):
    d = x - x.mean(-1, keepdim=True)
    return d / torch.sqrt((d * d).mean(-1, keepdim=True) + 1e-12)


def gelu_by_hand(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def big():
    return (300 * torch.randn(4, 64),)


CASES = {
    "mask of -1e9": (masked(-1e9), heads()),
    "mask of the lowest number": (masked(LOWEST), heads()),
    "mask of -inf": (masked(-math.inf), heads()),
    "two masks": (masked(-1e38, twice=True), heads()),
    "where with the lowest number": (causal_by_where, (torch.randn(2, 8, 16),)),
    "padding mask": (padding_mask, (torch.randn(2, 4, 8), torch.tensor([[1] * 8, [1] * 5 + [0] * 3]))),
    "scores beyond 65504 before they are scaled": (masked(0.0), far_apart()),
    "layer norm with an epsilon of 1e-12": (lambda x: F.layer_norm(x, (64,), eps=1e-12), (torch.randn(4, 64),)),
    "layer norm of equal numbers": (lambda x: F.layer_norm(x, (64,), eps=1e-12), (torch.full((4, 64), 3.0),)),
    "layer norm by hand": (layer_norm_by_hand, big()),
    "rms norm": (lambda x: F.rms_norm(x, (64,), eps=1e-6), big()),
    "rms norm by hand": (rms_norm, big()),
    "rms norm by hand of small numbers": (rms_norm, (0.01 * torch.randn(4, 64),)),
    "normalize": (lambda x: F.normalize(x, dim=-1), big()),
    "length by hand": (lambda x: x / x.pow(2).sum(-1, keepdim=True).sqrt(), big()),
    "standard deviation": (lambda x: x.std(-1), big()),
    "sum over count": (lambda x: x.sum(-1) / 2048, (100 + torch.randn(4, 2048),)),
    "softmax by hand": (lambda x: x.exp() / x.exp().sum(-1, keepdim=True), (8 * torch.randn(4, 64),)),
    "gelu by hand": (gelu_by_hand, big()),
    "a constant beyond the range": (lambda x: torch.clamp(x, -1e6, 1e6) * 1e-6 * 1e6, (torch.randn(4, 8),)),
    "there and back": (lambda x: (x * 1e5).softmax(-1) + (x * 1e5) / 1e5, (torch.randn(4, 8),)),
    "log_softmax far from the largest": (lambda x: F.log_softmax(x, -1), (torch.tensor([[0.0, 40.0, -60.0]]),)),
    "logsumexp": (lambda x: torch.logsumexp(x, -1), (500 + torch.randn(4, 64),)),
    "softplus": (F.softplus, (torch.linspace(-100, 100, 64),)),
}


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
@pytest.mark.parametrize("name", CASES)
def test_stays_finite(name, target, folder):
    torch.manual_seed(1)
    function, inputs = CASES[name]
    net = Case(function).eval()
    with torch.no_grad():
        want = net(*inputs)
        program = torch.export.export(net, inputs)
    assert torch.isfinite(want).all(), "torch itself leaves the numbers"
    outputs, _ = lower_and_run(program, inputs, folder, "float16", target)
    check_outputs(outputs, [want], "float16")


@pytest.mark.parametrize("named", ["the node", "aten.softmax.int", "aten._softmax.default", "ATEN.Softmax.int"])
def test_single_nodes_in_float32(named, folder):
    """Operators are named, as exported or in the edge dialect, or single nodes by the names that the report and the listing have."""
    x = 600 * torch.ones(2, 4) + torch.randn(2, 4)
    net = nn.Sequential(nn.Linear(4, 4), nn.Softmax(-1)).eval()
    with torch.no_grad():
        program = torch.export.export(net, (x,))
    if named == "the node":
        named = next(n.name for n in program.graph.nodes if "softmax" in str(n.target))
    outputs, _ = lower_and_run(program, (x,), folder, "float16", options=["--float32-ops", named])
    check_outputs(outputs, [net(x).detach()], "float16")
    assert re.search(r"tensor<fp32, .*= softmax\(", listing(folder))


def listing(folder):
    return cortland("inspect", folder / "model.pte", "--mil").stdout


def test_a_float32_operator_reads_its_input_unrounded(folder):
    """What comes from outside is rounded to float16 where it is read in float16, but not on its way to a float32 operator."""
    net = Case(lambda x: (x / 1e6).softmax(-1)).eval()
    x = torch.tensor([[1e6, 2e6, -3e6]])
    program = torch.export.export(net, (x,))
    outputs, report = lower_and_run(program, (x,), folder, options=["--float32-ops", "aten.div.Tensor,aten.frobnicate.default"])
    check_outputs(outputs, [net(x)], "float16")
    assert any("aten.frobnicate.default" in w for w in report["warnings"]) and not any("aten.div" in w for w in report["warnings"])


def test_counts_of_a_float32_operator_stay_float32(folder):
    """More than float16 holds, beside the same count that may be float16."""
    class Counts(nn.Module):
        def forward(self, x, mask):
            return x * (1 / mask.float().sum(-1, keepdim=True).clamp(min=1e-9)) * 3e5

    net, inputs = Counts().eval(), (torch.rand(2, 4), torch.ones(2, 300000, dtype=torch.int64))
    program = torch.export.export(net, inputs)
    nodes = "aten.sum.dim_IntList,aten.clamp.default,aten.reciprocal.default,aten.mul.Tensor,aten._to_copy.default,aten.to.dtype"
    outputs, _ = lower_and_run(program, inputs, folder, options=["--float32-ops", nodes])
    check_outputs(outputs, [net(*inputs)], "float16")
    assert re.search(r"tensor<fp32, .*= reduce_sum\(", listing(folder))


def test_at_the_border_floats_become_float16_at_once(folder):
    """A part between CPU operators: what it reads in float16 is cast first, so that no reshape before is left in float32."""
    net = Case(lambda x, y: torch.sigmoid(x.reshape(4, 2) @ y)).eval()
    inputs = (torch.randn(2, 4), torch.randn(2, 3))
    program = torch.export.export(Case(lambda x, y: net(torch.erf(x), y)).eval(), inputs)
    outputs, report = lower_and_run(program, inputs, folder, options=["--skip-ops", "aten.erf.default"])
    check_outputs(outputs, [net(torch.erf(inputs[0]), inputs[1])], "float16")
    ops = [re.sub(r"^.*tensor<(\w+), \[[^]]*\]> \S+ = (\w+)\(.*$", r"\1 \2", line) for line in listing(folder).splitlines() if " = " in line]
    assert "fp16 reshape" in ops and "fp32 reshape" not in ops, ops
