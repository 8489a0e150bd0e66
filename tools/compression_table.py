#!/usr/bin/env python3
"""Compresses models with the same configurations here and in coremltools, and prints what docs/compression.md shows: errors of
the weights and the outputs against the uncompressed package, and sizes; with --time, seconds and peak memory for a large model.

Which of two roundings of a weight is nearer in the outputs is chance to a part, and all outputs of one model share it. So models with
random weights are drawn several times, and one with trained weights is given several batches of inputs: --draws of either.

    build/venv/bin/python tools/compression_table.py [--time] [--draws 5] [--config "int8 per_channel"] [model...]
"""

import argparse
import json
import math
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
TRAINED = {"sentence_encoder"}
IMAGES = 8  # a batch


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


def batch_of(case, seed):
    """Inputs of the kind that a case has: images of noise, or its sentences with their words mixed."""
    torch.manual_seed(seed)
    first = case.inputs[0]
    if first[0].is_floating_point():
        return (torch.randn(IMAGES, *first[0].shape[1:]),)
    words, mask = first
    return words.flatten()[torch.randperm(words.numel())].reshape(words.shape), mask


def compared(name, seed, batches, labels, folder):
    """What each of the configurations gives here and there for one draw of the weights."""
    models.SEED = seed
    case = models.build(name)
    inputs = [batch_of(case, seed + i) for i in range(batches)]
    case.inputs = inputs
    pt2 = folder / "model.pt2"
    torch.export.save(models.export(case), pt2)
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


class Row:
    """One configuration of one model, over all draws."""

    def __init__(self):
        self.weights, self.outputs, self.bytes = ([], []), ([], []), None

    def add(self, result):
        self.bytes = result["bytes"]
        for side in range(2):
            self.weights[side].append(result["weights"][side])
            self.outputs[side].extend(result["outputs of each"][side])

    def ratios(self):
        return [a / b for a, b in zip(*self.outputs)]

    def ratio(self):
        """The geometric mean of ours by theirs, and two standard errors below and above it."""
        logs = [math.log(r) for r in self.ratios()]
        spread = 2 * statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else 0.0
        mean = statistics.fmean(logs)
        return math.exp(mean), math.exp(mean - spread), math.exp(mean + spread)

    def cells(self):
        weights, outputs = ([statistics.fmean(side) for side in pair] for pair in (self.weights, self.outputs))
        ratio, low, high = self.ratio()
        return [*(f"{w:.3e}" for w in weights), *(f"{o:.2e}" for o in outputs), f"{ratio:.2f} ({low:.2f} to {high:.2f})",
                *(f"{b / 1e6:.2f}" for b in self.bytes)]


def accuracy(name, labels, draws, folder):
    rows = {label: Row() for label in labels}
    for draw in range(1 if name in TRAINED else draws):
        for label, result in compared(name, 100 + draw, draws if name in TRAINED else 1, labels, folder):
            rows[label].add(result)
            print(f"{name}, {label}: {' '.join(f'{r:.2f}' for r in rows[label].ratios())}", file=sys.stderr, flush=True)
    for label, row in rows.items():
        print("| " + " | ".join([name, label, *row.cells()]) + " |", flush=True)


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
    parser.add_argument("--draws", type=int, default=5, help="of random weights, or of inputs for trained ones")
    parser.add_argument("--config", action="append", choices=CONFIGS, help="only this one; may be repeated")
    parser.add_argument("--coremltools", nargs=3, metavar=("package", "result", "config"), help="only this: compress with coremltools")
    parser.add_argument("models", nargs="*", default=[])
    args = parser.parse_args()
    if args.coremltools:
        plain, result, config = args.coremltools
        return compressed.compress_with_coremltools(plain, result, json.loads(Path(config).read_text()))
    with tempfile.TemporaryDirectory() as folder:
        if args.time:
            print("| configuration | s here | s coremltools | ratio | peak MB here | peak MB coremltools |\n|---|---|---|---|---|---|")
            return timing(Path(folder))
        print("| model | configuration | weight MSE here | coremltools | output MSE here | coremltools | ratio | MB here | coremltools |\n|---|---|---|---|---|---|---|---|---|")
        for name in args.models or MODELS:
            accuracy(name, args.config or list(CONFIGS), args.draws, Path(folder))
    return None


if __name__ == "__main__":
    main()
