"""One drug alone in a population: concentrations, and the exposure read from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from immunostat.base.errors import InputError
from immunostat.base.units import convert
from immunostat.catalog.lookup import Catalog
from immunostat.catalog.populations import population_spec
from immunostat.engine.problem import EnsembleProblem, IntArray, Tolerance
from immunostat.engine.solution import Trajectories
from immunostat.engine.solve import solve
from immunostat.model.antimony import Fragment, flatten
from immunostat.model.sbml import system_from_sbml
from immunostat.model.system import FloatArray, OdeSystem
from immunostat.outcomes import noncompartmental as nca
from immunostat.population.sample import sample_covariates
from immunostat.study.assemble import kinetics_lines, kinetics_text
from immunostat.study.cohort import (
    columns_of,
    draw_bioavailability,
    draw_kinetics,
    parameter_table,
)
from immunostat.therapy.drug import Drug, Pk
from immunostat.therapy.regimen import SAME_TIME_DAY, Regimen
from immunostat.therapy.schedule import schedule_for

POPULATION = "adults"

#: Relative distance from the end at which a repeated dose is taken to be at steady state.
STEADY_WITHIN = 0.02

#: People by whom the time to steady state is measured, and which of them counts, as a quantile.
N_PILOT, SLOWER = 16, 0.85

#: Share of the peak down to which the half-life is read where elimination saturates.
SATURABLE_SHARE = 0.2

#: Half-lives for which the concentration is followed after the last dose.
HALF_LIVES_FOLLOWED = 10.0

#: Longest treatment that is simulated to reach steady state, day.
LONGEST_DAY = 5 * 365.25

#: A patient without spread and with covariates at the reference weighs this, kg; m^2.
REFERENCE_WEIGHT_KG, REFERENCE_BSA_M2 = 70.0, 1.8

#: Shortest treatment that is looked at for steady state, day: clearance may change for months.
SHORTEST_DAY = 365.25

#: Shares of an interval at which it is sampled coarsely, and points of a dense sampling.
COARSE = np.array([0.0, 0.05, 0.15, 0.4, 0.7])
DENSE_EVEN, DENSE_LOGARITHMIC = 41, 90


@dataclass(frozen=True)
class Course:
    """When a regimen is looked at.

    Parameters
    ----------
    doses
        Times of all doses, ascending, day.
    interval
        Distance of doses in the part that repeats, day; infinite for a single dose.
    last
        Time of the dose whose interval is read at the end.
    window
        Longest span after `last` that the doses go on for, day.
    end
        Last sample: the concentration is followed after the last dose until then.
    times
        Sample times. Shape (time,), day.
    """

    doses: FloatArray
    interval: float
    last: float
    window: float
    end: float
    times: FloatArray

    @property
    def is_single(self) -> bool:
        """Whether there is one dose."""
        return len(self.doses) == 1


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
    fragments = [*kinetics_text(catalog, [drug]), Fragment("\n".join(lines), "drug alone")]
    return system_from_sbml(flatten(fragments, "alone"), f"{drug.name}-kinetics")


def lowest_share(drug: Drug) -> float:
    """Share of the peak down to which the half-life of a drug is read.

    A drug with saturable elimination has no one half-life: what is printed for it is that of the
    concentrations of treatment, not of the last traces.
    """
    fragments = kinetics_of(drug).fragments
    is_saturable = {"saturable_elimination", "target_mediated"} & set(fragments)
    return SATURABLE_SHARE if is_saturable else nca.LOWEST_SHARE


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


def steady_day(people: People, regimen: Regimen, doses: FloatArray, period: float) -> float:
    """When the slower among people are as close to steady state as matters, day.

    The first dose after which the concentration at one phase of the pattern stays within
    `STEADY_WITHIN` of what it is in the end.
    """
    phase = np.mod(doses - doses[0], period)
    same = doses[np.minimum(phase, period - phase) < 1e-4]
    times = same + 0.2 * min(period, float(np.diff(doses).min()))
    course = concentrations(people, regimen, float(doses[-1]) + 1e-4, times, threads=1)
    values = course.values[course.is_ok, :, 0]
    reached = []
    for own in values:
        off = np.flatnonzero(np.abs(own - own[-1]) > STEADY_WITHIN * own[-1])
        reached.append(same[min(off[-1] + 1, len(same) - 1)] if len(off) else same[0])
    if not reached:
        raise InputError(f"'{regimen}': the way to steady state could not be computed")
    return float(np.quantile(reached, SLOWER))


def single_dose(regimen: Regimen) -> Regimen:
    """The first dose of a regimen alone."""
    first = regimen.phases[0]
    start = first.at_day[0] if first.at_day else first.start_day
    phase = replace(first, at_day=(start,), cycle=None, stop_day=None)
    return replace(regimen, phases=(phase,), text="")


def expose(
    catalog: Catalog,
    regimen: Regimen,
    *,
    weeks: float | None = None,
    window: float = 0.0,
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
    n_patients, seed, threads
        Number of people, the seed they are drawn with, and threads to use.
    population
        Whose covariates they have. A covariate of the drug that it lacks is at its reference.
    """
    drug = regimen.drug
    pilot = draw_people(catalog, drug, population, N_PILOT, seed)
    course = course_of(pilot, regimen, weeks, window)
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


def course_of(
    people: People, regimen: Regimen, weeks: float | None = None, window: float = 0.0
) -> Course:
    """When to look at a regimen: until steady state, or for a number of weeks.

    Parameters
    ----------
    people
        A few, by whom the time to steady state is measured.
    weeks
        Length of the treatment; None goes on until steady state.
    window
        Span after the last dose that is read over which doses go on, day.

    Raises
    ------
    InputError
        There is no dose in this time.
    """
    half_life_day = float(np.nanquantile(half_lives(people, regimen), SLOWER))
    long = np.unique([dose.time_day for dose in regimen.doses(LONGEST_DAY)])
    doses = long if weeks is None else long[long < 7.0 * weeks - SAME_TIME_DAY]
    if not len(doses):
        raise InputError(f"'{regimen}' gives no dose in this time", regimen.place)
    interval, last = np.inf, float(doses[0])
    if len(doses) > 1:
        gaps = np.round(np.diff(doses), 6)
        recent = gaps[-30:]
        kinds, counts = np.unique(recent, return_counts=True)
        interval = float(kinds[np.argmax(counts)])
        reach = max(interval, window)
        regular = np.flatnonzero(np.abs(gaps - interval) < SAME_TIME_DAY)
        # A dose before a pause is not read, but the last dose of all is: nothing comes after it.
        candidates = doses[regular]
        if regular[-1] == len(gaps) - 1:
            candidates = np.append(candidates, doses[-1])
        fits = candidates[candidates + reach <= doses[-1] + interval + SAME_TIME_DAY]
        last = float(fits[-1] if len(fits) else candidates[-1])
        is_endless = doses[-1] + interval > LONGEST_DAY - 366
        if weeks is None and is_endless:
            last = _at_steady_state(people, regimen, doses, candidates, interval, half_life_day)
        doses = doses[doses < last + reach - SAME_TIME_DAY]
    followed = HALF_LIVES_FOLLOWED * half_life_day
    end = float(doses[-1]) + max(followed, window, interval if np.isfinite(interval) else 0.0)
    end = min(end, float(doses[-1]) + LONGEST_DAY)
    times = _sample_times(regimen, doses, interval, last, window, end)
    return Course(doses, interval, last, window, end, times)


def _at_steady_state(
    people: People,
    regimen: Regimen,
    doses: FloatArray,
    candidates: FloatArray,
    interval: float,
    half_life_day: float,
) -> float:
    """The last of the candidates in the first whole cycle at steady state, day."""
    period, begin = _period(regimen, interval), _begins(doses, interval)
    horizon = begin + max(SHORTEST_DAY, 12.0 * half_life_day, 6.0 * period)
    steady = steady_day(people, regimen, doses[doses < horizon], period)
    n_cycles = max(1.0, np.ceil((steady - begin) / period - 1e-6))
    start = begin + n_cycles * period
    late = candidates[(candidates >= start - 1e-4) & (candidates < start + period - 1e-4)]
    return float(late[-1] if len(late) else candidates[-1])


def _begins(doses: FloatArray, interval: float) -> float:
    """First dose after which the interval is the regular one."""
    gaps = np.diff(doses)
    return float(doses[int(np.flatnonzero(np.abs(gaps - interval) < 1e-5)[0])])


def _period(regimen: Regimen, interval: float) -> float:
    """Length of the pattern that doses repeat, day: a cycle, or one interval."""
    cycles = [phase.cycle.length for phase in regimen.phases if phase.cycle]
    return float(cycles[-1]) if cycles else interval


def _dense(start: float, span: float) -> FloatArray:
    even = np.linspace(0.0, span, DENSE_EVEN)
    return start + np.union1d(even, np.geomspace(1e-4 * span, span, DENSE_LOGARITHMIC))


def _sample_times(
    regimen: Regimen, doses: FloatArray, interval: float, last: float, window: float, end: float
) -> FloatArray:
    """Dense where exposure is read, coarse between; every end of an input is a sample."""
    parts = [np.array([0.0])]
    if np.isfinite(interval):
        parts += [_dense(float(doses[0]), interval), _dense(last, max(interval, window))]
        step = np.append(np.diff(doses), interval)
        coarse = COARSE if len(doses) <= 400 else COARSE[[0, 3]]
        parts.append((doses[:, None] + step[:, None] * coarse).ravel())
        if window > 0:
            parts.append(_dense(float(doses[0]), window))
    parts.append(_dense(float(doses[-1]), end - float(doses[-1])))
    given = [d for d in regimen.doses(float(doses[-1]) + 1e-3) if d.time_day <= doses[-1]]
    for event in given[:1] + [d for d in given if d.time_day >= last - SAME_TIME_DAY]:
        route = regimen.drug.routes[event.route]
        over = event.infusion_day or route.over_day
        parts.append(
            np.array([event.time_day + route.lag_day, event.time_day + route.lag_day + over])
        )
        parts.append(_dense(event.time_day + route.lag_day + over, min(interval, end - last) / 2))
    times = np.unique(np.round(np.concatenate(parts), 9))
    return times[(times >= 0) & (times <= end)]


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
