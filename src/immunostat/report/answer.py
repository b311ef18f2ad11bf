"""The answer of a study in three sentences, computed from its tables."""

from __future__ import annotations

from typing import Any

import pandas as pd

from immunostat.report import tables, words
from immunostat.report.efficacy_figures import final_estimates
from immunostat.report.harm_figures import SEVERE, weighed_harms
from immunostat.report.shape import shape_of
from immunostat.report.trial_words import conclusion
from immunostat.study.result import Result


def sentences(result: Result) -> list[str]:
    """What was gained, what it cost, and how far off the model is where trials were published."""
    return [_benefit(result), _harm(result), _trust(result)]


def _benefit(result: Result) -> str:
    """The first endpoint (or the one that the study calls primary) at its last visit.

    Of a crossover, whose arms are sequences of treatments, the first comparison within patients.
    """
    if shape_of(result).sequences and len(result.analyses):
        return conclusion(result)
    final = final_estimates(result)
    if final.empty:
        return "The study asked for no endpoint, so nothing can be said about benefit."
    primary = result.study.get("primary")
    names = list(dict.fromkeys(final["endpoint"]))
    name = primary if primary in names else names[0]
    rows = final[final["endpoint"] == name].to_dict("records")
    unit, statistic = str(rows[0]["unit"]), str(rows[0]["statistic"])
    share = words.is_fraction(unit, statistic)
    if share:
        rows.sort(key=lambda row: -float(row["estimate"]))
    parts = [_under(row, share, 3, index == 0) for index, row in enumerate(rows)]
    parts = _shortened(parts) if share else parts
    time = words.when(float(rows[0]["time_day"]))
    subject = "the share of patients with" if share else f"the {statistic} of"
    return f"At {time}, {subject} {words.label(str(name))} was {words.listed(parts)}."


def _harm(result: Result) -> str:
    """The side effect that weighs most, and the one that differs most between the arms."""
    harms = weighed_harms(result)
    clauses = []
    if harms:
        name, rows = harms[0]
        records = rows.sort_values("estimate", ascending=False, kind="stable").to_dict("records")
        clauses.append(_rate(words.label(name), records))
    others = [(other, table) for other, table in harms[1:] if len(table) > 1]
    if others:
        other, table = max(others, key=lambda pair: _spread(pair[1]))
        clauses.append(f"{words.label(other)} ranged {_range(table, False)}")
    severe = result.side_effects[result.side_effects["measure"] == SEVERE]
    graded = [(str(name), rows) for name, rows in severe.groupby("side_effect", sort=False)]
    if graded:
        other, table = max(graded, key=lambda pair: _spread(pair[1]))
        share = f"the share of patients with {words.label(other)} of {SEVERE}"
        clauses.append(f"{share} ranged {_range(table, True)}")
    return "; ".join(clauses) + "." if clauses else "The study asked for no side effect."


def _rate(name: str, records: list[dict[Any, Any]]) -> str:
    """Rate of one side effect by arm; where none was drawn, what the model expects."""
    unit = words.shown_unit(str(records[0]["unit"]))
    if all(float(row["estimate"]) == 0 for row in records):
        expected = [
            f"{words.number(float(row['expected']), 2)} under {row['arm']}"
            for row in records
            if row["expected"] == row["expected"]
        ]
        text = f"No {name} happened to these patients in any arm"
        if not expected:
            return text
        return f"{text}, where the model expects, {unit}, {words.listed(_shortened(expected))}"
    parts = _shortened([_under(row, False, 2, index == 0) for index, row in enumerate(records)])
    return f"The rate of {name} ({unit}) was {words.listed(parts)}"


def _range(table: pd.DataFrame, share: bool) -> str:
    """Lowest and highest value and the arms they belong to."""
    ordered = table.sort_values("estimate", kind="stable").to_dict("records")
    ends = []
    for row in (ordered[0], ordered[-1]):
        value = float(row["estimate"])
        text = words.percent(value) if share else words.number(value, 2)
        ends.append(f"{text} under {row['arm']}")
    return f"from {ends[0]} to {ends[1]}"


def _trust(result: Result) -> str:
    """How far predictions lie from published values that the model was not fitted to."""
    rows = result.comparison
    if rows.empty:
        return "No published trial stands beside these numbers, so nothing here has been tested."
    held = rows[rows["role"] != "training"]
    if held.empty:
        return (
            f"All {len(rows)} published values shown were used to fit the model, so none of them "
            "tests it."
        )
    table = result.endpoints
    shares = set(table.loc[table["statistic"].str.contains("proportion"), "endpoint"])
    points = held[held["endpoint"].isin(shares)]
    known = held[held["observed_low"].notna() & held["observed_high"].notna()]
    inside = known["predicted"].between(known["observed_low"], known["observed_high"]).sum()
    text = f"Of the {len(rows)} published values shown, {len(held)} were held back from fitting"
    if len(known):
        text += f"; {inside} of {len(known)} predictions of them fall inside the published interval"
    if points.empty:
        return text + "."
    worst = points.loc[[points["difference"].abs().idxmax()]].to_dict("records")[0]
    size = 100 * float(points["difference"].abs().mean())
    where = f"{worst['trial']}, {worst['arm']}, {words.label(worst['endpoint'])}"
    return (
        f"{text}, and for shares of patients they are off by {words.number(size, 2)} points on "
        f"average, at worst by {tables.error(float(worst['difference']), share=True)} ({where})."
    )


def _shortened(parts: list[str]) -> list[str]:
    """At most five: the first three and the last, with the number left out."""
    if len(parts) <= 5:
        return parts
    return [*parts[:3], f"between these for {len(parts) - 4} more arms", parts[-1]]


def _under(row: tables.Row, share: bool, digits: int, is_first: bool) -> str:
    """A value under an arm, with its interval; the first one says what the interval is."""
    value, low, high = (float(row[key]) for key in ("estimate", "low", "high"))
    text, between = words.estimate(value, low, high, share, digits)
    shown = f" ({'95 % interval ' if is_first else ''}{between})" if between else ""
    return f"{text}{shown} under {row['arm']}"


def _spread(rows: pd.DataFrame) -> float:
    expected = rows["expected"].fillna(rows["estimate"]).astype(float)
    return float(expected.max() - expected.min())
