"""A run in chunks: each a block of candidates, recruited, simulated and kept by itself.

A patient depends on the seed and his number alone, so chunks may be made in any order, anywhere and
again, and give the same bits. The patients of a study are the first who enter, in order of chunks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from immunostat.outcomes.sketch import LEAF
from immunostat.study.cohort import MOST_CANDIDATES, cohort_of, intake, refuse_criteria
from immunostat.study.gathered import Gathered
from immunostat.study.harvest import harvest
from immunostat.study.plan import Plan
from immunostat.study.simulation import simulate_cohort
from immunostat.study.store import Chunk, Store

#: Courses are kept up to this size of all of them; beyond it, their quantiles are.
MOST_KEPT_BYTES = 512 * 2**20

#: Memory of the courses of one chunk, when all its candidates enter.
CHUNK_BYTES = 256 * 2**20

#: Fewest candidates in a chunk, and most if nobody asks for more.
SMALLEST, LARGEST = LEAF, 2**15

#: Called with courses (arm x patient) done, courses in all, and what is being done.
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Cut:
    """How a run is cut.

    Parameters
    ----------
    size
        Candidates in a chunk, a power of two.
    is_kept
        Whether the courses of all patients are kept.
    wanted
        Patients of all replicates.
    """

    size: int
    is_kept: bool
    wanted: int


def cut_of(plan: Plan, size: int | None = None, is_kept: bool | None = None) -> Cut:
    """How the run of a plan is cut, by the memory that courses need."""
    study = plan.study
    wanted = study.design.patients_in_trial(study.population.n_patients)
    wanted *= study.design.n_replicates
    course_bytes = 8 * len(plan.times) * len(plan.outputs)
    if is_kept is None:
        is_kept = wanted * len(study.arms) * course_bytes <= MOST_KEPT_BYTES
    if size is None:
        fitting = max(SMALLEST, CHUNK_BYTES // (course_bytes * len(plan.arms)))
        needed = max(SMALLEST, 2 * wanted)
        size = min(2 ** int(np.log2(fitting)), needed, LARGEST)
    # A power of two, so that sums over patients are the same bits however a run is cut.
    return Cut(max(SMALLEST, 2 ** int(np.ceil(np.log2(size)))), is_kept, wanted)


def make_chunk(
    plan: Plan,
    index: int,
    cut: Cut,
    most: int | None = None,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Chunk:
    """Recruit and simulate one block of candidates.

    Parameters
    ----------
    index
        Which block.
    most
        Patients who may enter; the block ends with the last of them. None takes all.
    progress
        Called with the number of courses finished.
    """
    numbers = np.arange(index * cut.size, (index + 1) * cut.size, dtype=np.int64)
    block = intake(plan.recruitment(threads), numbers)
    if most is not None:
        block = block.up_to(most)
    simulation = simulate_cohort(plan, cohort_of([block]), threads, progress)
    return harvest(simulation, cut.is_kept, (index * cut.size, cut.size))


@dataclass(frozen=True)
class Order:
    """A chunk that is to be made.

    Parameters
    ----------
    index
        Which block of candidates.
    most
        Patients who may enter, where that is known; None takes all.
    """

    index: int
    most: int | None = None


class Maker(Protocol):
    """Makes chunks, here or elsewhere."""

    def chunks(
        self, orders: Callable[[], Order | None], tell: Callable[[int], None]
    ) -> Iterator[Chunk]:
        """Chunks in the order in which they were asked for.

        Parameters
        ----------
        orders
            Gives the next chunk to begin, or None if no other is needed as far as one can tell;
            asked again whenever there is room.
        tell
            Called now and then with the number of courses that are done in chunks under way.
        """


class _Demand:
    """Which chunks are still to be made: not in the store, and needed as far as one can tell."""

    def __init__(self, store: Store, cut: Cut) -> None:
        self._store, self._cut, self._next = store, cut, 0
        self.found, self.taken = 0, 0

    def __call__(self) -> Order | None:
        rest = self._cut.wanted - self.found
        per_chunk = self.found / self.taken if self.taken else self._cut.size
        end = self.taken + max(1, math.ceil(rest / max(per_chunk, 1.0)))
        while self._next < end:
            index, self._next = self._next, self._next + 1
            if self._store.get(index) is None:
                # Only who entered before is known, so that only the chunk that is next has a limit.
                return Order(index, rest if index == self.taken else None)
        return None


def gather(
    plan: Plan,
    store: Store,
    cut: Cut,
    threads: int | None = None,
    progress: Progress | None = None,
    maker: Maker | None = None,
) -> Gathered:
    """Make the chunks of a run that are not in the store yet.

    Parameters
    ----------
    maker
        Makes several chunks at a time; None makes them here, one after another.

    Raises
    ------
    InputError
        So few candidates may enter that the criteria must be a mistake, or a chunk cannot be
        written.
    """
    examined = failed = 0
    rejected: dict[str, int] = {}
    demand, n_arms = _Demand(store, cut), len(plan.arms)

    def tell(done: int) -> None:
        if progress is not None:
            words = f"patients ({failed} failed)" if failed else "patients"
            sure = min(demand.found * n_arms + done, cut.wanted * n_arms)
            progress(sure, cut.wanted * n_arms, words)

    made = maker.chunks(demand, tell) if maker else None
    while demand.found < cut.wanted:
        if examined >= MOST_CANDIDATES * cut.wanted + 1000:
            refuse_criteria(plan.population.name, demand.found, examined, rejected)
        index, most = demand.taken, cut.wanted - demand.found
        chunk = store.get(index)
        if chunk is None:
            tell(0)  # not for chunks that were there, or they would count as speed
            chunk = next(made) if made is not None else None
            if chunk is None or chunk.n_patients > most:
                chunk = make_chunk(plan, index, cut, most, threads, tell)
            store.put(index, chunk)
        demand.taken, demand.found = index + 1, demand.found + chunk.n_patients
        examined += int(chunk.meta["candidates"])
        failed += sum(chunk.meta["failed"].values())
        for reason, n in chunk.meta["rejected"].items():
            rejected[reason] = rejected.get(reason, 0) + n
    tell(0)
    return Gathered(plan, store, demand.taken)
