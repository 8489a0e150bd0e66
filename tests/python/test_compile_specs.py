"""What compile specs choose: unit, target, precision, format, passes; the same on both surfaces, and for `cortland convert`."""

import json
import os

import numpy as np
import pytest
import torch
from torch.export import Dim

from conftest import check_outputs, cortland
from surfaces import (AddMulGelu, buffer_messages, CommandLine, Counter, export, FLOAT16, FLOAT32, float_types, NEEDS_PACKAGE, of, ONES,
                      operations, Python, Refused, surface, totals)


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
