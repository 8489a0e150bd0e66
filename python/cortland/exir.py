"""to_edge_transform_and_lower: from an exported program to a .pte."""

import json
import os
import sys
import warnings

from . import _cortland, handover
from .constant_methods import returned
from .errors import LoweringError, LoweringWarning
from .partition import CoreMLPartitioner


class _Native:
    """What ExecuTorch's classes of the same purpose have beside, they take from a graph in Python, which this flow has none of."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(f"{type(self).__name__} has no '{name}': no graph comes to Python here. Call executorch.exir.to_edge_transform_and_lower "
                             "with this partitioner (import executorch.exir first) for ExecuTorch's own program manager")


class ExecutorchProgram(_Native):
    """A program for the ExecuTorch runtime."""

    def __init__(self, lowered):
        self._lowered = lowered
        self._buffer = None

    @property
    def buffer(self):
        """The .pte file as bytes."""
        if self._buffer is None:
            self._buffer = self._lowered.bytes()
        return self._buffer

    def write_to_file(self, open_file):
        """Writes to a file that is open for binary writing."""
        open_file.write(self.buffer)

    def save(self, path):
        """Writes the file without holding it in memory. It appears once it is complete."""
        self._lowered.write(os.fspath(path))


class LoweredProgram(_Native):
    """What to_edge_transform_and_lower() gives. `report` says what was delegated, and of every other operator why not."""

    def __init__(self, lowered):
        self._lowered = lowered
        self.report = json.loads(lowered.report())

    def to_executorch(self, config=None):
        """`config` may be an ExecutorchBackendConfig without choices of its own."""
        if config is not None and _contents(config) != _contents(type(config)()):
            _refuse("config", config)
        return ExecutorchProgram(self._lowered)


def to_edge_transform_and_lower(programs, transform_passes=None, partitioner=None, constant_methods=None, compile_config=None,
                                generate_etrecord=False):
    """Lowers `programs`: a torch.export.ExportedProgram, the path of a .pt2 file (of which every program becomes a method), or
    {"method name": one of these, ...}.

    `partitioner` is a CoreMLPartitioner or a list with one, for all methods, or {"method name": one of these, ...}; without, every
    operator runs on ExecuTorch's CPU kernels. `constant_methods` is {"method name": what it returns}. `compile_config`, ExecuTorch's
    EdgeCompileConfig, says how its graph is checked and taken apart, and changes nothing here. Raises LoweringError; warns with
    LoweringWarning.
    """
    _refuse("transform_passes", transform_passes)
    _refuse("generate_etrecord", generate_etrecord)
    programs = _methods(programs)
    partitioners = partitioner if isinstance(partitioner, dict) else dict.fromkeys(programs, partitioner)
    if unknown := [name for name in partitioners if name not in programs]:
        raise LoweringError(f"partitioner: there is no method '{unknown[0]}'", help=f"the methods are {', '.join(programs)}")
    methods = [(name, *_program_parts(program), _options(partitioners.get(name))) for name, program in programs.items()]
    constants = [(name, *returned(name, value)) for name, value in (constant_methods or {}).items()]
    lowered = _cortland.lower(methods, constants)
    for message in lowered.messages():
        warnings.warn(message, LoweringWarning, stacklevel=2)
    return LoweredProgram(lowered)


def _refuse(argument, value):
    if value is not None and value is not False and value != {} and value != [] and value != ():
        raise LoweringError(f"the argument {argument} is not supported here",
                            help=f"leave {argument} out, or call executorch.exir.to_edge_transform_and_lower with this partitioner")


def _contents(value):
    """An object's type and attributes, all the way down, to be compared."""
    return (type(value), {k: _contents(v) for k, v in vars(value).items()}) if hasattr(value, "__dict__") and not callable(value) else value


def _methods(programs):
    if isinstance(programs, dict):
        return programs
    if isinstance(programs, (str, os.PathLike)):
        return dict.fromkeys(_cortland.method_names(os.fspath(programs)), programs)
    return {"forward": programs}


def _options(partitioner):
    partitioners = partitioner if isinstance(partitioner, (list, tuple)) else [] if partitioner is None else [partitioner]
    for p in partitioners:
        if not isinstance(p, CoreMLPartitioner):
            raise TypeError(f"partitioner: {type(p).__module__}.{type(p).__qualname__} is not a cortland.CoreMLPartitioner; for partitioners "
                            "of other backends call executorch.exir.to_edge_transform_and_lower")
    if len(partitioners) > 1:
        raise LoweringError("several partitioners are not supported here",
                            help="pass one CoreMLPartitioner, or call executorch.exir.to_edge_transform_and_lower")
    return partitioners[0].options() if partitioners else None


def _program_parts(program):
    """What the native side reads, what its errors call it, and the tensors that lie in memory."""
    if isinstance(program, (str, os.PathLike)):
        return os.fspath(program), os.fspath(program), []
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(program, torch.export.ExportedProgram):
        raise TypeError(f"{type(program).__qualname__} is neither a torch.export.ExportedProgram nor the path of a .pt2 file")
    archive, tensors = handover.exported(program)
    return archive, "the exported program", tensors
