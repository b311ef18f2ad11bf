"""The answer of a study in three sentences, computed from its tables."""

from __future__ import annotations

import pandas as pd

from immunostat.report import tables, words
from immunostat.report.efficacy_figures import final_estimates
from immunostat.report.harm_figures import weighed_harms
from immunostat.study.result import Result


def sentences(result: Result) -> list[str]:
    """What was gained, what it cost, and how far off the model is where trials were published."""
    return [_benefit(result), _harm(result), _trust(result)]


def _benefit(result: Result) -> str:
    """The first endpoint (or the one that the study calls primary) at its last visit."""
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
    parts = [_under(row, unit, statistic, index == 0) for index, row in enumerate(rows)]
    parts = _shortened(parts) if share else parts
    time = words.when(float(rows[0]["time_day"]))
    subject = "the share of patients with" if share else f"the {statistic} of"
    return f"At {time}, {subject} {words.label(str(name))} was {words.listed(parts)}."


def _harm(result: Result) -> str:
    """The side effect that weighs most, and the one that differs most between the arms."""
    harms = weighed_harms(result)
    if not harms:
        return "The study asked for no side effect that is counted over time."
    name, rows = harms[0]
    records = rows.sort_values("estimate", ascending=False, kind="stable").to_dict("records")
    unit = words.shown_unit(str(records[0]["unit"]))
    parts = _shortened([_under(row, "", "rate", index == 0) for index, row in enumerate(records)])
    text = f"The rate of {words.label(name)} ({unit}) was {words.listed(parts)}"
    others = [(other, table) for other, table in harms[1:] if len(table) > 1]
    if others:
        other, table = max(others, key=lambda pair: _spread(pair[1]))
        ordered = table.sort_values("estimate", kind="stable").to_dict("records")
        low, high = ordered[0], ordered[-1]
        text += (
            f"; of the other side effects the arms differ most in {words.label(other)}, from "
            f"{words.number(low['estimate'], 2)} under {low['arm']} to "
            f"{words.number(high['estimate'], 2)} under {high['arm']}"
        )
    return text + "."


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


def _under(row: tables.Row, unit: str, statistic: str, is_first: bool) -> str:
    """A value under an arm, with its interval; the first one says what the interval is."""
    value, low, high = (float(row[key]) for key in ("estimate", "low", "high"))
    digits = 2 if statistic == "rate" else 3
    between = words.interval(low, high, unit, statistic, digits)
    shown = f" ({'95 % interval ' if is_first else ''}{between})" if between else ""
    return f"{words.amount(value, unit, statistic, digits)}{shown} under {row['arm']}"


def _spread(rows: pd.DataFrame) -> float:
    expected = rows["expected"].fillna(rows["estimate"]).astype(float)
    return float(expected.max() - expected.min())
