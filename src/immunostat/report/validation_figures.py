"""Figures of predicted beside published trial arms: a scatter with the goal, and a forest."""

from __future__ import annotations

import altair as alt
import pandas as pd

from immunostat.report import style, words
from immunostat.study.goals import Goal
from immunostat.study.validation import Validation

#: Colors of a result by what it was used for.
USES = {
    "held back": "#d55e00",
    "held back, not judged": "#a9b1ba",
    "used in training": "#0072b2",
}

#: Title of the arms without a drug.
PLACEBO = "Placebo"

#: Latest week of the forest: later visits are those of patients who changed treatment.
LAST_WEEK = 30.0

#: What the gray ones are.
NOT_JUDGED = "Gray: another week, in doubt, or from memory"

#: Width of the names of arms in the forest.
LABELS = 300

_PUBLISHED = "published"


def agreement(validation: Validation) -> style.Figure:
    """Predicted against published, a panel for each target; the band is the goal.

    Parameters
    ----------
    validation
        Needs at least one result that is a share of patients.
    """
    rows = _shares(validation)
    goal = _goal(validation, rows)
    data = rows.assign(
        use=_uses(rows), group=_groups(rows), label=_labels(rows, with_endpoint=True)
    )
    groups = _ordered(data)
    columns = min(3, len(groups))
    size = (style.WIDE - 40) // columns - 34
    panels = [_scatter(data[data["group"] == name], name, goal, size) for name in groups]
    lines = [alt.hconcat(*panels[i : i + columns]) for i in range(0, len(panels), columns)]
    figure = alt.vconcat(*lines, spacing=14)
    judged = f"; band: within {goal.at_most:g} points" if goal else ""
    return style.finish(
        figure,
        "Predicted against published responders",
        "percent of patients, by target of the drug; a dot is one result of one arm"
        f"{judged}. {NOT_JUDGED}",
    )


def _scatter(data: pd.DataFrame, title: str, goal: Goal | None, size: int) -> style.Figure:
    scale = alt.Scale(domain=[0, 100], nice=False)
    ticks = [0, 25, 50, 75, 100]
    x = alt.X("observed:Q", scale=scale, axis=alt.Axis(values=ticks, title="published"))
    y = alt.Y("predicted:Q", scale=scale, axis=alt.Axis(values=ticks, title="predicted"))
    ends = pd.DataFrame({"x": [0.0, 100.0]})
    width = goal.at_most if goal else 0.0
    ends = ends.assign(low=ends["x"] - width, high=ends["x"] + width)
    band = (
        alt.Chart(ends)
        .mark_area(color=style.GRID, opacity=0.8, clip=True)
        .encode(x=alt.X("x:Q", scale=scale), y=alt.Y("low:Q", scale=scale), y2="high:Q")
    )
    line = (
        alt.Chart(ends)
        .mark_line(color=style.LINE, strokeWidth=1)
        .encode(x=alt.X("x:Q", scale=scale), y=alt.Y("x:Q", scale=scale))
    )
    columns = ["observed", "predicted", "use", "label", "observed_low", "observed_high"]
    base = alt.Chart(data[columns])
    whiskers = base.mark_rule(strokeWidth=0.8, opacity=0.3, clip=True).encode(
        x=alt.X("observed_low:Q", scale=scale),
        x2="observed_high:Q",
        y=y,
        color=_color(),
    )
    dots = base.mark_point(filled=True, size=38, opacity=0.9).encode(
        x=x, y=y, color=_color(), tooltip=["label:N", "observed:Q", "predicted:Q"]
    )
    panel = alt.layer(band, line, whiskers, dots)
    return panel.properties(
        width=size,
        height=size,
        title=alt.TitleParams(title, fontSize=12.5, anchor="start", offset=4),
    )


def forest(validation: Validation) -> style.Figure:
    """Every arm at the week of the goal, or the last one before it: published and predicted.

    Arms are grouped by the target of their drug; a column for each endpoint that is a share.
    """
    rows = _shares(validation)
    goal = _goal(validation, rows)
    rows = rows[rows["week"] <= LAST_WEEK]
    week = goal.week if goal else float(rows["week"].max())
    away = (rows["week"] - week).abs()
    nearest = away.groupby([rows["trial"], rows["arm"]]).transform("min")
    rows = rows[away == nearest]
    data = rows.assign(use=_uses(rows), group=_groups(rows), label=_labels(rows))
    data = data.sort_values(["drug", "trial"], kind="stable")
    endpoints = sorted(data["endpoint"].unique())
    panels = []
    for name in _ordered(data):
        own = data[data["group"] == name]
        labels = list(dict.fromkeys(own["label"]))
        line = [
            _forest_panel(own[own["endpoint"] == endpoint], labels, endpoint, i == 0)
            for i, endpoint in enumerate(endpoints)
        ]
        heading = alt.TitleParams(name, fontSize=13, anchor="start", offset=0)
        # Flush bounds: columns stand in line whatever the width of their labels.
        panels.append(alt.hconcat(*line, spacing=26, bounds="flush", title=heading))
    figure = alt.vconcat(*panels, spacing=10)
    return style.finish(
        figure,
        "Predicted beside published, by target",
        f"percent of patients at week {week:g} or the week named; lines: 95 % intervals. "
        f"{NOT_JUDGED}",
    )


def _forest_panel(
    rows: pd.DataFrame, labels: list[str], endpoint: str, is_first: bool
) -> style.Figure:
    """One endpoint of the arms of one target; only the first column names the arms."""
    scale = alt.Scale(domain=[0, 100], nice=False)
    axis = alt.Axis(values=[0, 25, 50, 75, 100], title=None, grid=True, gridColor=style.GRID)
    y_axis = alt.Axis(
        title=None,
        labels=is_first,
        ticks=False,
        domain=False,
        labelLimit=LABELS,
        labelFontSize=10.5,
        minExtent=LABELS if is_first else 0,
        maxExtent=LABELS if is_first else 0,
    )
    long = pd.concat(
        [
            pd.DataFrame(
                {
                    "label": rows["label"],
                    "what": rows["use"] if side == "predicted" else _PUBLISHED,
                    "side": side,
                    "estimate": rows[side],
                    "low": rows[f"{side}_low"].fillna(rows[side]),
                    "high": rows[f"{side}_high"].fillna(rows[side]),
                }
            )
            for side in ("observed", "predicted")
        ]
    )
    y = alt.Y(
        "label:N",
        sort=labels,
        axis=y_axis,
        scale=alt.Scale(domain=labels, paddingInner=0.25, paddingOuter=0.2),
    )
    offset = alt.YOffset("side:N", scale=alt.Scale(domain=["observed", "predicted"]))
    shapes = ["diamond", *["circle" for _ in USES]]
    shape = alt.Shape("what:N", scale=alt.Scale(domain=[_PUBLISHED, *USES], range=shapes))
    color = _color(with_published=True)
    base = alt.Chart(long)
    panel = alt.layer(
        base.mark_rule(strokeWidth=1.3).encode(
            x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q", y=y, yOffset=offset, color=color
        ),
        base.mark_point(filled=True, opacity=1, size=26).encode(
            x=alt.X("estimate:Q", scale=scale, axis=axis),
            y=y,
            yOffset=offset,
            color=color,
            shape=shape,
        ),
    )
    heading = alt.TitleParams(
        endpoint, fontSize=11.5, fontWeight="normal", color=style.MUTED, anchor="start", offset=4
    )
    height = alt.Step(15, **{"for": "position"})
    return panel.properties(width=160, height=height, title=heading)


def _color(with_published: bool = False) -> alt.Color:
    colors = {_PUBLISHED: style.INK, **USES} if with_published else USES
    return alt.Color("use:N" if not with_published else "what:N", scale=_scale(colors))


def _scale(colors: dict[str, str]) -> alt.Scale:
    return alt.Scale(domain=list(colors), range=list(colors.values()))


def _shares(validation: Validation) -> pd.DataFrame:
    table = validation.table
    return table[table["unit"] == "%"].reset_index(drop=True)


def _goal(validation: Validation, rows: pd.DataFrame) -> Goal | None:
    """The first goal that is about these results."""
    for goal in validation.goals:
        if rows["endpoint"].isin(goal.endpoints).any():
            return goal
    return None


def _uses(rows: pd.DataFrame) -> list[str]:
    held, other, training = USES
    return [
        training if role == "training" else held if judged else other
        for role, judged in zip(rows["role"], rows["judged"], strict=True)
    ]


def _groups(rows: pd.DataFrame) -> list[str]:
    return [PLACEBO if target == "none" else str(target) for target in rows["target"]]


def _ordered(data: pd.DataFrame) -> list[str]:
    """Targets in order of their name, placebo last."""
    names = sorted(data["group"].unique())
    return [name for name in names if name != PLACEBO] + [n for n in names if n == PLACEBO]


def _labels(rows: pd.DataFrame, with_endpoint: bool = False) -> list[str]:
    """Trial and arm without its background; the week where it is not the common one."""
    common = rows["week"].mode().iloc[0] if len(rows) else 0.0
    found = []
    for row in rows.to_dict("records"):
        arm = str(row["arm"]).removesuffix(" + methotrexate").removesuffix(" + DMARDs")
        week = "" if row["week"] == common else f", week {row['week']:g}"
        failed = " (after failure)" if "after failure" in row["patients"] else ""
        endpoint = f": {row['endpoint']}" if with_endpoint else ""
        found.append(f"{row['trial']}{failed}, {words.label(arm)}{week}{endpoint}")
    return found
