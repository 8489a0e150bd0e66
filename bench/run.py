#!/usr/bin/env python3
"""Measures lowering and inference against their limit and their peers, in one run: `make bench ARGS="..."`.

    build/venv/bin/python bench/run.py [--models resnet18,gpt2] [--part lowering | inference] [--skip upstream,xnnpack] [--quick]
                                       [--threads 2] [--write docs/performance.md]

What the sides read is made once, in build/bench. Then rounds go through all sides of a model in turn, so that whatever else the
machine does meets them all. Reported are medians with the least and the largest value.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import report

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("CORTLAND_BUILD", ROOT / "build" / "release"))
CORTLAND, LIMIT = BUILD / "cortland", BUILD / "bench_limit"
FILES = ROOT / "build" / "bench"
MODELS = ("resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "vit_b_16", "bert_base", "gpt2", "lstm", "llama_decode")
FOUR_BITS = ("llama_decode",)  # as measured_models.FOUR_BITS, which takes seconds to import
TARGET = "iOS18"  # of both sides: the newest that ExecuTorch 1.5 knows
PREPARE_LIMIT = 360  # seconds: a peer whose own export takes longer is left out


def log(text):
    print(text, flush=True)


def run_measured(command):
    """Seconds, processor seconds and peak megabytes of one process."""
    start = time.monotonic()
    process = subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(error.decode(errors="replace").strip() or f"{command[0]} ended with {process.returncode}")
    return {"seconds": time.monotonic() - start, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}


# --- what the sides read

def prepare(kind, name, file):
    """Why the file cannot be made, or nothing. It is made once, and so is the refusal."""
    path, refusal = FILES / file, FILES / f"{file}.refused"
    if path.exists():
        return None
    if refusal.exists():
        return refusal.read_text()
    log(f"  preparing {file}")
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run([sys.executable, str(ROOT / "bench" / "prepare.py"), kind, name, str(FILES)], env=environment,
                              capture_output=True, text=True, timeout=PREPARE_LIMIT)
        reason = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1] if done.returncode else None
    except subprocess.TimeoutExpired:
        reason = f"its own export takes longer than {PREPARE_LIMIT} s"
    if reason:
        path.unlink(missing_ok=True)
        refusal.write_text(reason)
    return reason


class Server:
    """A side in a process of its own, bench/serve.py."""

    def __init__(self, side, name, threads):
        command = [sys.executable, str(ROOT / "bench" / "serve.py"), side, name, str(FILES), str(threads)]
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": str(threads)}
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, env=environment)
        try:
            self.loaded = self.answer()
        except RuntimeError:
            self.close()
            raise

    def answer(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        self.errors.seek(0)
        raise RuntimeError((self.errors.read().strip().splitlines() or ["it ended without a word"])[-1])

    def ask(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


# --- lowering

def measure_lowering(name, args):
    pt2 = FILES / f"{name}.pt2"
    rows = {"limit": [], "cortland": [], "upstream": []}
    upstream = None
    result = {"mb": pt2.stat().st_size / 1e6, **json.loads((FILES / f"{name}.json").read_text()), "missing": {}}
    with tempfile.TemporaryDirectory(dir=FILES) as folder:
        out = Path(folder)
        try:
            for i in range(args.lowering_rounds):
                rows["limit"].append(run_measured([LIMIT, pt2, out / "limit"]))
                rows["cortland"].append(run_measured([CORTLAND, "lower", pt2, "-o", out / "m.pte", "--deployment-target", TARGET]))
                if i >= args.upstream_rounds or "upstream" in args.skip | result["missing"].keys():
                    continue
                try:
                    upstream = upstream or Server("upstream", name, args.threads)
                    rows["upstream"].append(upstream.ask(out / "upstream.pte"))
                    result["import_mb"] = upstream.loaded["import_mb"]
                except RuntimeError as e:
                    result["missing"]["upstream"] = str(e)
            result["pte_mb"] = (out / "m.pte").stat().st_size / 1e6
        finally:
            if upstream:
                upstream.close()
    for side, measured in rows.items():
        if measured:
            result[side] = {key: report.spread([m[key] for m in measured]) for key in ("seconds", "cpu_s", "peak_mb")}
    log("  " + report.lowering_line(result))
    return result


# --- inference

class Ours:
    """`cortland bench`, started anew in every round: loading is part of what is measured."""

    def __init__(self, pte, name, threads, mode=None):
        self.command = [CORTLAND, "bench", pte, "--inputs", FILES / f"{name}.npz", "--threads", threads, "--json"]
        if mode:
            self.command += ["--precision-mode", mode]
        self.loads = []

    def measure(self, runs):
        done = subprocess.run([str(c) for c in [*self.command, "--runs", runs]], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        result = json.loads(done.stdout)
        self.loads.append(result["load_ms"] + result["first_ms"])
        return result

    def close(self):
        pass


class Peer:
    def __init__(self, side, name, threads):
        self.server = Server(side, name, threads)
        self.loads = [self.server.loaded["load_ms"]]

    def measure(self, runs):
        return self.server.ask(runs) | {"import_mb": self.server.loaded["import_mb"]}

    def close(self):
        self.server.close()


def our_modes():
    """Which precision modes `cortland bench` has."""
    text = subprocess.run([str(CORTLAND), "bench", "--help"], capture_output=True, text=True).stdout
    return ("exact", "fast") if "--precision-mode" in text else (None,)


def lower_ours(name, variant):
    pte = FILES / f"{name}.{variant}.pte"
    command = [CORTLAND, "lower", FILES / f"{name}.pt2", "-o", pte, "--deployment-target", TARGET]
    if variant == "int4":
        import prepare as forms

        config = FILES / "int4.json"
        config.write_text(json.dumps(forms.FOUR_BIT_CONFIG))
        command += ["--compress", config]
    else:
        command += ["--precision", variant]
    run_measured(command)
    return pte


def sides_of(name, four_bits, args):
    """{side: function that starts it}; a side that cannot be prepared raises."""
    sides = {}
    for variant in ("int4",) if four_bits else ("float16", "float32"):
        # Without float16 in the program there is nothing to round, so one mode is enough.
        for mode in our_modes() if variant != "float32" else (None,):
            label = f"Cortland {variant}" + (f" {mode}" if mode else "")
            sides[label] = lambda variant=variant, mode=mode: Ours(lower_ours(name, variant), name, args.threads, mode)

    def peer(side, *steps):
        def start():
            for kind, file in steps:
                if reason := prepare(kind, name, file):
                    raise RuntimeError(reason)
            return Peer(side, name, args.threads)

        return start

    onnx, int4 = ("onnx", f"{name}.onnx"), ("onnx_int4", f"{name}.int4.onnx")
    sides["PyTorch eager"] = peer("torch_eager")
    sides["ONNX Runtime"] = peer("onnxruntime_int4", onnx, int4) if four_bits else peer("onnxruntime", onnx)
    sides["XNNPACK"] = peer("xnnpack_int4", ("xnnpack_int4", f"{name}.int4.xnnpack.pte")) if four_bits else peer("xnnpack", ("xnnpack", f"{name}.xnnpack.pte"))
    return {side: start for side, start in sides.items() if not any(s in side.lower() for s in args.skip)}


def measure_inference(name, four_bits, args):
    result = {"sides": {}, "missing": {}}
    started = {}
    for side, start in sides_of(name, four_bits, args).items():
        try:
            started[side] = start()
        except RuntimeError as e:
            result["missing"][side] = str(e)
            log(f"  {side}: not measured: {e}")
    measured = {side: [] for side in started}
    for _ in range(args.rounds):
        for side, s in started.items():
            measured[side].append(s.measure(args.runs))
    for side, s in started.items():
        rounds = measured[side]
        result["sides"][side] = {
            "run_ms": report.spread([t for m in rounds for t in m["runs_ms"]]),
            "cpu_ms": report.spread([m["cpu_ms"] for m in rounds]),
            "load_ms": report.spread(s.loads),
            "peak_mb": max(m["peak_mb"] for m in rounds),
            "import_mb": rounds[0].get("import_mb", 0),
        }
        s.close()
        log(f"  {side:24} {report.show(result['sides'][side]['run_ms'])} ms")
    return result


# --- the run

def parse_arguments():
    def names(text):
        return set(re.split("[, ]+", text))

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=names, default=set(MODELS), help=f"of {', '.join(MODELS)}")
    parser.add_argument("--part", choices=("lowering", "inference"), help="both unless given")
    parser.add_argument("--skip", type=names, default=set(), help="sides to leave out: upstream, pytorch, onnx, xnnpack")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="for every side")
    parser.add_argument("--lowering-rounds", type=int, default=9)
    parser.add_argument("--upstream-rounds", type=int, default=3, help="of these, how many lower with ExecuTorch's backend too")
    parser.add_argument("--rounds", type=int, default=5, help="of inference")
    parser.add_argument("--runs", type=int, default=5, help="in each round")
    parser.add_argument("--quick", action="store_true", help="few rounds, to see that all works")
    parser.add_argument("--json", type=Path, default=FILES / "results.json")
    parser.add_argument("--write", type=Path, help="put the tables into this Markdown file, and a plot next to it")
    args = parser.parse_args()
    if unknown := args.models - set(MODELS):
        parser.error(f"no model {', '.join(sorted(unknown))}; there are {', '.join(MODELS)}")
    if args.quick:
        args.lowering_rounds, args.upstream_rounds, args.rounds, args.runs = 3, 1, 2, 3
    return args


def main():
    args = parse_arguments()
    FILES.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    result = {"machine": report.machine(args.threads), "lowering": {}, "inference": {}}
    for name in (m for m in MODELS if m in args.models):
        log(f"{name} ({time.monotonic() - start:.0f} s)")
        if reason := prepare("pt2", name, f"{name}.pt2"):
            sys.exit(f"{name} cannot be exported: {reason}")
        if args.part != "inference":
            result["lowering"][name] = measure_lowering(name, args)
        if args.part != "lowering":
            result["inference"][name] = measure_inference(name, False, args)
            if name in FOUR_BITS:
                log(f"{name}, weights of 4 bits")
                result["inference"][f"{name}, 4 bits"] = measure_inference(name, True, args)
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    log("\n" + report.tables(result))
    if args.write:
        report.write(result, args.write)
    log(f"{time.monotonic() - start:.0f} s in all; the numbers are in {args.json}")


if __name__ == "__main__":
    main()
