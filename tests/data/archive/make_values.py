"""Writes values.pt: one of everything torch.save can put into a file that our reader knows, and some it does not."""

import collections
import pathlib

import torch


class Pair(torch.Tensor):
    """A tensor subclass with two tensors inside, as quantized weights have."""

    @staticmethod
    def __new__(cls, low, high):
        return torch.Tensor._make_wrapper_subclass(cls, low.shape, dtype=torch.float32)

    def __init__(self, low, high):
        self.low, self.high = low, high

    @classmethod
    def __torch_dispatch__(cls, func, types, args, kwargs=None):
        if func is torch.ops.aten.detach.default:
            return cls(args[0].low, args[0].high)
        raise NotImplementedError(func)


Point = collections.namedtuple("Point", "x y")
base = torch.arange(12, dtype=torch.float32)
values = {
    "plain": base.view(3, 4),
    "turned": base.view(3, 4).t(),
    "slice": base[5:10],
    "expanded": torch.tensor([7.0]).expand(2, 3),
    "scalar": torch.tensor(3, dtype=torch.int64),
    "empty": torch.empty(0, 4),
    "parameter": torch.nn.Parameter(torch.ones(2, dtype=torch.float16)),
    "frozen": torch.nn.Parameter(torch.ones(2), requires_grad=False),
    "u16": torch.tensor([1, 65535], dtype=torch.uint16),
    "f8": torch.tensor([1.0, -2.0]).to(torch.float8_e4m3fn),
    "bf16": torch.tensor([1.5], dtype=torch.bfloat16),
    "bool": torch.tensor([True, False]),
    "complex": torch.tensor([1 + 2j]).conj(),
    "meta": torch.empty(2, 2, device="meta"),
    "pair": Pair(torch.tensor([1, 2], dtype=torch.int8), torch.tensor([0.5, 0.25])),
    "pair_parameter": torch.nn.Parameter(Pair(torch.zeros(2), torch.ones(2)), requires_grad=False),
    "size": torch.Size([2, 3]),
    "ordered": collections.OrderedDict([("k", 1)]),
    "dtype": torch.bfloat16,
    "device": torch.device("cpu"),
    "bytes": b"a\x80\xff",
    "set": {5},
    "point": Point(1, 2),
    "scalars": (None, True, -1, 255, 65536, -(2**40), 2**62, 1.5, "h\u00e9", [1, [2]]),
}

if __name__ == "__main__":
    torch.save(values, pathlib.Path(__file__).with_name("values.pt"))
    torch.save(values, pathlib.Path(__file__).with_name("values_protocol4.pt"), pickle_protocol=4)
