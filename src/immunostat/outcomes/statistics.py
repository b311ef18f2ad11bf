"""Estimates of one arm with their intervals: proportions, means, medians, incidence rates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import RangeError
from immunostat.model.system import FloatArray


@dataclass(frozen=True)
class Estimate:
    """One number with its interval.

    Parameters
    ----------
    statistic
        What was estimated, for example ``proportion``.
    estimate
        The number; NaN where it does not exist.
    low, high
        Ends of the interval; NaN where there is none.
    n
        Number of patients (or events plus patients' time where a rate says so in `method`).
    method
        How the interval was made, in words.
    """

    statistic: str
    estimate: float
    low: float
    high: float
    n: int
    method: str


def proportion(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """Proportion with the interval of Wilson (no continuity correction).

    Parameters
    ----------
    successes, n
        Counts of patients, 0 <= successes <= n.
    confidence
        Coverage of the interval.

    Returns
    -------
    Fraction between 0 and 1; NaN with interval 0 to 1 where nobody is counted.

    Source
    ------
    Wilson EB, J Am Stat Assoc 1927;22:209-212; Newcombe RG, Stat Med 1998;17:857-872, method 3.

    Examples
    --------
    >>> found = proportion(81, 263)
    >>> round(found.low, 4), round(found.high, 4)
    (0.2553, 0.3662)
    """
    check_count(successes, n)
    method = f"Wilson {100 * confidence:g} %"
    if n == 0:
        return Estimate("proportion", math.nan, 0.0, 1.0, 0, method)
    z, p = z_quantile(confidence), successes / n
    center = (successes + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * math.sqrt(n * p * (1 - p) + z**2 / 4)
    low = 0.0 if successes == 0 else center - half  # exactly, not up to rounding
    high = 1.0 if successes == n else center + half
    return Estimate("proportion", p, low, high, n, method)


def mean(values: npt.ArrayLike, confidence: float = 0.95) -> Estimate:
    """Mean of the values that are not missing, with Student's interval.

    Parameters
    ----------
    values
        One value per patient, NaN where missing. Shape (patient,).
    confidence
        Coverage of the interval.

    Returns
    -------
    In the unit of the values; no interval for fewer than two values.

    Source
    ------
    "definition"
    """
    from scipy.special import stdtrit

    x, n = observed(values)
    method = f"Student {100 * confidence:g} %"
    if n == 0:
        return Estimate("mean", math.nan, math.nan, math.nan, 0, method)
    center = float(np.mean(x))
    if n == 1:
        return Estimate("mean", center, math.nan, math.nan, 1, method)
    half = float(stdtrit(n - 1, 0.5 + confidence / 2)) * float(np.std(x, ddof=1)) / math.sqrt(n)
    return Estimate("mean", center, center - half, center + half, n, method)


def geometric_mean(values: npt.ArrayLike, confidence: float = 0.95) -> Estimate:
    """Geometric mean of positive values that are not missing, with Student's interval of the logs.

    Parameters
    ----------
    values
        One value per patient, positive, NaN where missing. Shape (patient,).
    confidence
        Coverage of the interval.

    Returns
    -------
    In the unit of the values.

    Raises
    ------
    RangeError
        A value is not positive.

    Source
    ------
    "definition"
    """
    x, _ = observed(values)
    if np.any(x <= 0):
        raise RangeError(f"a geometric mean needs positive values, not {x.min()}")
    logs = mean(np.log(x), confidence)
    return Estimate(
        "geometric mean",
        math.exp(logs.estimate),
        math.exp(logs.low),
        math.exp(logs.high),
        logs.n,
        f"{logs.method} of logarithms",
    )


def median(values: npt.ArrayLike, confidence: float = 0.95) -> Estimate:
    """Median of the values that are not missing, with the interval of order statistics.

    Parameters
    ----------
    values
        One value per patient, NaN where missing. Shape (patient,).
    confidence
        Least coverage of the interval.

    Returns
    -------
    In the unit of the values; the interval is NaN where too few values allow one (below 6 for
    95 %).

    Source
    ------
    Conover WJ, Practical Nonparametric Statistics, 3rd ed., section 3.2 (sign test inverted).
    """
    from scipy.special import bdtr

    x, n = observed(values)
    method = f"order statistics, at least {100 * confidence:g} %"
    if n == 0:
        return Estimate("median", math.nan, math.nan, math.nan, 0, method)
    # Ranks from 0: the interval from rank k to n - 1 - k misses with 2 P(Binomial(n, 1/2) <= k).
    ranks = np.arange(n)
    cut = int(np.sum(2.0 * bdtr(ranks.astype(np.float64), n, 0.5) <= 1.0 - confidence)) - 1
    low, high = (float(x[cut]), float(x[n - 1 - cut])) if cut >= 0 else (math.nan, math.nan)
    return Estimate("median", float(np.median(x)), low, high, n, method)


def quantiles(values: npt.ArrayLike, levels: npt.ArrayLike) -> FloatArray:
    """Quantiles of the values that are not missing, by linear interpolation.

    Parameters
    ----------
    values
        One value per patient, NaN where missing. Shape (patient,).
    levels
        Between 0 and 1. Shape (level,).

    Returns
    -------
    In the unit of the values, NaN where all are missing. Shape (level,).

    Source
    ------
    Hyndman RJ, Fan Y, Am Stat 1996;50:361-365, type 7.
    """
    x, n = observed(values)
    wanted = np.asarray(levels, dtype=np.float64)
    return np.asarray(np.quantile(x, wanted) if n else np.full(wanted.shape, np.nan))


def incidence_rate(
    events: int, patient_years: float, confidence: float = 0.95, per_years: float = 100.0
) -> Estimate:
    """Incidence rate with the exact Poisson interval of Garwood.

    Parameters
    ----------
    events
        Number of events.
    patient_years
        Time at risk, year.
    confidence
        Coverage of the interval.
    per_years
        The rate is per this many patient-years.

    Returns
    -------
    Rate per `per_years` patient-years; `n` is the number of events.

    Source
    ------
    Garwood F, Biometrika 1936;28:437-442.

    Examples
    --------
    >>> found = incidence_rate(10, 100.0)
    >>> round(found.estimate, 2), round(found.low, 2), round(found.high, 2)
    (10.0, 4.8, 18.39)
    """
    from scipy.special import gammaincinv

    if events < 0 or patient_years < 0:
        raise RangeError(f"{events} events in {patient_years} patient-years is not possible")
    method = f"exact Poisson (Garwood) {100 * confidence:g} %, n counts events"
    if patient_years == 0:
        return Estimate("rate", math.nan, 0.0, math.inf, events, method)
    tail, scale = (1 - confidence) / 2, per_years / patient_years
    low = float(gammaincinv(events, tail)) if events else 0.0
    high = float(gammaincinv(events + 1, 1 - tail))
    return Estimate("rate", events * scale, low * scale, high * scale, events, method)


def observed(values: npt.ArrayLike) -> tuple[FloatArray, int]:
    """Values that are not missing, sorted ascending, and their number."""
    x = np.asarray(values, dtype=np.float64).ravel()
    kept = np.sort(x[~np.isnan(x)])
    return kept, len(kept)


def z_quantile(confidence: float) -> float:
    """Two-sided normal quantile of a coverage between 0 and 1, for example 1.96 of 0.95."""
    from scipy.special import ndtri

    if not 0 < confidence < 1:
        raise RangeError(f"confidence {confidence} is not between 0 and 1")
    return float(ndtri(0.5 + confidence / 2))


def check_count(successes: int, n: int) -> None:
    """Refuse counts of patients that cannot be, with a `RangeError`."""
    if not 0 <= successes <= n:
        raise RangeError(f"{successes} of {n} patients is not possible")
