"""Example inputs with their channels last: the .pte says so, and whoever reads the tensor gets its numbers."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from conftest import check_outputs, lower, run

# In a process of its own: other tests register backends.
RUN = """
import sys, torch
from executorch.runtime import Runtime
x = torch.load(sys.argv[2])
method = Runtime.get().load_program(sys.argv[1]).load_method("forward")
torch.save([y.clone() for y in method.execute([x])], sys.argv[3])
"""


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return torch.relu(self.conv(x)) * 2, x.mean((2, 3)), x + 1


@pytest.mark.parametrize("skip", [[], ["--skip-ops", "aten.add.Tensor"], ["--skip-ops", "*"]], ids=["delegate", "both", "kernels"])
def test_channels_last(folder, skip):
    torch.manual_seed(1)
    module, x = Net().eval(), torch.randn(2, 3, 8, 6).to(memory_format=torch.channels_last)
    with torch.no_grad():
        torch.export.save(torch.export.export(module, (x,)), folder / "m.pt2")
        want = module(x)
    pte, _ = lower(folder / "m.pt2", folder, "float32", options=skip)
    check_outputs(run(pte, [x], folder), want, "float32")
    if skip != ["--skip-ops", "*"]:
        return
    torch.save(x, folder / "x.pt")  # keeps the strides
    subprocess.run([sys.executable, "-c", RUN, pte, folder / "x.pt", folder / "y.pt"], check=True, timeout=300)
    check_outputs([y.contiguous().numpy() for y in torch.load(folder / "y.pt")], want, "float32")


def test_train_mode_dropout_scales(folder):
    class Dropout(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.dropout(x, 0.75, True)

    torch.export.save(torch.export.export(Dropout(), (torch.ones(4000),)), folder / "m.pt2")
    pte, _ = lower(folder / "m.pt2", folder, "float32")
    (y,) = run(pte, [torch.ones(4000)], folder)
    assert set(np.unique(y)) == {0, 4}
    assert abs(y.mean() - 1) < 0.2  # the deviation of the mean is 0.027
