"""Tables of the report about the trial as a trial: who took part, what it concludes, its design."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from immunostat.report import effects, words
from immunostat.report.shape import arm_sizes, departures, rule_words, shape_of, share_names
from immunostat.study.result import Result

#: Points in time of the figure of who has left.
MOST_DAYS = 120


def left_out(result: Result) -> pd.DataFrame:
    """Candidates that were drawn, why some were left out, and how many entered."""
    columns = ["Candidates", "Number", "Of all drawn"]
    cohort: Mapping[str, Any] = result.study.get("cohort") or {}
    drawn = int(cohort.get("candidates") or 0)
    if not drawn:
        return pd.DataFrame(columns=columns)
    reasons: Mapping[str, int] = cohort.get("left_out") or {}
    entered = drawn - sum(reasons.values())
    rows = [("drawn", drawn), *((f"left out: {why}", n) for why, n in reasons.items())]
    rows.append(("entered", entered))
    return pd.DataFrame(
        [(words.label(text), f"{n:,}", words.percent(n / drawn)) for text, n in rows],
        columns=columns,
    )


def flow(result: Result) -> pd.DataFrame:
    """What became of the patients of each arm: one column per arm."""
    sizes, gone = arm_sizes(result), departures(result)
    if not sizes or (gone.empty and not shape_of(result).is_parallel):
        return pd.DataFrame(columns=["Patients"])
    first = "randomized" if shape_of(result).is_parallel else "seen under the arm"
    lines: list[tuple[str, dict[str, int]]] = [(first, sizes)]
    for cause, own in gone.groupby("cause", sort=False):
        counts = own["arm"].astype(str).value_counts()
        lines.append((f"left: {cause}", {arm: int(counts.get(arm, 0)) for arm in sizes}))
    stayed = {arm: n - sum(counts[arm] for _, counts in lines[1:]) for arm, n in sizes.items()}
    lines.append(("stayed to the end", stayed))
    rows = [
        {
            "Patients": words.label(text),
            **{arm: _of(n, sizes[arm]) if text != first else f"{n:,}" for arm, n in counts.items()},
        }
        for text, counts in lines
    ]
    return pd.DataFrame(rows)


def _of(n: int, whole: int) -> str:
    return f"{n:,} ({words.percent(n / whole)})" if whole else f"{n:,}"


def left_by(result: Result) -> pd.DataFrame:
    """Share of patients who have left by each day: arm, cause, time_day, share."""
    gone, sizes = departures(result), arm_sizes(result)
    columns = ["arm", "cause", "time_day", "share"]
    if gone.empty:
        return pd.DataFrame(columns=columns)
    end = float(result.study.get("duration_day") or gone["time_day"].max())
    days = np.linspace(0.0, end, MOST_DAYS)
    parts = []
    for arm in [arm for arm in result.arms if arm in sizes]:
        for cause in dict.fromkeys(gone["cause"]):
            own = gone[(gone["arm"] == arm) & (gone["cause"] == cause)]["time_day"].to_numpy(float)
            share = np.searchsorted(np.sort(own), days, side="right") / sizes[arm]
            parts.append(
                pd.DataFrame(
                    {"arm": arm, "cause": words.label(cause), "time_day": days, "share": share}
                )
            )
    return pd.concat(parts, ignore_index=True)


def conclusions(result: Result) -> pd.DataFrame:
    """Every analysis: what is compared, estimate with interval and unit, p, patients, method."""
    columns = ["Comparison", "Measure", "Estimate", "p", "Patients", "How"]
    shares = share_names(result)
    rows = []
    for row in result.analyses.to_dict("records"):
        value, between = effects.effect(row, shares)
        time = words.when(float(row["time_day"]))
        rows.append(
            {
                "Comparison": f"{words.label(str(row['endpoint']))}, {time}\n"
                f"{row['arm']} against {row['versus']}",
                "Measure": str(row["measure"]),
                "Estimate": f"{value}\n({between})" if between else value,
                "p": re.sub(r"^p\s(=\s)?", "", effects.p_value(float(row["p"]))) or words.NO_VALUE,
                "Patients": _whole(row["n"]),
                "How": str(row["method"]),
            }
        )
    return pd.DataFrame(rows, columns=columns)


def forest(result: Result) -> pd.DataFrame:
    """Analyses as the rows of `trial_figures.comparisons`."""
    shares = share_names(result)
    rows = []
    for row in result.analyses.to_dict("records"):
        measure, unit = str(row["measure"]), str(row["unit"])
        endpoint, points = words.label(str(row["endpoint"])), effects.is_points(row, shares)
        own = "" if unit in ("", "1") else f", {words.shown_unit(unit)}"
        alone = measure if points or effects.is_ratio(measure) else f"{measure} of {endpoint}{own}"
        label = f"{row['arm']} against {row['versus']}"
        if points or effects.is_ratio(measure):
            label = f"{endpoint}: {label}"
        rows.append(
            {
                "label": label if measure not in effects.NUISANCES else measure,
                "panel": alone if not shape_of(result).sequences else f"{endpoint}{own}",
                "estimate": float(row["estimate"]),
                "low": float(row["low"]),
                "high": float(row["high"]),
                "is_share": points,
                "is_ratio": effects.is_ratio(measure),
            }
        )
    table = pd.DataFrame(rows)
    return table[np.isfinite(table["estimate"])] if len(table) else table


def event_names(result: Result) -> list[str]:
    """Endpoints that are times to an event."""
    table = result.endpoints
    return list(dict.fromkeys(table.loc[table["statistic"] == "incidence", "endpoint"].astype(str)))


def event_of(endpoint: str) -> str:
    """What happens, by the name of the endpoint.

    Examples
    --------
    >>> event_of("time to ACR20"), event_of("progression")
    ('ACR20', 'progression')
    """
    return words.label(re.sub(r"^time to (first )?", "", endpoint, flags=re.IGNORECASE))


def event_curves(result: Result, endpoint: str) -> pd.DataFrame:
    """Share with the event by each visit, as steps; see `survival_figures.curve_table`."""
    table = result.endpoints
    own = table[(table["endpoint"] == endpoint) & (table["statistic"] == "incidence")]
    columns = ["arm", "time_day", "estimate", "low", "high"]
    curves = own[[*columns, *(["n_at_risk"] if "n_at_risk" in own else [])]].copy()
    if "n_at_risk" in curves:
        curves["n_at_risk"] = pd.to_numeric(curves["n_at_risk"], errors="coerce")
    return curves.sort_values("time_day", kind="stable", ignore_index=True)


def power(result: Result) -> pd.DataFrame:
    """What whole trials of this design find, by analysis."""
    columns = ["Comparison", "Power", "Mean estimate", "SD", "In all patients", "Bias", "Coverage"]
    shares = share_names(result)
    rows = []
    for row in result.power.to_dict("records"):
        chance, between = power_words(row)
        rows.append(
            {
                "Comparison": f"{words.label(str(row['endpoint']))}: {row['measure']}\n"
                f"{row['arm']} against {row['versus']}",
                "Power": f"{chance}\n({between})" if between else chance,
                "Mean estimate": alone(row, "mean", shares),
                "SD": alone(row, "sd", shares),
                "In all patients": alone(row, "pooled", shares),
                "Bias": alone(row, "bias", shares),
                "Coverage": words.percent(float(row["coverage"]), 1),
            }
        )
    return pd.DataFrame(rows, columns=columns)


def power_words(row: Mapping[Any, Any]) -> tuple[str, str]:
    """Power in percent, and its interval."""
    value, low, high = (float(row[key]) for key in ("power", "power_low", "power_high"))
    between = f"{100 * low:.1f} to {words.percent(high, 1)}"
    return words.percent(value, 1), between if math.isfinite(low + high) else ""


def alone(row: Mapping[Any, Any], key: str, shares: set[str]) -> str:
    """One number of the table of power, in the unit of its measure."""
    value = float(row[key])
    if not math.isfinite(value):
        return words.NO_VALUE
    unit = str(row["unit"])
    if effects.is_points(row, shares):
        points = words.number(100 * value, 2 if abs(value) < 0.1 else 3)
        return f"{points} points"
    text = words.number(value)
    return text if unit in ("", "1") else f"{text} {words.shown_unit(unit)}"


def looks(result: Result) -> pd.DataFrame:
    """Where whole trials stop, one row for each look."""
    columns = ["Look", "Patients", "Boundary", "Efficacy", "Harm", "Futility", "Not stopped"]
    rows = []
    for row in result.interim.to_dict("records"):
        is_last = float(row["fraction"]) >= 1
        rows.append(
            {
                "Look": f"{row['look']:.0f}\nat {words.percent(float(row['fraction']))}",
                "Patients": _whole(row["patients"]),
                "Boundary": f"|z| \u2265 {words.number(float(row['critical']), 3)}",
                **{
                    key.capitalize(): words.percent(float(row[key]), 1)
                    for key in ("efficacy", "harm", "futility")
                },
                "Not stopped": words.percent(float(row["end"]), 1) if is_last else "goes on",
            }
        )
    return pd.DataFrame(rows, columns=columns)


def dose_unit(result: Result) -> str:
    """Unit of the doses of a dose response, where the regimens of all its arms say the same one."""
    doses: Mapping[str, float] = (result.study.get("dose_response") or {}).get("doses") or {}
    found = []
    for arm, dose in doses.items():
        if not dose:
            continue
        lines = " ; ".join(str(line) for line in result.study["arms"].get(arm) or [])
        number = re.escape(f"{float(dose):g}")
        found.append(set(re.findall(rf"(?<![\d.]){number} ([A-Za-zµ][\w/^]*)", lines)))
    common = set.intersection(*found) if found else set()
    weights = [unit for unit in sorted(common) if unit not in ("weeks", "week", "days", "hours")]
    return weights[0] if len(weights) == 1 else ""


def doses(result: Result) -> pd.DataFrame:
    """Each dose with its result, then what the curve through them says."""
    columns = ["What", "Estimate", "How"]
    table, unit = result.dose_response, dose_unit(result)
    rows = []
    for row in table.to_dict("records"):
        what = str(row["what"])
        value, low, high = (float(row[key]) for key in ("estimate", "low", "high"))
        is_dose = what == "ed50" or what.startswith("dose for")
        end = f" {unit}" if is_dose and unit else "" if is_dose else endpoint_unit(result)
        is_share = not is_dose and what != "trend" and endpoint_is_share(result)
        text, between = words.estimate(value, low, high, share=is_share)
        if what == "trend":
            text, between = f"z = {words.number(value, 3)}", effects.p_value(float(row["p"]))
        elif not is_share:
            text += end
        rows.append(
            {
                "What": dose_words(what, float(row["dose"]), unit),
                "Estimate": f"{text}\n({between})" if between else text,
                "How": str(row["method"]),
            }
        )
    return pd.DataFrame(rows, columns=columns)


def dose_words(what: str, dose: float, unit: str) -> str:
    """What a row of the dose response is, for readers."""
    said = {
        "trend": "trend over the doses",
        "e0": "curve at dose 0 (e0)",
        "emax": "largest effect of the curve (emax)",
        "ed50": "dose of half that effect (ed50)",
    }
    if what == "arm":
        return f"dose {words.number(dose)}" + (f" {unit}" if unit and dose else "")
    return said.get(what, what.replace("-", words.MINUS))


def endpoint_is_share(result: Result) -> bool:
    """Whether the endpoint of the dose response is a share of patients."""
    return bool(set(result.dose_response["endpoint"]) & share_names(result))


def endpoint_unit(result: Result) -> str:
    """Unit of the endpoint of the dose response, after a space; empty for a pure number."""
    names = set(result.dose_response["endpoint"])
    units = result.endpoints.loc[result.endpoints["endpoint"].isin(names), "unit"].astype(str)
    unit = units.iloc[0] if len(units) else ""
    return "" if unit in ("", "1") else f" {words.shown_unit(unit)}"


def rules(result: Result) -> pd.DataFrame:
    """How often each rule did what, and in how many patients; one column per arm."""
    written = [rule_words(rule) for rule in result.study.get("rules") or []]
    actions = result.actions
    sizes = arm_sizes(result)
    arms = _arms_with_rules(result)
    if not written:
        return pd.DataFrame(columns=["Rule"])
    rows = []
    for rule in dict.fromkeys([*written, *actions["rule"].astype(str)]):
        own = actions[actions["rule"] == rule]
        kinds = own["action"].astype(str) + " " + own["drug"].astype(str)
        for kind in dict.fromkeys(kinds) or ["nothing"]:
            done = own[kinds == kind]
            cells = {}
            for arm in arms:
                inside = done[done["arm"] == arm]
                n, times = inside["patient"].nunique(), len(inside)
                again = f"\n{times:,} times" if times > n else ""
                cells[arm] = f"{_share_of(n, sizes.get(arm, 0))}{again}" if n else "0"
            rows.append({"Rule": rule, "Did": did(kind), **cells})
    return pd.DataFrame(rows, columns=["Rule", "Did", *arms])


def _share_of(n: int, whole: int) -> str:
    return f"{n:,} ({words.percent(n / whole)})" if whole else f"{n:,}"


def _arms_with_rules(result: Result) -> list[str]:
    """Arms in which some rule is looked at."""
    own: list[Sequence[str]] = [
        rule.get("arms") or result.arms if isinstance(rule, Mapping) else result.arms
        for rule in result.study.get("rules") or []
    ]
    return [arm for arm in result.arms if any(arm in arms for arms in own)]


def did(kind: str) -> str:
    """What a rule did, for readers.

    Examples
    --------
    >>> did("change adalimumab"), did("hold tocilizumab")
    ('change to adalimumab', 'hold tocilizumab')
    """
    verb, _, drug = kind.partition(" ")
    return f"change to {drug}" if verb == "change" else kind


def _whole(value: object) -> str:
    number = float(str(value))
    return f"{number:,.0f}" if math.isfinite(number) else words.NO_VALUE
