#!/usr/bin/env python3
"""Compares docs/device_rules.md with what `cortland rules` says of this build; --update writes it anew.

    tools/device_rules.py [--update]
"""

import sys

import generated_page
from generated_page import table

HEAD = """# Device rules

coremltools type-checks a program; Apple's compiler and runtime refuse, crash on or get wrong some forms that pass that check. None of
these is written: an operator whose lowering would need one is written in another form, or stays on the CPU with the rule as its
reason (`device-refuses`), and every program is checked once more, as a whole, before it is written. This page is what `cortland rules`
prints; `tools/device_rules.py --update` writes it.

The rules rest on Apple's documentation and its maintainers' answers (*documented*), on comments, passes and expected failures in
*coremltools' source* (`rdar` numbers), on guards in *other converters*, or on *several reports*. Numbers after # are issues of
apple/coremltools. Nobody has run them on Apple hardware for this project.

"""

SECTIONS = (("ops", "Ops", "A node whose ops break one of these stays outside of Core ML."),
            ("functions", "Models", "What a delegate, or the model of `convert`, must not be like."),
            ("risks", "Warnings", "Forms that fail on some devices, or on one unit, only. The report and the command line say so once; "
                                  "those about the Neural Engine are left out where the compute unit has none."))

TAIL = """## What no rule is needed for

Forms on record that cannot be written in the first place:

| form | why not |
|---|---|
| weights or masks that become infinite in float16 | finite constants beyond 65504 keep their operator in float32, or, from 1e38 on, become the largest float16; hidden scores of an attention are -3e4 |
| sums of squares beyond 65504 (RMS norms, lengths) | they are layer norms and `reduce_l2_norm` |
| the diagonal of a matrix by `band_part` | it is a gather by constant indices |
| `reflect` and `replicate` pads of more than the axis has | refused as `unsupported-argument` |
| LSTM weights that are pruned and quantised, 4-bit blocks of one channel | left uncompressed, with a warning ([compression.md](compression.md)) |
| the same weight twice in a model of several functions | equal constants are stored once, whatever their size |
| names that Core ML changes | names are ASCII identifiers, and unique in their function |
| images, classifiers, neural networks before ML programs | not written |

Reports that name no form to avoid are not rules: drift of float16 in some nets, chip-dependent limits of size, versions of macOS that
fail to load what others load. Neither are expected failures on the GPU of ops that coremltools itself writes for every model
(`layer_norm` in float16, `linear` of rank 3, `conv` with computed weights).
"""


def section(kind, title, about, rules):
    head = ["rule", "ops", "what happens", "what is written instead", "rests on"]
    lines = []
    for rule in rules[kind]:
        ops = "all" if rule.get("ops") == "*" else ", ".join(f"`{op}`" for op in rule.get("ops", "").split())
        lines.append([f"`{rule['id']}`", ops, rule["why"], rule["remedy"], f"{rule['evidence']}: {rule['source']}"])
    if kind != "ops":
        head, lines = [c for c in head if c != "ops"], [line[:1] + line[2:] for line in lines]
    if kind == "risks":
        head[2] = "what to do"
    return f"## {title}\n\n{about}\n\n{table(head, lines)}\n\n"


def page(rules):
    return HEAD + "".join(section(*s, rules) for s in SECTIONS) + TAIL


if __name__ == "__main__":
    sys.exit(generated_page.main(__doc__, "device_rules.md", "rules", page))
