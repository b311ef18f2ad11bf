"""How many patients a trial needs: a search over replicate trials, with an honest interval.

Power is measured at some sizes, each by replicates of its own, and its probit is fitted as a
straight line in the square root of the size, which it is exactly for a normal test. The size at
which the line reaches the wanted power has the interval of Fieller.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import InputError, RangeError
from immunostat.model.system import FloatArray
from immunostat.outcomes import statistics
from immunostat.outcomes.statistics import Estimate, z_quantile
from immunostat.trial.power import Analysis, analyzed, deal, is_successful

_MOST_ROUNDS = 6
#: Sizes of one round lie within this ratio of the present guess; the probit is straight there.
_SPREAD = (0.7, 0.85, 1.0, 1.18, 1.4)


@dataclass(frozen=True)
class PowerPoint:
    """Power measured at one size: `n` patients per arm, successes of replicates."""

    n: int
    n_successful: int
    n_replicates: int

    @property
    def power(self) -> Estimate:
        """Share of successes with Wilson's interval."""
        return statistics.proportion(self.n_successful, self.n_replicates)


@dataclass(frozen=True)
class SampleSize:
    """Patients per arm that reach a power.

    Parameters
    ----------
    power
        Wanted power.
    n
        Smallest size at which the fitted power is reached; None where the search found none
        within its limits.
    low, high
        Interval of the size (Fieller); infinite where the measured sizes do not bound it.
    points
        What was measured, by size.
    method
        How it was found, in words.
    """

    power: float
    n: int | None
    low: float
    high: float
    points: tuple[PowerPoint, ...]
    method: str


def find_sample_size(
    successes_at: Callable[[int], tuple[int, int]],
    power: float = 0.8,
    smallest: int = 4,
    largest: int = 2000,
    start: int | None = None,
    confidence: float = 0.95,
) -> SampleSize:
    """Search the patients per arm at which replicate trials reach a power.

    Parameters
    ----------
    successes_at
        Function from patients per arm to successes and replicates. Replicates at different sizes
        must be independent of one another, or the interval is too narrow.
    power
        Wanted power, between 0 and 1.
    smallest, largest
        Limits of the search.
    start
        First guess; None takes the geometric middle of the limits.
    confidence
        Coverage of the interval.

    Returns
    -------
    See `SampleSize`. Where power stays below the wanted one up to `largest`, `n` is None.

    Raises
    ------
    RangeError
        The power or the limits cannot be.

    Source
    ------
    Probit regression: Finney DJ, Probit Analysis, 3rd ed., 1971, with Fieller's interval; by
    statsmodels.
    """
    if not 0 < power < 1 or not 2 <= smallest < largest:
        raise RangeError(f"power {power:g} between {smallest} and {largest} patients is no search")
    found: dict[int, PowerPoint] = {}

    def measure(n: int) -> PowerPoint:
        if n not in found:
            found[n] = PowerPoint(n, *successes_at(n))
        return found[n]

    guess = _bracketed(measure, power, smallest, largest, start)
    for _ in range(_MOST_ROUNDS):
        before = len(found)
        for factor in _SPREAD:
            measure(int(np.clip(round(guess * factor), smallest, largest)))
        n, _, _ = _crossing(_near(found, guess), power, confidence)
        moved = float(np.clip(n, smallest, largest)) if math.isfinite(n) else guess
        is_settled = abs(moved - guess) <= 0.05 * guess or len(found) == before
        guess = moved
        if is_settled:
            break
    points = tuple(found[n] for n in sorted(found))
    n, low, high = _crossing(_near(found, guess), power, confidence)
    method = f"probit of power against root of n, Fieller {100 * confidence:g} %"
    least = found.get(smallest)
    if least is not None and least.power.low > power:
        note = f"already reached at the smallest size, {smallest}"
        return SampleSize(power, smallest, 0.0, float(smallest), points, note)
    if not math.isfinite(n) or n > largest:
        return SampleSize(power, None, low, math.inf, points, f"{method}; not reached")
    size = max(math.ceil(n - 1e-9), smallest)
    return SampleSize(power, size, low, high, points, method)


def pool_successes(
    values: npt.ArrayLike,
    other_values: npt.ArrayLike,
    how: Analysis | str,
    seed: int,
    n_replicates: int = 200,
    alpha: float = 0.05,
    is_more_better: bool | None = None,
) -> Callable[[int], tuple[int, int]]:
    """Function for `find_sample_size` that resamples a pool of simulated patients.

    Parameters
    ----------
    values, other_values
        Endpoint of every patient of the pool under the arm and under its comparator, NaN where
        missing. Each of shape (patient,), in the same order of patients.
    how
        See `power.Analysis`.
    seed
        Seed of the study.
    n_replicates
        Trials at each size.
    alpha, is_more_better
        See `power.performance`.

    Returns
    -------
    Function from patients per arm to successes and replicates. Sizes have replicates of their own.

    Raises
    ------
    InputError
        The two arms are not of the same patients.

    Source
    ------
    "definition". Trials that use much of a pool resemble one another: the difference of two such
    arms varies less than that of new patients by the spread of individual effects over the size of
    the pool (Neyman J, 1923, Stat Sci 1990;5:465-472), so a pool should be several trials large.
    """
    x, y = (np.asarray(own, dtype=np.float64) for own in (values, other_values))
    if x.shape != y.shape or x.ndim != 1:
        raise InputError("a pool needs the same patients under both arms, in the same order")

    def successes_at(n: int) -> tuple[int, int]:
        if 2 * n > len(x):
            raise RangeError(f"{n} patients per arm need a pool of {2 * n}, not {len(x)}")
        rows, others = deal(len(x), (n, n), seed, np.arange(n_replicates), f"trials of {n}")
        success = is_successful(analyzed(x[rows], y[others], how), alpha, is_more_better)
        return int(success.sum()), n_replicates

    return successes_at


def _bracketed(
    measure: Callable[[int], PowerPoint],
    power: float,
    smallest: int,
    largest: int,
    start: int | None,
) -> float:
    """A size near the wanted power, by halving on the logarithmic scale from the start outward."""
    low, high = float(smallest), float(largest)
    guess = float(start or round(math.sqrt(low * high)))
    guess = float(np.clip(guess, smallest, largest))
    for _ in range(12):
        reached = measure(round(guess)).power
        if reached.low <= power <= reached.high or high / low < 1.3:
            break
        if reached.estimate < power:
            low = guess
        else:
            high = guess
        guess = math.sqrt(low * high)
        if high - low < 2:
            break
    return guess


def _near(found: dict[int, PowerPoint], guess: float) -> list[PowerPoint]:
    """Points within a factor of two of the guess, where a straight line fits."""
    return [found[n] for n in sorted(found) if 0.5 * guess <= n <= 2.0 * guess]


def _crossing(
    points: list[PowerPoint], power: float, confidence: float
) -> tuple[float, float, float]:
    """Size at which the fitted line reaches the power, with the ends of Fieller's interval."""
    from scipy.special import ndtri

    line = _line(points)
    if line is None:
        return math.nan, 0.0, math.inf
    (level, slope), covariance = line
    goal = float(ndtri(power))
    if slope <= 0:
        return math.nan, 0.0, math.inf
    root = (goal - level) / slope
    # (level + slope r - goal)^2 = z^2 (v00 + 2 v01 r + v11 r^2), a quadratic in r
    z2 = z_quantile(confidence) ** 2
    a = slope**2 - z2 * covariance[1, 1]
    b = 2 * slope * (level - goal) - 2 * z2 * covariance[0, 1]
    c = (level - goal) ** 2 - z2 * covariance[0, 0]
    if a <= 0:  # the slope itself is not sure to be positive
        return max(root, 0.0) ** 2, 0.0, math.inf
    half = math.sqrt(max(b * b - 4 * a * c, 0.0))
    low, high = (max((-b + sign * half) / (2 * a), 0.0) ** 2 for sign in (-1, 1))
    return max(root, 0.0) ** 2, low, high


def _line(points: list[PowerPoint]) -> tuple[tuple[float, float], FloatArray] | None:
    """Probit regression of success on the root of the size; None where it has no maximum."""
    import statsmodels.api as sm

    hits = np.array([p.n_successful for p in points], dtype=np.float64)
    trials = np.array([p.n_replicates for p in points], dtype=np.float64)
    share = hits / trials
    if len(points) < 2 or np.all(share == share[0]) or np.all((share == 0) | (share == 1)):
        return None
    design = np.column_stack([np.ones(len(points)), np.sqrt([float(p.n) for p in points])])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a share of exactly 0 or 1 is no fault here
        family = sm.families.Binomial(link=sm.families.links.Probit())
        fit = sm.GLM(np.column_stack([hits, trials - hits]), design, family=family).fit()
    level, slope = (float(x) for x in fit.params)
    covariance = np.asarray(fit.cov_params(), dtype=np.float64)
    if not np.all(np.isfinite(covariance)):
        return None
    return (level, slope), covariance
