"""Writes what one side of the comparison reads, into a folder: `prepare.py <kind> <model> <folder>`.

Each kind is a process of its own, so that one that fails or hangs takes nothing else with it.
"""

import json
import sys
from pathlib import Path

import torch

import measured_models

FOUR_BIT_CONFIG = {
    "config_type": "OpLinearQuantizerConfig",
    "global_config": {"mode": "linear_symmetric", "dtype": "int4", "granularity": "per_block", "block_size": 32},
    "op_type_configs": {"gather": None},
}


def pt2(name, folder):
    """The exported program, its inputs for `cortland bench` and for torch."""
    import numpy as np

    module, inputs = measured_models.build(name)
    with torch.no_grad():
        program = torch.export.export(module, inputs)
    np.savez(folder / f"{name}.npz", **{f"in{k}": t.numpy() for k, t in enumerate(inputs)})
    torch.save(inputs, folder / f"{name}.inputs.pt")
    (folder / f"{name}.json").write_text(json.dumps({"nodes": sum(n.op == "call_function" for n in program.graph.nodes)}))
    torch.export.save(program, folder / f"{name}.pt2")


def onnx(name, folder):
    import numpy as np

    module, inputs = measured_models.without_state(*measured_models.build(name))
    torch.onnx.export(module, inputs, dynamo=True, verbose=False).save(str(folder / f"{name}.onnx"), external_data=True)
    flat = torch.utils._pytree.tree_leaves(inputs)
    np.savez(folder / f"{name}.onnx.npz", **{f"in{k}": t.numpy() for k, t in enumerate(flat)})


def onnx_int4(name, folder):
    import onnx as onnx_package
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    model = onnx_package.load(str(folder / f"{name}.onnx"))
    quantizer = MatMulNBitsQuantizer(model, block_size=32, is_symmetric=True, accuracy_level=4)
    quantizer.process()
    quantizer.model.save_model_to_file(str(folder / f"{name}.int4.onnx"), True)


def write_xnnpack(program, path):
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    with open(path, "wb") as file:
        to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch().write_to_file(file)


def xnnpack(name, folder):
    write_xnnpack(torch.export.load(folder / f"{name}.pt2"), folder / f"{name}.xnnpack.pte")


def xnnpack_int4(name, folder):
    """XNNPACK's own scheme: weights of 4 bits, activations quantised to 8 bits on the fly."""
    from torchao.quantization import Int8DynamicActivationIntxWeightConfig, PerGroup, quantize_

    module, inputs = measured_models.build(name)
    quantize_(module, Int8DynamicActivationIntxWeightConfig(weight_dtype=torch.int4, weight_granularity=PerGroup(32)))
    with torch.no_grad():
        program = torch.export.export(module, inputs)
    write_xnnpack(program, folder / f"{name}.int4.xnnpack.pte")


KINDS = {f.__name__: f for f in (pt2, onnx, onnx_int4, xnnpack, xnnpack_int4)}

if __name__ == "__main__":
    kind, name, folder = sys.argv[1:]
    KINDS[kind](name, Path(folder))
