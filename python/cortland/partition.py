"""CoreMLPartitioner: which operators go to Core ML, and how."""

from .compiler import COMPILE_SPEC_KEYS


class CoreMLPartitioner:
    """The options of a lowering to Core ML.

    skip_ops_for_coreml_delegation: names of operators that stay on the CPU, "aten.add.Tensor"; case does not matter.
    compile_specs: what CoreMLBackend.generate_compile_specs() gives; the delegates store them as they are.
    take_over_mutable_buffer: buffers that the model writes become Core ML state (iOS18) where they can.
    lower_full_graph: an operator that cannot be delegated is an error.
    take_over_constant_data: weights lie in the delegates; else they are passed in.
    """

    def __init__(self, *, skip_ops_for_coreml_delegation=None, compile_specs=None, take_over_mutable_buffer=True,
                 lower_full_graph=False, take_over_constant_data=True):
        if isinstance(skip_ops_for_coreml_delegation, str):
            raise TypeError("skip_ops_for_coreml_delegation is a string; pass a list of operator names")
        self.skip_ops_for_coreml_delegation = list(skip_ops_for_coreml_delegation or [])
        self.compile_specs = list(compile_specs or [])
        self.take_over_mutable_buffer = bool(take_over_mutable_buffer)
        self.lower_full_graph = bool(lower_full_graph)
        self.take_over_constant_data = bool(take_over_constant_data)
        self._check()

    def _check(self):
        # AssertionError as in ExecuTorch, but also under `python -O`.
        if self.lower_full_graph:
            if self.skip_ops_for_coreml_delegation:
                raise AssertionError("lower_full_graph=True leaves nothing to the CPU: skip_ops_for_coreml_delegation must be empty")
            if not self.take_over_constant_data:
                raise AssertionError("lower_full_graph=True needs take_over_constant_data=True")
            if not self.take_over_mutable_buffer:
                raise AssertionError("lower_full_graph=True needs take_over_mutable_buffer=True")
        elif any(spec.key == COMPILE_SPEC_KEYS.ENUMERATED_SHAPES.value for spec in self.compile_specs):
            raise AssertionError("a compile spec with enumerated shapes needs lower_full_graph=True")
