"""One side of the comparison as a process that stays: `serve.py <side> <model> <folder> [threads]`.

It answers each line it reads with one line of JSON. A line is a number of runs, or for `upstream` the name of the file to write. The first
answer, before any line is read, says what loading took.
"""

import json
import resource
import sys
import time
from pathlib import Path


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def say(**fields):
    print(json.dumps(fields), flush=True)


# --- runtimes: each gives a function that makes one run

def torch_eager(name, folder, threads):
    import torch

    torch.set_num_threads(threads)
    yield  # imported
    module = torch.export.load(folder / f"{name}.pt2").module()
    inputs = torch.load(folder / f"{name}.inputs.pt")

    def run():
        with torch.no_grad():
            module(*inputs)

    yield run


def onnxruntime(name, folder, threads, file="{}.onnx"):
    import numpy as np
    import onnxruntime as ort

    yield
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(folder / file.format(name)), options, providers=["CPUExecutionProvider"])
    arrays = np.load(folder / f"{name}.onnx.npz")
    feeds = {i.name: arrays[f"in{k}"] for k, i in enumerate(session.get_inputs())}
    yield lambda: session.run(None, feeds)


def onnxruntime_int4(name, folder, threads):
    yield from onnxruntime(name, folder, threads, "{}.int4.onnx")


def xnnpack(name, folder, threads, file="{}.xnnpack.pte"):
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    portable_lib._unsafe_reset_threadpool(threads)
    runtime = Runtime.get()
    yield
    method = runtime.load_program(str(folder / file.format(name))).load_method("forward")
    inputs = list(torch.load(folder / f"{name}.inputs.pt"))
    yield lambda: method.execute(inputs)


def xnnpack_int4(name, folder, threads):
    yield from xnnpack(name, folder, threads, "{}.int4.xnnpack.pte")


RUNTIMES = {f.__name__: f for f in (torch_eager, onnxruntime, onnxruntime_int4, xnnpack, xnnpack_int4)}


def serve_runtime(side, name, folder, threads):
    steps = RUNTIMES[side](name, folder, threads)
    next(steps)
    imported = peak_mb()
    start = time.monotonic()
    run = next(steps)
    run()
    say(load_ms=(time.monotonic() - start) * 1e3, import_mb=imported)
    for line in sys.stdin:
        times, cpu = [], cpu_seconds()
        for _ in range(int(line)):
            start = time.monotonic()
            run()
            times.append((time.monotonic() - start) * 1e3)
        say(runs_ms=times, cpu_ms=(cpu_seconds() - cpu) * 1e3 / len(times), peak_mb=peak_mb())


# --- lowering with ExecuTorch's own Core ML backend

def serve_upstream(name, folder):
    import torch

    import measured_models

    measured_models.suite.torchvision()
    import coremltools as ct
    from executorch.backends.apple.coreml.compiler import CoreMLBackend
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner
    from executorch.exir import to_edge_transform_and_lower

    say(load_ms=0, import_mb=peak_mb())
    for line in sys.stdin:
        start, cpu = time.monotonic(), cpu_seconds()
        program = torch.export.load(folder / f"{name}.pt2")
        specs = CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS18)
        edge = to_edge_transform_and_lower(program, partitioner=[CoreMLPartitioner(compile_specs=specs)])
        with open(line.strip(), "wb") as file:
            edge.to_executorch().write_to_file(file)
        say(seconds=time.monotonic() - start, cpu_s=cpu_seconds() - cpu, peak_mb=peak_mb())


if __name__ == "__main__":
    side, name, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    if side == "upstream":
        serve_upstream(name, folder)
    else:
        serve_runtime(side, name, folder, int(sys.argv[4]))
