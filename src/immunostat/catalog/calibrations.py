"""A calibration card against the rest of the catalog: what it trains on and what it may move.

Two rules hold for every calibration. Potencies and kinetics come from their own publications: no
number of a drug is fitted. And what is held back stays held back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from immunostat.base.errors import InputError, Place, UnknownNameError, near_matches
from immunostat.catalog.calibration_cards import CalibrationCard, FittedCard, TrainingResultCard
from immunostat.catalog.cards import (
    TrialArmCard,
    TrialCard,
    TrialComparisonCard,
    TrialResultCard,
)
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.model_cards import CoreCard, ModelParameterCard, SituationCard
from immunostat.catalog.reader import Document

FOLDER = "calibrations"
CORE_PREFIX = "core."

#: The rule that keeps drugs comparable.
NO_DRUG = (
    "No parameter differs between drugs except those of the drug's card, and those come from "
    "publications, not from a fit"
)

#: Two printed times are the same within this, week.
SAME_WEEK = 0.01

#: From the path of a part of the card to its file and line.
PlaceOf = Callable[..., Place]


@dataclass(frozen=True)
class Moved:
    """A parameter that a calibration moves.

    Parameters
    ----------
    name
        As its own card has it.
    is_core
        Whether it stands in the core's card; else in the situation's.
    card
        What its card says.
    """

    name: str
    is_core: bool
    card: ModelParameterCard

    @property
    def shown(self) -> str:
        """As a calibration card writes it."""
        return f"{CORE_PREFIX}{self.name}" if self.is_core else self.name


@dataclass(frozen=True)
class Fitted:
    """A number that is sought, on the scale of the search.

    Parameters
    ----------
    name
        Label in the calibration card.
    moved
        Parameters that take the number.
    start
        Where the search starts, in the unit of the parameter.
    card
        What the calibration card says.
    """

    name: str
    moved: tuple[Moved, ...]
    start: float
    card: FittedCard

    @property
    def is_spread(self) -> bool:
        """Whether the number is how much patients differ."""
        return self.card.part == "spread"

    def to_search(self, value: float) -> float:
        """From the unit of the parameter to the scale of the search."""
        return math.log(value) if self.card.scale == "log" else value

    def from_search(self, point: float) -> float:
        """From the scale of the search to the unit of the parameter."""
        return math.exp(point) if self.card.scale == "log" else point

    @property
    def ends(self) -> tuple[float, float]:
        """Bounds on the scale of the search."""
        return self.to_search(self.card.low), self.to_search(self.card.high)


@dataclass(frozen=True)
class TrainingArm:
    """A published training arm with the results that are followed."""

    trial: TrialCard
    arm: TrialArmCard
    results: tuple[tuple[TrainingResultCard, TrialResultCard | TrialComparisonCard], ...]


@dataclass(frozen=True)
class Calibration:
    """A calibration card with everything that it names.

    Parameters
    ----------
    card
        The card.
    situation, core
        Whose numbers may move.
    arms
        What is followed.
    fitted
        What is sought.
    """

    card: CalibrationCard
    situation: SituationCard
    core: CoreCard
    arms: tuple[TrainingArm, ...]
    fitted: tuple[Fitted, ...]


def calibration_named(catalog: Catalog, name: str) -> CalibrationCard:
    """The calibration of this name, or the only one of the situation of this name.

    Raises
    ------
    InputError
        There is none, or the situation has several.
    """
    try:
        return catalog.calibration(name)
    except UnknownNameError as unknown:
        own = [n for n in catalog.calibrations() if _situation(catalog, n) == name.lower()]
        if len(own) == 1:
            return catalog.calibration(own[0])
        if own:
            raise InputError(
                f"situation '{name}' has {len(own)} calibrations", remedy=f"name one: {own}"
            ) from None
        raise unknown


def _situation(catalog: Catalog, name: str) -> str:
    return catalog.calibration(name).situation.lower()


def resolved(
    catalog: Catalog, card: CalibrationCard, document: Document | None = None
) -> Calibration:
    """Look up everything that a calibration names.

    Parameters
    ----------
    card
        The calibration.
    document
        Its file, for messages; that of the catalog if None.

    Raises
    ------
    InputError
        It trains on a held-back arm, a result that nobody read or one that is not there; or moves
        a number of a drug, or one that is not there; the message has file and line.
    """
    own = document or catalog.document(FOLDER, card.name)

    def place(*path: str | int) -> Place:
        return own.place(path)

    if card.situation not in catalog.situations():
        raise InputError(
            f"situation '{card.situation}' is not in the catalog",
            place("situation"),
            near_matches(card.situation, catalog.situations()),
        )
    situation = catalog.situation(card.situation)
    core = catalog.core(situation.core)
    fitted = tuple(
        _fitted(catalog, situation, core, name, own, place) for name, own in card.fitted.items()
    )
    arms = tuple(_arm(catalog, card, i, situation, place) for i in range(len(card.arms)))
    return Calibration(card, situation, core, arms, fitted)


def _fitted(
    catalog: Catalog,
    situation: SituationCard,
    core: CoreCard,
    name: str,
    card: FittedCard,
    place: PlaceOf,
) -> Fitted:
    moved = []
    for i, shown in enumerate(card.of):
        here = place("fitted", name, "of", i)
        is_core = shown.startswith(CORE_PREFIX)
        own = shown.removeprefix(CORE_PREFIX)
        known = core.parameters if is_core else situation.parameters
        if own not in known:
            _refuse(catalog, situation, core, shown, here)
        found = known[own]
        if card.part == "spread" and found.spread is None:
            raise InputError(
                f"patients do not differ in '{shown}', so that no spread of it can be fitted",
                here,
                "give it a spread in its own card first",
            )
        moved.append(Moved(own, is_core, found))
    first = moved[0].card
    start = card.start
    if start is None:
        start = spread_of(first) if card.part == "spread" else first.value
        if not card.low <= start <= card.high:
            raise InputError(
                f"fitted.{name}: the card of '{moved[0].shown}' has {start:g}, which lies outside "
                f"{card.low:g} to {card.high:g}",
                place("fitted", name),
                "widen the range, or give a 'start' within it",
            )
    return Fitted(name, tuple(moved), start, card)


def spread_of(card: ModelParameterCard) -> float:
    """How much patients differ, as the card gives it: a variance, a coefficient or an SD."""
    assert card.spread is not None
    own = card.spread
    given = (own.lognormal_variance, own.lognormal_cv, own.normal_sd)
    return next(value for value in given if value is not None)


def _refuse(
    catalog: Catalog, situation: SituationCard, core: CoreCard, name: str, place: Place
) -> NoReturn:
    """Why a name is no number that may move."""
    plain = name.replace("-", "_").replace(".", "_").lower()
    for drug in catalog.drugs():
        prefix = drug.replace("-", "_").lower()
        if plain == prefix or plain.startswith(f"{prefix}_"):
            raise InputError(
                f"'{name}' is a number of the drug {drug}, which no calibration may move",
                place,
                f"{NO_DRUG}. Fit numbers of the core or of the situation",
            )
    allowed = [*situation.parameters, *(f"{CORE_PREFIX}{own}" for own in core.parameters)]
    raise InputError(
        f"'{name}' is no parameter of {situation.name} or of its core", place,
        near_matches(name, allowed),
    )  # fmt: skip


def _arm(
    catalog: Catalog, card: CalibrationCard, i: int, situation: SituationCard, place: PlaceOf
) -> TrainingArm:
    wanted = card.arms[i]
    here = place("arms", i, "trial")
    if wanted.trial not in catalog.trials():
        raise InputError(
            f"trial '{wanted.trial}' is not in the catalog",
            here,
            near_matches(wanted.trial, catalog.trials()),
        )
    trial = catalog.trial(wanted.trial)
    if trial.situation != situation.name:
        raise InputError(f"{trial.name} is a trial of {trial.situation}", here, "name another")
    arm = _training_arm(trial, wanted.arm, place("arms", i, "arm"))
    results = tuple(
        (own, _printed(trial, arm, own, situation, place("arms", i, "results", j)))
        for j, own in enumerate(wanted.results)
    )
    return TrainingArm(trial, arm, results)


def _training_arm(trial: TrialCard, name: str, place: Place) -> TrialArmCard:
    """The arm of a trial, which must not be held back."""
    arms = {arm.name: arm for arm in trial.arms}
    if name not in arms:
        raise InputError(f"{trial.name} has no arm '{name}'", place, near_matches(name, arms))
    if arms[name].role != "training":
        raise InputError(
            f"arm '{name}' of {trial.name} is held back: it judges the model and is never fitted",
            place,
            "train on arms with 'role: training'; a change of role is a change of what the model "
            "is judged by",
        )
    return arms[name]


def _printed(
    trial: TrialCard,
    arm: TrialArmCard,
    own: TrainingResultCard,
    situation: SituationCard,
    place: Place,
) -> TrialResultCard | TrialComparisonCard:
    """The printed result, or comparison with another training arm, that is followed."""
    if own.endpoint not in situation.endpoints:
        raise InputError(
            f"{situation.name} has no endpoint '{own.endpoint}'",
            place,
            near_matches(own.endpoint, situation.endpoints),
        )
    there: list[TrialResultCard | TrialComparisonCard] = list(arm.results)
    what = own.endpoint
    if own.versus is not None and own.measure is not None:
        other = _training_arm(trial, own.versus, place)
        what = f"{own.measure} of {own.endpoint} to '{other.name}'"
        there = [
            printed
            for printed in trial.comparisons
            if (printed.arm, printed.versus, printed.measure) == (arm.name, other.name, own.measure)
        ]
    same = [
        printed
        for printed in there
        if printed.endpoint == own.endpoint and abs(printed.week - own.weeks) <= SAME_WEEK
    ]
    if not same:
        shown = ", ".join(f"{printed.endpoint} at week {printed.week:.4g}" for printed in there)
        raise InputError(
            f"arm '{arm.name}' of {trial.name} has no {what} at week {own.weeks:.4g}",
            place,
            f"it has {shown or 'nothing of the kind'}",
        )
    if not same[0].checked:
        raise InputError(
            f"{what} of '{arm.name}' of {trial.name} was not read in a source",
            place,
            "read it, and say 'checked: true' in the trial's card",
        )
    return same[0]
