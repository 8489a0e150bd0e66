#!/usr/bin/env python3
"""Lowers and runs the recorded corpus and compares every output with the recorded one.

Each case is lowered for each target and precision and run in the ExecuTorch runtime on all its input sets. Prints what was
correct, what was delegated and why the rest was not. The exit code is 1 when an output is wrong, when a lowered program does not
run, or when cortland crashes; a clear refusal to lower is counted but is no failure.

    build/venv/bin/python tools/corpus.py [--case lstm] [--target iOS17] [--precision float16] [--sample 100]
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
CORTLAND = Path(os.environ.get("CORTLAND", ROOT / "build" / "release" / "cortland"))
CORPUS = Path(os.environ.get("CORTLAND_CORPUS", ROOT.parent / "shared" / "corpus"))
TARGETS = ("iOS15", "iOS17", "iOS18")
PRECISIONS = ("float32", "float16")
TIMEOUT = 120
DELEGATED = ("full", "partial", "none")
# How a case can end, best first. All but the first two are failures.
RESULTS = ("correct", "refused", "wrong", "not run", "crash")
SEED = 3


def unpack(corpus):
    """The folders that hold a manifest: as they are, or unpacked from the archives to build/corpus."""
    folders = sorted(p.parent for p in corpus.glob("*/manifest.jsonl"))
    if folders:
        return folders
    out = ROOT / "build" / "corpus"
    for archive in sorted(corpus.glob("*.tar.xz")):
        folder = out / archive.name.removesuffix(".tar.xz")
        if not folder.exists():
            out.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=out) as temporary, tarfile.open(archive) as tar:
                tar.extractall(temporary)
                (Path(temporary) / folder.name).rename(folder)
        folders.append(folder)
    return folders


def read_cases(folders):
    cases = []
    for folder in folders:
        with open(folder / "manifest.jsonl") as file:
            for line in file:
                cases.append(json.loads(line) | {"folder": folder})
    return cases


def cortland(*args):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    try:
        result = subprocess.run([str(CORTLAND), *map(str, args)], capture_output=True, timeout=TIMEOUT, env=environment)
    except subprocess.TimeoutExpired:
        return -1, f"no end after {TIMEOUT} s"
    return result.returncode, result.stderr.decode(errors="replace")


def crashed(code):
    return code < 0 or code >= 126


def first_error(text):
    lines = [line for line in text.splitlines() if line.startswith("error")] or text.splitlines() or ["no message"]
    return lines[0][:300]


def difference(have, want, atol, rtol):
    """None when equal within the tolerances, else what differs."""
    if have.dtype != want.dtype:
        return f"dtype {have.dtype}, recorded {want.dtype}"
    if have.shape != want.shape:
        return f"shape {list(have.shape)}, recorded {list(want.shape)}"
    close = np.isclose(have, want, atol=atol, rtol=rtol, equal_nan=True)
    if close.all():
        return None
    at = tuple(int(i) for i in np.argwhere(~close)[0])
    return f"{int((~close).sum())} of {close.size} elements, first at {list(at)}: {have[at]}, recorded {want[at]}"


def check_set(case, entry, out_path, recorded):
    with np.load(out_path) as outputs:
        for i, spec in enumerate(entry["outputs"]):
            key = f"out{i}"
            if spec["kind"] != "tensor":
                continue  # ints and None are no arrays
            if key not in outputs:
                return f"{key} is missing"
            if entry["deterministic"] and (what := difference(outputs[key], recorded[key], case["atol"], case["rtol"])):
                return f"{key}: {what}"
            if not entry["deterministic"] and list(outputs[key].shape) != spec["shape"]:
                return f"{key}: shape {list(outputs[key].shape)}, recorded {spec['shape']}"
    return None


def run_case(job):
    """One case for one target and precision: a row of the result."""
    case, target, precision = job
    row = {"case": case["case"], "suite": case["suite"], "target": target, "precision": precision, "result": "correct",
           "delegated": None, "reasons": [], "detail": ""}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        start = time.monotonic()
        code, text = cortland("lower", case["folder"] / case["pt2"], "-o", folder / "m.pte", "--deployment-target", target,
                              "--precision", precision, "--report", folder / "r.json")
        row["lower_seconds"] = round(time.monotonic() - start, 3)
        if code != 0:
            row["result"] = "crash" if crashed(code) else "refused"
            row["detail"] = first_error(text)
            row["reasons"] = [row["detail"]]
            return row
        report = json.loads((folder / "r.json").read_text())
        row["delegated"] = "full" if not report["cpu_ops"] else "partial" if report["delegates"] else "none"
        row["reasons"] = sorted({f"{op['op']}: {op['reason']}" for op in report["cpu_ops"]})
        start = time.monotonic()
        for entry in case["sets"]:
            with np.load(case["folder"] / entry["file"]) as file:
                recorded = dict(file)
            np.savez(folder / "in.npz", **{k: v for k, v in recorded.items() if k.startswith("in")})
            code, text = cortland("run", folder / "m.pte", "--inputs", folder / "in.npz", "--outputs", folder / "out.npz")
            if code != 0:
                row["result"] = "crash" if crashed(code) else "not run"
                row["detail"] = first_error(text)
            elif what := check_set(case, entry, folder / "out.npz", recorded):
                row["result"], row["detail"] = "wrong", what
            if row["result"] != "correct":
                break
        row["run_seconds"] = round(time.monotonic() - start, 3)
    return row


def table(rows, targets, precisions):
    columns = ("cases", *RESULTS, *DELEGATED)
    print(f"\n{'':16}" + "".join(f"{c:>9}" for c in columns))
    for target in targets:
        for precision in precisions:
            part = [r for r in rows if (r["target"], r["precision"]) == (target, precision)]
            results = Counter(r["result"] for r in part) + Counter(r["delegated"] for r in part if r["delegated"])
            results["cases"] = len(part)
            print(f"{target} {precision:10}" + "".join(f"{results[c]:9}" for c in columns))


def frequent_reasons(rows, count=10):
    reasons = {}
    for row in rows:
        for reason in row["reasons"]:
            # Numbers and quoted names differ from case to case and would hide how frequent a reason is.
            reasons.setdefault(re.sub(r"'[^']*'|\b\d+\b", "_", reason), set()).add(row["case"])
    ranked = sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0]))
    if ranked:
        print("\nMost frequent reasons for refusals and CPU ops (cases):")
    for reason, cases in ranked[:count]:
        print(f"{len(cases):6}  {reason}")


def compare_with_peer(rows, corpus):
    """What ExecuTorch's own Core ML backend delegates fully and we do not, and the other way round."""
    files = {("executorch.backends.test.suite.operators", "iOS17"): "peer_baseline.tsv",
             ("executorch.backends.apple.coreml.test", "iOS17"): "peer_baseline_coreml_ios17.tsv",
             ("executorch.backends.apple.coreml.test", "iOS18"): "peer_baseline_coreml_ios18.tsv"}
    for (suite, target), name in files.items():
        part = {r["case"]: r["delegated"] for r in rows if (r["suite"], r["target"], r["precision"]) == (suite, target, "float16")}
        if not part or not (corpus / name).exists():
            continue
        with open(corpus / name) as file:
            header = file.readline().rstrip("\n").split("\t")
            peer = [dict(zip(header, line.rstrip("\n").split("\t"))) for line in file]
        peer_full = {p["case"] for p in peer if p["status"] == "full" and p["case"] in part}
        ours_full = {c for c, d in part.items() if d == "full"}
        only_peer = sorted(peer_full - ours_full)
        print(f"\n{target} {suite}: fully delegated {len(ours_full)} here, {len(peer_full)} by ExecuTorch's backend; "
              f"only there {len(only_peer)}, only here {len(ours_full - peer_full)}")
        for case in only_peer[:20]:
            print(f"        {case}")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="folder of the archives, or of unpacked suites")
    parser.add_argument("--case", action="append", help="only cases whose name holds this; may be repeated")
    parser.add_argument("--op", action="append", help="only cases with this operator, for instance aten::conv2d")
    parser.add_argument("--target", action="append", choices=("iOS15", "iOS16", "iOS17", "iOS18"))
    parser.add_argument("--precision", action="append", choices=PRECISIONS)
    parser.add_argument("--limit", type=int, help="only the first N cases")
    parser.add_argument("--sample", type=int, help="a fixed random sample of N cases")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "corpus.json", help="every single result")
    return parser.parse_args()


def select(cases, args):
    if args.case:
        cases = [c for c in cases if any(part in c["case"] for part in args.case)]
    if args.op:
        cases = [c for c in cases if any(op in c["ops"] for op in args.op)]
    if args.sample and args.sample < len(cases):
        cases = random.Random(SEED).sample(cases, args.sample)
    return cases[:args.limit]


def main():
    args = parse_arguments()
    targets, precisions = args.target or TARGETS, args.precision or PRECISIONS
    folders = unpack(args.corpus)
    if not folders:
        sys.exit(f"corpus: neither archives nor unpacked suites in {args.corpus}")
    cases = select(read_cases(folders), args)
    start = time.monotonic()
    # Threads: the work is in the cortland processes.
    with ThreadPoolExecutor(args.jobs) as pool:
        rows = list(pool.map(run_case, [(c, t, p) for c in cases for t in targets for p in precisions]))

    failures = [r for r in rows if r["result"] not in ("correct", "refused")]
    for row in failures[:40]:
        print(f"{row['result']}: {row['case']} {row['target']} {row['precision']}: {row['detail']}")
    if len(failures) > 40:
        print(f"... and {len(failures) - 40} more in {args.json}")
    table(rows, targets, precisions)
    frequent_reasons(rows)
    compare_with_peer(rows, args.corpus)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(rows, indent=1))
    print(f"\n{len(cases)} cases, {len(rows)} runs, {len(failures)} failures in {time.monotonic() - start:.0f} s")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
