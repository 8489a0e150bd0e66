"""CoreMLPartitioner and CoreMLBackend inside ExecuTorch's own flow, next to XNNPACK's, and what comes out run by `cortland run`."""

import json
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

pytest.importorskip("cortland", reason="the package is not built: tools/build_python.sh")
exir = pytest.importorskip("executorch.exir")

import cortland as ct
from conftest import check_outputs, cortland, run
from cortland.executorch import MULTIMETHOD_WEIGHT_SHARING_STRATEGY, CoreMLBackend, CoreMLPartitioner
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner


class Mixed(torch.nn.Module):
    """`abs` in the middle, for the test to leave to somebody else."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(16, 32), torch.nn.Linear(32, 8)

    def forward(self, x):
        y = torch.nn.functional.gelu(self.first(x))
        return self.second(torch.abs(y)) + 1


class Cache(torch.nn.Module):
    def __init__(self, start=0.0, dtype=torch.float32):
        super().__init__()
        self.register_buffer("cache", torch.full((4, 8), start, dtype=dtype))

    def forward(self, x):
        self.cache.add_(x.to(self.cache.dtype))
        return self.cache.float() * 2


def export(module, *args, **options):
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(module.eval(), args, **options)


def specs(target="iOS18", **options):
    return CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target[target], **options)


def lower(program, *partitioners):
    return exir.to_edge_transform_and_lower(program, partitioner=list(partitioners))


def operators(manager):
    return [node.target.__name__ for node in manager.exported_program().graph.nodes if node.op == "call_function"]


def backends(pte):
    inspected = json.loads(cortland("inspect", pte, "--json").stdout)
    return [delegate["backend"] for method in inspected["methods"] for delegate in method["delegates"]]


def save(manager, folder):
    path = folder / "m.pte"
    path.write_bytes(manager.to_executorch().buffer)
    return path


def test_operators_in_float32(folder):
    torch.manual_seed(0)
    module, x = Mixed(), torch.randn(5, 16)
    manager = lower(export(module, x), CoreMLPartitioner(compile_specs=specs(), float32_ops=["aten.gelu.default"]))
    pte = save(manager, folder)
    listing = cortland("inspect", pte, "--mil").stdout
    assert re.search(r"tensor<fp32, .*= gelu\(", listing) and re.search(r"tensor<fp16, .*= linear\(", listing)
    check_outputs(run(pte, [x], folder), [module(x).detach()], "float16")


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_xnnpack_runs_what_core_ml_leaves(folder, precision):
    torch.manual_seed(0)
    module, x = Mixed(), torch.randn(5, 16)
    partitioner = CoreMLPartitioner(compile_specs=specs(compute_precision=ct.precision(precision)), skip_ops_for_coreml_delegation=["aten.abs.default"])
    manager = lower(export(module, x), partitioner, XnnpackPartitioner())
    assert set(operators(manager)) == {"executorch_call_delegate", "getitem"}
    pte = save(manager, folder)
    assert backends(pte) == ["CoreMLBackend", "XnnpackBackend", "CoreMLBackend"]
    check_outputs(run(pte, [x], folder), [module(x).detach()], precision)


def test_core_ml_takes_what_xnnpack_leaves(folder):
    class Sums(Mixed):  # XNNPACK has no cumulative sums
        def forward(self, x):
            return super().forward(torch.cumsum(x, 1) * 0.1)

    torch.manual_seed(0)
    module, x = Sums(), torch.randn(5, 16)
    manager = lower(export(module, x), XnnpackPartitioner(), CoreMLPartitioner(compile_specs=specs()))
    pte = save(manager, folder)
    assert set(backends(pte)) == {"CoreMLBackend", "XnnpackBackend"}
    check_outputs(run(pte, [x], folder), [module(x).detach()], "float16")


def test_the_operators_are_lowered_whole(folder):
    class Attention(torch.nn.Module):
        def forward(self, q, k, v):
            return torch.nn.functional.silu(torch.nn.functional.scaled_dot_product_attention(q, k, v))

    torch.manual_seed(0)
    inputs = [torch.randn(1, 2, 6, 8) for _ in range(3)]
    manager = lower(export(Attention(), *inputs), CoreMLPartitioner(compile_specs=specs()))
    from executorch.exir.backend.utils import format_delegated_graph
    text = format_delegated_graph(manager.exported_program().graph_module)
    assert "aten.scaled_dot_product_attention.default" in text and "aten.silu.default" in text
    check_outputs(run(save(manager, folder), inputs, folder), [Attention()(*inputs)], "float16")


@pytest.mark.parametrize("name", ["aten.linear.default", "aten.Linear.default"])
def test_a_skipped_operator_is_not_delegated_in_parts(folder, name):
    torch.manual_seed(0)
    module, x = Mixed(), torch.randn(5, 16)
    manager = lower(export(module, x), CoreMLPartitioner(compile_specs=specs(), skip_ops_for_coreml_delegation=[name]))
    assert {"aten.addmm.default", "aten.permute_copy.default", "executorch_call_delegate"} <= set(operators(manager))
    check_outputs(run(save(manager, folder), [x], folder), [module(x).detach()], "float16")


class Bytes(torch.nn.Module):  # a delegate cannot be passed int8
    def forward(self, x):
        return x + 1, x * 2


@pytest.mark.parametrize("name", ["aten.linear.default", torch.ops.aten.linear.default])
def test_a_skipped_operator_is_left_to_the_next_partitioner(name, folder):
    # XNNPACK makes ExecuTorch take operators apart in several steps: what is left of a linear was a view of a view of it.
    manager = lower(export(Mixed(), torch.randn(5, 4, 16)), CoreMLPartitioner(compile_specs=specs(), skip_ops_for_coreml_delegation=[name]),
                    XnnpackPartitioner())
    pte = save(manager, folder)
    assert "XnnpackBackend" in backends(pte)
    assert " linear(" not in cortland("inspect", pte, "--mil").stdout


def test_the_same_partitioner_is_for_both_flows(folder):
    from cortland.partition import CoreMLPartitioner as imported

    partitioner = imported(compile_specs=specs())
    module, x = Mixed(), torch.randn(5, 16)
    program = export(module, x)
    (folder / "native").mkdir()
    ct.to_edge_transform_and_lower(program, partitioner=[partitioner]).to_executorch().save(folder / "native" / "m.pte")
    for pte in (save(lower(program, partitioner), folder), folder / "native" / "m.pte"):
        assert backends(pte) == ["CoreMLBackend"]
        check_outputs(run(pte, [x], folder), [module(x).detach()], "float16")


def test_numbers_take_the_type_of_their_tensor(folder):
    class Quotient(torch.nn.Module):
        def forward(self, x):
            return x // 3

    x = torch.tensor([-7, 0, 8], dtype=torch.int32)
    pte = save(lower(export(Quotient(), x), CoreMLPartitioner(compile_specs=specs())), folder)
    np.testing.assert_array_equal(run(pte, [x], folder)[0], (x // 3).numpy())


def test_what_the_options_leave_open_is_warned_about():
    program = export(Mixed(), torch.randn(5, 16), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    with pytest.warns(ct.LoweringWarning) as told:
        lower(program, CoreMLPartitioner(skip_ops_for_coreml_delegation=["aten.nope.default"]))
    messages = " ".join(str(warning.message) for warning in told)
    for expected in ("no deployment target was given: iOS15", "nothing was skipped for 'aten.nope.default'", "sizes without an upper bound"):
        assert expected in messages


def test_lower_full_graph_lists_every_operator():
    with pytest.raises(ct.NotDelegatedError) as caught:
        lower(export(Bytes(), torch.ones(3, dtype=torch.int8)), CoreMLPartitioner(lower_full_graph=True))
    assert "aten.add" in str(caught.value) and "aten.mul" in str(caught.value) and "test_executorch_flow.py" in str(caught.value)


def test_what_is_left_to_the_cpu_is_warned_about():
    with pytest.warns(ct.LoweringWarning, match="aten.add.Tensor does not run on Core ML: .*int8"):
        lower(export(Bytes(), torch.ones(3, dtype=torch.int8)), CoreMLPartitioner())


@pytest.mark.parametrize("break_with", ["", "aten.abs.default"])
def test_dynamic_sizes(folder, break_with):
    """Sizes are computed in each delegate; with an operator between two delegates both need them."""

    class Dynamic(torch.nn.Module):
        def forward(self, x):
            y = (x + 1).view(x.shape[0] * 2, 4)
            return torch.abs(y).view(x.shape[0], 8) * 2

    program = export(Dynamic(), torch.randn(3, 8), dynamic_shapes=({0: torch.export.Dim("n", min=2, max=9)},))
    skip = [break_with] if break_with else []
    pte = save(lower(program, CoreMLPartitioner(compile_specs=specs(), skip_ops_for_coreml_delegation=skip)), folder)
    assert "CoreMLBackend" in backends(pte)
    for n in (2, 5, 9):
        x = torch.randn(n, 8)
        check_outputs(run(pte, [x], folder), [Dynamic()(x)], "float16")


@pytest.mark.parametrize("skip", [None, "aten.mul.Tensor", "aten._local_scalar_dense.default"])
def test_numbers_read_from_data(folder, skip):
    """A delegate takes no number, but the tensor that holds it."""

    class Item(torch.nn.Module):
        def forward(self, x, table, n):
            count = n.item()
            torch._check(count >= 1)
            torch._check(count <= 4)
            return (x + 1)[:count] * 2, x * table.narrow(0, count, 4)

    x, table, n = torch.randn(4, 8), torch.randn(9, 8), torch.tensor(3)
    partitioner = CoreMLPartitioner(compile_specs=specs(), skip_ops_for_coreml_delegation=[skip] if skip else [])
    manager = lower(export(Item(), x, table, n), partitioner)
    if not skip:
        assert operators(manager) == ["executorch_call_delegate", "getitem", "getitem"]
    pte = save(manager, folder)
    for n in (torch.tensor(3), torch.tensor(1), torch.tensor(4)):
        check_outputs(run(pte, [x, table, n], folder), Item()(x, table, n), "float16")


def run_twice(pte, x):
    """In ExecuTorch's own Python runtime, in a process of its own: state lives from call to call."""
    from conftest import CORTLAND
    code = ("import ctypes, sys, torch, executorch.runtime as et\n"
            "ctypes.CDLL(sys.argv[1], ctypes.RTLD_GLOBAL)\n"
            "method = et.Runtime.get().load_program(sys.argv[2]).load_method('forward')\n"
            "x = torch.load(sys.argv[3])\n"
            "torch.save([method.execute([x])[0].clone() for _ in range(2)], sys.argv[4])\n")
    torch.save(x, pte.with_suffix(".in"))
    subprocess.run([sys.executable, "-c", code, CORTLAND.parent / "libcortland_executorch.so", pte, pte.with_suffix(".in"), pte.with_suffix(".out")],
                   check=True, timeout=300)
    return [t.numpy() for t in torch.load(pte.with_suffix(".out"))]


@pytest.mark.parametrize("start, dtype, options, taken", [
    (0.0, torch.float32, {}, True),
    (0.0, torch.float32, dict(take_over_mutable_buffer=False), False),
    (5.0, torch.float32, {}, False),
    (0.0, torch.int32, {}, False),
])
def test_mutable_buffers(folder, start, dtype, options, taken):
    """Zero floats become state; other buffers keep what they start with."""
    x = torch.ones(4, 8)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        manager = lower(export(Cache(start, dtype), x), CoreMLPartitioner(compile_specs=specs(), **options))
    warned = any("mutable buffer 'cache' stays with ExecuTorch" in str(w.message) for w in seen)
    assert warned == (not taken and not options)
    pte = save(manager, folder)
    assert (b"read_state" in pte.read_bytes()) == taken
    check_outputs(run_twice(pte, x), [torch.full((4, 8), 2 * (start + 1)), torch.full((4, 8), 2 * (start + 2))], "float16")


def test_a_buffer_without_states_is_an_error_of_the_whole_graph():
    with pytest.raises(ct.LoweringError, match="iOS18"):
        lower(export(Cache(), torch.ones(4, 8)), CoreMLPartitioner(lower_full_graph=True, compile_specs=specs("iOS17")))


def test_weights_may_stay_outside(folder):
    torch.manual_seed(0)
    module, x = Mixed(), torch.randn(5, 16)
    pte = save(lower(export(module, x), CoreMLPartitioner(take_over_constant_data=False)), folder)
    assert "CoreMLBackend" in backends(pte)
    check_outputs(run(pte, [x], folder), [module(x).detach()], "float16")


def test_tied_weights_used_twice_in_one_delegate(folder):
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(8, 8))

        def forward(self, x):
            return torch.abs(x @ self.weight) @ self.weight + self.weight

    torch.manual_seed(0)
    module, x = Tied(), torch.randn(8, 8)
    pte = save(lower(export(module, x), CoreMLPartitioner(compile_specs=specs(), skip_ops_for_coreml_delegation=["aten.abs.default"])), folder)
    check_outputs(run(pte, [x], folder), [module(x).detach()], "float16")


@pytest.mark.parametrize("strategy", ["POSITIONAL", "DISABLED"])
def test_several_methods(folder, strategy):
    """Their delegates are functions of one model, which stores the weights once, or have a model each."""
    torch.manual_seed(0)
    module = torch.nn.Linear(200, 200)
    one, many = torch.randn(1, 200), torch.randn(8, 200)
    sharing = CoreMLBackend.generate_multimethod_weight_sharing_strategy_compile_spec(MULTIMETHOD_WEIGHT_SHARING_STRATEGY[strategy])
    manager = exir.to_edge_transform_and_lower({"forward": export(module, one), "prefill": export(module, many)},
                                               partitioner=[CoreMLPartitioner(compile_specs=[*specs(), sharing])])
    pte = save(manager, folder)
    size = 200 * 200 * 2  # float16
    assert pte.stat().st_size // size == (1 if strategy == "POSITIONAL" else 2)
    for method, x in (("forward", one), ("prefill", many)):
        np.savez(folder / "in.npz", in0=x.numpy())
        cortland("run", pte, "--method", method, "--inputs", folder / "in.npz", "--outputs", folder / "out.npz")
        check_outputs([np.load(folder / "out.npz")["out0"]], [module(x).detach()], "float16")


def test_control_flow_is_left_alone():
    class Branches(torch.nn.Module):
        def forward(self, x):
            y = torch.nn.functional.gelu(x + 1)
            return torch.cond(y.sum() > 0, lambda t: t * 2, lambda t: t - 1, (y,)) + 1

    manager = lower(export(Branches(), torch.randn(3, 4)), CoreMLPartitioner(compile_specs=specs()))
    names = operators(manager)
    assert "cond" in names and names.count("executorch_call_delegate") == 2


def test_importing_the_package_needs_none_of_this():
    code = ("import sys; sys.modules.update(dict.fromkeys(['torch', 'executorch', 'coremltools', 'numpy']))\n"
            "import cortland\n")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
