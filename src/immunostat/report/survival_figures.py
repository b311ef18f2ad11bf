"""Figures of times to events: shares without the event, and shares by cause.

Each takes plain tables, whose columns its docstring names, so that any study can feed it.
"""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd

from immunostat.outcomes.survival import Curve
from immunostat.report import style, words
from immunostat.report.trial_figures import colors_of, legend_of

#: Numbers at risk that stand below a survival curve, at most.
MOST_AT_RISK = 9


def curve_table(curves: Mapping[str, Curve]) -> pd.DataFrame:
    """Curves of `outcomes.survival` as a table: arm, time_day, estimate, low, high, n_at_risk."""
    parts = [
        pd.DataFrame(
            {
                "arm": arm,
                "time_day": curve.times,
                "estimate": curve.estimate,
                "low": curve.low,
                "high": curve.high,
                "n_at_risk": curve.n_at_risk,
            }
        )
        for arm, curve in curves.items()
    ]
    return pd.concat(parts, ignore_index=True)


def kaplan_meier(
    curves: pd.DataFrame,
    event: str,
    *,
    colors: Mapping[str, str] | None = None,
    last_day: float | None = None,
    is_rising: bool = False,
    is_plain: bool = False,
    how: str = "",
) -> style.Figure:
    """Share of patients without an event over time, with the numbers at risk below.

    Parameters
    ----------
    curves
        From `curve_table`: arm, time_day, estimate, low, high, n_at_risk; steps hold until the
        next. Without ``n_at_risk`` no numbers stand below.
    event
        What the patients are free of, in words.
    colors
        Color of each arm.
    last_day
        End of the time axis; the last time of any curve if None.
    is_rising
        Whether the curves are the share *with* the event.
    is_plain
        Whether `event` is already the name of being free of it, as in ``survival``.
    how
        How the curves were made; by Kaplan and Meier if empty.
    """
    end = float(curves["time_day"].max()) if last_day is None else last_day
    arms = list(dict.fromkeys(curves["arm"].astype(str)))
    steps, x, unit = _steps(curves, end)
    y = alt.Y("estimate:Q", axis=style.value_axis(share=True), scale=alt.Scale(domain=[0, 1]))
    top = _step_layers(steps, x, y, arms, colors).properties(width=style.WIDE - 110, height=270)
    title = f"{event} by {unit}" if is_rising or is_plain else f"Free of {event} by {unit}"
    how = how or ("one minus Kaplan-Meier" if is_rising else "Kaplan-Meier")
    subtitle = f"share of patients ({how}); band: 95 % interval"
    if "n_at_risk" not in curves or curves["n_at_risk"].isna().any():
        return style.finish(top.properties(width=style.WIDE), title, subtitle)
    days, ticks = _ticks(end)
    shown = ticks[:: max(1, -(-len(ticks) // MOST_AT_RISK))]
    at_risk = pd.DataFrame(
        [
            {"arm": arm, "time": tick, "n": f"{_at_risk(curves[curves['arm'] == arm], tick, days)}"}
            for arm in arms
            for tick in shown
        ]
    )
    below = (
        alt.Chart(at_risk)
        .mark_text(fontSize=11.5)
        .encode(
            x=alt.X("time:Q", axis=None, scale=alt.Scale(domain=[0, end / days], nice=False)),
            y=alt.Y(
                "arm:N",
                sort=arms,
                axis=alt.Axis(title=None, ticks=False, domain=False, labelPadding=22),
            ),
            text="n:N",
            color=alt.Color("arm:N", scale=colors_of(arms, colors), legend=None),
        )
        .properties(
            width=style.WIDE - 110,
            height=alt.Step(17),
            title=alt.TitleParams(
                "at risk", fontSize=12, fontWeight="normal", color=style.MUTED, offset=2
            ),
        )
    )
    figure = alt.vconcat(top, below, spacing=64, bounds="flush").resolve_scale(color="independent")
    return style.finish(figure, title, subtitle)


def cumulative_incidence(
    curves: pd.DataFrame,
    *,
    colors: Mapping[str, str] | None = None,
    title: str = "Cumulative incidence",
) -> style.Figure:
    """Share of patients in whom each cause has struck first, causes side by side.

    Parameters
    ----------
    curves
        As in `kaplan_meier`, with a column ``cause``; rows without ``low`` and ``high`` have no
        band.
    """
    causes = list(dict.fromkeys(curves["cause"].astype(str)))
    arms = list(dict.fromkeys(curves["arm"].astype(str)))
    end = float(curves["time_day"].max())
    columns = min(3, len(causes))
    width = (style.WIDE - 40 * columns) // columns
    high = float(np.nanmax(curves[["estimate", "high"]].to_numpy(float)))
    parts, unit = [], "day"
    for cause in causes:
        own = curves[curves["cause"] == cause]
        steps, x, unit = _steps(own, end, most_ticks=4, n_curves=len(arms) * len(causes))
        parts.append(steps.assign(cause=words.label(cause)))
    scale = alt.Scale(domain=[0, min(1.0, max(1.05 * high, 0.01))], nice=True)
    y = alt.Y("estimate:Q", axis=style.value_axis(share=True), scale=scale)
    data = pd.concat(parts, ignore_index=True)
    spec = _step_layers(None, x, y, arms, colors).properties(width=width, height=190)
    header = alt.Header(title=None, labelFontSize=12.5, labelColor=style.INK, labelFontWeight=600)
    facet = alt.Facet("cause:N", sort=[words.label(cause) for cause in causes], header=header)
    figure = alt.FacetChart(data, spec=spec, facet=facet, columns=columns, spacing=24)
    return style.finish(
        figure,
        f"{title} by {unit}",
        "share of patients, other causes compete (Aalen-Johansen); band: 95 % interval",
    )


def _steps(
    curves: pd.DataFrame, end: float, most_ticks: int = 8, n_curves: int | None = None
) -> tuple[pd.DataFrame, alt.X, str]:
    """Curves up to `end` with their last step drawn out, few enough points, and the time axis."""
    unit, days, axis = style.time_axis(end, most_ticks)
    parts = []
    n_curves = n_curves or max(1, curves["arm"].nunique())
    for _, own in curves.groupby("arm", sort=False):
        inside = own[own["time_day"] <= end]
        most = min(style.MAXIMUM_POINTS * 4, style.MAXIMUM_ROWS // n_curves) - 1
        if len(inside) > most:
            # Of steps too fine to see the last within each pixel is kept, as it holds from there.
            kept = np.unique(np.linspace(0, len(inside) - 1, most).round().astype(int))
            inside = inside.iloc[kept]
        parts.append(pd.concat([inside, inside.tail(1).assign(time_day=end)], ignore_index=True))
    data = pd.concat(parts, ignore_index=True)
    data = data.assign(time=data["time_day"] / days)[["arm", "time", "estimate", "low", "high"]]
    scale = alt.Scale(domain=[0, end / days], nice=False)
    return data, alt.X("time:Q", axis=axis, scale=scale), unit


def _step_layers(
    steps: pd.DataFrame | None,
    x: alt.X,
    y: alt.Y,
    arms: list[str],
    colors: Mapping[str, str] | None,
) -> style.Figure:
    """Step lines with their bands; the data may be given further out."""
    color = alt.Color("arm:N", scale=colors_of(arms, colors), legend=legend_of(arms))
    base = alt.Chart() if steps is None else alt.Chart(steps)
    known = base.transform_filter("isValid(datum.low) && isValid(datum.high)")
    return alt.layer(
        known.mark_area(opacity=0.14, interpolate="step-after").encode(
            x, alt.Y("low:Q"), y2="high:Q", color=color
        ),
        base.mark_line(strokeWidth=2, interpolate="step-after").encode(x, y, color=color),
    )


def _ticks(end: float) -> tuple[float, list[float]]:
    """Days in the unit of the time axis, and its ticks."""
    _, days, axis = style.time_axis(end)
    return days, [float(tick) for tick in axis.to_dict()["values"]]


def _at_risk(own: pd.DataFrame, tick: float, days: float) -> int:
    """Patients still at risk just before a time: those of the next step."""
    later = own[own["time_day"] >= tick * days - 1e-9]
    return int(later["n_at_risk"].iloc[0]) if len(later) else 0
