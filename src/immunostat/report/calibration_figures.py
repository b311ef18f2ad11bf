"""Figures of a calibration: training results, numbers, how well they are told, and the search."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from immunostat.report import style, words
from immunostat.study.calibration import Calibrated
from immunostat.study.identifiability import Z95

#: Rise of the objective at the ends of a 95 % interval of one number.
RISE = Z95**2

#: Evaluations that the figure of the search shows.
MOST_EVALUATIONS = 1500

#: Colors of the published value, the start and the fit.
COLORS = {"published": style.INK, "start": style.CONTROL, "fitted": "#d55e00"}

#: Colors from strongly falling to strongly rising.
DIVERGING = ["#2166ac", "#92c5de", "#f7f7f7", "#f4a582", "#b2182b"]

STAGES = {
    "start": style.INK,
    "explore": "#56b4e9",
    "polish": "#0072b2",
    "slopes": "#cc79a7",
    "profile": "#e69f00",
}


def training(found: Calibrated) -> style.Figure:
    """Every result that was followed: published with its interval, at the start, and fitted."""
    table = found.training
    panels: list[style.Figure] = []
    for unit, rows in table.groupby("unit", sort=False):
        panels.append(_training_panel(rows, str(unit), not panels))
    figure = alt.vconcat(*panels, spacing=18)
    return style.finish(
        figure,
        "Training results",
        "lines: published values, give or take 1.96 of their standard errors",
    )


def _training_panel(rows: pd.DataFrame, unit: str, has_legend: bool) -> style.Figure:
    labels = [
        f"{row['trial']}, {row['arm']}: {row['endpoint']}, week {row['week']:.4g}"
        for row in rows.to_dict("records")
    ]
    ends = _ends(rows)
    parts = [
        pd.DataFrame({"label": labels, "what": what, "value": rows[what].astype(float)})
        for what in COLORS
    ]
    data = pd.concat(parts, ignore_index=True).dropna(subset=["value"])
    span = ends.assign(label=labels, what="published")
    title = "percent of patients" if unit == "%" else "" if unit == "1" else unit
    axis = style.value_axis(grid=True, gridColor=style.GRID, title=title)
    y = alt.Y(
        "label:N",
        sort=labels,
        axis=alt.Axis(title=None, ticks=False, domain=False, labelLimit=380, labelFontSize=11),
        scale=alt.Scale(paddingInner=0.3),
    )
    offset = alt.YOffset("what:N", scale=alt.Scale(domain=list(COLORS)))
    color = alt.Color(
        "what:N",
        scale=alt.Scale(domain=list(COLORS), range=list(COLORS.values())),
        legend=alt.Legend() if has_legend else None,
    )
    scale = alt.Scale(zero=unit == "%", nice=True)
    return alt.layer(
        alt.Chart(span)
        .mark_rule(strokeWidth=1.6, color=style.INK)
        .encode(x=alt.X("low:Q", axis=axis, scale=scale), x2="high:Q", y=y, yOffset=offset),
        alt.Chart(data)
        .mark_point(filled=True, opacity=1, size=48)
        .encode(x=alt.X("value:Q", scale=scale), y=y, yOffset=offset, color=color),
    ).properties(width=style.WIDE - 390, height=alt.Step(7, **{"for": "offset"}))


def _ends(rows: pd.DataFrame) -> pd.DataFrame:
    """Ends of the published intervals in the unit of the result."""
    value = rows["published"].to_numpy(float)
    half = Z95 * rows["standard_error"].to_numpy(float)
    scale = rows["scale"].to_numpy(str)
    low, high = value - half, value + half
    is_log = scale == "log"
    low = np.where(is_log, value * np.exp(-half), low)
    high = np.where(is_log, value * np.exp(half), high)
    is_logit = scale == "logit"
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.log(value / (100.0 - value))
    for side, sign in ((low, -1), (high, 1)):
        side[is_logit] = (100.0 / (1.0 + np.exp(-(odds + sign * half))))[is_logit]
    is_share = rows["unit"].to_numpy(str) == "%"
    low, high = (
        np.where(is_share, np.clip(low, 0, 100), low),
        np.where(is_share, np.clip(high, 0, 100), high),
    )
    return pd.DataFrame({"low": low, "high": high})


def numbers(found: Calibrated) -> style.Figure:
    """Every number between its bounds: start, fit, and 95 % interval."""
    rows = found.numbers
    place: dict[str, list[float]] = {"start": [], "fitted": [], "low": [], "high": []}
    for row in rows.to_dict("records"):
        for key, values in place.items():
            values.append(_share_of_range(row, float(row[key])))
    labels = [
        f"{row['name']}: {words.number(row['fitted'])} "
        f"({words.number(row['low'])} to {words.number(row['high'])})"
        for row in rows.to_dict("records")
    ]
    data = pd.DataFrame({"label": labels, **place})
    long = pd.concat(
        [
            pd.DataFrame({"label": labels, "what": what, "at": place[what]})
            for what in ("start", "fitted")
        ]
    )
    y = alt.Y(
        "label:N",
        sort=labels,
        axis=alt.Axis(title=None, ticks=False, domain=False, labelLimit=390),
        scale=alt.Scale(paddingInner=0.3),
    )
    scale = alt.Scale(domain=[0, 1])
    axis = alt.Axis(
        title="place between the bounds of the search",
        values=[0, 0.5, 1],
        labelExpr="datum.value == 0 ? 'lowest' : datum.value == 1 ? 'highest' : ''",
        grid=True,
        gridColor=style.GRID,
    )
    names = ["start", "fitted"]
    color = alt.Color(
        "what:N", scale=alt.Scale(domain=names, range=[COLORS[n] for n in names]),
        legend=alt.Legend(),
    )  # fmt: skip
    figure = alt.layer(
        alt.Chart(data)
        .mark_rule(strokeWidth=2, color=COLORS["fitted"])
        .encode(x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q", y=y),
        alt.Chart(long)
        .mark_point(filled=True, opacity=1, size=60)
        .encode(x=alt.X("at:Q", scale=scale), y=y, color=color),
    ).properties(width=style.WIDE - 400, height=alt.Step(24))
    return style.finish(figure, "Fitted numbers", "lines: 95 % intervals, cut at the bounds")


def _share_of_range(row: Mapping[Hashable, Any], value: float) -> float:
    low, high, at = float(row["least"]), float(row["most"]), value
    if row["scale"] == "log":
        low, high, at = np.log(low), np.log(high), np.log(value)
    return float((at - low) / (high - low))


def correlation(found: Calibrated) -> style.Figure:
    """Correlation of the errors of the fitted numbers."""
    names = [str(name) for name in found.numbers["name"]]
    values = found.information.correlation
    rows = [
        {"first": a, "second": b, "value": values[i, j], "mark": f"{values[i, j]:.2f}"}
        for i, a in enumerate(names)
        for j, b in enumerate(names)
        if j < i
    ]
    return style.finish(
        _matrix(pd.DataFrame(rows), names[:-1], names[1:], 1.0),
        "Correlation of the errors",
        "near 1 or −1: the data tell a combination of the two, not each of them",
    )


def slopes(found: Calibrated) -> style.Figure:
    """How each training result answers to each number."""
    told, table = found.information, found.numbers
    names = [str(name) for name in table["name"]]
    before = _before(table)
    labels = [
        f"{row['trial']}, {row['arm'].split(' ')[0]}: {row['endpoint']}"
        for row in found.training.to_dict("records")
    ]
    labels = [f"{i + 1}. {label}" for i, label in enumerate(labels)]
    scaled = told.slopes * before
    rows = [
        {"first": label, "second": name, "value": scaled[i, j], "mark": f"{scaled[i, j]:+.1f}"}
        for i, label in enumerate(labels)
        for j, name in enumerate(names)
    ]
    most = float(np.abs(scaled).max()) or 1.0
    data = pd.DataFrame(rows)
    data["mark"] = data["mark"].where(data["value"].abs() >= 0.05, "0")
    return style.finish(
        _matrix(data, names, labels, min(most, 5.0)),
        "What each result says of each number",
        "change of the prediction, in standard errors of the result, when a number rises by one "
        "standard deviation of what was known before",
    )


def _before(table: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Standard deviation of each number before the data, search scale."""
    widths = [
        np.log(row["most"] / row["least"]) if row["scale"] == "log" else row["most"] - row["least"]
        for row in table.to_dict("records")
    ]
    pull = table["pull"].to_numpy(float)
    return np.asarray(np.where(np.isnan(pull), np.array(widths) / np.sqrt(12.0), pull))


def _matrix(data: pd.DataFrame, columns: list[str], rows: list[str], most: float) -> alt.LayerChart:
    """Cells with numbers, blue for below and red for above zero."""
    cell = max(46, min(90, (style.WIDE - 300) // max(1, len(columns))))
    data = data.assign(ink=np.where(data["value"].abs() > 0.72 * most, "#ffffff", "#111111"))
    x = alt.X(
        f"{'second' if set(columns) >= set(data['second']) else 'first'}:N",
        sort=columns,
        axis=alt.Axis(
            title=None, orient="top", labelAngle=-40, ticks=False, domain=False, labelLimit=200
        ),
    )
    y = alt.Y(
        f"{'first' if set(columns) >= set(data['second']) else 'second'}:N",
        sort=rows,
        axis=alt.Axis(title=None, ticks=False, domain=False, labelLimit=290),
    )
    shade = alt.Color(
        "value:Q",
        scale=alt.Scale(domain=list(np.linspace(-most, most, 5)), range=DIVERGING, clamp=True),
        legend=None,
    )
    base = alt.Chart(data)
    layers: alt.LayerChart = alt.layer(
        base.mark_rect(cornerRadius=2).encode(x, y, color=shade),
        base.mark_text(fontSize=11).encode(
            x, y, text="mark:N", color=alt.Color("ink:N", scale=None)
        ),
    ).resolve_scale(color="independent")
    return layers.properties(width=cell * len(columns), height=alt.Step(24))


def profiles(found: Calibrated) -> style.Figure | None:
    """The objective along each number, the others following it; None if nothing was looked at."""
    told, table = found.information, found.numbers.to_dict("records")
    points: dict[int, list[tuple[float, float]]] = {}
    for own, above in found.profile:
        points.setdefault(own.number, [(0.0, 0.0)]).append((own.at, above / told.dispersion))
    panels = [
        _profile_panel(str(table[i]["name"]), sorted(own), i % 3 == 0)
        for i, own in sorted(points.items())
    ]
    if not panels:
        return None
    lines = [alt.hconcat(*panels[i : i + 3], spacing=24) for i in range(0, len(panels), 3)]
    return style.finish(
        alt.vconcat(*lines, spacing=18),
        "Profiles",
        "dots: rise of the objective; line: as a parabola, from which intervals are taken; "
        "dashed: end of a 95 % interval",
    )


def _profile_panel(name: str, points: list[tuple[float, float]], is_first: bool) -> style.Figure:
    top = 2.2**2
    line = pd.DataFrame({"at": np.linspace(-2.2, 2.2, 45)})
    line["rise"] = line["at"] ** 2
    dots = pd.DataFrame(points, columns=["at", "rise"])
    dots["rise"] = dots["rise"].clip(-0.8, 1.6 * top)
    x = alt.X("at:Q", axis=alt.Axis(title="standard errors", values=[-2, -1, 0, 1, 2]),
              scale=alt.Scale(domain=[-2.3, 2.3]))  # fmt: skip
    scale = alt.Scale(domain=[-0.8, 1.65 * top])
    y = alt.Y(
        "rise:Q", scale=scale, axis=style.value_axis(ticks=4, title="rise" if is_first else None)
    )
    rule = alt.Chart(pd.DataFrame({"rise": [RISE]})).mark_rule(color=style.LINE, strokeDash=[4, 3])
    return alt.layer(
        rule.encode(y=y),
        alt.Chart(line).mark_line(color=style.LINE, strokeWidth=1.5).encode(x=x, y=y),
        alt.Chart(dots)
        .mark_point(filled=True, opacity=1, size=50, color="#d55e00")
        .encode(x=x, y=y),
    ).properties(
        width=190,
        height=120,
        title=alt.TitleParams(name, fontSize=12, anchor="start", offset=4),
    )


def convergence(found: Calibrated) -> style.Figure:
    """The objective of every evaluation, and the best one so far."""
    table = found.evaluations
    step = max(1, len(table) // MOST_EVALUATIONS)
    rows = table.iloc[::step]
    largest = float(np.nanquantile(table["objective"], 0.98))
    low = max(float(table["best"].min()), 1e-3)
    rows = rows.assign(objective=rows["objective"].clip(low, max(largest, 2 * low)))
    scale = alt.Scale(type="log", nice=False, domain=[0.85 * low, max(largest, 2 * low)])
    x = alt.X("evaluation:Q", axis=style.value_axis(title="evaluation"))
    stages = [name for name in STAGES if name in set(rows["stage"])]
    color = alt.Color(
        "stage:N",
        scale=alt.Scale(domain=stages, range=[STAGES[name] for name in stages]),
        legend=alt.Legend(),
    )
    y = alt.Y("objective:Q", scale=scale, axis=style.value_axis(grid=True, gridColor=style.GRID))
    figure = alt.layer(
        alt.Chart(rows[["evaluation", "objective", "stage"]])
        .mark_point(filled=True, opacity=0.65, size=16)
        .encode(x=x, y=y, color=color),
        alt.Chart(rows[["evaluation", "best"]])
        .mark_line(interpolate="step-after", color=style.INK, strokeWidth=1.6)
        .encode(x=x, y=alt.Y("best:Q", scale=scale)),
    ).properties(width=style.WIDE - 60, height=220)
    return style.finish(
        figure, "The search", "objective of each evaluation; line: the best one so far"
    )
