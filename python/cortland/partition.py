"""CoreMLPartitioner: which operators go to Core ML, and how."""

import sys

from . import _cortland


class CoreMLPartitioner:
    """The options of a lowering to Core ML.

    skip_ops_for_coreml_delegation: names of operators that stay on the CPU, "aten.add.Tensor"; case does not matter.
    compile_specs: what CoreMLBackend.generate_compile_specs() gives; the delegates store them as they are.
    take_over_mutable_buffer: buffers that the model writes become Core ML state (iOS18) where they can.
    lower_full_graph: an operator that cannot be delegated is an error.
    take_over_constant_data: weights lie in the delegates; else they are passed in.
    float32_ops: names of operators, or of single nodes, that compute in float32 whatever the precision. ExecuTorch has no such option.

    Once `executorch.exir` is imported, what is made is a partitioner of ExecuTorch too, for executorch.exir.to_edge_transform_and_lower
    as for cortland's.
    """

    def __new__(cls, *args, **options):
        if cls is CoreMLPartitioner and "executorch.exir" in sys.modules:
            from .executorch.partitioner import CoreMLPartitioner as cls
        return super().__new__(cls)

    def __init__(self, *, skip_ops_for_coreml_delegation=None, compile_specs=None, take_over_mutable_buffer=True,
                 lower_full_graph=False, take_over_constant_data=True, float32_ops=None):
        for option, names in (("skip_ops_for_coreml_delegation", skip_ops_for_coreml_delegation), ("float32_ops", float32_ops)):
            if isinstance(names, str):
                raise TypeError(f"{option} is a string; pass a list of operator names")
        if compile_specs is not None and not (isinstance(compile_specs, (list, tuple)) and all(hasattr(spec, "key") for spec in compile_specs)):
            raise TypeError("compile_specs is not a list of CompileSpec; pass what CoreMLBackend.generate_compile_specs() gives")
        # torch.ops.aten.add.Tensor is named as it prints
        self.skip_ops_for_coreml_delegation = [str(name) for name in skip_ops_for_coreml_delegation or []]
        self.compile_specs = list(compile_specs or [])
        self.take_over_mutable_buffer = bool(take_over_mutable_buffer)
        self.lower_full_graph = bool(lower_full_graph)
        self.take_over_constant_data = bool(take_over_constant_data)
        self.float32_ops = [str(name) for name in float32_ops or []]
        if wrong := _cortland.check_partitioner(self.options()):
            raise AssertionError(wrong)  # as ExecuTorch, but also under `python -O`

    def options(self):
        """As the native side takes them."""
        return dict(skip_ops=[name.lower() for name in self.skip_ops_for_coreml_delegation],
                    float32_ops=self.float32_ops,
                    compile_specs=[(spec.key, bytes(spec.value)) for spec in self.compile_specs],
                    lower_full_graph=self.lower_full_graph,
                    take_over_constant_data=self.take_over_constant_data,
                    take_over_mutable_buffer=self.take_over_mutable_buffer)
