"""The run that the science pages are made from: the demo study, and arms for other doses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import yaml

from immunostat.catalog.lookup import packaged_catalog
from immunostat.study.result import Result
from immunostat.study.run import gathered_of, simulate, summarize
from immunostat.study.simulation import Simulation
from immunostat.study.study_reader import make_study
from immunostat.study.validation import regimens_of, why_not_simulated
from immunostat.therapy.grammar import parse_regimen
from making.markdown import number

if TYPE_CHECKING:
    from immunostat.catalog.drug_cards import ExposureCheckCard

ROOT = Path(__file__).parents[2]
POPULATION = "methotrexate-inadequate-response"


def run(patients: int) -> tuple[Simulation, Result]:
    """The demo study with an arm for every regimen of a published arm in the same population."""
    catalog = packaged_catalog()
    data = yaml.safe_load((ROOT / "studies" / "ra-biologics.yaml").read_text(encoding="utf-8"))
    data["population"]["patients"] = patients
    trials = [n for n in catalog.trials() if catalog.trial(n).population == POPULATION]
    data["compare_with"] = trials
    plan = make_study(data, catalog)
    have = {_doses(regimens, plan.duration_day) for regimens in plan.arms.values()}
    for name in trials:
        for arm in catalog.trial(name).arms:
            if why_not_simulated(catalog, catalog.trial(name), arm):
                continue
            regimens = regimens_of(catalog, "rheumatoid-arthritis", arm)
            doses = _doses(regimens, plan.duration_day)
            if doses and doses not in have:
                have.add(doses)
                data["arms"][arm.name.removesuffix(" + methotrexate")] = list(arm.lines)
    simulation = simulate(make_study(data, catalog), catalog)
    return simulation, summarize(gathered_of(simulation), catalog)


def _doses(regimens: tuple, duration: float) -> tuple:
    return tuple(
        (r.drug.name, round(d.time_day, 6), d.amount, d.unit, d.per_kg)
        for r in regimens
        for d in r.doses(duration)
    )


def compared(result: Result) -> pd.DataFrame:
    """Published values beside predicted ones."""
    return result.comparison


def shown_value(value: float, unit: str, endpoint: str) -> str:
    """A value of a comparison as a reader wants it."""
    is_share = unit == "1" and endpoint.startswith(("ACR", "DAS28-CRP-remission"))
    return f"{100 * value:.0f} %" if is_share else number(value)


def arm_with(simulation: Simulation, drug: str, regimen: str) -> str | None:
    """The arm that gives this regimen; the arm without drugs for placebo."""
    if drug == "placebo":
        return simulation.plan.reference
    catalog = packaged_catalog()
    wanted = parse_regimen(f"{drug} {regimen}", catalog.drug, "rheumatoid-arthritis")
    days = simulation.plan.study.duration_day
    for arm, regimens in simulation.plan.study.arms.items():
        if _doses(regimens, days) == _doses((wanted,), days):
            return arm
    return None


def exposure(simulation: Simulation, drug: str, check: ExposureCheckCard) -> float | None:
    """What the simulation gives for a published exposure, in the check's unit; None if nothing."""
    if " once" in check.regimen or not check.comparable:
        return None
    arm = arm_with(simulation, drug, check.regimen)
    if arm is None:
        return None
    name = f"{drug}_concentration"
    factor = next(o.factor for o in simulation.plan.outputs if o.name == name)
    course = simulation.values(arm, name) * factor
    trough = course[:, -1]
    negative = simulation.cohort.covariates["antidrug_antibody_negative"].to_numpy(bool)
    average = np.median if check.statistic == "median" else np.mean
    if check.quantity == "trough":
        return float(average(trough))
    if check.quantity == "maximum":
        return float(average(course.max(axis=1)))
    if check.quantity.startswith("trough at week 28 with"):
        return float(average(trough[negative if "without" in check.quantity else ~negative]))
    if check.quantity.startswith("share of patients with trough below"):
        return float(100 * np.mean(trough < 1.0))
    if check.quantity == "receptor_occupancy_trough":
        return float(100 * np.median(simulation.values(arm, "core_il6r_occupancy")[:, -1]))
    return None
