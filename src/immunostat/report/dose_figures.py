"""The figure of a dose response: arms, the curve through them, and the dose for a target."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd

from immunostat.report import style, words

#: Doses at which the curve is drawn.
CURVE_POINTS = 160


def dose_response(
    table: pd.DataFrame,
    label: str,
    *,
    unit: str = "",
    is_share: bool = False,
    target: float | None = None,
    colors: Mapping[float, str] | None = None,
) -> style.Figure:
    """Result of each dose with its interval, and the Emax curve through them.

    Parameters
    ----------
    table
        Rows ``what`` (arm, e0, emax, ed50, or begins with ``dose for``), ``dose``, ``estimate``,
        ``low``, ``high``, as in ``result.dose_response``.
    label
        The endpoint in words, with its unit.
    unit
        Unit of the doses; empty if unknown.
    is_share
        Whether results are shares of patients.
    target
        Wanted difference from dose 0; a dashed line, with the dose that makes it.
    colors
        Color of the point of each dose; one color for all if None.
    """
    arms = table[table["what"] == "arm"][["dose", "estimate", "low", "high"]].astype(float)
    arms = arms[np.isfinite(arms["estimate"])]
    color = colors or {}
    arms = arms.assign(color=[color.get(dose, style.PALETTE[0]) for dose in arms["dose"]])
    known = table.set_index("what")["estimate"]
    title = f"dose, {unit}" if unit else "dose"
    most = float(arms["dose"].max()) if len(arms) else 1.0
    x_scale = alt.Scale(domain=[-0.02 * most, 1.03 * most], nice=False)
    x_axis = alt.Axis(title=title, labelExpr=style.PLAIN_NUMBER, values=_ticks(arms["dose"]))
    x = alt.X("dose:Q", axis=x_axis, scale=x_scale)
    y_axis = style.value_axis(is_share, 6, grid=True, gridColor=style.GRID)
    y_scale = alt.Scale(zero=False, nice=True)
    layers: list[alt.Chart] = []
    curve = _curve(known, most)
    if len(curve):
        layers.append(
            alt.Chart(curve)
            .mark_line(color=style.INK, strokeWidth=1.8)
            .encode(x, alt.Y("estimate:Q", axis=y_axis, scale=y_scale))
        )
    if target is not None and "e0" in known:
        level = float(known["e0"]) + target
        layers += _target(table, level, target < 0, unit, most, (x, x_scale, y_scale))
    base = alt.Chart(arms)
    layers += [
        base.mark_rule(strokeWidth=2).encode(
            x, alt.Y("low:Q", axis=y_axis, scale=y_scale), y2="high:Q",
            color=alt.Color("color:N", scale=None),
        ),
        base.mark_point(filled=True, size=80, opacity=1).encode(
            x, alt.Y("estimate:Q", scale=y_scale), color=alt.Color("color:N", scale=None)
        ),
    ]  # fmt: skip
    measure = "share of patients" if is_share else "mean"
    dashed = "; dashed: wanted difference and the dose that makes it" if target is not None else ""
    line = "; line: Emax curve" if len(curve) else ""
    return style.finish(
        alt.layer(*layers).properties(width=style.WIDE, height=290),
        f"{label} by dose",
        f"{measure} of each arm with 95 % interval{line}{dashed}",
    )


def _curve(known: pd.Series, most: float) -> pd.DataFrame:
    """The Emax curve through the arms; empty where it was not determined."""
    if not {"e0", "emax", "ed50"} <= set(known.index):
        return pd.DataFrame()
    e0, emax, ed50 = (float(known[name]) for name in ("e0", "emax", "ed50"))
    if not np.isfinite([e0, emax, ed50]).all():
        return pd.DataFrame()
    doses = np.linspace(0.0, most, CURVE_POINTS)
    with np.errstate(invalid="ignore", divide="ignore"):
        effect = np.where(doses > 0, emax * doses / (ed50 + doses), 0.0)
    return pd.DataFrame({"dose": doses, "estimate": e0 + effect})


def _target(
    table: pd.DataFrame,
    level: float,
    is_falling: bool,
    unit: str,
    most: float,
    axes: tuple[alt.X, alt.Scale, alt.Scale],
) -> list[alt.Chart]:
    """A dashed line at the wanted level, and the dose that reaches it with its interval."""
    x, x_scale, y_scale = axes
    own = table[table["what"].astype(str).str.startswith("dose for")]
    rule = alt.Chart(pd.DataFrame({"level": [level]}))
    dashed = rule.mark_rule(color=style.MUTED, strokeDash=[5, 3], strokeWidth=1.2)
    layers = [dashed.encode(y=alt.Y("level:Q", scale=y_scale))]
    if own.empty or not np.isfinite(float(own["estimate"].iloc[0])):
        return layers
    dose, low, high = (float(own[name].iloc[0]) for name in ("estimate", "low", "high"))
    if dose > most:
        return layers
    ends = [max(0.0, low), min(high, 1.03 * most)] if np.isfinite([low, high]).all() else [dose] * 2
    text = f"{words.number(dose)} {unit}".strip()
    data = pd.DataFrame(
        {"dose": [dose], "level": [level], "low": [ends[0]], "high": [ends[1]], "text": [text]}
    )
    mark = alt.Chart(data)
    y = alt.Y("level:Q", scale=y_scale)
    return [
        *layers,
        mark.mark_rule(color=style.MUTED, strokeWidth=4, opacity=0.5).encode(
            x=alt.X("low:Q", scale=x_scale), x2="high:Q", y=y
        ),
        mark.mark_point(shape="diamond", filled=True, color=style.INK, size=110, opacity=1).encode(
            x, y
        ),
        # On the side of the diamond through which the curve does not run.
        mark.mark_text(
            align="right", dx=-9, dy=15 if is_falling else -13, fontSize=12, fontWeight=600
        ).encode(x, y, text="text:N"),
    ]


def _ticks(doses: pd.Series) -> list[float]:
    """Ticks at the doses themselves; those too close to the one before are left out."""
    most = float(doses.max()) if len(doses) else 0.0
    kept: list[float] = []
    for dose in sorted(set(doses.astype(float))):
        if not kept or dose - kept[-1] >= 0.03 * most:
            kept.append(dose)
    return kept
