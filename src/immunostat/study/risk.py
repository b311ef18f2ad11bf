"""The risks of one described patient: virtual twins of his, with and without a treatment.

Twins share what is known of him and differ in what is not. Each twin's risk is expected, not
drawn: the cumulative hazard of his own course.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from immunostat.base.errors import InputError, UnknownNameError, near_matches
from immunostat.base.facts import Evidence
from immunostat.catalog.cards import FactCard
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.model_cards import PopulationCard, PopulationCovariateCard
from immunostat.model.system import FloatArray
from immunostat.outcomes.drivers import BackgroundTable, DriverForm
from immunostat.outcomes.hazards import Hazard
from immunostat.study.cohort import draw_cohort
from immunostat.study.harm import Harm
from immunostat.study.harvest import drawn_of
from immunostat.study.plan import Plan, prepare
from immunostat.study.recruitment import columns_of
from immunostat.study.simulation import Simulation, simulate_cohort
from immunostat.study.study_reader import make_study

WITH, WITHOUT = "treatment", "background"

#: How many drivers are named for each side effect.
MOST_DRIVERS = 3

#: A driver that changes a risk by less than this factor is not named.
LEAST_FACTOR = 1.05

COLUMNS = (
    *("side_effect", "title", "arm", "risk", "low", "high", "population", "background"),
    *("mechanism", "own"),
)
DRIVER_COLUMNS = ("side_effect", "driver", "what_if", "risk", "without", "factor")


@dataclass(frozen=True)
class Risk:
    """Risks of a described patient.

    Parameters
    ----------
    table
        One row per side effect and arm: mean of the twins' risks with the middle 90 % (``low``,
        ``high``), mean of the population's, percent by the end; and of the twins' expected events
        the shares by background, mechanism and the drug itself, percent.
    drivers
        For each side effect under treatment what matters most: the risk, and what it would be
        otherwise.
    described
        What was said of the patient, by covariate.
    unknown
        What the cards would like to know of a patient and nobody knows, by side effect.
    warnings
        Drug, side effect and text, where there is no rate.
    weeks, n_twins
        Length, and number of twins.
    """

    table: pd.DataFrame
    drivers: pd.DataFrame
    described: Mapping[str, float]
    unknown: Mapping[str, tuple[str, ...]]
    warnings: tuple[tuple[str, str, str], ...]
    weeks: float
    n_twins: int


def risk_of(
    catalog: Catalog,
    situation: str,
    regimens: Sequence[str],
    described: Mapping[str, float],
    population: str = "",
    weeks: float = 52.0,
    n_twins: int = 1000,
    seed: int = 1,
    threads: int | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Risk:
    """Risks of a described patient under a treatment and without it.

    Parameters
    ----------
    situation, population
        Names in the catalog; the first population of the situation if empty.
    regimens
        Treatment, such as ``tocilizumab label``.
    described
        Covariates of the patient, in the units of the population.
    weeks
        How far ahead.
    n_twins, seed
        Number of twins, and of patients of the population beside them.

    Raises
    ------
    InputError
        Nothing in the program knows a covariate, or no twin could enter.
    """
    names = catalog.populations(situation)
    if not names:
        raise InputError(f"situation '{situation}' has no population")
    card = catalog.population(population or names[0])
    known = _known(catalog, card)
    for name in described:
        if name not in known:
            raise UnknownNameError(
                f"nothing in the program reads '{name}' of a patient",
                remedy=near_matches(name, known),
            )
    body: dict[str, Any] = {
        "title": f"One patient: {', '.join(regimens)}",
        "situation": situation,
        "population": {"name": card.name, "patients": n_twins, "seed": seed},
        "arms": {WITHOUT: [], WITH: list(regimens)},
        "duration": f"{7 * weeks:g} days",
        "visits": "every 12 weeks",
        "endpoints": [],
        "side_effects": "all",
    }
    study = make_study(body, catalog)
    found: list[Simulation] = []
    for who in (with_covariates(card, described), card):
        plan = prepare(study, catalog, who)
        done = len(found) * 2 * n_twins

        def told(n: int, before: int = done) -> None:
            if progress:
                progress(before + n, 4 * n_twins, "courses")

        cohort = draw_cohort(plan.recruitment(threads), n_twins)
        found.append(simulate_cohort(plan, cohort, threads, told))
    twins, people = found
    rows, drivers = list[dict[str, Any]](), list[dict[str, Any]]()
    for harm in twins.plan.side_effects:
        if harm.is_drawn:
            rows += _rows(twins, people, harm)
            drivers += _drivers(twins, people, harm)
    return Risk(
        pd.DataFrame(rows, columns=list(COLUMNS)),
        pd.DataFrame(drivers, columns=list(DRIVER_COLUMNS)),
        dict(described),
        {harm.name: harm.unknown for harm in twins.plan.side_effects if harm.unknown},
        twins.plan.warnings,
        weeks,
        n_twins,
    )


def with_covariates(card: PopulationCard, described: Mapping[str, float]) -> PopulationCard:
    """A population in which everybody has the described covariates.

    Covariates that the population does not have are added; correlations with what is fixed fall
    away.
    """
    said = {"evidence": Evidence.ASSUMED, "because": "said of the patient"}
    covariates = dict(card.covariates)
    for name, value in described.items():
        unit = covariates[name].unit if name in covariates else "1"
        fact = FactCard.model_validate({"value": value, "unit": unit, **said})
        if name in covariates and covariates[name].distribution == "bernoulli":
            # Others may differ by it, which needs a covariate that is yes or no.
            own = PopulationCovariateCard(distribution="bernoulli", unit=unit, probability=fact)
        else:
            own = PopulationCovariateCard(distribution="constant", unit=unit, mean=fact)
        covariates[name] = own
    kept = tuple(pair for pair in card.correlations if not set(pair.of) & set(described))
    return card.model_copy(update={"covariates": covariates, "correlations": kept})


def _known(catalog: Catalog, card: PopulationCard) -> frozenset[str]:
    """Covariates that the population has or that a side effect reads."""
    names = set(card.covariates)
    for name in catalog.side_effects():
        drivers = catalog.side_effect(name).drivers
        names |= {driver.covariate for driver in drivers if driver.covariate is not None}
    return frozenset(names)


def _risks(simulation: Simulation, harm: Harm, arm: str) -> FloatArray:
    """Each patient's risk by the end, percent. Shape (patient,)."""
    return np.asarray(100.0 * drawn_of(simulation, harm, arm).chance)


def _rows(twins: Simulation, people: Simulation, harm: Harm) -> Iterator[dict[str, Any]]:
    # Of the population less may be known than of the patient, so its own drivers may be fewer.
    theirs = next((own for own in people.plan.side_effects if own.name == harm.name), None)
    for arm in (WITHOUT, WITH):
        drawn = drawn_of(twins, harm, arm)
        expected = float(np.nansum(drawn.events.expected))
        background = float(np.nansum(drawn.by_background))
        mechanism = float(np.nansum(drawn.by_mechanism))
        risks = _risks(twins, harm, arm)
        low, high = (float(q) for q in np.nanquantile(risks, [0.05, 0.95]))
        scale = 100.0 / expected if expected else 0.0
        yield {
            "side_effect": harm.name,
            "title": harm.card.title,
            "arm": arm,
            "risk": float(np.nanmean(risks)),
            "low": low,
            "high": high,
            "population": float(np.nanmean(_risks(people, theirs, arm))) if theirs else np.nan,
            "background": scale * background,
            "mechanism": scale * (mechanism - background),
            "own": scale * (expected - mechanism),
        }


def _drivers(twins: Simulation, people: Simulation, harm: Harm) -> list[dict[str, Any]]:
    """What matters most for a side effect under treatment, by what would be without it."""
    risk = float(np.nanmean(_risks(twins, harm, WITH)))
    rows: list[dict[str, Any]] = []
    if not risk > 0:
        return rows
    for driver, what_if, changed in _counterfactuals(twins.plan, people, harm):
        without = float(np.nanmean(_risks(twins, changed, WITH)))
        factor = risk / without if without > 0 else np.inf
        if max(factor, 1.0 / factor if factor else np.inf) >= LEAST_FACTOR:
            rows.append(
                {
                    "side_effect": harm.name,
                    "driver": driver,
                    "what_if": what_if,
                    "risk": risk,
                    "without": without,
                    "factor": factor,
                }
            )
    rows.sort(key=lambda row: -abs(np.log(max(row["factor"], 1e-12))))
    return rows[:MOST_DRIVERS]


def _counterfactuals(plan: Plan, people: Simulation, harm: Harm) -> Iterator[tuple[str, str, Harm]]:
    """Each driver, what would be otherwise in words, and the side effect without the driver.

    A covariate takes the value of the population's mean patient, or of one who does not have it; a
    state that of the same patient without treatment; a drug is not given.
    """
    hazard = harm.hazard
    assert hazard is not None
    columns = columns_of(people.cohort.covariates)
    means = {name: float(np.nanmean(values)) for name, values in columns.items()}
    if hazard.table is not None and "age" in means:
        age, female = means["age"], means.get("female", 0.5)
        flat = hazard.table.rate({"age": np.array([age]), "female": np.array([female])}, 1)[0]
        ages = (age, age + 1.0)
        table = BackgroundTable(ages, (flat, flat), (flat, flat), age, female)
        words = f"age {age:.0f} and the sexes mixed, as the population"
        yield "age and sex", words, _with(harm, table=table)
    for i, driver in enumerate(hazard.covariates):
        rest = hazard.covariates[:i] + hazard.covariates[i + 1 :]
        is_flag = set(np.unique(columns.get(driver.covariate, np.array([0.0, 1.0])))) <= {0.0, 1.0}
        if is_flag:
            yield driver.covariate, "without it", _with(harm, covariates=rest)
        else:
            is_table = driver.form is DriverForm.TABLE
            words = "a value without effect" if is_table else f"{driver.reference:g}, the reference"
            yield driver.covariate, words, _with(harm, covariates=rest)
    for i, state in enumerate(hazard.states):
        states = hazard.states[:i] + hazard.states[i + 1 :]
        yield state.state, "as in health or untreated", _with(harm, states=states)
    for i, own in enumerate(harm.signals):
        signals = hazard.signals[:i] + hazard.signals[i + 1 :]
        changed = _with(harm, signals=signals)
        changed = replace(changed, signals=harm.signals[:i] + harm.signals[i + 1 :])
        drugs = ", ".join(drug.name for drug in own.drugs)
        what = f"what {drugs} does at {own.card.target}" if own.card.target else f"{drugs} itself"
        yield what, "without this effect", changed
    for i, own in enumerate(harm.dose_drivers):
        rest_of_doses = harm.dose_drivers[:i] + harm.dose_drivers[i + 1 :]
        drugs = ", ".join(drug.name for drug in own.drugs)
        yield f"doses of {drugs}", "without them", replace(harm, dose_drivers=rest_of_doses)


def _with(harm: Harm, **changed: Any) -> Harm:
    """The side effect with parts of its hazard changed."""
    hazard = harm.hazard
    assert isinstance(hazard, Hazard)
    return replace(harm, hazard=replace(hazard, **changed))
