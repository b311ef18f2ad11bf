"""Candidates: their covariates and parameters, drawn, and their untreated state, found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from immunostat.base import streams
from immunostat.base.errors import InputError, near_matches
from immunostat.catalog.model_cards import ModelParameterCard, SituationCard
from immunostat.catalog.populations import population_spec
from immunostat.engine.problem import EnsembleProblem, IntArray, Schedule
from immunostat.engine.solve import solve
from immunostat.model.system import FloatArray, OdeSystem
from immunostat.population.sample import (
    correlated,
    covariate_effect,
    covariate_purposes,
    sample_covariates,
)
from immunostat.population.sampling import Sampler, sampler_of
from immunostat.study.assemble import CORE, DISEASE, TYPICAL, Assembly
from immunostat.study.rated_items import latent_at_entry
from immunostat.study.recruitment import Cohort, Recruitment, columns_of
from immunostat.therapy.drug import Drug


def purpose_of_parameter(name: str) -> str:
    """What the random numbers of a parameter of the model are for."""
    return f"parameter {name}"


def sampler_for(recruitment: Recruitment) -> Sampler:
    """Where covariates and parameters come from.

    Of a Sobol sequence, the coordinates are the drawn covariates in the order of the population's
    card, then the parameters in which patients differ, those of the core before those of the
    situation, in the order of their cards.
    """
    spread = [name for name, card in recruitment.assembly.varied.items() if card.spread is not None]
    purposes = [
        *covariate_purposes(population_spec(recruitment.population)),
        *(purpose_of_parameter(name) for name in spread),
    ]
    return sampler_of(recruitment.sampling, recruitment.seed, purposes)


def candidate_covariates(
    recruitment: Recruitment, numbers: IntArray
) -> tuple[pd.DataFrame, IntArray | None]:
    """Covariates of candidates; and their numbers in the stored population, if they have one.

    The candidate is drawn by his number, from the population's card or from the patients of a
    stored population.
    """
    if recruitment.stored is not None:
        chosen = recruitment.stored.choose(recruitment.seed, numbers)
        own = recruitment.stored.covariates.iloc[chosen]
        return own.set_axis(pd.Index(numbers, name="patient")), recruitment.stored.numbers[chosen]
    spec = population_spec(recruitment.population)
    sampler = sampler_for(recruitment)
    return sample_covariates(spec, recruitment.seed, numbers, sampler, recruitment.person), None


def candidate_parameters(
    recruitment: Recruitment, covariates: Mapping[str, FloatArray], numbers: IntArray
) -> dict[str, FloatArray]:
    """Parameters in which patients differ, by name in the joined model. Each (patient,)."""
    if recruitment.stored is not None:
        chosen = recruitment.stored.choose(recruitment.seed, numbers)
        own = recruitment.stored.parameters.iloc[chosen]
        return {str(name): own[name].to_numpy(np.float64) for name in own}
    assembly = recruitment.assembly
    scores = parameter_scores(
        assembly, recruitment.situation, sampler_for(recruitment), np.asarray(numbers)
    )
    return {
        name: individual_parameter(card, covariates, scores.get(name), len(numbers))
        for name, card in assembly.varied.items()
    }


def parameter_scores(
    assembly: Assembly, situation: SituationCard, sampler: Sampler, numbers: IntArray
) -> dict[str, FloatArray]:
    """Standard normal number of each patient for each parameter with a spread. Each (patient,).

    Raises
    ------
    InputError
        The situation states a correlation of a parameter in which patients do not differ.
    """
    spread = [name for name, card in assembly.varied.items() if card.spread is not None]
    scores = {name: sampler.normal(purpose_of_parameter(name), numbers) for name in spread}
    pairs = []
    for pair in situation.parameter_correlations:
        first, second = (joined_name(name, spread, situation) for name in pair.of)
        pairs.append(((first, second), pair.correlation))
    named = {name for of, _ in pairs for name in of}
    together = [name for name in spread if name in named]
    if together:
        columns = np.column_stack([scores[name] for name in together])
        columns = correlated(columns, together, pairs)
        scores |= {name: columns[:, i] for i, name in enumerate(together)}
    return scores


def joined_name(name: str, known: Sequence[str], situation: SituationCard) -> str:
    """Name in the joined model of a parameter that a situation's card names.

    Raises
    ------
    InputError
        It is none of the parameters in which patients differ.
    """
    for own in (name, f"{DISEASE}_{name}", f"{CORE}_{name}"):
        if own in known:
            return own
    short = [own.removeprefix(f"{DISEASE}_").removeprefix(f"{CORE}_") for own in known]
    raise InputError(
        f"situation '{situation.name}' correlates '{name}', in which patients do not differ",
        remedy=near_matches(name, short),
    )


def candidates_with(
    recruitment: Recruitment,
    covariates: pd.DataFrame,
    stored_numbers: IntArray | None,
    numbers: IntArray,
) -> Cohort:
    """Parameters and untreated state of candidates whose covariates are given."""
    assembly, situation = recruitment.assembly, recruitment.situation
    drugs, seed = recruitment.drugs, recruitment.seed
    columns = columns_of(covariates)
    values: dict[str, FloatArray | float] = dict(assembly.defaults)
    values |= candidate_parameters(recruitment, columns, numbers)
    for parameter, (covariate, times) in situation.taken_from.items():
        values[parameter] = columns[covariate] * times
    for parameter, component in situation.latent_entries.items():
        values[parameter] = latent_at_entry(situation, component, columns, numbers, seed)
    for drug in drugs:
        for name, column in draw_kinetics(drug, columns, numbers, seed).items():
            values[f"{drug.prefix}_{name}"] = column
            values[f"{drug.prefix}_{name}_{TYPICAL}"] = column
    for name, factor in recruitment.factors.items():
        values[name] = values.get(name, default_of(assembly, name)) * factor
    if situation.trial_switch:
        values[situation.trial_switch] = 1.0

    untreated, card = assembly.untreated, situation.untreated
    rest = recruitment.at_rest(
        untreated,
        parameter_table(untreated.system, values, len(numbers)),
        recruitment.tolerance,
        recruitment.threads,
    )
    for parameter, output in card.anchors.items():
        values[parameter] = rest[output]
    for scaled in card.scaled:
        ratio = columns[scaled.covariate] / rest[scaled.output]
        values[scaled.parameter] = rest[scaled.parameter] * ratio
        for state in scaled.states:
            rest[state] = rest[state] * ratio
        rest[scaled.output] = columns[scaled.covariate]

    system = assembly.system
    parameters = parameter_table(system, values, len(numbers))
    initial = initial_states(system, parameters, recruitment.outputs)
    for i, state in enumerate(system.states):
        if state in untreated.taken_over:
            initial[:, i] = rest[state]
    absorbed = draw_bioavailability(drugs, columns, numbers, seed)
    return Cohort(
        numbers, covariates, parameters, initial, len(numbers), {}, absorbed, stored_numbers
    )


def default_of(assembly: Assembly, name: str) -> float:
    """Value that the equations themselves give a parameter that no card of a patient sets."""
    for system in (assembly.system, assembly.core_system):
        if name in system.parameters:
            return float(system.defaults[system.parameters.index(name)])
    raise InputError(f"'{name}' is no parameter of the joined model")


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


def draw_parameter(
    name: str,
    card: ModelParameterCard,
    covariates: Mapping[str, FloatArray],
    numbers: IntArray,
    seed: int,
) -> FloatArray:
    """Random values of one parameter of the model, by itself. Shape (patient,)."""
    scores = None
    if card.spread is not None:
        scores = streams.normal(seed, purpose_of_parameter(name), numbers)[:, 0]
    return individual_parameter(card, covariates, scores, len(numbers))


def individual_parameter(
    card: ModelParameterCard,
    covariates: Mapping[str, FloatArray],
    scores: npt.NDArray[np.float64] | None,
    n_patients: int,
) -> FloatArray:
    """Values of one parameter of the model from the patients' normal numbers. Shape (patient,)."""
    values = np.full(n_patients, card.value)
    for effect in card.covariates:
        reference = effect.reference.value if effect.reference else 0.0
        values = values * covariate_effect(
            effect.form, covariates[effect.covariate], effect.effect, reference
        )
    if card.spread is None or scores is None:
        return values
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
