"""take_over_mutable_buffer: buffers that a program changes, as Core ML state or with ExecuTorch, on both surfaces."""

import numpy as np
import pytest
import torch

from conftest import check_outputs
from surfaces import buffer_messages, CommandLine, Counter, export, FLOAT32, ONES, operations, Refused, surface, totals


def test_mutable_buffers_become_state_from_ios18_on(surface, folder):
    lowered = surface.lower(export(Counter(torch.zeros(4, 8)), ONES), folder, minimum_deployment_target="iOS18")
    assert [s.name for s in lowered.spec.description.state] == ["b_total"]
    assert [i.name for i in lowered.spec.description.input] == ["x"] and len(lowered.spec.description.output) == 1
    assert not buffer_messages(lowered) and lowered.method["cpu_kernels"] == {}
    assert totals(lowered) == [2, 4, 6], "the value persists from call to call"
    assert totals(lowered) == [2, 4, 6], "and is reset by loading the program again"


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_buffers_not_taken_over_are_passed_in_and_out(surface, target, folder):
    program = export(Counter(torch.full((4, 8), 10.0)), ONES)
    lowered = surface.lower(program, folder, take_over_mutable_buffer=False, minimum_deployment_target=target)
    assert not lowered.spec.description.state, "no state anywhere in the program"
    assert not any("state" in op for op, _ in operations(lowered.spec))
    assert len(lowered.spec.description.input) == 2 and len(lowered.spec.description.output) == 2
    assert lowered.method["cpu_kernels"] == {"aten::copy_": 1}, "the caller's buffer is written"
    assert not buffer_messages(lowered), "what the user asked for is no warning"
    assert totals(lowered) == [22, 24, 26]


def test_an_older_target_keeps_the_buffer_with_executorch_and_names_the_one_that_would_not(surface, folder):
    program = export(Counter(torch.zeros(4, 8)), ONES)
    lowered = surface.lower(program, folder, minimum_deployment_target="iOS17")
    [message] = buffer_messages(lowered)
    assert "'total'" in message and "iOS18" in message
    assert not lowered.spec.description.state and totals(lowered) == [2, 4, 6]
    with pytest.raises(Refused, match="(?s)total.*iOS18"):
        surface.lower(program, folder, minimum_deployment_target="iOS17", lower_full_graph=True)


@pytest.mark.parametrize("start, says", [
    (torch.full((4, 8), 10.0), "does not start at zero"),
    (torch.zeros(4, 8, dtype=torch.int64), "holds int64"),
])
def test_what_a_state_cannot_hold_is_not_taken_over(surface, start, says, folder):
    lowered = surface.lower(export(Counter(start), ONES.to(start.dtype)), folder, minimum_deployment_target="iOS18")
    [message] = buffer_messages(lowered)
    assert "'total'" in message and says in message
    assert not lowered.spec.description.state
    first = float(start.flatten()[0])
    calls = lowered.calls(*[(ONES.to(start.dtype),)] * 3)
    assert [float(c[0].flat[0]) for c in calls] == [2 * (first + n) for n in (1, 2, 3)], "with its initial values"


def test_float32_buffers_are_not_taken_over_on_request_of_float32(surface, folder):
    lowered = surface.lower(export(Counter(torch.zeros(4, 8)), ONES), folder, minimum_deployment_target="iOS18", compute_precision="FLOAT32")
    [message] = buffer_messages(lowered)
    assert "float32" in message and not lowered.spec.description.state
    tiny = 1 + torch.arange(32).reshape(4, 8) * 2.0**-20
    [[first], [second]] = lowered.calls((tiny,), (tiny,))
    assert np.array_equal(first, 2 * tiny.numpy()) and np.array_equal(second, 4 * tiny.numpy())


def test_integer_counters_stay_exact(surface, folder):
    """In float16 4096 + 1 is 4096."""
    lowered = surface.lower(export(Counter(torch.full((4, 8), 4096, dtype=torch.int64)), ONES.long()), folder, minimum_deployment_target="iOS18")
    assert [float(c[0].flat[0]) for c in lowered.calls(*[(ONES.long(),)] * 2)] == [2 * 4097, 2 * 4098]


def test_one_warning_for_buffers_that_stay_for_one_reason(surface, folder):
    class Many(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for i in range(5):
                self.register_buffer(f"b{i}", torch.zeros(4, 8))

        def forward(self, x):
            for i in range(5):
                getattr(self, f"b{i}").add_(x)
            return self.b0 + self.b4

    lowered = surface.lower(export(Many(), ONES), folder, minimum_deployment_target="iOS15")
    [message] = buffer_messages(lowered)
    assert all(f"'b{i}'" in message for i in range(5))


class CacheWrites(torch.nn.Module):
    """The ways a decoder writes its cache: each through a view or a transpose, none the buffer's direct user."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.register_buffer("cache", torch.zeros(1, 4, 6, 8))

    def forward(self, x, position):
        if self.how == "index_copy":
            self.cache.index_copy_(2, position, x)
        elif self.how == "index_put":
            self.cache[:, :, position] = x
        elif self.how == "slice":
            self.cache[:, :, 2:4] = x
        elif self.how == "transposed":
            self.cache.transpose(1, 2).index_copy_(1, position, x.transpose(1, 2))
        elif self.how == "view":
            self.cache.view(4, 6, 8)[:, 1:3].add_(x[0])
        elif self.how == "copy":
            self.cache.copy_(torch.cat([self.cache[:, :, 2:], x], 2))
        return self.cache.sum((1, 3)) + 1


@pytest.mark.parametrize("how", ["index_copy", "index_put", "slice", "transposed", "view", "copy"])
def test_in_place_writes_of_every_kind_become_state(how, folder):
    module = CacheWrites(how)
    calls = [(torch.randn(1, 4, 2, 8), torch.tensor(p)) for p in ([0, 1], [4, 5], [1, 2])]
    lowered = CommandLine().lower(export(module, *calls[0]), folder, minimum_deployment_target="iOS18")
    assert lowered.cpu_ops == [] and [s.name for s in lowered.spec.description.state] == ["b_cache"] and not buffer_messages(lowered)
    module.cache.zero_()
    for have, call in zip(lowered.calls(*calls), calls):
        check_outputs(have, [module(*call)], "float16")


def test_a_buffer_that_a_delegate_and_the_cpu_touch_stays_on_the_cpu_side(surface, folder):
    lowered = surface.lower(export(Counter(torch.zeros(4, 8)), ONES), folder, minimum_deployment_target="iOS18",
                            skip_ops_for_coreml_delegation=["aten.mul.Tensor"])
    assert lowered.cpu_ops == ["aten.mul.Tensor"] and totals(lowered) == [2, 4, 6]

    class Both(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("total", torch.zeros(4, 8))

        def forward(self, x):
            before = torch.exp(self.total)  # on the CPU
            self.total.add_(x)
            return before.sum() + self.total.sum()

    lowered = surface.lower(export(Both(), ONES), folder, minimum_deployment_target="iOS18", skip_ops_for_coreml_delegation=["aten.exp.default"])
    [message] = buffer_messages(lowered)
    assert "'total'" in message and not any(spec.description.state for spec in lowered.specs)
    expected = [32 * (float(np.exp(n)) + n + 1) for n in range(3)]
    assert np.allclose(totals(lowered), expected, rtol=2e-3)
