"""Interim looks: boundaries that keep the level of a trial, futility, and where trials stop.

At information fraction t the test statistic of a trial is Z = B(t) / sqrt(t), with B a Brownian
motion whose drift is the expected statistic at the end. The chance to cross a boundary first at
each look is found by integrating B from look to look on a grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import InputError, RangeError, ShapeError
from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.outcomes import statistics
from immunostat.outcomes.statistics import Estimate

#: Beyond this many standard deviations a normal density is nothing in double precision.
_FAR = 9.0
#: Nodes of the grid per standard deviation of the step between looks; the Gauss-Legendre rule is
#: then exact to about 1e-12.
_NODES_PER_SD = 6
_LEAST_NODES, _MOST_NODES = 64, 4000
MOST_LOOKS = 30


class Boundary(StrEnum):
    """Shapes of the boundary for efficacy."""

    OBRIEN_FLEMING = "O'Brien-Fleming"  #: critical value falls as 1 / sqrt(t)
    POCOCK = "Pocock"  #: the same critical value at every look
    OBRIEN_FLEMING_SPENDING = "Lan-DeMets O'Brien-Fleming"  #: 2 - 2 Phi(z / sqrt(t))
    POCOCK_SPENDING = "Lan-DeMets Pocock"  #: alpha ln(1 + (e - 1) t)


@dataclass(frozen=True)
class SequentialDesign:
    """Looks of a trial and when it stops.

    Parameters
    ----------
    fractions
        Share of the information at each look, ascending to 1. Shape (look,).
    upper
        Critical value of Z for efficacy at each look. Shape (look,).
    sides
        2 also stops at -upper (the arm is worse); 1 does not.
    futility
        Stop where the conditional power falls below this; 0 never does. Not binding: the critical
        values ignore it, so the level holds whether or not it is followed.
    name
        How the critical values were made.
    """

    fractions: FloatArray
    upper: FloatArray
    sides: int = 2
    futility: float = 0.0
    name: str = ""


@dataclass(frozen=True)
class Stops:
    """Where replicate trials stopped.

    Parameters
    ----------
    look
        Index of the look at which each stopped (the last where none stopped it). Shape
        (replicate,).
    reason
        ``efficacy``, ``harm`` (beyond the lower boundary), ``futility`` or ``end``. Shape
        (replicate,).
    """

    look: IntArray
    reason: npt.NDArray[np.str_]

    @property
    def is_successful(self) -> npt.NDArray[np.bool_]:
        """Which trials showed efficacy, at whatever look. Shape (replicate,)."""
        return np.asarray(self.reason == "efficacy")


def sequential_design(
    fractions: npt.ArrayLike,
    boundary: Boundary | str = Boundary.OBRIEN_FLEMING_SPENDING,
    alpha: float = 0.05,
    sides: int = 2,
    futility: float = 0.0,
) -> SequentialDesign:
    """Looks with critical values that together have the level alpha.

    Parameters
    ----------
    fractions
        Share of the information at each look, ascending to 1. Shape (look,).
    boundary
        See `Boundary`. The constants of the first two are found for the fractions given, also
        where these are not equally spaced.
    alpha
        Level: of both sides together where `sides` is 2, of the upper side where it is 1.
    sides
        1 or 2. Spending is done for each side at its own level.
    futility
        See `SequentialDesign`.

    Returns
    -------
    See `SequentialDesign`.

    Raises
    ------
    InputError
        The fractions do not ascend to 1, or there are too many.
    RangeError
        The level, the sides or the conditional power cannot be.

    Source
    ------
    Pocock SJ, Biometrika 1977;64:191-199; O'Brien PC, Fleming TR, Biometrics 1979;35:549-556; Lan
    KKG, DeMets DL, Biometrika 1983;70:659-663; integration: Armitage P, McPherson CK, Rowe BC, J R
    Stat Soc A 1969;132:235-244.

    Examples
    --------
    >>> sequential_design([0.5, 1.0], "Pocock").upper.round(3).tolist()
    [2.178, 2.178]
    """
    times = np.asarray(fractions, dtype=np.float64)
    if times.ndim != 1 or not 1 <= len(times) <= MOST_LOOKS:
        raise InputError(f"a trial has 1 to {MOST_LOOKS} looks, not {times.size}")
    if np.any(np.diff(times) <= 0) or times[0] <= 0 or not math.isclose(times[-1], 1.0):
        raise InputError(
            "the information at the looks does not ascend to 1",
            remedy="write fractions such as [0.5, 1.0] or [0.33, 0.67, 1.0]",
        )
    if not 0 < alpha < 1 or sides not in (1, 2) or not 0 <= futility < 1:
        raise RangeError(f"level {alpha:g} with {sides} sides, futility {futility:g} cannot be")
    shape = Boundary(boundary)
    if shape in SPENDING:
        upper = _spent(times, lambda t: SPENDING[shape](alpha / sides, t), sides)
    else:
        form = np.ones(len(times)) if shape is Boundary.POCOCK else 1 / np.sqrt(times)
        upper = form * _constant(times, form, alpha, sides)
    return SequentialDesign(times, upper, sides, futility, str(shape))


def crossing_probabilities(
    fractions: npt.ArrayLike,
    upper: npt.ArrayLike,
    lower: npt.ArrayLike | None = None,
    drift: float = 0.0,
) -> FloatArray:
    """Probability to cross each boundary first at each look.

    Parameters
    ----------
    fractions
        Shares of the information. Shape (look,).
    upper
        Critical values of Z. Shape (look,).
    lower
        Critical values below; None has no lower boundary. Shape (look,).
    drift
        Expected Z at information 1; 0 under no difference.

    Returns
    -------
    Upper in the first column, lower in the second. Shape (look, 2), no unit.

    Source
    ------
    Armitage P, McPherson CK, Rowe BC, J R Stat Soc A 1969;132:235-244; grid of Gauss-Legendre
    nodes in place of Simpson's.
    """
    times, above = np.asarray(fractions, np.float64), np.asarray(upper, np.float64)
    below = np.full(len(times), -np.inf) if lower is None else np.asarray(lower, np.float64)
    walk = _Walk(drift)
    return np.array([walk.look(*look) for look in zip(times, above, below, strict=True)])


def conditional_power(
    z: npt.ArrayLike,
    fraction: npt.ArrayLike,
    final_critical: float,
    drift: float | None = None,
) -> FloatArray:
    """Probability to end above the final critical value, given the statistic at a look.

    Parameters
    ----------
    z
        Statistic at the look. Any shape.
    fraction
        Share of the information at the look, below 1. Shape that broadcasts with `z`.
    final_critical
        Critical value of Z at the end; looks between are ignored.
    drift
        Expected Z at the end; None takes the present trend, Z / sqrt(fraction).

    Returns
    -------
    Probability. Shape of `z`.

    Source
    ------
    Lan KKG, Simon R, Halperin M, Seq Anal 1982;1:207-219; B-value: Lan KKG, Wittes J, Biometrics
    1988;44:579-585.
    """
    from scipy.special import ndtr

    statistic, t = np.asarray(z, np.float64), np.asarray(fraction, np.float64)
    now = statistic * np.sqrt(t)
    trend = now / t if drift is None else drift
    return np.asarray(ndtr((now + trend * (1 - t) - final_critical) / np.sqrt(1 - t)))


def monitored(design: SequentialDesign, z: npt.ArrayLike) -> Stops:
    """Where replicate trials stop.

    Parameters
    ----------
    design
        From `sequential_design`.
    z
        Test statistic of each replicate at each look, for example `power.Replicates.z` of the
        patients so far; NaN where a look could not be tested, which then stops nothing. Shape
        (replicate, look).

    Returns
    -------
    See `Stops`. Efficacy goes before futility at the same look.

    Raises
    ------
    ShapeError
        The looks are not those of the design.

    Source
    ------
    "definition"
    """
    own, n_looks = np.asarray(z, np.float64), len(design.fractions)
    if own.ndim != 2 or own.shape[1] != n_looks:
        raise ShapeError(f"statistics of shape {own.shape} for {n_looks} looks")
    is_above = own >= design.upper
    is_below = (own <= -design.upper) & (design.sides == 2)
    is_futile = np.zeros(own.shape, dtype=np.bool_)
    if design.futility > 0 and n_looks > 1:
        early = own[:, :-1]
        chance = conditional_power(early, design.fractions[:-1], float(design.upper[-1]))
        is_futile[:, :-1] = chance < design.futility
    is_over = is_above | is_below | is_futile
    look = np.where(is_over.any(axis=1), np.argmax(is_over, axis=1), n_looks - 1)
    row = np.arange(len(own))
    reason = np.select(
        [is_above[row, look], is_below[row, look], is_futile[row, look]],
        ["efficacy", "harm", "futility"],
        "end",
    )
    return Stops(look.astype(np.int64), reason)


def expected_size(stops: Stops, n_at_looks: npt.ArrayLike, confidence: float = 0.95) -> Estimate:
    """Expected number of patients of a trial that may stop early.

    Parameters
    ----------
    stops
        From `monitored`.
    n_at_looks
        Patients in the trial at each look. Shape (look,).
    confidence
        Coverage of the interval.

    Returns
    -------
    Mean over replicates with Student's interval.

    Source
    ------
    "definition"
    """
    n = np.asarray(n_at_looks, dtype=np.float64)[stops.look]
    found = statistics.mean(n, confidence)
    return Estimate("expected size", found.estimate, found.low, found.high, found.n, found.method)


def stopping_table(stops: Stops, n_looks: int) -> list[Mapping[str, float]]:
    """Share of the replicates that stop for each reason at each look, one row per look.

    Parameters
    ----------
    stops
        From `monitored`.
    n_looks
        Number of looks.

    Returns
    -------
    Rows with ``look`` (from 1), ``efficacy``, ``harm``, ``futility`` and ``end``; the shares of
    all rows add up to 1.

    Source
    ------
    "definition"
    """
    return [
        {
            "look": float(look + 1),
            **{
                reason: float(np.mean((stops.look == look) & (stops.reason == reason)))
                for reason in ("efficacy", "harm", "futility", "end")
            },
        }
        for look in range(n_looks)
    ]


def _obrien_fleming_spent(alpha: float, t: float) -> float:
    """Level of one side spent by a fraction of the information, like O'Brien and Fleming."""
    from scipy.special import ndtr, ndtri

    return float(2.0 * ndtr(ndtri(alpha / 2) / math.sqrt(t)))


def _pocock_spent(alpha: float, t: float) -> float:
    """Level of one side spent by a fraction of the information, like Pocock."""
    return alpha * math.log1p((math.e - 1.0) * t)


#: Spending functions by boundary: level of one side and fraction to level spent.
SPENDING: Mapping[Boundary, Callable[[float, float], float]] = {
    Boundary.OBRIEN_FLEMING_SPENDING: _obrien_fleming_spent,
    Boundary.POCOCK_SPENDING: _pocock_spent,
}


class _Walk:
    """Density of the Brownian motion of trials that go on, carried from look to look."""

    def __init__(self, drift: float) -> None:
        self.drift = drift
        self.time = 0.0
        self.nodes, self.mass = np.zeros(1), np.ones(1)  # all start at zero

    def beyond(self, time: float, upper: float, lower: float) -> tuple[float, float]:
        """Probability to be above and below critical values of Z at a time, not moving there."""
        from scipy.special import ndtr

        step, center = math.sqrt(time - self.time), self._centers(time)
        root = math.sqrt(time)
        above = float(np.sum(self.mass * ndtr((center - upper * root) / step)))
        below = float(np.sum(self.mass * ndtr((lower * root - center) / step)))
        return above, below

    def look(self, time: float, upper: float, lower: float) -> tuple[float, float]:
        """The same, and those between go on."""
        found = self.beyond(time, upper, lower)
        step, center, root = math.sqrt(time - self.time), self._centers(time), math.sqrt(time)
        low = max(lower * root, float(center.min()) - _FAR * step)
        high = min(upper * root, float(center.max()) + _FAR * step)
        if high <= low:
            self.nodes, self.mass = np.zeros(1), np.zeros(1)
        else:
            count = int(np.clip(_NODES_PER_SD * (high - low) / step, _LEAST_NODES, _MOST_NODES))
            x, weight = _nodes(-(-count // 32) * 32)
            self.nodes = low + (high - low) * (x + 1) / 2
            gap = (self.nodes[:, None] - center[None, :]) / step
            density = np.exp(-0.5 * gap**2) / (step * math.sqrt(2 * math.pi))
            self.mass = density @ self.mass * weight * (high - low) / 2
        self.time = time
        return found

    def _centers(self, time: float) -> FloatArray:
        """Where each node is expected at a later time."""
        return np.asarray(self.nodes + self.drift * (time - self.time))


@lru_cache(maxsize=64)
def _nodes(count: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of the Gauss-Legendre rule on -1 to 1."""
    x, weight = np.polynomial.legendre.leggauss(count)
    return np.asarray(x), np.asarray(weight)


def _constant(times: FloatArray, form: FloatArray, alpha: float, sides: int) -> float:
    """Factor of a form of critical values that spends the level in all."""
    from scipy.optimize import brentq
    from scipy.special import ndtri

    def excess(factor: float) -> float:
        lower = -factor * form if sides == 2 else None
        return float(crossing_probabilities(times, factor * form, lower).sum()) - alpha

    # between one look alone and Bonferroni's bound, as no form lies below that of the last look
    least, most = (float(-ndtri(alpha / sides / looks)) for looks in (1, len(times)))
    return least if len(times) == 1 else float(brentq(excess, least, most, xtol=1e-10))


def _spent(times: FloatArray, spend: Callable[[float], float], sides: int) -> FloatArray:
    """Critical values that spend the level of each side look by look."""
    from scipy.optimize import brentq

    walk, upper, before = _Walk(0.0), np.empty(len(times)), 0.0
    for index, time in enumerate(times):
        level = spend(float(time)) - before
        before += level

        def excess(critical: float, at: float = float(time), wanted: float = level) -> float:
            return math.log(max(walk.beyond(at, critical, -math.inf)[0], 1e-300) / wanted)

        # a level of nothing (first looks at almost no information) has no reachable boundary
        upper[index] = brentq(excess, -_FAR, 30.0, xtol=1e-10) if level > 1e-30 else math.inf
        lower = -upper[index] if sides == 2 else -math.inf
        walk.look(float(time), upper[index], lower)
    return upper
