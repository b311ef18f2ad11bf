"""Dose-ranging trials: is there a trend with dose, which curve, and which dose reaches a target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import InputError, RangeError, ShapeError
from immunostat.model.system import FloatArray
from immunostat.outcomes.statistics import Estimate, z_quantile


@dataclass(frozen=True)
class Trend:
    """A trend over ordered doses: its statistic as a standard normal, and its two-sided p value."""

    z: float
    p: float
    method: str


@dataclass(frozen=True)
class EmaxFit:
    """Effect of dose d: e0 + emax d / (ed50 + d).

    Parameters
    ----------
    e0, emax, ed50
        Effect without drug, largest change from it, and dose of half that change; the interval of
        `ed50` is made on the logarithmic scale.
    covariance
        Of e0, emax and ln ed50. Shape (3, 3).
    chi_square, degrees_of_freedom
        Weighted squares that the curve leaves; a p value below 0.05 of their chi-square
        distribution says that it does not fit.
    is_identified
        Whether the doses determine the three parameters; where not, intervals are infinite.
    """

    e0: Estimate
    emax: Estimate
    ed50: Estimate
    covariance: FloatArray
    chi_square: float
    degrees_of_freedom: int
    is_identified: bool

    def effect(self, doses: npt.ArrayLike) -> FloatArray:
        """Fitted effect. Same shape as the doses."""
        d = np.asarray(doses, dtype=np.float64)
        return np.asarray(self.e0.estimate + self.emax.estimate * d / (self.ed50.estimate + d))


def cochran_armitage(successes: npt.ArrayLike, n: npt.ArrayLike, doses: npt.ArrayLike) -> Trend:
    """Test of a trend of proportions over doses.

    Parameters
    ----------
    successes, n
        Counts of responders and of patients. Each of shape (dose,).
    doses
        Score of each dose: the dose itself, or its rank. Shape (dose,).

    Returns
    -------
    z positive where the proportion rises with dose; NaN where nobody or everybody responds.

    Raises
    ------
    ShapeError
        The arrays differ in shape.

    Source
    ------
    Armitage P, Biometrics 1955;11:375-386, without continuity correction.
    """
    r, m, x = (np.asarray(own, dtype=np.float64) for own in (successes, n, doses))
    if not r.shape == m.shape == x.shape or r.ndim != 1:
        raise ShapeError(f"counts {r.shape}, {m.shape} and doses {x.shape} differ in shape")
    total = m.sum()
    p = r.sum() / total
    score = float(np.sum(x * (r - m * p)))
    variance = float(p * (1 - p) * (np.sum(m * x**2) - np.sum(m * x) ** 2 / total))
    return _trend(score, variance, "Cochran-Armitage trend test")


def jonckheere(groups: Sequence[npt.ArrayLike]) -> Trend:
    """Test that values rise (or fall) over ordered groups, by ranks.

    Parameters
    ----------
    groups
        Values of each dose from the lowest up, NaN where missing.

    Returns
    -------
    z positive where values rise with dose; variance corrected for ties.

    Source
    ------
    Jonckheere AR, Biometrika 1954;41:133-145; ties: Hollander M, Wolfe DA, Nonparametric
    Statistical Methods, section 6.2.
    """
    own = [np.asarray(g, dtype=np.float64).ravel() for g in groups]
    own = [g[~np.isnan(g)] for g in own]
    sizes = np.array([len(g) for g in own], dtype=np.float64)
    total = 0.0
    for high in range(1, len(own)):
        below = np.sort(np.concatenate(own[:high]))
        left = np.searchsorted(below, own[high], side="left")
        right = np.searchsorted(below, own[high], side="right")
        total += float(np.sum(left + right)) / 2
    every = np.concatenate(own) if own else np.zeros(0)
    n = float(len(every))
    ties = np.unique(every, return_counts=True)[1].astype(np.float64)
    center = (n**2 - float(np.sum(sizes**2))) / 4
    if n < 3:
        return Trend(math.nan, math.nan, "Jonckheere-Terpstra test")

    def cubic(k: FloatArray | float) -> float:
        return float(np.sum(k * (np.asarray(k) - 1) * (2 * np.asarray(k) + 5)))

    def third(k: FloatArray) -> float:
        return float(np.sum(k * (k - 1) * (k - 2)))

    def second(k: FloatArray) -> float:
        return float(np.sum(k * (k - 1)))

    variance = (
        (cubic(n) - cubic(sizes) - cubic(ties)) / 72
        + third(sizes) * third(ties) / (36 * n * (n - 1) * (n - 2))
        + second(sizes) * second(ties) / (8 * n * (n - 1))
    )
    return _trend(total - center, variance, "Jonckheere-Terpstra test")


def fit_emax(
    doses: npt.ArrayLike,
    means: npt.ArrayLike,
    errors: npt.ArrayLike,
    confidence: float = 0.95,
) -> EmaxFit:
    """Fit an Emax curve to the means (or proportions) of the arms by weighted least squares.

    Parameters
    ----------
    doses
        Dose of each arm, 0 for placebo. Shape (arm,).
    means
        Effect in each arm. Shape (arm,).
    errors
        Standard error of each mean, positive. Shape (arm,).
    confidence
        Coverage of the intervals (Wald).

    Returns
    -------
    See `EmaxFit`. The dose of half the effect is searched between a hundredth of the lowest and a
    hundred times the highest dose; a fit at an end of that range is not identified.

    Raises
    ------
    InputError
        Fewer than three doses.
    RangeError
        A dose is negative or an error is not positive.

    Source
    ------
    Bretz F, Pinheiro JC, Branson M, Biometrics 2005;61:738-748 (Emax model); for given ed50 the
    curve is linear, so the search has one dimension: Golub GH, Pereyra V, SIAM J Numer Anal
    1973;10:413-432.
    """
    d, y, error = (np.asarray(own, dtype=np.float64) for own in (doses, means, errors))
    if not d.shape == y.shape == error.shape or d.ndim != 1:
        raise ShapeError(f"doses {d.shape}, means {y.shape}, errors {error.shape} differ in shape")
    kept = ~np.isnan(y) & ~np.isnan(error)
    d, y, error = d[kept], y[kept], error[kept]
    if len(np.unique(d)) < 3:
        raise InputError(
            f"an Emax curve has three parameters; {len(np.unique(d))} doses cannot tell them",
            remedy="use placebo and at least two doses, better three",
        )
    if np.any(d < 0) or np.any(error <= 0):
        raise RangeError("doses cannot be negative, and standard errors must be positive")
    log_ed50, is_inside = _best_log_ed50(d, y, error)
    (e0, emax), chi_square = _linear_part(log_ed50, d, y, error)
    ed50 = math.exp(log_ed50)
    slope = (
        np.column_stack([np.ones(len(d)), d / (ed50 + d), -emax * d * ed50 / (ed50 + d) ** 2])
        / error[:, None]
    )
    information = slope.T @ slope
    is_identified = is_inside and float(np.linalg.cond(information)) < 1e12
    covariance = np.full((3, 3), np.inf)
    if is_identified:
        covariance = np.asarray(np.linalg.inv(information), dtype=np.float64)
    z, n = z_quantile(confidence), len(d)
    method = f"Emax, weighted least squares, Wald {100 * confidence:g} %, n counts arms"
    half = z * np.sqrt(np.diag(covariance))
    with np.errstate(over="ignore"):
        factor = float(np.exp(half[2]))
    return EmaxFit(
        Estimate("e0", e0, e0 - half[0], e0 + half[0], n, method),
        Estimate("emax", emax, emax - half[1], emax + half[1], n, method),
        Estimate("ed50", ed50, ed50 / factor, ed50 * factor, n, method),
        covariance,
        chi_square,
        n - 3,
        is_identified,
    )


def dose_for_change(fit: EmaxFit, change: float, confidence: float = 0.95) -> Estimate:
    """Dose at which the effect differs from that without drug by a target.

    Parameters
    ----------
    fit
        From `fit_emax`.
    change
        Wanted difference from placebo, in the unit of the effect and with its sign.
    confidence
        Coverage of the interval (delta method on the logarithm of the dose).

    Returns
    -------
    Dose, 0 for a change of 0; infinite where the largest change does not reach the target.

    Source
    ------
    Inversion of the curve, ed50 change / (emax - change) ("definition").
    """
    emax, n = fit.emax.estimate, fit.emax.n
    method = f"delta method {100 * confidence:g} %, n counts arms"
    if change == 0:
        return Estimate("dose", 0.0, 0.0, 0.0, n, method)
    share = change / emax if emax else math.inf
    if not 0 < share < 1:
        return Estimate("dose", math.inf, math.nan, math.inf, n, method)
    dose = fit.ed50.estimate * change / (emax - change)
    # ln dose = ln ed50 + ln change - ln(emax - change)
    slope = np.array([0.0, -1.0 / (emax - change), 1.0])
    if not fit.is_identified:
        return Estimate("dose", dose, 0.0, math.inf, n, method)
    half = z_quantile(confidence) * math.sqrt(float(slope @ fit.covariance @ slope))
    factor = math.exp(half) if half < 700 else math.inf
    return Estimate("dose", dose, dose / factor, dose * factor, n, method)


def _best_log_ed50(d: FloatArray, y: FloatArray, error: FloatArray) -> tuple[float, bool]:
    """Logarithm of the best ed50, and whether it lies inside the range of the search."""
    from scipy.optimize import minimize_scalar

    low = math.log(float(d[d > 0].min()) / 100)
    high = math.log(float(d.max()) * 100)
    grid = np.linspace(low, high, 81)  # the squares may have more than one dip
    squares = [_linear_part(x, d, y, error)[1] for x in grid]
    best = int(np.argmin(squares))
    if best in (0, len(grid) - 1):
        return float(grid[best]), False
    found = minimize_scalar(
        lambda x: _linear_part(float(x), d, y, error)[1],
        bounds=(grid[best - 1], grid[best + 1]),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return float(found.x), True


def _linear_part(
    log_ed50: float, d: FloatArray, y: FloatArray, error: FloatArray
) -> tuple[tuple[float, float], float]:
    """Best e0 and emax for a given ed50, and the weighted squares they leave."""
    x = np.column_stack([np.ones(len(d)), d / (math.exp(log_ed50) + d)]) / error[:, None]
    e0, emax = np.linalg.lstsq(x, y / error, rcond=None)[0]
    left = y / error - x @ np.array([e0, emax])
    return (float(e0), float(emax)), float(left @ left)


def _trend(score: float, variance: float, method: str) -> Trend:
    """Trend from a score of mean zero."""
    from scipy.special import ndtr

    if not variance > 0:
        return Trend(math.nan, math.nan, method)
    z = score / math.sqrt(variance)
    return Trend(z, float(2 * ndtr(-abs(z))), method)
