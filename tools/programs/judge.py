"""Lowers programs with `cortland`, runs them in the ExecuTorch runtime and compares with torch."""

import contextlib
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import noise
from program import Module

ROOT = Path(__file__).resolve().parent.parent.parent
CORTLAND = Path(os.environ.get("CORTLAND", ROOT / "build" / "release" / "cortland"))
TIMEOUT = 120
MOST_TEXT = 700
MOST_DYNAMIC = 16
NOISY_RUNS, MORE_NOISY_RUNS = 4, 40
# Our results may be this many times as far from torch's as those of the noisy runs.
FACTOR = 4.0
# A float16 run is judged as long as torch's numbers stay well inside its range.
LARGEST = 10000.0


@dataclass
class Finding:
    kind: str  # not exported, refused, not run, crash, wrong, not loaded
    detail: str
    output: int = -1


def cortland(*args):
    try:
        result = subprocess.run([str(CORTLAND), *map(str, args)], capture_output=True, timeout=TIMEOUT, env=os.environ | {"OMP_NUM_THREADS": "1"})
    except subprocess.TimeoutExpired:
        return -1, f"no end after {TIMEOUT} s"
    return result.returncode, result.stderr.decode(errors="replace")


def said(kind, code, text):
    return Finding("crash" if code < 0 or code >= 126 else kind, text.strip()[:MOST_TEXT] or "no message")


def evaluate(shape, sizes):
    """None for a size that the data gives."""
    values = [s if isinstance(s, int) else s.node.expr.subs(sizes) for s in shape]
    return [int(v) if not getattr(v, "free_symbols", None) else None for v in values]


@contextlib.contextmanager
def silent():
    """torch prints the graphs that it refuses to export."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield


class Exported:
    """Programs exported as one, with their inputs at one or more sizes."""

    def __init__(self, programs):
        self.programs = programs
        self.module = Module(programs)
        self.arguments = [i for p in programs for i in p.arguments()]
        dim = torch.export.Dim.AUTO(max=MOST_DYNAMIC)
        shapes = tuple({d: dim for d, is_dynamic in enumerate(i.dynamic) if is_dynamic} or None for i in self.arguments)
        with torch.no_grad(), silent():
            self.program = torch.export.export(self.module, tuple(i.tensor() for i in self.arguments), strict=False,
                                               dynamic_shapes={"inputs": shapes} if any(shapes) else None)

    def save(self, path):
        torch.export.save(self.program, path)

    def symbolic_shapes(self):
        nodes = {n.name: n for n in self.program.graph.nodes if n.op == "placeholder"}
        names = [s.arg.name for s in self.program.graph_signature.input_specs if s.kind.name == "USER_INPUT"]
        return [nodes[name].meta["val"].shape for name in names]

    def result_shapes(self):
        """As torch recorded them."""
        values = {n.name: n.meta["val"] for n in self.program.graph.nodes if isinstance(n.meta.get("val"), torch.Tensor)}
        return [values[s.arg.name].shape for s in self.program.graph_signature.output_specs if s.kind.name == "USER_OUTPUT"]

    def writes_buffers(self):
        """Whether a program writes to a weight. The signature says so only once writes are taken out of the graph."""
        return any(p.writes_weights() for p in self.programs)

    def other_sizes(self, random):
        """A number for each symbol, within what the export allows."""
        sizes = {}
        given = {s for shape in self.symbolic_shapes() for size in shape if not isinstance(size, int) for s in size.node.expr.free_symbols}
        for symbol, allowed in self.program.range_constraints.items():
            if symbol not in given:
                continue
            low = int(max(1, float(allowed.lower)))  # -inf for what is no size
            sizes[symbol] = random.randint(low, int(max(low, min(9, float(allowed.upper)))))
        return sizes

    def inputs(self, sizes=None):
        """A tensor for each input: of the sizes of the export, or of others."""
        if not sizes:
            return [i.tensor() for i in self.arguments]
        return [i.tensor(1, evaluate(shape, sizes)) for i, shape in zip(self.arguments, self.symbolic_shapes())]


def comparable(x):
    """In float64, with large numbers for what is none: two infinities differ by nothing."""
    return np.nan_to_num(np.asarray(x, np.float64), nan=7e77, posinf=8e77, neginf=-8e77)


def close(have, want, runs, half):
    """None when a result is within what rounding may do, else what differs."""
    if any(r.shape != want.shape for r in runs):
        return None  # noise decides how many are left
    if have.shape != tuple(want.shape):
        return f"shape {list(have.shape)}, torch {list(want.shape)}"
    if str(have.dtype) != str(want.dtype).removeprefix("torch."):
        return f"dtype {have.dtype}, torch {want.dtype}"
    stable = np.ones(have.shape, bool)
    exact = want.numpy()
    if want.is_floating_point():
        # Infinities and NaN are exact; the rest within the spread.
        h, w = comparable(have), comparable(exact)
        spread = np.asarray(np.max([np.abs(comparable(r.numpy()) - w) for r in runs], axis=0))
        stable &= spread < 1e70
        unit = 2.0 ** -(11 if half or want.dtype == torch.float16 else 23)
        # The spread of the whole result, a little: a number may be lucky in all runs.
        inside = spread[spread < 1e70]
        bound = FACTOR * np.maximum(spread, 0.1 * inside.max(initial=0)) + 4 * unit * np.abs(w) + (1e-6 if half else 1e-30)
        wrong = stable & ~(np.abs(h - w) <= bound)
    else:
        for r in runs:
            stable &= r.numpy() == exact
        wrong = stable & (have != exact)
    if not wrong.any():
        return None
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{int(wrong.sum())} of {wrong.size} numbers, first at {list(at)}: {have[at]}, torch {exact[at]}"


def compare(program, inputs, have, half):
    """The first output that differs from torch's, as a Finding."""
    weights = {w.name: w.tensor() for w in program.weights()}
    want = program.run(inputs, weights)
    for count in (NOISY_RUNS, MORE_NOISY_RUNS):
        runs, largest = noise.noisy_runs(program, inputs, weights, half, range(count))
        if half and largest > LARGEST:
            return None
        found = next((Finding("wrong", f"{program.outputs[k]}: {what}", k) for k, (h, w) in enumerate(zip(have, want))
                      if (what := close(h, w, [r[k] for r in runs], half))), None)
        if not found:
            return None
    return found


def lower(pt2, folder, target, precision, options=()):
    """(path of the .pte, report), or a Finding."""
    pte = folder / "m.pte"
    code, text = cortland("lower", pt2, "-o", pte, "--deployment-target", target, "--precision", precision, "--report", folder / "r.json",
                          *options)
    return said("refused", code, text) if code else (pte, json.loads((folder / "r.json").read_text()))


def run(pte, inputs, folder):
    """Arrays, or a Finding."""
    np.savez(folder / "in.npz", **{f"in{i}": t.numpy() for i, t in enumerate(inputs)})
    code, text = cortland("run", pte, "--inputs", folder / "in.npz", "--outputs", folder / "out.npz")
    if code:
        return said("not run", code, text)
    with np.load(folder / "out.npz") as file:
        return [file[f"out{i}"] for i in range(len(file.files))]


def loads(pte, folder):
    """Loads each delegate's package in coremltools, which checks the types of its ops. A Finding when it does not."""
    import sys

    sys.path.insert(0, str(ROOT / "tests" / "python"))
    import packages

    parts = folder / "parts"
    code, text = cortland("extract", pte, "-o", parts)
    if code:
        return said("not loaded", code, text)
    for package in sorted(parts.rglob("*.mlpackage")):
        try:
            packages.read(package)
        except Exception as error:  # whatever coremltools raises
            return Finding("not loaded", f"coremltools: {type(error).__name__}: {str(error)[:300]}")
    return None


def check(programs, target, precision, folder, random, load=False, sizes=2, options=()):
    """A Finding or None for each program, and the report. A Finding instead of the list concerns them all."""
    try:
        exported = Exported(programs)
        exported.save(folder / "m.pt2")
    except Exception as error:  # torch's: it has many
        return Finding("not exported", str(error).splitlines()[0][:200] if str(error) else type(error).__name__), {}
    lowered = lower(folder / "m.pt2", folder, target, precision, options)
    if isinstance(lowered, Finding):
        return lowered, {}
    pte, report = lowered
    findings = [None] * len(programs)
    dynamic = any(not isinstance(s, int) for shape in exported.symbolic_shapes() for s in shape)
    for attempt in range(1 + (sizes if dynamic else 0)):
        symbols = exported.other_sizes(random) if attempt else None
        inputs = exported.inputs(symbols)
        if attempt and not torch_takes(exported, inputs, symbols):
            continue
        have = run(pte, inputs, folder)
        if isinstance(have, Finding):
            return (have if sound(exported, random) else Finding("not exported", "torch exports sizes as dynamic that it then refuses")), report
        at, out = 0, 0
        for i, program in enumerate(programs):
            count = len(program.arguments())
            findings[i] = findings[i] or compare(program, inputs[at : at + count], have[out : out + len(program.outputs)], precision == "float16")
            at, out = at + count, out + len(program.outputs)
    if load and report["delegates"] and (found := loads(pte, folder)):
        return found, report
    # What is delegated as a whole is also where it has to be.
    if load and not options and not report["cpu_ops"] and not exported.writes_buffers():
        lowered = lower(folder / "m.pt2", folder, target, precision, ["--lower-full-graph"])
        if isinstance(lowered, Finding):
            return lowered, report
    return findings, report


def sound(exported, random, tries=3):
    """Whether the sizes that the export allows are sizes that torch takes. A model is prepared for one of them when it is loaded."""
    for sizes in [exported.other_sizes(random) for _ in range(tries)]:
        if sizes and not torch_takes(exported, exported.inputs(sizes), sizes):
            return False
    return True


def torch_takes(exported, inputs, symbols):
    """Whether torch computes the programs at these sizes, and as it exported them: it takes the size of the export for all others in
    places, and an index may name a place that is gone."""
    at, shapes = 0, [evaluate(shape, symbols) for shape in exported.result_shapes()]
    have = []
    for program in exported.programs:
        count = len(program.arguments())
        try:
            have += program.run(inputs[at : at + count])
        except (RuntimeError, IndexError, ValueError):
            return False
        at += count
    return all(t.dim() == len(shape) and all(s in (None, n) for s, n in zip(shape, t.shape)) for t, shape in zip(have, shapes))
