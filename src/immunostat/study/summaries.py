"""Tables of a result, read from a simulation: endpoints, side effects, bands, profile, comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immunostat.base.units import convert
from immunostat.catalog.cards import SideEffectCard, TrialArmCard, TrialCard
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.model_cards import EndpointCard
from immunostat.engine.problem import IntArray
from immunostat.engine.solution import Status
from immunostat.model.system import FloatArray
from immunostat.outcomes import statistics
from immunostat.outcomes.endpoints import KINDS, EndpointSpec, Observations, evaluate
from immunostat.outcomes.events import Events, draw_events, incidence
from immunostat.outcomes.hazards import (
    DAYS_PER_YEAR,
    CovariateDriver,
    DriverForm,
    Hazard,
    StateDriver,
    hazard_rate,
)
from immunostat.outcomes.scores import ctcae_grade
from immunostat.outcomes.summary import summarize
from immunostat.therapy.grammar import parse_regimen
from immunostat.therapy.regimen import Regimen

if TYPE_CHECKING:
    from immunostat.study.run import Simulation

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
    situation, study = simulation.situation, simulation.study
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
    return pd.DataFrame(rows), per_patient


def side_effect_tables(
    simulation: Simulation,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, dict[str, FloatArray]]]:
    """Side effects of every arm: table, list of events, and a column per patient for each."""
    rows: list[dict[str, Any]] = []
    happened: list[dict[str, Any]] = []
    columns: dict[str, dict[str, FloatArray]] = {arm: {} for arm in simulation.study.arms}
    for card in simulation.side_effects:
        for arm in simulation.study.arms:
            if card.kind == "event":
                events = _drawn(simulation, card, arm)
                rows.append(_incidence_row(events, card, arm))
                happened += _event_rows(events, card, arm, simulation.cohort.numbers)
                columns[arm][f"{card.name} expected"] = events.expected
                columns[arm][f"{card.name} events"] = events.counts.astype(np.float64)
            else:
                worst, first = _grades(simulation, card, arm)
                rows += _grade_rows(card, arm, worst, simulation)
                happened += _grade_events(card, arm, worst, first, simulation)
                columns[arm][f"{card.name} grade"] = worst
    order = ["arm", "patient", "event", "time_day", "grade"]
    events_table = pd.DataFrame(happened, columns=order).sort_values(
        ["arm", "patient", "time_day", "event"], kind="stable", ignore_index=True
    )
    return pd.DataFrame(rows), events_table, columns


def hazard_of(card: SideEffectCard) -> Hazard:
    """Hazard of a side-effect card."""
    assert card.background is not None
    background = convert(card.background.value, card.background.unit, "1/(100 year)")
    covariates, states = [], []
    for driver in card.drivers:
        form, per = DriverForm(driver.form), driver.per.value if driver.per else 1.0
        if driver.covariate is not None:
            reference = float(card.reference.get(driver.covariate, 0.0))
            covariates.append(CovariateDriver(driver.covariate, form, driver.effect, reference, per))
        elif driver.state is not None:
            states.append(
                StateDriver(
                    driver.state, form, driver.effect, per, card.reference.get(driver.state)
                )
            )
    return Hazard(card.name, background, tuple(covariates), tuple(states))


def _drawn(simulation: Simulation, card: SideEffectCard, arm: str) -> Events:
    """Events of one side effect in one arm."""
    hazard = hazard_of(card)
    names = [driver.state for driver in hazard.states]
    rate = hazard_rate(
        hazard,
        simulation.cohort.covariates,
        {name: simulation.values(arm, name) for name in names},
        {name: simulation.values(simulation.reference, name) for name in names},
        (simulation.n_patients, len(simulation.times)),
    )
    failed = simulation.status(arm) != Status.OK
    rate[failed] = np.where(np.isfinite(rate[failed]), rate[failed], np.nan)
    seed = simulation.study.population.seed
    return draw_events(card.name, rate, simulation.times, seed, simulation.cohort.numbers)


def _incidence_row(events: Events, card: SideEffectCard, arm: str) -> dict[str, Any]:
    found = incidence(events, is_first_only=False)
    years = float(np.sum(events.follow_up - events.start)) / DAYS_PER_YEAR
    return {
        "arm": arm,
        "side_effect": card.name,
        "measure": "incidence rate",
        "n": len(events.counts),
        "events": int(events.counts.sum()),
        "patient_years": years,
        "estimate": found.estimate,
        "low": found.low,
        "high": found.high,
        "unit": "1/(100 year)",
        "expected": 100.0 * float(events.expected.sum()) / years,
    }


def _event_rows(
    events: Events, card: SideEffectCard, arm: str, numbers: IntArray
) -> list[dict[str, Any]]:
    return [
        {
            "arm": arm,
            "patient": int(numbers[row]),
            "event": card.name,
            "time_day": float(day),
            "grade": np.nan,
        }
        for row, day in zip(events.event_row, events.event_time, strict=True)
    ]


def _grades(
    simulation: Simulation, card: SideEffectCard, arm: str
) -> tuple[FloatArray, FloatArray]:
    """Worst grade of each patient after baseline, and the day it was first seen."""
    assert card.output is not None
    limits = {
        grade: limit.below.value if limit.below else limit.above.value  # type: ignore[union-attr]
        for grade, limit in card.grades.items()
    }
    is_low_bad = next(iter(card.grades.values())).below is not None
    values = simulation.visits[arm][card.output][:, 1:]
    grades = np.nan_to_num(ctcae_grade(values, limits, is_low_bad), nan=0.0)
    worst = grades.max(axis=1)
    days = np.array(simulation.study.visits_day)[1:]
    return worst, days[np.argmax(grades == worst[:, None], axis=1)]


def _grade_rows(
    card: SideEffectCard, arm: str, worst: FloatArray, simulation: Simulation
) -> list[dict[str, Any]]:
    measures: list[tuple[str, Any]] = [("any grade", worst >= 1)]
    measures += [(f"grade {grade}", worst == grade) for grade in sorted(card.grades)]
    if {3, 4} <= set(card.grades):
        measures.append(("grade 3-4", worst >= 3))
    rows = []
    for measure, has in measures:
        found = statistics.proportion(int(np.sum(has)), len(worst))
        rows.append(
            {
                "arm": arm,
                "side_effect": card.name,
                "measure": measure,
                "n": len(worst),
                "events": int(np.sum(has)),
                "patient_years": len(worst) * simulation.study.duration_day / DAYS_PER_YEAR,
                "estimate": found.estimate,
                "low": found.low,
                "high": found.high,
                "unit": "1",
                "expected": np.nan,
            }
        )
    return rows


def _grade_events(
    card: SideEffectCard, arm: str, worst: FloatArray, first: FloatArray, simulation: Simulation
) -> list[dict[str, Any]]:
    return [
        {
            "arm": arm,
            "patient": int(simulation.cohort.numbers[row]),
            "event": card.name,
            "time_day": float(first[row]),
            "grade": float(worst[row]),
        }
        for row in np.flatnonzero(worst >= 1)
    ]


def patient_table(
    simulation: Simulation,
    per_patient: PerPatient,
    events: Mapping[str, Mapping[str, FloatArray]],
) -> pd.DataFrame:
    """One row per arm and patient: covariates, endpoints at baseline and end, side effects."""
    parts = []
    covariates = simulation.cohort.covariates.reset_index(drop=True)
    for arm in simulation.study.arms:
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
            if KINDS[simulation.situation.endpoints[name].kind].is_binary:
                results[name] = values[:, -1]
            else:
                results[f"{name} at baseline"] = values[:, 0]
                results[f"{name} at end"] = values[:, -1]
        results.update(events[arm])
        parts.append(pd.concat([own, covariates, pd.DataFrame(results)], axis=1))
    return pd.concat(parts, ignore_index=True)


def visit_table(simulation: Simulation) -> pd.DataFrame:
    """What every visit recorded: one row per arm, patient and visit."""
    days = np.array(simulation.study.visits_day)
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
        for arm in simulation.study.arms
    ]
    return pd.concat(parts, ignore_index=True)


def bands(simulation: Simulation) -> pd.DataFrame:
    """Mean and quantiles over patients of every output, at every sample time."""
    parts = []
    given = {
        arm: {regimen.drug.name for regimen in simulation.study.regimens(arm)}
        for arm in simulation.study.arms
    }
    for output in simulation.outputs:
        for arm in simulation.study.arms:
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
                        "time_day": simulation.times,
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
    work. Suppressed or stimulated: the median patient changes by more than the card's threshold and
    so do three quarters of patients in direction; mixed: more than a quarter of the patients each
    way beyond the threshold.
    """
    threshold = simulation.core.profile_threshold.value
    late = simulation.times >= simulation.study.duration_day / 2
    times = simulation.times[late]
    rows = []
    for arm in simulation.study.arms:
        if arm == simulation.reference:
            continue
        for function in simulation.core.functions.values():
            averages = [
                np.trapezoid(simulation.values(which, function.output)[:, late], times, axis=1)
                for which in (arm, simulation.reference)
            ]
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = averages[0] / averages[1]
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


def comparison(
    simulation: Simulation, endpoints: pd.DataFrame, catalog: Catalog
) -> pd.DataFrame:
    """Published results of the trials named in the study beside the simulated ones."""
    rows = []
    for trial_name in simulation.study.compare_with:
        trial = catalog.trial(trial_name)
        for published in trial.arms:
            arm = matching_arm(simulation, trial, published, catalog)
            if arm is not None:
                rows += _compared(trial, published, arm, endpoints)
    columns = (
        "trial published_arm arm endpoint time_day role observed observed_n observed_low "
        "observed_high predicted predicted_low predicted_high difference unit source checked"
    ).split()
    return pd.DataFrame(rows, columns=columns)


def matching_arm(
    simulation: Simulation, trial: TrialCard, published: TrialArmCard, catalog: Catalog
) -> str | None:
    """Simulated arm that gives the same doses of the same drugs as a published one."""
    wanted: tuple[Regimen, ...] = ()
    if published.drug != "placebo":
        if published.drug not in catalog.drugs():
            return None
        line = published.regimen
        if not line.startswith(published.drug):
            line = f"{published.drug} {line}"
        wanted = (parse_regimen(line, catalog.drug, trial.situation),)
    for arm, regimens in simulation.study.arms.items():
        if _doses(regimens, simulation) == _doses(wanted, simulation):
            return arm
    return None


def _doses(regimens: Sequence[Regimen], simulation: Simulation) -> list[tuple[object, ...]]:
    """What is given, in a form that can be compared; a cap on the dose does not make it another."""
    return sorted(
        (
            regimen.drug.name,
            dose.route,
            round(dose.time_day, 6),
            dose.amount,
            dose.unit,
            dose.per_kg,
        )
        for regimen in regimens
        for dose in regimen.doses(simulation.study.duration_day)
    )


def _compared(
    trial: TrialCard, published: TrialArmCard, arm: str, endpoints: pd.DataFrame
) -> list[dict[str, Any]]:
    rows = []
    for result in published.results:
        day = result.week * 7.0
        same = endpoints[
            (endpoints["arm"] == arm)
            & (endpoints["endpoint"] == result.endpoint)
            & (np.abs(endpoints["time_day"] - day) < 0.5)
        ]
        if same.empty:
            continue
        predicted = same.iloc[0]
        n = result.n or published.n
        is_share = result.unit == "%" and predicted["statistic"] == "proportion"
        observed = result.value / 100.0 if is_share else result.value
        low = high = np.nan
        if is_share:
            found = statistics.proportion(round(observed * n), n)
            low, high = found.low, found.high
        elif result.low is not None and result.high is not None:
            low, high = result.low, result.high
        rows.append(
            {
                "trial": trial.name,
                "published_arm": published.name,
                "arm": arm,
                "endpoint": result.endpoint,
                "time_day": day,
                "role": published.role,
                "observed": observed,
                "observed_n": n,
                "observed_low": low,
                "observed_high": high,
                "predicted": predicted["estimate"],
                "predicted_low": predicted["low"],
                "predicted_high": predicted["high"],
                "difference": predicted["estimate"] - observed,
                "unit": predicted["unit"],
                "source": result.source or "",
                "checked": result.checked,
            }
        )
    return rows
