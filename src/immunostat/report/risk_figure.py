"""Figure of the risks of one described patient, with and without a treatment."""

from __future__ import annotations

import altair as alt
import pandas as pd

from immunostat.report import style
from immunostat.study.risk import WITH, WITHOUT, Risk

#: Least risk that the logarithmic axis shows, percent.
LEAST = 0.01

_COLORS = {WITHOUT: "#a9b1ba", WITH: "#d55e00"}


def risk_figure(risk: Risk) -> style.Figure:
    """Each side effect: the twins' mean risk and middle 90 %, and a tick for the population."""
    rows = risk.table[risk.table["risk"] > 0].copy()
    most = rows.groupby("title")["risk"].max().sort_values(ascending=False)
    for column in ("risk", "low", "high", "population"):
        rows[column] = rows[column].clip(lower=LEAST)
    scale = alt.Scale(type="log", domain=[LEAST, 100.0], nice=False, clamp=True)
    axis = alt.Axis(
        values=[0.01, 0.1, 1, 10, 100],
        title=f"percent of patients in {risk.weeks:g} weeks",
        grid=True,
        gridColor=style.GRID,
        format="~g",
    )
    y = alt.Y(
        "title:N",
        sort=list(most.index),
        axis=alt.Axis(title=None, ticks=False, domain=False, labelFontSize=12, labelLimit=260),
        scale=alt.Scale(paddingInner=0.35, paddingOuter=0.2),
    )
    offset = alt.YOffset("arm:N", scale=alt.Scale(domain=[WITHOUT, WITH]))
    colors = alt.Scale(domain=list(_COLORS), range=list(_COLORS.values()))
    color = alt.Color("arm:N", scale=colors)
    base = alt.Chart(pd.DataFrame(rows))
    layers = alt.layer(
        base.mark_rule(strokeWidth=1.8).encode(
            x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q", y=y, yOffset=offset, color=color
        ),
        base.mark_point(filled=True, opacity=1, size=46).encode(
            x=alt.X("risk:Q", scale=scale, axis=axis), y=y, yOffset=offset, color=color
        ),
        base.mark_tick(thickness=1.8, size=9, color=style.INK, opacity=0.8).encode(
            x=alt.X("population:Q", scale=scale, axis=axis), y=y, yOffset=offset
        ),
    )
    return style.finish(
        layers.properties(width=style.WIDE - 290, height=alt.Step(10, **{"for": "offset"})),
        "Risks of the described patient",
        f"{risk.n_twins} virtual twins: mean and nine of ten; tick: mean of the population",
    )
