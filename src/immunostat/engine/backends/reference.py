"""The slow, readable ways: CVODE patient by patient, and Rodas5P in plain NumPy.

Formulas are evaluated here by symengine, not by the kernel's own graph, so that the two ways
check each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import symengine as se

from immunostat.engine.methods.explicit_rk import TSIT5, ExplicitRungeKutta
from immunostat.engine.methods.rosenbrock import RODAS5P, Rosenbrock
from immunostat.engine.problem import Action, EnsembleProblem, Schedule, Tolerance
from immunostat.engine.solution import Status, Trajectories
from immunostat.model.expressions import derivative, free_names, is_boolean, substitute
from immunostat.model.system import TIME, FloatArray, OdeSystem

#: As in the driver: two times closer than this, relative to their size or a day, are the same.
SAME_TIME = 1e-9


def _without_negative_bases(expression: Any, states: set[str]) -> Any:
    """Fractional powers of what depends on states: a negative base counts as zero."""
    if not expression.args or is_boolean(expression) or not free_names(expression) & states:
        return expression
    parts = [_without_negative_bases(part, states) for part in expression.args]
    if isinstance(expression, se.Piecewise):
        return se.Piecewise(*zip(parts[0::2], parts[1::2], strict=True))
    if type(expression).__name__ == "Pow" and free_names(parts[0]) & states:
        exponent = parts[1]
        is_number = getattr(exponent, "is_Number", False)
        if is_number and float(exponent) == int(float(exponent)):
            return parts[0] ** exponent
        clamped = se.Max(parts[0], se.Integer(0))
        if is_number:
            return clamped**exponent
        is_whole = se.Eq(exponent, se.floor(exponent))
        return se.Piecewise((parts[0] ** exponent, is_whole), (clamped**exponent, True))
    return expression.func(*parts)


class PlainSystem:
    """A system as ordinary functions of (time, states, parameters).

    Parameters
    ----------
    system
        The model.
    outputs
        Names to sample.
    """

    def __init__(self, system: OdeSystem, outputs: tuple[str, ...]) -> None:
        self.system = system
        states = set(system.states)
        known: dict[str, Any] = {}
        for name, expression in system.assignments:
            known[name] = _without_negative_bases(substitute(expression, known), states)
        rates = [_without_negative_bases(substitute(r, known), states) for r in system.rates]
        symbols = [se.Symbol(n) for n in (TIME, *system.states, *system.parameters)]
        self._symbols, self._rates_formulas = symbols, rates
        self._rates = _function(symbols, rates)
        self._outputs = _function(symbols, [known.get(n, se.Symbol(n)) for n in outputs])
        parameters = [se.Symbol(n) for n in system.parameters]
        self._initial = _function(parameters, list(system.initial))
        self._derived = [
            (system.parameters.index(name), _function(parameters, [e]))
            for name, e in system.derived_parameters
        ]
        self._slopes: Callable[[FloatArray], FloatArray] | None = None

    def derived(self, parameters: FloatArray) -> FloatArray:
        """Parameters with those that follow from others computed. Shape (parameter,)."""
        complete = np.array(parameters, dtype=np.float64)
        for index, function in self._derived:
            complete[index] = function(complete)[0]
        return complete

    def initial(self, parameters: FloatArray) -> FloatArray:
        """Start values. Shape (state,)."""
        return self._initial(parameters)

    def rates(self, time: float, states: FloatArray, parameters: FloatArray) -> FloatArray:
        """Time derivatives of the states, 1/day. Shape (state,)."""
        return self._rates(np.concatenate(([time], states, parameters)))

    def outputs(self, time: float, states: FloatArray, parameters: FloatArray) -> FloatArray:
        """Outputs. Shape (output,)."""
        return self._outputs(np.concatenate(([time], states, parameters)))

    def slopes(
        self, time: float, states: FloatArray, parameters: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Jacobian, shape (state, state), and derivatives by time, shape (state,)."""
        names = (*self.system.states, TIME)
        if self._slopes is None:
            formulas = [derivative(rate, n) for rate in self._rates_formulas for n in names]
            self._slopes = _function(self._symbols, formulas)
        values = self._slopes(np.concatenate(([time], states, parameters)))
        table = values.reshape(len(states), len(names))
        return table[:, :-1], table[:, -1]


def _function(symbols: list[Any], expressions: list[Any]) -> Callable[[FloatArray], FloatArray]:
    """Numerical function of a vector of symbols' values."""
    if not expressions:
        return lambda _: np.zeros(0)
    fixed = [e if hasattr(e, "args") else se.sympify(e) for e in expressions]
    if not symbols:  # Lambdify needs an argument
        numbers = np.array([float(e) for e in fixed])
        return lambda _: numbers.copy()
    # not with cse=True: symengine 0.15 then gives wrong numbers (found on BIOMD0000000151)
    compiled = se.Lambdify(symbols, fixed, real=True)
    return lambda values: np.asarray(compiled(values), dtype=np.float64).reshape(len(fixed))


@dataclass
class _Patient:
    """One patient under way."""

    time: float
    states: FloatArray
    parameters: FloatArray
    inputs: FloatArray


#: Integrates from a patient's time to a stop; samples inside (states by sample), new states,
#: status, time reached, accepted and rejected steps.
Segment = tuple[FloatArray, FloatArray, Status, float, int, int]
Integrate = Callable[[PlainSystem, _Patient, float, FloatArray, Tolerance, int], Segment]


def solve_one_by_one(
    problem: EnsembleProblem,
    tolerance: Tolerance,
    integrate: Integrate,
    progress: Callable[[int], None] | None = None,
    max_steps: int = 100_000,
) -> Trajectories:
    """Carry each patient through his schedule, from event to event."""
    plain = PlainSystem(problem.system, problem.outputs)
    n, times = problem.n_patients, np.asarray(problem.times, dtype=np.float64)
    values = np.full((n, len(times), len(problem.outputs)), np.nan)
    final_states = np.full((n, problem.system.n_states), np.nan)
    reached = np.full(n, problem.start)
    status, accepted, rejected = (np.zeros(n, dtype=np.int64) for _ in range(3))
    end = float(times[-1]) if len(times) else problem.start
    for p in range(n):
        patient = _begin(problem, plain, p)
        next_sample, next_event = 0, int(problem.schedule.offsets[p])
        stop = problem.start
        while True:
            slack = SAME_TIME * max(1.0, abs(stop))
            is_due = times[next_sample:] <= stop + slack
            inside = np.minimum(times[next_sample:][is_due], stop)
            samples, new, state_of, patient.time, good, bad = (
                integrate(plain, patient, stop, inside, tolerance, max_steps)
                if stop > patient.time
                else (
                    np.tile(patient.states, (len(inside), 1)),
                    patient.states,
                    Status.OK,
                    stop,
                    0,
                    0,
                )
            )
            accepted[p] += good
            rejected[p] += bad
            for row, moment in zip(samples, times[next_sample:], strict=False):
                values[p, next_sample] = plain.outputs(moment, row, patient.parameters)
                next_sample += 1
            if state_of is not Status.OK:
                status[p] = state_of
                break
            patient.states = new
            if end <= stop + slack:
                final_states[p] = new
                break
            next_event = _apply(problem.schedule, p, next_event, patient, stop)
            last = int(problem.schedule.offsets[p + 1])
            stop = min(end, problem.schedule.times[next_event] if next_event < last else end)
        reached[p] = patient.time
        if progress is not None:
            progress(p + 1)
    units = {o: problem.system.units[o] for o in problem.outputs if o in problem.system.units}
    return Trajectories(
        values, times, problem.outputs, status, reached, final_states, accepted, rejected, units
    )


def _begin(problem: EnsembleProblem, plain: PlainSystem, p: int) -> _Patient:
    parameters = plain.derived(problem.parameters[p])
    given = problem.initial_states
    states = plain.initial(parameters) if given is None else given[p].astype(np.float64)
    return _Patient(problem.start, states, parameters, np.zeros(len(states)))


def _apply(schedule: Schedule, p: int, index: int, patient: _Patient, now: float) -> int:
    """Apply the events that are due; index of the next one."""
    limit = now + SAME_TIME * max(1.0, abs(now))
    while index < schedule.offsets[p + 1] and schedule.times[index] <= limit:
        target, value = schedule.targets[index], schedule.values[index]
        action = Action(int(schedule.actions[index]))
        if action is Action.ADD:
            patient.states = patient.states.copy()
            patient.states[target] += value
        elif action is Action.RATE:
            patient.inputs[target] += value
        elif action is Action.SET:
            patient.parameters[target] = value
        else:
            patient.states = patient.states.copy()
            patient.states[target] = value
        index += 1
    return index


def cvode_segment(
    plain: PlainSystem,
    patient: _Patient,
    stop: float,
    inside: FloatArray,
    tolerance: Tolerance,
    max_steps: int,
    **linear_solver: Any,
) -> Segment:
    """CVODE from a patient's time to a stop; `linear_solver` are options of scikit-sundae."""
    from sksundae.cvode import CVODE

    parameters, inputs = patient.parameters, patient.inputs

    def rates(time: float, states: FloatArray, result: FloatArray) -> None:
        result[:] = plain.rates(time, states, parameters) + inputs

    # CVODE takes the Jacobian by differences: it only steers its iteration, not the answer
    solver = CVODE(
        rates,
        rtol=tolerance.relative,
        atol=tolerance.absolute,
        max_num_steps=max_steps,
        **linear_solver,
    )
    grid = np.unique(np.concatenate(([patient.time], inside, [stop])))
    if not np.isfinite(rates_at(plain, patient)).all():
        nothing = np.zeros((0, len(patient.states)))
        return nothing, patient.states, Status.NOT_FINITE, patient.time, 0, 0
    try:
        solution = solver.solve(grid, patient.states)
    except RuntimeError:
        nothing = np.zeros((0, len(patient.states)))
        return nothing, patient.states, Status.STEP_TOO_SMALL, patient.time, 0, 0
    times, states = np.asarray(solution.t), np.asarray(solution.y)
    is_done = bool(solution.success) and np.isfinite(states).all()
    covered = inside if is_done else inside[inside < times[-1]]
    samples = states[np.searchsorted(times, covered)] if len(covered) else states[:0]
    n_steps = int(getattr(solution, "nstep", 0) or 0)
    ended = Status.OK if is_done else Status.STEP_TOO_SMALL
    return samples, states[-1], ended, float(times[-1]), n_steps, 0


def rates_at(plain: PlainSystem, patient: _Patient) -> FloatArray:
    """Rates where a patient stands, inputs included. Shape (state,)."""
    return plain.rates(patient.time, patient.states, patient.parameters) + patient.inputs


def solve_with_cvode(
    problem: EnsembleProblem,
    tolerance: Tolerance,
    progress: Callable[[int], None] | None = None,
    max_steps: int = 100_000,
) -> Trajectories:
    """CVODE (variable-order BDF) for each patient; restarted at every event."""
    return solve_one_by_one(problem, tolerance, cvode_segment, progress, max_steps)


def rosenbrock_step(
    plain: PlainSystem,
    time: float,
    states: FloatArray,
    parameters: FloatArray,
    inputs: FloatArray,
    step: float,
    method: Rosenbrock = RODAS5P,
) -> tuple[FloatArray, FloatArray]:
    """One step as the textbook writes it; new states, and the stages. Shape (stage, state)."""
    jacobian, by_time = plain.slopes(time, states, parameters)
    matrix = np.eye(len(states)) / (step * method.gamma) - jacobian
    stages = np.zeros((method.n_stages, len(states)))
    trial = states
    for i in range(method.n_stages):
        trial = states + sum(
            (w * k for w, k in zip(method.a[i], stages, strict=False)), np.zeros(len(states))
        )
        rate = plain.rates(time + method.c[i] * step, trial, parameters) + inputs
        memory = sum(
            (w / step * k for w, k in zip(method.big_c[i], stages, strict=False)),
            np.zeros(len(states)),
        )
        stages[i] = np.linalg.solve(matrix, rate + memory + step * method.d[i] * by_time)
    return trial + stages[-1], stages


def dense_output(
    states: FloatArray, new: FloatArray, stages: FloatArray, theta: float, method: Rosenbrock
) -> FloatArray:
    """States at the share `theta` of a step. Shape (state,)."""
    g = [np.asarray(weights) @ stages for weights in method.dense]
    inner = g[0] + theta * (g[1] + theta * g[2])
    result: FloatArray = (1 - theta) * states + theta * (new + (1 - theta) * inner)
    return result


def explicit_step(
    plain: PlainSystem,
    time: float,
    states: FloatArray,
    parameters: FloatArray,
    inputs: FloatArray,
    step: float,
    method: ExplicitRungeKutta = TSIT5,
) -> tuple[FloatArray, FloatArray]:
    """One step as the textbook writes it; new states, and the stages. Shape (stage, state)."""
    stages = np.zeros((method.n_stages, len(states)))
    trial = states
    for i in range(method.n_stages):
        trial = states + step * np.asarray(method.a[i]) @ stages[:i] if i else states
        stages[i] = plain.rates(time + method.c[i] * step, trial, parameters) + inputs
    return trial, stages


def dense_output_explicit(
    states: FloatArray, stages: FloatArray, step: float, theta: float, method: ExplicitRungeKutta
) -> FloatArray:
    """States at the share `theta` of a step. Shape (state,)."""
    powers = theta ** np.arange(1, len(method.dense[0]) + 1)
    result: FloatArray = states + step * (np.asarray(method.dense) @ powers) @ stages
    return result
