"""Lowers PyTorch programs to Core ML inside ExecuTorch programs: ExecuTorch's Core ML partitioner and backend, natively.

    from cortland import CoreMLBackend, CoreMLPartitioner, to_edge_transform_and_lower
    import cortland as ct

    specs = CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS18)
    program = to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner(compile_specs=specs)])
    program.to_executorch().save("model.pte")

The modules `compiler`, `partition` and `exir` have the names that the same things have in ExecuTorch.
"""

from . import compiler, exir, partition
from .compiler import COMPILE_SPEC_KEYS, MULTIMETHOD_WEIGHT_SHARING_STRATEGY, CompileSpec, CoreMLBackend
from .enums import ComputeUnit, precision, target
from .errors import LoweringError, LoweringWarning, NotDelegatedError
from .exir import to_edge_transform_and_lower
from .partition import CoreMLPartitioner

__version__ = "0.1.0"

__all__ = [
    "COMPILE_SPEC_KEYS", "CompileSpec", "ComputeUnit", "CoreMLBackend", "CoreMLPartitioner", "LoweringError", "LoweringWarning",
    "MULTIMETHOD_WEIGHT_SHARING_STRATEGY", "NotDelegatedError", "compiler", "exir", "partition", "precision", "target", "to_edge_transform_and_lower",
]
