"""Compressed packages, ours and coremltools', side by side: the same configuration on the same uncompressed package."""

import json
import logging
import os
import shutil
from pathlib import Path

import numpy as np

from conftest import cortland, run

logging.getLogger("coremltools").setLevel(logging.ERROR)
os.environ.setdefault("TQDM_DISABLE", "1")

import coremltools as ct
import coremltools.optimize.coreml as cto


def steps_of(config):
    return config if isinstance(config, list) else [config]


def convert(pt2, path, target, precision="float16", config=None):
    """Our package of an exported program, compressed when there is a configuration."""
    options = []
    if config is not None:
        file = Path(path).with_suffix(".json")
        file.write_text(json.dumps(config))
        options = ["--compress", file]
    return cortland("convert", pt2, "-o", path, "--deployment-target", target, "--precision", precision, *options)


def compress_with_coremltools(plain, path, config):
    """coremltools' compression of a package: one pass a step, joint from the second on."""
    model = ct.models.MLModel(str(plain), skip_model_load=True)
    for i, step in enumerate(steps_of(config)):
        optimization = cto.OptimizationConfig.from_dict(json.loads(json.dumps(step)))
        kind = step["config_type"]
        compress = (cto.linear_quantize_weights if kind == "OpLinearQuantizerConfig" else
                    cto.palettize_weights if kind == "OpPalettizerConfig" else cto.prune_weights)
        model = compress(model, optimization, **({"joint_compression": True} if i > 0 else {}))
    if Path(path).exists():
        shutil.rmtree(path)
    model.save(str(path))


def weights_of(path):
    """Large weights as they come back, by op and input."""
    model = cto.decompress_weights(ct.models.MLModel(str(path), skip_model_load=True))
    from coremltools.converters.mil.frontend.milproto.load import load

    spec = model.get_spec()
    program = load(spec, spec.specificationVersion, model.weights_dir)
    weights = {}
    for op in program.functions["main"].operations:
        for name, value in op.inputs.items():
            array = getattr(value, "val", None)
            if op.op_type != "const" and isinstance(array, np.ndarray) and array.dtype in (np.float16, np.float32) and array.size > 9:
                weights[op.name, name] = array.astype(np.float64)
    return weights


def weight_bytes(path):
    return (Path(path) / "Data/com.apple.CoreML/weights/weight.bin").stat().st_size


def mean_squared_error(have, want):
    return sum(((h - w) ** 2).sum() for h, w in zip(have, want)) / sum(w.size for w in want)


def compare(plain, ours, theirs, inputs, folder):
    """{name: (ours, theirs)}: errors against the uncompressed package, of the outputs for each of the inputs too, and sizes."""
    weights = {p: weights_of(p) for p in (plain, ours, theirs)}
    assert weights[plain].keys() == weights[ours].keys() == weights[theirs].keys()
    keys = list(weights[plain])

    def outputs(path):
        return [[out.astype(np.float64) for out in run(path, sample, folder)] for sample in inputs]

    reference = outputs(plain)
    row = {"weights": [], "outputs": [], "outputs of each": [], "bytes": []}
    for path in (ours, theirs):
        row["weights"].append(mean_squared_error([weights[path][k] for k in keys], [weights[plain][k] for k in keys]))
        row["outputs of each"].append([mean_squared_error(have, want) for have, want in zip(outputs(path), reference)])
        row["outputs"].append(float(np.mean(row["outputs of each"][-1])))
        row["bytes"].append(weight_bytes(path))
    return row
