"""An exported program as the native side reads it: the graph as a .pt2 archive in memory, the tensors by address. Weights are
neither copied nor written; whoever reads them keeps their storages alive."""

import copy
import io
import sys


def exported(program):
    """(archive, tensors) of a torch.export.ExportedProgram."""
    torch = sys.modules["torch"]
    shell = copy.copy(program)  # the graph itself is shared
    tensors = []
    shell._state_dict = _without_data(program.state_dict, tensors)
    shell._constants = _without_data(program.constants, tensors, but=shell._state_dict)
    shell._example_inputs = None
    archive = io.BytesIO()
    torch.export.save(shell, archive)
    return archive.getbuffer(), tensors


def _without_data(table, tensors, but=()):
    """The table with tensors that hold nothing; those it had are added to `tensors`. A name that both tables have stays."""
    return {name: value if name in but else _stand_in(name, value, tensors) for name, value in table.items()}


def _stand_in(name, value, tensors):
    torch = sys.modules["torch"]
    if not isinstance(value, torch.Tensor):
        return value
    if type(value.data) is not torch.Tensor:
        empty = _subclass_stand_in(name, value, tensors)
    else:
        empty = torch.empty(0, dtype=value.dtype) if _add(name, value, tensors) else value
    is_parameter = isinstance(value, torch.nn.Parameter) and empty is not value
    return torch.nn.Parameter(empty, requires_grad=False) if is_parameter else empty


def _subclass_stand_in(name, value, tensors):
    """A tensor subclass is written as its class has it, around inner tensors of the same shape with one element in memory."""
    torch = sys.modules["torch"]
    if not hasattr(value, "__tensor_flatten__"):
        return value
    attributes, context = value.__tensor_flatten__()
    inner, added = {}, []
    for attribute in attributes:
        tensor = getattr(value, attribute)
        plain = type(tensor) is torch.Tensor and _add(f"{name}.{attribute}", tensor, added)
        inner[attribute] = torch.empty((), dtype=tensor.dtype).expand(tensor.shape) if plain else tensor
    tensors += added
    return type(value).__tensor_unflatten__(inner, context, value.size(), value.stride())


def _add(name, value, tensors):
    """Whether the tensor could be handed over as it is: its elements are where its strides say."""
    torch = sys.modules["torch"]
    if value.layout is not torch.strided or value.is_quantized or value.is_conj() or value.is_neg() or value.device.type == "meta":
        return False
    value = value.detach().cpu()
    storage = value.untyped_storage()
    if value.numel() == 0 or storage.data_ptr() == 0:
        return False
    tensors.append((name, storage.data_ptr(), storage.nbytes(), str(value.dtype).removeprefix("torch."), list(value.size()),
                    list(value.stride()), value.storage_offset(), storage))
    return True
