#!/usr/bin/env python3
"""Feeds the fuzz targets with the committed files and mutations of them.

    tools/fuzz.py [--build build/release] [--mutations N] [--seconds S] [target...]

With libFuzzer (cmake --preset fuzz && cmake --build --preset fuzz; clang and its runtime library) --seconds is how long each
target runs and what it finds interesting is kept in build/fuzz. Otherwise each target runs the same mutations every time.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
SEEDS = ROOT / "build" / "fuzz"


def files(pattern):
    return [path.read_bytes() for path in sorted(DATA.glob(pattern))]


def packages():
    """A model and its weights behind two bytes that say where the first one ends; larger models have their weights cut off."""
    for model in sorted(DATA.glob("**/*.mlmodel")):
        weights = model.parent / "weights" / "weight.bin"
        bytes_ = model.read_bytes()
        if len(bytes_) < 1 << 16:
            yield len(bytes_).to_bytes(2, "little") + bytes_ + (weights.read_bytes() if weights.exists() else b"")


def programs():
    """The delegates' container, as the program itself writes it."""
    cortland = ROOT / "build" / "release" / "cortland"
    pte = SEEDS / "digits.pte"
    if cortland.exists() and subprocess.run([str(cortland), "lower", str(DATA / "digits" / "digits.pt2"), "-o", str(pte)],
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
        yield pte.read_bytes()
    else:
        print(f"pte: starts from nothing, since {cortland} does not lower a program")


def seeds(target):
    pt2 = files("*/*.pt2")
    return {
        "json": [b"\0{\"a\": [1, -2.5e3, \"\\u00e9\", null, true, {}]}", b"\1[NaN, Infinity]"],
        "mlmodel": list(packages()),
        "npy": files("digits/*.npz"),
        "pickle": [b"\x80\x02}q\0(X\1\0\0\0kq\1K\1X\1\0\0\0mq\2]q\3(K\2G?\xf0\0\0\0\0\0\0eu."],
        "pt2": [b"\0" + bytes_ for bytes_ in pt2] + [b"\5aten::gelu(Tensor self, *, str approximate='none') -> Tensor", b"\3Max(1, 2*s0 + 1)"],
        "pte": list(programs()),
        "zip": files("archive/*.pt") + files("torch/*.pt2"),
        "lower": pt2,
    }[target]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "release")
    parser.add_argument("--mutations", type=int, default=300, help="of each file, without libFuzzer")
    parser.add_argument("--seconds", type=int, help="with libFuzzer: how long each target runs")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    targets = options.targets or [path.name[:-len("_fuzz.cc")] for path in sorted((ROOT / "fuzz").glob("*_fuzz.cc"))]
    failed = []
    for target in targets:
        folder = SEEDS / target
        folder.mkdir(parents=True, exist_ok=True)
        named = {f"seed_{i}": bytes_ for i, bytes_ in enumerate(seeds(target))}
        for name, bytes_ in named.items():
            (folder / name).write_bytes(bytes_)
        command = [str(options.build / f"{target}_fuzz")]
        if options.seconds:
            command += [f"-max_total_time={options.seconds}", "-timeout=20", "-rss_limit_mb=2048", str(folder)]
        else:
            command += ["--mutations", str(options.mutations), "--seed", str(options.seed), *(str(folder / name) for name in named)]
        print(f"{target}: ", end="", flush=True)
        result = subprocess.run(command, stdout=None if options.seconds else subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=3600)
        if result.returncode == 0:
            print((result.stdout or "done").strip().splitlines()[-1])
        else:
            failed.append(target)
            print(f"exit code {result.returncode}; the input is in {command[0]}.crash\n{result.stdout or ''}")
    sys.exit(f"failed: {' '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
