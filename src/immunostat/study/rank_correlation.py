"""Partial rank correlation, with its interval and test."""

from __future__ import annotations

import math

import numpy as np

from immunostat.model.system import FloatArray
from immunostat.study.varied import Z95


def prcc(x: FloatArray, y: FloatArray) -> FloatArray:
    """Partial rank correlation of each column of x with y, the other columns held.

    Parameters
    ----------
    x
        Shape (row, parameter).
    y
        Shape (row,). A constant y has no correlation: 0.

    Returns
    -------
    Between -1 and 1. Shape (parameter,).

    Source
    ------
    Correlation of the residuals of ranks after linear regression on the other ranks; Marino S et
    al., J Theor Biol 2008;254:178-196, section 4.
    """
    from scipy.stats import rankdata

    ranks = np.column_stack([rankdata(column) for column in x.T])
    target = rankdata(y)
    found = np.zeros(x.shape[1])
    for j in range(x.shape[1]):
        others = np.column_stack([np.ones(len(y)), np.delete(ranks, j, axis=1)])
        pair = np.column_stack([ranks[:, j], target])
        left = pair - others @ np.linalg.lstsq(others, pair, rcond=None)[0]
        size = math.sqrt(float(left[:, 0] @ left[:, 0]) * float(left[:, 1] @ left[:, 1]))
        # What is left of a target that the others explain is rounding, not correlation.
        is_something = size > 1e-9 * float(pair[:, 0] @ pair[:, 0])
        found[j] = float(left[:, 0] @ left[:, 1]) / size if is_something else 0.0
    return found


def tested(r: float, n: int, k: int) -> dict[str, float]:
    """A partial correlation with interval and p value; k - 1 parameters are held."""
    from scipy.special import stdtr

    freedom = n - 2 - (k - 1)
    if not math.isfinite(r) or freedom < 2 or abs(r) >= 1:
        return {"prcc": r, "low": r, "high": r, "p": 0.0 if abs(r) >= 1 else math.nan}
    z, half = math.atanh(r), Z95 / math.sqrt(freedom - 1)
    t = r * math.sqrt(freedom / (1 - r * r))
    return {
        "prcc": r,
        "low": math.tanh(z - half),
        "high": math.tanh(z + half),
        "p": 2 * float(stdtr(freedom, -abs(t))),
    }
