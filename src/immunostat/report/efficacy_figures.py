"""Figures of what the treatment achieves, and how far that is from what trials published."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from immunostat.base.errors import UnknownNameError, near_matches
from immunostat.report import style, words
from immunostat.study.result import Result

NEAR_DAY = 7.0
"""Published and simulated values this close in time are drawn as one visit."""


def response(result: Result, endpoint: str) -> style.Figure:
    """One endpoint over the visits, each arm with its 95 % band.

    Parameters
    ----------
    result
        A study's answer.
    endpoint
        Name as in ``result.endpoints``, for example ACR20 (in percent of patients) or DAS28-CRP
        (in its own unit).

    Raises
    ------
    UnknownNameError
        The result has no such endpoint.
    """
    rows = _rows_of(result, endpoint)
    first = rows.iloc[0]
    share = words.is_fraction(str(first["unit"]), str(first["statistic"]))
    unit, days, axis = style.time_axis(float(rows["time_day"].max()))
    data = rows.assign(time=rows["time_day"] / days)
    measure = "share of patients" if share else f"{first['statistic']}{_unit(first['unit'])}"
    y_axis = style.value_axis(share)
    y_scale = alt.Scale(zero=share, nice=True)
    x = alt.X("time:Q", axis=axis, scale=alt.Scale(nice=False, padding=6))
    color = style.arm_color(result, list(data["arm"].unique()))
    data = data[["arm", "time", "estimate", "low", "high"]]
    base = alt.Chart()
    if data["time"].nunique() == 1:
        return _points(
            data, result, f"{words.label(endpoint)}, {words.when(first['time_day'])}", y_axis
        )
    y = alt.Y("estimate:Q", axis=y_axis, scale=y_scale)
    layers = alt.layer(
        base.mark_area(opacity=0.16).encode(x=x, y=alt.Y("low:Q"), y2="high:Q", color=color),
        base.mark_line(strokeWidth=2.2).encode(x=x, y=y, color=color),
        base.mark_point(filled=True, opacity=1, size=34).encode(x=x, y=y, color=color),
        data=data,
        width=style.WIDE,
        height=270,
    )
    title = f"{words.label(endpoint)} by {unit}"
    return style.finish(layers, title, f"{measure}; band: 95 % interval")


def _points(data: pd.DataFrame, result: Result, title: str, axis: alt.Axis) -> style.Figure:
    """An endpoint that is read once: a point with its interval for each arm."""
    y = alt.Y("arm:N", sort=result.arms, axis=alt.Axis(title=None, ticks=False, domain=False))
    color = style.arm_color(result, legend=False)
    scale = alt.Scale(zero=False, nice=True)
    base = alt.Chart()
    layers = alt.layer(
        base.mark_rule(strokeWidth=2).encode(
            x=alt.X("low:Q", axis=axis, scale=scale), x2="high:Q", y=y, color=color
        ),
        base.mark_point(filled=True, opacity=1, size=90).encode(x="estimate:Q", y=y, color=color),
        data=data,
        width=style.WIDE - 120,
        height=alt.Step(34),
    )
    return style.finish(layers, title, "line: 95 % interval")


def responders(result: Result, endpoints: list[str] | None = None) -> style.Figure:
    """Shares of responders at the last visit as bars, published values as marks beside them.

    Parameters
    ----------
    result
        A study's answer.
    endpoints
        Names; without it, every endpoint that is a proportion.
    """
    final = final_estimates(result)
    share = final["statistic"].str.contains("proportion") & final["unit"].isin(["", "1"])
    final = final[share]
    names = endpoints or list(dict.fromkeys(final["endpoint"]))
    final = final[final["endpoint"].isin(names)]
    published = _published_at(result, final)
    trials = list(dict.fromkeys(published["trial"]))
    slots = []
    for arm in result.arms:
        held = set(published.loc[published["arm"] == arm, "trial"])
        slots += [f"{arm}|", *(f"{arm}|{trial}" for trial in trials if trial in held)]
    bars = final.assign(slot=final["arm"] + "|")[
        ["endpoint", "arm", "slot", "estimate", "low", "high"]
    ]
    marks = published.assign(
        slot=published["arm"] + "|" + published["trial"],
        estimate=published["observed"],
        low=published["observed_low"],
        high=published["observed_high"],
    )[["endpoint", "arm", "trial", "slot", "estimate", "low", "high"]]
    x = alt.X(
        "endpoint:N",
        sort=names,
        axis=alt.Axis(title=None, labelAngle=0, labelFontSize=13, ticks=False),
        scale=alt.Scale(paddingInner=0.14, paddingOuter=0.06),
    )
    offset = alt.XOffset("slot:N", sort=slots, scale=alt.Scale(domain=slots, paddingInner=0.08))
    y = alt.Y("estimate:Q", axis=style.value_axis(share=True))
    layers: list[alt.Chart] = []
    simulated = alt.Chart(bars)
    layers += [
        simulated.mark_bar(opacity=0.85).encode(
            x=x, xOffset=offset, y=y, color=style.arm_color(result)
        ),
        simulated.mark_rule(strokeWidth=1.3, color=style.INK).encode(
            x=x, xOffset=offset, y=alt.Y("low:Q"), y2="high:Q"
        ),
    ]
    if len(marks):
        beside = alt.Chart(marks)
        shapes = ["diamond", "square", "triangle-up", "circle", "cross", "triangle-down"]
        shape = alt.Shape(
            "trial:N",
            scale=alt.Scale(domain=trials, range=[shapes[i % 6] for i in range(len(trials))]),
            legend=alt.Legend(
                labelExpr="'published: ' + datum.label",
                symbolFillColor=style.INK,
            ),
        )
        layers += [
            beside.mark_rule(strokeWidth=1.3, color=style.MUTED).encode(
                x=x, xOffset=offset, y=alt.Y("low:Q"), y2="high:Q"
            ),
            beside.mark_point(filled=True, color=style.INK, size=52, opacity=1).encode(
                x=x, xOffset=offset, y=y, shape=shape
            ),
        ]
    day = float(final["time_day"].max()) if len(final) else 0.0
    figure = alt.layer(*layers).resolve_scale(color="independent")
    figure = figure.properties(width=style.WIDE, height=300)
    subtitle = "share of patients; bars: simulated, lines: 95 % intervals"
    return style.finish(figure, f"Responders at {words.when(day)}", subtitle)


def forest(result: Result) -> style.Figure:
    """Every published value beside the prediction, training and held-back told apart."""
    rows = result.comparison.reset_index(drop=True)
    shares = _is_share(result, rows)
    parts = [(True, rows[shares]), (False, rows[~shares])]
    panels = [
        _forest_panel(part.reset_index(drop=True), share) for share, part in parts if len(part)
    ]
    figure = alt.vconcat(*panels, spacing=26)
    figure = figure.resolve_scale(x="independent", color="shared", shape="shared")
    return style.finish(
        figure,
        "Predicted beside published",
        "lines: 95 % intervals; right: predicted minus published",
    )


_ROLES = {
    "published": (style.INK, "diamond"),
    "predicted, held back": ("#d55e00", "circle"),
    "predicted, used in training": ("#56b4e9", "square"),
}


def _forest_panel(rows: pd.DataFrame, share: bool) -> style.Figure:
    """The comparisons that are shares, or those that are not."""
    names = [
        f"{row['trial']}, {words.label(row['arm'])}: {words.label(row['endpoint'])}, "
        f"{words.when(row['time_day'])}"
        for row in rows.to_dict("records")
    ]
    long: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for name, r in zip(names, rows.to_dict("records"), strict=True):
        role = "used in training" if r["role"] == "training" else "held back"
        for what, key in (("published", "observed"), (f"predicted, {role}", "predicted")):
            estimate = {"estimate": r[key], "low": r[f"{key}_low"], "high": r[f"{key}_high"]}
            side = "published" if key == "observed" else "predicted"
            long.append({"row": name, "what": what, "side": side, **estimate})
        error = float(r["difference"])
        text = f"{words.signed(100 * error)} points" if share else words.signed(error, 2)
        errors.append({"row": name, "error": text})
    y = alt.Y(
        "row:N",
        sort=names,
        axis=alt.Axis(title=None, ticks=False, domain=False, labelLimit=360),
        scale=alt.Scale(paddingInner=0.3),
    )
    offset = alt.YOffset("side:N", scale=alt.Scale(domain=["published", "predicted"]))
    color = alt.Color(
        "what:N",
        scale=alt.Scale(domain=list(_ROLES), range=[color for color, _ in _ROLES.values()]),
    )
    shape = alt.Shape(
        "what:N",
        scale=alt.Scale(domain=list(_ROLES), range=[shape for _, shape in _ROLES.values()]),
    )
    base = alt.Chart(pd.DataFrame(long))
    axis = style.value_axis(share, grid=True, gridColor=style.GRID)
    x = alt.X("estimate:Q", axis=axis, scale=alt.Scale(zero=share, nice=True))
    panel = alt.layer(
        base.mark_rule(strokeWidth=1.7).encode(
            x=alt.X("low:Q"), x2="high:Q", y=y, yOffset=offset, color=color
        ),
        base.mark_point(filled=True, opacity=1, size=48).encode(
            x=x, y=y, yOffset=offset, color=color, shape=shape
        ),
        alt.Chart(pd.DataFrame(errors))
        .mark_text(align="right", color=style.MUTED, fontSize=11.5)
        .encode(x=alt.value(style.WIDE - 185), y=y, text="error:N"),
    )
    return panel.properties(width=style.WIDE - 260, height=alt.Step(26, **{"for": "position"}))


def final_estimates(result: Result) -> pd.DataFrame:
    """Rows of ``result.endpoints`` at the last time of each endpoint, in the order of the study."""
    rows = result.endpoints
    last = rows.groupby("endpoint")["time_day"].transform("max")
    return rows[rows["time_day"] == last].reset_index(drop=True)


def _published_at(result: Result, final: pd.DataFrame) -> pd.DataFrame:
    """Published values of the endpoints and arms in `final`, about at the same visit."""
    days = final.groupby("endpoint")["time_day"].max()
    rows = result.comparison[result.comparison["endpoint"].isin(days.index)]
    near = (rows["time_day"] - rows["endpoint"].map(days).astype(float)).abs() <= NEAR_DAY
    return rows[near & rows["arm"].isin(final["arm"])].reset_index(drop=True)


def _is_share(result: Result, rows: pd.DataFrame) -> pd.Series[bool]:
    """Whether each compared endpoint is a share of patients."""
    table = result.endpoints
    shares = set(table.loc[table["statistic"].str.contains("proportion"), "endpoint"])
    return rows["endpoint"].isin(shares) & rows["unit"].isin(["", "1"])


def _rows_of(result: Result, endpoint: str) -> pd.DataFrame:
    rows = result.endpoints[result.endpoints["endpoint"] == endpoint]
    if rows.empty:
        known = list(dict.fromkeys(result.endpoints["endpoint"]))
        remedy = near_matches(endpoint, known)
        raise UnknownNameError(f"no endpoint '{endpoint}' in this result", remedy=remedy)
    return rows.reset_index(drop=True)


def _unit(unit: object) -> str:
    return "" if unit in ("", "1") else f" ({words.shown_unit(str(unit))})"
