#!/usr/bin/env python3
"""Exports the models of the Python suite to a folder: <name>.pt2 and <name>.npz (in0.., out0..), further sizes as <name>.1.npz.

For working on one model without exporting it again and again:
    build/venv/bin/python tools/export_models.py build/models [name...]
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "python"))

import numpy as np
import torch

import models


def write_packages(name, program, folder):
    import packages  # takes seconds to import

    if name in packages.names():
        for precision in ("float16", "float32"):
            packages.write(program, folder / f"{name}.{precision}.mlpackage", precision)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--packages", action="store_true", help="also what coremltools makes of them: <name>.<precision>.mlpackage")
    parser.add_argument("names", nargs="*", help="all models when none is named")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.names or models.names():
        start = time.monotonic()
        case = models.build(name)
        program = models.export(case)
        torch.export.save(program, args.folder / f"{name}.pt2")
        for i, inputs in enumerate(case.inputs):
            arrays = {f"in{k}": t.numpy() for k, t in enumerate(inputs)}
            arrays |= {f"out{k}": t.numpy() for k, t in enumerate(models.expected(case, inputs))}
            np.savez(args.folder / (f"{name}.{i}.npz" if i else f"{name}.npz"), **arrays)
        if args.packages:
            write_packages(name, program, args.folder)
        ops = sorted({str(n.target) for n in program.graph.nodes if n.op == "call_function"})
        print(f"{name}: {time.monotonic() - start:.1f} s, {len(ops)} different ops: {' '.join(ops)}", flush=True)


if __name__ == "__main__":
    main()
