"""A system as text in DiffSL, the language of diffsol."""

from __future__ import annotations

from typing import Any

from immunostat.model.system import OdeSystem


class _Writer:
    """Writes formulas; powers become tensors of their own, so that each is computed once."""

    def __init__(self, system: OdeSystem) -> None:
        self.names = {name: f"x{i}" for i, name in enumerate(system.states)}
        self.names |= {name: f"p{i}" for i, name in enumerate(system.parameters)}
        self.of_states: set[str] = {self.names[name] for name in system.states}
        self.powers: dict[str, str] = {}
        #: Definitions that inputs alone decide (diffsol computes them once), and the others.
        self.fixed: list[str] = []
        self.changing: list[str] = []

    def define(self, name: str, text: str, changes: bool) -> None:
        """Add ``name { text }`` where it belongs."""
        (self.changing if changes else self.fixed).append(f"{name} {{ {text} }}")
        if changes:
            self.of_states.add(name)

    def write(self, e: Any) -> tuple[str, bool]:
        """Text of a formula, and whether it changes with the states."""
        kind = type(e).__name__
        if kind == "Symbol":
            name = self.names[str(e)]
            return name, name in self.of_states
        if getattr(e, "is_Number", False):
            return repr(float(e)), False
        parts = [self.write(a) for a in e.args]
        changes = any(part[1] for part in parts)
        texts = [part[0] for part in parts]
        if kind == "Add":
            return f"({' + '.join(texts)})", changes
        if kind == "Mul":
            return f"({' * '.join(texts)})", changes
        if kind != "Pow":
            raise ValueError(f"no DiffSL for {kind}")
        if texts[1] == "-1.0":
            return f"(1.0 / {texts[0]})", changes
        text = f"pow({', '.join(texts)})"
        if text not in self.powers:
            self.powers[text] = f"w{len(self.powers)}"
            self.define(self.powers[text], text, changes)
        return self.powers[text], changes


def diffsl_text(system: OdeSystem) -> str:
    """DiffSL code whose inputs are the parameters and then the initial states."""
    writer = _Writer(system)
    for i, (name, expression) in enumerate(system.assignments):
        writer.define(f"a{i}", *writer.write(expression))
        writer.names[name] = f"a{i}"
    rates = [writer.write(rate)[0] for rate in system.rates]
    n = system.n_states
    inputs = [f"p{i} = {float(v)!r}" for i, v in enumerate(system.defaults)]
    inputs += [f"y{i} = 1.0" for i in range(n)]
    return "\n".join(
        [
            f"in_i {{ {', '.join(inputs)} }}",
            *writer.fixed,
            f"u_i {{ {', '.join(f'x{i} = y{i}' for i in range(n))} }}",
            *writer.changing,
            "F_i { " + ",\n".join(rates) + " }",
        ]
    )
