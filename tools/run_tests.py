#!/usr/bin/env python3
"""Runs every part of the tests and adds up. The last line of the output is 'N passed, N failed, N skipped'.

    tools/run_tests.py [part...]     parts: layers cpp cli fuzz python upstream programs corpus cost
"""

import os
import shutil
import subprocess
import sys
import time
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release"
RESULTS = ROOT / "build" / "test-results"
VENV_PYTHON = ROOT / "build" / "venv" / "bin" / "python"
CORPUS = Path(os.environ.get("CORTLAND_CORPUS", ROOT.parent / "shared" / "corpus"))

# Many short programs run side by side here; threads that spin while they wait would take the cores from each other.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


class Count:
    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def __iadd__(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        return self

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def skip(why):
    print(f"skipped: {why}", flush=True)
    return Count(skipped=1)


def count_junit(path):
    """JUnit XML as GoogleTest and pytest write it."""
    total = Count()
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            total.failed += 1
        elif case.find("skipped") is not None or case.get("status") == "notrun":
            total.skipped += 1
        else:
            total.passed += 1
    return total


class Tally(unittest.TextTestResult):
    passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


def run_unittest(file):
    """A file of the standard library's unittest, in this process. A test with a failed subtest counts once."""
    sys.path.insert(0, str(file.parent))
    suite = unittest.defaultTestLoader.loadTestsFromName(file.stem)
    result = unittest.TextTestRunner(stream=sys.stdout, resultclass=Tally).run(suite)
    skipped = len(result.skipped)
    return Count(result.passed, max(result.testsRun - result.passed - skipped, int(not result.wasSuccessful())), skipped)


def layers():
    return run_unittest(ROOT / "tests" / "layers_test.py")


def cpp():
    folder = RESULTS / "cpp"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Every GoogleTest program writes its cases here; one that crashes writes nothing and only CTest knows.
    environment = os.environ | {"GTEST_OUTPUT": f"xml:{folder}/"}
    summary = RESULTS / "ctest.xml"
    summary.unlink(missing_ok=True)
    code = subprocess.run(["ctest", "--test-dir", str(BUILD), "--output-on-failure", "--parallel", str(os.cpu_count() or 1),
                           "--timeout", "600", "--output-junit", str(summary)], env=environment).returncode
    if not summary.exists():
        return Count(failed=1)
    total = Count()
    for program in ElementTree.parse(summary).getroot().iter("testcase"):
        cases = folder / f"{program.get('name')}_test.xml"
        count = count_junit(cases) if cases.exists() else Count()
        if program.get("status") == "run":
            total += count if cases.exists() else Count(passed=1)
        elif program.get("status") == "disabled":
            total += Count(skipped=1)
        else:  # failed, crashed, or not built
            count.failed = max(count.failed, 1)
            total += count
    if code != 0 and total.failed == 0:
        total.failed = 1
    return total


def cli():
    return run_unittest(ROOT / "tests" / "cli_test.py")


def fuzz():
    """Damaged files and programs that lie, the same ones every time: one test a fuzz target."""
    result = subprocess.run([sys.executable, str(ROOT / "tools" / "fuzz.py"), "--build", str(BUILD)], stdout=subprocess.PIPE, text=True)
    print(result.stdout, end="")
    passed = sum("mutations" in line for line in result.stdout.splitlines())
    return Count(passed, int(result.returncode != 0))


def have_venv():
    return subprocess.run([str(ROOT / "tools" / "venv.sh")], stdout=sys.stdout, stderr=subprocess.STDOUT).returncode == 0


def have_package():
    """Whether the Python package is built in the release tree; the tests import it from there, installed or not."""
    return subprocess.run([str(ROOT / "tools" / "build_python.sh")], stdout=sys.stdout, stderr=subprocess.STDOUT).returncode == 0


def run_pytest(folder):
    if not have_venv():
        return skip(f"{folder.relative_to(ROOT)}: its virtual environment could not be made (see above)")
    if not have_package():
        return Count(failed=1)
    report = RESULTS / f"{folder.name}.xml"
    report.unlink(missing_ok=True)
    path = os.pathsep.join(filter(None, [str(BUILD / "python"), os.environ.get("PYTHONPATH")]))
    code = subprocess.run([str(VENV_PYTHON), "-m", "pytest", "-p", "no:cacheprovider", "--durations=15", f"--junitxml={report}"],
                          cwd=folder, env=os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": path}).returncode
    total = count_junit(report) if report.exists() else Count()
    if code != 0 and total.failed == 0:
        total.failed = 1
    return total


def python():
    return run_pytest(ROOT / "tests" / "python")


def upstream():
    """ExecuTorch's own tests of its Core ML backend, against this package."""
    return run_pytest(ROOT / "tests" / "upstream")


def programs():
    """Random programs, the same ones every time, against torch: one test."""
    if not have_venv():
        return skip("random programs: they need torch from the virtual environment")
    code = subprocess.run([str(VENV_PYTHON), str(ROOT / "tools" / "random_programs.py"), "--seed", "100", "--count", "96", "--no-shrink"]).returncode
    return Count(passed=1) if code == 0 else Count(failed=1)


def corpus():
    """All recorded programs for every target and precision: one test, which fails on a wrong number or a crash, not on a refusal."""
    if not list(CORPUS.glob("*.tar.xz")):
        return skip(f"the corpus: no archive in {CORPUS}; set CORTLAND_CORPUS")
    if not have_venv():
        return skip("the corpus: it needs numpy from the virtual environment")
    code = subprocess.run([str(VENV_PYTHON), str(ROOT / "tools" / "corpus.py"), "--corpus", str(CORPUS),
                           "--json", str(RESULTS / "corpus.json")]).returncode
    return Count(passed=1) if code == 0 else Count(failed=1)


def cost():
    """The instructions of lowering three models against those recorded: one test."""
    if not shutil.which("valgrind"):
        return skip("the cost of lowering: valgrind is not installed")
    if not have_venv():
        return skip("the cost of lowering: it exports models with torch from the virtual environment")
    code = subprocess.run([str(VENV_PYTHON), str(ROOT / "tools" / "lowering_cost.py")], env=os.environ | {"CORTLAND_BUILD": str(BUILD)}).returncode
    if code == 77:
        return skip("the cost of lowering: nothing recorded for this compiler (see above)")
    return Count(passed=1) if code == 0 else Count(failed=1)


PARTS = {"layers": layers, "cpp": cpp, "cli": cli, "fuzz": fuzz, "python": python, "upstream": upstream, "programs": programs,
         "corpus": corpus, "cost": cost}


def main():
    names = sys.argv[1:] or list(PARTS)
    if unknown := [n for n in names if n not in PARTS]:
        sys.exit(f"no part {unknown[0]}; parts: {' '.join(PARTS)}")
    sys.stdout.reconfigure(line_buffering=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    total, lines = Count(), []
    for name in names:
        print(f"\n== {name}", flush=True)
        start = time.monotonic()
        count = PARTS[name]()
        total += count
        lines.append(f"{name:8} {count}  ({time.monotonic() - start:.0f} s)")
    print("\n" + "\n".join(lines))
    print(total)
    sys.exit(1 if total.failed else 0)


if __name__ == "__main__":
    main()
