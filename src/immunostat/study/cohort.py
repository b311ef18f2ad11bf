"""The patients who enter: drawn, brought to their untreated steady state, examined, and selected.

Candidates are drawn in order of their number. One who is not plausible (a readout of his untreated
disease lies outside its range) or not eligible (an entry criterion on what the baseline visit
observes) is left out and counted; the first n who remain are the cohort. A candidate depends on the
seed and his number alone, so a larger trial holds the smaller one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
import pandas as pd

from immunostat.base import streams
from immunostat.base.errors import InputError
from immunostat.base.units import convert
from immunostat.catalog.model_cards import (
    ComponentCard,
    ModelParameterCard,
    PopulationCard,
    SituationCard,
)
from immunostat.catalog.populations import population_spec
from immunostat.engine.problem import EnsembleProblem, IntArray, Schedule, Tolerance
from immunostat.engine.solve import solve
from immunostat.model.system import FloatArray, OdeSystem
from immunostat.population.sample import covariate_effect, sample_covariates
from immunostat.study.assemble import TYPICAL, Assembly
from immunostat.therapy.drug import Drug

DAYS_PER_YEAR = 365.25

#: Candidates drawn for each patient wanted, at most; more means that the criteria fit nobody.
MOST_CANDIDATES = 50


@dataclass(frozen=True)
class Cohort:
    """Patients who entered.

    Parameters
    ----------
    numbers
        Number of each patient among the candidates. Shape (patient,).
    covariates
        One row per patient.
    parameters
        Parameters of the joined model. Shape (patient, parameter).
    initial_states
        States at randomization. Shape (patient, state).
    n_candidates
        Number of candidates that were examined.
    rejected
        Why candidates were left out: reason -> how many (a candidate counts at his first reason).
    bioavailability
        Fraction absorbed by drug and route, where patients differ in it. Each (patient,).
    """

    numbers: IntArray
    covariates: pd.DataFrame
    parameters: FloatArray
    initial_states: FloatArray
    n_candidates: int
    rejected: Mapping[str, int]
    bioavailability: Mapping[tuple[str, str], FloatArray] = field(default_factory=dict)


@dataclass(frozen=True)
class Recruitment:
    """Who is looked for, and with what model.

    Parameters
    ----------
    assembly
        The joined model.
    situation, population
        Their cards.
    drugs
        Drugs whose kinetics are drawn.
    outputs
        What the study samples; asked for here too, so that the model is compiled once.
    seed
        Seed of the study.
    factors
        What parameters of the joined model are multiplied with in everybody, by name: a change of
        the typical value, for sensitivity and uncertainty.
    """

    assembly: Assembly
    situation: SituationCard
    population: PopulationCard
    drugs: tuple[Drug, ...]
    outputs: tuple[str, ...]
    seed: int
    tolerance: Tolerance
    threads: int | None = None
    factors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Intake:
    """A block of candidates after examination.

    Parameters
    ----------
    cohort
        Those who may enter, in order of their number.
    reasons
        First reason for which each candidate may not; empty if he may. Shape (candidate,).
    first
        Number of the first candidate of the block.
    """

    cohort: Cohort
    reasons: np.ndarray[tuple[int], np.dtype[np.str_]]
    first: int

    def up_to(self, n_patients: int) -> Intake:
        """The block as if it ended with the `n_patients`-th patient who entered."""
        if n_patients >= len(self.cohort.numbers):
            return self
        end = int(self.cohort.numbers[n_patients - 1]) + 1 - self.first if n_patients else 0
        kept = take(self.cohort, np.arange(n_patients, dtype=np.int64))
        return Intake(kept, self.reasons[:end], self.first)

    @property
    def rejected(self) -> dict[str, int]:
        """How many candidates were left out for each reason."""
        reasons, counts = np.unique(self.reasons[self.reasons != ""], return_counts=True)
        return {str(reason): int(n) for reason, n in zip(reasons, counts, strict=True)}


def intake(recruitment: Recruitment, numbers: IntArray) -> Intake:
    """Draw and examine candidates; the answer for each depends on the seed and his number alone.

    Parameters
    ----------
    numbers
        Consecutive numbers of candidates. Shape (candidate,).
    """
    candidates = _candidates(recruitment, numbers)
    reasons = _reasons(recruitment, candidates)
    entered = np.flatnonzero(reasons == "")
    return Intake(take(candidates, entered), reasons, int(numbers[0]))


def draw_cohort(recruitment: Recruitment, n_patients: int) -> Cohort:
    """Draw candidates until `n_patients` have entered.

    Raises
    ------
    InputError
        So few candidates are eligible that the criteria must be a mistake.
    """
    kept: list[Intake] = []
    found, examined, batch = 0, 0, max(2 * n_patients, 64)
    while found < n_patients:
        if examined >= MOST_CANDIDATES * n_patients + 1000:
            refuse_criteria(recruitment.population.name, found, examined, joined_counts(kept))
        numbers = np.arange(examined, examined + batch, dtype=np.int64)
        block = intake(recruitment, numbers).up_to(n_patients - found)
        kept.append(block)
        found += len(block.cohort.numbers)
        examined += len(block.reasons)
    return cohort_of(kept)


def refuse_criteria(
    population: str, found: int, examined: int, rejected: Mapping[str, int]
) -> NoReturn:
    """So few candidates may enter that the criteria must be a mistake."""
    worst = max(rejected, key=lambda reason: rejected[reason])
    raise InputError(
        f"population '{population}': only {found} of {examined} candidates may enter",
        remedy=f"most were left out for '{worst}' ({rejected[worst]} of them)",
    )


def joined_counts(blocks: Sequence[Intake]) -> dict[str, int]:
    """Reasons of all blocks with their counts, the most frequent first."""
    total: dict[str, int] = {}
    for block in blocks:
        for reason, n in block.rejected.items():
            total[reason] = total.get(reason, 0) + n
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def cohort_of(blocks: Sequence[Intake]) -> Cohort:
    """Everybody who entered from some blocks."""
    parts = [block.cohort for block in blocks]
    return Cohort(
        np.concatenate([part.numbers for part in parts]),
        pd.concat([part.covariates for part in parts], ignore_index=True),
        np.concatenate([part.parameters for part in parts]),
        np.concatenate([part.initial_states for part in parts]),
        sum(len(block.reasons) for block in blocks),
        joined_counts(blocks),
        {
            key: np.concatenate([part.bioavailability[key] for part in parts])
            for key in parts[0].bioavailability
        },
    )


def take(cohort: Cohort, index: IntArray) -> Cohort:
    """Some patients of a cohort."""
    return Cohort(
        cohort.numbers[index],
        cohort.covariates.iloc[index].reset_index(drop=True),
        cohort.parameters[index],
        cohort.initial_states[index],
        cohort.n_candidates,
        cohort.rejected,
        {key: values[index] for key, values in cohort.bioavailability.items()},
    )


def _candidates(recruitment: Recruitment, numbers: IntArray) -> Cohort:
    """Covariates, parameters and untreated steady state of candidates."""
    assembly, situation = recruitment.assembly, recruitment.situation
    drugs, seed = recruitment.drugs, recruitment.seed
    covariates = sample_covariates(population_spec(recruitment.population), seed, numbers)
    columns = columns_of(covariates)
    values: dict[str, FloatArray | float] = dict(assembly.defaults)
    for name, card in assembly.varied.items():
        values[name] = draw_parameter(name, card, columns, numbers, seed)
    for parameter, covariate in situation.from_covariates.items():
        values[parameter] = columns[covariate]
    for drug in drugs:
        for name, column in draw_kinetics(drug, columns, numbers, seed).items():
            values[f"{drug.prefix}_{name}"] = column
            values[f"{drug.prefix}_{name}_{TYPICAL}"] = column
    for name, factor in recruitment.factors.items():
        values[name] = values.get(name, default_of(assembly, name)) * factor
    if situation.trial_switch:
        values[situation.trial_switch] = 1.0

    core = assembly.core_system
    steady = situation.steady_state
    years = convert(steady.duration.value, steady.duration.unit, "year")
    problem = EnsembleProblem(
        core,
        parameter_table(core, values, len(numbers)),
        Schedule.empty(len(numbers)),
        np.array([0.0]),
        core.names,
        start=-years * DAYS_PER_YEAR,
    )
    untreated = solve(problem, tolerance=recruitment.tolerance, threads=recruitment.threads)
    rest = {name: untreated[name][:, 0] for name in core.names}
    for parameter, output in steady.anchors.items():
        values[parameter] = rest[output]
    if steady.scaled is not None:
        scaled = steady.scaled
        wanted = columns[scaled.covariate]
        values[scaled.parameter] = rest[scaled.parameter] * wanted / rest[scaled.output]
        rest[scaled.output] = wanted

    system = assembly.system
    parameters = parameter_table(system, values, len(numbers))
    initial = initial_states(system, parameters, recruitment.outputs)
    for i, state in enumerate(system.states):
        if state in core.states:
            initial[:, i] = rest[state]
    absorbed = draw_bioavailability(drugs, columns, numbers, seed)
    return Cohort(numbers, covariates, parameters, initial, len(numbers), {}, absorbed)


def default_of(assembly: Assembly, name: str) -> float:
    """Value that the equations themselves give a parameter that no card of a patient sets."""
    for system in (assembly.system, assembly.core_system):
        if name in system.parameters:
            return float(system.defaults[system.parameters.index(name)])
    raise InputError(f"'{name}' is no parameter of the joined model")


def redraw(recruitment: Recruitment, numbers: IntArray) -> Cohort:
    """Patients of these numbers, whether or not the criteria would let them enter.

    With other `Recruitment.factors` these are the same people under changed numbers of the model.

    Parameters
    ----------
    numbers
        In any order. Shape (patient,).
    """
    return _candidates(recruitment, np.asarray(numbers, dtype=np.int64))


def draw_kinetics(
    drug: Drug, covariates: Mapping[str, FloatArray], numbers: IntArray, seed: int
) -> dict[str, FloatArray]:
    """Kinetic parameters of patients by name; none for a drug without kinetics. Each (patient,)."""
    if drug.pk is None:
        return {}
    normals = streams.normal(seed, f"pk {drug.name}", numbers, len(drug.pk.parameters))
    return drug.pk.individual(covariates, drug.pk.random_effects(normals))


def draw_bioavailability(
    drugs: Sequence[Drug], covariates: Mapping[str, FloatArray], numbers: IntArray, seed: int
) -> dict[tuple[str, str], FloatArray]:
    """Fraction absorbed by drug and route, where patients differ in it. Each (patient,)."""
    found = {}
    for drug in drugs:
        for route in drug.routes.values():
            own = route.bioavailability
            if own is None or not (own.log_variance or own.covariates):
                continue
            scores = streams.normal(seed, f"absorbed {drug.name} {route.name}", numbers, 1)[:, 0]
            typical = own.typical(covariates, len(numbers))
            values = own.individual(typical, np.sqrt(own.log_variance) * scores)
            found[drug.name, route.name] = np.clip(values, 0.0, None)
    return found


def columns_of(covariates: pd.DataFrame) -> dict[str, FloatArray]:
    """Columns of a table of covariates by name. Each (patient,)."""
    return {str(name): covariates[name].to_numpy(np.float64) for name in covariates}


def draw_parameter(
    name: str,
    card: ModelParameterCard,
    covariates: Mapping[str, FloatArray],
    numbers: IntArray,
    seed: int,
) -> FloatArray:
    """Values of one parameter of the model. Shape (patient,)."""
    values = np.full(len(numbers), card.value)
    for effect in card.covariates:
        reference = effect.reference.value if effect.reference else 0.0
        values = values * covariate_effect(
            effect.form, covariates[effect.covariate], effect.effect, reference
        )
    if card.spread is None:
        return values
    scores = streams.normal(seed, f"parameter {name}", numbers)[:, 0]
    if card.spread.normal_sd is not None:
        return np.asarray(values + card.spread.normal_sd * scores)
    variance = card.spread.lognormal_variance
    if variance is None:
        variance = float(np.log1p((card.spread.lognormal_cv or 0.0) ** 2))
    return np.asarray(values * np.exp(np.sqrt(variance) * scores))


def parameter_table(
    system: OdeSystem, values: Mapping[str, FloatArray | float], n_patients: int
) -> FloatArray:
    """Parameters of a system, one row per patient; others keep the default of the model."""
    table = np.tile(system.defaults, (n_patients, 1))
    for i, name in enumerate(system.parameters):
        if name in values:
            table[:, i] = values[name]
    return table


def initial_states(
    system: OdeSystem, parameters: FloatArray, outputs: tuple[str, ...] = ()
) -> FloatArray:
    """Start values that the model itself states. Shape (patient, state)."""
    problem = EnsembleProblem(
        system, parameters, Schedule.empty(len(parameters)), np.array([0.0]), outputs
    )
    return solve(problem, threads=1).final_states.copy()


def observe(
    components: Mapping[str, ComponentCard],
    true: Mapping[str, FloatArray],
    numbers: IntArray,
    seed: int,
) -> dict[str, FloatArray]:
    """What visits record: the true value with the error of the day, rounded as assessors round.

    Parameters
    ----------
    components
        By name.
    true
        Values without error, by name of the output. Shape (patient, visit).
    numbers
        Patients' numbers, which the errors belong to: a patient's visit has the same error in
        every arm. Shape (patient,).
    seed
        Seed of the study.

    Returns
    -------
    Observed values by component. Shape (patient, visit).
    """
    observed: dict[str, FloatArray] = {}
    for name, card in components.items():
        origin = card.error_of or name
        error = components[origin].error
        values = true[card.output] * (card.factor.value if card.factor else 1.0)
        if error is not None:
            n_visits = values.shape[1]
            scores = streams.normal(seed, f"visit error {origin}", numbers, n_visits)
            values = values * np.exp(error.value * scores)
        if card.step:
            values = np.round(values / card.step) * card.step
        observed[name] = np.clip(values, card.low, card.high)
    return observed


def _reasons(
    recruitment: Recruitment, candidates: Cohort
) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    """First reason for which each candidate may not enter; empty if he may."""
    situation, outputs = recruitment.situation, recruitment.outputs
    problem = EnsembleProblem(
        recruitment.assembly.system,
        candidates.parameters,
        Schedule.empty(len(candidates.numbers)),
        np.array([0.0]),
        outputs,
        initial_states=candidates.initial_states,
    )
    baseline = solve(problem, threads=recruitment.threads)
    true = {name: baseline[name] for name in outputs}
    reasons = np.full(len(candidates.numbers), "", dtype="<U160")
    solved = np.isfinite(candidates.initial_states).all(axis=1)
    reasons[~solved] = "untreated disease not solved"
    for range_ in situation.steady_state.plausible:
        readout = true[range_.output][:, 0]
        _mark(reasons, readout, range_.minimum, range_.maximum, range_.output)
    observed = observe(situation.components, true, candidates.numbers, recruitment.seed)
    for entry in recruitment.population.entry:
        _mark(
            reasons, observed[entry.component][:, 0], entry.minimum, entry.maximum, entry.component
        )
    return reasons


def _mark(
    reasons: np.ndarray[tuple[int], np.dtype[np.str_]],
    values: FloatArray,
    minimum: float | None,
    maximum: float | None,
    name: str,
) -> None:
    """Note the reason of those who lie outside the range and have none yet."""
    free = reasons == ""
    if minimum is not None:
        reasons[free & ~(values >= minimum)] = f"{name} below {minimum:g}"
    if maximum is not None:
        reasons[free & ~(values <= maximum)] = f"{name} above {maximum:g}"
