"""Published models: from a card to its equations, its course, and what its publication prints."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from immunostat.base.errors import InputError, ModelError, Place, UnknownNameError, near_matches
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.published_cards import PrintedCard, PublishedModelCard, ReadingCard
from immunostat.engine.course import DoseLine, simulate_course
from immunostat.engine.diagnosis import diagnose
from immunostat.engine.folds import fold
from immunostat.engine.frames import Solution
from immunostat.engine.problem import EnsembleProblem, Schedule, Tolerance
from immunostat.engine.pulses import RandomPulse, pulse_events, pulse_times
from immunostat.engine.readings import reading
from immunostat.engine.solution import Trajectories
from immunostat.engine.solve import solve
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml
from immunostat.model.system import FloatArray, OdeSystem

TOLERANCE = Tolerance(1e-9, 1e-12)

#: Samples of a course that a printed result is read from.
SAMPLES = 2001

#: Seed of the random input of models that have one.
SEED = 1

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
        """Whether the difference lies within the tolerance of the card; never for NaN."""
        own = self.card
        if own.compare == "at least":
            return self.difference >= -own.tolerance
        if own.compare == "at most":
            return self.difference <= own.tolerance
        return abs(self.difference) <= own.tolerance


def antimony_text(catalog: Catalog, card: PublishedModelCard) -> tuple[str, str]:
    """The equations with the numbers of the card: Antimony that needs nothing else, and its file.

    Raises
    ------
    InputError
        There is no such fragment, no module of that name in it, or the card has a number for a name
        that is not in the module.
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
    words = set(re.findall(r"[A-Za-z_]\w*", re.sub(r"//.*", "", module.group())))
    document = catalog.document("published", card.name)
    for section, own in (("parameters", card.parameters), ("initial", card.initial)):
        for name in own:
            if name not in words:  # Antimony would take it for a new parameter
                raise InputError(
                    f"{section}: the model has no '{name}'",
                    document.place((section, name)),
                    near_matches(name, words),
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
        ("random_input", card.random_input, system.states),
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
    *,
    outputs: Sequence[str] | None = None,
    with_pulses: bool = True,
) -> Solution:
    """Course of the outputs of a published model; of one with random input, its first history.

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
    outputs
        What to sample; the outputs of the card if None.
    with_pulses
        Whether the random input of the model is on.

    Raises
    ------
    UnknownNameError
        A setting is no parameter or start value of the model.
    ModelError
        The model could not be solved with these settings.
    """
    end = float(times[-1]) if len(times) else 0.0
    pulses = random_pulses(card) if with_pulses else ()
    doses = [
        DoseLine(pulse.amount, pulse.state, at=float(time))
        for pulse in pulses
        for time in pulse_times(pulse, SEED, [0], end)[0]
    ]
    return simulate_course(
        published_system(catalog, card),
        times,
        settings,
        doses,
        tuple(card.outputs if outputs is None else outputs),
        TOLERANCE.relative,
        TOLERANCE.absolute,
    )


def random_pulses(card: PublishedModelCard) -> tuple[RandomPulse, ...]:
    """Random input of a published model; none for most."""
    return tuple(
        RandomPulse(state, own.amount.value, own.chance.value, own.step.value)
        for state, own in card.random_input.items()
    )


def published_histories(
    catalog: Catalog,
    card: PublishedModelCard,
    times: FloatArray,
    n_histories: int,
    *,
    settings: Mapping[str, float] | None = None,
    seed: int = SEED,
) -> Trajectories:
    """Outputs of a published model in many histories of its random input.

    Two settings with the same seed meet the same pulses; history 0 is that of `published_course`.

    Parameters
    ----------
    catalog
        Where the fragment of the card is.
    card
        The published model.
    times
        Ascending, in the model's unit of time. Shape (time,).
    n_histories
        How many.
    settings
        Parameters and start values that differ from those of the card.
    seed
        Seed of the random input.

    Returns
    -------
    Samples of the outputs of the card. Shape (history, time, output).

    Raises
    ------
    UnknownNameError
        A setting is no parameter or start value of the model.
    ModelError
        A history could not be solved.
    """
    system = published_system(catalog, card)
    for name in settings or {}:
        if name not in (*_free_parameters(system), *system.states):
            raise UnknownNameError(
                f"model '{card.name}' has no parameter or start value '{name}'",
                remedy=near_matches(name, (*system.parameters, *system.states)),
            )
    own = [settings or {}] * n_histories
    end = float(times[-1]) if len(times) else 0.0
    events = pulse_events(random_pulses(card), seed, range(n_histories), end)
    return _solved(system, own, times, tuple(card.outputs), Schedule.of_events(system, events))


def scenarios(catalog: Catalog, card: PublishedModelCard, times: FloatArray) -> dict[str, Solution]:
    """Courses of every scenario of a card by name; its own course under its title if none."""
    named: Mapping[str, Mapping[str, float]] = card.scenarios or {card.title: {}}
    return {
        name: published_course(catalog, card, times, settings) for name, settings in named.items()
    }


def reproduced(catalog: Catalog, card: PublishedModelCard) -> list[Reproduced]:
    """Every printed result of a card beside the same result of the model, solved anew."""
    system = published_system(catalog, card)
    return [Reproduced(own, _read(system, card, own.reading)) for own in card.printed]


def _read(system: OdeSystem, card: PublishedModelCard, own: ReadingCard) -> float:
    """The result of one reading."""
    base = own.settings
    if own.kind == "fold":
        assert own.starts is not None
        assert own.parameter is not None
        parameters, states = _rows(system, [base])
        ends = (own.starts.low, own.starts.high)
        return fold(system, parameters[0], states[0], own.output, ends, own.parameter)
    if own.kind == "lasting states":
        assert own.starts is not None
        tried = np.linspace(own.starts.low, own.starts.high, TRIED)
        ends_of = _readings(system, card, own, [base | {own.starts.of: float(v)} for v in tried])
        return float(_different(ends_of))
    if own.threshold is None:
        return float(_readings(system, card, own, [base])[0])
    varied = own.threshold
    low, high = varied.low, varied.high
    for _ in range(ROUNDS):
        tried = np.linspace(low, high, TRIED)
        found = _readings(system, card, own, [base | {varied.of: float(v)} for v in tried])
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
    system: OdeSystem,
    card: PublishedModelCard,
    own: ReadingCard,
    settings: Sequence[Mapping[str, float]],
) -> FloatArray:
    """The reading for each of some settings, solved together. Shape (setting,)."""
    pulses = random_pulses(card) if own.histories else ()
    # a pulse acts at once, so that samples must not be much further apart than steps of pulses
    dense = max((round((own.end - own.begin) / (2 * p.step)) + 1 for p in pulses), default=0)
    samples = 1 if own.begin == own.end else max(SAMPLES, dense)
    times = np.linspace(own.begin, own.end, samples)
    n = max(own.histories, 1)
    events = pulse_events(pulses, SEED, range(n), own.end) * len(settings)
    every = [values for values in settings for _ in range(n)]
    schedule = Schedule.of_events(system, events)
    found = _solved(system, every, times, (own.output,), schedule).values[:, :, 0]
    kind = "value" if own.kind == "lasting states" else own.kind
    read = np.array([reading(kind, times, y, own.level) for y in found])
    return np.asarray(read.reshape(len(settings), n).mean(axis=1), dtype=np.float64)


def _solved(
    system: OdeSystem,
    settings: Sequence[Mapping[str, float]],
    times: FloatArray,
    outputs: tuple[str, ...],
    schedule: Schedule,
) -> Trajectories:
    """The model once for each of some settings, all from time 0."""
    parameters, states = _rows(system, settings)
    problem = EnsembleProblem(
        system, parameters, schedule, times, outputs, start=0.0, initial_states=states
    )
    found = solve(problem, tolerance=TOLERANCE, threads=1)
    for failed in np.flatnonzero(~found.is_ok):
        raise ModelError(
            f"model '{system.name}' {diagnose(problem, found, int(failed), TOLERANCE)}",
            remedy="check the settings of the reading",
        )
    return found


def _rows(
    system: OdeSystem, settings: Sequence[Mapping[str, float]]
) -> tuple[FloatArray, FloatArray]:
    """Parameters and start values with each of some settings. Shapes (setting, name)."""
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
    return parameters, states


def _different(ends: FloatArray) -> int:
    """How many different values there are; two within a fiftieth of the largest are the same."""
    ordered = np.sort(ends)
    return 1 + int(np.sum(np.diff(ordered) > 0.02 * np.abs(ordered).max()))


def _start(system: OdeSystem, parameters: FloatArray) -> FloatArray:
    """Start values that the model itself gives. Shape (setting, state)."""
    nowhere = Schedule.empty(len(parameters))
    problem = EnsembleProblem(system, parameters, nowhere, np.zeros(1), system.states)
    return solve(problem, threads=1).values[:, 0, :].copy()
