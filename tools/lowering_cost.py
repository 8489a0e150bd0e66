#!/usr/bin/env python3
"""Counts the instructions of lowering three small models and compares them with bench/lowering_cost.txt.

    build/venv/bin/python tools/lowering_cost.py [--record]

valgrind's count hardly depends on the machine, and not on what else it does. It does on the compiler: counts that another one recorded
are not compared. More by the tolerance is a failure; `--record` writes what is counted now, after a change that is worth its price
or makes lowering cheaper. Exits with 77 when there is nothing to compare with.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("CORTLAND_BUILD", ROOT / "build" / "release"))
RECORD = ROOT / "bench" / "lowering_cost.txt"
TOLERANCE = 0.05
MODELS = ("mobilenet_v3_small", "decoder_kv_cache", "encoder_8_layers")
SKIPPED = 77


def export(folder):
    sys.path.insert(0, str(ROOT / "tests" / "python"))
    import torch
    from torch import nn

    import models

    def encoder():
        layer = nn.TransformerEncoderLayer(128, 4, 512, batch_first=True)
        net = nn.TransformerEncoder(layer, 8, enable_nested_tensor=False)
        for p in net.parameters():
            nn.init.normal_(p, std=0.05)  # the blocks are made as copies, whose weights would be stored once
        return models.Case(net, [(torch.randn(1, 32, 128),)])

    for name in MODELS:
        case = models.build(name, models.FACTORIES | {"encoder_8_layers": encoder})
        torch.export.save(models.export(case), folder / f"{name}.pt2")


def compiler():
    """The compiler and its major version."""
    cache = next((BUILD / "CMakeFiles").glob("*/CMakeCXXCompiler.cmake")).read_text()
    kind, version = (re.search(rf'CMAKE_CXX_COMPILER_{what} "([^"]*)"', cache).group(1) for what in ("ID", "VERSION"))
    return f"{kind} {version.split('.')[0]}"


def count(pt2, folder):
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder / 'callgrind'}", str(BUILD / "cortland"), "lower", str(pt2),
               "-o", str(folder / "m.pte"), "--deployment-target", "iOS18"]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return int(found.group(1))


def read_record():
    """The compiler, and the counts by model."""
    lines = [line for line in RECORD.read_text().splitlines() if line and not line.startswith("#")] if RECORD.exists() else []
    fields = dict(line.split("\t") for line in lines)
    return fields.pop("compiler", None), {name: int(n) for name, n in fields.items()}


def write_record(counts):
    lines = ["# Instructions of `cortland lower`, written by tools/lowering_cost.py --record.", f"compiler\t{compiler()}"]
    RECORD.write_text("\n".join(lines + [f"{name}\t{n}" for name, n in counts.items()]) + "\n")


def compare(counts, recorded):
    """Whether each is within the tolerance, with a line for each."""
    good = True
    for name, n in counts.items():
        before = recorded.get(name)
        if before is None:
            print(f"FAILED {name}: {n} instructions, and none are recorded")
            good = False
            continue
        change = n / before - 1
        verdict = "FAILED" if change > TOLERANCE else "ok    "
        hint = "; tools/lowering_cost.py --record keeps the gain" if change < -TOLERANCE else ""
        print(f"{verdict} {name}: {n / 1e6:.2f} million instructions, recorded {before / 1e6:.2f} ({change:+.1%}){hint}")
        good = good and change <= TOLERANCE
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true")
    args = parser.parse_args()
    by, recorded = read_record()
    if by != compiler() and not args.record:
        print(f"the counts were recorded with {by}, this is {compiler()}")
        return SKIPPED
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        export(folder)
        counts = {name: count(folder / f"{name}.pt2", folder) for name in MODELS}
    if args.record:
        write_record(counts)
    return 0 if compare(counts, counts if args.record else recorded) else 1


if __name__ == "__main__":
    sys.exit(main())
