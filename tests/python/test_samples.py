"""Every call that the operators' samples stand for, made in torch: the types they state, and the numbers our path gives.

Many calls make one program, so that thousands of them take minutes. A call that fails is named by its sample's text.
"""

import functools
import json

import numpy as np
import pytest
import torch
import executorch.exir  # registers dim_order_ops
import torchao.prototype.quantization.codebook_coreml  # registers quant
import torchao.quantization  # registers torchao
import transformers.integrations.moe  # registers transformers::grouped_mm_fallback
import executorch.examples.models.llama.source_transformation.sdpa  # registers coreml::sdpa

import conftest

# Results of one call may differ by this much of its largest number: float16 values are rounded once more on the way.
LIMITS = {torch.float32: 1e-4, torch.float16: 4e-3}
LEAST_SCALE = 0.1  # arguments are about 1: smaller results are what differences of such leave


@functools.lru_cache(maxsize=None)
def samples():
    return json.loads(conftest.cortland("ops", "--samples").stdout)


def operator(target):
    namespace, name, overload = target.split(".")
    return getattr(getattr(getattr(torch.ops, namespace), name), overload)


class Call:
    """One call of a sample, with tensors of its own."""

    def __init__(self, sample, seed=0, stretch=0):
        """Symbolic sizes are `stretch` larger than in the example."""
        self.sample = sample
        self.stretch = stretch
        self.seed = seed
        self.inputs, self.constants = [], []
        self.dynamic = []  # for each input, whether a dimension is symbolic
        self.arguments = {name: self.value(v) for name, v in sample["args"].items()}
        self.op = operator(sample["op"])

    def size(self, s):
        return s["size"] + self.stretch if isinstance(s, dict) else s

    def number(self, v):
        return float(v["float"]) if isinstance(v, dict) else v

    def tensor(self, t):
        # Of its own, so that weights are the same whatever the inputs' sizes.
        random = np.random.default_rng([self.seed, len(self.inputs), len(self.constants)])
        dtype = getattr(torch, t["dtype"])
        shape = [self.size(s) for s in t["shape"]]
        if "values" in t:
            data = torch.tensor([self.number(v) for v in t["values"]], dtype=torch.float64).reshape(shape)
        elif dtype == torch.bool:
            data = torch.from_numpy(random.integers(0, 2, shape))
        elif dtype.is_floating_point:
            data = torch.from_numpy(np.asarray(random.uniform(t["low"], t["high"], shape)))
        else:
            data = torch.from_numpy(np.asarray(random.integers(int(t["low"]), int(t["high"]) + 1, shape)))
        data = data.to(dtype)
        where = self.constants if t["constant"] else self.inputs
        where.append(data)
        if not t["constant"]:
            self.dynamic.append([isinstance(s, dict) for s in t["shape"]])
        return ("constant" if t["constant"] else "input", len(where) - 1)

    def value(self, v):
        if isinstance(v, list):
            return [self.value(x) for x in v]
        if not isinstance(v, dict):
            return v
        if "tensor" in v:
            return self.tensor(v["tensor"])
        if "symbol" in v:
            return ("size", v["symbol"])
        if "float" in v:
            return float(v["float"])
        if "device" in v:
            return torch.device(v["device"])
        (text,) = v.values()
        return getattr(torch, text)

    def __call__(self, inputs, constants):
        sizes = {}
        used = iter(inputs)

        def learn(v):  # the sizes of the tensors as they are given
            if isinstance(v, list):
                for x in v:
                    learn(x)
            elif isinstance(v, dict) and "tensor" in v and not v["tensor"]["constant"]:
                given = next(used)
                for at, s in enumerate(v["tensor"]["shape"]):
                    if isinstance(s, dict):
                        sizes.setdefault(s["symbol"], given.shape[at])

        for v in self.sample["args"].values():
            learn(v)

        def bind(v):
            if isinstance(v, list):
                return [bind(x) for x in v]
            if isinstance(v, tuple):
                return {"constant": constants, "input": inputs}[v[0]][v[1]] if v[0] != "size" else sizes[v[1]]
            return v

        result = self.op(**{name: bind(v) for name, v in self.arguments.items()})
        results = list(result) if isinstance(result, (list, tuple)) else [result]
        return [r for r, stated in zip(results, self.sample["results"]) if stated is not None]

    def eager(self):
        return self(self.inputs, self.constants)

    def __str__(self):
        first = next((t["tensor"]["dtype"] for t in self.sample["args"].values() if isinstance(t, dict) and "tensor" in t), "")
        return f"{self.sample['op']} '{self.sample['text']}' {first} {[list(i.shape) for i in self.inputs]}"


def test_there_are_samples():
    assert len({s["op"] for s in samples()}) > 550
    assert len(samples()) > 5000


def test_types_are_what_torch_gives():
    wrong = []
    for sample in samples():
        if sample["dynamic"]:
            continue
        call = Call(sample)
        try:
            results = call.eager()
        except (RuntimeError, NotImplementedError, IndexError, ValueError) as error:
            if not sample["refused"]:
                wrong.append(f"{call}: torch refuses it: {str(error).splitlines()[0]}")
            continue
        stated = [r for r in sample["results"] if r is not None]
        have = [(str(r.dtype).removeprefix("torch."), list(r.shape)) for r in results]
        want = [(r["dtype"], [call.size(s) for s in r["shape"]]) for r in stated]
        if have != want:
            wrong.append(f"{call}: torch gives {have}, the sample states {want}")
    assert not wrong, "\n".join(wrong)


def test_names_of_the_edge_dialect():
    """The listed name is what ExecuTorch's own exporter makes of the call."""
    from executorch.exir import EdgeCompileConfig, to_edge

    named = {op["name"]: op["edge"] for op in json.loads(conftest.cortland("ops", "--json").stdout)["torch"] if "edge" in op}
    named.pop("aten.contiguous.default")  # it vanishes where the tensor is contiguous already, as all are here
    kinds = {op: {} for op in named}  # the first call of each sample
    for s in delegated():
        if not s["dynamic"] and s["op"] in named:
            kinds[s["op"]].setdefault(s["text"], s)

    def becomes(sample):
        call = Call(sample)
        program = torch.export.export(Calls([call]), tuple(call.inputs), strict=False)
        nodes = to_edge(program, compile_config=EdgeCompileConfig(_check_ir_validity=False)).exported_program().graph.nodes
        return [str(n.target._op) for n in nodes if n.op == "call_function" and hasattr(n.target, "_op")]

    # One of the samples is enough: a conversion to the type that is there already vanishes.
    wrong = []
    for op, samples_of_op in kinds.items():
        names = []
        if not any(named[op] in names or names.extend(becomes(s)) or named[op] in names for s in samples_of_op.values()):
            wrong.append(f"{op} becomes {names}, not {named[op]}")
    assert len(kinds) > 90
    assert not wrong, "\n".join(wrong)


class Calls(torch.nn.Module):
    """Many calls after each other."""

    def __init__(self, calls):
        super().__init__()
        self.calls = calls
        for i, call in enumerate(calls):
            for j, constant in enumerate(call.constants):
                self.register_buffer(f"c{i}_{j}", constant)

    def forward(self, *inputs):
        results = []
        at = 0
        for i, call in enumerate(self.calls):
            constants = [getattr(self, f"c{i}_{j}") for j in range(len(call.constants))]
            results += call(inputs[at : at + len(call.inputs)], constants)
            at += len(call.inputs)
        return tuple(results)


def compare(call, have, want):
    """What is wrong with one call's results; empty if nothing is."""
    for i, (h, w) in enumerate(zip(have, want)):
        w = w.detach()
        if h.shape != tuple(w.shape):
            return f"result {i} has the shape {list(h.shape)}, torch {list(w.shape)}"
        if not w.dtype.is_floating_point:
            if not np.array_equal(h.astype(np.int64), w.numpy().astype(np.int64)):
                return f"result {i} is {h.ravel()[:8]}, torch {w.numpy().ravel()[:8]}"
            continue
        h, w, limit = h.astype(np.float64), w.double().numpy(), LIMITS.get(w.dtype, LIMITS[torch.float32])
        if call.inputs and all(t.dtype == torch.float16 for t in call.inputs if t.dtype.is_floating_point) and any(
            t.dtype == torch.float16 for t in call.inputs
        ):
            limit = LIMITS[torch.float16]
        finite = np.isfinite(w)
        if not np.array_equal(np.where(finite, 0, h), np.where(finite, 0, w), equal_nan=True):
            return f"result {i} is {h.ravel()[:8]}, torch {w.ravel()[:8]}"
        scale = max(LEAST_SCALE, np.abs(w[finite]).max(initial=0))
        error = np.abs(h - w)[finite].max(initial=0)
        if not error <= limit * scale:  # nor is a NaN where torch has a number
            return f"result {i} is off by {error:.2e}: {h.ravel()[:8]}, torch {w.ravel()[:8]}"
    return ""


# Read the data of a tensor, which torch cannot follow when these calls are exported by themselves.
NOT_EXPORTED = {"aten._shape_as_tensor.default", "aten.narrow.Tensor", "aten.tensor_split.tensor_indices_or_sections"}


def delegated():
    """Calls that the newest target takes and whose results are determined."""
    return [s for s in samples() if not s["refused"] and not s["undetermined"] and s["op"] not in NOT_EXPORTED
            and first_tensor(s)[0] != "bfloat16"]  # numpy has no such type


def first_tensor(sample):
    """Element type and rank of the call's first tensor, which its sample's variables vary."""
    stack = list(sample["args"].values())
    while stack:
        v = stack.pop(0)
        if isinstance(v, list):
            stack = v + stack
        elif isinstance(v, dict) and "tensor" in v:
            return v["tensor"]["dtype"], len(v["tensor"]["shape"])
    return None, None


def spread(chosen):
    """All ranks in one element type, and all element types at one rank: the rest tells little more."""
    primary = {}
    kept = []
    for s in chosen:
        dtype, rank = first_tensor(s)
        first, most = primary.setdefault((s["op"], s["text"]), (dtype, rank))
        if dtype == first or rank == most - min(most or 0, 2) or "*" not in s["text"]:
            kept.append(s)
    return kept


def check(calls, given, folder, dynamic_shapes=None):
    """Lowers the calls as one program, gives it the inputs of `given`, calls of the same samples, and compares."""
    module = Calls(calls)
    inputs = tuple(t for call in calls for t in call.inputs)
    program = torch.export.export(module, inputs, dynamic_shapes=dynamic_shapes, strict=False)
    pt2 = folder / "samples.pt2"
    torch.export.save(program, pt2)
    pte, report = conftest.lower(pt2, folder, "float32", "iOS18")
    outputs = conftest.run(pte, [t for call in given for t in call.inputs], folder)
    wrong = [f"{op['op']} stays on the CPU: {op['reason']}" for op in report["cpu_ops"]]
    at = 0
    for call in given:
        want = call.eager()
        why = compare(call, outputs[at : at + len(want)], want)
        at += len(want)
        if why:
            wrong.append(f"{call}: {why}")
    assert not wrong, "\n".join(wrong)


STATIC = 20  # programs


@pytest.mark.parametrize("part", range(STATIC))
def test_numbers(part, folder):
    chosen = spread([s for s in delegated() if not s["dynamic"]])[part::STATIC]
    calls = [Call(s, seed) for seed, s in enumerate(chosen)]
    check(calls, calls, folder)


DYNAMIC = 6


@pytest.mark.parametrize("part", range(DYNAMIC))
def test_numbers_of_other_sizes(part, folder):
    """Exported with the sizes of the example, run with larger ones."""
    first = {}
    for s in delegated():
        if s["dynamic"]:
            first.setdefault((s["op"], s["text"]), s)
    chosen = list(first.values())[part::DYNAMIC]
    calls = [Call(s, seed) for seed, s in enumerate(chosen)]
    given = [Call(s, seed, stretch=1) for seed, s in enumerate(chosen)]
    shapes = tuple({at: torch.export.Dim.AUTO(max=16) for at, d in enumerate(dims) if d} for call in calls for dims in call.dynamic)
    check(calls, given, folder, {"inputs": shapes})
