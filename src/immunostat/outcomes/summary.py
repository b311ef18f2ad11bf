"""Tables of endpoints: one arm at its visits, and the difference of two arms."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import InputError, ShapeError
from immunostat.model.system import FloatArray
from immunostat.outcomes import (
    comparisons,
    event_summary,
    expected_events,
    statistics,
    survival,
)
from immunostat.outcomes.endpoints import KINDS, EndpointSpec, level_of, visit_at
from immunostat.outcomes.event_times import EventTimes, times_at_visits
from immunostat.outcomes.expected_events import ExpectedEvents
from immunostat.outcomes.statistics import Estimate
from immunostat.outcomes.visit_courses import TimeToEvent, time_to_event

#: Two times are the same within this, day.
SAME_DAY = 1e-6


@dataclass(frozen=True)
class SummaryRow:
    """One row of a table of endpoints; a proportion is a fraction, with unit 1."""

    arm: str
    endpoint: str
    kind: str
    time_day: float
    n: int
    statistic: str
    estimate: float
    low: float
    high: float
    unit: str
    method: str
    n_missing: int
    n_at_risk: float = math.nan  #: of a time to event: patients still at risk just before the visit


def summarize(
    spec: EndpointSpec,
    values: FloatArray,
    times: FloatArray,
    arm: str,
    confidence: float = 0.95,
    exact: EventTimes | None = None,
    expected: ExpectedEvents | None = None,
) -> list[SummaryRow]:
    """Table rows of an endpoint in one arm.

    Parameters
    ----------
    spec
        The endpoint.
    values
        From `evaluate`. Shape (patient, visit).
    times
        Times of the visits, day. Shape (visit,).
    arm
        Name of the arm.
    confidence
        Coverage of the intervals.
    exact
        Days of events, for an endpoint that is made of events (`endpoints.times_of`); None takes
        the visits at which they were seen.
    expected
        Expected events in place of drawn ones, at the same visits (`expected_events.expected_of`);
        None takes the drawn ones.

    Returns
    -------
    One row for `spec.time_day`, or one per visit. Missing values of binary kinds count as no
    response and `n` counts all patients; otherwise `n` counts the observed.

    Source
    ------
    Non-responder imputation as in the trials that the package compares with; intervals in
    `statistics`.
    """
    if KINDS[spec.kind].is_of_events:
        own = exact or times_at_visits(values, times)
        return _event_rows(spec, values, times, arm, confidence, own, expected)
    if statistic_of(spec) == "incidence":
        return _incidence_rows(spec, values, times, arm, confidence)
    rows = []
    for visit in _visits(spec, values, times):
        used, n_missing = _used(spec, values[:, visit])
        found = FUNCTIONS[statistic_of(spec)](spec, used, confidence)
        rows.append(_row(spec, arm, float(times[visit]), found, n_missing))
    return rows


def compare(
    spec: EndpointSpec,
    values: FloatArray,
    other_values: FloatArray,
    times: FloatArray,
    arms: tuple[str, str],
    confidence: float = 0.95,
) -> list[SummaryRow]:
    """Table rows of the difference of an endpoint between two arms.

    Parameters
    ----------
    spec
        The endpoint.
    values, other_values
        From `evaluate`, of the arm and of its comparator. Shape (patient, visit).
    times
        Times of the visits, day. Shape (visit,).
    arms
        Names of the arm and of its comparator.
    confidence
        Coverage of the intervals.

    Returns
    -------
    One row for `spec.time_day`, or one per visit: difference of proportions (Newcombe) for
    proportions, of shares by Kaplan-Meier for a time to event, of means (Welch) otherwise.
    Patients are taken as independent between arms, as in a trial; the same virtual patients in
    both arms make the intervals too wide.

    Source
    ------
    See `comparisons`.
    """
    rows = []
    if KINDS[spec.kind].is_of_events:
        raise InputError(
            f"endpoint '{spec.name}' is made of events", remedy="compare it with compare_arms"
        )
    if statistic_of(spec) == "incidence":
        pooled, is_treated = pooled_events(values, other_values, times, spec.baseline_day)
        for visit in _visits(spec, values, times):
            day = float(times[visit])
            found = survival.incidence_difference(
                pooled.durations,
                pooled.is_event,
                is_treated,
                day - spec.baseline_day,
                confidence,
            )
            n_missing = int(
                np.isnan(values[:, visit]).sum() + np.isnan(other_values[:, visit]).sum()
            )
            rows.append(_row(spec, f"{arms[0]} - {arms[1]}", day, found, n_missing))
        return rows
    for visit in _visits(spec, values, times):
        used, n_missing = _used(spec, values[:, visit])
        other, other_missing = _used(spec, other_values[:, visit])
        if statistic_of(spec) == "proportion":
            a, b = (_responders(spec, x) for x in (used, other))
            found = comparisons.proportion_difference(*a, *b, confidence)
        else:
            found = comparisons.mean_difference(used, other, confidence)
        name = f"{arms[0]} - {arms[1]}"
        rows.append(_row(spec, name, float(times[visit]), found, n_missing + other_missing))
    return rows


def pooled_events(
    values: FloatArray, other_values: FloatArray, times: FloatArray, start_day: float
) -> tuple[TimeToEvent, npt.NDArray[np.bool_]]:
    """Times to event of an arm and its comparator together, and who is of the arm.

    Parameters
    ----------
    values, other_values
        Values of a ``time_to_event`` endpoint. Shape (patient, visit).
    times
        Times of the visits, day. Shape (visit,).
    start_day
        Time from which durations count, day.

    Returns
    -------
    First the patients of the arm, then those of the comparator.

    Source
    ------
    "definition"
    """
    both = [time_to_event(own, times, start_day) for own in (values, other_values)]
    durations = np.concatenate([own.durations for own in both])
    is_event = np.concatenate([own.is_event for own in both])
    is_treated = np.arange(len(durations)) < len(values)
    return TimeToEvent(durations, is_event), is_treated


def _incidence_rows(
    spec: EndpointSpec, values: FloatArray, times: FloatArray, arm: str, confidence: float
) -> list[SummaryRow]:
    """Share with the event by each visit, by Kaplan-Meier."""
    event = time_to_event(values, times, spec.baseline_day)
    rows = []
    for visit in _visits(spec, values, times):
        day = float(times[visit])
        found = survival.incidence_at(
            event.durations, event.is_event, day - spec.baseline_day, confidence
        )
        row = _row(spec, arm, day, found, int(np.sum(np.isnan(values[:, visit]))))
        at_risk = float(np.sum(event.durations >= day - spec.baseline_day - SAME_DAY))
        rows.append(replace(row, n_at_risk=at_risk))
    return rows


def _event_rows(
    spec: EndpointSpec,
    values: FloatArray,
    times: FloatArray,
    arm: str,
    confidence: float,
    own: EventTimes,
    expected: ExpectedEvents | None,
) -> list[SummaryRow]:
    """Rate, share or time of events up to each visit."""
    visits = _visits(spec, values, times)
    days = times[visits]
    start = spec.baseline_day
    match statistic_of(spec):
        case ("rate" | "incidence" | "event-free") as statistic if expected is not None:
            is_free = statistic == "event-free"
            found = expected_events.estimates(expected, visits, is_free, confidence)
        case "rate":
            counts = values[:, visits]
            found = event_summary.rates(counts, own, days, start, confidence)
        case "median time":
            found = event_summary.median_times(own, days, start, confidence)
        case "mean time":
            found = event_summary.mean_times(own, days, start, confidence)
        case statistic:
            is_free = statistic == "event-free"
            found = event_summary.shares(own, days, start, is_free, confidence)
    rows = []
    for visit, estimate in zip(visits, found, strict=True):
        day = float(times[visit])
        row = _row(spec, arm, day, estimate, int(np.sum(np.isnan(values[:, visit]))))
        if expected is not None:
            row = replace(row, method=estimate.method)
        until = own.end_day if statistic_of(spec) == "rate" else own.last_day
        rows.append(replace(row, n_at_risk=float(np.sum(until >= day - SAME_DAY))))
    return rows


def _proportion(spec: EndpointSpec, values: FloatArray, confidence: float) -> Estimate:
    """Proportion of responders, or of patients at or above the grade."""
    return statistics.proportion(*_responders(spec, values), confidence)


#: Statistics by name: specification, values of shape (patient,) and coverage to an estimate.
FUNCTIONS: Mapping[str, Callable[[EndpointSpec, FloatArray, float], Estimate]] = {
    "proportion": _proportion,
    "mean": lambda spec, values, confidence: statistics.mean(values, confidence),
    "median": lambda spec, values, confidence: statistics.median(values, confidence),
    "geometric_mean": lambda spec, values, confidence: statistics.geometric_mean(
        values, confidence
    ),
}


def _visits(spec: EndpointSpec, values: FloatArray, times: FloatArray) -> list[int]:
    """Indices of the visits to summarize."""
    if values.ndim != 2 or values.shape[1] != len(times):
        raise ShapeError(f"values of shape {values.shape} do not belong to {len(times)} visits")
    if spec.time_day is None:
        return list(range(len(times)))
    return [visit_at(spec, spec.time_day, times)]


def _used(spec: EndpointSpec, values: FloatArray) -> tuple[FloatArray, int]:
    """Values that enter a statistic, imputed where binary, and how many were missing."""
    is_missing = np.isnan(values)
    filled = np.where(is_missing, 0.0, values) if KINDS[spec.kind].is_binary else values
    return np.asarray(filled), int(np.sum(is_missing))


def _responders(spec: EndpointSpec, values: FloatArray) -> tuple[int, int]:
    """Number of responders (or of patients at or above a grade) and of patients observed."""
    kept, n = statistics.observed(values)
    threshold = 1.0 if KINDS[spec.kind].is_binary else level_of(spec)
    return int(np.sum(kept >= threshold)), n


#: Statistics of events: a kind that has one has no other.
_OF_EVENTS = frozenset({"incidence", "event-free", "rate"})
#: Statistics that are fractions.
FRACTIONS = frozenset({"proportion", "incidence", "event-free"})


def statistic_of(spec: EndpointSpec) -> str:
    """The endpoint's statistic, or that of its kind; a time to event has only its own.

    Parameters
    ----------
    spec
        The endpoint.

    Returns
    -------
    One of `endpoints.STATISTICS`.

    Source
    ------
    "definition"
    """
    own = KINDS[spec.kind].statistic
    if own == "median time":
        return "mean time" if spec.statistic in ("mean", "mean time") else own
    return own if own in _OF_EVENTS else spec.statistic or own


def _row(
    spec: EndpointSpec, arm: str, time_day: float, found: Estimate, n_missing: int
) -> SummaryRow:
    """Row of an estimate."""
    how = "missing counted as non-responders" if KINDS[spec.kind].is_binary else "observed cases"
    if KINDS[spec.kind].is_of_events:
        how = "censored at the end of follow-up"
    elif statistic_of(spec) == "incidence":
        how = "censored at the last visit seen"
    unit = "1" if statistic_of(spec) in FRACTIONS else spec.unit
    return SummaryRow(
        arm,
        spec.name,
        spec.kind,
        time_day,
        found.n,
        found.statistic,
        found.estimate,
        found.low,
        found.high,
        unit,
        f"{found.method}; {how}",
        n_missing,
    )
