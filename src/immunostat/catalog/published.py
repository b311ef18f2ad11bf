"""Published models: from a card to its equations, its course, and what its publication prints."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from immunostat.base.errors import InputError, ModelError, Place, near_matches
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.published_cards import PrintedCard, PublishedModelCard, ReadingCard
from immunostat.engine.course import simulate_course
from immunostat.engine.diagnosis import diagnose
from immunostat.engine.frames import Solution
from immunostat.engine.problem import EnsembleProblem, Schedule, Tolerance
from immunostat.engine.readings import reading
from immunostat.engine.solve import solve
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml
from immunostat.model.system import FloatArray, OdeSystem

TOLERANCE = Tolerance(1e-9, 1e-12)

#: Samples of a course that a printed result is read from.
SAMPLES = 2001

#: Values tried at once while a threshold is bracketed, and how often the bracket is made smaller.
TRIED, ROUNDS = 17, 7


@dataclass(frozen=True)
class Reproduced:
    """A printed result and the same result of the model here."""

    card: PrintedCard
    value: float

    @property
    def difference(self) -> float:
        """What the model gives less what is printed, in the unit of the printed value."""
        return self.value - self.card.value

    @property
    def agrees(self) -> bool:
        """Whether the difference lies within the tolerance of the card."""
        return bool(abs(self.difference) <= self.card.tolerance)


def antimony_text(catalog: Catalog, card: PublishedModelCard) -> tuple[str, str]:
    """The equations with the numbers of the card: Antimony that needs nothing else, and its file.

    Raises
    ------
    InputError
        There is no such fragment, or no module of that name in it.
    """
    text, file = catalog.text(card.fragment)
    module = re.search(
        rf"^model +\*?{re.escape(card.module)}\b.*?^(?=end\s*$)", text, re.MULTILINE | re.DOTALL
    )
    if module is None:
        raise InputError(
            f"there is no 'model {card.module}() ... end' in this file",
            Place(file),
            "the module in the card is another",
        )
    lines = ["", f"  // Numbers of {card.name}"]
    for name, fact in (*card.parameters.items(), *card.initial.items()):
        unit = "" if fact.unit == "1" else f" {fact.unit}"
        lines.append(f"  {name} = {fact.value!r};  //{unit} {fact.note or fact.where}".rstrip())
    end = module.end()
    return text[:end] + "\n".join(lines) + "\n" + text[end:], file


def published_system(catalog: Catalog, card: PublishedModelCard) -> OdeSystem:
    """Equations of a published model with the numbers of its card.

    Raises
    ------
    ModelError
        The fragment is not valid Antimony, or a state has no start value.
    InputError
        The card lacks a parameter of the model, or has a number that is not in it.
    """
    text, file = antimony_text(catalog, card)
    system = system_from_sbml(flatten([Fragment(text, file)], card.module), card.name, file)
    document = catalog.document("published", card.name)
    free = _free_parameters(system)
    for section, own, known in (
        ("parameters", card.parameters, free),
        ("initial", card.initial, system.states),
        ("outputs", card.outputs, system.names),
    ):
        for name in own:
            if name not in known:
                raise InputError(
                    f"{section}: the model has no '{name}'",
                    document.place((section, name)),
                    near_matches(name, known),
                )
    for name, value in zip(system.parameters, system.defaults, strict=True):
        if name in free and np.isnan(value):
            raise InputError(
                f"parameter '{name}' of the model is missing",
                document.place(("parameters",)),
                f"add {name}",
            )
    return system


def _free_parameters(system: OdeSystem) -> tuple[str, ...]:
    """Parameters that follow from nothing else."""
    derived = {name for name, _ in system.derived_parameters}
    return tuple(name for name in system.parameters if name not in derived)


def published_course(
    catalog: Catalog,
    card: PublishedModelCard,
    times: FloatArray,
    settings: Mapping[str, float] | None = None,
) -> Solution:
    """Course of the outputs of a published model.

    Parameters
    ----------
    catalog
        Where the fragment of the card is.
    card
        The published model.
    times
        Ascending, in the model's unit of time. Shape (time,).
    settings
        Parameters and start values that differ from those of the card.

    Raises
    ------
    UnknownNameError
        A setting is no parameter or start value of the model.
    ModelError
        The model could not be solved with these settings.
    """
    return simulate_course(
        published_system(catalog, card),
        times,
        settings,
        (),
        tuple(card.outputs),
        TOLERANCE.relative,
        TOLERANCE.absolute,
    )


def reproduced(catalog: Catalog, card: PublishedModelCard) -> list[Reproduced]:
    """Every printed result of a card beside the same result of the model, solved anew."""
    system = published_system(catalog, card)
    return [Reproduced(own, _read(system, card, own.reading)) for own in card.printed]


def _read(system: OdeSystem, card: PublishedModelCard, own: ReadingCard) -> float:
    """The result of one reading."""
    base = own.settings
    if own.threshold is None:
        return float(_readings(system, own, [base])[0])
    varied = own.threshold
    low, high = varied.low, varied.high
    for _ in range(ROUNDS):
        tried = np.linspace(low, high, TRIED)
        found = _readings(system, own, [base | {varied.of: float(v)} for v in tried])
        is_above = found > varied.crosses
        changes = np.flatnonzero(is_above[1:] != is_above[:-1])
        if len(changes) != 1:
            raise ModelError(
                f"model '{card.name}': {own.kind} of {own.output} crosses {varied.crosses:g} "
                f"{len(changes)} times for {varied.of} from {low:g} to {high:g}",
                remedy="choose a range with one crossing",
            )
        low, high = float(tried[changes[0]]), float(tried[changes[0] + 1])
    return 0.5 * (low + high)


def _readings(
    system: OdeSystem, own: ReadingCard, settings: Sequence[Mapping[str, float]]
) -> FloatArray:
    """The reading for each of some settings, solved together. Shape (setting,)."""
    parameters = np.tile(system.defaults, (len(settings), 1))
    starts: list[tuple[int, str, float]] = []
    for i, values in enumerate(settings):
        for name, value in values.items():
            if name in system.states:
                starts.append((i, name, value))
            else:
                parameters[i, system.parameters.index(name)] = value
    states = _start(system, parameters)
    for i, name, value in starts:
        states[i, system.states.index(name)] = value
    times = np.linspace(own.begin, own.end, 1 if own.begin == own.end else SAMPLES)
    problem = EnsembleProblem(
        system,
        parameters,
        Schedule.empty(len(settings)),
        times,
        (own.output,),
        start=0.0,
        initial_states=states,
    )
    found = solve(problem, tolerance=TOLERANCE, threads=1)
    for failed in np.flatnonzero(~found.is_ok):
        raise ModelError(
            f"model '{system.name}' {diagnose(problem, found, int(failed), TOLERANCE)}",
            remedy="check the settings of the reading",
        )
    return np.array([reading(own.kind, times, y, own.level) for y in found.values[:, :, 0]])


def _start(system: OdeSystem, parameters: FloatArray) -> FloatArray:
    """Start values that the model itself gives. Shape (setting, state)."""
    nowhere = Schedule.empty(len(parameters))
    problem = EnsembleProblem(system, parameters, nowhere, np.zeros(1), system.states)
    return solve(problem, threads=1).values[:, 0, :].copy()
