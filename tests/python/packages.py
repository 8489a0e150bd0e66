"""Packages as coremltools writes and reads them: the other side of our writer and reader."""

import logging
import warnings

logging.getLogger("coremltools").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="coremltools")

import coremltools as ct
import numpy as np
import torch

import models

# What coremltools 9.0 cannot convert: index_put_ into a buffer with a rank-1 position.
UNCONVERTIBLE = {"decoder_kv_cache", "decoder_two_steps"}


# It knows these under other names.
OTHER_SPELLINGS = {"aten.__and__.Tensor": torch.ops.aten.bitwise_and.Tensor, "aten.__or__.Tensor": torch.ops.aten.bitwise_or.Tensor}


def write(program, path, precision="float16", target="iOS18", decompositions=None):
    """Converts an exported program with coremltools and saves it. Nothing is compiled or loaded, so this works on Linux.
    `decompositions` is torch's table; None stands for the one of the core ATen set."""
    program = program.run_decompositions(decompositions)
    for node in list(program.graph.nodes):
        node.target = OTHER_SPELLINGS.get(str(node.target), node.target)
        if str(node.target) == "aten.alias.default":  # coremltools does not know it
            node.replace_all_uses_with(node.args[0])
            for spec in program.graph_signature.output_specs:
                if spec.arg.name == node.name:
                    spec.arg.name = node.args[0].name
            program.graph.erase_node(node)
    package = ct.convert(
        program,
        minimum_deployment_target=getattr(ct.target, target),
        compute_precision=getattr(ct.precision, precision.upper()),
        skip_model_load=True,
    )
    package.save(str(path))


def write_traced(case, path, precision="float16", target="iOS18"):
    """The same from the module of a case, by way of TorchScript."""
    inputs = case.inputs[0]
    with torch.no_grad():
        traced = torch.jit.trace(case.module, inputs, check_trace=False)
    package = ct.convert(
        traced,
        inputs=[ct.TensorType(shape=t.shape, dtype=np.float32 if t.is_floating_point() else np.int32) for t in inputs],
        minimum_deployment_target=getattr(ct.target, target),
        compute_precision=getattr(ct.precision, precision.upper()),
        skip_model_load=True,
    )
    package.save(str(path))


def read(path):
    """Loads a package both ways that coremltools has: as a model and, which type-checks every op, back into its own program."""
    from coremltools.converters.mil.frontend.milproto.load import load

    package = ct.models.MLModel(str(path), skip_model_load=True)
    spec = package.get_spec()
    return spec, load(spec, spec.specificationVersion, package.weights_dir)


def names():
    return [n for n in models.names() if n not in UNCONVERTIBLE]
