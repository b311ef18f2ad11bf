"""Tables of the report: tidy frames of text, one row per thing that a reader looks up."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from immunostat.report import words
from immunostat.report.efficacy_figures import final_estimates
from immunostat.report.shape import is_large
from immunostat.study.result import Result

Row = Mapping[Any, Any]

COMPARED = ["Trial and arm", "Endpoint", "Published", "Predicted", "Error", "Kind", "Source"]

SINGLE_GRADE = re.compile(r"grade [1-5]")


def efficacy(result: Result) -> pd.DataFrame:
    """Each endpoint at its last visit: one row per endpoint, one column per arm."""
    rows = final_estimates(result)
    cells = [
        {
            "Endpoint": _endpoint_title(row),
            "arm": row["arm"],
            "cell": _estimate(row, words.is_fraction(str(row["unit"]), str(row["statistic"]))),
        }
        for row in rows.to_dict("records")
    ]
    return _wide(result, cells, ["Endpoint"])


def harm(result: Result) -> pd.DataFrame:
    """Each side effect and measure: one row, one column per arm. Single grades are left out."""
    table = result.side_effects
    # Where events come from and when they begin stand in tables of their own.
    table = table[~table["unit"].isin(("% of events", "day"))]
    if (table["measure"] == "any grade").any():
        table = table[~table["measure"].str.fullmatch(SINGLE_GRADE)]
    cells = []
    for row in table.to_dict("records"):
        share = str(row["unit"]) in ("", "1")
        has_count = not pd.isna(row["events"])
        count = f"{row['events']:,.0f} of {row['n']:,.0f}" if share else _counted(row["events"])
        measure = f"% of patients, {row['measure']}" if share else words.shown_unit(row["unit"])
        value = _estimate(row, share, 3 if share else 2)
        cells.append(
            {
                "Side effect": f"{words.label(row['side_effect'])}\n{measure}",
                "arm": row["arm"],
                "cell": value + (f"\n{count}" if has_count else ""),
            }
        )
    return _wide(result, cells, ["Side effect"])


def comparison(result: Result) -> pd.DataFrame:
    """Each published value beside the prediction, with the error; ``Source`` holds the key."""
    shares = set(
        result.endpoints.loc[result.endpoints["statistic"].str.contains("proportion"), "endpoint"]
    )
    rows = []
    for row in result.comparison.to_dict("records"):
        share = row["endpoint"] in shares and str(row["unit"]) in ("", "1")
        rows.append(
            {
                "Trial and arm": _trial_arm(row),
                "Endpoint": f"{words.label(row['endpoint'])}\n{words.when(row['time_day'])}",
                "Published": _side(row, "observed", share),
                "Predicted": _side(row, "predicted", share),
                "Error": error(float(row["difference"]), share),
                "Kind": "fitted to" if row["role"] == "training" else "prediction",
                "Source": str(row["source"]) + ("" if row["checked"] else "\nnot checked"),
            }
        )
    return pd.DataFrame(rows, columns=COMPARED)


def assumptions(result: Result) -> dict[str, pd.DataFrame]:
    """Numbers that are assumed or not checked, by the card that holds them."""
    tables: dict[str, list[dict[str, str]]] = {}
    for row in result.assumptions.to_dict("records"):
        known = f"{row['source']}" if row["source"] else ""
        tables.setdefault(str(row["card"]), []).append(
            {
                "Name": str(row["name"]),
                "Value": words.amount(float(row["value"]), str(row["unit"])),
                "Evidence": str(row["evidence"]) + ("" if row["checked"] else ", not checked"),
                "Why, or where": str(row["because"]) or str(row["where"]),
                "Source": known,
            }
        )
    return {card: pd.DataFrame(rows) for card, rows in tables.items()}


def failures(result: Result) -> pd.DataFrame:
    """Patients that could not be solved: one row per arm and cause; of a large run, per cause."""
    if is_large(result):
        counted = (result.run.get("failed") or {}).items()
        rows = [
            {"Arm": "all", "Cause": words.label(str(why)), "Patients": f"{n:,}", "Numbers": ""}
            for why, n in counted
        ]
        return pd.DataFrame(rows, columns=["Arm", "Cause", "Patients", "Numbers"])
    failed = result.rows("patients", ["arm", "patient", "status"], ("status", "!=", "ok"))
    counts = failed.groupby(["arm", "status"], sort=False).size().reset_index(name="count")
    rows = []
    for row in counts.to_dict("records"):
        chosen = failed[(failed["arm"] == row["arm"]) & (failed["status"] == row["status"])]
        numbers = [str(number) for number in chosen["patient"].head(12)]
        more = ", ..." if len(chosen) > 12 else ""
        rows.append(
            {
                "Arm": str(row["arm"]),
                "Cause": words.label(str(row["status"])),
                "Patients": f"{row['count']:,}",
                "Numbers": ", ".join(numbers) + more,
            }
        )
    return pd.DataFrame(rows, columns=["Arm", "Cause", "Patients", "Numbers"])


def error(difference: float, share: bool) -> str:
    """Predicted minus published: in percentage points for a share of patients.

    Examples
    --------
    >>> error(-0.0341, share=True), error(0.2, share=False)
    ('−3.4\xa0points', '+0.20')
    """
    return f"{words.signed(100 * difference)}\u00a0points" if share else words.signed(difference, 2)


def _wide(result: Result, cells: list[dict[str, str]], index: list[str]) -> pd.DataFrame:
    """One row per value of `index` in order of appearance, one column per arm of the study."""
    arms = [arm for arm in result.arms if any(cell["arm"] == arm for cell in cells)]
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for cell in cells:
        key = tuple(cell[name] for name in index)
        row = rows.setdefault(key, dict(zip(index, key, strict=True)))
        row[cell["arm"]] = cell["cell"]
    return pd.DataFrame(list(rows.values()), columns=[*index, *arms]).fillna("")


def _counted(events: float) -> str:
    return f"{events:,.0f} event{'' if events == 1 else 's'}"


def _estimate(row: Row, share: bool, digits: int = 3) -> str:
    """Value and, on a line of its own, the interval; the unit stands in the row's name."""
    value, low, high = (float(row[key]) for key in ("estimate", "low", "high"))
    text, between = words.estimate(value, low, high, share, digits)
    return f"{text}\n({between})" if between else text


def _side(row: Row, side: str, share: bool) -> str:
    """Published or predicted value with its interval and the number of patients."""
    value, low, high = (float(row[key]) for key in (side, f"{side}_low", f"{side}_high"))
    text, between = words.estimate(value, low, high, share)
    size = float(row["observed_n"]) if side == "observed" else math.nan
    count = "" if math.isnan(size) else f"n = {size:,.0f}"
    below = ", ".join(part for part in (f"({between})" if between else "", count) if part)
    return f"{text}\n{below}" if below else text


def _trial_arm(row: Row) -> str:
    """Trial and arm, and what the publication calls the arm if that is something else."""
    arm, published = str(row["arm"]), str(row["published_arm"])
    other = "" if published in ("", arm) else f"\npublished as {published}"
    return f"{row['trial']}: {arm}{other}"


def _endpoint_title(row: Row) -> str:
    """Name, statistic, unit and time of an endpoint."""
    unit, statistic = str(row["unit"]), str(row["statistic"])
    measure = "% of patients" if words.is_fraction(unit, statistic) else statistic
    if statistic == "incidence":
        measure += " with the event"
    if statistic == "event-free":
        measure += " without the event"
    if unit not in ("", "1"):
        measure += f", {words.shown_unit(unit)}"
    return f"{words.label(str(row['endpoint']))}, {words.when(float(row['time_day']))}\n{measure}"
