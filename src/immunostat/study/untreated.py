"""The untreated patient at entry: a steady state, the end of a run-in, or the start values.

What a situation's card says (`SituationCard`), by key:

``steady_state.of: core``
    The core comes to rest while the states of the situation are held where they start. Where the
    situation drives no port of the core, this is the core alone.
``steady_state.of: all``
    Core and situation come to rest together.
``run_in``
    Core and situation run together for some time from their start values; where they are then
    is the state at entry.
``entry_state``, or none
    The start values of the equations, which may depend on the patient's parameters.

No drug is part of any of these models, so that a patient is the same in every study.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import symengine as se

from immunostat.base.errors import InputError, near_matches
from immunostat.base.units import convert
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.model_cards import SituationCard
from immunostat.engine.problem import EnsembleProblem, Schedule, Tolerance
from immunostat.engine.solve import solve
from immunostat.model.expressions import free_names
from immunostat.model.influence import readers, reads
from immunostat.model.system import FloatArray, OdeSystem

#: A state that still changes by more than this share in the last tenth of the time is not at rest.
REST_CHANGE = 0.01

#: The same for states about zero, in the unit of the state.
REST_ABSOLUTE = 1e-6

REST_SHARE_OF_TIME = 0.1


@dataclass(frozen=True)
class Untreated:
    """The model in which the untreated patient is found, and how.

    Parameters
    ----------
    system
        Core, or core and situation; without drugs.
    taken_over
        States with which the patient enters; all others begin at their start values.
    duration_day
        How long it is integrated; 0 for start values.
    is_checked
        Whether a patient must be at rest at the end.
    off
        Parameters that are 0 until entry.
    """

    system: OdeSystem
    taken_over: tuple[str, ...]
    duration_day: float
    is_checked: bool = False
    off: tuple[str, ...] = ()


def untreated_of(situation: SituationCard, core: OdeSystem, joined: OdeSystem | None) -> Untreated:
    """How the untreated patients of a situation are found.

    Parameters
    ----------
    core
        The core alone.
    joined
        Core and situation without drugs; None where the core alone will do (`needs_joined`).
    """
    steady, run_in = situation.steady_state, situation.run_in
    fact = steady.duration if steady else run_in.duration if run_in else None
    days = convert(fact.value, fact.unit, "day") if fact else 0.0
    if joined is None:
        assert steady is not None
        return Untreated(core, core.states, days)
    kept = tuple(state for state in joined.states if state not in situation.trial_states)
    off = (situation.trial_switch,) if situation.trial_switch else ()
    if steady is None:
        return Untreated(joined, kept if run_in else (), days, off=off)
    if steady.of == "core":
        held = replace(
            joined,
            rates=tuple(
                rate if state in core.states else se.Integer(0)
                for state, rate in zip(joined.states, joined.rates, strict=True)
            ),
        )
        return Untreated(held, core.states, days, is_checked=True, off=off)
    return Untreated(joined, kept, days, is_checked=True, off=off)


def needs_joined(situation: SituationCard) -> bool:
    """Whether the untreated patient is found in core and situation together."""
    steady = situation.steady_state
    return steady is None or steady.of == "all" or bool(situation.drives)


def check_untreated(
    catalog: Catalog, situation: SituationCard, untreated: Untreated, system: OdeSystem
) -> None:
    """Refuse names that the model lacks, and levels that act on the state they are read from.

    Raises
    ------
    InputError
        With file and line of the card.
    """
    card, key = f"situations/{situation.name}", situation.untreated_key

    def refuse(what: str, path: str, known: tuple[str, ...], why: str = "is no part") -> None:
        remedy = near_matches(what, known)
        raise InputError(f"'{what}' {why} of the model", catalog.place(card, path), remedy)

    own = situation.untreated
    for parameter in situation.from_covariates:
        if parameter in system.states:
            raise InputError(
                f"'{parameter}' is a state, not a parameter of the model",
                catalog.place(card, f"from_covariates.{parameter}"),
                "let the state start at a parameter, and name that one here",
            )
        if parameter not in system.parameters:
            refuse(parameter, f"from_covariates.{parameter}", system.parameters, "is no parameter")
    for parameter, name in situation.latent_entries.items():
        if parameter not in system.parameters:
            path = f"components.{name}.latent_entry"
            refuse(parameter, path, system.parameters, "is no parameter")
    if situation.trial_switch and situation.trial_switch not in system.parameters:
        refuse(situation.trial_switch, "trial_switch", system.parameters, "is no parameter")
    for state in situation.trial_states:
        if state not in system.states:
            refuse(state, "trial_states", system.states, "is no state")
    for parameter, output in own.anchors.items():
        if parameter not in system.parameters:
            refuse(parameter, f"{key}.anchors", system.parameters, "is no parameter")
        if output not in untreated.system.names:
            refuse(output, f"{key}.anchors.{parameter}", untreated.system.names)
    for i, scaled in enumerate(own.scaled):
        for name in (scaled.parameter, scaled.output, *scaled.states):
            if name not in untreated.system.names:
                refuse(name, f"{key}.scaled.{i}", untreated.system.names)
    for i, range_ in enumerate(own.plausible):
        if range_.output not in system.names:
            refuse(range_.output, f"{key}.plausible.{i}", system.names)
    if untreated.taken_over and needs_joined(situation):
        _refuse_feedback(catalog, situation, untreated)


def _refuse_feedback(catalog: Catalog, situation: SituationCard, untreated: Untreated) -> None:
    """A level that is read at entry must not have had another value on the way there."""
    card, own, key = f"situations/{situation.name}", situation.untreated, situation.untreated_key
    read = reads(untreated.system)
    for state, formula in zip(untreated.system.states, untreated.system.initial, strict=True):
        read[state] |= free_names(formula)
    taken = set(untreated.taken_over)
    for parameter in own.anchors:
        acts_on = [name for name in readers(parameter, read) if name in taken]
        if acts_on:
            raise InputError(
                f"anchor '{parameter}' takes its value at entry, and acts on '{acts_on[0]}' before",
                catalog.place(card, f"{key}.anchors.{parameter}"),
                f"name {acts_on[0]} under 'trial_states', so that it begins at entry",
            )
    for i, scaled in enumerate(own.scaled):
        if scaled.states:
            # Its author names what is proportional; who reads only a ratio is not moved.
            continue
        for name in (scaled.parameter, scaled.output):
            others = [n for n in readers(name, read) if n in taken and n != scaled.output]
            if others:
                raise InputError(
                    f"'{name}' is scaled at entry, and acts on '{others[0]}' before",
                    catalog.place(card, f"{key}.scaled.{i}"),
                    "scale an output that nothing else depends on, or name the states that are "
                    "proportional to the parameter under 'states'",
                )


def untreated_levels(
    untreated: Untreated,
    parameters: FloatArray,
    tolerance: Tolerance,
    threads: int | None,
) -> dict[str, FloatArray]:
    """Everything in the model at entry, by name; NaN for who was not solved or not at rest.

    Parameters
    ----------
    parameters
        Of `untreated.system`. Shape (patient, parameter).

    Returns
    -------
    States, assignments and parameters. Each (patient,).
    """
    system, days = untreated.system, untreated.duration_day
    parameters = parameters.copy()
    for name in untreated.off:
        parameters[:, system.parameters.index(name)] = 0.0
    times = np.array([-REST_SHARE_OF_TIME * days, 0.0] if untreated.is_checked else [0.0])
    problem = EnsembleProblem(
        system,
        parameters,
        Schedule.empty(len(parameters)),
        times,
        system.names,
        start=-days,
    )
    found = solve(problem, tolerance=tolerance, threads=threads)
    levels = {name: np.asarray(found[name][:, -1]) for name in system.names}
    if untreated.is_checked:
        moving = ~_is_at_rest({s: found[s] for s in system.states if s in untreated.taken_over})
        levels = {name: np.where(moving, np.nan, own) for name, own in levels.items()}
    return levels


def _is_at_rest(courses: Mapping[str, FloatArray]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Who changes no more in any state; NaN is no rest. Shape (patient,)."""
    rests = [
        np.abs(own[:, 1] - own[:, 0]) <= REST_CHANGE * np.abs(own[:, 1]) + REST_ABSOLUTE
        for own in courses.values()
    ]
    return np.asarray(np.all(rests, axis=0))
