"""Calls that layers of networks are made of: products, convolutions, pools, norms, attention, resizing, losses."""

import torch

from families import family, one_of


@family(5)
def matrix(g):
    kind = g.choose("matmul matmul linear bmm addmm einsum einsum mv dot outer tensordot cdist cross similarity baddbmm bilinear chain")
    k, m, n, b = g.int_in(1, 5), g.int_in(1, 4), g.int_in(1, 4), g.int_in(1, 3)
    new = lambda *shape: g.new(g.float, shape)  # noqa: E731
    if kind == "matmul":
        x = g.f(range(1, 5))
        y = g.new(g.float, g.choose(([x.shape[-1]], [x.shape[-1], n], [*(1 if g.chance(0.3) else s for s in x.shape[:-2]), x.shape[-1], n])))
        return g.expression(f"{x} @ {y}")
    if kind == "linear":
        x = g.f(range(1, 5))
        w = g.new(g.float, [n, x.shape[-1]], constant=True if g.chance(0.8) else None)
        return g.expression(f"F.linear({x}, {w}, {g.choose(('None', str(g.new(g.float, [n]))))})")
    if kind == "bmm":
        return g.expression(f"torch.bmm({new(b, m, k)}, {new(b, k, n)})")
    if kind == "addmm":
        return g.expression(f"torch.addmm({new(*g.choose(([n], [m, n], [1, n], [m, 1])))}, {new(m, k)}, {new(k, n)}, beta={g.choose((1, 0.5, 0))}, alpha={g.choose((1, 2))})")
    if kind == "baddbmm":
        return g.expression(f"torch.baddbmm({new(b, m, n)}, {new(b, m, k)}, {new(b, k, n)}, beta=0.5, alpha=2)")
    if kind == "einsum":
        text = g.choose(("ij,jk->ik", "bij,bkj->bik", "ij,ij->i", "ij->ji", "bhid,bhjd->bhij", "i,j->ij", "ii->i", "ij->", "bij,jk->bik",
            "abc,cd->abd", "bi,bj->bij", "...ij,...jk->...ik",
                         "ijk->kji", "bn,anm,bm->ba", "ij,kj->ki"))
        sizes = {c: g.int_in(1, 4) for c in "abcdijkhmn"}
        if text == "ii->i":
            return g.expression(f"torch.einsum('ii->i', {new(k, k)})")
        operands = [new(*(sizes[c] for c in part.replace("...", "ab"))) for part in text.split("->")[0].split(",")]
        return g.expression(f"torch.einsum('{text}', {', '.join(map(str, operands))})")
    if kind == "mv":
        return g.expression(f"torch.mv({new(m, k)}, {new(k)})")
    if kind == "dot":
        return g.expression(f"torch.dot({new(k)}, {new(k)})")
    if kind == "outer":
        return g.expression(f"torch.outer({g.f((1,))}, {g.f((1,))})")
    if kind == "tensordot":
        return g.expression(f"torch.tensordot({new(m, k, 2)}, {new(2, k, n)}, dims=([1, 2], [1, 0]))")
    if kind == "cdist":
        power = g.choose(("1.0", "2.0", "float('inf')"))
        return g.expression(f"torch.cdist({new(b, m, k)}, {new(b, n, k)}, {power})")
    if kind == "cross":
        x = new(b, 3)
        return g.expression(g.choose((f"torch.linalg.cross({x}, {new(b, 3)})", f"torch.cross({x}, {new(b, 3)}, dim=1)")))
    if kind == "similarity":
        x = g.f((1, 2, 3))
        return g.expression(g.choose((f"F.cosine_similarity({x}, {g.same(x)}, dim=-1)", f"F.pairwise_distance({x}, {g.same(x)})",
            f"F.normalize({x}, dim={g.dim(x)})", f"torch.dist({x}, {g.same(x)})")))
    if kind == "bilinear":
        return g.expression(f"F.bilinear({new(b, m)}, {new(b, k)}, {g.new(g.float, [n, m, k])})")
    return g.expression(f"torch.linalg.multi_dot([{new(m, k)}, {new(k, n)}, {new(n, b)}])")


@family(5)
def convolution(g):
    rank = g.choose((1, 2, 2, 3))
    groups = g.choose((1, 1, 2))
    cin, cout = groups * g.int_in(1, 2), groups * g.int_in(1, 3)
    x = g.f((rank + 2,), where=lambda t: t.shape[1] == cin) if g.chance(0.4) else None
    x = x or g.new(g.float, [g.int_in(1, 2), cin] + [g.int_in(3, 7 if rank < 3 else 4) for _ in range(rank)])
    kernel = [g.int_in(1, 3) for _ in range(rank)]
    stride, dilation = g.choose((1, 1, 2)), g.choose((1, 1, 2))
    transposed = g.chance(0.35)
    w = g.new(g.float, [cin, cout // groups, *kernel] if transposed else [cout, cin // groups, *kernel], constant=True if g.chance(0.9) else False, fixed=True)
    bias = g.choose(("None", str(g.new(g.float, [cout], fixed=True))))
    if transposed:
        padding = g.int_in(0, 1)
        output = g.choose((0, 0, 1))
        return g.expression(f"F.conv_transpose{rank}d({x}, {w}, {bias}, {stride}, {padding}, {output}, {groups}, {dilation})")
    padding = g.choose(("0", "1", "2", "'same'", "'valid'", str([g.int_in(0, 2) for _ in range(rank)])))
    return g.expression(f"F.conv{rank}d({x}, {w}, {bias}, {1 if 'same' in padding else stride}, {padding}, {dilation}, {groups})")


@family(4)
def pooling(g):
    rank = g.choose((1, 2, 2, 3))
    x = g.f((rank + 2,)) if g.chance(0.5) else g.new(g.float, [1, 2] + [g.int_in(2, 7 if rank < 3 else 4) for _ in range(rank)])
    kernel, stride, padding = g.int_in(1, 3), g.int_in(1, 3), g.int_in(0, 1)
    # Windows of a dynamic size, but for one that takes all, are known only at run time.
    out = [1 if g.dynamic else g.int_in(1, 3) for _ in range(rank)]
    return g.expression(g.choose((
        f"F.max_pool{rank}d({x}, {kernel}, {stride}, {padding}, ceil_mode={g.flag()})",
        f"F.max_pool{rank}d({x}, {kernel}, {stride}, {padding}, {g.int_in(1, 2)})",
        f"F.avg_pool{rank}d({x}, {kernel}, {stride}, {padding}, {g.flag()}, {g.flag()})", f"F.adaptive_avg_pool{rank}d({x}, {out})",
        f"F.adaptive_max_pool{rank}d({x}, {out})",
        f"F.lp_pool{min(rank, 2)}d({x}, 2.0, {kernel})", f"F.max_pool2d({x}, {kernel}, return_indices=True)[0]")))


@family(4)
def norms(g):
    kind = g.choose("layer batch group instance rms softmax softmax log_softmax local")
    x = g.f(range(1, 6))
    if kind == "layer" or kind == "rms":
        shape = list(x.shape[-g.int_in(1, min(x.rank, 2)):])
        weight, bias = g.choose((("None", "None"), (g.new(g.float, shape), g.new(g.float, shape))))
        return g.expression(f"F.layer_norm({x}, {shape}, {weight}, {bias})" if kind == "layer" else f"F.rms_norm({x}, {shape}, {weight}, {g.choose(('None', '1e-5'))})")
    if kind in ("softmax", "log_softmax"):
        return g.expression(f"F.{kind}({x}, {g.dim(x)})")
    x = g.f(range(2, 6)) if kind != "instance" else g.f((3, 4, 5))
    c = x.shape[1]
    small = lambda low: str(g.new(g.float, [c], low=low, fixed=True))  # noqa: E731
    if kind == "batch":
        return g.expression(f"F.batch_norm({x}, {small(-2)}, {small(0.5)}, {small(-2)}, {small(-2)}, eps=1e-3)")
    if kind == "group":
        groups = g.choose([k for k in range(1, c + 1) if c % k == 0] or [1])
        return g.expression(f"F.group_norm({x}, {groups}, {small(-2)}, {small(-2)})" if g.chance(0.6) else f"F.group_norm({x}, {groups})")
    if kind == "local":
        return g.expression(f"F.local_response_norm({x}, {g.int_in(1, 3)})")
    return g.expression(f"F.instance_norm({x})" if g.chance(0.5) else f"F.instance_norm({x}, weight={small(-2)}, bias={small(-2)})")


@family(2)
def attention(g):
    b, h, l, s, e = g.int_in(1, 2), g.choose((1, 2, 4)), g.int_in(1, 4), g.int_in(1, 5), g.int_in(1, 4)
    # Fixed: the CPU kernel reads past the values when there are fewer than keys.
    q, k, v = g.new(g.float, [b, h, l, e]), g.new(g.float, [b, h, s, e], fixed=True), g.new(g.float, [b, h, s, e], fixed=True)
    mask = g.choose(("", f", {g.new(g.float, g.choose(([l, s], [b, 1, l, s])))}", ", is_causal=True", ", scale=0.5",
        f", {g.new(torch.bool, [l, s])} | torch.eye({l}, {s}, dtype=torch.bool)"))
    if g.chance(0.2):
        k, v = g.new(g.float, [b, 1, s, e], fixed=True), g.new(g.float, [b, 1, s, e], fixed=True)
        return g.expression(f"F.scaled_dot_product_attention({q}, {k}, {v}, enable_gqa=True)")
    return g.expression(f"F.scaled_dot_product_attention({q}, {k}, {v}{mask})")


@family(3)
def resizing(g):
    rank = g.choose((1, 2, 2, 3))
    x = g.f((rank + 2,)) if g.chance(0.5) else g.new(g.float, [1, 2] + [g.int_in(1, 5 if rank < 3 else 3) for _ in range(rank)])
    linear = {1: "linear", 2: g.choose("bilinear bilinear bicubic"), 3: "trilinear"}[rank]
    how = f"scale_factor={g.choose((2, 1.5, 0.5, 3, 2.5))}" if g.chance(0.5) else f"size={[g.int_in(1, 7 if rank < 3 else 4) for _ in range(rank)]}"
    image = g.new(g.float, [1, 4 * g.int_in(1, 2), g.int_in(1, 3), g.int_in(1, 3)])
    grid = g.new(g.float, [1, 2, 3, 2], low=-1.25, high=1.25)
    return g.expression(g.choose((
        f"F.interpolate({x}, {how}, mode='nearest')", f"F.interpolate({x}, {how}, mode='nearest-exact')",
        f"F.interpolate({x}, {how}, mode='{linear}', align_corners={g.flag()})",
        f"F.interpolate({x}, {how}, mode='{linear}')", f"F.pixel_shuffle({image}, 2)", f"F.pixel_unshuffle({g.new(g.float, [1, 2, 4, 2])}, 2)",
        f"F.channel_shuffle({image}, 2)",
        f"F.grid_sample({image}, {grid}, mode='{g.choose('bilinear nearest')}', padding_mode='{g.choose('zeros border reflection')}', align_corners={g.flag()})",
        g.static(f"F.unfold({image}, {g.int_in(1, 2)}, padding=1)"), f"F.fold({g.new(g.float, [1, 8, 4], fixed=True)}, (3, 3), 2)",
        f"F.interpolate({x}, {how}, mode='area')")))


@family(1.5)
def losses(g):
    x = g.f(range(1, 4))
    y = g.same(x)
    c = g.int_in(2, 4)
    logits, classes = g.new(g.float, [3, c], fixed=True), g.indices(c, [3], negative=False)
    how = g.choose("mean sum none")
    return g.expression(g.choose((
        f"F.{g.choose('mse_loss l1_loss smooth_l1_loss huber_loss')}({x}, {y}, reduction='{how}')",
        f"F.binary_cross_entropy_with_logits({x}, {y}.sigmoid(), reduction='{how}')",
        f"F.cross_entropy({logits}, {classes}, reduction='{how}')", f"F.nll_loss({logits}, {classes}, reduction='{how}')",
        f"F.kl_div({x}, {y}.softmax(-1), reduction='{how}')",
        f"F.cross_entropy({logits}, {classes}, ignore_index=1, label_smoothing={g.choose((0.0, 0.1))})", f"F.glu({x}, {g.dim(x)})",
        f"F.prelu({x}, {g.new(g.float, [1])})")))


@family(3)
def products(g):
    k, m, n, b = g.int_in(1, 5), g.int_in(1, 4), g.int_in(1, 4), g.int_in(1, 3)
    new = lambda *shape: g.new(g.float, shape)  # noqa: E731
    # Far from singular.
    regular = lambda: f"({g.new(g.float, [b, 3, 3], low=-1, high=1)} + 4 * torch.eye(3))"  # noqa: E731
    return one_of(g, """
        torch.addmv({m}, {mk}, {k}, beta=0.5)
        torch.addr({m}, {m}, {n}, alpha=2)
        torch.addbmm({mn}, {bmk}, {bkn}, beta=2)
        torch.ger({m}, {n})
        torch.inner({mk}, {nk})
        torch.vdot({k}, {k})
        torch.chain_matmul({mk}, {kn})
        torch.linalg.matmul({bmk}, {kn})
        torch.linalg.det({regular})
        torch.linalg.inv({regular})
        torch.linalg.solve({regular}, {b31})
        torch.matrix_power({kk}, 2)
        torch.linalg.matrix_power({kk}, 3)
        torch.pdist({rows})
        torch.einsum('bij,bjk,bkl->bil', {bmk}, {bkn}, {bnm})
        torch.einsum('bij->b', {bmk})
        torch.einsum('bij->jib', {bmk})
        torch.einsum('bij,bij->bi', {bmk}, {bmk})
        torch.einsum('bi,ij,bj->b', {bm}, {mk}, {bk})
        torch.einsum('bik,bjk->bij', {bmk}, {bnk})
        torch.einsum('...k,nk->...n', {bmk}, {nk})
        torch.einsum('bmk,k->bm', {bmk}, {k})
        torch.einsum('bmk,bmn->bkn', {bmk}, {bmn})
        torch.einsum('bmk,bmk->', {bmk}, {bmk})
        torch.einsum('abc,abd->cd', {bmk}, {bmn})
        torch.einsum('bhwc,hkc->bhwk', {bmnk}, {mkk})
        torch.einsum('ij,kj->ikj', {mk}, {nk})
        {bmk} @ {k}
        {k} @ {kn}
        {mk} @ {bkn}
        {bmk}.mT @ {bmn}
        ({mk} @ {kn}).T
        torch.tensordot({mk}, {kn}, dims=1)
        torch.tensordot({mk}, {nk}, dims=([1], [1]))
        torch.cdist({mk}, {nk})
        torch.cdist({bmk}, {nk})
        torch.matmul({one}, {other})
        torch.mm({mk}, {kn})
        torch.kron({mk}, {n})
        torch.cross({m3}, {m3}, dim=-1)
        F.linear({bmk}, {wnk}, {wn})
        F.linear({k}, {wnk})
        F.bilinear({bm}, {bk}, {nmk}, {n})
    """, regular=regular, m=lambda: new(m), n=lambda: new(n), k=lambda: new(k), mk=lambda: new(m, k), kn=lambda: new(k, n), nk=lambda: new(n, k),
        mn=lambda: new(m, n), kk=lambda: new(k, k), bmk=lambda: new(b, m, k), bkn=lambda: new(b, k, n), bnm=lambda: new(b, n, m), bnk=lambda: new(b, n, k),
        bmn=lambda: new(b, m, n), bm=lambda: new(b, m), bk=lambda: new(b, k), b31=lambda: new(b, 3, 1), bmnk=lambda: new(b, m, n, k),
        mkk=lambda: new(m, k, k), rows=lambda: g.new(g.float, [m, k], fixed=True), m3=lambda: new(m, 3), one=lambda: new(2, 1, m, k), other=lambda: new(b, k, n), nmk=lambda: new(n, m, k),
        wnk=lambda: g.new(g.float, [n, k], constant=True), wn=lambda: g.new(g.float, [n], constant=True))


@family(4)
def windows(g):
    """Convolutions and pools with the arguments that are not the same along all axes, or left out."""
    image = lambda: g.new(g.float, [g.int_in(1, 2), 4, g.int_in(3, 7), g.int_in(3, 7)])  # noqa: E731
    weight = lambda *shape: g.new(g.float, shape, constant=True, fixed=True)  # noqa: E731
    two = lambda low, high: f"({g.int_in(low, high)}, {g.int_in(low, high)})"  # noqa: E731
    return one_of(g, """
        F.conv2d({image}, {depthwise}, None, {stride}, {pad}, {dilation}, 4)
        F.conv2d({image}, {grouped}, {w6}, {stride}, {pad}, {dilation}, 2)
        F.conv2d({image}, {dense}, {w6}, {stride}, {pad}, {dilation})
        F.conv2d({image}[0], {dense}, None, {stride})
        F.conv2d({image}, {dense}, None, 1, 'same', {dilation})
        F.conv_transpose2d({image}, {up}, {w6}, {stride2}, {pad}, {bit2}, 2, {dilation})
        F.conv_transpose2d({image}, {depthwise}, None, {stride2}, {pad}, {bit2}, 4)
        F.conv_transpose2d({image}[0], {up}, None, {stride2}, 0, 0, 2)
        F.conv_transpose1d({line}, {up1}, {w3}, 3, {bit}, {bit2a}, 1, 2)
        F.conv_transpose3d({volume}, {up3}, None, 2, 1, 1)
        F.conv1d({line}, {w341}, None, 2, 2, 3)
        F.conv1d({line}[0], {w341})
        F.conv3d({volume}, {w3d}, None, (1, 2, 1), (0, 1, 1))
        F.max_pool2d({image}, {kernel}, {stride}, {bit}, {dilation}, ceil_mode={flag})
        F.max_pool2d({image}, {kernel})
        F.max_pool2d({image}[0], 2)
        F.max_pool2d({image}, {kernel}, {stride}, return_indices=True)[0]
        F.max_pool2d({distinct}, {kernel}, {stride}, {bit}, return_indices=True)[1]
        F.max_pool1d({line}, 3, 2, 1, ceil_mode=True)
        F.max_pool1d({line}[0], 2)
        F.max_pool3d({volume}, 2, (1, 2, 1), ceil_mode={flag})
        F.avg_pool2d({image}, {kernel}, {stride}, {bit}, {flag}, {flag}, {divisor})
        F.avg_pool2d({image}, {kernel})
        F.avg_pool2d({image}, 3, 2, 1, True, False)
        F.avg_pool1d({line}, 3, 2, 1, True, {flag})
        F.avg_pool3d({volume}, 2, 2, 1, {flag}, {flag}, {divisor})
        F.lp_pool2d({image}.abs(), 3, {kernel}, ceil_mode={flag})
        F.lp_pool1d({line}, 1, 2, 2)
        F.adaptive_avg_pool2d({fixed}, (None, 2))
        F.adaptive_avg_pool2d({fixed}[0], {kernel})
        F.adaptive_max_pool2d({fixed}, {kernel})
        F.adaptive_max_pool2d({unique}, {kernel}, return_indices=True)[1]
        F.adaptive_avg_pool1d({fixed}.flatten(2), 5)
        F.adaptive_avg_pool3d({volume}, 1)
        F.max_unpool2d(*F.max_pool2d({unique}, 2, return_indices=True), 2)
        F.unfold({fixed}, {kernel}, {dilation}, {bit}, {stride})
        F.fold({columns}, (4, 5), (2, 2), stride={stride}, padding=0)
        F.pixel_shuffle({image}[0], 2)
        F.pad({image}, (1, 2, 0, 1), mode='circular')
        F.pad({volume}, (1, 0, 1, 1, 0, 1), mode='{mode}')
        F.pad({line}, (2, 1), mode='{mode}')
        F.pad({image}[0], (1, 2, 1, 0), mode='{mode}')
        F.pad({image}, (-1, 0, -1, 2), value=2)
        F.pad({image} > 0, (1, 1), value=True)
        F.batch_norm({image}, {w4}, {v4}, None, None)
        F.batch_norm({image}[:, :, 0, 0], {w4}, {v4}, {w4}, {v4}, eps=0.01)
        F.group_norm({image}, 2, {w4}, None)
        F.group_norm({line}, 2, eps=0.1)
        F.local_response_norm({image}, 3, 0.1, 0.5, 2)
        F.instance_norm({line}, eps=0.1)
        F.normalize({image}, p=1, dim=1)
        F.normalize({image}, p=3, dim=(2, 3))
        F.dropout2d({image}, 0.5, False)
        F.alpha_dropout({image}, 0.5, False)
        F.max_pool2d(F.pad({image}, (1, 1, 1, 1), value=-9), 3, 1)
        F.relu(F.conv2d({image}, {dense}, {w6}, padding=1)).mean((2, 3))
        F.conv2d(F.pad({image}, (1, 2, 1, 2)), {dense}, None, 2)
        F.conv2d({image}, {dense}, {w6}) * {w6}[:, None, None] + {w6}[:, None, None]
        F.batch_norm(F.conv2d({image}, {dense}, {w6}), {w6}, {v6}, {w6}, {w6})
        F.batch_norm(F.conv_transpose2d({image}, {up}, {w6}, groups=2), {w6}, {v6}, {w6}, {w6})
    """,
        image=image, line=lambda: g.new(g.float, [2, 4, g.int_in(4, 8)]), volume=lambda: g.new(g.float, [1, 2, g.int_in(3, 4), g.int_in(3, 5), 4]),
        fixed=lambda: g.new(g.float, [1, 4, g.int_in(3, 7), g.int_in(3, 7)], fixed=True),
        unique=lambda: g.new(g.float, [1, 2, 4, 6], low=-30, high=30, step=1, distinct=True, fixed=True),
        distinct=lambda: g.new(g.float, [1, 2, 5, 6], low=-40, high=40, step=1, distinct=True),
        columns=lambda: g.new(g.float, [1, 8, g.choose((12, 4, 6))], fixed=True),
        depthwise=lambda: weight(4, 1, g.int_in(1, 3), g.int_in(1, 3)), grouped=lambda: weight(6, 2, g.int_in(1, 3), g.int_in(1, 3)),
        dense=lambda: weight(6, 4, g.int_in(1, 3), g.int_in(1, 3)), up=lambda: weight(4, 3, g.int_in(1, 3), g.int_in(1, 3)), up1=lambda: weight(4, 3, 3),
        up3=lambda: weight(2, 3, 2, 3, 1), w341=lambda: weight(3, 4, g.int_in(1, 2)), w3d=lambda: weight(3, 2, 2, 2, 1), w6=lambda: weight(6),
        w3=lambda: weight(3), w4=lambda: weight(4), v4=lambda: g.new(g.float, [4], low=1, high=3, constant=True, fixed=True),
        v6=lambda: g.new(g.float, [6], low=1, high=3, constant=True, fixed=True), stride=lambda: two(1, 3), stride2=lambda: two(2, 3),
        pad=lambda: two(0, 2), dilation=lambda: two(1, 2), kernel=lambda: two(1, 3), bit=lambda: g.int_in(0, 1), bit2=lambda: two(0, 1),
        bit2a=lambda: g.int_in(0, 2), flag=g.flag, divisor=lambda: g.choose(("None", "2", "5")), mode=lambda: g.choose("reflect replicate circular"))


@family(3)
def sampling(g):
    image = lambda: g.new(g.float, [1, 2, g.int_in(2, 6), g.int_in(2, 6)])  # noqa: E731
    return one_of(g, """
        F.interpolate({image}, scale_factor=({a}, {b}), mode='{mode}')
        F.interpolate({image}, scale_factor={a}, mode='{mode}', recompute_scale_factor=True)
        F.interpolate({fixed}, size=({m}, {wide}), mode='{smooth}', antialias=True)
        F.interpolate({image}, size=({m}, {n}), mode='bilinear', align_corners=True)
        F.interpolate({image}, scale_factor=2, mode='bicubic', align_corners={flag})
        F.interpolate({line}, scale_factor={a}, mode='linear', align_corners={flag})
        F.interpolate({line}, size={n}, mode='nearest')
        F.interpolate({volume}, size=(2, {m}, {n}), mode='trilinear', align_corners={flag})
        F.interpolate({volume}, scale_factor=2, mode='nearest')
        F.interpolate({image}, size={other}.shape[-2:], mode='nearest')
        F.interpolate({image}, size={other}.shape[-2:], mode='bilinear')
        F.upsample({image}, scale_factor=2, mode='bilinear')
        F.grid_sample({image}, {grid}, mode='{how}', padding_mode='{edge}', align_corners={flag})
        F.grid_sample({image}, {grid}, mode='bicubic', align_corners={flag})
        F.affine_grid({theta}, (1, 2, 3, 4), align_corners={flag})
        F.grid_sample({image}, F.affine_grid({theta}, (1, 2, 3, 4), align_corners=False), align_corners=False)
        F.embedding({at}, {table}, padding_idx=0)
        F.embedding_bag({at}.reshape(1, -1), {table}, mode='{bag}')
        F.embedding_bag({at}.flatten(), {table}, {offsets}, mode='{bag}')
        F.embedding({at}, {table}).sum(-2)
        F.embedding({at}.int(), {table}) @ {table}.T
        F.one_hot({at}, 5).float() @ {table}
        torch.nn.functional.cosine_similarity({image}, {image}, 1)
        F.binary_cross_entropy({line}.sigmoid(), {line}.sigmoid(), reduction='{how2}')
        F.margin_ranking_loss({line}, {line}, {line}.sign(), 0.5, reduction='{how2}')
        F.soft_margin_loss({line}, {line}.sign(), reduction='{how2}')
        F.triplet_margin_loss({row}, {row}, {row}, reduction='{how2}')
        F.cosine_embedding_loss({row}, {row}, {sign}, 0.1, reduction='{how2}')
        F.hinge_embedding_loss({row}, {row}.sign(), reduction='{how2}')
        F.poisson_nll_loss({row}, {row}.abs(), reduction='{how2}')
        F.gaussian_nll_loss({row}, {row}, {row}.abs() + 0.5, reduction='{how2}')
        F.kl_div({row}, {row}, log_target=True, reduction='batchmean')
        F.cross_entropy({row}, {classes}, {w4}, reduction='{how2}')
        F.cross_entropy({row}, {row}.softmax(-1), label_smoothing=0.1)
        F.cross_entropy({image}, {pixels}, reduction='{how2}')
        F.nll_loss({row}, {classes}, {w4}, ignore_index=1, reduction='{how2}')
        F.multilabel_soft_margin_loss({row}, ({row} > 0).float())
        F.huber_loss({row}, {row}, delta=0.5, reduction='{how2}')
        F.smooth_l1_loss({row}, {row}, beta=2.0)
        F.binary_cross_entropy_with_logits({row}, {row}.sigmoid(), {w4}, pos_weight={w4})
        F.scaled_dot_product_attention({q}, {kv}, {kv})
        F.scaled_dot_product_attention({q}, {q}, {q}, is_causal=True)
        F.scaled_dot_product_attention({q}, {kv}, {kv}, {mask})
        F.scaled_dot_product_attention({q}[0], {kv}[0], {kv}[0], scale=1.0)
        ({q} @ {kv}.mT / 2).softmax(-1) @ {kv}
        ({q} @ {kv}.mT).masked_fill({mask}, float('-inf')).nan_to_num(neginf=-100.0).softmax(-1)
        torch.nn.functional.glu({line}, 1)
        F.prelu({line}, {w4})
        F.rms_norm({line}, [{line}.shape[-1]])
    """, image=image, fixed=lambda: g.new(g.float, [1, 2, g.int_in(2, 6), g.int_in(2, 6)], fixed=True),
        a=lambda: g.choose((2, 1.5, 3, 0.5, 2.0)), b=lambda: g.choose((1, 2, 1.3)), mode=lambda: g.choose("nearest nearest-exact bilinear bicubic area"),
        m=lambda: g.int_in(1, 7), n=lambda: g.int_in(1, 7), smooth=lambda: g.choose("bilinear bicubic"),
        wide=lambda: g.int_in(2, 7),  # torch's antialiasing is wrong where one column is left: other memory formats give other numbers
        flag=g.flag,
        line=lambda: g.new(g.float, [2, 4, 6]), volume=lambda: g.new(g.float, [1, 2, 2, 3, 3]), other=image,
        grid=lambda: g.new(g.float, [1, 2, 3, 2], low=-1.25, high=1.25),
        how=lambda: g.choose("bilinear nearest"), edge=lambda: g.choose("zeros border reflection"), theta=lambda: g.new(g.float, [1, 2, 3], low=-1, high=1),
        at=lambda: g.indices(5, [2, 3], negative=False), table=lambda: g.new(g.float, [5, 3]), bag=lambda: g.choose("sum mean max"),
        offsets=lambda: "torch.tensor([0, 2])", row=lambda: g.new(g.float, [3, 4]), sign="torch.tensor([1, -1, 1])",
        classes=lambda: g.indices(4, [3], negative=False), w4=lambda: g.new(g.float, [4], low=0.5, high=2, constant=True),
        pixels=lambda: g.indices(2, [1, 3, 3], negative=False), how2=lambda: g.choose("mean sum none"), q=lambda: g.new(g.float, [1, 2, 3, 4], fixed=True),
        kv=lambda: g.new(g.float, [1, 2, 5, 4], fixed=True), mask=lambda: g.new(torch.bool, [3, 5], fixed=True))
