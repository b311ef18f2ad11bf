"""Published comparisons of two arms beside predicted ones: printed, or made of two printed arms."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from immunostat.catalog.cards import TrialArmCard, TrialCard, TrialComparisonCard, TrialResultCard
from immunostat.catalog.model_cards import SituationCard
from immunostat.outcomes import survival
from immunostat.outcomes.event_times import EventTimes
from immunostat.outcomes.expected_comparisons import compare_expected, measures_of
from immunostat.outcomes.expected_events import ExpectedEvents
from immunostat.outcomes.statistics import z_quantile
from immunostat.outcomes.summary import SummaryRow
from immunostat.study.goals import Goal
from immunostat.study.published_values import (
    Value,
    day_of,
    factor_to,
    is_share_of,
    observed_value,
)

_Z = z_quantile(0.95)
_NOTHING = Value(math.nan, math.nan, math.nan)

#: Measures that can be made of two printed arms.
_DERIVED = {"rate ratio": "1/year", "risk ratio": "1"}

#: Two visits are the same within this, week.
_SAME_WEEK = 0.5


@dataclass(frozen=True)
class Compared:
    """What is compared with a prediction.

    Parameters
    ----------
    endpoint, arm, versus, measure, day
        Of what; the measure in words.
    observed
        The printed ratio or difference; differences of shares in points.
    unit
        ``1`` for a ratio.
    checked, source, n
        As in the card.
    """

    endpoint: str
    arm: TrialArmCard
    versus: TrialArmCard
    measure: str
    day: float
    observed: Value
    unit: str
    checked: bool
    source: str
    n: float = math.nan


def comparisons_of(
    trial: TrialCard, situation: SituationCard, goals: Sequence[Goal]
) -> Iterator[Compared]:
    """Every comparison that a trial prints, and those that goals ask for and two arms give.

    Parameters
    ----------
    trial
        A published trial.
    situation
        Whose endpoints are known.
    goals
        What is judged; a ratio that is not printed is made of the results of two arms.
    """
    arms = {arm.name: arm for arm in trial.arms}
    printed: set[tuple[str, str, str]] = set()
    for own in trial.comparisons:
        if own.endpoint in situation.endpoints:
            measure = own.measure.replace("_", " ")
            printed.add((own.endpoint, own.arm, measure))
            yield Compared(
                own.endpoint,
                arms[own.arm],
                arms[own.versus],
                measure,
                day_of(own),
                _printed(own, is_share_of(situation, own.endpoint)),
                _unit(own),
                own.checked,
                own.source or "",
                math.nan if own.n is None else own.n,
            )
    control = trial.compared_with
    for goal in goals:
        for measure in goal.measures:
            if control is None or measure not in _DERIVED:
                continue
            for arm in trial.arms:
                told = any((name, arm.name, m) in printed for name in goal.endpoints
                           for m in goal.measures)  # fmt: skip
                if arm is not control and not told:
                    yield from _derived(arm, control, goal.endpoints, measure)


def _printed(own: TrialComparisonCard, is_share: bool) -> Value:
    """A printed comparison; a difference of shares in points."""
    found = Value(own.value, *(math.nan if x is None else x for x in (own.low, own.high)))
    if own.measure == "difference" and is_share and own.unit == "1":
        return found.times(100.0)
    return found


def _unit(own: TrialComparisonCard) -> str:
    return own.unit if own.measure == "difference" else "1"


def _derived(
    arm: TrialArmCard, control: TrialArmCard, endpoints: Sequence[str], measure: str
) -> Iterator[Compared]:
    """Ratios of results that both arms print for the same time."""
    for result in arm.results:
        if result.endpoint not in endpoints or not result.value > 0:
            continue
        twins = [
            other
            for other in control.results
            if other.endpoint == result.endpoint
            and abs(other.week - result.week) <= _SAME_WEEK
            and other.value > 0
        ]
        if not twins:
            continue
        factor = factor_to(twins[0].unit, result.unit)
        if factor is None:
            continue
        own, other = _value(result, arm, measure), _value(twins[0], control, measure)
        yield Compared(
            result.endpoint,
            arm,
            control,
            measure,
            day_of(result),
            ratio_of(own, other.times(factor)),
            "1",
            result.checked and twins[0].checked,
            result.source or "",
        )


def _value(result: TrialResultCard, arm: TrialArmCard, measure: str) -> Value:
    return Value(*observed_value(result, result.n or arm.n, measure == "risk ratio"))


def ratio_of(value: Value, other: Value) -> Value:
    """Ratio of two independent numbers, its interval from theirs on the log scale.

    Examples
    --------
    >>> ratio_of(Value(0.2, 0.1, 0.4), Value(0.4, 0.2, 0.8)).value
    0.5
    """
    if not (value.value > 0 and other.value > 0):
        return _NOTHING
    ratio = value.value / other.value
    errors = [_log_error(own) for own in (value, other)]
    if any(math.isnan(error) for error in errors):
        return Value(ratio, math.nan, math.nan)
    factor = math.exp(_Z * math.hypot(*errors))
    return Value(ratio, ratio / factor, ratio * factor)


def difference_of(value: Value, other: Value) -> Value:
    """Difference of two independent numbers, its interval from theirs.

    Source
    ------
    Newcombe RG, Stat Med 1998;17:873-890 (method 10, for any two intervals).
    """
    found = value.value - other.value
    low = found - math.hypot(value.value - value.low, other.high - other.value)
    high = found + math.hypot(value.high - value.value, other.value - other.low)
    return Value(found, low, high)


def _log_error(own: Value) -> float:
    """Standard error of the logarithm, from an interval."""
    if not (own.low > 0 and own.high > 0):
        return math.nan
    return math.log(own.high / own.low) / (2 * _Z)


@dataclass(frozen=True)
class Side:
    """What the model says of an endpoint in one of the arms that are compared.

    Parameters
    ----------
    row
        At the day of the comparison.
    events
        Days of its drawn events, where it is made of events.
    expected
        Its expected events, where none need be drawn.
    """

    row: SummaryRow
    events: EventTimes | None = None
    expected: ExpectedEvents | None = None


def predicted_comparison(compared: Compared, own: Side, other: Side) -> Value | None:
    """What the model says of a comparison; None where it has no such measure.

    Expected events of the same patients in both arms are compared patient by patient. Of all else
    the arms are taken as independent, which makes intervals too wide. Of an event-free share, risk
    and hazard are those of the event; odds and difference are those of the share itself.

    Parameters
    ----------
    compared
        What was printed.
    own, other
        The endpoint in the arm and in its comparator.
    """
    if own.expected is not None and other.expected is not None:
        return _expected(compared, own.expected, other.expected, own.row.statistic == "event-free")
    rows = own.row, other.row
    mine, its = (Value(row.estimate, row.low, row.high) for row in rows)
    is_share = rows[0].statistic in ("proportion", "incidence", "event-free")
    is_free = rows[0].statistic == "event-free"
    match compared.measure:
        case "rate ratio" if rows[0].statistic == "rate":
            return ratio_of(mine, its)
        case "risk ratio" if is_share:
            # The risk is that of the event.
            return ratio_of(*(_without(v) if is_free else v for v in (mine, its)))
        case "odds ratio" if is_share:
            return ratio_of(*map(_odds, (mine, its)))
        case "difference" if is_share:
            return difference_of(mine.times(100.0), its.times(100.0))
        case "difference":
            factor = factor_to(rows[0].unit, compared.unit)
            return None if factor is None else difference_of(mine, its).times(factor)
        case "hazard ratio" if own.events is not None and other.events is not None:
            return _hazard_ratio(own.events, other.events, compared.day)
    return None


def _expected(
    compared: Compared, own: ExpectedEvents, other: ExpectedEvents, is_free: bool
) -> Value | None:
    """A comparison by expected events; a difference of shares in points."""
    measure = compared.measure
    if measure not in measures_of(own):
        return None
    found = compare_expected(own, other, measure, compared.day)
    value = Value(found.estimate, found.low, found.high)
    # Odds and differences of an event-free share are its own, not those of the event.
    if measure == "odds ratio" and is_free:
        return Value(1 / value.value, 1 / value.high, 1 / value.low)
    if measure == "difference":
        value = Value(-value.value, -value.high, -value.low) if is_free else value
        return value.times(100.0)
    return value


def _without(own: Value) -> Value:
    return Value(1 - own.value, 1 - own.high, 1 - own.low)


def _odds(own: Value) -> Value:
    return Value(*(x / (1 - x) if x < 1 else math.inf for x in (own.value, own.low, own.high)))


def _hazard_ratio(own: EventTimes, other: EventTimes, day: float) -> Value:
    durations = np.concatenate([own.durations(), other.durations()])
    is_event = np.concatenate([own.is_event, other.is_event]) & (durations <= day + 1e-6)
    treated = np.arange(len(durations)) < len(own.first_day)
    found = survival.hazard_ratio(np.minimum(durations, day), is_event, treated)
    return Value(found.estimate, found.low, found.high)


def row_at(rows: Mapping[float, SummaryRow], day: float) -> SummaryRow:
    """The row of the visit next to a day."""
    return rows[min(rows, key=lambda own: abs(own - day))]
