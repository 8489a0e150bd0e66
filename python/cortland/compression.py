"""Compression configurations as JSON: coremltools' objects, their dictionaries, and files."""

import json
import os
from enum import Enum


def to_json(config):
    """`config` is an OptimizationConfig, a dictionary, the path of a .json or .yaml file, or a list of these."""
    return json.dumps([_plain(c) for c in config] if isinstance(config, (list, tuple)) else _plain(config))


def _plain(config):
    if isinstance(config, (str, os.PathLike)):
        return _load(os.fspath(config))
    if isinstance(config, dict):
        return config
    if type(config).__name__ == "OptimizationConfig":
        return _from_object(config)
    raise TypeError(f"{type(config).__qualname__} is neither an OptimizationConfig, a dictionary nor the path of a file")


def _load(path):
    with open(path, encoding="utf-8") as file:
        if path.endswith((".yaml", ".yml")):
            import yaml  # PyYAML, only where it is needed

            return yaml.safe_load(file)
        return json.load(file)


def _from_object(config):
    """coremltools' objects, without importing it: entries of different classes each say which."""
    entries = {"op_type_configs": {k: _op_config(v) for k, v in config.op_type_configs.items()},
               "op_name_configs": {k: _op_config(v) for k, v in config.op_name_configs.items()}}
    if config.global_config is not None:
        entries["global_config"] = _op_config(config.global_config)
    return {"config_type": "OpLinearQuantizerConfig", **entries}


def _op_config(config):
    if config is None:
        return None
    plain = {field.name: _value(getattr(config, field.name)) for field in config.__attrs_attrs__}
    return {"config_type": type(config).__name__, **plain}


def _value(value):
    if isinstance(value, Enum):
        return value.name.lower()
    if hasattr(value, "__type_info__"):  # one of coremltools' element types
        return str(value.__type_info__())
    return value
