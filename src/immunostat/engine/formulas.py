"""Formulas of a system as ordinary functions of numbers, for the slow, event-capable way.

Assignments are computed in layers, each from those before it, so that no formula is expanded into
another; the size of the work is the size of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import symengine as se

from immunostat.engine.backends.reference import _without_negative_bases
from immunostat.model.expressions import as_number, free_names
from immunostat.model.system import TIME, FloatArray, OdeSystem

#: Gives the value that a delay's formula (by index) had at a time, from the course so far; the
#: third argument is what time, states and parameters are now.
Past = Callable[[int, float, FloatArray], float]


def no_past(index: int, time: float, now: FloatArray) -> float:
    """For formulas without delays."""
    raise AssertionError("a delay without a past")


class Formulas:
    """Formulas over time, states, parameters, assignments and delays of a system.

    Parameters
    ----------
    system
        The model.
    wanted
        Expressions; what they need of the assignments is computed, no more.
    """

    def __init__(self, system: OdeSystem, wanted: Sequence[Any]) -> None:
        states = set(system.states)
        definitions = dict(system.assignments)
        lengths = {delay.name: delay.by for delay in system.delays}
        self._delays = [delay.name for delay in system.delays]
        needed = _needed(wanted, {**definitions, **lengths})
        inputs = [TIME, *system.states, *system.parameters]
        self.n_inputs = len(inputs)
        level = dict.fromkeys(inputs, 0)
        order = [n for n in lengths if n in needed]
        order += [n for n, _ in system.assignments if n in needed]
        every = {**definitions, **lengths}
        for name in _by_use(order, every):
            level[name] = 1 + max((level[u] for u in free_names(every[name])), default=0)
        names = inputs + sorted(set(order), key=lambda n: (level[n], order.index(n)))
        index = {name: i for i, name in enumerate(names)}
        symbols = [se.Symbol(name) for name in names]
        self._size = len(names)
        #: Layers of the work: positions to fill, their function, and which of them are delays.
        self._layers: list[tuple[Any, Any, list[tuple[int, int]]]] = []
        for depth in sorted({level[n] for n in order}):
            own = [n for n in names[self.n_inputs :] if level[n] == depth]
            expressions = [_without_negative_bases(every[n], states) for n in own]
            delayed = [(index[n], self._delays.index(n)) for n in own if n in lengths]
            positions = slice(index[own[0]], index[own[-1]] + 1)
            self._layers.append((positions, compiled(symbols, expressions), delayed))
        self._result = compiled(
            symbols, [_without_negative_bases(as_number(e), states) for e in wanted]
        )

    def __call__(self, now: FloatArray, past: Past = no_past) -> FloatArray:
        """Values of the wanted expressions; `now` is time, states and parameters in one."""
        values = np.zeros(self._size)
        values[: self.n_inputs] = now
        for positions, function, delayed in self._layers:
            values[positions] = function(values)
            for position, delay in delayed:
                length = float(values[position])
                values[position] = past(delay, float(now[0]) - length, now)
        return self._result(values)


def _needed(wanted: Sequence[Any], definitions: dict[str, Any]) -> set[str]:
    """Names of definitions that expressions need, directly or through others."""
    found: set[str] = set()
    waiting = list(wanted)
    while waiting:
        for name in free_names(waiting.pop()) & definitions.keys() - found:
            found.add(name)
            waiting.append(definitions[name])
    return found


def _by_use(names: Sequence[str], definitions: dict[str, Any]) -> list[str]:
    """Names so that each comes after those it uses (they are known to have such an order)."""
    from graphlib import TopologicalSorter

    own = set(names)
    graph = {n: sorted(free_names(definitions[n]) & own) for n in names}
    return list(TopologicalSorter(graph).static_order())


def compiled(symbols: list[Any], expressions: list[Any]) -> Callable[[FloatArray], FloatArray]:
    """Numerical function of a vector of the symbols' values."""
    if not expressions:
        return lambda _: np.zeros(0)
    fixed = [e if hasattr(e, "args") else se.sympify(e) for e in expressions]
    n = len(fixed)
    # not with cse=True: symengine 0.15 then gives wrong numbers (found on BIOMD0000000151)
    function = se.Lambdify(symbols, fixed, real=True)
    return lambda values: np.asarray(function(values), dtype=np.float64).reshape(n)
