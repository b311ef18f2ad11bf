"""One course of any model: settings by name, doses in words, and clear words where it fails."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from immunostat.base.errors import InputError, ModelError, UnknownNameError, near_matches
from immunostat.engine.diagnosis import diagnose
from immunostat.engine.frames import Solution
from immunostat.engine.problem import Action, EnsembleProblem, Event, Schedule, Tolerance
from immunostat.engine.solve import solve
from immunostat.model.system import FloatArray, OdeSystem

#: Doses that one line may make.
MOST_DOSES = 10_000

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_DOSE = re.compile(
    rf"\s*(?P<amount>{_NUMBER})\s+(?:in(?:to)?\s+)?(?P<state>[A-Za-z_]\w*)"
    rf"(?P<rest>(?:\s+(?:at|every|times|over)\s+{_NUMBER})*)\s*"
)
_PART = re.compile(rf"(at|every|times|over)\s+({_NUMBER})")
_EXAMPLE = "for example '100 central at 0 every 24 times 5 over 2'"


@dataclass(frozen=True)
class DoseLine:
    """A dose and its repeats: amount into a state, over a time or at once, in the model's units."""

    amount: float
    state: str
    at: float = 0.0
    every: float = 0.0
    times: int = 1
    over: float = 0.0


def dose_line(text: str) -> DoseLine:
    """Read ``100 central at 0 every 24 times 5 over 2``; all but amount and state may be left out.

    Raises
    ------
    InputError
        The text is not of this form, or its numbers make no sense.

    Examples
    --------
    >>> dose_line("100 central every 24 times 3")
    DoseLine(amount=100.0, state='central', at=0.0, every=24.0, times=3, over=0.0)
    """
    match = _DOSE.fullmatch(text)
    if match is None:
        raise InputError(f"'{text}' is no dose", remedy=_EXAMPLE)
    parts: dict[str, float] = {}
    for word, value in _PART.findall(match["rest"]):
        if word in parts:
            raise InputError(f"'{text}' says '{word}' twice", remedy=_EXAMPLE)
        parts[word] = float(value)
    times = parts.get("times", 1.0)
    if times != int(times) or not 1 <= times <= MOST_DOSES:
        raise InputError(
            f"'{text}': 'times' is a whole number from 1 to {MOST_DOSES}", remedy=_EXAMPLE
        )
    if times > 1 and not parts.get("every", 0.0) > 0:
        raise InputError(f"'{text}' repeats without saying 'every' how long", remedy=_EXAMPLE)
    if parts.get("over", 0.0) < 0 or parts.get("at", 0.0) < 0:
        raise InputError(f"'{text}': times are not negative", remedy=_EXAMPLE)
    return DoseLine(
        float(match["amount"]),
        match["state"],
        parts.get("at", 0.0),
        parts.get("every", 0.0),
        int(times),
        parts.get("over", 0.0),
    )


def _events(system: OdeSystem, doses: Sequence[DoseLine]) -> list[Event]:
    events = []
    for dose in doses:
        if dose.state not in system.states:
            raise UnknownNameError(
                f"'{dose.state}' is no state of model '{system.name}' that could take a dose",
                remedy=near_matches(dose.state, system.states),
            )
        for i in range(dose.times):
            begin = dose.at + i * dose.every
            if dose.over:
                rate = dose.amount / dose.over
                events.append(Event(begin, Action.RATE, dose.state, rate))
                events.append(Event(begin + dose.over, Action.RATE, dose.state, -rate))
            else:
                events.append(Event(begin, Action.ADD, dose.state, dose.amount))
    return events


def simulate_course(
    system: OdeSystem,
    times: npt.ArrayLike,
    settings: Mapping[str, float] | None = None,
    doses: Sequence[DoseLine] = (),
    outputs: Sequence[str] | None = None,
    relative_tolerance: float = 1e-8,
    absolute_tolerance: float = 1e-12,
) -> Solution:
    """Solve a model once.

    Parameters
    ----------
    system
        From `load_model`.
    times
        Sample times, ascending, in the model's unit of time.
    settings
        Values of parameters, and start values of states, by name.
    doses
        From `dose_line`.
    outputs
        What to sample; states and the species among the assignments if None.

    Raises
    ------
    UnknownNameError
        A setting, dose or output is no name of the model.
    ModelError
        The model could not be solved; the message says when, what moved fastest, what to try.
    """
    sampled = np.asarray(times, dtype=np.float64)
    start = min(0.0, float(sampled[0])) if len(sampled) else 0.0
    changed, parameters, states = _with_settings(system, dict(settings or {}))
    names = tuple(outputs) if outputs is not None else shown_names(system)
    unknown = [name for name in names if name not in set(system.names)]
    if unknown:
        raise UnknownNameError(
            f"model '{system.name}' has nothing called '{unknown[0]}'",
            remedy=near_matches(unknown[0], system.names),
        )
    problem = EnsembleProblem(
        changed,
        parameters,
        Schedule.of_events(changed, [_events(changed, doses)]),
        sampled,
        names,
        start=start,
        initial_states=states,
    )
    tolerance = Tolerance(relative_tolerance, absolute_tolerance)
    found = solve(problem, tolerance=tolerance, threads=1)
    failure = diagnose(problem, found, 0, tolerance)
    if failure:
        head, _, remedy = failure.rpartition("; ")
        raise ModelError(f"model '{system.name}' {head}", remedy=remedy)
    return Solution(found, pd.Index([0]))


def shown_names(system: OdeSystem) -> tuple[str, ...]:
    """What a reader most likely wants to see: the states, those that are amounts by species."""
    assigned = {name for name, _ in system.assignments}
    names = []
    for state in system.states:
        species = state.removesuffix("__amount")
        names.append(species if species != state and species in assigned else state)
    if names:
        return tuple(names)
    return tuple(name for name, _ in system.assignments) or system.parameters


def _with_settings(
    system: OdeSystem, settings: dict[str, float]
) -> tuple[OdeSystem, FloatArray, FloatArray | None]:
    """System, parameters and start values with settings applied."""
    parameters = system.defaults.copy()
    fixed: set[str] = set()
    starts: dict[str, float] = {}
    for name, value in settings.items():
        if name in system.parameters:
            parameters[system.parameters.index(name)] = value
            fixed.add(name)
        elif name in system.states:
            starts[name] = value
        else:
            why = "follows from other names" if name in system.names else "is not in it"
            choices = (*system.parameters, *system.states)
            raise UnknownNameError(
                f"model '{system.name}': '{name}' cannot be set, it {why}",
                remedy=near_matches(name, choices),
            )
    # a parameter that was set no longer follows from others
    derived = tuple((n, e) for n, e in system.derived_parameters if n not in fixed)
    changed = replace(system, derived_parameters=derived)
    if not starts:
        return changed, parameters[None, :], None
    at_start = EnsembleProblem(
        replace(changed, events=()),
        parameters[None, :],
        Schedule.empty(1),
        np.array([0.0]),
        system.states,
    )
    states = solve(at_start, threads=1).values[:, 0, :].copy()
    for name, value in starts.items():
        states[0, system.states.index(name)] = value
    return changed, parameters[None, :], states
