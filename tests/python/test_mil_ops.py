"""Our table of MIL ops against coremltools' own: every op of iOS15 to iOS18 is there, from the same target on, with the same inputs."""

import json
import logging

import conftest

logging.getLogger("coremltools").setLevel(logging.ERROR)

import coremltools as ct  # noqa: F401  (registers the ops)
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

TARGETS = ("iOS15", "iOS16", "iOS17", "iOS18")
# Core ML's constants are operands here; a custom layer is code that belongs to an app.
ELSEWHERE = {"const", "custom_layer"}


def theirs():
    """name -> {target: class}."""
    ops = {}
    for name, by_opset in SSAOpRegistry.core_ops.items():
        versions = {opset.name: op for opset, op in by_opset.items() if opset.name in TARGETS}
        if versions and name not in ELSEWHERE and not name.startswith("_"):  # coremltools' own beginnings of ops
            ops[name] = versions
    return ops


def ours():
    """name -> its descriptors, oldest first: an op that changed has several."""
    ops = {}
    for op in json.loads(conftest.cortland("ops", "--json").stdout)["mil"]:
        ops.setdefault(op["name"], []).append(op)
    return {name: sorted(versions, key=lambda op: op["since"]) for name, versions in ops.items()}


def test_every_op_is_in_the_table():
    assert len(theirs()) > 160
    assert sorted(set(theirs()) - set(ours())) == []


def test_ops_begin_at_the_same_target():
    have = ours()
    assert {name: have[name][0]["since"] for name in theirs()} == {name: min(versions) for name, versions in theirs().items()}


def test_ops_have_the_same_inputs():
    have = ours()
    wrong = []
    for name, versions in theirs().items():
        inputs = {i for i in versions[max(versions)].input_spec.input_types if not i.startswith("_")}  # those are blocks
        if differing := {i["name"] for i in have[name][-1]["inputs"]} ^ inputs:
            wrong.append(f"{name}: {sorted(differing)}")
    assert wrong == []
