"""Reads and writes .npz files with the standard library alone: the demo and the committed tests run on a machine without numpy."""

import ast
import math
import struct
import zipfile
from dataclasses import dataclass

# numpy's type code -> struct's. Little-endian throughout.
CODES = {"<f4": "f", "<f8": "d", "<f2": "e", "<i8": "q", "<i4": "i", "<i2": "h", "|i1": "b", "|u1": "B", "|b1": "?"}


@dataclass
class Array:
    dtype: str
    shape: tuple
    values: tuple  # flat, row by row

    def rows(self):
        width = math.prod(self.shape[1:])
        return [self.values[i * width:(i + 1) * width] for i in range(self.shape[0])]


def parse(data):
    if data[:6] != b"\x93NUMPY":
        raise ValueError("not a .npy file")
    start, size = (10, "<H") if data[6] == 1 else (12, "<I")
    (length,) = struct.unpack_from(size, data, 8)
    header = ast.literal_eval(data[start:start + length].decode("latin-1"))
    if header["fortran_order"] and len(header["shape"]) > 1:
        raise ValueError("column-major arrays are not read here")
    count = math.prod(header["shape"])
    values = struct.unpack_from(f"<{count}{CODES[header['descr']]}", data, start + length)
    return Array(header["descr"], header["shape"], values)


def render(array):
    header = repr({"descr": array.dtype, "fortran_order": False, "shape": tuple(array.shape)}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    body = struct.pack(f"<{len(array.values)}{CODES[array.dtype]}", *array.values)
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


def load(path):
    with zipfile.ZipFile(path) as file:
        return {name.removesuffix(".npy"): parse(file.read(name)) for name in file.namelist()}


def save(path, arrays):
    with zipfile.ZipFile(path, "w") as file:
        for name, array in arrays.items():
            file.writestr(f"{name}.npy", render(array))
