"""A study to its result: join the model, draw the patients, simulate every arm, read the outcomes.

All arms are solved in one ensemble: the same patients, the same random numbers, so that arms differ
by treatment alone.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from immunostat.catalog.lookup import Catalog, packaged_catalog
from immunostat.engine.solution import Status
from immunostat.study import ledger, summaries
from immunostat.study.cohort import draw_cohort
from immunostat.study.comparison import comparison
from immunostat.study.harm import side_effect_tables
from immunostat.study.plan import ABSOLUTE_TOLERANCE, METHOD, prepare
from immunostat.study.result import Result
from immunostat.study.simulation import Simulation, dataset, simulate_cohort
from immunostat.study.study import Study

#: Called with patients done, patients in all, and the name of the stage.
Progress = Callable[[int, int, str], None]


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
    n = len(simulation.plan.arms) * simulation.n_patients
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
    with clock.stage("join the model"):
        plan = prepare(study, catalog)
    with clock.stage("draw the patients"):
        cohort = draw_cohort(plan.recruitment(threads), study.population.n_patients)
    total = len(plan.arms) * len(cohort.numbers)
    with clock.stage("solve"):
        return simulate_cohort(
            plan,
            cohort,
            threads,
            (lambda done: progress(done, total, "patients")) if progress else None,
        )


def summarize(simulation: Simulation, catalog: Catalog) -> Result:
    """Read every table of the result from a simulation."""
    study = simulation.plan.study
    endpoints, per_patient = summaries.endpoint_tables(simulation)
    side_effects, events, event_columns = side_effect_tables(simulation)
    cards = ledger.cards_of_study(
        catalog,
        study.situation,
        study.population.name,
        simulation.plan.assembly.drugs,
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


def own_version() -> str:
    """Version of the installed package, or that it is not installed."""
    try:
        return version("immunostat")
    except PackageNotFoundError:
        return "not installed"
