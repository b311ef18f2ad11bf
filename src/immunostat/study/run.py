"""A study to its result: prepare, simulate chunk by chunk, read the outcomes.

All arms of a chunk are solved in one ensemble: the same patients, the same random numbers, so that
arms differ by treatment alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from immunostat.catalog.lookup import Catalog, packaged_catalog
from immunostat.study import answers, disease_tables, harm_tables, ledger, summaries
from immunostat.study.chunks import Cut, Maker, Progress, cut_of, gather
from immunostat.study.cohort import draw_cohort
from immunostat.study.comparison import comparison
from immunostat.study.gathered import Gathered
from immunostat.study.hands import ThreadMaker
from immunostat.study.harvest import harvest
from immunostat.study.later import made
from immunostat.study.plan import ABSOLUTE_TOLERANCE, METHOD, Plan, prepare
from immunostat.study.result import Result, plain
from immunostat.study.simulation import Simulation, simulate_cohort
from immunostat.study.specs import avoided
from immunostat.study.store import FolderStore, MemoryStore, Store, spare_store
from immunostat.study.study import Study
from immunostat.study.versions import own_version

#: Rows of the table of visits up to which tables are held; larger ones are made when looked at.
MOST_ROWS = 2_000_000

#: Name of the folder of chunks within a result folder.
CHUNKS = ".chunks"


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


@dataclass(frozen=True)
class Running:
    """How a study is run; none of it changes a number, but for `is_kept`.

    Parameters
    ----------
    threads
        Threads to use; all cores if None.
    folder
        Where finished chunks are kept; None keeps them in memory, or in a temporary folder where
        there are too many courses for memory.
    is_resumed
        Whether chunks that the folder holds are used.
    chunk
        Candidates in a chunk; chosen by memory if None.
    is_kept
        Whether the courses of all patients are kept; if not, their quantiles (within 0.5 %). None
        keeps them up to 512 MiB.
    maker
        Gives what makes chunks in other processes, for a study and its cut; see `cluster`.
    """

    threads: int | None = None
    folder: Path | None = None
    is_resumed: bool = False
    chunk: int | None = None
    is_kept: bool | None = None
    maker: Callable[[Study, Cut], AbstractContextManager[Maker]] | None = None


def run(
    study: Study,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    catalog: Catalog | None = None,
    running: Running | None = None,
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
    running
        How it is run: where chunks are kept, whether an unfinished run goes on.

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
    how = running or Running(threads)
    with clock.stage("join the model"):
        plan = prepare(study, catalog)
    cut = cut_of(plan, how.chunk, how.is_kept)
    store: Store = MemoryStore() if cut.is_kept else spare_store()
    if how.folder is not None:
        store = FolderStore(how.folder, mark_of(plan, cut, catalog), how.is_resumed)
    n_threads = threads or how.threads
    with (
        clock.stage("solve"),
        how.maker(study, cut) if how.maker else ThreadMaker(plan, cut, n_threads) as maker,
    ):
        gathered = gather(plan, store, cut, n_threads, progress, maker)
    with clock.stage("outcomes"):
        result = summarize(gathered, catalog, cut.is_kept)
    n = len(plan.arms) * gathered.n_patients
    result.run.update(
        {
            "version": own_version(),
            "started": started.isoformat(timespec="seconds"),
            "host": {
                "cpu": platform.processor() or platform.machine(),
                "system": platform.system(),
                "python": platform.python_version(),
                "cores": os.cpu_count(),
                "threads": n_threads or os.cpu_count(),
            },
            "versions": {
                name: version(name) for name in ("numpy", "llvmlite", "numba", "antimony")
            },
            "timings": {name: round(value, 3) for name, value in clock.seconds.items()},
            "patients_per_second": round(n / clock.seconds["solve"], 1),
            "chunks": {"number": gathered.n_chunks, "candidates": cut.size},
            "remade": list(store.damaged) if isinstance(store, FolderStore) else [],
        }
    )
    return result


def mark_of(plan: Plan, cut: Cut, catalog: Catalog) -> Mapping[str, str]:
    """What the chunks of a run depend on, for a run that resumes it."""
    study = plain(plan.study.resolved())
    for key in ("title", "question", "compare_with", "analyses"):
        study.pop(key, None)
    text = json.dumps(study, sort_keys=True)
    return {
        "study": hashlib.sha256(text.encode()).hexdigest(),
        "catalog": catalog.hash(),
        "version": own_version(),
        "cut": f"{cut.size} candidates, courses {'kept' if cut.is_kept else 'as quantiles'}",
    }


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


def gathered_of(simulation: Simulation) -> Gathered:
    """A simulation as if it were the only chunk of a run."""
    store = MemoryStore()
    store.put(0, harvest(simulation, is_kept=True))
    return Gathered(simulation.plan, store, 1)


def summarize(gathered: Gathered, catalog: Catalog, is_kept: bool = True) -> Result:
    """Every table of the result."""
    plan = gathered.plan
    study = plan.study
    endpoints = summaries.endpoint_table(gathered)
    cards = ledger.cards_of_study(
        catalog,
        study.situation,
        study.population.name,
        plan.assembly.drugs,
        [harm.name for harm in plan.side_effects],
        study.compare_with,
    )
    metas = [chunk.meta for chunk in gathered.chunks()]
    replicates = answers.replicate_table(gathered)
    n_rows = gathered.n_patients * len(study.arms) * len(study.visits_day)

    def table(parts: Callable[[Gathered], Iterator[pd.DataFrame]]) -> Any:
        later = made(lambda: parts(gathered))
        return later.read() if n_rows <= MOST_ROWS else later

    return Result(
        study={
            **study.resolved(),
            "side_effects": [harm.name for harm in plan.side_effects] or "none",
            "cohort": _cohort_record(metas),
        },
        endpoints=endpoints,
        side_effects=harm_tables.side_effect_table(gathered),
        disease_events=disease_tables.disease_event_table(gathered),
        event_curves=disease_tables.event_curve_table(gathered),
        patients=table(summaries.patient_tables),
        events=table(harm_tables.event_tables),
        visits=table(summaries.visit_tables),
        parameters=table(summaries.parameter_tables),
        actions=table(harm_tables.action_tables),
        analyses=answers.comparison_table(gathered),
        replicates=replicates,
        power=answers.power_table(gathered, replicates),
        interim=answers.interim_table(gathered),
        dose_response=answers.dose_response_table(gathered),
        bands=summaries.bands(gathered, is_kept),
        profile=summaries.activity_profile(gathered),
        comparison=comparison(plan, endpoints, catalog),
        assumptions=ledger.assumptions(catalog, cards),
        sources=ledger.source_records(catalog, ledger.source_keys(catalog, cards)),
        run={
            "seed": study.population.seed,
            "method": METHOD,
            "tolerance": {
                "relative": study.relative_tolerance,
                "absolute": ABSOLUTE_TOLERANCE,
            },
            "failed": _added(metas, "failed"),
            "failures": [text for meta in metas for text in meta["failures"]][:MOST_FAILURES],
            "catalog_hash": catalog.hash(),
            "steps": sum(meta["steps"] for meta in metas),
            "courses": "kept" if is_kept else "quantiles",
            "avoided": avoided(plan),
            "not_known_here": {
                harm.name: list(harm.unknown) for harm in plan.side_effects if harm.unknown
            },
            "severities": {
                harm.name: {str(grade): share for grade, share in harm.severity.shares.items()}
                for harm in plan.side_effects
                if harm.severity.shares
            },
            "warnings": [
                {"drug": drug, "side_effect": name, "text": text}
                for drug, name, text in plan.warnings
            ],
        },
        trajectories=summaries.dataset(gathered, is_kept),
    )


#: Failures that a result tells in words; all are counted.
MOST_FAILURES = 50


def _added(metas: list[Mapping[str, Any]], name: str) -> dict[str, int]:
    """Counts by name, over chunks; the most frequent first."""
    total: dict[str, int] = {}
    for meta in metas:
        for key, n in meta[name].items():
            total[key] = total.get(key, 0) + n
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def _cohort_record(metas: list[Mapping[str, Any]]) -> dict[str, Any]:
    """How the cohort came about, for the reader."""
    n_candidates = sum(meta["candidates"] for meta in metas)
    return {"candidates": n_candidates, "left_out": _added(metas, "rejected")}
