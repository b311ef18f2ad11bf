"""Figure of predicted beside published side effects: a forest on a logarithmic axis."""

from __future__ import annotations

import re

import altair as alt
import numpy as np
import pandas as pd

from immunostat.report import style, words
from immunostat.report.validation_figures import USES
from immunostat.study.harm_pairs import FACTOR
from immunostat.study.harm_validation import HarmValidation

_PUBLISHED = "published"

#: Least value that the logarithmic axes show, by unit.
_LEAST = {"%": 0.1, "1/(100 year)": 0.02}

_TITLES = {"%": "percent of patients", "1/(100 year)": "events per 100 patient-years"}

_LABELS = 330

#: Words of a regimen that a label does without.
_ROUTE = re.compile(r" (intravenous|subcutaneous|oral)( over [0-9]+ \w+)? ")


def harm_forest(validation: HarmValidation) -> style.Figure:
    """Every published number with its prediction, grouped by side effect; rates, then shares."""
    table = validation.table
    table = table[np.isfinite(table["predicted"])]
    panels = []
    for unit in _LEAST:
        rows = table[table["unit"] == unit]
        for name, own in rows.groupby("side_effect", sort=True):
            panels.append(_panel(own.reset_index(drop=True), str(name), unit))
    figure = alt.vconcat(*panels, spacing=10)
    return style.finish(
        figure,
        "Side effects: predicted beside published",
        f"one line per published number; goal: ratio within {FACTOR:g}. Lines of predictions: "
        "nine of ten patients. Gray: not judged",
    )


def _panel(rows: pd.DataFrame, name: str, unit: str) -> style.Figure:
    labels = _labels(rows)
    held, other, training = USES
    use = [
        training if role == "training" else held if judged else other
        for role, judged in zip(rows["role"], rows["judged"], strict=True)
    ]
    least = _LEAST[unit]
    parts = []
    for side in ("observed", "predicted"):
        parts.append(
            pd.DataFrame(
                {
                    "label": labels,
                    "what": _PUBLISHED if side == "observed" else use,
                    "side": side,
                    "estimate": rows[side].clip(lower=least),
                    "low": rows[f"{side}_low"].fillna(rows[side]).clip(lower=least),
                    "high": rows[f"{side}_high"].fillna(rows[side]).clip(lower=least),
                }
            )
        )
    data = pd.concat(parts)
    scale = alt.Scale(type="log", domain=[least, 100.0], nice=False, clamp=True)
    x_axis = alt.Axis(
        values=[0.02, 0.1, 0.5, 1, 2, 5, 10, 20, 50, 100],
        title=_TITLES[unit],
        grid=True,
        gridColor=style.GRID,
        format="~g",
        titleFontSize=10,
    )
    y_axis = alt.Axis(
        title=None,
        ticks=False,
        domain=False,
        labelLimit=_LABELS,
        labelFontSize=10.5,
        minExtent=_LABELS,
        maxExtent=_LABELS,
    )
    y = alt.Y(
        "label:N",
        sort=labels,
        axis=y_axis,
        scale=alt.Scale(domain=labels, paddingInner=0.25, paddingOuter=0.2),
    )
    offset = alt.YOffset("side:N", scale=alt.Scale(domain=["observed", "predicted"]))
    colors = {_PUBLISHED: style.INK, **USES}
    color = alt.Color("what:N", scale=alt.Scale(domain=list(colors), range=list(colors.values())))
    shapes = ["diamond", *["circle" for _ in USES]]
    shape = alt.Shape("what:N", scale=alt.Scale(domain=list(colors), range=shapes))
    base = alt.Chart(data)
    panel = alt.layer(
        base.mark_rule(strokeWidth=1.3, opacity=0.7).encode(
            x=alt.X("low:Q", scale=scale, axis=x_axis),
            x2="high:Q",
            y=y,
            yOffset=offset,
            color=color,
        ),
        base.mark_point(filled=True, opacity=1, size=26).encode(
            x=alt.X("estimate:Q", scale=scale, axis=x_axis),
            y=y,
            yOffset=offset,
            color=color,
            shape=shape,
        ),
    )
    heading = alt.TitleParams(words.label(name), fontSize=12.5, anchor="start", offset=4)
    height = alt.Step(15, **{"for": "position"})
    return panel.properties(width=360, height=height, title=heading)


def _labels(rows: pd.DataFrame) -> list[str]:
    """Drug, situation if not the first, length of a share, and the source to tell them apart."""
    found: list[str] = []
    for row in rows.to_dict("records"):
        weeks = f", {row['weeks']} weeks" if row["unit"] == "%" else ""
        grade = "" if pd.isna(row["grade"]) else f", grade {row['grade']:.0f}+"
        arm = _ROUTE.sub(" ", words.label(str(row["arm"]))).removesuffix(" label")
        text = f"{arm}{grade}{weeks} ({row['source']})"
        n = sum(known == text or known.startswith(f"{text} #") for known in found)
        found.append(text if not n else f"{text} #{n + 1}")
    return found
