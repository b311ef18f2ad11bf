"""Figures in which every patient is drawn: swimmer, waterfall, spaghetti; and who has left.

Each takes plain tables, whose columns its docstring names.
"""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd

from immunostat.report import style, words
from immunostat.report.trial_figures import colors_of, legend_of

#: Patients that a figure with a line for each can show.
MOST_SWIMMERS, MOST_BARS, MOST_LINES = 40, 600, 60

#: Colors and marks of what rules do; a change is told by shape as well as by color.
DOSES: Mapping[str, str] = {
    "full dose": "#0072b2",
    "reduced": "#56b4e9",
    "escalated": "#6a4c93",
    "held": "#e3e7eb",
    "stopped": "transparent",
}
ACTIONS: Mapping[str, str] = {
    "hold": "square",
    "resume": "triangle-right",
    "reduce": "triangle-down",
    "lower": "triangle-down",
    "escalate": "triangle-up",
    "raise": "triangle-up",
    "change": "circle",
    "start": "triangle-left",
    "stop": "cross",
    "leave": "diamond",
}


def swimmer(
    spans: pd.DataFrame, actions: pd.DataFrame | None = None, *, title: str = "Doses in time"
) -> style.Figure:
    """A lane for each patient: the dose, and what was done.

    Parameters
    ----------
    spans
        ``patient``, ``start_day``, ``end_day``, ``dose`` (a key of `DOSES`, or another word).
    actions
        ``patient``, ``time_day``, ``action`` (a key of `ACTIONS`, or another word).

    Returns
    -------
    The first `MOST_SWIMMERS` patients of the table, the longest treated on top.
    """
    last = spans.groupby("patient", sort=False)["end_day"].max()
    patients = list(last.head(MOST_SWIMMERS).sort_values(ascending=False, kind="stable").index)
    spans = spans[spans["patient"].isin(patients)]
    unit, days, axis = style.time_axis(float(spans["end_day"].max()))
    data = spans.assign(
        start=spans["start_day"] / days, end=spans["end_day"] / days, lane=spans["patient"]
    )[["lane", "start", "end", "dose"]]
    known = [name for name in DOSES if name in set(data["dose"])]
    names = [*known, *(n for n in dict.fromkeys(data["dose"]) if n not in DOSES)]
    scale = alt.Scale(
        domain=names,
        range=[DOSES.get(n, style.PALETTE[(i + 2) % 8]) for i, n in enumerate(names)],
    )
    y = alt.Y(
        "lane:N",
        sort=patients,
        axis=alt.Axis(title="patient", ticks=False, domain=False, labelFontSize=10.5),
        scale=alt.Scale(paddingInner=0.3),
    )
    x_scale = alt.Scale(domain=[0, float(data["end"].max()) * 1.02], nice=False)
    legend = alt.Legend(symbolType="square", symbolStrokeWidth=1, symbolStrokeColor=style.LINE)
    bars = (
        alt.Chart(data)
        .mark_bar(stroke=style.LINE, strokeWidth=0.5)
        .encode(
            x=alt.X("start:Q", axis=axis, scale=x_scale),
            x2="end:Q",
            y=y,
            color=alt.Color("dose:N", scale=scale, legend=legend),
        )
    )
    layers: list[alt.Chart] = [bars]
    if actions is not None and len(actions):
        done = actions[actions["patient"].isin(patients)]
        done = done.assign(time=done["time_day"] / days, lane=done["patient"])
        kinds = [name for name in ACTIONS if name in set(done["action"])]
        kinds += [n for n in dict.fromkeys(done["action"]) if n not in ACTIONS]
        shape = alt.Shape(
            "action:N",
            scale=alt.Scale(domain=kinds, range=[ACTIONS.get(k, "circle") for k in kinds]),
            legend=alt.Legend(symbolFillColor=style.INK),
        )
        marks = alt.Chart(done[["lane", "time", "action"]])
        layers.append(
            marks.mark_point(
                filled=True, fill=style.INK, stroke="white", strokeWidth=0.8, size=62, opacity=1
            ).encode(x=alt.X("time:Q", scale=x_scale), y=y, shape=shape)
        )
    shown = f"{len(patients)} of {len(last):,} patients" if len(last) > len(patients) else ""
    return style.finish(
        alt.layer(*layers).properties(width=style.WIDE - 60, height=alt.Step(13)),
        f"{title} by {unit}",
        "; ".join(part for part in (shown, "bar: dose; mark: what was done") if part),
    )


def waterfall(
    table: pd.DataFrame,
    label: str,
    *,
    is_percent: bool = False,
    level: float | None = None,
    colors: Mapping[str, str] | None = None,
) -> style.Figure:
    """Best change of every patient, sorted, arms side by side.

    Parameters
    ----------
    table
        ``arm`` and ``change``, one row per patient; missing changes are left out. More than
        `MOST_BARS` patients of an arm are shown by that many evenly chosen ones.
    label
        What changes, with its unit.
    is_percent
        Whether changes are in percent of baseline.
    level
        A threshold that is drawn, for example -50.
    """
    arms = list(dict.fromkeys(table["arm"].astype(str)))
    columns = min(3, len(arms))
    most = min(MOST_BARS, style.MAXIMUM_ROWS // max(1, len(arms)), style.WIDE // columns)
    parts = []
    for arm in arms:
        own = table[table["arm"] == arm]["change"].dropna()
        values = np.sort(own.to_numpy(float))[::-1]
        if len(values) > most:
            values = values[np.linspace(0, len(values) - 1, most).round().astype(int)]
        share = np.arange(len(values) + 1) / max(1, len(values))
        parts.append(
            pd.DataFrame({"arm": arm, "change": values, "from": share[:-1], "to": share[1:]})
        )
    data = pd.concat(parts, ignore_index=True)
    width = (style.WIDE - 30 * columns) // columns
    end = "%" if is_percent else ""
    y_axis = style.value_axis(
        labelExpr=f"{style.PLAIN_NUMBER} + '{end}'", grid=True, gridColor=style.GRID
    )
    x_axis = alt.Axis(title="share of patients", format="~%", values=[0, 0.25, 0.5, 0.75])
    base = alt.Chart(data)
    bars = base.mark_rect().encode(
        x=alt.X("from:Q", axis=x_axis, scale=alt.Scale(domain=[0, 1])),
        x2="to:Q",
        y=alt.Y("change:Q", axis=y_axis, scale=alt.Scale(nice=True)),
        y2=alt.datum(0),
        color=alt.Color("arm:N", scale=colors_of(arms, colors), legend=None),
    )
    layers = [bars, base.mark_rule(color=style.INK, strokeWidth=1).encode(y=alt.datum(0))]
    if level is not None:
        dashed = base.mark_rule(color=style.INK, strokeDash=[5, 3], strokeWidth=1.2)
        layers.append(dashed.encode(y=alt.datum(level)))
    header = alt.Header(title=None, labelFontSize=12, labelColor=style.INK, labelFontWeight=600)
    spec = alt.layer(*layers).properties(width=width, height=220)
    figure = spec.facet(facet=alt.Facet("arm:N", sort=arms, header=header), columns=columns)
    line = f"; dashed: {words.number(level)}{end}" if level is not None else ""
    return style.finish(
        figure, f"{label}: best change of each patient", f"one bar for each patient, sorted{line}"
    )


def dropout(
    table: pd.DataFrame,
    *,
    colors: Mapping[str, str] | None = None,
    title: str = "Who has left, and why",
) -> style.Figure:
    """Share of patients who have left by each time, stacked by cause, arms side by side.

    Parameters
    ----------
    table
        ``arm``, ``cause``, ``time_day``, ``share`` (cumulative, 0 to 1). Every cause of an arm has
        the same times.
    """
    arms = list(dict.fromkeys(table["arm"].astype(str)))
    causes = list(dict.fromkeys(table["cause"].astype(str)))
    unit, days, axis = style.time_axis(float(table["time_day"].max()), most_ticks=5)
    times = np.unique(table["time_day"].to_numpy(float))
    most = max(2, style.MAXIMUM_ROWS // max(1, len(arms) * len(causes)))
    if len(times) > most:
        chosen = times[np.linspace(0, len(times) - 1, most).round().astype(int)]
        table = table[table["time_day"].isin(chosen)]
    order = {cause: i for i, cause in enumerate(causes)}
    data = table.assign(time=table["time_day"] / days, order=table["cause"].map(order))
    columns = min(3, len(arms))
    y_axis = style.value_axis(True, grid=True, gridColor=style.GRID)
    areas = (
        alt.Chart(data[["arm", "cause", "time", "share", "order"]])
        .mark_area(interpolate="step-after")
        .encode(
            x=alt.X("time:Q", axis=axis, scale=alt.Scale(nice=False)),
            y=alt.Y("share:Q", stack="zero", axis=y_axis),
            color=alt.Color(
                "cause:N", scale=colors_of(causes, colors), legend=legend_of(causes), sort=causes
            ),
            order=alt.Order("order:Q"),
        )
        .properties(width=(style.WIDE - 30 * columns) // columns, height=200)
    )
    width = (style.WIDE - 30 * columns) // columns
    header = alt.Header(
        title=None, labelFontSize=12, labelColor=style.INK, labelFontWeight=600, labelLimit=width
    )
    figure = areas.facet(facet=alt.Facet("arm:N", sort=arms, header=header), columns=columns)
    return style.finish(
        figure, f"{title}, by {unit}", "share of patients, by the cause for which they left first"
    )


def spaghetti(
    lines: pd.DataFrame,
    bands: pd.DataFrame,
    label: str,
    *,
    color: str = style.PALETTE[0],
    marked: int | None = None,
) -> style.Figure:
    """Single patients as thin lines over the bands of all.

    Parameters
    ----------
    lines
        ``patient``, ``time_day``, ``value``; the first `MOST_LINES` patients are drawn.
    bands
        ``time_day``, ``q05``, ``q25``, ``q50``, ``q75``, ``q95``.
    label
        What is followed, with its unit.
    marked
        Number of a patient whose line is drawn thick.
    """
    unit, days, axis = style.time_axis(float(bands["time_day"].max()))
    patients = list(dict.fromkeys(lines["patient"]))
    kept = patients[:MOST_LINES]
    if marked is not None and marked in patients and marked not in kept:
        kept.append(marked)
    own = lines[lines["patient"].isin(kept)]
    times = np.unique(own["time_day"].to_numpy(float))
    most = max(2, style.MAXIMUM_ROWS // max(1, len(kept)))
    if len(times) > most:
        chosen = times[np.linspace(0, len(times) - 1, most).round().astype(int)]
        own = own[own["time_day"].isin(chosen)]
    own = own.assign(time=own["time_day"] / days, is_marked=own["patient"] == marked)
    own = own[["patient", "time", "value", "is_marked"]]
    quantiles = ["q05", "q25", "q50", "q75", "q95"]
    spread = bands.assign(time=bands["time_day"] / days)[["time", *quantiles]]
    spread = spread.iloc[
        np.unique(np.linspace(0, len(spread) - 1, style.MAXIMUM_POINTS).round().astype(int))
    ]
    x = alt.X("time:Q", axis=axis, scale=alt.Scale(nice=False))
    scale = alt.Scale(zero=False, nice=True)
    y_axis = style.value_axis()
    under, each = alt.Chart(spread), alt.Chart(own)
    layers = [
        under.mark_area(opacity=0.15, color=color).encode(
            x, alt.Y("q05:Q", axis=y_axis, scale=scale), y2="q95:Q"
        ),
        under.mark_area(opacity=0.2, color=color).encode(
            x, alt.Y("q25:Q", scale=scale), y2="q75:Q"
        ),
        each.mark_line(strokeWidth=0.8, opacity=0.4, color=style.INK).encode(
            x, alt.Y("value:Q", scale=scale), detail="patient:N"
        ),
        under.mark_line(strokeWidth=2.8, color=color).encode(x, alt.Y("q50:Q", scale=scale)),
    ]
    if marked in kept:
        layers.append(
            each.transform_filter("datum.is_marked")
            .mark_line(strokeWidth=2.6, color="#d55e00")
            .encode(x, alt.Y("value:Q", scale=scale))
        )
    also = f"; orange: patient {marked}" if marked in kept else ""
    return style.finish(
        alt.layer(*layers).properties(width=style.WIDE, height=280),
        f"{label} by {unit}",
        f"thin: {len(kept)} patients; median and bands of 50 % and 90 % of all{also}",
    )
