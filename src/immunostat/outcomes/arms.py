"""Comparisons of two arms by the kind of their endpoint, with p values: one door for all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import InputError, ShapeError, near_matches
from immunostat.model.system import FloatArray
from immunostat.outcomes import arm_tests, comparisons, survival
from immunostat.outcomes.adjusted import Tested, ancova
from immunostat.outcomes.arm_values import ArmValues, Comparison
from immunostat.outcomes.endpoints import KINDS, EndpointSpec, level_of, visit_at
from immunostat.outcomes.event_arms import compare_events, rate_ratio
from immunostat.outcomes.multiplicity import Adjustment, adjusted_p
from immunostat.outcomes.repeated import repeated_measures, usable_visits
from immunostat.outcomes.statistics import Estimate
from immunostat.outcomes.summary import pooled_events, statistic_of
from immunostat.outcomes.visit_courses import Missing, imputed

__all__ = [
    "MEASURES",
    "ArmValues",
    "Comparison",
    "compare_arms",
    "compare_rates",
    "with_adjusted_p",
]

#: Measures that can be asked for, by the statistic of the endpoint; the first are made unasked.
MEASURES: Mapping[str, tuple[str, ...]] = {
    "proportion": ("risk difference", "risk ratio", "odds ratio"),
    "mean": ("mean difference", "adjusted difference", "MMRM difference"),
    "median": ("shift",),
    "geometric_mean": ("ratio of geometric means",),
    "incidence": ("hazard ratio", "incidence difference"),
}
_SAME_DAY = 1e-6

_Function = Callable[[EndpointSpec, ArmValues, ArmValues, int, float], Tested]


def compare_arms(
    spec: EndpointSpec,
    arm: ArmValues,
    versus: ArmValues,
    times: FloatArray,
    measures: Sequence[str] = (),
    missing: Missing | None = None,
    confidence: float = 0.95,
) -> list[Comparison]:
    """Compare an arm with another by what suits the endpoint.

    Parameters
    ----------
    spec
        The endpoint.
    arm, versus
        Values of the arm and of its comparator, of different patients.
    times
        Times of the visits, day. Shape (visit,).
    measures
        Some of `MEASURES` for the endpoint's statistic. None asked for gives all of a proportion
        or a time to event, and of means the plain difference and, where there are covariates, the
        adjusted one.
    missing
        What stands for missing values; None takes non-response for binary endpoints and observed
        cases otherwise. A time to event is censored and an MMRM uses what was seen.
    confidence
        Coverage of the intervals.

    Returns
    -------
    One row for each measure at `spec.time_day`, or at every visit after baseline. A hazard ratio
    has one row, for the time up to that visit or to the last one.

    Raises
    ------
    InputError
        A measure does not suit the endpoint, or needs covariates that are not given.
    ShapeError
        Values do not belong to the visits.

    Source
    ------
    See `comparisons`, `arm_tests`, `adjusted`, `repeated` and `survival`.
    """
    for own in (arm, versus):
        if own.values.ndim != 2 or own.values.shape[1] != len(times):
            raise ShapeError(f"values of shape {own.values.shape} for {len(times)} visits")
    statistic = statistic_of(spec)
    if KINDS[spec.kind].is_of_events:
        visits = _wanted(spec, times)
        return compare_events(spec, arm, versus, times, visits, measures, confidence)
    chosen = _chosen(spec, statistic, measures, arm.covariates is not None)
    visits = _wanted(spec, times)
    if not visits:
        return []
    if statistic == "incidence":
        return _events_compared(spec, (arm, versus), times, visits, chosen, confidence)
    how = missing or (Missing.NON_RESPONSE if KINDS[spec.kind].is_binary else Missing.OBSERVED)
    if how is Missing.NON_RESPONSE and not KINDS[spec.kind].is_binary:
        raise InputError(
            f"endpoint '{spec.name}' is not binary, so a missing value cannot be a non-response",
            remedy=f"use '{Missing.OBSERVED}' or '{Missing.LAST}'",
        )
    filled = [replace(own, values=imputed(own.values, how)) for own in (arm, versus)]
    rows = []
    for measure in chosen:
        if measure == "MMRM difference":
            rows += _repeated_rows(spec, (arm, versus), times, visits, confidence)
            continue
        for visit in visits:
            found = _FUNCTIONS[measure](spec, filled[0], filled[1], visit, confidence)
            note = str(how)
            rows.append(_row(spec, arm, versus, float(times[visit]), measure, found, note))
    return rows


def _wanted(spec: EndpointSpec, times: FloatArray) -> list[int]:
    """Visits at which arms are compared."""
    if spec.time_day is not None:
        return [visit_at(spec, spec.time_day, times)]
    found: list[int] = np.flatnonzero(times > spec.baseline_day + _SAME_DAY).tolist()
    return found


def compare_rates(
    endpoint: str,
    arm: ArmValues,
    versus: ArmValues,
    years: npt.ArrayLike,
    other_years: npt.ArrayLike,
    time_day: float,
    confidence: float = 0.95,
) -> Comparison:
    """Ratio of the rates of recurrent events of two arms.

    Parameters
    ----------
    endpoint
        Name of the event.
    arm, versus
        Counts of events as values of shape (patient, 1), and covariates if any.
    years, other_years
        Time at risk. Each of shape (patient,), year.
    time_day
        End of follow-up, day.
    confidence
        Coverage of the interval.

    Returns
    -------
    Negative binomial rate ratio; where an arm has no event, the exact conditional one without
    covariates and without a p value.

    Source
    ------
    See `event_arms.rate_ratio`.
    """
    found = rate_ratio(
        arm.values[:, 0],
        np.asarray(years, dtype=np.float64),
        versus.values[:, 0],
        np.asarray(other_years, dtype=np.float64),
        _stacked(arm.covariates, versus.covariates),
        confidence,
    )
    spec = EndpointSpec(endpoint, "value")
    return _row(spec, arm, versus, time_day, "rate ratio", found, "observed time at risk")


def with_adjusted_p(
    rows: Sequence[Comparison], how: Adjustment | str = Adjustment.HOLM
) -> list[Comparison]:
    """Comparisons with p values adjusted for one another.

    Parameters
    ----------
    rows
        The family of hypotheses, one row each, in the order in which they are tested.
    how
        See `multiplicity.Adjustment`.

    Returns
    -------
    The same rows with `p_adjusted`; `method` names the procedure.

    Source
    ------
    See `multiplicity.adjusted_p`.
    """
    adjusted = adjusted_p([row.p for row in rows], how)
    return [
        replace(row, p_adjusted=float(p), method=f"{row.method}; p adjusted: {Adjustment(how)}")
        for row, p in zip(rows, adjusted, strict=True)
    ]


def _risk(function: Callable[[int, int, int, int, float], Estimate]) -> _Function:
    """Comparison of proportions by a function of four counts."""

    def compared(
        spec: EndpointSpec, arm: ArmValues, versus: ArmValues, visit: int, confidence: float
    ) -> Tested:
        threshold = 1.0 if KINDS[spec.kind].is_binary else level_of(spec)
        kept = [own.values[:, visit][~np.isnan(own.values[:, visit])] for own in (arm, versus)]
        (a, n), (b, m) = ((int(np.sum(own >= threshold)), len(own)) for own in kept)
        found = function(a, n, b, m, confidence)
        p, test = arm_tests.proportion_p(a, n, b, m)
        return Tested(replace(found, method=f"{found.method}; p by {test}"), p)

    return compared


def _mean(
    spec: EndpointSpec, arm: ArmValues, versus: ArmValues, visit: int, confidence: float
) -> Tested:
    """Difference of means."""
    values = arm.values[:, visit], versus.values[:, visit]
    return Tested(comparisons.mean_difference(*values, confidence), arm_tests.welch_p(*values))


def _geometric(
    spec: EndpointSpec, arm: ArmValues, versus: ArmValues, visit: int, confidence: float
) -> Tested:
    """Ratio of geometric means."""
    logs = []
    for own in (arm, versus):
        values = own.values[:, visit]
        if np.any(values <= 0):
            raise InputError(f"endpoint '{spec.name}' has values that are not positive")
        logs.append(np.log(values))
    found = comparisons.mean_difference(logs[0], logs[1], confidence)
    estimate = Estimate(
        "ratio of geometric means",
        math.exp(found.estimate),
        math.exp(found.low),
        math.exp(found.high),
        found.n,
        f"{found.method} of logarithms",
    )
    return Tested(estimate, arm_tests.welch_p(logs[0], logs[1]))


def _adjusted(
    spec: EndpointSpec, arm: ArmValues, versus: ArmValues, visit: int, confidence: float
) -> Tested:
    """Difference of means adjusted for covariates."""
    values = np.concatenate([arm.values[:, visit], versus.values[:, visit]])
    columns = _stacked(arm.covariates, versus.covariates)
    assert columns is not None
    return ancova(values, _treated(arm, versus), columns, confidence)


_FUNCTIONS: Mapping[str, _Function] = {
    "risk difference": _risk(comparisons.proportion_difference),
    "risk ratio": _risk(comparisons.risk_ratio),
    "odds ratio": _risk(comparisons.odds_ratio),
    "mean difference": _mean,
    "adjusted difference": _adjusted,
    "shift": lambda spec, arm, versus, visit, confidence: arm_tests.hodges_lehmann(
        arm.values[:, visit], versus.values[:, visit], confidence
    ),
    "ratio of geometric means": _geometric,
}
_WITHOUT_UNIT = frozenset(
    {
        "risk difference",
        "risk ratio",
        "odds ratio",
        "ratio of geometric means",
        "hazard ratio",
        "incidence difference",
    }
)


def _repeated_rows(
    spec: EndpointSpec,
    arms: tuple[ArmValues, ArmValues],
    times: FloatArray,
    visits: Sequence[int],
    confidence: float,
) -> list[Comparison]:
    """MMRM over all visits after baseline that can be used, of which the wanted ones are kept."""
    after = np.flatnonzero(times > spec.baseline_day + _SAME_DAY)
    values = np.concatenate([own.values[:, after] for own in arms])
    columns = _stacked(arms[0].covariates, arms[1].covariates)
    is_known = np.ones(len(values), dtype=np.bool_)
    if columns is not None:
        is_known = np.all(~np.isnan(columns), axis=1)
        columns = columns[is_known]
    values, treated = values[is_known], _treated(*arms)[is_known]
    usable = usable_visits(values, treated, 0 if columns is None else columns.shape[1])
    lost = Estimate("MMRM difference", math.nan, math.nan, math.nan, 0, "MMRM")
    found = {int(visit): (Tested(lost, math.nan), "too few values") for visit in [*after, *visits]}
    if usable.any():
        model = repeated_measures(values[:, usable], treated, columns, confidence)
        note = "missing at random" if model.has_converged else "did not converge"
        for visit, own in zip(after[usable], model.differences, strict=True):
            found[int(visit)] = own, note
    return [
        _row(spec, *arms, float(times[visit]), "MMRM difference", *found[visit]) for visit in visits
    ]


def _events_compared(
    spec: EndpointSpec,
    arms: tuple[ArmValues, ArmValues],
    times: FloatArray,
    visits: Sequence[int],
    measures: Sequence[str],
    confidence: float,
) -> list[Comparison]:
    """Hazard ratio with the log-rank test up to the last wanted visit; shares with the event."""
    last = max(visits)
    upto = times[: last + 1]
    event, treated = pooled_events(
        arms[0].values[:, : last + 1], arms[1].values[:, : last + 1], upto, spec.baseline_day
    )
    rows, note = [], "censored at the last visit seen"
    if "hazard ratio" in measures:
        ratio = survival.hazard_ratio(event.durations, event.is_event, treated, confidence)
        p = survival.log_rank(event.durations, event.is_event, treated)
        found = Tested(replace(ratio, method=f"{ratio.method}; p by log-rank test"), p)
        rows.append(_row(spec, *arms, float(times[last]), "hazard ratio", found, note))
    if "incidence difference" in measures:
        for visit in visits:
            day = float(times[visit]) - spec.baseline_day
            estimate = survival.incidence_difference(
                event.durations, event.is_event, treated, day, confidence
            )
            found = Tested(estimate, math.nan)
            rows.append(_row(spec, *arms, float(times[visit]), "incidence difference", found, note))
    return rows


def _chosen(
    spec: EndpointSpec, statistic: str, measures: Sequence[str], has_covariates: bool
) -> Sequence[str]:
    """Measures to make, after a check that they suit."""
    allowed = MEASURES[statistic]
    for measure in measures:
        if measure not in allowed:
            raise InputError(
                f"endpoint '{spec.name}' has no '{measure}'", remedy=near_matches(measure, allowed)
            )
        if measure == "adjusted difference" and not has_covariates:
            raise InputError(
                f"endpoint '{spec.name}': an adjusted difference needs covariates",
                remedy="adjust for the value at baseline",
            )
    if measures:
        return measures
    if statistic == "mean":
        return allowed[:2] if has_covariates else allowed[:1]
    return allowed


def _row(
    spec: EndpointSpec,
    arm: ArmValues,
    versus: ArmValues,
    time_day: float,
    measure: str,
    found: Tested,
    note: str,
) -> Comparison:
    """Row of a tested estimate."""
    own = found.estimate
    unit = "1" if measure in _WITHOUT_UNIT or measure == "rate ratio" else spec.unit
    return Comparison(
        spec.name,
        arm.name,
        versus.name,
        time_day,
        measure,
        own.estimate,
        own.low,
        own.high,
        found.p,
        own.n,
        unit,
        f"{own.method}; {note}",
    )


def _treated(arm: ArmValues, versus: ArmValues) -> FloatArray:
    """1 for the patients of the arm, then 0 for those of the comparator."""
    return np.repeat([1.0, 0.0], [len(arm.values), len(versus.values)])


def _stacked(one: FloatArray | None, two: FloatArray | None) -> FloatArray | None:
    """Covariates of both arms."""
    if one is None or two is None:
        return None
    return np.concatenate([np.asarray(x, np.float64).reshape(len(x), -1) for x in (one, two)])
