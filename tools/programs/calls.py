"""Calls that compute element by element, along axes, or move elements."""

import torch

from families import family

POINTWISE = """
torch.exp torch.sin torch.cos torch.tan torch.tanh torch.sigmoid torch.erf F.relu F.gelu F.silu F.softplus F.elu F.selu F.celu F.hardtanh
F.hardsigmoid F.hardswish F.leaky_relu F.logsigmoid F.mish F.softsign F.tanhshrink F.relu6 F.hardshrink F.softshrink torch.abs torch.neg
torch.floor torch.ceil torch.round torch.trunc torch.frac torch.sign torch.square torch.exp2 torch.expm1 torch.sinh torch.cosh torch.asinh
torch.atan torch.isnan torch.isinf torch.isfinite torch.signbit torch.nan_to_num torch.sinc torch.deg2rad torch.rad2deg torch.positive torch.sgn
torch.logical_not torch.reciprocal torch.erfc
""".split()
GUARDED = """
torch.log({x}.abs() + 0.5) torch.sqrt({x}.abs()) torch.rsqrt({x}.abs() + 0.25) torch.log1p({x}.abs()) torch.log2({x}.abs() + 1) torch.log10({x}.abs() + 0.1)
torch.asin({x}.clamp(-1, 1)) torch.acos({x}.clamp(-1, 1)) torch.acosh({x}.abs() + 1) torch.atanh({x}.clamp(-0.75, 0.75)) torch.logit({x}, 0.1)
torch.erfinv({x}.clamp(-0.9, 0.9)) F.gelu({x}, approximate='tanh') F.threshold({x}, 0.5, -1)
F.leaky_relu({x}, 0.2) F.softplus({x}, 2.0, 3.0) F.elu({x}, 0.5) F.hardtanh({x}, -0.5, 2) F.hardshrink({x}, 0.75) F.softshrink({x}, 0.75)
torch.round({x}, decimals=1) torch.nan_to_num({x}, 0.5, 2.0, -2.0) torch.logit({x}.sigmoid())
""".replace("\n", "|").replace(") torch", ")|torch").replace(") F.", ")|F.").strip("|").split("|")


@family(6)
def pointwise(g):
    return g.expression(f"{g.choose(POINTWISE)}({g.any('ffffib')})")


@family(3)
def guarded(g):
    return g.expression(g.choose(GUARDED).format(x=g.f()))


BINARY = """
torch.add torch.sub torch.mul torch.div torch.maximum torch.minimum torch.eq torch.ne torch.lt torch.le torch.gt torch.ge torch.logical_and
torch.logical_or torch.logical_xor torch.atan2 torch.fmax torch.fmin torch.hypot torch.copysign torch.remainder torch.fmod torch.floor_divide
torch.heaviside torch.logaddexp torch.logaddexp2 torch.float_power torch.xlogy torch.rsub
""".split()


@family(8)
def binary(g):
    x = g.any("fffiib")
    y = g.partner(x, g.choose(("fff", "f", "fib", "i", "ib")) if g.chance(0.3) else None)
    a, b = (x, y) if g.chance(0.6) else (y, x)
    call = g.choose(BINARY)
    if call in ("torch.add", "torch.sub") and g.chance(0.4):
        return g.expression(f"{call}({a}, {b}, alpha={g.number(a)})")
    if call == "torch.div":
        return g.expression(f"torch.div({a}, {b}, rounding_mode={g.choose((None, chr(39) + 'floor' + chr(39), chr(39) + 'trunc' + chr(39)))})")
    return g.expression(f"{call}({a}, {b})")


@family(6)
def with_number(g):
    x, n = g.any("fffiib"), None
    n = g.number(x)
    op = g.choose(("+", "-", "*", "/", "//", "%", "**", "==", "<", ">=", "!=", ">"))
    return g.expression(f"{n} {op} {x}" if g.chance(0.35) and op not in ("**",) else f"{x} {op} {n}")


@family(4)
def integer(g):
    x = g.any("iiib")
    y = g.partner(x, "i" if x.t.dtype.is_floating_point else None)
    return g.expression(g.choose((
        f"{x} & {y}", f"{x} | {y}", f"{x} ^ {y}", f"~{x}", f"{x} << {g.int_in(0, 4)}", f"{x} >> {g.int_in(0, 3)}", f"{x} // {y}", f"{x} % {y}",
        f"torch.fmod({x}, {y})", f"torch.bitwise_left_shift({x}, {y}.abs() % 4)", f"torch.bitwise_right_shift({x}, {y}.abs() % 4)",
        f"{x} & {g.int_in(-3, 7)}",
        f"{x} // {g.choose((2, -2, 3, -3, 7))}", f"{x} % {g.choose((2, -2, 3, -3, 5))}",
        f"torch.div({x}, {g.choose((2, -3))}, rounding_mode='trunc')",
        f"torch.fmod({x}, {g.choose((2, -3))})", f"-{x}", f"{x}.abs()", f"{x} ** 2", f"{x} * {y}", f"{x} + {y}", f"{x} - {y}",
        f"{x} == {y}", f"{x} < {y}", f"{x}.sign()", f"torch.maximum({x}, {y})", f"{x}.clamp({g.int_in(-4, 0)}, {g.int_in(0, 5)})")))


@family(3)
def ternary(g):
    x = g.f()
    y, z = g.partner(x), g.partner(x)
    c = g.partner(x, "b")
    i, j = g.any("ib"), None
    j = g.partner(i)
    return g.expression(g.choose((
        f"torch.where({c}, {x}, {y})", f"torch.where({c}, {x}, {g.number(x)})", f"torch.where({c}, {i}, {g.int_in(-2, 3)})",
        f"torch.lerp({x}, {y}, 0.3)",
        f"torch.lerp({x}, {y}, {z})", f"torch.addcmul({x}, {y}, {z}, value=0.5)", f"torch.addcdiv({x}, {y}, {z}.abs() + 1, value=2)",
        f"torch.clamp({x}, {y}, {z})", f"torch.clamp({x}, min={y})", f"{x}.clamp(-1.5, 2)", f"{x}.clamp(max=0.5)", f"{x}.clamp_min(-0.25)",
        f"{x}.masked_fill({c}, {g.number(x)})", f"torch.isclose({x}, {y}, atol=0.5)", f"torch.where({x} > {y}, {x}, {z})",
        f"torch.where({c}, {i}, {x})",
        f"torch.where({c}, {g.number()}, {x})", f"torch.where({c}, {i}, {j})")))


@family(3)
def cast(g):
    x = g.any()
    return g.expression(g.choose((
        f"{x}.float()", f"{x}.long()", f"{x}.int()", f"{x}.bool()", f"{x}.half()", f"{x}.to(torch.int32)", f"{x}.to(torch.int8)",
        f"{x}.abs().to(torch.uint8)",
        f"{x}.type_as({g.any()})", f"{x}.to(torch.int16)", f"{x}.double().float()")))


@family(6)
def reduction(g):
    x = g.any("ffffib")
    call = g.choose("sum mean prod amax amin any all var std logsumexp norm count_nonzero nansum argmax argmin median sum amax mean max min")
    keep = g.flag()
    dims = g.dims(x)
    if call in ("argmax", "argmin"):
        x = g.any("fi", where=lambda t: t.numel() == t.unique().numel() and t.numel() > 0)
        return g.expression(f"{x}.{call}({g.dim(x)}, keepdim={keep})" if g.chance(0.7) else f"torch.{call}({x})")
    if call in ("any", "all"):
        x = g.any("fib")
        return g.expression(f"{x}.{call}({g.dim(x)}, {keep})" if g.chance(0.7) else f"torch.{call}({x})")
    if call in ("median", "max", "min"):
        if g.chance(0.7) or (call == "median" and g.dynamic):  # of all elements there is one for a fixed number of them
            return g.expression(f"{x}.{call}({g.dim(x)}, {keep})[0]")
        return g.expression(f"torch.{call}({x})")
    if call == "prod":
        return g.expression(f"{x}.prod({g.dim(x)}, keepdim={keep})" if g.chance(0.7) else f"{x}.prod()")
    if call in ("var", "std"):
        return g.expression(f"{x}.{call}({dims}, correction={g.int_in(0, 1)}, keepdim={keep})" if g.chance(0.7) else f"torch.{call}({x})")
    if call == "norm":
        order = g.choose((1, 2, 3, "float('inf')", "-float('inf')", 0, 0.5))
        return g.expression(f"torch.linalg.vector_norm({x}, {order}, {dims}, {keep})")
    if call == "logsumexp":
        return g.expression(f"torch.logsumexp({x}, {dims}, {keep})")
    if call == "count_nonzero":
        return g.expression(f"torch.count_nonzero({x}, {dims})")
    if call in ("sum", "mean", "nansum") and g.chance(0.25):
        return g.expression(f"{x}.{call}()")
    if call == "sum" and g.chance(0.2):
        return g.expression(f"{x}.sum({dims}, {keep}, dtype={g.choose('torch.float32 torch.int64 torch.int32')})")
    return g.expression(f"torch.{call}({x}, {dims}, {keep})")


@family(2)
def scan(g):
    x = g.any("fffib")
    d = g.dim(x)
    return g.expression(g.choose((f"{x}.cumsum({d})", f"{x}.cumprod({d})", f"torch.logcumsumexp({x}, {d})", f"torch.cummax({x}, {d})[0]",
        f"torch.cummin({x}, {d})[0]",
                                  f"{x}.cumsum({d}, dtype=torch.float32)", f"torch.diff({x}, dim={d})")))


@family(3)
def order(g):
    x = g.any("fi", where=lambda t: t.numel() == t.unique().numel()) if g.chance(0.5) and not g.dynamic else None
    if x is not None:  # no number occurs twice: the places are determined, too
        d = g.dim(x)
        n = x.shape[d] if x.rank else 1
        return g.expression(g.choose((
            f"torch.topk({x}, {g.int_in(1, max(n, 1))}, {d}, {g.flag()})[1]", f"torch.sort({x}, {d}, {g.flag()})[1]",
            f"torch.argsort({x}, {d}, descending={g.flag()})",
            f"torch.max({x}, {d})[1]", f"torch.min({x}, {d}, True)[1]", f"torch.median({x}, {d})[1]",
            f"torch.kthvalue({x}, {g.int_in(1, max(n, 1))}, {d})[1]")))
    x = g.any("ffib")
    d = g.dim(x)
    n = x.shape[d] if x.rank else 1
    return g.expression(g.choose((
        f"torch.topk({x}, {g.int_in(1, max(n, 1))}, {d}, {g.flag()})[0]", f"torch.sort({x}, {d}, {g.flag()})[0]",
        f"torch.sort({x}, dim={d}, stable=True, descending={g.flag()})[{0 if g.dynamic else 1}]",
        f"torch.kthvalue({x}, {g.int_in(1, max(n, 1))}, {d})[0]", f"torch.msort({x})")))


def slice_text(g, x):
    """What stands between brackets."""
    parts = []
    for d in range(g.int_in(1, max(x.rank, 1))):
        n = x.shape[d] if d < x.rank else 1
        kind = g.choose("index negative from to both step step all none ellipsis end")
        if kind in ("index", "negative"):
            parts.append(str(g.int_in(0, n - 1) if kind == "index" else -g.int_in(1, max(n, 1))))
        elif kind == "from":
            parts.append(f"{g.int_in(-n - 1, n)}:")
        elif kind == "to":
            parts.append(f":{g.int_in(-n, n + 1)}")
        elif kind == "both":
            a = g.int_in(0, n - 1)
            parts.append(f"{a}:{g.int_in(a + 1, n + 2)}")
        elif kind == "end":
            parts.append(f":-{g.int_in(1, max(n - 1, 1))}")
        elif kind == "step":
            parts.append(f"{g.choose(('', '1', '0'))}::{g.int_in(1, 3)}")
        elif kind == "none" and d > 0:
            parts.append("None")
        elif kind == "ellipsis" and "..." not in parts and g.chance(0.5):
            parts.append("...")
        else:
            parts.append(":")
    return ", ".join(parts)


@family(6)
def slices(g):
    x = g.any(ranks=range(1, 6))
    d = g.dim(x)
    n = x.shape[d]
    return g.expression(g.choose((
        f"{x}[{slice_text(g, x)}]", f"{x}[{slice_text(g, x)}]", f"{x}.narrow({d}, {g.int_in(0, max(n - 1, 0))}, 1)",
        f"{x}.select({d}, {g.int_in(-n, n - 1)})", f"{x}.flip({g.dims(x)})",
        f"{x}.roll({g.int_in(-4, 4)}, {d})", f"torch.roll({x}, {g.int_in(-4, 4)})", f"torch.narrow_copy({x}, {d}, 0, {g.length(x, d)})",
        f"{x}.diagonal({g.int_in(-1, 1)}, 0, -1)", f"torch.rot90({x}, {g.int_in(-1, 3)}, (0, -1))",
        f"{x}.unfold({d}, {g.int_in(1, max(n, 1))}, {g.int_in(1, 3)})",
        f"torch.split({x}, {g.int_in(1, max(n, 1))}, {d})[{g.choose((0, -1))}]", f"torch.chunk({x}, {g.int_in(1, 3)}, {d})[-1]",
        # Not of a dynamic size: torch exports it as if the size were a multiple.
        f"torch.tensor_split({x}, {g.int_in(1, 3)}, {d})[0]" if not g.dynamic else f"torch.tensor_split({x}, [1, 2], {d})[1]",
        f"{x}.unbind({d})[-1]", f"torch.take({x}, {g.indices(max(x.t.numel(), 1), g.shape((1, 2)))})")))


@family(7)
def views(g):
    x = g.any()
    d = g.dim(x)
    permuted = g.random.sample(range(x.rank), x.rank)
    shape = list(x.shape)
    half = next((i for i, s in enumerate(shape) if s % 2 == 0 and s > 0), None)
    options = [
        f"{x}.transpose({d}, {g.dim(x)})", f"{x}.permute({permuted})", f"{x}.unsqueeze({g.int_in(-x.rank - 1, x.rank)})", f"{x}.squeeze()",
        f"{x}.squeeze({d})",
        f"{x}.reshape(-1)", f"{x}.flatten({g.int_in(0, max(x.rank - 1, 0))})", f"{x}.reshape({g.length(x, 0) if x.rank else 1}, -1)",
        f"{x}.movedim({d}, {g.dim(x)})", f"{x}.contiguous().view(-1, {g.length(x, -1) if x.rank else 1})", f"{x}.mT", f"{x}.clone()",
        f"{x}.contiguous()",
        f"{x}.expand({g.int_in(1, 3)}, {', '.join(['-1'] * x.rank)})",
        f"{x}.repeat({', '.join(str(g.int_in(1, 2)) for _ in range(max(x.rank, 1)))})",
        f"torch.tile({x}, ({g.int_in(1, 3)},))", f"{x}.repeat_interleave({g.int_in(1, 3)}, {d})", f"torch.ravel({x})", f"{x}.detach()",
        f"torch.atleast_2d({x})", f"{x}.reshape({[s for s in reversed(shape)]})",
        f"{x}.as_strided({[2, 2]}, {[g.int_in(0, 2), g.int_in(0, 2)]}, {g.int_in(0, 1)})",
        f"{x}.swapaxes({d}, -1)", f"torch.broadcast_to({x}, {[2, *shape]})", f"{x}.expand_as({g.partner(x)})", f"torch.squeeze({x}, {g.dims(x)})"]
    if half is not None:
        options += [f"{x}.unflatten({half}, (2, -1))", f"{x}.reshape({shape[:half] + [2, shape[half] // 2] + shape[half + 1:]})"]
    return g.expression(g.choose(options))


@family(4)
def joining(g):
    x = g.any()
    d = g.dim(x)
    other = g.same(x)
    with_other_size = [s if i != d % max(x.rank, 1) else g.size() for i, s in enumerate(x.shape)]
    return g.expression(g.choose((
        f"torch.cat([{x}, {other}], {d})", f"torch.cat([{other}, {g.same(x, with_other_size)}, {x}], {d})",
        f"torch.stack([{x}, {other}], {g.int_in(-x.rank - 1, x.rank)})",
        f"torch.hstack([{x}, {other}])", f"torch.vstack([{x}, {other}])", f"torch.dstack([{x}, {other}])", f"torch.cat([{x}, {x}], {d})",
        f"torch.stack([{x}, {x}, {other}]).sum(0)", f"torch.meshgrid({g.f((1,))}, {g.f((1,))}, indexing='{g.choose('ij xy')}')[{g.int_in(0, 1)}]",
        f"torch.column_stack([{x}, {other}])", f"torch.kron({g.f((1, 2))}, {g.f((1, 2))})", f"torch.block_diag({g.f((2,))}, {g.f((2,))})",
        f"torch.cat([{x}, {g.any('fi', where=lambda t: tuple(t.shape) == x.shape)}], {d})")))


@family(3)
def padding(g):
    x = g.any("fffi", ranks=range(1, 6))
    pads = [g.int_in(0, 2) for _ in range(2 * g.int_in(1, min(x.rank, 3)))]
    mode = g.choose("constant constant reflect replicate circular")
    if mode == "constant":
        pads = [p - g.int_in(0, 1) for p in pads]
        return g.expression(f"F.pad({x}, {pads}, value={g.number(x)})" if g.chance(0.6) else f"F.pad({x}, {pads})")
    x = g.f((2, 3, 4, 5))
    pads = pads[: 2 * max(1, min(3, x.rank - 2))]
    return g.expression(f"F.pad({x}, {pads}, mode='{mode}')")


@family(5)
def gathering(g):
    x = g.any(ranks=range(1, 5), where=lambda t: t.numel() > 0)
    d = g.dim(x)
    n = x.shape[d]
    same_rank = [s if i == d % x.rank else g.int_in(1, max(s, 1)) for i, s in enumerate(x.shape)]
    kind = g.choose("gather select index index2 mask take embedding one_hot middle newaxis")
    if kind == "gather":
        return g.expression(f"torch.gather({x}, {d}, {g.indices(n, same_rank, negative=False)})")
    if kind == "select":
        return g.expression(f"torch.index_select({x}, {d}, {g.indices(n, [g.size()], negative=False)})")
    if kind == "index":
        return g.expression(f"{x}[{g.indices(x.shape[0], g.shape((0, 1, 2)))}]")
    if kind == "index2" and x.rank > 1:
        return g.expression(f"{x}[{g.indices(x.shape[0], [3])}, {g.choose((':', str(g.indices(x.shape[1], [3])), str(g.indices(x.shape[1], [2, 1]))))}]")
    if kind == "middle" and x.rank > 2:
        return g.expression(f"{x}[{g.indices(x.shape[0], [2])}, {g.choose((':', '1:', '0', '-1'))}, {g.indices(x.shape[2], [2])}]")
    if kind == "newaxis":
        return g.expression(f"{x}[..., {g.indices(x.shape[-1], [2])}]" if g.chance(0.5) else f"{x}[None, {g.indices(x.shape[0], [2, 2])}]")
    if kind == "take":
        return g.expression(f"torch.take_along_dim({x}, {g.indices(n, same_rank, negative=False)}, {d})")
    if kind == "embedding":
        table = g.f((2,))
        return g.expression(f"F.embedding({g.indices(table.shape[0], g.shape((0, 1, 2, 3)), negative=False)}, {table})")
    if kind == "one_hot":
        return g.expression(f"F.one_hot({g.indices(4, g.shape((0, 1, 2)), negative=False)}, {g.int_in(4, 6)})")
    y = g.f((1, 2))
    return g.expression(g.choose((f"torch.bucketize({y}, {g.f((1,))}.sort()[0], right={g.flag()})",
        f"torch.searchsorted({g.f((1,))}.sort()[0], {y})")))


@family(4)
def scattering(g):
    x = g.any("fffi", ranks=range(1, 5), where=lambda t: 0 < t.numel())
    d = g.dim(x)
    n = x.shape[d]
    at = d % x.rank
    count = g.int_in(1, n)
    part = [count if i == at else s for i, s in enumerate(x.shape)]
    # Places that occur twice only where the order of writing does not matter.
    unique = g.new(torch.int64, [count], 0, n - 1, distinct=True)
    src = g.same(x, part)
    shape = ", ".join("1" if i != at else "-1" for i in range(x.rank))
    unique_nd = f"{unique}.reshape({shape}).expand({part})"
    many = g.indices(n, part, negative=False)
    many_1d = g.indices(n, [count], negative=False)
    first = g.new(torch.int64, [min(2, x.shape[0])], 0, x.shape[0] - 1, distinct=True)
    return g.expression(g.choose((
        f"torch.scatter({x}, {d}, {unique_nd}, {src})", f"torch.scatter({x}, {d}, {many}, {g.number(x) if x.t.is_floating_point() else 2})",
        f"torch.scatter_add({x}, {d}, {many}, {src})",
        f"torch.scatter_reduce({x}, {d}, {many}, {src}, reduce='{g.choose('sum amax amin prod mean')}', include_self={g.flag()})",
        f"torch.index_add({x}, {d}, {many_1d}, {src}, alpha={g.int_in(1, 2)})", f"torch.index_copy({x}, {d}, {unique}, {src})",
        f"torch.index_fill({x}, {d}, {many_1d}, 3)",
        f"torch.index_put({x}, ({first},), {g.same(x, list(x.shape[1:]))})",
        f"torch.index_put({x}, ({many_1d.name if at == 0 else first},), {g.same(x, [1])}, accumulate={g.choose(('True',)) if at == 0 else g.flag()})",
        f"torch.slice_scatter({x}, {src}, {d}, {n - count}, {n})",
        f"torch.select_scatter({x}, {g.same(x, [s for i, s in enumerate(x.shape) if i != at])}, {d}, {g.int_in(-n, n - 1)})",
        f"torch.masked_scatter({x}, {g.new(torch.bool, x.shape)}, {g.same(x)})", f"torch.index_reduce({x}, {d}, {many_1d}, {src}, 'amax')")))


@family(6)
def in_place(g):
    x = g.any("fffiib", where=lambda t: t.numel() > 0 and t.is_contiguous() or g.chance(0.3))
    y = g.partner(x)
    n = g.number(x)
    options = [
        f"{{x}}.add_({y})", f"{{x}}.mul_({n})", f"{{x}}.sub_({y})", f"{{x}}.fill_({n})", f"{{x}}.zero_()", f"{{x}}.copy_({y})",
        f"{{x}}.clamp_(-1, 2)", f"{{x}}.relu_()",
        f"{{x}}.neg_()", f"{{x}}.abs_()", f"{{x}}.masked_fill_({g.partner(x, 'b')}, {n})", f"{{x}} += {n}", f"{{x}} *= {y}",
        f"{{x}}.t_()" if x.rank == 2 else f"{{x}}.floor_()",
        f"{{x}}.tanh_()", f"{{x}}.div_({g.choose((2, 4, -2))})", f"{{x}}.unsqueeze_(0)", f"{{x}}.squeeze_()"]
    if x.rank:
        text = slice_text(g, x)
        part = g.same(x, x.shape[1:])
        options += [f"{{x}}[{text}] = {n}", f"{{x}}[{text}] += {n}", f"{{x}}[{text}].mul_(2)",
            f"{{x}}[{g.int_in(-x.shape[0], x.shape[0] - 1)}] = {part}", f"{{x}}[:, ...].copy_({y})",
                    f"{{x}}.view(-1)[::2] = {n}", f"{{x}}.transpose(0, -1).add_(1)", f"{{x}}[{{x}} > {n}] = {g.number(x)}",
                    f"{{x}}[{g.indices(x.shape[0], [2])}] = {n}",
                    f"{{x}}.select({g.dim(x)}, -1).fill_({n})",
                    f"{{x}}.index_add_(0, {g.indices(x.shape[0], [1], negative=False)}, {g.same(x, [1, *x.shape[1:]])})",
                    f"{{x}}.diagonal(0, 0, -1).fill_({n})" if not g.dynamic else f"{{x}}.fill_({n})", f"{{x}}[..., 0] = {{x}}[..., -1]",
                    f"{{x}}[0], {{x}}[-1] = {{x}}[-1].clone(), {{x}}[0].clone()"]
    return g.in_place(x, g.choose(options))


@family(3)
def creation(g):
    x = g.any()
    d = g.dim(x)
    n = g.length(x, d) if x.rank else "3"
    return g.expression(g.choose((
        f"torch.zeros_like({x})", f"torch.ones_like({x})", f"torch.full_like({x}, {g.number(x) if x.t.dtype.is_floating_point else 2})",
        f"torch.arange({n})", f"torch.arange({n}, dtype=torch.float32)",
        f"torch.arange(1, {g.int_in(2, 9)}, {g.int_in(1, 3)})", f"torch.linspace(-1, 1, {n})", f"torch.eye({n})",
        f"torch.full(({n}, 2), {g.number()})", f"torch.zeros({n}, 2)",
        f"{x}.new_zeros(({n},))", f"{x}.new_full((2, {n}), 1)", f"torch.arange({g.int_in(3, 9)}, 0, -1)", f"torch.tril({x}, {g.int_in(-1, 1)})",
        f"torch.triu({x}, {g.int_in(-1, 1)})",
        f"torch.ones({n}, {n}, dtype=torch.bool).tril()", f"torch.diag_embed({x})", f"torch.diag({x})", f"torch.tensor([1.5, -2.0, 3.0])",
        f"torch.triu_indices({g.int_in(1, 3)}, 3)")))
