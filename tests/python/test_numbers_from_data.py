"""Numbers that `item` takes out of tensors: places to cut at, sizes, factors. Whoever needs one reads the tensor."""

import pytest
import torch

from conftest import check_outputs, cortland, lower, run
from surfaces import of


def place(tensor, most, least=0):
    n = tensor.item()
    torch._check(n >= least)
    torch._check(n <= most)
    return n


def rotary(x, table, position):
    n = place(position[-1], 12)
    return x * table.narrow(0, n, 4), table.narrow(0, n, 4).sum(0)


def computed(x, table, position):
    n = place((position * 2).sum(), 12)
    return x + table.narrow(0, n, 4)


def length(x, table, position):
    n = place((position + 1)[0], 16, least=1)  # no model takes an empty tensor
    return table[:n].sum(0) * x, table * (n + 1)


def sum_of_two(x, table, position):
    n, m = place(position[0], 6), place((position + 1)[0], 7)
    return x * table.narrow(0, n + m, 3)[:, :2].sum(), table.narrow(0, m, 4) - x


def of_a_list(x, table, position):
    n, m = (torch.cat([position, position + 1]) * 1).tolist()
    torch._check(n >= 0), torch._check(m <= 12), torch._check(n <= 12), torch._check(m >= 0)
    return x * table.narrow(0, n, 4) + table.narrow(0, m, 4)


PROGRAMS = {f.__name__: f for f in (rotary, computed, length, sum_of_two, of_a_list)}


def exported(name, folder):
    module = of(PROGRAMS[name])
    inputs = [(torch.randn(4, 6), torch.randn(16, 6), torch.tensor([n])) for n in (1, 0, 3, 6)]
    torch.export.save(torch.export.export(module, inputs[0]), folder / "m.pt2")
    return folder / "m.pt2", inputs, [torch.utils._pytree.tree_leaves(module(*i)) for i in inputs]


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_one_model_does_it_all(name, target, precision, folder):
    pt2, inputs, expected = exported(name, folder)
    pte, report = lower(pt2, folder, precision, target, ["--lower-full-graph"])
    assert report["cpu_ops"] == [] and len(report["delegates"]) == 1
    for given, want in zip(inputs, expected):
        check_outputs(run(pte, given, folder), want, precision)


@pytest.mark.parametrize("name", PROGRAMS)
def test_convert_does_too(name, folder):
    import coremltools

    pt2, inputs, expected = exported(name, folder)
    cortland("convert", pt2, "-o", folder / "m.mlpackage", "--precision", "float32", "--deployment-target", "iOS17")
    coremltools.models.MLModel(str(folder / "m.mlpackage"), skip_model_load=True)
    for given, want in zip(inputs, expected):
        check_outputs(run(folder / "m.mlpackage", given, folder), want, "float32")


READ_ON_THE_CPU = {("rotary", "aten.narrow.default"), ("computed", "aten.narrow.default"), ("sum_of_two", "aten.narrow.default"), ("of_a_list", "aten.narrow.default"), ("length", "aten.mul.Tensor")}


@pytest.mark.parametrize("skipped", ["aten.narrow.default", "aten.mul.Tensor", "aten.add.Tensor", "aten.sum.dim_IntList", "aten.item.default", "*"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_parts_and_cpu_operators_share_a_number(name, skipped, folder):
    pt2, inputs, expected = exported(name, folder)
    pte, report = lower(pt2, folder, "float32", options=["--skip-ops", skipped])
    ops = {op["op"] for op in report["cpu_ops"]}
    assert ("aten.item.default" in ops) == (skipped in ("aten.item.default", "*") or (name, skipped) in READ_ON_THE_CPU), ops
    for given, want in zip(inputs, expected):
        check_outputs(run(pte, given, folder), want, "float32")


def test_a_number_that_the_caller_gets_is_taken_out_on_the_cpu(folder):
    def program(x, n):
        k = place(n, 5)
        return x.narrow(0, k, 2), k + 1

    x = torch.randn(8)
    torch.export.save(torch.export.export(of(program), (x, torch.tensor(2))), folder / "m.pt2")
    pte, report = lower(folder / "m.pt2", folder, "float32")
    assert [op["op"] for op in report["cpu_ops"]] == ["aten.item.default"] and "the caller" in report["cpu_ops"][0]["reason"]
    part, number = run(pte, (x, torch.tensor(4)), folder)
    check_outputs([part], [x[4:6]], "float32")
    assert number == 5


def cut(table, position):
    return table[: place(position[0], 16)] * 2, table + 1


def masked(table, position):
    kept = table[table[:, 0] > position[0]]
    return kept * 2, table + 1


def never_empty(table, position):
    kept = table[table[:, 0] >= position[0]]
    torch._check(kept.shape[0] >= 1)
    return kept * 2, table + 1


@pytest.mark.parametrize("program", [cut, masked, never_empty], ids=lambda f: f.__name__)
def test_what_the_data_may_leave_empty_is_on_the_cpu(program, folder):
    table = torch.arange(12.0).reshape(6, 2) - 4
    torch.export.save(torch.export.export(of(program), (table, torch.tensor([3]))), folder / "m.pt2")
    pte, report = lower(folder / "m.pt2", folder, "float32")
    empty = [op for op in report["cpu_ops"] if "may leave" in op["reason"]]
    assert bool(empty) == (program is not never_empty), report["cpu_ops"]
    assert all("torch._check(n >= 1)" in op["remedy"] for op in empty)
    assert len(report["delegates"]) >= 1
    for n in (3, 0, 6):
        position = torch.tensor([n])
        check_outputs(run(pte, (table, position), folder), program(table, position), "float32")
