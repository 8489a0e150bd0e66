#!/usr/bin/env python3
"""Compares docs/operators.md with what `cortland ops` says of this build; --update writes it anew.

    tools/operators.py [--update]
"""

import sys

import generated_page
from generated_page import table

HEAD = """# Operators

What each torch operator becomes, as `cortland ops` prints it: found out by lowering the samples that stand beside the operator in
`src/torch_ops`, the way a model's nodes are lowered. `tools/operators.py --update` writes this page.

- **Core ML** is the first deployment target that has it; a target in the other columns is one that is needed beyond that.
- **Types** and **ranks** are those of the first tensor argument for which some call is delegated.
- **Dynamic** says whether symbolic sizes are taken; empty where no sample has them.
- **Refused for** names the reasons why some calls, or all, stay outside Core ML.
- **CPU** is what runs the operator there: an ExecuTorch kernel, simpler operators, or nothing.

Not in the table: complex values and Fourier transforms, which become real arithmetic before ([control_flow.md](control_flow.md)). `aten.item`
of an integer has no Core ML op; a Core ML part that needs the number reads the tensor.

"""

SHORT = {"bool": "bool", "float16": "f16", "float32": "f32", "float64": "f64", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
         "uint8": "u8", "complex64": "c64"}


def beyond(name, target, since):
    return name if target == since else f"{name} ({target})"


def ranks(entry):
    """Runs of ranks that need the same target."""
    runs = []
    for rank, target in sorted((int(r), t) for r, t in entry.get("ranks", {}).items()):
        if runs and runs[-1][1] == rank - 1 and runs[-1][2] == target:
            runs[-1][1] = rank
        else:
            runs.append([rank, rank, target])
    return ", ".join(beyond(f"{a}" if a == b else f"{a}–{b}", t, entry["since"]) for a, b, t in runs)


def row(entry):
    if not entry["checked"]:
        return [entry["name"], "unchecked", "", "", "", "", entry["cpu"]]
    types = ", ".join(beyond(SHORT.get(t, t), target, entry["since"]) for t, target in entry.get("types", {}).items())
    dynamic = {True: "yes", False: "no", None: ""}[entry["dynamic"]]
    return [entry["name"], entry["since"] or "no", types, ranks(entry), dynamic, ", ".join(entry["refuses"]), entry["cpu"]]


def page(listing):
    operators = listing["torch"]
    delegated = sum(1 for o in operators if o["core_ml"])
    unchecked = sum(1 for o in operators if not o["checked"])
    head = ["Operator", "Core ML", "Types", "Ranks", "Dynamic", "Refused for", "CPU"]
    return HEAD + f"{len(operators)} operators, {delegated} of them for Core ML; {unchecked} have no samples.\n\n{table(head, map(row, operators))}\n"


if __name__ == "__main__":
    sys.exit(generated_page.main(__doc__, "operators.md", "ops", page))
