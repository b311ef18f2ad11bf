"""The figure of one course of a model: a panel for each unit, a color for each output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import pandas as pd

from immunostat.report.style import MAXIMUM_POINTS, PALETTE, WIDE, Figure, finish

if TYPE_CHECKING:
    import xarray as xr

#: Lines in a figure; more cannot be told apart.
MOST_LINES = len(PALETTE)


def model_courses(data: xr.Dataset, title: str, time_unit: str = "") -> Figure:
    """Courses of the first outputs of one patient, each unit in a panel of its own."""
    names = [str(name) for name in data.data_vars][:MOST_LINES]
    step = max(1, -(-data.sizes["time"] // MAXIMUM_POINTS))
    panels = []
    units = list(dict.fromkeys(str(data[name].attrs.get("units", "")) for name in names))
    for unit in units:
        own = [name for name in names if str(data[name].attrs.get("units", "")) == unit]
        rows = [
            pd.DataFrame(
                {
                    "time": data["time"].to_numpy()[::step],
                    "value": data[name].to_numpy()[0][::step],
                    "output": name,
                }
            )
            for name in own
        ]
        chart = (
            alt.Chart(pd.concat(rows))
            .mark_line()
            .encode(
                x=alt.X("time:Q", title=f"time ({time_unit})" if time_unit else "time"),
                y=alt.Y("value:Q", title=unit or "value"),
                color=alt.Color(
                    "output:N",
                    scale=alt.Scale(domain=names, range=list(PALETTE[: len(names)])),
                    legend=alt.Legend(symbolType="stroke", symbolStrokeWidth=3),
                ),
            )
            .properties(width=WIDE - 90, height=max(140, 320 // len(units)))
        )
        panels.append(chart)
    return finish(alt.vconcat(*panels), title)
