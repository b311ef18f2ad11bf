"""Side effects of a simulation: drawn events, grades from counts, and their tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immunostat.base.errors import InputError
from immunostat.base.units import convert
from immunostat.catalog.cards import SideEffectCard
from immunostat.engine.problem import IntArray
from immunostat.engine.solution import Status
from immunostat.model.system import FloatArray
from immunostat.outcomes import statistics
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
from immunostat.study.cohort import columns_of

if TYPE_CHECKING:
    from immunostat.study.simulation import Simulation


def side_effect_tables(
    simulation: Simulation,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, dict[str, FloatArray]]]:
    """Side effects of every arm: table, list of events, and a column per patient for each."""
    rows: list[dict[str, Any]] = []
    happened: list[dict[str, Any]] = []
    columns: dict[str, dict[str, FloatArray]] = {arm: {} for arm in simulation.plan.study.arms}
    for card in simulation.plan.side_effects:
        for arm in simulation.plan.study.arms:
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
            covariates.append(
                CovariateDriver(driver.covariate, form, driver.effect, reference, per)
            )
        elif driver.drug is not None:
            raise InputError(
                f"side effect '{card.name}': a driver by drug ({driver.drug}) is not supported yet",
                remedy="drive the hazard by a state that the drug changes",
            )
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
        columns_of(simulation.cohort.covariates),
        {name: simulation.values(arm, name) for name in names},
        {name: simulation.values(simulation.plan.reference, name) for name in names},
        (simulation.n_patients, len(simulation.plan.times)),
    )
    failed = simulation.status(arm) != Status.OK
    rate[failed] = np.where(np.isfinite(rate[failed]), rate[failed], np.nan)
    seed = simulation.plan.study.population.seed
    return draw_events(card.name, rate, simulation.plan.times, seed, simulation.cohort.numbers)


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
    """Worst grade of each patient after baseline, and the day it was first seen.

    NaN for a patient of whom no visit after baseline has a value.
    """
    assert card.output is not None
    values = simulation.visits[arm][card.output][:, 1:]
    grades = ctcae_grade(values, *card.limits)
    worst = np.fmax.reduce(grades, axis=1)
    days = np.array(simulation.plan.study.visits_day)[1:]
    return worst, days[np.argmax(grades == worst[:, None], axis=1)]


def _grade_rows(
    card: SideEffectCard, arm: str, worst: FloatArray, simulation: Simulation
) -> list[dict[str, Any]]:
    seen = worst[np.isfinite(worst)]
    measures: list[tuple[str, Any]] = [("any grade", seen >= 1)]
    measures += [(f"grade {grade}", seen == grade) for grade in sorted(card.grades)]
    if {3, 4} <= set(card.grades):
        measures.append(("grade 3-4", seen >= 3))
    rows = []
    for measure, has in measures:
        found = statistics.proportion(int(np.sum(has)), len(seen))
        rows.append(
            {
                "arm": arm,
                "side_effect": card.name,
                "measure": measure,
                "n": len(seen),
                "events": int(np.sum(has)),
                "patient_years": len(seen) * simulation.plan.study.duration_day / DAYS_PER_YEAR,
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
