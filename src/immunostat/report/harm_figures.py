"""Figures of what the treatment costs the patient, and of benefit beside harm."""

from __future__ import annotations

import math
import textwrap

import altair as alt
import numpy as np
import pandas as pd

from immunostat.report import style, words
from immunostat.report.efficacy_figures import final_estimates
from immunostat.study.result import Result

RATE = "incidence rate"
ANY_GRADE = "any grade"
SEVERE = "grade 3-4"
SERIOUS = "serious"
"""A side effect with this word in its name is shown first beside the benefit."""


def side_effects(result: Result) -> style.Figure:
    """Incidence rate of each side effect by arm, with 95 % intervals, on a logarithmic axis.

    What the model expects most often stands first; what it does not expect at all is left out.
    """
    rows = result.side_effects[result.side_effects["measure"] == RATE].reset_index(drop=True)
    most = rows["expected"].fillna(rows["estimate"]).groupby(rows["side_effect"]).max()
    names = [name for name in dict.fromkeys(rows["side_effect"]) if most[name] > 0]
    names = sorted(names or list(most.index), key=lambda name: -float(most[name]))
    rows = rows[rows["side_effect"].isin(names)].reset_index(drop=True)
    estimates = rows[["estimate", "low", "high"]].to_numpy(dtype=float)
    # The expectation too: of a rare side effect no event is drawn, and it is then all there is.
    shown = rows[["estimate", "high", "expected"]].to_numpy(dtype=float)
    positive = shown[np.isfinite(shown) & (shown > 0)]
    floor = 10.0 ** math.floor(math.log10(float(positive.min()))) if positive.size else 0.1
    floor = max(floor, 0.01)
    ceiling = max(float(np.nanmax(estimates)) if estimates.size else 1.0, 10 * floor)
    data = rows[["arm", "side_effect", "estimate", "low", "high", "expected", "events"]].copy()
    data["none"] = rows["events"].fillna(rows["estimate"]) == 0
    for column in ("estimate", "low", "high", "expected"):
        data[column] = data[column].astype(float).clip(lower=floor)
    data["side_effect"] = [words.label(str(name)) for name in data["side_effect"]]
    y = alt.Y(
        "side_effect:N",
        sort=[words.label(str(name)) for name in names],
        axis=alt.Axis(title=None, ticks=False, domain=False, labelFontSize=12.5),
        scale=alt.Scale(paddingInner=0.36, paddingOuter=0.2),
    )
    offset = alt.YOffset("arm:N", sort=result.arms, scale=alt.Scale(domain=_arms_of(result, rows)))
    exponents = range(round(math.log10(floor)), math.ceil(math.log10(ceiling)) + 1)
    axis = style.value_axis(values=[10.0**e for e in exponents], grid=True, gridColor=style.GRID)
    scale = alt.Scale(type="log", domain=[floor, ceiling * 1.2], nice=False)
    color = style.arm_color(result, _arms_of(result, rows))
    base = alt.Chart()
    drawn, none = "!datum.none", "datum.none"
    point = alt.X("estimate:Q", scale=scale, axis=axis)
    layers = alt.layer(
        base.mark_rule(strokeWidth=1.8).encode(
            x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q", y=y, yOffset=offset, color=color
        ),
        base.transform_filter(drawn)
        .mark_point(filled=True, opacity=1, size=46)
        .encode(x=point, y=y, yOffset=offset, color=color),
        base.transform_filter(none)
        .mark_point(filled=False, strokeWidth=1.6, size=42, opacity=1)
        .encode(x=point, y=y, yOffset=offset, color=color),
        base.mark_tick(thickness=1.8, size=9, color=style.INK, opacity=0.8).encode(
            x=alt.X("expected:Q", scale=scale, axis=axis), y=y, yOffset=offset
        ),
        data=data,
    )
    unit = str(rows["unit"].iloc[0]) if len(rows) else ""
    return style.finish(
        layers.properties(width=style.WIDE - 190, height=alt.Step(9, **{"for": "offset"})),
        "Side effects by arm",
        f"{words.shown_unit(unit)}; line: 95 % interval; tick: model expectation; hollow: no event",
    )


def grades(result: Result) -> style.Figure:
    """Share of patients with each graded side effect; the severe part is solid."""
    data = _graded(result)
    seen = data["end"].groupby(data["side_effect"]).transform("max") > 0
    data = data[seen] if seen.any() else data
    names = list(dict.fromkeys(data["side_effect"]))
    arms = _arms_of(result, data)
    y = alt.Y(
        "side_effect:N",
        sort=names,
        axis=alt.Axis(title=None, ticks=False, domain=False, labelFontSize=12.5),
        scale=alt.Scale(paddingInner=0.3, paddingOuter=0.15),
    )
    parts = ["severe (grade 3 or more)", "milder"]
    opacity = alt.Opacity(
        "part:N",
        scale=alt.Scale(domain=parts, range=[1.0, 0.42]),
        legend=alt.Legend(symbolType="square", symbolFillColor=style.INK, symbolStrokeWidth=0),
    )
    axis = style.value_axis(True, 6, grid=True, gridColor=style.GRID)
    bars = (
        alt.Chart(data)
        .mark_bar()
        .encode(
            x=alt.X("start:Q", axis=axis),
            x2="end:Q",
            y=y,
            yOffset=alt.YOffset(
                "arm:N", sort=arms, scale=alt.Scale(domain=arms, paddingInner=0.15)
            ),
            color=style.arm_color(result, arms),
            opacity=opacity,
        )
    )
    return style.finish(
        bars.properties(width=style.WIDE - 190, height=alt.Step(14, **{"for": "offset"})),
        "Side effects by grade",
        "share of patients with at least one",
    )


def has_grades(result: Result) -> bool:
    """Whether the result tells severe from milder side effects."""
    return len(_graded(result)) > 0


def balance(result: Result) -> style.Figure:
    """Benefit beside harm: one row per arm, columns for what is gained and what it costs."""
    harms = [
        ("harm", name, words.shown_unit(str(rows["unit"].iloc[0])), rows)
        for name, rows in weighed_harms(result)
    ]
    harms += _graded_harms(result)
    columns = [*_benefits(result)[:2], *harms[:2]]
    panels: list[style.Figure] = []
    width = (style.WIDE - 50 - 34 * len(columns)) // max(1, len(columns))
    wrapped = [
        textwrap.wrap(words.label(name), max(9, width // 7), break_on_hyphens=False)
        for _, name, _, _ in columns
    ]
    lines = max((len(text) for text in wrapped), default=1)
    for index, ((side, _, unit, rows), text) in enumerate(zip(columns, wrapped, strict=True)):
        heading = alt.TitleParams(
            [*[""] * (lines - len(text)), *text],
            subtitle=[side, "% of patients" if unit == "share" else unit],
            fontSize=12.5,
            subtitleFontSize=11,
            subtitlePadding=3,
            offset=8,
        )
        panels.append(_balance_panel(result, rows, heading, (width, index == 0, unit == "share")))
    figure = alt.hconcat(*panels, spacing=34, bounds="flush")
    figure = figure.resolve_scale(x="independent", color="shared")
    return style.finish(figure, "Benefit beside harm", "line: 95 % interval")


def _balance_panel(
    result: Result, rows: pd.DataFrame, heading: alt.TitleParams, form: tuple[int, bool, bool]
) -> style.Figure:
    """One column of `balance`: a point with its interval and value for each arm."""
    width, is_first, share = form
    arms = _arms_of(result, rows)
    data = rows[["arm", "estimate", "low", "high"]].copy()
    data["text"] = [words.percent(v) if share else words.number(v, 2) for v in data["estimate"]]
    labels = alt.Axis(title=None, ticks=False, domain=False, labels=is_first, labelFontSize=12.5)
    y = alt.Y("arm:N", sort=arms, axis=labels)
    axis = style.value_axis(share, 2)
    scale = alt.Scale(zero=True, nice=True)
    color = style.arm_color(result, arms, legend=False)
    base = alt.Chart()
    layers = alt.layer(
        base.mark_rule(strokeWidth=2).encode(
            x=alt.X("low:Q", axis=axis, scale=scale), x2="high:Q", y=y, color=color
        ),
        base.mark_point(filled=True, opacity=1, size=80).encode(
            x=alt.X("estimate:Q", axis=axis, scale=scale), y=y, color=color
        ),
        base.mark_text(dy=-12, fontSize=11.5).encode(
            x=alt.X("estimate:Q", axis=axis, scale=scale), y=y, text="text:N"
        ),
        data=data,
    )
    return layers.properties(width=width, height=alt.Step(38), title=heading)


def _benefits(result: Result) -> list[tuple[str, str, str, pd.DataFrame]]:
    """Endpoints to weigh: shares of patients first, in the order of the study."""
    final = final_estimates(result)
    shares = final[final["statistic"].str.contains("proportion")]
    chosen = shares if len(shares) else final
    columns = []
    for name, rows in chosen.groupby("endpoint", sort=False):
        unit = "share" if len(shares) else f"{rows['statistic'].iloc[0]} ({rows['unit'].iloc[0]})"
        columns.append(("benefit", str(name), unit, rows))
    return columns


def weighed_harms(result: Result) -> list[tuple[str, pd.DataFrame]]:
    """Side effects by weight: serious ones first, then those that differ most between arms."""
    rates = result.side_effects[result.side_effects["measure"] == RATE]
    groups = [(str(name), rows) for name, rows in rates.groupby("side_effect", sort=False)]

    def order(group: tuple[str, pd.DataFrame]) -> tuple[bool, float]:
        name, rows = group
        expected = rows["expected"].fillna(rows["estimate"]).astype(float)
        return SERIOUS not in name.lower(), -float(expected.max() - expected.min())

    return sorted(groups, key=order)


def _graded_harms(result: Result) -> list[tuple[str, str, str, pd.DataFrame]]:
    """Shares of patients with a severe grade, what differs most between arms first."""
    severe = result.side_effects[result.side_effects["measure"] == SEVERE]
    columns = [
        ("harm", f"{name}, {SEVERE}", "share", rows)
        for name, rows in severe.groupby("side_effect", sort=False)
    ]
    return sorted(columns, key=lambda column: -float(np.ptp(column[3]["estimate"])))


def _graded(result: Result) -> pd.DataFrame:
    """Start and end of the severe and the milder part of each bar."""
    table = result.side_effects
    index = ["side_effect", "arm"]
    whole = table[table["measure"] == ANY_GRADE]
    has_joined = (table["measure"] == SEVERE).any()
    is_severe = (
        table["measure"] == SEVERE if has_joined else table["measure"].str.startswith("grade 3")
    )
    severe = table[is_severe].drop_duplicates(index).set_index(index)["estimate"].astype(float)
    rows = []
    for name, arm, total in zip(whole["side_effect"], whole["arm"], whole["estimate"], strict=True):
        if (name, arm) in severe.index:
            part = float(severe.loc[(name, arm)])
            shown = words.label(str(name))
            rows.append((shown, arm, "severe (grade 3 or more)", 0.0, part))
            rows.append((shown, arm, "milder", part, max(part, float(total))))
    return pd.DataFrame(rows, columns=["side_effect", "arm", "part", "start", "end"])


def _arms_of(result: Result, rows: pd.DataFrame) -> list[str]:
    shown = set(rows["arm"])
    return [arm for arm in result.arms if arm in shown]
