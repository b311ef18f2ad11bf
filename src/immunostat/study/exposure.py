"""One drug alone in a population: concentrations, and the exposure read from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from immunostat.base.units import convert
from immunostat.catalog.lookup import Catalog
from immunostat.model.system import FloatArray
from immunostat.outcomes import noncompartmental as nca
from immunostat.study.exposure_course import Course, course_of
from immunostat.study.kinetic_people import concentrations, draw_people, lowest_share
from immunostat.therapy.drug import Drug
from immunostat.therapy.regimen import SAME_TIME_DAY, Regimen

#: The population whose concentrations are computed where none is named.
POPULATION = "adults"

#: People by whom the time to steady state is measured.
N_PILOT = 16


@dataclass(frozen=True)
class Exposure:
    """Concentrations of one drug in patients.

    Parameters
    ----------
    concentration
        nmol/L of what the drug's `Pk.concentration` measures. Shape (patient, time).
    covariates
        One row per patient.
    at_reference
        Covariates of the drug that the population lacks; they are at their reference.
    dose_nmol
        Amount of the dose at `Course.last`, before bioavailability. Shape (patient,).
    """

    drug: Drug
    regimen: Regimen
    course: Course
    concentration: FloatArray
    covariates: pd.DataFrame
    at_reference: tuple[str, ...]
    dose_nmol: FloatArray
    n_failed: int

    def between(self, start: float, stop: float) -> tuple[FloatArray, FloatArray]:
        """Sample times and concentrations from `start` to `stop`, day."""
        times = self.course.times
        inside = (times >= start - SAME_TIME_DAY) & (times <= stop + SAME_TIME_DAY)
        return times[inside], self.concentration[:, inside]


def expose(
    catalog: Catalog,
    regimen: Regimen,
    *,
    weeks: float | None = None,
    window: float = 0.0,
    against: float | None = None,
    n_patients: int = 1000,
    seed: int = 1,
    population: str = POPULATION,
    threads: int | None = None,
) -> Exposure:
    """Concentrations of one drug under one regimen, and when to look at them.

    Parameters
    ----------
    weeks
        Length of the treatment; None goes on until steady state.
    window
        Span that is read after the dose at the end, over which doses go on, day.
    against
        Time of another dose whose interval is read too, day.
    n_patients, seed, threads
        Number of people, the seed they are drawn with, and threads to use.
    population
        Whose covariates they have. A covariate of the drug that it lacks is at its reference.
    """
    drug = regimen.drug
    pilot = draw_people(catalog, drug, population, N_PILOT, seed)
    course = course_of(pilot, regimen, weeks, window, against)
    people = draw_people(catalog, drug, population, n_patients, seed)
    found = concentrations(people, regimen, float(course.doses[-1]) + 1e-4, course.times, threads)
    good = found.is_ok
    return Exposure(
        drug,
        regimen,
        course,
        np.clip(found.values[good, :, 0], 0.0, None),
        people.covariates[good],
        missing_covariates(drug, {str(name) for name in people.covariates}),
        dose_nmol(regimen, course.last, people.weight_kg, people.bsa_m2)[good],
        int(np.sum(~good)),
    )


def dose_nmol(
    regimen: Regimen, at_day: float, weight: FloatArray, surface: FloatArray
) -> FloatArray:
    """Amount of the doses at one time, before bioavailability. Shape (patient,)."""
    drug = regimen.drug
    total = np.zeros(len(weight))
    for dose in regimen.doses(at_day + 1e-3):
        if abs(dose.time_day - at_day) > SAME_TIME_DAY:
            continue
        if dose.unit.endswith("IU"):
            per_unit = convert(1.0, dose.unit, "IU") / (drug.iu_per_nmol or np.nan)
        else:
            per_unit = convert(1.0, dose.unit, "nmol", molar_mass=drug.molar_mass)
        size = weight if dose.per_kg else surface if dose.per_m2 else 1.0
        cap = np.inf if dose.maximum is None else dose.maximum
        total += np.minimum(dose.amount * size, cap) * per_unit
    return total


def missing_covariates(drug: Drug, known: set[str]) -> tuple[str, ...]:
    """Covariates of a drug's kinetics that are not among the known ones."""
    parameters = list(drug.pk.parameters.values()) if drug.pk else []
    parameters += [r.bioavailability for r in drug.routes.values() if r.bioavailability]
    found = {effect.covariate for p in parameters for effect in p.covariates}
    return tuple(sorted(found - known))


def metrics(exposure: Exposure) -> Mapping[str, FloatArray]:
    """Exposure of each patient by name, inside units (nmol/L, day). Each (patient,).

    ``first ...`` is of the interval after the first dose, ``...`` alone of the one that is read at
    the end (steady state, or the end of the treatment).
    """
    course = exposure.course
    start = float(course.doses[0])
    washout = exposure.between(float(course.doses[-1]), course.end)
    share = lowest_share(exposure.drug)
    found: dict[str, FloatArray] = {}
    if course.is_single:
        highest, when = nca.peak(*washout)
        found["maximum"], found["time of maximum"] = highest, when - start
        found["area to infinity"] = nca.area_to_infinity(*washout, share)
        found["half-life"] = nca.half_life(*washout, share)
        found["clearance"] = exposure.dose_nmol / found["area to infinity"]
        return found
    first = float(course.doses[1]) - start
    for prefix, begin, span in (("first ", start, first), ("", course.last, course.interval)):
        times, values = exposure.between(begin, begin + span)
        highest, when = nca.peak(times, values)
        found[f"{prefix}maximum"], found[f"{prefix}time of maximum"] = highest, when - begin
        found[f"{prefix}trough"] = values[:, -1]
        found[f"{prefix}area"] = nca.area(times, values)
    found["minimum"] = exposure.between(course.last, course.last + course.interval)[1].min(axis=1)
    found["mean concentration"] = found["area"] / course.interval
    found["half-life"] = nca.half_life(*washout, share)
    if abs(first - course.interval) < SAME_TIME_DAY:
        found["accumulation ratio"] = found["area"] / found["first area"]
    found["clearance"] = exposure.dose_nmol / found["area"]
    return found
