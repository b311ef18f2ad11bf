"""People who take one drug alone: their kinetics, concentrations and half-lives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from immunostat.base.errors import InputError
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.populations import population_spec
from immunostat.engine.problem import EnsembleProblem, IntArray, Tolerance
from immunostat.engine.solution import Trajectories
from immunostat.engine.solve import solve
from immunostat.model.antimony import Fragment, joined_system
from immunostat.model.system import FloatArray, OdeSystem
from immunostat.outcomes import noncompartmental as nca
from immunostat.population.sample import sample_covariates
from immunostat.study.assemble import kinetics_lines, kinetics_text, with_depots
from immunostat.study.cohort import (
    columns_of,
    draw_bioavailability,
    draw_kinetics,
    parameter_table,
)
from immunostat.therapy.drug import Drug, Pk
from immunostat.therapy.regimen import Regimen
from immunostat.therapy.schedule import schedule_for

#: Share of the peak down to which the half-life is read where elimination saturates.
SATURABLE_SHARE = 0.1

#: Fragments whose elimination saturates.
SATURABLE = {"saturable_elimination", "fading_saturable_elimination", "target_mediated"}

#: Longest time that is simulated, for a treatment or for its decline, day.
LONGEST_DAY = 5 * 365.25

#: A person of a population without body size weighs this, kg, and has this surface, m^2.
REFERENCE_WEIGHT_KG, REFERENCE_BSA_M2 = 70.0, 1.8


def kinetics_of(drug: Drug) -> Pk:
    """Kinetics of a drug; refused for a drug that has none."""
    if drug.pk is None:
        raise InputError(
            f"the card of {drug.name} has no kinetics: its doses are known, its concentrations not",
            remedy="'immunostat drugs' lists drugs; those with routes under 'pk' have kinetics",
        )
    return drug.pk


def kinetic_system(catalog: Catalog, drug: Drug) -> OdeSystem:
    """Equations of one drug alone; names begin with the drug's."""
    kinetics_of(drug)
    lines = ["model alone()", *kinetics_lines(drug), "end", ""]
    fragments = (*kinetics_text(catalog, [drug]), Fragment("\n".join(lines), "drug alone"))
    system = joined_system(fragments, "alone", f"{drug.name}-kinetics")[1]
    return with_depots(system, [drug])


def lowest_share(drug: Drug) -> float:
    """Share of the peak down to which the half-life of a drug is read.

    A drug with saturable elimination has no one half-life: what is printed for it is that of the
    concentrations of treatment, not of the last traces.
    """
    fragments = kinetics_of(drug).fragments
    return SATURABLE_SHARE if SATURABLE & set(fragments) else nca.LOWEST_SHARE


@dataclass(frozen=True)
class People:
    """Who takes a drug.

    Parameters
    ----------
    covariates
        One row per person.
    parameters
        Kinetic parameters by their name in the model. Each (patient,).
    bioavailability
        By drug and route, where people differ in it. Each (patient,).
    """

    drug: Drug
    system: OdeSystem
    covariates: pd.DataFrame
    parameters: Mapping[str, FloatArray | float]
    bioavailability: Mapping[tuple[str, str], FloatArray]

    @property
    def weight_kg(self) -> FloatArray:
        """Body weight. Shape (patient,)."""
        return self._column("weight", REFERENCE_WEIGHT_KG)

    @property
    def bsa_m2(self) -> FloatArray:
        """Body surface. Shape (patient,)."""
        return self._column("bsa", REFERENCE_BSA_M2)

    def _column(self, name: str, otherwise: float) -> FloatArray:
        if name in self.covariates:
            return self.covariates[name].to_numpy(np.float64)
        return np.full(len(self.covariates), otherwise)


def draw_people(
    catalog: Catalog, drug: Drug, population: str, n_patients: int, seed: int
) -> People:
    """People of a population and their kinetics of a drug.

    A covariate of the drug that the population lacks is at its reference.
    """
    numbers: IntArray = np.arange(n_patients, dtype=np.int64)
    spec = population_spec(catalog.population(population))
    covariates = sample_covariates(spec, seed, numbers)
    columns = columns_of(covariates)
    own = draw_kinetics(drug, columns, numbers, seed)
    return People(
        drug,
        kinetic_system(catalog, drug),
        covariates,
        {f"{drug.prefix}_{name}": values for name, values in own.items()},
        draw_bioavailability([drug], columns, numbers, seed),
    )


def concentrations(
    people: People,
    regimen: Regimen,
    stop_day: float,
    times: FloatArray,
    threads: int | None = None,
) -> Trajectories:
    """The drug's concentration in people who take it until `stop_day`. Shape (patient, time, 1)."""
    pk = kinetics_of(people.drug)
    n = len(people.covariates)
    schedule = schedule_for(
        people.system, [regimen], stop_day, people.weight_kg, people.bioavailability, people.bsa_m2
    )
    parameters = parameter_table(people.system, dict(people.parameters), n)
    name = f"{people.drug.prefix}_{pk.concentration}"
    problem = EnsembleProblem(people.system, parameters, schedule, times, (name,))
    return solve(problem, threads=threads, tolerance=Tolerance(1e-5, 1e-8))


def half_lives(people: People, regimen: Regimen) -> FloatArray:
    """Terminal half-life of each person after the first dose, day. Shape (patient,)."""
    first = single_dose(regimen)
    times = np.concatenate([[0.0], np.geomspace(1e-4, LONGEST_DAY, 300)])
    start = min(dose.time_day for dose in first.doses(LONGEST_DAY))
    course = concentrations(people, first, start + 1e-4, start + times, threads=1)
    values = course.values[course.is_ok, :, 0]
    found = nca.half_life(times, values, lowest_share(people.drug))
    if not np.isfinite(found).any():
        raise InputError(f"{people.drug.name}: the concentration does not decline after a dose")
    return found


def single_dose(regimen: Regimen) -> Regimen:
    """The first dose of a regimen alone."""
    first = regimen.phases[0]
    start = first.at_day[0] if first.at_day else first.start_day
    phase = replace(first, at_day=(start,), cycle=None, stop_day=None)
    return replace(regimen, phases=(phase,), text="")
