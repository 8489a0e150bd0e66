"""Recurrent networks and control flow: calls that take parts of programs, or many weights."""

import torch

from families import family


def weights(g, rows, inputs, hidden, bias):
    shapes = [[rows, inputs], [rows, hidden]] + [[rows]] * (2 if bias else 0)
    return [g.new(g.float, shape, low=-1, high=1, step=0.25, constant=True) for shape in shapes]


@family(1.5)
def recurrent(g):
    batch, steps, inputs, hidden = g.int_in(1, 3), g.int_in(1, 4), g.int_in(1, 3), g.int_in(1, 3)
    kind = g.choose("gru lstm rnn_tanh rnn_relu gru_cell lstm_cell rnn_tanh_cell rnn_relu_cell")
    gates = {"gru": 3, "lstm": 4}.get(kind.removesuffix("_cell"), 1)
    new = lambda *shape: g.new(g.float, shape)  # noqa: E731
    if kind.endswith("_cell"):
        state = f"({new(batch, hidden)}, {new(batch, hidden)})" if kind == "lstm_cell" else new(batch, hidden)
        w = ", ".join(map(str, weights(g, gates * hidden, inputs, hidden, True)))
        return g.expression(f"torch.{kind}({new(batch, inputs)}, {state}, {w})" + (f"[{g.int_in(0, 1)}]" if kind == "lstm_cell" else ""))
    bias, layers, both, first = g.chance(0.7), g.choose((1, 1, 2)), g.chance(0.4), g.chance(0.5)
    w = []
    for layer in range(layers):
        for _ in range(1 + both):
            w += weights(g, gates * hidden, inputs if layer == 0 else hidden * (1 + both), hidden, bias)
    x = new(batch, steps, inputs) if first else new(steps, batch, inputs)
    h = lambda: new(layers * (1 + both), batch, hidden)  # noqa: E731
    state = f"[{h()}, {h()}]" if kind == "lstm" else h()
    return g.expression(f"torch.{kind}({x}, {state}, [{', '.join(map(str, w))}], {bias}, {layers}, 0.0, False, {both}, {first})[{g.int_in(0, 1)}]")


@family(0.5)
def control(g):
    x = g.f(range(1, 4))
    y = g.same(x)
    test = g.choose((f"{x}.sum() > {g.number()}", f"({x} > {y}).any()", f"{x}.amax() < 2"))
    yes, no = g.random.sample(("a + b", "a * b", "a - b * 2", "a.clone()", "torch.where(a > b, a, b)", "b.relu()", "a.sin() + 1", "a.cumsum(0)"), 2)
    if g.chance(0.7):
        return g.expression(f"cond({test}, lambda a, b: {yes}, lambda a, b: {no}, ({x}, {y}))")
    loop = "while_loop(lambda i, a, b: i < {n}, lambda i, a, b: (i + 1, {body}, b.clone()), (torch.tensor({first}), {x}, {y}))[1]"
    return g.expression(loop.format(n=g.int_in(1, 4), first=g.int_in(0, 2), body=g.choose((yes, no, "a * 0.5 + b")), x=x, y=y))
