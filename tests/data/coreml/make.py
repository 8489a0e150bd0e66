#!/usr/bin/env python3
"""Records the packages beside this file with coremltools 9.0; only needed to change them. Their conversion date is fixed, so a
second run differs in the identifiers of the manifests alone."""

import logging
import shutil
from pathlib import Path

import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
import torch
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types

HERE = Path(__file__).parent
FP16, FP32 = ct.precision.FLOAT16, ct.precision.FLOAT32
logging.disable(logging.CRITICAL)


def save(model, name):
    model.user_defined_metadata["com.github.apple.coremltools.conversion_date"] = "2026-01-01"
    path = HERE / f"{name}.mlpackage"
    shutil.rmtree(path, ignore_errors=True)
    model.save(str(path))
    return path


def convert(program, target, precision=FP32, **options):
    return ct.convert(program, minimum_deployment_target=target, compute_precision=precision, skip_model_load=True, **options)


def traced(module, *example):
    return torch.jit.trace(module.eval(), example)


class Images(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x):
        return torch.softmax(self.conv(x).mean((2, 3)), -1)


class Layers(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.nn.Linear(16, 16)
        self.b = torch.nn.Linear(16, 16)

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))


class Counter(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(1, 4, dtype=torch.float16))

    def forward(self, x):
        self.total.add_(x)
        return self.total * 2


def classifier():
    """A flexible image in, class labels out."""
    size = ct.Shape([1, 3, ct.RangeDim(4, 32), ct.RangeDim(4, 64, default=8)])
    labels = ct.ClassifierConfig(["ant", "bee", "cat", "dog"])
    save(convert(traced(Images(), torch.randn(1, 3, 8, 8)), ct.target.iOS16, FP16, inputs=[ct.ImageType("image", shape=size, scale=1 / 255)],
                 classifier_config=labels), "classifier")


def dynamic():
    """torch.export with a symbolic batch."""
    batch = {0: torch.export.Dim("batch", min=1, max=16)}
    program = torch.export.export(Layers().eval(), (torch.randn(2, 16),), dynamic_shapes=(batch,)).run_decompositions({})
    save(convert(program, ct.target.iOS17, FP16), "dynamic")


def compressed(target, suffix):
    """One layer palettized, one quantised; iOS16 and iOS18 spell them differently."""
    base = convert(traced(Layers(), torch.randn(1, 16)), target, FP16, inputs=[ct.TensorType("x", shape=(1, 16))])
    lut = cto.OpPalettizerConfig(mode="uniform", nbits=2, weight_threshold=10)
    affine = cto.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=10)
    model = cto.palettize_weights(base, cto.OptimizationConfig(op_name_configs={"a_weight_to_fp16": lut}))
    save(cto.linear_quantize_weights(model, cto.OptimizationConfig(op_name_configs={"b_weight_to_fp16": affine})), f"compressed_{suffix}")


def control():
    """cond, while_loop and a list; the loop's two blocks name their inputs alike."""

    @mb.program(input_specs=[mb.TensorSpec((1, 4)), mb.TensorSpec((1,))], opset_version=ct.target.iOS17)
    def program(x, p):
        positive = mb.greater(x=mb.squeeze(x=p), y=0.0)
        start = mb.cond(pred=positive, _true_fn=lambda: mb.relu(x=x), _false_fn=lambda: mb.add(x=x, y=1.0))
        count, total = mb.while_loop(_cond=lambda i, s: mb.less(x=i, y=5.0), _body=lambda i, s: (mb.add(x=i, y=1.0), mb.add(x=s, y=start)),
                                     loop_vars=(0.0, start))
        items = mb.make_list(init_length=3, dynamic_length=False, elem_shape=(1, 4), dtype="fp32")
        items = mb.list_write(ls=items, index=1, value=total)
        return mb.list_read(ls=items, index=1, name="out"), mb.expand_dims(x=count, axes=[0], name="count")

    save(convert(program, ct.target.iOS17), "control")


def functions():
    """A function with a state and one without, sharing a weight file."""
    half = ct.TensorType("x", shape=(1, 4), dtype=np.float16)
    state = ct.StateType(wrapped_type=ct.TensorType(shape=(1, 4), dtype=np.float16), name="total")
    counter = convert(traced(Counter(), torch.ones(1, 4, dtype=torch.float16)), ct.target.iOS18, FP16, inputs=[half],
                      outputs=[ct.TensorType("y", dtype=np.float16)], states=[state])
    layers = convert(traced(Layers(), torch.randn(1, 16)), ct.target.iOS18, FP16, inputs=[ct.TensorType("x", shape=(1, 16))])
    parts = {"layers": save(layers, "part_layers"), "count": save(counter, "part_count")}
    descriptor = ct.utils.MultiFunctionDescriptor()
    for name, path in parts.items():
        descriptor.add_function(str(path), "main", name)
    descriptor.default_function_name = "count"
    target = HERE / "functions.mlpackage"
    shutil.rmtree(target, ignore_errors=True)
    ct.utils.save_multifunction(descriptor, str(target))
    for path in parts.values():
        shutil.rmtree(path)


if __name__ == "__main__":
    torch.manual_seed(0)
    classifier()
    dynamic()
    compressed(ct.target.iOS16, "ios16")
    compressed(ct.target.iOS18, "ios18")
    control()
    functions()
