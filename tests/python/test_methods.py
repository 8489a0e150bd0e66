"""Several methods in one program: each runs and agrees with torch, and the weights are there once where the target allows it."""

import copy
import json

import numpy as np
import pytest
import torch
from torch.export.pt2_archive._package import package_pt2

import packages
from conftest import check_outputs, cortland, lower, run

WIDTH, LENGTH, TOKENS, VOCABULARY = 96, 24, 8, 256


class Decoder(torch.nn.Module):
    """One layer with attention. Its keys and values come in and go out."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(VOCABULARY, WIDTH)
        self.query, self.key, self.value, self.out = (torch.nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.logits = torch.nn.Linear(WIDTH, VOCABULARY)
        self.register_buffer("places", torch.arange(LENGTH))

    def forward(self, tokens, positions, keys, values):
        x = self.embed(tokens)
        # By products, since coremltools, which is to lower this too, cannot write at positions it does not know.
        place = (self.places == positions[:, None]).to(x.dtype)
        kept = 1 - place.sum(0)[:, None]
        keys = keys * kept + place.T @ self.key(x)
        values = values * kept + place.T @ self.value(x)
        seen = self.places <= positions[:, None]
        mixed = torch.nn.functional.scaled_dot_product_attention(self.query(x), keys, values, attn_mask=seen)
        return self.logits(x + self.out(mixed)), keys, values


class StatefulDecoder(Decoder):
    """The same with its keys and values in buffers."""

    def __init__(self):
        super().__init__()
        self.register_buffer("keys", torch.zeros(1, LENGTH, WIDTH))
        self.register_buffer("values", torch.zeros(1, LENGTH, WIDTH))

    def forward(self, tokens, positions):
        logits, keys, values = super().forward(tokens, positions, self.keys, self.values)
        self.keys.copy_(keys)
        self.values.copy_(values)
        return logits


class TwoHeads(torch.nn.Module):
    """An encoder with a head chosen by name; one of the heads has a gelu that can be left to the CPU."""

    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Linear(WIDTH, WIDTH)
        self.embed = torch.nn.Linear(WIDTH, 16)
        self.classify = torch.nn.Sequential(torch.nn.Linear(WIDTH, WIDTH), torch.nn.GELU(), torch.nn.Linear(WIDTH, 4))
        self.head = "embed"

    def forward(self, x):
        return getattr(self, self.head)(torch.relu(self.encoder(x)))


def export(module, args):
    with torch.no_grad():
        return torch.export.export(module.eval(), args)


def tokens_of(count):
    return torch.randint(0, VOCABULARY, (1, count))


class Program:
    """A module with its methods' exported programs, their inputs and what torch makes of them."""

    def __init__(self, module, methods):
        self.inputs = methods
        self.exported = {name: export(module, args) for name, args in methods.items()}
        self.expected = {}
        with torch.no_grad():
            for name, args in methods.items():
                outputs = copy.deepcopy(self.exported[name]).module()(*args)  # a copy, since it writes its buffers
                self.expected[name] = list(outputs) if isinstance(outputs, tuple) else [outputs]
        self.weight_bytes = sum(p.numel() for p in module.parameters()) * 2  # in float16

    def save(self, folder):
        """One file a method, as the options that name them."""
        options = []
        for name, program in self.exported.items():
            torch.export.save(program, folder / f"{name}.pt2")
            options += ["--method", f"{name}={folder / name}.pt2"]
        return options

    def check(self, program, folder, precision="float16"):
        for name, inputs in self.inputs.items():
            check_outputs(run(program, inputs, folder, name), self.expected[name], precision)


@pytest.fixture(scope="module")
def decoder():
    torch.manual_seed(0)
    cache = torch.zeros(1, LENGTH, WIDTH), torch.zeros(1, LENGTH, WIDTH)
    filled = torch.randn(1, LENGTH, WIDTH), torch.randn(1, LENGTH, WIDTH)
    return Program(Decoder(), {"prefill": (tokens_of(TOKENS), torch.arange(TOKENS), *cache),
                               "decode": (tokens_of(1), torch.tensor([TOKENS]), *filled)})


@pytest.fixture(scope="module")
def heads():
    torch.manual_seed(0)
    module, x = TwoHeads().eval(), torch.randn(3, WIDTH)
    program = Program(module, {"embed": (x,)})
    module.head = "classify"
    other = Program(module, {"classify": (x,)})
    for name in ("inputs", "exported", "expected"):
        getattr(program, name).update(getattr(other, name))
    return program


def lower_methods(program, folder, *options, target="iOS18", precision="float16"):
    pte, report = folder / "m.pte", folder / "report.json"
    result = cortland("lower", *program.save(folder), "-o", pte, "--deployment-target", target, "--precision", precision,
                      "--report", report, *options)
    return pte, json.loads(report.read_text()), result.stderr


def inspect(path):
    return json.loads(cortland("inspect", path, "--json").stdout)


def functions(report):
    return {m["name"]: [d.get("function") for d in m["delegates"]] for m in report["methods"]}


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_prefill_and_decode_share_their_weights(decoder, precision, folder):
    pte, report, errors = lower_methods(decoder, folder, precision=precision)
    decoder.check(pte, folder, precision)
    assert functions(report) == {"prefill": ["prefill"], "decode": ["decode"]}
    assert report["warnings"] == [] and "warning" not in errors
    weights = decoder.weight_bytes * (2 if precision == "float32" else 1)
    assert weights < pte.stat().st_size < 1.3 * weights


def test_decode_goes_on_where_prefill_stopped(decoder, folder):
    """The caches of one method's outputs as the other one's inputs."""
    pte, _, _ = lower_methods(decoder, folder, precision="float32")
    tokens, positions, keys, values = decoder.inputs["prefill"]
    _, keys, values = map(torch.from_numpy, run(pte, decoder.inputs["prefill"], folder, "prefill"))
    step = decoder.inputs["decode"][:2]
    logits = run(pte, (*step, keys, values), folder, "decode")[0]
    with torch.no_grad():
        _, keys, values = decoder.exported["prefill"].module()(*decoder.inputs["prefill"])
        expected = decoder.exported["decode"].module()(*step, keys, values)[0]
    check_outputs([logits], [expected], "float32")


def test_coremltools_loads_the_shared_model(decoder, folder):
    pte, _, _ = lower_methods(decoder, folder)
    cortland("extract", pte, "-o", folder / "parts")
    assert [p.name for p in (folder / "parts").iterdir()] == ["shared_0"]
    check_functions(folder / "parts" / "shared_0" / "model.mlpackage", decoder)


def check_functions(package, program):
    """coremltools type-checks every function."""
    import coremltools as ct

    spec, loaded = packages.read(package)
    assert spec.specificationVersion == 9
    assert set(loaded.functions) == set(program.inputs)
    assert spec.description.defaultFunctionName == next(iter(program.inputs))
    for name, inputs in program.inputs.items():
        model = ct.models.MLModel(str(package), skip_model_load=True, function_name=name)
        assert [len(f.input) for f in model.get_spec().description.functions if f.name == name] == [len(inputs)]


@pytest.mark.parametrize("target", ["iOS15", "iOS17"])
def test_older_targets_have_a_model_for_each_method(decoder, target, folder):
    pte, report, errors = lower_methods(decoder, folder, target=target)
    decoder.check(pte, folder)
    assert {m["target"] for m in report["methods"]} == {target}
    assert all(f is None for names in functions(report).values() for f in names)
    assert len(report["warnings"]) == 1 and "iOS18" in report["warnings"][0]
    assert report["warnings"][0] in errors
    cortland("extract", pte, "-o", folder / "parts")
    version = {"iOS15": 6, "iOS17": 8}[target]
    extracted = sorted((folder / "parts").iterdir())
    assert {p.name.rsplit("_", 1)[0] for p in extracted} == {"prefill", "decode"}
    for part in extracted:
        spec, loaded = packages.read(part / "model.mlpackage")
        assert spec.specificationVersion == version and list(loaded.functions) == ["main"]


def test_sharing_can_be_turned_off(decoder, folder):
    pte, report, _ = lower_methods(decoder, folder, "--weight-sharing", "disabled")
    decoder.check(pte, folder)
    assert functions(report) == {"prefill": [None], "decode": [None]}
    assert report["warnings"] == []
    assert pte.stat().st_size > 2 * decoder.weight_bytes
    assert inspect(pte)["methods"][0]["delegates"][0]["compile_specs"]["multimethod_weight_sharing_strategy"] == "disabled"


def test_methods_with_different_numbers_of_delegates(heads, folder):
    pte, report, _ = lower_methods(heads, folder, "--skip-ops", "aten.gelu.default")
    heads.check(pte, folder)
    assert functions(report) == {"embed": [None], "classify": [None, None]}
    assert any("1 in 'embed' and 2 in 'classify'" in w for w in report["warnings"])


def test_several_delegates_a_method_are_shared_one_by_one(heads, folder):
    """Both heads are cut at the relu."""
    pte, report, _ = lower_methods(heads, folder, "--skip-ops", "aten.relu.default")
    heads.check(pte, folder)
    assert functions(report) == {"embed": ["embed"] * 2, "classify": ["classify"] * 2}
    models = {d["shared_model"] for m in inspect(pte)["methods"] for d in m["delegates"]}
    assert len(models) == 2


def test_constants_of_cpu_operators_are_stored_once(decoder, folder):
    pte, report, _ = lower_methods(decoder, folder, "--skip-ops", "*")
    decoder.check(pte, folder, "float32")
    assert [m["delegates"] for m in report["methods"]] == [[], []]
    assert 2 * decoder.weight_bytes < pte.stat().st_size < 1.3 * 2 * decoder.weight_bytes


def test_an_archive_with_several_programs(decoder, folder):
    archive = folder / "both.pt2"
    package_pt2(archive, exported_programs=decoder.exported)
    pte, report = lower(archive, folder)
    decoder.check(pte, folder)
    assert functions(report) == {"prefill": ["prefill"], "decode": ["decode"]}
    assert [m["name"] for m in inspect(pte)["methods"]] == ["decode", "prefill"]
    separate, _, _ = lower_methods(decoder, folder)
    assert pte.stat().st_size == separate.stat().st_size
    # Its programs can also be chosen, and only by their names.
    cortland("lower", "--method", f"decode={archive}", "-o", folder / "one.pte")
    check_outputs(run(folder / "one.pte", decoder.inputs["decode"], folder), decoder.expected["decode"], "float16")
    refused = cortland("lower", "--method", f"other={archive}", "-o", folder / "none.pte", check=False)
    assert refused.returncode == 1 and "prefill, decode" in refused.stderr and not (folder / "none.pte").exists()


def test_inspect_shows_every_program_of_an_archive(decoder, folder):
    package_pt2(folder / "both.pt2", exported_programs=decoder.exported)
    both = inspect(folder / "both.pt2")
    assert both["kind"] == "pt2"
    assert [(p["name"], len(p["inputs"]), len(p["outputs"])) for p in both["programs"]] == [("prefill", 4, 3), ("decode", 4, 3)]
    torch.export.save(decoder.exported["decode"], folder / "one.pt2")
    assert {"name": "decode", **inspect(folder / "one.pt2")} == {"kind": "pt2", **both["programs"][1]}


def test_enumerated_shapes_of_one_method(folder):
    module = TwoHeads().eval()
    rows = torch.export.Dim("rows", min=2, max=8)
    torch.export.save(torch.export.export(module, (torch.randn(3, WIDTH),), dynamic_shapes=({0: rows},)), folder / "embed.pt2")
    module.head = "classify"
    torch.export.save(export(module, (torch.randn(3, WIDTH),)), folder / "classify.pt2")
    methods = [f"--method={name}={folder / name}.pt2" for name in ("embed", "classify")]
    options = [*methods, "--lower-full-graph", "--deployment-target", "iOS18", "-o", folder / "m.pte"]
    cortland("lower", *options, "--enumerated-shapes", f"embed:x=2x{WIDTH},4x{WIDTH}")
    for count in (2, 4):
        assert run(folder / "m.pte", [torch.randn(count, WIDTH)], folder, "embed")[0].shape == (count, 16)
    np.savez(folder / "x.npz", in0=np.zeros((3, WIDTH), np.float32))
    for method, code in (("embed", 1), ("classify", 0)):
        result = cortland("run", folder / "m.pte", "--method", method, "--inputs", folder / "x.npz", "--outputs", folder / "y.npz", check=False)
        assert result.returncode == code, result.stderr
    refused = cortland("lower", *options, "--enumerated-shapes", f"other:x=2x{WIDTH}", check=False)
    assert refused.returncode == 1 and "no method 'other'" in refused.stderr


def test_a_single_program_keeps_its_name(decoder, folder):
    package_pt2(folder / "one.pt2", exported_programs={"decode": decoder.exported["decode"]})
    pte, report = lower(folder / "one.pt2", folder)
    assert "methods" not in report and report["delegates"][0]["name"] == "lowered_module_0"
    assert [m["name"] for m in inspect(pte)["methods"]] == ["decode"]


def test_same_bytes_on_every_run(decoder, folder):
    first = lower_methods(decoder, folder)[0].read_bytes()
    assert lower_methods(decoder, folder)[0].read_bytes() == first


def test_one_package_with_a_function_for_each_method(decoder, folder):
    package = folder / "m.mlpackage"
    options = decoder.save(folder)
    cortland("convert", *options, "-o", package, "--deployment-target", "iOS18")
    check_functions(package, decoder)
    decoder.check(package, folder)
    weights = package / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    assert weights.stat().st_size < 1.3 * decoder.weight_bytes
    refused = cortland("convert", *options, "-o", folder / "old.mlpackage", "--deployment-target", "iOS17", check=False)
    assert refused.returncode == 1 and "iOS18" in refused.stderr and not (folder / "old.mlpackage").exists()


def test_compressed_weights_are_shared_too(decoder, folder):
    config = folder / "config.json"
    config.write_text(json.dumps({"config_type": "OpLinearQuantizerConfig",
                                  "global_config": {"mode": "linear_symmetric", "dtype": "int8", "weight_threshold": 1000}}))
    pte, report, _ = lower_methods(decoder, folder, "--compress", config)
    assert functions(report) == {"prefill": ["prefill"], "decode": ["decode"]}
    assert pte.stat().st_size < 0.75 * decoder.weight_bytes
    for name, inputs in decoder.inputs.items():
        for have, want in zip(run(pte, inputs, folder, name), decoder.expected[name]):
            assert np.abs(have - want.numpy()).max() < 0.05


@pytest.fixture(scope="module")
def stateful():
    torch.manual_seed(0)
    return Program(StatefulDecoder(), {"prefill": (tokens_of(TOKENS), torch.arange(TOKENS)), "decode": (tokens_of(1), torch.tensor([0]))})


@pytest.mark.parametrize("target", ["iOS17", "iOS18"])
def test_each_method_has_its_own_buffers(stateful, target, folder):
    pte, report, errors = lower_methods(stateful, folder, target=target)
    stateful.check(pte, folder)
    (warning,) = [w for w in report["warnings"] if "'keys', 'values'" in w]
    assert "'decode', 'prefill' each have their own" in warning and warning in errors
    cortland("extract", pte, "-o", folder / "parts")
    if target == "iOS18":
        spec, _ = packages.read(folder / "parts" / "shared_0" / "model.mlpackage")
        assert [len(f.state) for f in spec.description.functions] == [2, 2]


def test_methods_that_return_constants(decoder, folder):
    pte, _, _ = lower_methods(decoder, folder, "--constant-method", "get_max_seq_len=24", "--constant-method", "get_eos_ids=1,2",
                              "--constant-method", "use_kv_cache=true", "--constant-method", "get_model=tiny")
    methods = {m["name"]: m.get("returns") for m in inspect(pte)["methods"]}
    assert methods == {"decode": None, "prefill": None, "get_max_seq_len": [24], "get_eos_ids": [1, 2], "use_kv_cache": [True],
                       "get_model": ["tiny"]}
    for name, expected in {"get_max_seq_len": [24], "get_eos_ids": [1, 2], "use_kv_cache": [True]}.items():
        assert [x.item() for x in run(pte, [], folder, name)] == expected


def test_wrong_methods_are_refused(decoder, folder):
    decode = decoder.save(folder)[3]

    def refused(*args, code=1):
        result = cortland("lower", *args, "-o", folder / "m.pte", check=False)
        assert result.returncode == code and not (folder / "m.pte").exists()
        return result.stderr

    assert "two methods are named 'decode'" in refused("--method", decode, "--method", decode)
    assert "two methods are named 'decode'" in refused("--method", decode, "--constant-method", "decode=1")
    assert "--method decode=decode.pt2" in refused("--method", "decode")
    assert "no program" in refused()
    assert "nowhere.pt2" in refused("--method", "decode=nowhere.pt2")
    refused(folder / "decode.pt2", "--method", decode, code=2)
    broken = folder / "broken.pt2"
    torch.export.save(export(Unsupported(), (torch.randn(4, 4),)), broken)
    message = refused("--method", decode, "--method", f"broken={broken}")
    assert "method 'broken'" in message and "eigvalsh" in message


class Unsupported(torch.nn.Module):
    def forward(self, x):
        return torch.linalg.eigvalsh(x + 1)


def test_run_says_which_methods_there_are(decoder, folder):
    pte, _, _ = lower_methods(decoder, folder)
    result = cortland("run", pte, "--outputs", folder / "out.npz", check=False)
    assert result.returncode == 1 and "'decode', 'prefill'" in result.stderr and "--method" in result.stderr


# ---- judged by ExecuTorch's own flow

@pytest.fixture(scope="module")
def upstream(decoder, tmp_path_factory):
    """The program that ExecuTorch's own lowering makes of the same methods."""
    exir = pytest.importorskip("executorch.exir", reason="the executorch package cannot be imported")
    from executorch.backends.apple.coreml.compiler import CoreMLBackend
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner
    import coremltools as ct

    specs = CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS18)
    program = exir.to_edge_transform_and_lower(decoder.exported, partitioner=[CoreMLPartitioner(compile_specs=specs)],
                                               constant_methods={"get_max_seq_len": LENGTH}).to_executorch()
    path = tmp_path_factory.mktemp("upstream") / "upstream.pte"
    path.write_bytes(program.buffer)
    return path


def test_a_program_of_executorchs_own_lowering_runs(decoder, upstream, folder):
    decoder.check(upstream, folder)


def test_the_program_has_the_shape_of_executorchs_own(decoder, upstream, folder):
    pte, _, _ = lower_methods(decoder, folder, "--constant-method", f"get_max_seq_len={LENGTH}")
    assert shape_of(pte) == shape_of(upstream)
    assert abs(pte.stat().st_size - upstream.stat().st_size) < 0.1 * upstream.stat().st_size


def test_executorchs_own_reader_finds_the_shared_model(decoder, folder):
    reader = pytest.importorskip("executorch.exir._serialize._program", reason="the executorch package cannot be imported")
    coreml = pytest.importorskip("executorch.backends.apple.coreml.executorchcoreml", reason="the wheel has no Core ML backend")
    pte, _, _ = lower_methods(decoder, folder)
    file = reader.deserialize_pte_binary(pte.read_bytes())
    ((key, entry),) = file.named_data.pte_data.items()
    references = [json.loads(d.data.removeprefix(b"CMJR")) for d in file.program.backend_delegate_data]
    assert references == [{"version": 1, "key": key, "functionName": name} for name in ("decode", "prefill")]
    assert coreml.unflatten_directory_contents(bytes(file.named_data.buffers[entry.buffer_index]), str(folder))
    model = folder / "lowered_module_partition_0"
    metadata = json.loads((model / "metadata.json").read_text())
    assert key.startswith("coreml_executorch_") and metadata["identifier"].startswith("executorch_")
    assert {name: names["inputNames"] for name, names in metadata["methods"].items()} == dict.fromkeys(
        ("decode", "prefill"), ["tokens", "positions", "keys", "values"])
    check_functions(model / "model.mlpackage", decoder)


def shape_of(pte):
    """Methods in order, their inputs and outputs, and for each delegate its function, its model and its options."""
    models = {}
    shape = []
    for method in inspect(pte)["methods"]:
        delegates = []
        for delegate in method.get("delegates", []):
            assert delegate["shared_model"].startswith("coreml_executorch_")
            model = models.setdefault(delegate["shared_model"], len(models))
            delegates.append((delegate["function"], model, delegate["compile_specs"]))
        tensors = [[(t["dtype"], t["shape"]) for t in method.get(kind, [])] for kind in ("inputs", "outputs")]
        shape.append((method["name"], tensors, delegates, method.get("returns")))
    return shape


# ---- from Python

def python_package():
    return pytest.importorskip("cortland", reason="the Python package is not built: run tools/run_tests.py python")


def test_python_lowers_methods(decoder, folder):
    ct = python_package()
    specs = ct.CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS18)
    constants = {"get_max_seq_len": LENGTH, "get_config": {"eos": [1, 2], "name": "tiny", "scale": 0.5, "table": torch.arange(3)}}
    lowered = ct.to_edge_transform_and_lower(decoder.exported, partitioner=[ct.CoreMLPartitioner(compile_specs=specs)],
                                             constant_methods=constants)
    assert functions(lowered.report) == {"prefill": ["prefill"], "decode": ["decode"]}
    lowered.to_executorch().save(folder / "m.pte")
    decoder.check(folder / "m.pte", folder)
    returned = {m["name"]: m.get("returns") for m in inspect(folder / "m.pte")["methods"]}
    assert returned["get_max_seq_len"] == [LENGTH]
    assert returned["get_config"][:4] == [1, 2, "tiny", 0.5] and returned["get_config"][4]["dtype"] == "int64"
    command_line, _, _ = lower_methods(decoder, folder)
    lowered = ct.to_edge_transform_and_lower({n: folder / f"{n}.pt2" for n in decoder.exported}, partitioner=ct.CoreMLPartitioner(compile_specs=specs))
    assert lowered.to_executorch().buffer == command_line.read_bytes()


def test_python_partitioner_for_each_method(decoder, folder):
    ct = python_package()

    def partitioner(target, **options):
        return ct.CoreMLPartitioner(compile_specs=ct.CoreMLBackend.generate_compile_specs(minimum_deployment_target=target), **options)

    with pytest.warns(ct.LoweringWarning, match="'prefill' is lowered for iOS18 and 'decode' for iOS17"):
        lowered = ct.to_edge_transform_and_lower(decoder.exported, partitioner={"prefill": partitioner(ct.target.iOS18),
                                                                                "decode": [partitioner(ct.target.iOS17)]})
    assert [m["target"] for m in lowered.report["methods"]] == ["iOS18", "iOS17"]
    lowered.to_executorch().save(folder / "m.pte")
    decoder.check(folder / "m.pte", folder)
    lowered = ct.to_edge_transform_and_lower(decoder.exported, partitioner={"prefill": partitioner(ct.target.iOS18)})
    assert [len(m["delegates"]) for m in lowered.report["methods"]] == [1, 0]
    with pytest.raises(ct.LoweringError, match="no method 'encode'"):
        ct.to_edge_transform_and_lower(decoder.exported, partitioner={"encode": partitioner(None)})


def test_python_never_raises_the_target_in_silence(decoder):
    ct = python_package()
    with pytest.warns(ct.LoweringWarning, match="iOS18"):
        lowered = ct.to_edge_transform_and_lower(decoder.exported, partitioner=[ct.CoreMLPartitioner()])
    assert {m["target"] for m in lowered.report["methods"]} == {"iOS15"}


def test_python_weight_sharing_strategy(decoder):
    ct = python_package()
    from cortland.compiler import MULTIMETHOD_WEIGHT_SHARING_STRATEGY as strategies

    specs = ct.CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS18)
    specs.append(ct.CoreMLBackend.generate_multimethod_weight_sharing_strategy_compile_spec(strategies.DISABLED))
    lowered = ct.to_edge_transform_and_lower(decoder.exported, partitioner=[ct.CoreMLPartitioner(compile_specs=specs)])
    assert functions(lowered.report) == {"prefill": [None], "decode": [None]}


def test_python_take_over_constant_data_false_stores_weights_once(decoder, folder):
    ct = python_package()
    specs = ct.CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS18)
    lowered = ct.to_edge_transform_and_lower(decoder.exported,
                                             partitioner=[ct.CoreMLPartitioner(compile_specs=specs, take_over_constant_data=False)])
    lowered.to_executorch().save(folder / "m.pte")
    decoder.check(folder / "m.pte", folder)
    assert 2 * decoder.weight_bytes < (folder / "m.pte").stat().st_size < 1.3 * 2 * decoder.weight_bytes


def test_python_archive_with_several_programs(decoder, folder):
    ct = python_package()
    package_pt2(folder / "both.pt2", exported_programs=decoder.exported)
    with pytest.warns(ct.LoweringWarning, match="iOS18"):
        lowered = ct.to_edge_transform_and_lower(folder / "both.pt2", partitioner=[ct.CoreMLPartitioner()])
    assert [m["name"] for m in lowered.report["methods"]] == ["prefill", "decode"]
