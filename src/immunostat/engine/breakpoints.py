"""Times that conditions name: where ``time >= 5`` or ``time - last > period`` changes.

Landing on them exactly makes events at stated times exact, and no short pulse is stepped over.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import symengine as se

from immunostat.engine.formulas import compiled
from immunostat.model.expressions import (
    Expression,
    derivative,
    free_names,
    is_boolean,
    substitute,
)
from immunostat.model.system import TIME, FloatArray, OdeSystem


class Breakpoints:
    """Relations of a system that compare time, linearly, with what is constant between events."""

    def __init__(self, system: OdeSystem) -> None:
        formulas: list[Any] = [e for _, e in system.assignments]
        formulas += [*system.rates, *(event.trigger for event in system.events)]
        constant = {TIME, *system.parameters}
        timed = _timed_assignments(system, constant)
        pairs: dict[tuple[Any, Any], None] = {}
        for relation in _relations(formulas):
            gap = substitute(relation.args[0] - relation.args[1], timed)
            names = free_names(gap)
            if TIME not in names or not names <= constant:
                continue
            slope = se.expand(derivative(gap, TIME))
            if TIME not in free_names(slope) and slope != 0:
                pairs[slope, substitute(gap, {TIME: se.Integer(0)})] = None
        symbols = [se.Symbol(name) for name in system.parameters] or [se.Symbol("nothing")]
        self._n_parameters = max(1, system.n_parameters)
        self._slopes = compiled(symbols, [slope for slope, _ in pairs])
        self._gaps = compiled(symbols, [gap for _, gap in pairs])

    def after(self, time: float, parameters: FloatArray) -> float:
        """First breakpoint after `time`; infinite if there is none."""
        known = parameters if len(parameters) else np.zeros(self._n_parameters)
        with np.errstate(divide="ignore", invalid="ignore"):
            times = -self._gaps(known) / self._slopes(known)
        later = times[times > time]
        return float(later.min()) if len(later) else np.inf


def _timed_assignments(system: OdeSystem, constant: set[str]) -> dict[str, Expression]:
    """Assignments that are formulas of time and parameters alone, written out."""
    found: dict[str, Expression] = {}
    for name, expression in system.assignments:
        names = free_names(expression)
        if names <= constant | found.keys() and TIME in names | _names(found, names):
            found[name] = substitute(expression, found)
    return found


def _names(found: dict[str, Expression], names: set[str]) -> set[str]:
    return {inner for name in names & found.keys() for inner in free_names(found[name])}


def _relations(formulas: Iterable[Any]) -> list[Any]:
    """All relations of two numbers inside formulas."""
    found: list[Any] = []
    waiting = list(formulas)
    seen: set[Any] = set()
    while waiting:
        part = waiting.pop()
        if not hasattr(part, "args") or part in seen:
            continue
        seen.add(part)
        is_relation = is_boolean(part) and len(part.args) == 2
        if is_relation and not any(is_boolean(argument) for argument in part.args):
            found.append(part)
        waiting += part.args
    return found
