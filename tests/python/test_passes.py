"""The engine runs a model after every pass that changes it: none may change what it computes. And the result is no larger than
coremltools'."""

import random
import sys

import numpy as np
import pytest

from conftest import ROOT, cortland

sys.path.insert(0, str(ROOT / "tools"))
import compare_ops
import corpus

# Too large for the engine to run a dozen times.
LARGE = {"bert_base", "convnext_tiny", "regnet_y_400mf", "resnet50", "swin_t", "vit_b_16"}
NAMES = [name for name in compare_ops.factories() if name not in LARGE]
# Their caches are states from iOS18 on, and inputs that the case does not have before.
STATEFUL = {"decoder_kv_cache", "decoder_two_steps", "streaming_conv"}
# Of the corpus: an operator that nobody has, and a buffer that starts with numbers and is an input.
NOT_CONVERTED = {"coreml_partitioner.lower_full_graph", "coreml_partitioner.buffer"}


def check_passes(pt2, arrays, folder, target="iOS18", precision="float16"):
    """What `cortland check-passes` says, and the passes that changed the program."""
    np.savez(folder / "in.npz", **arrays)
    result = cortland("check-passes", pt2, "--inputs", folder / "in.npz", "--deployment-target", target, "--precision", precision, check=False)
    return result, [line.split()[-1] for line in result.stdout.splitlines()[1:]]


@pytest.mark.parametrize("name", NAMES)
def test_no_pass_changes_the_numbers(name, folder):
    case = compare_ops.factories()[name].build(name)
    arrays = {f"in{i}": t.numpy() for i, t in enumerate(case.inputs[0])}
    for target, precision in (("iOS18", "float16"), ("iOS15", "float32"))[:1 if name in STATEFUL else 2]:
        result, passes = check_passes(compare_ops.exported(name), arrays, folder, target, precision)
        assert result.returncode == 0 and passes[0] == "lowering", result.stdout + result.stderr


def test_no_pass_changes_the_numbers_of_recorded_programs(folder):
    """A sample of the corpus, which has each operator with arguments that models seldom give it."""
    cases = corpus.read_cases(corpus.unpack(corpus.CORPUS)) if corpus.CORPUS.exists() else []
    if not cases:
        pytest.skip(f"no corpus in {corpus.CORPUS}")
    wrong, changed = [], set()
    for case in random.Random(corpus.SEED).sample(cases, 250):
        with np.load(case["folder"] / case["sets"][0]["file"]) as file:
            arrays = {k: v for k, v in file.items() if k.startswith("in")}
        result, passes = check_passes(case["folder"] / case["pt2"], arrays, folder)
        changed |= set(passes)
        if result.returncode and case["case"] not in NOT_CONVERTED:
            wrong.append(f"{case['case']}: {result.stderr.splitlines()[0]}")
    assert wrong == []
    assert len(changed - {"lowering"}) > 2, f"a sample that the passes find nothing in: {changed}"


# Those that coremltools converts within seconds.
@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
@pytest.mark.parametrize("name", ["mlp", "conv_dynamic", "bert_tiny", "gpt2", "albert", "llama", "clip", "whisper_encoder", "wav2vec2", "segformer",
                                  "unet", "shufflenet_v2_x0_5", "fastvit_t8", "edgenext_xx_small", "mobilenet_v3_small"])
def test_no_larger_than_coremltools(name, target):
    row = compare_ops.Row(name, target)
    assert row.total("theirs"), row.theirs
    assert row.worse() == [], row.markdown()
