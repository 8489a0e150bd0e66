"""The inputs of an exported program as the compile spec of enumerated shapes describes them."""

from . import _cortland
from .errors import LoweringError

UNBOUNDED = {"int_oo", "-int_oo", "oo", "-oo"}


def spec_value(program, enumerated_shapes):
    """The bytes of the spec: every symbolic shape of the program with its shapes and the inputs that have it."""
    shapes = {name: [[_size(name, size) for size in shape] for shape in listed] for name, listed in enumerated_shapes.items()}
    return _cortland.enumerated_shapes_spec(list(_inputs(program)), shapes)


def _size(name, size):
    if not isinstance(size, int) or isinstance(size, bool):
        raise LoweringError(f"enumerated shapes: input '{name}': a dimension is a whole number from 1 on, not {size!r}")
    return size


def _inputs(program):
    user_inputs = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in user_inputs and hasattr(node.meta.get("val"), "shape"):
            yield node.name, [_dim(size, program.range_constraints) for size in node.meta["val"].shape]


def _dim(size, constraints):
    """A number, or a symbol with its range."""
    if isinstance(size, int):
        return size
    name = str(size)
    bounds = next((bounds for symbol, bounds in constraints.items() if str(symbol) == name), None)
    return name, _bound(bounds.lower) if bounds else None, _bound(bounds.upper) if bounds else None


def _bound(value):
    return None if value is None or str(value) in UNBOUNDED else int(value)
