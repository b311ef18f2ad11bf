"""Figures of what an endpoint depends on, and of how well it is known."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd

from immunostat.base.errors import UnknownNameError, near_matches
from immunostat.report import style, words

#: Parameters that one figure shows.
SHOWN = 20

#: Colors of the two directions, told apart with any color vision.
UP, DOWN = "#d55e00", "#0072b2"
SHADES = ["#f2f4f7", "#9ecae1", "#3182bd", "#08306b"]

_MEASURES: Mapping[str, tuple[str, str]] = {
    "local": ("change of the endpoint", "each number alone at either end of its range"),
    "morris": ("mu*", "mean size of the change when the number crosses its range"),
    "sobol": ("share of variance", "bar: total index, dark: alone; lines: 95 % intervals"),
    "prcc": ("partial rank correlation", "line: 95 % interval; others held"),
}


def tornado(
    table: pd.DataFrame, output: str, base: Mapping[str, float] | None = None, top: int = SHOWN
) -> style.Figure:
    """The numbers that one output depends on, the most influential on top.

    Parameters
    ----------
    table
        `Sensitivity.table` of any method.
    output
        Name as in the table.
    base
        Output of the unchanged model, by name; the table's own where it has it.
    top
        Numbers to show.

    Raises
    ------
    UnknownNameError
        The table has no such output.
    """
    rows = table[table["output"] == output]
    if rows.empty:
        known = list(dict.fromkeys(table["output"].astype(str)))
        raise UnknownNameError(f"no sensitivity of '{output}'", remedy=near_matches(output, known))
    rows = rows[rows["influence"].notna()].head(top).reset_index(drop=True)
    method = str(table["method"].iloc[0])
    drawn = {"local": _swings, "morris": _bars, "sobol": _shares, "prcc": _correlations}
    own = float(rows["base"].iloc[0]) if "base" in rows and len(rows) else (base or {}).get(output)
    layers = drawn[method](rows, own)
    step = alt.Step(9, **{"for": "offset"}) if method == "local" else alt.Step(22)
    measure, how = _MEASURES[method]
    middle = f"; unchanged model: {words.number(own)}" if own is not None else ""
    return style.finish(
        layers.properties(width=style.WIDE - 300, height=step),
        f"What {output} depends on",
        f"{measure}: {how}{middle}",
    )


def _labels(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the label that an axis shows: name and range."""
    ranges = [
        f"{words.label(name)} (×{low:.2g}–{high:.2g})"
        for name, low, high in zip(
            rows["parameter"], rows["low_factor"], rows["high_factor"], strict=True
        )
    ]
    return rows.assign(label=ranges)


def _y(labels: list[str]) -> alt.Y:
    axis = alt.Axis(title=None, ticks=False, domain=False, labelLimit=300)
    return alt.Y("label:N", sort=labels, axis=axis, scale=alt.Scale(paddingInner=0.25))


def _axis() -> alt.Axis:
    return style.value_axis(grid=True, gridColor=style.GRID)


def _swings(rows: pd.DataFrame, base: float | None) -> style.Figure:
    """Bars from the unchanged model to each end of the range."""
    rows = _labels(rows)
    middle = rows["base"].iloc[0] if len(rows) else 0.0
    parts = [
        pd.DataFrame(
            {"label": rows["label"], "end": side, "from": middle, "to": rows[column].astype(float)}
        )
        for side, column in (("number lowered", "at_low"), ("number raised", "at_high"))
    ]
    data = pd.concat(parts, ignore_index=True).dropna(subset=["to"])
    ends = np.r_[data["to"].to_numpy(float), middle]
    pad = 0.04 * (float(np.ptp(ends)) or 1.0)
    scale = alt.Scale(domain=[float(ends.min()) - pad, float(ends.max()) + pad], nice=False)
    color = alt.Color(
        "end:N",
        scale=alt.Scale(domain=["number lowered", "number raised"], range=[DOWN, UP]),
        legend=alt.Legend(),
    )
    offset = alt.YOffset("end:N", scale=alt.Scale(domain=["number lowered", "number raised"]))
    bars = (
        alt.Chart(data)
        .mark_bar()
        .encode(
            x=alt.X("from:Q", scale=scale, axis=_axis()),
            x2="to:Q",
            y=_y(list(rows["label"])),
            yOffset=offset,
            color=color,
        )
    )
    return alt.layer(bars, _line(middle, scale))


def _line(at: float, scale: alt.Scale) -> alt.Chart:
    """The unchanged model, or zero."""
    rule: alt.Chart = alt.Chart(pd.DataFrame({"at": [at]})).mark_rule(
        color=style.INK, strokeWidth=1.2
    )
    return rule.encode(x=alt.X("at:Q", scale=scale))


def _bars(rows: pd.DataFrame, base: float | None) -> style.Figure:
    """Mean size of the effect with its interval; hollow mark: how much it varies."""
    rows = _labels(rows)
    data = rows.assign(
        lower=(rows["mu_star"] - rows["mu_star_error"]).clip(lower=0),
        upper=rows["mu_star"] + rows["mu_star_error"],
        direction=np.where(rows["mu"] >= 0, "output rises", "output falls"),
    )[["label", "mu_star", "lower", "upper", "direction"]]
    color = alt.Color(
        "direction:N",
        scale=alt.Scale(domain=["output rises", "output falls"], range=[UP, DOWN]),
        legend=alt.Legend(),
    )
    y, chart = _y(list(rows["label"])), alt.Chart()
    return alt.layer(
        chart.mark_bar(opacity=0.85).encode(x=alt.X("mu_star:Q", axis=_axis()), y=y, color=color),
        chart.mark_rule(color=style.INK).encode(x="lower:Q", x2="upper:Q", y=y),
        data=data,
    )


def _shares(rows: pd.DataFrame, base: float | None) -> style.Figure:
    """Total index, and inside it the first one."""
    rows = _labels(rows)
    data = rows.assign(
        alone=rows["first"].clip(lower=0),
        lower=(rows["total"] - rows["total_error"]).clip(lower=0),
        upper=rows["total"] + rows["total_error"],
    )[["label", "total", "alone", "lower", "upper"]]
    axis = style.value_axis(True, grid=True, gridColor=style.GRID)
    y, chart = _y(list(rows["label"])), alt.Chart()
    return alt.layer(
        chart.mark_bar(color="#9ecae1").encode(x=alt.X("total:Q", axis=axis), y=y),
        chart.mark_bar(color=DOWN, size=7).encode(x="alone:Q", y=y),
        chart.mark_rule(color=style.INK).encode(x="lower:Q", x2="upper:Q", y=y),
        data=data,
    )


def _correlations(rows: pd.DataFrame, base: float | None) -> style.Figure:
    """Correlations to the left and right of zero."""
    rows = _labels(rows)
    data = rows.assign(direction=np.where(rows["prcc"] >= 0, "output rises", "output falls"))
    data = data[["label", "prcc", "low", "high", "direction"]]
    scale = alt.Scale(domain=[-1, 1])
    color = alt.Color(
        "direction:N",
        scale=alt.Scale(domain=["output rises", "output falls"], range=[UP, DOWN]),
        legend=alt.Legend(),
    )
    y, chart = _y(list(rows["label"])), alt.Chart(data)
    return alt.layer(
        chart.mark_bar(opacity=0.85).encode(
            x=alt.X("prcc:Q", axis=_axis(), scale=scale), y=y, color=color
        ),
        chart.mark_rule(color=style.INK).encode(x=alt.X("low:Q", scale=scale), x2="high:Q", y=y),
        _line(0.0, scale),
    )


def heatmap(table: pd.DataFrame, top: int = SHOWN) -> style.Figure:
    """Outputs beside parameters: how much each depends on each, relative to its strongest.

    Parameters
    ----------
    table
        `Sensitivity.table` of several outputs.
    top
        Numbers to show: those that matter most for any output.
    """
    strongest = table.groupby("output", sort=False)["influence"].transform("max")
    data = table.assign(strength=(table["influence"] / strongest.where(strongest > 0)).fillna(0.0))
    most = data.groupby("parameter", sort=False)["strength"].max()
    total = data.groupby("parameter", sort=False)["strength"].sum()
    order = pd.DataFrame({"most": most, "total": total})
    kept = list(order.nlargest(top, ["most", "total"]).sort_values("total", ascending=False).index)
    data = data[data["parameter"].isin(kept)]
    sign = next((name for name in ("slope", "mu", "prcc") if name in data.columns), None)
    signs = np.sign(data[sign]) if sign else np.zeros(len(data))
    arrows = {1.0: "↑", -1.0: "↓"}
    data = data.assign(
        mark=[
            f"{arrows.get(float(s), '')} {100 * x:.0f}".strip() if x >= 0.005 else ""
            for s, x in zip(signs, data["strength"], strict=True)
        ],
        ink=np.where(data["strength"] > 0.5, "#ffffff", "#111111"),
        label=[words.label(str(name)) for name in data["parameter"]],
    )[["output", "label", "strength", "mark", "ink"]]
    outputs = list(dict.fromkeys(data["output"]))
    cell = max(54, min(110, (style.WIDE - 260) // max(1, len(outputs))))
    headings, shared = _headings(outputs, cell)
    data["output"] = data["output"].map(headings)
    most_lines = max(heading.count("|") for heading in headings.values())
    x = alt.X(
        "output:N",
        sort=[headings[output] for output in outputs],
        axis=alt.Axis(
            title=None,
            orient="top",
            labelAngle=0,
            ticks=False,
            domain=False,
            labelExpr="split(datum.label, '|')",
            labelLimit=cell,
            labelFontSize=11,
            # Lines of a label run down from its first, so that they need room above the cells.
            labelPadding=6 + 13 * most_lines,
        ),
        scale=alt.Scale(padding=0.02),
    )
    y = alt.Y(
        "label:N",
        sort=[words.label(str(name)) for name in kept],
        axis=alt.Axis(title=None, ticks=False, domain=False, labelLimit=260),
        scale=alt.Scale(padding=0.03),
    )
    shade = alt.Color(
        "strength:Q", scale=alt.Scale(domain=[0, 0.33, 0.67, 1], range=SHADES), legend=None
    )
    base = alt.Chart(data)
    layers = alt.layer(
        base.mark_rect(cornerRadius=2).encode(x, y, color=shade),
        base.mark_text(fontSize=11).encode(
            x, y, text="mark:N", color=alt.Color("ink:N", scale=None)
        ),
    ).resolve_scale(color="independent")
    arrow = "; ↑ rises with the number, ↓ falls" if sign else ""
    return style.finish(
        layers.properties(width=cell * len(outputs), height=alt.Step(22)),
        f"What each endpoint depends on{shared}",
        f"influence in percent of the strongest in its column{arrow}",
    )


def _headings(outputs: list[str], cell: int) -> tuple[dict[str, str], str]:
    """Heading of each column, its lines divided by ``|``, and what all have in common."""
    parts = {output: output.split(", ") for output in outputs}
    times = {part[-1] for part in parts.values()}
    shared = (
        f", {times.pop()}" if len(times) == 1 and all(len(p) > 2 for p in parts.values()) else ""
    )
    found = {}
    for output, part in parts.items():
        shown = part[:-1] if shared else part
        lines = [
            line
            for place, text in enumerate(shown)
            # An endpoint may break at a hyphen; an arm such as tocilizumab-4 should not.
            for line in textwrap.wrap(
                words.label(text), max(8, cell // 6), break_on_hyphens=place == 0
            )
        ]
        found[output] = "|".join(lines)
    return found, shared


_KINDS = {
    "patients alone": ("sampling", style.CONTROL),
    "parameters alone": ("parameter", UP),
    "both": ("total", style.INK),
}


def intervals(table: pd.DataFrame, shares: Mapping[str, bool] | None = None) -> style.Figure:
    """Each output with its interval from patients alone, from parameters alone, and from both.

    Parameters
    ----------
    table
        `Uncertainty.table`.
    shares
        Whether an output is a share of patients, by name.
    """
    shares = shares or {}
    groups: dict[str, list[str]] = {}
    for output in table["output"].astype(str):
        groups.setdefault(output.split(", ")[0], []).append(output)
    panels = []
    for number, (endpoint, outputs) in enumerate(groups.items()):
        rows = table[table["output"].isin(outputs)]
        is_share = shares.get(outputs[0], False)
        panels.append(_interval_panel(rows, endpoint, is_share, number == 0))
    figure = alt.vconcat(*panels, spacing=20).resolve_scale(x="independent", color="shared")
    return style.finish(
        figure,
        "How well each endpoint is known",
        "95 % intervals; right: part of the variance that is due to uncertain numbers",
    )


def _interval_panel(
    rows: pd.DataFrame, endpoint: str, is_share: bool, has_legend: bool
) -> style.Figure:
    """Outputs of one endpoint, on one axis."""
    long = [
        {
            "output": row["output"].split(", ", 1)[-1],
            "kind": kind,
            "low": row[f"{key}_low"],
            "high": row[f"{key}_high"],
            "estimate": row["estimate"] if key == "sampling" else row["median"],
            "share": words.percent(row["share"]) if key == "total" else "",
        }
        for row in rows.to_dict("records")
        for kind, (key, _) in _KINDS.items()
    ]
    data = pd.DataFrame(long)
    outputs = list(dict.fromkeys(data["output"]))
    y = alt.Y(
        "output:N",
        sort=outputs,
        axis=alt.Axis(title=None, ticks=False, domain=False, labelLimit=300),
        scale=alt.Scale(paddingInner=0.35),
    )
    offset = alt.YOffset("kind:N", scale=alt.Scale(domain=list(_KINDS)))
    color = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=list(_KINDS), range=[color for _, color in _KINDS.values()]),
        legend=alt.Legend() if has_legend else None,
    )
    axis = style.value_axis(is_share, grid=True, gridColor=style.GRID)
    scale, base = alt.Scale(zero=False, nice=True), alt.Chart(data)
    right = style.WIDE - 300 + 10
    return alt.layer(
        base.mark_rule(strokeWidth=2.4).encode(
            x=alt.X("low:Q", axis=axis, scale=scale), x2="high:Q", y=y, yOffset=offset, color=color
        ),
        base.mark_point(filled=True, opacity=1, size=46).encode(
            x=alt.X("estimate:Q", scale=scale), y=y, yOffset=offset, color=color
        ),
        base.mark_text(align="left", fontSize=11.5).encode(
            x=alt.value(right), y=y, yOffset=offset, text="share:N"
        ),
    ).properties(
        width=style.WIDE - 300,
        height=alt.Step(11, **{"for": "offset"}),
        title=alt.TitleParams(endpoint, fontSize=12.5, offset=6),
    )
