"""What training data say about fitted numbers: slopes, information, intervals and profiles.

Everything is on the scale of the search (logarithm or the number itself). Near the optimum the
objective is taken to be a parabola; profiles look at the true objective along the direction in
which the parabola rises least.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from immunostat.model.system import FloatArray

#: Half a step of finite differences, as a share of the range of a number: wide, since shares of
#: patients move in steps of one.
STEP = 0.03

Z95 = 1.959963984540054

#: Profiles are looked at this many standard errors from the optimum.
PROFILE_AT = (-2.0, -1.0, 1.0, 2.0)

#: Share of what was open before that the data must settle.
WELL_KNOWN, PARTLY_KNOWN = 0.75, 0.3

#: From points in the box to misses in standard errors, times the root of their weights. (result,).
Misses = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Information:
    """What the data say near the optimum.

    Parameters
    ----------
    slopes
        Change of each miss, in standard errors, per unit of the search scale. (result, number).
    eigenvalues, eigenvectors
        Of the data's information, in units of what is known without them: the pull to the start,
        or the range. Descending; above 1 the data say more than was known before. (number,),
        (number, number): a column for each eigenvalue.
    covariance
        Of the numbers given data and pull, search scale. (number, number).
    learned
        Share of the variance of each number before that the data take away, 0 to 1. (number,).
    dispersion
        Misses and pulls beyond chance widen the covariance by this factor, at least 1.
    """

    slopes: FloatArray
    eigenvalues: FloatArray
    eigenvectors: FloatArray
    covariance: FloatArray
    learned: FloatArray
    dispersion: float

    @property
    def sd(self) -> FloatArray:
        """Standard error of each number, search scale. (number,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def correlation(self) -> FloatArray:
        """Between the errors of the numbers. (number, number)."""
        return np.asarray(self.covariance / np.outer(self.sd, self.sd))

    @property
    def n_told(self) -> int:
        """Combinations of numbers of which the data say more than was known before."""
        return int(np.sum(self.eigenvalues > 1.0))


def slopes_at(misses: Misses, point: FloatArray, widths: FloatArray) -> FloatArray:
    """Slopes of the misses by central differences; one-sided at a bound. Shape (result, number).

    Parameters
    ----------
    misses
        What is differentiated.
    point
        Shape (number,), in the box.
    widths
        Range of each number on the search scale. Shape (number,).
    """
    columns = []
    for i in range(len(point)):
        ends = []
        for side in (-STEP, STEP):
            other = point.copy()
            other[i] = min(max(point[i] + side, 0.0), 1.0)
            ends.append((other[i], misses(other)))
        (low, at_low), (high, at_high) = ends
        columns.append((at_high - at_low) / ((high - low) * widths[i]))
    return np.column_stack(columns)


def information(
    slopes: FloatArray, pulls: Sequence[float | None], widths: FloatArray, objective: float
) -> Information:
    """What slopes, pulls and the size of the misses say together.

    Parameters
    ----------
    slopes
        See `Information`.
    pulls
        Standard deviation of the pull to the start of each number; None for none.
    widths
        Range of each number on the search scale. Shape (number,).
    objective
        Squared misses and pulls at the optimum, added up.

    Source
    ------
    Information of a normal error, and the scaling of a covariance by the mean squared residual:
    "definition".
    """
    n_results, n = slopes.shape
    # Without a pull a number is known to lie in its range: the variance of a uniform number.
    before = np.array(
        [own if own else width / np.sqrt(12.0) for own, width in zip(pulls, widths, strict=True)]
    )
    pulled = np.array([1.0 / own**2 if own else 0.0 for own in pulls])
    data = slopes.T @ slopes
    scaled = data * np.outer(before, before)
    values, vectors = np.linalg.eigh(scaled)
    order = np.argsort(values)[::-1]
    values = np.asarray(np.clip(values[order], 0.0, None), np.float64)
    vectors = _signed(np.asarray(vectors[:, order], np.float64))
    posterior = np.linalg.inv(scaled + np.eye(n))
    learned = np.clip(1.0 - np.diag(posterior), 0.0, 1.0)
    free = n_results + int(np.sum(pulled > 0)) - n
    dispersion = max(1.0, objective / free) if free > 0 else 1.0
    covariance = np.asarray(dispersion * posterior * np.outer(before, before), np.float64)
    return Information(slopes, values, vectors, covariance, learned, dispersion)


def _signed(vectors: FloatArray) -> FloatArray:
    """Columns with their largest part above 0: the sign of an eigenvector is of no meaning."""
    largest = np.abs(vectors).argmax(axis=0)
    return np.asarray(vectors * np.sign(vectors[largest, np.arange(vectors.shape[1])]))


@dataclass(frozen=True)
class ProfilePoint:
    """The objective where one number is held and the others follow it.

    Parameters
    ----------
    number
        Index of the number that is held.
    at
        Distance from the optimum in standard errors.
    point
        In the box. Shape (number,).
    """

    number: int
    at: float
    point: FloatArray


def profile_points(
    point: FloatArray, found: Information, widths: FloatArray
) -> tuple[ProfilePoint, ...]:
    """Where profiles are looked at: every number on either side, the others where they fit best.

    Others follow by the covariance, not by another search, so that a profile may lie a little too
    high and an interval read from it may be a little too narrow.
    """
    points = []
    for i, sd in enumerate(found.sd):
        for at in PROFILE_AT:
            end = point[i] + at * sd / widths[i]
            inside = min(max(end, 0.0), 1.0)
            if abs(inside - point[i]) < 0.25 * abs(end - point[i]):
                continue  # at a bound, there is nothing on this side
            moved = (inside - point[i]) * widths[i]
            others = found.covariance[:, i] / found.covariance[i, i] * moved / widths
            own = np.clip(point + others, 0.0, 1.0)
            own[i] = inside
            points.append(ProfilePoint(i, float(moved / sd), own))
    return tuple(points)


def verdict(learned: float, is_at_bound: bool) -> str:
    """In words, how well the data tell a number."""
    if is_at_bound:
        return "at its bound"
    if learned >= WELL_KNOWN:
        return "identified"
    return "partly identified" if learned >= PARTLY_KNOWN else "not identified"
