"""Writes random programs, one call after the other. Each call is tried in torch at once: what torch refuses is thrown away, so the
families below need not know every rule of every call."""

import math
import random
from dataclasses import dataclass

import torch

import calls  # noqa: F401
import cells  # noqa: F401
import families
import layers  # noqa: F401
import rare_calls  # noqa: F401
import special_calls  # noqa: F401
from program import NAMES, Input, Program

SIZES = (1, 1, 2, 2, 2, 3, 3, 4, 5, 7)
RANKS = (0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5)
MOST_ELEMENTS = 1500
MOST_DYNAMIC = 16


@dataclass(frozen=True)
class Value:
    """A tensor of the program and the name it has there."""

    name: str
    t: torch.Tensor

    def __str__(self):
        return self.name

    @property
    def rank(self):
        return self.t.dim()

    @property
    def shape(self):
        return tuple(self.t.shape)


class Unsuitable(Exception):
    """No tensor at hand fits what a call wants."""


def storage(t):
    return t.untyped_storage().data_ptr()


def shares_elements(t):
    """Whether elements lie in one place, as the windows of unfold do: what is written to one of them is written to the others."""
    places = torch.zeros(t.shape, dtype=torch.int64)
    for d, (size, stride) in enumerate(zip(t.shape, t.stride())):
        places += (torch.arange(size) * stride).reshape([-1] + [1] * (t.dim() - d - 1))
    return places.unique().numel() < t.numel()


def fits(t):
    """Numbers that Core ML has types for, of a size that overflows nothing on the way."""
    if t.is_complex() or t.dtype == torch.float64 or t.numel() > MOST_ELEMENTS or t.layout != torch.strided:
        return False
    if t.is_floating_point():
        return bool(t.isfinite().all()) and (t.numel() == 0 or float(t.abs().max()) < 1e5)
    return t.dtype == torch.bool or t.numel() == 0 or int(t.long().abs().max()) < 2**31


class Writer:
    """Writes one program. What a call asks for: tensors at hand or new inputs, dimensions, numbers."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.dynamic = self.chance(0.12)  # torch takes much longer to export these
        self.step = self.random.choice((0.25, 0.25, 0.5, 0))
        self.float = torch.float16 if self.chance(0.1) else torch.float32
        self.int = self.random.choice((torch.int64, torch.int64, torch.int32))
        self.most_rank = 6 if self.chance(0.05) else 5  # Core ML's limit, and beyond
        self.sizes = SIZES + ((0,) if self.chance(0.03) else ())
        self.inputs, self.steps, self.values, self.given, self.named = [], [], {}, set(), 0
        self.open = set()  # values whose size the data gives: few calls take any size

    def count(self):
        self.named += 1
        return self.named - 1

    # Chance.
    def chance(self, p):
        return self.random.random() < p

    def choose(self, options):
        return self.random.choice(options.split() if isinstance(options, str) else list(options))

    def int_in(self, low, high):
        return self.random.randint(low, high)

    def size(self):
        return self.random.choice(self.sizes)

    def shape(self, ranks=RANKS):
        shape = [self.size() for _ in range(self.random.choice(ranks))]
        while math.prod(shape) > 400:
            shape[shape.index(max(shape))] = 1
        return shape

    # Tensors.
    def new(self, dtype, shape, low=None, high=None, step=None, distinct=False, constant=None, fixed=False):
        """A new input, or a weight."""
        constant = self.chance(0.25) if constant is None else constant
        name = f"{'w' if constant else 'x'}{self.count()}"
        if dtype.is_floating_point:
            step = self.step if step is None else step
            low, high = (-4 if low is None else low), (4 if high is None else high)
        else:
            step = 0
            low, high = (-5 if low is None else low), (9 if high is None else high)
            if dtype == torch.uint8:
                low = max(low, 0)
        dynamic = [self.dynamic and not fixed and not constant and s > 1 and self.chance(0.5) for s in shape]
        given = Input(name, str(dtype).removeprefix("torch."), list(shape), dynamic, low, high, step, distinct)
        self.inputs.append(given)
        t = given.tensor()
        self.given.add(storage(t))
        self.values[name] = t
        return Value(name, t)

    def any(self, kinds="fib", ranks=range(7), where=lambda t: True, **options):
        """A tensor at hand, the later the likelier, or a new input. Kinds: f(loat), i(nt), b(ool)."""
        def kind(t):
            return "b" if t.dtype == torch.bool else "f" if t.is_floating_point() else "i"

        fitting = [(n, t) for n, t in self.values.items() if n not in self.open and kind(t) in kinds and t.dim() in ranks and where(t)]
        if fitting and self.chance(0.9):
            given = {i.name for i in self.inputs}
            computed = [(n, t) for n, t in fitting if n not in given]
            if computed and self.chance(0.7):
                fitting = computed
            at = max(self.random.randrange(len(fitting)), self.random.randrange(len(fitting)))
            return Value(*fitting[at])
        which = "f" if "f" in kinds and self.chance(0.75) else self.choose(list(kinds))
        dtype = {"f": self.float, "i": self.int, "b": torch.bool}[which]
        for _ in range(20):
            shape = self.shape([r for r in RANKS if r in ranks] or list(ranks))
            if where(torch.empty(shape, dtype=dtype)):
                return self.new(dtype, shape, **options)
        raise Unsuitable

    def f(self, ranks=range(7), **options):
        return self.any("f", ranks, **options)

    def i(self, ranks=range(7), **options):
        return self.any("i", ranks, **options)

    def b(self, ranks=range(7), **options):
        return self.any("b", ranks, **options)

    def partner(self, x, kinds=None):
        """A tensor that x can be broadcast with."""
        def fits_x(t):
            return all(a == b or a == 1 or b == 1 for a, b in zip(reversed(x.shape), reversed(t.shape)))

        kinds = kinds or ("f" if x.t.is_floating_point() else "b" if x.t.dtype == torch.bool else "i")
        if self.chance(0.5):
            try:
                return self.any(kinds, where=fits_x)
            except Unsuitable:
                pass
        shape = [s if self.chance(0.7) else 1 for s in x.shape][self.random.choice((0, 0, 0, 1, 2)):]
        kind = self.choose(list(kinds))
        return self.new({"f": self.float, "i": self.int, "b": torch.bool}[kind], shape)

    def same(self, x, shape=None, **options):
        return self.new(x.t.dtype, x.shape if shape is None else shape, **options)

    def indices(self, size, shape, distinct=False, negative=True):
        low = -size if negative and not distinct and self.chance(0.3) else 0
        return self.new(torch.int64, shape, low, size - 1, distinct=distinct)

    # Numbers.
    def dim(self, x):
        if x.rank == 0:
            return self.choose((0, -1))
        d = self.random.randrange(x.rank)
        return d - x.rank if self.chance(0.4) else d

    def dims(self, x, least=1):
        count = self.int_in(min(least, x.rank), x.rank)
        return [d - x.rank if self.chance(0.4) else d for d in self.random.sample(range(x.rank), count)]

    def length(self, x, d):
        """The size of a dimension as text: a literal, or x.shape[d], which stays dynamic."""
        return f"{x}.shape[{d}]" if self.dynamic and self.chance(0.6) else str(x.t.shape[d])

    def number(self, x=None):
        if x is not None and not x.t.is_floating_point() and self.chance(0.7):
            return str(self.int_in(-3, 5))
        return str(self.choose((2, -1, 3, 0.5, -1.5, 0.25, 2.5, 1, 0)))

    def flag(self):
        return self.choose(("True", "False"))

    def last(self, done):
        """The value just made is for the caller alone."""
        if done:
            self.open.add(f"x{self.named - 1}")
        return done

    def static(self, text):
        """A call whose sizes have to be numbers: none in a program of dynamic sizes."""
        return "None" if self.dynamic else text

    # The program.
    def add(self, line, result):
        """Runs a line; True when torch takes it and the numbers are ones to go on with."""
        names = NAMES | self.values
        try:
            with torch.no_grad():
                exec(line, names)
        except (RuntimeError, IndexError, ValueError, TypeError, NotImplementedError, AssertionError, ZeroDivisionError):
            return False
        value = names.get(result)
        if not isinstance(value, torch.Tensor) or not fits(value) or value.dim() > self.most_rank:
            return False
        self.steps.append(line)
        self.values[result] = value
        return True

    def expression(self, text):
        # The copy that these write to keeps the strides of what it is a copy of.
        if "_scatter(" in text and any(shares_elements(t) for n, t in self.values.items() if uses(text, n)):
            raise Unsuitable
        name = f"x{self.count()}"
        return self.add(f"{name} = {text}", name)

    def in_place(self, x, text):
        """A call that writes to x; `text` has {x} for its name. Inputs and weights are mostly copied before."""
        kept = dict(self.values), list(self.steps)
        if any(line.startswith(f"{x} = ") and (".unfold(" in line or "expand" in line or "broadcast" in line) for line in self.steps):
            raise Unsuitable  # elements that share memory, if not at these sizes
        if shares_elements(x.t):
            raise Unsuitable
        if storage(x.t) in self.given and self.chance(0.92):
            name = f"x{self.count()}"
            if not self.add(f"{name} = {x}.clone()", name):
                return False
            x = Value(name, self.values[name])
        before = x.t.clone()
        if self.add(text.format(x=x), x.name) and all(fits(v) for v in self.values.values()):
            return True
        # A number that is too large stays out of the program.
        x.t.copy_(before)
        self.values, self.steps = kept
        return False

    def write(self, count):
        attempts = 0
        while len(self.steps) < count and attempts < 20 * count:
            attempts += 1
            given = len(self.inputs), dict(self.values)
            try:
                done = self.random.choices(families.FAMILIES, families.WEIGHTS)[0](self)
            except (Unsuitable, IndexError, ValueError, RuntimeError):
                done = False
            self.forget_unused(*given, done)
        return self.program()

    def forget_unused(self, count, values, done):
        """Inputs that were made for a call that was not written, or for another form of it."""
        unused = {i.name for i in self.inputs[count:] if not (done and any(uses(line, i.name) for line in self.steps))}
        self.inputs = [i for i in self.inputs if i.name not in unused]
        self.values = {n: t for n, t in self.values.items() if n not in unused} if done else values

    def program(self):
        used = {name: any(uses(line, name) for line in self.steps) for name in self.values}
        given = {i.name for i in self.inputs}
        outputs = [n for n in self.values if n not in given and (not is_read(self.steps, n) or self.chance(0.25))]
        outputs += [i.name for i in self.inputs if self.chance(0.02)]
        return Program([i for i in self.inputs if used[i.name] or i.name in outputs], list(self.steps), outputs[-12:])


def uses(line, name):
    return name in "".join(c if c.isalnum() or c == "_" else " " for c in line).split()


def is_read(steps, name):
    """Whether a line other than the one that makes it names the value."""
    return sum(uses(line, name) for line in steps) > 1


def write_program(seed):
    """None when no program came of it."""
    writer = Writer(seed)
    program = writer.write(writer.int_in(3, 15))
    return program if program.steps and program.outputs and program.arguments() else None
