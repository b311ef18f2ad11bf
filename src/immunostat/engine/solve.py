"""The only door to the engine."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from immunostat.base.errors import ModelError, RangeError
from immunostat.engine.problem import Action, EnsembleProblem, Tolerance
from immunostat.engine.solution import Trajectories

#: Names of the methods.
METHODS = ("rodas5p", "tsit5", "auto", "cvode")


def solve(
    problem: EnsembleProblem,
    *,
    method: str = "rodas5p",
    tolerance: Tolerance | None = None,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
    max_steps: int = 400_000,
) -> Trajectories:
    """Integrate every patient of a problem.

    A patient's numbers do not depend on the number of threads, on the other patients or on their
    number. A sample at the time of an event (within 1e-9 of it, relative to the time or to a day)
    is taken before the event. What goes wrong in one patient stands in his status; his samples
    after that time are NaN.

    Parameters
    ----------
    problem
        Model, patients, schedules, sample times and outputs.
    method
        Of a model without events or delays of its own (one with them has a way of its own, see
        `state_events`): ``"rodas5p"``, compiled and fast; ``"tsit5"``, the same for models that
        are not stiff; ``"auto"``, one of the two by the rule in `choice`; or ``"cvode"``, the
        slow reference, one by one. A model too large to compile (see `large`) is solved by CVODE
        with a sparse Jacobian whichever is asked for.
    tolerance
        Wanted local error; None for the default.
    threads
        Number of threads; None for one per processor.
    progress
        Called about ten times a second with the number of patients finished so far.
    max_steps
        Steps after which a patient is given up; many years of daily doses take a hundred thousand.

    Returns
    -------
    Samples, status and final state of every patient.

    Raises
    ------
    RangeError
        Times are not ascending, or lie before the start.
    ModelError
        An output is not a name of the model, or a formula has no compiled form.
    """
    tolerance = tolerance or Tolerance()
    _check(problem, tolerance)
    if method not in METHODS:
        raise RangeError(f"unknown method '{method}'; known are {', '.join(METHODS)}")
    if not problem.system.is_plain or problem.system.n_states == 0:
        from immunostat.engine.state_events import solve_with_events

        return solve_with_events(problem, tolerance, progress, max_steps)
    if method == "cvode":
        from immunostat.engine.backends.reference import solve_with_cvode

        return solve_with_cvode(problem, tolerance, progress, max_steps)
    from immunostat.engine.large import TooLarge, solve_with_sparse_cvode

    try:
        return _solve_compiled(problem, tolerance, method, threads, progress, max_steps)
    except TooLarge:
        return solve_with_sparse_cvode(problem, tolerance, progress, max_steps)


def _solve_compiled(
    problem: EnsembleProblem,
    tolerance: Tolerance,
    method: str,
    threads: int | None,
    progress: Callable[[int], None] | None,
    max_steps: int,
) -> Trajectories:
    """Solve by one of the compiled methods, or by the one that suits."""
    n_threads = threads or os.cpu_count() or 1
    if method == "auto":
        from immunostat.engine.choice import solve_by_choice

        return solve_by_choice(problem, tolerance, n_threads, progress, max_steps)
    from immunostat.engine.backends.cpu import solve_on_cpu
    from immunostat.engine.writers import COMPILED_METHODS

    return solve_on_cpu(
        problem, tolerance, n_threads, progress, max_steps, COMPILED_METHODS[method]
    )


def _check(problem: EnsembleProblem, tolerance: Tolerance) -> None:
    """Refuse what would otherwise give wrong numbers or crash compiled code."""
    times, schedule, system = problem.times, problem.schedule, problem.system
    unknown = [name for name in problem.outputs if name not in set(system.names)]
    if unknown:
        raise ModelError(f"model '{system.name}' has nothing called '{unknown[0]}'")
    if not (tolerance.relative > 0 and tolerance.absolute > 0):
        raise RangeError("tolerances must be greater than zero")
    if not np.isfinite(times).all() or (np.diff(times) < 0).any():
        raise RangeError("sample times must be finite numbers in ascending order")
    if len(times) and times[0] < problem.start:
        raise RangeError(f"the first sample, day {times[0]:g}, is before the start")
    _check_schedule(problem)
    offsets = schedule.offsets
    if len(schedule.times) == 0:
        return
    if not np.isfinite(schedule.times).all():
        raise RangeError("the time of an event is not a finite number")
    if schedule.times.min() < problem.start:
        raise RangeError(
            f"an event on day {schedule.times.min():g} is before the start, day {problem.start:g}"
        )
    falls = np.flatnonzero(np.diff(schedule.times) < 0) + 1
    inside = np.setdiff1d(falls, offsets)
    if len(inside):
        patient = int(np.searchsorted(offsets, inside[0], side="right")) - 1
        raise RangeError(f"the events of patient {patient} are not sorted by time")


def _check_schedule(problem: EnsembleProblem) -> None:
    """Compiled code indexes without looking: offsets and targets must be within bounds."""
    schedule, system = problem.schedule, problem.system
    n = len(schedule.times)
    lengths = {len(schedule.actions), len(schedule.targets), len(schedule.values), n}
    offsets = schedule.offsets
    if len(lengths) != 1 or offsets[0] != 0 or offsets[-1] != n or (np.diff(offsets) < 0).any():
        raise RangeError("the schedule's arrays do not belong together")
    is_known = np.isin(schedule.actions, [int(a) for a in Action])
    limit = np.where(schedule.actions == Action.SET, system.n_parameters, system.n_states)
    if not is_known.all() or ((schedule.targets < 0) | (schedule.targets >= limit)).any():
        raise RangeError("an event has an unknown action or target")
