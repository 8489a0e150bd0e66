"""The engine runs a model after every pass that changes it: none may change what it computes."""

import numpy as np
import pytest

import models
import more_models
from conftest import cortland
import torch

# Small enough for the reference kernels, and together every kind of pass fires.
NAMES = ["mlp", "conv_dynamic", "bert_tiny", "gpt2", "decoder_kv_cache", "albert", "llama", "t5", "clip", "whisper_encoder", "wav2vec2", "segformer",
         "unet", "shufflenet_v2_x0_5", "levit_128s", "mobilevit_xxs", "fastvit_t8", "poolformer_s12", "edgenext_xx_small", "mobilenet_v3_small"]


@pytest.mark.parametrize("name", NAMES)
def test_no_pass_changes_the_numbers(name, folder):
    module = models if name in models.names() else more_models
    case = module.build(name)
    torch.export.save(models.export(case), folder / "model.pt2")
    np.savez(folder / "in.npz", **{f"in{i}": t.numpy() for i, t in enumerate(case.inputs[0])})
    for target, precision in (("iOS18", "float16"), ("iOS15", "float32")):
        result = cortland("check-passes", folder / "model.pt2", "--inputs", folder / "in.npz", "--deployment-target", target, "--precision", precision)
        passes = [line.split()[-1] for line in result.stdout.splitlines()[1:]]
        assert passes[0] == "lowering" and len(passes) > 1, result.stdout
