#!/usr/bin/env python3
"""How lowering grows: `build/venv/bin/python bench/scaling.py [--instructions] [--write docs/performance.md]`.

Encoders of 1 to 64 blocks (more nodes), four blocks of growing width (more weights), and programs that explode where every step of theirs
becomes an op. With --instructions valgrind counts, which does not depend on what else the machine does; seconds are medians.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import report
import run

LAYERS, WIDTHS = (1, 2, 4, 8, 16, 32, 64), (128, 256, 512, 1024)
UNROLLED = (16, 64, 256)
BEGIN, END = "<!-- growth: made by bench/scaling.py -->", "<!-- end of growth -->"


def export_all(folder):
    """In a process of its own, since the peak memory of a process that is measured starts with that of the one that starts it."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    class Pool(nn.Module):
        def forward(self, x):
            return F.adaptive_avg_pool2d(x, (128, 72))

    class Bicubic(nn.Module):
        def forward(self, x):
            return F.interpolate(x, scale_factor=2.5, mode="bicubic")

    class Unrolled(nn.Module):
        def __init__(self, steps):
            super().__init__()
            self.cell, self.steps = nn.GRUCell(32, 32), steps

        def forward(self, x):
            h = torch.zeros(1, 32)
            for i in range(self.steps):
                h = self.cell(x[:, i], h)
            return h

    def encoder(layers, width):
        net = nn.TransformerEncoder(nn.TransformerEncoderLayer(width, 4, 4 * width, batch_first=True), layers, enable_nested_tensor=False)
        for p in net.parameters():
            nn.init.normal_(p, std=0.05)  # the blocks are made as copies, whose weights would be stored once
        return net

    cases = {f"layers{n}": (encoder(n, 128), torch.randn(1, 32, 128)) for n in LAYERS}
    cases |= {f"width{n}": (encoder(4, n), torch.randn(1, 32, n)) for n in WIDTHS}
    cases |= {"pool": (Pool(), torch.randn(1, 8, 150, 200)), "bicubic": (Bicubic(), torch.randn(1, 8, 64, 64))}
    cases |= {f"unrolled{n}": (Unrolled(n), torch.randn(1, n, 32)) for n in UNROLLED}
    for name, (module, x) in cases.items():
        path = folder / f"{name}.pt2"
        if path.exists():
            continue
        with torch.no_grad():
            program = torch.export.export(module.eval(), (x,))
        (folder / f"{name}.json").write_text(json.dumps({"nodes": sum(n.op == "call_function" for n in program.graph.nodes)}))
        torch.export.save(program, path)


def instructions(command, out):
    """Millions of instructions, as callgrind counts them."""
    done = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *map(str, command)], capture_output=True, text=True, check=True)
    return int(re.search(r"Collected : (\d+)", done.stderr).group(1)) / 1e6


def measure(name, folder, args):
    pt2 = folder / f"{name}.pt2"
    with tempfile.TemporaryDirectory(dir=folder) as text:
        out = Path(text)
        command = [run.CORTLAND, "lower", pt2, "-o", out / "m.pte", "--deployment-target", run.TARGET]
        rounds = [run.run_measured(command) for _ in range(args.rounds)]
        row = {"name": name, "mb": pt2.stat().st_size / 1e6, **json.loads((folder / f"{name}.json").read_text()),
               "seconds": report.spread([r["seconds"] for r in rounds]), "peak_mb": max(r["peak_mb"] for r in rounds),
               "pte_mb": (out / "m.pte").stat().st_size / 1e6}
        if args.instructions:
            row["instructions"] = instructions(command, out / "callgrind")
    print(line(row), flush=True)
    return row


def line(row):
    each = row["seconds"]["median"] * 1e3 / row["nodes"]
    counted = f"{row['instructions']:.1f} | {row['instructions'] * 1e3 / row['nodes']:.0f}" if "instructions" in row else "- | -"
    return (f"| {row['name']} | {row['nodes']} | {report.number(row['mb'])} | {report.show(row['seconds'], 1e3)} | {each:.3f} | {counted} | "
            f"{row['peak_mb']:.0f} | {report.number(row['pte_mb'])} |")


HEADER = """| program | nodes | weights MB | lowering ms | ms a node | million instructions | thousands a node | peak MB | .pte MB |
|---|--:|--:|--:|--:|--:|--:|--:|--:|"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--write", type=Path, help="put the table into this Markdown file")
    parser.add_argument("--export", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.export:
        return export_all(args.export)
    folder = run.FILES / "scaling"
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, __file__, "--export", str(folder)], check=True, env=os.environ | {"PYTHONWARNINGS": "ignore"})
    names = [f"layers{n}" for n in LAYERS] + [f"width{n}" for n in WIDTHS] + ["pool", "bicubic"] + [f"unrolled{n}" for n in UNROLLED]
    print(HEADER)
    table = "\n".join([HEADER, *(line(measure(name, folder, args)) for name in names)])
    if args.write:
        text = args.write.read_text()
        begin, end = text.index(BEGIN), text.index(END)
        args.write.write_text(f"{text[:begin]}{BEGIN}\n\n{table}\n\n{text[end:]}")


if __name__ == "__main__":
    main()
