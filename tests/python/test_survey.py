"""The most telling models of tools/survey.py: each broke something, or is built like no other. The whole table is in docs/models.md."""

import sys

import pytest

from conftest import ROOT

sys.path.append(str(ROOT / "tools"))
import survey  # noqa: E402

MODELS = {
    ("transformers", "phi3"): 0,            # joins with nothing
    ("transformers", "gemma3n_text"): 0,
    ("transformers", "bamba"): 0,           # a state-space scan
    ("transformers", "deberta-rel"): 0,
    ("transformers", "funnel"): 0,
    ("transformers", "swinv2"): 0,
    ("transformers", "vjepa2"): 1,          # the size that item reads is a constant
    ("transformers-kvcache", "gemma3_text"): 0,
    ("dynamic", "phi3[seq]"): 0,
    ("quant", "torchao-8da8w"): 0,          # integer products beyond float16
}


@pytest.mark.parametrize("suite, name", MODELS, ids=str)
def test_agrees_with_torch(suite, name, tmp_path, monkeypatch):
    monkeypatch.setattr(survey, "STORE", tmp_path)
    row = survey.survey(suite, name, "iOS18", fresh=True)
    assert row["good"], row
    assert row["cpu"] == MODELS[suite, name] and row["delegates"] == 1, row["reasons"]
