"""Tables of the events of the disease: how often, and as curves over time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from immunostat.model.system import FloatArray
from immunostat.outcomes import event_summary
from immunostat.outcomes.endpoints import KINDS
from immunostat.outcomes.event_times import EventTimes
from immunostat.outcomes.hazards import DAYS_PER_YEAR
from immunostat.outcomes.survival import Curve
from immunostat.study.gathered import Gathered
from immunostat.study.result_tables import TABLES
from immunostat.study.specs import specs_of

#: Points of a curve.
POINTS = 201

#: What a curve shows.
INCIDENCE, FREE, COUNT = "cumulative incidence", "event-free", "mean cumulative count"


def disease_event_table(gathered: Gathered) -> pd.DataFrame:
    """Rate, and share by the end, of every event of the disease in every arm."""
    rows: list[dict[str, Any]] = []
    for name, card in gathered.plan.situation.events.items():
        for i, arm in enumerate(gathered.plan.study.arms):
            for row in _measures(gathered, i, name, card.recurrent):
                rows.append({"arm": arm, "event": name, **row})
    return pd.DataFrame(rows, columns=list(TABLES["disease_events"].columns))


def _measures(
    gathered: Gathered, i: int, name: str, is_recurrent: bool
) -> Iterator[dict[str, Any]]:
    key = f"{i}/{name}"
    counts = gathered.values(f"disease_count/{key}", i)
    days = gathered.values(f"disease_follow_up/{key}", i)
    expected = float(np.sum(gathered.values(f"disease_expected/{key}", i)))
    years = float(days.sum()) / DAYS_PER_YEAR
    nothing = np.full(len(days), np.nan)
    followed = EventTimes(nothing, days, nothing)
    end = float(gathered.plan.study.duration_day)
    known = np.where(days > 0, counts, np.nan)[:, None]
    rate = event_summary.rates(known, followed, [end])[0]
    base = {"n": rate.n, "events": int(counts.sum()), "patient_years": years}
    yield base | {
        "measure": "rate",
        "estimate": rate.estimate,
        "low": rate.low,
        "high": rate.high,
        "unit": "1/year",
        "expected": expected / years if years else np.nan,
    }
    share = event_summary.shares(_times(gathered, i, name), [end])[0]
    yield base | {
        "measure": "share with an event",
        "events": int(np.sum(counts > 0)),
        "estimate": share.estimate,
        "low": share.low,
        "high": share.high,
        "unit": "1",
        "expected": np.nan,
    }


def _times(gathered: Gathered, i: int, name: str) -> EventTimes:
    """First events of the patients of an arm, and what ended their follow-up."""
    first = gathered.values(f"disease_first/{i}/{name}", i)
    died = gathered.values(f"died/{i}", i)
    other = np.where(np.isnan(first) & ~np.isnan(died), died, np.nan)
    return EventTimes(first, gathered.values(f"end/{i}", i), other)


def event_curve_table(gathered: Gathered) -> pd.DataFrame:
    """Curves over time of every event of the disease, and of endpoints that are made of events."""
    plan = gathered.plan
    days = np.linspace(0.0, plan.study.duration_day, POINTS)
    parts = [pd.DataFrame(columns=list(TABLES["event_curves"].columns))]
    for i, arm in enumerate(plan.study.arms):
        for name, measure, curve in _curves(gathered, i, days):
            place = np.maximum(np.searchsorted(curve.times, days + 1e-9, side="right") - 1, 0)
            # A count is given at the days themselves; how many were at risk is told for each day.
            frame = pd.DataFrame(
                {
                    "arm": arm,
                    "event": name,
                    "measure": measure,
                    "time_day": days,
                    "estimate": curve.estimate[place],
                    "low": curve.low[place],
                    "high": curve.high[place],
                }
            )
            ends = _ends(gathered, i, name)
            frame["n_at_risk"] = [float(np.sum(ends >= day - 1e-9)) for day in days]
            # Nothing is known after the last patient has gone.
            frame.loc[frame["n_at_risk"] == 0, ["estimate", "low", "high"]] = np.nan
            parts.append(frame)
    kept = [part for part in parts if len(part)]
    return pd.concat(kept, ignore_index=True) if kept else parts[0]


def _curves(gathered: Gathered, i: int, days: FloatArray) -> Iterator[tuple[str, str, Curve]]:
    plan = gathered.plan
    for name, card in plan.situation.events.items():
        times = _times(gathered, i, name)
        if not np.any(times.end_day > 0):
            continue
        if card.recurrent:
            rows = gathered.log(f"disease/{i}/{name}/row")
            is_in = gathered.is_in(i)
            kept = is_in[rows]
            place = np.cumsum(is_in) - 1
            when = gathered.log(f"disease/{i}/{name}/day")[kept]
            curve = event_summary.mean_cumulative_count(
                place[rows[kept]], when, times.end_day, days
            )
            yield name, COUNT, curve
        else:
            yield name, INCIDENCE, event_summary.incidence_curve(times)
    for spec in specs_of(plan):
        exact = gathered.exact(i, spec.name)
        if exact is None or spec.kind == "event_rate":
            continue
        own = exact.kept(gathered.is_in(i))
        if not np.any(own.durations() > 0):
            continue
        curve = event_summary.incidence_curve(own)
        if KINDS[spec.kind].statistic == "incidence":
            yield spec.name, INCIDENCE, curve
        else:
            free = Curve(
                curve.times,
                1 - curve.estimate,
                1 - curve.high,
                1 - curve.low,
                curve.n_at_risk,
                curve.method,
            )
            yield spec.name, FREE, free


def _ends(gathered: Gathered, i: int, name: str) -> FloatArray:
    """Until when each patient of an arm is at risk."""
    situation = gathered.plan.situation
    if name in situation.events:
        times = _times(gathered, i, name)
        return times.end_day if situation.events[name].recurrent else times.last_day
    exact = gathered.exact(i, name)
    assert exact is not None
    return exact.kept(gathered.is_in(i)).last_day
