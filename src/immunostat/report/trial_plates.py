"""Figures of the sections about the trial: who left, conclusions, events, power, dose, rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from immunostat.report import (
    dose_figures,
    effects,
    event_sections,
    people_figures,
    plate,
    style,
    trial_figures,
    trial_tables,
    words,
)
from immunostat.report.shape import departures, shape_of, share_names
from immunostat.report.trial_words import quoted
from immunostat.study.result import Result

#: Colors of causes of dropout, others than those of the first arms.
CAUSES = ("#6a4c93", "#e69f00", "#56b4e9", "#8c6d31", "#cc79a7", "#009e73")

MOST_POWERS = 4
MOST_LANES = 24
MOST_RULED_ARMS = 2


def chosen(result: Result) -> Iterator[plate.Plate]:
    """Every figure of the trial that the result has data for."""
    yield from _people(result)
    yield from _conclusions(result)
    yield from event_sections.plates(result)
    yield from _power(result)
    yield from _dose(result)
    yield from _rules(result)


def _people(result: Result) -> Iterator[plate.Plate]:
    table = trial_tables.left_by(result)
    if len(table):
        causes = dict.fromkeys(table["cause"])
        colors = {cause: CAUSES[i % len(CAUSES)] for i, cause in enumerate(causes)}
        caption = trial_figures.CAPTIONS["dropout"]
        figure = people_figures.dropout(table, colors=colors)
        yield plate.Plate("people", "dropout", figure, caption)


def _conclusions(result: Result) -> Iterator[plate.Plate]:
    table = trial_tables.forest(result)
    if len(table):
        shape = shape_of(result)
        title = "Within-patient comparisons" if shape.sequences else "Comparisons of arms"
        note = f"first of {shape.n_trials:,} trials; " if shape.n_trials > 1 else ""
        yield plate.Plate(
            "conclusion",
            "analyses",
            trial_figures.comparisons(table, title, subtitle=f"{note}line: 95 % interval"),
            "Each comparison with its 95 % interval. An interval that reaches the line (no "
            "difference: 0, or a ratio of 1) is no more than chance could make.",
        )


def _power(result: Result) -> Iterator[plate.Plate]:
    shares, table = share_names(result), result.replicates
    for row in result.power.head(MOST_POWERS).to_dict("records"):
        own = table[table["analysis"] == row["analysis"]]
        is_share = effects.is_points(row, shares)
        label = f"{row['measure']} of {words.label(str(row['endpoint']))}"
        unit = str(row["unit"])
        label += f", {words.shown_unit(unit)}" if unit not in ("", "1") else ""
        data = pd.DataFrame(
            {
                "group": f"{row['arm']} against {row['versus']}",
                "estimate": own["estimate"].astype(float),
                "truth": float(row["pooled"]),
            }
        )
        null = 1.0 if effects.is_ratio(str(row["measure"])) else 0.0
        if data["estimate"].notna().sum() < 2:
            continue
        yield plate.Plate(
            "power",
            plate.file_name("replicates", f"{row['analysis']:.0f}-{row['endpoint']}"),
            trial_figures.replicates(
                data,
                label[:1].upper() + label[1:],
                is_share=is_share,
                true_words="the estimate in all their patients",
                null=null,
            ),
            "What each whole trial found: they differ by chance in who takes part alone. The line "
            f"at {null:g} means no difference.",
        )


def _dose(result: Result) -> Iterator[plate.Plate]:
    table = result.dose_response
    if table.empty:
        return
    plan: Mapping[str, Any] = result.study.get("dose_response") or {}
    name = str(table["endpoint"].iloc[0])
    unit = trial_tables.endpoint_unit(result)
    colors = style.arm_colors(result)
    doses: Mapping[str, float] = plan.get("doses") or {}
    target = plan.get("target")
    yield plate.Plate(
        "dose",
        "dose-response",
        dose_figures.dose_response(
            table,
            words.label(name) + (f",{unit}" if unit else ""),
            unit=trial_tables.dose_unit(result),
            is_share=trial_tables.endpoint_is_share(result),
            target=None if target is None else float(target),
            colors={float(doses[arm]): colors[arm] for arm in result.arms if arm in doses},
        ),
        f"{words.label(name)} at the last visit by dose, with the curve through the arms"
        + ("; the diamond is the dose that makes the wanted difference." if target else "."),
    )


def _rules(result: Result) -> Iterator[plate.Plate]:
    actions = result.actions
    counts = actions["arm"].astype(str).value_counts()
    for arm in [arm for arm in result.arms if arm in counts][:MOST_RULED_ARMS]:
        spans, marks, n = lanes(result, arm)
        yield plate.Plate(
            "rules",
            plate.file_name("swimmer", arm),
            people_figures.swimmer(spans, marks, title=f"Doses in arm {quoted(arm)}"),
            f"{spans['patient'].nunique()} of the {n:,} patients of arm {quoted(arm)} on whom the "
            "rules acted, those with most actions first. Color says what the last action left the "
            "patient on, marks say what was done.",
        )


def lanes(result: Result, arm: str) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Lanes of patients of an arm for `people_figures.swimmer`, and how many had an action."""
    own = result.actions[result.actions["arm"] == arm]
    counts = own.groupby("patient").size().sort_values(ascending=False, kind="stable")
    # Some of each kind of action come first, or one frequent action would fill the figure.
    firsts = own.groupby("action", sort=False)["patient"].unique()
    picked: list[Any] = list(counts.index[: MOST_LANES // 2])
    for place in range(MOST_LANES):
        picked += [found[place] for found in firsts if place < len(found)]
    patients = list(dict.fromkeys(picked))[:MOST_LANES]
    gone = departures(result)
    left = gone[gone["arm"] == arm].set_index("patient")["time_day"]
    end = float(result.study.get("duration_day") or own["time_day"].max())
    lower = _lower_after(result)
    spans, marks = [], []
    for patient in patients:
        last = min(end, float(left.get(patient, end)))
        state, before, since = "full dose", "full dose", 0.0
        for row in own[own["patient"] == patient].to_dict("records"):
            day, action = float(row["time_day"]), str(row["action"])
            if day > since:
                spans.append((patient, since, day, state))
            marks.append((patient, day, action))
            if action == "hold":
                before = state if state != "held" else before
            state, since = _state(row, before, str(row["rule"]) in lower), day
        if last > since:
            spans.append((patient, since, last, state))
        if last < end:
            marks.append((patient, last, "leave"))
    return (
        pd.DataFrame(spans, columns=["patient", "start_day", "end_day", "dose"]),
        pd.DataFrame(marks, columns=["patient", "time_day", "action"]),
        len(counts),
    )


def _lower_after(result: Result) -> set[str]:
    """Rules after whose hold dosing goes on one level lower."""
    written = [rule for rule in result.study.get("rules") or [] if isinstance(rule, Mapping)]
    return {
        f"when {rule.get('when')}: {rule.get('do')}"
        for rule in written
        if rule.get("after") == "one level lower"
    }


def _state(row: Mapping[Any, Any], before: str, is_lower: bool) -> str:
    """What an action leaves a patient on."""
    match str(row["action"]):
        case "hold":
            return "held"
        case "resume":
            return "reduced" if is_lower else before
        case "reduce" | "lower":
            return "reduced"
        case "raise":
            return "escalated"
        case "stop":
            return "stopped"
        case "change":
            return f"changed to {row['drug']}"
        case "start":
            return f"{row['drug']} added"
    return before
