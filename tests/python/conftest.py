"""What the tests share: the path of the program, lowering and running, and how outputs are compared."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

import models

ROOT = Path(__file__).resolve().parent.parent.parent
CORTLAND = Path(os.environ.get("CORTLAND", ROOT / "build" / "release" / "cortland"))
TIMEOUT = 300

# Relative error and cosine that the outputs must keep.
LIMITS = {"float32": (1e-3, 0.99999), "float16": (2e-2, 0.999)}


def cortland(*args, check=True):
    result = subprocess.run([str(CORTLAND), *map(str, args)], capture_output=True, text=True, timeout=TIMEOUT)
    if check:
        assert result.returncode == 0, f"cortland {args[0]}: exit code {result.returncode}\n{result.stderr}"
    return result


def run(program, inputs, folder, method=None):
    """Runs a .pte or .mlpackage, or one method of it, and gives its outputs in order."""
    arrays = folder / "in.npz"
    out = folder / "out.npz"
    np.savez(arrays, **{f"in{i}": t.numpy() for i, t in enumerate(inputs)})
    cortland("run", program, "--inputs", arrays, "--outputs", out, *(["--method", method] if method else []))
    with np.load(out) as file:
        return [file[f"out{i}"] for i in range(len(file.files))]


def lower(pt2, folder, precision="float16", target="iOS18", options=()):
    """Gives the .pte and the report."""
    pte, report = folder / "model.pte", folder / "report.json"
    cortland("lower", pt2, "-o", pte, "--precision", precision, "--deployment-target", target, "--report", report, *options)
    return pte, json.loads(report.read_text())


def lower_and_run(program, inputs, folder, precision="float16", target="iOS18", options=()):
    """Saves an exported program (or takes the path of a saved one), lowers it and runs it. Gives outputs and report."""
    if isinstance(program, torch.export.ExportedProgram):
        pt2 = folder / "model.pt2"
        torch.export.save(program, pt2)
    else:
        pt2 = program
    pte, report = lower(pt2, folder, precision, target, options)
    return run(pte, inputs, folder), report


def relative_error(have, want):
    have, want = np.asarray(have, np.float64), np.asarray(want, np.float64)
    return float(np.abs(have - want).max() / max(np.abs(want).max(), 1e-30)) if want.size else 0.0


def cosine(have, want):
    have, want = np.asarray(have, np.float64).ravel(), np.asarray(want, np.float64).ravel()
    norms = np.linalg.norm(have) * np.linalg.norm(want)
    return float(have @ want / norms) if norms else float(np.array_equal(have, want))


def check_outputs(have, want, precision):
    limit, least_cosine = LIMITS[precision]
    assert len(have) == len(want)
    for i, (h, w) in enumerate(zip(have, want)):
        w = w.numpy() if isinstance(w, torch.Tensor) else w
        assert h.shape == w.shape, f"output {i}: shape {h.shape}, torch has {w.shape}"
        assert np.isfinite(h).all(), f"output {i} holds NaN or infinity"
        error, similarity = relative_error(h, w), cosine(h, w)
        assert error < limit and similarity > least_cosine, (
            f"output {i}: relative error {error:.2e} (limit {limit:.0e}), cosine {similarity:.6f} (limit {least_cosine})")


class Exported:
    """A model of models.py with its exported program, saved once for all tests that use it."""

    def __init__(self, name, folder):
        self.name = name
        self.case = models.build(name)
        self.program = models.export(self.case)
        self.pt2 = folder / f"{name}.pt2"
        torch.export.save(self.program, self.pt2)
        self.expected = [models.expected(self.case, inputs) for inputs in self.case.inputs]


@pytest.fixture(scope="module")
def exported(request, tmp_path_factory):
    """Parametrised with a model's name. pytest groups the tests by it, so one model at a time is held."""
    folder = tmp_path_factory.mktemp(request.param)
    try:
        yield Exported(request.param, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder(tmp_path):
    """A folder that is empty again afterwards: a lowered BERT takes half a gigabyte."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


def pytest_sessionstart(session):
    torch.set_num_threads(min(2, os.cpu_count() or 1))
    if not CORTLAND.exists():
        pytest.exit(f"{CORTLAND} is not there: run `make build`, or set CORTLAND", returncode=2)


def pytest_collection_modifyitems(items):
    # ExecuTorch finds a backend by the name of its class: once its own CoreMLBackend is imported, ours is refused in this process.
    items.sort(key=lambda item: item.path.name != "test_executorch_flow.py")
