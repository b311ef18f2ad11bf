"""Time to event: survival curve, cumulative incidence with competing events, hazard ratio."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import ShapeError
from immunostat.model.system import FloatArray
from immunostat.outcomes.statistics import Estimate, z_quantile

#: Two times are the same within this, day.
_SAME_DAY = 1e-6


@dataclass(frozen=True)
class Curve:
    """A step function of time with a pointwise interval; it holds from its time to the next.

    Parameters
    ----------
    times
        Start of each step, first 0, day. Shape (time,).
    estimate, low, high
        Probability at and after each time. Shape (time,).
    n_at_risk
        Patients at risk just before each time. Shape (time,).
    method
        How curve and interval were made.
    """

    times: FloatArray
    estimate: FloatArray
    low: FloatArray
    high: FloatArray
    n_at_risk: FloatArray
    method: str

    def at(self, times: npt.ArrayLike) -> FloatArray:
        """Estimate at given times, day. Same shape as `times`."""
        place = np.searchsorted(self.times, np.asarray(times, dtype=np.float64), side="right") - 1
        return np.asarray(self.estimate[np.maximum(place, 0)])


def kaplan_meier(
    durations: npt.ArrayLike, is_event: npt.ArrayLike, confidence: float = 0.95
) -> Curve:
    """Kaplan-Meier curve of being free of an event.

    Parameters
    ----------
    durations
        Time of event or censoring, day. Shape (patient,).
    is_event
        Whether the event happened at that time. Shape (patient,).
    confidence
        Coverage of the pointwise interval (Greenwood, log minus log).

    Returns
    -------
    Probability of no event so far.

    Source
    ------
    Kaplan EL, Meier P, J Am Stat Assoc 1958;53:457-481; by lifelines.
    """
    fitter = _fitted_kaplan_meier(durations, is_event, confidence)
    interval = fitter.confidence_interval_survival_function_
    times = np.asarray(fitter.survival_function_.index, dtype=np.float64)
    return Curve(
        times,
        np.asarray(fitter.survival_function_.iloc[:, 0], dtype=np.float64),
        np.asarray(interval.iloc[:, 0], dtype=np.float64),
        np.asarray(interval.iloc[:, 1], dtype=np.float64),
        np.asarray(fitter.event_table["at_risk"].loc[times], dtype=np.float64),
        f"Kaplan-Meier, log minus log {100 * confidence:g} %",
    )


def median_time(
    durations: npt.ArrayLike, is_event: npt.ArrayLike, confidence: float = 0.95
) -> Estimate:
    """Median time to an event by Kaplan-Meier, with the interval of Brookmeyer and Crowley.

    Parameters
    ----------
    durations, is_event, confidence
        See `kaplan_meier`.

    Returns
    -------
    Time at which the curve and its limits fall to one half, day; infinite where not reached.

    Source
    ------
    Brookmeyer R, Crowley J, Biometrics 1982;38:29-41 (log minus log); by lifelines.
    """
    from lifelines.utils import median_survival_times

    fitter = _fitted_kaplan_meier(durations, is_event, confidence)
    low, high = median_survival_times(fitter.confidence_interval_survival_function_).iloc[0]
    return Estimate(
        "median time",
        float(fitter.median_survival_time_),
        float(low),
        float(high),
        int(np.size(np.asarray(durations))),
        f"Kaplan-Meier, Brookmeyer-Crowley {100 * confidence:g} %",
    )


def cumulative_incidence_of_cause(
    durations: npt.ArrayLike, causes: npt.ArrayLike, cause: int = 1, confidence: float = 0.95
) -> Curve:
    """Cumulative incidence of one cause while others compete, by Aalen and Johansen.

    Ties are handled as they are, without the random jitter that lifelines adds; the two agree
    where there are no ties.

    Parameters
    ----------
    durations
        Time of the first event or of censoring, day. Shape (patient,).
    causes
        0 censored, otherwise the number of the cause. Shape (patient,).
    cause
        The cause of interest.
    confidence
        Coverage of the pointwise interval (delta method, log minus log).

    Returns
    -------
    Probability that the cause has struck, one step per time with any event.

    Raises
    ------
    ShapeError
        Durations and causes differ in shape.

    Source
    ------
    Aalen OO, Johansen S, Scand J Stat 1978;5:141-150; variance: Marubini E, Valsecchi MG,
    Analysing Survival Data from Clinical Trials, 1995, equation 10.12.
    """
    from scipy.special import ndtri

    time, kind = _paired(durations, causes)
    event_times = np.unique(time[kind > 0])
    place = np.searchsorted(event_times, time)
    n_at_risk = len(time) - np.searchsorted(np.sort(time), event_times, side="left")
    is_any, is_own = kind > 0, kind == cause
    any_events = np.bincount(place[is_any], minlength=len(event_times)).astype(np.float64)
    own_events = np.bincount(place[is_own], minlength=len(event_times)).astype(np.float64)
    n = n_at_risk.astype(np.float64)
    free_before = np.concatenate([[1.0], np.cumprod(1.0 - any_events / n)[:-1]])[: len(n)]
    incidence = np.cumsum(free_before * own_events / n)
    # Terms of the variance, expanded so that each is one cumulative sum. At the last time all may
    # fail; that term is multiplied by a zero difference.
    remaining = n * (n - any_events)
    weight = np.divide(any_events, remaining, out=np.zeros_like(n), where=remaining > 0)
    cross = free_before * own_events / n**2
    variance = (
        incidence**2 * np.cumsum(weight)
        - 2 * incidence * np.cumsum(incidence * weight)
        + np.cumsum(incidence**2 * weight)
        + np.cumsum(free_before**2 * own_events * (n - own_events) / n**3)
        - 2 * (incidence * np.cumsum(cross) - np.cumsum(incidence * cross))
    )
    z = float(ndtri(0.5 + confidence / 2))
    low, high = incidence.copy(), incidence.copy()
    inside = (incidence > 0) & (incidence < 1)
    own = incidence[inside]
    exponent = z * np.sqrt(np.maximum(variance[inside], 0.0)) / (own * np.log(own))
    low[inside], high[inside] = own ** np.exp(-exponent), own ** np.exp(exponent)
    if not len(event_times) or event_times[0] > 0:
        event_times = np.concatenate([[0.0], event_times])
        incidence, low, high = (np.concatenate([[0.0], x]) for x in (incidence, low, high))
        n = np.concatenate([[float(len(time))], n])
    return Curve(
        event_times,
        incidence,
        low,
        high,
        n,
        f"Aalen-Johansen, log minus log {100 * confidence:g} %",
    )


def hazard_ratio(
    durations: npt.ArrayLike,
    is_event: npt.ArrayLike,
    is_treated: npt.ArrayLike,
    confidence: float = 0.95,
) -> Estimate:
    """Hazard ratio of two arms by the proportional hazards model of Cox (Efron's ties).

    Parameters
    ----------
    durations, is_event
        See `kaplan_meier`.
    is_treated
        1 for the arm, 0 for the comparator. Shape (patient,).
    confidence
        Coverage of the interval (Wald).

    Returns
    -------
    Ratio arm to comparator; NaN where an arm has no event and the model has no maximum.

    Source
    ------
    Cox DR, J R Stat Soc B 1972;34:187-220; by lifelines.
    """
    import pandas as pd
    from lifelines import CoxPHFitter

    time, event = _paired(durations, is_event)
    arm = np.asarray(is_treated, dtype=np.float64)
    method = f"Cox, Wald {100 * confidence:g} %"
    if min(event[arm > 0].sum(), event[arm <= 0].sum()) == 0:
        return Estimate("hazard ratio", math.nan, math.nan, math.nan, len(time), method)
    table = pd.DataFrame({"time": time, "event": event, "arm": arm})
    fitter: Any = CoxPHFitter(alpha=1 - confidence)
    fitter.fit(table, "time", "event")
    low, high = fitter.confidence_intervals_.iloc[0]
    return Estimate(
        "hazard ratio",
        float(fitter.hazard_ratios_.iloc[0]),
        math.exp(float(low)),
        math.exp(float(high)),
        len(time),
        method,
    )


def incidence_at(
    durations: npt.ArrayLike, is_event: npt.ArrayLike, day: float, confidence: float = 0.95
) -> Estimate:
    """Share of patients who have had the event by a day, by Kaplan-Meier.

    Parameters
    ----------
    durations, is_event, confidence
        See `kaplan_meier`.
    day
        Time since the start, day.

    Returns
    -------
    Probability; NaN after the last patient was lost without the event. The interval is that of the
    curve, and NaN where nobody or everybody has had the event.

    Source
    ------
    See `kaplan_meier`.
    """
    time, event = _paired(durations, is_event)
    curve = kaplan_meier(time, event, confidence)
    place = max(int(np.searchsorted(curve.times, day, side="right")) - 1, 0)
    free, low, high = (float(x[place]) for x in (curve.estimate, curve.low, curve.high))
    if free > 0 and _is_past(time, day):
        free = low = high = math.nan
    if free in (0.0, 1.0):
        low = high = math.nan
    return Estimate("incidence", 1.0 - free, 1.0 - high, 1.0 - low, len(time), curve.method)


def incidence_difference(
    durations: npt.ArrayLike,
    is_event: npt.ArrayLike,
    is_treated: npt.ArrayLike,
    day: float,
    confidence: float = 0.95,
) -> Estimate:
    """Difference of the shares with the event by a day, arm minus comparator, by Kaplan-Meier.

    Parameters
    ----------
    durations, is_event, is_treated
        See `hazard_ratio`.
    day
        Time since the start, day.
    confidence
        Coverage of the interval (normal, variances of Greenwood).

    Returns
    -------
    Difference of probabilities; NaN after the last patient of an arm was lost without the event.

    Source
    ------
    Greenwood M, Reports on Public Health and Medical Subjects 33, 1926; Kaplan EL, Meier P, J Am
    Stat Assoc 1958;53:457-481.
    """
    time, event = _paired(durations, is_event)
    arm = np.asarray(is_treated, dtype=np.float64) > 0
    (a, var_a), (b, var_b) = (incidence_variance(time[own], event[own], day) for own in (arm, ~arm))
    half = z_quantile(confidence) * math.sqrt(var_a + var_b)
    method = f"Kaplan-Meier, Greenwood {100 * confidence:g} %"
    return Estimate("incidence difference", a - b, a - b - half, a - b + half, len(time), method)


def log_rank(durations: npt.ArrayLike, is_event: npt.ArrayLike, is_treated: npt.ArrayLike) -> float:
    """p value of the log-rank test of two arms.

    Parameters
    ----------
    durations, is_event, is_treated
        See `hazard_ratio`.

    Returns
    -------
    Two-sided p value; NaN without any event or without patients in an arm.

    Source
    ------
    Mantel N, Cancer Chemother Rep 1966;50:163-170; by lifelines.
    """
    from lifelines.statistics import logrank_test

    time, event = _paired(durations, is_event)
    arm = np.asarray(is_treated, dtype=np.float64) > 0
    if event.sum() == 0 or arm.all() or not arm.any():
        return math.nan
    return float(logrank_test(time[arm], time[~arm], event[arm], event[~arm]).p_value)


def incidence_variance(
    durations: npt.ArrayLike, is_event: npt.ArrayLike, day: float
) -> tuple[float, float]:
    """Share with the event by a day by Kaplan-Meier, and its variance by Greenwood.

    Parameters
    ----------
    durations, is_event
        See `kaplan_meier`.
    day
        Time since the start, day.

    Returns
    -------
    Probability and its variance; NaN after the last patient was lost without the event.

    Source
    ------
    Greenwood M, Reports on Public Health and Medical Subjects 33, 1926.
    """
    time, event = _paired(durations, is_event)
    if not len(time):
        return math.nan, math.nan
    times, place = np.unique(time[(event > 0) & (time <= day)], return_inverse=True)
    died = np.bincount(place, minlength=len(times)).astype(np.float64)
    at_risk = len(time) - np.searchsorted(np.sort(time), times, side="left").astype(np.float64)
    free = float(np.prod(1.0 - died / at_risk))
    left = at_risk - died
    if free > 0 and _is_past(time, day):
        return math.nan, math.nan
    terms = np.divide(died, at_risk * left, out=np.zeros_like(died), where=left > 0)
    return 1.0 - free, free**2 * float(np.sum(terms))


def _is_past(time: FloatArray, day: float) -> bool:
    """Whether nobody was followed until a day."""
    return bool(day > float(time.max(initial=-math.inf)) + _SAME_DAY)


def _fitted_kaplan_meier(
    durations: npt.ArrayLike, is_event: npt.ArrayLike, confidence: float
) -> Any:
    """Curve of lifelines."""
    from lifelines import KaplanMeierFitter

    time, event = _paired(durations, is_event)
    return KaplanMeierFitter(alpha=1 - confidence).fit(time, event)


def _paired(durations: npt.ArrayLike, marks: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Durations and marks of the same patients as arrays of doubles."""
    time, mark = np.asarray(durations, dtype=np.float64), np.asarray(marks, dtype=np.float64)
    if time.shape != mark.shape or time.ndim != 1:
        raise ShapeError(f"durations have shape {time.shape}, events {mark.shape}")
    return time, mark
