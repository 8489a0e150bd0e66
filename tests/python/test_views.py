"""Writes through views, and views of what was written: torch's semantics of shared memory, in a program that has none."""

import numpy as np
import pytest
import torch

import conftest


def split_in_two(x):
    return x.hsplit(2)[1]


# Each makes a view of a [4, 6] tensor.
VIEWS = {
    "movedim": lambda x: x.movedim(0, 1),
    "movedim_lists": lambda x: x.movedim((0, 1), (1, 0)),
    "moveaxis_lists": lambda x: torch.moveaxis(x, (1, 0), (0, 1)),
    "permute": lambda x: x.permute(1, 0),
    "hsplit": split_in_two,
    "vsplit": lambda x: x.vsplit([1, 3])[1],
    "dsplit": lambda x: x.view(2, 2, 6).dsplit(3)[2],
    "tensor_split": lambda x: x.tensor_split(3, dim=1)[1],
    "linalg_diagonal": torch.linalg.diagonal,
    "diagonal": lambda x: x.diagonal(1),
    "atleast_3d": torch.atleast_3d,
    "unflatten": lambda x: x.unflatten(1, (2, 3)),
    "select": lambda x: x[1],
    "slice": lambda x: x[::2, 1:4],
    "chain": lambda x: x.view(2, 2, 6).movedim((0, 2), (2, 0)).select(1, 1)[2:],
}


class Writes(torch.nn.Module):
    """Writes to the base after the view was taken, then through the view."""

    def __init__(self, view):
        super().__init__()
        self.view = view

    def forward(self, x):
        base = x + 1
        shown = self.view(base)
        base.mul_(2)
        before = shown * 1
        shown.add_(5)
        return base, before, shown


@pytest.mark.parametrize("name", VIEWS)
def test_shared_memory(name, folder):
    module, x = Writes(VIEWS[name]), torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    torch.export.save(torch.export.export(module, (x,)), folder / "model.pt2")
    pte, _ = conftest.lower(folder / "model.pt2", folder, "float32", "iOS18")
    for have, want in zip(conftest.run(pte, [x], folder), module(x)):
        np.testing.assert_allclose(have, want.numpy(), rtol=1e-6, atol=1e-6)
