"""Records the .pt2 files beside it: `python make.py` with torch 2.13 and torchao. The models are compiled under the name model.py, so
that no path of the machine gets into the traces."""

import linecache
import re
import sys
import zipfile
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent

MODELS = '''
import torch
import torch.nn.functional as F
from torch import nn


class Dynamic(nn.Module):
    """Symbolic sizes: products, divisions, rounded reals, numbers among inputs and outputs."""

    def forward(self, x, k):
        rows, columns = x.shape
        wide = F.interpolate(x[None, None], scale_factor=1.5)
        return x.view(rows * columns // 2, 2), x[:, ::3], wide, torch.cat([x, x]), rows + k


class Branch(nn.Module):
    """Two branches that share a parameter, inside of which names start anew."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.arange(3.0))

    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: x * self.w, lambda x: x - 1, (x,))


class Cache(nn.Module):
    """Buffers that are written, one of them not persistent, and a constant; lists, None and text among the outputs."""

    def __init__(self):
        super().__init__()
        self.register_buffer("cache", torch.zeros(4, 3))
        self.register_buffer("count", torch.zeros(1, dtype=torch.int64), persistent=False)
        self.one = torch.ones(3)

    def forward(self, x, at):
        self.cache.index_put_((at,), x)
        self.count += 1
        first, second = torch.split(self.cache, 2)
        return [first + self.one, {"second": second[..., at]}], None, self.count + 0


class Strides(nn.Module):
    """Parameters that are views: transposed, broadcast, tied, empty, channels last, a part of a larger storage."""

    def __init__(self):
        super().__init__()
        self.transposed = nn.Parameter(torch.arange(6.0).view(2, 3).t())
        self.broadcast = nn.Parameter(torch.tensor([7.0]).expand(3))
        self.empty = nn.Parameter(torch.zeros(0, 3))
        self.part = nn.Parameter(torch.arange(10.0)[4:7])
        self.tied = self.part
        self.last = nn.Parameter(torch.arange(16.0).view(2, 2, 2, 2).to(memory_format=torch.channels_last))
        self.register_buffer("small", torch.tensor([1.5, -2.0, 0.25]).half())

    def forward(self, x):
        return x @ self.transposed + self.last.sum(), self.broadcast + self.part + self.tied, self.small.float(), self.empty.sum()


class Quantised(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(32, 4, bias=False)
        self.linear.weight = nn.Parameter(torch.arange(128.0).view(4, 32))

    def forward(self, x):
        return F.linear(x, self.linear.weight)
'''


def main():
    names = {"__name__": "model"}
    linecache.cache["model.py"] = (len(MODELS), None, MODELS.splitlines(keepends=True), "model.py")
    exec(compile(MODELS, "model.py", "exec"), names)
    auto = torch.export.Dim.AUTO
    x = torch.randn(2, 3)
    record("dynamic", names["Dynamic"](), (torch.randn(4, 6), 5), {"x": {0: auto, 1: auto}, "k": None})
    record("branch", names["Branch"](), (x,))
    cache = record("cache", names["Cache"](), (x, torch.tensor([0, 1])))
    save(cache.run_decompositions({}), "cache_functional")
    record("strides", names["Strides"](), (x,))

    from torchao.quantization import IntxWeightOnlyConfig, PerGroup, quantize_

    quantised = names["Quantised"]()
    quantize_(quantised, IntxWeightOnlyConfig(weight_dtype=torch.int8, granularity=PerGroup(32)))
    record("quantised", quantised, (torch.randn(1, 32),))


def record(name, model, inputs, dynamic_shapes=None):
    program = torch.export.export(model.eval(), inputs, dynamic_shapes=dynamic_shapes)
    save(program, name)
    return program


def save(program, name):
    program._example_inputs = None
    path = HERE / f"{name}.pt2"
    torch.export.save(program, path)
    with zipfile.ZipFile(path) as archive:
        found = {m for e in archive.namelist() for m in re.findall(rb'File \\"(/[^"]*)\\"', archive.read(e))}
    if found:
        sys.exit(f"{path.name} names files of this machine: {found}")


if __name__ == "__main__":
    main()
