"""The figure of each patient's value: cumulative probability, where a mean says too little."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from immunostat.base.errors import UnknownNameError, near_matches
from immunostat.report import style, words
from immunostat.study.result import Result

_AT_END = " at end"

#: A mean this many standard deviations from the median speaks for few patients.
_SKEWED = 0.2

#: Patients without whom nothing is said of a spread.
_FEWEST = 30


def probability(result: Result, endpoint: str) -> style.Figure:
    """Value of each patient at the last visit, from the lowest to the highest, by arm.

    Parameters
    ----------
    result
        A study's answer.
    endpoint
        Name of an endpoint that is a number, for example mTSS-change.

    Raises
    ------
    UnknownNameError
        The result holds no such number of each patient.
    """
    known = _numbers(result)
    if endpoint not in known:
        raise UnknownNameError(
            f"no number '{endpoint}' of each patient in this result",
            remedy=near_matches(endpoint, known),
        )
    parts = []
    for arm, rows in result.patients.groupby("arm", sort=False):
        values = np.sort(rows[endpoint + _AT_END].dropna().to_numpy(dtype=np.float64))
        share = (np.arange(len(values)) + 0.5) / max(len(values), 1)
        parts.append(pd.DataFrame({"arm": arm, "share": share, "value": values}))
    data = pd.concat(parts, ignore_index=True)
    own = result.endpoints[result.endpoints["endpoint"] == endpoint].iloc[-1]
    unit = words.shown_unit(str(own["unit"]))
    base = alt.Chart()
    layers = alt.layer(
        base.mark_rule(color=style.MUTED, strokeDash=[3, 3]).encode(y=alt.datum(0)),
        base.mark_line(strokeWidth=2.2, interpolate="step-after").encode(
            x=alt.X(
                "share:Q",
                axis=alt.Axis(
                    format="%", tickCount=5, title="share of patients with this value or less"
                ),
                scale=alt.Scale(domain=[0, 1]),
            ),
            y=alt.Y("value:Q", axis=style.value_axis(), scale=alt.Scale(nice=True)),
            color=style.arm_color(result, list(data["arm"].unique())).legend(
                symbolType="stroke", symbolStrokeWidth=3
            ),
        ),
        data=data,
        width=style.WIDE,
        height=290,
    )
    title = f"{words.label(endpoint)} of each patient, {words.when(float(own['time_day']))}"
    subtitle = "one step for each virtual patient" + ("" if unit in ("", "1") else f"; {unit}")
    return style.finish(layers, title, subtitle)


def skewed(result: Result) -> list[str]:
    """Changes since baseline whose mean speaks for few patients in an arm of the result."""
    found = []
    for endpoint in _numbers(result):
        if not endpoint.endswith("-change"):
            continue
        for _, rows in result.patients.groupby("arm", sort=False):
            values = rows[endpoint + _AT_END].dropna()
            spread = float(values.std()) if len(values) >= _FEWEST else 0.0
            if spread > 0 and abs(values.mean() - values.median()) > _SKEWED * spread:
                found.append(endpoint)
                break
    return found


def _numbers(result: Result) -> list[str]:
    """Endpoints of which the result holds a number of each patient at the last visit."""
    columns = result.patients.columns
    return [str(name)[: -len(_AT_END)] for name in columns if str(name).endswith(_AT_END)]
