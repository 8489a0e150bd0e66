"""What lowering raises and warns with."""


class LoweringError(ValueError):
    """A program, an option or a file that cannot be used. `kind` is stable ("bad-option", "unsupported-dtype"); `node`, `op` and
    `source` say where in the model and may be empty; `help` says what to do."""

    def __init__(self, what, kind="bad-option", node="", op="", source="", help=""):
        super().__init__(what)
        self.what = what
        self.kind = kind
        self.node = node
        self.op = op
        self.source = source
        self.help = help

    def __str__(self):
        lines = [self.what]
        if self.node or self.op:
            lines.append(f"  node: {self.node} ({self.op})" if self.node and self.op else f"  node: {self.node or self.op}")
        if self.source:
            lines.append(f"  at: {self.source}")
        if self.help:
            lines.append(f"  help: {self.help}")
        return "\n".join(lines)

    def __reduce__(self):
        return type(self), (self.what, self.kind, self.node, self.op, self.source, self.help)


class NotDelegatedError(LoweringError, NotImplementedError):
    """lower_full_graph was asked for, and some operators cannot be lowered; the message lists each with its reason."""


class LoweringWarning(UserWarning):
    """The program works, but not quite as asked: operators stay on the CPU, a buffer is not taken over."""


def from_diagnostic(kind, what, node, op, source, help):
    return (NotDelegatedError if kind == "not-delegated" else LoweringError)(what, kind, node, op, source, help)
