"""Cortland inside ExecuTorch's own flow: a partitioner and a backend of the installed `executorch` package, next to others.

    from cortland.executorch import CoreMLBackend, CoreMLPartitioner
    from executorch.exir import to_edge_transform_and_lower

    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner(), XnnpackPartitioner()]).to_executorch()

Importing this needs executorch and torch, never coremltools. Names and options are those of executorch.backends.apple.coreml.
"""

from ..compiler import COMPILE_SPEC_KEYS, MULTIMETHOD_WEIGHT_SHARING_STRATEGY
from .backend import CoreMLBackend
from .partitioner import CoreMLPartitioner

__all__ = ["COMPILE_SPEC_KEYS", "CoreMLBackend", "CoreMLPartitioner", "MULTIMETHOD_WEIGHT_SHARING_STRATEGY"]
