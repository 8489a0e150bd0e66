"""What cannot be lowered or run is refused with one clear error, and nothing is written. Models exported on the spot; the same
for the committed fixture, without torch, is in tests/cli_test.py."""

import numpy as np
import pytest
import torch

from conftest import cortland


@torch.library.custom_op("cortland_test::frobnicate", mutates_args=())
def frobnicate(x: torch.Tensor) -> torch.Tensor:
    return x + 1


@frobnicate.register_fake
def _(x):
    return torch.empty_like(x)


class Unknown(torch.nn.Module):
    def forward(self, x):
        return torch.relu(frobnicate(x * 2))


def check_refused(folder, *args, says=()):
    before = sorted(p.name for p in folder.rglob("*"))
    result = cortland(*args, check=False)
    assert 0 < result.returncode < 126, f"exit code {result.returncode}\n{result.stderr}"
    assert sum(line.startswith("error") for line in result.stderr.splitlines()) == 1, result.stderr
    for word in says:
        assert word in result.stderr, result.stderr
    assert sorted(p.name for p in folder.rglob("*")) == before, "something was written"


@pytest.fixture
def unknown(folder):
    with torch.no_grad():
        program = torch.export.export(Unknown(), (torch.randn(3, 4),))
    path = folder / "unknown.pt2"
    torch.export.save(program, path)
    return path


def test_unknown_op(unknown, folder):
    check_refused(folder, "lower", unknown, "-o", folder / "x.pte", says=["frobnicate", "test_cli_errors.py"])
    check_refused(folder, "lower", unknown, "-o", folder / "x.pte", "--report", folder / "r.json", says=["frobnicate"])
    check_refused(folder, "convert", unknown, "-o", folder / "x.mlpackage", says=["frobnicate"])


def test_whole_graph_is_asked_for_but_an_op_is_skipped(folder):
    program = torch.export.export(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.GELU()), (torch.randn(2, 3),))
    path = folder / "m.pt2"
    torch.export.save(program, path)
    check_refused(folder, "lower", path, "-o", folder / "x.pte", "--lower-full-graph", "--skip-ops", "aten.gelu.default", says=["gelu"])


@pytest.mark.parametrize("exported", ["decoder_kv_cache", "conv_dynamic"], indirect=True)
def test_truncated_archive(exported, folder):
    data = exported.pt2.read_bytes()
    lengths = {0, 1, 4, 30, 64, len(data) // 3, len(data) // 2, len(data) * 9 // 10, len(data) - 100, len(data) - 22, len(data) - 1}
    for length in sorted(lengths):
        path = folder / "short.pt2"
        path.write_bytes(data[:length])
        for command, out in (("lower", "x.pte"), ("convert", "x.mlpackage")):
            check_refused(folder, command, path, "-o", folder / out, says=["short.pt2"])


@pytest.mark.parametrize("exported", ["decoder_kv_cache"], indirect=True)
def test_wrong_inputs(exported, folder):
    pte = folder / "model.pte"
    cortland("lower", exported.pt2, "-o", pte)
    tokens, position = (t.numpy() for t in exported.case.inputs[0])
    wrong = {
        "shape": {"in0": tokens[:, :2], "in1": position},
        "rank": {"in0": tokens[0], "in1": position},
        "dtype": {"in0": tokens.astype(np.float32), "in1": position},
        "missing": {"in0": tokens},
    }
    for name, arrays in wrong.items():
        path = folder / f"{name}.npz"
        np.savez(path, **arrays)
        check_refused(folder, "run", pte, "--inputs", path, "--outputs", folder / "out.npz",
                      says=[] if name == "missing" else ["in0"])


@pytest.mark.parametrize("exported", ["conv_dynamic"], indirect=True)
def test_size_outside_the_exported_range(exported, folder):
    pte = folder / "model.pte"
    cortland("lower", exported.pt2, "-o", pte)
    for shape in [(1, 3, 8, 48), (1, 3, 48, 129), (2, 3, 32, 48)]:
        path = folder / "in.npz"
        np.savez(path, in0=np.zeros(shape, np.float32))
        check_refused(folder, "run", pte, "--inputs", path, "--outputs", folder / "out.npz")
