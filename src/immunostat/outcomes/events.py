"""Adverse events: drawn from a hazard, and counted per patient-year.

The expected number of events is the cumulative hazard, which is exact; events are drawn beside it
from numbers that belong to the event and the patient, the same in every arm. So a higher hazard
brings the same patient's events forward, and arms differ by treatment alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from immunostat.base import streams
from immunostat.base.errors import ShapeError
from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.outcomes import statistics
from immunostat.outcomes.hazards import DAYS_PER_YEAR, cumulative_hazard


@dataclass(frozen=True)
class Events:
    """Events drawn for the patients of one arm.

    Parameters
    ----------
    name
        Name of the event.
    patients
        Number of each patient. Shape (patient,).
    follow_up
        Time from start of follow-up to its end (of study, dropout or failure), day. Shape
        (patient,).
    expected
        Cumulative hazard until then: expected number of events. Shape (patient,).
    counts
        Number of events drawn. Shape (patient,).
    first
        Time of the first event, NaN without one, day. Shape (patient,).
    event_row, event_time
        Row of the patient and time of every event, by patient, then time, day. Shape (event,).
    start
        Start of follow-up, day.
    """

    name: str
    patients: IntArray
    follow_up: FloatArray
    expected: FloatArray
    counts: IntArray
    first: FloatArray
    event_row: IntArray
    event_time: FloatArray
    start: float

    @property
    def has_event(self) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Which patients have an event. Shape (patient,)."""
        return np.asarray(self.counts > 0)

    @property
    def durations(self) -> FloatArray:
        """Time from start to first event or end of follow-up, day. Shape (patient,)."""
        return np.asarray(np.where(self.has_event, self.first - self.start, self.follow_up))


def draw_events(
    name: str,
    hazard: FloatArray,
    times: FloatArray,
    seed: int,
    patients: npt.ArrayLike,
    end: npt.ArrayLike | None = None,
) -> Events:
    """Draw the events of a non-homogeneous Poisson process for every patient.

    Event k happens where the cumulative hazard reaches the sum of the first k unit exponentials of
    this event and patient. These numbers do not depend on the arm.

    Parameters
    ----------
    name
        Name of the event.
    hazard, times
        See `cumulative_hazard`. Follow-up starts at the first time.
    seed
        Seed of the study.
    patients
        Number of each patient. Shape (patient,).
    end
        End of each patient's follow-up (dropout), day; None follows all to the last time. A
        patient whose hazard is NaN is censored at the last time before. Shape (patient,).

    Returns
    -------
    See `Events`; recurrent events are all there, `Events.first` and `Events.durations` serve
    analyses of the first.

    Raises
    ------
    ShapeError
        Shapes do not belong together.

    Source
    ------
    Inversion of the cumulative hazard: Cinlar E, Introduction to Stochastic Processes, 1975,
    section 4.7.
    """
    total, numbers = cumulative_hazard(hazard, times), np.asarray(patients, dtype=np.int64)
    n = len(hazard)
    if numbers.shape != (n,):
        raise ShapeError(f"{numbers.shape} patients for {n} rows of hazard")
    last = _end_of_follow_up(hazard, times, end)
    expected = _cumulative_at(np.arange(n), last, hazard, times, total)
    rows, sums = _arrivals(name, seed, numbers, expected)
    event_time = _inverse(rows, sums, hazard, times, total)
    event_time = np.minimum(event_time, last[rows])  # rounding must not pass the end
    counts = np.bincount(rows, minlength=n).astype(np.int64)
    first = np.full(n, np.nan)
    first[rows[::-1]] = event_time[::-1]  # the earliest of each patient is written last
    return Events(
        name, numbers, last - times[0], expected, counts, first, rows, event_time, float(times[0])
    )


def incidence(
    events: Events, is_first_only: bool = True, confidence: float = 0.95
) -> statistics.Estimate:
    """Incidence of drawn events per 100 patient-years.

    Parameters
    ----------
    events
        From `draw_events`.
    is_first_only
        Whether a patient counts, and is at risk, until his first event only. Recurrent events are
        not independent between patients of different hazard, so their Poisson interval is a
        little too narrow.
    confidence
        Coverage of the interval.

    Returns
    -------
    Rate with exact Poisson interval.

    Source
    ------
    See `statistics.incidence_rate`.
    """
    days = events.durations if is_first_only else events.follow_up
    number = int(np.sum(events.has_event)) if is_first_only else int(np.sum(events.counts))
    return statistics.incidence_rate(number, float(np.sum(days)) / DAYS_PER_YEAR, confidence)


def expected_incidence(events: Events) -> float:
    """Expected rate of all events per 100 patient-years, without chance: hazard over time at risk.

    Parameters
    ----------
    events
        From `draw_events`.

    Returns
    -------
    Sum of cumulative hazards over sum of follow-up, per 100 patient-years; NaN without follow-up.

    Source
    ------
    "definition"
    """
    years = float(np.sum(events.follow_up)) / DAYS_PER_YEAR
    return 100.0 * float(np.sum(events.expected)) / years if years > 0 else float("nan")


def expected_until(hazard: FloatArray, times: FloatArray, follow_up: FloatArray) -> FloatArray:
    """Expected number of events of each patient within his follow-up.

    Parameters
    ----------
    hazard, times
        See `cumulative_hazard`.
    follow_up
        From the first time, day. Shape (patient,), or (patient, part) for several parts of it.

    Returns
    -------
    Shape of `follow_up`.
    """
    total = cumulative_hazard(hazard, times)
    rows = np.arange(len(hazard)).reshape(-1, *[1] * (follow_up.ndim - 1))
    return _cumulative_at(rows, times[0] + follow_up, hazard, times, total)


def _arrivals(
    name: str, seed: int, patients: IntArray, expected: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Rows and sums of unit exponentials that stay within each patient's cumulative hazard."""
    most = float(np.max(expected, initial=0.0))
    n_draws = int(np.ceil(most + 6.0 * np.sqrt(most) + 8.0))
    while True:
        draws = streams.exponential(seed, f"event:{name}", patients, n_draws)
        sums = np.cumsum(draws, axis=1)
        if np.all(sums[:, -1] > expected):
            break
        n_draws *= 2  # a longer row starts with the shorter one, so nothing drawn changes
    rows, _ = np.nonzero(sums <= expected[:, None])
    return rows.astype(np.int64), sums[sums <= expected[:, None]]


def _inverse(
    rows: IntArray, sums: FloatArray, hazard: FloatArray, times: FloatArray, total: FloatArray
) -> FloatArray:
    """Times at which the cumulative hazard of a row reaches a sum. Shape (event,)."""
    place = np.empty(len(rows), dtype=np.int64)
    for start in range(0, len(rows), 4096):  # pieces, so that (event, time) stays small
        piece = slice(start, start + 4096)
        place[piece] = np.sum(total[rows[piece]] < sums[piece, None], axis=1) - 1
    place = np.clip(place, 0, len(times) - 2)
    rest = sums - total[rows, place]
    step = times[place + 1] - times[place]
    at_start = hazard[rows, place]
    slope = (hazard[rows, place + 1] - at_start) / step
    # Root of at_start s + slope s^2 / 2 = rest, in the form that does not cancel.
    root = np.sqrt(np.maximum(at_start**2 + 2.0 * slope * rest, 0.0))
    within = 2.0 * rest / np.where(at_start + root > 0, at_start + root, np.inf)
    return np.asarray(times[place] + np.clip(within, 0.0, step))


def _cumulative_at(
    rows: IntArray, at: FloatArray, hazard: FloatArray, times: FloatArray, total: FloatArray
) -> FloatArray:
    """Cumulative hazard of rows at given times, from the hazard that is linear between times."""
    place = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    step = times[place + 1] - times[place]
    share = (at - times[place]) / step
    at_start, at_end = hazard[rows, place], hazard[rows, place + 1]
    inner = step * share * (at_start + 0.5 * share * (at_end - at_start))
    return np.asarray(total[rows, place] + np.where(share > 0, np.nan_to_num(inner), 0.0))


def _end_of_follow_up(
    hazard: FloatArray, times: FloatArray, end: npt.ArrayLike | None
) -> FloatArray:
    """Last time at which each patient is known, at most his own end. Shape (patient,)."""
    is_known = np.logical_and.accumulate(~np.isnan(hazard), axis=1)
    known = times[np.maximum(is_known.sum(axis=1) - 1, 0)]
    if end is None:
        return np.asarray(known)
    wanted = np.asarray(end, dtype=np.float64)
    if wanted.shape != known.shape:
        raise ShapeError(f"ends of follow-up have shape {wanted.shape}, expected {known.shape}")
    return np.asarray(np.clip(wanted, times[0], known))
