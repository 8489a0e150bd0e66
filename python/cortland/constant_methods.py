"""Methods that return a constant: numbers, texts, tensors, and lists, tuples and dictionaries of them."""

import json
import sys

from .errors import LoweringError


def returned(method, value):
    """The flat values of what `method` returns, and the text by which a program describes how they hang together."""
    leaves = []
    structure = _flatten(method, value, leaves)
    return leaves, json.dumps([1, structure])


def _flatten(method, value, leaves):
    if isinstance(value, dict):
        return _node("builtins.dict", json.dumps(list(value)), [_flatten(method, v, leaves) for v in value.values()])
    if isinstance(value, (list, tuple)):
        kind = "builtins.tuple" if isinstance(value, tuple) else "builtins.list"
        return _node(kind, "null", [_flatten(method, v, leaves) for v in value])
    leaves.append(_leaf(method, value))
    return _node(None, None, [])


def _node(kind, context, children):
    return {"type": kind, "context": context, "children_spec": children}


def _leaf(method, value):
    if isinstance(value, (bool, int, float, str)):
        return value
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.dtype):
        return (str(value).removeprefix("torch."),)
    if torch is not None and isinstance(value, torch.Tensor):
        data = value.detach().cpu().contiguous()
        return str(data.dtype).removeprefix("torch."), list(data.shape), data.reshape(-1).view(torch.uint8).numpy().tobytes()
    raise LoweringError(f"the constant method '{method}' returns {type(value).__qualname__}",
                        help="return numbers, texts, tensors, or lists, tuples and dictionaries of them")
