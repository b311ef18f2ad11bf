"""Which writer makes the text of which kind of method."""

from __future__ import annotations

from typing import Any

from immunostat.engine.explicit_step import ExplicitText
from immunostat.engine.methods.explicit_rk import TSIT5, ExplicitRungeKutta
from immunostat.engine.methods.rosenbrock import RODAS5P, Rosenbrock
from immunostat.engine.newton_step import NewtonIteration, NewtonText
from immunostat.engine.step import KernelText

Method = Rosenbrock | ExplicitRungeKutta | NewtonIteration

#: Methods that a kernel is compiled for, by the name that `solve` takes.
COMPILED_METHODS: dict[str, Rosenbrock | ExplicitRungeKutta] = {
    "rodas5p": RODAS5P,
    "tsit5": TSIT5,
}


def writer_of(method: Method) -> tuple[Any, tuple[str, ...]]:
    """Class that writes a method's text, and the names of the functions that it writes."""
    writer: type[KernelText] = KernelText
    if isinstance(method, ExplicitRungeKutta):
        writer = ExplicitText
    elif isinstance(method, NewtonIteration):
        writer = NewtonText
    return writer, writer.entry_points
