#!/usr/bin/env python3
"""Writes random small torch programs, lowers each for a random target and precision, runs it and compares with torch. What differs, is
refused or crashes is made small and printed as a program of tests/python/test_found_programs.py.

    build/venv/bin/python tools/random_programs.py [--seed 17] [--count 200] [--only 35]
"""

import argparse
import logging
import os
import random
import re
import sys
import tempfile
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools" / "programs"))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

import generate
import judge
import shrink

TARGETS = ("iOS15", "iOS16", "iOS17", "iOS18")
FLOAT16_SHARE = 0.3
LOADED_SHARE = 0.1
# What batches are lowered with, and how often of 100. Where an operator has to stay on the CPU, because of these or since Core ML holds
# nothing of that kind, one without a kernel is no finding.
PLAIN, ON_CPU = (), ("--skip-ops", "*")
SOME_ON_CPU = ("--skip-ops", "aten.add.Tensor,aten.mul.Tensor,aten.view.default,aten.reshape.default,aten.slice.Tensor,aten.sum.dim_IntList,aten.copy.default")
OPTIONS = {PLAIN: 60, ON_CPU: 12, SOME_ON_CPU: 10, ("--no-take-over-mutable-buffer",): 9, ("--no-take-over-constant-data",): 9}
NOT_HELD = re.compile("the data may leave|which Core ML cannot (be passed|hold)")
NO_FINDINGS = ("agrees", "not exported", "without a CPU kernel")
# Programs of one export: the fixed cost of each is shared.
TOGETHER = 24


class Batch:
    """Programs that are lowered as one."""

    def __init__(self, seed, numbers):
        self.random = random.Random(f"{seed}/{numbers[0]}")
        self.seed, self.numbers = seed, numbers
        self.programs = [p for p in (generate.write_program(f"{seed}/{n}") for n in numbers)]
        self.target = self.random.choice(TARGETS)
        self.precision = "float16" if self.random.random() < FLOAT16_SHARE else "float32"
        self.load = self.random.random() < LOADED_SHARE
        self.options = self.random.choices(list(OPTIONS), OPTIONS.values())[0]
        self.on_cpu = "--skip-ops" in self.options

    def check(self, programs, load=False):
        with tempfile.TemporaryDirectory() as folder:
            return judge.check(programs, self.target, self.precision, Path(folder), random.Random(1), load,
                               options=self.options)


def form_of(program):
    """The calls of a program without names and numbers: two with the same are one finding."""
    return [re.sub(r"\b[xw]?\d+\b", "_", line) for line in program.steps]


class Search:
    def __init__(self, options):
        self.options = options
        self.counts = Counter()
        self.on_cpu = Counter()
        self.found = set()
        self.failed_together = None

    def check(self, batch):
        programs = [(n, p) for n, p in zip(batch.numbers, batch.programs) if p]
        if not programs:
            return
        results = self.parts(batch, programs)
        if len(results) > 1 and not any(f for *_, f in results) and self.failed_together:
            self.counts["only together"] += 1
            print(f"\nonly together: --seed {batch.seed} --only {batch.numbers[0]}-{batch.numbers[-1]}: {self.failed_together.detail}")
        for number, program, finding in results:
            if finding and finding.kind == "refused" and (batch.on_cpu or NOT_HELD.search(finding.detail)):
                finding.kind = "without a CPU kernel"
            self.counts[finding.kind if finding else "agrees"] += 1
            if finding and finding.kind not in NO_FINDINGS:
                self.show(batch, number, program, finding)

    def parts(self, batch, programs):
        """A Finding or None for each program. What fails as a whole is checked half by half."""
        found, report = batch.check([p for _, p in programs], batch.load)
        if isinstance(found, judge.Finding) and len(programs) > 1:
            half = len(programs) // 2
            results = self.parts(batch, programs[:half]) + self.parts(batch, programs[half:])
            self.failed_together = found
            return results
        self.failed_together = None
        if not batch.on_cpu:
            self.on_cpu.update(f"{op['op']}: {op['reason']}"[:200] for op in report.get("cpu_ops", []))
        found = [found] if isinstance(found, judge.Finding) else found
        return [(n, p, f) for (n, p), f in zip(programs, found)]

    def show(self, batch, number, program, finding):
        # One refusal, or one failure at run time, is shown once, whatever the program.
        if finding.kind != "wrong" and self.known((finding.kind, *re.findall(r"aten[.:]+\w+|MIL op \w+", finding.detail))):
            return
        if self.options.shrink:
            program, finding = self.smallest(batch, program, finding)
        if finding.kind == "wrong" and self.known(("wrong", *form_of(program))):
            return
        print(f"\n{finding.kind}: --seed {batch.seed} --only {number}, {batch.target}, {batch.precision}{''.join(' ' + o for o in batch.options)}: {finding.detail}\n{program}", flush=True)

    def known(self, key):
        if key in self.found:
            self.counts["found again"] += 1
            return True
        self.found.add(key)
        return False

    def smallest(self, batch, program, finding):
        last = [finding]

        def fails(candidate):
            found, _ = batch.check([candidate], finding.kind == "not loaded")
            found = found if isinstance(found, judge.Finding) else found[0]
            if not found or found.kind != finding.kind:
                return False
            last[0] = found
            return True

        if finding.output >= 0:
            only = shrink.without_dead(shrink.Program(program.inputs, program.steps, [program.outputs[finding.output]]))
            if only.arguments() and fails(only):
                program = only
        return shrink.shrink(program, fails), last[0]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--only", help="a program's number, or a range of them that is lowered as one: 24-35")
    parser.add_argument("--no-shrink", dest="shrink", action="store_false")
    parser.add_argument("--jobs", type=int, default=1)
    return parser.parse_args()


def main():
    options = parse_arguments()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)  # torch logs what it refuses to export
    start = time.monotonic()
    groups = [list(range(at, min(at + TOGETHER, options.count))) for at in range(0, options.count, TOGETHER)]
    search = Search(options)
    if options.only:
        first, _, last = options.only.partition("-")
        number = int(first)
        batch = Batch(options.seed, list(range(number // TOGETHER * TOGETHER, number // TOGETHER * TOGETHER + TOGETHER)))
        if not last:
            batch.programs = [p if n == number else None for n, p in zip(batch.numbers, batch.programs)]
        search.check(batch)
    else:
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(lambda numbers: search.check(Batch(options.seed, numbers)), groups))
    if search.on_cpu:
        print("\nLeft on the CPU:")
        for reason, count in search.on_cpu.most_common(25):
            print(f"{count:6}  {reason}")
    print(f"\n{', '.join(f'{n} {kind}' for kind, n in sorted(search.counts.items()))} in {time.monotonic() - start:.0f} s")
    sys.exit(any(kind not in NO_FINDINGS for kind in search.counts))


if __name__ == "__main__":
    main()
