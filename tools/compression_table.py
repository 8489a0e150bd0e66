#!/usr/bin/env python3
"""Compresses models with the same configurations here and in coremltools, and prints what docs/compression.md shows: errors of
the weights and the outputs against the uncompressed package, and sizes; with --time, seconds and peak memory for a large model.

    build/venv/bin/python tools/compression_table.py [--time | --draws 6] [model...]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "python"))

import torch

import compressed
import models
from conftest import CORTLAND

MODELS = ["resnet18", "mobilenet_v2", "sentence_encoder"]


def one(kind, **options):
    return {"config_type": f"Op{kind}Config", "global_config": options}


CONFIGS = {
    "int8 per_channel": ("iOS16", one("LinearQuantizer")),
    "int8 linear per_tensor": ("iOS16", one("LinearQuantizer", mode="linear", granularity="per_tensor")),
    "int4 per_channel": ("iOS18", one("LinearQuantizer", dtype="int4")),
    "int4 per_block 32": ("iOS18", one("LinearQuantizer", dtype="int4", granularity="per_block")),
    "k-means 8 bits": ("iOS16", one("Palettizer", nbits=8)),
    "k-means 6 bits": ("iOS16", one("Palettizer", nbits=6)),
    "k-means 4 bits": ("iOS16", one("Palettizer", nbits=4)),
    "k-means 4 bits, groups of 16": ("iOS18", one("Palettizer", nbits=4, granularity="per_grouped_channel", group_size=16)),
    "sparsity 0.5": ("iOS16", one("MagnitudePruner", target_sparsity=0.5)),
    "sparsity 0.5, int8": ("iOS18", [one("MagnitudePruner", target_sparsity=0.5), one("LinearQuantizer")]),
    "sparsity 0.5, k-means 4 bits": ("iOS18", [one("MagnitudePruner", target_sparsity=0.5), one("Palettizer", nbits=4)]),
    "k-means 4 bits, int8 tables": ("iOS18", [one("Palettizer", nbits=4), one("LinearQuantizer", granularity="per_tensor")]),
}


def compared(name, folder, labels=CONFIGS):
    """What each of the configurations gives here and there."""
    case = models.build(name)
    pt2 = folder / "model.pt2"
    torch.export.save(models.export(case), pt2)
    inputs = [case.inputs[0]]
    for seed in range(3):  # more of the same kind
        torch.manual_seed(seed)
        inputs.append(tuple(torch.randn_like(t) if t.is_floating_point() else t.flatten()[torch.randperm(t.numel())].reshape(t.shape)
                            for t in case.inputs[0]))
    plain = {}
    for label in labels:
        target, config = CONFIGS[label]
        if target not in plain:
            plain[target] = folder / f"plain_{target}.mlpackage"
            compressed.convert(pt2, plain[target], target)
        ours, theirs = folder / "ours.mlpackage", folder / "theirs.mlpackage"
        compressed.convert(pt2, ours, target, config=config)
        compressed.compress_with_coremltools(plain[target], theirs, config)
        yield label, compressed.compare(plain[target], ours, theirs, inputs, folder)


def accuracy(name, folder):
    for label, row in compared(name, folder):
        (w, w_theirs), (o, o_theirs), (b, b_theirs) = row["weights"], row["outputs"], row["bytes"]
        print(f"| {name} | {label} | {w:.3e} | {w_theirs:.3e} | {o:.2e} | {o_theirs:.2e} | {b / 1e6:.2f} | {b_theirs / 1e6:.2f} |", flush=True)


def chance(name, labels, draws, folder):
    """The error of the outputs here by that there, for several draws of the random weights: what a configuration does to each."""
    ratios = {label: [] for label in labels}
    for draw in range(draws):
        models.SEED = 100 + draw
        for label, row in compared(name, folder, labels):
            ratios[label].append(row["outputs"][0] / row["outputs"][1])
            mean = statistics.geometric_mean(ratios[label])
            print(f"| {name} | {label} | {' '.join(f'{r:.2f}' for r in ratios[label])} | {mean:.2f} |", flush=True)


class Stack(torch.nn.Module):
    """200 million weights in layers as transformers have them."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(2048, 2048) for _ in range(48))

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x


# A small process between: a child's peak begins with that of the process it came from, and this one holds torch and a model.
MEASURE = """
import json, resource, subprocess, sys, time
start = time.monotonic()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
print(json.dumps([code, time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024]))
"""


def measured(command):
    """Seconds and peak megabytes of a process."""
    result = subprocess.run([sys.executable, "-c", MEASURE, *map(str, command)], capture_output=True, text=True, check=True)
    code, seconds, megabytes = json.loads(result.stdout)
    if code != 0:
        raise SystemExit(f"{command[0]} failed")
    return seconds, megabytes


def timing(folder):
    pt2, plain, file = folder / "large.pt2", folder / "plain.mlpackage", folder / "c.json"
    torch.manual_seed(0)
    torch.export.save(torch.export.export(Stack().eval(), (torch.randn(1, 2048),)), pt2)
    compressed.convert(pt2, plain, "iOS18")
    print(f"{compressed.weight_bytes(plain) / 1e6:.0f} MB of float16 weights")
    convert = [CORTLAND, "convert", pt2, "-o", folder / "ours.mlpackage", "--deployment-target", "iOS18"]
    seconds, megabytes = measured(convert)
    print(f"| uncompressed | {seconds:.1f} | | | {megabytes:.0f} | |", flush=True)
    for label in ("int8 per_channel", "int4 per_channel", "k-means 4 bits"):
        config = CONFIGS[label][1]
        file.write_text(json.dumps(config))
        ours = measured(convert + ["--compress", file])
        theirs = measured([sys.executable, __file__, "--coremltools", plain, folder / "theirs.mlpackage", file])
        print(f"| {label} | {ours[0]:.1f} | {theirs[0]:.1f} | {theirs[0] / ours[0]:.0f} | {ours[1]:.0f} | {theirs[1]:.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--draws", type=int, help="instead: how the errors of outputs compare for so many draws of random weights")
    parser.add_argument("--config", action="append", choices=CONFIGS, help="only this one, with --draws")
    parser.add_argument("--coremltools", nargs=3, metavar=("package", "result", "config"), help="only this: compress with coremltools")
    parser.add_argument("models", nargs="*", default=[])
    args = parser.parse_args()
    if args.coremltools:
        plain, result, config = args.coremltools
        return compressed.compress_with_coremltools(plain, result, json.loads(Path(config).read_text()))
    with tempfile.TemporaryDirectory() as folder:
        if args.draws:
            for name in args.models or MODELS[:2]:
                chance(name, args.config or list(CONFIGS), args.draws, Path(folder))
            return None
        if args.time:
            print("| configuration | s here | s coremltools | ratio | peak MB here | peak MB coremltools |\n|---|---|---|---|---|---|")
            return timing(Path(folder))
        print("| model | configuration | weight MSE here | coremltools | output MSE here | coremltools | MB here | coremltools |\n|---|---|---|---|---|---|---|---|")
        for name in args.models or MODELS:
            accuracy(name, Path(folder))


if __name__ == "__main__":
    main()
