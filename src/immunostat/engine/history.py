"""The course so far of one patient, for values that formulas had some time ago."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import symengine as se

from immunostat.engine.formulas import Formulas
from immunostat.model.expressions import RATE_OF
from immunostat.model.system import TIME, FloatArray, OdeSystem

Dense = Callable[[float], FloatArray]


class History:
    """Pieces of dense output with the parameters that held in each.

    Parameters
    ----------
    system
        The model.
    start
        Time of the first state; before it, states and parameters were what they are there.
    states, parameters
        At the start.
    """

    def __init__(
        self, system: OdeSystem, start: float, states: FloatArray, parameters: FloatArray
    ) -> None:
        self._values = [Formulas(system, [delay.value]) for delay in system.delays]
        # before the start nothing changed, unless a formula of time says so
        still = replace(
            system,
            assignments=tuple(
                (name, se.Integer(0) if name.startswith(RATE_OF) else expression)
                for name, expression in system.assignments
            ),
        )
        self._values_before = [Formulas(still, [delay.value]) for delay in system.delays]
        names = [TIME, *system.states, *system.parameters]
        self._before = Formulas(still, [expression for _, expression in system.before])
        self._timed = [names.index(name) for name, _ in system.before]
        self._start = start
        self._begins: list[float] = []
        self._pieces: list[tuple[Dense, FloatArray]] = []
        self._end = start
        self._last = (states.copy(), parameters.copy())
        self._first = (states.copy(), parameters.copy())

    def restart(self, time: float, states: FloatArray, parameters: FloatArray) -> None:
        """Note what holds from `time` on, after events."""
        self._end, self._last = time, (states.copy(), parameters.copy())
        if time <= self._start:
            self._first = self._last

    def append(self, begin: float, end: float, dense: Dense) -> None:
        """Add a step that was taken with the parameters noted last."""
        parameters = self._last[1]
        self._begins.append(begin)
        self._pieces.append((dense, parameters))
        self._end, self._last = end, (dense(end), parameters)

    def __call__(self, delay: int, time: float, now: FloatArray) -> float:
        """Value that the formula of a delay had at `time`; `now` is the state asked from."""
        n_states = len(self._last[0])
        if time < self._start:
            then = np.concatenate(([time], *self._first))
            then[self._timed] = self._before(then, self)
            return float(self._values_before[delay](then, self)[0])
        if time <= self._start:
            states, parameters = self._first
        elif time >= float(now[0]):
            states, parameters = now[1 : 1 + n_states], now[1 + n_states :]
        elif time >= self._end:
            # inside the step under way: straight from its begin to the state asked from
            share = (time - self._end) / (float(now[0]) - self._end)
            states = self._last[0] + share * (now[1 : 1 + n_states] - self._last[0])
            parameters = self._last[1]
        else:
            dense, parameters = self._pieces[bisect_right(self._begins, time) - 1]
            states = dense(time)
        then = np.concatenate(([time], states, parameters))
        return float(self._values[delay](then, self)[0])
