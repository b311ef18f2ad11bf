"""Figures of one virtual patient: where each number lies, and the course under every arm."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from immunostat.report import style, words
from immunostat.report.course_figures import kind_of
from immunostat.study.result import Patient, Result

#: Numbers of one strip plot, and panels of one figure of courses.
MOST_STRIPS, MOST_PANELS = 40, 12

_MARK = "#d55e00"


def strips(
    standing: pd.DataFrame, number: int, *, title: str = "where each number lies among all"
) -> style.Figure:
    """Where one patient lies among all, a strip for each number.

    Parameters
    ----------
    standing
        From `one_patient.standing`: name, value, percentile, q05 ... q95, unit, is_flag, share.
    number
        The patient, for the heading.

    Returns
    -------
    Strips of percentiles; the value and the middle half of all stand at the right.
    """
    rows = standing[standing["percentile"].notna()].head(MOST_STRIPS).reset_index(drop=True)
    data = rows.assign(
        label=[_label(name, unit) for name, unit in zip(rows["name"], rows["unit"], strict=True)],
        own=[
            ("yes" if value else "no") if is_flag else words.number(value)
            for value, is_flag in zip(rows["value"], rows["is_flag"], strict=True)
        ],
        others=[
            f"{words.percent(share)} yes"
            if is_flag
            else f"{words.number(low)} to {words.number(high)}"
            for share, is_flag, low, high in zip(
                rows["share"], rows["is_flag"], rows["q25"], rows["q75"], strict=True
            )
        ],
        full=1.0,
    )[["label", "percentile", "own", "others", "is_flag"]]
    labels = list(data["label"])
    y = alt.Y(
        "label:N",
        sort=labels,
        axis=alt.Axis(title=None, ticks=False, domain=False, labelLimit=260),
        scale=alt.Scale(paddingInner=0.4),
    )
    scale = alt.Scale(domain=[0, 1], nice=False)
    axis = alt.Axis(
        title="percentile among all patients",
        values=[0.05, 0.25, 0.5, 0.75, 0.95],
        labelExpr="format(100 * datum.value, '.0f')",
        grid=True,
        gridColor=style.GRID,
    )
    width = style.WIDE - 370
    base = alt.Chart(data)
    graded = base.transform_filter("!datum.is_flag")

    def band(low: float, high: float, color: str) -> alt.Chart:
        chart: alt.Chart = graded.mark_bar(color=color)
        return chart.encode(x=alt.X(datum=low, scale=scale), x2=alt.datum(high), y=y)

    figure = alt.layer(
        band(0.05, 0.95, "#e8edf2"),
        band(0.25, 0.75, "#c3d3e2"),
        graded.mark_tick(color=style.MUTED, thickness=1.4, size=11).encode(
            x=alt.X(datum=0.5, scale=scale), y=y
        ),
        graded.mark_point(filled=True, size=80, opacity=1, color=_MARK).encode(
            x=alt.X("percentile:Q", scale=scale, axis=axis), y=y
        ),
        base.mark_text(align="left", fontSize=11.5, fontWeight=600).encode(
            x=alt.value(width + 14), y=y, text="own:N"
        ),
        base.mark_text(align="left", fontSize=11.5, color=style.MUTED).encode(
            x=alt.value(width + 84), y=y, text="others:N"
        ),
    ).properties(width=width, height=alt.Step(21))
    return style.finish(
        figure,
        f"Patient {number}: {title[:1].lower()}{title[1:]}",
        "dot: this patient; bars: middle 50 % and 90 % of all; right: value, and middle half",
    )


def courses(result: Result, patient: Patient, variables: Sequence[str] = ()) -> style.Figure:
    """The course under every arm: one person, the same random numbers, another treatment.

    Parameters
    ----------
    result
        Where the patient comes from; gives the arms their colors.
    patient
        From `Result.patient`.
    variables
        Titles of outputs as in ``result.bands["variable"]``; those that say most if empty. A
        concentration is drawn on a logarithmic axis, without arms that do not give the drug.
    """
    chosen = list(variables) or default_variables(result)
    by_title = {
        str(array.attrs.get("long_name", name)): array
        for name, array in patient.trajectories.data_vars.items()
    }
    panels: list[style.Figure] = []
    for title in [name for name in chosen if name in by_title][:MOST_PANELS]:
        panel = _course_panel(result, patient, by_title[title], title)
        if panel is not None:
            panels.append(panel)
    figure = _grid(panels)
    if len(patient.events):
        figure = alt.vconcat(figure, _happened(result, patient), spacing=18)
    return style.finish(
        figure,
        f"Patient {patient.number} under every arm",
        "the same patient and the same random numbers; only the treatment differs",
    )


def visits(result: Result, patient: Patient, components: Sequence[str] = ()) -> style.Figure:
    """What the visits recorded under every arm, with the error of the day, and what happened.

    Parameters
    ----------
    components
        Columns of ``result.visits``; all if empty.
    """
    table = patient.visits
    given = [str(name) for name in table.columns if name not in ("arm", "patient", "time_day")]
    names = [name for name in given if table[name].notna().any()]
    names = [name for name in (components or names) if name in names][:MOST_PANELS]
    unit, days, axis = style.time_axis(float(table["time_day"].max()), most_ticks=7)
    color = style.arm_color(result)
    panels = []
    for name in names:
        data = table.assign(time=table["time_day"] / days, value=table[name].astype(float))
        base = alt.Chart(data[["arm", "time", "value"]].dropna())
        x = alt.X("time:Q", axis=axis, scale=alt.Scale(nice=False, padding=6))
        y = alt.Y("value:Q", axis=style.value_axis(), scale=alt.Scale(zero=False, nice=True))
        layers = alt.layer(
            base.mark_line(strokeWidth=1.6).encode(x, y, color=color),
            base.mark_point(filled=True, size=30, opacity=1).encode(x, y, color=color),
        )
        heading = alt.TitleParams(words.label(name), fontSize=12.5, offset=6)
        panels.append(layers.properties(width=style.NARROW - 20, height=130, title=heading))
    return style.finish(
        _grid(panels),
        f"Patient {patient.number}: what the visits recorded, by {unit}",
        "with the error of the day, which is the same under every arm",
    )


def default_variables(result: Result) -> list[str]:
    """Outputs that say most of a patient: drugs, targets, then courses with a unit."""
    titles = list(dict.fromkeys(result.bands["variable"].astype(str)))
    kinds = {title: kind_of(result, title) for title in titles}
    order = ("concentration", "engagement", "course")
    found = sorted(titles, key=lambda title: order.index(kinds[title]))
    return found[:MOST_PANELS]


def _course_panel(
    result: Result, patient: Patient, array: object, title: str
) -> style.Figure | None:
    """One output under every arm; None where no arm has a value."""
    import xarray as xr

    assert isinstance(array, xr.DataArray)
    kind = kind_of(result, title)
    times = array["time"].to_numpy().astype(float)
    _, days, axis = style.time_axis(float(times.max()), most_ticks=7)
    arms = [str(arm) for arm in array["arm"].values]
    kept = np.unique(np.linspace(0, len(times) - 1, style.MAXIMUM_POINTS).round().astype(int))
    parts = []
    for arm in arms:
        values = array.sel(arm=arm).to_numpy().astype(float)
        if kind != "course" and not np.nanmax(np.r_[values, 0.0]) > 0:
            continue
        parts.append(pd.DataFrame({"arm": arm, "time": times[kept] / days, "value": values[kept]}))
    if not parts:
        return None
    data = pd.concat(parts, ignore_index=True).dropna()
    scale: alt.Scale = alt.Scale(zero=False, nice=True)
    y_axis = style.value_axis()
    if kind == "engagement":
        scale, y_axis = alt.Scale(domain=[0, 1]), style.value_axis(share=True)
    elif kind == "concentration" and (data["value"] > 0).any():
        top = float(data["value"].max())
        bottom = max(float(data.loc[data["value"] > 0, "value"].min()), top / 1e4)
        data["value"] = data["value"].clip(lower=bottom)
        scale = alt.Scale(type="log", domain=[bottom, 1.3 * top], nice=False)
        decades = range(int(np.floor(np.log10(bottom))), int(np.ceil(np.log10(top))) + 1)
        y_axis = style.value_axis(values=[10.0**d for d in decades], labelOverlap=False)
    line: alt.Chart = alt.Chart(data).mark_line(strokeWidth=2, clip=True)
    line = line.encode(
        x=alt.X("time:Q", axis=axis, scale=alt.Scale(nice=False)),
        y=alt.Y("value:Q", axis=y_axis, scale=scale),
        color=style.arm_color(result).legend(symbolType="stroke", symbolStrokeWidth=3),
    )
    units = words.shown_unit(str(array.attrs.get("units", "")))
    said = f", {units}" if units not in ("", "1") else ""
    heading = alt.TitleParams(f"{words.label(title)}{said}", fontSize=12.5, offset=6)
    return line.properties(width=style.NARROW - 20, height=130, title=heading)


def _happened(result: Result, patient: Patient) -> style.Figure:
    """Side effects and what rules did, on a line for each arm."""
    last = float(patient.visits["time_day"].max()) if len(patient.visits) else 0.0
    last = max(last, float(patient.events["time_day"].max()))
    _, days, axis = style.time_axis(last)
    data = patient.events.assign(
        time=patient.events["time_day"] / days,
        said=[
            words.label(str(event)) + (f" (grade {grade:.0f})" if np.isfinite(grade) else "")
            for event, grade in zip(
                patient.events["event"], patient.events["grade"].astype(float), strict=True
            )
        ],
    )[["arm", "time", "said"]]
    names = alt.Axis(title=None, ticks=False, domain=False)
    base = alt.Chart(data)
    x = alt.X("time:Q", axis=axis, scale=alt.Scale(domain=[0, last / days], nice=False))
    y = alt.Y("arm:N", sort=result.arms, scale=alt.Scale(domain=result.arms), axis=names)
    layers = alt.layer(
        base.mark_point(filled=True, shape="diamond", size=70, opacity=1, color=style.INK).encode(
            x, y
        ),
        # Toward the middle, so that a late event is not cut off.
        base.transform_filter(f"datum.time <= {last / days / 2}")
        .mark_text(align="left", dx=8, fontSize=11)
        .encode(x, y, text="said:N"),
        base.transform_filter(f"datum.time > {last / days / 2}")
        .mark_text(align="right", dx=-8, fontSize=11)
        .encode(x, y, text="said:N"),
    )
    heading = alt.TitleParams("what happened", fontSize=12.5, offset=6)
    return layers.properties(width=style.WIDE - 100, height=alt.Step(24), title=heading)


def _grid(panels: Sequence[style.Figure]) -> style.Figure:
    """Panels two by two; rows of panels keep one width, whatever stands beside their axes."""
    rows = [
        alt.hconcat(*panels[i : i + 2], spacing=60, bounds="flush")
        for i in range(0, len(panels), 2)
    ]
    grid: style.Figure = alt.vconcat(*rows, spacing=18).resolve_scale(color="shared")
    return grid


def _label(name: str, unit: str) -> str:
    """Name of a number with its unit."""
    text = words.label(name)
    return f"{text}, {words.shown_unit(unit)}" if unit not in ("", "1") else text
