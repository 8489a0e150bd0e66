"""CoreMLBackend as a backend of ExecuTorch: makes the delegates of the parts that the partitioner chose."""

import warnings

from executorch.exir._serialize._named_data_store import NamedDataStore
from executorch.exir.backend.backend_details import BackendDetails, PreprocessResult

from .. import _cortland, compiler, exir, partition
from ..errors import LoweringWarning
from .program import Program


class CoreMLBackend(BackendDetails):
    """Its name is the identifier in the .pte file. The functions that make compile specs are those of cortland.CoreMLBackend."""

    MODEL_TYPE = compiler.CoreMLBackend.MODEL_TYPE

    @staticmethod
    def preprocess(edge_program, compile_specs):
        results = CoreMLBackend.preprocess_multimethod({"forward": [edge_program]}, {"forward": [compile_specs]})
        return results["forward"][0]

    @classmethod
    def preprocess_multimethod(cls, edge_programs, compile_specs):
        """Delegates at one place of all methods share a model where they can, as in cortland.to_edge_transform_and_lower()."""
        methods = [(name, [Program(part).part() for part in parts], _options(compile_specs[name][0]))
                   for name, parts in edge_programs.items() if parts]
        blobs, shared, messages = _cortland.lower_delegates(methods)
        for message in messages:
            warnings.warn(message, LoweringWarning, stacklevel=2)
        store = NamedDataStore()
        for key, data in shared:
            store.add_named_data(key, data)
        named_data = store.get_named_data_store_output() if shared else None
        results = {name: [] for name in edge_programs}
        for (name, *_), own in zip(methods, blobs):
            results[name] = [PreprocessResult(processed_bytes=blob, debug_handle_map={}, data_store_output=named_data) for blob in own]
        return results

    @classmethod
    def copy_exported_program_for_preprocess(cls, edge_program, compile_specs):
        return edge_program  # nothing here changes it, and a copy would hold the weights once more


def _options(compile_specs):
    return exir._options(partition.CoreMLPartitioner(compile_specs=compile_specs, lower_full_graph=True))


for _name, _function in vars(compiler.CoreMLBackend).items():
    if _name.startswith("generate_"):
        setattr(CoreMLBackend, _name, _function)
