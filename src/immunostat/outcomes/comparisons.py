"""Comparisons of two independent arms: differences, ratios, and numbers needed to treat or harm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import RangeError
from immunostat.outcomes.statistics import (
    Estimate,
    check_count,
    observed,
    proportion,
    z_quantile,
)


def proportion_difference(
    successes: int, n: int, other_successes: int, other_n: int, confidence: float = 0.95
) -> Estimate:
    """Difference of two independent proportions with the hybrid score interval of Newcombe.

    Parameters
    ----------
    successes, n
        Counts of the arm.
    other_successes, other_n
        Counts of the comparator, whose proportion is subtracted.
    confidence
        Coverage of the interval.

    Returns
    -------
    Difference between -1 and 1; `n` is the sum of both arms.

    Source
    ------
    Newcombe RG, Stat Med 1998;17:873-890, method 10.

    Examples
    --------
    >>> found = proportion_difference(56, 70, 48, 80)
    >>> round(found.estimate, 4), round(found.low, 4), round(found.high, 4)
    (0.2, 0.0524, 0.3339)
    """
    one, two = (
        proportion(successes, n, confidence),
        proportion(other_successes, other_n, confidence),
    )
    method = f"Newcombe hybrid score {100 * confidence:g} %"
    if n == 0 or other_n == 0:
        return Estimate("difference", math.nan, -1.0, 1.0, n + other_n, method)
    difference = one.estimate - two.estimate
    below = math.hypot(one.estimate - one.low, two.high - two.estimate)
    above = math.hypot(one.high - one.estimate, two.estimate - two.low)
    return Estimate(
        "difference", difference, difference - below, difference + above, n + other_n, method
    )


@dataclass(frozen=True)
class NumberNeeded:
    """Number of patients to treat for one more benefit or harm.

    Parameters
    ----------
    kind
        ``benefit`` (NNTB) or ``harm`` (NNTH), by the direction of the estimate; ``none`` where the
        two arms do not differ, ``unknown`` where an arm has no patients.
    estimate
        Patients for one more, infinite where the arms do not differ.
    low, high
        Ends of the interval in patients, `low` the smaller number. Where `is_crossing`, `low`
        belongs to `kind` and `high` to the opposite kind, and the interval runs from `low` through
        infinity to `high`.
    is_crossing
        Whether the interval of the difference contains zero, so that neither direction is shown.
    difference
        The difference of proportions from which all follows.
    """

    kind: str
    estimate: float
    low: float
    high: float
    is_crossing: bool
    difference: Estimate

    def __str__(self) -> str:
        if self.kind == "unknown":
            return "not known (an arm without patients)"
        if self.kind == "none":
            return "no difference (infinitely many patients)"
        own, other = ("NNTB", "NNTH") if self.kind == "benefit" else ("NNTH", "NNTB")
        head = f"{own} {self.estimate:.3g}"
        if self.is_crossing:
            return f"{head} ({own} {self.low:.3g} to infinity to {other} {self.high:.3g})"
        return f"{head} ({own} {self.low:.3g} to {self.high:.3g})"


def number_needed(difference: Estimate, is_event_good: bool) -> NumberNeeded:
    """Number needed to treat or to harm, honest about an interval that contains zero.

    Parameters
    ----------
    difference
        From `proportion_difference`, treated minus comparator.
    is_event_good
        Whether the counted event is a benefit (response) or a harm (adverse event).

    Returns
    -------
    See `NumberNeeded`; not rounded.

    Source
    ------
    Altman DG, BMJ 1998;317:1309-1312: the interval of a number needed to treat that includes no
    difference passes through infinity, not through zero.
    """
    value = difference.estimate
    if math.isnan(value):
        return NumberNeeded("unknown", math.nan, math.nan, math.nan, True, difference)
    if value == 0:
        near = _inverse(max(abs(difference.low), abs(difference.high)))
        return NumberNeeded("none", math.inf, near, math.inf, True, difference)
    is_benefit = (value > 0) == is_event_good
    is_crossing = difference.low <= 0.0 <= difference.high
    far, near = (
        (difference.low, difference.high) if value > 0 else (difference.high, difference.low)
    )
    return NumberNeeded(
        "benefit" if is_benefit else "harm",
        _inverse(value),
        _inverse(near),
        _inverse(far),
        is_crossing,
        difference,
    )


def mean_difference(
    values: npt.ArrayLike, other_values: npt.ArrayLike, confidence: float = 0.95
) -> Estimate:
    """Difference of two means with the interval of Welch, from the values that are not missing.

    Parameters
    ----------
    values
        Of the arm, NaN where missing. Shape (patient,).
    other_values
        Of the comparator, whose mean is subtracted. Shape (patient,).
    confidence
        Coverage of the interval.

    Returns
    -------
    In the unit of the values; no interval where an arm has fewer than two values.

    Source
    ------
    Welch BL, Biometrika 1947;34:28-35.
    """
    from scipy.special import stdtrit

    (x, n), (y, m) = observed(values), observed(other_values)
    method = f"Welch {100 * confidence:g} %"
    if min(n, m) == 0:
        return Estimate("difference", math.nan, math.nan, math.nan, n + m, method)
    difference = float(np.mean(x) - np.mean(y))
    if min(n, m) == 1:
        return Estimate("difference", difference, math.nan, math.nan, n + m, method)
    a, b = float(np.var(x, ddof=1)) / n, float(np.var(y, ddof=1)) / m
    if a + b == 0:
        return Estimate("difference", difference, difference, difference, n + m, method)
    freedom = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1))
    half = float(stdtrit(freedom, 0.5 + confidence / 2)) * math.sqrt(a + b)
    return Estimate("difference", difference, difference - half, difference + half, n + m, method)


def rate_ratio(
    events: int,
    patient_years: float,
    other_events: int,
    other_patient_years: float,
    confidence: float = 0.95,
) -> Estimate:
    """Ratio of two incidence rates with the exact conditional interval.

    Given the sum of events, those of the arm are binomial; the interval of Clopper and Pearson of
    that binomial becomes one of the ratio.

    Parameters
    ----------
    events, patient_years
        Of the arm.
    other_events, other_patient_years
        Of the comparator, in the denominator.
    confidence
        Coverage of the interval.

    Returns
    -------
    Ratio; infinite where only the comparator has no event, NaN where neither has one. `n` counts
    events.

    Source
    ------
    Rothman KJ, Greenland S, Lash TL, Modern Epidemiology, 3rd ed., chapter 14; Clopper CJ,
    Pearson ES, Biometrika 1934;26:404-413.
    """
    from scipy.special import betaincinv

    if min(events, other_events) < 0 or min(patient_years, other_patient_years) <= 0:
        raise RangeError("a rate ratio needs counts of events and positive patient-years")
    method = f"exact conditional {100 * confidence:g} %, n counts events"
    total, tail = events + other_events, (1 - confidence) / 2
    times = other_patient_years / patient_years
    low = float(betaincinv(events, other_events + 1, tail)) if events else 0.0
    high = float(betaincinv(events + 1, other_events, 1 - tail)) if other_events else 1.0
    share = events / total if total else math.nan
    return Estimate(
        "rate ratio", _odds(share) * times, _odds(low) * times, _odds(high) * times, total, method
    )


def risk_ratio(
    successes: int, n: int, other_successes: int, other_n: int, confidence: float = 0.95
) -> Estimate:
    """Ratio of two proportions with the log interval of Katz; NaN where a count is zero.

    Parameters
    ----------
    successes, n, other_successes, other_n, confidence
        See `proportion_difference`.

    Returns
    -------
    Ratio; interval NaN where either arm has no event.

    Source
    ------
    Katz D et al., Biometrics 1978;34:469-474.
    """
    check_count(successes, n)
    check_count(other_successes, other_n)
    method = f"Katz log {100 * confidence:g} %"
    if min(n, other_n, successes, other_successes) == 0:
        is_known = n > 0 and other_n > 0 and other_successes > 0
        return Estimate(
            "risk ratio", 0.0 if is_known else math.nan, math.nan, math.nan, n + other_n, method
        )
    ratio = (successes / n) / (other_successes / other_n)
    error = math.sqrt(1 / successes - 1 / n + 1 / other_successes - 1 / other_n)
    return _log_interval("risk ratio", ratio, error, n + other_n, method, confidence)


def odds_ratio(
    successes: int, n: int, other_successes: int, other_n: int, confidence: float = 0.95
) -> Estimate:
    """Odds ratio with the log interval of Woolf; a zero cell adds 1/2 to all four (Haldane).

    Parameters
    ----------
    successes, n, other_successes, other_n, confidence
        See `proportion_difference`.

    Returns
    -------
    Odds ratio.

    Source
    ------
    Woolf B, Ann Hum Genet 1955;19:251-253; Haldane JBS, Ann Hum Genet 1956;20:309-311.
    """
    check_count(successes, n)
    check_count(other_successes, other_n)
    cells = [successes, n - successes, other_successes, other_n - other_successes]
    method = f"Woolf log {100 * confidence:g} %"
    added = 0.0
    if min(cells) == 0:
        added, method = 0.5, f"{method}, 1/2 added to each cell"
    a, b, c, d = (cell + added for cell in cells)
    error = math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    return _log_interval("odds ratio", a * d / (b * c), error, n + other_n, method, confidence)


def _log_interval(
    statistic: str, ratio: float, error: float, n: int, method: str, confidence: float
) -> Estimate:
    """Interval that is symmetric about the logarithm of a ratio."""
    factor = math.exp(z_quantile(confidence) * error)
    return Estimate(statistic, ratio, ratio / factor, ratio * factor, n, method)


def _odds(share: float) -> float:
    """share / (1 - share), infinite at 1."""
    return math.inf if share == 1.0 else share / (1.0 - share)


def _inverse(value: float) -> float:
    """1 / |value|, infinite at 0."""
    return math.inf if value == 0 else 1.0 / abs(value)
