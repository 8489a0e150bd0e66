"""Operators that neither Core ML nor ExecuTorch has by itself, in Core ML and on CPU kernels."""

import numpy as np
import pytest
import torch
import transformers.integrations.moe  # noqa: F401  (registers transformers::grouped_mm_fallback)

from torchao.quantization import Int8DynamicActivationInt8WeightConfig, Int8DynamicActivationIntxWeightConfig, IntxWeightOnlyConfig, quantize_
from torchao.quantization.granularity import PerGroup

import models
from conftest import check_outputs, cortland, lower, lower_and_run, run

torch.manual_seed(0)


class Experts(torch.nn.Module):
    """Rows that are sorted by expert, counted and multiplied group by group, as transformers does it."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(4, 8, 6))

    def forward(self, x, ids):
        counts = torch.histc(ids.float(), bins=4, min=0, max=3)
        ends = torch.cumsum(counts, 0).to(torch.int32)
        return torch.ops.transformers.grouped_mm_fallback(x, self.weight, ends), counts


class Histogram(torch.nn.Module):
    def forward(self, x):
        return torch.histc(x, bins=7, min=-1, max=2), torch.histc(x, bins=3, min=0, max=1)


class SmallInverses(torch.nn.Module):
    def forward(self, x, b):
        two = x[..., :2, :2]
        return (torch.linalg.inv(x), torch.inverse(two), torch.linalg.det(x), torch.det(two), torch.linalg.solve(x, b))


class ConstantFactors(torch.nn.Module):
    def __init__(self):
        super().__init__()
        a = torch.randn(5, 5)
        self.register_buffer("a", a @ a.T + torch.eye(5))

    def forward(self, x):
        return x @ torch.linalg.inv(self.a), x @ torch.linalg.cholesky(self.a), x * torch.linalg.det(self.a)


class Bilinear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bilinear = torch.nn.Bilinear(3, 4, 5)

    def forward(self, a, b):
        return self.bilinear(a, b), torch.atleast_2d(a[0]).contiguous() + 1, torch.atleast_3d(a).contiguous() * 2


class SixAxes(torch.nn.Module):
    def forward(self, x, y):
        x = x.view(2, 3, 4, 2, 2, 2)
        return (x * y - x.amax((2, 3), keepdim=True)).softmax(4).sum(1), torch.where(x > 0, x, y).view(2, -1)


class ManyAxes(torch.nn.Module):
    """Windows of images as attention has them: each step sees six or seven axes."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(6, 8)
        self.norm = torch.nn.LayerNorm(8)
        self.places = torch.nn.Parameter(torch.randn(1, 1, 2, 3, 2, 8))
        self.table = torch.nn.Parameter(torch.randn(5, 2, 8))

    def forward(self, x):
        x = self.norm(self.linear(x.view(x.shape[0], 2, 2, 3, 2, 6)) + self.places)
        a, b = x[:, :, 0], x[:, :, 1]
        scores = torch.einsum("nijklc,mlc->nijkml", x, self.table).softmax(-2)
        products = x @ x.transpose(-1, -2)
        joined = torch.cat([torch.stack([a, b], 3), x.transpose(2, 3)], -1)
        return (scores.flatten(1), products.sum((1, 3)), joined.flatten(2), x.repeat(1, 1, 2, 1, 1, 2).amax((2, 4)),
                torch.einsum("nijkc,mic,lk->nmlj", a, self.table, self.table[:, 0, :2]), x.roll(1, 3).var((1, 5)))


class SpecialFunctions(torch.nn.Module):
    def forward(self, x, p):
        special = torch.special
        return (torch.lgamma(x), torch.digamma(x), torch.polygamma(1, x), torch.polygamma(2, x.abs()), special.multigammaln(x.abs() + 1, 2),
                torch.i0(x), special.i0e(x), special.i1(x), special.i1e(x), special.modified_bessel_k0(p), special.modified_bessel_k1(p),
                special.bessel_j0(x), special.bessel_j1(x), special.bessel_y0(p), special.bessel_y1(p), special.erfcx(x), special.erfinv(p),
                special.ndtr(x), special.log_ndtr(x), special.ndtri(p), special.entr(p), special.xlog1py(x, p), special.sinc(x),
                special.legendre_polynomial_p(p, 4), special.hermite_polynomial_h(p, 3))


class Integers(torch.nn.Module):
    def forward(self, a, b):
        return torch.gcd(a, b), torch.lcm(a, b)


class FewRows(torch.nn.Module):
    """Matrices whose diagonals are zero: nothing works without exchanging rows."""

    def forward(self, a, b):
        a = a * (1 - torch.eye(a.shape[-1]))
        squares = a @ a.mT + torch.eye(a.shape[-1])
        factor = torch.linalg.cholesky(squares)
        return (torch.linalg.inv(a), torch.linalg.solve(a, b), torch.linalg.det(a), *torch.linalg.slogdet(a), factor,
                torch.linalg.solve_triangular(factor, b, upper=False), torch.cholesky_solve(b, factor), torch.linalg.matrix_power(a, -2))


class Volumes(torch.nn.Module):
    def forward(self, x, theta):
        grid = torch.nn.functional.affine_grid(theta, x.shape, align_corners=False)
        sample = torch.nn.functional.grid_sample
        return (sample(x, grid, align_corners=False), sample(x, grid * 1.5, padding_mode="border", align_corners=True),
                sample(x, grid * 1.5, padding_mode="reflection", align_corners=False))


class Statistics(torch.nn.Module):
    def forward(self, x):
        window = torch.hamming_window(6) + torch.kaiser_window(6, True, beta=5.0) + torch.blackman_window(6) + torch.fft.fftfreq(6)
        return (torch.quantile(x, torch.tensor([0.1, 0.75]), dim=1), torch.quantile(x, 0.5, dim=-1, keepdim=True), torch.trapezoid(x),
                torch.cumulative_trapezoid(x, dx=0.5), torch.renorm(x, 2, 0, 1.0), torch.linalg.vander(x, N=3), x * window,
                torch.cartesian_prod(x[0, :2], x[1, :3]))


class InPlace(torch.nn.Module):
    """Operators whose in-place form has another overload than the pure one."""

    def forward(self, x, y):
        return (x * 3).floor_divide_(y), (x * 1).pow_(2), x.abs().pow_(y)


class WriteThroughSlice(torch.nn.Module):
    """Up to a place that is known when it runs."""

    def forward(self, x, n):
        count = n.item()
        torch._check(count <= 4)
        out = x * 2
        out[:count] = x[:1]
        return out


class SizeDependent(torch.nn.Module):
    def forward(self, x):
        return torch.sym_ite(x.shape[0] > 4, 3, 5) * x


def rows(*shape):
    return torch.randn(*shape)


def well_conditioned(*shape):
    return torch.eye(shape[-1]) * 3 + torch.rand(*shape)


BATCH = torch.export.Dim("batch", min=2, max=9)
CASES = {
    "experts": (Experts(), [(rows(10, 8), torch.tensor([0, 0, 0, 1, 1, 1, 3, 3, 3, 3])), (rows(10, 8), torch.zeros(10, dtype=torch.int64))], None),
    "histogram": (Histogram(), [(torch.tensor([-1.0, 2.0, 0.1, 0.9, 1.9, -3.0, 7.0, 0.4, 0.4, 1.0]),)], None),
    "small_inverses": (SmallInverses(), [(well_conditioned(4, 3, 3), rows(4, 3, 2))], None),
    "bilinear": (Bilinear(), [(rows(2, 3), rows(2, 4))], None),
    "six_axes": (SixAxes(), [(rows(2, 12, 8), rows(4, 1, 2, 1))], None),
    "many_axes": (ManyAxes(), [(rows(n, 24, 6),) for n in (3, 2, 5)], ({0: BATCH},)),
    "special_functions": (SpecialFunctions(), [(torch.linspace(-3.7, 9.3, 23), torch.linspace(0.01, 0.99, 23))], None),
    "integers": (Integers(), [(torch.tensor([0, 12, -18, 7, 17711, 0]), torch.tensor([5, 18, 12, 0, 10946, 0]))], None),
    "few_rows": (FewRows(), [(rows(n, 5, 5), rows(n, 5, 2)) for n in (3, 2)], ({0: BATCH}, {0: BATCH})),
    "volumes": (Volumes(), [(rows(n, 2, 3, 4, 5), rows(n, 3, 4)) for n in (2, 3)], ({0: BATCH}, {0: BATCH})),
    "statistics": (Statistics(), [(rows(3, 6),)], None),
    "in_place": (InPlace(), [(rows(3, 4), torch.rand(3, 4) + 0.5)], None),
}


def export(model, inputs, shapes, folder):
    pt2 = folder / "model.pt2"
    torch.export.save(torch.export.export(model.eval(), inputs[0], dynamic_shapes=shapes), pt2)
    with torch.no_grad():
        return pt2, [torch.utils._pytree.tree_leaves(model(*i)) for i in inputs]


@pytest.mark.parametrize("route", ["core_ml", "cpu"])
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_torch(name, route, folder):
    model, inputs, shapes = CASES[name]
    pt2, expected = export(model, inputs, shapes, folder)
    pte, report = lower(pt2, folder, "float32", options=["--skip-ops", "*"] if route == "cpu" else [])
    assert (report["delegates"] == []) == (route == "cpu")
    if route == "core_ml":
        assert report["cpu_ops"] == []
    for given, want in zip(inputs, expected):
        check_outputs(run(pte, given, folder), want, "float32")


def test_constant_matrices_are_factorised_while_lowering(folder):
    given = rows(2, 5)
    pt2, expected = export(ConstantFactors(), [(given,)], None, folder)
    pte, report = lower(pt2, folder, "float32")
    assert report["cpu_ops"] == []
    check_outputs(run(pte, (given,), folder), expected[0], "float32")


def test_other_matrices_are_refused_with_the_reason(folder):
    class Inverse(torch.nn.Module):
        def forward(self, x):
            return torch.linalg.inv(x)

    pt2, _ = export(Inverse(), [(well_conditioned(17, 17),)], None, folder)
    refusal = cortland("lower", pt2, "-o", folder / "model.pte", check=False)
    assert refusal.returncode != 0 and "known only at run time" in refusal.stderr and "16 rows" in refusal.stderr


def test_a_choice_between_numbers_runs_on_the_cpu(folder):
    inputs = [(rows(n, 4),) for n in (3, 4, 5, 9)]
    pt2, expected = export(SizeDependent(), inputs, ({0: BATCH},), folder)
    pte, _ = lower(pt2, folder, "float32")
    for given, want in zip(inputs, expected):
        check_outputs(run(pte, given, folder), want, "float32")


@pytest.mark.parametrize("skip", [[], ["--skip-ops", "*"]], ids=["core_ml", "cpu"])
def test_a_slice_is_written_up_to_a_place_that_the_data_gives(skip, folder):
    inputs = [(rows(4, 3), torch.tensor(n)) for n in (2, 1, 4)]
    pt2, expected = export(WriteThroughSlice(), inputs, None, folder)
    pte, _ = lower(pt2, folder, "float32", options=skip)
    for given, want in zip(inputs, expected):
        check_outputs(run(pte, given, folder), want, "float32")


def test_a_size_read_from_a_constant_is_known(folder):
    class Repeated(torch.nn.Module):
        def forward(self, x):
            return x.repeat(1, (torch.arange(3).max() + 1).item()) * 2

    given = rows(2, 5)
    pt2, expected = export(Repeated(), [(given,)], None, folder)
    pte, report = lower(pt2, folder, "float32")
    assert report["cpu_ops"] == [] and len(report["delegates"]) == 1
    check_outputs(run(pte, (given,), folder), expected[0], "float32")


def test_a_number_read_from_a_constant_is_known(folder):
    """As detectors fill the stride of each of their levels."""

    class Strides(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.strides = torch.tensor([8.0, 0.5])

        def forward(self, x):
            return torch.cat([x.new_full((len(x), 1), stride) for stride in self.strides], 1) * x, x * self.strides[1].item()

    x = torch.randn(3, 2)
    program = torch.export.export(Strides(), (x,), dynamic_shapes=({0: torch.export.Dim.AUTO(min=1, max=9)},))
    outputs, report = lower_and_run(program, [x], folder, "float32")
    assert report["cpu_ops"] == []
    check_outputs(outputs, Strides()(x), "float32")


QUANTISED = {
    "int8_activations_int8_weights": Int8DynamicActivationInt8WeightConfig(),
    "int8_activations_int4_weights": Int8DynamicActivationIntxWeightConfig(weight_dtype=torch.int4, weight_granularity=PerGroup(32)),
    "int4_weights": IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32)),
}


@pytest.mark.parametrize("skip", [[], ["--skip-ops", "*"]], ids=["core_ml", "cpu"])
@pytest.mark.parametrize("config", QUANTISED)
def test_torchao_models_agree(config, skip, folder):
    # One layer: behind a second one a last bit that differs may be a whole step.
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU()).eval()
    quantize_(model, QUANTISED[config])
    given = rows(3, 64)[None]  # of rank 3: with two axes for each it would have rank 6
    pt2, expected = export(model, [(given,)], None, folder)
    pte, report = lower(pt2, folder, "float32", options=skip)
    assert report["delegates" if skip else "cpu_ops"] == []
    have = run(pte, (given,), folder)
    if skip and "activations" in config:
        # A row's scale is its largest value by 127.5, so that value always lies halfway between two steps. ExecuTorch's kernel multiplies
        # by the reciprocal of 127.5 instead, and a last bit of the scale decides which step the value takes.
        step = given.abs().max() / 127.5 * model[0].weight.dequantize().abs().max()
        assert np.abs(have[0] - expected[0][0].numpy()).max() < 1.01 * step.item()
    else:
        check_outputs(have, expected[0], "float32")


def test_sums_of_integer_products_keep_in_range_in_float16(folder):
    model = torch.nn.Linear(256, 32).eval()
    torch.nn.init.uniform_(model.weight, 0.5, 1.0)
    quantize_(model, QUANTISED["int8_activations_int8_weights"])
    given = torch.rand(3, 256) + 0.5
    pt2, expected = export(model, [(given,)], None, folder)
    pte, _ = lower(pt2, folder, "float16")
    check_outputs(run(pte, (given,), folder), expected[0], "float16")


class Logits(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids):
        return self.model(input_ids=ids, use_cache=False).logits


@pytest.mark.parametrize("skip", [[], ["--skip-ops", "*"]], ids=["core_ml", "cpu"])
def test_a_mixture_of_experts_agrees(skip, folder):
    tf = models.transformers()
    torch.manual_seed(0)
    config = tf.MixtralConfig(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                              num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2)
    model = Logits(tf.MixtralForCausalLM(config)).eval()
    inputs = [(torch.randint(0, 64, (1, 12)),) for _ in range(2)]
    pt2, expected = export(model, inputs, None, folder)
    pte, report = lower(pt2, folder, "float32", options=skip)
    assert report["delegates" if skip else "cpu_ops"] == []
    for given, want in zip(inputs, expected):
        check_outputs(run(pte, given, folder), want, "float32")


def test_of_an_input_of_six_axes_only_its_view_stays_outside(folder):
    class Reduced(torch.nn.Module):
        def forward(self, x):
            return x.permute(0, 2, 1, 4, 3, 5) * 2, x.sum((1, 4))

    given = rows(2, 3, 2, 2, 3, 2)
    pt2, expected = export(Reduced(), [(given,)], None, folder)
    pte, report = lower(pt2, folder, "float32")
    assert len(report["delegates"]) == 1 and {op["op"] for op in report["cpu_ops"]} <= {"aten.permute.default", "aten.view.default"}
    check_outputs(run(pte, (given,), folder), expected[0], "float32")


def test_a_size_that_the_data_decides_is_bounded_by_what_the_model_asserts(folder):
    class Resized(torch.nn.Module):
        def forward(self, x, sizes):
            h, w = sizes.tolist()
            torch._check(h >= 1), torch._check(w >= 1), torch._check(h * w <= 24)
            return torch.ones(h, w).sum(1, keepdim=True) * x

    inputs = [(rows(3), torch.tensor(sizes)) for sizes in ((4, 5), (24, 1), (2, 12))]
    pt2, expected = export(Resized(), inputs, None, folder)
    pte, _ = lower(pt2, folder, "float32")
    for given, want in zip(inputs, expected):
        check_outputs(run(pte, given, folder), want, "float32")
