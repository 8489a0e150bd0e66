"""The Python package: the code of ExecuTorch's Core ML page with other imports, the options, errors, and that the command line
gives the same file."""

import io
import json
import os
import pickle
import re
import subprocess
import sys

import pytest
import torch

pytest.importorskip("cortland", reason="the package is not built: tools/build_python.sh")

import cortland as ct
import models
from conftest import check_outputs, cortland, run
from cortland.compiler import CoreMLBackend
from cortland.exir import to_edge_transform_and_lower
from cortland.partition import CoreMLPartitioner
from surfaces import ENUMERATED, Model, page_program


NOTHING_LEFT_OUT = pytest.mark.filterwarnings("error:.*(runs on the CPU|nothing was skipped):cortland.LoweringWarning")


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(8, 4)

    def forward(self, x):
        return torch.nn.functional.gelu(self.linear(x)) + x.mean()


class Cache(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("cache", torch.zeros(4, 8))

    def forward(self, x):
        self.cache.add_(x)
        return self.cache * 2


class Unsupported(torch.nn.Module):
    def forward(self, x):
        return torch.linalg.eigvalsh(x + 1)


def export(module, *args):
    with torch.no_grad():
        return torch.export.export(module.eval(), args)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    module, x = Small(), torch.randn(3, 8)
    return export(module, x), x, module(x).detach()


def lower(program, **options):
    return to_edge_transform_and_lower(program, partitioner=[CoreMLPartitioner(**options)])


def skips(*names):
    return {"skip_ops_for_coreml_delegation": list(names)}


@NOTHING_LEFT_OUT
def test_static_example_of_the_page(folder):
    """The page's own flow; only the import lines above differ."""
    case = models.build("mobilenet_v2")  # torchvision's, with seeded weights
    mobilenet_v2 = case.module.eval()
    sample_inputs = (torch.randn(1, 3, 224, 224),)

    et_program = to_edge_transform_and_lower(
        torch.export.export(mobilenet_v2, sample_inputs),
        partitioner=[CoreMLPartitioner()],
    ).to_executorch()

    with open(folder / "model.pte", "wb") as file:
        et_program.write_to_file(file)
    assert (folder / "model.pte").read_bytes() == et_program.buffer
    with torch.no_grad():
        check_outputs(run(folder / "model.pte", sample_inputs, folder), [mobilenet_v2(*sample_inputs)], "float16")


@pytest.mark.parametrize("precision", ["float16", "float32"])
@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_the_command_line_gives_the_same_file(small, target, precision, folder):
    program, x, expected = small
    torch.export.save(program, folder / "m.pt2")
    cortland("lower", folder / "m.pt2", "-o", folder / "cli.pte", "--deployment-target", target, "--precision", precision,
             "--compute-unit", "cpu_only", "--skip-ops", "aten.gelu.default", "--report", folder / "cli.json")
    specs = CoreMLBackend.generate_compile_specs(
        compute_unit=ct.ComputeUnit.CPU_ONLY, minimum_deployment_target=ct.target[target], compute_precision=ct.precision(precision))
    lowered = lower(program, compile_specs=specs, **skips("aten.gelu.default"))
    assert lowered.to_executorch().buffer == (folder / "cli.pte").read_bytes()
    assert lowered.report == json.loads((folder / "cli.json").read_text())
    assert [op["op"] for op in lowered.report["cpu_ops"]] == ["aten.gelu.default"]
    lowered.to_executorch().save(folder / "py.pte")
    check_outputs(run(folder / "py.pte", [x], folder), [expected], precision)


def test_operators_in_float32(small, folder):
    program, x, expected = small
    torch.export.save(program, folder / "m.pt2")
    cortland("lower", folder / "m.pt2", "-o", folder / "cli.pte", "--deployment-target", "iOS18", "--float32-ops", "aten.gelu.default")
    specs = CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS18)
    lowered = lower(program, compile_specs=specs, float32_ops=["aten.gelu.default"]).to_executorch()
    lowered.save(folder / "py.pte")
    assert re.search(r"tensor<fp32, .*= gelu\(", cortland("inspect", folder / "py.pte", "--mil").stdout)
    check_outputs(run(folder / "py.pte", [x], folder), [expected], "float16")
    with pytest.warns(ct.LoweringWarning, match="aten.frobnicate.default"):
        lower(program, float32_ops=["aten.frobnicate.default"])
    with pytest.raises(TypeError, match="list"):
        CoreMLPartitioner(float32_ops="aten.gelu.default")


def test_memory_path_and_method_dictionary_are_one(small, folder):
    program = small[0]
    path = folder / "m.pt2"
    torch.export.save(program, path)
    want = lower(program).to_executorch()
    assert lower(path).to_executorch().buffer == lower(str(path)).to_executorch().buffer == want.buffer
    assert lower({"forward": program}).to_executorch().buffer == want.buffer
    assert lower({"encode": program}).to_executorch().buffer != want.buffer
    want.save(folder / "m.pte")
    file = io.BytesIO()
    want.write_to_file(file)
    assert (folder / "m.pte").read_bytes() == file.getvalue() == want.buffer
    # The program outlives what it was made of.
    lowered = lower(program)
    del program
    path.unlink()
    assert lowered.to_executorch().buffer == want.buffer


def test_nothing_is_delegated_without_a_partitioner(small, folder):
    program, x, expected = small
    lowered = to_edge_transform_and_lower(program)
    assert lowered.report["delegates"] == [] and lowered.report["cpu_ops"]
    lowered.to_executorch().save(folder / "m.pte")
    check_outputs(run(folder / "m.pte", [x], folder), [expected], "float32")


SPECS = {
    "default": {},
    "all four": dict(compute_unit="CPU_AND_NE", minimum_deployment_target="iOS17", compute_precision="FLOAT32", model_type="COMPILED_MODEL"),
    "gpu": dict(compute_unit="CPU_AND_GPU", minimum_deployment_target="iOS18"),
    "quantiser": dict(op_linear_quantizer_config={"mode": "linear_symmetric", "dtype": "int4", "granularity": "per_channel", "é": 1.5}),
    "passes": dict(pass_names=["common::dead_code_elimination", "common::const_elimination"]),
    "no passes": dict(pass_names=[]),
}


def chosen(options, enums, backend):
    enum = {"compute_unit": enums.ComputeUnit, "minimum_deployment_target": enums.target, "compute_precision": enums.precision,
            "model_type": backend.MODEL_TYPE}
    return {k: enum[k][v] if k in enum else v for k, v in options.items()}


@pytest.mark.parametrize("name", SPECS)
def test_compile_specs_are_upstreams_bytes(name):
    import coremltools
    from executorch.backends.apple.coreml.compiler import CoreMLBackend as Upstream

    theirs = [(s.key, s.value) for s in Upstream.generate_compile_specs(**chosen(SPECS[name], coremltools, Upstream))]
    ours = [(s.key, s.value) for s in CoreMLBackend.generate_compile_specs(**chosen(SPECS[name], ct, CoreMLBackend))]
    assert ours == theirs
    # Their enums in our function.
    assert [(s.key, s.value) for s in CoreMLBackend.generate_compile_specs(**chosen(SPECS[name], coremltools, Upstream))] == theirs


def test_every_enum_value_is_coremltools():
    import coremltools

    for name, member in ct.target.__members__.items():
        if hasattr(coremltools.target, name):
            assert coremltools.target[name].value == member.value, name
    for name in ct.ComputeUnit.__members__:
        assert name in coremltools.ComputeUnit.__members__
    assert {m.value for m in ct.precision} == {m.value for m in coremltools.precision}


def test_upstreams_specs_are_accepted_and_stored_as_they_are(small, folder):
    import coremltools
    from executorch.backends.apple.coreml.compiler import CoreMLBackend as Upstream

    specs = Upstream.generate_compile_specs(minimum_deployment_target=coremltools.target.iOS16)
    lowered = lower(small[0], compile_specs=specs)
    assert lowered.report["target"] == "iOS16"
    assert lowered.to_executorch().buffer == lower(small[0], compile_specs=[ct.CompileSpec(s.key, s.value) for s in specs]).to_executorch().buffer
    # Without specs none are stored, which is not the same file as with the defaults.
    assert b"min_deployment_target" in lowered.to_executorch().buffer
    assert b"min_deployment_target" not in lower(small[0]).to_executorch().buffer


@pytest.mark.parametrize("options, says", [
    (dict(lower_full_graph=True, skip_ops_for_coreml_delegation=["aten.mm.default"]), "skip_ops_for_coreml_delegation"),
    (dict(lower_full_graph=True, take_over_constant_data=False), "take_over_constant_data"),
    (dict(lower_full_graph=True, take_over_mutable_buffer=False), "take_over_mutable_buffer"),
    (dict(compile_specs=[ct.CompileSpec("enumerated_shapes", b"[]")]), "lower_full_graph"),
])
def test_constructor_rules(options, says):
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner as Upstream

    with pytest.raises(AssertionError):
        Upstream(**options)
    with pytest.raises(AssertionError, match=says):
        CoreMLPartitioner(**options)


def test_partitioner_options_are_keywords():
    with pytest.raises(TypeError):
        CoreMLPartitioner(["aten.mm.default"])
    with pytest.raises(TypeError, match="list"):
        CoreMLPartitioner(skip_ops_for_coreml_delegation="aten.mm.default")


@pytest.mark.parametrize("options, kind, says", [
    (dict(model_type=CoreMLBackend.MODEL_TYPE.COMPILED_MODEL), "tool-missing", "xcrun coremlcompiler"),
    (dict(op_linear_quantizer_config={"dtype": "int4", "weight_threshold": 0}), "unsupported-target", "4-bit"),
    (dict(op_linear_quantizer_config={"dtype": "int5"}), "bad-option", "op_linear_quantizer_config"),
    (dict(pass_names=["common::dead_code_eliminatio"]), "bad-option", "common::dead_code_elimination"),
    (dict(minimum_deployment_target=ct.target.iOS13), "unsupported-target", "iOS13"),
])
def test_what_cannot_be_done_is_refused_by_name(small, options, kind, says):
    with pytest.raises(ct.LoweringError, match=says) as caught:
        lower(small[0], compile_specs=CoreMLBackend.generate_compile_specs(**options))
    assert caught.value.kind == kind and caught.value.help


@pytest.fixture(scope="module")
def two_inputs():
    return page_program(Model())


def test_the_spec_of_enumerated_shapes_is_upstreams_bytes(two_inputs):
    from executorch.backends.apple.coreml.compiler import CoreMLBackend as Upstream

    def same(program, shapes):
        theirs = Upstream.generate_enumerated_shapes_compile_spec(program, shapes)
        ours = CoreMLBackend.generate_enumerated_shapes_compile_spec(program, shapes)
        assert (ours.key, ours.value) == (theirs.key, theirs.value)

    same(two_inputs, ENUMERATED)

    class Add(torch.nn.Module):
        def forward(self, a, b, c):
            return a + b + c

    n = torch.export.Dim("n", min=2)  # no upper bound, shared by two inputs; the third is static
    same(torch.export.export(Add(), (torch.randn(3, 4), torch.randn(3, 4), torch.randn(1, 4)), dynamic_shapes=({0: n}, {0: n}, None)),
         {"a": [[1, 4], [70, 4]], "b": [[1, 4], [70, 4]]})


@pytest.mark.parametrize("shapes, says", [
    ({}, "none"),
    ({"x": ENUMERATED["x"]}, "'y' has dynamic dimensions"),
    (ENUMERATED | {"z": [[1], [2]]}, "no tensor input 'z'"),
    (ENUMERATED | {"y": [[3, 11]]}, "differ in length"),
    ({"x": [[1, 5, 10]], "y": [[3, 11]]}, "two shapes"),
    (ENUMERATED | {"y": [[3, 11], [5, 11, 1]]}, "rank 3"),
    (ENUMERATED | {"y": [[3, 11], [6, 11]]}, "6, but the export allows 3 to 5"),
    (ENUMERATED | {"y": [[2, 11], [5, 11]]}, "2, but the export allows 3 to 5"),
    (ENUMERATED | {"y": [[3, 11], [5, 12]]}, "dimension 1 is 11"),
    (ENUMERATED | {"y": [[3, 11], [5.0, 11]]}, "5.0"),
    (ENUMERATED | {"x": [[0, 5, 10], [4, 6, 10]]}, "not 0"),
])
def test_wrong_enumerated_shapes(two_inputs, shapes, says):
    with pytest.raises(ct.LoweringError, match=says):
        CoreMLBackend.generate_enumerated_shapes_compile_spec(two_inputs, shapes)


def test_enumerated_shapes_of_a_static_input(small):
    with pytest.raises(ct.LoweringError, match="fixed shape"):
        CoreMLBackend.generate_enumerated_shapes_compile_spec(small[0], {"x": [[3, 8], [4, 8]]})


def test_single_specs_are_upstreams():
    import coremltools
    from executorch.backends.apple.coreml.compiler import CoreMLBackend as Upstream

    for name, value in [("compute_unit", coremltools.ComputeUnit.CPU_AND_NE), ("minimum_deployment_target", coremltools.target.iOS17),
                        ("minimum_deployment_target", None), ("compute_precision", coremltools.precision.FLOAT32),
                        ("model_type", Upstream.MODEL_TYPE.COMPILED_MODEL), ("op_linear_quantizer_config", {"dtype": "int4"}),
                        ("pass_pipeline", ["common::dead_code_elimination"]),
                        ("multimethod_weight_sharing_strategy", ct.compiler.MULTIMETHOD_WEIGHT_SHARING_STRATEGY.DISABLED)]:
        ours, theirs = (getattr(b, f"generate_{name}_compile_spec")(value) for b in (CoreMLBackend, Upstream))
        assert (ours.key, ours.value) == (theirs.key, theirs.value)


@pytest.mark.parametrize("options", [dict(compute_unit="ALL"), dict(minimum_deployment_target=9), dict(compute_precision="float16"),
                                     dict(model_type="model"), dict(minimum_deployment_target=ct.precision.FLOAT16),
                                     dict(compute_precision=ct.target.iOS18)])
def test_choices_are_enum_members(options):
    with pytest.raises(TypeError, match=next(iter(options))):
        CoreMLBackend.generate_compile_specs(**options)


def test_full_graph_lists_every_operator_it_cannot_lower():
    program = export(Unsupported(), torch.randn(4, 4))
    with pytest.raises(ct.NotDelegatedError) as caught:
        lower(program, lower_full_graph=True)
    error = caught.value
    assert isinstance(error, (ct.LoweringError, NotImplementedError)) and isinstance(error, ValueError)
    assert error.kind == "not-delegated" and "aten.linalg_eigvalsh" in str(error)
    assert "test_python_package.py" in str(error)


def test_errors_survive_pickling():
    error = ct.LoweringError("what", "bad-input", "node", "op", "source", "help")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.kind, copy.node, copy.op, copy.source, copy.help, str(copy)) == ("bad-input", "node", "op", "source", "help", str(error))


def test_operators_on_the_cpu_are_warned_about_once_a_kind():
    class Twice(torch.nn.Module):  # a delegate cannot be passed int8
        def forward(self, x):
            return x + 1, x + 2

    with pytest.warns(ct.LoweringWarning) as seen:
        lowered = lower(export(Twice(), torch.ones(3, dtype=torch.int8)))
    assert [op["op"] for op in lowered.report["cpu_ops"]] == ["aten.add.Tensor"] * 2
    assert len(seen) == 1 and "(2 times)" in str(seen[0].message) and "test_python_package.py" in str(seen[0].message)


def test_a_skipped_name_that_no_operator_has_is_reported(small):
    with pytest.warns(ct.LoweringWarning, match="aten.frobnicate.default"):
        lower(small[0], **skips("aten.frobnicate.default"))


@NOTHING_LEFT_OUT
@pytest.mark.parametrize("name", ["aten.gelu.default", "aten.GELU.default"])
def test_skipped_names_in_any_case(small, name):
    assert [op["op"] for op in lower(small[0], **skips(name)).report["cpu_ops"]] == ["aten.gelu.default"]


def test_buffers_become_state_from_ios18_on():
    program = export(Cache(), torch.ones(4, 8))
    ios18 = CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS18)
    taken = lower(program, compile_specs=ios18).to_executorch().buffer
    kept = lower(program, compile_specs=ios18, take_over_mutable_buffer=False).to_executorch().buffer
    assert b"read_state" in taken and b"read_state" not in kept
    with pytest.warns(ct.LoweringWarning, match="iOS18"):
        lower(program)
    with pytest.raises(ct.LoweringError, match="iOS18"):
        lower(program, lower_full_graph=True)


def test_constant_data_may_stay_outside(folder):
    torch.manual_seed(0)
    module, x = torch.nn.Linear(64, 64), torch.randn(2, 64)
    lowered = lower(export(module, x), take_over_constant_data=False)
    inside = lower(export(module, x))
    assert lowered.report["delegates"][0]["bytes"] < 64 * 64 < inside.report["delegates"][0]["bytes"]
    lowered.to_executorch().save(folder / "m.pte")
    check_outputs(run(folder / "m.pte", [x], folder), [module(x).detach()], "float16")


@pytest.mark.parametrize("argument, value", [("transform_passes", [print]), ("generate_etrecord", True)])
def test_arguments_that_do_nothing_yet_are_refused(small, argument, value):
    with pytest.raises(ct.LoweringError, match=argument):
        to_edge_transform_and_lower(small[0], **{argument: value})


def test_other_wrong_arguments(small, folder):
    program = small[0]
    with pytest.raises(ct.LoweringError, match="constant method 'a' returns object"):
        to_edge_transform_and_lower(program, constant_methods={"a": object()})
    with pytest.raises(ct.LoweringError, match="several partitioners"):
        to_edge_transform_and_lower(program, partitioner=[CoreMLPartitioner(), CoreMLPartitioner()])
    with pytest.raises(TypeError, match="CoreMLPartitioner"):
        to_edge_transform_and_lower(program, partitioner=[object()])
    with pytest.raises(TypeError, match="ExportedProgram"):
        lower(Small())
    with pytest.raises(ct.LoweringError, match="nowhere.pt2") as caught:
        lower(folder / "nowhere.pt2")
    assert caught.value.kind == "file-not-found"
    (folder / "bad.pt2").write_bytes(b"PK" + bytes(100))
    with pytest.raises(ct.LoweringError) as caught:
        lower(folder / "bad.pt2")
    assert caught.value.kind == "bad-archive"
    with pytest.raises(ct.LoweringError):
        lower(program).to_executorch().save(folder / "no" / "such" / "folder.pte")
    assert sorted(p.name for p in folder.iterdir()) == ["bad.pt2"]


def test_a_file_is_lowered_without_torch_and_coremltools(small, folder):
    torch.export.save(small[0], folder / "m.pt2")
    code = ("import sys; sys.modules['torch'] = sys.modules['coremltools'] = None\n"
            "from cortland import *\n"
            "specs = CoreMLBackend.generate_compile_specs(minimum_deployment_target=target.iOS18)\n"
            "program = to_edge_transform_and_lower('m.pt2', partitioner=[CoreMLPartitioner(compile_specs=specs)])\n"
            "program.to_executorch().save('m.pte')\n")
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=os.environ, check=True, timeout=120)
    assert (folder / "m.pte").stat().st_size > 0
