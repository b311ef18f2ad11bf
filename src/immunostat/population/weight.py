"""Prevalence weights: how much each virtual patient counts, so that a pool is like real patients.

A pool of plausible patients is not yet a population: their means, spreads and response rates need
not be those that were published. Weights make them so. Four methods answer to one function,
`weight`:

entropy
    The weights nearest to equal ones (smallest Kullback-Leibler divergence) among those that meet
    the targets within their tolerance.
least-squares
    The weights nearest to equal ones in squared distance; no other weights that meet the targets
    have a larger effective sample size.
accept-reject
    Patients are accepted with a probability that follows the ratio of the target's density to the
    pool's; who is accepted counts once.
greedy
    A subset of given size, grown patient by patient so that it stays nearest to the targets.

The first two have a dual problem with one unknown for each target and one for the sum; both bound
the weight of a patient. All are deterministic; sums run over patients in a fixed order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import InputError, ShapeError
from immunostat.model.system import FloatArray

#: Largest weight of a patient, as a multiple of the average.
DEFAULT_MOST = 10.0

#: How far a mean may lie from its target, in standard deviations of the target.
MEAN_TOLERANCE = 0.02

#: How far a share may lie from its target: publications print whole percents.
SHARE_TOLERANCE = 0.005

#: Excess over a tolerance that counts as met: rounding of the sums over patients.
ROUNDING = 1e-7


class Method(StrEnum):
    """How weights are found."""

    ENTROPY = "entropy"
    LEAST_SQUARES = "least-squares"
    ACCEPT_REJECT = "accept-reject"
    GREEDY = "greedy"


@dataclass(frozen=True)
class Target:
    """What a column of the pool should be like.

    Parameters
    ----------
    name
        For messages and tables.
    mean
        Wanted mean; the share of yes for a column of 0 and 1.
    sd
        Wanted standard deviation (divisor n); None for a share, which has none of its own.
    tolerance
        How far the mean may lie off: in standard deviations, or in the unit of a share. Of the
        variance, twice that as a fraction, which is the tolerance as a fraction of the SD.
    """

    name: str
    mean: float
    sd: float | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.sd is not None and not self.sd > 0:
            raise InputError(f"target '{self.name}': the standard deviation is not above 0")
        if not np.isfinite(self.mean) or (self.tolerance is not None and self.tolerance < 0):
            raise InputError(f"target '{self.name}' has no mean or a tolerance below 0")

    @property
    def allowed(self) -> float:
        """The tolerance, or the default of its kind."""
        if self.tolerance is not None:
            return self.tolerance
        return SHARE_TOLERANCE if self.sd is None else MEAN_TOLERANCE

    @property
    def scale(self) -> float:
        """Unit of `allowed`, in the unit of the column."""
        return 1.0 if self.sd is None else self.sd


@dataclass(frozen=True)
class Weights:
    """Prevalence weights and what they reach.

    Parameters
    ----------
    values
        Not negative, with sum 1. Shape (patient,).
    method
        How they were found.
    targets
        What was asked for.
    means, sds
        Weighted mean and standard deviation (divisor n) of each column. Shape (target,).
    """

    values: FloatArray
    method: Method
    targets: tuple[Target, ...]
    means: FloatArray
    sds: FloatArray

    @property
    def effective_size(self) -> float:
        """Effective sample size; see `effective_size`."""
        return effective_size(self.values)

    @property
    def missed(self) -> tuple[Target, ...]:
        """Targets that are not met within their tolerance."""
        found = []
        for target, mean, sd in zip(self.targets, self.means, self.sds, strict=True):
            off = abs(mean - target.mean) / target.scale
            wide = 0.0
            if target.sd is not None:
                second = (sd / target.sd) ** 2 + ((mean - target.mean) / target.sd) ** 2
                wide = abs(second - 1.0) / 2.0
            if max(off, wide) > target.allowed + ROUNDING:
                found.append(target)
        return tuple(found)


def effective_size(weights: npt.ArrayLike) -> float:
    """Number of equally weighted patients that would give means as precise as these.

    Parameters
    ----------
    weights
        Not negative, not all zero. Shape (patient,).

    Source
    ------
    Kish 1965, Survey Sampling, section 11.7: (sum w)^2 / sum w^2.

    Examples
    --------
    >>> effective_size([1.0, 1.0, 0.0, 0.0])
    2.0
    """
    own = np.asarray(weights, dtype=np.float64)
    return float(own.sum() ** 2 / (own**2).sum())


def weight(
    values: npt.ArrayLike,
    targets: Sequence[Target],
    method: Method | str = Method.ENTROPY,
    *,
    most: float = DEFAULT_MOST,
    size: int | None = None,
    uniforms: npt.ArrayLike | None = None,
) -> Weights:
    """Weights with which a pool of patients is like published ones.

    Parameters
    ----------
    values
        What each target looks at, in its unit; 0 or 1 for shares. Shape (patient, target).
    targets
        What the columns should be like.
    method
        See `Method`.
    most
        Largest weight, as a multiple of the average (entropy, least squares).
    size
        Number of patients to select (greedy); half of the pool if None.
    uniforms
        A number in (0, 1) for each patient, which decides who is accepted (accept-reject). Shape
        (patient,).

    Returns
    -------
    The weights. Those of the first two methods meet every target within its tolerance; the others
    come as near as they can, and `Weights.missed` says where they do not.

    Raises
    ------
    ShapeError
        The columns do not belong to the targets, or a value is missing.
    InputError
        No weights meet the targets; the message names the one that is farthest off.

    Source
    ------
    Entropy: Jaynes 1957 and Hainmueller 2012 (entropy balancing). Least squares: Deville and
    Sarndal 1992 (calibration, chi-square distance). Accept-reject: Allen, Rieger and Musante 2016,
    with Gaussian densities instead of those of nearest neighbors. Greedy: Welling 2009 (herding).

    Examples
    --------
    >>> found = weight([[0.0], [1.0], [1.0], [1.0]], [Target("share", 0.5, tolerance=0.0)])
    >>> found.values.round(4)
    array([0.5   , 0.1667, 0.1667, 0.1667])
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(targets) or not len(table):
        raise ShapeError(f"values have shape {table.shape} for {len(targets)} targets")
    if not np.isfinite(table).all():
        raise ShapeError(f"{int((~np.isfinite(table)).sum())} values are missing")
    if method not in set(Method):
        raise InputError(f"'{method}' is no method", remedy=f"allowed: {', '.join(Method)}")
    n = len(table)
    if not targets:
        found = np.full(n, 1.0 / n)
    elif method == Method.ENTROPY:
        found = _nearest(table, targets, _EXPONENTIAL, most)
    elif method == Method.LEAST_SQUARES:
        found = _nearest(table, targets, _LINEAR, most)
    elif method == Method.ACCEPT_REJECT:
        found = _accepted(table, targets, uniforms)
    else:
        found = _grown(table, targets, n // 2 if size is None else size)
    means = (found[:, None] * table).sum(axis=0)
    sds = np.sqrt((found[:, None] * (table - means) ** 2).sum(axis=0))
    return Weights(found, Method(method), tuple(targets), means, sds)


def constraints(
    values: FloatArray, targets: Sequence[Target]
) -> tuple[FloatArray, FloatArray, list[str]]:
    """Columns whose weighted mean should be zero, how far off it may be, and their names.

    Returns
    -------
    Shapes (patient, constraint) and (constraint,), no unit.
    """
    columns, allowed, names = [], [], []
    for j, target in enumerate(targets):
        score = (values[:, j] - target.mean) / target.scale
        columns.append(score)
        allowed.append(target.allowed)
        names.append(f"mean of {target.name}" if target.sd is not None else target.name)
        if target.sd is not None:
            columns.append(score**2 - 1.0)
            allowed.append(2.0 * target.allowed)
            names.append(f"spread of {target.name}")
    return np.column_stack(columns), np.array(allowed), names


@dataclass(frozen=True)
class _Distance:
    """How far weights are from equal ones, by way of its conjugate.

    Parameters
    ----------
    weight
        Weight times n at a score, between 0 and a bound.
    integral
        Its integral over the score.
    slope
        Its derivative.
    start
        Score at which the weight is the average.
    """

    weight: Callable[[FloatArray, float], FloatArray]
    integral: Callable[[FloatArray, float], FloatArray]
    slope: Callable[[FloatArray, float], FloatArray]
    start: float


def _exponential_integral(score: FloatArray, most: float) -> FloatArray:
    turn = np.log(most)
    return np.asarray(np.exp(np.minimum(score, turn)) + most * np.maximum(score - turn, 0.0))


def _linear_integral(score: FloatArray, most: float) -> FloatArray:
    inside = np.clip(score, 0.0, most)
    return np.asarray(inside**2 / 2.0 + most * np.maximum(score - most, 0.0))


_EXPONENTIAL = _Distance(
    lambda score, most: np.asarray(np.exp(np.minimum(score, np.log(most)))),
    _exponential_integral,
    lambda score, most: np.where(score < np.log(most), np.exp(np.minimum(score, 700.0)), 0.0),
    0.0,
)
_LINEAR = _Distance(
    lambda score, most: np.clip(score, 0.0, most),
    _linear_integral,
    lambda score, most: np.asarray((score > 0.0) & (score < most), dtype=np.float64),
    1.0,
)


def _nearest(
    values: FloatArray, targets: Sequence[Target], distance: _Distance, most: float
) -> FloatArray:
    """Weights nearest to equal ones that meet the targets. Shape (patient,)."""
    from scipy.optimize import minimize

    if not most > 1.0:
        raise InputError(f"the largest weight, {most:g} times the average, is not above 1")
    columns, allowed, names = constraints(values, targets)
    _refuse_outside(columns, allowed, names)
    n, m = columns.shape

    def at(unknowns: FloatArray, /) -> tuple[float, FloatArray]:
        shift, up, down = float(unknowns[0]), unknowns[1 : m + 1], unknowns[m + 1 :]
        score = shift + _times(columns, up - down)
        weights = distance.weight(score, most) / n
        reached = (weights[:, None] * columns).sum(axis=0)
        value = distance.integral(score, most).sum() / n - shift + float(allowed @ (up + down))
        slope = np.concatenate([[weights.sum() - 1.0], reached + allowed, allowed - reached])
        return float(value), slope

    start = np.zeros(2 * m + 1)
    start[0] = distance.start
    bounds: list[tuple[float | None, float | None]] = [(None, None)] + [(0.0, None)] * (2 * m)
    options: Any = {"maxiter": 5000, "maxfun": 10000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 30}
    solved = minimize(at, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    found = np.asarray(solved.x, dtype=np.float64)
    shift, sides = float(found[0]), found[1 : m + 1] - found[m + 1 :]
    shift, sides = _polished(columns, allowed, distance, most, shift, sides)
    weights = distance.weight(shift + _times(columns, sides), most) / n
    total = weights.sum()
    reached = (weights[:, None] * columns).sum(axis=0) / (total if total > 0 else 1.0)
    excess = np.abs(reached) - allowed
    if abs(total - 1.0) > 1e-6 or excess.max() > 1e-6:
        worst = int(np.argmax(excess))
        raise InputError(
            f"no weights up to {most:g} times the average meet all targets: '{names[worst]}' stays "
            f"{abs(reached[worst]):.3g} off (allowed {allowed[worst]:g})",
            remedy="build a larger pool, allow a larger weight or a wider tolerance, or leave the "
            "target out",
        )
    return np.asarray(weights / total)


def _times(columns: FloatArray, factors: FloatArray) -> FloatArray:
    """Columns times factors, added in a fixed order whatever the number of threads."""
    total = np.zeros(len(columns))
    for j, factor in enumerate(factors):
        if factor:
            total = total + factor * columns[:, j]
    return total


def _polished(
    columns: FloatArray,
    allowed: FloatArray,
    distance: _Distance,
    most: float,
    shift: float,
    sides: FloatArray,
) -> tuple[float, FloatArray]:
    """Newton steps on the targets that bind, until they hold to rounding."""
    active = np.flatnonzero(np.abs(sides) > 1e-7 * max(1.0, float(np.abs(sides).max(initial=0.0))))
    used = np.column_stack([np.ones(len(columns)), columns[:, active]])
    wanted = np.concatenate([[1.0], -allowed[active] * np.sign(sides[active])])
    unknowns = np.concatenate([[shift], sides[active]])

    def miss(point: FloatArray) -> tuple[FloatArray, FloatArray]:
        score = _times(used, point)
        weights = distance.weight(score, most) / len(columns)
        return (weights[:, None] * used).sum(axis=0) - wanted, score

    left, score = miss(unknowns)
    for _ in range(50):
        if np.abs(left).max() < 1e-13:
            break
        bend = distance.slope(score, most)[:, None] / len(columns)
        matrix = np.array([(bend * used * used[:, [j]]).sum(axis=0) for j in range(used.shape[1])])
        try:
            step = np.linalg.solve(matrix, left)
        except np.linalg.LinAlgError:
            break
        further, score_there = miss(unknowns - step)
        if not np.abs(further).max() < np.abs(left).max():
            break
        unknowns, left, score = unknowns - step, further, score_there
    moved = np.zeros_like(sides)
    moved[active] = unknowns[1:]
    if np.any(np.sign(moved[active]) != np.sign(sides[active])):
        return shift, sides
    return float(unknowns[0]), moved


def _refuse_outside(columns: FloatArray, allowed: FloatArray, names: Sequence[str]) -> None:
    """A target beyond every patient of the pool is met by no weights."""
    for j, name in enumerate(names):
        low, high = float(columns[:, j].min()), float(columns[:, j].max())
        if low > allowed[j] or high < -allowed[j]:
            raise InputError(
                f"target '{name}' lies outside what the pool holds",
                remedy="check the target and its unit, or build a pool that is spread wider",
            )


def _accepted(
    values: FloatArray, targets: Sequence[Target], uniforms: npt.ArrayLike | None
) -> FloatArray:
    """Equal weights of those who are accepted. Shape (patient,)."""
    if uniforms is None or np.shape(uniforms) != (len(values),):
        raise ShapeError("accept-reject needs a number in (0, 1) for each patient")
    chance = np.asarray(uniforms, dtype=np.float64)
    columns, _, _ = constraints(values, targets)
    spread = np.maximum(columns.std(axis=0), 1e-300)
    ratio = _density_ratio(values, targets)
    best, fewest_missed = None, np.inf
    # Who is accepted depends on the ratio at which acceptance is certain: a low one keeps many
    # patients and some bias, a high one few. The one whose patients are nearest the targets wins.
    for level in np.quantile(ratio, np.linspace(0.5, 1.0, 26)):
        is_in = chance < ratio / level
        if not is_in.any():
            continue
        off = columns[is_in].mean(axis=0) / spread
        # Chance alone moves a mean by its standard error; fewer patients pay for it here.
        missed = float((off**2).mean()) + 1.0 / int(is_in.sum())
        if missed < fewest_missed:
            best, fewest_missed = is_in, missed
    assert best is not None  # the quantile 0.5 accepts all whose ratio lies above it
    return np.where(best, 1.0 / best.sum(), 0.0)


def _density_ratio(values: FloatArray, targets: Sequence[Target]) -> FloatArray:
    """Density of the targets over density of the pool at each patient, largest 1.

    Columns with a standard deviation are Gaussian with the correlations of the pool; shares are
    brought to their targets by raking.
    """
    spread = [j for j, target in enumerate(targets) if target.sd is not None]
    shares = [j for j, target in enumerate(targets) if target.sd is None]
    logarithm = np.zeros(len(values))
    if spread:
        own = values[:, spread]
        mean, sd = own.mean(axis=0), np.maximum(own.std(axis=0), 1e-300)
        inverse = np.linalg.pinv(np.atleast_2d(np.corrcoef(own, rowvar=False)))
        wanted = np.array([targets[j].mean for j in spread])
        wide = np.array([targets[j].sd for j in spread], dtype=np.float64)
        here, there = (own - mean) / sd, (own - wanted) / wide
        for a in range(len(spread)):
            for b in range(len(spread)):
                gain = here[:, a] * here[:, b] - there[:, a] * there[:, b]
                logarithm += 0.5 * inverse[a, b] * gain
    ratio = np.exp(logarithm - logarithm.max())
    for _ in range(200):
        for j in shares:
            share = float((ratio * values[:, j]).sum() / ratio.sum())
            if 0.0 < share < 1.0:
                yes, no = targets[j].mean / share, (1.0 - targets[j].mean) / (1.0 - share)
                ratio = ratio * (values[:, j] * yes + (1.0 - values[:, j]) * no)
    return np.asarray(ratio / ratio.max())


def _grown(values: FloatArray, targets: Sequence[Target], size: int) -> FloatArray:
    """Equal weights of a subset that follows the targets. Shape (patient,)."""
    n = len(values)
    if not 0 < size <= n:
        raise InputError(f"cannot select {size} of {n} patients", remedy=f"select 1 to {n}")
    columns, allowed, _ = constraints(values, targets)
    # A miss is counted in tolerances; where none is allowed, in the finest that another has.
    finest = float(allowed[allowed > 0].min(initial=1.0))
    columns = columns / np.where(allowed > 0, allowed, finest)
    lengths = (columns**2).sum(axis=1)
    total = np.zeros(columns.shape[1])
    is_free = np.ones(n, dtype=bool)
    for _ in range(size):
        # |total + column|^2 without its constant part; the first of equals wins
        price = np.where(is_free, lengths + 2.0 * _times(columns, total), np.inf)
        chosen = int(np.argmin(price))
        is_free[chosen] = False
        total = total + columns[chosen]
    return np.where(is_free, 0.0, 1.0 / size)
