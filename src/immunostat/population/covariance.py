"""Covariance matrices from published tables: checked, repaired, and factored even when singular."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from immunostat.base.errors import RangeError, ShapeError
from immunostat.model.system import FloatArray

#: Most negative eigenvalue, on the scale of correlations, that is taken for rounding in a table.
#: Correlations printed with two decimals move an eigenvalue of five parameters by at most 0.02.
NEGATIVE_EIGENVALUE_LIMIT = 0.02


@dataclass(frozen=True)
class CovarianceRepair:
    """A covariance that can be drawn from, and what had to be changed for it.

    Parameters
    ----------
    covariance
        Positive semidefinite, with the variances as given. Shape (parameter, parameter).
    smallest_eigenvalue
        Of the correlation matrix as given; negative by more than rounding if it was repaired.
    largest_change
        Largest absolute change of a correlation; 0 if nothing was repaired.
    """

    covariance: FloatArray
    smallest_eigenvalue: float
    largest_change: float

    @property
    def is_repaired(self) -> bool:
        """Whether the covariance had to be changed."""
        return self.largest_change > 0.0


def repair_covariance(
    names: Sequence[str],
    covariance: npt.ArrayLike,
    limit: float = NEGATIVE_EIGENVALUE_LIMIT,
) -> CovarianceRepair:
    """Check a covariance matrix and undo what rounding in a published table did to it.

    Negative eigenvalues of the correlation matrix down to ``-limit`` are set to zero and the unit
    diagonal is restored; the variances stay.

    Parameters
    ----------
    names
        Names for messages.
    covariance
        Symmetric. Shape (parameter, parameter).
    limit
        How negative an eigenvalue of the correlation matrix may be, no unit.

    Returns
    -------
    The covariance and a record of the repair.

    Raises
    ------
    ShapeError
        The matrix does not belong to the names.
    RangeError
        A variance is negative, the matrix is not symmetric, or an eigenvalue lies below the limit.

    Source
    ------
    Spectral clipping: Rebonato and Jaeckel 1999, The most general methodology to create a valid
    correlation matrix.
    """
    given = np.asarray(covariance, dtype=np.float64)
    if given.shape != (len(names), len(names)):
        raise ShapeError(f"covariance has shape {given.shape} for {len(names)} names")
    variances = np.diag(given)
    if not np.all(np.isfinite(given)) or np.any(variances < 0):
        raise RangeError(f"covariance of {', '.join(names)} has a negative or missing variance")
    if not np.allclose(given, given.T, rtol=1e-9, atol=1e-12):  # only rounding of arithmetic
        raise RangeError(f"covariance of {', '.join(names)} is not symmetric")
    spread = np.sqrt(variances)
    is_spread = spread > 0
    if np.any(given[~is_spread] != 0):
        bad = names[int(np.argmax(np.any(given != 0, axis=1) & ~is_spread))]
        raise RangeError(f"'{bad}' has no variance but a covariance")
    own = np.ix_(is_spread, is_spread)
    scale = np.outer(spread[is_spread], spread[is_spread])
    correlation = given[own] / scale
    if not correlation.size:
        return CovarianceRepair(given.copy(), 0.0, 0.0)
    eigenvalues, vectors = np.linalg.eigh(correlation)
    smallest = float(eigenvalues[0])
    if smallest < -limit:
        culprit = [name for name, own_spread in zip(names, is_spread, strict=True) if own_spread][
            int(np.argmax(np.abs(vectors[:, 0])))
        ]
        raise RangeError(
            f"covariance of {', '.join(names)} is not positive semidefinite: its correlation "
            f"matrix has an eigenvalue of {smallest:.4f} (limit {-limit}), mostly from '{culprit}'"
        )
    if smallest >= -1e-12:  # rounding of the eigenvalue itself
        return CovarianceRepair(given.copy(), smallest, 0.0)
    clipped = (vectors * np.maximum(eigenvalues, 0.0)) @ vectors.T
    size = np.sqrt(np.diag(clipped))
    clipped = clipped / np.outer(size, size)
    repaired = given.copy()
    repaired[own] = clipped * scale
    return CovarianceRepair(repaired, smallest, float(np.max(np.abs(clipped - correlation))))


def semidefinite_cholesky(matrix: FloatArray) -> FloatArray:
    """Lower triangular factor L with L L' = matrix, where the matrix may be singular.

    Triangular, so that the first rows of a result do not depend on the later ones.

    Parameters
    ----------
    matrix
        Symmetric positive semidefinite up to rounding. Shape (n, n).

    Returns
    -------
    Factor; the column of a vanishing pivot is zero. Shape (n, n).

    Source
    ------
    Higham 2002, Accuracy and Stability of Numerical Algorithms, section 10.3.
    """
    factor = np.zeros_like(matrix)
    for j in range(len(matrix)):
        column = matrix[j:, j] - factor[j:, :j] @ factor[j, :j]
        # A pivot below the rounding of its own diagonal element belongs to a dependent variable.
        if column[0] > 1e-12 * matrix[j, j]:
            factor[j:, j] = column / math.sqrt(column[0])
    return factor
