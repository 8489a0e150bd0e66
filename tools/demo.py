#!/usr/bin/env python3
"""Lowers the digits classifier, runs it in the ExecuTorch runtime and compares it with torch. Needs no torch and no numpy."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import npz

ROOT = Path(__file__).resolve().parent.parent
CORTLAND = ROOT / "build" / "release" / "cortland"
DIGITS = ROOT / "tests" / "data" / "digits"
OUT = ROOT / "build" / "demo"


def cortland(*args):
    command = [str(CORTLAND), *map(str, args)]
    print("$", " ".join(a.replace(f"{ROOT}/", "") for a in command))
    start = time.monotonic()
    if (code := subprocess.run(command).returncode) != 0:
        sys.exit(f"demo: cortland {args[0]} failed with exit code {code}")
    return time.monotonic() - start


def best(row):
    return max(range(len(row)), key=row.__getitem__)


def compare(precision, recorded):
    pte, report_file, outputs = (OUT / f"digits_{precision}{end}" for end in (".pte", ".json", ".npz"))
    lowering = cortland("lower", DIGITS / "digits.pt2", "-o", pte, "--precision", precision, "--report", report_file)
    running = cortland("run", pte, "--inputs", OUT / "images.npz", "--outputs", outputs)

    report = json.loads(report_file.read_text())
    ours, theirs = npz.load(outputs)["out0"], recorded["out0"]
    labels = recorded["labels"].values
    decisions, torch_decisions = [best(r) for r in ours.rows()], [best(r) for r in theirs.rows()]
    accuracy, torch_accuracy = (sum(d == l for d, l in zip(ds, labels)) / len(labels) for ds in (decisions, torch_decisions))
    same = sum(a == b for a, b in zip(decisions, torch_decisions))
    difference = max(abs(a - b) for a, b in zip(ours.values, theirs.values))
    largest = max(map(abs, theirs.values))

    delegated = Counter(op for d in report["delegates"] for op in d["ops"])
    print(f"  target      {report['target']}, {report['precision']}")
    print(f"  delegated   {sum(delegated.values())} operators in {len(report['delegates'])} delegate(s): "
          + ", ".join(f"{op} x{n}" if n > 1 else op for op, n in delegated.most_common()))
    print(f"  on the CPU  {len(report['cpu_ops'])} operators")
    for op in report["cpu_ops"]:
        print(f"    {op['op']}: {op['reason']}")
    print(f"  accuracy    {accuracy:.2%} of {len(labels)} images (torch {torch_accuracy:.2%}), {same} decisions as torch's")
    print(f"  difference  at most {difference:.2e}, outputs reach {largest:.1f}")
    print(f"  time        {lowering:.2f} s to lower, {running:.2f} s to load and run\n")
    return same == len(labels) and ours.shape == theirs.shape


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    recorded = npz.load(DIGITS / "digits.npz")
    npz.save(OUT / "images.npz", {"in0": recorded["in0"]})
    if not all([compare(precision, recorded) for precision in ("float16", "float32")]):
        sys.exit("demo: the program decides differently from torch")


if __name__ == "__main__":
    main()
