"""Two arms compared by their events: ratios of rates, of hazards and of risks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from immunostat.base.errors import InputError, near_matches
from immunostat.model.system import FloatArray
from immunostat.outcomes import comparisons, survival
from immunostat.outcomes.adjusted import Tested
from immunostat.outcomes.arm_values import ArmValues, Comparison
from immunostat.outcomes.endpoints import EndpointSpec
from immunostat.outcomes.event_summary import exposure_years, incidence_curve
from immunostat.outcomes.event_times import EventTimes, times_at_visits
from immunostat.outcomes.rates import event_rates
from immunostat.outcomes.statistics import Estimate, z_quantile

_OF_TIMES = ("hazard ratio", "incidence difference", "risk ratio")

#: Measures of endpoints that are made of events, by their kind; all are made unasked.
EVENT_MEASURES: Mapping[str, tuple[str, ...]] = {
    "event_rate": ("rate ratio",),
    "event_share": _OF_TIMES,
    "event_free": _OF_TIMES,
    "event_time": _OF_TIMES,
}
_NOTE = "censored at the end of follow-up"


def compare_events(
    spec: EndpointSpec,
    arm: ArmValues,
    versus: ArmValues,
    times: FloatArray,
    visits: Sequence[int],
    measures: Sequence[str] = (),
    confidence: float = 0.95,
) -> list[Comparison]:
    """Compare an arm with another by an endpoint that is made of events.

    Parameters
    ----------
    spec
        The endpoint.
    arm, versus
        Values and days of events of the arm and of its comparator.
    times
        Times of the visits, day. Shape (visit,).
    visits
        Which visits are wanted.
    measures
        Some of `EVENT_MEASURES`; all if empty.
    confidence
        Coverage of the intervals.

    Returns
    -------
    A rate ratio, a risk ratio and a difference at each visit; one hazard ratio, of the time up to
    the last of them, in which a terminal event that competes censors. The measures of an event-free
    share are those of the event.

    Raises
    ------
    InputError
        A measure does not suit the endpoint.

    Source
    ------
    See `rates.event_rates`, `survival` and `risk_ratio`.
    """
    allowed = EVENT_MEASURES[spec.kind]
    for measure in measures:
        if measure not in allowed:
            raise InputError(
                f"endpoint '{spec.name}' has no '{measure}'", remedy=near_matches(measure, allowed)
            )
    exact = [own.exact or times_at_visits(own.values, times) for own in (arm, versus)]
    start, rows = spec.baseline_day, []
    for measure in measures or allowed:
        for visit in visits if measure != "hazard ratio" else visits[-1:]:
            day = float(times[visit])
            if measure == "rate ratio":
                found = _rate_ratio(arm, versus, exact, visit, day, start, confidence)
            elif measure == "hazard ratio":
                found = _hazard_ratio(exact, day, start, confidence)
            else:
                found = Tested(_of_shares(measure, exact, day - start, start, confidence), math.nan)
            own = found.estimate
            rows.append(
                Comparison(
                    spec.name,
                    arm.name,
                    versus.name,
                    day,
                    measure,
                    own.estimate,
                    own.low,
                    own.high,
                    found.p,
                    own.n,
                    "1",
                    f"{own.method}; {_NOTE}",
                )
            )
    return rows


def rate_ratio(
    counts: FloatArray,
    years: FloatArray,
    other_counts: FloatArray,
    other_years: FloatArray,
    covariates: FloatArray | None = None,
    confidence: float = 0.95,
) -> Tested:
    """Ratio of the rates of recurrent events of two arms.

    Parameters
    ----------
    counts, years
        Events and time at risk of each patient of the arm, NaN where not followed; year. Each of
        shape (patient,).
    other_counts, other_years
        Of the comparator, in the denominator.
    covariates
        Columns to adjust for, first of the arm, then of the comparator. Shape (patient, covariate).
    confidence
        Coverage of the interval.

    Returns
    -------
    Negative binomial rate ratio; where an arm has no event, the exact conditional one without a p
    value.

    Source
    ------
    See `rates.event_rates` and `comparisons.rate_ratio`.
    """
    is_treated = np.concatenate([np.ones(len(counts)), np.zeros(len(other_counts))])
    model = event_rates(
        np.concatenate([counts, other_counts]),
        np.concatenate([years, other_years]),
        is_treated,
        covariates,
        confidence,
    )
    if not math.isnan(model.ratio.estimate):
        return Tested(model.ratio, model.p)
    pair = [(counts, years), (other_counts, other_years)]
    events = [int(np.nansum(own)) for own, _ in pair]
    exposed = [float(time[~np.isnan(own)].sum()) for own, time in pair]
    if min(exposed) <= 0:
        return Tested(model.ratio, math.nan)
    exact = comparisons.rate_ratio(events[0], exposed[0], events[1], exposed[1], confidence)
    return Tested(replace(exact, n=model.ratio.n), math.nan)


def risk_ratio(
    times: EventTimes,
    other: EventTimes,
    day: float,
    start_day: float = 0.0,
    confidence: float = 0.95,
) -> Estimate:
    """Ratio of the shares with an event by a day.

    Parameters
    ----------
    times, other
        Events of the arm and of its comparator.
    day
        Time since the start, day.
    start_day
        Day from which time counts.
    confidence
        Coverage of the interval.

    Returns
    -------
    Ratio; NaN where the comparator has no event, without interval where the arm has none.

    Source
    ------
    Shares: `event_summary.incidence_curve`; their variance by Greenwood or, where deaths compete,
    from the width of the interval of Aalen and Johansen. The interval of the ratio is symmetric on
    the log scale (delta method).
    """
    (a, error_a), (b, error_b) = (_share(own, day, start_day, confidence) for own in (times, other))
    n = len(times.first_day) + len(other.first_day)
    method = f"ratio of cumulative incidences, log {100 * confidence:g} %"
    if not b > 0 or math.isnan(a):
        return Estimate("risk ratio", math.nan, math.nan, math.nan, n, method)
    if a == 0:
        return Estimate("risk ratio", 0.0, math.nan, math.nan, n, method)
    factor = math.exp(z_quantile(confidence) * math.hypot(error_a / a, error_b / b))
    return Estimate("risk ratio", a / b, a / b / factor, a / b * factor, n, method)


def _of_shares(
    measure: str, exact: Sequence[EventTimes], day: float, start_day: float, confidence: float
) -> Estimate:
    """Ratio or difference of the shares with an event."""
    if measure == "risk ratio":
        return risk_ratio(exact[0], exact[1], day, start_day, confidence)
    (a, error_a), (b, error_b) = (_share(own, day, start_day, confidence) for own in exact)
    half = z_quantile(confidence) * math.hypot(error_a, error_b)
    n = sum(len(own.first_day) for own in exact)
    method = f"difference of cumulative incidences, normal {100 * confidence:g} %"
    return Estimate("incidence difference", a - b, a - b - half, a - b + half, n, method)


def _share(
    times: EventTimes, day: float, start_day: float, confidence: float
) -> tuple[float, float]:
    """Share with the event by a day, and its standard error."""
    durations = times.durations(start_day)
    if not np.any(durations > 0):
        return math.nan, math.nan
    if not np.any(times.causes == 2):
        share, variance = survival.incidence_variance(durations, times.is_event, day + 1e-6)
        return share, math.sqrt(variance)
    curve = incidence_curve(times, start_day, confidence)
    place = max(int(np.searchsorted(curve.times, day + 1e-6, side="right")) - 1, 0)
    share, low, high = (float(x[place]) for x in (curve.estimate, curve.low, curve.high))
    if not (0 < share < 1 and high > low > 0):
        return share, 0.0
    # log(-log) of the ends are symmetric about that of the share.
    width = math.log(math.log(low) / math.log(high)) / (2 * z_quantile(confidence))
    return share, abs(width * share * math.log(share))


def _rate_ratio(
    arm: ArmValues,
    versus: ArmValues,
    exact: Sequence[EventTimes],
    visit: int,
    day: float,
    start_day: float,
    confidence: float,
) -> Tested:
    """Rate ratio of events up to a visit."""
    years = [exposure_years(own, day, start_day) for own in exact]
    counts = arm.values[:, visit], versus.values[:, visit]
    return rate_ratio(counts[0], years[0], counts[1], years[1], None, confidence)


def _hazard_ratio(
    exact: Sequence[EventTimes], day: float, start_day: float, confidence: float
) -> Tested:
    """Hazard ratio by Cox, and the log-rank test, of the time up to a day."""
    durations = np.concatenate([own.durations(start_day) for own in exact])
    is_event = np.concatenate([own.is_event for own in exact])
    since = day - start_day
    is_event &= durations <= since + 1e-6
    durations = np.minimum(durations, since)
    treated = np.arange(len(durations)) < len(exact[0].first_day)
    ratio = survival.hazard_ratio(durations, is_event, treated, confidence)
    p = survival.log_rank(durations, is_event, treated)
    return Tested(replace(ratio, method=f"{ratio.method}; p by log-rank test"), p)
