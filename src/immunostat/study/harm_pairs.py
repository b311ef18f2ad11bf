"""Pairs of a drug and a side effect: how far predictions are from what was published, and the goal.

A pair's ratio is the geometric mean of the ratios of its published numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

#: Ratio of predicted to published that counts as right, either way.
FACTOR = 1.5

#: Share of held-back pairs that must be right.
GOAL = 0.8


def pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Each pair of drug and side effect: its numbers, ratio, and whether it is within the factor.

    Returns
    -------
    Columns ``side_effect, drug, situation, role, judged, numbers, ratio, is_right, is_inside``; the
    last tells whether predictions lie inside every published interval that there is.
    """
    known = table[np.isfinite(table["ratio"]) & (table["ratio"] > 0)]
    rows = []
    keys = ["side_effect", "drug", "situation", "role", "judged"]
    for key, own in known.groupby(keys, sort=True):
        ratio = float(np.exp(np.log(own["ratio"]).mean()))
        is_right = bool(1 / FACTOR <= ratio <= FACTOR)
        rows.append({**dict(zip(keys, key, strict=True)), "numbers": len(own), "ratio": ratio})
        rows[-1]["is_right"] = is_right
        rows[-1]["is_inside"] = _is_inside(own)
    return pd.DataFrame(rows, columns=[*keys, "numbers", "ratio", "is_right", "is_inside"])


def _is_inside(own: pd.DataFrame) -> bool:
    """Whether there are published intervals, and predictions lie inside all of them."""
    known = own[np.isfinite(own["observed_low"])]
    inside = known["predicted"].between(known["observed_low"], known["observed_high"])
    return bool(len(known) and inside.all())


def conclusion(table: pd.DataFrame) -> str:
    """One line: how many judged pairs are within the factor, and whether the goal is reached."""
    own = pairs(table)
    own = own[own["judged"].astype(bool)]
    wanted = f"goal: {GOAL:.0%} of held-back pairs within a factor of {FACTOR:g}"
    if own.empty:
        return f"{wanted}; nothing could be judged"
    right, n = int(own["is_right"].sum()), len(own)
    verdict = "reached" if right >= GOAL * n else "missed"
    spared = int((~own["is_right"].astype(bool) & own["is_inside"].astype(bool)).sum())
    more = f"; {spared} of the others inside the published interval" if spared else ""
    return f"{wanted}; {right} of {n} ({right / n:.0%}): {verdict}{more}"


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table with None for what is missing."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]
