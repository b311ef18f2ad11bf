"""Figures of whole trials: power, replicates, comparisons.

Each takes plain tables, whose columns its docstring names, so that any study can feed it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from immunostat.report import effects, style, words

CAPTIONS: Mapping[str, str] = {
    "kaplan_meier": "Share of patients without the event, by arm. The band is the 95 % interval; "
    "below stand the patients still at risk.",
    "cumulative_incidence": "Share of patients in whom each cause has struck first, by arm; a "
    "patient who has left for one cause cannot leave for another.",
    "power": "Share of simulated trials that show the difference, by number of patients in each "
    "arm. The band is the 95 % interval from the number of simulated trials.",
    "replicates": "What repeated trials of the same design find: chance in who takes part alone.",
    "comparisons": "Differences with their 95 % intervals; a line that crosses zero is no more "
    "than chance would make.",
    "swimmer": "Each line is one patient. Color says what dose, marks say what was done.",
    "waterfall": "Best change from baseline of each patient, sorted; each bar is one patient.",
    "dropout": "Share of patients who have left by each time, by the cause for which they left.",
    "spaghetti": "Single patients as thin lines; the bands hold 50 % and 90 % of all patients, "
    "the thick line is the median.",
}
"""What each figure shows, in words: its caption, also read aloud in its place."""

#: Letters of a line of a label beside a forest plot.
LABEL_LETTERS = 38

#: Powers that trials are planned for.
USUAL_POWER = (0.8, 0.9)


def colors_of(names: Sequence[str], colors: Mapping[str, str] | None = None) -> alt.Scale:
    """Scale of the colors of arms or other groups; the palette in order where none is given."""
    given = colors or {}
    palette = [given.get(n, style.PALETTE[i % len(style.PALETTE)]) for i, n in enumerate(names)]
    return alt.Scale(domain=list(names), range=palette)


def legend_of(names: Sequence[str]) -> alt.Legend | None:
    """Legend of groups; none where there is only one."""
    if len(names) < 2:
        return None
    widest = max(len(name) for name in names)
    return alt.Legend(columns=max(1, min(len(names), style.WIDE // (7 * widest + 40))))


def power(
    table: pd.DataFrame,
    *,
    targets: Sequence[float] = USUAL_POWER,
    colors: Mapping[str, str] | None = None,
) -> style.Figure:
    """Power against the number of patients in each arm.

    Parameters
    ----------
    table
        ``n`` (patients in each arm), ``power`` (share of trials), ``low``, ``high``; a column
        ``design`` tells several curves apart.
    targets
        Powers at which a thin line is drawn.
    """
    data = table.assign(design=table.get("design", "trial"))
    data = data.sort_values(["design", "n"], kind="stable")
    designs = list(dict.fromkeys(data["design"].astype(str)))
    color = alt.Color("design:N", scale=colors_of(designs, colors), legend=legend_of(designs))
    x = alt.X(
        "n:Q",
        axis=alt.Axis(title="patients in each arm", tickCount=8, format="~r"),
        scale=alt.Scale(zero=True, nice=False),
    )
    y = alt.Y("power:Q", axis=style.value_axis(True, 6), scale=alt.Scale(domain=[0, 1]))
    base = alt.Chart(data[["design", "n", "power", "low", "high"]])
    lines = pd.DataFrame({"at": list(targets), "text": [words.percent(t) for t in targets]})
    figure = alt.layer(
        alt.Chart(lines)
        .mark_rule(strokeDash=[4, 3], color=style.LINE)
        .encode(y=alt.Y("at:Q", scale=alt.Scale(domain=[0, 1]))),
        base.mark_area(opacity=0.16).encode(x, alt.Y("low:Q"), y2="high:Q", color=color),
        base.mark_line(strokeWidth=2.2).encode(x, y, color=color),
        base.mark_point(filled=True, size=46, opacity=1).encode(x, y, color=color),
        width=style.WIDE,
        height=280,
    )
    lines_said = words.listed([words.percent(t) for t in targets])
    return style.finish(
        figure,
        "Power by number of patients",
        f"share of simulated trials; band: 95 % interval (Wilson); dashed: {lines_said}",
    )


def replicates(
    table: pd.DataFrame,
    label: str,
    *,
    is_share: bool = False,
    colors: Mapping[str, str] | None = None,
    true_words: str = "value for very many patients",
    null: float | None = None,
) -> style.Figure:
    """Distribution of what repeated trials find: every replicate, middle half, 95 % of them.

    Parameters
    ----------
    table
        ``group`` (an arm or a comparison) and ``estimate``, one row per replicate. A column
        ``truth``, equal within a group, is drawn as a line: the value for very many patients.
    label
        What is estimated, in words.
    is_share
        Whether estimates are shares, to be shown in percent.
    true_words
        What the column ``truth`` is, in words.
    null
        The estimate of no difference, drawn as a line.
    """
    groups = list(dict.fromkeys(table["group"].astype(str)))
    axis = style.value_axis(is_share, 7, grid=True, gridColor=style.GRID)
    scale = alt.Scale(zero=False, nice=True)
    y = _rows("group:N", groups)
    color = alt.Color("group:N", scale=colors_of(groups, colors), legend=None)
    rows: list[dict[str, Any]] = []
    for group, own in table.groupby("group", sort=False):
        levels = np.nanquantile(own["estimate"].to_numpy(float), [0.025, 0.25, 0.5, 0.75, 0.975])
        known = dict(zip(("q025", "q25", "q50", "q75", "q975"), levels, strict=True))
        truth = float(own["truth"].iloc[0]) if "truth" in own else np.nan
        rows.append({"group": str(group), **known, "truth": truth})
    summary = alt.Chart(pd.DataFrame(rows))
    dots = _swarm(table, groups)
    layers: list[alt.Chart] = [
        alt.Chart(dots)
        .mark_circle(size=13, opacity=0.4)
        .encode(
            x=alt.X("estimate:Q", axis=axis, scale=scale),
            y=y,
            yOffset=alt.YOffset("offset:Q", scale=alt.Scale(domain=[-1, 1])),
            color=color,
        ),
        summary.mark_rule(color=style.INK, strokeWidth=1.4).encode(
            x=alt.X("q025:Q", scale=scale), x2="q975:Q", y=y
        ),
        summary.mark_rule(color=style.INK, strokeWidth=5).encode(
            x=alt.X("q25:Q", scale=scale), x2="q75:Q", y=y
        ),
        summary.mark_point(filled=True, fill="white", stroke=style.INK, size=55, opacity=1).encode(
            x=alt.X("q50:Q", scale=scale), y=y
        ),
    ]
    has_truth = "truth" in table and table["truth"].notna().any()
    if has_truth:
        layers.append(
            summary.mark_point(
                shape="triangle-down", filled=True, color=style.INK, size=90, opacity=1, yOffset=-30
            ).encode(x=alt.X("truth:Q", scale=scale), y=y)
        )
    if null is not None:
        line = alt.Chart(pd.DataFrame({"at": [null]}))
        dashed = line.mark_rule(color=style.MUTED, strokeDash=[4, 3])
        layers.insert(0, dashed.encode(x=alt.X("at:Q", axis=axis, scale=scale)))
    n = int(table.groupby("group").size().max())
    tick = f"; triangle: {true_words}" if has_truth else ""
    return style.finish(
        alt.layer(*layers).properties(width=style.WIDE - 170, height=alt.Step(64)),
        f"{label} in {n:,} trials of the same design",
        f"dot: one trial; thick: half of them, thin: 95 %; circle: median{tick}",
    )


def comparisons(
    table: pd.DataFrame,
    title: str,
    *,
    subtitle: str = "difference with 95 % interval",
    colors: Mapping[str, str] | None = None,
) -> style.Figure:
    """Forest plot: a row for each comparison, a panel for each kind of value.

    Parameters
    ----------
    table
        ``label``, ``estimate``, ``low``, ``high``; optional ``panel`` (heading of the panel; rows
        of a panel share an axis), ``group`` (color), ``is_share`` (values in percent points) and
        ``is_ratio`` (logarithmic axis around 1).
    title
        Heading.
    """
    data = table.assign(
        panel=table.get("panel", ""),
        group=table.get("group", ""),
        is_share=table.get("is_share", False),
        is_ratio=table.get("is_ratio", False),
    )
    groups = list(dict.fromkeys(data["group"].astype(str)))
    panels = [
        _forest_panel(rows, str(panel), groups, colors, has_legend=i == 0)
        for i, (panel, rows) in enumerate(data.groupby("panel", sort=False))
    ]
    figure = alt.vconcat(*panels, spacing=18).resolve_scale(x="independent", color="shared")
    return style.finish(figure, title, subtitle)


def _forest_panel(
    rows: pd.DataFrame,
    panel: str,
    groups: list[str],
    colors: Mapping[str, str] | None,
    has_legend: bool,
) -> style.Figure:
    """Comparisons that share an axis, with their numbers at the right."""
    share = bool(rows["is_share"].iloc[0])
    # A label too long for its place takes several lines.
    rows = rows.assign(
        label=["\n".join(textwrap.wrap(str(label), LABEL_LETTERS)) for label in rows["label"]]
    )
    labels = list(dict.fromkeys(rows["label"]))
    lines = max(label.count("\n") + 1 for label in labels)
    ratio = bool(rows["is_ratio"].iloc[0])
    data = rows.assign(
        said=[
            _said(e, low, high, share, ratio)
            for e, low, high in zip(rows["estimate"], rows["low"], rows["high"], strict=True)
        ]
    )[["label", "group", "estimate", "low", "high", "said"]]
    null = 1.0 if ratio else 0.0
    ends = np.r_[data[["estimate", "low", "high"]].to_numpy(float).ravel(), null]
    ends = ends[np.isfinite(ends) & ((ends > 0) | (not ratio))]
    ends = np.log(ends) if ratio else ends
    pad = 0.06 * (float(ends.max() - ends.min()) or 1.0)
    domain = np.array([ends.min() - pad, ends.max() + pad])
    kind: Any = "log" if ratio else "linear"
    domain = np.exp(domain) if ratio else domain
    scale = alt.Scale(type=kind, domain=[float(end) for end in domain], nice=False, clamp=True)
    ticks = {"values": _log_ticks(domain)} if ratio else {}
    axis = style.value_axis(share, 6, grid=True, gridColor=style.GRID, **ticks)
    y = _rows("label:N", labels)
    offset = alt.YOffset("group:N", scale=alt.Scale(domain=groups))
    color = alt.Color(
        "group:N", scale=colors_of(groups, colors), legend=legend_of(groups) if has_legend else None
    )
    base, width = alt.Chart(data), style.WIDE - 330
    zero = alt.Chart(pd.DataFrame({"at": [null]}))
    layers = alt.layer(
        zero.mark_rule(color=style.INK, strokeWidth=1).encode(x=alt.X("at:Q", scale=scale)),
        base.mark_rule(strokeWidth=2).encode(
            x=alt.X("low:Q", axis=axis, scale=scale), x2="high:Q", y=y, yOffset=offset, color=color
        ),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            x=alt.X("estimate:Q", scale=scale), y=y, yOffset=offset, color=color
        ),
        base.mark_text(align="left", fontSize=11).encode(
            x=alt.value(width + 12), y=y, yOffset=offset, text="said:N"
        ),
    )
    unit = " (percentage points)" if share else ""
    heading = alt.TitleParams(f"{panel}{unit}", fontSize=12.5, offset=6) if panel or unit else ""
    step = alt.Step(10 + 14 * lines)
    if len(groups) > 1:
        step = alt.Step(max(16, 14 * lines // len(groups)), **{"for": "offset"})
    return layers.properties(width=width, height=step, title=heading)


def _log_ticks(domain: np.ndarray[Any, np.dtype[np.float64]]) -> list[float]:
    """Round numbers on a logarithmic axis, the fewest of which at least three are in sight."""
    steps: Sequence[Sequence[float]] = (
        (1,),
        (1, 2, 5),
        (1, 1.5, 2, 3, 5, 7),
        (1, 1.1, 1.25, 1.5, 2, 3, 5, 7, 8, 9),
        tuple(i / 20 for i in range(20, 40)) + tuple(i / 10 for i in range(40, 100)),
    )
    inside: list[float] = []
    for step in steps:
        tens = [float(f"{s * 10.0**e:.6g}") for e in range(-6, 7) for s in step]
        inside = [tick for tick in tens if domain[0] <= tick <= domain[1]]
        if len(inside) >= 3:
            break
    return sorted({*inside, 1.0})


def _said(estimate: float, low: float, high: float, share: bool, ratio: bool) -> str:
    """An estimate and its interval beside the row of a forest plot."""

    def text(value: float) -> str:
        if ratio:
            return effects.ratio(value)
        return words.signed(100 * value, 1) if share else words.signed(value, 2)

    if np.isfinite(low) and np.isfinite(high):
        return f"{text(estimate)} ({text(low)} to {text(high)})"
    return text(estimate)


def _rows(field: str, names: list[str]) -> alt.Y:
    """Axis of named rows."""
    axis = alt.Axis(
        title=None,
        ticks=False,
        domain=False,
        labelLimit=300,
        labelExpr="split(datum.label, '\\n')",
        labelLineHeight=13,
    )
    return alt.Y(field, sort=names, axis=axis, scale=alt.Scale(paddingInner=0.25))


def _swarm(table: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    """Replicates with a place beside their row, so that the cloud shows where they are many."""
    most = max(50, style.MAXIMUM_ROWS // max(1, len(groups)))
    parts = []
    for _, own in table.groupby("group", sort=False):
        values = np.sort(own["estimate"].dropna().to_numpy(float))
        if len(values) > most:
            values = values[np.linspace(0, len(values) - 1, most).round().astype(int)]
        edges = np.histogram_bin_edges(values, bins="auto") if len(values) else np.array([0.0, 1])
        cell = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
        counts = np.bincount(cell, minlength=len(edges) - 1)
        # Golden-ratio steps spread the points of a cell evenly, the same every time.
        spread = (np.arange(len(values)) * 0.6180339887498949) % 1.0 - 0.5
        offset = 1.5 * spread * counts[cell] / max(1, counts.max())
        group = str(own["group"].iloc[0])
        parts.append(pd.DataFrame({"group": group, "estimate": values, "offset": offset}))
    return pd.concat(parts, ignore_index=True)
