"""Exposure as readers want it: metrics with their units, and bands over time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from immunostat.study.exposure import Exposure, metrics
from immunostat.study.kinetic_people import kinetics_of

#: Names of metrics for readers, in the order of the table.
TITLES = {
    "maximum": "Cmax",
    "time of maximum": "tmax",
    "area": "AUC over the interval",
    "area to infinity": "AUC to infinity",
    "trough": "trough",
    "minimum": "Cmin",
    "mean concentration": "mean concentration",
    "half-life": "half-life",
    "accumulation ratio": "accumulation ratio",
    "clearance": "clearance (dose/AUC)",
}


def concentration_unit(exposure: Exposure) -> tuple[str, float]:
    """Unit that suits the concentrations, and how many of it one nmol/L is."""
    per_ug_ml = kinetics_of(exposure.drug).molar_mass * 1e-6
    highest = float(np.nanmax(np.nanmedian(exposure.concentration, axis=0))) * per_ug_ml
    if highest >= 0.5:
        return "ug/mL", per_ug_ml
    return ("ng/mL", per_ug_ml * 1e3) if highest >= 5e-4 else ("pg/mL", per_ug_ml * 1e6)


def metric_table(exposure: Exposure) -> pd.DataFrame:
    """Median and 5 to 95 % of each metric: metric, interval, unit, median, low, high."""
    found = metrics(exposure)
    rows = []
    for interval, prefix in (("first dose", "first "), (_last_name(exposure), "")):
        for name, title in TITLES.items():
            key = f"{prefix}{name}"
            if key not in found:
                continue
            unit, factor = _unit(name, exposure)
            low, median, high = np.nanquantile(found[key] * factor, [0.05, 0.5, 0.95])
            rows.append(
                {
                    "metric": title,
                    "interval": "" if name == "half-life" else interval,
                    "median": float(median),
                    "low": float(low),
                    "high": float(high),
                    "unit": unit,
                }
            )
    return pd.DataFrame(rows)


def _last_name(exposure: Exposure) -> str:
    if exposure.course.is_single:
        return "single dose"
    day = exposure.course.last
    return f"dose on day {day:g}" if day < 70 else f"dose in week {day / 7:.3g}"


def _unit(name: str, exposure: Exposure) -> tuple[str, float]:
    """Unit of a metric for readers, and how many of it one inside unit is."""
    unit, factor = concentration_unit(exposure)
    interval = exposure.course.interval
    is_short = interval <= 1.0 or (
        not np.isfinite(interval) and float(np.nanmedian(metrics(exposure)["half-life"])) < 1.0
    )
    time, per_day = ("h", 24.0) if is_short else ("day", 1.0)
    match name:
        case "time of maximum" | "half-life":
            return time, per_day
        case "area" | "area to infinity":
            return f"{unit[:2]}*{time}/mL", factor * per_day
        case "accumulation ratio":
            return "1", 1.0
        case "clearance":
            return "L/day", 1.0
        case _:
            return unit, factor


def treatment_end(exposure: Exposure) -> float:
    """Until when a picture shows the course: the treatment and some of the decline, day."""
    course = exposure.course
    decline = 2.5 * float(np.nanmedian(metrics(exposure)["half-life"]))
    last = float(course.doses[-1])
    return min(course.end, last + max(decline, 0.0 if course.is_single else course.interval))


def band(exposure: Exposure, n_points: int | None = None) -> pd.DataFrame:
    """Quantiles of the concentration over time: time_day, q05, q25, q50, q75, q95.

    Parameters
    ----------
    n_points
        Most rows; samples between are left out, peaks and troughs of the median are kept.
    """
    _, factor = concentration_unit(exposure)
    times = exposure.course.times
    shown = np.flatnonzero(times <= treatment_end(exposure))
    quantiles = np.nanquantile(
        exposure.concentration[:, shown] * factor, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0
    )
    kept = np.array(sorted(_kept(times[shown], quantiles[2], n_points)))
    columns = {f"q{q:02d}": quantiles[i][kept] for i, q in enumerate((5, 25, 50, 75, 95))}
    return pd.DataFrame({"time_day": times[shown][kept], **columns})


def _kept(times: np.ndarray, median: np.ndarray, n_points: int | None) -> Iterator[int]:
    """Rows that a line of so many points needs."""
    if n_points is None or len(times) <= n_points:
        yield from range(len(times))
        return
    # One low and one high sample from each of equal stretches of time: the shape of the teeth.
    edges = np.linspace(times[0], times[-1], n_points // 2 + 1)
    stretch = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, n_points // 2 - 1)
    for number in np.unique(stretch):
        rows = np.flatnonzero(stretch == number)
        own = {int(rows[np.argmin(median[rows])]), int(rows[np.argmax(median[rows])])}
        yield from own
