"""Figures of predicted beside published trial arms: a scatter with the goal, and a forest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from immunostat.report import style, words
from immunostat.report.effects import is_ratio
from immunostat.study.goals import VALUE, Goal
from immunostat.study.published_values import factor_to
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


@dataclass(frozen=True)
class Subject:
    """What a pair of figures is about.

    Parameters
    ----------
    name
        For a file; empty for the first subject.
    title
        What is predicted, in words.
    unit
        Of the numbers, in words.
    rows
        Of `Validation.table`.
    goal
        What is aimed at; None without.
    """

    name: str
    title: str
    unit: str
    rows: pd.DataFrame
    goal: Goal | None

    @property
    def is_share(self) -> bool:
        """Whether the numbers are shares of patients."""
        return bool((self.rows["unit"] == "%").all())

    @property
    def is_ratio(self) -> bool:
        """Whether the numbers are ratios, of which half is as far from 1 as double."""
        return is_ratio(str(self.rows["measure"].iloc[0])) if len(self.rows) else False

    @cached_property
    def domain(self) -> tuple[float, float]:
        """Ends of the axes."""
        if self.is_share:
            return 0.0, 100.0
        columns = [f"{side}{end}" for side in ("observed", "predicted") for end in ("", "_low")]
        columns += ["observed_high", "predicted_high"]
        values = self.rows[columns].to_numpy(np.float64)
        values = values[np.isfinite(values)]
        if not self.is_ratio:
            return min(0.0, float(values.min(initial=0.0))), 1.05 * float(values.max(initial=1e-3))
        points = self.rows[["observed", "predicted"]].to_numpy(np.float64)
        points = points[np.isfinite(points) & (points > 0)]
        low = min(float(points.min(initial=1.0)) / 1.5, 0.8)
        return low, max(float(points.max(initial=1.0)) * 1.5, 1.25)

    @property
    def ticks(self) -> list[float] | None:
        """Marks of the axes; None leaves them to the figure."""
        if self.is_share:
            return [0, 25, 50, 75, 100]
        if not self.is_ratio:
            return None
        marks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50]
        return [mark for mark in marks if self.domain[0] <= mark <= self.domain[1]]

    @property
    def scale(self) -> alt.Scale:
        """Scale of both axes."""
        ends = list(self.domain)
        if self.is_ratio:
            return alt.Scale(type="log", domain=ends, nice=False)
        return alt.Scale(domain=ends, nice=False)

    def axis(self, **keys: Any) -> alt.Axis:
        """Axis of either direction."""
        ticks = self.ticks
        return alt.Axis(**keys) if ticks is None else alt.Axis(values=ticks, **keys)

    @property
    def goal_words(self) -> str:
        """How far off a mean error may be, in words."""
        if self.goal is None:
            return ""
        unit = "" if self.goal.unit == "1" else f" {self.goal.unit}"
        return f"; band: within {self.goal.at_most:g}{unit}"


def subjects(validation: Validation) -> list[Subject]:
    """What figures are made about: the results of each goal, or all shares without a goal."""
    found: list[Subject] = []
    table = validation.table
    for goal in validation.goals:
        is_own = table["endpoint"].isin(goal.endpoints) & table["measure"].isin(goal.measures)
        rows = table[is_own].reset_index(drop=True)
        if rows.empty:
            continue
        if (rows["unit"] == "%").all() and set(rows["measure"]) == {VALUE}:
            # Other shares are shown beside those that are judged.
            rows = _shares(table)
            title, unit = "responders", "percent of patients"
        else:
            title = words.label(goal.name.split(" at week")[0])
            first = str(rows["unit"].iloc[0]) if goal.is_relative else goal.unit
            rows = _in_unit(rows, first)
            unit = "" if first == "1" else words.shown_unit(first)
        name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") if found else ""
        found.append(Subject(name, title, unit, rows, goal))
    shares = _shares(table)
    if not found and len(shares):
        found.append(Subject("", "responders", "percent of patients", shares, None))
    return found


def agreement(validation: Validation, subject: Subject | None = None) -> style.Figure:
    """Predicted against published, a panel for each target; the band is the goal.

    Parameters
    ----------
    validation
        Predicted and published results.
    subject
        One of `subjects`, which must not be empty; the first if None.
    """
    own = subject or subjects(validation)[0]
    rows = own.rows
    data = rows.assign(
        use=_uses(rows), group=_groups(rows), label=_labels(rows, with_endpoint=True)
    )
    groups = _ordered(data)
    columns = min(3, len(groups))
    size = min((style.WIDE - 40) // columns - 34, 320)
    panels = [_scatter(data[data["group"] == name], name, own, size) for name in groups]
    lines = [alt.hconcat(*panels[i : i + columns]) for i in range(0, len(panels), columns)]
    figure = alt.vconcat(*lines, spacing=14)
    unit = f"{own.unit}, " if own.unit else ""
    dot = (
        "a dot is one comparison of two arms" if own.is_ratio else "a dot is one result of one arm"
    )
    return style.finish(
        figure,
        f"Predicted against published {words.inner(own.title)}",
        f"{unit}by target of the drug; {dot}{own.goal_words}. {NOT_JUDGED}",
    )


def _scatter(data: pd.DataFrame, title: str, subject: Subject, size: int) -> style.Figure:
    scale, (low, high) = subject.scale, subject.domain
    x = alt.X("observed:Q", scale=scale, axis=subject.axis(title="published"))
    y = alt.Y("predicted:Q", scale=scale, axis=subject.axis(title="predicted"))
    goal = subject.goal
    steps = np.geomspace(low, high, 50) if subject.is_ratio else np.array([low, high])
    width = 0.0 if goal is None else goal.at_most
    half = steps * width / 100.0 if goal is not None and goal.is_relative else width
    ends = pd.DataFrame({"x": steps, "low": steps - half, "high": steps + half})
    if subject.is_ratio:
        ends["low"] = ends["low"].clip(lower=low)
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
    dots = base.mark_point(filled=True, size=38, opacity=0.9, clip=True).encode(
        x=x, y=y, color=_color(), tooltip=["label:N", "observed:Q", "predicted:Q"]
    )
    panel = alt.layer(band, line, whiskers, dots)
    return panel.properties(
        width=size,
        height=size,
        title=alt.TitleParams(title, fontSize=12.5, anchor="start", offset=4),
    )


def forest(validation: Validation, subject: Subject | None = None) -> style.Figure:
    """Every arm at the week of the goal, or the last one before it: published and predicted.

    Arms are grouped by the target of their drug; a column for each endpoint. Ratios stand on a
    logarithmic axis.
    """
    subject = subject or subjects(validation)[0]
    rows, goal = subject.rows, subject.goal
    if goal is None or goal.week is not None:
        rows = rows[rows["week"] <= LAST_WEEK]
    week = goal.week if goal and goal.week is not None else float(rows["week"].max())
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
            _forest_panel(own[own["endpoint"] == endpoint], labels, endpoint, subject, i == 0)
            for i, endpoint in enumerate(endpoints)
        ]
        heading = alt.TitleParams(name, fontSize=13, anchor="start", offset=0)
        # Flush bounds: columns stand in line whatever the width of their labels.
        panels.append(alt.hconcat(*line, spacing=26, bounds="flush", title=heading))
    figure = alt.vconcat(*panels, spacing=10)
    at = "" if goal is not None and goal.week is None else f" at week {week:g} or the week named"
    unit = f"{subject.unit}{at}; " if subject.unit or at else ""
    return style.finish(
        figure,
        "Predicted beside published, by target"
        if subject.is_share
        else f"{subject.title}: predicted beside published, by target",
        f"{unit}lines: 95 % intervals. {NOT_JUDGED}",
    )


def _forest_panel(
    rows: pd.DataFrame, labels: list[str], endpoint: str, subject: Subject, is_first: bool
) -> style.Figure:
    """One endpoint of the arms of one target; only the first column names the arms."""
    scale, (lowest, highest) = subject.scale, subject.domain
    axis = subject.axis(title=None, grid=True, gridColor=style.GRID)
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
                    "low": rows[f"{side}_low"].fillna(rows[side]).clip(lowest, highest),
                    "high": rows[f"{side}_high"].fillna(rows[side]).clip(lowest, highest),
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
    layers = [
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
    ]
    if subject.is_ratio:
        null = alt.Chart(pd.DataFrame({"one": [1.0]})).mark_rule(color=style.LINE)
        layers.insert(0, null.encode(x=alt.X("one:Q", scale=scale, axis=axis)))
    panel = alt.layer(*layers)
    heading = alt.TitleParams(
        endpoint, fontSize=11.5, fontWeight="normal", color=style.MUTED, anchor="start", offset=4
    )
    height = alt.Step(15, **{"for": "position"})
    return panel.properties(width=160 if subject.is_share else 260, height=height, title=heading)


def _color(with_published: bool = False) -> alt.Color:
    colors = {_PUBLISHED: style.INK, **USES} if with_published else USES
    return alt.Color("use:N" if not with_published else "what:N", scale=_scale(colors))


def _scale(colors: dict[str, str]) -> alt.Scale:
    return alt.Scale(domain=list(colors), range=list(colors.values()))


def _in_unit(rows: pd.DataFrame, unit: str) -> pd.DataFrame:
    """Rows with every number in one unit, where it can be."""
    rows = rows.copy()
    factors = [factor_to(str(own), unit) or 1.0 for own in rows["unit"]]
    for side in ("observed", "predicted"):
        for end in ("", "_low", "_high"):
            rows[f"{side}{end}"] = rows[f"{side}{end}"].astype(float) * factors
    return rows


def _shares(table: pd.DataFrame) -> pd.DataFrame:
    """Results of arms that are shares of patients."""
    return table[(table["unit"] == "%") & (table["measure"] == VALUE)].reset_index(drop=True)


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
        week = "" if row["week"] == common else f", week {row['week']:.3g}"
        week = f" against {words.label(row['versus'])}{week}" if row["versus"] else week
        failed = " (after failure)" if "after failure" in row["patients"] else ""
        endpoint = f": {row['endpoint']}" if with_endpoint else ""
        found.append(f"{row['trial']}{failed}, {words.label(arm)}{week}{endpoint}")
    return found
