"""Runs the Core ML tests of the installed executorch package against this one: the same files, but what they import from
executorch.backends.apple.coreml's compiler and partition comes from cortland.executorch, and where they have something to run only
on a Mac, they run it here, in ExecuTorch's own Python runtime with this project's backend loaded."""

import ctypes
import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("CORTLAND_BUILD", ROOT / "build" / "release"))
UPSTREAM = "executorch.backends.apple.coreml"
# Longest first. The logger of the partitioner has its module's name.
IMPORTS = {
    f"{UPSTREAM}.partition.coreml_partitioner": "cortland.executorch.partitioner",
    f"{UPSTREAM}.compiler.coreml_preprocess": "cortland.executorch",
    f"{UPSTREAM}.partition": "cortland.executorch",
    f"{UPSTREAM}.compiler": "cortland.executorch",
}
# How the files say whether they can run what they lowered.
MAC_FLAGS = ("_TEST_RUNTIME", "IS_VALID_TEST_RUNTIME")


class Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname):  # never from a .pyc file, which has the imports as they were
        source = Path(self.path).read_text()
        for theirs, ours in IMPORTS.items():
            source = source.replace(theirs, ours)
        return compile(source, self.path, "exec", dont_inherit=True)

    def exec_module(self, module):
        super().exec_module(module)
        for flag in MAC_FLAGS:
            if hasattr(module, flag):
                from executorch.runtime import Runtime

                setattr(module, flag, True)
                module.Runtime = Runtime


class Finder(importlib.machinery.PathFinder):
    """Upstream's tests, and the recipes, which make partitioners themselves."""

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if not fullname.startswith((f"{UPSTREAM}.test.", f"{UPSTREAM}.recipes")):
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            return spec
        return importlib.util.spec_from_file_location(
            fullname, spec.origin, loader=Loader(fullname, spec.origin), submodule_search_locations=spec.submodule_search_locations)


def not_applicable():
    """{"file::test": reason} of the table, where a test may be `*`."""
    lines = (Path(__file__).parent / "not_applicable.tsv").read_text().splitlines()
    return {f"{file}::{test}": reason for file, test, reason in (line.split("\t") for line in lines if line and not line.startswith("#"))}


def missing():
    """Why nothing can run here, or nothing."""
    for name in ("torch", "executorch", "coremltools", "torchvision", "cortland"):
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed" if name != "cortland" else "the package is not built: tools/build_python.sh"
    if not (BUILD / "libcortland_executorch.so").exists():
        return f"there is no libcortland_executorch.so in {BUILD}: run `make build`"
    return None


def pytest_configure(config):
    if missing():
        return
    sys.meta_path.insert(0, Finder)
    sys.path.append(str(ROOT / "tests" / "python"))
    import models  # as in the Python suite, which says why

    models.torchvision()
    import executorch.runtime  # noqa: F401  its libexecutorch.so must be the one that the backend registers with

    ctypes.CDLL(str(BUILD / "libcortland_executorch.so"), ctypes.RTLD_GLOBAL)


def pytest_collection_modifyitems(items):
    reasons = not_applicable()
    used = set()
    for item in items:
        file = getattr(getattr(item, "cls", None), "__module__", item.module.__name__).rpartition(".")[2]
        for key in (f"{file}::{item.name.partition('[')[0]}", f"{file}::*"):
            if key in reasons:
                used.add(key)
                item.add_marker(pytest.mark.skip(reason=f"not applicable: {reasons[key]}"))
                break
    wrong = {key for key in reasons if key not in used and not key.endswith("::*")}
    if items and wrong and not any("::" in arg for arg in sys.argv):
        raise pytest.UsageError(f"not_applicable.tsv names tests that upstream does not have: {', '.join(sorted(wrong))}")


def pytest_terminal_summary(terminalreporter):
    """One line a test."""
    lines = []
    for outcome, what in (("passed", "passed"), ("failed", "FAILED"), ("error", "FAILED"), ("skipped", "not applicable")):
        for report in terminalreporter.stats.get(outcome, []):
            if report.when != "call" and outcome == "passed":
                continue
            reason = ""
            if outcome == "skipped" and isinstance(report.longrepr, tuple):
                reason = report.longrepr[2].removeprefix("Skipped: ").removeprefix("not applicable: ")
            elif outcome in ("failed", "error"):
                reason = str(getattr(report.longrepr, "reprcrash", None) and report.longrepr.reprcrash.message.splitlines()[0])
            lines.append((report.nodeid.partition("::")[2], what, reason))
    terminalreporter.section("upstream's tests")
    for name, what, reason in sorted(lines):
        terminalreporter.write_line(f"{what:14} {name}" + (f": {reason}" if reason else ""))
