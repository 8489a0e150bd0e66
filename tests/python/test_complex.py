"""Complex values and Fourier transforms, which are pairs of real tensors and products with tables by the time they run."""

import pytest
import torch

from conftest import check_outputs, cortland, lower, run

torch.manual_seed(0)


class Rotary(torch.nn.Module):
    """Rotary embedding as the llama reference code has it."""

    def __init__(self):
        super().__init__()
        angles = torch.outer(torch.arange(32).float(), 1 / 100 ** (torch.arange(0, 8, 2).float() / 8))
        self.register_buffer("freqs_cis", torch.polar(torch.ones_like(angles), angles), persistent=False)
        self.wq, self.wk = torch.nn.Linear(16, 16), torch.nn.Linear(16, 8)

    def forward(self, x):
        length = x.shape[1]
        xq, xk = self.wq(x).view(x.shape[0], length, 2, 8), self.wk(x).view(x.shape[0], length, 1, 8)
        freqs = self.freqs_cis[:length].view(1, length, 1, 4)
        xq_ = torch.view_as_complex(xq.float().reshape(*xq.shape[:-1], -1, 2))
        xk_ = torch.view_as_complex(xk.float().reshape(*xk.shape[:-1], -1, 2))
        return torch.view_as_real(xq_ * freqs).flatten(3).type_as(xq), torch.view_as_real(xk_ * freqs).flatten(3).type_as(xk)


class Arithmetic(torch.nn.Module):
    def forward(self, a, b):
        c = torch.complex(a, b)
        d = c.conj() * c + c / (c + 3) - 1j * c
        e = torch.matmul(d, d.transpose(-1, -2).conj())
        f = torch.cat([d, c], -1).reshape(2, -1)
        g = torch.where(a > 0, c, d)
        return (e.real, e.imag, f.abs(), f.angle(), torch.view_as_real(f.sum(0)), c.exp().real, c.mean().imag.reshape(1),
                d.reciprocal().real, g.imag, (c**3).real, (2 - c).imag, (c * a).imag, (1 / (c + 4)).real,
                torch.view_as_real(c.log()), torch.view_as_real(c.sqrt()), torch.linalg.vector_norm(c, dim=1))


class Spectrum(torch.nn.Module):
    def forward(self, x):
        y = torch.fft.rfft(x)
        z = torch.fft.fftn(x, dim=(0, 1), norm="ortho")
        return (y.abs(), y.real, y.imag, torch.fft.irfft(y), torch.fft.irfft(y, n=7), torch.fft.ifft(z, dim=0).real, torch.fft.fftshift(z).imag,
                torch.fft.ifftn(z, dim=(0, 1), norm="ortho").real, torch.fft.rfft(x, n=16, norm="forward").imag, torch.fft.fft(x, n=6, dim=0).imag)


class Phases(torch.nn.Module):
    """The first and the last number are real: their angles are 0 or pi, not -pi."""

    def forward(self, x):
        return torch.fft.rfft(x).angle()


class LongSpectrum(torch.nn.Module):
    """More elements than one table holds."""

    def forward(self, x):
        y = torch.fft.rfft(x)
        return y.real, y.imag, torch.fft.irfft(y)


class FourierOperator(torch.nn.Module):
    """A layer of a Fourier neural operator: complex weights, a complex buffer that is written in part."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(2, 3, 4, 4, dtype=torch.cfloat) / 4)

    def forward(self, x):
        f = torch.fft.rfft2(x)
        out = torch.zeros(x.shape[0], 3, x.shape[2], x.shape[3] // 2 + 1, dtype=torch.cfloat)
        out[:, :, :4, :4] = torch.einsum("bixy,ioxy->boxy", f[:, :, :4, :4], self.weight)
        return torch.fft.irfft2(out, s=(x.shape[2], x.shape[3]))


class Spectrogram(torch.nn.Module):
    def forward(self, x):
        y = torch.stft(x, 16, 4, window=torch.hann_window(16), return_complex=True)
        short = torch.stft(x[0], 16, 8, 12, window=torch.hann_window(12), normalized=True, return_complex=True)
        return torch.view_as_real(y), y.abs() ** 2, short.real, short.imag


class ThereAndBack(torch.nn.Module):
    def forward(self, x):
        y = torch.stft(x, 16, 4, window=torch.hann_window(16), return_complex=True)
        return torch.istft(y * 2, 16, 4, window=torch.hann_window(16), length=x.shape[-1])


class AudioFrames(torch.nn.Module):
    """Of any number of samples: with a window that the model holds, long frames, and back."""

    def __init__(self):
        super().__init__()
        self.register_buffer("window", torch.hann_window(32))

    def forward(self, x):
        y = torch.stft(x, 32, 8, window=self.window, return_complex=True)
        cut = torch.stft(x, 20, 6, window=torch.hann_window(20), center=False, onesided=False, return_complex=True)
        long = torch.stft(x, 1200, 300, window=torch.hann_window(1200), return_complex=True)
        return y.abs(), torch.view_as_real(cut), long.real, torch.istft(y * 2, 32, 8, window=self.window)


class StateSpace(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.randn(4, dtype=torch.cfloat) / 3)
        self.b = torch.nn.Parameter(torch.randn(4, 3, dtype=torch.cfloat))
        self.c = torch.nn.Parameter(torch.randn(3, 4, dtype=torch.cfloat))

    def forward(self, u):
        h = torch.zeros(u.shape[0], 4, dtype=torch.cfloat)
        ys = []
        for t in range(u.shape[1]):
            h = h * self.a + u[:, t].to(torch.cfloat) @ self.b.T
            ys.append((h @ self.c.T).real)
        return torch.stack(ys, 1)


AUTO = torch.export.Dim.AUTO
LENGTH = torch.export.Dim("length", min=2, max=30)
CASES = {
    "rotary": (Rotary(), [(torch.randn(2, 5, 16),)], None),
    "rotary_dynamic": (Rotary(), [(torch.randn(2, n, 16),) for n in (5, 2, 30)], ({1: LENGTH},)),
    "arithmetic": (Arithmetic(), [(torch.randn(4, 4), torch.randn(4, 4))], None),
    "spectrum": (Spectrum(), [(torch.randn(6, 10),)], None),
    "phases": (Phases(), [(torch.randn(9, 10),)], None),
    "long_spectrum": (LongSpectrum(), [(torch.randn(2, 1200),)], None),
    "fourier_operator": (FourierOperator(), [(torch.randn(1, 2, 12, 12),)], None),
    "spectrogram": (Spectrogram(), [(torch.randn(2, 64),)], None),
    "there_and_back": (ThereAndBack(), [(torch.randn(2, 64),)], None),
    "audio_frames": (AudioFrames(), [(torch.randn(2, n),) for n in (1500, 1203, 3999)], ({0: AUTO(min=1, max=4), 1: AUTO(min=1201, max=4000)},)),
    "state_space": (StateSpace(), [(torch.randn(2, 4, 3),)], None),
}


def export(name, folder, decomposed=False):
    model, inputs, shapes = CASES[name]
    program = torch.export.export(model.eval(), inputs[0], dynamic_shapes=shapes)
    if decomposed:
        program = program.run_decompositions()
    pt2 = folder / "model.pt2"
    torch.export.save(program, pt2)
    with torch.no_grad():
        expected = [torch.utils._pytree.tree_leaves(model(*i)) for i in inputs]
    return pt2, inputs, expected


@pytest.mark.parametrize("decomposed", [False, True], ids=["as_exported", "decomposed"])
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_torch_in_core_ml(name, decomposed, folder):
    pt2, inputs, expected = export(name, folder, decomposed)
    pte, report = lower(pt2, folder, "float32")
    assert report["cpu_ops"] == []
    for given, want in zip(inputs, expected):
        check_outputs(run(pte, given, folder), want, "float32")


@pytest.mark.parametrize("name", ["rotary", "fourier_operator", "audio_frames", "state_space"])
def test_agrees_with_torch_in_float16(name, folder):
    pt2, inputs, expected = export(name, folder)
    pte, _ = lower(pt2, folder, "float16")
    for given, want in zip(inputs, expected):
        check_outputs(run(pte, given, folder), want, "float16")


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_torch_on_cpu_kernels(name, folder):
    pt2, inputs, expected = export(name, folder)
    pte, report = lower(pt2, folder, "float32", options=["--skip-ops", "*"])
    assert report["delegates"] == []
    for given, want in zip(inputs, expected):
        check_outputs(run(pte, given, folder), want, "float32")


class ComplexInput(torch.nn.Module):
    def forward(self, x):
        return x.abs()


class ComplexOutput(torch.nn.Module):
    def forward(self, x):
        return torch.complex(x, x)


class ComplexTangent(torch.nn.Module):
    def forward(self, x):
        return torch.fft.fft(x).tan().real


@pytest.mark.parametrize("model, given, says", [(ComplexInput(), torch.randn(3, dtype=torch.cfloat), "input 'x' is complex64"),
                                                (ComplexOutput(), torch.randn(3), "view_as_real"),
                                                (ComplexTangent(), torch.randn(3), "aten.tan.default")])
def test_what_has_no_real_form_is_refused(model, given, says, folder):
    pt2 = folder / "model.pt2"
    torch.export.save(torch.export.export(model, (given,)), pt2)
    refusal = cortland("lower", pt2, "-o", folder / "model.pte", check=False)
    assert refusal.returncode != 0 and says in refusal.stderr
    assert not (folder / "model.pte").exists()
