"""Compressed weights beside coremltools': the same configuration on the package that we wrote uncompressed."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import compressed
import packages
from conftest import check_outputs, cortland, lower, run

SEED = 5


class Small(nn.Module):
    """Each kind of weight: convolutions (also transposed and grouped), linear layers, an LSTM, a table, and a matrix product."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 3, padding=1)
        self.grouped = nn.Conv2d(64, 64, 3, padding=1, groups=2)
        self.up = nn.ConvTranspose2d(64, 32, 2, stride=2)
        self.norm = nn.BatchNorm2d(32)
        self.fc = nn.Linear(32, 128)
        self.table = nn.Embedding(100, 128)
        self.lstm = nn.LSTM(128, 32, batch_first=True)
        self.head = nn.Linear(32, 128, bias=False)
        self.matrix = nn.Parameter(torch.randn(128, 96) * 0.1)

    def forward(self, image, tokens):
        x = torch.relu(self.grouped(torch.relu(self.stem(image))))
        x = self.norm(self.up(x)).mean((2, 3))
        x = self.fc(x).unsqueeze(1) + self.table(tokens)
        x, _ = self.lstm(x)
        return torch.tanh(self.head(x)) @ self.matrix


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(300, 64)
        self.positions = nn.Embedding(64, 64)
        self.head = nn.Linear(64, 300, bias=False)
        self.head.weight = self.table.weight

    def forward(self, tokens):
        return self.head(self.table(tokens) + self.positions(tokens % 64))


def inputs_of(model, count):
    torch.manual_seed(SEED + 1)
    tokens = [torch.randint(0, 100, (2, 6), dtype=torch.int32) for _ in range(count)]
    return [(t,) if isinstance(model, Tied) else (torch.randn(2, 3, 8, 8), t) for t in tokens]


class Built:
    def __init__(self, factory, folder):
        torch.manual_seed(SEED)
        self.model = factory().eval()
        with torch.no_grad():
            for p in self.model.parameters():  # a few large ones, as trained weights have them
                p.mul_(1 + 3 * (torch.rand_like(p) > 0.99))
        self.inputs = inputs_of(self.model, 8)
        self.program = torch.export.export(self.model, self.inputs[0])
        self.pt2 = folder / "model.pt2"
        torch.export.save(self.program, self.pt2)
        self.folder = folder
        self.plain = {}

    def uncompressed(self, target, precision="float16"):
        if (target, precision) not in self.plain:
            path = self.folder / f"plain_{target}_{precision}.mlpackage"
            compressed.convert(self.pt2, path, target, precision)
            self.plain[target, precision] = path
        return self.plain[target, precision]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return Built(Small, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def tied(tmp_path_factory):
    return Built(Tied, tmp_path_factory.mktemp("tied"))


def quantizer(**options):
    return {"config_type": "OpLinearQuantizerConfig", "global_config": options}


def palettizer(**options):
    return {"config_type": "OpPalettizerConfig", "global_config": options}


def pruner(**options):
    return {"config_type": "OpMagnitudePrunerConfig", "global_config": options}


def threshold(**options):
    return {"config_type": "OpThresholdPrunerConfig", "global_config": options}


EVERY_TARGET = {
    "int8": quantizer(),
    "uint8 linear": quantizer(mode="linear", dtype="uint8"),
    "int8 linear per_tensor": quantizer(mode="linear", granularity="per_tensor"),
    "kmeans 4": palettizer(nbits=4),
    "kmeans 6": palettizer(nbits=6),
    "kmeans 8": palettizer(nbits=8),
    "kmeans 2": palettizer(nbits=2),
    "kmeans 1": palettizer(nbits=1),
    "uniform 4": palettizer(nbits=4, mode="uniform"),
    "sparsity 0.6": pruner(target_sparsity=0.6),
    "n:m": pruner(n_m_ratio=[2, 4]),
    "n:m dim 0": pruner(n_m_ratio=[3, 4], dim=0),
    "threshold": threshold(threshold=0.05, minimum_sparsity_percentile=0.3),
    "mixed": {"config_type": "OpPalettizerConfig", "global_config": {"nbits": 4, "weight_threshold": 1000},
              "op_type_configs": {"conv": {"nbits": 6, "mode": "uniform"}, "gather": None}},
}
SINCE_IOS18 = {
    "int4": quantizer(dtype="int4"),
    "uint4": quantizer(dtype="uint4"),
    "int4 linear": quantizer(dtype="int4", mode="linear"),
    "int4 per_tensor": quantizer(dtype="int4", granularity="per_tensor"),
    "int4 blocks of 32": quantizer(dtype="int4", granularity="per_block"),
    "int8 linear blocks of 16": quantizer(mode="linear", granularity="per_block", block_size=16),
    "kmeans 3": palettizer(nbits=3),
    "kmeans 4 groups of 16": palettizer(nbits=4, granularity="per_grouped_channel", group_size=16),
    "kmeans 2 groups of 8 on axis 1": palettizer(nbits=2, granularity="per_grouped_channel", group_size=8, channel_axis=1),
    "sparse int8": [pruner(target_sparsity=0.5), quantizer()],
    "sparse int4 linear": [pruner(n_m_ratio=[2, 4]), quantizer(dtype="int4", mode="linear")],
    "sparse kmeans 4": [pruner(target_sparsity=0.5), palettizer(nbits=4)],
    "kmeans 4 int8 tables": [palettizer(nbits=4), quantizer(granularity="per_tensor")],
    "sparse kmeans 6 int8 tables": [pruner(target_sparsity=0.5), palettizer(nbits=6), quantizer(granularity="per_tensor")],
}
CASES = [(t, n) for t in ("iOS16", "iOS18") for n in EVERY_TARGET] + [("iOS18", n) for n in SINCE_IOS18]


@pytest.mark.parametrize("target, name", CASES, ids=[f"{t}-{n}" for t, n in CASES])
def test_beside_coremltools(small, target, name, folder):
    config = (EVERY_TARGET | SINCE_IOS18)[name]
    if isinstance(config, list) and "OpLinearQuantizerConfig" in [c["config_type"] for c in config]:
        # We leave LSTMs out of pruning with quantisation, on purpose.
        config = [c | {"op_type_configs": {"lstm": None}} for c in config]
    plain, ours, theirs = small.uncompressed(target), folder / "ours.mlpackage", folder / "theirs.mlpackage"
    compressed.convert(small.pt2, ours, target, config=config)
    compressed.compress_with_coremltools(plain, theirs, config)
    spec, program = packages.read(ours)
    assert [op for op in program.functions["main"].operations if op.op_type.startswith("constexpr_")]
    row = compressed.compare(plain, ours, theirs, small.inputs, folder)
    print(name, row)
    assert row["weights"][0] <= row["weights"][1] * 1.0001, row
    assert row["bytes"][0] <= row["bytes"][1], row
    # Outputs follow the weights, but not to the digit.
    assert row["outputs"][0] <= row["outputs"][1] * 1.1, row


@pytest.mark.parametrize("name", ["int4 blocks of 32", "kmeans 4 groups of 16", "sparse int8"])
def test_float32_models(small, name, folder):
    config = SINCE_IOS18[name]
    config = [c | {"op_type_configs": {"lstm": None}} for c in compressed.steps_of(config)]
    plain, ours, theirs = small.uncompressed("iOS18", "float32"), folder / "ours.mlpackage", folder / "theirs.mlpackage"
    compressed.convert(small.pt2, ours, "iOS18", "float32", config)
    compressed.compress_with_coremltools(plain, theirs, config)
    packages.read(ours)
    row = compressed.compare(plain, ours, theirs, small.inputs, folder)
    assert row["weights"][0] <= row["weights"][1] * 1.0001 and row["bytes"][0] <= row["bytes"][1], row


def test_our_engine_computes_coremltools_weights(small, folder):
    """Their compressed package in our engine is their decompressed one."""
    import coremltools as ct
    import coremltools.optimize.coreml as cto

    for name in ("sparse kmeans 4", "int4 blocks of 32"):
        theirs, dense = folder / "theirs.mlpackage", folder / "dense.mlpackage"
        compressed.compress_with_coremltools(small.uncompressed("iOS18"), theirs, SINCE_IOS18[name])
        cto.decompress_weights(ct.models.MLModel(str(theirs), skip_model_load=True)).save(str(dense))
        for inputs in small.inputs[:2]:
            check_outputs(run(theirs, inputs, folder), run(dense, inputs, folder), "float16")


def test_compressed_delegates_run_in_executorch(small, folder):
    config = folder / "c.json"
    config.write_text(json.dumps(EVERY_TARGET["int8"]))
    pte, report = lower(small.pt2, folder, options=["--compress", config])
    assert report["compression"]["weights"] >= 6
    assert report["compression"]["bytes_after"] < 0.6 * report["compression"]["bytes_before"]
    outputs = run(pte, small.inputs[0], folder)
    with torch.no_grad():
        expected = small.model(*small.inputs[0]).numpy()
    assert np.abs(outputs[0] - expected).max() < 0.05 * np.abs(expected).max()


def test_quantised_models_keep_their_weights(folder):
    """What PyTorch quantised before the export is compressed already; the rest of the model can be still."""
    from torchao.quantization import IntxWeightOnlyConfig, quantize_
    from torchao.quantization.granularity import PerGroup

    torch.manual_seed(SEED)
    model = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 64)).eval()
    quantize_(model, IntxWeightOnlyConfig(weight_dtype=torch.int8, granularity=PerGroup(32)), lambda m, name: name == "0")
    x = torch.randn(1, 64)
    pt2, config = folder / "model.pt2", folder / "c.json"
    torch.export.save(torch.export.export(model, (x,)), pt2)
    config.write_text(json.dumps(EVERY_TARGET["kmeans 8"]))
    pte, report = lower(pt2, folder, options=["--compress", config])
    assert report["compression"]["weights"] == 1 and not report["cpu_ops"]
    with torch.no_grad():
        check_outputs(run(pte, (x,), folder), [model(x)], "float16")


def test_the_first_target_with_compression_is_the_default(small, folder):
    config = folder / "c.json"
    config.write_text(json.dumps(EVERY_TARGET["int8"]))
    path = folder / "m.mlpackage"
    cortland("convert", small.pt2, "-o", path, "--compress", config)
    spec, _ = packages.read(path)
    assert spec.specificationVersion == 7
    refused = cortland("convert", small.pt2, "-o", folder / "no.mlpackage", "--compress", config, "--deployment-target", "iOS15", check=False)
    assert refused.returncode != 0 and "iOS16" in refused.stderr
    assert not (folder / "no.mlpackage").exists()


@pytest.mark.parametrize("text, says", [
    ("{", "c.json"),
    ('{"config_type": "OpPalettizerConfig", "global_config": {"nbits": 5}}', "none of 1, 2, 3, 4, 6, 8"),
    ('{"config_type": "OpPalettizerConfig", "global_config": {"nbits": 3}}', "3-bit"),
    ('{"config_type": "OpLinearQuantizerConfig", "global_config": {"dtype": "int4"}}', "iOS18"),
])
def test_wrong_configurations(small, folder, text, says):
    config = folder / "c.json"
    config.write_text(text)
    refused = cortland("convert", small.pt2, "-o", folder / "m.mlpackage", "--compress", config, check=False)
    assert refused.returncode != 0 and says in refused.stderr and "help" in refused.stderr, refused.stderr
    assert not (folder / "m.mlpackage").exists()


@pytest.mark.parametrize("dtype, limit", [("int8", 0.02), ("int4", 0.3)])
def test_quantizer_spec_is_upstreams(tied, dtype, limit, folder):
    """Tables are left alone, but not those that are a weight too: as ExecuTorch's own code decides for the same package."""
    pytest.importorskip("cortland", reason="the Python package is not built: run tools/run_tests.py python")
    import coremltools
    import coremltools.optimize.coreml as cto
    import cortland as ct
    from cortland import CoreMLBackend, CoreMLPartitioner, to_edge_transform_and_lower
    from executorch.backends.apple.coreml.compiler.coreml_preprocess import _gathers_sharing_a_weight

    options = {"mode": "linear_symmetric", "dtype": dtype, "granularity": "per_channel"}
    specs = CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS18, op_linear_quantizer_config=options)
    lowered = to_edge_transform_and_lower(tied.program, partitioner=CoreMLPartitioner(compile_specs=specs))
    pte, theirs = folder / "m.pte", folder / "theirs.mlpackage"
    lowered.to_executorch().save(pte)
    model = coremltools.models.MLModel(str(tied.uncompressed("iOS18")), skip_model_load=True)
    model._mil_program = packages.read(tied.uncompressed("iOS18"))[1]  # as it is after a conversion
    config = cto.OpLinearQuantizerConfig._from_dict(dict(options))
    cto.linear_quantize_weights(model, cto.OptimizationConfig(
        global_config=config, op_type_configs={"gather": None},
        op_name_configs={name: config for name in _gathers_sharing_a_weight(model)})).save(str(theirs))
    _, program = packages.read(theirs)
    compressed_weights = [op for op in program.functions["main"].operations if op.op_type.startswith("constexpr_")]
    assert lowered.report["compression"]["weights"] == len(compressed_weights) == 1
    with torch.no_grad():
        expected = tied.model(*tied.inputs[0]).numpy()
    for path in (pte, theirs):
        assert np.abs(run(path, tied.inputs[0], folder)[0] - expected).max() < limit * np.abs(expected).max()


def test_configurations_from_python(small, folder):
    pytest.importorskip("cortland", reason="the Python package is not built: run tools/run_tests.py python")
    import coremltools.optimize.coreml as cto
    import cortland as ct
    from cortland import CoreMLBackend, CoreMLPartitioner, to_edge_transform_and_lower

    file = folder / "c.yaml"
    file.write_text("config_type: OpPalettizerConfig\nglobal_config:\n  nbits: 4\n  mode: kmeans\nop_type_configs:\n  gather: null\n")
    plain = {"config_type": "OpPalettizerConfig", "global_config": {"nbits": 4}, "op_type_configs": {"gather": None}}
    objects = cto.OptimizationConfig(global_config=cto.OpPalettizerConfig(nbits=4), op_type_configs={"gather": None})
    results = set()
    for config in (file, plain, objects, [plain]):
        specs = CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS18)
        specs.append(CoreMLBackend.generate_compression_compile_spec(config))
        report = to_edge_transform_and_lower(small.program, partitioner=CoreMLPartitioner(compile_specs=specs)).report
        results.add(json.dumps(report["compression"]))
    assert len(results) == 1 and json.loads(results.pop())["weights"] > 4
    joint = [cto.OptimizationConfig(global_config=cto.OpMagnitudePrunerConfig(target_sparsity=0.5)),
             cto.OptimizationConfig(global_config=cto.OpLinearQuantizerConfig(dtype="int4"))]
    assert json.loads(CoreMLBackend.generate_compression_compile_spec(joint).value)[1]["global_config"]["dtype"] == "int4"
    with pytest.raises(TypeError):
        CoreMLBackend.generate_compression_compile_spec(3)
