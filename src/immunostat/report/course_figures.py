"""Figures of what happens inside: concentration, target engagement, markers, immune functions."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from immunostat.base.errors import UnknownNameError, near_matches
from immunostat.report import style, words
from immunostat.study.result import Result

DECADES = 5.0
"""A concentration this many powers of ten below the highest is off the axis: gone, in effect."""

RARE = 0.02
"""Share of the values, the lowest, that a logarithmic axis may leave out."""

OVERLAID = 2
"""Arms whose bands can be told apart in one plot."""

QUANTILES = ["q05", "q25", "q50", "q75", "q95"]

STRONGEST = 3.0
"""Doublings or halvings at which the color of the profile is deepest."""

DEEP = 2.4
"""Doublings or halvings from which white text reads better on the color than black."""

SHADES = ["#1f6fb2", "#f3f1ee", "#c8600d"]
"""From suppressed over unchanged to stimulated; told apart with any color vision."""


def kind_of(result: Result, variable: str) -> str:
    """Whether a variable is a 'concentration', a target 'engagement', or another 'course'.

    A column ``kind`` of ``result.bands`` says so where there is one, else the variable's name.
    """
    rows = result.bands[result.bands["variable"] == variable]
    if "kind" in rows.columns and len(rows) and str(rows["kind"].iloc[0]):
        return str(rows["kind"].iloc[0])
    name = variable.lower()
    if "engagement" in name or "occupancy" in name:
        return "engagement"
    return "concentration" if "concentration" in name else "course"


def course(result: Result, variable: str, patient: int | None = None) -> style.Figure:
    """One variable over time: median patient, and the bands that hold 50 % and 90 % of patients.

    Up to `OVERLAID` arms share one narrow plot; more stand side by side, so that the bands can be
    told apart.

    Parameters
    ----------
    result
        A study's answer.
    variable
        Name as in ``result.bands``. A concentration is drawn on a logarithmic axis, an
        engagement in percent, both without the arms in which it stays zero.
    patient
        Number of a patient whose own course is drawn over the bands, dashed; nobody's if None, or
        where the result does not keep courses.

    Raises
    ------
    UnknownNameError
        The result has no bands of that variable.
    """
    rows = result.bands[result.bands["variable"] == variable]
    if rows.empty:
        known = list(dict.fromkeys(result.bands["variable"]))
        raise UnknownNameError(
            f"no bands of '{variable}' in this result", remedy=near_matches(variable, known)
        )
    kind = kind_of(result, variable)
    if kind != "course":
        given = rows.groupby("arm")["q95"].transform("max") > 0
        rows = rows[given] if given.any() else rows
    arms = [arm for arm in result.arms if arm in set(rows["arm"])]
    unit = str(rows["unit"].iloc[0])
    data = _thinned(rows)
    own = _own_course(result, variable, patient, data)
    if own is not None:
        data = data.merge(own, on=["arm", "time_day"], how="left")
    scale, axis = _value_scale(data, kind, unit)
    is_wide = len(arms) > OVERLAID
    columns = min(4, len(arms)) if is_wide else 1
    width = (style.WIDE - 20 - 24 * columns) // columns if is_wide else style.NARROW
    last_day = float(data["time_day"].max())
    time_unit, days, time_axis = style.time_axis(last_day, most_ticks=8 if columns == 1 else 4)
    data["time"] = data["time_day"] / days
    x = alt.X("time:Q", axis=time_axis, scale=alt.Scale(nice=False))
    color = style.arm_color(result, arms, legend=not is_wide)
    base = alt.Chart()

    def band(low: str, high: str, opacity: float) -> alt.Chart:
        y = alt.Y(f"{low}:Q", scale=scale, axis=axis)
        area: alt.Chart = base.mark_area(opacity=opacity, clip=True)
        return area.encode(x=x, y=y, y2=f"{high}:Q", color=color)

    median = base.mark_line(strokeWidth=2, clip=True).encode(
        x, alt.Y("q50:Q", scale=scale, axis=axis), color=color
    )
    drawn = [band("q05", "q95", 0.14), band("q25", "q75", 0.22), median]
    if own is not None:
        # Half lies in the ground, so that the line can be seen on its own band.
        line: alt.Chart = base.mark_line(strokeWidth=1.8, strokeDash=[5, 3], clip=True)
        y = alt.Y("own:Q", scale=scale, axis=axis)
        drawn.append(line.encode(x=x, y=y, detail="arm:N", color=alt.value(style.INK)))
    layers = alt.layer(*drawn)
    layers["width"], layers["height"] = width, 150 if is_wide else 190
    header = alt.Header(title=None, labelFontSize=12, labelColor=style.INK, labelFontWeight=600)
    figure: style.Figure = layers
    data = data[["arm", "time", *QUANTILES, *(["own"] if own is not None else [])]]
    if is_wide:
        facet = alt.Facet("arm:N", sort=arms, header=header)
        figure = alt.FacetChart(data, spec=layers, facet=facet, columns=columns, spacing=24)
    else:
        figure["data"] = data
    measure = f"{words.shown_unit(unit)}; " if unit not in ("", "1") else ""
    return style.finish(
        figure,
        f"{words.label(variable)} by {time_unit}",
        f"{measure}median, and bands of 50 % and 90 % of patients"
        + (f"; dashed: patient {patient}" if own is not None else ""),
    )


def _own_course(
    result: Result, variable: str, patient: int | None, data: pd.DataFrame
) -> pd.DataFrame | None:
    """The course of one patient at the times of the bands: ``arm``, ``time_day``, ``own``."""
    courses = result.trajectories
    if patient is None or "patient" not in courses.dims:
        return None
    rows = np.flatnonzero(courses["patient"].to_numpy() == patient)
    array = next((a for a in courses.values() if a.attrs.get("long_name") == variable), None)
    if array is None or not len(rows):
        return None
    times = courses["time"].to_numpy().astype(float)
    parts = []
    for arm in dict.fromkeys(data["arm"]):
        wanted = data.loc[data["arm"] == arm, "time_day"].to_numpy(float)
        near = np.clip(np.searchsorted(times, wanted - 1e-9), 0, len(times) - 1)
        values = array.sel(arm=arm).isel(patient=int(rows[0])).to_numpy().astype(float)[near]
        parts.append(pd.DataFrame({"arm": arm, "time_day": wanted, "own": values}))
    return pd.concat(parts, ignore_index=True)


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    """Few enough times to draw, evenly chosen, the first and last kept."""
    times = np.unique(rows["time_day"].to_numpy(dtype=float))
    most = min(style.MAXIMUM_POINTS, style.MAXIMUM_ROWS // rows["arm"].nunique())
    if times.size > most:
        chosen = np.linspace(0, times.size - 1, most).round().astype(int)
        rows = rows[rows["time_day"].isin(times[chosen])]
    return rows.reset_index(drop=True).copy()


def _value_scale(data: pd.DataFrame, kind: str, unit: str) -> tuple[alt.Scale, alt.Axis]:
    """Scale and axis that suit the kind; what lies below a logarithmic axis is moved off it."""
    if kind == "engagement" and unit in ("", "1"):
        return alt.Scale(domain=[0, 1]), style.value_axis(share=True)
    columns = [*QUANTILES, *(["own"] if "own" in data else [])]
    quantiles = data[columns].to_numpy(dtype=float)
    positive = quantiles[quantiles > 0]
    if kind != "concentration" or not positive.size:
        return alt.Scale(zero=False, nice=True), style.value_axis()
    high = float(positive.max())
    low = max(float(np.quantile(positive, RARE)), high / 10**DECADES)
    bottom = 10.0 ** np.floor(np.log10(low))
    data[columns] = data[columns].clip(lower=bottom / 10)
    steps = (1,) if high / bottom > 10**2.5 else (1, 2, 5)
    exponents = range(round(np.log10(bottom)), int(np.ceil(np.log10(high))) + 1)
    ticks = [step * 10.0**exponent for exponent in exponents for step in steps]
    ticks = [tick for tick in ticks if tick <= high * 1.3]
    axis = style.value_axis(values=ticks, labelOverlap=False)
    return alt.Scale(type="log", domain=[bottom, high * 1.3], nice=False), axis


def profile(result: Result) -> style.Figure:
    """Which part of the immune response each arm raises or lowers, and by how much."""
    rows = result.profile.copy()
    arms = [arm for arm in result.arms if arm in set(rows["arm"])]
    ratio = rows["ratio"].astype(float)
    arrows = {"stimulated": "↑", "suppressed": "↓", "mixed": "↕"}
    rows["shade"] = np.log2(ratio.clip(lower=1e-6)).clip(-STRONGEST, STRONGEST)
    rows["main"] = [
        f"{arrows.get(str(direction), '')} {words.ratio(value)}×".strip()
        for direction, value in zip(rows["direction"], ratio, strict=True)
    ]
    rows["range"] = [
        f"{words.ratio(low)} to {words.ratio(high)}"
        for low, high in zip(rows["low"], rows["high"], strict=True)
    ]
    rows["ink"] = np.where(rows["shade"].abs() > DEEP, "#ffffff", "#111111")
    rows["function"] = [words.label(str(name)) for name in rows["function"]]
    cell = max(84, min(175, (style.WIDE - 190) // max(1, len(arms))))
    names = alt.Axis(
        title=None, orient="top", labelAngle=0, ticks=False, domain=False, labelLimit=cell
    )
    x = alt.X("arm:N", sort=arms, axis=names, scale=alt.Scale(padding=0.03))
    y = alt.Y(
        "function:N",
        sort=list(dict.fromkeys(rows["function"])),
        axis=alt.Axis(title=None, ticks=False, domain=False),
        scale=alt.Scale(padding=0.06),
    )
    shade = alt.Color(
        "shade:Q",
        scale=alt.Scale(domain=[-STRONGEST, 0, STRONGEST], range=SHADES, interpolate="rgb"),
        legend=alt.Legend(
            title="suppressed ← times the activity → stimulated",
            titleLimit=400,
            titleFontSize=11.5,
            titleFontWeight="normal",
            titleColor=style.MUTED,
            orient="bottom",
            direction="horizontal",
            gradientLength=300,
            gradientThickness=10,
            values=[-3, -2, -1, 0, 1, 2, 3],
            labelExpr="datum.value < 0 ? '1/' + pow(2, -datum.value) : pow(2, datum.value)",
            labelOverlap=False,
            offset=14,
        ),
    )
    base = alt.Chart()
    ink = alt.Color("ink:N", scale=None)
    layers = alt.layer(
        base.mark_rect(cornerRadius=3).encode(x, y, color=shade),
        base.mark_text(dy=-6, fontSize=12.5, fontWeight=600).encode(x, y, text="main:N", color=ink),
        base.mark_text(dy=9, fontSize=10).encode(x, y, text="range:N", color=ink),
        data=rows[["arm", "function", "shade", "main", "range", "ink"]],
    ).resolve_scale(color="independent")
    return style.finish(
        layers.properties(width=cell * max(1, len(arms)), height=alt.Step(38)),
        "Immune activity under each arm",
        "times the activity without the arm's drugs; median, 5 to 95 % of patients",
    )
