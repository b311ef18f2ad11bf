"""What a report says and draws of events: relapses, progression, death, and times to an event."""

from __future__ import annotations

from collections.abc import Iterator

import altair as alt
import pandas as pd

from immunostat.report import plate, style, survival_figures, trial_figures, trial_tables, words
from immunostat.report.shape import EVENT_STATISTICS
from immunostat.report.trial_words import few, quoted
from immunostat.study.disease_tables import COUNT, FREE, INCIDENCE
from immunostat.study.result import Result

MOST_EVENTS = 6


def plates(result: Result) -> Iterator[plate.Plate]:
    """Curves of events: those of endpoints first, then those of the disease itself."""
    names = [*trial_tables.event_names(result), *_drawn(result)]
    for name in list(dict.fromkeys(names))[:MOST_EVENTS]:
        own = result.event_curves[result.event_curves["event"] == name]
        if own.empty:
            yield _at_visits(result, name)
        else:
            yield _exact(result, name, own)


def sentences(result: Result) -> list[str]:
    """One sentence for each endpoint of events at its last visit."""
    table = result.endpoints
    own = table[table["statistic"].isin(EVENT_STATISTICS)]
    return [_sentence(str(name), rows) for name, rows in own.groupby("endpoint", sort=False)]


def events_table(result: Result) -> pd.DataFrame:
    """How often each event of the disease came: a row for each measure, a column for each arm."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for row in result.disease_events.to_dict("records"):
        share = str(row["unit"]) == "1"
        value, between = words.estimate(
            float(row["estimate"]), float(row["low"]), float(row["high"]), share, 3
        )
        count = f"{row['events']:,.0f} {'patients' if share else 'events'}"
        measure = "% of patients, by the end" if share else words.shown_unit(str(row["unit"]))
        name = f"{words.label(str(row['event']))}\n{measure}"
        parts = [value, f"({between})" if between else "", count]
        cells = rows.setdefault((str(row["event"]), measure), {"Event": name})
        cells[str(row["arm"])] = "\n".join(part for part in parts if part)
    arms = [arm for arm in result.arms if any(arm in cells for cells in rows.values())]
    return pd.DataFrame(list(rows.values()), columns=["Event", *arms]).fillna("")


def _drawn(result: Result) -> list[str]:
    """Endpoints and events that have curves; a rate is drawn as the count of its event."""
    table = result.event_curves
    endpoints = set(result.endpoints["endpoint"].astype(str))
    names = list(dict.fromkeys(table["event"].astype(str)))
    return sorted(names, key=lambda name: name not in endpoints)


def _at_visits(result: Result, name: str) -> plate.Plate:
    """An event that visits find."""
    curves = trial_tables.event_curves(result, name)
    what = trial_tables.event_of(name)
    figure = survival_figures.kaplan_meier(
        curves, what, colors=style.arm_colors(result), is_rising=True
    )
    below = "; below stand the patients still at risk" if "n_at_risk" in curves else ""
    return plate.Plate(
        "events",
        plate.file_name("event", name),
        figure,
        f"Share of patients in whom {what} has happened by each visit (one minus Kaplan-Meier). "
        f"The band is the 95 % interval{below}.",
    )


def _exact(result: Result, name: str, rows: pd.DataFrame) -> plate.Plate:
    """An event whose time is known."""
    measure, what = str(rows["measure"].iloc[0]), trial_tables.event_of(name)
    colors = style.arm_colors(result)
    curves = rows.dropna(subset=["estimate"]).reset_index(drop=True)
    file = plate.file_name("event", name)
    if measure == COUNT:
        return plate.Plate(
            "events",
            file,
            counts(curves, what, colors),
            f"Mean number of events ({what}) per patient so far, of those still followed. The band "
            "is the 95 % interval.",
        )
    figure = survival_figures.kaplan_meier(
        curves,
        what,
        colors=colors,
        is_rising=measure == INCIDENCE,
        is_plain=measure == FREE,
        how="one minus cumulative incidence" if measure == FREE else INCIDENCE,
    )
    said = {
        INCIDENCE: f"Share of patients in whom {what} has happened so far; dying of something else "
        "competes with it.",
        FREE: f"Share of patients without an event so far: {what}.",
    }
    return plate.Plate(
        "events",
        file,
        figure,
        f"{said[measure]} The band is the 95 % interval; below stand the patients still at risk.",
    )


def counts(curves: pd.DataFrame, event: str, colors: dict[str, str] | None = None) -> style.Figure:
    """Mean cumulative count of a recurrent event over time.

    Parameters
    ----------
    curves
        arm, time_day, estimate, low, high.
    event
        What is counted, in words.
    colors
        Color of each arm.
    """
    arms = list(dict.fromkeys(curves["arm"].astype(str)))
    end = float(curves["time_day"].max())
    unit, days, axis = style.time_axis(end)
    data = curves.assign(time=curves["time_day"] / days)[["arm", "time", "estimate", "low", "high"]]
    x = alt.X("time:Q", axis=axis, scale=alt.Scale(domain=[0, end / days], nice=False))
    color = alt.Color(
        "arm:N",
        scale=trial_figures.colors_of(arms, colors),
        legend=trial_figures.legend_of(arms),
    )
    base = alt.Chart(data)
    y = alt.Y("estimate:Q", axis=style.value_axis())
    figure = alt.layer(
        base.mark_area(opacity=0.14).encode(x, alt.Y("low:Q"), y2="high:Q", color=color),
        base.mark_line(strokeWidth=2).encode(x, y, color=color),
    ).properties(width=style.WIDE, height=270)
    return style.finish(
        figure, f"{event} by {unit}", "events per patient so far; band: 95 % interval"
    )


def _sentence(name: str, rows: pd.DataFrame) -> str:
    last = rows[rows["time_day"] == rows["time_day"].max()]
    statistic, what = str(last["statistic"].iloc[0]), trial_tables.event_of(name)
    share = words.is_fraction(str(last["unit"].iloc[0]), statistic)
    parts = []
    for place, row in enumerate(last.to_dict("records")):
        value, between = words.estimate(
            float(row["estimate"]), float(row["low"]), float(row["high"]), share=share
        )
        if row["estimate"] != row["estimate"]:
            value, between = "not reached", ""
        shown = f" ({'95 % interval ' if not place else ''}{between})" if between else ""
        who = " of patients" if share and not place else ""
        parts.append(f"{value}{shown}{who} under {quoted(row['arm'])}")
    when, listed = words.when(float(last["time_day"].iloc[0])), few(parts)
    match statistic:
        case "incidence":
            return f"By {when}, {what} had happened in {listed}."
        case "event-free":
            return f"At {when}, {what} held in {listed}."
        case "rate":
            unit = words.shown_unit(str(last["unit"].iloc[0]))
            return f"Up to {when}, {what} was, {unit}, {listed}."
    which = "median" if statistic == "median time" else "mean"
    return f"The {which} time of {what}, in days, was {listed}."
