"""The two surfaces that lower a program, the command line and the Python package, with the same options, and what tests ask of the result."""

import functools
import json
import warnings

import numpy as np
import pytest
import torch

from calls import run_calls
from conftest import cortland, run

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


def refused_at_run_time(lowered, *inputs):
    folder = lowered.pte.parent
    np.savez(folder / "in.npz", **{f"in{i}": t.numpy() for i, t in enumerate(inputs)})
    result = cortland("run", lowered.pte, "--inputs", folder / "in.npz", "--outputs", folder / "wrong.npz", check=False)
    assert result.returncode == 1 and not (folder / "wrong.npz").exists()
    return result.stderr


class AddMulGelu(torch.nn.Module):
    def forward(self, x, y):
        return torch.nn.functional.gelu(x + y) * y


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


class Model(torch.nn.Module):
    """The page's example of enumerated shapes."""

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
