"""A study to its result: join the model, draw the patients, simulate every arm, read the outcomes.

All arms are solved in one ensemble: the same patients, the same random numbers, so that arms differ
by treatment alone.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import xarray as xr

from immunostat.base.errors import InputError
from immunostat.catalog.cards import SideEffectCard
from immunostat.catalog.lookup import Catalog, packaged_catalog
from immunostat.catalog.model_cards import CoreCard, PopulationCard, SituationCard
from immunostat.engine.explain import explain
from immunostat.engine.problem import EnsembleProblem, IntArray, Schedule, Tolerance
from immunostat.engine.solution import Status, Trajectories
from immunostat.engine.solve import solve
from immunostat.model.system import FloatArray
from immunostat.study import ledger, summaries
from immunostat.study.assemble import Assembly, assemble
from immunostat.study.cohort import Cohort, Recruitment, columns_of, draw_cohort, observe
from immunostat.study.comparison import comparison
from immunostat.study.harm import side_effect_tables
from immunostat.study.outputs import SAMPLE_EVERY_DAY, Output, outputs_of
from immunostat.study.result import Result
from immunostat.study.study import Study
from immunostat.therapy.schedule import schedule_for

#: Called with patients done, patients in all, and the name of the stage.
Progress = Callable[[int, int, str], None]

METHOD = "rodas5p"

#: Absolute tolerance: states are of the order of 1 in health, and amounts are in nmol.
ABSOLUTE_TOLERANCE = 1e-8

#: The arm that nobody asked for but the profile needs: the same patients without the study's drugs.
REFERENCE_ARM = "background alone"


@dataclass(frozen=True)
class Simulation:
    """Every arm of a study, solved.

    Parameters
    ----------
    arms
        Names of the simulated arms; the last may be `REFERENCE_ARM`.
    reference
        Name of the arm without any drug of the study.
    trajectories
        All arms one after another. Its first axis has length arm x patient.
    failures
        Who failed, when, which state moved fastest, and what to try; empty if nobody did.
    """

    study: Study
    core: CoreCard
    situation: SituationCard
    side_effects: tuple[SideEffectCard, ...]
    assembly: Assembly
    outputs: tuple[Output, ...]
    cohort: Cohort
    arms: tuple[str, ...]
    reference: str
    trajectories: Trajectories
    times: FloatArray
    failures: tuple[str, ...] = ()
    visits: dict[str, dict[str, FloatArray]] = field(default_factory=dict)

    @property
    def n_patients(self) -> int:
        """Number of patients in each arm."""
        return len(self.cohort.numbers)

    def rows(self, arm: str) -> slice:
        """Rows of an arm in the trajectories."""
        start = self.arms.index(arm) * self.n_patients
        return slice(start, start + self.n_patients)

    def values(self, arm: str, output: str) -> FloatArray:
        """Course of one output in one arm, in the unit of the model. Shape (patient, time)."""
        index = self.trajectories.outputs.index(output)
        highest = self.outputs[index].high
        return np.minimum(self.trajectories.values[self.rows(arm), :, index], highest)

    def status(self, arm: str) -> IntArray:
        """Status of each patient of an arm."""
        return self.trajectories.status[self.rows(arm)]

    @property
    def visit_index(self) -> IntArray:
        """Which sample times are visits. Shape (visit,)."""
        return np.searchsorted(self.times, self.study.visits_day)


class Clock:
    """Seconds spent in each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def run(
    study: Study,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    catalog: Catalog | None = None,
) -> Result:
    """Simulate a study.

    Parameters
    ----------
    study
        From `read_study`.
    threads
        Threads to use; all cores if None. The result does not depend on it.
    progress
        Told of finished patients.
    catalog
        Where cards are; the packaged catalog if None.

    Returns
    -------
    Tables, trajectories and sources; patients who failed are in `Result.run["failed"]`.

    Raises
    ------
    InputError
        The study asks for what the catalog or the model does not have.
    """
    clock, started = Clock(), datetime.now(UTC)
    catalog = catalog or packaged_catalog()
    simulation = simulate(study, catalog, threads, progress, clock)
    with clock.stage("outcomes"):
        result = summarize(simulation, catalog)
    seconds = clock.seconds["solve"]
    n = len(simulation.arms) * simulation.n_patients
    result.run.update(
        {
            "version": own_version(),
            "started": started.isoformat(timespec="seconds"),
            "host": {
                "cpu": platform.processor() or platform.machine(),
                "system": platform.system(),
                "python": platform.python_version(),
                "cores": os.cpu_count(),
                "threads": threads or os.cpu_count(),
            },
            "versions": {
                name: version(name) for name in ("numpy", "llvmlite", "numba", "antimony")
            },
            "timings": {name: round(value, 3) for name, value in clock.seconds.items()},
            "patients_per_second": round(n / seconds, 1),
        }
    )
    return result


def simulate(
    study: Study,
    catalog: Catalog,
    threads: int | None = None,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> Simulation:
    """Join the model, draw the cohort and solve every arm; nothing is read from it yet."""
    clock = clock or Clock()
    situation = catalog.situation(study.situation)
    core = catalog.core(situation.core)
    side_effects = tuple(catalog.side_effect(name) for name in study.side_effects)
    population = catalog.population(study.population.name)
    in_start = drugs_in_start(study, population)
    drugs = tuple(drug for drug in study.drugs if drug.name not in in_start)
    tolerance = Tolerance(study.relative_tolerance, ABSOLUTE_TOLERANCE)
    with clock.stage("join the model"):
        assembly = assemble(catalog, situation, drugs)
        outputs = outputs_of(core, situation, drugs, side_effects, assembly)
    with clock.stage("draw the patients"):
        recruitment = Recruitment(
            assembly,
            situation,
            population,
            drugs,
            tuple(output.name for output in outputs),
            study.population.seed,
            tolerance,
            threads,
        )
        cohort = draw_cohort(recruitment, study.population.n_patients)
    arms = tuple(study.arms)
    untreated = [arm for arm in arms if not study.arms[arm]]
    reference = untreated[0] if untreated else REFERENCE_ARM
    arms = arms if untreated else (*arms, REFERENCE_ARM)
    times = sample_times(study)
    weight = cohort.covariates["weight"].to_numpy(np.float64)
    surface = columns_of(cohort.covariates).get("bsa")
    with clock.stage("doses"):
        schedule = joined(
            [
                schedule_for(
                    assembly.system,
                    [
                        regimen
                        for regimen in (
                            study.background if arm == REFERENCE_ARM else study.regimens(arm)
                        )
                        if regimen.drug.name not in in_start
                    ],
                    study.duration_day,
                    weight,
                    cohort.bioavailability,
                    surface,
                )
                for arm in arms
            ]
        )
    total = len(arms) * len(cohort.numbers)
    with clock.stage("solve"):
        problem = EnsembleProblem(
            assembly.system,
            np.tile(cohort.parameters, (len(arms), 1)),
            schedule,
            times,
            recruitment.outputs,
            initial_states=np.tile(cohort.initial_states, (len(arms), 1)),
        )
        trajectories = solve(
            problem,
            method=METHOD,
            tolerance=tolerance,
            threads=threads,
            progress=(lambda done: progress(done, total, "patients")) if progress else None,
        )
    labels = [f"{number} of arm '{arm}'" for arm in arms for number in cohort.numbers]
    simulation = Simulation(
        study,
        core,
        situation,
        side_effects,
        assembly,
        outputs,
        cohort,
        arms,
        reference,
        trajectories,
        times,
        tuple(explain(trajectories, problem, labels)),
    )
    with clock.stage("visits"):
        for arm in arms:
            simulation.visits[arm] = observed_visits(simulation, arm)
    return simulation


def drugs_in_start(study: Study, population: PopulationCard) -> frozenset[str]:
    """Background drugs whose effect is part of the state in which patients enter.

    Raises
    ------
    InputError
        An arm doses such a drug on top, which would count its effect twice.
    """
    if population.background is None:
        return frozenset()
    drug = population.background.drug
    for arm, regimens in study.arms.items():
        for regimen in regimens:
            if regimen.drug.name == drug:
                raise InputError(
                    f"arm '{arm}' doses {drug}, which population '{population.name}' already takes",
                    regimen.place,
                    "write it under 'background'; its effect is in the patients' starting state",
                )
    return frozenset({drug})


def sample_times(study: Study) -> FloatArray:
    """Times at which outputs are kept: a grid, visits, and the end of every infusion, day."""
    ends = {
        dose.time_day + dose.infusion_day
        for arm in study.arms
        for regimen in study.regimens(arm)
        for dose in regimen.doses(study.duration_day)
        if dose.infusion_day and dose.time_day + dose.infusion_day < study.duration_day
    }
    n_steps = int(np.ceil(study.duration_day / SAMPLE_EVERY_DAY))
    grid = np.minimum(np.arange(n_steps + 1) * SAMPLE_EVERY_DAY, study.duration_day)
    return np.unique(np.concatenate([grid, study.visits_day, sorted(ends)]))


def joined(schedules: list[Schedule]) -> Schedule:
    """Schedules of several arms, one after another."""
    lengths = np.concatenate([np.diff(schedule.offsets) for schedule in schedules])
    return Schedule(
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate([schedule.times for schedule in schedules]),
        np.concatenate([schedule.actions for schedule in schedules]),
        np.concatenate([schedule.targets for schedule in schedules]),
        np.concatenate([schedule.values for schedule in schedules]),
    )


def observed_visits(simulation: Simulation, arm: str) -> dict[str, FloatArray]:
    """What the visits of an arm record, with the error of the day. Each (patient, visit)."""
    components = simulation.situation.components
    index = simulation.visit_index
    true = {
        card.output: simulation.values(arm, card.output)[:, index] for card in components.values()
    }
    seed = simulation.study.population.seed
    return observe(components, true, simulation.cohort.numbers, seed)


def summarize(simulation: Simulation, catalog: Catalog) -> Result:
    """Read every table of the result from a simulation."""
    study = simulation.study
    endpoints, per_patient = summaries.endpoint_tables(simulation)
    side_effects, events, event_columns = side_effect_tables(simulation)
    cards = ledger.cards_of_study(
        catalog,
        study.situation,
        study.population.name,
        simulation.assembly.drugs,
        study.side_effects,
        study.compare_with,
    )
    failed = {
        status.name.lower().replace("_", " "): int(np.sum(simulation.trajectories.status == status))
        for status in Status
        if status is not Status.OK and np.any(simulation.trajectories.status == status)
    }
    return Result(
        study={**study.resolved(), "cohort": _cohort_record(simulation)},
        endpoints=endpoints,
        side_effects=side_effects,
        patients=summaries.patient_table(simulation, per_patient, event_columns),
        events=events,
        visits=summaries.visit_table(simulation),
        bands=summaries.bands(simulation),
        profile=summaries.activity_profile(simulation),
        comparison=comparison(simulation, endpoints, catalog),
        assumptions=ledger.assumptions(catalog, cards),
        sources=ledger.source_records(catalog, ledger.source_keys(catalog, cards)),
        run={
            "seed": study.population.seed,
            "method": METHOD,
            "tolerance": {
                "relative": study.relative_tolerance,
                "absolute": ABSOLUTE_TOLERANCE,
            },
            "failed": failed,
            "failures": list(simulation.failures),
            "catalog_hash": catalog.hash(),
            "steps": int(simulation.trajectories.accepted.sum()),
        },
        trajectories=dataset(simulation),
    )


def _cohort_record(simulation: Simulation) -> dict[str, Any]:
    """How the cohort came about, for the reader."""
    cohort = simulation.cohort
    return {"candidates": cohort.n_candidates, "left_out": dict(cohort.rejected)}


def dataset(simulation: Simulation) -> xr.Dataset:
    """Trajectories with labels: (arm, patient, time), in the units of readers."""
    arms = tuple(simulation.study.arms)
    shape = (len(arms), simulation.n_patients, len(simulation.times))
    variables: dict[str, tuple[Any, ...]] = {}
    for output in simulation.outputs:
        values = np.empty(shape)
        for i, arm in enumerate(arms):
            values[i] = simulation.values(arm, output.name) * output.factor
        attributes: Mapping[str, str] = {"units": output.unit, "long_name": output.title}
        variables[output.name] = (("arm", "patient", "time"), values, attributes)
    coordinates = {
        "arm": list(arms),
        "patient": simulation.cohort.numbers,
        "time": ("time", simulation.times, {"units": "day"}),
    }
    return xr.Dataset(variables, coords=coordinates)


def own_version() -> str:
    """Version of the installed package, or that it is not installed."""
    try:
        return version("immunostat")
    except PackageNotFoundError:
        return "not installed"
