"""Why a patient could not be solved, in words: when, which state moved fastest, what to try."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from immunostat.engine.formulas import Formulas, no_past
from immunostat.engine.problem import Action, EnsembleProblem, Schedule, Tolerance
from immunostat.engine.solution import Status, Trajectories
from immunostat.engine.solve import solve
from immunostat.model.system import FloatArray

#: What happened, and what to try.
_WORDS = {
    Status.STEP_TOO_SMALL: (
        "the step became too small",
        "look for a term that blows up or jumps there, check signs and units, or allow a larger "
        "relative tolerance",
    ),
    Status.TOO_MANY_STEPS: (
        "it took too many steps",
        "allow a larger relative tolerance, or look for a term that makes the course oscillate "
        "quickly or jump",
    ),
    Status.NOT_FINITE: (
        "a rate is not a number",
        "look for a division by zero, a logarithm or root of a negative number, or growth "
        "without bound",
    ),
    Status.EVENT_STORM: (
        "its events set one another off without end",
        "give the trigger of one of them a margin, or a delay",
    ),
}


def diagnose(
    problem: EnsembleProblem,
    result: Trajectories,
    patient: int = 0,
    tolerance: Tolerance | None = None,
) -> str:
    """One or two sentences on a patient who was not solved to the end; empty if he was.

    Parameters
    ----------
    problem, result
        What was asked and answered.
    patient
        Index of the patient.
    tolerance
        As it was asked for.
    """
    status = Status(int(result.status[patient]))
    if status is Status.OK:
        return ""
    what, remedy = _WORDS.get(status, (status.name.lower().replace("_", " "), "check the model"))
    time = float(result.status_times[patient])
    missing = np.flatnonzero(np.isnan(problem.parameters[patient]))
    used = [problem.system.parameters[i] for i in missing]
    derived = {name for name, _ in problem.system.derived_parameters}
    used = [name for name in used if name not in derived]
    text = f"could not be solved past time {time:.6g}: {what}"
    if used and time <= problem.start:
        return f"{text}; parameter '{used[0]}' has no value; set it"
    fastest = _fastest(problem, patient, time, tolerance or Tolerance())
    return f"{text}{fastest}; {remedy}"


def _fastest(problem: EnsembleProblem, patient: int, time: float, tolerance: Tolerance) -> str:
    """Words on the state that moved fastest, for its size, shortly before a time."""
    system = problem.system
    if not system.n_states or system.delays:
        return ""
    shares = np.array([0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999])
    times = problem.start + (time - problem.start) * shares
    own = _alone(problem, patient)
    before = replace(own, times=times, outputs=(*system.states, *system.parameters))
    found = solve(before, tolerance=tolerance, threads=1)
    is_known = np.isfinite(found.values[0, :, : system.n_states]).all(axis=1)
    if not is_known.any():
        return ""
    last = int(np.flatnonzero(is_known)[-1])
    row: FloatArray = _after_events(own, found.values[0, last], times[last], time)
    rates = Formulas(system, system.rates)(np.concatenate(([times[last]], row)), no_past)
    broken = np.flatnonzero(~np.isfinite(rates))
    if len(broken):
        return f" (that of '{system.states[broken[0]]}')"
    speed = np.abs(rates) / (np.abs(row[: system.n_states]) + tolerance.absolute)
    index = int(np.argmax(speed))
    value, rate = row[index], rates[index]
    return (
        f"; '{system.states[index]}' moved fastest, with value {value:.3g} and rate {rate:.3g} "
        f"at time {times[last]:.6g}"
    )


def _after_events(own: EnsembleProblem, row: FloatArray, since: float, time: float) -> FloatArray:
    """States and parameters with what the schedule does to them from `since` to `time`."""
    schedule, n_states = own.schedule, own.system.n_states
    values = row.copy()
    for when, action, target, value in zip(
        schedule.times, schedule.actions, schedule.targets, schedule.values, strict=True
    ):
        if not since <= when <= time + 1e-9 * max(1.0, abs(time)):
            continue
        if action == Action.ADD:
            values[target] += value
        elif action == Action.REPLACE:
            values[target] = value
        elif action == Action.SET:
            values[n_states + target] = value
    return values


def _alone(problem: EnsembleProblem, patient: int) -> EnsembleProblem:
    """The problem of one patient."""
    schedule = problem.schedule
    own = slice(int(schedule.offsets[patient]), int(schedule.offsets[patient + 1]))
    offsets = np.array([0, own.stop - own.start], dtype=np.int64)
    arrays = [getattr(schedule, n)[own] for n in ("times", "actions", "targets", "values")]
    initial = problem.initial_states
    return replace(
        problem,
        parameters=problem.parameters[patient : patient + 1],
        schedule=Schedule(offsets, *arrays),
        initial_states=None if initial is None else initial[patient : patient + 1],
    )
