"""Sentences and examples of ExecuTorch's page on the Core ML partitioner that are about its parameters, on both surfaces; those about
compile specs, buffers and shapes are in test_compile_specs.py, test_mutable_buffers.py and test_flexible_shapes.py. Numbers are those
of the lowered program in the ExecuTorch runtime."""

import re

import numpy as np
import pytest
import torch

from conftest import check_outputs
from surfaces import AddMulGelu, cpu_messages, export, Refused, surface


class Mixed(torch.nn.Module):
    """Two linear layers around an operator that Core ML lacks."""

    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(8, 8), torch.nn.Linear(1, 4)

    def forward(self, x):
        positive = (torch.relu(self.first(x)) > 0).to(torch.int32)
        return self.last(torch.bitwise_or(positive, positive.flip(-1)).sum(-1, keepdim=True).to(torch.float32))


@pytest.fixture(scope="module")
def mixed():
    torch.manual_seed(1)
    module, x = Mixed(), torch.randn(3, 8)
    return export(module, x), x, module(x).detach()


# --- the partitioner without parameters


def test_no_parameters_run_as_much_as_possible_with_default_settings(surface, mixed, folder):
    program, x, expected = mixed
    lowered = surface.lower(program, folder)
    assert lowered.cpu_ops == ["aten.bitwise_or.Tensor"]
    assert sorted(op for d in lowered.report["delegates"] for op in d["ops"] if "linear" in op) == ["aten.linear.default"] * 2
    assert lowered.report["precision"] == "float16" and list(lowered.method["cpu_kernels"]) == ["aten::bitwise_or.Tensor_out"]
    check_outputs(lowered.run(x), [expected], "float16")


# --- skip_ops_for_coreml_delegation


@pytest.mark.parametrize("names, left", [
    ([], []),
    (["aten.add.Tensor"], ["aten.add.Tensor"]),
    (["aten.ADD.tensor", "aten.gelu.default"], ["aten.add.Tensor", "aten.gelu.default"]),
])
def test_skipped_operators_run_on_the_cpu_and_all_others_on_core_ml(surface, names, left, folder):
    x, y = torch.randn(4, 6), torch.randn(4, 6)
    lowered = surface.lower(export(AddMulGelu(), x, y), folder, skip_ops_for_coreml_delegation=names) if names else surface.lower(
        export(AddMulGelu(), x, y), folder)
    assert lowered.cpu_ops == left
    assert sum(len(d["ops"]) for d in lowered.report["delegates"]) == 3 - len(left)
    assert not cpu_messages(lowered), "what the user asked for is no warning"
    check_outputs(lowered.run(x, y), [AddMulGelu()(x, y)], "float16")


def test_unknown_names_to_skip_are_reported(surface, folder):
    x = torch.randn(2, 2)
    lowered = surface.lower(export(AddMulGelu(), x, x), folder, skip_ops_for_coreml_delegation=["aten.mm.default", "aten.add.Tensor", "add"])
    unknown = [m for m in lowered.messages if "nothing was skipped" in m]
    assert len(unknown) == 2 and "'aten.mm.default'" in " ".join(unknown) and "'add'" in " ".join(unknown)


# --- take_over_constant_data


def test_constant_data_lies_in_the_delegate_or_is_passed_in(surface, folder):
    module, x = torch.nn.Linear(64, 64), torch.randn(2, 64)
    program = export(module, x)
    taken = surface.lower(program, folder)
    assert len(taken.spec.description.input) == 1 and taken.report["delegates"][0]["bytes"] > 64 * 64
    check_outputs(taken.run(x), [module(x).detach()], "float16")
    passed = surface.lower(program, folder, take_over_constant_data=False)
    assert len(passed.specs[-1].description.input) == 3 and passed.report["delegates"][0]["bytes"] < 64 * 64
    check_outputs(passed.run(x), [module(x).detach()], "float16")


# --- lower_full_graph


class TwoUnsupported(torch.nn.Module):
    def forward(self, x):
        y = torch.bitwise_and(x, 5)
        z = torch.relu(y) + 1
        return torch.bitwise_or(z, 6), torch.bitwise_and(z, 10)


INTS = torch.arange(6, dtype=torch.int32).reshape(2, 3)


def test_full_graph_is_an_error_that_lists_every_operator_with_its_reason(surface, folder):
    with pytest.raises(Refused) as refused:
        surface.lower(export(TwoUnsupported(), INTS), folder, lower_full_graph=True)
    text = str(refused.value)
    for node in ("bitwise_and", "bitwise_or", "bitwise_and_1"):
        assert re.search(rf"\b{node} \(aten\.bitwise_\w+\.Scalar\): \w+", text), text
    assert text.count("test_partitioner_page.py") == 3, "each with its source line"


def test_without_it_they_run_on_the_cpu_with_one_warning_a_kind(surface, folder):
    lowered = surface.lower(export(TwoUnsupported(), INTS), folder)
    assert len(lowered.cpu_ops) == 3
    assert [("_and" in m, "(2 times)" in m, "_or" in m) for m in cpu_messages(lowered)] == [(True, True, False), (False, False, True)]
    for have, want in zip(lowered.run(INTS), TwoUnsupported()(INTS)):
        assert np.array_equal(have, want.numpy())


def test_full_graph_by_default_is_off_and_changes_nothing_where_all_is_supported(surface, folder):
    x = torch.randn(4, 6)
    program = export(AddMulGelu(), x, x)
    assert surface.lower(program, folder).pte.read_bytes() == surface.lower(program, folder, lower_full_graph=True).pte.read_bytes()


@pytest.mark.parametrize("options, says", [
    (dict(skip_ops_for_coreml_delegation=["aten.add.Tensor"]), "skip_ops_for_coreml_delegation"),
    (dict(take_over_constant_data=False), "take_over_constant_data"),
    (dict(take_over_mutable_buffer=False), "take_over_mutable_buffer"),
])
def test_options_that_exclude_each_other(surface, options, says, folder):
    x = torch.randn(2, 2)
    with pytest.raises(Refused, match=f"lower_full_graph.*{says}"):
        surface.lower(export(AddMulGelu(), x, x), folder, lower_full_graph=True, **options)
