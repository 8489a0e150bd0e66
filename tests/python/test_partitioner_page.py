"""Each sentence and each example of ExecuTorch's page on the Core ML partitioner, and of the lists of options that go with it, by
the command line and by the Python package. Numbers are those of the lowered program in the ExecuTorch runtime."""

import functools
import json
import os
import re
import warnings

import numpy as np
import pytest
import torch
from torch.export import Dim

from calls import run_calls
from conftest import check_outputs, cortland, run

try:
    import cortland as package
    from cortland.compiler import CoreMLBackend
    from cortland.exir import to_edge_transform_and_lower
    from cortland.partition import CoreMLPartitioner
except ImportError:
    package = None

NEEDS_PACKAGE = pytest.mark.skipif(package is None, reason="the Python package is not built: run tools/run_tests.py python")


class Refused(Exception):
    """What a surface said when it refused to lower."""


class Lowered:
    """A .pte with the report and the warnings of its lowering."""

    def __init__(self, pte, report, messages):
        self.pte, self.report, self.messages = pte, report, messages

    @functools.cached_property
    def specs(self):
        """The protobuf of each delegate's model, read by coremltools."""
        import coremltools

        folder = self.pte.parent / f"parts{len(list(self.pte.parent.iterdir()))}"
        cortland("extract", self.pte, "-o", folder)
        return [coremltools.utils.load_spec(str(folder / f"forward_{i}" / "model.mlpackage")) for i in range(len(self.report["delegates"]))]

    @property
    def spec(self):
        assert len(self.specs) == 1, self.report
        return self.specs[0]

    @functools.cached_property
    def method(self):
        return json.loads(cortland("inspect", self.pte, "--json").stdout)["methods"][0]

    @property
    def cpu_ops(self):
        return [op["op"] for op in self.report["cpu_ops"]]

    def run(self, *inputs):
        return run(self.pte, inputs, self.pte.parent)

    def calls(self, *calls):
        return run_calls(self.pte, calls, self.pte.parent)


def fresh(folder):
    folder /= f"lowered{len(list(folder.iterdir()))}"
    folder.mkdir()
    return folder


FLAGS = {"skip_ops_for_coreml_delegation": "--skip-ops", "compute_unit": "--compute-unit", "minimum_deployment_target": "--deployment-target",
         "compute_precision": "--precision", "model_type": "--model-type", "pass_names": "--pass-names"}


class CommandLine:
    """Takes the options under their Python names; enum members by name."""

    def lower(self, program, folder, **options):
        folder = fresh(folder)
        torch.export.save(program, folder / "model.pt2")
        result = cortland("lower", folder / "model.pt2", "-o", folder / "model.pte", "--report", folder / "report.json",
                          *self.arguments(options), check=False)
        if result.returncode:
            assert result.returncode == 1 and not (folder / "model.pte").exists() and not (folder / "report.json").exists()
            raise Refused(result.stderr)
        messages = [line.removeprefix("warning: ") for line in result.stderr.splitlines()]
        return Lowered(folder / "model.pte", json.loads((folder / "report.json").read_text()), messages)

    def arguments(self, options):
        for name, value in options.items():
            if name in FLAGS:
                yield from (FLAGS[name], ",".join(value) if isinstance(value, list) else value)
            elif name == "enumerated_shapes":
                for key, shapes in value.items():
                    yield from ("--enumerated-shapes", f"{key}=" + ",".join("x".join(map(str, shape)) for shape in shapes))
            else:
                yield f"--{name.replace('_', '-')}={str(value).lower()}"


class Python:
    ENUMS = {"compute_unit": "ComputeUnit", "minimum_deployment_target": "target", "compute_precision": "precision"}

    def lower(self, program, folder, **options):
        folder = fresh(folder)
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                lowered = to_edge_transform_and_lower(program, partitioner=[self.partitioner(program, options)])
                (folder / "model.pte").write_bytes(lowered.to_executorch().buffer)
        except (package.LoweringError, AssertionError) as error:
            raise Refused(str(error)) from error
        return Lowered(folder / "model.pte", lowered.report,
                       [str(w.message) for w in caught if issubclass(w.category, package.LoweringWarning)])

    def partitioner(self, program, options):
        of_backend, shapes = {}, options.pop("enumerated_shapes", None)
        for name in ("compute_unit", "minimum_deployment_target", "compute_precision", "model_type", "pass_names"):
            if name in options:
                of_backend[name] = self.choice(name, options.pop(name))
        specs = CoreMLBackend.generate_compile_specs(**of_backend)
        if shapes:
            specs.append(CoreMLBackend.generate_enumerated_shapes_compile_spec(program, shapes))
        return CoreMLPartitioner(compile_specs=specs, **options)

    def choice(self, name, value):
        if name == "model_type":
            return CoreMLBackend.MODEL_TYPE(value)
        return getattr(package, self.ENUMS[name])[value.upper() if name != "minimum_deployment_target" else value] if name in self.ENUMS else value


@pytest.fixture(params=[CommandLine, pytest.param(Python, marks=NEEDS_PACKAGE)], ids=["cli", "python"])
def surface(request):
    return request.param()


def export(module, *args, dynamic_shapes=None):
    with torch.no_grad():
        return torch.export.export(module.eval(), args, dynamic_shapes=dynamic_shapes)


def of(function):
    class Module(torch.nn.Module):
        def forward(self, *args):
            return function(*args)

    return Module()


def operations(spec):
    """(type, element types of the results) of each op of a model, constants left out."""
    for function in spec.mlProgram.functions.values():
        for block in function.block_specializations.values():
            for op in block.operations:
                if op.type != "const":
                    yield op.type, [output.type.tensorType.dataType for output in op.outputs]


FLOAT16, FLOAT32 = 10, 11  # DataType in MIL.proto


def float_types(spec):
    return {dtype for _, dtypes in operations(spec) for dtype in dtypes if dtype in (FLOAT16, FLOAT32)}


def cpu_messages(lowered):
    """Without the source lines."""
    return [m.split(" runs on the CPU")[0] for m in lowered.messages if " runs on the CPU" in m]


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


class AddMulGelu(torch.nn.Module):
    def forward(self, x, y):
        return torch.nn.functional.gelu(x + y) * y


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


# --- take_over_mutable_buffer


class Counter(torch.nn.Module):
    """A buffer that each call changes."""

    def __init__(self, start):
        super().__init__()
        self.register_buffer("total", start)

    def forward(self, x):
        self.total.add_(x)
        return self.total * 2


ONES = torch.ones(4, 8)


def totals(lowered, count=3):
    """The first element of the result of each call."""
    return [float(call[0].flat[0]) for call in lowered.calls(*[(ONES,)] * count)]


def buffer_messages(lowered):
    return [m for m in lowered.messages if "mutable buffer" in m]


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


# --- compile specs


@pytest.mark.parametrize("unit, value", [(None, "all"), ("ALL", "all"), ("CPU_ONLY", "cpu_only"), ("CPU_AND_GPU", "cpu_and_gpu"), ("CPU_AND_NE", "cpu_and_ne")])
def test_compute_unit(surface, unit, value, folder):
    x = torch.randn(2, 2)
    lowered = surface.lower(export(AddMulGelu(), x, x), folder, **({"compute_unit": unit} if unit else {}))
    assert lowered.method["delegates"][0]["compile_specs"]["compute_units"] == value
    check_outputs(lowered.run(x, x), [AddMulGelu()(x, x)], "float16")


@pytest.mark.parametrize("target, version", [("iOS15", 6), ("iOS16", 7), ("iOS17", 8), ("iOS18", 9), ("iOS26", 10)])
def test_an_explicit_deployment_target_is_obeyed(surface, target, version, folder):
    x = torch.randn(2, 2)
    lowered = surface.lower(export(AddMulGelu(), x, x), folder, minimum_deployment_target=target)
    assert lowered.spec.specificationVersion == version and lowered.report["target"] == target
    assert lowered.method["delegates"][0]["compile_specs"]["min_deployment_target"] == str(version)
    assert lowered.messages == []
    check_outputs(lowered.run(x, x), [AddMulGelu()(x, x)], "float16")


def test_systems_older_than_ml_programs_are_refused(surface, folder):
    with pytest.raises(Refused, match="iOS14"):
        surface.lower(export(AddMulGelu(), ONES, ONES), folder, minimum_deployment_target="iOS14")


def test_the_smallest_target_is_selected_and_a_warning_names_the_specification_version(surface, folder):
    x = torch.randn(2, 2)
    lowered = surface.lower(export(AddMulGelu(), x, x), folder)
    assert lowered.report["target"] == "iOS15" and lowered.spec.specificationVersion == 6
    [message] = lowered.messages
    assert "Core ML specification version 6" in message and "iOS15" in message
    assert lowered.method["delegates"][0]["compile_specs"]["min_deployment_target"] == ""


def quantized(bits):
    """Weights that torchao has quantised: per channel from iOS16 on, in blocks of 4 bits from iOS18 on."""
    import torchao.quantization as ao

    module = torch.nn.Sequential(torch.nn.Linear(128, 128), torch.nn.ReLU())
    config = ao.IntxWeightOnlyConfig(weight_dtype=getattr(torch, f"int{bits}"),
                                     granularity=ao.granularity.PerAxis(0) if bits == 8 else ao.granularity.PerGroup(32))
    ao.quantize_(module, config)
    return module


@pytest.mark.parametrize("bits, target", [(8, "iOS16"), (4, "iOS18")])
def test_weights_stay_as_small_as_the_newest_target_has_them(bits, target, folder):
    torch.manual_seed(2)
    module, x = quantized(bits), torch.randn(2, 128)
    lowered = CommandLine().lower(export(module, x), folder)
    assert lowered.report["target"] == target and target in " ".join(lowered.messages)
    check_outputs(lowered.run(x), [module(x).detach()], "float16")


def test_buffers_do_not_raise_the_target(surface, folder):
    lowered = surface.lower(export(Counter(torch.zeros(4, 8)), ONES), folder)
    assert lowered.report["target"] == "iOS15" and "iOS18" in buffer_messages(lowered)[0]
    assert totals(lowered) == [2, 4, 6]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
@pytest.mark.parametrize("precision, wanted", [(None, FLOAT16), ("FLOAT16", FLOAT16), ("FLOAT32", FLOAT32)])
def test_the_compute_precision_is_applied_no_matter_the_dtype_of_the_export(surface, dtype, precision, wanted, folder):
    module, x = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.GELU()).to(dtype), torch.randn(3, 8, dtype=dtype)
    lowered = surface.lower(export(module, x), folder, **({"compute_precision": precision} if precision else {}))
    computed = {dtype for op, dtypes in operations(lowered.spec) if op in ("linear", "gelu") for dtype in dtypes}
    assert computed == {wanted}, list(operations(lowered.spec))
    [have] = lowered.run(x)
    assert have.dtype == x.numpy().dtype, "the program's own types stay"
    check_outputs([have], [module(x).detach()], "float16" if wanted == FLOAT16 or dtype == torch.float16 else "float32")


STAND_IN = """#!/bin/sh
# Stands in for Apple's xcrun: knows how it is called and the layout of what it writes, compiles nothing.
echo "$@" >> "$0.log"
[ "$1" = --find ] && exit 0
[ "$1 $2" = "coremlcompiler compile" ] || exit 64
[ -f "$3/Manifest.json" ] && [ -f "$3/Data/com.apple.CoreML/model.mlmodel" ] || exit 65
mkdir -p "$4/model.mlmodelc/weights" && cp "$3/Data/com.apple.CoreML/model.mlmodel" "$4/model.mlmodelc/model.mil" &&
  echo "as compiled by a stand-in" > "$4/model.mlmodelc/weights/weight.bin" && : > "$4/model.mlmodelc/empty"
"""


def stand_in(folder, monkeypatch, text=STAND_IN):
    path = folder / "bin"
    path.mkdir()
    (path / "xcrun").write_text(text)
    (path / "xcrun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{path}{os.pathsep}{os.environ['PATH']}")
    return path / "xcrun.log"


def test_a_compiled_model_is_stored_as_mlmodelc(surface, folder, monkeypatch):
    """With a stand-in for Apple's compiler: what is tested is how it is called and what becomes of the folder it writes."""
    log = stand_in(folder, monkeypatch)
    lowered = surface.lower(export(AddMulGelu(), ONES, ONES), folder, model_type="compiled_model", minimum_deployment_target="iOS17")
    [delegate] = lowered.method["delegates"]
    assert delegate["compile_specs"]["model_type"] == "compiled_model"
    assert sorted(delegate["files"]) == ["metadata.json", "model.mlmodelc/model.mil", "model.mlmodelc/weights/weight.bin"]
    find, call = (line.split() for line in log.read_text().splitlines())
    assert find == ["--find", "coremlcompiler"] and call[:2] == ["coremlcompiler", "compile"] and len(call) == 4
    assert not os.path.exists(call[2]) and not os.path.exists(call[3]), "nothing temporary is left"
    cortland("extract", lowered.pte, "-o", folder / "parts")
    assert (folder / "parts" / "forward_0" / "model.mlmodelc" / "weights" / "weight.bin").read_text() == "as compiled by a stand-in\n"
    np.savez(folder / "in.npz", in0=ONES.numpy(), in1=ONES.numpy())
    result = cortland("run", lowered.pte, "--inputs", folder / "in.npz", "--outputs", folder / "out.npz", check=False)
    assert result.returncode == 1 and "compiled by Apple's tools" in result.stderr


def test_without_apples_compiler_a_compiled_model_is_an_error_before_any_work(surface, folder, monkeypatch):
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(Refused, match="(?s)xcrun coremlcompiler.*(Xcode|model type)"):
        surface.lower(export(AddMulGelu(), ONES, ONES), folder, model_type="compiled_model")
    torch.export.save(export(AddMulGelu(), ONES, ONES), folder / "m.pt2")
    (folder / "broken.pt2").write_bytes(b"PK")
    for command, out in (("lower", "x.pte"), ("convert", "x.mlmodelc")):
        result = cortland(command, folder / "broken.pt2", "-o", folder / out, "--model-type", "compiled_model", check=False)
        assert result.returncode == 1 and "xcrun" in result.stderr and not (folder / out).exists()


@pytest.mark.parametrize("text, says", [("#!/bin/sh\necho 'xcrun: error: unable to find utility' >&2; exit 72\n", "unable to find utility"),
                                        ('#!/bin/sh\n[ "$1" = --find ] && exit 0\necho model.mil: bad >&2; exit 1\n', "model.mil: bad"),
                                        ("#!/bin/sh\nexit 0\n", "wrote no model.mlmodelc")])
def test_a_compiler_that_fails_is_an_error_with_what_it_says(text, says, folder, monkeypatch):
    stand_in(folder, monkeypatch, text)
    with pytest.raises(Refused, match=says):
        CommandLine().lower(export(AddMulGelu(), ONES, ONES), folder, model_type="compiled_model")


def test_the_passes_can_be_chosen(surface, folder):
    class Norm(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3)

        def forward(self, x):
            return self.norm(self.conv(x))

    module, x = Norm(), torch.randn(1, 2, 5, 5)
    module.norm.running_mean.uniform_(-1, 1)
    program, expected = export(module, x), [module(x).detach()]
    kinds = lambda lowered: {op for op, _ in operations(lowered.spec)}
    fused = surface.lower(program, folder, minimum_deployment_target="iOS17")
    assert "batch_norm" not in kinds(fused)
    check_outputs(fused.run(x), expected, "float16")
    for names in ([], ["common::dead_code_elimination"]):
        lowered = surface.lower(program, folder, minimum_deployment_target="iOS17", pass_names=names)
        assert "batch_norm" in kinds(lowered), names
        check_outputs(lowered.run(x), expected, "float16")
        assert json.loads(lowered.method["delegates"][0]["compile_specs"]["pass_pipeline"]) == names
    lowered = surface.lower(program, folder, minimum_deployment_target="iOS17", pass_names=["common::fuse_conv_batchnorm"])
    assert "batch_norm" not in kinds(lowered)
    with pytest.raises(Refused, match="(?s)fuse_conv_batchnom.*common::fuse_conv_batchnorm"):
        surface.lower(program, folder, pass_names=["common::fuse_conv_batchnom"])


def test_every_pass_that_coremltools_knows_is_accepted(surface, folder):
    import coremltools
    from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY

    x = torch.randn(2, 2)
    for names in (sorted(PASS_REGISTRY.passes), list(coremltools.PassPipeline.DEFAULT.passes)):
        lowered = surface.lower(export(AddMulGelu(), x, x), folder, pass_names=names, minimum_deployment_target="iOS17")
        check_outputs(lowered.run(x, x), [AddMulGelu()(x, x)], "float16")


# --- dynamic shapes


def range_of(feature):
    return [(r.lowerBound, r.upperBound) for r in feature.type.multiArrayType.shapeRange.sizeRanges]


def test_dynamic_shapes_become_range_dims_with_the_exports_bounds(surface, folder):
    module, x = torch.nn.Linear(8, 4), torch.randn(3, 8)
    lowered = surface.lower(export(module, x, dynamic_shapes=({0: Dim("n", min=2, max=9)},)), folder)
    assert range_of(lowered.spec.description.input[0]) == [(2, 9), (8, 8)]
    for n in (2, 5, 9):
        x = torch.randn(n, 8)
        check_outputs(lowered.run(x), [module(x).detach()], "float16")


def refused_at_run_time(lowered, *inputs):
    folder = lowered.pte.parent
    np.savez(folder / "in.npz", **{f"in{i}": t.numpy() for i, t in enumerate(inputs)})
    result = cortland("run", lowered.pte, "--inputs", folder / "in.npz", "--outputs", folder / "wrong.npz", check=False)
    assert result.returncode == 1 and not (folder / "wrong.npz").exists()
    return result.stderr


@pytest.mark.parametrize("n", [1, 10])
def test_a_size_outside_the_range_is_an_error_that_names_input_dimension_and_range(surface, n, folder):
    lowered = surface.lower(export(torch.nn.Linear(8, 4), torch.randn(3, 8), dynamic_shapes=({0: Dim("n", min=2, max=9)},)), folder)
    text = refused_at_run_time(lowered, torch.randn(n, 8))
    assert re.search(rf"input '(in0, )?input': dimension 0 is {n}, but the model takes (2 to|at most) 9", text), text


def test_inputs_that_share_a_symbol(surface, folder):
    n = Dim("n", min=2, max=6)
    program = export(AddMulGelu(), torch.randn(3, 4), torch.randn(3, 4), dynamic_shapes=({0: n}, {0: n}))
    lowered = surface.lower(program, folder)
    for size in (2, 6):
        x, y = torch.randn(size, 4), torch.randn(size, 4)
        check_outputs(lowered.run(x, y), [AddMulGelu()(x, y)], "float16")
    assert "3" in refused_at_run_time(lowered, torch.randn(3, 4), torch.randn(4, 4))


@pytest.mark.parametrize("derived", ["2*n", "n+1"])
def test_derived_dimensions_and_outputs_whose_shape_depends_on_them(surface, derived, folder):
    n = Dim("n", min=2, max=6)
    other = 2 * n if derived == "2*n" else n + 1
    size = (lambda k: 2 * k) if derived == "2*n" else (lambda k: k + 1)
    module = of(lambda x, y: (torch.cat([x, y]) * 2, torch.nn.functional.gelu(y[1:])))
    program = export(module, torch.randn(3, 4), torch.randn(size(3), 4), dynamic_shapes=(({0: n}, {0: other}),))
    lowered = surface.lower(program, folder)
    assert lowered.cpu_ops == []
    for k in (2, 5, 6):
        x, y = torch.randn(k, 4), torch.randn(size(k), 4)
        check_outputs(lowered.run(x, y), list(module(x, y)), "float16")


def test_operators_on_the_cpu_between_delegates_keep_working_with_dynamic_shapes(surface, folder):
    module = of(lambda x: torch.bitwise_or((torch.relu(x) * 3).to(torch.int32), 1).sum(1) + x.shape[0])
    program = export(module, torch.randn(3, 4), dynamic_shapes=(({0: Dim("n", min=2, max=50)},),))
    lowered = surface.lower(program, folder)
    assert lowered.cpu_ops == ["aten.bitwise_or.Scalar"] and len(lowered.report["delegates"]) == 2
    for n in (2, 17, 50):
        x = torch.randint(-9, 9, (n, 4)).float()
        [have] = lowered.run(x)
        assert np.array_equal(have, module(x).numpy())


def test_tensors_of_rank_6_never_reach_a_delegate(surface, folder):
    module = of(lambda x: torch.relu(x.view(2, 2, 3, 2, 2, 3).flip((1, 3, 5)).reshape(12, 12)) * 2)
    x = torch.randn(12, 12)
    lowered = surface.lower(export(module, x), folder)
    assert "aten.flip.default" in lowered.cpu_ops and len(lowered.report["delegates"]) >= 1
    check_outputs(lowered.run(x), [module(x)], "float16")


def test_a_delegate_takes_tensors_whose_size_the_data_decides(surface, folder):
    module = of(lambda x, mask: x * 2 + torch.nonzero(mask).to(torch.float32).sum())
    x, mask = torch.randn(3, 4), torch.tensor([1, 0, 2])
    lowered = surface.lower(export(module, x, mask), folder)
    assert lowered.cpu_ops == ["aten.nonzero.default"]
    for given in (mask, torch.tensor([0, 1, 0]), torch.ones(3, dtype=torch.int64)):
        check_outputs(lowered.run(x, given), [module(x, given)], "float16")


# --- enumerated shapes


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear1 = torch.nn.Linear(10, 5)
        self.linear2 = torch.nn.Linear(11, 5)

    def forward(self, x, y):
        return self.linear1(x).sum() + self.linear2(y)


ENUMERATED = {"x": [[1, 5, 10], [4, 6, 10]], "y": [[3, 11], [5, 11]]}


def page_program(model):
    auto = torch.export.Dim.AUTO
    return torch.export.export(model.eval(), (torch.randn((4, 6, 10)), torch.randn((5, 11))),
                               dynamic_shapes=[{0: auto(min=1, max=4), 1: auto(min=5, max=6)}, {0: auto(min=3, max=5)}])


def check_page_shapes(lowered, model):
    for shapes in zip(*ENUMERATED.values()):
        inputs = [torch.randn(shape) for shape in shapes]
        check_outputs(lowered.run(*inputs), [model(*inputs).detach()], "float16")
    for x, y in [([1, 5, 10], [5, 11]), ([4, 6, 10], [3, 11]), ([2, 5, 10], [3, 11]), ([4, 6, 10], [4, 11])]:
        refused_at_run_time(lowered, torch.randn(x), torch.randn(y))


@NEEDS_PACKAGE
def test_the_pages_example_of_enumerated_shapes(folder):
    """The page's code; only the import lines differ."""
    import coremltools as ct
    import cortland.exir

    model = Model()
    example_inputs = (
        torch.randn((4, 6, 10)),
        torch.randn((5, 11)),
    )

    enumerated_shapes = {"x": [[1, 5, 10], [4, 6, 10]], "y": [[3, 11], [5, 11]]}

    dynamic_shapes = [
        {
            0: torch.export.Dim.AUTO(min=1, max=4),
            1: torch.export.Dim.AUTO(min=5, max=6),
        },
        {0: torch.export.Dim.AUTO(min=3, max=5)},
    ]

    ep = torch.export.export(
        model.eval(), example_inputs, dynamic_shapes=dynamic_shapes
    )

    compile_specs = CoreMLBackend.generate_compile_specs(
        minimum_deployment_target=ct.target.iOS18
    )

    compile_specs.append(
        CoreMLBackend.generate_enumerated_shapes_compile_spec(
            ep,
            enumerated_shapes,
        )
    )

    partitioner = CoreMLPartitioner(
        compile_specs=compile_specs, lower_full_graph=True
    )

    delegated_program = cortland.exir.to_edge_transform_and_lower(
        ep,
        partitioner=[partitioner],
    )
    et_prog = delegated_program.to_executorch()

    with open(folder / "model.pte", "wb") as file:
        et_prog.write_to_file(file)
    check_page_shapes(Lowered(folder / "model.pte", delegated_program.report, []), model)


def test_enumerated_shapes_are_the_only_ones_accepted(surface, folder):
    model = Model()
    lowered = surface.lower(page_program(model), folder, enumerated_shapes=ENUMERATED, lower_full_graph=True, minimum_deployment_target="iOS18")
    shapes = {i.name: [list(s.shape) for s in i.type.multiArrayType.enumeratedShapes.shapes] for i in lowered.spec.description.input}
    assert shapes == ENUMERATED
    check_page_shapes(lowered, model)


def test_several_enumerated_inputs_need_ios18(surface, folder):
    program = page_program(Model())
    with pytest.raises(Refused, match="iOS18"):
        surface.lower(program, folder, enumerated_shapes=ENUMERATED, lower_full_graph=True, minimum_deployment_target="iOS17")
    lowered = surface.lower(program, folder, enumerated_shapes=ENUMERATED, lower_full_graph=True)
    assert lowered.report["target"] == "iOS18", "the smallest that can"


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_one_enumerated_input_works_everywhere(surface, target, folder):
    module = torch.nn.Linear(4, 3)
    program = export(module, torch.randn(3, 4), dynamic_shapes=({0: Dim.AUTO(min=1, max=8)},))
    lowered = surface.lower(program, folder, enumerated_shapes={"input": [[1, 4], [6, 4]]}, lower_full_graph=True, minimum_deployment_target=target)
    for n in (1, 6):
        x = torch.randn(n, 4)
        check_outputs(lowered.run(x), [module(x).detach()], "float16")
    assert "input 'input': its shape is [3, 4], but the model takes only [1, 4], [6, 4]" in refused_at_run_time(lowered, torch.randn(3, 4))


def test_enumerated_shapes_need_the_full_graph(surface, folder):
    with pytest.raises(Refused, match="enumerated shapes.*lower_full_graph"):
        surface.lower(page_program(Model()), folder, enumerated_shapes=ENUMERATED, minimum_deployment_target="iOS18")


@pytest.mark.parametrize("shapes, says", [
    ({"x": ENUMERATED["x"], "z": [[1], [2]]}, "no tensor input 'z'"),
    (ENUMERATED | {"y": [[3, 11]]}, "differ in length"),
    (ENUMERATED | {"y": [[3, 11], [6, 11]]}, "3 to 5"),
    ({"x": ENUMERATED["x"]}, "'y' has dynamic dimensions"),
])
def test_wrong_enumerated_shapes_are_errors_at_lowering(surface, shapes, says, folder):
    with pytest.raises(Refused, match=says):
        surface.lower(page_program(Model()), folder, enumerated_shapes=shapes, lower_full_graph=True, minimum_deployment_target="iOS18")


def test_a_static_input_cannot_be_enumerated(surface, folder):
    with pytest.raises(Refused, match="fixed shape"):
        surface.lower(export(torch.nn.Linear(4, 3), torch.randn(3, 4)), folder, enumerated_shapes={"input": [[3, 4], [4, 4]]}, lower_full_graph=True)


# --- the surfaces are one


ALL_OPTIONS = dict(skip_ops_for_coreml_delegation=["aten.gelu.default"], take_over_mutable_buffer=False, take_over_constant_data=False,
                   compute_unit="CPU_AND_NE", minimum_deployment_target="iOS17", compute_precision="FLOAT32", model_type="model",
                   pass_names=["common::noop_elimination"])


@NEEDS_PACKAGE
@pytest.mark.parametrize("options", [{}, ALL_OPTIONS, dict(enumerated_shapes={"x": [[2, 4], [6, 4]]}, lower_full_graph=True)])
def test_the_command_line_and_python_write_the_same_bytes(options, folder):
    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(4, 4)

        def forward(self, x):
            return torch.nn.functional.gelu(self.linear(x)) + 1

    program = export(Module(), torch.randn(3, 4), dynamic_shapes=({0: Dim("n", min=2, max=8)},))
    a = CommandLine().lower(program, folder, **options)
    bytes_a = a.pte.read_bytes()
    b = Python().lower(program, folder, **options)
    assert bytes_a == b.pte.read_bytes() and a.report == b.report and a.messages == b.messages


def test_compile_specs_made_elsewhere_come_by_the_command_line(folder):
    from executorch.backends.apple.coreml.compiler import CoreMLBackend as Upstream
    import coremltools

    program = export(AddMulGelu(), ONES, ONES)
    torch.export.save(program, folder / "m.pt2")
    specs = Upstream.generate_compile_specs(minimum_deployment_target=coremltools.target.iOS16, compute_unit=coremltools.ComputeUnit.CPU_ONLY)
    given = [part for spec in specs for part in ("--compile-spec", f"{spec.key}={spec.value.decode()}")]
    cortland("lower", folder / "m.pt2", "-o", folder / "a.pte", *given)
    cortland("lower", folder / "m.pt2", "-o", folder / "b.pte", "--deployment-target", "iOS16", "--compute-unit", "cpu_only")
    assert (folder / "a.pte").read_bytes() == (folder / "b.pte").read_bytes()
    cortland("lower", folder / "m.pt2", "-o", folder / "c.pte", "--compile-spec", "mine=a=b", "--precision", "float32", "--deployment-target", "iOS15")
    stored = json.loads(cortland("inspect", folder / "c.pte", "--json").stdout)["methods"][0]["delegates"][0]["compile_specs"]
    assert stored == {"mine": "a=b", "min_deployment_target": "6", "model_compute_precision": "float32"}
    result = cortland("lower", folder / "m.pt2", "-o", folder / "d.pte", "--precision", "float32", "--compile-spec", "model_compute_precision=float16", check=False)
    assert result.returncode == 1 and "model_compute_precision" in result.stderr and not (folder / "d.pte").exists()


@pytest.mark.parametrize("arguments, says", [
    (["--deployment-target", "iOS99"], "iOS99"), (["--precision", "float64"], "float64"), (["--compute-unit", "tpu"], "tpu"),
    (["--model-type", "zip"], "zip"), (["--compile-spec", "nothing"], "nothing"), (["--compile-spec", "min_deployment_target=x"], "min_deployment_target"),
    (["--pass-names", "common::nonsense"], "common::nonsense"), (["--op-linear-quantizer-config", "[]"], "op_linear_quantizer_config"),
    (["--enumerated-shapes", "x=1y2"], "x=1y2")])
@pytest.mark.parametrize("command, out", [("lower", "m.pte"), ("convert", "m.mlpackage")])
def test_wrong_choices_are_refused_by_name(command, out, arguments, says, folder):
    torch.export.save(export(AddMulGelu(), ONES, ONES), folder / "m.pt2")
    result = cortland(command, folder / "m.pt2", "-o", folder / out, *arguments, check=False)
    assert result.returncode == 1 and says in result.stderr and "help" in result.stderr and not (folder / out).exists()


# --- convert takes the same options


def converted(folder, program, *arguments):
    import coremltools

    torch.export.save(program, folder / "m.pt2")
    result = cortland("convert", folder / "m.pt2", "-o", folder / "m.mlpackage", *arguments)
    return coremltools.utils.load_spec(str(folder / "m.mlpackage")), result.stderr


def test_convert_takes_the_options(folder):
    program = export(Counter(torch.zeros(4, 8)), ONES)
    spec, _ = converted(folder, program, "--deployment-target", "iOS18")
    assert len(spec.description.state) == 1
    spec, _ = converted(folder, program, "--deployment-target", "iOS18", "--no-take-over-mutable-buffer")
    assert not spec.description.state and len(spec.description.input) == len(spec.description.output) == 2
    spec, text = converted(folder, program)
    assert spec.specificationVersion == 6 and "specification version 6" in text and "'total'" in text and "iOS18" in text
    program = export(torch.nn.Linear(4, 3), torch.randn(2, 4))
    spec, _ = converted(folder, program, "--deployment-target", "iOS17", "--no-take-over-constant-data", "--precision", "float32")
    assert len(spec.description.input) == 3 and float_types(spec) == {FLOAT32}
    _, text = converted(folder, program, "--compute-unit", "cpu_only")
    assert "compute unit" in text
    result = cortland("convert", folder / "m.pt2", "-o", folder / "x.mlpackage", "--skip-ops", "aten.linear.default", check=False)
    assert result.returncode == 1 and "skip_ops_for_coreml_delegation" in result.stderr


def test_convert_to_a_compiled_model(folder, monkeypatch):
    """With a stand-in for Apple's compiler."""
    stand_in(folder, monkeypatch)
    torch.export.save(export(torch.nn.Linear(4, 3), torch.randn(2, 4)), folder / "m.pt2")
    cortland("convert", folder / "m.pt2", "-o", folder / "m.mlmodelc", "--model-type", "compiled_model")
    assert sorted(str(p.relative_to(folder / "m.mlmodelc")) for p in (folder / "m.mlmodelc").rglob("*") if p.is_file()) == ["model.mil", "weights/weight.bin"]
