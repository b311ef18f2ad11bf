"""Where harm differs: between drugs in one figure, between patients in another."""

from __future__ import annotations

import math
from dataclasses import dataclass

import altair as alt
import numpy as np
import pandas as pd

from immunostat.report import style, words
from immunostat.report.harm_figures import RATE, SERIOUS
from immunostat.study.drivers import drivers
from immunostat.study.one_patient import people
from immunostat.study.result import Result

#: Rows of the map.
MOST_EFFECTS = 24

#: Patients of an arm who are drawn as points.
MOST_PATIENTS = 250


def rates(result: Result) -> style.Figure:
    """Expected rate of each side effect in each arm: rows side effects, columns arms.

    Color tells the ratio to the arm without regimens of its own (or to the lowest rate where there
    is none), on a logarithmic scale, so that what a drug adds can be seen of rare and of frequent
    side effects alike; the number in the cell is the rate.
    """
    table = result.side_effects[result.side_effects["measure"] == RATE].copy()
    table["rate"] = table["expected"].fillna(table["estimate"]).astype(float)
    wide = table.pivot(index="side_effect", columns="arm", values="rate")[_arms(result, table)]
    wide = wide[wide.max(axis=1) > 0]
    base = _reference(result, wide)
    # An arm without the side effect at all has no ratio; a hundredth of an event stands for it.
    ratio = wide.clip(lower=0.01).div(base.clip(lower=0.01), axis=0).apply(np.log2)
    order = ratio.max(axis=1).sort_values(ascending=False, kind="stable").index[:MOST_EFFECTS]
    rows = [
        {
            "side_effect": words.label(str(name)),
            "arm": arm,
            "doublings": float(np.clip(ratio.loc[name, arm], -4, 4)),
            "text": words.number(float(wide.loc[name, arm]), 2),
        }
        for name in order
        for arm in wide.columns
    ]
    data = pd.DataFrame(rows)
    data["is_strong"] = data["doublings"].abs() > 2.2
    arms = list(wide.columns)
    y = alt.Y(
        "side_effect:N",
        sort=[words.label(str(name)) for name in order],
        axis=alt.Axis(title=None, ticks=False, domain=False, labelFontSize=12, labelLimit=230),
    )
    x = alt.X(
        "arm:N",
        sort=arms,
        axis=alt.Axis(title=None, orient="top", ticks=False, domain=False, labelAngle=0,
                      labelFontSize=12, labelLimit=110),
    )  # fmt: skip
    color = alt.Color(
        "doublings:Q",
        scale=alt.Scale(domain=[-4, 0, 4], range=["#2b6ca3", "#f4f4f2", "#b3441c"]),
        legend=alt.Legend(
            title="times as many as without",
            values=[-4, -2, 0, 2, 4],
            labelExpr="datum.value == 0 ? '1' : datum.value < 0 ? '1/' + pow(2, -datum.value) : "
            "pow(2, datum.value)",
            gradientLength=170,
            titleFontSize=11,
        ),
    )
    width = min(92, (style.WIDE - 250) // max(1, len(arms)))
    layers = alt.layer(
        alt.Chart(data).mark_rect(stroke="white", strokeWidth=1.5).encode(x=x, y=y, color=color),
        alt.Chart(data)
        .mark_text(fontSize=11)
        .encode(
            x=x,
            y=y,
            text="text:N",
            color=alt.condition("datum.is_strong", alt.value("white"), alt.value("#1c2733")),
        ),
    )
    return style.finish(
        layers.properties(width=alt.Step(width), height=alt.Step(22)),
        "What each arm does to each side effect",
        f"number: expected {words.shown_unit(str(table['unit'].iloc[0]))}",
    )


def _arms(result: Result, table: pd.DataFrame) -> list[str]:
    shown = set(table["arm"])
    return [arm for arm in result.arms if arm in shown]


def _reference(result: Result, wide: pd.DataFrame) -> pd.Series:
    """Rates that others are compared with."""
    regimens = result.study.get("arms", {})
    without = [arm for arm in wide.columns if not regimens.get(arm)]
    return wide[without[0]] if without else wide.min(axis=1)


@dataclass(frozen=True)
class Unequal:
    """A side effect whose chance differs between patients, and the number that it goes with.

    Parameters
    ----------
    side_effect, covariate
        Names.
    correlation
        Partial rank correlation of the two under the arm that says most.
    """

    side_effect: str
    covariate: str
    correlation: float


def main_harm(result: Result) -> Unequal | None:
    """The serious side effect that comes most, and the number of patients that it goes with most.

    None where no side effect happens by chance, or in everybody alike.
    """
    table = result.side_effects[result.side_effects["measure"] == RATE]
    if table.empty:
        return None
    expected = table.assign(rate=table["expected"].fillna(table["estimate"]).astype(float))
    most = expected.groupby("side_effect")["rate"].max()
    columns = set(map(str, result.rows("patients").columns))
    names = sorted(most.index, key=lambda name: (SERIOUS not in str(name).lower(), -most[name]))
    known = set(people(result)) - {"patient"}
    treated = [arm for arm in result.arms if result.study.get("arms", {}).get(arm)]
    for name in names:
        column = next(
            (own for own in (f"{name} chance", f"{name} expected") if own in columns), None
        )
        if column is None or most[name] <= 0:
            continue
        for arm in (treated or result.arms)[-1:]:
            told = drivers(result, arm, column, most=12)
            own = next((one for one in told if one.name in known), None)
            if own is not None:
                return Unequal(str(name), own.name, own.correlation)
    return None


def chances(result: Result, found: Unequal) -> style.Figure:
    """Each patient's chance of a side effect by the number that it goes with most, by arm."""
    column = f"{found.side_effect} chance"
    table = result.patients
    if column not in table:
        table = table.assign(**{column: -np.expm1(-table[f"{found.side_effect} expected"])})
    data = table[["arm", "patient", found.covariate, column]].dropna()
    data = data.rename(columns={found.covariate: "number", column: "chance"})
    data = data[data["chance"] > 0].groupby("arm", sort=False).head(MOST_PATIENTS)
    arms = [arm for arm in result.arms if arm in set(data["arm"])]
    low = 10.0 ** math.floor(math.log10(float(data["chance"].min())))
    most = float(data["chance"].max())
    high = 10.0 ** math.ceil(math.log10(most))
    high = min(1.0, 0.3 * high if most <= 0.3 * high else high)
    exponents = range(round(math.log10(low)), 1)
    ticks = [f * 10.0**e for e in exponents for f in (1, 3) if f * 10.0**e <= 1.001 * high]
    y = alt.Y(
        "chance:Q",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=style.value_axis(grid=True, gridColor=style.GRID, values=ticks, labelExpr=(
            "format(100 * datum.value, '~g') + ' %'")),
    )  # fmt: skip
    values = data["number"]
    is_flag = set(values.unique()) <= {0.0, 1.0}
    # A yes or no is spread a little, the same for the same patient, so that points can be told.
    spread = ((data["patient"] * 0.6180339887) % 1 - 0.5) * 0.5 if is_flag else 0.0
    data = data.assign(number=values + spread)
    axis = alt.Axis(
        title=words.label(found.covariate),
        values=[0, 1] if is_flag else alt.Undefined,
        labelExpr="datum.value ? 'yes' : 'no'" if is_flag else style.PLAIN_NUMBER,
        tickCount=5,
    )
    columns = min(3, len(arms))
    figure = (
        alt.Chart(data[["arm", "number", "chance"]])
        .mark_point(filled=True, size=20, opacity=0.55)
        .encode(
            x=alt.X("number:Q", axis=axis, scale=alt.Scale(zero=False, padding=8)),
            y=y,
            color=style.arm_color(result, arms, legend=False),
        )
        .properties(width=(style.WIDE - 40 * columns) // columns, height=200)
        .facet(
            facet=alt.Facet(
                "arm:N",
                sort=arms,
                header=alt.Header(
                    title=None, labelFontSize=12, labelColor=style.INK, labelFontWeight=600
                ),
            ),
            columns=columns,
        )
    )
    return style.finish(
        figure,
        f"Who has {words.inner(words.label(found.side_effect))}",
        f"chance of each patient until {words.span(float(result.study['duration_day']))}, by "
        f"{words.inner(words.label(found.covariate))}",
    )
