"""Branches and loops (torch.cond, while_loop, map, scan), as MIL control flow and as jumps between ExecuTorch kernels."""

import pytest
import torch
from torch._higher_order_ops.associative_scan import associative_scan
from torch._higher_order_ops.map import map as torch_map
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop

import packages
from conftest import check_outputs, cortland, lower, run

torch.manual_seed(0)
BATCH = torch.export.Dim("batch", min=2, max=9)


class Branches(torch.nn.Module):
    """Captured weights, an in-place write and a view inside, and an output that is an operand as it is."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)
        self.register_buffer("scale", torch.full((4,), 0.5))

    def forward(self, x, y):
        def yes(x, y):
            z = x.clone()
            z[0] += 1
            return self.linear(z), y + 1, x.clone()

        def no(x, y):
            return (x * self.scale).relu(), y.view(2, 2).t().reshape(4), x - 1

        a, b, c = torch.cond(x.sum() > 0, yes, no, (x, y))
        return a * 2, b, c


class BranchOnSize(torch.nn.Module):
    def forward(self, x):
        return torch.cond(x.shape[0] > 4, lambda x: x.sin() + x.shape[0], lambda x: x.cos(), (x,))


class BranchesOfOtherShapes(torch.nn.Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: x[:2].clone(), lambda x: x.cos(), (x,)) * 2


class BranchInBranch(torch.nn.Module):
    def forward(self, x):
        def positive(x):
            return torch.cond(x.max() > 2, lambda x: x * 10, lambda x: x + 1, (x,))

        return torch.cond(x.sum() > 0, positive, lambda x: -x, (x,)).tanh()


class Loop(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, count, x):
        return while_loop(lambda i, x: i > 0, lambda i, x: (i - 1, torch.tanh(self.linear(x))), (count, x))


class Fibonacci(torch.nn.Module):
    """The carried values change places: both are read before either is written."""

    def forward(self, count, a, b):
        i, a, b = while_loop(lambda i, a, b: i > 0, lambda i, a, b: (i - 1, b.clone(), a + b), (count, a, b))
        return a, b


class BranchInLoop(torch.nn.Module):
    def forward(self, x, n):
        def turn(i, n, x):
            x = torch.cond(x.sum() > 0, lambda x: x - 1, lambda x: x + 3, (x,))
            return i + 1, n.clone(), x

        return while_loop(lambda i, n, x: i < n, turn, (torch.zeros((), dtype=torch.int64), n, x))[2]


class LoopInLoop(torch.nn.Module):
    def forward(self, x, n):
        def outer(i, x, n):
            def inner(j, x):
                return j + 1, x * 0.5 + 1

            _, x = while_loop(lambda j, x: j < 3, inner, (torch.zeros((), dtype=torch.int64), x))
            return i + 1, x - 1, n.clone()

        return while_loop(lambda i, x, n: i < n, outer, (torch.zeros((), dtype=torch.int64), x, n))[1]


class Map(torch.nn.Module):
    def forward(self, xs, y):
        return torch_map(lambda x, y: torch.relu(x + y).sum(0), xs, y)


class Scan(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, start, xs):
        def turn(carry, x):
            carry = torch.tanh(self.linear(carry) + x)
            return carry, carry * 2

        return scan(turn, start, xs)


class ScanBackwards(torch.nn.Module):
    def forward(self, start, xs):
        def turn(carry, x):
            carry = carry + x
            return carry, carry.clone()

        return scan(turn, start, xs, reverse=True, dim=1)


class AssociativeScan(torch.nn.Module):
    def forward(self, xs):
        return associative_scan(lambda a, b: a * 0.5 + b, xs, dim=0, combine_mode="generic")


def number(n):
    return torch.tensor(n)


def rows(n, *shape):
    return torch.randn(n, *shape)


X = torch.rand(3, 4)
# Model, several inputs (the first is traced), dynamic shapes, whether Core ML takes it all.
CASES = {
    "branches": (Branches(), [(X, rows(4)), (-X, rows(4))], None, True),
    "branch_on_size": (BranchOnSize(), [(rows(n, 4),) for n in (3, 5, 9, 2)], ({0: BATCH},), True),
    "branches_of_other_shapes": (BranchesOfOtherShapes(), [(X,), (-X,), (X + 1,)], None, False),
    "branch_in_branch": (BranchInBranch(), [(X,), (X * 4,), (-X,)], None, True),
    "loop": (Loop(), [(number(n), X) for n in (3, 0, 1, 7)], None, True),
    "fibonacci": (Fibonacci(), [(number(n), X, X + 1) for n in (1, 0, 6)], None, True),
    "branch_in_loop": (BranchInLoop(), [(X, number(n)) for n in (3, 0, 8)], None, True),
    "loop_in_loop": (LoopInLoop(), [(X, number(n)) for n in (2, 0, 5)], None, True),
    "map": (Map(), [(rows(5, 3, 4), rows(3, 4))], None, True),
    "map_long": (Map(), [(rows(300, 3, 4), rows(3, 4))], None, True),
    "map_dynamic": (Map(), [(rows(n, 3, 4), rows(3, 4)) for n in (5, 2, 9)], ({0: BATCH}, {}), True),
    "scan": (Scan(), [(X, rows(5, 3, 4))], None, True),
    "scan_long": (Scan(), [(X, rows(100, 3, 4))], None, True),
    "scan_dynamic": (Scan(), [(X, rows(n, 3, 4)) for n in (5, 2, 9)], ({}, {0: BATCH}), True),
    "scan_backwards": (ScanBackwards(), [(X, rows(3, 6, 4))], None, True),
}


def export(name, folder):
    model, inputs, shapes, delegated = CASES[name]
    model.eval()
    pt2 = folder / "model.pt2"
    torch.export.save(torch.export.export(model, inputs[0], dynamic_shapes=shapes), pt2)
    with torch.no_grad():
        expected = [torch.utils._pytree.tree_leaves(model(*i)) for i in inputs]
    return pt2, inputs, expected, delegated


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_torch_in_core_ml(name, precision, folder):
    pt2, inputs, expected, delegated = export(name, folder)
    pte, report = lower(pt2, folder, precision)
    assert (report["cpu_ops"] == []) == delegated, report["cpu_ops"]
    for given, want in zip(inputs, expected):
        check_outputs(run(pte, given, folder), want, precision)


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_torch_on_cpu_kernels(name, folder):
    pt2, inputs, expected, _ = export(name, folder)
    pte, report = lower(pt2, folder, "float32", options=["--skip-ops", "*"])
    assert report["delegates"] == []
    for given, want in zip(inputs, expected):
        check_outputs(run(pte, given, folder), want, "float32")


@pytest.mark.parametrize("target", ["iOS15", "iOS17"])
@pytest.mark.parametrize("name", ["branches", "loop", "scan_long"])
def test_coremltools_reads_the_package(name, target, folder):
    pt2, _, _, _ = export(name, folder)
    cortland("convert", pt2, "-o", folder / "model.mlpackage", "--deployment-target", target)
    packages.read(folder / "model.mlpackage")


def test_one_operator_that_stays_outside_keeps_the_whole_branch_there(folder):
    pt2, inputs, expected, _ = export("branches", folder)
    pte, report = lower(pt2, folder, "float32", options=["--skip-ops", "aten.relu.default"])
    reasons = {op["op"]: op["reason"] for op in report["cpu_ops"]}
    assert "aten.relu.default" in reasons["higher_order.cond"]
    assert len(report["delegates"]) == 2, "what is around the branches is delegated"
    for given, want in zip(inputs, expected):
        check_outputs(run(pte, given, folder), want, "float32")


def test_branches_of_other_shapes_are_refused_with_the_reason(folder):
    pt2, _, _, _ = export("branches_of_other_shapes", folder)
    refusal = cortland("convert", pt2, "-o", folder / "model.mlpackage", check=False)
    assert refusal.returncode != 0
    assert "in one branch" in refusal.stderr and not (folder / "model.mlpackage").exists()


def test_associative_scan_is_plain_operators_once_decomposed(folder):
    model, given = AssociativeScan(), torch.randn(5, 4)
    program = torch.export.export(model, (given,))
    pt2 = folder / "model.pt2"
    torch.export.save(program, pt2)
    refusal = cortland("lower", pt2, "-o", folder / "model.pte", check=False)
    assert refusal.returncode != 0 and "run_decompositions" in refusal.stderr
    torch.export.save(program.run_decompositions(), pt2)
    pte, report = lower(pt2, folder, "float32")
    assert report["cpu_ops"] == []
    check_outputs(run(pte, (given,), folder), [model(given)], "float32")


class Autocast(torch.nn.Module):
    def __init__(self, enabled):
        super().__init__()
        self.enabled, self.linear = enabled, torch.nn.Linear(4, 4)

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.enabled):
            y = self.linear(x.float())
        return y.float().relu()


@pytest.mark.parametrize("enabled", [False, True])
def test_a_region_without_autocast_is_what_it_holds(enabled, folder):
    model, pt2 = Autocast(enabled), folder / "model.pt2"
    torch.export.save(torch.export.export(model, (X,)), pt2)
    if enabled:
        refusal = cortland("lower", pt2, "-o", folder / "model.pte", check=False)
        assert refusal.returncode != 0 and "torch.autocast" in refusal.stderr
        return
    pte, report = lower(pt2, folder, "float32")
    assert report["cpu_ops"] == []
    check_outputs(run(pte, (X,), folder), [model(X).detach()], "float32")
