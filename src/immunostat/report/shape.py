"""What kind of trial a result is of, and its number of patients, without its large tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from immunostat.study.later import Later
from immunostat.study.result import Result

#: Rows of the table of patients that a page reads; of more it shows only what is counted already.
MOST_PATIENT_ROWS = 200_000

#: How an event begins that says why a patient left.
LEFT = "left: "

#: Statistics of endpoints that are made of events.
EVENT_STATISTICS = ("incidence", "event-free", "rate", "median time", "mean time")


@dataclass(frozen=True)
class Shape:
    """The design, as the study's record says it.

    Parameters
    ----------
    is_parallel
        Whether each patient is in one arm.
    sequences
        Of a crossover: name of each sequence and the treatments that follow each other in it.
    n_trials
        Number of whole trials.
    ratio
        Share of each arm, a whole number.
    patients
        Patients in the arm of share 1, in each trial.
    """

    is_parallel: bool
    sequences: Mapping[str, Sequence[str]]
    n_trials: int
    ratio: Mapping[str, int]
    patients: int

    @property
    def in_a_trial(self) -> int:
        """Patients of one whole trial."""
        return self.patients * (sum(self.ratio.values()) if self.is_parallel else 1)


def shape_of(result: Result) -> Shape:
    """The design of a study."""
    design: Mapping[str, Any] = result.study.get("design") or {}
    crossover = design.get("crossover") or {}
    own = (design.get("randomization") or {}).get("ratio") or {}
    population: Mapping[str, Any] = result.study.get("population") or {}
    return Shape(
        design.get("arms") == "parallel" or bool(crossover),
        crossover.get("sequences") or {},
        int(design.get("replicates") or 1),
        {arm: int(own.get(arm, 1)) for arm in result.arms},
        int(population.get("patients") or 0),
    )


def is_large(result: Result) -> bool:
    """Whether the table of patients is too long to be read for a page."""
    if isinstance(vars(result).get("patients"), Later):
        return True
    shape = shape_of(result)
    rows = shape.in_a_trial * shape.n_trials
    rows *= 1 if shape.is_parallel else max(1, len(result.arms))
    return result.run.get("courses") == "quantiles" or rows > MOST_PATIENT_ROWS


def arm_sizes(result: Result) -> dict[str, int]:
    """Patients whom the result holds in each arm, of all whole trials together."""
    table = result.endpoints
    if len(table):
        # A share counts every patient, a mean those that were seen.
        counts_all = table["statistic"].isin(["proportion", *EVENT_STATISTICS])
        missing = table["n_missing"] if "n_missing" in table else pd.Series(0, index=table.index)
        missing = pd.to_numeric(missing, errors="coerce").fillna(0)
        whole = table["n"] + missing.where(~counts_all, 0)
        most = whole.groupby(table["arm"].astype(str)).max()
        return {arm: int(most[arm]) for arm in result.arms if arm in most}
    shape = shape_of(result)
    n = shape.patients * shape.n_trials
    return {arm: n * (share if shape.is_parallel else 1) for arm, share in shape.ratio.items()}


def departures(result: Result) -> pd.DataFrame:
    """Who left, when and why: arm, patient, time_day, cause."""
    events = result.events
    own = events[events["event"].astype(str).str.startswith(LEFT)]
    cause = own["event"].astype(str).str.removeprefix(LEFT)
    return own[["arm", "patient", "time_day"]].assign(cause=cause)


def share_names(result: Result) -> set[str]:
    """Endpoints that are shares of patients."""
    table = result.endpoints
    kinds = ["proportion", "incidence", "event-free"]
    return set(table.loc[table["statistic"].isin(kinds), "endpoint"])


def rule_words(rule: object) -> str:
    """A rule as it stands in the log: 'when ...: do'."""
    if isinstance(rule, Mapping):
        return f"when {rule.get('when')}: {rule.get('do')}"
    return str(rule)
