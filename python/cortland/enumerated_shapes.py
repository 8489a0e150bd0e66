"""The compile spec that lists the shapes an input may take, checked against the program it is for."""

import json

from .errors import LoweringError

UNBOUNDED = {"int_oo", "-int_oo", "oo", "-oo"}


def spec_value(program, enumerated_shapes):
    """The bytes of the spec: every symbolic shape of the program with its shapes and the inputs that have it."""
    _check_lists(enumerated_shapes)
    inputs = dict(_inputs(program))
    if unknown := [name for name in enumerated_shapes if name not in inputs]:
        raise _wrong(f"the program has no tensor input '{unknown[0]}'; its inputs are {', '.join(inputs)}")
    entries = {}  # text of the symbolic shape -> [dims, shapes, names]
    for name, shape in inputs.items():
        dims = [_dim(size, program.range_constraints) for size in shape]
        if not any(isinstance(dim, dict) for dim in dims):
            if name in enumerated_shapes:
                raise _wrong(f"input '{name}' has the fixed shape {dims}; export it with dynamic dimensions, or leave it out")
            continue
        if name not in enumerated_shapes:
            raise _wrong(f"input '{name}' has dynamic dimensions, but no shapes are listed for it")
        shapes = [list(shape) for shape in enumerated_shapes[name]]
        for listed in shapes:
            _check_shape(name, listed, dims)
        entry = entries.setdefault(json.dumps(dims), [dims, shapes, []])
        if entry[1] != shapes:
            raise _wrong(f"inputs '{entry[2][0]}' and '{name}' share their symbolic shape, but not their list of shapes")
        entry[2].append(name)
    return json.dumps([[{"shape": dims}, [shapes, names]] for dims, shapes, names in entries.values()]).encode()


def _wrong(what):
    return LoweringError(f"enumerated shapes: {what}", "bad-option", help="list for each dynamic input the shapes it may take, equally many each")


def _check_lists(enumerated_shapes):
    if not enumerated_shapes:
        raise _wrong("none are given")
    counts = {name: len(shapes) for name, shapes in enumerated_shapes.items()}
    if len(set(counts.values())) > 1:
        raise _wrong("the lists differ in length: " + ", ".join(f"{name} has {count}" for name, count in counts.items()))
    if 0 in counts.values() or (len(counts) > 1 and 1 in counts.values()):
        raise _wrong("several inputs need two shapes or more each, one input needs at least one")


def _inputs(program):
    user_inputs = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in user_inputs and hasattr(node.meta.get("val"), "shape"):
            yield node.name, node.meta["val"].shape


def _bound(value):
    return None if value is None or str(value) in UNBOUNDED else int(value)


def _dim(size, constraints):
    """A number, or a symbol with its range as the spec writes it."""
    if isinstance(size, int):
        return size
    name = str(size)
    bounds = next((bounds for symbol, bounds in constraints.items() if str(symbol) == name), None)
    return {"key_name": name, "low": _bound(bounds.lower) if bounds else None, "high": _bound(bounds.upper) if bounds else None}


def _check_shape(name, shape, dims):
    if len(shape) != len(dims):
        raise _wrong(f"{shape} has rank {len(shape)}, but input '{name}' has rank {len(dims)}")
    for i, (size, dim) in enumerate(zip(shape, dims)):
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise _wrong(f"{shape} of input '{name}': a dimension is a whole number from 1 on, not {size!r}")
        if not isinstance(dim, dict):
            if size != dim:
                raise _wrong(f"{shape} of input '{name}': dimension {i} is {dim} in the export, not {size}")
            continue
        # torch assumes 2 or more of a dimension that is not said to be 1, so 1 is no contradiction.
        low = 1 if dim["low"] == 2 else dim["low"]
        if (low is not None and size < low) or (dim["high"] is not None and size > dim["high"]):
            raise _wrong(f"{shape} of input '{name}': dimension {i} is {size}, but the export allows {dim['low']} to {dim['high']}")
