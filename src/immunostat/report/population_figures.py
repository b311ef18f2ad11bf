"""Figures of a virtual population: what weighting changed, how it weighs, and who was left out."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from immunostat.model.system import FloatArray
from immunostat.report import style, words
from immunostat.study.screening import ENTRY, PLAUSIBILITY
from immunostat.study.stored_population import StoredPopulation

BINS = 24
MOST_PANELS = 8
MOST_REASONS = 12

BEFORE, AFTER, PUBLISHED = "before weighting", "after weighting", "published mean ± SD"

_WIDTH = 165
_HEIGHT = 104


def baseline(stored: StoredPopulation) -> style.Figure:
    """Distribution of each baseline value among those who enter, before and after weighting.

    Parameters
    ----------
    stored
        A population. Values with a published mean and standard deviation are shown, with the
        published ones as a mark above the bars.
    """
    return _alone(_baseline(stored))


def _baseline(stored: StoredPopulation) -> Any:
    """See `baseline`."""
    wanted = [own for own in stored.card["targets"] if own["sd"] is not None][:MOST_PANELS]
    weights = stored.weights[stored.entered]
    weights = weights / weights.sum()
    charts = []
    for own in wanted:
        values = _values(stored, own["column"])
        edges = np.linspace(values.min(), float(np.quantile(values, 0.995)), BINS + 1)
        equal = np.full(len(values), 1.0 / len(values))
        heights = {BEFORE: _shares(values, equal, edges), AFTER: _shares(values, weights, edges)}
        charts.append(_panel(own, edges, heights))
    rows = [alt.hconcat(*charts[i : i + 4], spacing=18) for i in range(0, len(charts), 4)]
    return _titled(
        alt.vconcat(*rows, spacing=14) if rows else _nothing("no baseline targets"),
        "Baseline of patients who enter",
        f"grey: {BEFORE}, blue line: {AFTER}, orange: {PUBLISHED}; share of patients",
    )


def _panel(own: dict[str, Any], edges: FloatArray, heights: dict[str, FloatArray]) -> Any:
    """One value: bars before, a step line after, and the published mean with its spread."""
    top = max(float(values.max()) for values in heights.values())
    table = pd.DataFrame({"from": edges[:-1], "to": edges[1:], **heights})
    line = pd.DataFrame({"at": np.repeat(edges, 2)[1:-1], "share": np.repeat(heights[AFTER], 2)})
    mark = pd.DataFrame(
        {
            "mean": [own["mean"]],
            "low": [max(own["mean"] - own["sd"], edges[0])],
            "high": [min(own["mean"] + own["sd"], edges[-1])],
            "y": [top * 1.13],
        }
    )
    scale = alt.Scale(domain=[float(edges[0]), float(edges[-1])], nice=False)
    x_axis = alt.Axis(title=words.label(own["column"]), grid=False, tickCount=4)
    y = alt.Axis(title=None, labels=False, ticks=False, grid=False, domain=False)
    y_scale = alt.Scale(domain=[0, top * 1.22])
    bars = (
        alt.Chart(table)
        .mark_rect(color=style.LINE, opacity=0.45)
        .encode(
            x=alt.X("from:Q", scale=scale, axis=x_axis),
            x2="to:Q",
            y=alt.Y(f"{BEFORE}:Q", axis=y, scale=y_scale),
            y2=alt.datum(0),
        )
    )
    steps = (
        alt.Chart(line)
        .mark_line(color=style.PALETTE[0], strokeWidth=1.8)
        .encode(x=alt.X("at:Q", scale=scale, axis=x_axis), y=alt.Y("share:Q", axis=y))
    )
    spread = (
        alt.Chart(mark)
        .mark_rule(color=style.PALETTE[1], strokeWidth=2)
        .encode(x=alt.X("low:Q", scale=scale, axis=x_axis), x2="high:Q", y=alt.Y("y:Q", axis=y))
    )
    point = (
        alt.Chart(mark)
        .mark_point(filled=True, color=style.PALETTE[1], opacity=1, size=45)
        .encode(x=alt.X("mean:Q", scale=scale, axis=x_axis), y=alt.Y("y:Q", axis=y))
    )
    return alt.layer(bars, steps, spread, point).properties(width=_WIDTH, height=_HEIGHT)


def targets(stored: StoredPopulation) -> style.Figure:
    """Shares (response rates, sexes, ...) before and after weighting, beside the published ones.

    Parameters
    ----------
    stored
        A population. The line is the published share with 1.96 standard errors.
    """
    return _alone(_targets(stored))


def _targets(stored: StoredPopulation) -> Any:
    """See `targets`."""
    shares = [own for own in stored.card["targets"] if own["sd"] is None]
    if not shares:
        return _titled(_nothing("no shares among the targets"), "Shares", "")
    rows = []
    for own in shares:
        error = 1.96 * (own["standard_error"] or 0.0)
        rows.append(
            {
                "name": _short(own),
                "published": own["mean"],
                "low": max(own["mean"] - error, 0.0),
                "high": min(own["mean"] + error, 1.0),
                BEFORE: own["before"],
                AFTER: own["reached"],
            }
        )
    table = pd.DataFrame(rows)
    order = list(table["name"])
    y = alt.Y("name:N", sort=order, axis=alt.Axis(title=None, ticks=False, domain=False))
    axis = style.value_axis(share=True)
    base = alt.Chart(table)
    spread = base.mark_rule(color=style.PALETTE[1], strokeWidth=2).encode(
        x=alt.X("low:Q", axis=axis), x2="high:Q", y=y
    )
    point = base.mark_tick(color=style.PALETTE[1], thickness=3, size=14).encode(
        x="published:Q", y=y
    )
    before = base.mark_point(color=style.MUTED, size=60, opacity=1).encode(
        x=alt.X(f"{BEFORE}:Q"), y=y
    )
    after = base.mark_point(color=style.PALETTE[0], filled=True, size=60, opacity=1).encode(
        x=alt.X(f"{AFTER}:Q"), y=y
    )
    layers = alt.layer(spread, point, before, after).properties(
        width=style.WIDE - 290, height=alt.Step(21)
    )
    return _titled(
        layers,
        "Shares of patients who enter, and responders of the training arms",
        f"ring: {BEFORE}, blue: {AFTER}, orange: published with 95 % interval",
    )


def weights(stored: StoredPopulation) -> style.Figure:
    """How the weights of patients who enter are spread, with the effective sample size."""
    return _alone(_weights(stored))


def _weights(stored: StoredPopulation) -> Any:
    """See `weights`."""
    own = stored.weights[stored.entered] * len(stored.weights)
    edges = np.linspace(0.0, max(float(own.max()), 1.0) * 1.02, 41)
    shares = np.histogram(own, edges)[0] / len(own)
    table = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "share": shares})
    bars = (
        alt.Chart(table)
        .mark_rect(color=style.PALETTE[0], opacity=0.75)
        .encode(
            x=alt.X("from:Q", axis=alt.Axis(title="weight, times the average", grid=False)),
            x2="to:Q",
            y=alt.Y("share:Q", axis=style.value_axis(share=True)),
            y2=alt.datum(0),
        )
    )
    one = (
        alt.Chart(pd.DataFrame({"x": [1.0]}))
        .mark_rule(color=style.INK, strokeDash=[4, 3])
        .encode(x="x:Q")
    )
    found, n = stored.card["effective_size_of_entered"], stored.card["entered"]
    return _titled(
        alt.layer(bars, one).properties(width=style.NARROW - 60, height=150),
        "Prevalence weights",
        f"effective sample size {found:.0f} of {n} ({100 * found / n:.0f} %)",
    )


def rejections(stored: StoredPopulation) -> style.Figure:
    """Why candidates were left out: how many had each reason first, and how many at all."""
    return _alone(_rejections(stored))


def _rejections(stored: StoredPopulation) -> Any:
    """See `rejections`."""
    found = pd.DataFrame(stored.card["rejections"], columns=["reason", "kind", "first", "all"])
    if found.empty:
        return _titled(_nothing("nobody was left out"), "Candidates left out", "")
    found = found.head(MOST_REASONS).assign(
        shown=found["reason"].map(lambda reason: words.label(str(reason)))
    )
    order = list(found["shown"])
    y = alt.Y("shown:N", sort=order, axis=alt.Axis(title=None, ticks=False, domain=False))
    x_axis = alt.Axis(title="candidates", tickCount=4)
    base = alt.Chart(found)
    everybody = base.mark_bar(color=style.LINE, opacity=0.45, height=13).encode(
        x=alt.X("all:Q", axis=x_axis), y=y
    )
    first = base.mark_bar(height=13).encode(
        x=alt.X("first:Q", axis=x_axis),
        y=y,
        color=alt.Color(
            "kind:N",
            scale=alt.Scale(
                domain=[ENTRY, PLAUSIBILITY], range=[style.PALETTE[0], style.PALETTE[1]]
            ),
            legend=None,
        ),
    )
    n = stored.card["candidates"]
    return _titled(
        alt.layer(everybody, first).properties(width=style.NARROW - 150, height=alt.Step(24)),
        "Candidates left out",
        f"of {n}; first reason (blue: {ENTRY}, orange: {PLAUSIBILITY}), grey: any",
    )


def population(stored: StoredPopulation) -> style.Figure:
    """Everything about a stored population in one figure."""
    whole = alt.vconcat(
        _baseline(stored),
        _targets(stored),
        alt.hconcat(_weights(stored), _rejections(stored), spacing=40),
        spacing=30,
    )
    return style.finish(
        whole.resolve_scale(color="independent"),
        f"Virtual population {stored.population}",
        f"{stored.card['size']} plausible patients, weights by {stored.card['method']}, "
        f"seed {stored.card['seed']}, version {stored.version[:12]}",
    )


def _titled(figure: Any, title: str, subtitle: str) -> Any:
    """A chart with a heading that can be a part of another: only the whole has the look."""
    figure["title"] = alt.TitleParams(title, subtitle=subtitle or alt.Undefined)
    return figure


def _alone(part: Any) -> style.Figure:
    """A part as a figure by itself."""
    title = part["title"]
    subtitle = title.subtitle if title.subtitle is not alt.Undefined else ""
    return style.finish(part, str(title.text), str(subtitle))


def _values(stored: StoredPopulation, column: str) -> FloatArray:
    """A covariate or what the baseline visit recorded, of those who enter. Shape (patient,)."""
    table = stored.readouts if column in stored.readouts else stored.covariates
    return np.asarray(table[column].to_numpy(np.float64)[stored.entered])


def _shares(values: FloatArray, by: FloatArray, edges: FloatArray) -> FloatArray:
    """Weighted share of patients in each bin; beyond the last edge they count to the last bin."""
    inside = np.clip(values, edges[0], edges[-1])
    return np.asarray(np.histogram(inside, edges, weights=by)[0])


def _short(own: dict[str, Any]) -> str:
    """Name of a share for an axis."""
    name = str(own["name"])
    return words.label(name) if not own["arm"] else name.replace(" + methotrexate", "")


def _nothing(text: str) -> Any:
    """A line of words in place of a figure."""
    return alt.Chart(pd.DataFrame({"text": [text]})).mark_text(align="left").encode(text="text:N")
