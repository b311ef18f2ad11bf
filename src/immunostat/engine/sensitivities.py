"""Forward sensitivities: how outputs change with parameters, solved along with the states.

For each parameter p and state y the augmented system has a state s = c dy/dp with

    s' = sum over states j of (df/dy_j) s_j + c df/dp,    s(0) = c dy(0)/dp

where c is the size of the model's own p (or 1), so that s has the size of a state and the
tolerance means the same for both. The kernels solve it like any other system: the order of
elimination finds that each parameter's states stand beside the model's in blocks of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import symengine as se

from immunostat.base.errors import ModelError, UnknownNameError, near_matches
from immunostat.engine.problem import Action, EnsembleProblem, IntArray, Schedule, Tolerance
from immunostat.engine.solution import Trajectories
from immunostat.engine.solve import solve
from immunostat.model.expressions import derivative, free_names
from immunostat.model.system import FloatArray, OdeSystem


@dataclass(frozen=True)
class Sensitivities:
    """Derivatives of sampled outputs by parameters.

    Parameters
    ----------
    values
        Derivative of an output by a parameter; NaN after a patient failed. Shape (patient, time,
        output, parameter).
    parameters
        Names of the last axis.
    trajectories
        The outputs themselves, and each patient's status.
    """

    values: FloatArray
    parameters: tuple[str, ...]
    trajectories: Trajectories

    def __getitem__(self, names: tuple[str, str]) -> FloatArray:
        """Derivative of one output by one parameter. Shape (patient, time)."""
        output, parameter = names
        place = self.trajectories.outputs.index(output), self.parameters.index(parameter)
        values: FloatArray = self.values[:, :, place[0], place[1]]
        return values


def sensitivities(
    problem: EnsembleProblem,
    parameters: Sequence[str],
    *,
    method: str = "rodas5p",
    tolerance: Tolerance | None = None,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
    max_steps: int = 100_000,
) -> Sensitivities:
    """Outputs of every patient and their derivatives by parameters.

    Parameters
    ----------
    problem
        As for `solve`. Start values given with it do not depend on parameters.
    parameters
        Names of parameters of the model that do not follow from others.
    method, tolerance, threads, progress, max_steps
        As for `solve`; the tolerance holds for states and for their scaled derivatives.

    Raises
    ------
    UnknownNameError
        A name is no parameter of the model.
    ModelError
        The model has events or delays, a parameter follows from others, or an event of the
        schedule sets a parameter that is asked for.

    Examples
    --------
    >>> import immunostat as im, numpy as np
    >>> from immunostat.engine.problem import Action, EnsembleProblem, Event, Schedule
    >>> model = im.load_model("docs/examples/one_compartment.ant")
    >>> dose = [[Event(0.0, Action.ADD, "central", 100.0)]]
    >>> ask = EnsembleProblem(
    ...     model, model.defaults[None, :], Schedule.of_events(model, dose), np.array([2.0]),
    ...     ("concentration",),
    ... )
    >>> found = sensitivities(ask, ["clearance"])
    >>> found["concentration", "clearance"].round(3)  # -t/V of the concentration
    array([[-1.098]])
    """
    names = tuple(dict.fromkeys(parameters))
    _check(problem, names)
    system = problem.system
    scales = {name: _scale(system, name) for name in names}
    augmented = augmented_system(system, scales)
    n_outputs = len(problem.outputs)
    asked = [(o, p) for p in names for o in problem.outputs]
    own = {o for o, p in asked if o not in system.parameters}
    outputs = (*problem.outputs, *(_per(o, p) for o, p in asked if o in own))
    start = problem.initial_states
    if start is not None:
        start = np.hstack([start, np.zeros((len(start), system.n_states * len(names)))])
    larger = EnsembleProblem(
        augmented,
        _with_derived(problem.parameters, augmented),
        _with_replaced(problem.schedule, system, augmented, names),
        problem.times,
        outputs,
        problem.start,
        start,
    )
    found = solve(
        larger,
        method=method,
        tolerance=tolerance,
        threads=threads,
        progress=progress,
        max_steps=max_steps,
    )
    shape = (problem.n_patients, len(problem.times), n_outputs, len(names))
    values = np.zeros(shape)
    column = {name: k for k, name in enumerate(outputs)}
    for o, output in enumerate(problem.outputs):
        for p, name in enumerate(names):
            if output in own:
                values[:, :, o, p] = found.values[:, :, column[_per(output, name)]] / scales[name]
            else:
                values[:, :, o, p] = _of_parameter(system, output, name, found.values[:, :, o])
    plain = replace(
        found,
        values=found.values[:, :, :n_outputs],
        outputs=problem.outputs,
        final_states=found.final_states[:, : system.n_states],
        units={n: system.units[n] for n in problem.outputs if n in system.units},
    )
    return Sensitivities(values, names, plain)


def _check(problem: EnsembleProblem, names: tuple[str, ...]) -> None:
    system = problem.system
    if not system.is_plain:
        raise ModelError(f"model '{system.name}' has events or delays: no sensitivities")
    derived = {name for name, _ in system.derived_parameters}
    schedule = problem.schedule
    set_by_events = set(schedule.targets[schedule.actions == Action.SET].tolist())
    for name in names:
        if name not in system.parameters:
            raise UnknownNameError(
                f"'{name}' is no parameter of model '{system.name}'",
                remedy=near_matches(name, system.parameters),
            )
        if name in derived:
            raise ModelError(f"parameter '{name}' follows from others; ask for those")
        if system.parameters.index(name) in set_by_events:
            raise ModelError(f"an event of the schedule sets parameter '{name}'")


def _scale(system: OdeSystem, name: str) -> float:
    """Size of the model's own value; the same for all patients, so that kernels are shared."""
    value = abs(float(system.defaults[system.parameters.index(name)]))
    return value if 0.0 < value < np.inf else 1.0


def _per(name: str, parameter: str) -> str:
    """Name of a scaled derivative."""
    return f"{name}__per__{parameter}"


def augmented_system(system: OdeSystem, scales: Mapping[str, float]) -> OdeSystem:
    """The model with the scaled derivatives of its states, assignments and derived parameters.

    Parameters
    ----------
    system
        The model.
    scales
        Parameters, and what their derivatives are multiplied by.
    """
    states, initial, rates = list(system.states), list(system.initial), list(system.rates)
    assignments, derived = list(system.assignments), list(system.derived_parameters)
    parameters = list(system.parameters)
    for name, scale in scales.items():
        moved = _Moved(name, scale)
        for own, formula in system.derived_parameters:
            slope = moved.slope(formula)
            if slope != 0:
                derived.append((_per(own, name), slope))
                parameters.append(_per(own, name))
                moved.names.add(own)
        starts = [moved.slope(formula) for formula in system.initial]
        moved.names.update(system.states)
        for own, formula in system.assignments:
            assignments.append((_per(own, name), moved.slope(formula)))
            moved.names.add(own)
        states += [_per(own, name) for own in system.states]
        initial += starts
        rates += [moved.slope(rate) for rate in system.rates]
    defaults = np.concatenate([system.defaults, np.zeros(len(parameters) - system.n_parameters)])
    return replace(
        system,
        name=f"{system.name} with sensitivities",
        states=tuple(states),
        parameters=tuple(parameters),
        defaults=defaults,
        initial=tuple(initial),
        assignments=tuple(assignments),
        rates=tuple(rates),
        derived_parameters=tuple(derived),
    )


class _Moved:
    """What changes with one parameter: names that have a scaled derivative of their own."""

    def __init__(self, name: str, scale: float) -> None:
        self.name, self.scale = name, scale
        self.names: set[str] = set()

    def slope(self, formula: object) -> object:
        """Scaled derivative of a formula, by the chain rule."""
        used = free_names(formula)
        total = se.Integer(0)
        for own in sorted(used & self.names):
            total += derivative(formula, own) * se.Symbol(_per(own, self.name))
        if self.name in used:
            total += derivative(formula, self.name) * se.RealDouble(self.scale)
        return total


def _with_derived(parameters: FloatArray, augmented: OdeSystem) -> FloatArray:
    """Columns for derivatives of derived parameters, which the kernel computes."""
    more = augmented.n_parameters - parameters.shape[1]
    return np.hstack([parameters, np.zeros((len(parameters), more))])


def _with_replaced(
    schedule: Schedule, system: OdeSystem, augmented: OdeSystem, names: tuple[str, ...]
) -> Schedule:
    """The schedule; what it sets to a number no longer depends on any parameter."""
    followers: dict[tuple[int, int], list[int]] = {}
    for i, own in enumerate(system.states):
        targets = [augmented.states.index(_per(own, name)) for name in names]
        followers[int(Action.REPLACE), i] = targets
    for i, own in enumerate(system.parameters):
        per = [_per(own, name) for name in names]
        known = [augmented.parameters.index(n) for n in per if n in augmented.parameters]
        followers[int(Action.SET), i] = known
    source: list[int] = []
    targets_: list[int] = []
    is_new: list[bool] = []
    counts = np.zeros(schedule.n_patients + 1, dtype=np.int64)
    for patient in range(schedule.n_patients):
        for k in range(int(schedule.offsets[patient]), int(schedule.offsets[patient + 1])):
            key = int(schedule.actions[k]), int(schedule.targets[k])
            own_targets = [key[1], *followers.get(key, ())]
            source += [k] * len(own_targets)
            targets_ += own_targets
            is_new += [False] + [True] * (len(own_targets) - 1)
            counts[patient + 1] += len(own_targets)
    index: IntArray = np.array(source, dtype=np.int64)
    values = np.where(np.array(is_new, dtype=bool), 0.0, schedule.values[index])
    return Schedule(
        np.cumsum(counts),
        schedule.times[index],
        schedule.actions[index],
        np.array(targets_, dtype=np.int64),
        values,
    )


def _of_parameter(system: OdeSystem, output: str, name: str, sampled: FloatArray) -> FloatArray:
    """Derivative of a parameter as an output: 1 by itself, 0 by another; NaN where unsolved."""
    if output in {own for own, _ in system.derived_parameters}:
        raise ModelError(f"output '{output}' follows from parameters; give it by a rule instead")
    slope = 1.0 if output == name else 0.0
    return np.where(np.isnan(sampled), np.nan, slope)
