#!/usr/bin/env python3
"""Lowers models of timm, torchvision, transformers and others, runs them in the ExecuTorch runtime and compares with torch. Prints a row
a model: what was delegated, and how far the outputs are from torch's, relative to the largest.

    build/venv/bin/python tools/survey.py [--suite transformers] [--target iOS18] [--table docs/models.md] [name...]

Exported programs and torch's outputs stay in build/survey, so that a second run exports nothing (--fresh forgets them); so do the rows,
and the table is made of all of them.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "python"), str(ROOT / "tools")]
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch

import models
from survey_models import SUITES

CORTLAND = Path(os.environ.get("CORTLAND", ROOT / "build" / "release" / "cortland"))
STORE = ROOT / "build" / "survey"
# Of the largest value of an output, unless torch itself is no better: see own_error.
LIMIT = {"float32": 1e-3, "float16": 2e-2}
ROUNDING = {"float32": 1e-6, "float16": 5e-4}


def first_line(error):
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def build(suite, name):
    _, make = SUITES[suite]
    torch.manual_seed(models.SEED)
    with torch.no_grad():
        case = make(name)
        if suite != "quant":  # those are calibrated already
            settle(case)
    case.module.eval()
    return case


def settle(case):
    """Makes the numbers of random weights tell something: what starts at 0, or close to it, would hide what it is multiplied with; and
    batch norms without statistics let an image vanish on its way, or leave float16's range."""
    for p in case.module.parameters():
        if p.is_floating_point() and p.numel() and p.abs().max() < 1e-3:
            torch.nn.init.normal_(p, std=0.05)
    if any(isinstance(m, torch.nn.BatchNorm2d) for m in case.module.modules()) and len(case.inputs[0]) == 1:
        models.settle(case.module, case.inputs[0][0].shape[1:])


def seeded(module, inputs):
    """Outputs as a flat list; buffers that the model writes keep their first values."""
    torch.manual_seed(models.SEED)
    buffers = [(b, b.clone()) for b in module.buffers()]
    with torch.no_grad():
        out = module(*inputs)
        for buffer, first in buffers:
            buffer.copy_(first)
    return [t for t in torch.utils._pytree.tree_leaves(out) if isinstance(t, torch.Tensor)]


def arrays(tensors, prefix):
    return {f"{prefix}{i}": t.detach().numpy() for i, t in enumerate(tensors)}


def export(suite, name, folder):
    """Writes m.pt2, in<k>.npz and want<k>.npz for each set of inputs, or why torch refuses in refused.txt."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    case = build(suite, name)
    for k, inputs in enumerate(case.inputs):
        np.savez(folder / f"want{k}.npz", **arrays(seeded(case.module, inputs), "out"))
        np.savez(folder / f"in{k}.npz", **arrays([x for x in inputs if isinstance(x, torch.Tensor)], "in"))
    try:
        torch.export.save(models.export(case), folder / "m.pt2")
    except Exception as e:  # torch's refusals have many types
        (folder / "refused.txt").write_text(f"{type(e).__name__}: {first_line(e)}")


def cortland(*args):
    result = subprocess.run([str(CORTLAND), *map(str, args)], capture_output=True, text=True, timeout=600)
    if result.returncode:
        lines = result.stderr.splitlines()
        raise RuntimeError(next((line for line in lines if line.startswith("error")), f"exit code {result.returncode}"))


def error_of(have, want):
    """The largest difference, relative to the largest value of the output; of integers, the share that differs."""
    if have.shape != want.shape or have.dtype != want.dtype:
        raise RuntimeError(f"an output is {have.dtype}{list(have.shape)}, torch has {want.dtype}{list(want.shape)}")
    if want.dtype.kind != "f":
        return float((have != want).mean()) if want.size else 0.0
    same = (have == want) | (np.isnan(have) & np.isnan(want))
    finite = np.abs(want[np.isfinite(want)])
    largest = max(finite.max() if finite.size else 0, 1e-30)  # some heads start at 0
    worst = np.where(same, 0, np.abs(have - want) / largest).max() if want.size else 0.0
    return float("inf") if np.isnan(worst) else float(worst)


def distance(folder, k, outputs):
    have, want = np.load(outputs), np.load(folder / f"want{k}.npz")
    if len(have.files) != len(want.files):
        raise RuntimeError(f"there are {len(have.files)} outputs, torch has {len(want.files)}")
    return max((error_of(have[f"out{i}"], want[f"out{i}"]) for i in range(len(want.files))), default=0.0)


def own_error(suite, name, folder, precision):
    """What rounding costs torch itself. In float16: its own float16, since random heads close to 0 amplify rounding; nan where it has none
    or leaves the range. Of quantised activations: how far the outputs move when the inputs move by that much, for a last bit before
    rounding may be a whole step of a quantised value."""
    kept = folder / f"own_{precision}.json"
    if not kept.exists():
        case = build(suite, name)
        floats = [isinstance(x, torch.Tensor) and x.is_floating_point() for x in case.inputs[0]]
        errors = []
        try:
            if suite == "quant":
                for _ in range(4):
                    moved = [x * (1 + ROUNDING[precision] * torch.randn_like(x)) if f else x for x, f in zip(case.inputs[0], floats)]
                    np.savez(folder / "own.npz", **arrays(seeded(case.module, moved), "out"))
                    errors.append(distance(folder, 0, folder / "own.npz"))
            elif precision == "float16":
                halves = [x.half() if f else x for x, f in zip(case.inputs[0], floats)]
                have = [t.float() if t.is_floating_point() else t for t in seeded(case.module.half(), halves)]
                np.savez(folder / "own.npz", **arrays(have, "out"))
                errors.append(distance(folder, 0, folder / "own.npz"))
        except Exception:  # some models keep float32 inside
            errors.append(float("nan"))
        kept.write_text(json.dumps(max(errors, default=0.0)))
    return json.loads(kept.read_text())


def lower_and_run(folder, target, precision):
    cortland("lower", folder / "m.pt2", "-o", folder / "m.pte", "--deployment-target", target, "--precision", precision,
             "--report", folder / "r.json")
    errors = []
    for k in range(len(list(folder.glob("in*.npz")))):
        cortland("run", folder / "m.pte", "--inputs", folder / f"in{k}.npz", "--outputs", folder / "out.npz")
        errors.append(distance(folder, k, folder / "out.npz"))
    report = json.loads((folder / "r.json").read_text())
    (folder / "m.pte").unlink()
    return max(errors), report


def reasons(report):
    """Operators on the CPU with their reason, the same ones counted."""
    counted = Counter((op["op"].split("::")[-1], op["reason"]) for op in report["cpu_ops"])
    return [f"{n} {op}: {why}" for (op, why), n in counted.items()]


def survey(suite, name, target, fresh):
    """A row as a dictionary; `remark` says what is wrong, `good` whether anything is."""
    folder = STORE / suite / name
    row = {"suite": suite, "model": name, "good": False, "remark": "", "reasons": []}
    try:
        if fresh or not ((folder / "m.pt2").exists() or (folder / "refused.txt").exists()):
            export(suite, name, folder)
        if (folder / "refused.txt").exists():
            return {**row, "good": True, "remark": "torch.export: " + (folder / "refused.txt").read_text()}
        for precision in LIMIT:
            row[precision], report = lower_and_run(folder, target, precision)
            row["delegates"], row["delegated"] = len(report["delegates"]), sum(len(d["ops"]) for d in report["delegates"])
            row["cpu"], row["reasons"] = len(report["cpu_ops"]), reasons(report)
    except Exception as e:  # a row says why; the others go on
        return {**row, "remark": first_line(e)}
    for precision, limit in LIMIT.items():
        if row[precision] <= limit:
            continue
        own = own_error(suite, name, folder, precision)
        row["remark"] = f"torch's own {precision}: {own:.0e}"
        if not row[precision] <= 2 * own:  # nan proves nothing
            return row
    return {**row, "good": True}


def cells(row):
    if "float16" not in row:
        return [row["model"], "", "", "", "", "", row["remark"]]
    return [row["model"], row["delegated"], row["delegates"], row["cpu"], f"{row['float32']:.0e}", f"{row['float16']:.0e}",
            "; ".join([row["remark"]] * bool(row["remark"]) + row["reasons"])]


def line(row):
    return "| " + " | ".join(str(c).replace("|", "\\|")[:300] for c in cells(row)) + " |"


PAGE = """# Models

Models with random weights, exported, lowered for {target} and run in the ExecuTorch runtime on Linux: {good} of {all} agree with torch, to
1e-3 of the largest value of an output in float32 and 2e-2 in float16, or to twice what rounding costs torch itself (its own float16; of
quantised activations, where a last bit may be a whole step, how far torch's outputs move when the inputs do by that much). {whole} of
them are one Core ML model without any operator on the CPU. {refused} more are refused by torch.export itself, with the reason in their
row.{missing} Transformers are tiny configurations, the others have their real sizes. Written by
`build/venv/bin/python tools/survey.py --table docs/models.md`.
"""
HEAD = """
## {suite}

| model | operators delegated | delegates | on the CPU | float32 | float16 | |
|---|---|---|---|---|---|---|
"""


def page(rows, target):
    ran = [r for r in rows if not r["remark"].startswith("torch.export")]
    missing = sum(len(names) for names, _ in SUITES.values()) - len(rows)
    text = PAGE.format(target=target, good=sum(r["good"] for r in ran), all=len(ran), refused=len(rows) - len(ran),
                       whole=sum(r.get("cpu") == 0 and r.get("delegates") == 1 for r in ran),
                       missing=f" {missing} of the tool's list were not run." if missing else "")
    for suite in SUITES:
        own = [line(r) for r in rows if r["suite"] == suite]
        if own:
            text += HEAD.format(suite=suite) + "\n".join(own) + "\n"
    return text


def kept_rows():
    order = {(suite, name): i for i, (suite, name) in enumerate((s, n) for s, (names, _) in SUITES.items() for n in names)}
    rows = [json.loads(f.read_text()) for f in STORE.glob("*/*/row.json")]
    return sorted((r for r in rows if (r["suite"], r["model"]) in order), key=lambda r: order[r["suite"], r["model"]])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="iOS18")
    parser.add_argument("--suite", action="append", choices=list(SUITES), help="once for each; all unless given")
    parser.add_argument("--table", type=Path, help="write all rows as a Markdown page")
    parser.add_argument("--fresh", action="store_true", help="export again")
    parser.add_argument("--failed", action="store_true", help="only what has no good row yet")
    parser.add_argument("names", nargs="*")
    options = parser.parse_intermixed_args()
    warnings.filterwarnings("ignore")
    failed = 0
    for suite in options.suite or SUITES:
        for name in SUITES[suite][0]:
            kept = STORE / suite / name / "row.json"
            if options.names and name not in options.names:
                continue
            if options.failed and kept.exists() and json.loads(kept.read_text())["good"]:
                continue
            start = time.monotonic()
            row = survey(suite, name, options.target, options.fresh)
            kept.write_text(json.dumps(row, indent=1))
            failed += not row["good"]
            print("" if row["good"] else "FAILED ", f"{suite} {line(row)} {time.monotonic() - start:.0f} s", sep="", flush=True)
    if options.table:
        options.table.write_text(page(kept_rows(), options.target))
    print(f"{failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
