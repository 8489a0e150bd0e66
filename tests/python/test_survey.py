"""The most telling models of tools/survey.py: each broke something, or is built like no other. The whole table is in docs/models.md."""

import sys

import pytest

from conftest import ROOT

sys.path.append(str(ROOT / "tools"))
import survey  # noqa: E402

MODELS = [
    ("transformers", "phi3"),            # joins with nothing
    ("transformers", "gemma3n_text"),
    ("transformers", "bamba"),           # a state-space scan
    ("transformers", "deberta-rel"),
    ("transformers", "funnel"),
    ("transformers", "swinv2"),
    ("transformers", "vjepa2"),          # the size that item reads is a constant
    ("transformers-kvcache", "gemma3_text"),
    ("dynamic", "phi3[seq]"),
    ("quant", "torchao-8da8w"),          # integer products beyond float16
]


@pytest.mark.parametrize("suite, name", MODELS, ids=str)
def test_agrees_with_torch(suite, name, tmp_path, monkeypatch):
    monkeypatch.setattr(survey, "STORE", tmp_path)
    row = survey.survey(suite, name, "iOS18", fresh=True)
    assert row["good"], row
    assert row["cpu"] == 0 and row["delegates"] == 1, row["reasons"]
