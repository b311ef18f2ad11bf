"""Studies one after another that differ in a dose: what they share is made once and kept.

Joining a model takes seconds, finding the patients most of the rest; both stay as they are while
somebody moves a dose. The result is the same, to the bit, as that of `run.run` in one chunk.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Generic, TypeVar

from immunostat.catalog.lookup import Catalog
from immunostat.study.assemble import Assembly
from immunostat.study.chunks import Progress
from immunostat.study.cohort import Cohort, draw_cohort
from immunostat.study.plan import Plan, drugs_in_start, prepare
from immunostat.study.result import Result
from immunostat.study.run import gathered_of, summarize
from immunostat.study.simulation import simulate_cohort
from immunostat.study.study import Study

T = TypeVar("T")

#: Joined models and cohorts that are kept.
MOST_KEPT = 8


class Kept(Generic[T]):
    """The values asked for last, by key; safe between threads."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most, self._lock = most, Lock()
        self._values: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key, made if it is not there; two threads may both make it."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._most:
                self._values.popitem(last=False)
        return value

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values


@dataclass(frozen=True)
class Explored:
    """An answer, and what it was made with.

    Parameters
    ----------
    result
        Tables and courses, as `run.run` gives them; `Result.run` has no host and no times.
    plan
        The joined model, arms and outputs.
    """

    result: Result
    plan: Plan


class Explorer:
    """Runs small studies and keeps models and patients between them.

    Parameters
    ----------
    catalog
        Where cards are.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._assemblies: Kept[Assembly] = Kept()
        self._cohorts: Kept[Cohort] = Kept()

    def plan(self, study: Study) -> Plan:
        """What the study will simulate; its joined model is that of an earlier study if it can.

        Raises
        ------
        InputError
            The study asks for what the catalog or the model does not have.
        """
        population = self.catalog.population(study.population.name)
        in_start = drugs_in_start(study, population)
        drugs = tuple(drug.name for drug in study.drugs if drug.name not in in_start)
        key = (study.situation, drugs)
        if key in self._assemblies:
            assembly = self._assemblies.get(key, lambda: prepare(study, self.catalog).assembly)
            return prepare(study, self.catalog, assembly=assembly)
        plan = prepare(study, self.catalog)
        self._assemblies.get(key, lambda: plan.assembly)
        return plan

    def run(
        self, study: Study, threads: int | None = None, progress: Progress | None = None
    ) -> Explored:
        """Simulate a study in one piece.

        Parameters
        ----------
        study
            A small one: all courses are held in memory.
        threads
            Threads to use; all cores if None.
        progress
            Told of courses that are done; an error that it raises ends the work.

        Raises
        ------
        InputError
            The study asks for what the catalog or the model does not have.
        """

        def tell(done: int, total: int, stage: str) -> None:
            if progress is not None:
                progress(done, total, stage)

        tell(0, 0, "joining the model")
        plan = self.plan(study)
        tell(0, 0, "finding the patients")
        drugs = tuple(drug.name for drug in plan.drugs)
        people = replace(study.population, title="")
        key = (study.situation, drugs, people, study.relative_tolerance, plan.output_names)
        recruitment = plan.recruitment(threads)
        cohort = self._cohorts.get(
            repr(key), lambda: draw_cohort(recruitment, study.population.n_patients)
        )
        total = len(plan.arms) * len(cohort.numbers)
        simulation = simulate_cohort(
            plan, cohort, threads, lambda done: tell(done, total, "patients")
        )
        tell(total, total, "reading the outcomes")
        return Explored(summarize(gathered_of(simulation), self.catalog), plan)
