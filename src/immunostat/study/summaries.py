"""Tables of a result, read from a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immunostat.catalog.model_cards import EndpointCard
from immunostat.engine.solution import Status
from immunostat.model.system import FloatArray
from immunostat.outcomes.endpoints import KINDS, EndpointSpec, Observations, evaluate
from immunostat.outcomes.summary import summarize

if TYPE_CHECKING:
    from immunostat.study.simulation import Simulation

#: Values of each patient at each visit, by arm and endpoint.
PerPatient = dict[tuple[str, str], FloatArray]

_QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}


def endpoint_spec(name: str, card: EndpointCard, unit: str) -> EndpointSpec:
    """Endpoint of a situation card as the outcomes layer reads it."""
    inputs = dict(card.inputs) or ({"value": card.component} if card.component else {})
    return EndpointSpec(
        name,
        card.kind,
        inputs,
        score=card.score or "",
        level=card.level,
        unit=unit,
        statistic="" if KINDS[card.kind].is_binary else card.statistic,
    )


def endpoint_tables(simulation: Simulation) -> tuple[pd.DataFrame, PerPatient]:
    """Every endpoint of every arm at every visit, and the values of the patients behind it."""
    situation, study = simulation.plan.situation, simulation.plan.study
    times = np.array(study.visits_day)
    # Joints are counted, which scores take as a pure number.
    units = {
        name: "1" if card.unit == "joints" else card.unit
        for name, card in situation.components.items()
    }
    rows: list[dict[str, Any]] = []
    per_patient: PerPatient = {}
    for arm in study.arms:
        observations = Observations(times, simulation.visits[arm], units)
        for name in study.endpoints:
            card = situation.endpoints[name]
            unit = units[card.component] if card.component else "1"
            spec = endpoint_spec(name, card, unit)
            values = evaluate(spec, observations)
            per_patient[arm, name] = values
            rows += [asdict(row) for row in summarize(spec, values, times, arm)]
        for drug, values in concentrations(simulation, arm).items():
            spec = EndpointSpec(f"{drug} concentration", "value", {"value": drug}, unit="ug/mL")
            per_patient[arm, spec.name] = values
            rows += [asdict(row) for row in summarize(spec, values, times, arm)]
    return pd.DataFrame(rows), per_patient


def concentrations(simulation: Simulation, arm: str) -> dict[str, FloatArray]:
    """Concentration at each visit of the drugs that an arm gives, without error of the assay.

    A visit on the day of a dose comes before the dose, so that it sees the trough.

    Returns
    -------
    By drug, ug/mL. Each (patient, visit).
    """
    given = {regimen.drug.name for regimen in simulation.plan.study.regimens(arm)}
    return {
        drug: simulation.values(arm, output.name)[:, simulation.visit_index] * output.factor
        for output in simulation.plan.outputs
        if output.kind == "concentration"
        and (drug := output.title.removesuffix(" concentration")) in given
    }


def patient_table(
    simulation: Simulation,
    per_patient: PerPatient,
    events: Mapping[str, Mapping[str, FloatArray]],
) -> pd.DataFrame:
    """One row per arm and patient: covariates, endpoints at baseline and end, side effects."""
    parts = []
    covariates = simulation.cohort.covariates.reset_index(drop=True)
    for arm in simulation.plan.study.arms:
        own = pd.DataFrame(
            {
                "arm": arm,
                "patient": simulation.cohort.numbers,
                "status": [
                    Status(code).name.lower().replace("_", " ") for code in simulation.status(arm)
                ],
            }
        )
        results: dict[str, FloatArray] = {}
        for (of_arm, name), values in per_patient.items():
            if of_arm != arm:
                continue
            endpoint = simulation.plan.situation.endpoints.get(name)
            if endpoint is not None and KINDS[endpoint.kind].is_binary:
                results[name] = values[:, -1]
            else:
                results[f"{name} at baseline"] = values[:, 0]
                results[f"{name} at end"] = values[:, -1]
        results.update(events[arm])
        parts.append(pd.concat([own, covariates, pd.DataFrame(results)], axis=1))
    return pd.concat(parts, ignore_index=True)


def visit_table(simulation: Simulation) -> pd.DataFrame:
    """What every visit recorded: one row per arm, patient and visit."""
    days = np.array(simulation.plan.study.visits_day)
    n, m = simulation.n_patients, len(days)
    parts = [
        pd.DataFrame(
            {
                "arm": arm,
                "patient": np.repeat(simulation.cohort.numbers, m),
                "time_day": np.tile(days, n),
                **{name: v.reshape(-1) for name, v in simulation.visits[arm].items()},
            }
        )
        for arm in simulation.plan.study.arms
    ]
    return pd.concat(parts, ignore_index=True)


def bands(simulation: Simulation) -> pd.DataFrame:
    """Mean and quantiles over patients of every output, at every sample time."""
    parts = []
    given = {
        arm: {regimen.drug.name for regimen in simulation.plan.study.regimens(arm)}
        for arm in simulation.plan.study.arms
    }
    for output in simulation.plan.outputs:
        for arm in simulation.plan.study.arms:
            drug = output.title.removesuffix(" concentration")
            if output.kind == "concentration" and drug not in given[arm]:
                continue
            values = simulation.values(arm, output.name) * output.factor
            values = values[np.isfinite(values).all(axis=1)]
            if not len(values):
                continue
            levels = np.quantile(values, list(_QUANTILES.values()), axis=0)
            parts.append(
                pd.DataFrame(
                    {
                        "arm": arm,
                        "variable": output.title,
                        "time_day": simulation.plan.times,
                        "mean": values.mean(axis=0),
                        **dict(zip(_QUANTILES, levels, strict=True)),
                        "unit": output.unit,
                        "kind": output.kind,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def activity_profile(simulation: Simulation) -> pd.DataFrame:
    """Each part of the immune response under each arm, relative to the same patient without it.

    The ratio is of time averages from the middle of the study on, when treatment has had time to
    work. Suppressed or stimulated: the median patient changes by more than the core card's
    threshold; mixed: more than a quarter of the patients each way beyond the threshold.
    """
    threshold = simulation.plan.core.profile_threshold.value
    late = simulation.plan.times >= simulation.plan.study.duration_day / 2
    times = simulation.plan.times[late]
    rows = []
    for arm in simulation.plan.study.arms:
        if arm == simulation.plan.reference:
            continue
        for function in simulation.plan.core.functions.values():
            treated, without = (
                np.asarray(
                    np.trapezoid(simulation.values(which, function.output)[:, late], times, axis=1)
                )
                for which in (arm, simulation.plan.reference)
            )
            ratio = treated / np.where(without > 0, without, np.nan)
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
