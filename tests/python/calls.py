"""Runs a .pte several times in one ExecuTorch runtime, so that state lives from call to call: Core ML delegates in the engine.

    python calls.py plugin.so

takes lines of JSON, [model.pte, calls.npz, results.npz, method], and answers each with a line: "ok" or what is wrong. Arrays are named
call.position: "0.1" is the second input of the first call. A process of its own, since a backend is registered once and for all.
"""

import ctypes
import json
import subprocess
import sys

import numpy as np

_worker = None


def run_calls(pte, calls, folder, method="forward"):
    """Loads the program and gives the outputs of each call, in order. `calls` is a list of tuples of tensors."""
    global _worker
    if _worker is None or _worker.poll() is not None:
        from conftest import CORTLAND

        _worker = subprocess.Popen([sys.executable, __file__, CORTLAND.parent / "libcortland_executorch.so"], text=True, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    np.savez(folder / "calls.npz", **{f"{c}.{i}": t.numpy() for c, call in enumerate(calls) for i, t in enumerate(call)})
    request = [str(path) for path in (pte, folder / "calls.npz", folder / "results.npz")] + [method]
    print(json.dumps(request), file=_worker.stdin, flush=True)
    answer = _worker.stdout.readline().strip()
    assert answer == "ok", answer or "the runtime crashed"
    with np.load(folder / "results.npz") as file:
        return [by_position(file, c) for c in range(len(calls))]


def by_position(arrays, call):
    names = [name for name in arrays.files if name.startswith(f"{call}.")]
    return [arrays[f"{call}.{i}"] for i in range(len(names))]


def run(runtime, pte, calls, results, method):
    import torch
    from executorch.runtime import Verification

    loaded = runtime.load_program(pte, verification=Verification.Minimal).load_method(method)
    outputs = {}
    with np.load(calls) as file:
        for call in range(1 + max(int(name.split(".")[0]) for name in file.files)):
            out = loaded.execute([torch.from_numpy(a) for a in by_position(file, call)])
            outputs |= {f"{call}.{i}": t.numpy().copy() for i, t in enumerate(out)}
    np.savez(results, **outputs)


def main(plugin):
    answers, sys.stdout = sys.stdout, sys.stderr
    from executorch.runtime import Runtime

    runtime = Runtime.get()  # first: the plugin must register itself in the library that this loads
    ctypes.CDLL(plugin, ctypes.RTLD_GLOBAL)
    for line in sys.stdin:
        try:
            run(runtime, *json.loads(line))
            answer = "ok"
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        print(answer.replace("\n", " "), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
