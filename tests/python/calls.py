"""Runs a .pte several times in one ExecuTorch runtime, so that state lives from call to call: Core ML delegates in the engine.

    python calls.py plugin.so model.pte calls.npz outputs.npz

Arrays are named call.position: "0.1" is the second input of the first call. In a process of its own, since a backend is
registered once and for all.
"""

import ctypes
import subprocess
import sys

import numpy as np

TIMEOUT = 120


def run_calls(pte, calls, folder, method="forward"):
    """Gives the outputs of each call, in order. `calls` is a list of tuples of tensors."""
    from conftest import CORTLAND

    plugin = CORTLAND.parent / "libcortland_executorch.so"
    np.savez(folder / "calls.npz", **{f"{c}.{i}": t.numpy() for c, call in enumerate(calls) for i, t in enumerate(call)})
    result = subprocess.run([sys.executable, __file__, plugin, pte, folder / "calls.npz", folder / "results.npz", method],
                            capture_output=True, text=True, timeout=TIMEOUT)
    assert result.returncode == 0, result.stderr
    with np.load(folder / "results.npz") as file:
        return [by_position(file, c) for c in range(len(calls))]


def by_position(arrays, call):
    names = [name for name in arrays.files if name.startswith(f"{call}.")]
    return [arrays[f"{call}.{i}"] for i in range(len(names))]


def main(plugin, pte, calls, results, method):
    import torch
    from executorch.runtime import Runtime, Verification

    runtime = Runtime.get()  # first: the plugin must register itself in the library that this loads
    ctypes.CDLL(plugin, ctypes.RTLD_GLOBAL)
    loaded = runtime.load_program(pte, verification=Verification.Minimal).load_method(method)
    outputs = {}
    with np.load(calls) as file:
        for call in range(1 + max(int(name.split(".")[0]) for name in file.files)):
            out = loaded.execute([torch.from_numpy(a) for a in by_position(file, call)])
            outputs |= {f"{call}.{i}": t.numpy().copy() for i, t in enumerate(out)}
    np.savez(results, **outputs)


if __name__ == "__main__":
    main(*sys.argv[1:])
