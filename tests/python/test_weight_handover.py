"""Weights go from torch to the native side by address: the result is that of the saved file, and memory holds them once."""

import os
import subprocess
import sys
import warnings

import pytest
import torch

pytest.importorskip("cortland", reason="the package is not built: tools/build_python.sh")

import cortland as ct
from cortland import handover
from cortland.exir import to_edge_transform_and_lower
from cortland.partition import CoreMLPartitioner


class Odd(torch.nn.Module):
    """Weights of every layout: tied, transposed, slices and overlapping rows of one storage, broadcast, bfloat16, empty, scalar."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
        self.second.weight = self.first.weight
        table = torch.randn(10, 8)
        self.register_buffer("rows", table[2:5])
        self.register_buffer("row", table[4])
        self.register_buffer("overlapping", torch.randn(13).as_strided((3, 8), (2, 1), 1))
        self.register_buffer("transposed", torch.randn(8, 3).t(), persistent=False)
        self.register_buffer("broadcast", torch.randn(1, 8).expand(3, 8))
        self.register_buffer("brain", torch.randn(8).bfloat16())
        self.register_buffer("none", torch.empty(0, 8))
        self.register_buffer("scale", torch.tensor(0.5))
        self.register_buffer("indices", torch.tensor([2, 0, 1]))

    def forward(self, x):
        y = self.second(self.first(x)) * self.scale + self.rows + self.row + self.overlapping + self.transposed + self.broadcast
        return torch.cat([y, self.none])[self.indices] + self.brain.float() + torch.tensor([1.0, 2, 3, 4, 5, 6, 7, 8])


def export(module, *args):
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(module.eval(), args)


def lower(program):
    return to_edge_transform_and_lower(program, partitioner=[CoreMLPartitioner(
        compile_specs=ct.CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS18))])


def same_as_the_file(program, path):
    torch.export.save(program, path)
    assert lower(program).to_executorch().buffer == lower(path).to_executorch().buffer


def test_weights_of_every_layout(folder):
    torch.manual_seed(0)
    program = export(Odd(), torch.randn(3, 8))
    same_as_the_file(program, folder / "m.pt2")
    archive, tensors = handover.exported(program)
    names = {name for name, *_ in tensors}
    assert names == (program.state_dict.keys() | program.constants.keys()) - {"none"}
    addresses = {name: address for name, address, *_ in tensors}
    assert addresses["first.weight"] == addresses["second.weight"] == program.state_dict["first.weight"].data_ptr()


def test_quantised_subclasses(folder):
    quantization = pytest.importorskip("torchao.quantization")
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.GELU())
    quantization.quantize_(module, quantization.IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=quantization.PerGroup(32)))
    program = export(module, torch.randn(3, 64))
    same_as_the_file(program, folder / "m.pt2")
    assert "0.weight.qdata" in {name for name, *_ in handover.exported(program)[1]}


def test_the_program_stays_as_it_was():
    module = Odd()
    program = export(module, torch.randn(3, 8))
    before = {name: (tensor.data_ptr(), tensor.shape) for name, tensor in program.state_dict.items()}
    lower(program)
    assert before == {name: (tensor.data_ptr(), tensor.shape) for name, tensor in program.state_dict.items()}
    assert program.example_inputs is not None


def test_the_weights_live_as_long_as_what_was_lowered():
    torch.manual_seed(0)
    program = export(torch.nn.Linear(300, 300), torch.randn(1, 300))
    want = lower(program).to_executorch().buffer
    lowered = lower(program)
    del program
    clutter = [torch.full((300, 300), float(i)) for i in range(50)]
    assert lowered.to_executorch().buffer == want and len(clutter) == 50


MEMORY = """
import sys, torch, cortland as ct
class Large(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(10000, 10000, bias=False)
    def forward(self, x):
        return self.linear(x)
def status(key):
    return next(int(line.split()[1]) >> 10 for line in open("/proc/self/status") if line.startswith(key))
with torch.no_grad():
    program = torch.export.export(Large().eval(), (torch.randn(1, 10000),))
    small = torch.export.export(torch.nn.Linear(4, 4).eval(), (torch.randn(1, 4),))
ct.to_edge_transform_and_lower(small, partitioner=ct.CoreMLPartitioner()).to_executorch().buffer  # loads what is loaded once
before = status("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # resets VmHWM
result = ct.to_edge_transform_and_lower(program, partitioner=ct.CoreMLPartitioner()).to_executorch()
if sys.argv[1] == "save":
    result.save("m.pte")
else:
    print(len(result.buffer) >> 20)
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux's /proc")
def test_memory_holds_the_weights_once(folder):
    """400 MB of weights, written as 200 MB of float16. Lowering and saving need a fraction of either."""
    def growth(how):
        printed = subprocess.run([sys.executable, "-c", MEMORY, how], cwd=folder, check=True, capture_output=True, text=True, timeout=300).stdout
        return [int(line) for line in printed.split()]

    assert growth("save")[0] < 100
    size, peak = growth("buffer")
    assert 185 < size < 195 and peak < size + 100
    assert (folder / "m.pte").stat().st_size >> 20 == size and len(list(folder.iterdir())) == 1
