"""Makes a program that fails smaller while it fails in the same way: fewer outputs, fewer calls, results of torch instead of the calls
that made them, smaller sizes."""

import re

import torch

from program import Input, Program


def without_dead(program):
    """Drops what no output needs. A line that writes in place is kept as long as its tensor is needed."""
    needed, steps = set(program.outputs), []
    for line in reversed(program.steps):
        written = re.match(r"\w+", line)[0]
        views = {m for m in re.findall(r"\w+", line)}
        if written in needed:
            steps.append(line)
            needed |= views
    return Program([i for i in program.inputs if i.name in needed], steps[::-1], program.outputs)


def with_input_for(program, at):
    """The result of a line becomes an input."""
    line = program.steps[at]
    made = re.match(r"(\w+) = ", line)
    if not made:
        return Program(program.inputs, program.steps[:at] + program.steps[at + 1 :], program.outputs)
    name = made[1]
    try:
        prefix = Program(program.inputs, program.steps[: at + 1], [name])
        (t,) = prefix.run()
    except Exception:
        return None
    if t.dtype == torch.float64 or t.is_complex() or not bool(t.isfinite().all()) or (t.numel() and float(t.float().abs().max()) > 1e6):
        return None
    floats = t.is_floating_point()
    low, high = (float(t.float().min()), float(t.float().max())) if t.numel() else (0, 1)
    if floats:
        low, high = min(low, -2), max(high, 2)
    given = Input(name, str(t.dtype).removeprefix("torch."), list(t.shape), [False] * t.dim(), round(low - 0.5) if floats else low,
                  round(high + 0.5) if floats else high, 0.25 if floats else 0)
    return Program([*program.inputs, given], program.steps[:at] + program.steps[at + 1 :], program.outputs)


def smaller_inputs(program):
    # torch's CPU kernel takes fewer values than keys and reads past them: its sizes are not to be changed one by one.
    fixed = any("attention" in line for line in program.steps)
    for i, given in enumerate(program.inputs):
        for changed in ([dict(dynamic=[False] * len(given.shape))] if any(given.dynamic) else []) + [
            dict(shape=[smaller if e == d else t for e, t in enumerate(given.shape)])
            for d, s in enumerate(given.shape) for smaller in sorted({1, 2, s // 2, s - 1}) if 0 < smaller < s and not fixed
        ] + ([dict(step=1.0)] if given.dtype.startswith("float") and given.step != 1 else []):
            yield Program([Input(**{**given.__dict__, **changed}) if j == i else other for j, other in enumerate(program.inputs)],
                          program.steps, program.outputs)


def candidates(program):
    if len(program.outputs) > 1:
        for output in program.outputs:
            yield Program(program.inputs, program.steps, [output])
    for at in reversed(range(len(program.steps))):
        if candidate := with_input_for(program, at):
            yield candidate
    yield from smaller_inputs(program)


def shrink(program, fails, most=150):
    """`fails` says whether a program still does."""
    tried, attempts, again = {str(program)}, 0, True
    while again and attempts < most:
        again = False
        for candidate in candidates(program):
            try:
                candidate = without_dead(candidate)
                if not candidate.outputs or not candidate.arguments() or str(candidate) in tried:
                    continue
                tried.add(str(candidate))
                candidate.run()
            except Exception:  # torch refuses it
                continue
            attempts += 1
            if attempts > most:
                break
            if fails(candidate):
                program, again = candidate, True
                break
    return program
