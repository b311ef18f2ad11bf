"""Rates of recurrent events, with the spread between patients that a Poisson model leaves out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import RangeError, ShapeError
from immunostat.model.system import FloatArray
from immunostat.outcomes.statistics import Estimate, z_quantile

#: Below this dispersion a negative binomial model is a Poisson model to all digits that matter.
_NO_DISPERSION = 1e-6


@dataclass(frozen=True)
class RateModel:
    """Negative binomial regression of two arms.

    Parameters
    ----------
    ratio
        Ratio of rates, arm to comparator.
    rate, other_rate
        Events per `per_years` patient-years of the arm and of the comparator (at the mean of the
        covariates).
    dispersion
        Variance of a count of mean m is m + dispersion m^2; 0 where the counts do not vary more
        than a Poisson count, and then the model is Poisson.
    p
        Two-sided Wald p value of a ratio of 1.
    """

    ratio: Estimate
    rate: Estimate
    other_rate: Estimate
    dispersion: float
    p: float


def event_rates(
    counts: npt.ArrayLike,
    years: npt.ArrayLike,
    is_treated: npt.ArrayLike,
    covariates: npt.ArrayLike | None = None,
    confidence: float = 0.95,
    per_years: float = 1.0,
) -> RateModel:
    """Rates of recurrent events of two arms and their ratio, by negative binomial regression.

    Parameters
    ----------
    counts
        Number of events of each patient, NaN where missing. Shape (patient,).
    years
        Time at risk, year; patients without any are left out. Shape (patient,).
    is_treated
        1 for the arm, 0 for the comparator. Shape (patient,).
    covariates
        Columns to adjust for, such as the number of relapses before. Shape (patient, covariate).
    confidence
        Coverage of the intervals (Wald on the log scale).
    per_years
        Rates are per this many patient-years.

    Returns
    -------
    See `RateModel`. All NaN where an arm has no event, since the model then has no maximum; use
    `comparisons.rate_ratio` there.

    Raises
    ------
    RangeError
        A count or time is negative.
    ShapeError
        The arrays do not belong together.

    Source
    ------
    Lawless JF, Can J Stat 1987;15:209-225 (NB2, log link, log time as offset, maximum likelihood);
    by statsmodels.
    """
    from scipy.special import ndtr

    count, time, arm, columns = _usable(counts, years, is_treated, covariates)
    method = f"negative binomial, Wald {100 * confidence:g} %"
    n = len(count)
    if min(count[arm > 0].sum(), count[arm <= 0].sum()) == 0:
        lost = Estimate("rate ratio", math.nan, math.nan, math.nan, n, method)
        rate = Estimate("rate", math.nan, math.nan, math.nan, n, method)
        return RateModel(lost, rate, rate, math.nan, math.nan)
    centered = columns - columns.mean(axis=0)
    design = np.column_stack([np.ones(n), arm, centered])
    found, covariance, dispersion = _fitted(count, np.log(time), design)
    if dispersion == 0:
        method = f"Poisson (no overdispersion), Wald {100 * confidence:g} %"
    z = z_quantile(confidence)

    def estimate(statistic: str, weights: FloatArray, scale: float, size: int) -> Estimate:
        center = float(weights @ found)
        error = math.sqrt(float(weights @ covariance @ weights))
        value, low, high = (math.exp(center + k * z * error) * scale for k in (0, -1, 1))
        return Estimate(statistic, value, low, high, size, method)

    unit = np.eye(design.shape[1])
    wald = abs(found[1]) / math.sqrt(covariance[1, 1])
    return RateModel(
        estimate("rate ratio", unit[1], 1.0, n),
        estimate("rate", unit[0] + unit[1], per_years, int(np.sum(arm > 0))),
        estimate("rate", unit[0], per_years, int(np.sum(arm <= 0))),
        dispersion,
        float(2 * ndtr(-wald)),
    )


def _fitted(
    count: FloatArray, offset: FloatArray, design: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Coefficients, their covariance and the dispersion."""
    import warnings

    import statsmodels.api as sm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a flat likelihood at no dispersion is handled below
        poisson: Any = sm.Poisson(count, design, offset=offset).fit(disp=False)
        mean = poisson.predict()
        # moments give the start, and say where there is no overdispersion to be estimated
        moment = float(np.sum((count - mean) ** 2 - mean) / np.sum(mean**2))
        start = np.append(poisson.params, max(moment, 0.01))
        model: Any = sm.NegativeBinomial(count, design, offset=offset)
        fit: Any = model.fit(start_params=start, method="bfgs", maxiter=500, disp=False)
        is_better = np.isfinite(fit.llf) and fit.llf > poisson.llf + 1e-9
    dispersion = float(fit.params[-1])
    if not is_better or dispersion < _NO_DISPERSION:
        return np.asarray(poisson.params), np.asarray(poisson.cov_params()), 0.0
    k = design.shape[1]
    return np.asarray(fit.params[:k]), np.asarray(fit.cov_params())[:k, :k], dispersion


def _usable(
    counts: npt.ArrayLike,
    years: npt.ArrayLike,
    is_treated: npt.ArrayLike,
    covariates: npt.ArrayLike | None,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Patients with everything that the model reads."""
    count, time, arm = (np.asarray(x, dtype=np.float64) for x in (counts, years, is_treated))
    columns = np.zeros((len(count), 0))
    if covariates is not None:
        columns = np.asarray(covariates, dtype=np.float64).reshape(len(count), -1)
    if not count.shape == time.shape == arm.shape or count.ndim != 1:
        raise ShapeError(f"counts {count.shape}, times {time.shape} and arms {arm.shape} differ")
    if np.any(count < 0) or np.any(time < 0):
        raise RangeError("counts of events and times at risk cannot be negative")
    kept = ~np.isnan(count) & (time > 0) & ~np.isnan(columns).any(axis=1)
    return count[kept], time[kept], arm[kept], columns[kept]
