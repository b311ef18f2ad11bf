"""Tables of side effects, dropout and what the rules did, made of the gathered chunks.

Tables of what happened come in parts, arm after arm by name and chunk after chunk. Patients are in
order over chunks, so the parts one after another are sorted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.outcomes import statistics
from immunostat.outcomes.hazards import DAYS_PER_YEAR
from immunostat.outcomes.survival import cumulative_incidence_of_cause
from immunostat.outcomes.visit_courses import TimeToEvent, competing_causes
from immunostat.study.gathered import Gathered
from immunostat.study.harm import Harm
from immunostat.study.plan import Plan
from immunostat.study.store import AnyArray, Chunk
from immunostat.study.summaries import cause_names

_EVENTS = ["arm", "patient", "event", "time_day", "grade"]
_ACTIONS = ["arm", "patient", "time_day", "action", "drug", "rule"]


def side_effect_table(gathered: Gathered) -> pd.DataFrame:
    """Incidence and grades of every side effect in every arm."""
    plan = gathered.plan
    rows: list[dict[str, Any]] = []
    for harm in plan.side_effects:
        for i, arm in enumerate(plan.study.arms):
            make = _incidence if harm.is_drawn else _grades
            rows += [
                {"arm": arm, "side_effect": harm.name, **row} for row in make(gathered, harm, i)
            ]
    return pd.DataFrame(rows)


def _incidence(gathered: Gathered, harm: Harm, i: int) -> Iterator[dict[str, Any]]:
    """Events per time at risk, every event counts; and how bad they are, where the card knows."""
    key = f"{i}/{harm.name}"
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
    if np.isfinite(gathered.gone(i)).any():
        yield _cumulative(gathered, key, i, years)
    yield from _severity(gathered, harm, i, years)
    yield from _causes(gathered, key, i, expected, years)


#: Measures that say where the expected events come from; together they are all of them.
CAUSES = ("by background", "by mechanism", "by the drug itself")


def _causes(
    gathered: Gathered, key: str, i: int, expected: float, years: float
) -> Iterator[dict[str, Any]]:
    """Shares of the expected events that background, mechanism and the drug itself bring."""
    if not expected:
        return
    background = float(np.sum(gathered.values(f"background/{key}", i)))
    mechanism = float(np.sum(gathered.values(f"mechanism/{key}", i)))
    parts = (background, mechanism - background, expected - mechanism)
    for measure, part in zip(CAUSES, parts, strict=True):
        yield {
            "measure": measure,
            "n": len(gathered.values(f"count/{key}", i)),
            "events": np.nan,
            "patient_years": years,
            "estimate": np.nan,
            "low": np.nan,
            "high": np.nan,
            "unit": "% of events",
            "expected": 100.0 * part / expected,
        }


def _severity(gathered: Gathered, harm: Harm, i: int, years: float) -> Iterator[dict[str, Any]]:
    """Shares of patients by worst grade, with a serious event, one that stops the drug, and so on;
    and the time to the first event of those who have one.
    """
    key, known = f"{i}/{harm.name}", harm.severity
    found: list[tuple[str, Any]] = []
    if known.shares:
        worst = gathered.values(f"grade/{key}", i)
        found.append(("any grade", worst >= 1))
        found += [(f"grade {grade}", worst == grade) for grade in sorted(known.shares)]
        found.append(("grade 3-4", worst >= 3))
    if known.serious is not None:
        found.append(("serious", gathered.values(f"serious/{key}", i)))
    if known.stops is not None:
        found.append(("leading to stopping", gathered.values(f"stops/{key}", i)))
    if harm.card.kind == "symptom":
        found.append(("present at end", gathered.values(f"present/{key}", i)))
    for measure, has in found:
        yield _share(measure, has, years)
    first = gathered.values(f"first/{key}", i)
    first = first[np.isfinite(first)]
    if len(first):
        low, median, high = (float(q) for q in np.quantile(first, [0.25, 0.5, 0.75]))
        yield {
            "measure": "time to first, median and quartiles",
            "n": len(first),
            "events": len(first),
            "patient_years": years,
            "estimate": median,
            "low": low,
            "high": high,
            "unit": "day",
            "expected": np.nan,
        }


def _share(measure: str, has: Any, years: float) -> dict[str, Any]:
    """A share of patients with its interval."""
    found = statistics.proportion(int(np.sum(has)), len(has))
    return {
        "measure": measure,
        "n": len(has),
        "events": int(np.sum(has)),
        "patient_years": years,
        "estimate": found.estimate,
        "low": found.low,
        "high": found.high,
        "unit": "1",
        "expected": np.nan,
    }


def _cumulative(gathered: Gathered, key: str, i: int, years: float) -> dict[str, Any]:
    """Share of patients with a first event by the end, while leaving the trial competes with it."""
    first = gathered.values(f"first/{key}", i)
    has_event = ~np.isnan(first)
    seen = np.where(has_event, first, gathered.values(f"follow_up/{key}", i))
    event = TimeToEvent(seen, has_event)
    curve = cumulative_incidence_of_cause(*competing_causes(event, gathered.gone(i)))
    return {
        "measure": "cumulative incidence, leaving competes",
        "n": len(first),
        "events": int(has_event.sum()),
        "patient_years": years,
        "estimate": float(curve.estimate[-1]),
        "low": float(curve.low[-1]),
        "high": float(curve.high[-1]),
        "unit": "1",
        "expected": np.nan,
    }


def _grades(gathered: Gathered, harm: Harm, i: int) -> Iterator[dict[str, Any]]:
    """Share of patients by worst grade; a patient without a visit after baseline is not counted."""
    plan = gathered.plan
    worst = gathered.values(f"grade/{i}/{harm.name}", i)
    seen = worst[np.isfinite(worst)]
    stays = np.minimum(gathered.gone(i), plan.study.duration_day)
    years = float(np.sum(stays[np.isfinite(worst)])) / DAYS_PER_YEAR
    measures: list[tuple[str, Any]] = [("any grade", seen >= 1)]
    measures += [(f"grade {grade}", seen == grade) for grade in sorted(harm.card.grades)]
    if {3, 4} <= set(harm.card.grades):
        measures.append(("grade 3-4", seen >= 3))
    for measure, has in measures:
        yield _share(measure, has, years)


def event_tables(gathered: Gathered) -> Iterator[pd.DataFrame]:
    """Everything that happened to patients: side effects, leaving, and what the rules did."""
    for i, chunk, own in _by_arm(gathered):
        parts = [
            *_side_effects(gathered.plan, chunk, i),
            *_diseased(gathered.plan, chunk, i),
            *_leavings(gathered.plan, chunk, i),
            *_acted(gathered.plan, chunk, i),
        ]
        arm = list(gathered.plan.study.arms)[i]
        rows = np.concatenate([_NO_ROWS, *(part[0] for part in parts)])
        shown = own[rows]
        columns = {
            "arm": np.full(len(rows), arm, dtype=object),
            "patient": chunk.columns["number"][rows],
            "event": _joined([part[1] for part in parts], object),
            "time_day": _joined([part[2] for part in parts], np.float64),
            "grade": _joined([part[3] for part in parts], np.float64),
        }
        table = pd.DataFrame(columns)[_EVENTS][shown]
        order = ["patient", "time_day", "event"]
        yield table.sort_values(order, kind="stable", ignore_index=True)


_NO_ROWS = np.zeros(0, dtype=np.int64)

#: Patients' rows in a chunk, what happened to them, on which day, and how severe it was.
_Happened = tuple[IntArray, AnyArray, FloatArray, FloatArray]


def _joined(parts: list[AnyArray], kind: Any) -> AnyArray:
    return np.concatenate([np.zeros(0, dtype=kind), *parts]).astype(kind)


def _by_arm(gathered: Gathered) -> Iterator[tuple[int, Chunk, npt.NDArray[np.bool_]]]:
    """Arms in order of their names, each chunk, and which of its patients the arm holds."""
    arms = list(gathered.plan.study.arms)
    for i in sorted(range(len(arms)), key=lambda i: arms[i]):
        is_in, first = gathered.is_in(i), 0
        for chunk in gathered.chunks():
            yield i, chunk, is_in[first : first + chunk.n_patients]
            first += chunk.n_patients


def _named(n: int, name: str) -> AnyArray:
    return np.full(n, name, dtype=object)


def _side_effects(plan: Plan, chunk: Chunk, i: int) -> Iterator[_Happened]:
    for harm in plan.side_effects:
        key = f"{i}/{harm.name}"
        if harm.is_drawn:
            rows, day = chunk.logs[f"event/{key}/row"], chunk.logs[f"event/{key}/day"]
            grade = chunk.logs[f"event/{key}/grade"]
        else:
            worst = chunk.columns[f"grade/{key}"]
            rows = np.flatnonzero(worst >= 1)
            day, grade = chunk.columns[f"grade_day/{key}"][rows], worst[rows]
        yield rows, _named(len(rows), harm.name), day, grade


def _diseased(plan: Plan, chunk: Chunk, i: int) -> Iterator[_Happened]:
    for name in plan.situation.events:
        rows, day = chunk.logs[f"disease/{i}/{name}/row"], chunk.logs[f"disease/{i}/{name}/day"]
        yield rows, _named(len(rows), name), day, np.full(len(rows), np.nan)


def _leavings(plan: Plan, chunk: Chunk, i: int) -> Iterator[_Happened]:
    if plan.study.dropout:
        names = np.array([f"left: {name}" for name in cause_names(plan)], dtype=object)
        left = chunk.columns[f"left/{i}"]
        rows = np.flatnonzero(np.isfinite(left))
        cause = names[chunk.columns[f"cause/{i}"][rows].astype(int)]
        yield rows, cause, left[rows], np.full(len(rows), np.nan)


def _done(plan: Plan, chunk: Chunk, i: int) -> IntArray:
    """Entries of the log of the rules that belong to an arm; who has left is not dosed any more."""
    own = chunk.logs["action/arm"] == i
    if plan.study.dropout:
        left = chunk.columns[f"left/{i}"][chunk.logs["action/row"]]
        own &= chunk.logs["action/day"] <= left
    if plan.situation.events:
        died = chunk.columns[f"died/{i}"][chunk.logs["action/row"]]
        own &= ~(chunk.logs["action/day"] > died)
    return np.flatnonzero(own)


def _acted(plan: Plan, chunk: Chunk, i: int) -> Iterator[_Happened]:
    if plan.study.rules:
        own = _done(plan, chunk, i)
        words, drugs = chunk.logs["action/word"][own], chunk.logs["action/drug"][own]
        events = [f"{word} {drug}" for word, drug in zip(words, drugs, strict=True)]
        rows, day = chunk.logs["action/row"][own], chunk.logs["action/day"][own]
        yield rows, np.array(events, dtype=object), day, np.full(len(own), np.nan)


def action_tables(gathered: Gathered) -> Iterator[pd.DataFrame]:
    """The log of the rules: one row for each thing that a rule did to a patient."""
    plan = gathered.plan
    if not plan.study.rules:
        yield pd.DataFrame(columns=_ACTIONS)
        return
    rules = np.array([rule.text for rule in plan.study.rules], dtype=object)
    for i, chunk, is_in in _by_arm(gathered):
        own = _done(plan, chunk, i)
        rows = chunk.logs["action/row"][own]
        table = pd.DataFrame(
            {
                "arm": _named(len(own), list(plan.study.arms)[i]),
                "patient": chunk.columns["number"][rows],
                "time_day": chunk.logs["action/day"][own],
                "action": chunk.logs["action/word"][own].astype(object),
                "drug": chunk.logs["action/drug"][own].astype(object),
                "rule": rules[chunk.logs["action/rule"][own]],
            }
        )
        order = ["patient", "time_day"]
        yield table[is_in[rows]].sort_values(order, kind="stable", ignore_index=True)
