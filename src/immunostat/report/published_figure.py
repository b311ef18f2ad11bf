"""The figure of a published model: its courses, a panel for each output, and printed values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import pandas as pd

from immunostat.catalog.published_cards import PrintedCard, PublishedModelCard
from immunostat.report.published_sheet import TIME_WORDS
from immunostat.report.style import CONTROL, NARROW, PALETTE, WIDE, Figure, finish

if TYPE_CHECKING:
    import xarray as xr

#: Points of a line; more cannot be seen in a panel of half the page's width.
POINTS = 161

#: Room for the numbers of a vertical axis, so that panels stand in line.
MARGIN = 56

#: Numbers too long for that room are written as powers of ten.
_LABEL = (
    "abs(datum.value) >= 1e5 ? replace(format(datum.value, '~e'), 'e+', '·10^') "
    ": format(datum.value, ',~r')"
)


def course_figure(
    card: PublishedModelCard, courses: Mapping[str, xr.Dataset], shows_printed: bool = True
) -> Figure:
    """Courses of a published model by the name of their scenario.

    Parameters
    ----------
    card
        The published model.
    courses
        Each from `published_course`, with the same times; one color each.
    shows_printed
        Whether printed values of an output stand in its panel: a dashed line, and a band where the
        publication gives a range or a spread.
    """
    names = list(courses)
    color = alt.Color(
        "scenario:N",
        scale=alt.Scale(domain=names, range=list(PALETTE[: len(names)])),
        legend=alt.Legend(symbolType="stroke", symbolStrokeWidth=3) if len(names) > 1 else None,
    )
    width = NARROW - MARGIN - 10 if len(card.outputs) > 1 else WIDE - MARGIN - 20
    panels = []
    for name, output in card.outputs.items():
        least = -np.inf if name in card.signed else 0.0  # not the solver's dust below zero
        rows = [_rows(scenario, data, name, least) for scenario, data in courses.items()]
        title = output.title if output.unit == "1" else f"{output.title} ({output.unit})"
        x = alt.X(
            "time:Q",
            axis=alt.Axis(title=TIME_WORDS[card.time_unit], tickCount=6),
            scale=alt.Scale(nice=False),
        )
        y = alt.Y(
            "value:Q",
            axis=alt.Axis(title=None, tickCount=5, labelExpr=_LABEL, minExtent=MARGIN),
        )
        line = alt.Chart(pd.concat(rows)).mark_line(interpolate="monotone", clip=True)
        layers: list[Any] = [line.encode(x=x, y=y, color=color)]
        if shows_printed:
            layers += _printed(card, name)
        heading = alt.TitleParams(title, fontSize=12, fontWeight="normal", offset=12)
        panels.append(alt.layer(*layers).properties(width=width, height=150, title=heading))
    columns = 2 if len(panels) > 1 else 1
    rows_of = [alt.hconcat(*panels[i : i + columns]) for i in range(0, len(panels), columns)]
    levels = [own for own in card.printed if shows_printed and _is_level(own)]
    words = "gray: what the publication prints" if levels else ""
    if any(_has_band(own) for own in levels):
        words += "; band: range or standard deviation"
    return finish(alt.vconcat(*rows_of), card.title, words)


def _rows(scenario: str, data: xr.Dataset, name: str, least: float) -> pd.DataFrame:
    times, values = data["time"].to_numpy(), np.maximum(data[name].to_numpy()[0], least)
    shown = np.linspace(times[0], times[-1], POINTS)
    return pd.DataFrame(
        {"time": shown, "value": np.interp(shown, times, values), "scenario": scenario}
    )


def _is_level(own: PrintedCard) -> bool:
    """Whether a printed result is a level that the card's own course comes to."""
    plain = own.reading.threshold is None and not own.reading.settings
    return plain and own.reading.kind == "value" and own.compare == "equal" and own.value > 0


def _has_band(own: PrintedCard) -> bool:
    """Whether the tolerance can be seen beside the line, and is a spread rather than rounding."""
    return own.is_range or own.tolerance > 0.02 * own.value


def _printed(card: PublishedModelCard, name: str) -> list[Any]:
    """A dashed line at each printed level of an output, and a band where it has a spread."""
    layers: list[Any] = []
    for own in card.printed:
        if own.reading.output != name or not _is_level(own):
            continue
        data = pd.DataFrame(
            {
                "value": [own.value],
                "low": [own.value - own.tolerance],
                "high": [own.value + own.tolerance],
            }
        )
        base = alt.Chart(data)
        if _has_band(own):
            band = base.mark_rect(color=CONTROL, opacity=0.15)
            layers.append(band.encode(y="low:Q", y2="high:Q"))
        if not own.is_range:
            rule = base.mark_rule(color=CONTROL, strokeDash=[5, 4], strokeWidth=1.5)
            layers.append(rule.encode(y="value:Q"))
    return layers
