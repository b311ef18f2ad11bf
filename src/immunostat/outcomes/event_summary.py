"""Estimates of events in one arm: rates, shares with or without an event, median and mean times."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from immunostat.model.system import FloatArray
from immunostat.outcomes import statistics, survival
from immunostat.outcomes.event_times import EventTimes
from immunostat.outcomes.hazards import DAYS_PER_YEAR
from immunostat.outcomes.statistics import Estimate, z_quantile
from immunostat.outcomes.survival import Curve

#: Two times are the same within this, day.
_SAME_DAY = 1e-6


def rates(
    counts: FloatArray,
    times: EventTimes,
    days: Sequence[float] | FloatArray,
    start_day: float = 0.0,
    confidence: float = 0.95,
) -> list[Estimate]:
    """Events per patient-year up to some days.

    Parameters
    ----------
    counts
        Events of each patient so far, NaN where not followed. Shape (patient, day).
    times
        Whose `end_day` ends the follow-up of each patient.
    days
        Shape (day,).
    start_day
        Start of follow-up, day.
    confidence
        Coverage of the intervals.

    Returns
    -------
    All events over all time at risk, 1/year; NaN where no time has passed. The interval does not
    take patients to be alike: the variance is that of a ratio of sums over patients. Without any
    event it is the exact one of Poisson.

    Source
    ------
    Ratio of sums: Cochran WG, Sampling Techniques, 3rd ed., 1977, chapter 6; logarithmic.
    """
    found = []
    for k, day in enumerate(days):
        is_seen = ~np.isnan(counts[:, k])
        years = exposure_years(times, float(day), start_day)[is_seen]
        own, n = counts[is_seen, k], int(is_seen.sum())
        events, total = float(own.sum()), float(years.sum())
        method = f"events over patient-years, robust {100 * confidence:g} %"
        if total <= 0 or n == 0:
            found.append(Estimate("rate", math.nan, math.nan, math.nan, n, method))
        elif events == 0:
            exact = statistics.incidence_rate(0, total, confidence)
            found.append(Estimate("rate", 0.0, 0.0, exact.high / 100.0, n, exact.method))
        else:
            rate = events / total
            error = math.sqrt(float(np.sum((own - rate * years) ** 2))) / events
            factor = math.exp(z_quantile(confidence) * error)
            found.append(Estimate("rate", rate, rate / factor, rate * factor, n, method))
    return found


def exposure_years(times: EventTimes, day: float, start_day: float = 0.0) -> FloatArray:
    """Time of follow-up of each patient up to a day, year. Shape (patient,).

    Parameters
    ----------
    times
        Whose `end_day` ends the follow-up.
    day
        Last day that counts.
    start_day
        Start of follow-up, day.

    Returns
    -------
    Not negative.

    Source
    ------
    "definition"
    """
    end = np.minimum(times.end_day, day)
    return np.asarray(np.maximum(end - start_day, 0.0) / DAYS_PER_YEAR)


def incidence_curve(times: EventTimes, start_day: float = 0.0, confidence: float = 0.95) -> Curve:
    """Share of patients with the event as a curve: events compete where a terminal one does.

    Parameters
    ----------
    times
        Events of one arm.
    start_day
        Day from which time counts.
    confidence
        Coverage of the pointwise interval.

    Returns
    -------
    Rising curve, time since the start, day: by Aalen and Johansen where a terminal event that is
    not the event itself has struck anybody, else one minus Kaplan-Meier.

    Source
    ------
    See `survival`.
    """
    durations = times.durations(start_day)
    causes = times.causes
    if np.any(causes == 2):
        return survival.cumulative_incidence_of_cause(durations, causes, 1, confidence)
    free = survival.kaplan_meier(durations, times.is_event, confidence)
    return Curve(
        free.times, 1 - free.estimate, 1 - free.high, 1 - free.low, free.n_at_risk, free.method
    )


def shares(
    times: EventTimes,
    days: Sequence[float] | FloatArray,
    start_day: float = 0.0,
    is_free: bool = False,
    confidence: float = 0.95,
) -> list[Estimate]:
    """Share of patients with an event by some days, or of those without.

    Parameters
    ----------
    times
        Events of one arm.
    days
        Shape (day,).
    start_day
        Day from which time counts.
    is_free
        Whether the share without the event is wanted.
    confidence
        Coverage of the intervals.

    Returns
    -------
    Fractions; NaN after the last patient was lost without the event. No interval where nobody or
    everybody has had the event.

    Source
    ------
    See `incidence_curve`.
    """
    name = "event-free" if is_free else "incidence"
    n = int(np.sum(times.durations(start_day) > 0))
    if n == 0:
        return [Estimate(name, math.nan, math.nan, math.nan, 0, "Kaplan-Meier") for _ in days]
    curve = incidence_curve(times, start_day, confidence)
    last = float(times.durations(start_day).max())
    found = []
    for day in days:
        since = float(day) - start_day
        place = max(int(np.searchsorted(curve.times, since + _SAME_DAY, side="right")) - 1, 0)
        value, low, high = (float(x[place]) for x in (curve.estimate, curve.low, curve.high))
        is_over = since > last + _SAME_DAY and value < 1 and not np.any(times.causes == 2)
        if is_over:
            value = math.nan
        if is_over or value in (0.0, 1.0):
            low = high = math.nan
        if is_free:
            value, low, high = 1 - value, 1 - high, 1 - low
        found.append(Estimate(name, value, low, high, n, curve.method))
    return found


def median_times(
    times: EventTimes,
    days: Sequence[float] | FloatArray,
    start_day: float = 0.0,
    confidence: float = 0.95,
) -> list[Estimate]:
    """Median time to the event as it was known on some days.

    Parameters
    ----------
    times, days, start_day, confidence
        See `shares`.

    Returns
    -------
    Day since the start; NaN where the median, or a limit, was not reached by then. A terminal event
    that competes censors.

    Source
    ------
    See `survival.median_time`; later data do not change a Kaplan-Meier curve.
    """
    durations = times.durations(start_day)
    if not np.any(durations > 0):
        lost = Estimate("median time", math.nan, math.nan, math.nan, 0, "Kaplan-Meier")
        return [lost for _ in days]
    whole = survival.median_time(durations, times.is_event, confidence)
    found = []
    for day in days:
        since = float(day) - start_day + _SAME_DAY
        value, low, high = (
            own if own <= since else math.nan for own in (whole.estimate, whole.low, whole.high)
        )
        reached = "" if value == value else "; not reached"
        method = whole.method + reached
        found.append(Estimate("median time", value, low, high, whole.n, method))
    return found


def mean_times(
    times: EventTimes,
    days: Sequence[float] | FloatArray,
    start_day: float = 0.0,
    confidence: float = 0.95,
) -> list[Estimate]:
    """Mean time to the event, of the time up to some days.

    Parameters
    ----------
    times, days, start_day, confidence
        See `shares`.

    Returns
    -------
    Area under the Kaplan-Meier curve, day.

    Source
    ------
    Irwin JO, J Hyg 1949;47:188-189; variance: Klein JP, Moeschberger ML, Survival Analysis, 2nd
    ed., 2003, section 4.5.
    """
    durations, is_event = times.durations(start_day), times.is_event
    n = int(np.sum(durations > 0))
    method = f"area under Kaplan-Meier, normal {100 * confidence:g} %"
    if n == 0:
        return [Estimate("mean time", math.nan, math.nan, math.nan, 0, method) for _ in days]
    at, events, at_risk = _events_at(durations, is_event)
    free = np.cumprod(1.0 - events / at_risk)
    found = []
    for day in days:
        until = float(day) - start_day
        inside = at <= until
        edges = np.concatenate([[0.0], at[inside], [until]])
        height = np.concatenate([[1.0], free[inside]])
        pieces = height * np.diff(edges)
        area = float(pieces.sum())
        rest = np.cumsum(pieces[::-1])[::-1][1:]  # area to the right of each event
        left = at_risk[inside] - events[inside]
        terms = np.divide(
            events[inside], at_risk[inside] * left, out=np.zeros(len(left)), where=left > 0
        )
        half = z_quantile(confidence) * math.sqrt(float(np.sum(rest**2 * terms)))
        found.append(Estimate("mean time", area, area - half, area + half, n, method))
    return found


def mean_cumulative_count(
    rows: npt.ArrayLike,
    event_day: npt.ArrayLike,
    end_day: FloatArray,
    days: FloatArray,
    start_day: float = 0.0,
    confidence: float = 0.95,
) -> Curve:
    """Mean number of recurrent events per patient so far.

    Parameters
    ----------
    rows, event_day
        Row of the patient and day of every event. Each of shape (event,).
    end_day
        End of each patient's follow-up. Shape (patient,).
    days
        Where the curve is wanted, increasing. Shape (day,).
    start_day
        Start of follow-up, day.
    confidence
        Coverage of the pointwise interval (normal, robust).

    Returns
    -------
    The curve at the days, as time since the start; who has left or died is no longer at risk.

    Source
    ------
    Nelson W, J Qual Technol 1988;20:24-35; robust variance: Lawless JF, Nadeau C, Technometrics
    1995;37:158-168.
    """
    row, day = np.asarray(rows, dtype=np.int64), np.asarray(event_day, dtype=np.float64)
    order = np.argsort(end_day, kind="stable")
    sorted_end = end_day[order]
    n = len(end_day)
    at_risk = n - np.searchsorted(sorted_end, day - _SAME_DAY, side="left").astype(np.float64)
    weight = 1.0 / np.maximum(at_risk, 1.0)
    jump = np.argsort(day, kind="stable")
    total = np.cumsum(weight[jump])
    place = np.searchsorted(day[jump], days + _SAME_DAY, side="right")
    mean = np.where(place > 0, total[np.maximum(place - 1, 0)] if len(total) else 0.0, 0.0)
    # What each patient adds, less what was expected of him while at risk.
    compensated = np.cumsum(weight[jump] ** 2)
    low, high = np.empty_like(mean), np.empty_like(mean)
    z = z_quantile(confidence)
    for k, until in enumerate(days):
        inside = day <= until + _SAME_DAY
        own = np.bincount(row[inside], weights=weight[inside], minlength=n)
        last = np.searchsorted(day[jump], np.minimum(end_day, until) + _SAME_DAY, side="right")
        expected = np.where(
            last > 0, compensated[np.maximum(last - 1, 0)] if len(compensated) else 0.0, 0.0
        )
        error = math.sqrt(float(np.sum((own - expected) ** 2)))
        low[k], high[k] = max(mean[k] - z * error, 0.0), mean[k] + z * error
    risk = n - np.searchsorted(sorted_end, days - _SAME_DAY, side="left").astype(np.float64)
    method = f"Nelson, robust {100 * confidence:g} %"
    return Curve(np.asarray(days - start_day), mean, low, high, risk, method)


def _events_at(
    durations: FloatArray, is_event: npt.NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Times of events, how many struck at each, and how many were at risk just before."""
    at, place = np.unique(durations[is_event], return_inverse=True)
    events = np.bincount(place, minlength=len(at)).astype(np.float64)
    at_risk = len(durations) - np.searchsorted(np.sort(durations), at, side="left")
    return at, events, at_risk.astype(np.float64)
