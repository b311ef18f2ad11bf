"""How every figure looks, and how one is turned into SVG or PNG without network or browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from immunostat.base.errors import InputError, Place, shown_path
from immunostat.study.result import Result

Figure = alt.Chart | alt.LayerChart | alt.FacetChart | alt.HConcatChart | alt.VConcatChart

INK = "#1d2733"
MUTED = "#5b6673"
LINE = "#98a2ad"
GRID = "#e3e7eb"
CONTROL = "#7a838d"
PALETTE = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
    "#6a4c93",
    "#8c6d31",
)
"""Colors that readers with any color vision tell apart (Okabe and Ito's, then two darker ones)."""

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
PLAIN_NUMBER = "format(datum.value, abs(datum.value) >= 1e4 ? ',.0f' : '~r')"
"""How an axis prints a number: never with an exponent."""

WIDE = 740
NARROW = 335
MAXIMUM_POINTS = 240
"""Points of one line in a figure; more cannot be seen at the width of a page."""

MAXIMUM_ROWS = 4800
"""Rows of one figure's data, a little less than Vega-Altair takes."""

_CONFIG = alt.Config(
    aria=False,
    background="white",
    font=FONT,
    padding={"left": 4, "top": 4, "right": 10, "bottom": 4},
    view={"stroke": None},
    title={
        "anchor": "start",
        "frame": "group",
        "color": INK,
        "fontSize": 15,
        "fontWeight": 600,
        "subtitleColor": MUTED,
        "subtitleFontSize": 12,
        "subtitlePadding": 5,
        "offset": 8,
    },
    axis={
        "labelColor": INK,
        "labelFontSize": 12,
        "labelPadding": 5,
        "labelLimit": 320,
        "labelFlush": False,
        "titleColor": MUTED,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "domainColor": LINE,
        "tickColor": LINE,
        "tickSize": 4,
        "grid": False,
    },
    legend={
        "orient": "top",
        "direction": "horizontal",
        "title": None,
        "labelColor": INK,
        "labelFontSize": 12,
        "labelLimit": 260,
        "symbolSize": 90,
        "symbolOpacity": 1,
        "symbolType": "circle",
        "symbolStrokeWidth": 0,
        "columnPadding": 16,
        "offset": 8,
        "padding": 5,
    },
    text={"color": INK, "fontSize": 11.5},
)


def finish(figure: Figure, title: str, subtitle: str | list[str] = "") -> Figure:
    """Give a figure its heading and the common look."""
    # Set in place: `properties` would copy the whole chart to the same end, and takes as long as
    # drawing it.
    figure["title"] = alt.TitleParams(title, subtitle=subtitle or alt.Undefined)
    figure["config"] = _CONFIG
    return figure


def arm_colors(result: Result) -> dict[str, str]:
    """Color of each arm by its place in the study: gray for an arm without drugs of its own."""
    regimens = result.study.get("arms", {})
    colors: dict[str, str] = {}
    for arm in result.arms:
        treated = sum(color != CONTROL for color in colors.values())
        colors[arm] = PALETTE[treated % len(PALETTE)] if regimens[arm] else CONTROL
    return colors


def arm_color(result: Result, shown: list[str] | None = None, legend: bool = True) -> alt.Color:
    """Color channel of the arms that a figure shows, in the order of the study."""
    colors = {arm: c for arm, c in arm_colors(result).items() if shown is None or arm in shown}
    key = alt.Legend(columns=_legend_columns(list(colors))) if legend else None
    scale = alt.Scale(domain=list(colors), range=list(colors.values()))
    return alt.Color("arm:N", scale=scale, legend=key)


def _legend_columns(names: list[str]) -> int:
    """Columns of a legend that fits a narrow figure: rows wrap rather than run out."""
    widest = max((len(name) for name in names), default=1)
    return max(1, min(len(names), WIDE // (7 * widest + 40)))


def value_axis(share: bool = False, ticks: int = 5, **more: Any) -> alt.Axis:
    """Axis of a value without a title (the heading names it): in percent, or plain numbers."""
    form = {"format": "~%"} if share else {"labelExpr": PLAIN_NUMBER}
    settings = {"title": None, "tickCount": ticks, "labelOverlap": "greedy", **form, **more}
    return alt.Axis(**settings)


def time_axis(last_day: float, most_ticks: int = 8) -> tuple[str, float, alt.Axis]:
    """Unit of time that suits a span, days in one such unit, and the axis for it."""
    unit, days = ("day", 1.0) if last_day < 21 else ("week", 7.0)
    span = last_day / days
    steps = (1, 2, 4, 8, 12, 13, 26, 52, 104, 260)
    step = next((step for step in steps if span / step <= most_ticks), 520)
    ticks = [float(step * index) for index in range(int(span // step) + 1)]
    return unit, days, alt.Axis(values=ticks, format="d", title=unit)


def svg(figure: Figure) -> str:
    """The figure as SVG text; the same figure gives the same text."""
    text = vl_convert.vegalite_to_svg(figure.to_dict(validate=False), allowed_base_urls=[])
    return _shorter(_renumbered(str(text)))


def png(drawn: str, scale: float = 2.0) -> bytes:
    """SVG text as the bytes of a PNG, `scale` pixels for one."""
    return bytes(vl_convert.svg_to_png(drawn, scale=scale))


def save(figure: Figure, path: Path | str, scale: float = 2.0) -> Path:
    """Write a figure as SVG or PNG, by the ending of the path.

    Raises
    ------
    InputError
        The path ends in something else.
    """
    path = Path(path)
    match path.suffix.lower():
        case ".svg":
            path.write_text(svg(figure), encoding="utf-8", newline="\n")
        case ".png":
            path.write_bytes(png(svg(figure), scale))
        case ending:
            raise InputError(
                f"a figure cannot be saved as '{ending}'",
                Place(shown_path(path)),
                "Use a name that ends in .svg or .png.",
            )
    return path


def _shorter(drawn: str) -> str:
    """Round coordinates to a hundredth of a pixel; text that is shown stays as it is."""

    def rounded(attribute: re.Match[str]) -> str:
        return re.sub(r"(\.\d\d)\d+(?:e-\d+)?", r"\1", attribute[0])

    return re.sub(r' (?:d|transform|x|y|x1|x2|y1|y2|width|height)="[^"]*"', rounded, drawn)


def _renumbered(drawn: str) -> str:
    """Ids counted from 1 within the figure: the renderer counts on from figure to figure."""
    ids = dict.fromkeys(re.findall(r'\bid="([^"]+)"', drawn))
    new = {old: f"part{number}" for number, old in enumerate(ids, start=1)}
    drawn = re.sub(r'\bid="([^"]+)"', lambda found: f'id="{new[found[1]]}"', drawn)
    return re.sub(r"url\(#([^)]+)\)", lambda found: f"url(#{new.get(found[1], found[1])})", drawn)
