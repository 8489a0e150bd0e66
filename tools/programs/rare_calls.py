"""Calls that few models make, in the form of lists: a line is one more call."""

import torch

from families import family, one_of

SPELLINGS = """
torch.absolute({x})|torch.arcsin({x}.clamp(-1, 1))|torch.arccos({x}.clamp(-1, 1))|torch.arctan({x})|torch.arcsinh({x})|torch.arccosh({x}.abs() + 1)
torch.arctanh({x}.clamp(-0.5, 0.5))|torch.arctan2({x}, {y})|torch.fix({x})|torch.clip({x}, -1, 2)|torch.clamp_max({x}, 1.5)|torch.special.expit({x})
torch.isposinf({x} / {y}.floor())|torch.isneginf({x})|torch.ldexp({x}, {y}.clamp(-3, 3).round())|torch.true_divide({x}, {y}.abs() + 1)
torch.special.log1p({x}.abs())|torch.special.softmax({x}, {d})|torch.special.log_softmax({x}, {d})|torch.special.sinc({x})|torch.special.erfc({x})
torch.special.entr({x}.abs())|torch.multiply({x}, {y})|torch.subtract({x}, {y}, alpha=2)|torch.greater({x}, {y})|torch.less_equal({x}, {y})
torch.not_equal({x}, {y})|torch.log1p({x}.abs() * 0.001)|torch.expm1({x} * 0.001)|torch.asinh({x} * 0.01)|torch.acosh({x}.abs() * 0.01 + 1)
F.hardtanh({x}, -3, 1.5)|F.softmin({x}, {d})|F.relu({x}, inplace=False)|torch.celu({x}, 0.5)|F.rrelu({x})|F.dropout({x}, 0.5, False)|F.threshold({x}, -1, 2)
torch.nn.functional.softmax({x}, {d}, dtype=torch.float32)|torch.log_softmax({x}, {d}, dtype=torch.float32)
torch.erf({x} * 0.01)|torch.tanh({x} * 0.001)|torch.sinh({x} * 0.01)|torch.sigmoid({x} * 10)|torch.sqrt({x} * {x})|torch.hypot({x}, {y})
""".replace("\n", "|").strip("|").split("|")


@family(4)
def spellings(g):
    x = g.f()
    return g.expression(g.choose(SPELLINGS).format(x=x, y=g.partner(x, "f"), d=g.dim(x)))


@family(3)
def reductions(g):
    x = g.any("ffib", ranks=range(1, 5))
    return one_of(g, """
        torch.aminmax({x}, dim={d}, keepdim={flag})[{bit}]
        torch.aminmax({x})[{bit}]
        torch.var_mean({f}, {d}, correction={bit}, keepdim={flag})[{bit}]
        torch.std_mean({f}, {d}, keepdim={flag})[{bit}]
        torch.nanmean({f}, {d}, {flag})
        torch.linalg.norm({f})
        torch.linalg.vector_norm({f}, 2, {d}, {flag})
        torch.linalg.matrix_norm({matrix}, {order})
        torch.norm({f}, p={p}, dim={d}, keepdim={flag})
        torch.norm({f}, p='fro')
        torch.linalg.vecdot({f}, {f})
        torch.trace({square})
        torch.all({x}, {d}, keepdim={flag})
        torch.any({x}, {dims}, {flag})
        torch.amax({x}, {dims}, {flag})
        torch.median({x}, {d}, {flag})[0]
        torch.cummax({f}, {d})[0]
        torch.nansum({f}, {d})
        torch.diff({x}, n=2, dim={d})
        torch.diff({x}, dim={d}, prepend={x})
        torch.count_nonzero({x}, {d})
        torch.sum({x}, {dims}, dtype=torch.float32)
        torch.prod({x}, {d}, dtype=torch.float32)
        torch.mean({f}, {dims}, dtype=torch.float32)
        torch.std({f}, {dims}, correction=0)
        torch.cumsum({x}, {d}, dtype=torch.int32)
        torch.searchsorted(torch.sort({f}, -1)[0], {f}, right={flag})
    """, x=x, f=lambda: x if x.t.is_floating_point() else g.f(range(1, 5)), d=lambda: g.dim(x), dims=lambda: g.dims(x), flag=g.flag,
        bit=lambda: g.int_in(0, 1), p=lambda: g.choose((1, 2, 3, "float('inf')")), matrix=lambda: g.f((2,)),
        order=lambda: g.choose(("'fro'", 1, "float('inf')", "-1")), square=lambda: g.new(g.float, [3, 3]))


@family(4)
def moving(g):
    x = g.any(ranks=range(1, 5))
    n = x.shape[0]
    return one_of(g, """
        torch.fliplr({x})
        torch.flipud({x})
        torch.hsplit({x}, 2)[{bit}]
        torch.vsplit({x}, 2)[{bit}]
        torch.dsplit({x}, 2)[{bit}]
        torch.moveaxis({x}, {d}, {e})
        torch.swapdims({x}, {d}, {e})
        torch.atleast_1d({x})
        torch.atleast_3d({x})
        torch.broadcast_tensors({x}, {y})[{bit}]
        torch.split_with_sizes({x}, [1, {rest}], 0)[{bit}]
        torch.row_stack([{x}, {x}])
        {x}.view_as({same})
        {x}.reshape_as({same})
        {x}.new_ones((2, {n}))
        torch.diagonal_scatter({still}, {vector}, 0, 0, -1)
        torch.unbind({x}, {d})[{bit}]
        torch.isin({x}, {same})
        torch.tril_indices(3, {n})
        torch.logspace(0, 2, {n})
        torch.hann_window({n})
        torch.tensor([[1, 2], [3, 4]]) * {bit}
        torch.scalar_tensor(2.5)
        torch.linspace(-2, {n}, 5)
        torch.arange(0, 1, 0.25)
        torch.arange({n}, 0, -2)
        torch.arange({n}).flip(0)[None]
        {x}.flip({d})[::2]
        {x}.flip({dims}).flip({dims})
        {x}.T if {x}.dim() == 2 else {x}.mT
        {x}.unfold({d}, {one}, 1).sum(-1)
        {x}.repeat(2, *[1] * {x}.dim())
        {x}.tile(2, 1, 2)
        {x}.index_select({d}, {at}).squeeze()
        torch.gather({x}, {d}, torch.argsort({x}, {d}))
        torch.nn.functional.one_hot({at}, {most})
        {x}[{at}][:, None]
        {x}[..., None, {at0}]
        torch.where({mask}, {x}[0], {x}[-1])
        torch.stack(torch.unbind({x}, 0)[::-1])
        torch.cat(torch.chunk({x}, 2, {d})[::-1], {d})
        torch.concat([{x}, {x}.flip({d})], {d})
        {x}.diag_embed()
        {x}.diagonal(0, {d}, {e}).sum(-1)
    """, x=x, y=lambda: g.partner(x), n=n, d=lambda: g.dim(x), e=lambda: g.dim(x), dims=g.dims(x), bit=lambda: g.int_in(0, 1), rest=n - 1,
        same=lambda: g.same(x), vector=lambda: g.same(x, x.t.diagonal(0, 0, -1).shape), still=lambda: g.same(x, fixed=True), line=lambda: g.f((1,)),
        one=lambda: g.int_in(1, 2), at=lambda: g.indices(n, [3], negative=False), at0=lambda: g.indices(x.shape[-1], [2]), most=n,
        mask=lambda: g.new(torch.bool, x.shape[1:]))


@family(4)
def writing(g):
    """In place, through views and with indices."""
    x = g.any("fffiib", ranks=range(1, 5), where=lambda t: t.numel() > 0)
    n, d, value = x.shape[0], g.dim(x), g.number(x)
    at = g.new(torch.int64, [g.int_in(1, n)], 0, n - 1, distinct=True)
    rows = lambda: g.same(x, [*at.shape, *x.shape[1:]])  # noqa: E731
    many = lambda: g.indices(x.shape[d], x.shape, negative=False)  # noqa: E731
    options = """
        {x}.index_put_(({at},), {rows})|{x}.index_copy_(0, {at}, {rows})|{x}.index_fill_(0, {at}, {value})|{x}.index_add_(0, {at}, {rows})
        {x}.scatter_({d}, {many}, {value})|{x}.scatter_add_({d}, {many}, {same})|{x}.scatter_reduce_({d}, {many}, {same}, 'amax')
        {x}.masked_scatter_({mask}, {same})|{x}.masked_fill_({mask}, {value})|{x}[{mask}] = {value}|{x}[{mask}] *= 2|{x}[{at}] += {rows}
        {x}.clamp_min_(-1)|{x}.clamp_max_(1)|{x}.exp_().clamp_(max=10)|{x}.sign_()|{x}.round_()|{x}.sigmoid_()|{x}.sqrt_().nan_to_num_()
        {x}.lerp_({same}, 0.5)|{x}.addcmul_({same}, {same})|{x}.copy_({same}.flip(0))|{x}.copy_({x}.flip(0))|{x}.add_({x})|{x}.mul_({x}.sum())
        {x}[..., ::2] *= 2|{x}[1:] += {x}[:-1].clone()|{x}[1:] = {x}[:-1].clone()|{x}.view(-1)[{value2}:] = 1|{x}.transpose(0, -1)[0].zero_()
        {x}.permute({perm})[..., 0].add_(1)|{x}.narrow({d}, 0, 1).mul_(3)|{x}.unsqueeze(0)[:, 0].sub_(1)|{x}.reshape(-1)[0] = {value}
        {x}.chunk(2, {d})[0].neg_()|{x}.unbind(0)[-1].fill_({value})|{x}.split(1, {d})[0].add_({value})|{x}[..., -1:].zero_()
        {x}.diagonal(0, 0, -1).add_(1)|{x}.view(-1).index_fill_(0, {zero}, {value})|{x}.flatten()[::3].mul_(0)|{x}[None].squeeze(0).add_(2)
        {x}.swapaxes_(0, -1)|{x}.logical_not_()|{x}.remainder_(3)|{x}.floor_divide_(2)|{x}.pow_(2).clamp_(max=50)|F.relu({x}, inplace=True)
        F.hardtanh({x}, -1, 1, inplace=True)|F.leaky_relu({x}, 0.1, inplace=True)|{x}.bitwise_not_()|{x} -= {x}.amax({d}, keepdim=True)
        {x}[-1], {x}[0] = {x}[0] + 1, {x}[-1] - 1|{x}.expand_as({x}).add_(1)|{x}.T.add_({value})|{x}.mT.copy_({x}.mT.clone() + 1)|{x}.atan_()
    """.replace("\n", "|").split("|")
    text = g.choose([o.strip() for o in options if o.strip()])
    names = dict(at=at, value=value, d=d, value2=g.int_in(0, x.t.numel() - 1), perm=g.random.sample(range(x.rank), x.rank))
    made = dict(rows=rows, many=many, same=lambda: g.same(x), mask=lambda: g.new(torch.bool, x.shape), zero=lambda: g.indices(x.t.numel(), [1]))
    for name, make in made.items():
        while "{" + name + "}" in text:
            text = text.replace("{" + name + "}", str(make()), 1)
    for name, fixed in names.items():
        text = text.replace("{" + name + "}", str(fixed))
    return g.in_place(x, text)


@family(2)
def buffers(g):
    """State: a weight that starts at zero and is written."""
    x = g.f(range(1, 5))
    buffer = g.new(x.t.dtype, x.shape, low=0, high=0, constant=True)
    text = g.choose("{b}.add_({x})|{b}.copy_({x})|{b}[:1] = {x}[:1]|{b}.mul_(0.5).add_({x})|{b}[..., -1:] += {x}[..., :1]|{b}.index_copy_(0, {at}, {x}[:1])"
                    .split("|"))
    at = g.new(torch.int64, [1], 0, x.shape[0] - 1)
    return g.add(text.format(b=buffer, x=x, at=at), buffer.name) and g.expression(f"{buffer} * 2 + {x}")


@family(3)
def types(g):
    """Integers of all widths, doubles, and what becomes of them together."""
    narrow = lambda: g.new(g.choose((torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64)), g.shape((0, 1, 2)))  # noqa: E731
    x = narrow()
    return one_of(g, """
        {x} + {y}
        {x} * {y}
        {x} - {n}
        {x} * 100
        {x}.sum()
        {x}.sum({d}, dtype=torch.int32)
        {x}.float() / 3
        {x} / {y}.abs().clamp(1, 5)
        {x} // {y}.abs().clamp(1, 5)
        {x} % {y}.abs().clamp(1, 5)
        {x} > {y}
        {x} == {n}
        {x} & {y}
        {x} | {n}
        {x} ^ {y}
        {x} << 2
        ~{x}
        -{x}
        {x}.abs()
        {x}.square()
        {x} ** 2
        {x}.to(torch.int8)
        {x}.to(torch.uint8)
        {x}.double().mul(2).float()
        ({x}.double() + {f}.double()).float()
        {f}.double().sin().float()
        {f}.half() + {x}
        {f}.half() * {f}
        {f}.bfloat16().float()
        torch.maximum({x}, {y})
        torch.where({x} > 2, {x}, {y})
        torch.where({x} > 2, {x}, 1.5)
        torch.clamp({x}, {n}, 7)
        torch.cat([{x}.flatten(), {y}.flatten()])
        torch.stack([{x}, {x}])
        {x}.cumsum({d})
        {x}.prod()
        {x}.amax()
        torch.full_like({x}, 3)
        {x}.bool()
        {x}.masked_fill({x} > 2, {n})
        torch.fmod({x}, {n})
        torch.remainder({x}, 3)
        torch.true_divide({x}, 2)
        {x}.float().mean()
        {x} + 0.5
        {x} + True
        {x}.clone().add_({y})
        {x}.clone().mul_(2)
        {f}.clone().add_({x})
        {f}[{x}.abs().long().flatten() % 1]
    """, x=x, y=narrow, f=lambda: g.f((0, 1, 2)), d=lambda: g.dim(x), n=lambda: g.int_in(1, 6))


@family(3)
def sized(g):
    """Sizes of tensors in the computation: expressions of dynamic sizes."""
    if not g.dynamic and g.chance(0.7):
        return False
    x = g.any("ffi", ranks=range(1, 5))
    return one_of(g, """
        torch.zeros(2 * {x}.shape[0] + 1)
        torch.cat([{x}, {x}, {x}[:1]])
        {x}[: {x}.shape[0] // 2 + 1]
        {x}[{x}.shape[0] // 2 :]
        {x}[{x}.shape[0] - 1]
        {x}[-{x}.shape[0] :]
        {x}.narrow(0, 0, {x}.shape[0] - 1 + {x}.shape[0] % 1)
        {x} * {x}.shape[0]
        {x}.sum(0) / {x}.shape[0]
        {x}.new_zeros({x}.shape[0] + 1, 2)
        torch.arange({x}.shape[0]) * 2 + {x}.shape[-1]
        torch.arange({x}.shape[0] * 2)[::2]
        torch.arange(1, {x}.shape[0] + 1)
        torch.ones({x}.shape[0], {x}.shape[-1]).tril()
        F.pad({x}, [0, 2 * {x}.shape[-1]])
        F.pad({x}, [{x}.shape[-1], 1], value=1)
        {x}.reshape({x}.shape[0], -1).repeat(1, 2)
        {x}.flatten()[: {x}.shape[0]]
        {x}.reshape(-1, {x}.shape[0]).sum(0)
        {x}.expand({x}.shape[0], *{x}.shape)
        {x}.unsqueeze(1).expand(-1, {x}.shape[0], *[-1] * ({x}.dim() - 1))
        torch.full(({x}.shape[0], 2 * {x}.shape[-1]), 2.0)
        {x}.repeat({x}.shape[0], *[1] * ({x}.dim() - 1))
        {x}.transpose(0, -1).reshape({x}.shape[0], -1)
        {x}[torch.arange({x}.shape[0]).flip(0)]
        torch.eye({x}.shape[0])[:, :1]
        torch.linspace(0, 1, {x}.shape[0])
        {x}.roll({x}.shape[0] // 2, 0)
        {x}.max() * {x}.numel()
        torch.tensor({x}.shape[0]) + {x}
        torch.stack([{x}] * 2, 1).reshape(2 * {x}.shape[0], *{x}.shape[1:])
        torch.where(torch.arange({x}.shape[0])[:, None] > torch.arange({x}.shape[-1]), 1.0, 0.0)
        {x}.diag_embed()
        {x}.median(0)[0]
        {x}.chunk(2, 0)[0]
        {x}.tensor_split([1], 0)[1]
        F.one_hot(torch.arange({x}.shape[0]) % 3, 3)
        torch.sort({x}, 0)[0][-1]
        {x}.cumsum(0)[-1]
        torch.topk({x}, 1, 0)[0]
        {x}.unfold(0, 2, 1)
        {x}[1:] - {x}[:-1]
        {x}[::2]
        {x}[1::2]
        {x}.reshape({x}.shape).argmax(0)
        torch.meshgrid(torch.arange({x}.shape[0]), torch.arange({x}.shape[-1]), indexing='ij')[0]
    """, x=x)
