"""Figures of one drug's concentrations, and of predicted beside published exposures."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from immunostat.report import style
from immunostat.study.exposure import Exposure
from immunostat.study.exposure_checks import ACCEPTABLE, GOOD
from immunostat.study.exposure_tables import band, concentration_unit

#: Powers of ten below the highest median that the axis shows.
DECADES = 2.5

#: Colors of the verdicts on a drug.
VERDICTS = {"good": "#0072b2", "acceptable": "#e69f00", "outside": "#d55e00"}


def concentration(exposure: Exposure, title: str, subtitle: str = "") -> style.Figure:
    """Concentration over the treatment: median, and bands of 50 % and 90 % of people."""
    data = band(exposure, int(style.MAXIMUM_POINTS))
    unit, _ = concentration_unit(exposure)
    last_day = float(data["time_day"].max())
    if last_day <= 3:
        data["time"], axis = data["time_day"] * 24, alt.Axis(title="hour")
    else:
        _, days, axis = style.time_axis(last_day)
        data["time"] = data["time_day"] / days
    top = float(data["q95"].max())
    low = float(data["q50"].max()) / 10**DECADES
    columns = ["q05", "q25", "q50", "q75", "q95"]
    data[columns] = data[columns].clip(lower=low)
    scale = alt.Scale(type="log", domain=[low, top * 1.1], nice=False)
    y_axis = style.value_axis(ticks=6)
    x = alt.X("time:Q", axis=axis, scale=alt.Scale(nice=False))
    base = alt.Chart(data[["time", *columns]])

    def area(bottom: str, upper: str, opacity: float) -> alt.Chart:
        mark: alt.Chart = base.mark_area(opacity=opacity, clip=True, color=style.PALETTE[0])
        return mark.encode(x=x, y=alt.Y(f"{bottom}:Q", scale=scale, axis=y_axis), y2=f"{upper}:Q")

    median = base.mark_line(strokeWidth=2, clip=True, color=style.PALETTE[0]).encode(
        x=x, y=alt.Y("q50:Q", scale=scale, axis=y_axis)
    )
    figure = alt.layer(area("q05", "q95", 0.16), area("q25", "q75", 0.24), median)
    figure["width"], figure["height"] = style.WIDE - 60, 300
    words = f"{unit}; median, and bands that hold 50 % and 90 % of people"
    return style.finish(figure, title, f"{subtitle}; {words}" if subtitle else words)


def ratios(table: pd.DataFrame, drugs: pd.DataFrame) -> style.Figure:
    """Predicted over published exposure: a point for each check, a diamond for each drug."""
    order = drugs.sort_values("ratio")["drug"].tolist()
    counted = (table["why_not"] == "") & (table["quantity"] != "time of maximum")
    checks = table[counted & table["drug"].isin(order)][["drug", "ratio"]]
    domain = [min(0.2, float(checks["ratio"].min())), max(5.0, float(checks["ratio"].max()))]
    scale = alt.Scale(type="log", domain=domain, nice=False)
    axis = alt.Axis(
        values=[0.2, 0.5, 0.8, 1, 1.25, 2, 5], format="~r", title="predicted / published"
    )
    y = alt.Y("drug:N", sort=order, axis=alt.Axis(title=None))
    zones = [
        alt.Chart(pd.DataFrame({"low": [low], "high": [high]}))
        .mark_rect(color=style.GRID, opacity=opacity)
        .encode(x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q")
        for (low, high), opacity in ((ACCEPTABLE, 0.5), (GOOD, 1.0))
    ]
    points = (
        alt.Chart(checks)
        .mark_circle(size=22, color=style.MUTED, opacity=0.6)
        .encode(x=alt.X("ratio:Q", scale=scale, axis=axis), y=y)
    )
    color = alt.Color(
        "verdict:N",
        scale=alt.Scale(domain=list(VERDICTS), range=list(VERDICTS.values())),
    )
    means = (
        alt.Chart(drugs[["drug", "ratio", "verdict"]])
        .mark_point(shape="diamond", filled=True, size=80, opacity=1)
        .encode(x=alt.X("ratio:Q", scale=scale, axis=axis), y=y, color=color)
    )
    figure = alt.layer(*zones, points, means)
    figure["width"], figure["height"] = style.WIDE - 240, max(60, 14 * len(order))
    n_good = int(np.sum(drugs["verdict"] == "good"))
    return style.finish(
        figure,
        "Predicted and published exposure",
        f"{n_good} of {len(drugs)} drugs within 0.8 to 1.25 (dark band); diamonds are geometric "
        "means of a drug, dots its checks",
    )
