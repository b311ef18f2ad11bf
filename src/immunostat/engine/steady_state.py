"""Steady states: where a patient without events comes to rest.

Linearly implicit Euler steps, ``(1/step - J) change = rate``, follow the patient's own course
while steps are short and are Newton's method when they are long (pseudo-transient continuation;
Kelley & Keyes 1998, SIAM J. Numer. Anal. 35:508). A step is taken if the rates at its end are
those that the linear model foretells, and grows as far as they are. A quantity that the rates
conserve keeps its value, as it does in time.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from immunostat.base.errors import ModelError, RangeError, ShapeError
from immunostat.engine.kernel import Kernel, make_kernel, new_blocks
from immunostat.engine.layout import Layout
from immunostat.engine.newton_step import NEWTON
from immunostat.engine.passes import system_graph
from immunostat.engine.problem import (
    Action,
    EnsembleProblem,
    Event,
    IntArray,
    Schedule,
    Tolerance,
)
from immunostat.engine.solve import solve
from immunostat.model.expressions import free_names
from immunostat.model.system import TIME, FloatArray, OdeSystem

#: Longest step, in the model's unit of time: what moves over longer times only counts as at rest.
#: A longer one would let conserved quantities drift by the round-off of their rates.
LONGEST_STEP = 1e7

#: Steps after which a patient is given up. A course of many turns takes a hundred.
MOST_STEPS = 500

#: Deviation of the rates from the linear model, as a share of the rates before: a step with more
#: than `REFUSED` is taken back, and the step's length aims at `WANTED`.
REFUSED, WANTED = 0.5, 0.1

#: A change of so many tolerances is far from rest: it must go with the rates.
FAR = 1e5

LEAST_FACTOR, MOST_FACTOR, AFTER_REFUSAL = 0.1, 20.0, 0.3

#: A patient whose step becomes shorter is given up.
LEAST_STEP = 1e-14

#: An eigenvalue of the Jacobian with a real part above this share of the largest is unstable; one
#: within it is round-off or a conserved quantity.
UNSTABLE_SHARE = 1e-12

#: Where the search ends in no stable state, it begins again from where an integration has come
#: after this time, in at most so many steps.
SETTLING_TIME, SETTLING_STEPS = 1e5, 20_000

#: Blocks of lanes iterated at once.
BLOCKS = 256


class SteadyStatus(IntEnum):
    """How the search for one patient's steady state ended."""

    OK = 0
    NOT_SETTLED = 1  #: too many steps, as on the way to a cycle or to infinity
    NOT_FINITE = 2  #: the rates at the start are not finite
    UNSTABLE = 3  #: at rest, but the least disturbance grows


@dataclass(frozen=True)
class SteadyStates:
    """Steady states of patients.

    Parameters
    ----------
    states
        Not a number where the status is neither ``OK`` nor ``UNSTABLE``. Shape (patient, state).
    status
        One `SteadyStatus` per patient. Shape (patient,).
    steps
        Steps tried. Shape (patient,).
    changes
        Change of the last step in units of the tolerance, root mean square. Shape (patient,).
    """

    states: FloatArray
    status: IntArray
    steps: IntArray
    changes: FloatArray

    @property
    def is_ok(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which patients rest in a stable state. Shape (patient,)."""
        return np.asarray(self.status == SteadyStatus.OK)


def steady_state(
    system: OdeSystem,
    parameters: FloatArray | None = None,
    *,
    start: FloatArray | None = None,
    inputs: FloatArray | None = None,
    tolerance: Tolerance | None = None,
    checks_stability: bool = True,
) -> SteadyStates:
    """States at which every rate is zero, reached from the model's start values.

    Parameters
    ----------
    system
        A model whose rates do not use time.
    parameters
        One row per patient; None is one patient with the model's defaults. Shape (patient,
        parameter).
    start
        Where the search starts; None takes ``system.initial``. Shape (patient, state).
    inputs
        Constant inputs (infusions that never end), per unit of time. Shape (patient, state).
    tolerance
        Largest error of a state, as estimated by Newton's method; None is 1e-9 relative and
        1e-12 absolute.
    checks_stability
        Whether the eigenvalues of the Jacobian are computed; without it no patient is
        ``UNSTABLE``.

    Raises
    ------
    ModelError
        The rates use time: there is no steady state.
    ShapeError
        `parameters`, `start` or `inputs` do not fit the system.

    Examples
    --------
    >>> import immunostat as im
    >>> model = im.load_model("docs/examples/one_compartment.ant")
    >>> infused = steady_state(model, inputs=np.array([[6.0]]))  # rate over rate constant
    >>> infused.states.round(6)
    array([[20.]])
    """
    if parameters is None:
        parameters = system.defaults[None, :]
    _check(system, parameters, start, inputs)
    tolerance = tolerance or Tolerance(1e-9, 1e-12)
    if not (tolerance.relative > 0 and tolerance.absolute > 0):
        raise RangeError("tolerances must be greater than zero")
    kernel = make_kernel(system, (), NEWTON)
    places = list(system_graph(system).jacobian) if checks_stability else None

    values = parameters

    def search(rows: IntArray, begin: FloatArray | None) -> SteadyStates:
        own = None if inputs is None else inputs[rows]
        return _search(system, kernel, values[rows], begin, own, tolerance, places)

    found = search(np.arange(len(parameters)), start)
    # long steps pass over a hill or a turn of the course: let time lead these patients
    again = np.flatnonzero(np.isin(found.status, (SteadyStatus.UNSTABLE, SteadyStatus.NOT_SETTLED)))
    if len(again):
        later = _integrated(system, parameters, start, inputs, again)
        is_there = np.isfinite(later).all(axis=1)
        again = again[is_there]
        second = search(again, later[is_there])
        for name in ("states", "status", "changes"):
            getattr(found, name)[again] = getattr(second, name)
        found.steps[again] += second.steps
    return found


def _search(
    system: OdeSystem,
    kernel: Kernel,
    parameters: FloatArray,
    start: FloatArray | None,
    inputs: FloatArray | None,
    tolerance: Tolerance,
    places: list[tuple[int, int]] | None,
) -> SteadyStates:
    """Search from one start; `places` are those of the Jacobian where stability is to be seen."""
    n, chunk = len(parameters), BLOCKS * kernel.width
    found = SteadyStates(
        np.full((n, system.n_states), np.nan), np.zeros(n, np.int64), np.zeros(n, np.int64),
        np.full(n, np.nan),
    )  # fmt: skip
    for first in range(0, n, chunk):
        own = slice(first, min(n, first + chunk))
        search = _Search(system, kernel, parameters[own], tolerance)
        search.begin(None if start is None else start[own], None if inputs is None else inputs[own])
        search.iterate()
        count = own.stop - own.start
        found.status[own] = search.status.ravel()[:count]
        found.steps[own] = search.steps.ravel()[:count]
        found.changes[own] = search.changes.ravel()[:count]
        rows = np.flatnonzero(found.status[own] == SteadyStatus.OK)
        found.states[first + rows] = search.states()[rows]
        if places is not None and len(rows):
            is_unstable = search.is_unstable(places, rows)
            found.status[first + rows[is_unstable]] = SteadyStatus.UNSTABLE
    return found


def _integrated(
    system: OdeSystem,
    parameters: FloatArray,
    start: FloatArray | None,
    inputs: FloatArray | None,
    patients: IntArray,
) -> FloatArray:
    """States of some patients after `SETTLING_TIME`; not a number where they do not get there."""
    events: list[list[Event]] = [[] for _ in patients]
    if inputs is not None:
        for own, row in zip(events, inputs[patients], strict=True):
            own += [
                Event(0.0, Action.RATE, name, float(value))
                for name, value in zip(system.states, row, strict=True)
                if value
            ]
    problem = EnsembleProblem(
        system,
        parameters[patients],
        Schedule.of_events(system, events),
        np.array([SETTLING_TIME]),
        (),
        0.0,
        None if start is None else start[patients],
    )
    return solve(problem, max_steps=SETTLING_STEPS).final_states


def _check(
    system: OdeSystem,
    parameters: FloatArray,
    start: FloatArray | None,
    inputs: FloatArray | None,
) -> None:
    n = len(parameters)
    if parameters.shape != (n, system.n_parameters):
        raise ShapeError(
            f"parameters have shape {parameters.shape}; expected (patient, {system.n_parameters})"
        )
    for name, values in (("start", start), ("inputs", inputs)):
        if values is not None and values.shape != (n, system.n_states):
            raise ShapeError(f"{name} has shape {values.shape}; expected ({n}, {system.n_states})")
    if system.n_states == 0:
        raise ModelError(f"model '{system.name}' has no states: there is nothing to find")
    if not system.is_plain:
        raise ModelError(
            f"model '{system.name}' has events or delays",
            remedy="Its steady state is where a long simulation of it ends.",
        )
    if uses_time(system):
        raise ModelError(
            f"the rates of model '{system.name}' use time",
            remedy="A model has a steady state only if time itself does not act on it.",
        )


def uses_time(system: OdeSystem) -> bool:
    """Whether the rates depend on time itself."""
    needed: set[str] = set().union(*(free_names(rate) for rate in system.rates))
    for name, formula in reversed(system.assignments):
        if name in needed:
            needed |= free_names(formula)
    return TIME in needed


class _Search:
    """The patients of some blocks of lanes, iterated together. Arrays: (block, row, lane)."""

    def __init__(
        self, system: OdeSystem, kernel: Kernel, parameters: FloatArray, tolerance: Tolerance
    ) -> None:
        self.kernel, self.layout, self.tolerance = kernel, kernel.layout, tolerance
        self.n_states = system.n_states
        n_blocks = -(-len(parameters) // kernel.width)
        self._memory = new_blocks(kernel, n_blocks)
        self._row(Layout.MASK)[:] = self._row(Layout.INVERSE_STEP)[:] = 1.0
        self._row(Layout.ABSOLUTE)[:] = tolerance.absolute
        self._row(Layout.RELATIVE)[:] = tolerance.relative
        self._rows(self.layout.parameter, system.n_parameters)[:] = self._blocked(parameters)
        self._call("initialise")
        self._call("prepare")
        shape = (n_blocks, kernel.width)
        self.status = np.zeros(shape, dtype=np.int64)
        self.steps = np.zeros(shape, dtype=np.int64)
        self.changes = np.full(shape, np.nan)

    def _row(self, row: int) -> FloatArray:
        return self._memory[:, row]

    def _rows(self, row: int, n_rows: int) -> FloatArray:
        return self._memory[:, row : row + n_rows]

    def _call(self, name: str, blocks: Any = None) -> None:
        address = int(self.kernel.addresses[self.kernel.entry_points.index(name)])
        function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)
        first, stride = self._memory.ctypes.data, self._memory.strides[0]
        for k in range(len(self._memory)) if blocks is None else blocks:
            function(first + k * stride)

    def _blocked(self, values: FloatArray) -> FloatArray:
        """From (patient, row) to blocks; the last patient fills the lanes left over."""
        n_lanes = len(self._memory) * self.kernel.width
        padded = values[np.minimum(np.arange(n_lanes), len(values) - 1)]
        return padded.reshape(len(self._memory), self.kernel.width, -1).transpose(0, 2, 1)

    def flat(self, values: FloatArray) -> FloatArray:
        """From blocks to (lane, row)."""
        return values.transpose(0, 2, 1).reshape(-1, values.shape[1])

    def begin(self, start: FloatArray | None, inputs: FloatArray | None) -> None:
        """Start values and inputs."""
        layout, n = self.layout, self.n_states
        states = self._rows(layout.start, n) if start is None else self._blocked(start)
        self._rows(layout.state, n)[:] = states
        if inputs is not None:
            self._rows(layout.input, n)[:] = self._blocked(inputs)

    def states(self) -> FloatArray:
        """States of all lanes. Shape (lane, state)."""
        return self.flat(self._rows(self.layout.state, self.n_states))

    def iterate(self) -> None:
        """Step until every lane rests or is given up."""
        states = self._rows(self.layout.state, self.n_states).copy()
        longest = np.full(self.status.shape, LONGEST_STEP)
        rates, change = self._evaluate(states, longest, None)
        with np.errstate(all="ignore"):
            scale = self._scale(states)
            speed = _norm(rates / scale)
            # until the states have become another multiple of themselves; at rest: the longest
            first = _norm((np.abs(states) + self.tolerance.absolute) / scale) / speed
        is_open = np.isfinite(speed)
        self.status[~is_open] = SteadyStatus.NOT_FINITE
        step = np.where(is_open, np.clip(first, 1e-12, LONGEST_STEP), LONGEST_STEP)
        rates, change = self._evaluate(states, step, is_open)
        for _ in range(MOST_STEPS):
            if not is_open.any():
                break
            with np.errstate(all="ignore"):
                trial = states + change
                new_rates, new_change = self._evaluate(trial, step, is_open)
                scale = self._scale(np.maximum(np.abs(states), np.abs(trial)))
                share = _norm((new_rates - change / step[:, None]) / scale) / _norm(rates / scale)
                size = _norm(change / scale)
                # once changes are within the tolerance, rates are round-off and foretell nothing
                is_round_off = (size <= 1.0) & (_norm(new_change / scale) <= 1.0)
                # a long step over an unstable rest turns back to it, against the rates
                is_back = (np.mean(rates * change / scale**2, axis=1) < 0) & (size > FAR)
                factor = np.clip(WANTED / share, LEAST_FACTOR, MOST_FACTOR)
            self.steps += is_open
            is_good = is_open & (((share <= REFUSED) & ~is_back) | is_round_off)
            factor[~np.isfinite(share)] = LEAST_FACTOR
            factor[is_round_off] = MOST_FACTOR
            factor[~is_good] = np.minimum(factor[~is_good], AFTER_REFUSAL)
            np.copyto(states, trial, where=is_good[:, None])
            np.copyto(self.changes, size, where=is_good)
            is_open &= ~(is_good & (size <= 1.0) & (step >= LONGEST_STEP))
            step = np.where(is_open, np.minimum(step * factor, LONGEST_STEP), step)
            is_lost = is_open & (step < LEAST_STEP)
            self.status[is_lost] = SteadyStatus.NOT_SETTLED
            is_open &= ~is_lost
            rates, change = self._evaluate(states, step, is_open)
        self.status[is_open] = SteadyStatus.NOT_SETTLED
        self._rows(self.layout.state, self.n_states)[:] = states

    def _scale(self, states: FloatArray) -> FloatArray:
        scale: FloatArray = self.tolerance.absolute + self.tolerance.relative * np.abs(states)
        return scale

    def _evaluate(
        self, states: FloatArray, step: FloatArray, is_open: Any
    ) -> tuple[FloatArray, FloatArray]:
        """Rates and the change that a step makes, anew in the blocks that have an open lane."""
        layout, n = self.layout, self.n_states
        chosen = None if is_open is None else np.flatnonzero(is_open.any(axis=1)).tolist()
        self._rows(layout.state, n)[:] = states
        self._row(Layout.DIAGONAL)[:] = 1.0 / step
        self._call("newton", chosen)
        return self._rows(layout.rate, n).copy(), self._rows(layout.stages, n).copy()

    def is_unstable(self, places: list[tuple[int, int]], rows: IntArray) -> Any:
        """Whether an eigenvalue of the Jacobian lies right of zero. Shape (row,)."""
        self._call("slopes")
        slopes = self.flat(self._rows(self.layout.output, len(places)))[rows]
        matrix = np.zeros((len(rows), self.n_states, self.n_states))
        matrix[:, [i for i, _ in places], [j for _, j in places]] = slopes
        is_whole = np.isfinite(matrix).all(axis=(1, 2))
        result = np.ones(len(rows), dtype=bool)
        if is_whole.any():
            values = np.linalg.eigvals(matrix[is_whole])
            largest = np.maximum(np.abs(values).max(axis=1), 1e-300)
            result[is_whole] = values.real.max(axis=1) > UNSTABLE_SHARE * largest
        return result


def _norm(values: FloatArray) -> FloatArray:
    """Root mean square over the rows. Shape (block, lane)."""
    norm: FloatArray = np.sqrt(np.mean(values * values, axis=1))
    return norm
