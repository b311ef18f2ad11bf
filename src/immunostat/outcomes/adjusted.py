"""Differences of means adjusted for baseline: analysis of covariance at one visit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import ShapeError
from immunostat.model.system import FloatArray
from immunostat.outcomes.statistics import Estimate


@dataclass(frozen=True)
class Tested:
    """An estimate with its two-sided p value."""

    estimate: Estimate
    p: float


def ancova(
    values: npt.ArrayLike,
    is_treated: npt.ArrayLike,
    covariates: npt.ArrayLike,
    confidence: float = 0.95,
) -> Tested:
    """Difference of adjusted means, arm minus comparator.

    Parameters
    ----------
    values
        Outcome, or its change from baseline (which gives the same difference where baseline is a
        covariate), NaN where missing. Shape (patient,).
    is_treated
        1 for the arm, 0 for the comparator. Shape (patient,).
    covariates
        Baseline, and what else to adjust for. Shape (patient,) or (patient, covariate).
    confidence
        Coverage of the interval.

    Returns
    -------
    Least-squares difference in the unit of the values, from patients with values and covariates.
    NaN where an arm has nobody; no interval where no degree of freedom is left.

    Raises
    ------
    ShapeError
        The arrays do not belong together.

    Source
    ------
    Fisher RA, Statistical Methods for Research Workers, 4th ed., 1932; ordinary least squares by
    statsmodels, equal variances.
    """
    import statsmodels.api as sm

    y, arm = np.asarray(values, np.float64), np.asarray(is_treated, np.float64)
    if y.ndim != 1 or y.shape != arm.shape:
        raise ShapeError(f"values have shape {y.shape}, arms {arm.shape}")
    columns = np.asarray(covariates, dtype=np.float64).reshape(len(y), -1)
    kept = ~np.isnan(y) & ~np.isnan(arm) & ~np.isnan(columns).any(axis=1)
    y, arm, columns = y[kept], arm[kept], _varying(columns[kept])
    method = f"ANCOVA {100 * confidence:g} %"
    n = len(y)
    if not np.any(arm > 0) or np.all(arm > 0):
        return Tested(
            Estimate("adjusted difference", math.nan, math.nan, math.nan, n, method), math.nan
        )
    fit = sm.OLS(y, np.column_stack([np.ones(n), arm, columns])).fit()
    found = float(fit.params[1])
    if fit.df_resid < 1:
        return Tested(
            Estimate("adjusted difference", found, math.nan, math.nan, n, method), math.nan
        )
    low, high = fit.conf_int(1 - confidence)[1]
    return Tested(
        Estimate("adjusted difference", found, float(low), float(high), n, method),
        float(fit.pvalues[1]),
    )


def _varying(columns: FloatArray) -> FloatArray:
    """Columns that are not constant, centered."""
    if not len(columns):
        return columns
    return np.asarray((columns - columns.mean(axis=0))[:, np.ptp(columns, axis=0) > 0])
