"""What can be read from the course of one output: extremes, rates, times, oscillation."""

from __future__ import annotations

import math

import numpy as np

from immunostat.base.errors import RangeError
from immunostat.model.system import FloatArray


def reading(kind: str, times: FloatArray, values: FloatArray, level: float | None = None) -> float:
    """One number from a sampled course.

    Parameters
    ----------
    kind
        ``value`` (the last), ``maximum``, ``minimum``, ``time of maximum``, ``growth rate`` (mean
        rate of the logarithm from the first to the last sample, negative where it falls),
        ``doubling time``, ``half-life``, ``first time above``, ``first time below`` (of `level`),
        ``period`` (mean distance of maxima), ``number of maxima`` (inside the course), ``number of
        rises`` (from `level` or below to above it, from sample to sample).
    times
        Strictly increasing. Shape (time,).
    values
        The output at these times. Shape (time,).
    level
        For the kinds that ask when or how often the output crosses it.

    Returns
    -------
    The number; times and rates in the unit of `times`. NaN where the course never does what is
    asked for: no crossing, fewer than two maxima, no growth at all.

    Raises
    ------
    RangeError
        The kind is unknown, a level is needed, or a rate of values that are not positive is asked.

    Examples
    --------
    >>> t = np.linspace(0.0, 2.0, 201)
    >>> round(reading("doubling time", t, np.exp(t * np.log(2.0))), 6)
    1.0
    """
    if kind == "value":
        return float(values[-1])
    if kind == "maximum":
        return _vertex(times, values)[1]
    if kind == "minimum":
        return -_vertex(times, -values)[1]
    if kind == "time of maximum":
        return _vertex(times, values)[0]
    if kind in ("growth rate", "doubling time", "half-life"):
        return _rate(kind, times, values)
    if kind in ("first time above", "first time below", "number of rises"):
        if level is None:
            raise RangeError(f"'{kind}' needs a level")
        if kind == "number of rises":
            return float(np.sum((values[1:] > level) & (values[:-1] <= level)))
        return _crossing(times, values, level, kind == "first time above")
    if kind in ("period", "number of maxima"):
        inside = values[1:-1]
        peaks = np.flatnonzero((inside > values[:-2]) & (inside >= values[2:])) + 1
        if kind == "number of maxima":
            return float(len(peaks))
        if len(peaks) < 2:
            return math.nan
        found = [_vertex(times[i - 1 : i + 2], values[i - 1 : i + 2])[0] for i in peaks]
        return float(np.mean(np.diff(found)))
    raise RangeError(f"'{kind}' is no reading")


def _vertex(times: FloatArray, values: FloatArray) -> tuple[float, float]:
    """Time and height of the highest point, between samples by the parabola through three."""
    top = int(np.argmax(values))
    if top in (0, len(values) - 1):
        return float(times[top]), float(values[top])
    left, middle, right = (float(v) for v in values[top - 1 : top + 2])
    bend = left - 2 * middle + right
    step = float(times[top + 1] - times[top])
    if bend == 0 or not math.isclose(step, float(times[top] - times[top - 1]), rel_tol=1e-6):
        return float(times[top]), middle
    shift = 0.5 * (left - right) / bend
    return float(times[top]) + shift * step, middle - 0.25 * (left - right) * shift


def _rate(kind: str, times: FloatArray, values: FloatArray) -> float:
    first, last = float(values[0]), float(values[-1])
    if not (first > 0 and last > 0):
        raise RangeError(f"'{kind}' of values that are not positive: {first:g} to {last:g}")
    rate = math.log(last / first) / float(times[-1] - times[0])
    if kind == "growth rate":
        return rate
    rate = rate if kind == "doubling time" else -rate
    return math.log(2.0) / rate if rate > 0 else math.nan


def _crossing(times: FloatArray, values: FloatArray, level: float, is_up: bool) -> float:
    """First time at which the course is past the level, linear between samples."""
    past = np.flatnonzero(values > level if is_up else values < level)
    if not len(past):
        return math.nan
    i = int(past[0])
    if i == 0:
        return float(times[0])
    share = (level - values[i - 1]) / (values[i] - values[i - 1])
    return float(times[i - 1] + share * (times[i] - times[i - 1]))
