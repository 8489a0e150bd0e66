#!/usr/bin/env python3
"""Lowers a decoder of 8 billion parameters (16 GB in bfloat16), made on the spot: `build/venv/bin/python bench/large_decoder.py`.

The program is exported by torch with one number in the place of each weight. Its archive is then written anew, with entries of the full
size that are holes of a sparse file but for their first page, which tells the weights apart. So the input takes no disk; the output takes
all of its 16 GB, since zeros are written like other numbers. The weights' checksums are left 0: the archive is for measuring only.
"""

import argparse
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import run

# Llama 3 8B.
SIZES = {"width": 4096, "heads": 32, "kv_heads": 8, "hidden": 14336, "vocabulary": 128256, "length": 2048}
ALIGNMENT = 64
RANDOM = random.Random(0)


def export(layers, path):
    """The program with every parameter a single number, spread out by strides of 0. In a process of its own, since the peak memory of a
    process that is measured starts with that of the one that starts it."""
    import torch

    import measured_models

    with torch.device("meta"):
        model = measured_models.Llama(layers=layers, **SIZES).to(torch.bfloat16)
    with torch.device("cpu"):
        small = measured_models.Llama(layers=0, **{**SIZES, "vocabulary": 2, "width": 64 * SIZES["heads"] // 32 * 64})
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            spread = torch.zeros(1, dtype=parameter.dtype).expand(parameter.shape)
            setattr(module, name, torch.nn.Parameter(spread, requires_grad=False))
        for name, buffer in list(module.named_buffers(recurse=False)):
            known = getattr(small, name, None)
            value = known.to(buffer.dtype) if known is not None and known.shape == buffer.shape else torch.zeros(1, dtype=buffer.dtype).expand(buffer.shape)
            setattr(module, name, value.clone() if known is not None else value)
    inputs = (torch.zeros(1, 1, dtype=torch.int64), torch.tensor([100]))
    with torch.no_grad():
        program = torch.export.export(model.eval(), inputs)
    torch.export.save(program, path)


def first_page(elements):
    """Small numbers in bfloat16."""
    return struct.pack(f"<{elements}H", *(RANDOM.getrandbits(1) << 15 | 0x3C00 | RANDOM.getrandbits(8) for _ in range(elements)))


def dense(sizes):
    strides = [1] * len(sizes)
    for i in range(len(sizes) - 1, 0, -1):
        strides[i - 1] = strides[i] * sizes[i]
    return strides


def make_dense(meta):
    """A tensor's description with the strides of a tensor that is stored whole. Gives its number of elements."""
    sizes = [s["as_int"] for s in meta["sizes"]]
    meta["strides"] = [{"as_int": s} for s in dense(sizes)]
    count = 1
    for s in sizes:
        count *= s
    return count


class SparseZip:
    """Stored entries only, ZIP64 where it is needed."""

    def __init__(self, path):
        self.file, self.entries = open(path, "wb"), []

    def add(self, name, start, size=None):
        """An entry that begins with `start` and is a hole up to `size`."""
        # Only what is read as a whole has its checksum looked at.
        crc = zlib.crc32(start) if size is None else 0
        name, size = name.encode(), len(start) if size is None else size
        header = self.file.tell()
        extra = struct.pack("<HHQQ", 1, 16, size, size)
        padding = -(header + 30 + len(name) + len(extra) + 4) % ALIGNMENT
        extra += struct.pack("<HH", 0x4246, padding) + bytes(padding)
        self.file.write(struct.pack("<IHHHHHIIIHH", 0x04034B50, 45, 0, 0, 0, 0, crc, 0xFFFFFFFF, 0xFFFFFFFF, len(name), len(extra)) + name + extra)
        begin = self.file.tell()
        self.file.write(start)
        self.file.seek(begin + size)
        self.entries.append((name, header, size, crc))

    def close(self):
        self.file.truncate()  # up to here, though the last entry may end in a hole
        begin = self.file.tell()
        for name, header, size, crc in self.entries:
            extra = struct.pack("<HHQQQ", 1, 24, size, size, header)
            self.file.write(struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 45, 45, 0, 0, 0, 0, crc, 0xFFFFFFFF, 0xFFFFFFFF, len(name), len(extra), 0, 0, 0, 0,
                                        0xFFFFFFFF) + name + extra)
        end = self.file.tell()
        count = len(self.entries)
        self.file.write(struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, end - begin, begin))
        self.file.write(struct.pack("<IIQI", 0x07064B50, 0, end, 1))
        self.file.write(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))
        self.file.close()


def grow(source, destination):
    """The archive with each weight at its full size. Gives the number of parameters."""
    parameters = 0
    with zipfile.ZipFile(source) as old:
        config_name = next(n for n in old.namelist() if n.endswith("weights_config.json"))
        program_name = next(n for n in old.namelist() if "/models/" in n and n.endswith(".json"))
        folder = config_name.rsplit("/", 1)[0]
        config, program = json.loads(old.read(config_name)), json.loads(old.read(program_name))
        grown = {}
        for name, weight in config["config"].items():
            if all(s["as_int"] for s in weight["tensor_meta"]["strides"]):
                continue
            count = make_dense(weight["tensor_meta"])
            parameters += count if weight["is_param"] else 0
            path = f"weights_{len(grown)}"
            weight["path_name"], grown[path] = path, (count * 2, weight["is_param"])
        for meta in program["graph_module"]["graph"]["tensor_values"].values():
            if any(s.get("as_int") == 0 for s in meta["strides"]):
                make_dense(meta)
        new = SparseZip(destination)
        for name in old.namelist():
            text = json.dumps(config if name == config_name else program).encode() if name in (config_name, program_name) else old.read(name)
            new.add(name, text)
        for path, (size, is_param) in grown.items():
            new.add(f"{folder}/{path}", first_page(min(2048, size // 2)) if is_param else b"", size)
        new.close()
    return parameters


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=32, help="0.22 billion parameters each, over 1.05 billion of the vocabulary")
    parser.add_argument("--export", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, default=run.FILES, help="where the output's 16 GB go, and are removed again")
    args = parser.parse_args()
    if args.export:
        return export(args.layers, args.export)
    args.folder.mkdir(parents=True, exist_ok=True)
    small, pt2, pte = (args.folder / f"large.{end}" for end in ("small.pt2", "pt2", "pte"))
    subprocess.run([sys.executable, __file__, "--layers", str(args.layers), "--export", str(small)], check=True,
                   env=os.environ | {"PYTHONWARNINGS": "ignore"})
    parameters = grow(small, pt2)
    size = pt2.stat().st_size
    print(f"{parameters / 1e9:.2f} billion parameters, {size / 1e9:.2f} GB, {pt2.stat().st_blocks * 512 / 1e6:.1f} MB on disk", flush=True)
    if shutil.disk_usage(args.folder).free < size * 1.1:
        sys.exit(f"{args.folder} has too little room for the output; use --layers or --folder")
    try:
        for name, command in (("limit", [run.LIMIT, pt2, pte, "bf16"]), ("cortland lower", [run.CORTLAND, "lower", pt2, "-o", pte])):
            measured = run.run_measured(command)
            written = pte.stat().st_size
            os.unlink(pte)
            print(f"{name}: {measured['seconds']:.1f} s ({measured['cpu_s']:.1f} s of processor), peak {measured['peak_mb']:.0f} MB, "
                  f"{written / 1e9:.2f} GB written", flush=True)
    finally:
        for path in (small, pt2, pte):
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
