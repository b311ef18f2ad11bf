"""Steady-state dosing: the states that come back after every interval of a dose given for ever.

The map from the states before a dose to those before the next is solved for its fixed point by
Newton's method; the map and its derivative (by differences) come from the engine, all patients
and all differences in one run. With linear kinetics the first step is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from immunostat.base.errors import ModelError
from immunostat.engine.problem import Action, EnsembleProblem, Event, IntArray, Schedule, Tolerance
from immunostat.engine.solve import solve
from immunostat.engine.steady_state import steady_state, uses_time
from immunostat.model.expressions import free_names
from immunostat.model.system import FloatArray, OdeSystem

#: Tolerance of the runs, and of the fixed point: the last Newton step is at most 1e-9 of a state
#: and 1e-11 of what one interval gives.
TOLERANCE = Tolerance(1e-10, 1e-12)
RELATIVE, OF_DOSE = 1e-9, 1e-11

#: Doses that are given one after another before Newton's method begins, and after it strays.
FIRST_DOSES = 3

#: Newton steps, and how often the derivative is taken anew.
MOST_STEPS, MOST_DERIVATIVES = 60, 12

#: Difference for the derivative, as a share of the state or of what one interval gives.
DIFFERENCE = 1e-3

#: A singular value of 1 - derivative below this belongs to a conserved quantity, which keeps its
#: value.
CONSERVED = 1e-9

#: Patients in one run.
SHARE = 256


@dataclass(frozen=True)
class DoseCycle:
    """One dose, given every `interval` for ever.

    Parameters
    ----------
    parameters
        Of the patient. Shape (parameter,).
    target
        State that takes it.
    amount
        What each dose brings in. With an interval of 0: nothing.
    duration
        Of the infusion, which may be longer than the interval; 0 is at once.
    interval
        Time between starts; 0 is one infusion without end at `rate`.
    rate
        Of the infusion without end.
    phase
        Time since the last start at which the states are wanted; 0 is before the dose.
    """

    parameters: FloatArray
    target: str
    amount: float
    duration: float
    interval: float
    rate: float = 0.0
    phase: float = 0.0


def settling_part(system: OdeSystem) -> OdeSystem:
    """The system without states that only add up others: nothing depends on them.

    An area under a curve or an amount excreted has no steady state, and needs none.
    """
    formulas = dict(system.assignments)
    needs: dict[str, set[str]] = {}
    for name, formula in system.assignments:
        own = free_names(formula)
        needs[name] = own.union(*(needs[n] for n in own if n in formulas))
    used = []
    for rate in system.rates:
        own = free_names(rate)
        used.append(own.union(*(needs[n] for n in own if n in formulas)))
    kept = list(range(system.n_states))
    while True:
        read = set().union(*(used[i] for i in kept)) if kept else set()
        fewer = [i for i in kept if system.states[i] in read]
        if fewer == kept:
            break
        kept = fewer
    left_out = set(system.states) - {system.states[i] for i in kept}
    return replace(
        system,
        states=tuple(system.states[i] for i in kept),
        initial=tuple(system.initial[i] for i in kept),
        rates=tuple(system.rates[i] for i in kept),
        assignments=tuple(
            (name, formula)
            for name, formula in system.assignments
            if not (needs[name] | {name}) & left_out
        ),
    )


def cycle_states(
    system: OdeSystem, cycles: Sequence[DoseCycle], start: FloatArray | None = None
) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
    """States at the wanted phase of each cycle.

    Parameters
    ----------
    system
        A model whose rates do not use time.
    cycles
        One for each result.
    start
        Where the search starts; None takes the model's start values. Shape (cycle, state) of
        `settling_part`.

    Returns
    -------
    Names of the states that settle, their values, shape (cycle, state), not a number where no
    cycle was found; and the last Newton step as a share of what is allowed, shape (cycle,).

    Raises
    ------
    ModelError
        The rates use time, or the model has events or delays.
    """
    if not system.is_plain or uses_time(system):
        raise ModelError(
            f"model '{system.name}' uses time, events or delays: no steady state of doses",
            remedy="Write the doses out (ADDL, II) from long before.",
        )
    part = settling_part(system)
    values = np.full((len(cycles), part.n_states), np.nan)
    errors = np.full(len(cycles), np.nan)
    if part.n_states == 0:
        return part.states, values, np.zeros(len(cycles))
    for first in range(0, len(cycles), SHARE):
        own = list(range(first, min(len(cycles), first + SHARE)))
        pulsed = [i for i in own if cycles[i].interval > 0]
        endless = [i for i in own if cycles[i].interval == 0]
        if endless:
            values[endless], errors[endless] = _endless(part, [cycles[i] for i in endless])
        if pulsed:
            begin = None if start is None else start[pulsed]
            search = _Search(part, [cycles[i] for i in pulsed], begin)
            values[pulsed], errors[pulsed] = search.run()
    return part.states, values, errors


def _endless(part: OdeSystem, cycles: Sequence[DoseCycle]) -> tuple[FloatArray, FloatArray]:
    inputs = np.zeros((len(cycles), part.n_states))
    for i, cycle in enumerate(cycles):
        inputs[i, part.states.index(cycle.target)] = cycle.rate
    parameters = np.array([cycle.parameters for cycle in cycles])
    found = steady_state(part, parameters, inputs=inputs)
    return np.where(found.is_ok[:, None], found.states, np.nan), found.changes


class _Search:
    """Cycles with an interval, solved together."""

    def __init__(
        self, part: OdeSystem, cycles: Sequence[DoseCycle], start: FloatArray | None
    ) -> None:
        self.part, self.cycles = part, cycles
        self.parameters = np.array([cycle.parameters for cycle in cycles])
        self.intervals = np.array([cycle.interval for cycle in cycles])
        self.dose = np.array([cycle.amount for cycle in cycles])
        self.events = [_events(cycle) for cycle in cycles]
        self.values = self._start() if start is None else np.array(start)

    def _start(self) -> FloatArray:
        nobody = Schedule.empty(len(self.cycles))
        problem = EnsembleProblem(self.part, self.parameters, nobody, np.zeros(1), self.part.states)
        return solve(problem).values[:, 0]

    def after(self, rows: IntArray, values: FloatArray, times: FloatArray) -> FloatArray:
        """States of cycles `rows` a time after a dose that was given at `values`.

        Each stops at his own time, so that his steps do not depend on the others' times.
        """
        grid, place = np.unique(times, return_inverse=True)
        events = [
            [*self.events[i], Event(float(time), Action.ADD, self.cycles[i].target, 0.0)]
            for i, time in zip(rows, times, strict=True)
        ]
        problem = EnsembleProblem(
            self.part,
            self.parameters[rows],
            Schedule.of_events(self.part, events),
            grid,
            self.part.states,
            0.0,
            values,
        )
        found = solve(problem, tolerance=TOLERANCE)
        result: FloatArray = found.values[np.arange(len(rows)), place.ravel()]
        return result

    def run(self) -> tuple[FloatArray, FloatArray]:
        """States at the phases, and the last Newton step as a share of what is allowed."""
        n, n_states = self.values.shape
        values, errors = self.values, np.full(n, np.inf)
        inverse = np.zeros((n, n_states, n_states))
        derivatives = np.zeros(n, dtype=np.int64)
        is_stale, is_open = np.ones(n, dtype=bool), np.ones(n, dtype=bool)
        for _ in range(MOST_STEPS):
            rows = np.flatnonzero(is_open & is_stale)
            for _ in range(FIRST_DOSES if len(rows) else 0):
                values[rows] = self.after(rows, values[rows], self.intervals[rows])
            is_open &= np.isfinite(values).all(axis=1) & ~(
                is_stale & (derivatives >= MOST_DERIVATIVES)
            )
            rows = np.flatnonzero(is_open & is_stale)
            if len(rows):
                inverse[rows] = self._inverse(rows, values[rows])
                derivatives[rows] += 1
                is_stale[rows] = False
            rows = np.flatnonzero(is_open)
            if not len(rows):
                break
            moved = self.after(rows, values[rows], self.intervals[rows]) - values[rows]
            step = np.einsum("rij,rj->ri", inverse[rows], moved)
            new = values[rows] + step
            allowed = RELATIVE * np.abs(new) + OF_DOSE * self.dose[rows, None] + 1e-300
            # what moves although no step can change it has no steady state
            error = np.maximum(np.abs(step), np.abs(moved)) / allowed
            error = error.max(axis=1)
            # a step that does not shrink, or leads below zero: go on with doses from here
            is_below = ((new < -allowed) & (values[rows] >= 0)).any(axis=1)
            is_astray = ~np.isfinite(error) | is_below | (error > 0.5 * errors[rows])
            is_astray &= ~(error <= 1.0)
            good = rows[~is_astray]
            values[good], errors[good] = new[~is_astray], error[~is_astray]
            is_stale[rows[is_astray]], errors[rows[is_astray]] = True, np.inf
            is_open[good[errors[good] <= 1.0]] = False
        is_found = errors <= 1.0
        values[~is_found] = np.nan
        later = np.array([cycle.phase for cycle in self.cycles])
        rows = np.flatnonzero(is_found & (later > 0))
        if len(rows):
            values[rows] = self.after(rows, values[rows], later[rows])
        return values, errors

    def _inverse(self, rows: IntArray, values: FloatArray) -> FloatArray:
        """Inverse of 1 - derivative of the map; shape (row, state, state)."""
        n = values.shape[1]
        size = np.abs(values).max(axis=1)
        step = DIFFERENCE * np.maximum(
            np.abs(values), 0.1 * np.minimum(self.dose[rows], size)[:, None]
        )
        step = np.maximum(step, 1e-9)
        all_rows = np.repeat(rows, n + 1)
        starts = np.repeat(values, n + 1, axis=0).reshape(len(rows), n + 1, n)
        for j in range(n):
            starts[:, j + 1, j] += step[:, j]
        ends = self.after(all_rows, starts.reshape(-1, n), self.intervals[all_rows])
        ends = ends.reshape(len(rows), n + 1, n)
        slope = (ends[:, 1:] - ends[:, :1]) / step[:, :, None]
        matrix: FloatArray = np.eye(n) - slope.transpose(0, 2, 1)
        result: FloatArray = np.zeros(matrix.shape)
        for i, own in enumerate(matrix):
            if np.isfinite(own).all():
                result[i] = _inverse_keeping(own)
        return result


def _inverse_keeping(matrix: FloatArray) -> FloatArray:
    """Inverse; where there is a conserved quantity, the one that leaves it unchanged."""
    left, sizes, right = np.linalg.svd(matrix)
    is_lost = sizes < CONSERVED * max(1.0, float(sizes[0]))
    inverted = np.where(is_lost, 0.0, 1.0 / np.where(is_lost, 1.0, sizes))
    result = (right.T * inverted) @ left.T
    if is_lost.any():
        w, v = left[:, is_lost], right[is_lost].T
        result = result - v @ np.linalg.solve(w.T @ v, w.T @ result)
    return np.asarray(result, dtype=np.float64)


def _events(cycle: DoseCycle) -> list[Event]:
    """What is given in an interval that begins with a dose."""
    if cycle.duration <= 0:
        return [Event(0.0, Action.ADD, cycle.target, cycle.amount)]
    rate = cycle.amount / cycle.duration
    n_running = int(cycle.duration / cycle.interval * (1 + 1e-12))  # from earlier doses, all along
    rest = cycle.duration - n_running * cycle.interval
    events = [Event(0.0, Action.RATE, cycle.target, n_running * rate)] if n_running else []
    if rest > 1e-12 * cycle.interval:
        events.append(Event(0.0, Action.RATE, cycle.target, rate))
        events.append(Event(rest, Action.RATE, cycle.target, -rate))
    return events
