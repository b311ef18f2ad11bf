"""Benefit and harm on one scale: the quadrant of arms, and the parts of each net benefit."""

from __future__ import annotations

import altair as alt
import pandas as pd

from immunostat.report import style, words
from immunostat.study.result import Result

_POINTS = "datum.value == 0 ? '0' : format(100 * datum.value, '+.0f')"


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
    data = net[["arm", "benefit", "harm"]].copy()
    reach = float(max(data["benefit"].abs().max(), data["harm"].abs().max(), 0.01)) * 1.15
    x = alt.X(
        "harm:Q",
        scale=alt.Scale(domain=[-reach, reach], nice=False),
        axis=alt.Axis(title="more side effects →", labelExpr=_POINTS, tickCount=5),
    )
    y = alt.Y(
        "benefit:Q",
        scale=alt.Scale(domain=[-reach, reach], nice=False),
        axis=alt.Axis(title="more benefit →", labelExpr=_POINTS, tickCount=5),
    )
    base = alt.Chart(data)
    even = pd.DataFrame({"harm": [-reach, reach], "benefit": [-reach, reach]})
    zero = pd.DataFrame({"zero": [0.0]})
    names = base.mark_text(dy=-13, fontSize=12).encode(x=x, y=y, text="arm:N")
    figure = alt.layer(
        alt.Chart(even).mark_line(color=style.LINE, strokeDash=[4, 4]).encode(x=x, y=y),
        alt.Chart(zero).mark_rule(color=style.LINE).encode(x="zero:Q"),
        alt.Chart(zero).mark_rule(color=style.LINE).encode(y="zero:Q"),
        base.mark_point(filled=True, size=150, opacity=1).encode(
            x=x, y=y, color=style.arm_color(result, legend=False)
        ),
        names,
    ).properties(width=style.NARROW + 60, height=style.NARROW + 20)
    return style.finish(
        figure,
        "Benefit against harm",
        f"weighted patients in 100, against {reference}; above the dashed line gains weigh more",
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
    data = data.groupby(["arm", "outcome"], sort=False, as_index=False).sum()
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
