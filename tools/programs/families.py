"""The families of torch calls that random programs are made of. Each takes the writer, asks it for tensors and numbers, and gives it a
line: True when torch took it."""

FAMILIES, WEIGHTS = [], []


def family(weight=1.0):
    def add(function):
        FAMILIES.append(function)
        WEIGHTS.append(weight)
        return function

    return add


def one_of(g, text, **names):
    """One of the lines, its {names} filled in. A name may stand for a function: it is called where the line has it."""
    line = g.choose(text.strip().splitlines()).strip()

    class Values(dict):
        def __missing__(self, name):
            value = names[name]
            return value() if callable(value) else value

    return g.expression(line.format_map(Values()))
