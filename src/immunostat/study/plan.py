"""What a study will simulate, worked out once: the joined model, its outputs, arms and times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from immunostat.base.errors import InputError, near_matches
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.model_cards import (
    SAMPLE_EVERY_DAY,
    CoreCard,
    PopulationCard,
    SituationCard,
)
from immunostat.engine.problem import Tolerance
from immunostat.model.system import FloatArray
from immunostat.population.sampling import Sampling
from immunostat.study.also import with_also
from immunostat.study.assemble import Assembly, assemble
from immunostat.study.cohort import Recruitment
from immunostat.study.harm import Harm, Surroundings, harms_of, warnings_of
from immunostat.study.outputs import Output, outputs_of
from immunostat.study.stored_population import StoredPopulation, open_population
from immunostat.study.study import Study
from immunostat.therapy.drug import Drug
from immunostat.therapy.regimen import Regimen

METHOD = "rodas5p"

#: Two times are the same within this, day.
_SAME_DAY = 1e-6

#: Absolute tolerance: states are of the order of 1 in health, and amounts are in nmol.
ABSOLUTE_TOLERANCE = 1e-8

#: The arm that nobody asked for but the profile needs: the same patients without the study's drugs.
REFERENCE_ARM = "background alone"


@dataclass(frozen=True)
class Plan:
    """A study with everything that its simulation needs, patients excepted.

    Parameters
    ----------
    drugs
        Drugs of the joined model: those of the study that are not part of the starting state.
    in_start
        Names of the drugs whose effect is part of the state in which patients enter.
    arms
        Names of the simulated arms; the last may be `REFERENCE_ARM`.
    reference
        Name of the arm without any drug of the study.
    times
        Times at which outputs are kept, day. Shape (time,).
    factors, stored
        See `Recruitment`.
    warnings
        What is known of the drugs without a rate: drug, side effect, and the text.
    """

    study: Study
    core: CoreCard
    situation: SituationCard
    population: PopulationCard
    side_effects: tuple[Harm, ...]
    drugs: tuple[Drug, ...]
    in_start: frozenset[str]
    assembly: Assembly
    outputs: tuple[Output, ...]
    arms: tuple[str, ...]
    reference: str
    times: FloatArray
    factors: Mapping[str, float] = field(default_factory=dict)
    stored: StoredPopulation | None = None
    warnings: tuple[tuple[str, str, str], ...] = ()

    @property
    def tolerance(self) -> Tolerance:
        """Wanted local error."""
        return Tolerance(self.study.relative_tolerance, ABSOLUTE_TOLERANCE)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs in the joined model."""
        return tuple(output.name for output in self.outputs)

    def recruitment(self, threads: int | None = None) -> Recruitment:
        """Who is looked for."""
        return Recruitment(
            self.assembly,
            self.situation,
            self.population,
            self.drugs,
            self.output_names,
            self.study.population.seed,
            self.tolerance,
            threads,
            self.factors,
            Sampling(self.study.population.sampling),
            self.stored,
            self.study.population.eligibility,
            self.study.population.prior,
            person=self.study.population.person,
        )

    def regimens(self, arm: str) -> tuple[Regimen, ...]:
        """What is dosed in an arm of the joined model."""
        given = self.study.background if arm == REFERENCE_ARM else self.study.regimens(arm)
        return tuple(regimen for regimen in given if regimen.drug.name not in self.in_start)

    def with_factors(self, factors: Mapping[str, float]) -> Plan:
        """The same plan with parameters multiplied in everybody.

        Raises
        ------
        InputError
            A name is no parameter that the patients have.
        """
        known = set(self.assembly.system.parameters) | set(self.assembly.core_system.parameters)
        for name in factors:
            if name not in known:
                raise InputError(f"'{name}' is no parameter of the joined model")
        return replace(self, factors=dict(factors))


def prepare(
    study: Study,
    catalog: Catalog,
    described: PopulationCard | None = None,
    assembly: Assembly | None = None,
) -> Plan:
    """Join the model of a study and settle its arms, outputs and times.

    Parameters
    ----------
    described
        Who enters, instead of the study's population of the catalog.
    assembly
        The joined model of the study's situation and drugs, where somebody has it already.

    Raises
    ------
    InputError
        The study asks for what the catalog or the model does not have.
    """
    situation = catalog.situation(study.situation)
    core = catalog.core(situation.core)
    population = described or with_also(
        catalog.population(study.population.name),
        study.population.also,
        catalog,
        study.population.person,
    )
    if study.population.prior is not None:
        study.population.prior.check(situation)
    check_covariates(situation, population, catalog)
    in_start = drugs_in_start(study, population)
    drugs = tuple(drug for drug in study.drugs if drug.name not in in_start)
    assembly = assembly or assemble(catalog, situation, drugs)
    cards = [catalog.side_effect(name) for name in study.side_effects]
    taken = study.drugs
    named, known = {drug.name for drug in taken}, set(catalog.drugs())
    # A background may be no drug of the catalog, such as ribavirin: then no side effect follows it.
    taken += tuple(catalog.drug(n) for n in sorted((in_start & known) - named))
    around = Surroundings(
        situation.name,
        frozenset(population.covariates),
        frozenset(assembly.system.names),
        frozenset(situation.components),
        taken,
        in_start,
    )
    side_effects = harms_of(cards, around, study.named_side_effects)
    arms = tuple(study.arms)
    untreated = [arm for arm in arms if not study.arms[arm]]
    return Plan(
        study,
        core,
        situation,
        population,
        side_effects,
        drugs,
        in_start,
        assembly,
        outputs_of(core, situation, drugs, side_effects, assembly),
        arms if untreated else (*arms, REFERENCE_ARM),
        untreated[0] if untreated else REFERENCE_ARM,
        sample_times(study, situation.sample_every_day),
        stored=_stored(study, catalog),
        warnings=warnings_of(cards, taken),
    )


def check_covariates(
    situation: SituationCard, population: PopulationCard, catalog: Catalog
) -> None:
    """Refuse a population that lacks a covariate which the situation takes from it.

    Raises
    ------
    InputError
        With file and line of the situation's card.
    """
    key = f"{situation.untreated_key}.scaled"
    wanted = {f"from_covariates.{name}": own for name, (own, _) in situation.taken_from.items()}
    wanted |= {f"{key}.{i}": own.covariate for i, own in enumerate(situation.untreated.scaled)}
    for name in situation.latent_entries.values():
        entry = situation.components[name].latent_entry
        if entry is not None:
            wanted[f"components.{name}.latent_entry"] = entry.covariate
    for path, covariate in wanted.items():
        if covariate not in population.covariates:
            raise InputError(
                f"population '{population.name}' has no covariate '{covariate}', which the "
                "situation takes from it",
                catalog.place(f"situations/{situation.name}", path),
                near_matches(covariate, population.covariates),
            )


def _stored(study: Study, catalog: Catalog) -> StoredPopulation | None:
    """The stored population of a study, if it has one that belongs to the model."""
    if not study.population.stored:
        return None
    stored = open_population(study.population.stored)
    stored.check(catalog, study.situation)
    return stored


def drugs_in_start(study: Study, population: PopulationCard) -> frozenset[str]:
    """Background drugs whose effect is part of the state in which patients enter.

    Raises
    ------
    InputError
        An arm or a rule doses such a drug on top, which would count its effect twice.
    """
    if population.background is None:
        return frozenset()
    drug = population.background.drug
    given = [(f"arm '{arm}'", own) for arm, regimens in study.arms.items() for own in regimens]
    given += [(f"rule '{r.text}'", r.regimen) for r in study.rules if r.regimen is not None]
    for who, regimen in given:
        if regimen.drug.name == drug:
            raise InputError(
                f"{who} doses {drug}, which population '{population.name}' already takes",
                regimen.place,
                "write it under 'background'; its effect is in the patients' starting state",
            )
    return frozenset({drug})


def sample_times(study: Study, every_day: float = SAMPLE_EVERY_DAY) -> FloatArray:
    """Times at which outputs are kept: a grid, visits, and the end of every infusion, day."""
    ends = {
        dose.time_day + dose.infusion_day
        for arm in study.arms
        for regimen in study.regimens(arm)
        for dose in regimen.doses(study.duration_day)
        if dose.infusion_day and dose.time_day + dose.infusion_day < study.duration_day
    }
    own = np.unique(np.concatenate([study.visits_day, sorted(ends)]))
    return with_grid(own, every_day)


def with_grid(times: FloatArray, every_day: float) -> FloatArray:
    """Times from 0 on, and between them a regular grid, but for what differs by rounding alone.

    Parameters
    ----------
    times
        Ascending from 0; the last is that of the grid. Shape (time,), day.
    every_day
        Step of the grid, day.
    """
    grid = np.arange(0.0, times[-1], every_day)
    place = np.searchsorted(times, grid).clip(1, len(times) - 1)
    away = np.minimum(np.abs(times[place] - grid), np.abs(times[place - 1] - grid))
    return np.union1d(times, grid[away > _SAME_DAY])
