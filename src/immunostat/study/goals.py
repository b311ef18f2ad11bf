"""What predictions of a situation must reach, and how far off they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from immunostat.catalog.cards import TrialArmCard, TrialCard, TrialResultCard
from immunostat.study.published_values import NORMAL_95, factor_to

#: The measure of a result of one arm.
VALUE = "value"


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
        Results of these weeks count: `week` and as many before and after; of any week if None.
    measures
        What counts: ``value``, the results of arms, or comparisons such as ``rate ratio``.
    is_relative
        Whether the error is of the published value, in percent.
    """

    name: str
    endpoints: tuple[str, ...]
    at_most: float
    unit: str
    week: float | None
    within_weeks: float = 2.0
    measures: tuple[str, ...] = (VALUE,)
    is_relative: bool = False

    def holds(self, endpoint: str, week: float, measure: str = VALUE) -> bool:
        """Whether a result is of its kind and time."""
        is_near = self.week is None or abs(week - self.week) <= self.within_weeks
        return endpoint in self.endpoints and measure in self.measures and is_near

    @property
    def digits(self) -> int:
        """Decimal places in which errors are told."""
        return 1 if self.at_most >= 1 else 2 if self.at_most >= 0.1 else 3

    def off(self, rows: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Predicted minus published, in `unit`. Shape (row,)."""
        return rows["difference"].to_numpy(np.float64) * self.scale(rows)

    def scale(self, rows: pd.DataFrame) -> npt.NDArray[np.float64]:
        """What differences in the unit of a row are multiplied with to be in `unit`."""
        if self.is_relative:
            return np.asarray(100.0 / rows["observed"].to_numpy(np.float64))
        if "unit" not in rows:
            return np.ones(len(rows))
        factors = [factor_to(str(unit), self.unit) for unit in rows["unit"]]
        return np.array([1.0 if factor is None else factor for factor in factors])


#: Goals by situation. They were set before anything was predicted; none is a measurement.
GOALS: Mapping[str, tuple[Goal, ...]] = {
    "rheumatoid-arthritis": (
        Goal("ACR20/50/70 at week 24", ("ACR20", "ACR50", "ACR70"), 6.0, "points", 24.0),
        Goal("DAS28-CRP change at week 24", ("DAS28-CRP-change",), 0.4, "1", 24.0),
    ),
    "multiple-sclerosis": (
        Goal("Annualized relapse rate", ("ARR",), 0.06, "1/year", None),
        Goal("Ratio of relapse rates", ("ARR",), 0.12, "1", None, measures=("rate ratio",)),
    ),
    "multiple-myeloma": (
        Goal("Response rate", ("ORR",), 8.0, "points", None),
        Goal("Median progression-free survival", ("PFS",), 20.0, "%", None, is_relative=True),
    ),
    "hepatitis-c": (Goal("Sustained virological response", ("SVR",), 8.0, "points", None),),
    "influenza": (Goal("Days of shedding", ("shedding",), 1.0, "day", None),),
    "covid-19": (
        Goal(
            "28-day mortality ratio",
            ("mortality-28-day",),
            0.1,
            "1",
            None,
            measures=("risk ratio", "hazard ratio"),
        ),
    ),
}

#: Columns of `errors`.
COLUMNS = (
    *("goal", "by", "group", "values", "mean_absolute_error", "by_chance", "mean_error"),
    *("worst", "inside", "at_most", "verdict"),
)

#: Why a value without a goal does not count towards one.
NO_GOAL = "no goal for this endpoint and week"

#: Groups of `errors`.
ALL = "all held-back values"
WITH_DRUG = "with a drug"
POOLED = "same drug in alike patients pooled"


def goals_of(situation: str) -> tuple[Goal, ...]:
    """Goals of a situation; none if it has no goal yet."""
    return GOALS.get(situation, ())


def why_not_judged(
    trial: TrialCard, arm: TrialArmCard, result: TrialResultCard, goals: Sequence[Goal]
) -> str:
    """Why a result does not count towards a goal; empty if it does."""
    if result.role == "training":
        return "training"
    return why_left_out(trial, arm, goals, result.endpoint, result.week, result.checked)


def why_left_out(
    trial: TrialCard,
    arm: TrialArmCard,
    goals: Sequence[Goal],
    endpoint: str,
    week: float,
    checked: bool,
    measure: str = VALUE,
) -> str:
    """Why a result of an arm, or a comparison, does not count towards a goal; empty if it does."""
    if arm.role == "training":
        return "training"
    if not any(goal.holds(endpoint, week, measure) for goal in goals):
        return NO_GOAL
    if trial.doubt:
        return f"doubtful: {trial.doubt}"
    return "" if checked else "not read in a source"


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
    Rows of each goal: ``by`` (all, pooled, arms, drug, target, patients, endpoint) and ``group``;
    number of values; mean absolute error; ``by_chance``, the mean absolute error that sampling of
    patients alone makes in a perfect model (of values whose number of patients is known; virtual
    patients as if drawn at random, of expected events without the chance of drawing events); mean
    error (predicted minus published); the largest error; ``inside``, the share of predictions
    within the published 95 % interval. Only the rows of ``all`` have a goal and a verdict: ``met``,
    ``missed`` or ``nothing to judge by``. The row of ``pooled`` holds the values of `pooled`, so
    that several small trials of one drug in alike patients count as one large one.

    Source
    ------
    Mean absolute error: "definition". Mean absolute deviation of a normal error: its standard
    deviation times the square root of 2/pi.
    """
    rows = []
    for goal in goals:
        measure = table["measure"] if "measure" in table else [VALUE] * len(table)
        parts = zip(table["endpoint"], table["week"], measure, strict=True)
        own = table[np.array([goal.holds(*part) for part in parts], dtype=np.bool_)]
        judged = own[own["judged"].astype(bool)]
        rows.append(_line(goal, "all", ALL, judged, has_verdict=True))
        if own.empty:
            continue
        named = own[own["why_not_judged"].isin(["", "not read in a source"])]
        rows.append(_line(goal, "all", "with values from memory", named))
        if "like" in judged:
            rows.append(_line(goal, "pooled", POOLED, pooled(goal, judged)))
        is_placebo = judged["target"] == "none"
        rows.append(_line(goal, "arms", WITH_DRUG, judged[~is_placebo]))
        rows.append(_line(goal, "arms", "placebo", judged[is_placebo]))
        for by in ("drug", "target", "patients", "endpoint"):
            for group, part in judged.groupby(by, sort=True):
                rows.append(_line(goal, by, str(group), part))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def pooled(goal: Goal, rows: pd.DataFrame) -> pd.DataFrame:
    """Results of the same drug in alike patients, pooled into one, whatever the dose.

    Published results are weighted by the inverse of their variance, and predicted ones with the
    weights of the published, so that both are pooled alike. Ratios, and values of which relative
    errors are judged, are pooled as logarithms. A result without an interval has no weight and is
    left out, as is one that has no logarithm where one is needed.

    Parameters
    ----------
    rows
        Rows of `Validation.table` that are judged.

    Returns
    -------
    A row for each drug, ``like``, endpoint, measure, unit and ``at_week``: the two values with
    their 95 % intervals, their difference, and ``results``, how many were pooled.

    Source
    ------
    Weights by inverse variance: "definition".
    """
    is_log = goal.is_relative or goal.measures != (VALUE,)
    sides = ("observed", "predicted")
    numbers = [f"{side}{end}" for side in sides for end in ("", "_low", "_high")]
    is_known = rows[numbers].notna().all(axis=1) & (rows["observed_high"] > rows["observed_low"])
    if is_log:
        is_known &= (rows[numbers] > 0).all(axis=1)
    known = rows[is_known].assign(at_week=rows["week"] if goal.week is None else goal.week)
    keys = ["drug", "like", "endpoint", "measure", "unit", "at_week"]
    found = []
    for key, part in known.groupby(keys, sort=True):
        values = part[numbers].to_numpy(np.float64)
        values = np.log(values) if is_log else values
        errors_of = (values[:, [2, 5]] - values[:, [1, 4]]) / (2 * NORMAL_95)
        weights = errors_of[:, 0] ** -2 / np.sum(errors_of[:, 0] ** -2)
        middle = weights @ values[:, [0, 3]]
        margin = NORMAL_95 * np.sqrt(weights**2 @ errors_of**2)
        ends = np.stack([middle, middle - margin, middle + margin])
        own = (np.exp(ends) if is_log else ends).T.ravel()
        found.append((*key, *map(float, own), float(own[3] - own[0]), len(part)))
    return pd.DataFrame(found, columns=[*keys, *numbers, "difference", "results"])


def conclusion(goal: Goal, rows: pd.DataFrame) -> str:
    """One sentence: what was aimed at, what was found, and whether that is met or missed.

    Parameters
    ----------
    rows
        Rows of `errors`.
    """
    row = rows[(rows["goal"] == goal.name) & (rows["verdict"] != "")].iloc[0]
    unit = "" if goal.unit == "1" else f" {goal.unit}"
    of = "mean absolute relative error" if goal.is_relative else "mean absolute error"
    aim = f"{goal.name}: {of} at most {goal.at_most:g}{unit}"
    if not row["values"]:
        return f"{aim}; {row['verdict']}: no held-back value was read"
    digits = goal.digits
    found = f"{row['mean_absolute_error']:.{digits}f}{unit} in {row['values']} held-back values"
    treated = rows[(rows["goal"] == goal.name) & (rows["group"] == WITH_DRUG)].iloc[0]
    alone = ""
    if treated["values"]:
        error = float(treated["mean_absolute_error"])
        alone = f" ({error:.{digits}f} in the {treated['values']} of arms with a drug)"
    return f"{aim}; {found}: {row['verdict']}{alone}"


def _line(
    goal: Goal, by: str, group: str, rows: pd.DataFrame, has_verdict: bool = False
) -> dict[str, object]:
    off = goal.off(rows)
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
        "by_chance": _by_chance(goal, known),
        "mean_error": float(np.mean(off)) if len(off) else math.nan,
        "worst": float(off[np.argmax(np.abs(off))]) if len(off) else math.nan,
        "inside": float(inside.mean()) if len(known) else math.nan,
        "at_most": goal.at_most if has_verdict else math.nan,
        "verdict": verdict,
    }


def _by_chance(goal: Goal, rows: pd.DataFrame) -> float:
    """Mean absolute error of a perfect model: standard errors are a quarter of the intervals."""
    known = rows["predicted_low"].notna() & rows["predicted_high"].notna()
    rows = rows[known]
    if rows.empty:
        return math.nan
    widths = [
        (rows[f"{side}_high"] - rows[f"{side}_low"]).to_numpy(np.float64) / (2 * NORMAL_95)
        for side in ("observed", "predicted")
    ]
    error = np.hypot(*widths) * goal.scale(rows)
    return float(np.mean(error) * math.sqrt(2 / math.pi))
