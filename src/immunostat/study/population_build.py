"""Builds a virtual population: draws plausible patients, simulates the training arms, weights them.

Prevalence weights concern those who enter: published baseline tables and response rates are of
patients whom a trial's entry criteria let in. So the weights of those patients are found, and
plausible patients who would not have entered keep the average weight: how many candidates fail at
screening is left as it is, since no published number speaks of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from immunostat.base import streams
from immunostat.base.errors import InputError, near_matches
from immunostat.catalog.lookup import Catalog, packaged_catalog
from immunostat.engine.problem import IntArray
from immunostat.model.system import FloatArray
from immunostat.outcomes.endpoints import Observations, evaluate
from immunostat.population.sampling import Sampling
from immunostat.population.weight import (
    DEFAULT_MOST,
    Method,
    Target,
    Weights,
    effective_size,
    weight,
)
from immunostat.study.cohort import (
    MOST_CANDIDATES,
    Cohort,
    examine,
    observe,
    refuse_criteria,
    take,
)
from immunostat.study.plan import Plan, prepare
from immunostat.study.population_targets import (
    Wanted,
    baseline_wanted,
    responses_wanted,
    standard_error,
    training_study,
)
from immunostat.study.recruitment import Recruitment, columns_of
from immunostat.study.screening import (
    PLAUSIBILITY,
    Findings,
    baseline_values,
    rejection_table,
)
from immunostat.study.simulation import Simulation, simulate_cohort
from immunostat.study.specs import endpoint_spec
from immunostat.study.stored_population import (
    COVARIATE,
    ENTERED,
    FORMAT,
    NUMBER,
    PARAMETER,
    READOUT,
    WEIGHT,
    StoredPopulation,
    model_hash,
    plain,
    table_hash,
)

DEFAULT_SIZE = 5000

#: Effective sample size that weights must leave, as a share of the patients who are weighted.
LEAST_EFFECTIVE = 0.2

#: Draws of the errors of visits over which the chance of a response is averaged.
DRAWS = 16

#: Candidates that are examined at a time.
BLOCK = 2048

MOST_PATIENTS = 1_000_000

#: Called with how much is done, how much there is, and the name of the stage.
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Pool:
    """Plausible patients before they are weighted.

    Parameters
    ----------
    patients
        All of them.
    entered
        Rows of those whom the entry criteria let in.
    findings
        What was found in every candidate, block by block.
    readouts
        What the baseline visit recorded, by component. Each (patient,).
    """

    patients: Cohort
    entered: IntArray
    findings: list[Findings]
    readouts: dict[str, FloatArray]


def build_population(
    situation: str,
    population: str | None = None,
    *,
    size: int = DEFAULT_SIZE,
    seed: int = 1,
    sampling: Sampling | str = Sampling.RANDOM,
    method: Method | str = Method.ENTROPY,
    most: float = DEFAULT_MOST,
    select: int | None = None,
    least_effective: float = LEAST_EFFECTIVE,
    catalog: Catalog | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> StoredPopulation:
    """Draw plausible patients and give each a prevalence weight.

    Parameters
    ----------
    situation
        Name of a situation.
    population
        Name of one of its populations; may be left out if there is one alone.
    size
        Number of plausible patients.
    seed
        Seed of all random numbers.
    sampling
        See `Sampling`.
    method
        How weights are found; see `population.weight`.
    most
        Largest weight, as a multiple of the average (entropy, least squares).
    select
        Patients that are selected among those who enter (greedy); half of them if None.
    least_effective
        Effective sample size that is needed, as a share of the patients who enter.
    catalog
        Where cards are; the packaged catalog if None.
    threads
        Threads to use; all cores if None. The result does not depend on it.
    progress
        Told of finished work.

    Returns
    -------
    The population; `write_population` keeps it.

    Raises
    ------
    InputError
        A name is unknown, hardly any candidate is plausible, no weights meet the targets, or the
        effective sample size is too small; the message has the remedy.
    """
    catalog = catalog or packaged_catalog()
    if not 1 <= size <= MOST_PATIENTS:
        raise InputError(
            f"a population of {size} patients cannot be built", remedy=f"1 to {MOST_PATIENTS:,}"
        )
    card = catalog.situation(situation)
    population_card = catalog.population(population_name(catalog, card.name, population))
    tell = progress or (lambda done, total, stage: None)
    tell(0, size, "joining the model")
    responses, arms = responses_wanted(catalog, card, population_card)
    wanted = [*baseline_wanted(population_card, card), *responses]
    study = training_study(catalog, card, population_card, responses, arms, seed)
    plan = prepare(study, catalog)
    recruitment = replace(plan.recruitment(threads), sampling=Sampling(sampling))
    pool = draw_pool(recruitment, size, tell)
    values = target_values(plan, pool, wanted, threads, tell)
    tell(0, 1, "finding weights")
    weights, found = weigh_pool(
        pool, values, wanted, method, seed, most=most, select=select, least=least_effective
    )
    tell(1, 1, "finding weights")
    table = population_table(recruitment, pool, weights)
    numbers: dict[str, Any] = {
        "format": FORMAT,
        "situation": card.name,
        "population": population_card.name,
        "title": population_card.title,
        "seed": seed,
        "sampling": Sampling(sampling),
        "size": size,
        "candidates": sum(own.n_candidates for own in pool.findings),
        "entered": len(pool.entered),
        "method": Method(method),
        "most": float(most),
        "least_effective": float(least_effective),
        "effective_size": effective_size(weights),
        "effective_size_of_entered": effective_size(weights[pool.entered]),
        "largest_weight": float(weights.max() * len(weights)),
        "within_tolerance": not found.missed,
        "targets": target_records(wanted, values, found),
        "rejections": rejection_table(pool.findings).to_dict("records"),
        "model_hash": model_hash(catalog, card.name, population_card.name),
        "catalog_hash": catalog.hash(),
        "table_hash": table_hash(table),
    }
    return StoredPopulation(table, plain(numbers))


def population_name(catalog: Catalog, situation: str, name: str | None) -> str:
    """Name of a population of a situation, spelled as its card is; the only one if None.

    Raises
    ------
    InputError
        There is none, or several and no name.
    """
    known = catalog.populations(situation)
    if name is None:
        if len(known) == 1:
            return known[0]
        raise InputError(
            f"situation '{situation}' has {len(known)} populations",
            remedy=f"name one with --population: {', '.join(known) or 'there is none'}",
        )
    for own in known:
        if own.lower() == name.lower():
            return own
    raise InputError(
        f"population '{name}' is none of {situation}", remedy=near_matches(name, known)
    )


def draw_pool(recruitment: Recruitment, size: int, tell: Progress) -> Pool:
    """Draw candidates until enough are plausible; entry criteria are looked at, not applied.

    Raises
    ------
    InputError
        Hardly any candidate is plausible.
    """
    parts: list[Cohort] = []
    findings: list[Findings] = []
    is_in: list[np.ndarray[Any, np.dtype[np.bool_]]] = []
    found, examined = 0, 0
    while found < size:
        if examined >= MOST_CANDIDATES * size + 1000:
            report = rejection_table(findings)
            counts = dict(zip(report["reason"], report["first"], strict=True))
            refuse_criteria(recruitment.population.name, found, examined, counts)
        numbers = np.arange(examined, examined + BLOCK, dtype=np.int64)
        candidates, block, rows = examine(recruitment, numbers)
        plausible = np.flatnonzero(block.is_free_of(PLAUSIBILITY)[rows])[: size - found]
        if found + len(plausible) == size:
            block = block.up_to(int(rows[plausible[-1]]) + 1)
        parts.append(take(candidates, plausible))
        is_in.append(block.is_free_of()[rows[plausible]])
        findings.append(block)
        found, examined = found + len(plausible), examined + block.n_candidates
        tell(found, size, "plausible patients")
    patients = parts[0] if len(parts) == 1 else _joined(parts)
    true = baseline_values(recruitment, patients)
    observed = observe(recruitment.situation.components, true, patients.numbers, recruitment.seed)
    readouts = {name: values[:, 0] for name, values in observed.items()}
    return Pool(patients, np.flatnonzero(np.concatenate(is_in)), findings, readouts)


def _joined(parts: list[Cohort]) -> Cohort:
    """Cohorts one after another."""
    return Cohort(
        np.concatenate([part.numbers for part in parts]),
        pd.concat([part.covariates for part in parts], ignore_index=True),
        np.concatenate([part.parameters for part in parts]),
        np.concatenate([part.initial_states for part in parts]),
        sum(part.n_candidates for part in parts),
        {},
        {
            key: np.concatenate([part.bioavailability[key] for part in parts])
            for key in parts[0].bioavailability
        },
    )


def target_values(
    plan: Plan, pool: Pool, wanted: list[Wanted], threads: int | None, tell: Progress
) -> FloatArray:
    """What each target looks at, in those who entered. Shape (patient, target).

    Raises
    ------
    InputError
        Nobody entered.
    """
    if not len(pool.entered):
        raise InputError(
            f"none of {len(pool.patients.numbers)} plausible patients may enter",
            remedy="build a larger pool, or check the entry criteria of the population",
        )
    columns = {
        **columns_of(take(pool.patients, pool.entered).covariates),
        **{name: values[pool.entered] for name, values in pool.readouts.items()},
    }
    arms = {own.arm for own in wanted if own.arm}
    responses: dict[tuple[str, str], FloatArray] = {}
    if arms:
        n_courses = len(plan.arms) * len(pool.entered)
        simulation = simulate_cohort(
            plan,
            take(pool.patients, pool.entered),
            threads,
            lambda done: tell(done, n_courses, "training arms"),
        )
        responses = response_chances(simulation, wanted)
    visits = np.asarray(plan.study.visits_day)
    table = np.empty((len(pool.entered), len(wanted)))
    for j, own in enumerate(wanted):
        if own.arm:
            visit = int(np.argmin(np.abs(visits - own.day)))
            table[:, j] = responses[own.arm, own.column][:, visit]
        else:
            table[:, j] = columns[own.column]
    return table


def response_chances(
    simulation: Simulation, wanted: list[Wanted]
) -> dict[tuple[str, str], FloatArray]:
    """Chance of each response over the errors of the visits after baseline.

    Weights are of patients, and a patient who is drawn into a trial meets other errors there: to
    weight by the response under one draw of errors would in part be to weight by those. The
    baseline keeps its errors, by which he entered.

    Returns
    -------
    By arm and endpoint; a patient without a value counts as a non-responder, as in trials. Each
    (patient, visit).
    """
    plan, numbers = simulation.plan, simulation.cohort.numbers
    components = plan.situation.components
    units = {n: "1" if own.unit == "joints" else own.unit for n, own in components.items()}
    chances: dict[tuple[str, str], FloatArray] = {}
    for arm in dict.fromkeys(own.arm for own in wanted if own.arm):
        true = {
            own.output: simulation.values(arm, own.output)[:, simulation.visit_index]
            for own in components.values()
        }
        names = list(dict.fromkeys(own.column for own in wanted if own.arm == arm))
        for draw in range(DRAWS):
            seen = observe(
                components, true, numbers, plan.study.population.seed, f"visit error {draw} of"
            )
            for name, values in seen.items():
                values[:, 0] = simulation.visits[arm][name][:, 0]
            observations = Observations(np.asarray(plan.study.visits_day), seen, units)
            for name in names:
                spec = endpoint_spec(name, plan.situation)
                answer = np.nan_to_num(evaluate(spec, observations), nan=0.0) / DRAWS
                chances[arm, name] = chances.get((arm, name), 0.0) + answer
    return chances


def weigh_pool(
    pool: Pool,
    values: FloatArray,
    wanted: list[Wanted],
    method: Method | str,
    seed: int,
    *,
    most: float,
    select: int | None,
    least: float,
) -> tuple[FloatArray, Weights]:
    """Weights of all patients of a pool, with sum 1, and what was found for those who enter.

    Raises
    ------
    InputError
        No weights meet the targets, or the effective sample size is too small.
    """
    chance = streams.uniform(
        seed, "acceptance into the population", pool.patients.numbers[pool.entered]
    )[:, 0]
    targets: list[Target] = [own.target for own in wanted]
    found = weight(values, targets, method, most=most, size=select, uniforms=chance)
    n, n_entered = len(pool.patients.numbers), len(pool.entered)
    if found.effective_size < least * n_entered:
        raise InputError(
            f"the effective sample size is {found.effective_size:.0f} of {n_entered} patients who "
            f"enter, less than {100 * least:g} %: few patients would stand for all",
            remedy="build a larger pool, use method least-squares (which leaves the largest), or "
            "accept it with a lower --least-effective",
        )
    weights = np.full(n, 1.0 / n)
    weights[pool.entered] = found.values * (n_entered / n)
    return weights, found


def population_table(recruitment: Recruitment, pool: Pool, weights: FloatArray) -> pd.DataFrame:
    """The table of a stored population."""
    patients, system = pool.patients, recruitment.assembly.system
    entered = np.zeros(len(weights), dtype=np.int64)
    entered[pool.entered] = 1
    columns: dict[str, Any] = {NUMBER: patients.numbers, WEIGHT: weights, ENTERED: entered}
    for name, values in columns_of(patients.covariates).items():
        columns[COVARIATE + name] = values
    for name in recruitment.assembly.varied:
        columns[PARAMETER + name] = patients.parameters[:, system.parameters.index(name)]
    for name, values in pool.readouts.items():
        columns[READOUT + name] = values
    return pd.DataFrame(columns)


def target_records(
    wanted: list[Wanted], values: FloatArray, found: Weights
) -> list[dict[str, Any]]:
    """Each target with what the pool had before weighting and what it has after."""
    missed = {target.name for target in found.missed}
    records = []
    for j, own in enumerate(wanted):
        records.append(
            {
                "name": own.target.name,
                "column": own.column,
                "arm": own.arm,
                "day": own.day,
                "mean": own.target.mean,
                "sd": own.target.sd,
                "before": float(values[:, j].mean()),
                "before_sd": None if own.target.sd is None else float(values[:, j].std()),
                "reached": float(found.means[j]),
                "reached_sd": None if own.target.sd is None else float(found.sds[j]),
                "tolerance": own.target.allowed * own.target.scale,
                "standard_error": standard_error(own),
                "is_met": own.target.name not in missed,
                "n": own.n,
                "source": own.source,
                "where": own.where,
            }
        )
    return records
