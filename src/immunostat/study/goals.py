"""What predictions of a situation must reach, and how far off they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from immunostat.catalog.cards import TrialArmCard, TrialCard, TrialResultCard


@dataclass(frozen=True)
class Goal:
    """A mean absolute error that predictions of held-back arms must reach.

    Parameters
    ----------
    name
        Of what.
    endpoints
        Which results count.
    at_most
        The error, in `unit`.
    unit
        Such as percentage points.
    week, within_weeks
        Results of these weeks count: `week` and as many before and after.
    """

    name: str
    endpoints: tuple[str, ...]
    at_most: float
    unit: str
    week: float
    within_weeks: float = 2.0

    def holds(self, endpoint: str, week: float) -> bool:
        """Whether a result is of its kind and time."""
        return endpoint in self.endpoints and abs(week - self.week) <= self.within_weeks


#: Goals by situation. They were set before anything was predicted; none is a measurement.
GOALS: Mapping[str, tuple[Goal, ...]] = {
    "rheumatoid-arthritis": (
        Goal("ACR20/50/70 at week 24", ("ACR20", "ACR50", "ACR70"), 6.0, "points", 24.0),
        Goal("DAS28-CRP change at week 24", ("DAS28-CRP-change",), 0.4, "1", 24.0),
    ),
}

#: Columns of `errors`.
COLUMNS = (
    *("goal", "by", "group", "values", "mean_absolute_error", "by_chance", "mean_error"),
    *("worst", "inside", "at_most", "verdict"),
)

#: Groups of `errors`.
ALL = "all held-back values"
WITH_DRUG = "with a drug"


def goals_of(situation: str) -> tuple[Goal, ...]:
    """Goals of a situation; none if it has no goal yet."""
    return GOALS.get(situation, ())


def why_not_judged(
    trial: TrialCard, arm: TrialArmCard, result: TrialResultCard, goals: Sequence[Goal]
) -> str:
    """Why a result does not count towards a goal; empty if it does."""
    if arm.role == "training":
        return "training"
    if not any(goal.holds(result.endpoint, result.week) for goal in goals):
        return "no goal for this endpoint and week"
    if trial.doubt:
        return f"doubtful: {trial.doubt}"
    return "" if result.checked else "not read in a source"


def errors(table: pd.DataFrame, goals: Sequence[Goal]) -> pd.DataFrame:
    """How far predictions are off, in all and by drug, target, patients and endpoint.

    Parameters
    ----------
    table
        `Validation.table`.
    goals
        What is aimed at.

    Returns
    -------
    Rows of each goal: ``by`` (all, arms, drug, target, patients, endpoint) and ``group``; number
    of values; mean absolute error; ``by_chance``, the mean absolute error that sampling of
    patients alone makes in a perfect model (of values whose number of patients is known); mean
    error (predicted minus published); the largest error; ``inside``, the share of predictions
    within the published 95 % interval. Only the rows of ``all`` have a goal and a verdict: ``met``,
    ``missed`` or ``nothing to judge by``.

    Source
    ------
    Mean absolute error: "definition". Mean absolute deviation of a normal error: its standard
    deviation times the square root of 2/pi.
    """
    rows = []
    for goal in goals:
        kind = table["endpoint"].isin(goal.endpoints)
        near = (table["week"] - goal.week).abs() <= goal.within_weeks
        own = table[kind & near]
        judged = own[own["judged"].astype(bool)]
        rows.append(_line(goal, "all", ALL, judged, has_verdict=True))
        if own.empty:
            continue
        named = own[own["why_not_judged"].isin(["", "not read in a source"])]
        rows.append(_line(goal, "all", "with values from memory", named))
        is_placebo = judged["target"] == "none"
        rows.append(_line(goal, "arms", WITH_DRUG, judged[~is_placebo]))
        rows.append(_line(goal, "arms", "placebo", judged[is_placebo]))
        for by in ("drug", "target", "patients", "endpoint"):
            for group, part in judged.groupby(by, sort=True):
                rows.append(_line(goal, by, str(group), part))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def conclusion(goal: Goal, rows: pd.DataFrame) -> str:
    """One sentence: what was aimed at, what was found, and whether that is met or missed.

    Parameters
    ----------
    rows
        Rows of `errors`.
    """
    row = rows[(rows["goal"] == goal.name) & (rows["verdict"] != "")].iloc[0]
    unit = "" if goal.unit == "1" else f" {goal.unit}"
    aim = f"{goal.name}: mean absolute error at most {goal.at_most:g}{unit}"
    if not row["values"]:
        return f"{aim}; {row['verdict']}: no held-back value was read"
    found = f"{row['mean_absolute_error']:.1f}{unit} in {row['values']} held-back values"
    treated = rows[(rows["goal"] == goal.name) & (rows["group"] == WITH_DRUG)].iloc[0]
    alone = ""
    if treated["values"]:
        error = float(treated["mean_absolute_error"])
        alone = f" ({error:.1f} in the {treated['values']} of arms with a drug)"
    return f"{aim}; {found}: {row['verdict']}{alone}"


def _line(
    goal: Goal, by: str, group: str, rows: pd.DataFrame, has_verdict: bool = False
) -> dict[str, object]:
    off = rows["difference"].to_numpy(np.float64)
    mean_absolute = float(np.mean(np.abs(off))) if len(off) else math.nan
    known = rows[rows["observed_low"].notna()]
    inside = known["predicted"].between(known["observed_low"], known["observed_high"])
    verdict = ""
    if has_verdict:
        is_met = mean_absolute <= goal.at_most
        verdict = ("met" if is_met else "missed") if len(off) else "nothing to judge by"
    return {
        "goal": goal.name,
        "by": by,
        "group": group,
        "values": len(off),
        "mean_absolute_error": mean_absolute,
        "by_chance": _by_chance(known),
        "mean_error": float(np.mean(off)) if len(off) else math.nan,
        "worst": float(off[np.argmax(np.abs(off))]) if len(off) else math.nan,
        "inside": float(inside.mean()) if len(known) else math.nan,
        "at_most": goal.at_most if has_verdict else math.nan,
        "verdict": verdict,
    }


def _by_chance(rows: pd.DataFrame) -> float:
    """Mean absolute error of a perfect model: standard errors are a quarter of the intervals."""
    if rows.empty:
        return math.nan
    widths = [
        (rows[f"{side}_high"] - rows[f"{side}_low"]).to_numpy(np.float64) / (2 * 1.959963984540054)
        for side in ("observed", "predicted")
    ]
    return float(np.mean(np.hypot(*widths)) * math.sqrt(2 / math.pi))
