"""Packages in both directions: coremltools loads ours, our engine runs coremltools'."""

import pytest
import torch

import packages
from conftest import check_outputs, cortland, run

# The heaviest ones add minutes and no op.
LIGHT = [n for n in packages.names() if n not in ("bert_base", "resnet50")]


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
@pytest.mark.parametrize("precision", ["float16", "float32"])
@pytest.mark.parametrize("exported", ["mlp", "conv_dynamic", "lstm", "resnet18", "bert_tiny"], indirect=True)
def test_coremltools_loads_our_package(exported, precision, target, folder):
    check_loads(exported, precision, target, folder)


@pytest.mark.parametrize("exported", ["lstm_bidirectional", "decoder_kv_cache", "mobilenet_v2", "mobilenet_v3_small",
                                      "efficientnet_b0", "vit_b_16", "gpt2", "sentence_encoder"], indirect=True)
def test_coremltools_loads_our_float16_package(exported, folder):
    check_loads(exported, "float16", "iOS18", folder)


def check_loads(exported, precision, target, folder):
    path = folder / "ours.mlpackage"
    cortland("convert", exported.pt2, "-o", path, "--precision", precision, "--deployment-target", target)
    spec, program = packages.read(path)
    version = {"iOS15": 6, "iOS16": 7, "iOS17": 8, "iOS18": 9}[target]
    assert spec.specificationVersion == version
    assert len(spec.description.input) == len(exported.case.inputs[0])
    assert len(spec.description.output) == len(exported.expected[0])
    assert program.functions["main"].operations
    # The same file in our engine.
    check_outputs(run(path, exported.case.inputs[0], folder), exported.expected[0], precision)


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("exported", LIGHT, indirect=True)
def test_our_engine_runs_a_coremltools_package(exported, precision, folder):
    path = folder / "theirs.mlpackage"
    packages.write(exported.program, path, precision)
    for inputs, expected in zip(exported.case.inputs, exported.expected):
        check_outputs(run(path, inputs, folder), expected, precision)


class Positions(torch.nn.Module):
    """A position encoding as xcit has it: a convolution of what never changes, whose result is larger than its weights."""

    def __init__(self):
        super().__init__()
        self.register_buffer("waves", torch.randn(1, 32, 14, 14))
        self.project = torch.nn.Conv2d(32, 96, 1)
        self.patches = torch.nn.Conv2d(3, 96, 4, stride=4)

    def forward(self, image):
        return torch.relu(self.patches(image) + self.project(self.waves))


def test_folding_does_not_enlarge_weights(tmp_path):
    torch.manual_seed(0)
    model, x = Positions().eval(), torch.randn(1, 3, 56, 56)
    program = torch.export.export(model, (x,))
    torch.export.save(program, tmp_path / "model.pt2")
    cortland("convert", tmp_path / "model.pt2", "-o", tmp_path / "ours.mlpackage", "--precision", "float16", "--deployment-target", "iOS18")
    packages.write(program, tmp_path / "theirs.mlpackage", decompositions={})
    sizes = [(tmp_path / side / "Data/com.apple.CoreML/weights/weight.bin").stat().st_size for side in ("ours.mlpackage", "theirs.mlpackage")]
    assert sizes[0] <= sizes[1]
    check_outputs(run(tmp_path / "ours.mlpackage", (x,), tmp_path), [model(x).detach()], "float16")
