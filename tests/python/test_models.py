"""Each model is lowered, run in the ExecuTorch runtime and compared with torch."""

import numpy as np
import pytest

import models
from conftest import check_outputs, cortland, lower, lower_and_run, run

SMALL = ["mlp", "conv_dynamic", "lstm", "lstm_bidirectional", "decoder_kv_cache", "bert_tiny", "gpt2"]


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("exported", models.names(), indirect=True)
def test_agrees_with_torch_and_is_fully_delegated(exported, precision, folder):
    pte, report = lower(exported.pt2, folder, precision)
    for inputs, expected in zip(exported.case.inputs, exported.expected):
        check_outputs(run(pte, inputs, folder), expected, precision)
    assert (report["target"], report["precision"]) == ("iOS18", precision)
    assert [f"{op['op']}: {op['reason']}" for op in report["cpu_ops"]] == []
    assert len(report["delegates"]) == 1


@pytest.mark.parametrize("target", ["iOS15", "iOS16", "iOS17"])
@pytest.mark.parametrize("exported", SMALL, indirect=True)
def test_agrees_on_older_targets(exported, target, folder):
    """There some ops may be left to the CPU kernels; the numbers stay the same."""
    pte, report = lower(exported.pt2, folder, "float32", target)
    for inputs, expected in zip(exported.case.inputs, exported.expected):
        check_outputs(run(pte, inputs, folder), expected, "float32")
    assert report["target"] == target


@pytest.mark.parametrize("exported", ["mlp", "conv_dynamic", "resnet18", "bert_tiny"], indirect=True)
def test_skipped_ops_run_on_the_cpu(exported, folder):
    skipped = {"mlp": "aten.gelu.default", "conv_dynamic": "aten.relu.default", "resnet18": "aten.max_pool2d.default",
               "bert_tiny": "aten.tanh.default"}[exported.name]
    outputs, report = lower_and_run(exported.pt2, exported.case.inputs[0], folder, "float32", options=["--skip-ops", skipped])
    check_outputs(outputs, exported.expected[0], "float32")
    assert report["cpu_ops"], f"{skipped} was to stay on the CPU"
    assert len(report["delegates"]) >= 1


@pytest.mark.parametrize("exported", ["conv_dynamic"], indirect=True)
def test_edge_dialect_name_skips_too(exported, folder):
    _, report = lower(exported.pt2, folder, options=["--skip-ops", "aten.convolution.default"])
    assert sum("conv" in op["op"] for op in report["cpu_ops"]) == 3


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("exported", ["sentence_encoder"], indirect=True)
def test_nearest_sentence_is_the_same(exported, precision, folder):
    (vectors,), _ = lower_and_run(exported.pt2, exported.case.inputs[0], folder, precision)

    def nearest(v):
        similar = v @ v.T
        np.fill_diagonal(similar, -2)
        return similar.argmax(1).tolist()

    assert nearest(exported.expected[0][0].numpy()) == exported.case.labels, "torch itself misses the pairs"
    assert nearest(vectors) == exported.case.labels


@pytest.mark.parametrize("exported", ["mlp", "resnet18"], indirect=True)
def test_same_bytes_on_every_run(exported, folder):
    first, second = folder / "a.pte", folder / "b.pte"
    cortland("lower", exported.pt2, "-o", first)
    cortland("lower", exported.pt2, "-o", second)
    assert first.read_bytes() == second.read_bytes()
