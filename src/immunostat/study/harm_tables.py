"""Tables of side effects, dropout and what the rules did, made of the gathered chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from immunostat.catalog.cards import SideEffectCard
from immunostat.outcomes import statistics
from immunostat.outcomes.hazards import DAYS_PER_YEAR
from immunostat.study.gathered import Gathered
from immunostat.study.summaries import cause_names

_ORDER = ["arm", "patient", "event", "time_day", "grade"]


def side_effect_table(gathered: Gathered) -> pd.DataFrame:
    """Incidence and grades of every side effect in every arm."""
    plan = gathered.plan
    rows: list[dict[str, Any]] = []
    for card in plan.side_effects:
        for i, arm in enumerate(plan.study.arms):
            make = _incidence if card.kind == "event" else _grades
            rows += [
                {"arm": arm, "side_effect": card.name, **row} for row in make(gathered, card, i)
            ]
    return pd.DataFrame(rows)


def _incidence(gathered: Gathered, card: SideEffectCard, i: int) -> Iterator[dict[str, Any]]:
    """Events per time at risk; every event counts."""
    key = f"{i}/{card.name}"
    counts = gathered.values(f"count/{key}", i)
    years = float(np.sum(gathered.values(f"follow_up/{key}", i))) / DAYS_PER_YEAR
    found = statistics.incidence_rate(int(counts.sum()), years)
    expected = float(np.sum(gathered.values(f"expected/{key}", i)))
    yield {
        "measure": "incidence rate",
        "n": len(counts),
        "events": int(counts.sum()),
        "patient_years": years,
        "estimate": found.estimate,
        "low": found.low,
        "high": found.high,
        "unit": "1/(100 year)",
        "expected": 100.0 * expected / years if years else np.nan,
    }


def _grades(gathered: Gathered, card: SideEffectCard, i: int) -> Iterator[dict[str, Any]]:
    """Share of patients by worst grade; a patient without a visit after baseline is not counted."""
    plan = gathered.plan
    worst = gathered.values(f"grade/{i}/{card.name}", i)
    seen = worst[np.isfinite(worst)]
    years = len(seen) * plan.study.duration_day / DAYS_PER_YEAR
    if plan.study.dropout:
        stays = np.minimum(gathered.values(f"left/{i}", i), plan.study.duration_day)
        years = float(np.sum(stays[np.isfinite(worst)])) / DAYS_PER_YEAR
    measures: list[tuple[str, Any]] = [("any grade", seen >= 1)]
    measures += [(f"grade {grade}", seen == grade) for grade in sorted(card.grades)]
    if {3, 4} <= set(card.grades):
        measures.append(("grade 3-4", seen >= 3))
    for measure, has in measures:
        found = statistics.proportion(int(np.sum(has)), len(seen))
        yield {
            "measure": measure,
            "n": len(seen),
            "events": int(np.sum(has)),
            "patient_years": years,
            "estimate": found.estimate,
            "low": found.low,
            "high": found.high,
            "unit": "1",
            "expected": np.nan,
        }


def event_table(gathered: Gathered) -> pd.DataFrame:
    """Everything that happened to patients: side effects, leaving, and what the rules did."""
    parts = [*_side_effects(gathered), *_leavings(gathered), *_actions(gathered)]
    if not parts:
        return pd.DataFrame(columns=_ORDER)
    table = pd.concat(parts, ignore_index=True)[_ORDER]
    table = table.sort_values(
        ["arm", "patient", "time_day", "event"], kind="stable", ignore_index=True
    )
    return table.astype({"time_day": float, "grade": float})


def _frame(gathered: Gathered, i: int, rows: Any, day: Any, event: Any, grade: Any) -> pd.DataFrame:
    """Rows of the event table, of the patients whom the trial sees in the arm."""
    own = gathered.is_in(i)[rows]
    table = pd.DataFrame(
        {"patient": gathered.numbers[rows], "event": event, "time_day": day, "grade": grade}
    )
    return pd.DataFrame(table.assign(arm=list(gathered.plan.study.arms)[i])[own])


def _side_effects(gathered: Gathered) -> Iterator[pd.DataFrame]:
    plan = gathered.plan
    for card in plan.side_effects:
        for i in range(len(plan.study.arms)):
            key = f"{i}/{card.name}"
            if card.kind == "event":
                rows, day = gathered.log(f"event/{key}/row"), gathered.log(f"event/{key}/day")
                grade: Any = np.full(len(rows), np.nan)
            else:
                worst = gathered.column(f"grade/{key}")
                rows = np.flatnonzero(worst >= 1)
                day, grade = gathered.column(f"grade_day/{key}")[rows], worst[rows]
            if len(rows):
                yield _frame(gathered, i, rows, day, card.name, grade)


def _leavings(gathered: Gathered) -> Iterator[pd.DataFrame]:
    plan = gathered.plan
    names = np.array([f"left: {name}" for name in cause_names(plan)], dtype=object)
    for i in range(len(plan.study.arms)) if plan.study.dropout else ():
        left = gathered.column(f"left/{i}")
        rows = np.flatnonzero(np.isfinite(left))
        if len(rows):
            cause = names[gathered.column(f"cause/{i}")[rows].astype(int)]
            yield _frame(gathered, i, rows, left[rows], cause, np.full(len(rows), np.nan))


def _actions(gathered: Gathered) -> Iterator[pd.DataFrame]:
    if not gathered.plan.study.rules:
        return
    arm, rows, day = (gathered.log(f"action/{name}") for name in ("arm", "row", "day"))
    words, drugs = gathered.log("action/word"), gathered.log("action/drug")
    events = np.array([f"{w} {d}" for w, d in zip(words, drugs, strict=True)], dtype=object)
    for i in range(len(gathered.plan.study.arms)):
        own = arm == i
        if gathered.plan.study.dropout:
            own &= day <= gathered.column(f"left/{i}")[rows]
        if own.any():
            nothing = np.full(int(own.sum()), np.nan)
            yield _frame(gathered, i, rows[own], day[own], events[own], nothing)


def action_table(gathered: Gathered) -> pd.DataFrame:
    """The log of the rules: one row for each thing that a rule did to a patient."""
    columns = ["arm", "patient", "time_day", "action", "drug", "rule"]
    plan = gathered.plan
    if not plan.study.rules:
        return pd.DataFrame(columns=columns)
    arms = np.array([*plan.arms], dtype=object)
    rules = np.array([rule.text for rule in plan.study.rules], dtype=object)
    arm, rows = gathered.log("action/arm"), gathered.log("action/row")
    table = pd.DataFrame(
        {
            "arm": arms[arm],
            "patient": gathered.numbers[rows],
            "time_day": gathered.log("action/day"),
            "action": gathered.log("action/word").astype(object),
            "drug": gathered.log("action/drug").astype(object),
            "rule": rules[gathered.log("action/rule")],
        }
    )
    shown = np.isin(arm, range(len(plan.study.arms)))
    if gathered.assigned is not None:
        shown &= gathered.assigned[rows] == arm
    for i in range(len(plan.study.arms)) if plan.study.dropout else ():
        # Nobody doses a patient who has left.
        left = gathered.column(f"left/{i}")[rows]
        shown &= (arm != i) | (table["time_day"].to_numpy() <= left)
    order = ["arm", "patient", "time_day"]
    return table[shown].sort_values(order, kind="stable", ignore_index=True)
