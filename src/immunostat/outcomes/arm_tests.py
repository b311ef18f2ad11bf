"""p values of the plain tests of two independent arms, and the shift of Hodges and Lehmann."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from immunostat.outcomes.adjusted import Tested
from immunostat.outcomes.statistics import Estimate, check_count, observed, z_quantile

#: Expected counts below this make the chi-square test unreliable (rule of Cochran).
LEAST_EXPECTED = 5.0


def chi_square_p(successes: int, n: int, other_successes: int, other_n: int) -> float:
    """p value of Pearson's chi-square test without continuity correction, the score test of equal
    proportions.

    Parameters
    ----------
    successes, n, other_successes, other_n
        Counts of two arms.

    Returns
    -------
    Two-sided p value; NaN where an arm is empty, 1 where nobody or everybody responds.

    Source
    ------
    Pearson K, Philos Mag 1900;50:157-175.
    """
    from scipy.special import ndtr

    check_count(successes, n)
    check_count(other_successes, other_n)
    if min(n, other_n) == 0:
        return math.nan
    pooled = (successes + other_successes) / (n + other_n)
    if pooled in (0.0, 1.0):
        return 1.0
    error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / other_n))
    return float(2 * ndtr(-abs(successes / n - other_successes / other_n) / error))


def fisher_p(successes: int, n: int, other_successes: int, other_n: int) -> float:
    """p value of Fisher's exact test; see `chi_square_p`.

    Source
    ------
    Fisher RA, J R Stat Soc 1922;85:87-94; two-sided by the probability of the table; by scipy.
    """
    from scipy.stats import fisher_exact

    check_count(successes, n)
    check_count(other_successes, other_n)
    if min(n, other_n) == 0:
        return math.nan
    table = np.array([[successes, n - successes], [other_successes, other_n - other_successes]])
    return float(fisher_exact(table).pvalue)


def proportion_p(successes: int, n: int, other_successes: int, other_n: int) -> tuple[float, str]:
    """p value of equal proportions and the name of its test: chi-square, or Fisher where a count
    expected under equality is below 5.

    Parameters
    ----------
    successes, n, other_successes, other_n
        See `chi_square_p`.

    Returns
    -------
    Two-sided p value, and the test in words.

    Source
    ------
    Cochran WG, Biometrics 1954;10:417-451.
    """
    total, both = n + other_n, successes + other_successes
    least = min(n, other_n) * min(both, total - both) / total if total else 0.0
    if least < LEAST_EXPECTED:
        return fisher_p(successes, n, other_successes, other_n), "Fisher's exact test"
    return chi_square_p(successes, n, other_successes, other_n), "chi-square test"


def welch_p(values: npt.ArrayLike, other_values: npt.ArrayLike) -> float:
    """p value of Welch's t test; NaN where an arm has fewer than two values or nothing varies.

    Parameters
    ----------
    values, other_values
        NaN where missing. Each of shape (patient,).

    Returns
    -------
    Two-sided p value.

    Source
    ------
    Welch BL, Biometrika 1947;34:28-35.
    """
    from scipy.special import stdtr

    (x, n), (y, m) = observed(values), observed(other_values)
    if min(n, m) < 2:
        return math.nan
    a, b = float(np.var(x, ddof=1)) / n, float(np.var(y, ddof=1)) / m
    if a + b == 0:
        return math.nan
    freedom = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1))
    t = float(np.mean(x) - np.mean(y)) / math.sqrt(a + b)
    return float(2 * stdtr(freedom, -abs(t)))


def hodges_lehmann(
    values: npt.ArrayLike, other_values: npt.ArrayLike, confidence: float = 0.95
) -> Tested:
    """Median of all differences between a value of the arm and one of the comparator.

    Parameters
    ----------
    values, other_values
        NaN where missing. Each of shape (patient,).
    confidence
        Coverage of the interval (normal approximation to the ranks).

    Returns
    -------
    Shift in the unit of the values with the p value of the Mann-Whitney test (ties corrected).

    Source
    ------
    Hodges JL, Lehmann EL, Ann Math Stat 1963;34:598-611; interval: Moses LE, in Walker HM, Lev J,
    Statistical Inference, 1953, as in Hollander M, Wolfe DA, Nonparametric Statistical Methods,
    section 4.3; test by scipy.
    """
    from scipy.stats import mannwhitneyu

    (x, n), (y, m) = observed(values), observed(other_values)
    method = f"Hodges-Lehmann, Moses {100 * confidence:g} %"
    if min(n, m) == 0:
        lost = Estimate("shift", math.nan, math.nan, math.nan, n + m, method)
        return Tested(lost, math.nan)
    differences = np.sort(np.subtract.outer(x, y).ravel())
    center = float(np.median(differences))
    half = z_quantile(confidence) * math.sqrt(n * m * (n + m + 1) / 12)
    rank = math.floor(n * m / 2 - half)  # rank from 1 of the lower end
    low = high = math.nan
    if rank >= 1:
        low, high = float(differences[rank - 1]), float(differences[n * m - rank])
    p = float(mannwhitneyu(x, y, alternative="two-sided", method="asymptotic").pvalue)
    return Tested(Estimate("shift", center, low, high, n + m, method), p)
