#!/usr/bin/env python3
"""Compares the MIL programs that `cortland convert` writes with those of coremltools, op by op.

Every model is exported once to build/models, converted for each target in float16 by both, and its ops are counted by type
(constants left out, `constexpr_*` counted with the weights). What coremltools makes is kept in build/coremltools, since that takes long.

    build/venv/bin/python tools/compare_ops.py [model...] [--target iOS18] [--write docs/coremltools.md]

Where models or targets are named, --write puts their rows in the place of those in the page and leaves the others.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "python"))

CORTLAND = Path(os.environ.get("CORTLAND", ROOT / "build" / "release" / "cortland"))
MODELS = ROOT / "build" / "models"
THEIRS = ROOT / "build" / "coremltools"
TARGETS = ("iOS15", "iOS17", "iOS18")

# What the Neural Engine does not run, by what Apple's engineers and public plans of compiled models say; float32 neither.
OFF_NEURAL_ENGINE = {"lstm", "gru", "rnn", "topk", "argsort", "gather_along_axis", "band_part", "scatter", "scatter_nd", "scatter_along_axis",
                     "non_zero", "cumsum", "one_hot", "shape", "gather_nd"}


def factories():
    import models
    import more_models

    return {n: module for module in (models, more_models) for n in module.names()}


def exported(name):
    path = MODELS / f"{name}.pt2"
    if not path.exists():
        import torch

        import models

        MODELS.mkdir(parents=True, exist_ok=True)
        case = factories()[name].build(name)
        torch.export.save(models.export(case), path)
    return path


def count(package):
    """Ops by type, and the bytes of the weight file."""
    from coremltools.proto import Model_pb2

    spec = Model_pb2.Model()
    spec.ParseFromString((package / "Data/com.apple.CoreML/model.mlmodel").read_bytes())
    ops = Counter()

    def visit(block):
        for op in block.operations:
            if op.type != "const" and not op.type.startswith("constexpr_"):
                # A convolution in float32 is another thing than one in float16: it leaves the Neural Engine.
                kind = op.outputs and op.outputs[0].type.tensorType.dataType
                ops[f"{op.type}.fp32" if kind == 11 and op.type != "cast" else op.type] += 1
            for nested in op.blocks:
                visit(nested)

    for function in spec.mlProgram.functions.values():
        for block in function.block_specializations.values():
            visit(block)
    weights = package / "Data/com.apple.CoreML/weights/weight.bin"
    return {"ops": dict(ops), "weights": weights.stat().st_size if weights.exists() else 0}


def ours(name, target):
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "m.mlpackage"
        result = subprocess.run([str(CORTLAND), "convert", str(exported(name)), "-o", str(package), "--deployment-target", target],
                                capture_output=True, text=True)
        return count(package) if result.returncode == 0 else {"error": result.stderr.strip()[:2000]}


def written(write):
    """What a way to coremltools' package gives: whatever it raises is its answer."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "m.mlpackage"
        try:
            write(package)
            return count(package)
        except Exception as e:
            return {"error": f"{type(e).__name__}: {e}"[:2000]}


# What coremltools says of an operator that it lacks.
LACKS = re.compile(r"Unsupported fx node .*, kind (\w+)")


def decompositions_of(lacked):
    """torch's own of the operator that the match names; none for no match."""
    import torch

    table = torch.export.default_decompositions() if lacked else {}
    return {op: f for op, f in table.items() if lacked and str(op).split(".")[1] == lacked[1]}


def theirs(name, target):
    cached = THEIRS / f"{name}.{target}.json"
    if cached.exists():
        return json.loads(cached.read_text())
    import torch

    import packages

    program = torch.export.load(exported(name))
    # ATen as exported gives small programs, so only what coremltools lacks is taken apart. From the traced module it knows more
    # operators: aten.lstm for one.
    table = {}
    as_exported = lambda package: packages.write(program, package, "float16", target, table)
    result = written(as_exported)
    if "error" in result:
        traced = written(lambda package: packages.write_traced(factories()[name].build(name), package, "float16", target))
        result = traced if "ops" in traced else result
    while "error" in result and (more := decompositions_of(LACKS.search(result["error"]))).keys() - table.keys():
        table |= more
        result = written(as_exported)
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.write_text(json.dumps(result, indent=1))
    return result


def difference(a, b):
    """Ours minus theirs by op type, without zeros: the largest excess first."""
    kinds = set(a) | set(b)
    found = [(k, a.get(k, 0) - b.get(k, 0)) for k in kinds]
    return sorted((d for d in found if d[1]), key=lambda d: (-d[1], d[0]))


def megabytes(n):
    return f"{n / 1e6:.2f}"


class Row:
    def __init__(self, name, target):
        self.name, self.target = name, target
        self.ours, self.theirs = ours(name, target), theirs(name, target)

    def total(self, side):
        side = getattr(self, side)
        return None if "error" in side else sum(side["ops"].values())

    def diff(self):
        return difference(self.ours.get("ops", {}), self.theirs.get("ops", {}))

    def worse(self):
        """What keeps the row from being at or under coremltools', in words."""
        if "error" in self.ours:
            return ["not converted"]
        if "error" in self.theirs:
            return []
        reasons = []
        if self.total("ours") > self.total("theirs"):
            reasons.append("more ops")
        if self.ours["weights"] > self.theirs["weights"]:
            reasons.append("larger weights")
        off = {k for k in self.ours["ops"] if k.split(".")[0] in OFF_NEURAL_ENGINE or k.endswith(".fp32")}
        new = sorted(k for k in off if self.ours["ops"][k] > self.theirs["ops"].get(k, 0))
        return reasons + [f"off the Neural Engine: {', '.join(new)}"] * bool(new)

    def exception(self):
        """worse() with numbers, for the page."""
        more = self.ours["weights"] - self.theirs["weights"] if "weights" in self.theirs else 0
        return f"{self.name} for {self.target}: " + ", ".join(f"weights +{more / 1e3:.1f} kB" if w == "larger weights" else w for w in self.worse())

    def markdown(self):
        a, b = self.total("ours"), self.total("theirs")
        show = ", ".join(f"{k} {n:+d}" for k, n in self.diff()) if a is not None and b is not None else ""
        sizes = [megabytes(s["weights"]) if "weights" in s else "-" for s in (self.ours, self.theirs)]
        return f"| {self.name} | {self.target} | {a if a is not None else 'refused'} | {b if b is not None else 'fails'} | {sizes[0]} | {sizes[1]} | {show} |"


HEADER = """# Ours against coremltools

The number of MIL ops in the program that `cortland convert` writes and in the one that coremltools 9.0 writes after its whole default pipeline,
from the same exported program, in float16, without `const` and `constexpr_*` ops; and the size of `weight.bin` in megabytes. The last column is ours minus
theirs by op type; `.fp32` marks ops whose result is float32. coremltools is given the program after `run_decompositions` with the fewest
decompositions that it can do with: none, or those of the operators that it lacks; where it lacks one, the traced module is tried before
(`aten.lstm` it knows from there alone). `fails` means that it converts none of these.

{exceptions}

Made by `build/venv/bin/python tools/compare_ops.py --write docs/coremltools.md`.

| model | target | ours | coremltools | our MB | their MB | difference |
|---|---|---:|---:|---:|---:|---|
"""


def exceptions(losing):
    if not losing:
        return "Every row is at or under coremltools in both."
    return "\n".join(["These rows are not at or under coremltools in everything:\n", *losing])


# A row of the page, and a row's line among the exceptions.
ROW, EXCEPTION = re.compile(r"^\| (\w+) \| (iOS\d+) \| "), re.compile(r"^- (\w+) for (iOS\d+): ")


def write_page(page, rows):
    """The page with these rows, and those that it has of other models and targets in their places."""
    lines = page.read_text().splitlines() if page.exists() else []
    table = {m.groups(): line for line in lines if (m := ROW.match(line))}
    losing = {m.groups(): line for line in lines if (m := EXCEPTION.match(line))}
    for row in rows:
        key = (row.name, row.target)
        table[key] = row.markdown()
        losing.pop(key, None)
        if row.worse():
            losing[key] = f"- {row.exception()}"
    order = {(name, target): i for i, (name, target) in enumerate((n, t) for n in factories() for t in TARGETS)}
    known = sorted((key for key in table if key in order), key=order.get)
    listed = [losing[key] for key in known if key in losing]
    page.write_text(HEADER.replace("{exceptions}", exceptions(listed)) + "".join(table[key] + "\n" for key in known))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help="all when none is named")
    parser.add_argument("--target", action="append", choices=TARGETS, help="all three unless given")
    parser.add_argument("--write", type=Path, help="the table as a Markdown file")
    args = parser.parse_args()
    rows = []
    for name in args.models or factories():
        for target in args.target or TARGETS:
            row = Row(name, target)
            rows.append(row)
            worse = row.worse()
            print(row.markdown() + (f"  <-- {'; '.join(worse)}" if worse else ""), flush=True)
            for side in ("ours", "theirs"):
                if "error" in getattr(row, side):
                    print(f"    {side}: {getattr(row, side)['error'].splitlines()[0][:200]}", flush=True)
    losing = [r for r in rows if r.worse()]
    print(f"{len(rows) - len(losing)} of {len(rows)} at or under coremltools")
    if args.write:
        write_page(args.write, rows)
    return 1 if losing else 0


if __name__ == "__main__":
    sys.exit(main())
