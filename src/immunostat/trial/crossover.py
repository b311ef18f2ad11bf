"""Crossover trials: sequences of treatments, and comparison within patients.

Two periods (AB and BA) are analyzed by t tests on each patient's difference and sum. More periods
take a mixed model with a random level of each patient.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import InputError, ShapeError
from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.outcomes.adjusted import Tested
from immunostat.outcomes.statistics import Estimate, z_quantile


@dataclass(frozen=True)
class TwoPeriods:
    """Analysis of an AB/BA crossover.

    Parameters
    ----------
    treatment
        A minus B, unbiased where there is no carry-over.
    period
        Second period minus first.
    carry_over
        Carry-over of A minus that of B, compared between patients: little power, and a look at it
        must not choose the analysis of the treatment.
    first_period
        A minus B from the first period alone: free of carry-over, but between patients.
    """

    treatment: Tested
    period: Tested
    carry_over: Tested
    first_period: Tested


def williams_design(n_treatments: int) -> IntArray:
    """Sequences in which each treatment follows every other equally often.

    Parameters
    ----------
    n_treatments
        Treatments and periods, from 2 to 20.

    Returns
    -------
    Index of the treatment by sequence and period: as many sequences as treatments where these are
    even, twice as many where odd. Shape (sequence, period).

    Raises
    ------
    InputError
        Too few or too many treatments.

    Source
    ------
    Williams EJ, Aust J Sci Res A 1949;2:149-168.

    Examples
    --------
    >>> williams_design(2).tolist()
    [[0, 1], [1, 0]]
    """
    t = n_treatments
    if not 2 <= t <= 20:
        raise InputError(f"a crossover has 2 to 20 treatments, not {t}")
    # 0, 1, t-1, 2, t-2, ...: every difference between neighbors occurs once (t even)
    first = [(k + 1) // 2 if k % 2 else (t - k // 2) % t for k in range(t)]
    square = (np.array(first)[None, :] + np.arange(t)[:, None]) % t
    if t % 2:
        square = np.concatenate([square, square[:, ::-1]])
    return square.astype(np.int64)


def two_periods(
    values: npt.ArrayLike, is_ab: npt.ArrayLike, confidence: float = 0.95
) -> TwoPeriods:
    """Treatment, period and carry-over effects of an AB/BA crossover.

    Parameters
    ----------
    values
        Outcome by period. Shape (patient, 2); patients who lack one count for nothing but the
        first period.
    is_ab
        True for the sequence AB, false for BA. Shape (patient,).
    confidence
        Coverage of the intervals.

    Returns
    -------
    See `TwoPeriods`. NaN where a sequence has fewer than one patient, or nothing is left to
    estimate a variance from.

    Raises
    ------
    ShapeError
        Not two periods for each patient.

    Source
    ------
    Hills M, Armitage P, Br J Clin Pharmacol 1979;8:7-20; Grizzle JE, Biometrics 1965;21:467-480;
    that the test of carry-over must not steer the analysis: Freeman PR, Stat Med 1989;8:1421-1432.
    """
    y, ab = np.asarray(values, np.float64), np.asarray(is_ab, np.bool_)
    if y.ndim != 2 or y.shape[1] != 2 or ab.shape != y.shape[:1]:
        raise ShapeError(f"values have shape {y.shape}, sequences {ab.shape}; expected (n, 2), (n)")
    gain, total = y[:, 0] - y[:, 1], y[:, 0] + y[:, 1]
    # first minus second period: tau - pi in AB, -tau - pi in BA (tau: A - B, pi: second - first)
    treatment = _half_difference("treatment", gain[ab], gain[~ab], 0.5, confidence)
    period = _half_difference("period", -gain[ab], gain[~ab], 0.5, confidence)
    carry = _half_difference("carry-over", total[ab], total[~ab], 1.0, confidence)
    first = _half_difference("first period", y[ab, 0], y[~ab, 0], 1.0, confidence)
    return TwoPeriods(treatment, period, carry, first)


def many_periods(
    values: npt.ArrayLike,
    treatments: npt.ArrayLike,
    names: Sequence[str],
    has_carry_over: bool = False,
    confidence: float = 0.95,
) -> dict[str, Tested]:
    """Differences of treatments from the first one in a crossover of any number of periods.

    Parameters
    ----------
    values
        Outcome by period, NaN where missing. Shape (patient, period).
    treatments
        Index of the treatment that each patient had in each period. Shape (patient, period).
    names
        Names of the treatments; the first is the reference.
    has_carry_over
        Whether the treatment of the period before has an effect of its own (first order).
    confidence
        Coverage of the intervals (normal).

    Returns
    -------
    By name of the treatment, and ``carry-over of NAME`` where asked for.

    Raises
    ------
    InputError
        The design cannot tell the effects apart.
    ShapeError
        Values and treatments differ in shape.

    Source
    ------
    Jones B, Kenward MG, Design and Analysis of Cross-Over Trials, 3rd ed., 2014, chapter 5:
    periods, treatments and carry-over fixed, patients random; REML by statsmodels, Wald.
    """
    import statsmodels.api as sm
    from scipy.special import ndtr

    y, given = np.asarray(values, np.float64), np.asarray(treatments, np.int64)
    if y.ndim != 2 or y.shape != given.shape:
        raise ShapeError(f"values have shape {y.shape}, treatments {given.shape}")
    n, n_periods = y.shape
    period = np.broadcast_to(np.arange(n_periods), y.shape)
    patient = np.broadcast_to(np.arange(n)[:, None], y.shape)
    columns = [np.ones(y.shape)] + [period == k for k in range(1, n_periods)]
    columns += [given == k for k in range(1, len(names))]
    labels = list(names[1:])
    if has_carry_over:
        before = np.concatenate([np.full((n, 1), -1), given[:, :-1]], axis=1)
        columns += [before == k for k in range(1, len(names))]
        labels += [f"carry-over of {name}" for name in names[1:]]
    design = np.stack(columns, axis=-1).astype(np.float64)
    kept = ~np.isnan(y)
    x = design[kept]
    if np.linalg.matrix_rank(x) < x.shape[1]:
        raise InputError(
            "the crossover cannot tell its effects apart",
            remedy="use the sequences of williams_design, or leave carry-over out",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no spread between patients is a valid answer
        fit: Any = sm.MixedLM(y[kept], x, groups=patient[kept]).fit(reml=True)
    start = n_periods
    z = z_quantile(confidence)
    found = {}
    for index, label in enumerate(labels, start=start):
        center, error = float(fit.fe_params[index]), float(fit.bse_fe[index])
        method = f"mixed model, REML, Wald {100 * confidence:g} %"
        estimate = Estimate(label, center, center - z * error, center + z * error, n, method)
        found[label] = Tested(estimate, float(2 * ndtr(-abs(center) / error)))
    return found


def _half_difference(
    statistic: str, one: FloatArray, two: FloatArray, factor: float, confidence: float
) -> Tested:
    """Difference of two means times a factor, by the pooled t test."""
    from scipy.special import stdtr, stdtrit

    x, y = one[~np.isnan(one)], two[~np.isnan(two)]
    n, m = len(x), len(y)
    method = f"pooled t {100 * confidence:g} %"
    if min(n, m) < 1 or n + m < 3:
        return Tested(Estimate(statistic, math.nan, math.nan, math.nan, n + m, method), math.nan)
    freedom = n + m - 2
    squares = float(np.sum((x - x.mean()) ** 2) + np.sum((y - y.mean()) ** 2))
    error = factor * math.sqrt(squares / freedom * (1 / n + 1 / m))
    center = factor * float(x.mean() - y.mean())
    half = float(stdtrit(freedom, 0.5 + confidence / 2)) * error
    p = float(2 * stdtr(freedom, -abs(center) / error)) if error > 0 else math.nan
    return Tested(Estimate(statistic, center, center - half, center + half, n + m, method), p)
