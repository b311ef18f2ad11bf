"""Power from replicate trials: how often a trial succeeds, and what its estimates look like.

A pool of virtual patients, each simulated under every arm, stands for the population. A replicate
deals different patients of the pool to each arm, without putting any back, and is analyzed like a
trial. All replicates are analyzed at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from immunostat.base import streams
from immunostat.base.errors import RangeError, ShapeError
from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.outcomes import statistics
from immunostat.outcomes.statistics import Estimate, z_quantile

#: Numbers drawn at a time, so that memory stays bounded (64 MB of doubles).
_MOST_AT_ONCE = 8_000_000


class Analysis(StrEnum):
    """How a replicate trial of two arms is analyzed."""

    MEANS = "means"  #: Welch's t test; missing values are left out
    PROPORTIONS = "proportions"  #: chi-square test without correction; missing is no response


@dataclass(frozen=True)
class Replicates:
    """Analyses of replicate trials; each array of shape (replicate,).

    Parameters
    ----------
    estimate, low, high
        Difference, arm minus comparator, with its interval (proportions: Wald).
    p
        Two-sided p value; NaN where a trial could not be tested.
    z
        Signed test statistic as a standard normal quantile of the same p value.
    """

    estimate: FloatArray
    low: FloatArray
    high: FloatArray
    p: FloatArray
    z: FloatArray


@dataclass(frozen=True)
class Performance:
    """What replicate trials show about a design.

    Parameters
    ----------
    power
        Share of successful trials (Wilson interval: the chance of the replicates).
    mean, sd
        Of the estimates.
    mean_interval
        Student's interval of `mean`.
    bias
        `mean` minus the truth; NaN where no truth is given.
    coverage
        Share of intervals that contain the truth (Wilson interval).
    n_untestable
        Trials without a p value; they count as failures.
    """

    power: Estimate
    mean: float
    sd: float
    mean_interval: Estimate
    bias: float
    coverage: Estimate
    n_untestable: int


def deal(
    n_pool: int,
    n_per_arm: tuple[int, ...],
    seed: int,
    replicates: npt.ArrayLike,
    purpose: str = "replicate trial",
) -> list[IntArray]:
    """Rows of the pool that each arm of each replicate gets.

    A replicate is a permutation of the pool of which the first rows are dealt out; it depends on
    its number, the purpose and the size of the pool only, so replicates can be made in any parts.

    Parameters
    ----------
    n_pool
        Patients in the pool.
    n_per_arm
        Patients of each arm.
    seed
        Seed of the study.
    replicates
        Numbers of the replicates. Shape (replicate,).
    purpose
        Name of the stream; another name is another set of trials.

    Returns
    -------
    For each arm rows of shape (replicate, patient); no patient is in two arms of a replicate.

    Raises
    ------
    RangeError
        The pool is smaller than one trial.

    Source
    ------
    "definition"
    """
    total = sum(n_per_arm)
    if total > n_pool:
        raise RangeError(f"a trial of {total} patients needs a pool of {total}, not {n_pool}")
    numbers = np.asarray(replicates, dtype=np.int64)
    order = np.empty((len(numbers), total), dtype=np.int64)
    step = max(1, _MOST_AT_ONCE // max(n_pool, 1))
    for start in range(0, len(numbers), step):
        draws = streams.uniform(seed, purpose, numbers[start : start + step], n_pool)
        if total < n_pool:
            chosen = np.argpartition(draws, total, axis=1)[:, :total]
        else:
            chosen = np.broadcast_to(np.arange(n_pool), draws.shape)
        rank = np.argsort(np.take_along_axis(draws, chosen, axis=1), axis=1)
        order[start : start + step] = np.take_along_axis(chosen, rank, axis=1)
    return np.split(order, np.cumsum(n_per_arm)[:-1], axis=1)


def analyzed(
    values: npt.ArrayLike,
    other_values: npt.ArrayLike,
    how: Analysis | str,
    confidence: float = 0.95,
) -> Replicates:
    """Analyze replicate trials of two arms.

    Parameters
    ----------
    values, other_values
        Endpoint of the patients of the arm and of its comparator, NaN where missing; 0 or 1 for
        proportions. Each of shape (replicate, patient).
    how
        See `Analysis`.
    confidence
        Coverage of the intervals.

    Returns
    -------
    See `Replicates`.

    Raises
    ------
    ShapeError
        The numbers of replicates differ.

    Source
    ------
    Welch BL, Biometrika 1947;34:28-35; Pearson K, Philos Mag 1900;50:157-175.
    """
    from scipy.special import ndtri, stdtr, stdtrit

    x, y = (np.asarray(own, dtype=np.float64) for own in (values, other_values))
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise ShapeError(f"replicates of shapes {x.shape} and {y.shape} do not belong together")
    with np.errstate(divide="ignore", invalid="ignore"):
        if Analysis(how) is Analysis.PROPORTIONS:
            n, m = x.shape[1], y.shape[1]
            p, q = np.nansum(x, axis=1) / n, np.nansum(y, axis=1) / m
            pooled = (n * p + m * q) / (n + m)
            difference = p - q
            error = np.sqrt(p * (1 - p) / n + q * (1 - q) / m)
            statistic = difference / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
            statistic = np.where((pooled == 0) | (pooled == 1), 0.0, statistic)
            half, tail = z_quantile(confidence) * error, _normal_tail(statistic)
        else:
            (a, var_a), (b, var_b) = _mean_and_error(x), _mean_and_error(y)
            difference, variance = a - b, var_a[0] + var_b[0]
            freedom = variance**2 / (
                var_a[0] ** 2 / (var_a[1] - 1) + var_b[0] ** 2 / (var_b[1] - 1)
            )
            error = np.sqrt(variance)
            statistic = difference / error
            half = stdtrit(freedom, 0.5 + confidence / 2) * error
            tail = stdtr(freedom, -np.abs(statistic))
        z = -np.sign(statistic) * ndtri(np.maximum(tail, np.finfo(float).tiny))
    z = np.where(statistic == 0, 0.0, z)
    return Replicates(difference, difference - half, difference + half, 2 * tail, z)


def at_looks(
    values: npt.ArrayLike,
    other_values: npt.ArrayLike,
    how: Analysis | str,
    fractions: npt.ArrayLike,
) -> tuple[FloatArray, IntArray]:
    """Test statistics of replicate trials at interim looks, for `interim.monitored`.

    Parameters
    ----------
    values, other_values, how
        See `analyzed`; patients in the order in which they enter.
    fractions
        Share of the patients at each look, ascending to 1. Shape (look,).

    Returns
    -------
    z at each look, of shape (replicate, look), and patients of both arms at each look, of shape
    (look,). The share of the patients is rounded up in each arm.

    Source
    ------
    "definition"
    """
    x, y = (np.asarray(own, dtype=np.float64) for own in (values, other_values))
    statistic, sizes = [], []
    for fraction in np.asarray(fractions, dtype=np.float64):
        n, m = (math.ceil(fraction * own.shape[1] - 1e-9) for own in (x, y))
        statistic.append(analyzed(x[:, :n], y[:, :m], how).z)
        sizes.append(n + m)
    return np.stack(statistic, axis=1), np.array(sizes, dtype=np.int64)


def performance(
    replicates: Replicates,
    truth: float | None = None,
    alpha: float = 0.05,
    is_more_better: bool | None = None,
    confidence: float = 0.95,
) -> Performance:
    """Power, and the distribution of the estimates, over replicate trials.

    Parameters
    ----------
    replicates
        From `analyzed`, or of the same fields made by another analysis.
    truth
        True difference, for example that of the whole pool; None without.
    alpha
        Two-sided level of a trial.
    is_more_better
        A trial succeeds where p <= alpha and the arm is better; None counts either direction.
    confidence
        Coverage of the intervals of this summary.

    Returns
    -------
    See `Performance`.

    Source
    ------
    Morris TP, White IR, Crowther MJ, Stat Med 2019;38:2074-2102.
    """
    success = is_successful(replicates, alpha, is_more_better)
    kept = replicates.estimate[~np.isnan(replicates.estimate)]
    sd = float(np.std(kept, ddof=1)) if len(kept) > 1 else math.nan
    mean = statistics.mean(kept, confidence)
    bias, coverage = math.nan, statistics.proportion(0, 0, confidence)
    if truth is not None:
        bias = mean.estimate - truth
        has_interval = ~np.isnan(replicates.low)
        hits = has_interval & (replicates.low <= truth) & (truth <= replicates.high)
        coverage = statistics.proportion(int(hits.sum()), int(has_interval.sum()), confidence)
    return Performance(
        statistics.proportion(int(success.sum()), len(success), confidence),
        mean.estimate,
        sd,
        mean,
        bias,
        coverage,
        int(np.isnan(replicates.p).sum()),
    )


def is_successful(
    replicates: Replicates, alpha: float = 0.05, is_more_better: bool | None = None
) -> npt.NDArray[np.bool_]:
    """Which trials succeed; see `performance`. Shape (replicate,)."""
    found = replicates.p <= alpha
    if is_more_better is not None:
        found &= (replicates.estimate > 0) == is_more_better
    return np.asarray(found)


def assurance(successes: npt.ArrayLike, confidence: float = 0.95) -> Estimate:
    """Probability that a trial succeeds when what is true is itself uncertain.

    Parameters
    ----------
    successes
        Whether each replicate succeeded, for each draw of what may be true (parameters, effect).
        Shape (draw, replicate).
    confidence
        Coverage of the interval.

    Returns
    -------
    Mean over draws of the power of each; the interval is Student's over draws, so that replicates
    of one draw do not count as independent. `n` counts draws.

    Raises
    ------
    ShapeError
        Not of two axes.

    Source
    ------
    O'Hagan A, Stevens JW, Campbell MJ, Pharm Stat 2005;4:187-201.
    """
    own = np.asarray(successes, dtype=np.float64)
    if own.ndim != 2:
        raise ShapeError(f"successes have shape {own.shape}; expected (draw, replicate)")
    found = statistics.mean(own.mean(axis=1), confidence)
    low, high = max(found.low, 0.0), min(found.high, 1.0)
    method = f"mean power over {len(own)} draws, {found.method}"
    return Estimate("assurance", found.estimate, low, high, len(own), method)


def _normal_tail(statistic: FloatArray) -> FloatArray:
    """One tail of the normal distribution beyond a statistic of either sign."""
    from scipy.special import ndtr

    return np.asarray(ndtr(-np.abs(statistic)))


def _mean_and_error(values: FloatArray) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
    """Mean of each row, and the variance of that mean with the number of values."""
    is_seen = ~np.isnan(values)
    n = is_seen.sum(axis=1).astype(np.float64)
    mean = np.where(is_seen, values, 0.0).sum(axis=1) / n
    squares = np.where(is_seen, values - mean[:, None], 0.0) ** 2
    return mean, (squares.sum(axis=1) / (n - 1) / n, n)
