"""Who is looked for and who was found: a recruitment, its conditions, and a cohort."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunostat.base.errors import InputError, near_matches
from immunostat.catalog.model_cards import PopulationCard, SituationCard
from immunostat.engine.problem import IntArray, Tolerance
from immunostat.model.system import FloatArray
from immunostat.outcomes.endpoints import KINDS
from immunostat.population.sampling import Sampling
from immunostat.study.assemble import Assembly
from immunostat.study.untreated import Untreated, untreated_levels
from immunostat.therapy.drug import Drug
from immunostat.therapy.regimen import Regimen
from immunostat.trial.conditions import Condition

if TYPE_CHECKING:
    from immunostat.study.stored_population import StoredPopulation


#: From model, parameters (patient, parameter), tolerance and threads to levels at entry by name.
AtRest = Callable[[Untreated, FloatArray, Tolerance, int | None], dict[str, FloatArray]]


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
    stored_numbers
        Number of each patient in the stored population that he was drawn from; None if patients
        were drawn anew. Shape (patient,).
    """

    numbers: IntArray
    covariates: pd.DataFrame
    parameters: FloatArray
    initial_states: FloatArray
    n_candidates: int
    rejected: Mapping[str, int]
    bioavailability: Mapping[tuple[str, str], FloatArray] = field(default_factory=dict)
    stored_numbers: IntArray | None = None


@dataclass(frozen=True)
class Prior:
    """A treatment that a patient must have failed before he may enter.

    Every candidate takes it from the day on which his disease is as the population's entry criteria
    want it; who responds is left out, and the others come with the state that it left them in.

    Parameters
    ----------
    regimens
        What is taken.
    duration_day
        For how long, day.
    endpoint
        Name of a yes-or-no endpoint of the situation; no at the end of the treatment is failure.
    washout_day
        Time without treatment between its end and randomization, day.
    """

    regimens: tuple[Regimen, ...]
    duration_day: float
    endpoint: str = "ACR20"
    washout_day: float = 0.0

    def __post_init__(self) -> None:
        if not self.regimens:
            raise InputError("a prior treatment names no drug", remedy="give it a regimen")
        if not self.duration_day > 0 or not self.washout_day >= 0:
            raise InputError(
                "a prior treatment lasts longer than 0 and its washout is not negative",
                remedy="for example 12 weeks and 0 weeks",
            )

    @property
    def drugs(self) -> tuple[Drug, ...]:
        """Its drugs, which the joined model must hold."""
        return tuple({r.drug.name: r.drug for r in self.regimens}.values())

    @property
    def name(self) -> str:
        """Names of its drugs, for reasons and tables."""
        return " and ".join(drug.name for drug in self.drugs)

    def check(self, situation: SituationCard) -> None:
        """Refuse an endpoint that does not answer yes or no, and a disease that does not rest.

        Raises
        ------
        InputError
            The situation has no such endpoint, or it is a number; or its untreated patients are
            not at a steady state, so that nobody can say how they were before they entered.
        """
        if not situation.rests:
            raise InputError(
                f"a prior treatment cannot be put before entry in {situation.name}: its untreated "
                "disease is not at rest then",
                remedy="leave out 'prior', and let the population say what those who failed a "
                "treatment are like",
            )
        binary = [name for name, own in situation.endpoints.items() if KINDS[own.kind].is_binary]
        if self.endpoint not in binary:
            raise InputError(
                f"failure of '{self.endpoint}' cannot be told in {situation.name}",
                remedy=near_matches(self.endpoint, binary),
            )


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
    sampling
        How covariates and parameters are spread over candidates. Random effects of kinetics and
        errors of visits are random numbers either way.
    stored
        A population whose patients the candidates are, each as often as his prevalence weight
        says; None draws candidates anew.
    eligibility
        What a candidate must fulfil besides the population's entry criteria, by covariates and by
        what the baseline visit records; see `eligibility.eligibility`.
    prior
        A treatment that he must have failed.
    at_rest
        What finds the untreated patient (`untreated.untreated_levels`); one that remembers spares
        it where nothing that he depends on has changed.
    person
        Covariates that are the same in everybody, by name, in the units of the population.
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
    sampling: Sampling = Sampling.RANDOM
    stored: StoredPopulation | None = None
    eligibility: Condition | None = None
    prior: Prior | None = None
    at_rest: AtRest = untreated_levels
    person: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        own = (self.situation.name, self.population.name)
        if self.stored is not None and (self.stored.situation, self.stored.population) != own:
            raise InputError(
                f"the stored population is '{self.stored.population}' of '{self.stored.situation}',"
                f" not '{own[1]}' of '{own[0]}'",
                remedy=f"build one: immunostat population build {own[0]} --population {own[1]}",
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
        None if cohort.stored_numbers is None else cohort.stored_numbers[index],
    )


def columns_of(covariates: pd.DataFrame) -> dict[str, FloatArray]:
    """Columns of a table of covariates by name. Each (patient,)."""
    return {str(name): covariates[name].to_numpy(np.float64) for name in covariates}
