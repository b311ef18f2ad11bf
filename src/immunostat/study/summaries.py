"""Tables of a result about endpoints and courses, made of the gathered chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from immunostat.engine.solution import Status
from immunostat.model.system import FloatArray
from immunostat.outcomes.endpoints import KINDS, EndpointSpec
from immunostat.outcomes.event_times import EventTimes
from immunostat.outcomes.sketch import Sketch, joined_sums
from immunostat.outcomes.summary import summarize
from immunostat.outcomes.visit_courses import time_to_event
from immunostat.study.gathered import Gathered
from immunostat.study.plan import Plan
from immunostat.study.specs import concentration_outputs, specs_of
from immunostat.study.store import Chunk

#: Kinds of endpoints that say nothing at baseline.
_AT_THE_END = frozenset(
    {"time_to_event", "confirmed_worsening", "area", "average", "lowest", "highest"}
)

_QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}


def endpoint_table(gathered: Gathered) -> pd.DataFrame:
    """Every endpoint of every arm at every visit."""
    plan = gathered.plan
    times = np.array(plan.study.visits_day)
    rows: list[dict[str, Any]] = []
    for i, arm in enumerate(plan.study.arms):
        for spec in specs_of(plan):
            values = gathered.values(f"endpoint/{i}/{spec.name}", i)
            exact = gathered.exact(i, spec.name)
            exact = exact and exact.kept(gathered.is_in(i))
            rows += [asdict(row) for row in summarize(spec, values, times, arm, exact=exact)]
        for drug in concentration_outputs(plan, arm):
            # A visit on the day of a dose comes before the dose, so that it sees the trough.
            spec = EndpointSpec(f"{drug} concentration", "value", {"value": drug}, unit="ug/mL")
            values = gathered.values(f"concentration/{i}/{drug}", i)
            rows += [asdict(row) for row in summarize(spec, values, times, arm)]
    return pd.DataFrame(rows)


def patient_tables(gathered: Gathered) -> Iterator[pd.DataFrame]:
    """One row per arm and patient, in parts, arm after arm; see `result_tables`."""
    for i in range(len(gathered.plan.study.arms)):
        first = 0
        for chunk in gathered.chunks():
            yield _patients(gathered, chunk, i, first)
            first += chunk.n_patients


def _patients(gathered: Gathered, chunk: Chunk, i: int, first: int) -> pd.DataFrame:
    """Covariates, endpoints at baseline and end, and side effects of patients of one arm."""
    plan, n = gathered.plan, chunk.n_patients
    arm = list(plan.study.arms)[i]
    status = np.array([one.name.lower().replace("_", " ") for one in Status], dtype=object)
    own: dict[str, Any] = {
        "arm": arm,
        "patient": chunk.columns["number"],
        "status": status[chunk.columns[f"status/{i}"]],
    }
    if plan.study.design.n_replicates > 1:
        own["replicate"] = gathered.replicate[first : first + n]
    own |= _columns_under(chunk, "covariate/")
    for spec in specs_of(plan):
        values = chunk.columns[f"endpoint/{i}/{spec.name}"]
        if KINDS[spec.kind].is_of_events:
            exact = EventTimes.of(chunk.columns[f"event_time/{i}/{spec.name}"])
            own |= _of_events(spec, values, exact)
            continue
        own |= _at_ends(spec.name, values, spec.kind)
        if spec.kind in ("time_to_event", "confirmed_worsening"):
            happened = time_to_event(values, np.array(plan.study.visits_day))
            own[f"{spec.name} day"] = np.where(happened.is_event, happened.durations, np.nan)
    given = concentration_outputs(plan, arm)
    # All arms have the same columns, so that the table can be written part by part.
    for drug in dict.fromkeys(d for a in plan.study.arms for d in concentration_outputs(plan, a)):
        name = f"{drug} concentration"
        missing = np.full((n, 2), np.nan)
        values = chunk.columns[f"concentration/{i}/{drug}"] if drug in given else missing
        own |= _at_ends(name, values, "value")
    own |= _harms(plan, chunk, i)
    for name, event in plan.situation.events.items():
        own[f"{name} events"] = chunk.columns[f"disease_count/{i}/{name}"].astype(np.float64)
        if not event.recurrent:
            own[f"{name} day"] = chunk.columns[f"disease_first/{i}/{name}"]
    if plan.study.dropout:
        left, causes = chunk.columns[f"left/{i}"], np.array([*cause_names(plan), ""], dtype=object)
        own["left_day"] = np.where(np.isfinite(left), left, np.nan)
        own["left_because"] = causes[chunk.columns[f"cause/{i}"]]
    return pd.DataFrame(own)[gathered.is_in(i)[first : first + n]].reset_index(drop=True)


def cause_names(plan: Plan) -> list[str]:
    """Causes of dropout in the order of their codes."""
    return [getattr(cause, "label", "") or cause.name for cause in plan.study.dropout]


def _columns_under(chunk: Chunk, prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): chunk.columns[name]
        for name in chunk.columns
        if name.startswith(prefix)
    }


def _at_ends(name: str, values: FloatArray, kind: str) -> dict[str, FloatArray]:
    """A yes-or-no endpoint at the last visit; another one at baseline and at the last visit."""
    if KINDS[kind].is_binary:
        return {name: values[:, -1]}
    if kind in _AT_THE_END:
        return {f"{name} at end": values[:, -1]}
    return {f"{name} at baseline": values[:, 0], f"{name} at end": values[:, -1]}


def _of_events(spec: EndpointSpec, values: FloatArray, exact: EventTimes) -> dict[str, FloatArray]:
    """Number or day of the events, and how long the patient was followed."""
    if spec.kind == "event_rate":
        return {f"{spec.name} events": values[:, -1], f"{spec.name} followed day": exact.end_day}
    return {
        f"{spec.name} event": exact.is_event.astype(np.float64),
        f"{spec.name} day": exact.last_day,
    }


def _harms(plan: Plan, chunk: Chunk, i: int) -> dict[str, FloatArray]:
    found: dict[str, FloatArray] = {}
    for harm in plan.side_effects:
        key = f"{i}/{harm.name}"
        if harm.is_drawn:
            found[f"{harm.name} expected"] = chunk.columns[f"expected/{key}"]
            found[f"{harm.name} chance"] = chunk.columns[f"chance/{key}"]
            found[f"{harm.name} events"] = chunk.columns[f"count/{key}"].astype(np.float64)
        else:
            found[f"{harm.name} grade"] = chunk.columns[f"grade/{key}"]
    return found


def visit_tables(gathered: Gathered) -> Iterator[pd.DataFrame]:
    """What every visit recorded, in parts: one row per arm, patient and visit."""
    days = np.array(gathered.plan.study.visits_day)
    for i, arm in enumerate(gathered.plan.study.arms):
        first = 0
        for chunk in gathered.chunks():
            own = gathered.is_in(i)[first : first + chunk.n_patients]
            first += chunk.n_patients
            n = int(own.sum())
            yield pd.DataFrame(
                {
                    "arm": arm,
                    "patient": np.repeat(chunk.columns["number"][own], len(days)),
                    "time_day": np.tile(days, n),
                    **{
                        name: values[own].reshape(-1)
                        for name, values in _columns_under(chunk, f"visit/{i}/").items()
                    },
                }
            )


def parameter_tables(gathered: Gathered) -> Iterator[pd.DataFrame]:
    """Parameters of the joined model in which patients differ: one row per patient."""
    for chunk in gathered.chunks():
        own = _columns_under(chunk, "parameter/")
        yield pd.DataFrame({"patient": chunk.columns["number"], **own})


def bands(gathered: Gathered, is_kept: bool) -> pd.DataFrame:
    """Mean and quantiles over patients of every output, at every sample time."""
    plan = gathered.plan
    shape = (len(plan.times), len(plan.outputs))
    levels = list(_QUANTILES.values())
    parts = []
    for i, arm in enumerate(plan.study.arms):
        if is_kept:
            courses = gathered.column(f"course/{i}")
            courses = courses[np.isfinite(courses).all(axis=(1, 2))]
            if not len(courses):
                continue
            mean, quantiles = courses.mean(axis=0), np.quantile(courses, levels, axis=0)
        else:
            number, total, sketch = _added(gathered, i)
            if total is None:
                continue
            mean, quantiles = total / number, sketch.quantiles(levels).reshape(-1, *shape)
        given = concentration_outputs(plan, arm).values()
        for k, output in enumerate(plan.outputs):
            if output.kind == "concentration" and output not in given:
                continue
            parts.append(
                pd.DataFrame(
                    {
                        "arm": arm,
                        "variable": output.title,
                        "time_day": plan.times,
                        "mean": mean[:, k],
                        **dict(zip(_QUANTILES, quantiles[:, :, k], strict=True)),
                        "unit": output.unit,
                        "kind": output.kind,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _added(gathered: Gathered, i: int) -> tuple[int, FloatArray | None, Sketch]:
    """Number of patients, sums and counts of an arm over all chunks; no sums without patients."""
    n_cells = len(gathered.plan.times) * len(gathered.plan.outputs)
    number = sum(int(chunk.sums[f"number/{i}"]) for chunk in gathered.chunks())
    total = joined_sums(chunk.sums[f"total/{i}"] for chunk in gathered.chunks())
    sketches = (
        Sketch(*(chunk.sums[f"{name}/{i}"] for name in ("first", "bin", "count")))
        for chunk in gathered.chunks()
    )
    return number, total if number else None, Sketch.sum(sketches, n_cells)


def activity_profile(gathered: Gathered) -> pd.DataFrame:
    """Each part of the immune response under each arm, relative to the same patient without it.

    The ratio is of time averages from the middle of the study on; of the whole study where the
    untreated disease does not rest. Suppressed or stimulated: the median patient changes by more
    than the core card's threshold; mixed: more than a quarter of the patients each way beyond the
    threshold.
    """
    plan = gathered.plan
    threshold = plan.core.profile_threshold.value
    rows = []
    for i, arm in enumerate(plan.study.arms):
        if arm == plan.reference:
            continue
        for name, function in plan.core.functions.items():
            ratio = gathered.values(f"ratio/{i}/{name}", i)
            ratio = ratio[np.isfinite(ratio)]
            if not len(ratio):
                continue
            low, median, high = np.quantile(ratio, [0.05, 0.5, 0.95])
            rows.append(
                {
                    "arm": arm,
                    "function": function.title,
                    "ratio": median,
                    "low": low,
                    "high": high,
                    "direction": direction(ratio, threshold),
                }
            )
    return pd.DataFrame(rows, columns=["arm", "function", "ratio", "low", "high", "direction"])


def direction(ratio: FloatArray, threshold: float) -> str:
    """Word for what happens to one part of the response; see `activity_profile`."""
    up, down = np.mean(ratio > 1 + threshold), np.mean(ratio < 1 - threshold)
    if up > 0.25 and down > 0.25:
        return "mixed"
    median = float(np.median(ratio))
    if median > 1 + threshold:
        return "stimulated"
    return "suppressed" if median < 1 - threshold else "unchanged"


def dataset(gathered: Gathered, is_kept: bool) -> xr.Dataset:
    """Courses with labels: (arm, patient, time), in the units of readers; empty if not kept."""
    plan = gathered.plan
    if not is_kept:
        return xr.Dataset(attrs={"kept": "quantiles"})
    arms = tuple(plan.study.arms)
    courses = np.stack([gathered.column(f"course/{i}") for i in range(len(arms))])
    variables = {
        output.name: (
            ("arm", "patient", "time"),
            np.ascontiguousarray(courses[:, :, :, k]),
            {"units": output.unit, "long_name": output.title},
        )
        for k, output in enumerate(plan.outputs)
    }
    coordinates = {
        "arm": list(arms),
        "patient": gathered.numbers,
        "time": ("time", plan.times, {"units": "day"}),
    }
    return xr.Dataset(variables, coords=coordinates)
