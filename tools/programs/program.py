"""A small torch program as one text: its inputs, its calls, what it returns. What the generator writes, shrinks and prints is what the
tests of found programs hold.

    x0: float32[2, 3*] -4..4 by 0.25     an input: multiples of 0.25 from -4 to 4; the second size is dynamic in the export
    w1: int64[4] 0..3 distinct           a weight: its name starts with w; no number occurs twice
    x2 = x0.add_(w1)
    return x2
"""

import re
import zlib
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch._higher_order_ops import while_loop as while_loop_op


def cond(test, yes, no, operands):
    """torch.cond in an export. Outside, torch would compile the branches, which takes seconds."""
    if torch.compiler.is_exporting():
        return torch.cond(test, yes, no, operands)
    return yes(*operands) if test else no(*operands)


def while_loop(goes_on, body, carried):
    if torch.compiler.is_exporting():
        return while_loop_op(goes_on, body, carried)
    while goes_on(*carried):
        carried = body(*carried)
    return carried


# What the lines of a program may name beside its tensors.
NAMES = {"torch": torch, "F": F, "cond": cond, "while_loop": while_loop}
INPUT = re.compile(r"(\w+): (\w+)\[(.*?)\](?: (\S+)\.\.(\S+))?(?: by (\S+))?( distinct)?$")


@dataclass
class Input:
    name: str
    dtype: str
    shape: list
    dynamic: list  # for each size, whether it is dynamic
    low: float = -4
    high: float = 4
    step: float = 0  # of what the numbers are multiples; 0 for any
    distinct: bool = False

    @property
    def constant(self):
        return self.name.startswith("w")

    def __str__(self):
        sizes = ", ".join(f"{s}*" if d else str(s) for s, d in zip(self.shape, self.dynamic))
        numbers = "" if self.dtype == "bool" else f" {self.low:g}..{self.high:g}"
        return (f"{self.name}: {self.dtype}[{sizes}]{numbers}" + (f" by {self.step:g}" if self.step else "")
                + (" distinct" if self.distinct else ""))

    def tensor(self, seed=0, shape=None):
        shape = self.shape if shape is None else shape
        random = np.random.default_rng([seed, zlib.crc32(self.name.encode()), *shape])
        if self.dtype == "bool":
            data = random.integers(0, 2, shape)
        elif self.step or not getattr(torch, self.dtype).is_floating_point:
            step = self.step or 1
            low, high, count = round(self.low / step), round(self.high / step), int(np.prod(shape))
            if self.distinct and high - low + 1 >= count:
                data = low + random.permutation(high - low + 1)[:count].reshape(shape)
            else:
                data = random.integers(low, high + 1, shape)
            data = np.asarray(data * step)
        else:
            data = random.uniform(self.low, self.high, shape)
        return torch.from_numpy(np.asarray(data)).to(getattr(torch, self.dtype))


def parse_input(line):
    name, dtype, sizes, low, high, step, distinct = INPUT.match(line).groups()
    sizes = [s.strip() for s in sizes.split(",") if s.strip()]
    return Input(name, dtype, [int(s.rstrip("*")) for s in sizes], [s.endswith("*") for s in sizes], float(low or -4), float(high or 4),
                 float(step or 0), bool(distinct))


@dataclass
class Program:
    inputs: list
    steps: list  # lines of Python
    outputs: list  # names

    @staticmethod
    def parse(text):
        lines = [line.strip() for line in text.strip().splitlines()]
        at = next(i for i, line in enumerate(lines) if not INPUT.match(line))
        assert lines[-1].startswith("return ")
        return Program([parse_input(line) for line in lines[:at]], lines[at:-1], lines[-1].removeprefix("return ").split(", "))

    def __str__(self):
        return "\n".join([*map(str, self.inputs), *self.steps, "return " + ", ".join(self.outputs)])

    def arguments(self):
        return [i for i in self.inputs if not i.constant]

    def weights(self):
        return [i for i in self.inputs if i.constant]

    def function(self):
        """Takes a dict of the weights and the inputs."""
        lines = [f"def program(weights{''.join(', ' + i.name for i in self.arguments())}):"]
        lines += [f"    {i.name} = weights['{i.name}']" for i in self.weights()]
        lines += [f"    {s}" for s in self.steps] + [f"    return ({', '.join(self.outputs)},)"]
        names = dict(NAMES)
        exec("\n".join(lines), names)
        return names["program"]

    def run(self, inputs=None, weights=None):
        """torch's outputs. Inputs and weights are copied, for a program may write to them."""
        inputs = [i.tensor() for i in self.arguments()] if inputs is None else [t.clone() for t in inputs]
        weights = {i.name: i.tensor() for i in self.weights()} if weights is None else {k: t.clone() for k, t in weights.items()}
        with torch.no_grad():
            return [t.clone() for t in self.function()(weights, *inputs)]

    def writes_weights(self):
        weights = {i.name: i.tensor() for i in self.weights()}
        before = {n: w._version for n, w in weights.items()}
        with torch.no_grad():
            self.function()(weights, *(i.tensor() for i in self.arguments()))
        return any(w._version != before[n] for n, w in weights.items())


class Module(torch.nn.Module):
    """Several programs side by side."""

    def __init__(self, programs):
        super().__init__()
        self.programs = programs
        self.functions = [p.function() for p in programs]
        for i, program in enumerate(programs):
            for weight in program.weights():
                self.register_buffer(f"p{i}_{weight.name}", weight.tensor())

    def forward(self, *inputs):
        results, at = [], 0
        for i, (program, function) in enumerate(zip(self.programs, self.functions)):
            weights = {w.name: getattr(self, f"p{i}_{w.name}") for w in program.weights()}
            count = len(program.arguments())
            results += function(weights, *inputs[at : at + count])
            at += count
        return tuple(results)
