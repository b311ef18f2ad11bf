"""Who leaves a trial, when and why; and which visits are missed.

Every cause has draws of its own for each patient, the same in every arm. So a patient leaves at
different times in two arms only if the arms differ in what makes him leave. The earliest cause
wins. A patient is still seen at the visit at which he leaves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from immunostat.base import streams
from immunostat.base.errors import InputError, RangeError, ShapeError, near_matches
from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.outcomes.hazards import DAYS_PER_YEAR
from immunostat.trial.conditions import Condition

_SAME_DAY = 1e-6

#: Key of the happenings of all events after which a drug is stopped, by whatever side effect.
STOPPING = "stopping"


@dataclass(frozen=True)
class BackgroundDropout:
    """Leaving for reasons that have nothing to do with the trial, at a constant hazard.

    Parameters
    ----------
    rate_per_year
        Hazard, 1/year.
    name
        Cause in tables, and name of its stream.
    """

    rate_per_year: float
    name: str = "other reason"

    def __post_init__(self) -> None:
        if not 0 <= self.rate_per_year < math.inf:
            raise RangeError(f"dropout '{self.name}': {self.rate_per_year:g} per year is no rate")

    @classmethod
    def by(cls, share: float, day: float, name: str = "other reason") -> BackgroundDropout:
        """The hazard at which a share of patients has left by a day.

        Examples
        --------
        >>> round(BackgroundDropout.by(0.1, 168.0).rate_per_year, 4)
        0.2291
        """
        if not 0 <= share < 1 or day <= 0:
            raise RangeError(f"dropout '{name}': a share of {share:g} by day {day:g} has no rate")
        return cls(-math.log1p(-share) / day * DAYS_PER_YEAR, name)


@dataclass(frozen=True)
class LackOfEffectDropout:
    """Leaving at a visit because the treatment does not work.

    Parameters
    ----------
    condition
        What is seen at the visit, resolved, for example that of ``DAS28-CRP-change > -0.6``. A
        missing value fulfils nothing.
    probability
        Probability to leave at each visit at which the condition holds.
    from_day
        First day on which a patient may leave for this.
    name
        Cause in tables, and name of its stream.
    """

    condition: Condition
    probability: float = 1.0
    from_day: float = 0.0
    name: str = "lack of effect"

    def __post_init__(self) -> None:
        _check_probability(self.name, self.probability)


@dataclass(frozen=True)
class SideEffectDropout:
    """Leaving at a side effect.

    Parameters
    ----------
    side_effect
        Key of the happenings of this side effect.
    probability
        Probability to leave at each happening.
    grade
        Happenings below this grade are borne; 0 counts all, also those without a grade.
    name
        Cause in tables and name of its stream; empty takes the side effect.
    """

    side_effect: str
    probability: float = 1.0
    grade: float = 0.0
    name: str = ""

    def __post_init__(self) -> None:
        _check_probability(self.label, self.probability)

    @property
    def label(self) -> str:
        """Cause in tables."""
        return self.name or self.side_effect


Cause = BackgroundDropout | LackOfEffectDropout | SideEffectDropout


@dataclass(frozen=True)
class Happenings:
    """When a side effect happened: row of the patient, day, and grade (NaN without), by event."""

    row: IntArray
    time_day: FloatArray
    grade: FloatArray | None = None


@dataclass(frozen=True)
class Departures:
    """When and why the patients of one arm leave.

    Parameters
    ----------
    time_day
        Day of leaving, infinite where a patient stays. Shape (patient,).
    cause
        Index into `names`, -1 where a patient stays. Shape (patient,).
    names
        Names of the causes.
    """

    time_day: FloatArray
    cause: IntArray
    names: tuple[str, ...]

    def share_by(self, day: float) -> dict[str, float]:
        """Share of patients who have left by a day, for each cause."""
        is_gone = self.time_day <= day + _SAME_DAY
        return {
            name: float(np.mean(is_gone & (self.cause == index)))
            for index, name in enumerate(self.names)
        }


def dropout_times(
    causes: Sequence[Cause],
    numbers: npt.ArrayLike,
    seed: int,
    visits_day: npt.ArrayLike,
    values: Mapping[str, npt.ArrayLike] | None = None,
    happenings: Mapping[str, Happenings] | None = None,
    multipliers: Mapping[str, npt.ArrayLike] | None = None,
) -> Departures:
    """Times at which the patients of one arm leave, by competing causes.

    Parameters
    ----------
    causes
        At most one of each name.
    numbers
        Number of each patient. Shape (patient,).
    seed
        Seed of the study.
    visits_day
        Times of the visits, ascending, day; the trial starts at the first. Shape (visit,).
    values
        What conditions look at, by name: of shape (patient, visit), or (patient,) for covariates;
        NaN where missing.
    happenings
        Side effects by name, each patient's in the order of time.
    multipliers
        Cause to the factor of each patient's hazard; a probability p becomes 1 - (1 - p)^factor.
        A cause that is not named has the factor 1. Each of shape (patient,).

    Returns
    -------
    See `Departures`. Times after the last visit are given too; a caller may ignore them.

    Raises
    ------
    InputError
        A cause needs values or happenings that are not given, or two causes have one name.
    ShapeError
        Values do not belong to the patients and visits.

    Source
    ------
    Latent times of competing causes with the earliest one seen ("definition"); constant hazard h
    loses 1 - exp(-h t).
    """
    patients = np.asarray(numbers, dtype=np.int64)
    days = np.asarray(visits_day, dtype=np.float64)
    names = tuple(_label(cause) for cause in causes)
    if len(set(names)) != len(names):
        raise InputError("two causes of dropout have the same name", remedy="name them apart")
    latent = np.full((len(causes), len(patients)), np.inf)
    for index, cause in enumerate(causes):
        factor = np.ones(len(patients))
        if multipliers and names[index] in multipliers:
            factor = np.asarray(multipliers[names[index]], dtype=np.float64)
        if isinstance(cause, BackgroundDropout):
            latent[index] = _background(cause, patients, seed, days, factor)
        elif isinstance(cause, LackOfEffectDropout):
            latent[index] = _lack_of_effect(cause, patients, seed, days, values or {}, factor)
        else:
            latent[index] = _side_effect(cause, patients, seed, happenings or {}, factor)
    if not causes:
        return Departures(np.full(len(patients), np.inf), np.full(len(patients), -1), ())
    first = np.argmin(latent, axis=0)
    time = latent[first, np.arange(len(patients))]
    return Departures(time, np.where(np.isinf(time), -1, first).astype(np.int64), names)


def missing_visits(
    share: float,
    numbers: npt.ArrayLike,
    seed: int,
    n_visits: int,
    is_first_kept: bool = True,
) -> npt.NDArray[np.bool_]:
    """Which visits are missed now and then, completely at random.

    Parameters
    ----------
    share
        Probability to miss a visit.
    numbers
        Number of each patient. Shape (patient,).
    seed
        Seed of the study.
    n_visits
        Number of visits; the first ones do not change when more follow.
    is_first_kept
        Whether nobody misses the first visit, at which patients enter.

    Returns
    -------
    True where missed. Shape (patient, visit).

    Source
    ------
    "definition"
    """
    _check_probability("missed visits", share)
    missed = streams.uniform(seed, "missed visits", numbers, n_visits) < share
    if is_first_kept:
        missed[:, :1] = False
    return np.asarray(missed)


def observed_until(
    values: npt.ArrayLike, visits_day: npt.ArrayLike, dropout_day: npt.ArrayLike
) -> FloatArray:
    """Values with those after each patient left made missing; the visit of leaving is still seen.

    Parameters
    ----------
    values
        Shape (patient, visit).
    visits_day
        Shape (visit,), day.
    dropout_day
        From `Departures`, infinite where a patient stays. Shape (patient,), day.

    Returns
    -------
    A copy, NaN after leaving. Shape (patient, visit).

    Source
    ------
    "definition"
    """
    seen = np.array(values, dtype=np.float64)
    left, days = np.asarray(dropout_day, np.float64), np.asarray(visits_day, np.float64)
    if seen.shape != (len(left), len(days)):
        raise ShapeError(f"values of shape {seen.shape} for {len(left)} patients, {len(days)} days")
    seen[days[None, :] > left[:, None] + _SAME_DAY] = np.nan
    return seen


def _background(
    cause: BackgroundDropout, patients: IntArray, seed: int, days: FloatArray, factor: FloatArray
) -> FloatArray:
    """Time of leaving at a constant hazard."""
    draws = streams.exponential(seed, f"dropout:{cause.name}", patients)[:, 0]
    hazard = cause.rate_per_year / DAYS_PER_YEAR * factor
    with np.errstate(divide="ignore"):
        return np.where(hazard > 0, days[0] + draws / hazard, np.inf)


def _lack_of_effect(
    cause: LackOfEffectDropout,
    patients: IntArray,
    seed: int,
    days: FloatArray,
    values: Mapping[str, npt.ArrayLike],
    factor: FloatArray,
) -> FloatArray:
    """First visit at which the condition holds and the patient's draw says go."""
    shape = (len(patients), len(days))
    own = {}
    for name in cause.condition.names:
        if name not in values:
            raise InputError(
                f"dropout '{cause.name}' looks at '{name}', which is not observed",
                remedy=near_matches(name, values),
            )
        given = np.asarray(values[name], dtype=np.float64)
        own[name] = np.broadcast_to(given[:, None] if given.ndim == 1 else given, shape)
    draws = streams.uniform(seed, f"dropout:{cause.name}", patients, len(days))
    goes = cause.condition.holds(own) & (draws < _with_factor(cause.probability, factor)[:, None])
    goes &= days[None, :] >= cause.from_day - _SAME_DAY
    return np.where(goes.any(axis=1), days[np.argmax(goes, axis=1)], np.inf)


def _side_effect(
    cause: SideEffectDropout,
    patients: IntArray,
    seed: int,
    happenings: Mapping[str, Happenings],
    factor: FloatArray,
) -> FloatArray:
    """First happening of the grade at which the patient's draw says go."""
    if cause.side_effect not in happenings:
        raise InputError(
            f"dropout '{cause.label}': side effect '{cause.side_effect}' is not in the study",
            remedy=near_matches(cause.side_effect, happenings),
        )
    own = happenings[cause.side_effect]
    row, time = np.asarray(own.row, np.int64), np.asarray(own.time_day, np.float64)
    if cause.grade > 0:
        if own.grade is None:
            raise InputError(
                f"dropout '{cause.label}': side effect '{cause.side_effect}' has no grades",
                remedy="leave 'grade' out",
            )
        kept = np.asarray(own.grade, np.float64) >= cause.grade
        row, time = row[kept], time[kept]
    time_of = np.full(len(patients), np.inf)
    if not len(row):
        return time_of
    order = np.lexsort((time, row))
    row, time = row[order], time[order]
    starts = np.flatnonzero(np.concatenate([[True], row[1:] != row[:-1]]))
    rank = np.arange(len(row)) - np.repeat(starts, np.diff(np.append(starts, len(row))))
    present, place = np.unique(row, return_inverse=True)
    draws = streams.uniform(seed, f"dropout:{cause.label}", patients[present], int(rank.max()) + 1)[
        place, rank
    ]
    goes = draws < _with_factor(cause.probability, factor)[row]
    np.minimum.at(time_of, row[goes], time[goes])
    return time_of


def _label(cause: Cause) -> str:
    """Name of a cause in tables."""
    return cause.label if isinstance(cause, SideEffectDropout) else cause.name


def _with_factor(probability: float, factor: FloatArray) -> FloatArray:
    """Probability after its hazard is multiplied."""
    return np.asarray(1.0 - (1.0 - probability) ** factor)


def _check_probability(name: str, probability: float) -> None:
    """Refuse what is no probability."""
    if not 0 <= probability <= 1:
        raise RangeError(f"dropout '{name}': {probability:g} is no probability")
