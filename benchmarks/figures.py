"""Plots of the figures: work against precision, and time against size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import vl_convert


def draw(figures: dict[str, Any], target: Path) -> None:
    """Write both plots to an .svg or .png file."""
    contest = pd.DataFrame(figures["contest"])
    contest = contest[contest["error"] > 0].sort_values("relative_tolerance", ascending=False)
    color = alt.Color("name:N", title=None, legend=alt.Legend(labelLimit=260))
    work = (
        alt.Chart(contest, title="Work against precision, one core")
        .mark_line(point=True)
        .encode(
            x=alt.X("error:Q", title="largest relative error, median of patients")
            .scale(type="log", reverse=True)
            .axis(format=".0e"),
            y=alt.Y("ms_per_patient:Q", title="ms per patient").scale(type="log"),
            color=color,
            order="relative_tolerance:Q",
        )
        .properties(width=420, height=300)
    )
    chart: alt.Chart | alt.VConcatChart = work
    if figures.get("sizes"):
        sizes = (
            alt.Chart(pd.DataFrame(figures["sizes"]), title="Time against size, generated networks")
            .mark_line(point=True)
            .encode(
                x=alt.X("states:Q").scale(type="log"),
                y=alt.Y("ms_per_patient:Q", title="ms per patient").scale(type="log"),
            )
            .properties(width=420, height=180)
        )
        chart = alt.vconcat(work, sizes)
    text = chart.to_json()
    if target.suffix == ".png":
        target.write_bytes(vl_convert.vegalite_to_png(text, scale=2))
    else:
        target.write_text(vl_convert.vegalite_to_svg(text))
