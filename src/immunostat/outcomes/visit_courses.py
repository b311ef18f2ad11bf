"""What a patient's whole course of visits says: first event, area, extreme; and filling of gaps.

All functions take values of shape (patient, visit), NaN where a visit was missed, and never look at
another patient. They are the mathematics behind the kinds of endpoint that read a course.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import ShapeError
from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray

BoolArray = npt.NDArray[np.bool_]

_SAME_DAY = 1e-6

#: Rounding of decimals that is forgiven where a rule says "at least".
_ROUNDING = 1e-9


class Missing(StrEnum):
    """What stands for a value that was not observed."""

    OBSERVED = "observed cases"  #: it is left out
    NON_RESPONSE = "non-responder imputation"  #: no response (binary values only)
    LAST = "last observation carried forward"  #: the patient's last value before


@dataclass(frozen=True)
class TimeToEvent:
    """First events at visits.

    Parameters
    ----------
    durations
        Day of the event or of the last visit that was seen, counted from the start. Shape
        (patient,).
    is_event
        Whether the event was seen. Shape (patient,).
    """

    durations: FloatArray
    is_event: BoolArray


def has_happened(holds: npt.ArrayLike, is_confirmed: bool = False) -> FloatArray:
    """Whether something has held at any visit so far.

    Parameters
    ----------
    holds
        1 where it holds at a visit, 0 where not, NaN where missing. Shape (patient, visit).
    is_confirmed
        Whether it must hold at the next observed visit too; it then counts from the first of the
        two. What first holds at the last observed visit is not confirmed.

    Returns
    -------
    1 from the first such visit on, 0 before; NaN after the last observed visit of a patient in
    whom it has not happened. Shape (patient, visit).

    Source
    ------
    "definition"
    """
    seen = _two_dimensional(holds)
    is_seen = ~np.isnan(seen)
    own = seen == 1.0
    if is_confirmed:
        own &= next_observed(seen) == 1.0
    happened = np.logical_or.accumulate(own, axis=1)
    is_followed = np.logical_or.accumulate(is_seen[:, ::-1], axis=1)[:, ::-1]
    return np.where(happened, 1.0, np.where(is_followed, 0.0, np.nan))


def time_to_event(
    happened: npt.ArrayLike, visits_day: npt.ArrayLike, start_day: float = 0.0
) -> TimeToEvent:
    """Time of the first visit at which something has happened, or of the last visit without it.

    Parameters
    ----------
    happened
        From `has_happened`, or any values of 0, 1 and NaN. Shape (patient, visit).
    visits_day
        Shape (visit,), day.
    start_day
        Time from which durations count, day.

    Returns
    -------
    Events at the visit at which they were seen, as a trial records them; censored at the last
    visit with a value, or at the start without any.

    Source
    ------
    "definition"
    """
    values, days = _with_days(happened, visits_day)
    is_event = np.any(values == 1.0, axis=1)
    is_seen = ~np.isnan(values)
    last = np.where(
        is_seen.any(axis=1), values.shape[1] - 1 - np.argmax(is_seen[:, ::-1], axis=1), -1
    )
    censored = np.where(last >= 0, days[last], start_day)
    day = np.where(is_event, days[np.argmax(values == 1.0, axis=1)], censored)
    return TimeToEvent(np.maximum(day - start_day, 0.0), is_event)


def confirmed_rise(
    rise: npt.ArrayLike,
    step: npt.ArrayLike,
    visits_day: npt.ArrayLike,
    lasting_day: float,
    start_day: float = 0.0,
) -> FloatArray:
    """Whether a rise has begun that lasts.

    Parameters
    ----------
    rise
        Value minus that at the start, NaN where missing. Shape (patient, visit).
    step
        Least rise, NaN where none counts. Shape (patient, 1).
    visits_day
        Shape (visit,), day.
    lasting_day
        A rise counts from its first visit where it holds at every visit seen until a visit at
        least this much later, day.
    start_day
        A rise cannot begin up to and including this day.

    Returns
    -------
    1 from the onset on, 0 before; NaN after the last seen visit of a patient without. Shape
    (patient, visit).

    Source
    ------
    "definition", as trials of multiple sclerosis confirm progression of disability.
    """
    own, days = _with_days(rise, visits_day)
    least = np.asarray(step, dtype=np.float64)
    is_seen = ~np.isnan(own)
    holds = np.where(is_seen, own >= least - _ROUNDING, True)
    # First seen visit from each on at which the rise does not hold, infinite if it always does.
    ends = np.where(is_seen & ~holds, days[None, :], np.inf)
    ends = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    # The visit that confirms: the first seen one late enough, which must come before the end.
    is_onset = is_seen & holds & (days[None, :] > start_day + _SAME_DAY)
    confirmed = np.zeros_like(is_onset)
    for visit in range(len(days)):
        late = is_seen & (days[None, :] >= days[visit] + lasting_day - _SAME_DAY)
        late &= days[None, :] >= days[visit]
        first = np.min(np.where(late, days[None, :], np.inf), axis=1)
        confirmed[:, visit] = is_onset[:, visit] & np.isfinite(first) & (first < ends[:, visit])
    return has_happened(np.where(is_seen, confirmed.astype(np.float64), np.nan))


def competing_causes(
    event: TimeToEvent, other_day: npt.ArrayLike, start_day: float = 0.0
) -> tuple[FloatArray, IntArray]:
    """Durations and causes for `survival.cumulative_incidence_of_cause`.

    Parameters
    ----------
    event
        The event of interest, cause 1.
    other_day
        Day on which something else ended the wait (death, a dropout that precludes the event),
        infinite or NaN without; cause 2. An event on the same day comes first. Shape (patient,).
    start_day
        Time from which durations count, day.

    Returns
    -------
    Durations, day, and causes: 0 censored, 1 the event, 2 the other. Each of shape (patient,).

    Source
    ------
    "definition"
    """
    given = np.asarray(other_day, dtype=np.float64)
    other = np.where(np.isnan(given), np.inf, given) - start_day
    # An end after the last seen visit still ends the wait, so it is not cut by the censoring.
    is_other = np.isfinite(other) & ~(event.is_event & (event.durations <= other + _SAME_DAY))
    causes = np.where(is_other, 2, np.where(event.is_event, 1, 0))
    return np.where(is_other, other, event.durations), causes.astype(np.int64)


def area(values: npt.ArrayLike, visits_day: npt.ArrayLike, start_day: float = 0.0) -> FloatArray:
    """Area under the course from the start to each visit, by the trapezoid rule.

    Parameters
    ----------
    values
        Shape (patient, visit).
    visits_day
        Strictly increasing. Shape (visit,), day.
    start_day
        Visit at which the area starts; a patient without a value there has no area.

    Returns
    -------
    Unit of the values times day, 0 at the start, NaN before it and at missed visits; a gap between
    two seen visits is bridged by a straight line. Shape (patient, visit).

    Source
    ------
    "definition"
    """
    own, days = _with_days(values, visits_day)
    own = np.where(days[None, :] < start_day - _SAME_DAY, np.nan, own)
    is_seen = ~np.isnan(own)
    before = previous_observed(own)
    day_of = np.where(is_seen, days[None, :], np.nan)
    width = day_of - previous_observed(day_of)
    piece = np.where(is_seen, np.nan_to_num(0.5 * (own + before) * width), 0.0)
    total = np.cumsum(piece, axis=1)
    has_start = np.any(is_seen[:, np.abs(days - start_day) <= _SAME_DAY], axis=1)
    return np.where(is_seen & has_start[:, None], total, np.nan)


def average(values: npt.ArrayLike, visits_day: npt.ArrayLike, start_day: float = 0.0) -> FloatArray:
    """Average over time from the start to each visit: area over elapsed time.

    Parameters
    ----------
    values, visits_day, start_day
        See `area`.

    Returns
    -------
    Unit of the values; the value itself at the start. Shape (patient, visit).

    Source
    ------
    "definition"
    """
    own, days = _with_days(values, visits_day)
    elapsed = days[None, :] - start_day
    found = area(own, days, start_day)
    is_start = np.abs(elapsed) <= _SAME_DAY
    return np.where(
        is_start,
        np.where(np.isnan(found), np.nan, own),
        found / np.where(elapsed > _SAME_DAY, elapsed, np.nan),
    )


def extreme(
    values: npt.ArrayLike,
    visits_day: npt.ArrayLike,
    best: np.ufunc,
    start_day: float = 0.0,
) -> FloatArray:
    """Lowest or highest value after the start, up to each visit.

    Parameters
    ----------
    values, visits_day
        See `area`.
    best
        ``np.fmin`` or ``np.fmax``.
    start_day
        Values up to and including this day do not count.

    Returns
    -------
    Unit of the values; NaN before the first value. Shape (patient, visit).

    Source
    ------
    "definition"
    """
    own, days = _with_days(values, visits_day)
    own = np.where(days[None, :] <= start_day + _SAME_DAY, np.nan, own)
    return np.asarray(best.accumulate(own, axis=1))


def imputed(values: npt.ArrayLike, how: Missing) -> FloatArray:
    """Values with the missing ones replaced.

    Parameters
    ----------
    values
        Shape (patient, visit); a course without time is one visit.
    how
        `Missing.LAST` takes the last observed value of the patient, so that a patient without any
        stays missing; baseline is carried forward as any other value.

    Returns
    -------
    A copy. Shape (patient, visit).

    Source
    ------
    "definition"; that carrying forward is biased in either direction: National Research Council,
    The Prevention and Treatment of Missing Data in Clinical Trials, 2010.
    """
    own = _two_dimensional(values).copy()
    if how is Missing.NON_RESPONSE:
        return np.where(np.isnan(own), 0.0, own)
    if how is Missing.LAST:
        return np.where(np.isnan(own), previous_observed(own), own)
    return own


def previous_observed(values: FloatArray) -> FloatArray:
    """Last value that was observed before each visit, NaN without one. Shape (patient, visit)."""
    n_visits = values.shape[1]
    place = np.where(np.isnan(values), -1, np.arange(n_visits)[None, :])
    last = np.maximum.accumulate(place, axis=1)
    before = np.concatenate([np.full((len(values), 1), -1), last[:, :-1]], axis=1)
    filled = np.take_along_axis(values, np.maximum(before, 0), axis=1)
    return np.where(before >= 0, filled, np.nan)


def next_observed(values: FloatArray) -> FloatArray:
    """First value that is observed after each visit, NaN without one. Shape (patient, visit)."""
    return previous_observed(values[:, ::-1])[:, ::-1]


def _two_dimensional(values: npt.ArrayLike) -> FloatArray:
    """Values as doubles of shape (patient, visit)."""
    own = np.asarray(values, dtype=np.float64)
    if own.ndim != 2:
        raise ShapeError(f"values have shape {own.shape}; expected (patient, visit)")
    return own


def _with_days(values: npt.ArrayLike, days: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Values of shape (patient, visit) and the days of the visits."""
    own, times = _two_dimensional(values), np.asarray(days, dtype=np.float64)
    if own.shape[1:] != times.shape:
        raise ShapeError(f"values of shape {own.shape} do not belong to {times.shape} visits")
    return own, times
