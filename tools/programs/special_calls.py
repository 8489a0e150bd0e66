"""Special functions, transforms, factorisations and statistics, and calls whose sizes the data gives."""

import torch

from families import family, one_of


@family(2)
def special(g):
    # Away from the poles and from where torch's own values are far off.
    x = g.f(range(0, 4)) if g.chance(0.5) else g.new(g.float, g.shape())
    return one_of(g, """
        torch.lgamma({x})
        torch.lgamma({x}.abs() + 0.25)
        torch.digamma({x}.abs() + 0.25)
        torch.digamma({x})
        torch.polygamma({order}, {x}.abs() + 0.25)
        torch.polygamma({order}, {x} + 0.125)
        torch.mvlgamma({x}.abs() + 2, {p})
        torch.special.erfcx({x})
        torch.special.ndtr({x})
        torch.special.log_ndtr({x})
        torch.special.ndtri({x}.sigmoid())
        torch.special.i0({x})
        torch.special.i0e({x})
        torch.special.i1({x})
        torch.special.i1e({x})
        torch.special.bessel_j0({x})
        torch.special.bessel_j1({x})
        torch.special.bessel_y0({x}.abs() + 0.5)
        torch.special.bessel_y1({x}.abs() + 0.5)
        torch.special.modified_bessel_k0({x}.abs() + 0.5)
        torch.special.modified_bessel_k1({x}.abs() + 0.5)
        torch.special.modified_bessel_i0({x})
        torch.special.scaled_modified_bessel_k0({x}.abs() + 0.5)
        torch.special.spherical_bessel_j0({x})
        torch.special.xlog1py({x}, {x}.abs())
        torch.special.xlog1py(2, {x}.abs())
        torch.special.chebyshev_polynomial_t({x}.clamp(-1, 1), {n})
        torch.special.chebyshev_polynomial_u({x}.clamp(-1, 1), {n})
        torch.special.hermite_polynomial_h({x}, {n})
        torch.special.hermite_polynomial_he({x}, {n})
        torch.special.laguerre_polynomial_l({x}, {n})
        torch.special.legendre_polynomial_p({x}.clamp(-1, 1), {n})
        torch.special.exp2({x})
        torch.special.round({x})
        torch.gcd({i}, {j})
        torch.lcm({i}, {j})
        torch.gcd({i}, 6 * torch.ones_like({i}))
    """, x=x, order=lambda: g.int_in(0, 4), p=lambda: g.int_in(1, 3), n=lambda: g.int_in(0, 5), i=lambda: g.i(range(0, 4)),
        j=lambda: g.new(g.int, [1]))


@family(1)
def complex_numbers(g):
    """Complex only inside of a call."""
    x = g.f(range(1, 4)) if g.chance(0.5) else g.new(g.float, g.shape((1, 2, 3)), fixed=True)
    pair, other = (g.new(g.float, [2, 3, 2]) for _ in range(2))
    return one_of(g, """
        torch.view_as_real(torch.view_as_complex({pair}) * torch.view_as_complex({other}))
        torch.view_as_real(torch.view_as_complex({pair}) + torch.view_as_complex({other}).conj())
        torch.view_as_complex({pair}).abs()
        torch.view_as_real(torch.polar({pair}.abs(), {other}))
        torch.view_as_real(torch.complex({pair}, {other}) * 2)
        torch.complex({pair}, {other}).real
        (torch.complex({pair}, {other}) @ torch.complex({other}, {pair}).mT).imag
        torch.view_as_complex({pair}).angle()
        torch.view_as_real(torch.view_as_complex({pair}).sum(0))
        torch.view_as_real(torch.view_as_complex({pair}).flatten()[1:])
        torch.fft.rfft({x}).abs()
        torch.view_as_real(torch.fft.rfft({x}, norm='ortho'))
        torch.view_as_real(torch.fft.fft({x}))
        torch.fft.irfft(torch.fft.rfft({x}), {x}.shape[-1])
        torch.fft.ifft(torch.fft.fft({x})).real
        torch.fft.fft2({matrix}).real
        torch.view_as_real(torch.fft.rfft2({matrix}))
        torch.fft.irfft2(torch.fft.rfft2({matrix}), s={matrix}.shape[-2:])
        torch.fft.fftshift({x})
        torch.fft.rfftfreq({n})
        torch.fft.fftfreq({n}, 0.5)
        torch.view_as_real(torch.stft({signal}, 8, 4, window=torch.hann_window(8), return_complex=True))
        torch.stft({signal}, 8, 3, center=False, window=torch.ones(8), return_complex=True).abs()
    """, x=x, pair=pair, other=other, matrix=lambda: g.new(g.float, [2, g.int_in(2, 5), g.int_in(2, 5)], fixed=True), n=lambda: g.int_in(1, 8),
        signal=lambda: g.new(g.float, [g.int_in(1, 2), g.int_in(12, 24)], fixed=True))


@family(1)
def factorizations(g):
    m, n = g.int_in(1, 3), g.int_in(1, 3)
    new = lambda *shape: g.new(g.float, shape, low=-1, high=1)  # noqa: E731
    # Far from singular, the second one symmetric, too; and triangles of the first.
    regular = lambda: f"({new(2, 3, 3)} + 4 * torch.eye(3))"  # noqa: E731
    a = new(2, 3, 3)
    positive = f"({a} @ {a}.mT + 2 * torch.eye(3))"
    return one_of(g, """
        torch.linalg.cholesky({positive})
        torch.linalg.cholesky({positive}, upper=True)
        torch.cholesky_solve({b}, torch.linalg.cholesky({positive}))
        torch.cholesky_inverse(torch.linalg.cholesky({positive}))
        torch.linalg.solve_triangular({regular}.triu(), {b}, upper=True)
        torch.linalg.solve_triangular({regular}.tril(), {b}, upper=False)
        torch.linalg.solve({regular}, {b})
        torch.linalg.solve({regular}, {v})
        torch.linalg.inv_ex({regular})[0]
        torch.inverse({regular})
        torch.linalg.slogdet({regular})[{bit}]
        torch.logdet({positive})
        torch.det({regular})
        torch.linalg.vander({square})
        torch.vander({line}, {n})
        torch.linalg.matrix_power({regular}, -1)
        {row}.adjoint()
        {row}.mH
        torch._weight_norm({row}, {column}, 0)
        torch.cartesian_prod({line}, {line})
        torch.outer({line}, {line}).trace()
    """, positive=positive, regular=regular, b=lambda: new(2, 3, n), v=lambda: new(2, 3), square=lambda: g.new(g.float, [3, 3], low=-1, high=1, fixed=True), row=lambda: new(3, 3), column=lambda: new(3, 1),
        line=lambda: new(m), bit=lambda: g.int_in(0, 1), n=n)


@family(1.5)
def statistics(g):
    x = g.f(range(1, 4))
    fixed = x if not g.dynamic else g.new(g.float, g.shape((1, 2, 3)), fixed=True)
    return one_of(g, """
        torch.quantile({fixed}, {q}, {d}, {flag})
        torch.quantile({fixed}, torch.tensor([0.25, 0.75]), {d})
        torch.quantile({fixed}, {q}, {d}, interpolation='{between}')
        torch.histc({x}, 4, -4, 4)
        torch.trapezoid({fixed}, dim={d})
        torch.trapezoid({fixed}, {fixed}, dim={d})
        torch.cumulative_trapezoid({fixed}, dim={d})
        torch.cov({matrix})
        torch.corrcoef({matrix})
        torch.hamming_window({n})
        torch.blackman_window({n})
        torch.bartlett_window({n}, periodic=False)
        torch.kaiser_window({n}, beta=3.0)
        torch.nn.functional.max_pool1d({lines}, 2, return_indices=False)
        F.adaptive_max_pool1d({lines}, 1)
        F.adaptive_max_pool3d({volume}, 1)
        F.adaptive_avg_pool3d({volume}, (1, None, 2))
        {x}.put({places}, {x}.flatten()[:1].expand(3), accumulate=True)
        torch.unsafe_chunk({x}, 2, {d})[0]
        torch.numel({x}) * {x}
        torch.logcumsumexp({x}, {d})
        torch.renorm({rows}, 2, 0, 1.5)
        torch.empty_like({x}).fill_(2)
        torch.nn.functional.logsigmoid({x} * 3)
        F.feature_alpha_dropout({x}, 0.5, False)
        torch.concatenate([{x}, {x}], {d})
        torch.bitwise_xor({i}, {i} + 1)
        {i} << 2
        {i} ^ 3
        torch.divide({x}, 3, rounding_mode='floor')
        {x}.less({x} + 0.5)
        torch.diagflat({line}, {bit})
    """, x=x, fixed=fixed, q=lambda: g.choose((0.0, 0.25, 0.5, 0.9, 1.0)), d=lambda: g.choose((0, -1)), flag=g.flag, between=lambda: g.choose("lower higher nearest midpoint"),
        matrix=lambda: g.new(g.float, [3, 5]), places=lambda: g.indices(max(min(x.t.numel(), 5), 1), [3], negative=False), n=lambda: g.int_in(1, 9),
        lines=lambda: g.new(g.float, [2, 3, g.int_in(2, 7)]), volume=lambda: g.new(g.float, [1, 2, 2, 3, 4], fixed=True),
        rows=lambda: g.new(g.float, [3, 4]), i=lambda: g.i(range(0, 4)), line=lambda: g.new(g.float, [g.int_in(1, 4)]),
        bit=lambda: g.int_in(-1, 1))


@family(0.25)
def sizes_of_the_data(g):
    """How much is left the data says."""
    if g.dynamic:
        return False  # torch gives no bound of what is left of a dynamic size, and memory is planned
    x = g.any("ffi", range(1, 4), where=lambda t: t.numel() > 0)
    test = f"({x} {g.choose(('> 0', '> 100', '< 2', '!= 0', '== 1'))})"
    if g.chance(0.4):
        return g.last(one_of(g, """
            {x}[{test}]
            {x}[{test}] * 2 - 1
            {x}[{test}].float().relu() + 0.5
            {test}.nonzero() * 2
            torch.argwhere({test}).flip(1)
            torch.where({test})[0] + 1
            {x}.flatten()[{test}.flatten().nonzero()[:, 0]]
            torch.masked_select({x}, {test})
        """, x=x, test=test))
    return one_of(g, """
        torch.masked_select({x}, {test}).sum()
        ({x}[{test}] * 2 + 1).sum()
        {x}[{test}].float().exp().clamp(max=50).sum()
        {test}.nonzero().sum(0)
        torch.zeros_like({x}).masked_scatter({test}, {x}[{test}] + 1)
        torch.where({test})[0].sum()
        torch.cat([{x}[{test}], {x}.flatten()[:1]]).max()
    """, x=x, test=test)


@family(2)
def conversions(g):
    """Through the element types that programs pass by."""
    x = g.any("fffib")
    return one_of(g, """
        {x}.bfloat16().float()
        ({x}.bfloat16() * 2).float()
        ({x}.bfloat16() + {x}.bfloat16().relu()).float()
        ({x}.half() + 1).float()
        ({x}.double() * 0.5).float()
        ({x}.to(torch.int8) + 1).int()
        ({x}.to(torch.int16) * 3).long()
        {x}.abs().to(torch.uint8).float() / 255
        ({x}.int() + {x}.long())
        {x}.bool().sum({d})
        {x}.bool().int() - 1
        {x}.long().float().mean({d})
        ({x}.int() // 2).float()
        {x}.int().abs().to(torch.uint8) + 1
        {x}.to(torch.int8).sum({d})
        {x}.to(torch.int16).amax({d})
        torch.cat([{x}.int(), {x}.long()], {d})
        torch.where({x}.bool(), {x}.float(), {x}.int())
        torch.maximum({x}.int(), {x}.long() - 1)
        {x}.to(torch.uint8).to(torch.int8) if not {x}.is_floating_point() else {x}.half().int()
    """, x=x, d=lambda: g.dim(x))
