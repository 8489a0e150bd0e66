"""CoreMLBackend and its compile specs, byte for byte those of ExecuTorch."""

import json
from dataclasses import dataclass
from enum import Enum

from . import _cortland, compression, enumerated_shapes as shapes
from .enums import ComputeUnit, compute_unit_name, precision, precision_name, target_version


@dataclass
class CompileSpec:
    """An option as a delegate stores it. Any object with these two attributes is accepted, ExecuTorch's own for instance."""

    key: str
    value: bytes


class COMPILE_SPEC_KEYS(Enum):
    COMPUTE_UNITS = "compute_units"
    MODEL_TYPE = "model_type"
    MIN_DEPLOYMENT_TARGET = "min_deployment_target"
    MODEL_COMPUTE_PRECISION = "model_compute_precision"
    OP_LINEAR_QUANTIZER_CONFIG = "op_linear_quantizer_config"
    ENUMERATED_SHAPES = "enumerated_shapes"
    PASS_PIPELINE = "pass_pipeline"
    MULTIMETHOD_WEIGHT_SHARING_STRATEGY = "multimethod_weight_sharing_strategy"


# Keys that are not ExecuTorch's, which leaves them alone.
COMPRESSION_CONFIG = "compression_config"
FLOAT32_OPS = "float32_ops"


class MULTIMETHOD_WEIGHT_SHARING_STRATEGY(Enum):
    DISABLED = "disabled"
    POSITIONAL = "positional"


class CoreMLBackend:
    class MODEL_TYPE(Enum):
        MODEL = "model"
        COMPILED_MODEL = "compiled_model"

    @staticmethod
    def generate_compile_specs(compute_unit=ComputeUnit.ALL, minimum_deployment_target=None, compute_precision=precision.FLOAT16,
                               model_type=MODEL_TYPE.MODEL, op_linear_quantizer_config=None, pass_names=None):
        """A list of CompileSpec for CoreMLPartitioner(compile_specs=...). Enums are cortland's or coremltools'."""
        if not isinstance(model_type, Enum):
            raise TypeError(f"model_type is {model_type!r}; use a member of CoreMLBackend.MODEL_TYPE")
        if isinstance(pass_names, str):
            raise TypeError("pass_names is a string; pass a list of names")
        pairs = _cortland.generate_compile_specs(
            compute_unit=compute_unit_name(compute_unit),
            target=target_version(minimum_deployment_target),
            precision=precision_name(compute_precision),
            model_type=model_type.value,
            quantizer_config=None if op_linear_quantizer_config is None else json.dumps(op_linear_quantizer_config),
            pass_names=None if pass_names is None else list(pass_names))
        return [CompileSpec(key, value) for key, value in pairs]

    @staticmethod
    def generate_enumerated_shapes_compile_spec(ep, enumerated_shapes):
        """The shapes that inputs of the ExportedProgram may take: {"x": [[1, 8], [4, 8]], ...}, matched by position. Needs
        CoreMLPartitioner(lower_full_graph=True)."""
        return CompileSpec(COMPILE_SPEC_KEYS.ENUMERATED_SHAPES.value, shapes.spec_value(ep, enumerated_shapes))

    @staticmethod
    def generate_compute_unit_compile_spec(compute_unit):
        return _one(COMPILE_SPEC_KEYS.COMPUTE_UNITS, compute_unit=compute_unit)

    @staticmethod
    def generate_minimum_deployment_target_compile_spec(min_deployment_target):
        return _one(COMPILE_SPEC_KEYS.MIN_DEPLOYMENT_TARGET, minimum_deployment_target=min_deployment_target)

    @staticmethod
    def generate_compute_precision_compile_spec(compute_precision):
        return _one(COMPILE_SPEC_KEYS.MODEL_COMPUTE_PRECISION, compute_precision=compute_precision)

    @staticmethod
    def generate_model_type_compile_spec(model_type):
        return _one(COMPILE_SPEC_KEYS.MODEL_TYPE, model_type=model_type)

    @staticmethod
    def generate_op_linear_quantizer_config_compile_spec(op_linear_quantizer_config):
        return _one(COMPILE_SPEC_KEYS.OP_LINEAR_QUANTIZER_CONFIG, op_linear_quantizer_config=op_linear_quantizer_config)

    @staticmethod
    def generate_compression_compile_spec(config):
        """How to compress the weights, with global, per-op-type and per-op-name entries: coremltools' OptimizationConfig, its
        dictionary, or the path of a JSON or YAML file with it. A list of these, in the order prune, palettize, quantize, makes
        the joint forms. Goes beside the specs of generate_compile_specs()."""
        return CompileSpec(COMPRESSION_CONFIG, compression.to_json(config).encode())

    @staticmethod
    def generate_pass_pipeline_compile_spec(pass_names):
        return _one(COMPILE_SPEC_KEYS.PASS_PIPELINE, pass_names=pass_names)

    @staticmethod
    def generate_multimethod_weight_sharing_strategy_compile_spec(strategy):
        return CompileSpec(COMPILE_SPEC_KEYS.MULTIMETHOD_WEIGHT_SHARING_STRATEGY.value, strategy.value.encode())


def _one(key, **options):
    return next(spec for spec in CoreMLBackend.generate_compile_specs(**options) if spec.key == key.value)
