"""The engine runs a model after every pass that changes it: none may change what it computes. And the result is no larger than
coremltools'."""

import sys

import numpy as np
import pytest
import torch

import models
import more_models
from conftest import ROOT, cortland

sys.path.insert(0, str(ROOT / "tools"))
import compare_ops

# Small enough for the reference kernels, and together every kind of pass fires.
NAMES = ["mlp", "conv_dynamic", "bert_tiny", "gpt2", "decoder_kv_cache", "albert", "llama", "t5", "clip", "whisper_encoder", "wav2vec2", "segformer",
         "unet", "shufflenet_v2_x0_5", "levit_128s", "mobilevit_xxs", "fastvit_t8", "poolformer_s12", "edgenext_xx_small", "mobilenet_v3_small"]


@pytest.mark.parametrize("name", NAMES)
def test_no_pass_changes_the_numbers(name, folder):
    module = models if name in models.names() else more_models
    case = module.build(name)
    torch.export.save(models.export(case), folder / "model.pt2")
    np.savez(folder / "in.npz", **{f"in{i}": t.numpy() for i, t in enumerate(case.inputs[0])})
    # Elsewhere its cache is an input and an output.
    stateful = name == "decoder_kv_cache"
    for target, precision in (("iOS18", "float16"),) if stateful else (("iOS18", "float16"), ("iOS15", "float32")):
        result = cortland("check-passes", folder / "model.pt2", "--inputs", folder / "in.npz", "--deployment-target", target, "--precision", precision)
        passes = [line.split()[-1] for line in result.stdout.splitlines()[1:]]
        assert passes[0] == "lowering" and (len(passes) > 1 or name == "mlp"), result.stdout


# Those that coremltools converts within seconds.
@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
@pytest.mark.parametrize("name", ["mlp", "conv_dynamic", "bert_tiny", "gpt2", "albert", "llama", "clip", "whisper_encoder", "wav2vec2", "segformer",
                                  "unet", "shufflenet_v2_x0_5", "fastvit_t8", "edgenext_xx_small", "mobilenet_v3_small"])
def test_no_larger_than_coremltools(name, target):
    row = compare_ops.Row(name, target)
    assert row.total("theirs"), row.theirs
    assert row.worse() == [], row.markdown()
