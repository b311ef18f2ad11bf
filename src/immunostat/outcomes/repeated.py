"""Mixed model for repeated measures (MMRM): means of two arms at each visit, from all visits.

The visits of a patient have any covariance, the same in both arms, estimated by restricted maximum
likelihood. Each visit has its own intercept, difference between arms and slope of every covariate.
Values that are missing at random, given what was seen of the same patient, do not bias it.

Standard errors are those of the model with Satterthwaite's degrees of freedom for each visit. The
correction of Kenward and Roger, which widens intervals a little in small trials with many missing
values, is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import InputError, ShapeError
from immunostat.model.system import FloatArray
from immunostat.outcomes.adjusted import Tested
from immunostat.outcomes.statistics import Estimate

MOST_VISITS = 12
#: Step of the differences that give the curvature, relative to the size of a parameter: cube root
#: of the rounding of doubles, the best for central differences.
_STEP = 6e-6


@dataclass(frozen=True)
class _Pattern:
    """Patients who were seen at the same visits, as sums over them.

    `seen` visits, `n` patients, `zz` sum of z z', `yz` of y z', `yy` of y y' (y of seen visits).
    """

    seen: npt.NDArray[np.int64]
    n: int
    zz: FloatArray
    yz: FloatArray
    yy: FloatArray


@dataclass(frozen=True)
class RepeatedMeasures:
    """A fitted model.

    Parameters
    ----------
    differences
        Arm minus comparator at each visit, with its p value. One per visit.
    covariance
        Of the values of a patient at the visits. Shape (visit, visit).
    degrees_of_freedom
        Of each difference (Satterthwaite). Shape (visit,).
    deviance
        Minus twice the restricted log-likelihood, without its constant.
    has_converged
        Whether the search ended at a maximum; differences are NaN where not.
    """

    differences: tuple[Tested, ...]
    covariance: FloatArray
    degrees_of_freedom: FloatArray
    deviance: float
    has_converged: bool


def repeated_measures(
    values: npt.ArrayLike,
    is_treated: npt.ArrayLike,
    covariates: npt.ArrayLike | None = None,
    confidence: float = 0.95,
) -> RepeatedMeasures:
    """Differences between two arms at every visit after baseline, by MMRM.

    Parameters
    ----------
    values
        Change from baseline (or value) at the visits after baseline, NaN where missing. Shape
        (patient, visit).
    is_treated
        1 for the arm, 0 for the comparator. Shape (patient,).
    covariates
        Baseline value and what else to adjust for, with a slope at every visit; patients who lack
        one are left out. Shape (patient,) or (patient, covariate).
    confidence
        Coverage of the intervals.

    Returns
    -------
    See `RepeatedMeasures`. `Estimate.n` counts patients with any value.

    Raises
    ------
    InputError
        There are too many visits, or too few values at one of them.
    ShapeError
        The arrays do not belong together.

    Source
    ------
    Mallinckrodt CH, Clark WS, David SR, J Biopharm Stat 2001;11:9-21; restricted likelihood:
    Laird NM, Ware JH, Biometrics 1982;38:963-974; degrees of freedom: Fai AH, Cornelius PL, J Stat
    Comput Simul 1996;54:363-378 (one contrast).
    """
    from scipy.special import stdtr, stdtrit

    y, z = _design(values, is_treated, covariates)
    n_visits, n_columns = y.shape[1], z.shape[1]
    scale = _scales(y)
    patterns = _patterns(y / scale, z)
    n = int(np.sum(~np.isnan(y).all(axis=1)))
    method = f"MMRM, unstructured covariance, REML, Satterthwaite {100 * confidence:g} %"
    try:
        theta, deviance, has_converged = _maximum(patterns, n_visits, n_columns)
    except np.linalg.LinAlgError:  # values without any spread have no likelihood
        lost = Estimate("MMRM difference", math.nan, math.nan, math.nan, n, method)
        nothing = np.full(n_visits, np.nan)
        return RepeatedMeasures(
            (Tested(lost, math.nan),) * n_visits, np.diag(nothing), nothing, math.nan, False
        )
    sigma = _covariance(theta, n_visits)
    place = np.arange(n_visits) * n_columns + 1  # coefficient of the arm at each visit
    fixed, inverse = _fixed(patterns, sigma, n_columns)
    freedom = _satterthwaite(patterns, theta, n_visits, n_columns, place)
    differences = []
    for visit in range(n_visits):
        at = place[visit]
        center = float(fixed[at] * scale[visit])
        error = math.sqrt(float(inverse[at, at])) * float(scale[visit])
        half = float(stdtrit(freedom[visit], 0.5 + confidence / 2)) * error
        p = float(2 * stdtr(freedom[visit], -abs(center) / error)) if error > 0 else math.nan
        if not has_converged:
            center = half = p = math.nan
        found = Estimate("MMRM difference", center, center - half, center + half, n, method)
        differences.append(Tested(found, p))
    return RepeatedMeasures(
        tuple(differences), sigma * np.outer(scale, scale), freedom, deviance, has_converged
    )


def usable_visits(
    values: npt.ArrayLike, is_treated: npt.ArrayLike, n_covariates: int = 0
) -> npt.NDArray[np.bool_]:
    """Visits at which both arms have values, and more in all than the model has columns.

    Parameters
    ----------
    values, is_treated
        See `repeated_measures`, of patients whose covariates are known.
    n_covariates
        Number of covariates.

    Returns
    -------
    Shape (visit,).

    Source
    ------
    "definition"
    """
    y = np.asarray(values, dtype=np.float64)
    arm = np.asarray(is_treated, dtype=np.float64) > 0
    return _is_enough(y, np.column_stack([arm, arm, np.zeros((len(arm), n_covariates))]))


def _is_enough(y: FloatArray, z: FloatArray) -> npt.NDArray[np.bool_]:
    """Visits with more values than columns, and some in each arm."""
    is_seen, arm = ~np.isnan(y), z[:, 1] > 0
    return np.asarray(
        (is_seen.sum(axis=0) > z.shape[1]) & is_seen[arm].any(axis=0) & is_seen[~arm].any(axis=0)
    )


def _design(
    values: npt.ArrayLike, is_treated: npt.ArrayLike, covariates: npt.ArrayLike | None
) -> tuple[FloatArray, FloatArray]:
    """Values, and the columns that every visit has: one, arm, covariates."""
    y, arm = np.asarray(values, np.float64), np.asarray(is_treated, np.float64)
    if y.ndim != 2 or arm.shape != y.shape[:1]:
        raise ShapeError(f"values have shape {y.shape}, arms {arm.shape}")
    if y.shape[1] > MOST_VISITS:
        raise InputError(
            f"{y.shape[1]} visits need {y.shape[1] * (y.shape[1] + 1) // 2} covariances",
            remedy=f"compare at most {MOST_VISITS} visits, for example every second one",
        )
    columns = np.zeros((len(y), 0))
    if covariates is not None:
        columns = np.asarray(covariates, dtype=np.float64).reshape(len(y), -1)
    kept = ~np.isnan(y).all(axis=1) & ~np.isnan(columns).any(axis=1)
    y, arm, columns = y[kept], (arm[kept] > 0).astype(np.float64), columns[kept]
    if len(y):
        spread = np.ptp(columns, axis=0)
        columns = ((columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1.0))[
            :, spread > 0
        ]
    z = np.column_stack([np.ones(len(y)), arm, columns])
    lacking = np.flatnonzero(~_is_enough(y, z))
    if len(lacking):
        raise InputError(
            f"visit {lacking[0] + 1} of those compared has too few values in an arm",
            remedy="compare visits at which both arms were seen",
        )
    return y, z


def _scales(y: FloatArray) -> FloatArray:
    """Standard deviation of each visit, so that the search works with numbers near one."""
    spread = np.nanstd(y, axis=0)
    return np.asarray(np.where(spread > 0, spread, 1.0), dtype=np.float64)


def _patterns(y: FloatArray, z: FloatArray) -> list[_Pattern]:
    """Sums over patients with the same visits, which are all that the likelihood needs."""
    is_seen = ~np.isnan(y)
    kinds, place = np.unique(is_seen, axis=0, return_inverse=True)
    found = []
    for index, kind in enumerate(kinds):
        own = place.reshape(-1) == index
        seen = np.flatnonzero(kind)
        values, columns = y[own][:, seen], z[own]
        found.append(
            _Pattern(
                seen, int(own.sum()), columns.T @ columns, values.T @ columns, values.T @ values
            )
        )
    return found


def _fixed(
    patterns: list[_Pattern], sigma: FloatArray, n_columns: int
) -> tuple[FloatArray, FloatArray]:
    """Generalized least squares coefficients, visit by visit, and their covariance."""
    size = len(sigma) * n_columns
    information, right = np.zeros((size, size)), np.zeros((len(sigma), n_columns))
    for own in patterns:
        weight = np.zeros(sigma.shape)
        weight[np.ix_(own.seen, own.seen)] = np.linalg.inv(sigma[np.ix_(own.seen, own.seen)])
        information += np.kron(weight, own.zz)
        right[own.seen] += weight[np.ix_(own.seen, own.seen)] @ own.yz
    inverse = np.linalg.inv(information)
    return np.asarray(inverse @ right.reshape(-1)), np.asarray(inverse, dtype=np.float64)


def _deviance(
    theta: FloatArray, patterns: list[_Pattern], n_visits: int, n_columns: int
) -> tuple[float, FloatArray]:
    """Minus twice the restricted log-likelihood and its gradient by `theta`.

    With A the information of the fixed effects and r the residuals, the derivative by the
    covariance V of the seen visits is n V^-1 - V^-1 (sum r r' + H) V^-1, where H holds the traces
    of the blocks of A^-1 with sum z z'.
    """
    sigma = _covariance(theta, n_visits)
    fixed, inverse = _fixed(patterns, sigma, n_columns)
    by_visit = fixed.reshape(n_visits, n_columns)
    blocks = inverse.reshape(n_visits, n_columns, n_visits, n_columns)
    value = -float(np.linalg.slogdet(inverse)[1])
    slope = np.zeros(sigma.shape)
    for own in patterns:
        place = np.ix_(own.seen, own.seen)
        weight = np.linalg.inv(sigma[place])
        b = by_visit[own.seen]
        residual = own.yy - own.yz @ b.T - b @ own.yz.T + b @ own.zz @ b.T
        block = blocks[own.seen][:, :, own.seen]
        trace = np.asarray(np.einsum("iajb,ab->ij", block, own.zz))
        value += own.n * float(np.linalg.slogdet(sigma[place])[1]) + float(
            np.sum(weight * residual)
        )
        slope[place] += own.n * weight - weight @ (residual + trace) @ weight
    factor = _factor(theta, n_visits)
    by_factor = 2.0 * slope @ factor
    by_factor[np.diag_indices(n_visits)] *= np.diag(factor)  # the diagonal is kept as logarithms
    return value, by_factor[np.tril_indices(n_visits)]


def _maximum(
    patterns: list[_Pattern], n_visits: int, n_columns: int
) -> tuple[FloatArray, float, bool]:
    """Parameters of the largest restricted likelihood, from a start without correlation."""
    from scipy.optimize import minimize

    start = np.zeros(n_visits * (n_visits + 1) // 2)
    found = minimize(
        _deviance,
        start,
        args=(patterns, n_visits, n_columns),
        jac=True,
        method="BFGS",
        options={"gtol": 1e-8 * sum(own.n for own in patterns), "maxiter": 1000},
    )
    # A search that stops for rounding at a flat place is at its end; the slope says whether it is.
    slope = float(np.max(np.abs(found.jac)))
    is_flat = slope < 1e-4 * sum(own.n for own in patterns)
    return found.x, float(found.fun), bool(np.isfinite(found.fun) and is_flat)


def _satterthwaite(
    patterns: list[_Pattern],
    theta: FloatArray,
    n_visits: int,
    n_columns: int,
    place: npt.NDArray[np.int64],
) -> FloatArray:
    """Degrees of freedom 2 v^2 / var(v) of the variance v of each difference."""
    n = len(theta)
    curvature, slopes = np.zeros((n, n)), np.zeros((n, len(place)))
    for index in range(n):
        step = _STEP * max(1.0, abs(float(theta[index])))
        ends = []
        for sign in (1.0, -1.0):
            moved = theta.copy()
            moved[index] += sign * step
            inverse = _fixed(patterns, _covariance(moved, n_visits), n_columns)[1]
            gradient = _deviance(moved, patterns, n_visits, n_columns)[1]
            ends.append((gradient, inverse[place, place]))
        curvature[index] = (ends[0][0] - ends[1][0]) / (2 * step)
        slopes[index] = (ends[0][1] - ends[1][1]) / (2 * step)
    # the deviance is -2 log L, so the covariance of the parameters is twice its inverse curvature
    spread = 2.0 * np.linalg.pinv(0.5 * (curvature + curvature.T), hermitian=True)
    variance = np.diag(_fixed(patterns, _covariance(theta, n_visits), n_columns)[1])[place]
    of_variance = np.einsum("ik,ij,jk->k", slopes, spread, slopes)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(2.0 * variance**2 / of_variance)


def _factor(theta: FloatArray, n_visits: int) -> FloatArray:
    """Cholesky factor; the diagonal is the exponential of its parameters."""
    factor = np.zeros((n_visits, n_visits))
    factor[np.tril_indices(n_visits)] = theta
    factor[np.diag_indices(n_visits)] = np.exp(np.diag(factor))
    return factor


def _covariance(theta: FloatArray, n_visits: int) -> FloatArray:
    """Covariance of the visits, positive definite whatever the parameters."""
    factor = _factor(theta, n_visits)
    return factor @ factor.T
