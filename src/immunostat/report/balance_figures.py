"""Benefit and harm on one scale: the quadrant of arms, the parts of each net benefit, doses."""

from __future__ import annotations

import altair as alt
import pandas as pd

from immunostat.report import style, words
from immunostat.study.dose_balance import DoseBalance
from immunostat.study.result import Result

_POINTS = "datum.value == 0 ? '0' : format(100 * datum.value, '+.3~g')"


#: Outcomes that are told apart; others are one.
MOST_OUTCOMES, REST = 8, "all others"


def quadrant(result: Result, net: pd.DataFrame, reference: str) -> style.Figure:
    """Each arm by what it gains (up) and what it costs (right), against the reference.

    Parameters
    ----------
    net
        From `balance.weighed`.
    reference
        The arm that others are compared with; it stands where the lines cross.
    """
    ends = ["benefit_low", "benefit_high", "harm_low", "harm_high"]
    data = net[["arm", "benefit", "harm", *ends]].copy()
    x_domain, y_domain = _reach(data, "harm"), _reach(data, "benefit")
    x_scale = alt.Scale(domain=x_domain, nice=False)
    y_scale = alt.Scale(domain=y_domain, nice=False)
    x = alt.X("harm:Q", scale=x_scale, axis=_sided("more side effects →"))
    y = alt.Y("benefit:Q", scale=y_scale, axis=_sided("more benefit →"))
    base = alt.Chart(data)
    color = style.arm_color(result, legend=False)
    # The line of equal weight, as far as both axes go.
    line = [max(x_domain[0], y_domain[0]), min(x_domain[1], y_domain[1])]
    even = pd.DataFrame({"harm": line, "benefit": line})
    zero = pd.DataFrame({"zero": [0.0]})
    # Every second name stands below its point, so that those of close arms can be read.
    names = [
        alt.Chart(data.iloc[first::2])
        .mark_text(dx=9, dy=dy, align="left", fontSize=12)
        .encode(x=x, y=y, text="arm:N")
        for first, dy in ((0, -9), (1, 12))
    ]
    figure = alt.layer(
        alt.Chart(even).mark_line(color=style.LINE, strokeDash=[4, 4]).encode(x=x, y=y),
        alt.Chart(zero).mark_rule(color=style.LINE).encode(x="zero:Q"),
        alt.Chart(zero).mark_rule(color=style.LINE).encode(y="zero:Q"),
        base.mark_rule(strokeWidth=1.6, opacity=0.7).encode(
            x=alt.X("harm_low:Q", scale=x_scale), x2="harm_high:Q", y=y, color=color
        ),
        base.mark_rule(strokeWidth=1.6, opacity=0.7).encode(
            x=x, y=alt.Y("benefit_low:Q", scale=y_scale), y2="benefit_high:Q", color=color
        ),
        base.mark_point(filled=True, size=110, opacity=1).encode(x=x, y=y, color=color),
        *names,
    ).properties(width=style.NARROW + 60, height=style.NARROW + 20)
    return style.finish(
        figure,
        "Benefit against harm",
        [
            f"weighted patients in 100, against {reference}; lines: 95 % intervals",
            "above the dashed line gains weigh more",
        ],
    )


def _sided(title: str) -> alt.Axis:
    return alt.Axis(title=title, labelExpr=_POINTS, tickCount=5)


def _reach(data: pd.DataFrame, side: str) -> list[float]:
    """Ends of an axis that hold zero and every interval, with room for the names of arms."""
    low = float(min(0.0, data[f"{side}_low"].min(), data[side].min()))
    high = float(max(0.0, data[f"{side}_high"].max(), data[side].max()))
    span = max(high - low, 0.01)
    return [low - 0.08 * span, high + 0.22 * span]


def dose_balance(found: DoseBalance, unit: str = "") -> style.Figure:
    """Benefit, harm and their difference by dose, on one axis, and the dose that weighs best.

    Parameters
    ----------
    found
        From `dose_balance.dose_balance`.
    unit
        Unit of the doses; empty if unknown.
    """
    names = {"benefit": style.PALETTE[2], "harm": style.PALETTE[1], "net": style.INK}
    parts = []
    for table, is_arm in ((found.curves, False), (found.arms, True)):
        for name in names:
            own = table[["dose", name, f"{name}_low", f"{name}_high"]].copy()
            own.columns = pd.Index(["dose", "value", "low", "high"])
            parts.append(own.assign(part=name, is_arm=is_arm))
    data = pd.concat(parts, ignore_index=True)
    x = alt.X(
        "dose:Q",
        axis=alt.Axis(title=f"dose, {unit}" if unit else "dose", labelExpr=style.PLAIN_NUMBER,
                      tickCount=8),
        scale=alt.Scale(nice=False, padding=12),
    )  # fmt: skip
    axis = alt.Axis(title="weighted patients in 100", labelExpr=_POINTS, tickCount=7, grid=True,
                    gridColor=style.GRID)  # fmt: skip
    color = alt.Color(
        "part:N",
        scale=alt.Scale(domain=list(names), range=list(names.values())),
        legend=alt.Legend(symbolType="square", symbolStrokeWidth=0),
    )
    curve, arm = alt.Chart(data[~data["is_arm"]]), alt.Chart(data[data["is_arm"]])
    best = pd.DataFrame({"best": [found.best], "low": [found.low], "high": [found.high]})
    y = alt.Y("value:Q", axis=axis)
    figure = alt.layer(
        alt.Chart(best).mark_rect(opacity=0.1, color=style.INK).encode(x="low:Q", x2="high:Q"),
        alt.Chart(best).mark_rule(strokeDash=[4, 4], color=style.INK).encode(x="best:Q"),
        curve.mark_area(opacity=0.14).encode(x, alt.Y("low:Q", axis=axis), y2="high:Q",
                                             color=color),
        curve.mark_line(strokeWidth=2).encode(x, y, color=color),
        arm.mark_point(filled=True, size=55, opacity=1).encode(x, y, color=color),
    ).properties(width=style.WIDE - 80, height=290)  # fmt: skip
    return style.finish(
        figure,
        "Benefit and harm by dose",
        "points: arms; lines: Emax curves with 95 % bands; dashed: dose that weighs best, with "
        "its 95 % interval",
    )


def value_tree(result: Result, parts: pd.DataFrame, net: pd.DataFrame) -> style.Figure:
    """What each outcome adds to the net benefit of each arm, and the net with its interval."""
    most: dict[str, float] = {}
    for name, value in zip(parts["outcome"], parts["value"], strict=True):
        most[str(name)] = max(most.get(str(name), 0.0), abs(float(value)))
    shown = set(sorted(most, key=lambda name: -most[name])[:MOST_OUTCOMES])
    data = parts[parts["value"].abs() > 1e-9][["arm", "outcome", "value"]].copy()
    data["outcome"] = [
        words.label(str(name)) if name in shown else REST for name in data["outcome"]
    ]
    data = data.groupby(["arm", "outcome"], sort=False)["value"].sum().reset_index()
    names = [words.label(str(name)) for name in most if name in shown]
    names += [REST] if REST in set(data["outcome"]) else []
    palette = [*style.PALETTE, "#98a2ad", "#3f6e52", "#a0522d", "#5f5f9e"]
    colors = [palette[i % len(palette)] for i in range(len(names))]
    arms = [arm for arm in result.arms if arm in set(net["arm"])]
    y = alt.Y(
        "arm:N", sort=arms, scale=alt.Scale(domain=arms, padding=0.35),
        axis=alt.Axis(title=None, ticks=False, domain=False),
    )  # fmt: skip
    axis = alt.Axis(title="weighted patients in 100", labelExpr=_POINTS, tickCount=7, grid=True,
                    gridColor=style.GRID)  # fmt: skip
    zero = pd.DataFrame({"zero": [0.0]})
    interval = alt.Chart(net[["arm", "net", "low", "high"]])
    figure = alt.layer(
        alt.Chart(data)
        .mark_bar()
        .encode(
            x=alt.X("value:Q", axis=axis, stack=True),
            y=y,
            color=alt.Color(
                "outcome:N",
                scale=alt.Scale(domain=names, range=colors),
                legend=alt.Legend(columns=3, symbolType="square"),
            ),
        ),
        alt.Chart(zero).mark_rule(color=style.INK).encode(x="zero:Q"),
        interval.mark_rule(color=style.INK, strokeWidth=2).encode(x="low:Q", x2="high:Q", y=y),
        interval.mark_point(
            filled=True, shape="diamond", color=style.INK, size=110, opacity=1
        ).encode(x="net:Q", y=y),
    ).properties(width=style.WIDE - 190, height=alt.Step(52))
    return style.finish(
        figure,
        "What makes the net benefit",
        "bars: outcomes times weights, gains right, losses left; diamond: net, 95 % interval",
    )
