"""Tables of a calibration: results that were followed, numbers that were sought, evaluations."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from immunostat.catalog.calibrations import Moved
from immunostat.model.system import FloatArray
from immunostat.study.calibration_log import Entry
from immunostat.study.calibration_points import Points
from immunostat.study.identifiability import Z95, Information, verdict
from immunostat.study.training import TrainingArms, joined_name

#: A number this near to a bound, as a share of its range, is at it.
AT_BOUND = 0.005


def training_table(
    arms: TrainingArms, first: Entry, best: Entry, fresh: FloatArray
) -> pd.DataFrame:
    rows = []
    for i, own in enumerate(arms.wanted):
        rows.append(
            {
                "trial": own.trial,
                "arm": own.arm,
                "endpoint": own.what,
                "week": own.week,
                "n": own.n if own.n is not None else np.nan,
                "unit": own.unit,
                "published": own.value,
                "scale": own.scale,
                "standard_error": own.sd,
                "weight": own.weight,
                "start": first.values[i],
                "start_off_by": first.off_by[i],
                "fitted": best.values[i],
                "off_by": best.off_by[i],
                "other_patients": float(fresh[i]),
                "source": own.source,
            }
        )
    return pd.DataFrame(rows)


def numbers_table(
    arms: TrainingArms,
    search: Points,
    point: FloatArray,
    values: Mapping[str, float],
    told: Information,
) -> pd.DataFrame:
    """A row for each number that was sought: start, fit, 95 % interval, and how well it is told."""
    rows = []
    for i, own in enumerate(search.fitted):
        scale = search.low[i] + search.widths[i] * point[i]
        ends = [
            min(max(own.from_search(float(scale + side * Z95 * told.sd[i])), own.card.low),
                own.card.high)
            for side in (-1, 1)
        ]  # fmt: skip
        is_at_bound = bool(min(point[i], 1.0 - point[i]) < AT_BOUND)
        moved = own.moved[0]
        rows.append(
            {
                "name": own.name,
                "of": ", ".join(one.shown for one in own.moved),
                "joined_names": ", ".join(joined_name(arms.calibration, m) for m in own.moved),
                "part": own.card.part,
                "unit": moved.card.unit if not own.is_spread else _unit_of_spread(own.moved[0]),
                "start": own.start,
                "fitted": values[own.name],
                "low": ends[0],
                "high": ends[1],
                "least": own.card.low,
                "most": own.card.high,
                "scale": own.card.scale,
                "pull": own.card.pull if own.card.pull is not None else np.nan,
                "learned": float(told.learned[i]),
                "verdict": verdict(float(told.learned[i]), is_at_bound),
                "because": own.card.because,
            }
        )
    return pd.DataFrame(rows)


def _unit_of_spread(moved: Moved) -> str:
    """What the number of a spread is."""
    spread = moved.card.spread
    assert spread is not None
    if spread.normal_sd is not None:
        return f"SD, {moved.card.unit}" if moved.card.unit != "1" else "SD"
    return "variance of log" if spread.lognormal_variance is not None else "CV"


def evaluations_table(search: Points) -> pd.DataFrame:
    """A row for each evaluation: stage, objective, largest miss, and the numbers."""
    rows, best = [], math.inf
    for number, entry in enumerate(search.log.entries[: search.log.n_done], start=1):
        best = min(best, entry.objective)
        rows.append(
            {
                "evaluation": number,
                "stage": entry.stage,
                "objective": entry.objective,
                "best": best,
                "largest_miss": max(abs(x) for x in entry.off_by),
                "failed_share": entry.failed_share,
                "problem": entry.problem,
                **search.values(np.array(entry.point)),
            }
        )
    return pd.DataFrame(rows)
