"""Exposure read from concentrations alone: areas, peaks, troughs and the terminal half-life."""

from __future__ import annotations

from math import log

import numpy as np

from immunostat.base.errors import ShapeError
from immunostat.model.system import FloatArray

#: The terminal slope is read while the concentration is above this share of its peak: what an assay
#: that spans two powers of ten follows.
LOWEST_SHARE = 0.01


def area(times: FloatArray, concentration: FloatArray) -> FloatArray:
    """Area under the curve, linear where it rises and logarithmic where it falls.

    Parameters
    ----------
    times
        Ascending. Shape (time,), day.
    concentration
        Not negative but for the error of the solver. Shape (patient, time).

    Returns
    -------
    Shape (patient,), unit of the concentration times day.

    Raises
    ------
    ShapeError
        The time axes differ in length.

    Source
    ------
    definition (linear-up, log-down trapezoid)

    Examples
    --------
    >>> t = np.linspace(0, 1, 5)
    >>> area(t, np.exp(-t)[None, :]).round(4)
    array([0.6321])
    """
    _check(times, concentration)
    values = np.clip(concentration, 0.0, None)
    left, right, step = values[:, :-1], values[:, 1:], np.diff(times)
    # Close values go by the straight rule: the logarithm of a ratio near one has no digits.
    falls = (right > 0) & (right < left * (1 - 1e-6))
    ratio = np.where(falls, left, 2.0) / np.where(falls, right, 1.0)
    logarithmic = (left - right) / np.log(ratio)
    parts = np.where(falls, logarithmic, (left + right) / 2)
    total: FloatArray = (parts * step).sum(axis=1)
    return total


def peak(times: FloatArray, concentration: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Highest concentration and when it is reached. Each (patient,)."""
    _check(times, concentration)
    highest = np.argmax(concentration, axis=1)
    return concentration[np.arange(len(concentration)), highest], times[highest]


def half_life(
    times: FloatArray, concentration: FloatArray, lowest: float = LOWEST_SHARE
) -> FloatArray:
    """Terminal half-life: from the slope of the logarithm over the second half of the decline.

    The decline runs from the peak to the last sample above `lowest` times the peak, as far as an
    assay would follow it.

    Parameters
    ----------
    times
        Ascending, from the last dose on. Shape (time,), day.
    concentration
        Shape (patient, time).
    lowest
        Share of the peak.

    Returns
    -------
    NaN where fewer than three samples are left or nothing declines. Shape (patient,), day.

    Source
    ------
    definition (log-linear regression)
    """
    _check(times, concentration)
    found = np.full(len(concentration), np.nan)
    for i, own in enumerate(concentration):
        if not np.isfinite(own).all() or own.max() <= 0:
            continue
        top = int(np.argmax(own))
        above = np.flatnonzero(own > lowest * own[top])
        last = int(above[-1])
        middle = (times[top] + times[last]) / 2
        used = slice(max(top, int(np.searchsorted(times, middle))), last + 1)
        t, value = times[used], own[used]
        if len(t) < 3 or (value <= 0).any():
            continue
        centered = t - t.mean()
        slope = float((centered * np.log(value)).sum() / (centered**2).sum())
        if slope < 0:
            found[i] = -log(2) / slope
    return found


def area_to_infinity(
    times: FloatArray, concentration: FloatArray, lowest: float = LOWEST_SHARE
) -> FloatArray:
    """Area under the curve with the rest beyond the last sample, by the terminal half-life."""
    rest = np.clip(concentration[:, -1], 0.0, None) * half_life(times, concentration, lowest)
    total: FloatArray = area(times, concentration) + np.nan_to_num(rest) / log(2)
    return total


def _check(times: FloatArray, concentration: FloatArray) -> None:
    if concentration.ndim != 2 or concentration.shape[1] != len(times):
        raise ShapeError(
            f"concentrations have shape {concentration.shape}; expected (patient, {len(times)})"
        )
