#!/usr/bin/env python3
"""Lowers and runs the models of the Python suite and prints time, peak memory and size. Exports them once, to build/models.

    tools/bench.py [name...]
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORTLAND = Path(os.environ.get("CORTLAND", ROOT / "build" / "release" / "cortland"))
MODELS = Path(os.environ.get("CORTLAND_MODELS", ROOT / "build" / "models"))
REPEATS = 3


def measure(*args):
    """Seconds and peak megabytes of one process, the best of a few runs."""
    best = None
    for _ in range(REPEATS):
        start = time.monotonic()
        process = subprocess.Popen([str(CORTLAND), *map(str, args)], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            return None
        result = (time.monotonic() - start, usage.ru_maxrss / 1024)
        best = min(best or result, result)
    return best


def show(result):
    return f"{result[0]:9.2f} {result[1]:8.0f}" if result else f"{'failed':>9} {'':8}"


def main():
    if not list(MODELS.glob("*.pt2")):
        subprocess.run([str(ROOT / "tools" / "venv.sh")], check=True)
        subprocess.run([str(ROOT / "build/venv/bin/python"), str(ROOT / "tools/export_models.py"), str(MODELS)], check=True)
    files = [f for f in sorted(MODELS.glob("*.pt2"), key=lambda f: f.stat().st_size) if not sys.argv[1:] or f.stem in sys.argv[1:]]
    print(f"{'':22}{'.pt2 MB':>9}{'lower s':>9} {'peak MB':>8}{'.pte MB':>9}{'run s':>9} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for pt2 in files:
            pte = Path(folder) / "m.pte"
            lowering = measure("lower", pt2, "-o", pte)
            running = lowering and measure("run", pte, "--inputs", pt2.with_suffix(".npz"), "--outputs", Path(folder) / "out.npz")
            size = pte.stat().st_size / 1e6 if lowering else 0
            print(f"{pt2.stem:22}{pt2.stat().st_size / 1e6:9.1f}{show(lowering)}{size:9.1f}{show(running)}", flush=True)


if __name__ == "__main__":
    main()
