"""Collects the test cases of every test_*.py that the installed executorch has for its Core ML backend."""

import importlib
import importlib.util
from pathlib import Path

import pytest
from conftest import UPSTREAM, missing

if reason := missing():
    pytest.skip(reason, allow_module_level=True)


def cases():
    folder = Path(importlib.util.find_spec(UPSTREAM).submodule_search_locations[0]) / "test"
    for file in sorted(folder.glob("test_*.py")):
        module = importlib.import_module(f"{UPSTREAM}.test.{file.stem}")
        for name, value in vars(module).items():
            if isinstance(value, type) and name.startswith("Test") and value.__module__ == module.__name__:
                yield name, value


@pytest.fixture(autouse=True)
def seeded_weights(monkeypatch):
    """Pretrained weights are not here to be downloaded; the one test that wants some looks at operators only."""
    import torch
    import torchvision

    torch.manual_seed(0)
    monkeypatch.setattr(torchvision.models.ViT_B_16_Weights, "get_state_dict",
                        lambda self, *args, **kwargs: torchvision.models.vit_b_16().state_dict())


found = dict(cases())
assert found, "the installed executorch has no tests for its Core ML backend"
globals().update(found)
